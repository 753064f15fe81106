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
    ends: Vec<Duration>,
    long: Vec<(Duration, Duration)>,
    gives_up_at: Option<Duration>,
    delay: Duration,
    plan: Rc<Plan>,
    /// When clients' requests failed.
    pub(crate) failed: Vec<Duration>,
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
            gives_up_at: None,
            delay: plan.shape.deregistration,
            plan: plan.clone(),
            failed: Vec::new(),
            served: 0,
        }
    }

    /// Registers a target; whether its deregistration delay was over, or it has none.
    pub(crate) fn register(&mut self, port: u16, now: Duration) -> bool {
        let is_free = self.slot(port).is_none_or(|slot| slot.left_at.is_none_or(|at| at + self.delay <= now));
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
            self.gives_up_at = None;
        }
        is_free
    }

    pub(crate) fn deregister(&mut self, port: u16, now: Duration) {
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.port == port && slot.registered) {
            (slot.registered, slot.healthy, slot.left_at) = (false, false, Some(now));
            slot.stop_routing(now);
            self.gives_up_at = Some(now + LAG.max(self.delay));
        }
    }

    fn slot(&self, port: u16) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.port == port)
    }

    /// The ports that are registered.
    pub(crate) fn registered(&self) -> impl Iterator<Item = u16> {
        self.slots.iter().filter(|slot| slot.registered).map(|slot| slot.port)
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
        self.registered().next().is_none() && (idle || self.gives_up_at.is_none_or(|at| at <= now))
    }

    pub(crate) fn connections(&self) -> u32 {
        u32::try_from(self.ends.len()).unwrap_or(u32::MAX)
    }

    /// The app ended: every connected client notices.
    pub(crate) fn app_ended(&mut self, now: Duration) {
        for _ in self.ends.drain(..) {
            self.failed.push(now);
        }
    }

    pub(crate) fn due(&self) -> Option<Duration> {
        let probe = self.slots.iter().filter(|slot| slot.registered).map(|slot| slot.probe_at);
        let routes = self.slots.iter().any(|slot| slot.routes_until.is_some_and(|until| self.arrival_at < until));
        let arrival = routes.then_some(self.arrival_at);
        let long = self.long.iter().map(|(at, _)| *at);
        let ends = self.ends.iter().copied();
        ends.chain(probe).chain(arrival).chain(long).chain(self.gives_up_at).min()
    }

    /// What comes of time: `ready` is what `/ready` says, `app` the port on which an app answers a request.
    pub(crate) fn advance(&mut self, now: Duration, ready: bool, app: Option<u16>) {
        let before = self.ends.len();
        self.ends.retain(|at| *at > now);
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
            self.connect(now, takes, app);
        }
        while let Some(nth) = self.long.iter().position(|(at, _)| *at <= now) {
            let (_, lasts) = self.long.remove(nth);
            if self.slots.iter().any(|slot| slot.routes(now)) {
                self.connect(now, lasts, app);
            }
        }
        if self.gives_up_at.is_some_and(|at| at <= now) {
            self.gives_up_at = None;
            self.ends.clear(); // cut by the balancer itself
        }
    }

    /// To one target of those that requests go to, in turn.
    fn connect(&mut self, now: Duration, takes: Duration, app: Option<u16>) {
        let routed: Vec<u16> = self.slots.iter().filter(|slot| slot.routes(now)).map(|slot| slot.port).collect();
        let nth = usize::try_from(self.arrivals).unwrap_or_default() % routed.len().max(1);
        if app.is_some() && routed.get(nth).copied() == app {
            self.ends.push(now + takes)
        } else {
            self.failed.push(now)
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
