//! A life in virtual time: the machine against a scripted world. Nothing here sleeps; time jumps to the next thing that
//! happens. Every answer has a default that lets a boot succeed; a test scripts what it wants to be otherwise.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use berth_config::{Config, Layers, PinnedImage, Port};
use berth_core::clock::Uptime;
use berth_core::machine::Machine;
use berth_core::message::command::Command;
use berth_core::message::container::Exit;
use berth_core::message::container::{Address, ContainerId, FoundContainer, ImageFacts, RunningContainer};
use berth_core::message::effect::Effect;
use berth_core::message::error::{ErrorClass, JobError};
use berth_core::message::event::{BlockRepair, Event};
use berth_core::message::group::{LifecycleHook, Membership};
use berth_core::message::identity::{Identity, TargetState};
use berth_core::message::input::Input;
use berth_core::message::job::{Job, JobKind, Ticket};
use berth_core::message::outcome::Outcome;
use berth_core::message::output::AppOutput;
use berth_core::message::probe_failure::{ProbeFailure, ProbeFailureKind};
use berth_core::message::release::{BoardState, HeldLock};
use berth_core::message::snapshot::Snapshot;
use berth_core::message::target::{GroupFacts, Target};
use berth_core::phase::drain::Unfinished;
use berth_core::release::NotedReleases;
use berth_core::targets::{HostPorts, NotedTargets};
use berth_core::view::{PhaseName, Status, View};

use crate::documents::Documents;
use crate::load_balancer::LoadBalancer;

/// The line that most lives boot from.
pub(crate) const LINE: &str = "image=registry.test/api:v1 port=8080 health=/health";

/// A digest that looks like one.
pub(crate) const DIGEST: &str = "sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945";

/// What the world answers to one attempt at a job.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// This event after that time.
    After(Duration, Event),
    /// Nothing, ever.
    Never,
}

/// One life.
pub(crate) struct Sim {
    machine: Machine,
    now: Uptime,
    config: Arc<Config>,
    script: BTreeMap<JobKind, VecDeque<Answer>>,
    coming: BTreeMap<(Uptime, u64), (Option<Ticket>, Event)>,
    running: BTreeMap<Ticket, JobKind>,
    sequence: u64,
    pulled: bool,
    outcome: Option<Outcome>,
    /// Whether it gave way to the next agent.
    pub(crate) handed_over: bool,
    trace: String,
    /// What the metadata says, from when on.
    sights: BTreeMap<Uptime, Snapshot>,
    /// When the metadata answers the poll that is on its way then.
    prompt: Option<Uptime>,
    /// The load balancer's target groups.
    pub(crate) balancer: LoadBalancer,
    /// The target groups that the Auto Scaling group attaches.
    attached: Vec<String>,
    /// What the machine reported last that the next agent needs to know of the targets.
    noted: Option<NotedTargets>,
    /// What `config=` points to, if anything; then it also has the containers.
    pub(crate) documents: Documents,
    /// What the machine reported last that the next agent needs to know of the releases.
    noted_releases: Option<NotedReleases>,
    /// Ports that others on the host have.
    pub(crate) taken: BTreeSet<u16>,
    /// The host ports that berth chose.
    pub(crate) chosen: HostPorts,
    /// Connections that clients hold, from when on.
    held: BTreeMap<Uptime, u32>,
    /// Whether the app refuses its probes, from when on.
    sick: BTreeMap<Uptime, bool>,
    /// The app's lines on the console.
    pub(crate) console: Vec<String>,
    /// The line on the console.
    pub(crate) words: String,
    /// Successful completions of the hook, by result.
    pub(crate) completions: Vec<String>,
    /// The hooks that were completed, `group/hook`.
    pub(crate) completed: Vec<String>,
    completing: String,
    /// How often the machine was woken because it wanted to be.
    pub(crate) wakes: u32,
    /// Effects ordered, by job.
    pub(crate) ordered: Vec<JobKind>,
    /// Whether any view was ready outside serve.
    pub(crate) ready_outside_serve: bool,
    /// Whether the machine was ever without a wake-up and without a running job, outside a healthy serve.
    pub(crate) stuck: bool,
}

/// Whole seconds.
pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Milliseconds.
pub(crate) fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A failed attempt.
pub(crate) fn failure(job: JobKind, class: ErrorClass, reason: &str) -> Event {
    Event::Failed(job, JobError::new(class, reason))
}

