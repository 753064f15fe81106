//! The load balancer and its clients: asks `/ready`, routes with a lag, holds connections, notices what fails.

use std::rc::Rc;
use std::time::Duration;

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

#[derive(Debug)]
pub(crate) struct Balancer {
    present: bool,
    registered: bool,
    healthy: bool,
    failures: u32,
    passes: u32,
    probe_at: Duration,
    /// Until when requests come.
    routes_until: Option<Duration>,
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
            registered: false,
            healthy: false,
            failures: 0,
            passes: 0,
            probe_at: Duration::ZERO,
            routes_until: None,
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

    pub(crate) fn register(&mut self, now: Duration) {
        if self.present && !self.registered {
            (self.registered, self.healthy, self.failures, self.passes) = (true, false, 0, 0);
            self.probe_at = now + ms(500);
            self.gives_up_at = None;
        }
    }

    pub(crate) fn deregister(&mut self, now: Duration) {
        if self.registered {
            (self.registered, self.healthy) = (false, false);
            self.stop_routing(now);
            self.gives_up_at = Some(now + LAG.max(self.delay));
        }
    }

    /// Whether it has nothing to do with the instance any more.
    pub(crate) fn has_let_go(&self, now: Duration) -> bool {
        let idle = !self.routes(now) && self.ends.is_empty();
        !self.registered && (idle || self.gives_up_at.is_none_or(|at| at <= now))
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

    fn routes(&self, now: Duration) -> bool {
        self.routes_until.is_some_and(|until| now < until)
    }

    fn stop_routing(&mut self, now: Duration) {
        if let Some(until) = &mut self.routes_until {
            *until = (*until).min(now + LAG);
        }
    }

    pub(crate) fn due(&self) -> Option<Duration> {
        let probe = self.registered.then_some(self.probe_at);
        let arrival = self.routes_until.filter(|until| self.arrival_at < *until).map(|_| self.arrival_at);
        let long = self.long.iter().map(|(at, _)| *at);
        let ends = self.ends.iter().copied();
        ends.chain(probe).chain(arrival).chain(long).chain(self.gives_up_at).min()
    }

    /// What comes of time: `ready` is what `/ready` says, `serves` whether the app answers a request.
    pub(crate) fn advance(&mut self, now: Duration, ready: bool, serves: bool) {
        let before = self.ends.len();
        self.ends.retain(|at| *at > now);
        self.served += u32::try_from(before - self.ends.len()).unwrap_or(0);
        if self.registered && self.probe_at <= now {
            self.probe_at = now + INTERVAL;
            self.probe(ready, now);
        }
        if self.arrival_at <= now && self.routes(now) {
            self.arrivals += 1;
            self.arrival_at = now + ARRIVALS;
            let mut roll = self.plan.roll(Roll::Client, self.arrivals);
            let takes = match roll.u8(..20) {
                0..=13 => ms(roll.u64(20..400)),
                14..=18 => ms(roll.u64(2000..5000)),
                _ if self.plan.shape.websockets && roll.u8(..3) == 0 => secs(roll.u64(60..900)),
                _ => secs(roll.u64(5..20)),
            };
            self.connect(now, takes, serves);
        }
        while let Some(nth) = self.long.iter().position(|(at, _)| *at <= now) {
            let (_, lasts) = self.long.remove(nth);
            if self.routes(now) {
                self.connect(now, lasts, serves);
            }
        }
        if self.gives_up_at.is_some_and(|at| at <= now) {
            self.gives_up_at = None;
            self.ends.clear(); // cut by the balancer itself
        }
    }

    fn connect(&mut self, now: Duration, takes: Duration, serves: bool) {
        if serves { self.ends.push(now + takes) } else { self.failed.push(now) }
    }

    fn probe(&mut self, ready: bool, now: Duration) {
        if ready {
            (self.failures, self.passes) = (0, self.passes + 1);
            if !self.healthy {
                self.healthy = true;
                self.routes_until = Some(Duration::MAX);
                self.arrival_at = now + ms(300);
            }
        } else {
            (self.failures, self.passes) = (self.failures + 1, 0);
            if self.healthy && self.failures >= UNHEALTHY {
                self.healthy = false;
                self.stop_routing(now);
            }
        }
    }
}
