//! One lifecycle hook, of the launch or of the termination: found, kept alive with heartbeats, completed once.
//!
//! ```text
//!   idle ──config──▶ finding ──▶ known ──complete──▶ completing ──▶ over(CONTINUE | ABANDON)
//!                       │          ▲                    │   ▲
//!                       │      heartbeats               ▼   │ too early: every 5 s
//!                       └──▶ over(no hook)            asking ──▶ over(expired | nothing to complete | refused)
//! ```
//! `No active Lifecycle Action found` has three meanings, and only the group can tell which: the hook is not active
//! **yet** (the instance is still `Pending`, or became `Pending:Wait` a moment ago), it has **expired** (the group gives the
//! instance up), or there **never was** one, or somebody completed it (the instance is in service or outside any group).
//!
//! A call that is refused for good leads to the same question: a launch hook that holds the instance and can never be completed
//! is a failed boot ([`Hook::refusal`]), and a refusal that holds nothing is only told.

use std::sync::Arc;
use std::time::Duration;

use berth_config::Lifecycle;

use crate::clock::Uptime;
use crate::message::error::{ErrorClass, JobError};
use crate::message::event::Event;
use crate::message::group::Membership;
use crate::message::group::{HookName, HookResult, Transition};
use crate::message::identity::Identity;
use crate::message::input::Input;
use crate::message::job::{Job, Ticket};
use crate::outbox::Outbox;
use crate::retry::FAR;
use crate::step::Step;

use ending::HookEnding;
use heartbeat::Heartbeats;
use patience::Patience;

mod asking;
mod ending;
mod heartbeat;
mod patience;
mod refused;
mod show;
mod state;

pub use refused::explain;

/// Between two tries while the hook is not active yet, at the most: the wait state can lag the state that the group tells.
const NOT_YET: Duration = Duration::from_secs(5);

/// For one answer; the adapter gives up before that.
const ANSWER: Duration = Duration::from_secs(60);

/// For a termination hook that nobody announced: whoever stops the agent does not wait for an AWS that is away.
const UNANNOUNCED: Duration = Duration::from_secs(60);

/// For how long a completion is tried when the hook's timeout is not known, and the group says all along that it is too early:
/// AWS's default timeout, and the longest time that a load balancer takes to let go.
const BLIND_GIVE_UP: Duration = Duration::from_secs(3600);

/// What an agent gets that takes up a completion whose time is over.
const ONE_TRY: Duration = Duration::from_secs(10);

/// One hook of this instance.
#[derive(Clone, Debug)]
pub struct Hook {
    transition: Transition,
    /// Whether the group reported that it terminates the instance: then a termination hook that is not active is about to be.
    expected: bool,
    state: HookStage,
    found: Step<()>,
    completed: Step<()>,
    group: Option<String>,
    name: Option<String>,
    heartbeats: Heartbeats,
    /// Answers in a row that there are too many callers, to the question for the instance's state.
    throttled: u32,
    wanted: Option<HookResult>,
    give_up_at: Option<Uptime>,
    /// For how long the group may leave everything unanswered.
    patience: Patience,
    /// What was refused for good, told to people. The group is being asked whether the instance's life hangs on it.
    refused: Option<String>,
    /// Who this instance is.
    identity: Option<Arc<Identity>>,
    /// Whether the metadata showed, before the completion, that the instance is in a group.
    in_group: bool,
    /// The group and its hooks as far as the config names them.
    group_name: Option<String>,
    launch_name: Option<String>,
    terminate_name: Option<String>,
    /// What the group told, none if it was not asked.
    reported: Option<Option<Membership>>,
    asking: Option<Ticket>,
    /// When the answer that is awaited is late.
    answer_by: Option<Uptime>,
}

#[derive(Clone, Debug, PartialEq)]
enum HookStage {
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
    Over(HookEnding),
}

impl Hook {
    /// A launch hook. Nothing is known of it yet.
    pub fn launching() -> Self {
        Self::new(Transition::Launching, false)
    }

    /// A termination hook; whether the group reported that it terminates the instance.
    pub fn terminating(expected: bool) -> Self {
        Self::new(Transition::Terminating, expected)
    }

