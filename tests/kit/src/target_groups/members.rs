//! A model of what is registered in one target group, and of the health that the load balancer says. No HTTP, no clock.
//!
//! ```text
//! register ─▶ initial ─▶ healthy ⇄ unhealthy
//!                └───────────┴─ deregister ─▶ draining, for the whole delay ─▶ unused
//! ```
//! Without a listener a target is `unused` all along, and with health checks off `unavailable`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::target_group::{Health, Reuse, Target, TargetGroup};

/// One that is registered, or still draining.
#[derive(Clone, Debug)]
struct Registration {
    since: Instant,
    /// What the checks make of it; none while there was no success and there were too few failures.
    health: Option<Health>,
    first_healthy: Option<Instant>,
    passed: u32,
    failed: u32,
    draining_until: Option<Instant>,
}

/// The targets of a group.
#[derive(Debug)]
pub(crate) struct Members {
    pub(crate) settings: TargetGroup,
    registrations: BTreeMap<Target, Registration>,
    /// Those that were deregistered: when, and until when they drain.
    left: BTreeMap<Target, (Instant, Instant)>,
    pub(crate) reused: Vec<Reuse>,
}

impl Members {
    pub(crate) fn new(settings: TargetGroup) -> Self {
        Self { settings, registrations: BTreeMap::new(), left: BTreeMap::new(), reused: Vec::new() }
    }

    /// Registers a target; false if it was registered before, which changes nothing.
    pub(crate) fn register(&mut self, target: &Target, now: Instant) -> bool {
        self.expire(now);
        if self.registrations.get(target).is_some_and(|one| one.draining_until.is_none()) {
            return false;
        }
        if let Some((left, until)) = self.left.remove(target)
            && now < until
        {
            let (after, delay) = (now - left, until - left);
            self.reused.push(Reuse { target: target.clone(), after, delay });
        }
        let new =
            Registration { since: now, health: None, first_healthy: None, passed: 0, failed: 0, draining_until: None };
        self.registrations.insert(target.clone(), new);
        true
    }

    /// Deregisters a target; false if it is not registered, which is no error. Without a listener there is nothing to drain.
    pub(crate) fn deregister(&mut self, target: &Target, now: Instant) -> bool {
        self.expire(now);
        let Some(one) = self.registrations.get_mut(target).filter(|one| one.draining_until.is_none()) else {
            return false;
        };
        let delay = if self.settings.has_listener { self.settings.deregistration_delay } else { Duration::ZERO };
        one.draining_until = Some(now + delay);
        self.left.insert(target.clone(), (now, now + delay));
        self.expire(now);
        true
    }

    /// The deregistration delays that have begun are over.
    pub(crate) fn end_draining(&mut self, now: Instant) {
        for one in self.registrations.values_mut() {
            one.draining_until = one.draining_until.map(|until| until.min(now));
        }
        for (_, until) in self.left.values_mut() {
            *until = now.min(*until);
        }
        self.expire(now);
    }

    fn expire(&mut self, now: Instant) {
        self.registrations.retain(|_, one| one.draining_until.is_none_or(|until| now < until));
    }

    /// The outcome of a check of the registration that began at `since`.
    pub(crate) fn checked(&mut self, target: &Target, since: Instant, outcome: Result<(), Health>, now: Instant) {
        let Some(one) = self.registrations.get_mut(target).filter(|one| one.since == since) else { return };
        match outcome {
            Ok(()) => {
                (one.passed, one.failed) = (one.passed + 1, 0);
                let is_new = one.health.is_none();
                if is_new || one.passed >= self.settings.check.healthy_threshold {
                    one.health = Some(Health::HEALTHY);
                    one.first_healthy.get_or_insert(now);
                }
            }
            Err(failure) => {
                (one.passed, one.failed) = (0, one.failed + 1);
                let was_unhealthy = one.health.as_ref().is_some_and(|health| health.state == "unhealthy");
                if was_unhealthy || one.failed >= self.settings.check.unhealthy_threshold {
                    one.health = Some(failure);
                }
            }
        }
    }

