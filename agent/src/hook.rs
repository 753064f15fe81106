//! One lifecycle hook: found, kept alive with heartbeats, completed once.
//!
//! ```text
//!   idle ──config──▶ finding ──▶ known ──complete──▶ completing ──▶ over(CONTINUE | ABANDON)
//!                       │          ▲                    │   ▲
//!                       │      heartbeats               ▼   │ too early: every 5 s
//!                       └──▶ over(no hook)            asking ──▶ over(expired | nothing to complete)
//! ```
//! `No active Lifecycle Action found` has three meanings, and only the group can tell which: the hook is not active
//! **yet** (the instance is still `Pending`, or became `Pending:Wait` a moment ago), it has **expired** (the group gives the
//! instance up), or there **never was** one, or somebody completed it (the instance is in service or outside any group).

use std::time::Duration;

use crate::clock::Uptime;
use crate::config::Lifecycle;
use crate::desk::Desk;
use crate::effect::{Effect, HookName, HookResult, Job};
use crate::event::{Event, Membership};
use crate::fault::Fault;
use crate::retry::FAR;
use crate::step::Step;
use crate::view::{LifecycleView, StepView};

/// Between two tries while the hook is not active yet: the wait state can lag the state that the group tells.
const NOT_YET: Duration = Duration::from_secs(5);

/// Between two heartbeats when the hook's timeout is not known; AWS allows no timeout below 30 s.
const BLIND_HEARTBEAT: Duration = Duration::from_secs(30);

/// For how long a completion is tried when the hook's timeout is not known: AWS's default timeout.
const BLIND_GIVE_UP: Duration = Duration::from_secs(3600);

/// The launch hook of this instance.
#[derive(Debug)]
pub struct Hook {
    state: State,
    found: Step<()>,
    completed: Step<()>,
    group: Option<String>,
    name: Option<String>,
    timeout: Option<Duration>,
    interval: Option<Duration>,
    next_heartbeat: Option<Uptime>,
    heartbeats: u32,
    wanted: Option<HookResult>,
    give_up_at: Option<Uptime>,
    lookup: (Option<String>, Option<String>),
}

#[derive(Debug, PartialEq)]
enum State {
    /// The config is not known.
    Idle,
    /// The group is being asked.
    Finding,
    /// The hook is known and, as far as known, pending.
    Known,
    /// A completion is on its way.
    Completing,
    /// The hook was not active; the group is being asked why.
    Asking,
    /// Not active yet; tried again at that time.
    NotYet(Uptime),
    /// Nothing more to do, and why.
    Over(Ending),
}

#[derive(Debug, PartialEq)]
enum Ending {
    Completed(HookResult),
    OutsideAnyGroup,
    NoHook,
    NothingToComplete(String),
    Expired(String),
    GivenUp(String),
}

impl Default for Hook {
    /// A hook of which nothing is known.
    fn default() -> Self {
        Self {
            state: State::Idle,
            found: Step::new("group", FAR),
            completed: Step::new("hook", FAR),
            group: None,
            name: None,
            timeout: None,
            interval: None,
            next_heartbeat: None,
            heartbeats: 0,
            wanted: None,
            give_up_at: None,
            lookup: (None, None),
        }
    }
}

impl Hook {
    /// Begins to look for the hook, as far as the config does not name it. `None` if there is no config to believe.
    pub fn begin(&mut self, lifecycle: Option<&Lifecycle>, desk: &mut Desk, now: Uptime) {
        if self.state != State::Idle {
            return;
        }
        if let Some(lifecycle) = lifecycle {
            self.interval = lifecycle.heartbeat;
            self.lookup = (lifecycle.group.clone(), lifecycle.launch_hook.clone());
        }
        self.state = State::Finding;
        if let (Some(group), Some(hook)) = self.lookup.clone() {
            let named = crate::event::Hook { name: hook, timeout: None };
            self.found.done((), now);
            self.learn(Some(Membership { group, launch_hook: Some(named), state: None }), desk, now);
        } else {
            self.advance(desk, now);
        }
    }