/// The config of a line.
pub(crate) fn config(line: &str) -> Config {
    let mut layers = Layers::new();
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    layers.add_words(&words);
    layers.resolve().expect("a line of a test is right")
}

/// The running container that the world's engine has.
pub(crate) fn running() -> RunningContainer {
    RunningContainer {
        id: ContainerId("c0ffee".to_owned()),
        address: Address::At(IpAddr::V4(Ipv4Addr::new(172, 17, 0, 2))),
        published: Vec::new(),
        healthcheck: None,
        shim: false,
        running_for: Duration::ZERO,
    }
}

/// A container as the engine lists it after the agent was killed.
pub(crate) fn survivor(config: &Config) -> FoundContainer {
    FoundContainer {
        id: running().id,
        name: config.container_name(),
        fingerprint: Some(config.fingerprint()),
        image: Some(PinnedImage { repository: config.image.name(), digest: DIGEST.to_owned() }),
        running: Some(running()),
    }
}

/// A group whose launch hook has that timeout.
pub(crate) fn group(timeout: Duration, state: &str) -> Event {
    Event::GroupFound(Some(Membership {
        group: "web".to_owned(),
        launch_hook: Some(LifecycleHook { name: "boot".to_owned(), timeout: Some(timeout) }),
        terminate_hook: Some(LifecycleHook { name: "leave".to_owned(), timeout: Some(timeout) }),
        state: Some(state.to_owned()),
        ..Membership::default()
    }))
}

impl Sim {
    /// A life with this one line.
    pub(crate) fn new(line: &str) -> Self {
        Self::seeded(line, 1)
    }

    /// The same with another seed for every jitter.
    pub(crate) fn seeded(line: &str, seed: u64) -> Self {
        Self {
            machine: Machine::new(seed, Uptime::ZERO),
            now: Uptime::ZERO,
            config: Arc::new(config(line)),
            script: BTreeMap::new(),
            coming: BTreeMap::new(),
            running: BTreeMap::new(),
            sequence: 0,
            pulled: false,
            outcome: None,
            handed_over: false,
            trace: String::new(),
            sights: BTreeMap::from([(Uptime::ZERO, target(TargetState::InService))]),
            prompt: None,
            balancer: LoadBalancer::new(),
            attached: Vec::new(),
            noted: None,
            documents: Documents::default(),
            noted_releases: None,
            taken: BTreeSet::new(),
            chosen: HostPorts::new(),
            held: BTreeMap::new(),
            sick: BTreeMap::new(),
            console: Vec::new(),
            words: String::new(),
            completions: Vec::new(),
            completed: Vec::new(),
            completing: String::new(),
            wakes: 0,
            ordered: Vec::new(),
            ready_outside_serve: false,
            stuck: false,
        }
    }

    /// An agent before this one was killed in a drain, of which this is left.
    pub(crate) fn after(mut self, former: Option<Unfinished>) -> Self {
        self.machine = self.machine.after(former, Uptime::ZERO);
        self
    }

    /// An agent before this one noted these targets, so long ago.
    pub(crate) fn knowing(mut self, noted: Option<NotedTargets>, ago: Duration) -> Self {
        self.machine = self.machine.knowing(noted.map(|noted| (noted, ago)));
        self
    }

    /// From that moment on the document that `config=` points to has this line.
    pub(crate) fn publishes(mut self, at: Duration, line: &str) -> Self {
        self.documents.publish(Uptime(at), line);
        self
    }

    /// Documents, a board or containers that are otherwise.
    pub(crate) fn with_documents(mut self, change: impl FnOnce(&mut Documents)) -> Self {
        change(&mut self.documents);
        self
    }

    /// An agent before this one noted these releases.
    pub(crate) fn continuing(mut self, noted: Option<NotedReleases>) -> Self {
        self.machine = self.machine.continuing(noted);
        self
    }

    /// What the next agent is handed of the releases.
    pub(crate) fn noted_releases(&self) -> Option<NotedReleases> {
        self.noted_releases.clone()
    }

    /// What the next agent is handed of the targets.
    pub(crate) fn noted(&self) -> Option<NotedTargets> {
        self.noted.clone()
    }

    /// A load balancer that is otherwise.
    pub(crate) fn balancing(mut self, change: impl FnOnce(&mut LoadBalancer)) -> Self {
        change(&mut self.balancer);
        self
    }

