//! How an instance begins, crashes and ends, and what it leaves.

use crate::Fleet;
use crate::few::Few;
use crate::state::{Agent, Etag, Instance, Life, Note, Release, Set, Stage, State, Word, Write};

impl Fleet {
    /// The board is read, and something is started.
    pub(crate) fn boot(&self, state: &mut State, i: Instance) -> Option<()> {
        let Stage::BootsFrom(followed) = state.agent(i)?.step else { return None };
        // A mark without a verdict is from before the disk was lost: the instance ended while it ran that release.
        let unsettled =
            |release: &Release| state.board.get(usize::from(*release)).is_some_and(|entry| entry.unsettled().has(i));
        let ended_in = (0..).take(state.board.len()).find(unsettled);
        if let Some(ended_in) = ended_in {
            state.agent(i)?.rolled_back.put(ended_in);
        }
        let release = self.choose(state, followed, i);
        self.remember_boot(state, i, followed, release)?;
        let has_verdict = state.board.get(usize::from(release))?.read_by(i).own.is_some();
        let agent = state.agent(i)?;
        agent.running = Some(release);
        agent.step = Stage::Follows;
        if !has_verdict {
            agent.step = Stage::Bakes(release);
            agent.note = Some((release, Note::Began));
        }
        if let Some(ended_in) = ended_in {
            agent.note = Some((ended_in, Note::Decided(Word::Bad)));
            agent.failed.put(ended_in);
            agent.step = Stage::Writes(ended_in, Word::Bad);
        }
        Some(())
    }

    /// The agent is started again; its container runs on, and so do its requests.
    pub(crate) fn crash(&self, state: &mut State, i: Instance) -> Option<()> {
        state.left.crashes -= 1;
        state.leave_writes(i)?;
        let agent = state.agent(i)?;
        agent.held = None;
        let booting = matches!(agent.step, Stage::Boots | Stage::BootsFrom(_));
        agent.step = match agent.note {
            _ if booting => Stage::Boots,
            Some((release, Note::Decided(Word::Bad))) if agent.running == Some(release) => Stage::GoesBack(release),
            Some((release, Note::Decided(word))) => Stage::Writes(release, word),
            // Traffic is on it: it bakes again.
            Some((release, Note::Began)) if agent.running == Some(release) => Stage::Bakes(release),
            // It ended in the middle: back to the old one, for good.
            Some((release, Note::Began)) => {
                agent.note = Some((release, Note::Decided(Word::Bad)));
                agent.failed.put(release);
                Stage::Writes(release, Word::Bad)
            }
            None => Stage::Follows,
        };
        let step = agent.step;
        if let Stage::GoesBack(release) | Stage::Writes(release, Word::Bad) = step {
            state.agent(i)?.rolled_back.put(release);
        }
        if step == Stage::Follows {
            for release in (0..).take(state.board.len()) {
                state.unmark(i, release);
            }
        }
        Some(())
    }

    /// It had a notice: what it can still give back, it gives back. A mark of a move stays, since nobody knows how it would have ended.
    pub(crate) fn leave(&self, state: &mut State, i: Instance) -> Option<()> {
        state.left.terminations -= 1;
        let step = state.agent(i)?.step;
        if let Stage::Marked(release) | Stage::May(release) = step {
            state.unmark(i, release);
        }
        for write in self.unlocks(state, i).iter() {
            self.effect(state, *write);
        }
        state.leave_writes(i)?;
        state.agent(i)?.lose(Life::Gone, Stage::Follows);
        Some(())
    }

    fn remember_boot(
        &self,
        state: &mut State,
        i: Instance,
        followed: crate::state::Followed,
        release: Release,
    ) -> Option<()> {
        let correct = Self::new(self.bounds.clone());
        let candidates = correct.candidates(state, followed);
        let failed = state.agent(i)?.rolled_back;
        let is_proven = |release: &Release| {
            let entry = state.board.get(usize::from(*release));
            entry.is_some_and(|entry| entry.read_by(i).is_proven(self.bounds.failures)) && !failed.has(*release)
        };
        let has_other = candidates.iter().any(|release| !failed.has(*release));
        let is_unproven = candidates.iter().any(is_proven) && !is_proven(&release);
        state.history.booted_unproven |= is_unproven;
        state.history.tried_again |= has_other && failed.has(release);
        state.history.booted_rolled_back |= followed.is_rollback && followed.previous == Some(release);
        Some(())
    }
}

impl Agent {
    /// An instance of which nothing is known.
    pub fn unborn() -> Self {
        Self {
            life: Life::Unborn,
            running: None,
            old: None,
            step: Stage::Follows,
            held: None,
            note: None,
            failed: Set::default(),
            rolled_back: Set::default(),
        }
    }

