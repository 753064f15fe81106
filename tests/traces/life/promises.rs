//! What every life must keep, each with the number of its invariant in docs/architecture.md.
//!
//! A promise may be excused by what went wrong in the plan, and only by that. Twists are few, so most lives have no excuse for
//! most promises.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use berth_core::message::container::ContainerId;
use berth_core::message::error::ErrorClass;
use berth_core::message::event::Event;
use berth_core::message::group::HookResult;
use berth_core::message::identity::TargetState;
use berth_core::message::job::{Job, JobKind};
use berth_core::view::{DeadlineName, HookState, PhaseName, ReadyReason, Status, TargetStage, TargetView};

use super::agent::{Agent, Former};
use super::engine::Container;
use super::group::Which;
use super::plan::{GROUP, RELEASES, TARGETS};
use super::table::{ABANDONED, API_AWAY, BootFault, CHANGED, HOLD_ENDED, HOOK_REFUSED, KILLED, REPLACED};
use super::twist::{Fate, Twist};
use super::world::World;
use crate::sim::secs;

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    /// The invariant's number; 0 is the table of exit codes, 100 that no client notices, 101 the table of faults,
    /// 102 that a healed life gets on.
    pub(crate) promise: u8,
    pub(crate) what: String,
}

/// The number of a life that does not get on once everything is healed.
pub(crate) const LIVENESS: u8 = 102;

/// What was seen of a life so far, as far as a promise needs it.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// How the last agent ended, none if it was killed.
    pub(crate) code: Option<u8>,
    pub(crate) killed_by_systemd: bool,
    pub(crate) powered_off: bool,
    pub(crate) spot_ended: bool,
    /// The phases of the agent that runs, in order.
    pub(crate) phases: Vec<(PhaseName, Duration)>,
    pub(crate) misconfigured: bool,
    /// Whether this agent knows its config.
    pub(crate) knows_config: bool,
    /// When the first drain of an app in service began.
    pub(crate) leaving_since: Option<Duration>,
    pub(crate) crashed_while_leaving: bool,
    /// When a drain began that no agent has ended yet, and how many agents have had it since.
    draining: Option<(Duration, u32)>,
    /// The rows of the table that happened.
    pub(crate) met: u64,
    /// Whether any agent served, and whether any held a failed boot.
    pub(crate) served: bool,
    pub(crate) held: bool,
    /// Whether values of secrets that were not needed were in memory at the last poll of the metadata.
    kept: bool,
    /// What was refused for good in this boot.
    refused: BTreeSet<JobKind>,
    /// The activation of a launch hook that a drain left to the group, by its moment, and which agent's drain.
    left: Option<(Duration, u32)>,
    /// Since when this agent knows that there was another before it.
    inherits: Option<Duration>,
    /// What ran when this agent looked.
    found: Vec<ContainerId>,
    pub(crate) sights: BTreeSet<&'static str>,
    /// Since when the group has been terminating the instance (or replacing its root volume).
    taken_since: Option<(bool, Duration)>,
    /// What the first look of this agent at the metadata showed.
    pub(crate) first_target: Option<TargetState>,
    /// When the metadata last showed this agent that the instance is in the warm pool.
    pub(crate) pool_shown: Option<Duration>,
    /// Whether this agent was refused for good what decides the instance's life.
    pub(crate) hook_refused: bool,
    /// When an app was last served.
    pub(crate) served_at: Duration,
    /// The completions that this agent asked for.
    asked: Vec<Asked>,
    crashes: Vec<Duration>,
    /// The ports that this agent asked to be deregistered.
    left_ports: BTreeSet<u16>,
    marked: bool,
    pub(crate) hurried: bool,
    /// Whether a version that is no good serves, and nothing is there to go back to.
    pub(crate) stuck: bool,
    boots: u32,
}