    /// The Auto Scaling group attaches this target group.
    pub(crate) fn attaching(mut self, target_group: &str) -> Self {
        self.attached.push(target_group.to_owned());
        self
    }

    /// What the next agent is handed if this one is killed now.
    pub(crate) fn unfinished(&self) -> Option<Unfinished> {
        self.machine.unfinished(self.now)
    }

    /// The next attempt at the job is answered so; several calls script several attempts.
    pub(crate) fn answer(mut self, job: JobKind, after: Duration, event: Event) -> Self {
        self.script.entry(job).or_default().push_back(Answer::After(after, event));
        self
    }

    /// The next attempt at the job is never answered.
    pub(crate) fn never(mut self, job: JobKind) -> Self {
        self.script.entry(job).or_default().push_back(Answer::Never);
        self
    }

    /// The next attempts at the job fail.
    pub(crate) fn fails(mut self, job: JobKind, times: usize, class: ErrorClass, reason: &str) -> Self {
        assert!(times > 0, "a script without a failure tests nothing");
        for _ in 0..times {
            self = self.answer(job, ms(10), failure(job, class, reason));
        }
        self
    }

    /// From that moment on the metadata says so.
    pub(crate) fn sees(mut self, at: Duration, snapshot: Snapshot) -> Self {
        self.sights.insert(Uptime(at), snapshot);
        self
    }

    /// The same, and the poll that is on its way at that moment is answered then.
    pub(crate) fn sees_at(mut self, at: Duration, snapshot: Snapshot) -> Self {
        self.prompt = Some(Uptime(at));
        self.sees(at, snapshot)
    }

    /// From that moment on clients hold so many connections.
    pub(crate) fn holds(mut self, at: Duration, connections: u32) -> Self {
        self.held.insert(Uptime(at), connections);
        self
    }

    /// From that moment on the app refuses its probes, or does not.
    pub(crate) fn sick(mut self, at: Duration, sick: bool) -> Self {
        self.sick.insert(Uptime(at), sick);
        self
    }

    /// Something happens by itself.
    pub(crate) fn at(mut self, at: Duration, event: Event) -> Self {
        let by_itself = matches!(
            event,
            Event::Signalled(_)
                | Event::DrainRequested(_)
                | Event::HandoverRequested
                | Event::PullProgressed(_)
                | Event::ConfigWarned(_)
                | Event::UserDataIsForeign(_)
                | Event::ContainerExited(_)
        );
        assert!(by_itself, "{} answers a job", event.name());
        self.schedule(Uptime(at), None, event);
        self
    }

    /// Lives until it is over or until that time.
    pub(crate) fn run(mut self, limit: Duration) -> Self {
        while !self.is_over() && self.step(Uptime(limit)) {}
        if !self.is_over() {
            self.now = Uptime(limit);
        }
        self
    }

    fn is_over(&self) -> bool {
        self.outcome.is_some() || self.handed_over
    }

    /// How it ended, none if it goes on.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    /// What can be seen.
    pub(crate) fn view(&self) -> View {
        self.machine.view()
    }

    /// How far the hook of the transition under way is, as people see it.
    pub(crate) fn hook(&self) -> String {
        self.view().lifecycle.hooks.last().map(ToString::to_string).unwrap_or_default()
    }

    /// Everything that happened, a line each, without wake-ups and probes.
    pub(crate) fn trace(&self) -> &str {
        &self.trace
    }

    /// How often the job was ordered.
    pub(crate) fn count(&self, job: JobKind) -> usize {
        self.ordered.iter().filter(|one| **one == job).count()
    }

    fn schedule(&mut self, at: Uptime, ticket: Option<Ticket>, event: Event) {
        self.sequence += 1;
        self.coming.insert((at, self.sequence), (ticket, event));
    }

    /// What a test says by itself, as an input: the app's exit answers the job that watches it, and some events are reports.
    fn by_itself(&self, event: Event) -> Input {
        let of = |kind| self.running.iter().find_map(|(ticket, job)| (*job == kind).then_some(*ticket));
        match &event {
            Event::ContainerExited(_) => of(JobKind::WatchContainer).map(|ticket| Input::Answer(ticket, event.clone())),
            Event::PullProgressed(_) => of(JobKind::PullImage).map(|ticket| Input::Report(ticket, event.clone())),
            Event::ConfigWarned(_) | Event::UserDataIsForeign(_) => {
                of(JobKind::ReadConfig).map(|ticket| Input::Report(ticket, event.clone()))
            }
            _ => None,
        }
        .unwrap_or(Input::Event(event))
    }

