//! What there is: the followed document, the board, the locks, the instances, and writes that are still on their way.

use crate::few::Few;

/// An instance, by its number.
pub type Instance = u8;
/// A release, by its number: the later published, the higher.
pub type Release = u8;
/// Ticks of the one true time. S3 shows it in whole seconds of [`Bounds::grain`](crate::Bounds::grain) ticks.
pub type Time = u8;
/// What S3 calls the content of an object.
pub type Etag = u8;

/// A small set of instances or of releases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Set(pub u8);

impl Set {
    /// Those below this number.
    pub fn below(count: u8) -> Self {
        Self((0..count).fold(0, |bits, one| bits | 1 << one))
    }

    /// Whether it has this one.
    pub fn has(self, one: u8) -> bool {
        self.0 & 1 << one != 0
    }

    /// Puts this one in.
    pub fn put(&mut self, one: u8) {
        self.0 |= 1 << one;
    }

    /// Takes this one out.
    pub fn take(&mut self, one: u8) {
        self.0 &= !(1 << one);
    }

    /// How many it has.
    pub fn len(self) -> u8 {
        u8::try_from(self.0.count_ones()).unwrap_or(u8::MAX)
    }

    /// Whether it has none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What it has and the other has not.
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// What either has.
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What both have.
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// Everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The true time.
    pub now: Time,
    /// What every instance follows.
    pub followed: Followed,
    /// What the board has of each release, in the order in which they were published.
    pub board: Few<Entry, 3>,
    /// The locks.
    pub locks: Few<Option<Lock>, 2>,
    /// The ETag of the next content that nobody wrote before.
    pub next_etag: Etag,
    /// The fleet; one that is gone keeps its place.
    pub fleet: Few<Agent, 4>,
    /// Writes that their sender has given up and that S3 may still get, in order.
    pub late: Few<Write, 6>,
    /// What an operator read before resuming.
    pub resuming: Option<Resume>,
    /// What may still happen.
    pub left: Left,
    /// What happened: for the promises only, nobody in the model reads it.
    pub history: History,
}

/// The followed document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Followed {
    /// Which release it is.
    pub release: Release,
    /// Its `Last-Modified`, in seconds.
    pub modified: Time,
    /// Its metadata: the release that it replaced.
    pub previous: Option<Release>,
    /// Its metadata: whether it was published to go back.
    pub is_rollback: bool,
}

/// What the board has about one release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// What becomes of an instance that runs it. Nobody can read it.
    pub quality: Quality,
    /// The metadata of its document on the board: the release that it replaced when it was first published.
    pub previous: Option<Release>,
    /// `release.max_parallel` of its document.
    pub max_parallel: u8,
    /// Instances that have left a mark that they begin.
    pub begun: Set,
    /// Instances with the verdict `ok`.
    pub ok: Set,
    /// Instances with the verdict `bad`.
    pub bad: Set,
    /// Those whose verdict `bad` an operator wrote, since they were taken for lost.
    pub lost: Set,
    /// The ETag of its `halt`.
    pub halt: Option<Etag>,
    /// The highest N of its `resume-N`.
    pub pardoned: u8,
    /// What happened to it.
    pub moves: Moves,
}

/// Moves of traffic to a release: for the promises only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Moves {
    /// Who has moved to it.
    pub by: Set,
    /// Moves that began although it had too many bad verdicts.
    pub after_verdicts: u8,
    /// Moves that began although it was halted or no longer followed.
    pub after_halt: u8,
}

/// Whether a release serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Quality {
    /// On every instance.
    Good,
    /// On none: it is always noticed while it bakes.
    Bad,
    /// Sometimes, and not the same when the same instance looks again.
    Flaky,
}

/// A lock object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lock {
    /// Who wrote it.
    pub holder: Instance,
    /// For which release.
    pub release: Release,
    /// S3's name of this content.
    pub etag: Etag,
    /// Its `Last-Modified`, in seconds.
    pub modified: Time,
}

/// An instance and its agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Agent {
    /// Whether it was terminated, or is not there yet.
    pub life: Life,
    /// The release in traffic.
    pub running: Option<Release>,
    /// The container that is kept during the bake.
    pub old: Option<Release>,
    /// What its agent does.
    pub step: Stage,
    /// The lock that it holds, as far as it knows.
    pub held: Option<Held>,
    /// On its disk: how far a release is that it has not written a verdict of.
    pub note: Option<(Release, Note)>,
    /// On its disk: releases that it rolled back.
    pub failed: Set,
    /// Releases that it rolled back, whatever its disk says: for the promises only.
    pub rolled_back: Set,
}

