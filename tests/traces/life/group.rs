//! The Auto Scaling group: lifecycle states, hooks with their timers, the warm pool, and what the metadata shows of it.
//!
//! The facts are those of the user guide: the load balancer lets go before the termination hook begins, the metadata shows the
//! target and not the wait, a hook whose timer runs out has the result ABANDON, and no hook lasts longer than 100 timeouts.

use std::time::Duration;

use berth_core::message::group::HookResult;
use berth_core::message::group::{LifecycleHook, Membership};
use berth_core::message::identity::TargetState;

use super::plan::{Plan, Roll, Shape};
use crate::sim::{ms, secs};

/// What the group wants of the rest of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    Register,
    Deregister,
    /// The operating system shuts down.
    ShutDown,
    PowerOff,
    PowerOn,
    /// The disk is empty from here on.
    NewDisk,
}

/// Which hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Launch,
    Terminate,
}

/// One activation of a hook.
#[derive(Clone, Debug)]
struct Active {
    which: Which,
    from: Duration,
    timeout: Duration,
    expires: Duration,
    limit: Duration,
}

/// Where the group goes next, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Move {
    LaunchHook,
    Enter,
    Serve,
    TakeFromPool,
    LetGo,
    Leave,
    End,
    Off,
    /// The operating system reboots for a new root volume.
    Reboot,
    /// The root volume is another one.
    Replace,
}

/// An activation of a hook that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) which: Which,
    /// None if its timer ran out.
    pub(crate) result: Option<HookResult>,
    /// Whether the timer ran out although it was restarted all along: the group's own limit.
    pub(crate) limit: bool,
    /// Since when it could be completed.
    pub(crate) since: Duration,
}

#[derive(Debug)]
pub(crate) struct Group {
    shape: Shape,
    activation: Duration,
    pub(crate) state: &'static str,
    target: Option<TargetState>,
    next: Option<(Duration, Move)>,
    active: Option<Active>,
    /// Hooks that are over, in order.
    pub(crate) ended: Vec<Ended>,
    /// Whether the instance goes into the pool, or is in it.
    pool: bool,
    /// When it went into the pool last, and when it was taken from it.
    pub(crate) pooled: Option<(Duration, Option<Duration>)>,
    pub(crate) marked_unhealthy: u32,
    /// When the instance came back into service with another root volume.
    pub(crate) replaced: Option<Duration>,
    took_long: Duration,
}

impl Group {
    pub(crate) fn new(plan: &Plan) -> Self {
        let shape = plan.shape.clone();
        let target = shape.pool.clone().unwrap_or(TargetState::InService);
        let state = match (shape.group, &shape.pool) {
            (false, _) => "",
            (true, None) => "Pending",
            (true, Some(_)) => "Warmed:Pending",
        };
        let mut roll = plan.roll(Roll::Group, 0);
        Self {
            pool: shape.pool.is_some(),
            pooled: shape.pool.as_ref().map(|_| (Duration::ZERO, None)),
            target: shape.group.then_some(target),
            next: shape.group.then(|| (ms(roll.u64(..15_000)), Move::LaunchHook)),
            activation: shape.activation,
            took_long: ms(roll.u64(500..4000)),
            shape,
            state,
            active: None,
            ended: Vec::new(),
            marked_unhealthy: 0,
            replaced: None,
        }
    }

    /// What the metadata shows.
    pub(crate) fn target(&self) -> Option<TargetState> {
        self.target.clone()
    }

    /// The state as an API call shows it; none outside any group.
    pub(crate) fn described(&self) -> Option<String> {
        (!self.state.is_empty() && self.state != "Detached").then(|| self.state.to_owned())
    }

    pub(crate) fn membership(&self) -> Option<Membership> {
        let state = self.described()?;
        let hook = |name: &str, timeout| LifecycleHook { name: name.to_owned(), timeout: Some(timeout) };
        Some(Membership {
            group: "web".to_owned(),
            launch_hook: self.shape.launch_hook.map(|timeout| hook("boot", timeout)),
            terminate_hook: self.shape.terminate_hook.map(|timeout| hook("leave", timeout)),
            state: Some(state),
            ..Membership::default()
        })
    }

    /// Whether a hook of that name waits to be completed, since when; the wait state is shown a little before.
    fn waits(&self, name: &str, now: Duration) -> bool {
        let which = if name == "boot" { Which::Launch } else { Which::Terminate };
        self.active.as_ref().is_some_and(|active| active.which == which && active.from + self.activation <= now)
    }