    /// One event, whichever comes first; false if nothing comes before the limit.
    fn step(&mut self, limit: Uptime) -> bool {
        self.take_orders();
        if self.is_over() {
            return false;
        }
        self.look();
        let coming = self.coming.keys().next().copied();
        let wake = self.machine.next_wake();
        let (at, input) = match (coming, wake) {
            (Some((at, _)), wake) if wake.is_none_or(|wake| at <= wake) && at <= limit => {
                let Some((_, (ticket, event))) = self.coming.pop_first() else { return false };
                let input = match ticket {
                    Some(ticket) => Input::Answer(ticket, event),
                    None => self.by_itself(event),
                };
                if let Input::Answer(ticket, _) = &input
                    && self.running.remove(ticket).is_none()
                {
                    return true; // a late answer to a cancelled ticket
                }
                (at, input)
            }
            (_, Some(wake)) if wake <= limit => (wake, Input::Event(Event::Woke)),
            _ => return false,
        };
        self.now = self.now.max(at);
        let event = input.event();
        self.wakes += u32::from(*event == Event::Woke);
        assert!(self.wakes < 100_000, "it spins:\n{}", self.trace);
        if !event.is_routine() {
            self.note(&format!("{} {event}", event.name()));
        }
        if matches!(event, Event::ImagePulled) {
            self.pulled = true;
        }
        self.machine.on(&input, self.now);
        self.noted = self.machine.noted_targets(self.now).or(self.noted.take());
        self.noted_releases = self.machine.noted_releases().or(self.noted_releases.take());
        if matches!(event, Event::HookCompleted) {
            self.completions.push(self.hook());
            self.completed.push(self.completing.clone());
        }
        true
    }

    fn take_orders(&mut self) {
        while let Some(effect) = self.machine.next_effect() {
            if !effect.is_routine() {
                self.note(&format!("> {effect}"));
            }
            match effect {
                Effect::Command(Command::Exit(outcome)) => self.outcome = Some(outcome),
                Effect::Command(Command::HandOver) => self.handed_over = true,
                Effect::Command(Command::Cancel(ticket)) => {
                    self.running.remove(&ticket);
                }
                Effect::Command(Command::RefuseHandover(_) | Command::Remark(_)) => {}
                Effect::Job(ticket, job) => {
                    let kind = job.kind();
                    match &job {
                        Job::CompleteHook { hook, .. } => self.completing = hook.to_string(),
                        Job::CreateContainer(creation) => self.chosen.clone_from(&creation.ports),
                        Job::WriteFinalStatus { output, line } => {
                            self.console.clone_from(output);
                            self.words.clone_from(line);
                        }
                        _ => {}
                    }
                    self.ordered.push(kind);
                    self.running.insert(ticket, kind);
                    let scripted = self.script.get_mut(&kind).and_then(VecDeque::pop_front);
                    if scripted.is_none() {
                        self.balance(&job);
                    }
                    let answer = scripted.or_else(|| self.documented(&job)).unwrap_or_else(|| self.usual(&job));
                    match answer {
                        Answer::After(delay, event) => self.schedule(self.now + delay, Some(ticket), event),
                        Answer::Never => {}
                    }
                }
            }
        }
    }

    fn look(&mut self) {
        let view = self.machine.view();
        if view.status == Status::Ok && !matches!(view.phase, PhaseName::Serve | PhaseName::Release) {
            self.ready_outside_serve = true;
        }
        let healthy_serve = view.status == Status::Ok;
        if self.machine.next_wake().is_none() && !healthy_serve {
            self.stuck = true;
        }
    }

    /// A call that is answered as usual is carried out.
    fn balance(&mut self, job: &Job) {
        match job {
            Job::RegisterTarget(target) => self.balancer.register(target, self.now),
            Job::DeregisterTarget(target) => self.balancer.deregister(target, self.now),
            _ => {}
        }
    }