/// A completion that was asked for.
#[derive(Debug)]
struct Asked {
    at: Duration,
    hook: String,
    result: HookResult,
    reply: Reply,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reply {
    /// No answer, or that it may be too early.
    Nothing,
    Done,
    /// The instance's state says that it expired, or that there is none.
    Never,
}

/// Jobs of a boot that are ordered until they succeed or are refused permanently.
const IN_A_BOOT: [JobKind; 12] = [
    JobKind::Identify,
    JobKind::ReadConfig,
    JobKind::Listen,
    JobKind::FetchSecrets,
    JobKind::LoginRegistry,
    JobKind::PingEngine,
    JobKind::FindContainers,
    JobKind::ResolveDigest,
    JobKind::InspectImage,
    JobKind::PullImage,
    JobKind::CreateContainer,
    JobKind::StartContainer,
];

/// Whether an app is served.
pub(crate) fn serves(phase: PhaseName) -> bool {
    matches!(phase, PhaseName::Serve | PhaseName::Release)
}

/// Whether a hook may be, or become, active while the group shows this state.
fn may_wait(hook: &str, state: Option<&str>) -> bool {
    let Some(state) = state else { return false };
    let pending = matches!(state, "Pending" | "Pending:Wait" | "Warmed:Pending" | "Warmed:Pending:Wait");
    pending || (hook != "boot" && !state.ends_with(":Proceed") && !state.ends_with("Terminated"))
}

/// Whether something is still done about a hook.
fn is_worked_on(hook: HookState) -> bool {
    use HookState::{Completing, Finding, Held, NotActiveYet, Refusing, WaitingForApp, WaitingForLoadBalancer};
    matches!(hook, Finding | WaitingForApp | WaitingForLoadBalancer | Held | Completing | NotActiveYet | Refusing)
}

impl Seen {
    /// Nothing is left of a drain that was cut off.
    pub(crate) fn drain_is_over(&mut self) {
        (self.leaving_since, self.draining) = (None, None);
    }

    /// Whether an app of this agent ended by itself.
    pub(crate) fn has_crashed(&self) -> bool {
        !self.crashes.is_empty()
    }

    /// Whether a drain left the launch hook that has waited since then to the group.
    pub(crate) fn leaves(&self, since: Duration) -> bool {
        self.left.is_some_and(|(at, _)| at == since)
    }
}

impl World {
    pub(crate) fn breaks(&mut self, promise: u8, what: impl Into<String>) {
        if self.broken.is_none() {
            self.broken = Some(Broken { promise, what: what.into() });
        }
    }

    /// An agent starts.
    pub(crate) fn began(&mut self) {
        self.seen.phases = vec![(PhaseName::Boot, self.now)];
        self.seen.code = None;
        self.seen.misconfigured = false;
        self.seen.knows_config = false;
        self.seen.asked.clear();
        self.seen.crashes.clear();
        self.seen.left_ports.clear();
        self.seen.first_target = None;
        self.seen.pool_shown = None;
        self.seen.hook_refused = false;
        self.seen.marked = false;
        self.seen.sights.clear();
        self.seen.refused.clear();
        self.seen.inherits = None;
        self.seen.found.clear();
        self.seen.boots += 1;
        if let Some((_, agents)) = &mut self.seen.draining {
            *agents += 1;
        }
    }

    /// An agent ends.
    pub(crate) fn agent_ends(&mut self, code: Option<u8>) {
        if self.phase() == Some(PhaseName::Release) {
            self.met(KILLED);
        }
        if let Some(code) = code {
            self.judge_code();
            self.judge_result(code);
        }
    }