    /// Completes the hook with this result, as soon as that is possible. Only the first call counts.
    pub fn complete(&mut self, result: HookResult, desk: &mut Desk, now: Uptime) {
        if self.wanted.is_some() {
            return;
        }
        self.wanted = Some(result);
        self.give_up_at = Some(now + self.timeout.unwrap_or(BLIND_GIVE_UP));
        self.advance(desk, now);
    }

    /// Takes an answer that is the hook's; others change nothing.
    pub fn on(&mut self, event: &Event, desk: &mut Desk, now: Uptime) {
        match event {
            Event::GroupFound(membership) => {
                self.found.done((), now);
                self.learn(membership.clone(), desk, now);
            }
            Event::HeartbeatRecorded => self.heartbeats += 1,
            Event::HookCompleted => {
                if let Some(result) = self.wanted {
                    self.end(Ending::Completed(result), now);
                }
            }
            Event::HookNotActive(Job::CompleteHook) if self.state == State::Completing => {
                self.state = State::Asking;
                desk.order(Effect::DescribeInstance);
            }
            Event::InstanceDescribed(state) if self.state == State::Asking => self.judge(state.as_deref(), now),
            Event::Failed(job, fault) => self.failed(*job, fault, desk, now),
            _ => {} // the other events are other rooms' answers
        }
        self.advance(desk, now);
    }

