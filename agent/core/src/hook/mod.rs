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
//! instance up), or there **never was** one, or it was completed elsewhere (the instance is in service or outside any group).
//!
//! A call that is refused for good leads to the same question: a launch hook that holds the instance and can never be completed
//! is a failed boot ([`Hook::refusal`]). A refusal that holds nothing is only reported.

use std::sync::Arc;
use std::time::Duration;

use berth_config::Lifecycle;

use crate::clock::Uptime;
use crate::message::group::Membership;
use crate::message::group::{HookResult, Transition};
use crate::message::identity::Identity;
use crate::message::input::Input;
use crate::message::job::Ticket;
use crate::outbox::Outbox;
use crate::retry::FAR;
use crate::step::Step;

use ending::HookEnding;
use heartbeat::Heartbeats;
use patience::Patience;

mod advance;
mod answers;
mod asking;
mod ending;
mod heartbeat;
mod patience;
mod refused;
mod show;
mod state;

pub use refused::explain;

/// Between two tries while the hook is not active yet, at the most: the wait state can lag the state that the group shows.
const NOT_YET: Duration = Duration::from_secs(5);

/// For one answer; the adapter gives up before that.
const ANSWER: Duration = Duration::from_secs(60);

/// For a termination hook that nothing announced: an operator that stops the agent does not wait for an AWS outage.
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
    /// What was refused for good, as a sentence. The group is asked whether the instance waits for this hook.
    refused: Option<String>,
    /// Who this instance is.
    identity: Option<Arc<Identity>>,
    /// Whether the metadata showed, before the completion, that the instance is in a group.
    in_group: bool,
    /// The group and its hooks as far as the config names them.
    group_name: Option<String>,
    launch_name: Option<String>,
    terminate_name: Option<String>,
    /// What the group answered, none if it was not asked.
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

    /// The group terminates the instance: after that "not active" means "not yet".
    pub fn expect(&mut self) {
        // A second report does not extend the time again.
        if self.transition == Transition::Launching || std::mem::replace(&mut self.expected, true) {
            return;
        }
        if let Some(at) = &mut self.give_up_at {
            *at = *at + self.heartbeats.timeout.unwrap_or(BLIND_GIVE_UP);
        }
    }

    /// An agent before this one ran here. How much it left of the hook's timer is not known, so the first heartbeat is due at once.
    pub fn inherit(&mut self, outbox: &mut Outbox, now: Uptime) {
        self.heartbeats.inherit(now);
        self.advance(outbox, now);
    }

    /// What the group answered, for another hook of the same instance; none if it was not asked.
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

    /// Gives up when the group has left everything unanswered for this long. Called again, only the nearer end counts.
    pub fn wait_for_answers(&mut self, patience: Duration, now: Uptime) {
        self.patience.limit(patience, now);
    }

    /// When it gives up, if nothing changes.
    pub fn gives_up_at(&self) -> Option<Uptime> {
        [self.give_up_at, self.patience.ends()].into_iter().flatten().min()
    }

    /// Cancels what is on its way: the instance leaves, and another hook is completed.
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

    /// Whether nothing more will be done about the hook.
    pub fn is_over(&self) -> bool {
        matches!(self.state, HookStage::Over(_))
    }

    /// Whether the group heard from the hook that the launch failed.
    pub fn was_abandoned(&self) -> bool {
        self.state == HookStage::Over(HookEnding::Completed(HookResult::Abandon))
    }

    /// Whether the instance is, or may be, in a group that takes a report of its health.
    pub fn may_be_in_group(&self) -> bool {
        self.state != HookStage::Over(HookEnding::OutsideAnyGroup)
    }

    /// When the hook wants to be woken.
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
}