    /// The container as it runs: with target groups, where its ports are published.
    fn started(&self) -> RunningContainer {
        let mut running = running();
        if !self.config.target_groups.is_empty() {
            let host =
                |port: &Port| if port.host == 0 { self.chosen.get(&port.container).copied() } else { Some(port.host) };
            let published = self.config.ports.iter().filter_map(|port| Some((port.container, host(port)?)));
            let everywhere = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
            running.published = published.map(|(container, host)| (container, everywhere(host))).collect();
        }
        running
    }

    /// The container as the engine lists it after the agent was killed.
    pub(crate) fn survivor(&self) -> FoundContainer {
        FoundContainer { running: Some(self.started()), ..survivor(&self.config) }
    }

    /// What answers a job in a world with documents.
    fn documented(&mut self, job: &Job) -> Option<Answer> {
        if self.documents.is_empty() {
            return None;
        }
        let now = self.now;
        match job {
            Job::StartContainer { id, .. } => {
                let usual = self.started();
                Some(Answer::After(ms(200), self.documents.start(id, usual, now)))
            }
            Job::WatchContainer(id) => {
                Some(self.documents.exit(id, now).map_or(Answer::Never, |(after, event)| Answer::After(after, event)))
            }
            Job::FindContainers { .. } => {
                Some(Answer::After(ms(5), Event::ContainersFound(self.documents.found(&self.started()))))
            }
            _ => {
                let delay = match self.usual(job) {
                    Answer::After(delay, _) => delay,
                    Answer::Never => return None,
                };
                let delay = if matches!(job, Job::ReadOutput { .. }) { delay + self.documents.reading } else { delay };
                Some(Answer::After(delay, self.documents.answer(job, now)?))
            }
        }
    }

    fn usual(&self, job: &Job) -> Answer {
        let (delay, event) = match job {
            Job::Identify => (10, Event::Identified(Arc::new(identity()))),
            Job::ReadConfig => (5, Event::ConfigRead(self.config.clone(), None)),
            Job::FollowConfig { .. } => (20, Event::ConfigUnchanged),
            Job::ReadRelease { .. } | Job::ReadCopy { .. } => (20, Event::ConfigRead(self.config.clone(), None)),
            Job::ReadBoard { .. } => (20, Event::BoardRead(BoardState::default())),
            Job::TakeLock { .. } => (20, Event::LockTaken(HeldLock { number: 0, etag: "1".to_owned() })),
            Job::RenewLock { lock, .. } => (20, Event::LockTaken(lock.clone())),
            Job::ReleaseLock { .. } => (20, Event::LockReleased),
            Job::MarkBegun { .. } => (20, Event::Marked("1".to_owned())),
            Job::TakeBackMark { .. } => (20, Event::Unmarked),
            Job::WriteVerdict { .. } => (20, Event::VerdictWritten),
            Job::Listen(_) => (1, Event::Listening),
            Job::FetchSecrets(_) => (100, Event::SecretsFetched),
            Job::LoginRegistry(_) => (80, Event::RegistryLoggedIn),
            Job::PingEngine => (5, Event::EngineAnswered),
            Job::FindContainers { .. } => (5, Event::ContainersFound(Vec::new())),
            Job::ResolveDigest(image, _) => (50, Event::DigestResolved(image.at(DIGEST.to_owned()))),
            Job::InspectImage(..) => (5, Event::ImageInspected(self.pulled.then(ImageFacts::default))),
            Job::CheckPaths(_) => (1, Event::PathsFound),
            Job::PullImage { .. } => (2000, Event::ImagePulled),
            Job::RemoveImage(_) => (40, Event::ImageRemoved(true)),
            Job::MeasureCapacity { .. } => (30, Event::CapacityMeasured(self.documents.capacity.clone())),
            Job::CreateContainer(_) => (50, Event::ContainerCreated(running().id)),
            Job::StartContainer { .. } => (200, Event::ContainerStarted(Box::new(self.started()))),
            Job::WatchContainer(_) => return Answer::Never,
            Job::ProbeApp { .. } if latest(&self.sick, self.now) => (10, refused()),
            Job::ProbeApp { .. } => (10, Event::ProbePassed),
            Job::StopContainer { .. } => (500, Event::ContainerStopped),
            Job::RemoveContainer { .. } => (300, Event::ContainerRemoved),
            Job::ForgetSecrets => (1, Event::SecretsForgotten),
            Job::FindGroup { .. } => (100, group(secs(600), "Pending:Wait")),
            Job::RecordHeartbeat(_) => (50, Event::HeartbeatRecorded),
            Job::CompleteHook { .. } => (50, Event::HookCompleted),
            Job::DescribeInstance => (50, Event::InstanceDescribed(Some("InService".to_owned()))),
            Job::MarkUnhealthy => (50, Event::MarkedUnhealthy),
            Job::DescribeGroup(_) => (
                50,
                Event::GroupDescribed(GroupFacts { target_groups: self.attached.clone(), launching: 1, before: 0 }),
            ),
            Job::FindPorts => (5, Event::PortsFound(self.taken.clone())),
            Job::DescribeTargets { target_group, ports } => {
                let target = |port: &u16| Target { target_group: target_group.clone(), port: *port };
                let health = |port: &u16| (*port, self.balancer.health(&target(port), self.now));
                (50, Event::TargetsDescribed(ports.iter().map(health).collect()))
            }
            Job::RegisterTarget(_) => (60, Event::TargetRegistered),
            Job::DeregisterTarget(_) => (60, Event::TargetDeregistered),
            Job::DescribeDelay(_) => (50, Event::DelayDescribed(self.balancer.delay)),
            Job::WatchMetadata => match self.prompt.filter(|at| (self.now..=self.now + secs(2)).contains(at)) {
                Some(at) => return Answer::After(at - self.now, Event::MetadataSeen(latest(&self.sights, at))),
                None => (5, Event::MetadataSeen(latest(&self.sights, self.now))),
            },
            Job::CountConnections(_) => (1, Event::ConnectionsCounted(latest(&self.held, self.now))),
            Job::ExtendStop(_) => (0, Event::StopExtended),
            Job::CheckSecrets(_) => (50, Event::SecretsChecked { changed: false }),
            Job::CheckMetadataBlock => (10, Event::MetadataBlockChecked(BlockRepair::default())),
            Job::WipeSecrets => (0, Event::SecretsWiped),
            Job::SignalApp { .. } => (1, Event::AppSignalled),
            Job::ReadOutput { .. } => (5, Event::OutputRead(wrote("demo: it does not work"))),
            Job::WriteFinalStatus { .. } => (1, Event::FinalStatusWritten),
        };
        Answer::After(ms(delay), event)
    }

