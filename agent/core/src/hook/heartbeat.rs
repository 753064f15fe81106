//! The heartbeats of one hook: when its timer is restarted, so that it does not expire while the agent works.
//!
//! The first comes a quarter of the timeout after the group was first asked for, at the latest: the timer has run for a while,
//! since the instance was launched or since an agent that was killed last restarted it. Every other comes after a half, at the
//! latest; one that failed is tried again before that. A group that was launched together does not send its heartbeats together.

use std::time::Duration;

use crate::clock::Uptime;
use crate::message::error::{ErrorClass, JobError};
use crate::message::event::Event;
use crate::message::input::Input;
use crate::message::job::Ticket;
use crate::outbox::Outbox;
use crate::retry::FAR;

/// Between two heartbeats when the hook's timeout is not known; AWS allows no timeout below 30 s.
const BLIND: Duration = Duration::from_secs(30);

/// When to restart the timer of one hook.
#[derive(Clone, Debug, Default)]
pub(super) struct Heartbeats {
    /// `lifecycle.heartbeat`
    pub(super) interval: Option<Duration>,
    /// The hook's timeout, as far as it is known.
    pub(super) timeout: Option<Duration>,
    /// When the search for the hook began.
    since: Option<Uptime>,
    next: Option<Uptime>,
    /// On their way: one may still be when the next is due.
    sent: Vec<Ticket>,
    recorded: u32,
    /// Since the last that was recorded.
    failures: u32,
    /// Whether an agent before this one ran here: how much it left of the timer is not known.
    inherited: bool,
    /// Why the last was refused for good.
    refusal: Option<String>,
}

impl Heartbeats {
    /// The search for the hook begins.
    pub(super) fn look(&mut self, now: Uptime) {
        self.since = Some(now);
    }

    /// The hook is known.
    pub(super) fn begin(&mut self, outbox: &mut Outbox, now: Uptime) {
        let (since, quarter) = (self.since.unwrap_or(now), self.interval() / 4);
        self.next = Some(if self.inherited { now } else { since + quarter + outbox.some_of(quarter) });
    }

    /// An agent before this one ran here: the next is due at once.
    pub(super) fn inherit(&mut self, now: Uptime) {
        if !std::mem::replace(&mut self.inherited, true) {
            self.next = self.next.map(|_| now);
        }
    }

    /// What happened, if it answers one of them.
    pub(super) fn answer<'i>(&mut self, input: &'i Input) -> Option<&'i Event> {
        let at = self.sent.iter().position(|ticket| input.answer_to(*ticket).is_some())?;
        self.sent.swap_remove(at);
        Some(input.event())
    }

    /// One was sent.
    pub(super) fn sent(&mut self, ticket: Ticket, outbox: &mut Outbox, now: Uptime) {
        self.sent.push(ticket);
        self.next = Some(now + outbox.spread(self.interval()));
    }

    /// It was recorded.
    pub(super) fn recorded(&mut self) {
        self.recorded = self.recorded.saturating_add(1);
        self.failures = 0;
        self.refusal = None;
    }

    /// It is not allowed. The next is due as planned, since the role may be changed.
    pub(super) fn refused(&mut self, error: &JobError) {
        self.refusal = Some(error.reason.clone());
    }

    /// Why the last was refused, none if it was not.
    pub(super) fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    /// Whether an agent before this one ran here.
    pub(super) fn is_inherited(&self) -> bool {
        self.inherited
    }

    /// It may not have been recorded: tried again after a wait, as far as that is sooner than the next.
    pub(super) fn failed(&mut self, error: &JobError, outbox: &mut Outbox, now: Uptime) {
        self.failures = self.failures.saturating_add(1);
        let wait = match error.class {
            ErrorClass::Throttled => outbox.stand_back(self.failures).min(self.interval() / 4),
            _ => outbox.wait(FAR, self.failures),
        };
        self.next = self.next.map(|next| next.min(now + wait));
    }

    /// When the next is due; none before the hook is known.
    pub(super) fn due(&self) -> Option<Uptime> {
        self.next
    }

    /// How many were recorded.
    pub(super) fn count(&self) -> u32 {
        self.recorded
    }

    fn interval(&self) -> Duration {
        self.interval.or(self.timeout.map(|timeout| timeout / 2)).unwrap_or(BLIND)
    }
}
