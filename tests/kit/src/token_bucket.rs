//! A token bucket, as AWS limits the calls of an account. No clock.

use std::time::Instant;

/// What is left of a burst, and how fast it is refilled.
#[derive(Clone, Debug)]
pub(crate) struct TokenBucket {
    burst: f64,
    per_second: f64,
    left: f64,
    since: Option<Instant>,
}

impl TokenBucket {
    /// A full one.
    pub(crate) fn new(burst: u32, per_second: u32) -> Self {
        Self { burst: burst.into(), per_second: per_second.into(), left: burst.into(), since: None }
    }

    /// Takes one token; false if there is none.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let passed = self.since.map_or(0.0, |since| now.saturating_duration_since(since).as_secs_f64());
        self.left = passed.mul_add(self.per_second, self.left).min(self.burst);
        self.since = Some(now);
        let taken = self.left >= 1.0;
        self.left -= f64::from(u8::from(taken));
        taken
    }

    /// Takes all of them: somebody else of the account was here.
    pub(crate) fn empty(&mut self, now: Instant) {
        (self.left, self.since) = (0.0, Some(now));
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an instant to count from")]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_is_answered_and_then_as_many_as_are_refilled() {
        let (mut bucket, now) = (TokenBucket::new(20, 4), Instant::now());
        let mut answered = |after: u64| (0..100).filter(|_| bucket.take(now + Duration::from_millis(after))).count();
        assert_eq!([answered(0), answered(250), answered(1_250), answered(60_000)], [20, 1, 4, 20]);
    }

    #[test]
    fn an_empty_one_is_refilled_too() {
        let (mut bucket, now) = (TokenBucket::new(40, 10), Instant::now());
        bucket.empty(now);
        assert!(!bucket.take(now));
        assert!(bucket.take(now + Duration::from_millis(100)));
        assert!(!bucket.take(now + Duration::from_millis(100)));
    }
}