    fn new(transition: Transition, expected: bool) -> Self {
        Self {
            transition,
            expected,
            state: HookStage::Idle,
            found: Step::new(transition.step(), FAR),
            completed: Step::new(transition.completion(), FAR),
            group: None,
            name: None,
            heartbeats: Heartbeats::default(),
            throttled: 0,
            wanted: None,
            give_up_at: None,
            patience: Patience::default(),
            refused: None,
            identity: None,
            in_group: false,
            group_name: None,
            launch_name: None,
            terminate_name: None,
            reported: None,
            asking: None,
            answer_by: None,
        }
    }

    /// Begins to look for the hook of this instance, unless the config names it or the group reported it before.
    pub fn begin(
        &mut self,
        identity: Option<&Arc<Identity>>,
        lifecycle: &Lifecycle,
        reported: Option<Option<Membership>>,
        outbox: &mut Outbox,
        now: Uptime,
    ) {
        if self.state != HookStage::Idle {
            return;
        }
        self.identity = identity.cloned();
        self.in_group |= identity.is_some_and(|identity| identity.target_state.is_some());
        self.heartbeats.interval = lifecycle.heartbeat;
        self.group_name.clone_from(&lifecycle.group);
        self.launch_name.clone_from(&lifecycle.launch_hook);
        self.terminate_name.clone_from(&lifecycle.terminate_hook);
        self.state = HookStage::Finding;
        self.heartbeats.look(now);
        if let Some(membership) = reported {
            self.found.done((), now);
            self.learn(membership, outbox, now);
        } else if let (Some(group), Some(name)) = (self.group_name.clone(), self.own_name()) {
            self.found.done((), now);
            self.group = Some(group);
            self.know(crate::message::group::LifecycleHook { name, timeout: None }, outbox, now);
        } else {
            self.advance(outbox, now);
        }
    }

    /// This hook's name, if the config has it.
    fn own_name(&self) -> Option<String> {
        match self.transition {
            Transition::Launching => self.launch_name.clone(),
            Transition::Terminating => self.terminate_name.clone(),
        }
    }

    /// The group takes the instance away: from here on "not active" means "not yet".
    pub fn expect(&mut self) {
        // A second report does not extend the time again.
        if self.transition == Transition::Launching || std::mem::replace(&mut self.expected, true) {
            return;
        }
        if let Some(at) = &mut self.give_up_at {
            *at = *at + self.heartbeats.timeout.unwrap_or(BLIND_GIVE_UP);
        }
    }

    /// An agent before this one was here, and left of the hook's timer whatever it left: the first heartbeat is due at once.
    pub fn inherit(&mut self, outbox: &mut Outbox, now: Uptime) {
        self.heartbeats.inherit(now);
        self.advance(outbox, now);
    }

    /// What the group told, for another hook of the same instance; none if it was not asked.
    pub fn reported(&self) -> Option<Option<Membership>> {
        self.reported.clone()
    }

    /// Until when AWS waits at the most: 100 times the hook's timeout, and never more than 48 hours.
    pub fn limit(&self, began: Uptime) -> Uptime {
        let longest = Duration::from_secs(48 * 3600);
        began + self.heartbeats.timeout.map_or(longest, |timeout| timeout.saturating_mul(100).min(longest))
    }

    /// The hook's own timeout, as far as it is known.
    pub fn timeout(&self) -> Option<Duration> {
        self.heartbeats.timeout
    }

    /// Gives up when the group has left everything unanswered for this long; said again, only the nearer end counts.
    pub fn wait_for_answers(&mut self, patience: Duration, now: Uptime) {
        self.patience.limit(patience, now);
    }

    /// When it gives up, if nothing changes.
    pub fn gives_up_at(&self) -> Option<Uptime> {
        [self.give_up_at, self.patience.ends()].into_iter().flatten().min()
    }

    /// Lets go of whatever is on its way: another hook's answers look the same.
    pub fn halt(&mut self, outbox: &mut Outbox) {
        self.found.cancel(outbox);
        self.completed.cancel(outbox);
        self.stop_asking(outbox);
        if !self.is_over() {
            self.state = HookStage::Over(HookEnding::Left);
        }
    }

