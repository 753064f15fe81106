//! A target lifecycle state that does not say enough by itself, so that the group is asked what it does with the instance.
//!
//! A word that this version does not know may announce a root volume replacement: its word in the metadata is not documented, and
//! `DescribeAutoScalingInstances` knows it (`ReplacingRootVolume`, `:Wait`). The same answer says whether the group terminates the
//! instance or has it in its warm pool. The word of a replacement that is there at the first poll may be the one that this boot comes
//! out of: the instance id is the same before and after. The group's answer can lag behind the metadata, so it is asked a few times,
//! and then no more until the word changes. An attempt that fails is no answer.

use std::time::Duration;

use crate::clock::Uptime;
use crate::message::error::ErrorClass;
use crate::message::event::Event;
use crate::message::identity::TargetState;
use crate::message::input::Input;
use crate::message::job::{Job, Ticket};
use crate::outbox::Outbox;

/// Between two questions about one word.
const BETWEEN: Duration = Duration::from_secs(10);

/// Answers about one word.
const ANSWERS: u32 = 4;

/// Attempts about one word that fail, before its meaning stays unknown; it takes some minutes.
const FAILURES: u32 = 12;

/// The same for a replacement that is there at the first look. Then the word is validated.
const FAILURES_KNOWN: u32 = 4;

/// For an answer; the adapter gives up before that.
const ANSWER: Duration = Duration::from_secs(60);

/// A word that comes again is asked about when this has passed since it was asked about first.
const AGAIN: Duration = Duration::from_secs(300);

/// The word that is unclear, and what was asked about it.
#[derive(Clone, Debug, Default)]
pub(super) struct Unclear {
    word: Option<TargetState>,
    /// When it is asked about first.
    since: Uptime,
    answers: u32,
    failures: u32,
    asked: Option<(Ticket, Uptime)>,
    next: Option<Uptime>,
}

impl Unclear {
    /// The metadata shows this state.
    pub(super) fn shows(&mut self, word: &TargetState, now: Uptime) {
        let since = match self.word.as_ref() == Some(word) {
            false => now,
            true if self.since >= now => self.since,
            true => now.max(self.since + AGAIN),
        };
        *self = Self { word: Some(word.clone()), since, next: Some(since), ..Self::default() };
    }

    /// A word is shown that says enough.
    pub(super) fn is_clear(&mut self) {
        (self.next, self.asked) = (None, None);
    }

    /// Takes an answer; what the group does with the instance, if it is not in service or on the way there.
    pub(super) fn on(&mut self, input: &Input, outbox: &mut Outbox, now: Uptime) -> Option<TargetState> {
        let (ticket, _) = self.asked?;
        match input.answer_to(ticket)? {
            Event::InstanceDescribed(state) => {
                (self.asked, self.answers) = (None, self.answers + 1);
                let state = state.clone().unwrap_or_default();
                // These are what a group shows that has not got there yet.
                let lags = matches!(state.as_str(), "InService" | "Standby") || state.starts_with("Pending");
                if lags && self.answers < ANSWERS {
                    self.next = Some(now + outbox.spread(BETWEEN));
                }
                meant(state)
            }
            Event::Failed(_, error) => self.failed(error.class, outbox, now),
            _ => None, // no answer to its question
        }
    }

    /// Asks if it is time.
    pub(super) fn advance(&mut self, outbox: &mut Outbox, now: Uptime) -> Option<TargetState> {
        if let Some((ticket, _)) = self.asked.filter(|(_, late)| *late <= now) {
            outbox.cancel(ticket);
            return self.failed(ErrorClass::Transient, outbox, now);
        }
        if self.next.is_some_and(|at| at <= now) {
            self.next = None;
            self.asked = Some((outbox.emit(Job::DescribeInstance), now + ANSWER));
        }
        None
    }

    /// When it wants to be woken.
    pub(super) fn wake(&self) -> Option<Uptime> {
        self.next.or(self.asked.map(|(_, late)| late))
    }

    /// Where the group cannot be asked, a word that is known is validated, and one that is not says nothing.
    fn failed(&mut self, class: ErrorClass, outbox: &mut Outbox, now: Uptime) -> Option<TargetState> {
        self.asked = None;
        self.failures += 1;
        let known = self.word.clone().filter(|word| matches!(word, TargetState::RootVolume(_)));
        let most = if known.is_some() { FAILURES_KNOWN } else { FAILURES };
        if class.is_transient() && self.failures < most {
            let wait =
                if class == ErrorClass::Throttled { outbox.stand_back(self.failures) } else { outbox.spread(BETWEEN) };
            self.next = Some(now + wait);
            return None;
        }
        known.filter(|_| self.answers == 0)
    }
}

/// The target lifecycle state of an instance that is in this lifecycle state, if it is on its way out or in the warm pool.
fn meant(lifecycle_state: String) -> Option<TargetState> {
    let state = match lifecycle_state.as_str() {
        terminating if terminating.starts_with("Terminating") => TargetState::Terminated,
        terminating if terminating.starts_with("Warmed:Terminating") => TargetState::WarmedTerminated,
        pending if pending.starts_with("Warmed:Pending") => TargetState::WarmedRunning,
        _ => TargetState::from(lifecycle_state),
    };
    match state {
        TargetState::InService | TargetState::Standby | TargetState::Detached | TargetState::Other(_) => None,
        TargetState::Terminated
        | TargetState::WarmedRunning
        | TargetState::WarmedStopped
        | TargetState::WarmedHibernated
        | TargetState::WarmedTerminated
        | TargetState::RootVolume(_) => Some(state),
    }
}