    /// A drain that was cut short is abandoned, where the config says so, and no other is.
    fn judge_result(&mut self, code: u8) {
        let Some(asked) = self.seen.asked.iter().find(|one| one.hook == "leave") else { return };
        let (abandoned, done) = (asked.result == HookResult::Abandon, asked.reply == Reply::Done);
        if abandoned && done {
            self.met(ABANDONED);
        }
        if abandoned && code != 5 {
            return self.breaks(8, format!("the termination hook is abandoned, and the exit code is {code}"));
        }
        // A drain back into the pool asks for CONTINUE, and what was asked for first counts.
        let back = self.plan.has(|twist| matches!(twist, Twist::Return(_))) || self.plan.shape.pool.is_some();
        let says_so = self.seen.knows_config && self.plan.says("drain.on_failure=abandon");
        if !abandoned && done && code == 5 && says_so && !back {
            self.breaks(8, "a drain that was cut short is continued, and the config says abandon");
        }
    }

    /// After every event.
    pub(crate) fn look(&mut self, former: &Former, event: &Event) {
        let Some(agent) = &self.agent else { return };
        let (before, after, status) = (former.phase, agent.machine.phase(), agent.status);
        let age = self.now.saturating_sub(agent.started);
        let (waits, signals) = (agent.wake.is_some(), agent.signals);
        // A deadline that is over would be seen at the next wake-up at the latest.
        let deadlines = if *event == Event::Woke { agent.machine.deadlines() } else { Vec::new() };
        if after != before {
            let view = agent.machine.view();
            self.note("agent", || format!("{} -> {}: {}", before.word(), after.word(), view.reason));
            if (view.phase, view.status) != (after, status) {
                self.breaks(3, format!("what is shown is not so: {:?}, {:?}", view.phase, view.status));
            }
            self.seen.phases.push((after, self.now));
            if after == PhaseName::Boot {
                self.seen.crashes.clear();
                self.seen.refused.clear();
            }
            self.seen.served |= serves(after);
            if serves(after) {
                self.seen.served_at = self.now;
            }
            self.seen.held |= after == PhaseName::Hold;
            if before == PhaseName::Hold {
                self.met(HOLD_ENDED);
            }
            if matches!(after, PhaseName::Failing | PhaseName::Hold)
                && view.failure.as_ref().is_some_and(|failure| failure.reason == ReadyReason::LaunchHookRefused)
            {
                self.met(HOOK_REFUSED);
            }
            if serves(after) && self.group.state.contains("RootVolumeReplaced") {
                self.met(REPLACED);
            }
            if matches!(after, PhaseName::Boot | PhaseName::Drain) {
                self.seen.asked.clear(); // another transition, another hook
            }
        }
        // A signal while failing means now, as a second one does while draining.
        self.seen.hurried |= signals > 1 || (signals > 0 && after == PhaseName::Failing);
        // In a release one of the containers serves.
        if status == Status::Ok && !matches!(after, PhaseName::Serve | PhaseName::Release) {
            self.breaks(3, format!("ready in {}", after.word()));
        }
        if !waits && after != PhaseName::Gone {
            self.breaks(6, format!("nothing is waited for in {}", after.word()));
        }
        for deadline in deadlines {
            // What has to be over by then still gets the time to say so.
            let slack = if deadline.name == DeadlineName::SpotInterruption { secs(25) } else { secs(1) };
            if Duration::from_secs_f64(deadline.at_seconds) + slack < age {
                self.breaks(6, format!("{} is over, and nothing follows", deadline.name.label()));
            }
        }
        self.look_at_notices(former, after, event);
        self.look_at_time(after, age);
        if after == PhaseName::Serve && before == PhaseName::Boot && self.engine.running().count() != 1 {
            let died = self.app_is_excused() || self.excuses.engine || self.seen.boots > 1;
            if self.engine.running().count() > 1 || !died {
                self.breaks(10, format!("{} containers run when serving begins", self.engine.running().count()));
            }
        }
        if after == PhaseName::Serve && before == PhaseName::Boot && self.plan.is_worker() {
            let enough = |since: Duration| self.now.saturating_sub(since) >= self.config.probe.running_for;
            if !self.engine.running().any(|one| one.started.is_some_and(enough)) && !self.excuses.engine {
                self.breaks(8, "a worker is served before it has run for probe.running_for");
            }
        }
        if after == PhaseName::Serve && before == PhaseName::Boot && self.documents.is_none() {
            let wants = self.agent.as_ref().map(|one| &one.wants);
            if self.engine.running().any(|one| Some(&one.fingerprint) != wants) {
                self.breaks(10, "an app of another config is served");
            }
        }
        self.look_at_releases(before, after);
        if serves(before) && after == PhaseName::Drain && former.status == Status::Ok {
            self.seen.leaving_since.get_or_insert(self.now);
        }
        // A drain that was cut off by a kill is over when the boot of the next agent is; one into the pool may be followed by a boot.
        let boots_again = (before, after) == (PhaseName::Drain, PhaseName::Boot);
        if boots_again || serves(after) || matches!(after, PhaseName::Warm | PhaseName::Hold) {
            self.seen.drain_is_over();
        }
        match after {
            PhaseName::Drain if serves(before) => self.seen.draining = Some((self.now, 0)),
            PhaseName::Gone => self.seen.draining = None,
            _ => {}
        }
        if after == PhaseName::Drain {
            let launch = self.group.waiting().filter(|(which, _)| *which == Which::Launch);
            self.seen.left = launch.map(|(_, since)| (since, self.agents)).or(self.seen.left);
        }
        // Then the group is asked for another reason, too.
        let unclear = self.plan.has(|twist| matches!(twist, Twist::StateOdd { .. } | Twist::Replace { .. }));
        if let Event::Failed(JobKind::FindGroup | JobKind::CompleteHook, error) = event {
            self.seen.hook_refused |= !error.is_transient();
        }
        match event {
            // What was kept of the document is read in its place.
            Event::ConfigRead(..) => (self.seen.knows_config, self.seen.misconfigured) = (true, false),
            Event::Failed(JobKind::ReadConfig, error) if error.class == ErrorClass::Misconfigured => {
                self.seen.misconfigured |= before == PhaseName::Boot;
            }
            // A removed container is created again, and the new one is started.
            Event::Failed(job, error)
                if before == PhaseName::Boot && !error.is_transient() && error.class != ErrorClass::Gone =>
            {
                self.seen.refused.insert(*job);
            }
            // What a registry refused may be allowed with another login.
            Event::RegistryLoggedIn => {
                self.seen.refused.remove(&JobKind::ResolveDigest);
                self.seen.refused.remove(&JobKind::PullImage);
            }
            Event::ContainersFound(found) if found.iter().any(|one| one.fingerprint.is_some()) => {
                self.seen.inherits.get_or_insert(self.now);
                self.seen.found = found.iter().filter(|one| one.running.is_some()).map(|one| one.id.clone()).collect();
            }
            Event::Identified(identity) => {
                self.seen.first_target.clone_from(&identity.target_state);
                self.note_pool(identity.target_state.as_ref());
            }
            Event::MetadataSeen(snapshot) => self.note_pool(snapshot.target_state.as_ref()),
            Event::MarkedUnhealthy => self.seen.marked = true,
            Event::HookCompleted => {
                if let Some(last) = self.seen.asked.last_mut() {
                    last.reply = Reply::Done;
                }
            }
            Event::InstanceDescribed(state) => {
                if let Some(last) = self.seen.asked.last_mut().filter(|last| last.reply == Reply::Nothing)
                    && !may_wait(&last.hook, state.as_deref())
                    && !unclear
                {
                    last.reply = Reply::Never;
                }
            }
            _ => {}
        }
    }

