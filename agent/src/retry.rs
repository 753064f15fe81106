//! How long to wait before the next attempt. Attempts belong to the machine, so that they show in traces and logs; an
//! adapter tries once.

use std::time::Duration;

/// A doubling wait with jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Before the second attempt.
    pub first: Duration,
    /// The longest wait.
    pub cap: Duration,
}

/// For neighbours on this machine (metadata, engine): they come up during a boot, so they are asked often.
pub const NEAR: Backoff = Backoff { first: Duration::from_millis(100), cap: Duration::from_secs(1) };

/// For services that a whole fleet asks at the same time.
pub const FAR: Backoff = Backoff { first: Duration::from_millis(500), cap: Duration::from_secs(20) };

impl Backoff {
    /// The wait after `attempts` failed attempts: between half of the doubled wait and the whole, so that a fleet that
    /// failed together does not come back together.
    pub fn after(self, attempts: u32, rng: &mut fastrand::Rng) -> Duration {
        let doublings = attempts.saturating_sub(1).min(20);
        let whole = self.first.saturating_mul(1 << doublings).min(self.cap);
        whole.mul_f64(0.5 + rng.f64() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_the_cap_and_keeps_half_of_it() {
        let mut rng = fastrand::Rng::with_seed(7);
        for attempt in 1..40 {
            let wait = FAR.after(attempt, &mut rng);
            let whole = FAR.first.saturating_mul(1 << (attempt - 1).min(20)).min(FAR.cap);
            assert!(wait >= whole / 2 && wait <= whole, "attempt {attempt}: {wait:?} of {whole:?}");
        }
    }

    #[test]
    fn two_instances_do_not_come_back_together() {
        let mut here = fastrand::Rng::with_seed(1);
        let mut there = fastrand::Rng::with_seed(2);
        assert_ne!(FAR.after(5, &mut here), FAR.after(5, &mut there));
    }
}