    /// Completes the hook with this result, as soon as that is possible. Only the first call counts.
    pub fn complete(&mut self, result: HookResult, outbox: &mut Outbox, now: Uptime) {
        if self.wanted.is_some() {
            return;
        }
        self.wanted = Some(result);
        let patience = match self.transition {
            Transition::Terminating if !self.expected => UNANNOUNCED,
            Transition::Launching | Transition::Terminating => self.heartbeats.timeout.unwrap_or(BLIND_GIVE_UP),
        };
        self.give_up_at = Some(now + patience);
        // What keeps a hook from being completed keeps it from being abandoned, too.
        if result == HookResult::Abandon
            && let Some(reason) = self.refused.clone().filter(|_| !self.is_over() && self.state != HookStage::Known)
        {
            self.stop_asking(outbox);
            return self.end(HookEnding::Refused { reason, waits: false }, now);
        }
        self.advance(outbox, now);
    }

    /// An agent before this one has tried to complete it for so long: the times that it is tried for do not begin again. There is
    /// always enough left to try it once.
    pub fn has_been_tried_for(&mut self, tried: Duration, now: Uptime) {
        let shorter = |at: Uptime| (now + at.since(now).saturating_sub(tried).max(ONE_TRY)).min(at);
        self.give_up_at = self.give_up_at.map(shorter);
        self.patience.shorten(shorter);
    }

    /// The metadata shows the instance in a group. One that joins a group later has no launch hook of this boot.
    pub fn joins_group(&mut self) {
        self.in_group |= self.wanted.is_none();
    }

    /// Takes an input. Only the answers to its own jobs mean anything to it.
    pub fn on(&mut self, input: &Input, outbox: &mut Outbox, now: Uptime) {
        if let Some(event) = self.found.answer(input) {
            self.group_answered(event, outbox, now);
        } else if let Some(event) = self.completed.answer(input) {
            self.completion_answered(event, outbox, now);
        } else if let Some(event) = input.answer_to(self.asking) {
            self.state_answered(event, outbox, now);
        } else if let Some(event) = self.heartbeats.answer(input) {
            self.heartbeat_answered(event, outbox, now);
        }
        self.advance(outbox, now);
    }

    fn group_answered(&mut self, event: &Event, outbox: &mut Outbox, now: Uptime) {
        match event {
            Event::GroupFound(membership) => {
                self.patience.answered(now);
                if self.state == HookStage::Finding {
                    self.found.done((), now);
                    self.reported = Some(membership.clone());
                    self.learn(membership.clone(), outbox, now);
                }
            }
            Event::Failed(_, error) => self.group_not_found(error, outbox, now),
            _ => {} // no answer to FindGroup
        }
    }

    fn completion_answered(&mut self, event: &Event, outbox: &mut Outbox, now: Uptime) {
        match event {
            Event::HookCompleted => {
                if let Some(result) = self.wanted {
                    self.end(HookEnding::Completed(result), now);
                }
            }
            Event::HookNotActive(_) if self.state == HookStage::Completing => self.ask(outbox, now),
            Event::Failed(_, error) => self.not_completed(error, outbox, now),
            _ => {} // no answer to CompleteHook
        }
    }

    fn state_answered(&mut self, event: &Event, outbox: &mut Outbox, now: Uptime) {
        self.asking = None;
        match event {
            Event::InstanceDescribed(state) => {
                self.patience.answered(now);
                if self.state == HookStage::Asking {
                    self.judge(state.as_deref(), outbox, now);
                }
            }
            Event::Failed(_, error) => self.not_described(error, outbox, now),
            _ => {} // no answer to DescribeInstance
        }
    }

    fn heartbeat_answered(&mut self, event: &Event, outbox: &mut Outbox, now: Uptime) {
        match event {
            Event::HeartbeatRecorded => {
                self.patience.answered(now);
                self.heartbeats.recorded();
            }
            Event::Failed(_, error) if error.is_transient() => self.heartbeats.failed(error, outbox, now),
            // The next is due as planned.
            Event::Failed(_, error) => self.heartbeats.refused(error),
            _ => {} // not active, which a completion looks into
        }
    }

