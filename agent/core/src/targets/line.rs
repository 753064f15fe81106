//! The line: instances of a group that are launched together register one after the other.
//!
//! An account has 20 registrations at once and 4 a second for all of its instances (the defaults of the AWS Load Balancer Controller,
//! which AWS does not document). A thousand that are refused at once and try again by chance are refused again and again, so each has its
//! turn, by its id. The figures below are those with which a thousand make the fewest calls (tests/traces/quotas.rs).

use std::time::Duration;

use crate::clock::Uptime;
use crate::message::target::GroupFacts;
use crate::outbox::Outbox;

/// Registrations that the account answers at once.
const AT_ONCE: u32 = 20;
/// Between two turns: a little more than a fourth of a second, for those that come in between.
const TURN: Duration = Duration::from_millis(252);
/// The laps of the line, each from and to this part of its length: the first turn of all, that of the instances that were not ready at
/// their first, and, when nearly all of them are registered, that of the instances that were refused twice.
const LAPS: [(f64, f64); 3] = [(0.0, 0.95), (0.75, 0.97), (1.0, 1.04)];
/// A turn that comes sooner than this part of the line after a refusal is the one that was refused, or one in the same crowd.
const CROWD: f64 = 0.04;
/// In this part of the line most instances still boot: an instance that is ready before its turn may find a registration that no other takes.
const EARLY: f64 = 0.4;
/// From a registration to the completed launch hook: so long an instance that has registered is still counted.
const COUNTED_ON: Duration = Duration::from_secs(27);

/// Where this instance stands in the line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    /// When the line began that was counted.
    from: Uptime,
    before: u32,
    launching: u32,
}

impl Line {
    pub(super) fn new(facts: &GroupFacts, now: Uptime) -> Self {
        let from = Uptime(now.0.saturating_sub(COUNTED_ON));
        Self { from, before: facts.before, launching: facts.launching }
    }

    fn length(self) -> Duration {
        TURN.saturating_mul(self.launching)
    }

    /// When its turn for the first registration comes, if that is to be waited for. The agents of a group that is launched together are of
    /// one age.
    pub(super) fn turn(self, now: Uptime) -> Option<Uptime> {
        let turn = self.from + TURN.saturating_mul(self.before.saturating_sub(AT_ONCE));
        let is_early = now.0 <= self.length().mul_f64(EARLY);
        (self.launching > 2 * AT_ONCE && !is_early && turn > now).then_some(turn)
    }

    /// How long to wait after so many registrations that were throttled.
    pub(super) fn wait(self, attempts: u32, outbox: &mut Outbox, now: Uptime) -> Duration {
        let place = f64::from(self.before) / f64::from(self.launching.max(1));
        let laps = LAPS.iter().skip(if attempts < 2 { 0 } else { LAPS.len() - 1 });
        let crowd = self.length().mul_f64(CROWD);
        let mut turns = laps.map(|(from, to)| self.from + self.length().mul_f64(from + (to - from) * place));
        match turns.find(|turn| *turn > now + crowd) {
            Some(turn) => turn.since(now),
            None => outbox.stand_back(attempts),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(before: u32, launching: u32) -> Line {
        let facts = GroupFacts { before, launching, ..GroupFacts::default() };
        Line::new(&facts, Uptime(Duration::from_secs(20)))
    }

    fn at(seconds: u64) -> Uptime {
        Uptime(Duration::from_secs(seconds))
    }

    #[test]
    fn the_turn_comes_by_the_place_and_who_missed_it_has_another_one() {
        let mut outbox = Outbox::new(1);
        let mut wait = |line: Line, now| line.wait(1, &mut outbox, at(now)).as_millis();
        assert_eq!(wait(line(100, 1_000), 6), 17_940, "at a tenth of 0.95 of 252 s");
        assert_eq!(wait(line(100, 1_000), 30), 164_544, "at a tenth of the second lap");
        assert_eq!(wait(line(100, 1_000), 200), 53_008, "of the third");
        assert_eq!(wait(line(100, 1_000), 15), 179_544, "too soon after the refusal: of the second");
        assert!(wait(line(100, 1_000), 270) <= 3_000, "the line is over");
        assert!(wait(line(0, 1), 30) <= 3_000);
    }

    #[test]
    fn who_was_refused_twice_comes_when_nearly_all_are_registered() {
        let mut outbox = Outbox::new(1);
        assert_eq!(line(100, 1_000).wait(2, &mut outbox, at(30)).as_millis(), 223_008);
    }

    #[test]
    fn only_a_long_line_makes_an_instance_wait_before_it_was_refused() {
        assert_eq!(line(39, 40).turn(at(60)), None);
        assert_eq!(line(900, 1_000).turn(at(60)), None, "early, most of the others still boot");
        assert_eq!(line(900, 1_000).turn(at(120)), Some(Uptime(Duration::from_millis(221_760))));
        assert_eq!(line(100, 1_000).turn(at(120)), None, "its turn is over");
    }
}