    /// Whether the registration that began at `since` is still to be checked.
    pub(crate) fn is_checked(&self, target: &Target, since: Instant) -> bool {
        self.registrations.get(target).is_some_and(|one| one.since == since && one.draining_until.is_none())
    }

    /// What the load balancer says of a target; `is_running` of its instance.
    pub(crate) fn health(&self, target: &Target, is_running: bool, now: Instant) -> Health {
        let Some(one) = self.registrations.get(target) else { return Health::not_registered() };
        let settings = &self.settings;
        if let Some(until) = one.draining_until {
            return if now < until {
                Health::of("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress")
            } else {
                Health::not_registered()
            };
        }
        if let Some(scripted) = &settings.scripted {
            return scripted.clone();
        }
        if !settings.has_listener {
            let description = "Target group is not configured to receive traffic from the load balancer";
            return Health::of("unused", "Target.NotInUse", description);
        }
        if !is_running {
            return Health::of("unused", "Target.InvalidState", "Target is in the stopped state");
        }
        if !settings.check.enabled {
            let description = "Health checks are disabled for this target group";
            return Health::of("unavailable", "Target.HealthCheckDisabled", description);
        }
        if now < one.since + settings.first_check_after {
            return Health::of("initial", "Elb.RegistrationInProgress", "Target registration is in progress");
        }
        one.health
            .clone()
            .unwrap_or_else(|| Health::of("initial", "Elb.InitialHealthChecking", "Initial health checks in progress"))
    }

    /// When a target was first healthy.
    pub(crate) fn first_healthy(&self, target: &Target) -> Option<Instant> {
        self.registrations.get(target)?.first_healthy
    }

    /// What is registered or draining.
    pub(crate) fn targets(&self, now: Instant) -> Vec<Target> {
        let is_there = |one: &Registration| one.draining_until.is_none_or(|until| now < until);
        self.registrations.iter().filter(|(_, one)| is_there(one)).map(|(target, _)| target.clone()).collect()
    }

    /// Whether it takes as many targets more.
    pub(crate) fn has_room(&self, new: &[Target], now: Instant) -> bool {
        let there = self.targets(now);
        let more = new.iter().filter(|target| !there.contains(target)).count();
        there.len() + more <= self.settings.most_targets
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an instant to count from")]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn registered(settings: TargetGroup) -> (Members, Target, Instant) {
        let (mut members, target, now) = (Members::new(settings), Target::new("i-1", 20_001), Instant::now());
        assert!(members.register(&target, now));
        (members, target, now)
    }

    fn words(health: &Health) -> (&str, &str) {
        (health.state, health.reason.unwrap_or_default())
    }

    #[test]
    fn a_new_target_is_healthy_after_one_success_and_unhealthy_after_two_failures() {
        let slow = TargetGroup { first_check_after: 180 * SECOND, ..TargetGroup::http("api", 80) };
        let (mut members, target, now) = registered(slow);
        assert_eq!(words(&members.health(&target, true, now)), ("initial", "Elb.RegistrationInProgress"));
        let then = now + 180 * SECOND;
        assert_eq!(words(&members.health(&target, true, then)), ("initial", "Elb.InitialHealthChecking"));
        members.checked(&target, now, Err(Health::code(503)), then);
        assert_eq!(words(&members.health(&target, true, then)), ("initial", "Elb.InitialHealthChecking"));
        members.checked(&target, now, Ok(()), then);
        assert_eq!(members.health(&target, true, then), Health::HEALTHY);
        members.checked(&target, now, Err(Health::timeout()), then);
        assert_eq!(members.health(&target, true, then), Health::HEALTHY, "one failure is none");
        members.checked(&target, now, Err(Health::code(503)), then);
        let health = members.health(&target, true, then);
        assert_eq!(words(&health), ("unhealthy", "Target.ResponseCodeMismatch"));
        assert_eq!(health.description.as_deref(), Some("Health checks failed with these codes: [503]"));
        members.checked(&target, now, Ok(()), then);
        assert_eq!(members.health(&target, true, then), health, "one success is too few");
        members.checked(&target, now, Ok(()), then);
        assert_eq!(members.health(&target, true, then), Health::HEALTHY);
        assert_eq!(members.first_healthy(&target), Some(then));
    }