    /// Whether nothing more will be done about the hook.
    pub fn is_over(&self) -> bool {
        matches!(self.state, HookStage::Over(_))
    }

    /// Whether the group heard from the hook that the launch failed.
    pub fn was_abandoned(&self) -> bool {
        self.state == HookStage::Over(HookEnding::Completed(HookResult::Abandon))
    }

    /// Whether the instance is, or may be, in a group that can be told of its health.
    pub fn may_be_in_group(&self) -> bool {
        self.state != HookStage::Over(HookEnding::OutsideAnyGroup)
    }

    /// When the hook wants to be looked at again.
    pub fn wake(&self) -> Option<Uptime> {
        let own = match self.state {
            HookStage::Finding => self.found.wake().or(self.answer_by),
            HookStage::Completing | HookStage::Asking => self.answer_by,
            HookStage::NotYet(at) => Some(at),
            HookStage::Known => [self.heartbeat_due(), self.completed.wake()].into_iter().flatten().min(),
            HookStage::Idle | HookStage::Over(_) => None,
        };
        let give_up = if self.is_over() { None } else { self.gives_up_at() };
        [own, give_up].into_iter().flatten().min()
    }

    fn learn(&mut self, membership: Option<Membership>, outbox: &mut Outbox, now: Uptime) {
        let Some(membership) = membership else { return self.end(HookEnding::OutsideAnyGroup, now) };
        self.group = Some(membership.group);
        let hook = match self.transition {
            Transition::Launching => {
                if let Some(state) = membership.state.filter(|state| !state::waits_to_launch(state)) {
                    return self.end(HookEnding::NothingToComplete(state), now);
                }
                membership.launch_hook
            }
            Transition::Terminating => {
                let named = self.own_name().map(|name| crate::message::group::LifecycleHook { name, timeout: None });
                membership.terminate_hook.or(named)
            }
        };
        match hook {
            Some(hook) => self.know(hook, outbox, now),
            None => self.end(HookEnding::NoHook, now),
        }
    }

    fn know(&mut self, hook: crate::message::group::LifecycleHook, outbox: &mut Outbox, now: Uptime) {
        self.name = Some(hook.name);
        self.heartbeats.timeout = hook.timeout;
        self.heartbeats.begin(outbox, now);
        self.state = HookStage::Known;
        self.advance(outbox, now);
    }

    fn group_not_found(&mut self, error: &JobError, outbox: &mut Outbox, now: Uptime) {
        if self.state != HookStage::Finding {
            return;
        }
        if error.is_transient() {
            self.found.retry(error, outbox, now);
        } else {
            self.found.refuse(error, now);
            self.refused("cannot be found", explain(error, None, None, None), outbox, now);
        }
    }

    fn not_completed(&mut self, error: &JobError, outbox: &mut Outbox, now: Uptime) {
        if self.state != HookStage::Completing {
            return;
        }
        if error.is_transient() {
            self.completed.retry(error, outbox, now);
            self.state = HookStage::Known;
        } else {
            self.completed.refuse(error, now);
            let call = Some("autoscaling:CompleteLifecycleAction");
            let why = explain(error, call, self.identity.as_deref(), self.group.as_deref());
            self.refused("cannot be completed", why, outbox, now);
        }
    }

    /// Without the group's word "not active" may still mean "not yet", where something is to come at all.
    fn not_described(&mut self, error: &JobError, outbox: &mut Outbox, now: Uptime) {
        if self.state != HookStage::Asking {
            return;
        }
        if let Some(reason) = self.refused.clone().filter(|_| !error.is_transient()) {
            self.end(HookEnding::Refused { reason, waits: false }, now);
        } else if self.transition == Transition::Terminating && !self.expected {
            self.end(HookEnding::GivenUp(error.reason.clone()), now);
        } else {
            self.not_yet(outbox, now);
            if error.class == ErrorClass::Throttled {
                self.throttled = self.throttled.saturating_add(1);
                self.state = HookStage::NotYet(now + outbox.stand_back(self.throttled));
            }
        }
    }

