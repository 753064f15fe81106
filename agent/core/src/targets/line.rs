//! The line: instances of a group that are launched together register one after the other.
//!
//! An account has 20 registrations at once and 4 a second for all of its instances (the defaults of the AWS Load Balancer Controller,
//! which AWS does not document). A thousand that are refused at once and try again by chance are refused again, so each waits for its turn.

use std::time::Duration;

use crate::clock::Uptime;
use crate::message::target::GroupFacts;
use crate::outbox::Outbox;

/// A little more than a fourth of a second, for those that come in between.
const TURN: Duration = Duration::from_millis(260);
/// The part of the whole line in which those that missed their turn come again.
const AGAIN: f64 = 0.6;
/// At least that long.
const LEAST: Duration = Duration::from_secs(3);

/// Where this instance stands in the line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    /// When that was found out.
    since: Uptime,
    before: u32,
    launching: u32,
}

impl Line {
    pub(super) fn new(facts: &GroupFacts, now: Uptime) -> Self {
        Self { since: now, before: facts.before, launching: facts.launching }
    }

    /// How long to wait after a registration that was throttled.
    pub(super) fn wait(self, outbox: &mut Outbox, now: Uptime) -> Duration {
        let turn = self.since + TURN.saturating_mul(self.before);
        if turn > now {
            return turn.since(now);
        }
        outbox.some_of(TURN.saturating_mul(self.launching).mul_f64(AGAIN).max(LEAST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_turn_comes_by_the_place_and_who_missed_it_comes_again_while_the_line_lasts() {
        let mut outbox = Outbox::new(1);
        let at = |seconds| Uptime(Duration::from_secs(seconds));
        let line = |before, launching| Line::new(&GroupFacts { before, launching, ..GroupFacts::default() }, at(10));
        assert_eq!(line(100, 1_000).wait(&mut outbox, at(16)), Duration::from_secs(20));
        for _ in 0..100 {
            assert!(line(100, 1_000).wait(&mut outbox, at(36)) <= Duration::from_secs(156));
            assert!(line(0, 1).wait(&mut outbox, at(10)) <= LEAST);
        }
    }
}