    /// Everything that the instance had is lost.
    pub(crate) fn lose(&mut self, life: Life, step: Stage) {
        *self = Self { life, step, rolled_back: self.rolled_back, ..Self::unborn() };
    }
}

impl Stage {
    /// The release that a lock is held for.
    pub fn release(self) -> Option<Release> {
        match self {
            Self::Boots | Self::BootsFrom(_) | Self::Follows => None,
            Self::Wants(release)
            | Self::Asks { release, .. }
            | Self::Hears { release, .. }
            | Self::Starts(release)
            | Self::Marked(release)
            | Self::May(release)
            | Self::Moves { release, .. }
            | Self::Bakes(release)
            | Self::GoesBack(release)
            | Self::Writes(release, _)
            | Self::Unlocks(release) => Some(release),
        }
    }
}

impl State {
    /// This instance.
    pub(crate) fn agent(&mut self, instance: Instance) -> Option<&mut Agent> {
        self.fleet.get_mut(usize::from(instance))
    }

    /// The mark is taken back, unless a verdict has settled it.
    pub(crate) fn unmark(&mut self, instance: Instance, release: Release) {
        let entry = self.board.get_mut(usize::from(release));
        if let Some(entry) = entry.filter(|entry| entry.unsettled().has(instance)) {
            entry.begun.take(instance);
        }
    }

    /// The write of a lock is given up.
    pub(crate) fn give_up_lock(&mut self, i: Instance) -> Option<()> {
        let Stage::Asks { release, number, read, .. } = self.agent(i)?.step else { return None };
        self.late.push(Write::Lock { number, read, holder: i, release });
        self.agent(i)?.step = Stage::Wants(release);
        Some(())
    }

    /// A renewal is given up.
    pub(crate) fn give_up_renewal(&mut self, i: Instance) -> Option<()> {
        let agent = self.agent(i)?;
        let release = agent.step.release()?;
        let held = agent.held.as_mut()?;
        held.renewing = None;
        let (number, read) = (held.number, Some(held.etag));
        self.late.push(Write::Lock { number, read, holder: i, release });
        Some(())
    }

    /// What is on its way when an agent ends may land later.
    pub(crate) fn leave_writes(&mut self, i: Instance) -> Option<()> {
        if self.agent(i)?.held.is_some_and(|held| held.renewing.is_some()) {
            self.give_up_renewal(i)?;
        }
        match self.agent(i)?.step {
            Stage::Asks { .. } => self.give_up_lock(i)?,
            Stage::Writes(release, word) => self.late.push(Write::Verdict { instance: i, release, word }),
            _ => (),
        }
        Some(())
    }

    /// A move of traffic begins.
    pub(crate) fn remember_begin(&mut self, fleet: &Fleet, i: Instance, release: Release) -> Option<()> {
        let has_tried = self.agent(i)?.rolled_back.has(release);
        let is_followed = self.followed.release == release;
        let entry = self.board.get_mut(usize::from(release))?;
        let too_many = u32::from(entry.bad.len()) >= fleet.bounds.failures + u32::from(entry.pardoned);
        let is_over = entry.halt.is_some() || !is_followed;
        entry.moves.after_verdicts += u8::from(too_many);
        entry.moves.after_halt += u8::from(is_over);
        entry.moves.by.put(i);
        self.history.tried_again |= has_tried;
        Some(())
    }

    /// Names ETags in the order of their places: which number one has does not matter, only which are the same.
    pub(crate) fn number_etags(&mut self) {
        let mut names = Few::<Etag, 16>::none(0);
        let mut name = |etag: &mut Etag| {
            let known = names.iter().position(|known| known == etag);
            if known.is_none() {
                names.push(*etag);
            }
            *etag = u8::try_from(known.unwrap_or(names.len() - 1) + 1).unwrap_or(u8::MAX);
        };
        self.locks.iter_mut().flatten().for_each(|lock| name(&mut lock.etag));
        self.board.iter_mut().filter_map(|entry| entry.halt.as_mut()).for_each(&mut name);
        for agent in self.fleet.iter_mut() {
            agent.held.iter_mut().for_each(|held| name(&mut held.etag));
            if let Stage::Asks { read: Some(etag), .. } | Stage::Hears { etag, .. } = &mut agent.step {
                name(etag);
            }
        }
        for write in self.late.iter_mut() {
            if let Write::Lock { read: Some(etag), .. } | Write::Unlock { read: Some(etag), .. } = write {
                name(etag);
            }
        }
        self.resuming.iter_mut().filter_map(|resume| resume.halt.as_mut()).for_each(&mut name);
        self.next_etag = u8::try_from(names.len() + 1).unwrap_or(u8::MAX);
    }
}