    /// 6: no phase lasts longer than what it waits for; 7: the agent acts on what the metadata shows.
    fn look_at_time(&mut self, after: PhaseName, age: Duration) {
        let config = &self.config;
        let (poll, boot, stop) = (config.lifecycle.poll, config.boot.timeout, config.stop_timeout);
        let knows = |what: fn(&Agent) -> bool| self.agent.as_ref().is_some_and(what);
        let (knows_config, knows_itself) = (knows(|one| one.knows_config), knows(|one| one.knows_itself));
        let lasts = self.seen.phases.last().map_or(Duration::ZERO, |(_, since)| self.now.saturating_sub(*since));
        let limit = match after {
            PhaseName::Boot if knows_config => Some(boot + secs(1)),
            // Before the config is read: the defaults, or the config of the boot before this one.
            PhaseName::Boot => Some(boot.max(secs(600)) + secs(1)),
            PhaseName::Failing => Some(stop.max(secs(30)) + secs(130)),
            PhaseName::Drain => Some(self.drain_limit()),
            PhaseName::Release => Some(self.release_limit()),
            _ => None,
        };
        if limit.is_some_and(|limit| lasts > limit) {
            self.breaks(6, format!("{} lasts {lasts:?}", after.word()));
        }
        let replacing = self.group.is_replacing();
        let taken = matches!(self.group.target(), Some(TargetState::Terminated | TargetState::WarmedTerminated));
        let gone = taken || replacing;
        let (_, since) = match self.seen.taken_since {
            Some(since) if since.0 == taken => since,
            _ => (taken, self.now),
        };
        self.seen.taken_since = gone.then_some((taken, since));
        let mut slack = secs(2) + poll * 3;
        if self.excuses.metadata {
            slack += secs(100) + self.excuses.away;
        }
        if !taken {
            // Where the word does not say enough, the group has to.
            let throttled = self.plan.boot_faults().any(|error| matches!(error, BootFault::Throttled(_)));
            slack += secs(if self.excuses.aws { 8 * 3600 } else { 40 + 70 * u64::from(throttled) });
            slack += secs(if self.excuses.again { 300 } else { 0 });
        }
        let living = serves(after) || matches!(after, PhaseName::Boot | PhaseName::Warm | PhaseName::Hold);
        let heard = !(living && knows_itself);
        if gone && !heard && self.now > since + slack && age > slack {
            self.breaks(7, "Auto Scaling is terminating the instance, and the agent does nothing");
        }
    }