    fn note(&mut self, what: &str) {
        let phase = format!("{:?}", self.machine.phase()).to_lowercase();
        let _ = writeln!(self.trace, "{:<9.3}{phase:8}{}", self.now.0.as_secs_f64(), what.trim_end());
    }
}

/// What holds at that moment.
fn latest<T: Clone + Default>(of: &BTreeMap<Uptime, T>, at: Uptime) -> T {
    of.range(..=at).next_back().map(|(_, value)| value.clone()).unwrap_or_default()
}

/// A snapshot of this target lifecycle state and nothing else.
pub(crate) fn target(state: TargetState) -> Snapshot {
    Snapshot { target_state: Some(state), ..Snapshot::default() }
}

/// An instance of a group.
pub(crate) fn identity() -> Identity {
    Identity {
        instance_id: "i-0123456789abcdef0".to_owned(),
        region: "us-east-2".to_owned(),
        availability_zone: "us-east-2a".to_owned(),
        account: "123456789012".to_owned(),
        target_state: Some(TargetState::InService),
    }
}

/// The app wrote this last.
pub(crate) fn wrote(line: &str) -> AppOutput {
    AppOutput { lines: vec![line.to_owned()], ..AppOutput::default() }
}

/// Nobody listens where the app should.
pub(crate) fn refused() -> Event {
    Event::ProbeFailed(ProbeFailure::new(ProbeFailureKind::Refused, "connection refused"))
}

/// The app exits.
pub(crate) fn exited(code: i64) -> Event {
    Event::ContainerExited(Exit { code, oom_killed: false })
}

impl Sim {
    /// The app answers the next probes with a refusal.
    pub(crate) fn fails_probing(mut self, times: usize) -> Self {
        for _ in 0..times {
            self = self.answer(JobKind::ProbeApp, ms(10), refused());
        }
        self
    }
}

impl Sim {
    /// Every attempt from here on fails, beyond what was scripted before.
    pub(crate) fn fails_always(mut self, job: JobKind, reason: &str) -> Self {
        for _ in 0..2000 {
            self = self.answer(job, ms(10), failure(job, ErrorClass::Transient, reason));
        }
        self
    }
}
