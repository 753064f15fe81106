//! What is not up to the agents: the size of the fleet, its releases, what the operator does, and what happens to instances.

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use berth_config::{Config, Wave};
use berth_core::message::release::{Release, ReleaseId, SLOTS};

use crate::sim::{DIGEST, config, ms, secs};

/// A million fleets are small by and large: these have all the races. The large ones show that a release ends.
const SIZES: [(u8, usize, usize); 4] = [(140, 2, 5), (100, 6, 12), (13, 13, 50), (3, 51, 200)];

/// The keys that all documents share.
static BASE: LazyLock<Config> = LazyLock::new(|| {
    config(&format!("image=x@{DIGEST} config=s3://bucket/web follow=15s release.board=s3://bucket/board port=80"))
});

/// What becomes of an instance that runs a release. No instance can read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quality {
    Good,
    /// Good, but one in ten instances has a reason of its own to call it bad.
    Doubtful,
    Bad,
}

/// One version of what `config=` points to.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) id: ReleaseId,
    pub(super) config: Arc<Config>,
    /// What it replaced, as its copy on the board has it.
    pub(super) previous: Option<usize>,
    pub(super) quality: Quality,
}

impl Document {
    pub(super) fn failures(&self) -> u32 {
        self.config.release.failures
    }

    pub(super) fn max_parallel(&self) -> u32 {
        self.config.release.max_parallel
    }

    /// The release as an answer has it.
    pub(super) fn release(&self, age: Duration, previous: Option<ReleaseId>, is_rollback: bool) -> Release {
        // An ETag is a hash of the content: the same bytes have the same one.
        Release { id: self.id.clone(), revision: self.id.0.clone(), age, previous, is_rollback }
    }
}

/// Something that happens to one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mishap {
    /// The agent is killed and started again.
    Crash,
    /// The instance is started again, and its `/run` is empty.
    Reboot,
    /// The instance is gone at once.
    Vanish,
    /// The group terminates it, and the agent has time to leave.
    Leave,
    /// Its process stands still for so many seconds.
    Freeze(u8),
    /// It reaches nothing for so many seconds.
    Cut(u8),
}

/// What an operator or the group does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Publish,
    /// To the newest release that is proven and not stopped.
    RollBack,
    Halt,
    Resume,
    /// A new instance.
    Boot,
    Mishap(Mishap),
}

/// One fleet.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) size: usize,
    /// The releases in the order in which they are published: the first one serves already.
    pub(super) documents: Vec<Document>,
    /// Whether the first one is proven.
    pub(super) is_proven: bool,
    pub(super) acts: Vec<(Duration, Act)>,
    /// So many mishaps come where it matters: about a move.
    pub(super) mishaps: u32,
    /// Whether one move in two has one, and else one in eight.
    pub(super) is_rough: bool,
    /// How traffic moves.
    pub(super) traffic: Traffic,
}

/// The three moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Traffic {
    Targets,
    Readiness,
    Restart,
}

