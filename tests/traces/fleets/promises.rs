//! What the fleet promises (docs/decisions/0022, "What holds"), from what the world knows and no instance reads.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use berth_core::message::release::Verdict;

use super::agent::Stage;
use super::board::Instance;
use super::counts::Row;
use super::plan::Quality;
use super::world::{Fleet, Followed};

/// A promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Promise {
    /// At most `release.max_parallel` instances move at once.
    Parallel,
    /// Who moves has a lock whose lease is not over.
    Locked,
    /// Nobody begins who had read that it is stopped, and of those that had read the board before at most `max_parallel`.
    Stopped,
    /// The same of a document that is not followed any more.
    Followed,
    /// A bad release touches at most `failures` + `max_parallel` instances, and one more for each verdict that is pardoned.
    Contained,
    /// An instance does not try a release again that it rolled back, unless it was started again before that was on the board.
    Once,
    /// A new instance boots the newest release that is proven, if one is.
    Proven,
    /// A good release reaches all.
    Reaches,
    /// It ends.
    Ends,
}

/// A promise that is broken, and how.
#[derive(Clone, Debug)]
pub(super) struct Broken {
    pub(super) promise: Promise,
    detail: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.promise, self.detail)
    }
}

/// A boot that chooses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Boot {
    pub(super) began: Duration,
    pub(super) followed: Followed,
}

/// What is known of all releases.
pub(super) struct Promises {
    releases: Vec<Record>,
    /// Who moves, and to which.
    moving: Vec<(Instance, usize)>,
}

#[derive(Default)]
struct Record {
    touched: BTreeSet<Instance>,
    rolled_back: BTreeSet<Instance>,
    /// Since when it is stopped, proven, and not what the document has.
    stopped: Option<Duration>,
    proven: Option<Duration>,
    unproven: Option<Duration>,
    unfollowed: Option<Duration>,
    /// So many have begun since it was stopped, or since the document moved on.
    begun: [u32; 2],
}

impl Promises {
    pub(super) fn new(releases: usize) -> Self {
        Self { releases: (0..releases).map(|_| Record::default()).collect(), moving: Vec::new() }
    }

    pub(super) fn ends_move(&mut self, instance: Instance) {
        self.moving.retain(|(mover, _)| *mover != instance);
    }

    pub(super) fn rolled_back(&mut self, release: usize, instance: Instance) {
        self.releases[release].rolled_back.insert(instance);
    }
}

impl Fleet {
    pub(super) fn breaks(&mut self, promise: Promise, detail: String) {
        self.broken.get_or_insert(Broken { promise, detail });
    }

    /// The board has something else of a release, or the document another one.
    pub(super) fn board_changed(&mut self, release: usize) {
        let (now, failures) = (self.now, self.plan.documents[release].failures());
        let state = self.board.state(release, usize::MAX);
        let is_followed = self.followed.release == release;
        let record = &mut self.promises.releases[release];
        let since = |is: bool, since: &mut Option<Duration>| *since = is.then(|| since.unwrap_or(now));
        since(state.is_proven(failures), &mut record.proven);
        since(!state.is_proven(failures), &mut record.unproven);
        let (was_stopped, was_unfollowed) = (record.stopped.is_some(), record.unfollowed.is_some());
        since(state.is_stopped(failures), &mut record.stopped);
        since(!is_followed, &mut record.unfollowed);
        if !was_stopped {
            record.begun[0] = 0;
            if record.stopped.is_some() && !state.is_halted {
                self.counts.saw(Row::StoppedByVerdicts);
            }
        }
        if !was_unfollowed {
            record.begun[1] = 0;
        }
    }

    /// The instance is started again: of a verdict that is not on the board nothing is left but the mark.
    pub(super) fn forgets(&mut self, instance: Instance) {
        for (release, record) in self.promises.releases.iter_mut().enumerate() {
            if self.board.state(release, instance).own != Some(Verdict::Bad) {
                record.rolled_back.remove(&instance);
            }
        }
    }

