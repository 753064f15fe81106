//! What every life must keep, each with the number of its invariant in docs/architecture.md.
//!
//! A promise may be excused by what went wrong in the plan, and only by that. Twists are few, so most lives have no excuse for
//! most promises.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use berth::effect::{Effect, HookResult, Job};
use berth::event::Event;
use berth::fault::Class;
use berth::identity::TargetState;
use berth::view::{PhaseName, Status, View};

use super::group::Which;
use super::plan::{ENGINE, Fate, GROUP, SERVICES, Twist};
use super::world::World;
use crate::sim::{ms, secs};

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    /// The invariant's number; 0 is the table of exit codes, and 100 that no client notices.
    pub(crate) promise: u8,
    pub(crate) what: String,
}

/// What was seen of a life so far, as far as a promise needs it.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) code: Option<u8>,
    pub(crate) killed_by_systemd: bool,
    pub(crate) powered_off: bool,
    pub(crate) spot_ended: bool,
    /// The phases of the agent that runs, in order.
    phases: Vec<(PhaseName, Duration)>,
    misconfigured: bool,
    /// When the first drain of an app in service began.
    leaving_since: Option<Duration>,
    crashed_while_leaving: bool,
    sights: BTreeSet<&'static str>,
    taken_since: Option<Duration>,
    /// The results that each hook was asked to be completed with by this agent, and whether that was answered.
    asked: Vec<(String, HookResult, bool)>,
    crashes: Vec<Duration>,
    marked: u32,
    stop_began: Option<Duration>,
    hurried: bool,
    boots: u32,
}

impl World {
    fn breaks(&mut self, promise: u8, what: impl Into<String>) {
        if self.broken.is_none() {
            self.broken = Some(Broken { promise, what: what.into() });
        }
    }

    /// An agent starts.
    pub(crate) fn began(&mut self) {
        self.seen.phases = vec![(PhaseName::Boot, self.now)];
        self.seen.misconfigured = false;
        self.seen.asked.clear();
        self.seen.crashes.clear();
        self.seen.marked = 0;
        self.seen.sights.clear();
        self.seen.stop_began = None;
        self.seen.boots += 1;
    }

    /// An agent ends.
    pub(crate) fn agent_ends(&mut self, code: Option<u8>) {
        if code.is_some() {
            self.judge_code();
        }
    }

    fn on_aws(&self) -> bool {
        self.plan.troubles(&GROUP) || self.plan.has(|twist| matches!(twist, Twist::AwsAway { .. }))
    }

    fn on_the_engine(&self) -> bool {
        self.plan.troubles(&ENGINE)
            || self.plan.has(|twist| matches!(twist, Twist::EngineAway { .. } | Twist::StopsIn(_)))
    }

    fn on_the_app(&self) -> bool {
        let app = |twist: &Twist| {
            matches!(twist, Twist::Crash { .. } | Twist::CrashLoop { .. } | Twist::Sick { .. } | Twist::StopsIn(_))
        };
        self.plan.has(app)
    }

    fn on_the_metadata(&self) -> bool {
        let away = |twist: &Twist| matches!(twist, Twist::MetadataAway { .. } | Twist::StateVanishes { .. });
        self.plan.has(away) || self.plan.troubles(&[Job::Identify, Job::ReadConfig, Job::WatchMetadata])
    }

    fn has_spot(&self) -> bool {
        self.plan.has(|twist| matches!(twist, Twist::Spot(_)))
    }

    fn says(&self, word: &str) -> bool {
        self.plan.words.iter().any(|one| one == word)
    }

