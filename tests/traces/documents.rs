//! What `config=` points to over time, its board, and the containers of its releases: a world for lives with releases.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use berth_config::{PinnedImage, Port};
use berth_core::clock::Uptime;
use berth_core::message::capacity::Capacity;
use berth_core::message::container::{ContainerId, Creation, FoundContainer, ImageFacts, RunningContainer};
use berth_core::message::error::ErrorClass;
use berth_core::message::event::Event;
use berth_core::message::job::{Job, JobKind};
use berth_core::message::output::{AppOutput, Unavailable};
use berth_core::message::release::{BoardState, HeldLock, Release, ReleaseId, Verdict};

use crate::sim::{config, exited, failure, refused, wrote};

/// What befalls every container of an image's tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// It exits so long after its start.
    Exits(Duration),
    /// It never becomes healthy.
    NeverHealthy,
    /// It is not healthy any more so long after its start.
    Sickens(Duration),
}

/// A container of the world's engine.
#[derive(Clone, Debug)]
pub(crate) struct Container {
    pub(crate) creation: Creation,
    pub(crate) started: Option<Uptime>,
}

/// The documents, the board and the containers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Documents {
    /// The line that the document has, from when on.
    published: BTreeMap<Uptime, String>,
    /// Every line that it ever had.
    lines: BTreeSet<String>,
    pub(crate) board: BTreeMap<ReleaseId, BoardState>,
    /// Verdicts that this instance wrote.
    pub(crate) verdicts: Vec<(ReleaseId, Verdict, String)>,
    /// The app's last lines in each of them.
    pub(crate) outputs: Vec<Option<AppOutput>>,
    /// For the engine to return the app's last lines, beyond the usual.
    pub(crate) reading: Duration,
    /// The marks of this instance.
    pub(crate) begun: BTreeSet<ReleaseId>,
    /// Until when others hold every lock.
    pub(crate) busy_until: Uptime,
    pub(crate) previous: BTreeMap<ReleaseId, ReleaseId>,
    /// Those whose document is nowhere any more.
    pub(crate) missing: BTreeSet<ReleaseId>,
    /// Whether what is published goes back to an earlier release, and from which.
    pub(crate) is_rollback: bool,
    pub(crate) fled: Option<ReleaseId>,
    pub(crate) flaws: BTreeMap<String, Flaw>,
    pub(crate) containers: BTreeMap<ContainerId, Container>,
    created: u32,
    /// The containers, by the order of their creation, that were created although the engine did not answer.
    pub(crate) lost: BTreeSet<u32>,
    /// What the host has left.
    pub(crate) capacity: Capacity,
    /// The images that the engine has, if each tag has an image of its own. Else all tags are of one image.
    pub(crate) images: Option<Vec<PinnedImage>>,
    /// What the removal of an image frees on the disk.
    pub(crate) frees: u64,
}

impl Documents {
    /// The release of a line.
    pub(crate) fn id(line: &str) -> ReleaseId {
        ReleaseId::of(line.as_bytes())
    }

    pub(crate) fn publish(&mut self, at: Uptime, line: &str) {
        self.published.insert(at, line.to_owned());
        self.lines.insert(line.to_owned());
    }

    /// The board has this about a release.
    pub(crate) fn stop(&mut self, release: ReleaseId, state: BoardState) {
        self.board.insert(release, state);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.published.is_empty()
    }

    fn read(&self, at: Uptime, line: &str, is_copy: bool, now: Uptime) -> Event {
        let id = Self::id(line);
        let is_rollback = self.is_rollback && !is_copy;
        let previous = if is_rollback { self.fled.as_ref() } else { self.previous.get(&id) };
        let release =
            Release { revision: id.0.clone(), age: now.since(at), previous: previous.cloned(), is_rollback, id };
        Event::ConfigRead(Arc::new(config(line)), Some(Box::new(release)))
    }

