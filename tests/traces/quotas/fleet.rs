//! A group of instances in one virtual clock: each the real machine, all of them asking one account.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use berth_config::Config;
use berth_core::clock::Uptime;
use berth_core::machine::Machine;
use berth_core::message::command::Command;
use berth_core::message::container::RunningContainer;
use berth_core::message::effect::Effect;
use berth_core::message::error::{ErrorClass, JobError};
use berth_core::message::event::Event;
use berth_core::message::group::{HookResult, LifecycleHook, Membership};
use berth_core::message::identity::{Identity, TargetState};
use berth_core::message::input::Input;
use berth_core::message::job::{Job, JobKind, Ticket};
use berth_core::message::target::{GroupFacts, TargetHealth, TargetHealthState};
use berth_core::view::Status;

use super::account::{Account, Api};
use crate::sim::{DIGEST, config, identity, ms, running, target};
use crate::targets::WEB;

/// The secrets of two services, a tag, ECR.
const LINE: &str = "image=123456789012.dkr.ecr.us-east-2.amazonaws.com/api:v1 port=8080 health=/health \
                    secrets=prod/api,prod/jwt secret.KEY=ssm:/prod/key";

/// Layers of the image.
const LAYERS: usize = 3;

/// A group whose instances all began at the same moment.
pub(crate) struct Fleet {
    /// What they ask.
    pub(crate) account: Account,
    instances: Vec<Instance>,
    config: Arc<Config>,
    now: Duration,
    /// What is to come: when, in which order, and to whom.
    coming: BinaryHeap<Reverse<(Duration, u64, usize, Coming)>>,
    answers: BTreeMap<u64, Event>,
    sequence: u64,
    rng: fastrand::Rng,
    /// How long a pull takes at least.
    pull: Duration,
    heartbeat_timeout: Duration,
    /// When the group takes all of them away.
    leaves: Option<Duration>,
    /// How long the load balancer holds them after that, before their termination hooks are active.
    deregistration: Duration,
    /// Whether nothing is left to chance: every answer takes as long as any other.
    in_step: bool,
    /// How many have done what they are watched for.
    over: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Coming {
    /// The answer to this ticket.
    Answer(Ticket),
    /// A wake-up, if the machine still wants it.
    Wake,
}

struct Instance {
    machine: Machine,
    /// When it is next woken.
    wake: Option<Duration>,
    running: BTreeMap<Ticket, JobKind>,
    pulled: bool,
    /// The app's port on the host.
    port: u16,
    /// Whether it knows its group.
    placed: bool,
    /// When it was ready.
    ready: Option<Duration>,
    /// When the load balancer calls it healthy, once it is registered.
    healthy_at: Option<Duration>,
    /// Until when its launch hook waits, if it does.
    launch_hook: Option<Duration>,
    /// Hooks that were completed: when.
    completed: Vec<Duration>,
    expired: bool,
    gone: Option<Duration>,
}

impl Fleet {
    /// So many instances, each with a chance of its own.
    pub(crate) fn new(instances: usize) -> Self {
        Self::by_chance(instances, 0)
    }

    /// The same by another chance.
    pub(crate) fn by_chance(instances: usize, chance: u64) -> Self {
        let rng = fastrand::Rng::with_seed(chance + 1);
        Self { rng, ..Self::seeded(instances, |index| chance * 1_000_000 + index) }
    }

    /// So many that have one chance: none waits for another time than the others.
    pub(crate) fn in_step(instances: usize) -> Self {
        Self { in_step: true, ..Self::seeded(instances, |_| 1) }
    }

    fn seeded(instances: usize, seed: impl Fn(u64) -> u64) -> Self {
        let heartbeat_timeout = Duration::from_secs(600);
        let instance = |index| Instance {
            machine: Machine::new(seed(index), Uptime::ZERO),
            wake: None,
            running: BTreeMap::new(),
            pulled: false,
            port: 0,
            placed: false,
            ready: None,
            healthy_at: None,
            launch_hook: None,
            completed: Vec::new(),
            expired: false,
            gone: None,
        };
        Self {
            account: Account::default(),
            instances: (0..instances as u64).map(instance).collect(),
            config: Arc::new(config(LINE)),
            now: Duration::ZERO,
            coming: BinaryHeap::new(),
            answers: BTreeMap::new(),
            sequence: 0,
            rng: fastrand::Rng::with_seed(1),
            pull: Duration::from_secs(3),
            heartbeat_timeout,
            leaves: None,
            deregistration: Duration::from_secs(60),
            in_step: false,
            over: 0,
        }
    }

