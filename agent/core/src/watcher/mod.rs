//! Notices: what Auto Scaling and EC2 are about to do with the instance, as the metadata shows it, and the watcher that polls.
//!
//! The metadata shows states, asked for again and again; a notice is the moment such a state changes. The same state seen a
//! thousand times is one notice, and a 404 is "nothing". A word that this version does not know is none by itself: the group is asked
//! what it means.

use std::fmt;
use std::time::Duration;

use crate::clock::Uptime;
use crate::message::event::Event;
use crate::message::identity::TargetState;
use crate::message::input::Input;
use crate::message::job::{Job, Ticket};
use crate::message::snapshot::{Interruption, Snapshot};
use crate::outbox::Outbox;
use crate::retry::Backoff;

use unclear::Unclear;

mod unclear;

/// Between two polls while the metadata fails or throttles: long enough to let it recover, short enough for a spot notice of two
/// minutes.
const STUMBLE: Backoff = Backoff { first: Duration::from_millis(500), steady: 1, cap: Duration::from_secs(5) };

/// For an answer; the adapter gives up before that.
const ANSWER: Duration = Duration::from_secs(30);

/// A change in what the surroundings want.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The target lifecycle state became another.
    Target(TargetState),
    /// A spot interruption was announced.
    Spot(Interruption),
    /// A rebalance is recommended.
    Rebalance,
    /// Maintenance is scheduled.
    Maintenance(String),
}

/// Polls the metadata at an interval and reports what changed.
#[derive(Clone, Debug)]
pub struct Watcher {
    interval: Duration,
    seen: Snapshot,
    /// A question on its way, and when its answer is late.
    asked: Option<(Ticket, Uptime)>,
    next: Option<Uptime>,
    failures: u32,
    unclear: Unclear,
}

impl Watcher {
    /// A watcher that has not begun; `interval` is the default of `lifecycle.poll`.
    pub fn new(interval: Duration) -> Self {
        Self { interval, seen: Snapshot::default(), asked: None, next: None, failures: 0, unclear: Unclear::default() }
    }

    /// Begins with the first answer of the metadata. To be in service, or on the way there, is no notice; nor is a root
    /// volume replacement, which may be the one that this boot comes out of, before the group says so.
    pub fn begin(&mut self, target_state: Option<&TargetState>, now: Uptime) -> Vec<Notice> {
        self.next = Some(now + self.interval);
        let former = std::mem::replace(&mut self.seen.target_state, target_state.cloned());
        let news = target_state.filter(|state| former.as_ref() != Some(*state));
        match news {
            None | Some(TargetState::InService) => Vec::new(),
            Some(state @ TargetState::RootVolume(_)) => {
                self.unclear.shows(state, now);
                Vec::new()
            }
            Some(state) => vec![self.target(state, now)],
        }
    }

    /// Polls at this interval (`lifecycle.poll`). The wait that goes on was made before it was known: it may only get
    /// shorter by it. A wait after a failure is left alone.
    pub fn set_interval(&mut self, interval: Duration, outbox: &mut Outbox, now: Uptime) {
        let former = std::mem::replace(&mut self.interval, interval);
        if interval < former && self.failures == 0 {
            let soon = now + outbox.spread(interval);
            self.next = self.next.map(|next| next.min(soon));
        }
    }

    /// Takes an answer; what changed since the last.
    pub fn on(&mut self, input: &Input, outbox: &mut Outbox, now: Uptime) -> Vec<Notice> {
        match input.answer_to(self.asked.map(|(ticket, _)| ticket)) {
            Some(Event::MetadataSeen(snapshot)) => {
                self.asked = None;
                self.failures = 0;
                self.next = Some(now + outbox.spread(self.interval));
                self.compare(snapshot, now)
            }
            Some(_) => {
                self.failed(outbox, now);
                Vec::new()
            }
            None => self.unclear.on(input, outbox, now).map(Notice::Target).into_iter().collect(),
        }
    }

    /// Asks if it is time; what follows from an answer that does not come.
    pub fn advance(&mut self, outbox: &mut Outbox, now: Uptime) -> Option<Notice> {
        if let Some((ticket, _)) = self.asked.filter(|(_, late)| *late <= now) {
            outbox.cancel(ticket);
            self.failed(outbox, now);
        }
        if self.next.is_some_and(|at| at <= now) {
            self.next = None;
            self.asked = Some((outbox.emit(Job::WatchMetadata), now + ANSWER));
        }
        self.unclear.advance(outbox, now).map(Notice::Target)
    }

