//! What `config=` points to over time, and the board of its releases. Other instances are there as far as this one can see them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use berth_config::Config;
use berth_core::message::error::{ErrorClass, JobError};
use berth_core::message::event::Event;
use berth_core::message::job::{Job, JobKind};
use berth_core::message::release::{BoardState, HeldLock, Release, ReleaseId, Verdict};

use super::engine::Flaw;
use super::plan::Plan;
use super::twist::Twist;
use super::world::validated;

/// What is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Published {
    /// The next version.
    Good,
    /// The next version, which is no good.
    Bad(Flaw),
    /// A document that does not validate.
    Invalid,
    /// The one before again.
    Back,
}

/// One document.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) id: ReleaseId,
    /// None if it does not validate.
    pub(crate) config: Option<(Arc<Config>, String)>,
    pub(crate) flaw: Option<Flaw>,
    /// Whether it was published with one.
    pub(crate) is_bad: bool,
    previous: Option<ReleaseId>,
}

/// A lock of this instance.
#[derive(Debug)]
struct Lock {
    etag: u32,
    until: Duration,
}

/// The documents and the board.
#[derive(Debug)]
pub(crate) struct Documents {
    all: Vec<Document>,
    /// Which of them is published, as which revision, since when.
    current: usize,
    revision: u32,
    since: Duration,
    is_rollback: bool,
    /// What this instance wrote.
    pub(crate) verdicts: BTreeMap<ReleaseId, Verdict>,
    marks: BTreeSet<ReleaseId>,
    lock: Option<Lock>,
    etags: u32,
    /// What was read here is on the disk.
    kept: BTreeSet<ReleaseId>,
}

impl Documents {
    /// None where nothing is followed.
    pub(crate) fn new(plan: &Plan) -> Option<Self> {
        plan.follows().then(|| Self {
            all: vec![document(plan, 0, None, None)],
            current: 0,
            revision: 0,
            since: Duration::ZERO,
            is_rollback: false,
            verdicts: BTreeMap::new(),
            marks: BTreeSet::new(),
            lock: None,
            etags: 0,
            kept: BTreeSet::new(),
        })
    }

    pub(crate) fn publish(&mut self, what: Published, plan: &Plan, now: Duration) {
        let next = self.all.len();
        let previous = self.all.get(self.current).map(|one| one.id.clone());
        self.is_rollback = what == Published::Back;
        self.current = match what {
            Published::Back => self.current.saturating_sub(1),
            Published::Good => self.add(document(plan, next, None, previous)),
            Published::Bad(flaw) => self.add(document(plan, next, Some(flaw), previous)),
            Published::Invalid => self.add(Document { config: None, ..document(plan, next, None, previous) }),
        };
        self.revision += 1;
        self.since = now;
    }

    fn add(&mut self, new: Document) -> usize {
        self.all.push(new);
        self.all.len() - 1
    }

    /// What is published.
    pub(crate) fn current(&self) -> Option<&Document> {
        self.all.get(self.current)
    }

    /// The document of a release.
    pub(crate) fn of(&self, id: &ReleaseId) -> Option<&Document> {
        self.all.iter().find(|one| one.id == *id)
    }

    /// The document that a container was made of.
    pub(crate) fn made(&self, fingerprint: &str) -> Option<&Document> {
        self.all.iter().find(|one| one.config.as_ref().is_some_and(|(_, of)| of == fingerprint))
    }

    /// What the fleet had before serves elsewhere, too.
    fn is_first(&self, id: &ReleaseId) -> bool {
        self.all.first().is_some_and(|first| first.id == *id)
    }

    /// Whether it is read from the disk.
    pub(crate) fn keeps(&self, job: &Job) -> bool {
        matches!(job, Job::ReadRelease { release, .. } if self.kept.contains(release))
    }

    /// What was kept is gone.
    pub(crate) fn lose_kept(&mut self) {
        self.kept.clear();
    }

    /// Whether somebody serves it.
    pub(crate) fn is_proven(&self, id: &ReleaseId) -> bool {
        self.is_first(id) || self.verdicts.get(id) == Some(&Verdict::Ok)
    }

    /// Nothing is wrong with any version from here on.
    pub(crate) fn heal(&mut self) {
        self.all.iter_mut().for_each(|one| one.flaw = None);
    }

