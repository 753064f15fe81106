//! The app's health by its probes: healthy after so many passes in a row, unhealthy after so many failures in a row.

use std::collections::VecDeque;
use std::time::Duration;

use berth_config::Probe;

use crate::clock::Uptime;
use crate::message::probe_failure::ProbeFailure;
use crate::view::ProbeView;
use crate::view::histogram::Histogram;

/// Probes that are kept for `berth status`.
const KEPT: usize = 20;

/// The results of the probes so far.
#[derive(Clone, Debug)]
pub struct Health {
    healthy: bool,
    passes: u32,
    failures: u32,
    /// Since when it has not been healthy, while it is not.
    unhealthy_since: Uptime,
    /// Since when its process runs.
    up_since: Uptime,
    last: VecDeque<ProbeView>,
    seconds: Histogram,
    failed: u64,
}

impl Health {
    /// Of an app that was not probed yet.
    pub(super) fn new(now: Uptime) -> Self {
        Self {
            healthy: false,
            passes: 0,
            failures: 0,
            unhealthy_since: now,
            up_since: now,
            last: VecDeque::new(),
            seconds: Histogram::default(),
            failed: 0,
        }
    }

    /// Takes one answer: none if the app is healthy, else why not. Returns whether the health or its reason changed.
    pub(super) fn take(&mut self, failure: Option<&ProbeFailure>, took: Duration, policy: &Probe, now: Uptime) -> bool {
        self.note(failure, took, now);
        let was_healthy = self.healthy;
        if failure.is_none() {
            self.failures = 0;
            self.passes = self.passes.saturating_add(1);
            self.healthy |= self.passes >= policy.healthy;
            return self.healthy && !was_healthy;
        }
        self.passes = 0;
        self.failures = self.failures.saturating_add(1);
        if self.failures >= policy.unhealthy {
            self.mark_unhealthy(now);
        }
        !self.healthy
    }

    /// It has run for long enough to count as healthy without a probe.
    pub(super) fn endure(&mut self) {
        self.healthy = true;
    }

    /// Its process started.
    pub(super) fn begin(&mut self, now: Uptime) {
        self.failures = 0;
        self.passes = 0;
        self.up_since = now;
    }

    /// It is unhealthy without a probe: it exited, or is being stopped.
    pub(super) fn mark_unhealthy(&mut self, now: Uptime) {
        if self.healthy {
            self.healthy = false;
            self.unhealthy_since = now;
        }
    }

    /// Whether it has been unhealthy for too long: twice `unhealthy` failures, or, if it never became healthy after a restart, the
    /// time that a start may take.
    pub(super) fn past_threshold(&self, policy: &Probe, start_limit: Duration, now: Uptime) -> bool {
        !self.healthy
            && if self.is_starting() {
                now.since(self.up_since) >= start_limit
            } else {
                self.failures >= policy.unhealthy.saturating_mul(2)
            }
    }

    /// Whether it has not been healthy since its process started.
    pub fn is_starting(&self) -> bool {
        !self.healthy && self.unhealthy_since <= self.up_since
    }

    /// How long its process runs.
    pub(super) fn starting_for(&self, now: Uptime) -> Duration {
        now.since(self.up_since)
    }

    /// Whether it is healthy.
    pub fn is_healthy(&self) -> bool {
        self.healthy
    }

    /// Whether its last probe failed.
    pub fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// Whether so many probes in a row failed as make it unhealthy, and its process has run for as long as those take while it serves: on the
    /// way up they follow each other faster.
    pub(super) fn has_failed_long(&self, policy: &Probe, now: Uptime) -> bool {
        let usual = policy.interval.saturating_mul(policy.unhealthy.saturating_sub(1));
        self.failures >= policy.unhealthy && self.starting_for(now) >= usual
    }

    /// Since when it has been unhealthy, if it is.
    pub fn unhealthy_since(&self) -> Option<Uptime> {
        (!self.healthy).then_some(self.unhealthy_since)
    }

    /// The last probes, oldest first.
    pub fn last(&self) -> Vec<ProbeView> {
        self.last.iter().cloned().collect()
    }

    /// How long every probe took.
    pub fn seconds(&self) -> &Histogram {
        &self.seconds
    }

    /// Probes that failed.
    pub fn failed(&self) -> u64 {
        self.failed
    }

    fn note(&mut self, failure: Option<&ProbeFailure>, took: Duration, now: Uptime) {
        self.seconds.observe(took);
        self.failed += u64::from(failure.is_some());
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        let (at_seconds, took_seconds) = (now.0.as_secs_f64(), took.as_secs_f64());
        self.last.push_back(ProbeView {
            at_seconds,
            took_seconds,
            error: failure.map(ToString::to_string),
            kind: failure.map(|failure| failure.kind),
        });
    }
}
