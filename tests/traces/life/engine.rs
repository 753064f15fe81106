//! The engine, and the app in its containers.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use berth_config::PinnedImage;
use berth_core::message::container::Exit;
use berth_core::message::container::{Address, ContainerId, Creation, FoundContainer, RunningContainer};
use berth_core::message::error::{ErrorClass, JobError};
use berth_core::message::event::Event;
use berth_core::message::job::JobKind;
use berth_core::message::output::{AppOutput, Unavailable};

use super::balancer::PORT;
use super::plan::Plan;
use super::table::BootFault;
use super::twist::Twist;
use crate::sim::{DIGEST, ms, wrote};

/// A job that waits for an answer: the nth agent's ticket.
pub(crate) type Asker = (u32, u64);

#[derive(Clone, Debug)]
pub(crate) struct Container {
    pub(crate) id: ContainerId,
    pub(crate) name: String,
    pub(crate) fingerprint: String,
    /// Its port on the host; none if it is not published.
    port: Option<u16>,
    pub(crate) flaw: Option<Flaw>,
    pub(crate) started: Option<Duration>,
    /// When it ran for the first time.
    pub(crate) began: Option<Duration>,
    /// When the process ends by itself, or because of a stop.
    exits: Option<(Duration, Exit)>,
    exited: Option<Exit>,
    /// Whether its stop was asked for.
    pub(crate) stopping: bool,
}

/// What befalls every container of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// It exits so long after each start.
    Exits(Duration),
    NeverHealthy,
    /// It is not healthy any more so long after its start.
    Sickens(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Exit,
    Stop,
    Remove,
}

/// The fingerprint of a container that another agent left.
const STRAY: &str = "of another config";

/// What happened in the engine.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "it is looked at and dropped")]
pub(crate) enum News {
    Answer(Asker, Event),
    /// The app of this container ended.
    Ended(Container),
}

#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) containers: Vec<Container>,
    waits: Vec<(Asker, ContainerId, Wait)>,
    pub(crate) has_image: bool,
    /// When it does not answer, from and to, whether it takes the apps along, and in any case none answers that was asked before.
    away: Vec<(Duration, Duration, bool)>,
    outages: Vec<(Duration, Duration)>,
    crashes: Vec<(Duration, bool)>,
    loops: Vec<(Duration, Duration)>,
    /// When every container is removed, and whether the image is too.
    removals: Vec<(Duration, bool)>,
    sick: Vec<(Duration, Duration)>,
    ready_in: Duration,
    stops_in: Duration,
    created: u32,
    /// The ports of versions that were no good: a load balancer may send there for a while after they are gone.
    pub(crate) bad_ports: BTreeSet<u16>,
}

fn within(spans: &[(Duration, Duration)], now: Duration) -> bool {
    spans.iter().any(|(from, to)| (*from..*to).contains(&now))
}

impl Container {
    /// Whether another agent left it: no agent of this life started it.
    pub(crate) fn is_stray(&self) -> bool {
        self.fingerprint == STRAY
    }

    /// Its port on the host; none if it is not published.
    pub(crate) fn port(&self) -> Option<u16> {
        self.port
    }
}

impl Engine {
    pub(crate) fn new(plan: &Plan) -> Self {
        let mut engine = Self {
            containers: Vec::new(),
            waits: Vec::new(),
            has_image: plan.has(|twist| matches!(twist, Twist::Baked)),
            away: Vec::new(),
            outages: Vec::new(),
            crashes: Vec::new(),
            loops: Vec::new(),
            removals: Vec::new(),
            sick: Vec::new(),
            ready_in: plan.shape.app_ready_in,
            stops_in: ms(300),
            created: 0,
            bad_ports: BTreeSet::new(),
        };
        for twist in &plan.twists {
            match twist {
                Twist::EngineAway { at, lasts, kills } => engine.leave(*at, *lasts, *kills),
                Twist::BootFault(BootFault::EngineLate(lasts)) => {
                    engine.leave(Duration::ZERO, plan.shape.os_boots_in + *lasts, false);
                }
                Twist::BootFault(BootFault::NeverHealthy) => engine.ready_in = Duration::MAX / 4,
                Twist::BootFault(BootFault::ExitsAtOnce) => {
                    engine.loops.push((Duration::ZERO, Duration::MAX));
                    engine.ready_in = engine.ready_in.max(ms(1000));
                }
                Twist::Crash { at, oom } => engine.crashes.push((*at, *oom)),
                Twist::CrashLoop { at, lasts } => engine.loops.push((*at, *at + *lasts)),
                Twist::Removed { at, image } => engine.removals.push((*at, *image)),
                Twist::Sick { at, lasts } => engine.sick.push((*at, *at + *lasts)),
                Twist::StartsIn(takes) => engine.ready_in = *takes,
                Twist::StopsIn(takes) => engine.stops_in = *takes,
                Twist::Stray { running, takes_the_name } => {
                    engine.stray(*running, *takes_the_name);
                }
                _ => {}
            }
        }
        engine
    }

