//! The steps of CI and of an operator: publish, halt, resume, roll back.

use crate::state::{Entry, Followed, Moves, Quality, Resume, Set, State};
use crate::{Flaw, Fleet};

impl Fleet {
    /// `berth release publish`. The copy on the board comes first; the followed object changes with `If-Match`, so this is one step.
    pub fn publish(&self, state: &mut State, quality: Quality) {
        let release = u8::try_from(state.board.len()).unwrap_or(u8::MAX);
        let previous = Some(state.followed.release);
        let max_parallel = self.bounds.max_parallel.get(usize::from(release)).copied().unwrap_or(1);
        state.board.push(Entry { previous, ..Entry::new(quality, max_parallel) });
        state.followed = Followed { release, modified: self.date(state), previous, is_rollback: false };
    }

    /// `berth release rollback`: the bytes of the release before this one, so its id and its verdicts.
    pub fn roll_back(&self, state: &mut State) -> Option<()> {
        let from = state.followed.release;
        let release = state.board.get(usize::from(from))?.previous?;
        state.followed = Followed { release, modified: self.date(state), previous: Some(from), is_rollback: true };
        Some(())
    }

    /// `berth release halt`.
    pub fn halt(&self, state: &mut State) -> Option<()> {
        let etag = state.next_etag;
        state.board.get_mut(usize::from(state.followed.release))?.halt = Some(etag);
        state.next_etag += 1;
        Some(())
    }

    /// The first half of `berth release resume`: what its operator sees.
    pub fn read_to_resume(&self, state: &mut State, with_marks: bool) -> Option<()> {
        let release = state.followed.release;
        let entry = state.board.get(usize::from(release))?;
        let lost = if with_marks { entry.unsettled() } else { Set::default() };
        let is_needed = entry.halt.is_some() || entry.bad.with(lost).len() > entry.pardoned;
        state.resuming = is_needed.then_some(Resume { release, bad: entry.bad, lost, halt: entry.halt });
        state.resuming.map(|_| ())
    }

    /// The second half: a verdict of each that is lost, `resume-N`, then the end of the `halt` that was seen.
    pub fn resume(&self, state: &mut State) -> Option<()> {
        let Resume { release, bad, lost, halt } = state.resuming.take()?;
        let entry = state.board.get_mut(usize::from(release))?;
        let lost = lost.and(entry.unsettled());
        // What has settled itself meanwhile needs none.
        let is_needed = halt.is_some() || bad.with(lost).len() > entry.pardoned;
        state.left.resumes -= u8::from(is_needed);
        (entry.bad, entry.lost) = (entry.bad.with(lost), entry.lost.with(lost));
        entry.pardoned = entry.pardoned.max(bad.with(lost).len());
        let is_seen = entry.halt == halt;
        if is_seen || self.flaw == Some(Flaw::AnyHaltDeleted) {
            state.history.lost_halt |= !is_seen && entry.halt.is_some();
            entry.halt = None;
        }
        if !entry.read_by(0).is_stopped(self.bounds.failures) {
            entry.moves = Moves { by: entry.moves.by, ..Moves::default() };
        }
        Some(())
    }
}
