//! What the app wrote last: read once for each exit, and when it is given up while it runs. The newest is kept for people.
//!
//! Nothing waits for it but the final status, and that only until its deadline.

use std::sync::Arc;
use std::time::Duration;

use berth_config::Config;

use crate::clock::Uptime;
use crate::message::container::ContainerId;
use crate::message::event::Event;
use crate::message::input::Input;
use crate::message::job::{Job, Ticket};
use crate::message::output::{AppOutput, Unavailable};
use crate::outbox::Outbox;

/// For the engine to return it; the adapter gives up before that, so this only ends what hangs.
const LIMIT: Duration = Duration::from_secs(5);

/// The last reading, and one that is under way.
#[derive(Clone, Debug, Default)]
pub(super) struct LastOutput {
    asked: Option<(Ticket, Uptime)>,
    last: Option<AppOutput>,
}

impl LastOutput {
    /// Reads it; of two readings the later counts.
    pub(super) fn ask(&mut self, id: &ContainerId, config: &Arc<Config>, outbox: &mut Outbox, now: Uptime) {
        self.cancel(outbox);
        let ticket = outbox.emit(Job::ReadOutput { id: id.clone(), config: config.clone() });
        self.asked = Some((ticket, now + LIMIT));
    }

    /// Takes the answer.
    pub(super) fn on(&mut self, input: &Input, now: Uptime) {
        match input.answer_to(self.asked.map(|(ticket, _)| ticket)) {
            Some(Event::OutputRead(output)) => self.keep(output.clone(), now),
            Some(_) => self.keep(AppOutput::none(Unavailable::EngineFailed), now),
            None => {}
        }
    }

    /// Gives up what hangs.
    pub(super) fn advance(&mut self, outbox: &mut Outbox, now: Uptime) {
        if self.asked.is_some_and(|(_, until)| until <= now) {
            self.cancel(outbox);
            self.keep(AppOutput::none(Unavailable::EngineFailed), now);
        }
    }

    pub(super) fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    pub(super) fn last(&self) -> Option<&AppOutput> {
        self.last.as_ref()
    }

    pub(super) fn wake(&self) -> Option<Uptime> {
        self.asked.map(|(_, until)| until)
    }

    fn keep(&mut self, output: AppOutput, now: Uptime) {
        if self.asked.take().is_some() {
            self.last = Some(AppOutput { at_seconds: now.0.as_secs_f64(), ..output });
        }
    }

    fn cancel(&self, outbox: &mut Outbox) {
        if let Some((ticket, _)) = self.asked {
            outbox.cancel(ticket);
        }
    }
}
