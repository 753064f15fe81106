//! How long something took, as counts by size: the durations themselves are too many to keep.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Counts since the agent started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Histogram {
    /// How many took at most 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5 and 5 seconds, each without those
    /// of the bound before. Those above the last bound are only in `count`. Empty until something was counted.
    pub buckets: Vec<u64>,
    /// How long all of them took together.
    pub sum_seconds: f64,
    /// How many.
    pub count: u64,
}

impl Histogram {
    /// The upper bounds, in seconds: from an answer from memory on this host to `probe.timeout` and beyond.
    pub const BOUNDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

    /// Counts one.
    pub fn observe(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        self.buckets.resize(Self::BOUNDS.len(), 0);
        let counted = self.buckets.iter_mut().zip(Self::BOUNDS).find(|(_, bound)| seconds <= *bound);
        if let Some((bucket, _)) = counted {
            *bucket = bucket.saturating_add(1);
        }
        self.sum_seconds += seconds;
        self.count = self.count.saturating_add(1);
    }

    /// For each bound how many took at most that long, as Prometheus counts.
    pub fn cumulated(&self) -> impl Iterator<Item = (f64, u64)> {
        let buckets = self.buckets.iter().copied().chain(std::iter::repeat(0));
        Self::BOUNDS.into_iter().zip(buckets).scan(0u64, |total, (bound, count)| {
            *total = total.saturating_add(count);
            Some((bound, *total))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_once_and_below_its_bound() {
        let mut histogram = Histogram::default();
        for seconds in [0.0, 0.001, 0.0011, 5.0, 5.1, 1e9] {
            histogram.observe(Duration::from_secs_f64(seconds));
        }
        assert_eq!(histogram.buckets, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!((histogram.count, histogram.sum_seconds.round()), (6, 1_000_000_010.0));
        let cumulated: Vec<u64> = histogram.cumulated().map(|(_, count)| count).collect();
        assert_eq!(cumulated, [2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4]);
    }

    #[test]
    fn nothing_counted_is_zero_everywhere() {
        assert_eq!(Histogram::default().cumulated().map(|(_, count)| count).sum::<u64>(), 0);
        assert_eq!(Histogram::default().cumulated().count(), Histogram::BOUNDS.len());
    }
}