impl Plan {
    pub(super) fn new(seed: u64, rng: &mut fastrand::Rng) -> Self {
        let size = size(rng);
        let follow = secs([10, 15, 15, 20, 30][rng.usize(0..5)]);
        let count = 2 + usize::from(rng.u8(..4) == 0) + usize::from(rng.u8(..8) == 0);
        let most = if size > 12 { (size as u32 / 6).max(3) } else { 3 };
        let max_parallel = rng.u32(if size > 50 { most / 3..=most } else { 1..=most });
        let documents = (0..count).map(|number| {
            // Fleets may change it from one release to the next.
            let max_parallel = if rng.u8(..8) == 0 { rng.u32(1..=most) } else { max_parallel };
            document(seed, number, follow, max_parallel, rng)
        });
        let documents: Vec<_> = documents.collect();
        let span = 90_000 + size as u64 * 30_000 / u64::from(max_parallel);
        let mut acts = vec![(ms(rng.u64(0..20_000)), Act::Publish)];
        let mut some = |chance: u8, act: Act, rng: &mut fastrand::Rng| {
            if rng.u8(..) < chance {
                acts.push((ms(rng.u64(1_000..span)), act));
            }
        };
        for _ in 2..count {
            some(255, Act::Publish, rng);
        }
        some(50, Act::RollBack, rng);
        some(15, Act::RollBack, rng);
        some(45, Act::Halt, rng);
        some(45, Act::Resume, rng);
        some(30, Act::Resume, rng);
        for _ in 0..3 {
            some(50, Act::Boot, rng);
            some(20, Act::Mishap(mishap(rng)), rng);
        }
        acts.sort_by_key(|(at, _)| *at);
        let traffic = [Traffic::Targets, Traffic::Readiness, Traffic::Restart][rng.usize(0..3)];
        let is_rough = rng.u8(..4) == 0;
        let mishaps = if is_rough { rng.u32(4..=16) } else { rng.u32(0..=4) };
        Self { size, documents, is_proven: rng.u8(..8) > 0, acts, mishaps, is_rough, traffic }
    }

    /// The most instances that may move at once, whatever to.
    pub(super) fn max_parallel(&self) -> u32 {
        self.documents.iter().map(Document::max_parallel).max().unwrap_or(1)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { size, is_proven, traffic, mishaps, is_rough, .. } = self;
        writeln!(
            f,
            "{size} instances, by {traffic:?}, {mishaps} mishaps in releases, rough: {is_rough}, the first one is proven: {is_proven}"
        )?;
        for (number, Document { config, quality, .. }) in self.documents.iter().enumerate() {
            let release = &config.release;
            let (locks, failures, waves, bake) =
                (release.max_parallel, release.failures, release.waves.len(), release.bake);
            writeln!(
                f,
                "  {number}: {quality:?}, max_parallel {locks}, failures {failures}, {waves} waves, bake {bake:?}"
            )?;
        }
        for (at, act) in &self.acts {
            writeln!(f, "  {at:?} {act:?}")?;
        }
        Ok(())
    }
}

fn size(rng: &mut fastrand::Rng) -> usize {
    let mut drawn = rng.u8(..);
    for (share, from, to) in SIZES {
        if drawn < share {
            return rng.usize(from..=to);
        }
        drawn -= share;
    }
    unreachable!("the shares are all of 256");
}

fn document(seed: u64, number: usize, follow: Duration, max_parallel: u32, rng: &mut fastrand::Rng) -> Document {
    let slots = |part: u16| Wave { slots: SLOTS / 100 * part, after: Duration::ZERO };
    let all = |after: Duration| Wave { slots: SLOTS, after };
    let mut config = BASE.clone();
    config.follow = Some(follow);
    config.release.bake = secs([5, 10, 30, 30][rng.usize(0..4)]);
    config.release.max_parallel = max_parallel;
    config.release.failures = rng.u32(1..=3);
    config.release.waves = if rng.bool() { vec![all(Duration::ZERO)] } else { vec![slots(20), all(secs(60))] };
    let quality = match rng.u8(..8) {
        _ if number == 0 => Quality::Good,
        0..=2 => Quality::Bad,
        3 => Quality::Doubtful,
        _ => Quality::Good,
    };
    let id = ReleaseId::of(&(seed * 8 + number as u64).to_le_bytes());
    Document { id, config: Arc::new(config), previous: number.checked_sub(1), quality }
}

/// Any of them.
pub(super) fn mishap(rng: &mut fastrand::Rng) -> Mishap {
    match rng.u8(..12) {
        0..=4 => Mishap::Crash,
        5 => Mishap::Reboot,
        6 => Mishap::Vanish,
        7 => Mishap::Leave,
        8 | 9 => Mishap::Freeze(rng.u8(5..120)),
        _ => Mishap::Cut(rng.u8(5..120)),
    }
}