    /// Whether a hook was given up.
    fn gave_a_hook_up(&self) -> bool {
        let lifecycle = self.agent.as_ref().map(|agent| agent.machine.view().lifecycle);
        lifecycle.is_some_and(|lifecycle| lifecycle.hooks.iter().any(|hook| hook.state == HookState::GivenUp))
    }

    /// What a drain may take: the load balancer's delay, and the time for which a completion is tried; AWS decides where the
    /// timeout is not known.
    pub(crate) fn drain_limit(&self) -> Duration {
        let config = &self.config;
        let mut drain = config.drain.settle + config.drain.timeout + config.stop_timeout * 2;
        if !self.agent.as_ref().is_some_and(|one| one.knows_config) {
            drain = drain.max(secs(20 + 300 + 60)); // what a drain takes by default
        }
        drain + secs(100) + self.hook_patience()
    }

    /// A group that says "not yet" is asked on while the load balancer lets go, which takes five minutes here at the most; one that
    /// says nothing, for as long as the hook's timeout, or a minute beyond what a drain may take.
    fn hook_patience(&self) -> Duration {
        let known = self.plan.shape.terminate_hook.unwrap_or_default();
        let unknown = if self.excuses.blind || self.excuses.aws { secs(300 + 60) } else { secs(0) };
        known * 2 + secs(70) + unknown
    }