    /// It is away from `at` on.
    pub(crate) fn leave(&mut self, at: Duration, lasts: Duration, kills: bool) {
        self.away.push((at, at + lasts, kills));
        self.outages.push((at, at + lasts));
    }

    /// From here on nothing is wrong with it, and an app is healthy as soon as an app can be.
    pub(crate) fn heal(&mut self, ready_in: Duration, now: Duration) {
        for (_, to) in self.outages.iter_mut().chain(&mut self.loops).chain(&mut self.sick) {
            *to = (*to).min(now);
        }
        self.away.retain_mut(|(from, to, _)| {
            *to = (*to).min(now);
            from < to
        });
        (self.ready_in, self.stops_in) = (ready_in, ms(300));
        for one in &mut self.containers {
            if matches!(one.flaw.take(), Some(Flaw::Exits(_))) && !one.stopping {
                one.exits = None;
            }
        }
    }

    /// Every app ends here.
    pub(crate) fn crash(&mut self, now: Duration) {
        self.crashes.push((now, false));
    }

    /// Whether a question that was asked at that time is not answered.
    pub(crate) fn is_away(&self, since: Duration, now: Duration) -> bool {
        self.outages.iter().any(|(from, to)| *from <= now && since < *to)
    }

    fn stray(&mut self, running: bool, takes_the_name: bool) {
        let id = self.next_id();
        self.containers.push(Container {
            id,
            name: if takes_the_name { "berth-api" } else { "berth-old" }.to_owned(),
            fingerprint: STRAY.to_owned(),
            port: Some(0),
            flaw: None,
            started: running.then_some(Duration::ZERO),
            began: running.then_some(Duration::ZERO),
            exits: None,
            exited: None,
            stopping: false,
        });
    }

    fn next_id(&mut self) -> ContainerId {
        self.created += 1;
        ContainerId(format!("c{}", self.created))
    }

    pub(crate) fn container(&self, id: &ContainerId) -> Option<&Container> {
        self.containers.iter().find(|one| one.id == *id)
    }

    pub(crate) fn running(&self) -> impl Iterator<Item = &Container> {
        self.containers.iter().filter(|one| one.started.is_some())
    }

    /// Whether the app in this container answers.
    pub(crate) fn answers(&self, one: &Container, now: Duration) -> bool {
        let Some(since) = one.started.filter(|_| !one.stopping) else { return false };
        let is_sick = match one.flaw {
            Some(Flaw::NeverHealthy) => true,
            Some(Flaw::Sickens(after)) => since + after <= now,
            Some(Flaw::Exits(_)) | None => false,
        };
        since + self.ready_in <= now && !is_sick && !within(&self.sick, now)
    }

    /// Whether an app answers on this port of the host.
    pub(crate) fn answers_on(&self, port: u16, now: Duration) -> bool {
        self.running().any(|one| one.port == Some(port) && self.answers(one, now))
    }

    /// The ports of the host that containers have.
    pub(crate) fn ports(&self) -> BTreeSet<u16> {
        self.running().filter_map(|one| one.port).collect()
    }

    pub(crate) fn probe(&self, id: &ContainerId, now: Duration) -> bool {
        self.running().any(|one| one.id == *id && self.answers(one, now))
    }