    /// A pull takes that long, and the hooks wait for this long between two heartbeats. The config names them, so that all know
    /// them at the same moment.
    pub(crate) fn pulls(mut self, pull: Duration, heartbeat_timeout: Duration) -> Self {
        (self.pull, self.heartbeat_timeout) = (pull, heartbeat_timeout);
        let beat = heartbeat_timeout.as_secs() / 2;
        self.config = Arc::new(config(&format!(
            "{LINE} lifecycle.group=web lifecycle.launch_hook=launch lifecycle.terminate_hook=leave lifecycle.heartbeat={beat}s"
        )));
        self
    }

    /// Each registers itself with a target group.
    pub(crate) fn registers(mut self, port: &str) -> Self {
        self.config = Arc::new(config(&format!("{} target_groups={WEB}", LINE.replace("port=8080", port))));
        self
    }

    /// When the load balancer called the last one healthy, if it calls all of them so.
    pub(crate) fn last_in_traffic(&self) -> Option<Duration> {
        let healthy: Option<Vec<Duration>> = self.instances.iter().map(|one| one.healthy_at).collect();
        healthy?.into_iter().max()
    }

    /// The group takes all of them away at that moment.
    pub(crate) fn leaves(mut self, at: Duration) -> Self {
        self.leaves = Some(at);
        self
    }

    /// Lives until every instance is in service, or gone if the group takes them away, at the most until that moment.
    pub(crate) fn run(mut self, limit: Duration) -> Self {
        if self.sequence == 0 {
            for index in 0..self.instances.len() {
                self.instances[index].launch_hook = Some(self.heartbeat_timeout);
                self.settle(index);
            }
        }
        while self.over < self.instances.len() && self.coming.peek().is_some_and(|Reverse((at, ..))| *at <= limit) {
            let Some(Reverse((at, sequence, index, coming))) = self.coming.pop() else { break };
            self.now = at;
            let input = match coming {
                Coming::Answer(ticket) => {
                    let answer = self.answers.remove(&sequence);
                    let asked = self.instances[index].running.remove(&ticket);
                    let Some((answer, _)) = answer.zip(asked) else { continue };
                    Input::Answer(ticket, answer)
                }
                Coming::Wake if self.instances[index].wake != Some(at) => continue,
                Coming::Wake => Event::Woke.into(),
            };
            self.instances[index].machine.on(&input, Uptime(at));
            self.settle(index);
        }
        self
    }

    /// How many are, or have been, ready.
    pub(crate) fn ready(&self) -> usize {
        self.instances.iter().filter(|one| one.ready.is_some()).count()
    }

    /// The moment at which it ended.
    pub(crate) fn now(&self) -> Duration {
        self.now
    }

    /// When the last one became ready.
    pub(crate) fn last_ready(&self) -> Duration {
        self.instances.iter().filter_map(|one| one.ready).max().unwrap_or_default()
    }

    /// How many completed this many hooks, each before its time was over.
    pub(crate) fn completed(&self, hooks: usize) -> usize {
        self.instances.iter().filter(|one| one.completed.len() == hooks && !one.expired).count()
    }

    /// When the last one was gone, if all are.
    pub(crate) fn last_gone(&self) -> Option<Duration> {
        let gone: Option<Vec<Duration>> = self.instances.iter().map(|one| one.gone).collect();
        gone?.into_iter().max()
    }

    /// Takes what the machine ordered, and sees when it wants to be woken.
    fn settle(&mut self, index: usize) {
        while let Some(effect) = self.instances[index].machine.next_effect() {
            match effect {
                Effect::Command(Command::Cancel(ticket)) => drop(self.instances[index].running.remove(&ticket)),
                Effect::Command(Command::Exit(_)) => {
                    self.over += usize::from(self.leaves.is_some());
                    let instance = &mut self.instances[index];
                    (instance.gone, instance.wake) = (Some(self.now), None);
                    return instance.running.clear();
                }
                Effect::Command(Command::HandOver | Command::RefuseHandover(_) | Command::Remark(_)) => {}
                Effect::Job(ticket, job) => {
                    self.instances[index].running.insert(ticket, job.kind());
                    if let Some((after, event)) = self.answer(index, &job) {
                        let sequence = self.comes(self.now + after, index, Coming::Answer(ticket));
                        self.answers.insert(sequence, event);
                    }
                }
            }
        }
        let instance = &mut self.instances[index];
        if instance.machine.status() == Status::Ok {
            instance.ready.get_or_insert(self.now);
        }
        let wake = instance.machine.next_wake().map(|wake| wake.0.max(self.now));
        if std::mem::replace(&mut instance.wake, wake) != wake
            && let Some(wake) = wake
        {
            self.comes(wake, index, Coming::Wake);
        }
    }