    /// Which hook waits, and since when it can be completed.
    pub(crate) fn waiting(&self) -> Option<(Which, Duration)> {
        self.active.as_ref().map(|active| (active.which, active.from + self.activation))
    }

    /// Whether the instance is off and will be switched on again.
    pub(crate) fn sleeps(&self) -> bool {
        self.state == "Warmed:Stopped" || matches!(self.next, Some((_, Move::Reboot | Move::Replace)))
    }

    /// Whether the group waits for the instance to leave its root volume.
    pub(crate) fn is_replacing(&self) -> bool {
        matches!(self.state, "ReplacingRootVolume" | "ReplacingRootVolume:Wait")
    }

    pub(crate) fn heartbeat(&mut self, name: &str, now: Duration) -> bool {
        let waits = self.waits(name, now);
        if let Some(active) = self.active.as_mut().filter(|_| waits) {
            active.expires = (now + active.timeout).min(active.limit);
        }
        waits
    }

    /// Completes the hook; false if there is no active lifecycle action.
    pub(crate) fn complete(&mut self, name: &str, result: HookResult, now: Duration) -> bool {
        let waits = self.waits(name, now);
        if waits {
            self.end(Some(result), now);
        }
        waits
    }

    fn end(&mut self, result: Option<HookResult>, now: Duration) {
        let Some(active) = self.active.take() else { return };
        let limit = result.is_none() && active.limit <= now;
        self.ended.push(Ended { which: active.which, result, limit, since: active.from + self.activation });
        match (active.which, result) {
            (Which::Launch, Some(HookResult::Continue)) => {
                self.state = if self.pool { "Warmed:Pending:Proceed" } else { "Pending:Proceed" };
                self.next = Some((now + self.took_long, if self.pool { Move::Enter } else { Move::Serve }));
            }
            (Which::Launch, _) => self.terminate(now),
            (Which::Terminate, _) if self.pool => {
                self.state = "Warmed:Pending:Proceed";
                self.next = Some((now + self.took_long, Move::Enter));
            }
            (Which::Terminate, _) if self.is_replacing() => {
                self.state = "ReplacingRootVolume:Proceed";
                self.next = Some((now + self.took_long, Move::Reboot));
            }
            (Which::Terminate, Some(HookResult::Abandon) | None) if self.shape.retains => {
                self.state = "Terminating:Retained";
                // Until it is terminated by hand.
                self.next = Some((now + secs(1800), Move::End));
            }
            (Which::Terminate, _) => {
                self.state = "Terminating:Proceed";
                self.next = Some((now + self.took_long, Move::End));
            }
        }
    }

    pub(crate) fn mark_unhealthy(&mut self, now: Duration) {
        self.marked_unhealthy += 1;
        if self.described().is_some() && !self.state.contains("Terminat") {
            self.next = Some((now + self.took_long, Move::Leave));
        }
    }

    /// The group terminates the instance, wherever it is.
    pub(crate) fn terminate(&mut self, now: Duration) {
        let ends = matches!(self.target, Some(TargetState::Terminated | TargetState::WarmedTerminated));
        if ends || self.described().is_none() {
            return;
        }
        self.active = None;
        self.target = Some(if self.state.starts_with("Warmed") && self.pool {
            TargetState::WarmedTerminated
        } else {
            TargetState::Terminated
        });
        self.state = if self.target == Some(TargetState::Terminated) { "Terminating" } else { "Warmed:Terminating" };
        self.pool = false;
        self.next = Some((now + self.took_long, Move::LetGo));
    }

    /// The group takes the instance back into its pool; a minute later it is wanted again.
    pub(crate) fn take_back(&mut self, now: Duration) {
        if self.state == "InService" {
            self.target = Some(self.shape.pool.clone().unwrap_or(TargetState::WarmedRunning));
            self.state = "Terminating";
            self.pool = true;
            self.pooled = Some((now, None));
            self.next = Some((now + self.took_long, Move::LetGo));
        }
    }

    /// An instance refresh replaces the root volume. The metadata's word for it is not documented.
    pub(crate) fn replace(&mut self, word: &str, now: Duration) {
        if self.state == "InService" {
            self.target = Some(TargetState::from(word.to_owned()));
            self.state = "ReplacingRootVolume";
            self.next = Some((now + self.took_long, Move::LetGo));
        }
    }

    pub(crate) fn stand_by(&mut self, standby: bool) -> Option<News> {
        let (from, to, target) = match standby {
            true => ("InService", "Standby", TargetState::Standby),
            false => ("Standby", "InService", TargetState::InService),
        };
        (self.state == from).then(|| {
            self.state = to;
            self.target = Some(target);
            if standby { News::Deregister } else { News::Register }
        })
    }

