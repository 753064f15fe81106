//! A load balancer's control plane in virtual time: what it says of targets, and whether one is registered again too early.

use std::collections::BTreeMap;
use std::time::Duration;

use berth_core::clock::Uptime;
use berth_core::message::target::{Target, TargetHealth, TargetHealthState};

use crate::sim::secs;

/// Every target group of the world.
#[derive(Clone, Debug)]
pub(crate) struct LoadBalancer {
    targets: BTreeMap<Target, Membership>,
    /// From the registration to healthy; none is never.
    pub(crate) healthy_after: Option<Duration>,
    /// What it says until then, and for ever if it is never healthy.
    pub(crate) until_then: TargetHealth,
    /// What it says of a target that was deregistered, until the delay is over.
    pub(crate) until_unused: TargetHealth,
    /// The deregistration delay.
    pub(crate) delay: Duration,
    /// Targets that were registered again while they were draining.
    pub(crate) too_early: Vec<Target>,
}

#[derive(Clone, Copy, Debug)]
enum Membership {
    Since(Uptime),
    LeftAt(Uptime),
}

impl LoadBalancer {
    pub(crate) fn new() -> Self {
        Self {
            targets: BTreeMap::new(),
            healthy_after: Some(secs(8)),
            until_then: TargetHealth::of(TargetHealthState::Initial).because("Elb.InitialHealthChecking"),
            until_unused: TargetHealth::of(TargetHealthState::Draining).because("Target.DeregistrationInProgress"),
            delay: secs(300),
            too_early: Vec::new(),
        }
    }

    pub(crate) fn register(&mut self, target: &Target, now: Uptime) {
        match self.targets.get(target) {
            Some(Membership::Since(_)) => return,
            Some(Membership::LeftAt(at)) if now < *at + self.delay => self.too_early.push(target.clone()),
            Some(Membership::LeftAt(_)) | None => {}
        }
        self.targets.insert(target.clone(), Membership::Since(now));
    }

    pub(crate) fn deregister(&mut self, target: &Target, now: Uptime) {
        if let Some(membership @ Membership::Since(_)) = self.targets.get_mut(target) {
            *membership = Membership::LeftAt(now);
        }
    }

    pub(crate) fn health(&self, target: &Target, now: Uptime) -> TargetHealth {
        use TargetHealthState::{Healthy, Unused};
        match self.targets.get(target) {
            Some(Membership::Since(at)) if self.healthy_after.is_some_and(|after| now >= *at + after) => {
                TargetHealth::of(Healthy)
            }
            Some(Membership::Since(_)) => self.until_then.clone(),
            Some(Membership::LeftAt(at)) if now < *at + self.delay => self.until_unused.clone(),
            Some(Membership::LeftAt(_)) | None => TargetHealth::of(Unused).because("Target.NotRegistered"),
        }
    }

    /// The targets that are registered.
    pub(crate) fn registered(&self) -> Vec<String> {
        let is_in = |(_, membership): &(&Target, &Membership)| matches!(membership, Membership::Since(_));
        self.targets.iter().filter(is_in).map(|(target, _)| target.to_string()).collect()
    }

    /// The same balancer for another agent, so much later: its clock begins at zero again.
    pub(crate) fn after(mut self, passed: Duration) -> Self {
        for membership in self.targets.values_mut() {
            let (Membership::Since(at) | Membership::LeftAt(at)) = membership;
            // What began before that agent has no moment of its own: the whole of it is over.
            *at = Uptime(at.0.saturating_sub(passed));
        }
        self
    }
}