    /// What was seen already, and what only the config gives a meaning: it may have been read after that.
    pub fn standing(&self) -> Vec<Notice> {
        let rebalance = self.seen.rebalance.then_some(Notice::Rebalance);
        let maintenance = self.seen.maintenance.clone().map(Notice::Maintenance);
        rebalance.into_iter().chain(maintenance).collect()
    }

    /// When it wants to ask again.
    pub fn wake(&self) -> Option<Uptime> {
        let own = self.next.or(self.asked.map(|(_, late)| late));
        own.into_iter().chain(self.unclear.wake()).min()
    }

    /// The target lifecycle state last seen.
    pub fn target_state(&self) -> Option<&TargetState> {
        self.seen.target_state.as_ref()
    }

    fn failed(&mut self, outbox: &mut Outbox, now: Uptime) {
        self.asked = None;
        self.failures = self.failures.saturating_add(1);
        self.next = Some(now + self.interval.max(outbox.wait(STUMBLE, self.failures)));
    }

    /// The target lifecycle state became this one.
    fn target(&mut self, state: &TargetState, now: Uptime) -> Notice {
        match state {
            TargetState::Other(word) if !word.is_empty() => self.unclear.shows(state, now),
            _ => self.unclear.is_clear(),
        }
        Notice::Target(state.clone())
    }

    fn compare(&mut self, snapshot: &Snapshot, now: Uptime) -> Vec<Notice> {
        let mut notices = Vec::new();
        if let Some(state) = &snapshot.target_state
            && self.seen.target_state.as_ref() != Some(state)
        {
            notices.push(self.target(state, now));
        }
        if let Some(interruption) = &snapshot.spot
            && self.seen.spot.is_none()
        {
            notices.push(Notice::Spot(interruption.clone()));
        }
        if snapshot.rebalance && !self.seen.rebalance {
            notices.push(Notice::Rebalance);
        }
        if let Some(event) = &snapshot.maintenance
            && self.seen.maintenance.as_ref() != Some(event)
        {
            notices.push(Notice::Maintenance(event.clone()));
        }
        // A state that vanishes for a moment and comes back is the same state.
        let target_state = snapshot.target_state.clone().or_else(|| self.seen.target_state.take());
        let spot = snapshot.spot.clone().or_else(|| self.seen.spot.take());
        let maintenance = snapshot.maintenance.clone().or_else(|| self.seen.maintenance.take());
        let rebalance = snapshot.rebalance || self.seen.rebalance;
        self.seen = Snapshot { target_state, spot, rebalance, maintenance };
        notices
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target(state) => write!(f, "target lifecycle state {state}"),
            Self::Spot(interruption) => {
                write!(f, "spot {} in {} s", interruption.action, interruption.ends_in.as_secs())
            }
            Self::Rebalance => f.write_str("rebalance recommendation"),
            Self::Maintenance(event) => write!(f, "maintenance: {event}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::effect::Effect;

    /// What is noticed when the polls are answered so, one after the other.
    fn notices(polls: &[&Snapshot]) -> Vec<Notice> {
        let (mut watcher, mut outbox) = (Watcher::new(Duration::from_secs(2)), Outbox::new(1));
        watcher.begin(None, Uptime::ZERO);
        let mut notices = Vec::new();
        for snapshot in polls {
            let now = watcher.wake().expect("it polls on");
            watcher.advance(&mut outbox, now);
            let Some(Effect::Job(ticket, _)) = outbox.take() else { panic!("nothing is polled at {now:?}") };
            let seen = Input::Answer(ticket, Event::MetadataSeen((*snapshot).clone()));
            notices.extend(watcher.on(&seen, &mut outbox, now));
        }
        notices
    }

    #[test]
    fn what_stays_or_vanishes_for_a_moment_and_comes_back_is_noticed_once() {
        let spot = Interruption { action: "terminate".to_owned(), ends_in: Duration::from_secs(120) };
        let all = Snapshot {
            target_state: Some(TargetState::Standby),
            spot: Some(spot.clone()),
            rebalance: true,
            maintenance: Some("system-reboot".to_owned()),
        };
        let nothing = Snapshot::default();
        assert_eq!(
            notices(&[&nothing, &all, &all, &nothing, &all]),
            [
                Notice::Target(TargetState::Standby),
                Notice::Spot(spot),
                Notice::Rebalance,
                Notice::Maintenance("system-reboot".to_owned())
            ]
        );
    }
}
