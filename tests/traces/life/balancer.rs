//! The load balancer and its clients: asks `/ready`, routes with a lag, holds connections, notices what fails.

use std::rc::Rc;
use std::time::Duration;

use berth_core::message::target::{TargetHealth, TargetHealthState};

use super::plan::{Plan, Roll};
use super::twist::Twist;
use crate::sim::{ms, secs};

/// Between two health checks, and the failures in a row that take a target out: AWS's least, so that a drain has to settle.
const INTERVAL: Duration = Duration::from_secs(5);
const UNHEALTHY: u32 = 2;

/// From a decision of the balancer to the last of its nodes.
const LAG: Duration = Duration::from_millis(2500);

/// Between two new connections.
const ARRIVALS: Duration = Duration::from_millis(2200);

/// The port that Auto Scaling registers, and the app's on the host if its config says it.
pub(crate) const PORT: u16 = 8080;

/// One target: a port of the instance.
#[derive(Debug)]
struct Slot {
    port: u16,
    registered: bool,
    healthy: bool,
    /// Whether it was, since it was registered.
    was_healthy: bool,
    failures: u32,
    probe_at: Duration,
    /// Until when requests come.
    routes_until: Option<Duration>,
    /// When it was deregistered.
    left_at: Option<Duration>,
}

#[derive(Debug)]
pub(crate) struct Balancer {
    present: bool,
    slots: Vec<Slot>,
    arrival_at: Duration,
    arrivals: u64,
    /// When each connection ends, and which port it is with.
    ends: Vec<(Duration, u16)>,
    long: Vec<(Duration, Duration)>,
    /// When it cuts the connections with a port that was deregistered.
    gives_up: Vec<(Duration, u16)>,
    delay: Duration,
    plan: Rc<Plan>,
    /// When clients' requests failed, and on which port.
    pub(crate) failed: Vec<(Duration, u16)>,
    pub(crate) served: u32,
}

impl Balancer {
    pub(crate) fn new(plan: &Rc<Plan>) -> Self {
        let long = |twist: &Twist| match twist {
            Twist::LongConnection { at, lasts } => Some((*at, *lasts)),
            _ => None,
        };
        Self {
            present: plan.shape.balancer,
            slots: Vec::new(),
            arrival_at: Duration::ZERO,
            arrivals: 0,
            ends: Vec::new(),
            long: plan.twists.iter().filter_map(long).collect(),
            gives_up: Vec::new(),
            delay: plan.shape.deregistration,
            plan: plan.clone(),
            failed: Vec::new(),
            served: 0,
        }
    }

    /// Registers a target; when it was deregistered, if its deregistration delay is not over.
    pub(crate) fn register(&mut self, port: u16, now: Duration) -> Option<Duration> {
        let left_at = self.slot(port).and_then(|slot| slot.left_at).filter(|at| now < *at + self.delay);
        if self.present && !self.slot(port).is_some_and(|slot| slot.registered) {
            self.slots.retain(|slot| slot.port != port);
            self.slots.push(Slot {
                port,
                registered: true,
                healthy: false,
                was_healthy: false,
                failures: 0,
                probe_at: now + ms(500),
                routes_until: None,
                left_at: None,
            });
            self.gives_up.retain(|(_, of)| *of != port);
        }
        left_at
    }