    pub(crate) fn detach(&mut self) -> Option<News> {
        (self.state == "InService").then(|| {
            self.state = "Detached";
            self.target = Some(TargetState::Detached);
            News::Deregister
        })
    }

    pub(crate) fn due(&self) -> Option<Duration> {
        let expires = self.active.as_ref().map(|active| active.expires);
        self.next.map(|(at, _)| at).into_iter().chain(expires).min()
    }

    /// What comes of time. `let_go` is whether the load balancer has nothing to do with the instance any more.
    pub(crate) fn advance(&mut self, now: Duration, let_go: bool) -> Vec<News> {
        if self.active.as_ref().is_some_and(|active| active.expires <= now) {
            self.end(None, now);
            return Vec::new();
        }
        let Some((at, next)) = self.next.filter(|(at, _)| *at <= now) else { return Vec::new() };
        self.next = None;
        match next {
            Move::LaunchHook => match self.shape.launch_hook {
                Some(timeout) => {
                    self.state = if self.pool { "Warmed:Pending:Wait" } else { "Pending:Wait" };
                    self.begin(Which::Launch, timeout, now);
                }
                None => self.next = Some((at, if self.pool { Move::Enter } else { Move::Serve })),
            },
            Move::Serve => {
                if self.state == "RootVolumeReplaced" {
                    self.replaced = Some(now);
                    self.target = Some(TargetState::InService);
                }
                self.state = "InService";
                return vec![News::Register];
            }
            Move::Reboot => {
                self.next = Some((now + secs(10), Move::Replace));
                return vec![News::ShutDown];
            }
            Move::Replace => {
                self.state = "RootVolumeReplaced";
                self.next = Some((now + self.took_long * 4, Move::Serve));
                return vec![News::PowerOff, News::NewDisk, News::PowerOn];
            }
            Move::Enter => {
                self.next = Some((now + secs(60), Move::TakeFromPool));
                self.state = match &self.target {
                    Some(TargetState::WarmedStopped) => "Warmed:Stopped",
                    Some(TargetState::WarmedHibernated) => "Warmed:Hibernated",
                    _ => "Warmed:Running",
                };
                if self.state == "Warmed:Stopped" {
                    return vec![News::ShutDown];
                }
            }
            Move::TakeFromPool => {
                let was_off = self.state == "Warmed:Stopped";
                self.state = "Pending";
                self.target = Some(TargetState::InService);
                self.pool = false;
                self.pooled = self.pooled.map(|(since, _)| (since, Some(now)));
                self.next = Some((now + self.took_long, Move::LaunchHook));
                if was_off {
                    return vec![News::PowerOff, News::PowerOn];
                }
            }
            Move::Leave => self.terminate(now),
            Move::LetGo => {
                if !let_go {
                    self.next = Some((now + ms(500), Move::LetGo));
                    return vec![News::Deregister];
                }
                match self.shape.terminate_hook {
                    Some(timeout) => {
                        self.state = match (self.pool, &self.target) {
                            (true, _) => "Warmed:Pending:Wait",
                            (false, _) if self.is_replacing() => "ReplacingRootVolume:Wait",
                            (false, Some(TargetState::WarmedTerminated)) => "Warmed:Terminating:Wait",
                            (false, _) => "Terminating:Wait",
                        };
                        self.begin(Which::Terminate, timeout, now);
                    }
                    None if self.is_replacing() => {
                        self.state = "ReplacingRootVolume:Proceed";
                        self.next = Some((now, Move::Reboot));
                    }
                    None if self.pool => self.next = Some((now, Move::Enter)),
                    None => self.next = Some((now, Move::End)),
                }
            }
            Move::End => {
                self.state = "Terminated";
                self.next = Some((now + secs(120), Move::Off));
                return vec![News::ShutDown];
            }
            Move::Off => return vec![News::PowerOff],
        }
        Vec::new()
    }

    fn begin(&mut self, which: Which, timeout: Duration, now: Duration) {
        let limit = now + (timeout * 100).min(secs(48 * 3600));
        self.active = Some(Active { which, from: now, timeout, expires: now + timeout, limit });
    }

    /// Spot interrupts the instance, whatever the group wants.
    pub(crate) fn taken(&mut self, now: Duration) -> News {
        self.active = None;
        if self.described().is_some() {
            self.state = "Terminated";
        }
        self.next = Some((now + secs(20), Move::Off));
        News::ShutDown
    }
}
