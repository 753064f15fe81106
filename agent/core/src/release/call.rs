//! One call of the release's protocol: under way, or the next.

use std::time::Duration;

use crate::clock::Uptime;
use crate::message::input::Input;
use crate::message::job::{Job, Ticket};
use crate::outbox::Outbox;

use super::Event;

/// For one answer; the adapter gives up before that.
const ANSWER: Duration = Duration::from_secs(60);

/// A call that is under way, or the next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Call {
    Asked { ticket: Ticket, since: Uptime },
    Next(Uptime),
}

impl Call {
    /// Makes the call if it is due. One that hangs is given up, and follows at once.
    pub(super) fn advance(&mut self, job: impl FnOnce() -> Job, outbox: &mut Outbox, now: Uptime) {
        if let Self::Asked { ticket, since } = *self
            && since + ANSWER <= now
        {
            outbox.cancel(ticket);
            *self = Self::Next(now);
        }
        if matches!(self, Self::Next(at) if *at <= now) {
            *self = Self::Asked { ticket: outbox.emit(job()), since: now };
        }
    }

    /// The answer, and when the call was made.
    pub(super) fn answer<'i>(&self, input: &'i Input) -> Option<(&'i Event, Uptime)> {
        match self {
            Self::Asked { ticket, since } => Some((input.answer_to(*ticket)?, *since)),
            Self::Next(_) => None,
        }
    }

    pub(super) fn cancel(&self, outbox: &mut Outbox) {
        if let Self::Asked { ticket, .. } = self {
            outbox.cancel(*ticket);
        }
    }

    pub(super) fn wake(&self) -> Uptime {
        match self {
            Self::Asked { since, .. } => *since + ANSWER,
            Self::Next(at) => *at,
        }
    }
}
