//! What an instance decides from what it reads of the board. `berth_core` decides what it can.

use berth_core::message::release::{BoardState, Verdict};

use crate::state::{Entry, Followed, Instance, Moves, Quality, Release, Set, State};
use crate::{Flaw, Fleet};

impl Entry {
    /// A release that nobody has run.
    pub fn new(quality: Quality, max_parallel: u8) -> Self {
        let (begun, ok, bad, lost) = <(Set, Set, Set, Set)>::default();
        Self {
            quality,
            previous: None,
            max_parallel,
            begun,
            ok,
            bad,
            lost,
            halt: None,
            pardoned: 0,
            moves: Moves::default(),
        }
    }

    /// The list of `PREFIX/RELEASE/`, as this instance reads it. An instance with two verdicts has a bad one.
    pub fn read_by(&self, instance: Instance) -> BoardState {
        let own =
            if self.bad.has(instance) { Some(Verdict::Bad) } else { self.ok.has(instance).then_some(Verdict::Ok) };
        BoardState {
            ok: self.ok.without(self.bad).len().into(),
            bad: self.bad.len().into(),
            unsettled: {
                let mut others = self.unsettled();
                others.take(instance);
                others.len().into()
            },
            own,
            has_begun: self.unsettled().has(instance),
            is_halted: self.halt.is_some(),
            pardoned: self.pardoned.into(),
        }
    }

    /// Instances that began and have no verdict: they are at it, or will never report.
    pub fn unsettled(&self) -> Set {
        self.begun.without(self.ok).without(self.bad)
    }
}

impl Fleet {
    /// Whether this instance may take a lock for this release, or begin it: asked before the lock, and again when the mark is on the board.
    pub fn may(&self, state: &State, release: Release, instance: Instance) -> bool {
        let Some(entry) = state.board.get(usize::from(release)) else { return false };
        let mut read = entry.read_by(instance);
        if self.flaw == Some(Flaw::OwnVerdictIgnored) {
            read.own = None;
        }
        if self.flaw == Some(Flaw::NoMarks) {
            read.unsettled = 0;
        }
        read.may_begin(self.bounds.failures, entry.max_parallel.into())
    }

    /// The releases that a boot may choose from: the followed one, then those before it as the board has them.
    ///
    /// What the followed object itself calls its previous release is what a rollback goes back from.
    pub fn candidates(&self, state: &State, followed: Followed) -> Vec<Release> {
        let before = |release: Release| state.board.get(usize::from(release)).and_then(|entry| entry.previous);
        let mut candidates = vec![followed.release];
        let mut next =
            if self.flaw == Some(Flaw::FollowedPrevious) { followed.previous } else { before(followed.release) };
        // Each document on the board is written once, so this goes back in time; a list that somebody made otherwise ends here.
        while let Some(release) = next.filter(|release| !candidates.contains(release)) {
            candidates.push(release);
            next = before(release);
        }
        candidates
    }

    /// What an instance boots: the first that is proven and that it has not rolled back, else the first that it has not rolled back.
    pub fn choose(&self, state: &State, followed: Followed, instance: Instance) -> Release {
        if self.flaw == Some(Flaw::BootsUnproven) {
            return followed.release;
        }
        let candidates = self.candidates(state, followed);
        let entry = |release: &Release| state.board.get(usize::from(*release));
        let is_allowed = |release: &&Release| {
            self.flaw == Some(Flaw::OwnVerdictIgnored)
                || entry(release).is_some_and(|entry| {
                    // A mark without a verdict after the disk is lost: the instance ended while it ran it.
                    entry.read_by(instance).own != Some(Verdict::Bad) && !entry.unsettled().has(instance)
                })
        };
        let is_proven = |release: &&Release| {
            entry(release).is_some_and(|entry| entry.read_by(instance).is_proven(self.bounds.failures))
        };
        let mut allowed = candidates.iter().filter(is_allowed);
        let proven = allowed.clone().find(is_proven);
        *proven.or_else(|| allowed.next()).unwrap_or(&followed.release)
    }
}