    /// 6: however often the agent is killed, an app in service is served on for its time and no longer.
    fn look_at_serving_on(&mut self) {
        let Some((since, agents)) = self.seen.draining else { return };
        let times = &self.config.drain;
        // An agent that could not read its config drains by the defaults.
        let known = |time: Duration, default: u64| if self.seen.knows_config { time } else { time.max(secs(default)) };
        // For a kill: one second until systemd starts the next, and what that asks for first. One may not be able to ask.
        let slow = self.excuses.metadata || self.excuses.aws || self.excuses.services || self.excuses.engine;
        let asking = if slow { secs(2 + 15 + 30) } else { secs(2) };
        let serving_on = known(times.settle, 20) + known(times.timeout, 300);
        let longest = serving_on + asking * agents + secs(1) + self.excuses.away;
        let lasts = self.now.saturating_sub(since);
        if lasts > longest && self.seen.met & (1 << CHANGED) == 0 {
            self.breaks(6, format!("the app is stopped after {lasts:?} of a drain of {longest:?} at the most"));
        }
    }

    /// When the agent orders something.
    pub(crate) fn ordered(&mut self, ordered: &Job) {
        let Some(agent) = &self.agent else { return };
        let (phase, status) = (agent.machine.phase(), agent.status);
        let job = ordered.kind();
        let needed = matches!(phase, PhaseName::Boot | PhaseName::Release)
            || (phase == PhaseName::Serve && status != Status::Ok);
        // Twice in a row: the wipe may be under way.
        // An answer that is lost between the adapters and the machine leaves what it brought, until the machine gives it up.
        let lost = self.plan.has(|twist| matches!(twist, Twist::Fate(JobKind::CheckSecrets, _, Fate::Lost)));
        let kept = !self.fetched.is_empty() && !needed && !lost;
        if job == JobKind::WatchMetadata && std::mem::replace(&mut self.seen.kept, kept) && kept {
            return self.breaks(5, format!("values of secrets stay in the agent's memory in {phase:?}"));
        }
        // An app that exits may ask for its secrets as often as it is started. One whose image was removed needs the login that it did not
        // need before.
        let removed = || self.plan.has(|twist| matches!(twist, Twist::Removed { image: true, .. }));
        let may = job == JobKind::FetchSecrets || (job == JobKind::LoginRegistry && removed());
        let restarts = || may && agent.machine.view().container.is_some();
        let again = phase == PhaseName::Boot && self.seen.refused.contains(&job) && IN_A_BOOT.contains(&job);
        if again && !restarts() {
            return self.breaks(101, format!("{job:?} is tried again after it was refused for good"));
        }
        let is_settled = |target: &TargetView| {
            matches!(target.state, TargetStage::InService | TargetStage::AttachedByGroup | TargetStage::Deregistered)
        };
        let is_calm = phase == PhaseName::Serve && status == Status::Ok;
        let asks = TARGETS.contains(&job) && job != JobKind::DescribeGroup; // once
        let targets = if is_calm && asks { agent.machine.view().targets } else { Vec::new() };
        if !targets.is_empty() && targets.iter().all(is_settled) {
            return self.breaks(11, format!("{job:?} in a healthy serve"));
        }
        let control_plane = GROUP.contains(&job) || matches!(job, JobKind::FetchSecrets | JobKind::LoginRegistry);
        let prepares = || agent.machine.view().releases.is_some_and(|releases| releases.next.is_some());
        if phase == PhaseName::Serve && status == Status::Ok && control_plane && !prepares() {
            let is_over = agent.machine.view().lifecycle.hooks.iter().all(|hook| !is_worked_on(hook.state));
            // A word that says too little is asked about.
            let unclear = job == JobKind::DescribeInstance
                && self.plan.has(|twist| matches!(twist, Twist::StateOdd { .. } | Twist::Replace { .. }));
            if !unclear && is_over {
                self.breaks(11, format!("{job:?} in a healthy serve"));
            }
        }
        self.look_at_release_order(ordered, phase, status);
        match ordered {
            Job::RegisterTarget(_) if !serves(phase) || status == Status::Standby => {
                self.breaks(14, format!("a target is registered in {phase:?}, {status:?}"));
            }
            Job::DeregisterTarget(target) => {
                self.seen.left_ports.insert(target.port);
            }
            Job::CompleteHook { hook, result } => {
                let launch = hook.hook == "boot";
                // The group takes the instance although it replaced its root volume: another transition, another hook.
                if let Some((true, since)) = self.seen.taken_since {
                    self.seen.asked.retain(|one| one.reply != Reply::Done || one.at >= since);
                }
                let is_first = !self.seen.asked.iter().any(|one| one.hook == hook.hook);
                let former = self.seen.asked.iter().find(|one| one.hook == hook.hook);
                if let Some((other, reply)) = former.map(|one| (one.result, one.reply)) {
                    match reply {
                        Reply::Done => self.breaks(8, format!("{hook} is completed again")),
                        Reply::Never => self.breaks(8, format!("{hook} is completed although it never can be")),
                        Reply::Nothing if other != *result => {
                            self.breaks(8, format!("{hook} is completed with two results"));
                        }
                        Reply::Nothing => {}
                    }
                } else {
                    let asked = Asked { at: self.now, hook: hook.hook.clone(), result: *result, reply: Reply::Nothing };
                    self.seen.asked.push(asked);
                }
                if !launch && *result == HookResult::Abandon && !self.plan.says("drain.on_failure=abandon") {
                    self.breaks(8, "the termination hook is abandoned without a reason");
                }
                let excused = self.excuses.engine || self.seen.hurried;
                if !launch && self.engine.running().next().is_some() && !excused {
                    self.breaks(8, "the termination hook is completed before the app has stopped");
                }
                let was_well = |(phase, _): &(PhaseName, Duration)| serves(*phase) || *phase == PhaseName::Warm;
                // In standby the instance is to get no traffic.
                let serves = serves(phase) && status != Status::Standby;
                let waits_for_it = self.plan.registers() && !self.plan.shape.attached && serves && is_first;
                if launch && *result == HookResult::Continue && waits_for_it && !self.balancer.has_passed() {
                    self.breaks(14, "the launch hook is completed before the load balancer calls the target healthy");
                }
                if launch && *result == HookResult::Continue && !self.seen.phases.iter().any(was_well) {
                    self.breaks(8, "the launch hook is completed without a healthy app");
                }
            }
            Job::CreateContainer(creation) if !creation.config.after.is_empty() && self.lacks_paths() => {
                self.breaks(101, "a container is created before its paths are there");
            }
            Job::StartContainer { id, .. } if !self.may_start(id, phase) => {
                self.breaks(10, "an app is started beside another");
            }
            // Of one that exited, which the next agent finds, nothing serves any more.
            Job::StopContainer { id, .. } if phase == PhaseName::Drain && self.engine.is_running(id) => {
                let own = self.plan.registers() && !self.plan.shape.attached && self.noted.is_some();
                let stays = self.balancer.registered().find(|port| own && !self.seen.left_ports.contains(port));
                if let Some(port) = stays {
                    self.breaks(14, format!("the app is stopped before port {port} is deregistered"));
                }
                self.look_at_serving_on();
            }
            // What a former agent had begun to start comes up unseen.
            Job::RemoveContainer { id, .. } if self.seen.found.contains(id) => {
                let runs = self.engine.running().any(|one| {
                    one.id == *id && Some(&*one.fingerprint) == self.wants() && !one.stopping && one.flaw.is_none()
                });
                // Another release is booted if this one cannot be read any more, or fails in the bake that goes on.
                let unread = self.plan.follows() && (self.plan.troubles(&RELEASES) || self.app_is_excused());
                if runs
                    && !unread
                    && phase == PhaseName::Boot
                    && self.group.described().is_none_or(|s| !s.starts_with("Warmed"))
                {
                    self.breaks(10, "a running app of this config is removed");
                }
            }
            Job::WriteFinalStatus { .. } if self.gave_a_hook_up() => self.met(API_AWAY),
            Job::ReadOutput { id, .. } if status == Status::Ok && !self.may_be_read(id, phase) => {
                self.breaks(5, "the output of a healthy app is read");
            }
            // One that does not get healthy within its start timeout is read before it is stopped, in a drain, too.
            Job::ReadOutput { id, .. }
                if phase == PhaseName::Drain
                    && !self.app_is_excused()
                    && self.engine.running().any(|one| one.id == *id) =>
            {
                self.breaks(5, "the output of an app that a drain stops is read");
            }
            Job::MarkUnhealthy if self.seen.marked => {
                self.breaks(8, "the instance is marked unhealthy twice");
            }
            _ => {}
        }
    }