    /// After every event.
    pub(crate) fn look(&mut self, before: PhaseName, former: &View, event: &Event) {
        let Some(agent) = &self.agent else { return };
        let (after, view) = (agent.machine.phase(), agent.view.clone());
        let age = self.now.saturating_sub(agent.started);
        let (waits, signals) = (agent.machine.next_wake().is_some(), agent.signals);
        if after != before {
            self.note("agent", || format!("{} -> {}: {}", before.word(), after.word(), view.reason));
            self.seen.phases.push((after, self.now));
            if after == PhaseName::Boot {
                self.seen.crashes.clear();
            }
            if matches!(after, PhaseName::Boot | PhaseName::Drain) {
                self.seen.asked.clear(); // another transition, another hook
            }
        }
        // A signal while failing means now, as a second one does while draining.
        self.seen.hurried |= signals > 1 || (signals > 0 && after == PhaseName::Failing);
        if view.status == Status::Ok && after != PhaseName::Serve {
            self.breaks(3, "ready outside serve");
        }
        if !waits && after != PhaseName::Gone {
            self.breaks(6, format!("nothing is waited for in {}", after.word()));
        }
        for deadline in &view.deadlines {
            // What has to be over by then still gets the time to say so.
            let slack = if deadline.name == "taken away" { secs(25) } else { secs(1) };
            if Duration::from_secs_f64(deadline.at) + slack < age {
                self.breaks(6, format!("{} is over, and nothing follows", deadline.name));
            }
        }
        self.look_at_notices(before, after, former, &view, event);
        self.look_at_time(after, age);
        if after == PhaseName::Serve && before == PhaseName::Boot && self.engine.running().count() != 1 {
            let died = self.on_the_app() || self.on_the_engine() || self.seen.boots > 1;
            if self.engine.running().count() > 1 || !died {
                self.breaks(10, format!("{} containers run when serving begins", self.engine.running().count()));
            }
        }
        if before == PhaseName::Serve && after == PhaseName::Drain && former.status == Status::Ok {
            self.seen.leaving_since.get_or_insert(self.now);
        }
        if after == PhaseName::Warm {
            self.seen.leaving_since = None;
        }
        match event {
            Event::Failed(Job::ReadConfig, fault) if fault.class == Class::Misconfigured => {
                self.seen.misconfigured |= before == PhaseName::Boot;
            }
            Event::HookCompleted => {
                if let Some(last) = self.seen.asked.last_mut() {
                    last.2 = true;
                }
            }
            _ => {}
        }
    }

    /// 7: a notice reaches drain in one event; a second changes nothing but an earlier deadline.
    fn look_at_notices(&mut self, before: PhaseName, after: PhaseName, former: &View, view: &View, event: &Event) {
        let news = match event {
            Event::Signalled(_) => Some("signal"),
            Event::DrainRequested(_) => Some("asked"),
            Event::MetadataSeen(sight) => match &sight.target_state {
                Some(TargetState::Terminated | TargetState::WarmedTerminated) => Some("terminated"),
                _ if sight.spot.is_some() && !self.says("spot=ignore") => Some("spot"),
                _ => None,
            },
            _ => None,
        };
        let Some(news) = news else { return };
        if self.seen.sights.insert(news) {
            let living = [PhaseName::Boot, PhaseName::Serve, PhaseName::Hold, PhaseName::Warm];
            // A spot policy is not known before the config.
            if living.contains(&before) && after != PhaseName::Drain && !(news == "spot" && view.name.is_none()) {
                self.breaks(7, format!("{news} leads from {} to {}", before.word(), after.word()));
            }
        }
        if before == PhaseName::Drain && after == PhaseName::Drain {
            for deadline in &view.deadlines {
                let earlier = former.deadlines.iter().find(|one| one.name == deadline.name);
                if deadline.name != "termination hook" && earlier.is_some_and(|one| one.at + 0.001 < deadline.at) {
                    self.breaks(7, format!("a second notice put {} off", deadline.name));
                }
            }
        }
    }

    /// 6: no phase lasts longer than what it waits for; 7: what the metadata shows is heard.
    fn look_at_time(&mut self, after: PhaseName, age: Duration) {
        let config = &self.config;
        let (poll, boot, stop) = (config.lifecycle.poll, config.boot.timeout, config.stop_timeout);
        let knows_config = self.agent.as_ref().is_some_and(|one| one.view.name.is_some());
        let mut drain = config.drain.settle + config.drain.timeout + stop * 2;
        if !knows_config {
            drain = drain.max(secs(20 + 300 + 60)); // what a drain takes by default
        }
        let lasts = self.seen.phases.last().map_or(Duration::ZERO, |(_, since)| self.now.saturating_sub(*since));
        let limit = match after {
            PhaseName::Boot => Some(boot.max(secs(600)) + secs(1)),
            PhaseName::Failing => Some(stop + secs(130)),
            // The load balancer's delay, and what a hook is tried for, which AWS itself decides when nobody knows better.
            PhaseName::Drain => Some(drain + secs(100) + self.hook_patience()),
            _ => None,
        };
        if limit.is_some_and(|limit| lasts > limit) {
            self.breaks(6, format!("{} lasts {lasts:?}", after.word()));
        }
        let gone = matches!(self.group.target(), Some(TargetState::Terminated | TargetState::WarmedTerminated));
        let since = *self.seen.taken_since.get_or_insert(self.now);
        if !gone {
            self.seen.taken_since = None;
        }
        let mut slack = secs(2) + poll * 3;
        if self.on_the_metadata() {
            slack += secs(100) + self.plan.twists.iter().map(Twist::lasts).sum::<Duration>();
        }
        let knows_itself = self.agent.as_ref().is_some_and(|one| one.view.instance_id.is_some());
        let living = matches!(after, PhaseName::Boot | PhaseName::Serve | PhaseName::Warm | PhaseName::Hold);
        let heard = !(living && knows_itself);
        if gone && !heard && self.now > since + slack && age > slack {
            self.breaks(7, "the group takes the instance away, and nobody listens");
        }
    }