    fn comes(&mut self, at: Duration, index: usize, what: Coming) -> u64 {
        self.sequence += 1;
        self.coming.push(Reverse((at, self.sequence, index, what)));
        self.sequence
    }

    /// Some calls; all must be answered.
    fn ask(&mut self, index: usize, job: JobKind, calls: &[Api], answer: Event) -> Option<(Duration, Event)> {
        let mut answered = true;
        for api in calls {
            answered &= self.account.call(*api, index, self.now);
        }
        let refused = || Event::Failed(job, JobError::new(ErrorClass::Throttled, "Rate exceeded"));
        Some((self.within(20, 120), if answered { answer } else { refused() }))
    }

    fn within(&mut self, least: u64, most: u64) -> Duration {
        ms(if self.in_step { least } else { self.rng.u64(least..most) })
    }

    fn answer(&mut self, index: usize, job: &Job) -> Option<(Duration, Event)> {
        let local = |this: &mut Self, event| Some((this.within(1, 20), event));
        match job {
            Job::Identify => {
                let instance_id = format!("i-{index:017x}");
                local(self, Event::Identified(Arc::new(Identity { instance_id, ..identity() })))
            }
            Job::ReadConfig => {
                let config = self.config.clone();
                local(self, Event::ConfigRead(config, None))
            }
            Job::Listen(_) => local(self, Event::Listening),
            Job::FetchSecrets(_) => {
                self.ask(index, JobKind::FetchSecrets, &[Api::Secrets, Api::Parameters], Event::SecretsFetched)
            }
            Job::LoginRegistry(_) => self.ask(index, JobKind::LoginRegistry, &[Api::Token], Event::RegistryLoggedIn),
            Job::PingEngine => local(self, Event::EngineAnswered),
            Job::FindContainers { .. } => local(self, Event::ContainersFound(Vec::new())),
            Job::ResolveDigest(image, _) => {
                let found = Event::DigestResolved(image.at(DIGEST.to_owned()));
                self.ask(index, JobKind::ResolveDigest, &[Api::Manifest], found)
            }
            Job::InspectImage(..) => {
                let facts = self.instances[index].pulled.then(berth_core::message::container::ImageFacts::default);
                local(self, Event::ImageInspected(facts))
            }
            Job::PullImage { .. } => {
                let calls = [&[Api::Manifest][..], &[Api::Layer; LAYERS]].concat();
                let (after, event) = self.ask(index, JobKind::PullImage, &calls, Event::ImagePulled)?;
                let pulled = event == Event::ImagePulled;
                self.instances[index].pulled |= pulled;
                Some((if pulled { self.pull + self.within(0, 1_000) } else { after }, event))
            }
            Job::CreateContainer(creation) => {
                self.instances[index].port = creation.ports.get(&8080).copied().unwrap_or(8080);
                local(self, Event::ContainerCreated(running().id))
            }
            Job::StartContainer { .. } => {
                let host = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), self.instances[index].port);
                let started = RunningContainer { published: vec![(8080, host)], ..running() };
                Some((self.within(150, 300), Event::ContainerStarted(Box::new(started))))
            }
            Job::FindPorts => local(self, Event::PortsFound(BTreeSet::new())),
            Job::DescribeGroup(_) => {
                let is_launching = |one: &&Instance| one.completed.is_empty();
                let count = |of: &[Instance]| u32::try_from(of.iter().filter(is_launching).count()).unwrap_or_default();
                let (launching, before) = (count(&self.instances), count(&self.instances[..index]));
                let facts = GroupFacts { target_groups: Vec::new(), launching, before };
                self.ask(index, JobKind::DescribeGroup, &[Api::Group], Event::GroupDescribed(facts))
            }
            Job::DescribeTargets { ports, .. } => {
                use TargetHealthState::{Healthy, Initial, Unused};
                let health = match self.instances[index].healthy_at {
                    Some(at) if at <= self.now => TargetHealth::of(Healthy),
                    Some(_) => TargetHealth::of(Initial),
                    None => TargetHealth::of(Unused).because("Target.NotRegistered"),
                };
                let described = ports.iter().map(|port| (*port, health.clone())).collect();
                self.ask(index, JobKind::DescribeTargets, &[Api::TargetHealth], Event::TargetsDescribed(described))
            }
            Job::RegisterTarget(_) => {
                let answer = self.ask(index, JobKind::RegisterTarget, &[Api::Targets], Event::TargetRegistered)?;
                if answer.1 == Event::TargetRegistered {
                    // The first health check of each node comes within its interval.
                    let healthy_at = self.now + self.within(500, 10_000);
                    self.instances[index].healthy_at = Some(healthy_at);
                }
                Some(answer)
            }
            Job::DeregisterTarget(_) => {
                self.ask(index, JobKind::DeregisterTarget, &[Api::Targets], Event::TargetDeregistered)
            }
            Job::WatchContainer(_) => None,
            Job::ProbeApp { .. } => local(self, Event::ProbePassed),
            Job::StopContainer { .. } => Some((self.within(100, 900), Event::ContainerStopped)),
            Job::RemoveContainer { .. } => local(self, Event::ContainerRemoved),
            Job::FindGroup { .. } => {
                let hook =
                    |name: &str| Some(LifecycleHook { name: name.to_owned(), timeout: Some(self.heartbeat_timeout) });
                let found = Event::GroupFound(Some(Membership {
                    group: "web".to_owned(),
                    launch_hook: hook("launch"),
                    terminate_hook: hook("leave"),
                    state: Some("Pending:Wait".to_owned()),
                    ..Membership::default()
                }));
                // One after the other; what was answered once is not asked for again.
                if !self.instances[index].placed {
                    let (after, first) = self.ask(index, JobKind::FindGroup, &[Api::Group], found.clone())?;
                    if first != found {
                        return Some((after, first));
                    }
                    self.instances[index].placed = true;
                }
                self.ask(index, JobKind::FindGroup, &[Api::Group], found)
            }
            Job::RecordHeartbeat(_) => {
                let answer = self.ask(index, JobKind::RecordHeartbeat, &[Api::Group], Event::HeartbeatRecorded)?;
                let (now, again) = (self.now, self.now + self.heartbeat_timeout);
                let instance = &mut self.instances[index];
                if answer.1 == Event::HeartbeatRecorded {
                    instance.expired |= instance.launch_hook.is_some_and(|until| until < now);
                    instance.launch_hook = instance.launch_hook.map(|_| again);
                }
                Some(answer)
            }
            Job::CompleteHook { hook, result } => self.complete(index, &hook.hook, *result),
            Job::DescribeInstance => {
                let state = if self.is_active("leave") { "Terminating:Wait" } else { "Terminating" };
                let answer = Event::InstanceDescribed(Some(state.to_owned()));
                self.ask(index, JobKind::DescribeInstance, &[Api::Group], answer)
            }
            Job::WatchMetadata => {
                let leaves = self.leaves.is_some_and(|at| at <= self.now);
                let state = if leaves { TargetState::Terminated } else { TargetState::InService };
                local(self, Event::MetadataSeen(target(state)))
            }
            Job::CountConnections(_) => local(self, Event::ConnectionsCounted(0)),
            Job::ExtendStop(_) => local(self, Event::StopExtended),
            Job::WipeSecrets => local(self, Event::SecretsWiped),
            Job::WriteFinalStatus { .. } => local(self, Event::FinalStatusWritten),
            other => panic!("nobody expected {other}"),
        }
    }

    fn complete(&mut self, index: usize, hook: &str, result: HookResult) -> Option<(Duration, Event)> {
        assert_eq!(result, HookResult::Continue, "{index}: {hook}");
        if !self.is_active(hook) {
            return self.ask(index, JobKind::CompleteHook, &[Api::Group], Event::HookNotActive(JobKind::CompleteHook));
        }
        let answer = self.ask(index, JobKind::CompleteHook, &[Api::Group], Event::HookCompleted)?;
        if answer.1 == Event::HookCompleted {
            let (now, until) = (self.now, self.until(hook, index));
            let instance = &mut self.instances[index];
            instance.expired |= until.is_none_or(|until| until < now);
            instance.launch_hook = None;
            instance.completed.push(now);
            self.over += usize::from(self.leaves.is_none());
        }
        Some(answer)
    }

    fn is_active(&self, hook: &str) -> bool {
        hook == "launch" || self.leaves.is_some_and(|at| at + self.deregistration <= self.now)
    }

    /// Until when a hook waits.
    fn until(&self, hook: &str, index: usize) -> Option<Duration> {
        match hook {
            "launch" => self.instances[index].launch_hook,
            _ => Some(self.leaves? + self.deregistration + self.heartbeat_timeout),
        }
    }
}