    /// An app's process ended. The end of a stray is none of this app's crashes.
    pub(crate) fn app_ended(&mut self, container: &Container) {
        if let Some(port) = container.port() {
            let failed = self.balancer.failed.len();
            self.balancer.app_ended(port, self.now);
            if self.balancer.failed.len() > failed {
                self.request_failed(port, container.flaw.is_some());
            }
        }
        if container.stopping {
            return;
        }
        self.seen.crashed_while_leaving |= self.seen.leaving_since.is_some();
        let (window, limit) = (self.config.restart.window, self.config.restart.limit as usize);
        let now = self.now;
        self.seen.crashes.retain(|at| now.saturating_sub(*at) < window);
        // Each of the two of a release has restarts of its own.
        let beside = self.phase() == Some(PhaseName::Release);
        if !container.is_stray() && container.flaw.is_none() && !beside {
            self.seen.crashes.push(now);
        }
        // What a former agent had begun to start may come up, and crash, in the time of the next.
        let inherited = usize::from(self.agents > 1);
        if self.seen.crashes.len() > limit + 1 + inherited && !self.excuses.engine {
            self.breaks(10, format!("{} crashes within restart.window", self.seen.crashes.len()));
        }
    }

    /// 8: heartbeats keep a hook active while an agent runs.
    pub(crate) fn hook_ran_out(&mut self) {
        let Some(ended) = self.group.ended.last().filter(|ended| ended.result.is_none() && !ended.limit) else {
            return;
        };
        let (which, since) = (ended.which, ended.since);
        let nobody = !matches!(
            self.phase(),
            Some(
                PhaseName::Boot
                    | PhaseName::Serve
                    | PhaseName::Release
                    | PhaseName::Drain
                    | PhaseName::Hold
                    | PhaseName::Warm
            )
        );
        // A signal during the boot leaves the launch hook to the group, and the next agent may find little time left in it: if
        // there is a container to tell of it, it has sent a heartbeat a second later.
        let inherits = self.seen.inherits.is_some_and(|at| at + secs(1) < self.now);
        let left = self.seen.left.is_some_and(|(at, by)| at == since && (by == self.agents || !inherits));
        // After a start on the way back into the pool it is not known which of the two hooks waits.
        let way_in = |phase| matches!(phase, Some(PhaseName::Boot | PhaseName::Warm | PhaseName::Hold));
        let waited = self.seen.phases.iter().any(|(phase, at)| *phase == PhaseName::Warm && *at > since);
        let then = self.seen.phases.iter().rfind(|(_, at)| *at <= since).map(|(phase, _)| *phase);
        let returns = which == Which::Terminate && (way_in(self.phase()) || way_in(then) || waited);
        let late = nobody || left || returns || self.excuses.again || self.plan.outlasts_hooks();
        if !(late || self.excuses.blind || self.excuses.aws || self.excuses.metadata) {
            self.breaks(8, format!("the {which:?} hook ran out of time while the agent was there"));
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.promise {
            0 => write!(f, "the table of exit codes: {}", self.what),
            100 => write!(f, "no client notices: {}", self.what),
            101 => write!(f, "the table of faults: {}", self.what),
            LIVENESS => write!(f, "the life gets on: {}", self.what),
            number => write!(f, "invariant {number}: {}", self.what),
        }
    }
}
