//! Time as the machine knows it: a value that is handed in, counted from the start of the agent.
//!
//! Only the driver reads a clock (invariant 1). Wall time is for people and lives in the adapters.

use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Time since the agent started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Uptime(pub Duration);

impl Uptime {
    /// The moment the agent started.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// How long ago `earlier` was; zero if it is in the future.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Uptime {
    type Output = Self;
    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by))
    }
}

impl Sub<Uptime> for Uptime {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

/// A moment that may lie before the start of this agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    at: Uptime,
    /// How long before that it was.
    before: Duration,
}

impl Moment {
    /// So long ago.
    pub(crate) fn ago(before: Duration, now: Uptime) -> Self {
        Self { at: now, before }
    }

    /// This moment.
    pub(crate) fn now(now: Uptime) -> Self {
        Self::ago(Duration::ZERO, now)
    }

    /// How long ago it was.
    pub(crate) fn age(self, now: Uptime) -> Duration {
        now.since(self.at).saturating_add(self.before)
    }

    /// What is left of a time that began then.
    pub(crate) fn left_of(self, time: Duration, now: Uptime) -> Duration {
        time.saturating_sub(self.age(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_counts_from_before_the_start_of_the_agent() {
        let at = |seconds| Uptime(Duration::from_secs(seconds));
        let began = Moment::ago(Duration::from_secs(6), at(1));
        assert_eq!(began.age(at(3)), Duration::from_secs(8));
        assert_eq!(began.left_of(Duration::from_secs(10), at(3)), Duration::from_secs(2));
        assert_eq!(began.left_of(Duration::from_secs(10), at(30)), Duration::ZERO);
        assert_eq!(Moment::ago(Duration::MAX, at(1)).age(at(3)), Duration::MAX);
    }
}