    /// The answer to a job that reads or writes here; none if it is another job's.
    pub(crate) fn answer(&mut self, job: &Job, now: Uptime) -> Option<Event> {
        let (at, line) = self.published.range(..=now).next_back().map(|(at, line)| (*at, line.clone()))?;
        Some(match job {
            Job::ReadConfig => self.read(at, &line, false, now),
            Job::FollowConfig { revision } if *revision == Self::id(&line).0 => Event::ConfigUnchanged,
            Job::FollowConfig { .. } => self.read(at, &line, false, now),
            Job::ReadRelease { release, .. } | Job::ReadCopy { release, .. } if self.missing.contains(release) => {
                failure(JobKind::ReadRelease, ErrorClass::Broken, "not kept")
            }
            Job::ReadRelease { release, .. } | Job::ReadCopy { release, .. } => {
                let line = self.lines.iter().find(|line| Self::id(line) == *release);
                self.read(Uptime::ZERO, line.expect("a release that was published"), true, now)
            }
            Job::ReadBoard { release, .. } => {
                let own = self.verdicts.iter().find(|(id, ..)| id == release).map(|(_, verdict, _)| *verdict);
                let state = self.board.get(release).cloned().unwrap_or_default();
                let has_begun = own.is_none() && self.begun.contains(release);
                Event::BoardRead(BoardState { own, has_begun, ..state })
            }
            Job::TakeLock { .. } if now < self.busy_until => Event::LocksBusy,
            Job::TakeLock { .. } => Event::LockTaken(HeldLock { number: 0, etag: "1".to_owned() }),
            Job::RenewLock { .. } if now < self.busy_until => Event::LockLost,
            Job::RenewLock { lock, .. } => Event::LockTaken(lock.clone()),
            Job::ReleaseLock { .. } => Event::LockReleased,
            Job::MarkBegun { release, .. } => {
                self.begun.insert(release.clone());
                Event::Marked("1".to_owned())
            }
            Job::TakeBackMark { release, .. } => {
                self.begun.remove(release);
                Event::Unmarked
            }
            Job::ReadOutput { id, .. } => Event::OutputRead(match self.containers.get(id) {
                Some(container) => wrote(&format!("{} wrote this", container.creation.config.version())),
                None => AppOutput::none(Unavailable::ContainerRemoved),
            }),
            Job::WriteVerdict { release, verdict, reason, output, .. } => {
                self.outputs.push(output.clone());
                self.verdicts.push((release.clone(), *verdict, reason.clone()));
                let state = self.board.entry(release.clone()).or_default();
                match verdict {
                    Verdict::Ok => state.ok += 1,
                    Verdict::Bad => state.bad += 1,
                }
                Event::VerdictWritten
            }
            Job::ResolveDigest(image, _) if self.images.is_some() => {
                let tag = image.tag.clone().unwrap_or_default();
                Event::DigestResolved(image.at(format!("sha256:{}", ReleaseId::of(tag.as_bytes()).0.repeat(4))))
            }
            Job::InspectImage(image, _) if self.images.is_some() => {
                let is_here = self.images.as_ref()?.contains(image);
                Event::ImageInspected(is_here.then(ImageFacts::default))
            }
            Job::PullImage { image, .. } => {
                self.images.as_mut()?.push(image.clone());
                Event::ImagePulled
            }
            Job::RemoveImage(image) => {
                let images = self.images.as_mut()?;
                assert!(images.contains(image), "{image} is not here");
                if self.containers.values().any(|one| one.creation.image == *image) {
                    return Some(Event::ImageRemoved(false));
                }
                images.retain(|one| one != image);
                self.capacity.disk_free = self.capacity.disk_free.map(|free| free + self.frees);
                Event::ImageRemoved(true)
            }
            Job::CreateContainer(creation) => {
                if let Some(images) = &self.images {
                    assert!(images.contains(&creation.image), "{} is not here", creation.image);
                }
                let name = creation.config.container_name();
                if self.containers.values().any(|one| one.creation.config.container_name() == name) {
                    assert!(!self.lost.is_empty(), "the name {name} is taken");
                    return Some(failure(JobKind::CreateContainer, ErrorClass::Transient, "the name is in use"));
                }
                self.created += 1;
                let id = ContainerId(format!("container{}", self.created));
                let container = Container { creation: creation.as_ref().clone(), started: None };
                self.containers.insert(id.clone(), container);
                if self.lost.contains(&self.created) {
                    return Some(failure(
                        JobKind::CreateContainer,
                        ErrorClass::Transient,
                        "connection closed mid-response",
                    ));
                }
                Event::ContainerCreated(id)
            }
            Job::StopContainer { id, .. } => {
                if let Some(container) = self.containers.get_mut(id) {
                    container.started = None;
                }
                Event::ContainerStopped
            }
            Job::RemoveContainer { id, .. } => {
                self.containers.remove(id);
                Event::ContainerRemoved
            }
            Job::ProbeApp { app, .. } => match self.flaw(&app.id, now) {
                Some((Flaw::NeverHealthy, _)) => refused(),
                Some((Flaw::Sickens(after), age)) if age >= after => refused(),
                Some(_) => Event::ProbePassed,
                None => refused(),
            },
            _ => return None,
        })
    }