    fn hook_patience(&self) -> Duration {
        let blind = self.says("lifecycle.group=web") || self.on_aws();
        let known = self.plan.shape.terminate_hook.unwrap_or_default();
        if blind { secs(2 * 3600) } else { known * 2 + secs(70) }
    }

    /// When the agent orders something.
    pub(crate) fn ordered(&mut self, effect: &Effect) {
        let Some(agent) = &self.agent else { return };
        let (phase, status) = (agent.machine.phase(), agent.view.status);
        let settled = ["completed", "in no group", "no such hook", "nothing", "expired", "given up"];
        let hook_over = settled.iter().any(|word| agent.view.lifecycle.state.starts_with(word));
        let Some(job) = effect.job() else { return };
        let control_plane = GROUP.contains(&job) || matches!(job, Job::FetchSecrets | Job::LoginRegistry);
        if phase == PhaseName::Serve && status == Status::Ok && hook_over && control_plane {
            self.breaks(11, format!("{job:?} in a healthy serve"));
        }
        match effect {
            Effect::CompleteHook { hook, result } => {
                let launch = hook.hook == "boot";
                if self.seen.asked.iter().any(|(name, _, done)| *name == hook.hook && *done) {
                    self.breaks(8, format!("{hook} is completed again"));
                }
                if self.seen.asked.iter().any(|(name, other, _)| *name == hook.hook && other != result) {
                    self.breaks(8, format!("{hook} is completed with two results"));
                }
                self.seen.asked.push((hook.hook.clone(), *result, false));
                let excused = self.on_the_engine() || self.seen.hurried;
                if !launch && self.engine.running().next().is_some() && !excused {
                    self.breaks(8, "the termination hook is completed before the app has stopped");
                }
                let was_well = |(phase, _): &(PhaseName, Duration)| matches!(phase, PhaseName::Serve | PhaseName::Warm);
                if launch && *result == HookResult::Continue && !self.seen.phases.iter().any(was_well) {
                    self.breaks(8, "the launch hook is completed without a healthy app");
                }
            }
            Effect::StartContainer { id, .. } if self.engine.running().any(|one| one.id != *id) => {
                self.breaks(10, "an app is started beside another");
            }
            Effect::RemoveContainer { id, .. } => {
                let ours = self.config.fingerprint();
                let runs = self.engine.running().any(|one| one.id == *id && one.fingerprint == ours && !one.stopping);
                if runs && phase == PhaseName::Boot && self.group.described().is_none_or(|s| !s.starts_with("Warmed")) {
                    self.breaks(10, "a running app of this config is removed");
                }
            }
            Effect::MarkUnhealthy => {
                self.seen.marked += 1;
                if self.seen.marked > 1 && !self.on_aws() {
                    self.breaks(8, "the instance is marked unhealthy twice");
                }
            }
            Effect::StopContainer { .. } if phase == PhaseName::Drain => {
                self.seen.stop_began.get_or_insert(self.now);
            }
            _ => {}
        }
    }

    /// An app's process ended.
    pub(crate) fn app_ended(&mut self, stopped: bool) {
        self.balancer.app_ended(self.now);
        if stopped {
            return;
        }
        self.seen.crashed_while_leaving |= self.seen.leaving_since.is_some();
        let (window, limit) = (self.config.restart.window, self.config.restart.limit as usize);
        let now = self.now;
        self.seen.crashes.retain(|at| now.saturating_sub(*at) < window);
        self.seen.crashes.push(now);
        if self.seen.crashes.len() > limit + 1 && !self.on_the_engine() {
            self.breaks(10, format!("{} crashes within restart.window", self.seen.crashes.len()));
        }
    }

    /// 8: heartbeats keep a hook alive for as long as somebody is there to send them.
    pub(crate) fn hook_ran_out(&mut self) {
        let Some(ended) = self.group.ended.last().filter(|ended| ended.result.is_none() && !ended.limit) else {
            return;
        };
        let which = ended.which;
        let blind = self.says("lifecycle.group=web");
        let nobody = !matches!(
            self.phase(),
            Some(PhaseName::Boot | PhaseName::Serve | PhaseName::Drain | PhaseName::Hold | PhaseName::Warm)
        );
        // A signal during the boot leaves the launch hook to the group.
        let left = which == Which::Launch && self.phase() == Some(PhaseName::Drain);
        // Started on the way back into the pool, nobody can tell which of the two hooks waits.
        let returns = which == Which::Terminate && matches!(self.phase(), Some(PhaseName::Boot | PhaseName::Warm));
        if !nobody && !left && !returns && !blind && !self.on_aws() && !self.on_the_metadata() {
            self.breaks(8, format!("the {which:?} hook ran out of time while the agent was there"));
        }
    }