/// Whether an instance is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Life {
    /// Not launched yet.
    Unborn,
    /// It is there.
    Alive,
    /// Terminated.
    Gone,
}

/// What the disk says about a release that is not settled. It is written before what it says is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Note {
    /// Traffic is about to be moved, or was.
    Began,
    /// The verdict, which the board may not have yet.
    Decided(Word),
}

/// A verdict, as a value that can be hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Word {
    /// It serves.
    Ok,
    /// It was rolled back.
    Bad,
}

/// How far an agent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// It boots, and knows nothing.
    Boots,
    /// It boots, and has read the followed document.
    BootsFrom(Followed),
    /// It follows.
    Follows,
    /// Its wave has come and the image is pulled.
    Wants(Release),
    /// It has sent a write of a lock.
    Asks {
        /// For which release.
        release: Release,
        /// Which lock.
        number: u8,
        /// The ETag that it read; none is `If-None-Match: *`.
        read: Option<Etag>,
        /// When it sent it, by its own monotonic clock.
        sent: Time,
    },
    /// It holds a lock, and does not know it yet.
    Hears {
        /// For which release.
        release: Release,
        /// Which lock.
        number: u8,
        /// The ETag of the answer that is on its way.
        etag: Etag,
    },
    /// It holds a lock; the new container is started beside the old one and gets healthy.
    Starts(Release),
    /// Its mark is on the board.
    Marked(Release),
    /// It has read the board, and may begin.
    May(Release),
    /// Traffic is on its way from one container to the other.
    Moves {
        /// To which release.
        release: Release,
        /// When the lease was checked.
        since: Time,
    },
    /// Traffic is on the new one, the old one is kept.
    Bakes(Release),
    /// It is bad: traffic goes back to the old one.
    GoesBack(Release),
    /// The verdict is being written.
    Writes(Release, Word),
    /// The lock is being given back.
    Unlocks(Release),
}

/// A lock as its holder knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Held {
    /// Which.
    pub number: u8,
    /// The ETag of the last write that it knows of.
    pub etag: Etag,
    /// When that write was sent.
    pub sent: Time,
    /// A renewal that is on its way, and when it was sent.
    pub renewing: Option<Time>,
}

/// A write that S3 gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Write {
    /// A lock.
    Lock {
        /// Which.
        number: u8,
        /// The condition: `If-Match`, or none for `If-None-Match: *`.
        read: Option<Etag>,
        /// Who.
        holder: Instance,
        /// For which release.
        release: Release,
    },
    /// The end of a lock.
    Unlock {
        /// Which.
        number: u8,
        /// The condition; none is a DELETE without one.
        read: Option<Etag>,
        /// Who.
        holder: Instance,
    },
    /// A mark is taken back, if it is still the same.
    Unmark {
        /// Of whom.
        instance: Instance,
        /// Of what.
        release: Release,
    },
    /// A verdict, `If-None-Match: *`.
    Verdict {
        /// Of whom.
        instance: Instance,
        /// Of what.
        release: Release,
        /// Which.
        word: Word,
    },
}

/// What `resume` read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Resume {
    /// Of which release.
    pub release: Release,
    /// The bad verdicts that were there.
    pub bad: Set,
    /// Marks without a verdict, whose instances the operator takes for lost.
    pub lost: Set,
    /// The `halt` that was there.
    pub halt: Option<Etag>,
}

/// How often each disturbance may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Left {
    /// Agents that crash and come back.
    pub crashes: u8,
    /// Instances that come back with an empty disk.
    pub disks: u8,
    /// Instances that are terminated, with a notice or without.
    pub terminations: u8,
    /// Answers that are lost although the write took effect.
    pub losses: u8,
    /// Writes that are given up and may land later.
    pub delays: u8,
    /// Releases that are published.
    pub publications: u8,
    /// Halts.
    pub halts: u8,
    /// Resumptions.
    pub resumes: u8,
    /// Rollbacks.
    pub rollbacks: u8,
}

/// What the promises look at beside the state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct History {
    /// An instance booted an unproven release although there was a proven one.
    pub booted_unproven: bool,
    /// An instance booted what the operator goes back from.
    pub booted_rolled_back: bool,
    /// An instance tried a release again that it had rolled back.
    pub tried_again: bool,
    /// `resume` removed a `halt` that its operator had not seen.
    pub lost_halt: bool,
}
