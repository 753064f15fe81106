//! How long to wait before the next attempt. Attempts belong to the machine, so that they show in traces and logs; an
//! adapter tries once.

use std::time::Duration;

/// A doubling wait with jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Before the second attempt.
    pub first: Duration,
    /// How many waits are like the first before they double.
    pub steady: u32,
    /// The longest wait.
    pub cap: Duration,
}

/// For the metadata at power-on: the agent starts beside the network, and whatever it waits after the network is up is its own delay.
/// For the first four seconds or so an attempt follows within 50 ms; without a network each fails at once.
pub const POWER_ON: Backoff = Backoff { first: Duration::from_millis(50), steady: 100, cap: Duration::from_secs(1) };

/// For services on this machine (metadata, engine): they start during a boot, so they are asked often.
pub const NEAR: Backoff = Backoff { first: Duration::from_millis(100), steady: 1, cap: Duration::from_secs(1) };

/// For services that are far away.
pub const FAR: Backoff = Backoff { first: Duration::from_millis(500), steady: 1, cap: Duration::from_secs(20) };

/// For a service that throttles: most of a fleet is throttled at the same moment. Wide enough that a thousand instances do not
/// retry as a second wave (tests/traces/quotas.rs).
pub const THROTTLED: Backoff = Backoff { first: Duration::from_secs(3), steady: 1, cap: Duration::from_secs(20) };

impl Backoff {
    /// The wait after `attempts` failed attempts: between half of the doubled wait and the whole, so that two instances that failed
    /// together do not retry together.
    pub fn after(self, attempts: u32, rng: &mut fastrand::Rng) -> Duration {
        self.whole(attempts).mul_f64(0.5 + rng.f64() / 2.0)
    }

    /// The same, anywhere within the doubled wait: instances that failed together retry evenly spread.
    pub fn within(self, attempts: u32, rng: &mut fastrand::Rng) -> Duration {
        self.whole(attempts).mul_f64(rng.f64())
    }

    fn whole(self, attempts: u32) -> Duration {
        let doublings = attempts.saturating_sub(self.steady).min(20);
        self.first.saturating_mul(1 << doublings).min(self.cap)
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
    fn at_power_on_the_first_waits_are_alike() {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut waits = (1..=120).map(|attempt| POWER_ON.after(attempt, &mut rng));
        let early: Vec<Duration> = waits.by_ref().take(100).collect();
        assert!(early.iter().all(|wait| *wait <= Duration::from_millis(50)), "{early:?}");
        let together: Duration = early.iter().sum();
        assert!(together > Duration::from_secs(3), "{together:?}");
        assert!(waits.last().unwrap() >= POWER_ON.cap / 2, "after that the metadata are asked rarely");
    }

    #[test]
    fn throttled_calls_are_repeated_all_over_the_doubled_wait() {
        let mut rng = fastrand::Rng::with_seed(7);
        for (attempt, whole) in [(1, 3.0), (2, 6.0), (3, 12.0), (4, 20.0), (40, 20.0)] {
            let waits: Vec<f64> = (0..100).map(|_| THROTTLED.within(attempt, &mut rng).as_secs_f64()).collect();
            for fifth in 0..5 {
                let (from, to) = (whole * f64::from(fifth) / 5.0, whole * f64::from(fifth + 1) / 5.0);
                assert!(
                    waits.iter().any(|wait| (from..to).contains(wait)),
                    "attempt {attempt}: none from {from} to {to}"
                );
            }
            assert!(waits.iter().all(|wait| *wait < whole), "attempt {attempt}");
        }
    }

    #[test]
    fn two_instances_do_not_come_back_together() {
        let mut here = fastrand::Rng::with_seed(1);
        let mut there = fastrand::Rng::with_seed(2);
        assert_ne!(FAR.after(5, &mut here), FAR.after(5, &mut there));
    }
}