    /// Whether nothing more will be done about the hook.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over(_))
    }

    /// Whether the group heard from the hook that the launch failed.
    pub fn was_abandoned(&self) -> bool {
        self.state == State::Over(Ending::Completed(HookResult::Abandon))
    }

    /// Whether the instance is, or may be, in a group that can be told of its health.
    pub fn may_be_in_group(&self) -> bool {
        self.state != State::Over(Ending::OutsideAnyGroup)
    }

    /// When the hook wants to be looked at again.
    pub fn wake(&self) -> Option<Uptime> {
        let own = match self.state {
            State::Finding => self.found.wake(),
            State::NotYet(at) => Some(at),
            State::Known => [self.heartbeat_due(), self.completed.wake()].into_iter().flatten().min(),
            State::Idle | State::Completing | State::Asking | State::Over(_) => None,
        };
        let give_up = if self.is_over() { None } else { self.give_up_at };
        [own, give_up].into_iter().flatten().min()
    }

    /// For people.
    pub fn view(&self) -> LifecycleView {
        LifecycleView {
            group: self.group.clone(),
            hook: self.name.clone(),
            state: self.words(),
            heartbeats: self.heartbeats,
            target_state: None,
        }
    }

    /// The steps of finding and completing.
    pub fn steps(&self) -> impl Iterator<Item = StepView> {
        [self.found.view(), self.completed.view()].into_iter().flatten()
    }

    fn learn(&mut self, membership: Option<Membership>, desk: &mut Desk, now: Uptime) {
        if self.state != State::Finding {
            return;
        }
        let Some(membership) = membership else { return self.end(Ending::OutsideAnyGroup, now) };
        self.group = Some(membership.group);
        if let Some(state) = membership.state.filter(|state| !is_waiting_to_launch(state)) {
            return self.end(Ending::NothingToComplete(state), now);
        }
        let Some(hook) = membership.launch_hook else { return self.end(Ending::NoHook, now) };
        self.name = Some(hook.name);
        self.timeout = hook.timeout;
        self.state = State::Known;
        self.next_heartbeat = Some(now + self.heartbeat_interval());
        self.advance(desk, now);
    }

    fn failed(&mut self, job: Job, fault: &Fault, desk: &mut Desk, now: Uptime) {
        match job {
            Job::FindGroup if self.state == State::Finding => {
                if fault.is_transient() {
                    self.found.retry(fault, desk, now);
                } else {
                    self.found.refuse(fault, now);
                    self.end(Ending::GivenUp(fault.reason.clone()), now);
                }
            }
            Job::CompleteHook if self.state == State::Completing => {
                if fault.is_transient() {
                    self.completed.retry(fault, desk, now);
                    self.state = State::Known;
                } else {
                    self.completed.refuse(fault, now);
                    self.end(Ending::GivenUp(fault.reason.clone()), now);
                }
            }
            // Without the group's word "not active" may still mean "not yet": keep trying until the time to give up.
            Job::DescribeInstance if self.state == State::Asking => self.not_yet(now),
            _ => {} // a lost heartbeat is made good by the next; the rest is other rooms' business
        }
    }

    fn judge(&mut self, state: Option<&str>, now: Uptime) {
        match state {
            None => self.end(Ending::OutsideAnyGroup, now),
            Some(state) if is_waiting_to_launch(state) => self.not_yet(now),
            Some(state) if state.starts_with("Terminat") => self.end(Ending::Expired(state.to_owned()), now),
            Some(state) => self.end(Ending::NothingToComplete(state.to_owned()), now),
        }
    }

    fn not_yet(&mut self, now: Uptime) {
        self.state = State::NotYet(now + NOT_YET);
    }

    fn end(&mut self, ending: Ending, now: Uptime) {
        if matches!(ending, Ending::Completed(_)) || self.completed.is_under_way() {
            self.completed.done((), now);
        }
        self.state = State::Over(ending);
    }

    /// Does what is due.
    fn advance(&mut self, desk: &mut Desk, now: Uptime) {
        if self.is_over() {
            return;
        }
        if self.give_up_at.is_some_and(|at| at <= now) {
            return self.end(Ending::GivenUp("its time is over".to_owned()), now);
        }
        match self.state {
            State::Finding if self.found.is_due(now) => {
                let (group, launch_hook) = self.lookup.clone();
                self.found.order(Effect::FindGroup { group, launch_hook }, desk, now);
            }
            State::Known => self.advance_known(desk, now),
            State::NotYet(at) if at <= now => {
                self.completed.reopen();
                self.advance_known(desk, now);
            }
            _ => {} // an answer is awaited
        }
    }

    fn advance_known(&mut self, desk: &mut Desk, now: Uptime) {
        let Some((group, hook)) = self.group.clone().zip(self.name.clone()) else { return };
        let hook = HookName { group, hook };
        if let Some(result) = self.wanted {
            if self.completed.is_due(now) {
                self.state = State::Completing;
                self.completed.order(Effect::CompleteHook { hook, result }, desk, now);
            }
        } else if self.heartbeat_due().is_some_and(|at| at <= now) {
            self.next_heartbeat = Some(now + self.heartbeat_interval());
            desk.order(Effect::RecordHeartbeat(hook));
        }
    }

    /// Heartbeats end when the completion begins.
    fn heartbeat_due(&self) -> Option<Uptime> {
        if self.wanted.is_some() { None } else { self.next_heartbeat }
    }

    fn heartbeat_interval(&self) -> Duration {
        self.interval.or(self.timeout.map(|timeout| timeout / 2)).unwrap_or(BLIND_HEARTBEAT)
    }

    fn words(&self) -> String {
        match &self.state {
            State::Idle | State::Finding => "looking for the group".to_owned(),
            State::Known if self.wanted.is_none() => "waiting for the app".to_owned(),
            State::Known | State::Completing | State::Asking => "completing".to_owned(),
            State::NotYet(_) => "not active yet".to_owned(),
            State::Over(ending) => match ending {
                Ending::Completed(result) => format!("completed {}", result.word()),
                Ending::OutsideAnyGroup => "in no group".to_owned(),
                Ending::NoHook => "no launch hook".to_owned(),
                Ending::NothingToComplete(state) => format!("nothing to complete, the instance is {state}"),
                Ending::Expired(state) => format!("expired, the instance is {state}"),
                Ending::GivenUp(why) => format!("given up: {why}"),
            },
        }
    }
}

/// Whether a launch hook may be, or become, active in this state.
fn is_waiting_to_launch(state: &str) -> bool {
    matches!(state, "Pending" | "Pending:Wait" | "Warmed:Pending" | "Warmed:Pending:Wait")
}
