//! What stops a release: too many bad verdicts, or marks without a verdict that count with them.

use std::time::Duration;

use berth_config::Config;
use berth_core::message::release::BoardState;
use berth_core::release::lost_after;

use crate::io::aws::publisher::Mark;

/// The limits of a release, by its document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// `release.failures`
    pub(super) failures: u32,
    /// `release.max_parallel`
    pub(super) max_parallel: u32,
    /// So old is a mark when its instance is taken for lost.
    pub(super) lost_after: Duration,
}

impl Limits {
    /// Those of this config.
    pub(super) fn of(config: &Config) -> Self {
        let release = &config.release;
        Self { failures: release.failures, max_parallel: release.max_parallel, lost_after: lost_after(config) }
    }

    /// Whether no other instance begins.
    pub(super) fn is_stopped(&self, state: &BoardState) -> bool {
        state.is_stopped(self.failures) || self.is_held(state)
    }

    /// Whether the marks without a verdict count so much that no other instance begins until one of them is settled.
    pub(super) fn is_held(&self, state: &BoardState) -> bool {
        state.is_held(self.failures, self.max_parallel)
    }

    /// Whether that stays so: those that are lost write no verdict any more.
    pub(super) fn is_held_by_the_lost(&self, state: &BoardState, marks: &[Mark]) -> bool {
        let lost = u32::try_from(self.lost(marks).count()).unwrap_or(u32::MAX);
        self.is_held(&BoardState { unsettled: lost, ..state.clone() })
    }

    /// What `berth release resume` makes of it: those that are lost are bad, and every bad verdict is pardoned.
    pub(super) fn resumed(&self, state: &BoardState, marks: &[Mark]) -> BoardState {
        let lost = u32::try_from(self.lost(marks).count()).unwrap_or(u32::MAX);
        let bad = state.bad.saturating_add(lost);
        let unsettled = state.unsettled.saturating_sub(lost);
        BoardState { bad, unsettled, pardoned: state.pardoned.max(bad), is_halted: false, ..state.clone() }
    }

    /// The marks of instances that are taken for lost.
    pub(super) fn lost<'m>(&self, marks: &'m [Mark]) -> impl Iterator<Item = &'m Mark> {
        let lost_after = self.lost_after;
        marks.iter().filter(move |mark| mark.age >= lost_after)
    }

    /// Why no other instance begins, if that is so and nobody halted it.
    pub(super) fn why_stopped(&self, state: &BoardState) -> Option<String> {
        let Self { failures, max_parallel, .. } = self;
        let resumed = match state.pardoned {
            0 => String::new(),
            pardoned => format!(" after it was resumed with {pardoned}"),
        };
        let bad = format!("{} bad", state.bad.saturating_sub(state.pardoned));
        if state.bad.saturating_sub(state.pardoned) >= *failures {
            Some(format!("{bad}{resumed}, and release.failures is {failures}"))
        } else if self.is_held(state) {
            let most = failures.saturating_add(*max_parallel);
            let unsettled = state.unsettled;
            Some(format!(
                "{bad} and {unsettled} without a verdict{resumed}, and release.failures + release.max_parallel is {most}"
            ))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { failures: 1, max_parallel: 1, lost_after: Duration::from_secs(390) };

    fn marks(ages: &[u64]) -> Vec<Mark> {
        let mark = |age: &u64| Mark { user: format!("A:i-{age}"), age: Duration::from_secs(*age) };
        ages.iter().map(mark).collect()
    }

    #[test]
    fn marks_without_a_verdict_hold_a_release_and_for_good_once_they_are_lost() {
        let state = BoardState { unsettled: 2, ..BoardState::default() };
        assert!(LIMITS.is_stopped(&state) && !LIMITS.is_stopped(&BoardState { unsettled: 1, ..state.clone() }));
        for (ages, is_for_good) in
            [(&[389, 10][..], false), (&[390, 10], false), (&[390, 389], false), (&[390, 390], true), (&[390], false)]
        {
            assert_eq!(LIMITS.is_held_by_the_lost(&state, &marks(ages)), is_for_good, "{ages:?}");
        }
        let two = Limits { failures: 2, ..LIMITS };
        let bad = BoardState { bad: 1, ..state };
        assert!(two.is_held_by_the_lost(&bad, &marks(&[400, 500])));
        assert!(!two.is_held_by_the_lost(&BoardState { pardoned: 1, ..bad }, &marks(&[400, 500])));
    }

    #[test]
    fn resumed_is_what_has_few_marks_of_instances_that_may_still_report() {
        let holds = |bad, ages: &[u64]| {
            let unsettled = u32::try_from(ages.len()).unwrap();
            let state = BoardState { bad, unsettled, is_halted: true, ..BoardState::default() };
            LIMITS.is_stopped(&LIMITS.resumed(&state, &marks(ages)))
        };
        assert!(!holds(3, &[]) && !holds(0, &[400, 500, 600]) && !holds(1, &[400, 20]));
        assert!(holds(0, &[20, 30]) && holds(1, &[400, 20, 30]));
    }

    #[test]
    fn why_it_is_stopped_is_said_with_the_limit_that_counts() {
        let why = |bad, unsettled, pardoned| {
            LIMITS.why_stopped(&BoardState { bad, unsettled, pardoned, ..BoardState::default() })
        };
        assert_eq!(why(0, 1, 0), None);
        assert_eq!(why(1, 2, 0).as_deref(), Some("1 bad, and release.failures is 1"));
        let held = "0 bad and 2 without a verdict, and release.failures + release.max_parallel is 2";
        assert_eq!(why(0, 2, 0).as_deref(), Some(held));
        let again = "0 bad and 3 without a verdict after it was resumed with 1, and release.failures + release.max_parallel is 2";
        assert_eq!(why(1, 3, 1), Some(again.to_owned()));
        assert_eq!(why(2, 0, 1).as_deref(), Some("1 bad after it was resumed with 1, and release.failures is 1"));
    }
}