    /// What befalls a container that runs, and for how long it has run.
    fn flaw(&self, id: &ContainerId, now: Uptime) -> Option<(Flaw, Duration)> {
        let container = self.containers.get(id)?;
        let age = now.since(container.started?);
        let tag = container.creation.config.image.tag.clone().unwrap_or_default();
        Some((self.flaws.get(&tag).copied().unwrap_or(Flaw::Exits(Duration::MAX)), age))
    }

    /// Starts a container, `usual` as the engine shows one.
    pub(crate) fn start(&mut self, id: &ContainerId, usual: RunningContainer, now: Uptime) -> Event {
        let Some(container) = self.containers.get_mut(id) else {
            return failure(JobKind::StartContainer, ErrorClass::Gone, "no such container");
        };
        container.started = Some(now);
        let published = published(&container.creation);
        Event::ContainerStarted(Box::new(RunningContainer { id: id.clone(), published, ..usual }))
    }

    /// When a container that is watched exits by itself.
    pub(crate) fn exit(&self, id: &ContainerId, now: Uptime) -> Option<(Duration, Event)> {
        match self.flaw(id, now)? {
            (Flaw::Exits(after), age) if after < Duration::MAX => Some((after.saturating_sub(age), exited(1))),
            _ => None,
        }
    }

    /// The containers as the engine lists them, for an agent that comes after one that was killed.
    pub(crate) fn found(&self, usual: &RunningContainer) -> Vec<FoundContainer> {
        let found = |(id, one): (&ContainerId, &Container)| FoundContainer {
            id: id.clone(),
            name: one.creation.config.container_name(),
            fingerprint: Some(one.creation.config.fingerprint()),
            image: Some(one.creation.image.clone()),
            running: one.started.map(|_| RunningContainer {
                id: id.clone(),
                published: published(&one.creation),
                ..usual.clone()
            }),
        };
        self.containers.iter().map(found).collect()
    }

    /// The same for another agent, so much later: its clock begins at zero again.
    pub(crate) fn after(mut self, passed: Duration) -> Self {
        let earlier = |at: Uptime| Uptime(at.0.saturating_sub(passed));
        self.published = self.published.into_iter().map(|(at, line)| (earlier(at), line)).collect();
        self.busy_until = earlier(self.busy_until);
        for container in self.containers.values_mut() {
            // Its age would be lost with the clock.
            let age = container.started.map(|started| passed.saturating_sub(started.0));
            let tag = container.creation.config.image.tag.clone().unwrap_or_default();
            if let (Some(age), Some(Flaw::Exits(after) | Flaw::Sickens(after))) = (age, self.flaws.get_mut(&tag)) {
                *after = after.saturating_sub(age);
            }
            container.started = container.started.map(earlier);
        }
        self
    }

    /// The tags of the images that the engine has.
    pub(crate) fn image_tags(&self, tags: &[&'static str]) -> Vec<&'static str> {
        let digest = |tag: &str| format!("sha256:{}", ReleaseId::of(tag.as_bytes()).0.repeat(4));
        let has = |tag: &&&str| self.images.iter().flatten().any(|image| image.digest == digest(tag));
        tags.iter().filter(has).copied().collect()
    }

    /// The tags of what runs.
    pub(crate) fn tags(&self) -> BTreeSet<String> {
        let running = self.containers.values().filter(|one| one.started.is_some());
        running.map(|one| one.creation.config.image.tag.clone().unwrap_or_default()).collect()
    }
}

/// Where the ports of a container are on the host.
fn published(creation: &Creation) -> Vec<(u16, SocketAddr)> {
    if creation.config.placement.is_unpublished {
        return Vec::new();
    }
    let host = |port: &Port| creation.ports.get(&port.container).copied().unwrap_or(port.host);
    let everywhere = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
    creation.config.ports.iter().map(|port| (port.container, everywhere(host(port)))).collect()
}