    fn read(&self, one: &Document, now: Duration) -> Event {
        let is_current = self.current().is_some_and(|current| current.id == one.id);
        let release = Box::new(Release {
            id: one.id.clone(),
            revision: if is_current { self.revision.to_string() } else { String::new() },
            age: now.saturating_sub(self.since),
            previous: one.previous.clone(),
            is_rollback: is_current && self.is_rollback,
        });
        match &one.config {
            Some((config, _)) => Event::ConfigRead(config.clone(), Some(release)),
            None => Event::ConfigRefused { release, error: JobError::new(ErrorClass::Misconfigured, "so planned") },
        }
    }

    /// Its copy on the board, or on the disk: that a rollback published it again is not in it.
    fn copy(&self, one: &Document, now: Duration) -> Event {
        match self.read(one, now) {
            Event::ConfigRead(config, Some(release)) => {
                Event::ConfigRead(config, Some(Box::new(Release { is_rollback: false, ..*release })))
            }
            refused => refused,
        }
    }

    /// The answer to a job that reads or writes here; none if it is another job's.
    pub(crate) fn answer(&mut self, job: &Job, plan: &Plan, now: Duration) -> Option<Event> {
        let during = |is: fn(&Twist) -> Option<(Duration, Duration)>| {
            plan.twists.iter().filter_map(is).any(|(from, to)| (from..to).contains(&now))
        };
        let busy = |twist: &Twist| match twist {
            Twist::LocksBusy { at, lasts } => Some((*at, *at + *lasts)),
            _ => None,
        };
        let halted = |twist: &Twist| match twist {
            Twist::Halted { at, lasts } => Some((*at, *at + *lasts)),
            _ => None,
        };
        let read = match job {
            Job::ReadConfig | Job::FollowConfig { .. } => self.current().map(|one| one.id.clone()),
            Job::ReadRelease { release, .. } => Some(release.clone()),
            _ => None,
        };
        self.kept.extend(read);
        Some(match job {
            Job::ReadConfig => match self.read(self.current()?, now) {
                Event::ConfigRefused { error, .. } => Event::Failed(JobKind::ReadConfig, error),
                read => read,
            },
            Job::FollowConfig { revision } if *revision == self.revision.to_string() => Event::ConfigUnchanged,
            Job::FollowConfig { .. } => self.read(self.current()?, now),
            Job::ReadRelease { release, .. } | Job::ReadCopy { release, .. } => match self.of(release) {
                Some(one) => self.copy(one, now),
                None => Event::Failed(job.kind(), JobError::new(ErrorClass::Broken, "no such release")),
            },
            Job::ReadBoard { release, .. } => {
                let own = self.verdicts.get(release).copied();
                let first = self.is_first(release);
                Event::BoardRead(BoardState {
                    ok: u32::from(own == Some(Verdict::Ok)) + u32::from(first),
                    bad: u32::from(own == Some(Verdict::Bad)),
                    own,
                    unsettled: 0,
                    is_halted: during(halted),
                    pardoned: 0,
                    has_begun: self.marks.contains(release),
                })
            }
            Job::TakeLock { .. } if during(busy) => Event::LocksBusy,
            Job::TakeLock { lease, .. } => self.hold(now + *lease),
            Job::RenewLock { lock, lease, .. } => {
                let is_own = self.lock.as_ref().is_some_and(|own| own.etag.to_string() == lock.etag && now < own.until);
                if is_own && !during(busy) {
                    self.hold(now + *lease)
                } else {
                    self.lock = None;
                    Event::LockLost
                }
            }
            Job::ReleaseLock { .. } => {
                self.lock = None;
                Event::LockReleased
            }
            Job::MarkBegun { release, .. } => {
                self.marks.insert(release.clone());
                Event::Marked("1".to_owned())
            }
            Job::TakeBackMark { release, .. } => {
                self.marks.remove(release);
                Event::Unmarked
            }
            Job::WriteVerdict { release, verdict, .. } => {
                self.verdicts.entry(release.clone()).or_insert(*verdict);
                Event::VerdictWritten
            }
            _ => return None,
        })
    }

    fn hold(&mut self, until: Duration) -> Event {
        self.etags += 1;
        self.lock = Some(Lock { etag: self.etags, until });
        Event::LockTaken(HeldLock { number: 0, etag: self.etags.to_string() })
    }
}

/// The nth document of a plan.
fn document(plan: &Plan, nth: usize, flaw: Option<Flaw>, previous: Option<ReleaseId>) -> Document {
    let mut words = plan.words.clone();
    words.push(format!("env.RELEASE={nth}"));
    Document {
        id: ReleaseId::of(&nth.to_le_bytes()),
        config: Some(validated(&words)),
        flaw,
        is_bad: flaw.is_some(),
        previous,
    }
}