    /// The instance is sure that it may move: everything is read.
    pub(super) fn begins(&mut self, instance: Instance) {
        let agent = &self.instances[instance];
        let Some(next) = &agent.next else { return };
        let release = self.number(&next.release.id);
        let (read_at, followed_at) = (agent.read_at, agent.followed_at);
        let max_parallel = self.plan.documents[release].max_parallel();
        let record = &mut self.promises.releases[release];
        if record.rolled_back.contains(&instance) {
            return self.breaks(Promise::Once, format!("instance {instance} tries release {release} again"));
        }
        let closings =
            [(Promise::Stopped, record.stopped, read_at), (Promise::Followed, record.unfollowed, followed_at)];
        for (at, (promise, since, read)) in closings.into_iter().enumerate() {
            let Some(since) = since else { continue };
            record.begun[at] += 1;
            let begun = record.begun[at];
            if since < read {
                let detail = format!(
                    "instance {instance} begins release {release}: it read at {read:?} what is so since {since:?}"
                );
                return self.breaks(promise, detail);
            }
            if begun > max_parallel {
                return self.breaks(promise, format!("{begun} begin release {release} after {since:?}"));
            }
        }
        self.promises.moving.push((instance, release));
        self.check_moving(instance, release);
    }

    /// Who takes its lock for lost goes on, if it has moved: it is none of those.
    fn check_moving(&mut self, instance: Instance, release: usize) {
        let (mut all, mut same) = (0, 0);
        for (_, to) in self.promises.moving.iter().filter(|(mover, _)| self.may_move(*mover)) {
            all += 1;
            same += u32::from(*to == release);
        }
        let most = self.plan.documents[release].max_parallel();
        if same > most || all > self.plan.max_parallel() {
            return self.breaks(Promise::Parallel, format!("{all} move at once, {same} of them to release {release}"));
        }
        if !self.board.is_held_by(instance, self.now.as_secs()) {
            return self.breaks(Promise::Locked, format!("instance {instance} moves without a lock"));
        }
        if same == most && most > 1 {
            self.counts.saw(Row::MostMoved);
        }
    }

    /// The new version takes traffic.
    pub(super) fn touches(&mut self, instance: Instance) {
        let Some(next) = &self.instances[instance].next else { return };
        let release = self.number(&next.release.id);
        self.check_moving(instance, release);
        let document = &self.plan.documents[release];
        let most = document.failures() + document.max_parallel();
        let is_bad = document.quality == Quality::Bad;
        let record = &mut self.promises.releases[release];
        record.touched.insert(instance);
        let (touched, most) = (record.touched.len(), (most + self.board.state(release, instance).pardoned) as usize);
        if is_bad && touched > most {
            self.breaks(
                Promise::Contained,
                format!("bad release {release} touches {touched} instances, and may {most}"),
            );
        } else if is_bad && touched == most {
            self.counts.saw(Row::MostTouched);
        }
    }

    /// A new instance has chosen.
    pub(super) fn booted(&mut self, instance: Instance, chosen: usize, boot: Boot) {
        let is_bad_here = |release: usize| self.board.state(release, instance).own == Some(Verdict::Bad);
        let proven = |release: usize| self.promises.releases[release].proven.filter(|_| !is_bad_here(release));
        let before = |release: &usize| self.plan.documents[*release].previous;
        let mut candidates = std::iter::successors(Some(boot.followed.release), before);
        let best = candidates.find(|release| proven(*release).is_some_and(|since| since < boot.began));
        self.counts.saw(match proven(chosen) {
            None => Row::BootedUnproven,
            Some(_) if chosen == boot.followed.release => Row::BootedNewest,
            Some(_) => Row::BootedOlder,
        });
        if let Some(best) = best
            && best > chosen
        {
            self.breaks(Promise::Proven, format!("instance {instance} boots {chosen}, and {best} is proven"));
        } else if let Some(best) = best
            && best < chosen
            && self.promises.releases[chosen].unproven.is_some_and(|since| since < boot.began)
        {
            let detail = format!("instance {instance} boots {chosen}, which is not proven, and {best} is");
            self.breaks(Promise::Proven, detail);
        }
    }

    /// At the end.
    pub(super) fn judge(&mut self) {
        let release = self.followed.release;
        if self.plan.documents[release].quality == Quality::Bad {
            return;
        }
        let is_missing = |(at, agent): (usize, &super::agent::Agent)| {
            agent.stage != Stage::Gone && agent.serving != release && !self.is_excused(at, release)
        };
        if let Some(missing) = self.instances.iter().enumerate().position(is_missing) {
            return self.breaks(Promise::Reaches, format!("good release {release} does not reach instance {missing}"));
        }
        self.counts.saw(Row::ReachedAll);
    }

    /// Whether the instance has a verdict of its own, or one that the operator wrote for it.
    pub(super) fn is_excused(&self, instance: Instance, release: usize) -> bool {
        self.promises.releases[release].rolled_back.contains(&instance)
            || self.board.state(release, instance).own == Some(Verdict::Bad)
    }
}