    pub(crate) fn deregister(&mut self, port: u16, now: Duration) {
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.port == port && slot.registered) {
            (slot.registered, slot.healthy, slot.left_at) = (false, false, Some(now));
            slot.stop_routing(now);
            self.gives_up.push((now + LAG.max(self.delay), port));
        }
    }

    fn slot(&self, port: u16) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.port == port)
    }

    /// The ports that are registered.
    pub(crate) fn registered(&self) -> impl Iterator<Item = u16> {
        self.slots.iter().filter(|slot| slot.registered).map(|slot| slot.port)
    }

    /// Whether requests are let in on another port than this one.
    pub(crate) fn has_another(&self, port: u16) -> bool {
        self.slots.iter().any(|slot| slot.port != port && slot.registered && slot.healthy)
    }

    /// Whether some target has passed its health checks since it was registered.
    pub(crate) fn has_passed(&self) -> bool {
        self.slots.iter().any(|slot| slot.was_healthy)
    }

    /// What it says of a target.
    pub(crate) fn health(&self, port: u16, now: Duration) -> TargetHealth {
        use TargetHealthState::{Draining, Healthy, Initial, Unhealthy, Unused};
        match self.slot(port) {
            Some(slot) if slot.registered && slot.healthy => TargetHealth::of(Healthy),
            Some(slot) if slot.registered && slot.failures > 0 => {
                TargetHealth::of(Unhealthy).because("Target.ResponseCodeMismatch")
            }
            Some(slot) if slot.registered => TargetHealth::of(Initial).because("Elb.InitialHealthChecking"),
            Some(slot) if slot.left_at.is_some_and(|at| now < at + self.delay) => {
                TargetHealth::of(Draining).because("Target.DeregistrationInProgress")
            }
            _ => TargetHealth::of(Unused).because("Target.NotRegistered"),
        }
    }

    /// Whether it has nothing to do with the instance any more.
    pub(crate) fn has_let_go(&self, now: Duration) -> bool {
        let idle = !self.slots.iter().any(|slot| slot.routes(now)) && self.ends.is_empty();
        self.registered().next().is_none() && (idle || self.gives_up.is_empty())
    }

    /// How many clients are connected on one of these ports.
    pub(crate) fn connections(&self, ports: &[u16]) -> u32 {
        u32::try_from(self.ends.iter().filter(|(_, port)| ports.contains(port)).count()).unwrap_or(u32::MAX)
    }

    /// The app on this port ended: every client that is connected there notices.
    pub(crate) fn app_ended(&mut self, port: u16, now: Duration) {
        let before = self.ends.len();
        self.ends.retain(|(_, of)| *of != port);
        self.failed.extend((self.ends.len()..before).map(|_| (now, port)));
    }

    /// Every app ended.
    pub(crate) fn all_ended(&mut self, now: Duration) {
        self.failed.extend(self.ends.drain(..).map(|(_, port)| (now, port)));
    }

    pub(crate) fn due(&self) -> Option<Duration> {
        let probe = self.slots.iter().filter(|slot| slot.registered).map(|slot| slot.probe_at);
        let routes = self.slots.iter().any(|slot| slot.routes_until.is_some_and(|until| self.arrival_at < until));
        let arrival = routes.then_some(self.arrival_at);
        let long = self.long.iter().map(|(at, _)| *at);
        let ends = self.ends.iter().chain(&self.gives_up).map(|(at, _)| *at);
        ends.chain(probe).chain(arrival).chain(long).min()
    }

    /// What comes of time: `ready` is what `/ready` says, `answers` whether an app answers on a port.
    pub(crate) fn advance(&mut self, now: Duration, ready: bool, answers: impl Fn(u16) -> bool) {
        let before = self.ends.len();
        self.ends.retain(|(at, _)| *at > now);
        self.served += u32::try_from(before - self.ends.len()).unwrap_or(0);
        for slot in self.slots.iter_mut().filter(|slot| slot.registered && slot.probe_at <= now) {
            slot.probe_at = now + INTERVAL;
            if slot.probe(ready, now) {
                self.arrival_at = now + ms(300);
            }
        }
        if self.arrival_at <= now && self.slots.iter().any(|slot| slot.routes(now)) {
            self.arrivals += 1;
            self.arrival_at = now + ARRIVALS;
            let mut roll = self.plan.roll(Roll::Client, self.arrivals);
            let takes = match roll.u8(..20) {
                0..=13 => ms(roll.u64(20..400)),
                14..=18 => ms(roll.u64(2000..5000)),
                _ if self.plan.shape.websockets && roll.u8(..3) == 0 => secs(roll.u64(60..900)),
                _ => secs(roll.u64(5..20)),
            };
            self.connect(now, takes, &answers);
        }
        while let Some(nth) = self.long.iter().position(|(at, _)| *at <= now) {
            let (_, lasts) = self.long.remove(nth);
            if self.slots.iter().any(|slot| slot.routes(now)) {
                self.connect(now, lasts, &answers);
            }
        }
        if self.gives_up.iter().any(|(at, _)| *at <= now) {
            let cut: Vec<_> = self.gives_up.extract_if(.., |(at, _)| *at <= now).map(|(_, port)| port).collect();
            self.ends.retain(|(_, port)| !cut.contains(port));
        }
    }

    /// To one target of those that requests go to, in turn.
    fn connect(&mut self, now: Duration, takes: Duration, answers: &impl Fn(u16) -> bool) {
        let routed: Vec<u16> = self.slots.iter().filter(|slot| slot.routes(now)).map(|slot| slot.port).collect();
        let nth = usize::try_from(self.arrivals).unwrap_or_default() % routed.len().max(1);
        match routed.get(nth).copied() {
            Some(port) if answers(port) => self.ends.push((now + takes, port)),
            port => self.failed.extend(port.map(|port| (now, port))),
        }
    }
}

impl Slot {
    fn routes(&self, now: Duration) -> bool {
        self.routes_until.is_some_and(|until| now < until)
    }

    fn stop_routing(&mut self, now: Duration) {
        if let Some(until) = &mut self.routes_until {
            *until = (*until).min(now + LAG);
        }
    }

    /// One health check; whether requests come from here on.
    fn probe(&mut self, ready: bool, now: Duration) -> bool {
        if ready {
            self.failures = 0;
            self.was_healthy = true;
            let begins = !self.healthy;
            self.healthy = true;
            if begins {
                self.routes_until = Some(Duration::MAX);
            }
            begins
        } else {
            self.failures += 1;
            if self.healthy && self.failures >= UNHEALTHY {
                self.healthy = false;
                self.stop_routing(now);
            }
            false
        }
    }
}