    /// The table of exit codes.
    fn judge_code(&mut self) {
        let Some(code) = self.seen.code else { return };
        let phases = &self.seen.phases;
        let from = |phase| phases.iter().position(|(one, _)| *one == phase);
        let before_failing =
            from(PhaseName::Failing).and_then(|at| phases.get(at.checked_sub(1)?)).map(|(one, _)| *one);
        let drained = from(PhaseName::Drain).is_some();
        let expected: &[u8] = match (before_failing, drained) {
            (Some(_), _) if self.seen.misconfigured => &[2, 3],
            (Some(PhaseName::Boot | PhaseName::Hold), _) => &[3],
            (Some(_), _) => &[4],
            (None, true) => &[0, 5],
            (None, false) => &[],
        };
        if !expected.contains(&code) {
            return self.breaks(0, format!("exit code {code}, and not one of {expected:?}"));
        }
        let trouble = self.on_the_engine() || self.on_the_app();
        let long = self.plan.shape.websockets || self.plan.has(|twist| matches!(twist, Twist::LongConnection { .. }));
        let short = self.has_spot() || self.seen.hurried;
        let away = self.plan.troubles(&SERVICES) || self.on_aws() || self.on_the_metadata();
        let listens = self.plan.troubles(&[Job::Listen]);
        match code {
            2 if !self.seen.misconfigured => self.breaks(0, "exit code 2 with a config that is right"),
            3 if !(trouble || away || listens || self.seen.misconfigured) => {
                self.breaks(0, "a boot fails for no reason")
            }
            4 if !trouble => self.breaks(0, "an app is given up for no reason"),
            5 if !(trouble || long || short || self.on_aws()) => self.breaks(0, "a drain is cut for no reason"),
            0 => {
                let running = self.engine.running().count();
                let unknown =
                    self.on_the_metadata() || self.seen.phases.get(1).is_some_and(|(_, at)| self.is_early(*at));
                if running > 0 && !unknown {
                    self.breaks(0, format!("exit code 0, and {running} containers run on"));
                }
            }
            _ => {}
        }
    }

    /// Whether the agent may not have known yet who it is.
    fn is_early(&self, at: Duration) -> bool {
        self.agent.as_ref().is_some_and(|one| at.saturating_sub(one.started) < ms(20))
    }

    /// When the life is over.
    pub(crate) fn judge(&self) -> Option<Broken> {
        let broken = |promise, what: String| Some(Broken { promise, what });
        if self.seen.killed_by_systemd && !self.plan.troubles(&[Job::ExtendStop]) {
            return broken(6, "systemd had to kill the agent".to_owned());
        }
        let calm = !self.on_the_app() && !self.on_the_engine() && !self.seen.crashed_while_leaving;
        if self.seen.code == Some(0) && calm && !self.seen.powered_off {
            let since = self.seen.leaving_since.unwrap_or(Duration::MAX);
            let lost = self.balancer.failed.iter().filter(|at| **at >= since).count();
            if lost > 0 {
                return broken(100, format!("{lost} requests failed in a drain that had the time"));
            }
        }
        if matches!(self.seen.code, Some(0 | 5)) && !self.on_aws() && !self.seen.hurried && !self.has_spot() {
            let waiting = self.group.waiting().filter(|(which, _)| *which == Which::Terminate);
            if waiting.is_some_and(|(_, since)| since + secs(10) < self.now) && !self.on_the_metadata() {
                return broken(8, "gone, and the termination hook still waits".to_owned());
            }
        }
        if matches!(self.seen.code, Some(2..=4)) && !self.on_aws() && !self.on_the_metadata() {
            let told = self.group.marked_unhealthy > 0
                || self.group.described().is_none_or(|state| state.contains("Terminat"))
                || self.group.ended.iter().any(|one| one.result == Some(HookResult::Abandon));
            if !told && !self.seen.hurried {
                return broken(8, "given up, and the group does not know".to_owned());
            }
        }
        if self.seen.spot_ended && self.seen.powered_off && calm && !self.says("spot=ignore") {
            let late = self.plan.has(|twist| matches!(twist, Twist::Fate(_, _, Fate::Hangs | Fate::Slow(_))));
            if !late && !self.on_the_metadata() && !self.on_aws() {
                return broken(6, "spot took the instance away before it was gone".to_owned());
            }
        }
        None
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.promise {
            0 => write!(f, "the table of exit codes: {}", self.what),
            100 => write!(f, "no client notices: {}", self.what),
            number => write!(f, "invariant {number}: {}", self.what),
        }
    }
}