    fn not_yet(&mut self, outbox: &mut Outbox, now: Uptime) {
        self.state = HookStage::NotYet(now + outbox.spread(NOT_YET));
    }

    fn end(&mut self, ending: HookEnding, now: Uptime) {
        if matches!(ending, HookEnding::Completed(_)) || self.completed.is_under_way() {
            self.completed.done((), now);
        }
        self.state = HookStage::Over(ending);
    }

    /// Nothing more is tried. A launch hook that runs out now takes a healthy instance with it: that is told while it serves.
    fn give_up(&mut self, why: String, outbox: &mut Outbox, now: Uptime) {
        if self.transition == Transition::Launching && self.wanted == Some(HookResult::Continue) {
            let last = self.refused.as_deref().or(self.completed.error()).or(self.found.error());
            let last = last.map(|error| format!(" ({error})")).unwrap_or_default();
            let words = format!(
                "the launch hook was not completed within its timeout{last}: the group may terminate this instance although its \
                 app is healthy"
            );
            outbox.emit(Job::SayLastWords { words, output: Vec::new() });
        }
        self.end(HookEnding::GivenUp(why), now);
    }

    /// Does what is due.
    fn advance(&mut self, outbox: &mut Outbox, now: Uptime) {
        if self.is_over() {
            return;
        }
        if self.give_up_at.is_some_and(|at| at <= now) {
            return self.give_up("its time is over".to_owned(), outbox, now);
        }
        if self.patience.is_over(now) {
            let error = self.completed.error().or(self.found.error()).unwrap_or("no answer came");
            return self.give_up(
                format!("Auto Scaling was asked for {} s: {error}", self.patience.whole_seconds()),
                outbox,
                now,
            );
        }
        if self.answer_by.is_some_and(|at| at <= now) {
            self.answer_is_late(outbox, now);
        }
        match self.state {
            HookStage::Finding if self.found.is_due(now) => {
                let (group, launch_hook) = (self.group_name.clone(), self.launch_name.clone());
                let terminate_hook = self.terminate_name.clone();
                self.found.emit(Job::FindGroup { group, launch_hook, terminate_hook }, outbox, now);
                self.answer_by = Some(now + ANSWER);
            }
            HookStage::Known => self.advance_known(outbox, now),
            HookStage::NotYet(at) if at <= now && self.refused.is_some() => self.ask(outbox, now),
            HookStage::NotYet(at) if at <= now => {
                self.completed.again();
                self.advance_known(outbox, now);
            }
            _ => {} // an answer is awaited
        }
    }

    fn answer_is_late(&mut self, outbox: &mut Outbox, now: Uptime) {
        self.answer_by = None;
        let late = JobError::new(ErrorClass::Transient, "no answer came");
        match self.state {
            HookStage::Finding if self.found.wake().is_none() => {
                self.found.cancel(outbox);
                self.group_not_found(&late, outbox, now);
            }
            HookStage::Completing => {
                self.completed.cancel(outbox);
                self.not_completed(&late, outbox, now);
            }
            HookStage::Asking => {
                self.stop_asking(outbox);
                self.not_described(&late, outbox, now);
            }
            _ => {} // it came
        }
    }

    fn advance_known(&mut self, outbox: &mut Outbox, now: Uptime) {
        let Some((group, hook)) = self.group.clone().zip(self.name.clone()) else { return };
        let hook = HookName { group, hook };
        if let Some(result) = self.wanted {
            if self.completed.is_due(now) {
                self.state = HookStage::Completing;
                self.completed.emit(Job::CompleteHook { hook, result }, outbox, now);
                self.answer_by = Some(now + ANSWER);
            }
        } else if self.heartbeat_due().is_some_and(|at| at <= now) {
            let ticket = outbox.emit(Job::RecordHeartbeat(hook));
            self.heartbeats.sent(ticket, outbox, now);
        }
    }

    /// Heartbeats end when the completion begins.
    fn heartbeat_due(&self) -> Option<Uptime> {
        if self.wanted.is_some() { None } else { self.heartbeats.due() }
    }
}
