//! When `imds=block` is checked: every few seconds and in every phase, since an app may run in each of them. A flushed packet filter, or
//! another network of the container, opens the way to the metadata, and nothing else notices.
//!
//! One check looks at all rules and networks and puts back what is missing: [`Job::CheckMetadataBlock`].

use std::time::Duration;

use berth_config::ImdsAccess;

use crate::clock::Uptime;
use crate::message::event::Event;
use crate::message::input::Input;
use crate::message::job::{Job, Ticket};
use crate::outbox::Outbox;
use crate::retry::Backoff;
use crate::view::BlockView;

/// Between two checks. One takes a few milliseconds of a core, in berth, the engine and `iptables` together.
const EVERY: Duration = Duration::from_secs(5);
/// After checks that failed: the engine may be away for long, and each check is a line in the log.
const AFTER_FAILURES: Backoff = Backoff { first: EVERY, steady: 1, cap: Duration::from_secs(60) };
/// For an answer; the adapter gives up before that.
const ANSWER: Duration = Duration::from_secs(120);

/// Checks the block once the config asks for it.
#[derive(Clone, Debug, Default)]
pub struct MetadataGuard {
    state: GuardState,
    failures: u32,
    restored: u64,
}

#[derive(Clone, Debug, Default)]
enum GuardState {
    /// The config does not ask for it, or is not known.
    #[default]
    Off,
    Next(Uptime),
    Asked {
        ticket: Ticket,
        until: Uptime,
    },
}

impl MetadataGuard {
    /// The config was read.
    pub fn configure(&mut self, access: ImdsAccess, outbox: &mut Outbox, now: Uptime) {
        match (access, &self.state) {
            (ImdsAccess::Block, GuardState::Off) => self.state = GuardState::Next(now + EVERY),
            (ImdsAccess::Block, _) => {}
            (ImdsAccess::Allow, _) => self.stop(outbox),
        }
    }

    /// Takes the answer to its check.
    pub fn on(&mut self, input: &Input, outbox: &mut Outbox, now: Uptime) {
        let GuardState::Asked { ticket, .. } = self.state else { return };
        match input.answer_to(ticket) {
            Some(Event::MetadataBlockChecked(repair)) => {
                self.failures = 0;
                self.restored = self.restored.saturating_add(u64::from(!repair.is_nothing()));
                self.state = GuardState::Next(now + EVERY);
            }
            Some(_) => self.failed(outbox, now),
            None => {}
        }
    }

    /// Asks if it is time.
    pub fn advance(&mut self, outbox: &mut Outbox, now: Uptime) {
        if let GuardState::Asked { ticket, until } = self.state
            && until <= now
        {
            outbox.cancel(ticket);
            self.failed(outbox, now);
        }
        if let GuardState::Next(at) = self.state
            && at <= now
        {
            self.state = GuardState::Asked { ticket: outbox.emit(Job::CheckMetadataBlock), until: now + ANSWER };
        }
    }

    /// When it wants to be woken.
    pub fn wake(&self) -> Option<Uptime> {
        match self.state {
            GuardState::Off => None,
            GuardState::Next(at) | GuardState::Asked { until: at, .. } => Some(at),
        }
    }

    /// As it is shown; none while the config does not ask for a block.
    pub fn view(&self) -> Option<BlockView> {
        match self.state {
            GuardState::Off => None,
            _ => Some(BlockView { holds: self.failures == 0, restored: self.restored }),
        }
    }

    fn failed(&mut self, outbox: &mut Outbox, now: Uptime) {
        self.failures = self.failures.saturating_add(1);
        self.state = GuardState::Next(now + outbox.wait(AFTER_FAILURES, self.failures));
    }

    fn stop(&mut self, outbox: &mut Outbox) {
        if let GuardState::Asked { ticket, .. } = self.state {
            outbox.cancel(ticket);
        }
        self.state = GuardState::Off;
    }
}