    /// All are of this instance.
    pub(crate) fn find(&self, now: Duration) -> Vec<FoundContainer> {
        let image = PinnedImage { repository: "registry.test/api".to_owned(), digest: DIGEST.to_owned() };
        self.containers
            .iter()
            .map(|one| FoundContainer {
                id: one.id.clone(),
                name: one.name.clone(),
                fingerprint: Some(one.fingerprint.clone()),
                image: Some(image.clone()),
                running: one.started.map(|since| view(&one.id, one.port, now.saturating_sub(since))),
            })
            .collect()
    }

    pub(crate) fn create(&mut self, creation: &Creation, fingerprint: String, flaw: Option<Flaw>) -> Event {
        let name = creation.config.container_name();
        if self.containers.iter().any(|one| one.name == name) {
            return failure(JobKind::CreateContainer, ErrorClass::Transient, "the name is in use");
        }
        let id = self.next_id();
        let (started, exits, exited) = (None, None, None);
        let port = creation.ports.get(&PORT).copied().unwrap_or(PORT);
        let port = (!creation.config.placement.is_unpublished).then_some(port);
        let stopping = false;
        let began = None;
        self.bad_ports.extend(port.filter(|_| flaw.is_some()));
        let new = Container { id: id.clone(), name, fingerprint, port, flaw, started, began, exits, exited, stopping };
        self.containers.push(new);
        Event::ContainerCreated(id)
    }

    pub(crate) fn start(&mut self, id: &ContainerId, now: Duration) -> Event {
        let loops = within(&self.loops, now);
        let Some(one) = self.containers.iter_mut().find(|one| one.id == *id) else {
            return failure(JobKind::StartContainer, ErrorClass::Gone, "no such container");
        };
        if one.started.is_none() {
            one.started = Some(now);
            one.began.get_or_insert(now);
            one.stopping = false;
            let flaw = match one.flaw {
                Some(Flaw::Exits(after)) => Some(after),
                _ => None,
            };
            let after = flaw.into_iter().chain(loops.then_some(ms(500))).min();
            one.exits = after.map(|after| (now + after, Exit { code: 1, oom_killed: false }));
        }
        let running_for = one.started.map_or(Duration::ZERO, |since| now.saturating_sub(since));
        Event::ContainerStarted(Box::new(view(id, one.port, running_for)))
    }

    /// What the container wrote last.
    pub(crate) fn output(&self, id: &ContainerId) -> AppOutput {
        match self.containers.iter().find(|one| one.id == *id) {
            Some(_) => wrote("so far, so good"),
            None => AppOutput::none(Unavailable::ContainerRemoved),
        }
    }

    pub(crate) fn watch(&mut self, asker: Asker, id: &ContainerId) {
        self.waits.push((asker, id.clone(), Wait::Exit));
    }

    /// Stops it, and removes it if wanted; the answer comes once it is over.
    pub(crate) fn stop(&mut self, asker: Asker, id: &ContainerId, timeout: Duration, remove: bool, now: Duration) {
        let takes = self.stops_in;
        if let Some(one) = self.containers.iter_mut().find(|one| one.id == *id)
            && one.started.is_some()
        {
            one.stopping = true;
            let code = if takes <= timeout { 0 } else { 137 };
            let ends = now + takes.min(timeout);
            if one.exits.as_ref().is_none_or(|(at, _)| ends < *at) {
                one.exits = Some((ends, Exit { code, oom_killed: false }));
            }
        }
        self.waits.push((asker, id.clone(), if remove { Wait::Remove } else { Wait::Stop }));
    }

    /// The agent died. No answer is delivered any more, and what was begun is done.
    pub(crate) fn forget(&mut self, agent: u32) {
        self.waits.retain(|((of, _), _, wait)| *of != agent || *wait == Wait::Remove);
    }

    /// Every process ends: the machine is switched off.
    pub(crate) fn power_off(&mut self) {
        self.waits.clear();
        for one in &mut self.containers {
            if one.started.take().is_some() {
                one.exited = Some(Exit { code: 137, oom_killed: false });
            }
        }
    }