    #[test]
    fn a_target_drains_for_the_whole_delay_and_is_then_not_registered() {
        let (mut members, target, now) = registered(TargetGroup::http("api", 80));
        assert!(!members.deregister(&Target::new("i-1", 80), now), "another port is another target");
        assert!(members.deregister(&target, now) && !members.deregister(&target, now));
        let almost = now + 300 * SECOND - SECOND / 1000;
        assert_eq!(words(&members.health(&target, true, almost)), ("draining", "Target.DeregistrationInProgress"));
        assert_eq!(members.targets(almost), std::slice::from_ref(&target));
        let over = now + 300 * SECOND;
        assert_eq!(words(&members.health(&target, true, over)), ("unused", "Target.NotRegistered"));
        assert_eq!(members.targets(over), []);
        assert!(members.register(&target, over) && members.reused.is_empty(), "its delay is over");
    }

    #[test]
    fn registering_twice_changes_nothing_and_again_while_it_drains_is_noted() {
        let (mut members, target, now) = registered(TargetGroup::http("api", 80));
        members.checked(&target, now, Ok(()), now);
        assert!(!members.register(&target, now + SECOND));
        assert_eq!(members.health(&target, true, now + SECOND), Health::HEALTHY);
        assert_eq!(members.reused, []);
        members.deregister(&target, now);
        assert!(members.register(&target, now + 299 * SECOND));
        assert_eq!(words(&members.health(&target, true, now + 299 * SECOND)), ("initial", "Elb.InitialHealthChecking"));
        let (after, delay) = (299 * SECOND, 300 * SECOND);
        assert_eq!(members.reused, [Reuse { target: target.clone(), after, delay }]);
        members.checked(&target, now, Ok(()), now);
        assert_eq!(members.health(&target, true, now + 299 * SECOND).state, "initial", "a check of the life before");
    }

    #[test]
    fn a_delay_may_be_ended_by_the_test() {
        let (mut members, target, now) = registered(TargetGroup::http("api", 80));
        members.deregister(&target, now);
        members.end_draining(now + SECOND);
        assert_eq!(members.health(&target, true, now + SECOND), Health::not_registered());
        members.register(&target, now + SECOND);
        assert_eq!(members.reused, []);
    }

    #[test]
    fn what_is_not_checked_is_unused_or_unavailable_and_never_drains_without_a_listener() {
        let (mut members, target, now) =
            registered(TargetGroup { has_listener: false, ..TargetGroup::http("api", 80) });
        assert_eq!(words(&members.health(&target, true, now)), ("unused", "Target.NotInUse"));
        members.settings.has_listener = true;
        assert_eq!(words(&members.health(&target, false, now)), ("unused", "Target.InvalidState"));
        members.settings.check.enabled = false;
        assert_eq!(words(&members.health(&target, true, now)), ("unavailable", "Target.HealthCheckDisabled"));
        members.settings.scripted = Some(Health::failed());
        assert_eq!(words(&members.health(&target, true, now)), ("unhealthy", "Target.FailedHealthChecks"));
        members.settings.has_listener = false;
        members.deregister(&target, now);
        assert_eq!(members.health(&target, true, now), Health::not_registered());
        members.register(&target, now);
        assert_eq!(members.reused, []);
    }

    #[test]
    fn it_takes_so_many_targets_and_those_that_drain_count() {
        let (mut members, target, now) = registered(TargetGroup { most_targets: 1, ..TargetGroup::http("api", 80) });
        members.deregister(&target, now);
        let other = Target::new("i-1", 20_002);
        assert!(!members.has_room(std::slice::from_ref(&other), now));
        assert!(members.has_room(&[target], now) && members.has_room(&[other], now + 300 * SECOND));
    }
}