    /// It knows nothing of what it had.
    pub(crate) fn forget_all(&mut self) {
        self.containers.clear();
        self.has_image = false;
    }

    pub(crate) fn due(&self) -> Option<Duration> {
        let ends = self.running().filter_map(|one| one.exits.as_ref().map(|(at, _)| *at));
        let crashes = self.crashes.iter().chain(&self.removals).map(|(at, _)| *at);
        let away = self.away.iter().map(|(at, _, _)| *at).filter(|_| !self.waits.is_empty());
        let waits = self.waits.iter().filter(|(_, id, _)| !self.is_running(id)).map(|_| Duration::ZERO);
        ends.chain(crashes).chain(away).chain(waits).min()
    }

    pub(crate) fn is_running(&self, id: &ContainerId) -> bool {
        self.running().any(|one| one.id == *id)
    }

    pub(crate) fn advance(&mut self, now: Duration) -> Vec<News> {
        let mut news = Vec::new();
        let crashing = self.crashes.iter().position(|(at, _)| *at <= now).map(|at| self.crashes.remove(at));
        for one in self.containers.iter_mut().filter(|one| one.started.is_some()) {
            if let Some((_, oom_killed)) = crashing {
                one.exits = Some((now, Exit { code: 137, oom_killed }));
            }
        }
        let removal = self.removals.iter().position(|(at, _)| *at <= now).map(|at| self.removals.remove(at));
        for one in self.containers.iter_mut().filter(|one| removal.is_some() && one.started.is_some()) {
            one.exits = Some((now, Exit { code: 137, oom_killed: false }));
        }
        let left = self.away.iter().position(|(from, to, _)| (*from..*to).contains(&now));
        if let Some((_, _, kills)) = left.and_then(|at| self.away.get_mut(at)) {
            if std::mem::take(kills) {
                for one in self.containers.iter_mut().filter(|one| one.started.is_some()) {
                    one.exits = Some((now, Exit { code: 137, oom_killed: false }));
                }
            }
            for (asker, _, wait) in self.waits.drain(..) {
                let job = match wait {
                    Wait::Exit => JobKind::WatchContainer,
                    Wait::Stop => JobKind::StopContainer,
                    Wait::Remove => JobKind::RemoveContainer,
                };
                news.push(News::Answer(asker, failure(job, ErrorClass::Transient, "the engine is away")));
            }
        }
        self.away.retain(|(_, to, _)| *to > now);
        for one in &mut self.containers {
            if let Some((_, exit)) = one.exits.take_if(|(at, _)| *at <= now)
                && one.started.take().is_some()
            {
                one.exited = Some(exit);
                news.push(News::Ended(one.clone()));
            }
        }
        if let Some((_, image)) = removal {
            self.containers.clear();
            self.has_image &= !image;
        }
        let over = |id: &ContainerId| !self.containers.iter().any(|one| one.id == *id && one.started.is_some());
        let (done, waits) = std::mem::take(&mut self.waits).into_iter().partition(|(_, id, _)| over(id));
        self.waits = waits;
        let done: Vec<(Asker, ContainerId, Wait)> = done;
        for (asker, id, wait) in done {
            let exit = self.containers.iter().find(|one| one.id == id).and_then(|one| one.exited.clone());
            let event = match wait {
                Wait::Exit => Event::ContainerExited(exit.unwrap_or(Exit { code: 137, oom_killed: false })),
                Wait::Stop => Event::ContainerStopped,
                Wait::Remove => {
                    self.containers.retain(|one| one.id != id);
                    Event::ContainerRemoved
                }
            };
            news.push(News::Answer(asker, event));
        }
        news
    }
}

fn view(id: &ContainerId, port: Option<u16>, running_for: Duration) -> RunningContainer {
    let address = Address::At(IpAddr::V4(Ipv4Addr::new(172, 17, 0, 2)));
    let everywhere = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
    let published = port.map(|port| (PORT, everywhere(port))).into_iter().collect();
    RunningContainer { id: id.clone(), address, published, healthcheck: None, shim: false, running_for }
}

fn failure(job: JobKind, class: ErrorClass, reason: &str) -> Event {
    Event::Failed(job, JobError::new(class, reason))
}
