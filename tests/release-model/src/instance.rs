//! The steps of an instance.

use crate::few::Few;
use crate::state::{Agent, Held, Instance, Life, Note, Quality, Release, Stage, State, Word, Write};
use crate::{Flaw, Fleet, Step};

impl Fleet {
    /// What this instance may do.
    pub fn steps_of(&self, state: &State, instance: Instance, agent: &Agent, steps: &mut Vec<Step>) {
        match agent.life {
            Life::Unborn if !self.is_calm(state) => return steps.push(Step::Launch(instance)),
            Life::Unborn | Life::Gone => return,
            Life::Alive => (),
        }
        match agent.step {
            Stage::Boots => steps.push(Step::ReadToBoot(instance)),
            Stage::BootsFrom(_) => steps.push(Step::Boot(instance)),
            Stage::Follows => {
                if self.wants(state, instance, agent).is_some() {
                    steps.push(Step::Follow(instance));
                }
            }
            Stage::Wants(release) => {
                if self.wants(state, instance, agent) != Some(release) {
                    steps.push(Step::Follow(instance));
                }
                let locks = self.max_parallel(state, release);
                let is_free = |number: &u8| self.read_lock(state, instance, *number).is_some();
                steps.extend((0..locks).filter(is_free).map(|number| Step::AskLock(instance, number)));
            }
            Stage::Asks { .. } => {
                steps.push(Step::LockAnswered(instance));
                // Elsewhere an answer that takes its time is the same as a pause before the next step.
                if self.flaw == Some(Flaw::LeaseFromAnswer) {
                    steps.push(Step::LockLanded(instance));
                }
                self.disturb(state, state.left.losses, Step::LockLost(instance), steps);
                self.disturb(state, state.left.delays, Step::LockDelayed(instance), steps);
            }
            Stage::Starts(_) => steps.push(Step::Mark(instance)),
            Stage::Marked(_) => {
                steps.push(Step::ReadBoard(instance));
                self.disturb(state, state.left.delays, Step::UnmarkDelayed(instance), steps);
            }
            Stage::Hears { .. } => steps.push(Step::LockHeard(instance)),
            Stage::May(_) => steps.push(Step::Begin(instance)),
            Stage::Moves { .. } => steps.push(Step::Moved(instance)),
            Stage::GoesBack(_) => steps.push(Step::WentBack(instance)),
            Stage::Bakes(release) => match self.quality(state, release) {
                Quality::Good => steps.push(Step::Judge(instance, Word::Ok)),
                Quality::Bad => steps.push(Step::Judge(instance, Word::Bad)),
                Quality::Flaky => {
                    steps.extend([Step::Judge(instance, Word::Ok), Step::Judge(instance, Word::Bad)]);
                }
            },
            Stage::Writes(..) => {
                steps.push(Step::WriteVerdict(instance));
                self.disturb(state, state.left.delays, Step::VerdictDelayed(instance), steps);
            }
            // A renewal is waited for, or it could renew what is given back.
            Stage::Unlocks(_) if agent.held.is_some_and(|held| held.renewing.is_some()) => (),
            Stage::Unlocks(_) => {
                steps.push(Step::Unlock(instance));
                self.disturb(state, state.left.delays, Step::UnlockDelayed(instance), steps);
            }
        }
        match agent.held {
            Some(Held { renewing: Some(_), .. }) => {
                steps.push(Step::RenewAnswered(instance));
                self.disturb(state, state.left.losses, Step::RenewLost(instance), steps);
                self.disturb(state, state.left.delays, Step::RenewDelayed(instance), steps);
            }
            Some(held) if self.bounds.renews && held.sent < state.now && !matches!(agent.step, Stage::Unlocks(_)) => {
                steps.push(Step::Renew(instance));
            }
            _ => (),
        }
        self.disturb(state, state.left.crashes, Step::Crash(instance), steps);
        self.disturb(state, state.left.terminations, Step::Terminate(instance), steps);
        self.disturb(state, state.left.terminations, Step::Leave(instance), steps);
        // No request is on its way as long as a disk takes to be replaced.
        let is_late = |write: &Write| match *write {
            Write::Lock { holder, .. } | Write::Unlock { holder, .. } => holder == instance,
            Write::Unmark { instance: of, .. } | Write::Verdict { instance: of, .. } => of == instance,
        };
        if !state.late.iter().any(is_late) {
            self.disturb(state, state.left.disks, Step::LoseDisk(instance), steps);
        }
    }

    fn disturb(&self, state: &State, left: u8, step: Step, steps: &mut Vec<Step>) {
        if left > 0 && !self.is_calm(state) {
            steps.push(step);
        }
    }

    fn quality(&self, state: &State, release: Release) -> Quality {
        state.board.get(usize::from(release)).map_or(Quality::Good, |entry| entry.quality)
    }

    /// `release.max_parallel` of a release.
    pub fn max_parallel(&self, state: &State, release: Release) -> u8 {
        state.board.get(usize::from(release)).map_or(1, |entry| entry.max_parallel)
    }

    /// The release that it would take now, if it is another one than it runs, its wave has come, and it may.
    ///
    /// The board is read here too: an instance that follows a stopped release takes no lock again and again.
    fn wants(&self, state: &State, instance: Instance, agent: &Agent) -> Option<Release> {
        let release = state.followed.release;
        let is_new = agent.running != Some(release) && !agent.failed.has(release);
        (is_new && self.wave_has_come(state, instance) && self.may(state, release, instance)).then_some(release)
    }

    /// Whether a lock may be taken: the condition of the write.
    #[expect(clippy::option_option, reason = "no lock, and a lock that is not free, are different answers")]
    fn read_lock(&self, state: &State, instance: Instance, number: u8) -> Option<Option<u8>> {
        let Some(lock) = state.locks.get(usize::from(number)).copied().flatten() else { return Some(None) };
        let ahead = if self.flaw == Some(Flaw::OwnWallClock) { self.bounds.lease } else { 0 };
        let has_ended =
            self.flaw != Some(Flaw::NoTakeOver) && self.date(state) + ahead >= lock.modified + self.bounds.lease;
        (lock.holder == instance || has_ended).then_some(Some(lock.etag))
    }

    /// Whether a move that begins now ends before anybody may take the lock over.
    fn has_lease(&self, state: &State, held: Held) -> bool {
        let margin = if self.flaw == Some(Flaw::NoMargin) { self.bounds.move_takes } else { self.bounds.margin };
        let lease = self.bounds.lease * self.bounds.grain;
        self.flaw == Some(Flaw::LeaseUnchecked) || state.now - held.sent + margin < lease
    }

    /// One step of an instance.
    pub fn instance_step(&self, state: &mut State, step: Step) -> Option<()> {
        match step {
            Step::Launch(i) => {
                let agent = state.agent(i)?;
                (agent.life, agent.step) = (Life::Alive, Stage::Boots);
            }
            Step::ReadToBoot(i) => {
                let followed = state.followed;
                state.agent(i)?.step = Stage::BootsFrom(followed);
            }
            Step::Boot(i) => self.boot(state, i)?,
            Step::Follow(i) => {
                let agent = *state.agent(i)?;
                let wants = self.wants(state, i, &agent);
                // One that it no longer wants may have left it a lock: from a lease that ran out, or from a write whose answer was lost.
                let otherwise = agent.step.release().map_or(Stage::Follows, Stage::Unlocks);
                state.agent(i)?.step = wants.map_or(otherwise, Stage::Wants);
            }
            Step::AskLock(i, number) => {
                let read = self.read_lock(state, i, number)?;
                let (sent, agent) = (state.now, state.agent(i)?);
                let Stage::Wants(release) = agent.step else { return None };
                agent.step = Stage::Asks { release, number, read, sent };
            }
            Step::LockAnswered(i) => self.ask(state, i, true)?,
            Step::LockLanded(i) => {
                let Stage::Asks { release, number, read, .. } = state.agent(i)?.step else { return None };
                let etag = self.effect(state, Write::Lock { number, read, holder: i, release })?;
                state.agent(i)?.step = Stage::Hears { release, number, etag };
            }
            Step::LockHeard(i) => {
                let (sent, agent) = (state.now, state.agent(i)?);
                let Stage::Hears { release, number, etag } = agent.step else { return None };
                agent.held = Some(Held { number, etag, sent, renewing: None });
                agent.step = Stage::Starts(release);
            }
            Step::LockLost(i) => {
                state.left.losses -= 1;
                self.ask(state, i, false)?;
            }
            Step::LockDelayed(i) => {
                state.left.delays -= 1;
                state.give_up_lock(i)?;
            }
            Step::Renew(i) => {
                let now = state.now;
                state.agent(i)?.held.as_mut()?.renewing = Some(now);
            }
            Step::RenewAnswered(i) => self.renew(state, i, true)?,
            Step::RenewLost(i) => {
                state.left.losses -= 1;
                self.renew(state, i, false)?;
            }
            Step::RenewDelayed(i) => {
                state.left.delays -= 1;
                state.give_up_renewal(i)?;
            }
            Step::Mark(i) => {
                let Stage::Starts(release) = state.agent(i)?.step else { return None };
                if self.flaw != Some(Flaw::MarkAfterBoard) {
                    state.board.get_mut(usize::from(release))?.begun.put(i);
                }
                // It has another ETag now, so an old DELETE of it does nothing.
                let old = Write::Unmark { instance: i, release };
                if self.flaw != Some(Flaw::AnyMarkDeleted) {
                    state.late.retain(|write| *write != old);
                }
                state.agent(i)?.step = Stage::Marked(release);
            }
            Step::ReadBoard(i) => self.read_board(state, i)?,
            Step::UnmarkDelayed(i) => {
                let Stage::Marked(release) = state.agent(i)?.step else { return None };
                state.left.delays -= 1;
                state.late.push(Write::Unmark { instance: i, release });
                state.agent(i)?.step = Stage::Unlocks(release);
            }
            Step::Begin(i) => self.begin(state, i)?,
            Step::Moved(i) => {
                let agent = state.agent(i)?;
                let Stage::Moves { release, .. } = agent.step else { return None };
                (agent.old, agent.running) = (agent.running, Some(release));
                agent.step = Stage::Bakes(release);
            }
            Step::Judge(i, word) => self.judge(state, i, word)?,
            Step::WentBack(i) => {
                let agent = state.agent(i)?;
                let Stage::GoesBack(release) = agent.step else { return None };
                (agent.running, agent.old) = (agent.old, None);
                agent.step = self.after_bake(release, Word::Bad);
            }
            Step::Leave(i) => self.leave(state, i)?,
            Step::WriteVerdict(i) => {
                let Stage::Writes(release, word) = state.agent(i)?.step else { return None };
                self.effect(state, Write::Verdict { instance: i, release, word });
                let agent = state.agent(i)?;
                (agent.note, agent.old) = (None, None);
                agent.step = Stage::Unlocks(release);
                if self.flaw == Some(Flaw::UnlockBeforeVerdict) {
                    agent.step = Stage::Follows;
                }
            }
            Step::VerdictDelayed(i) => {
                let Stage::Writes(release, word) = state.agent(i)?.step else { return None };
                state.left.delays -= 1;
                state.late.push(Write::Verdict { instance: i, release, word });
            }
            Step::Unlock(i) => {
                // Whatever lock is this instance's own, also one from before a crash.
                for write in self.unlocks(state, i).iter() {
                    self.effect(state, *write);
                }
                self.unlocked(state, i)?;
            }
            Step::UnlockDelayed(i) => {
                state.left.delays -= 1;
                let writes = self.unlocks(state, i);
                writes.iter().for_each(|write| state.late.push(*write));
                self.unlocked(state, i)?;
            }
            Step::Crash(i) => self.crash(state, i)?,
            Step::LoseDisk(i) => {
                state.left.disks -= 1;
                state.agent(i)?.lose(Life::Alive, Stage::Boots);
            }
            Step::Terminate(i) => {
                state.left.terminations -= 1;
                state.leave_writes(i)?;
                state.agent(i)?.lose(Life::Gone, Stage::Follows);
            }
            _ => return None,
        }
        Some(())
    }

    /// The write of a lock takes effect; a lost answer is one that it never hears.
    fn ask(&self, state: &mut State, i: Instance, is_heard: bool) -> Option<()> {
        let Stage::Asks { release, number, read, sent } = state.agent(i)?.step else { return None };
        let etag = self.effect(state, Write::Lock { number, read, holder: i, release }).filter(|_| is_heard);
        let now = state.now;
        let sent = if self.flaw == Some(Flaw::LeaseFromAnswer) { now } else { sent };
        let agent = state.agent(i)?;
        agent.held = etag.map(|etag| Held { number, etag, sent, renewing: None });
        agent.step = if etag.is_some() { Stage::Starts(release) } else { Stage::Wants(release) };
        Some(())
    }

    fn renew(&self, state: &mut State, i: Instance, is_heard: bool) -> Option<()> {
        let held = state.agent(i)?.held?;
        let release = state.agent(i)?.step.release()?;
        let written =
            self.effect(state, Write::Lock { number: held.number, read: Some(held.etag), holder: i, release });
        let lock = state.locks.get(usize::from(held.number)).copied().flatten();
        let own = lock.filter(|lock| lock.holder == i);
        let now = state.now;
        let sent = if self.flaw == Some(Flaw::LeaseFromAnswer) { now } else { held.renewing? };
        let agent = state.agent(i)?;
        let after = match (written, own) {
            _ if !is_heard => Some(Held { renewing: None, ..held }),
            (Some(etag), _) => Some(Held { etag, sent, renewing: None, ..held }),
            // An earlier write of its own, whose answer was lost: the ETag is known again, and the lease is as old as before.
            (None, Some(own)) => Some(Held { etag: own.etag, renewing: None, ..held }),
            (None, None) => None,
        };
        agent.held = after;
        if after.is_none() && matches!(agent.step, Stage::Starts(_) | Stage::Marked(_) | Stage::May(_)) {
            agent.step = Stage::Wants(release);
            state.unmark(i, release);
        }
        Some(())
    }

    fn read_board(&self, state: &mut State, i: Instance) -> Option<()> {
        let Stage::Marked(release) = state.agent(i)?.step else { return None };
        let is_followed = state.followed.release == release || self.flaw == Some(Flaw::FollowedUnchecked);
        let may = self.flaw == Some(Flaw::BoardBeforeLock) || self.may(state, release, i) && is_followed;
        if !may {
            state.unmark(i, release);
        }
        state.agent(i)?.step = if may { Stage::May(release) } else { Stage::Unlocks(release) };
        Some(())
    }

    /// The note goes to the disk, then the lease is looked at, and at once traffic moves.
    fn begin(&self, state: &mut State, i: Instance) -> Option<()> {
        let Stage::May(release) = state.agent(i)?.step else { return None };
        let since = state.now;
        let held = state.agent(i)?.held?;
        if !self.has_lease(state, held) {
            let agent = state.agent(i)?;
            (agent.held, agent.step) = (None, Stage::Wants(release));
            state.unmark(i, release);
            return Some(());
        }
        let agent = state.agent(i)?;
        agent.step = Stage::Moves { release, since };
        agent.note = Some((release, Note::Began)).filter(|_| self.flaw != Some(Flaw::MoveNotNoted));
        state.board.get_mut(usize::from(release))?.begun.put(i);
        state.remember_begin(self, i, release)
    }

    fn judge(&self, state: &mut State, i: Instance, word: Word) -> Option<()> {
        let Stage::Bakes(release) = state.agent(i)?.step else { return None };
        let agent = state.agent(i)?;
        match (word, agent.old) {
            (Word::Ok, _) => (),
            (Word::Bad, Some(_)) => agent.failed.put(release),
            // A boot that fails: the group replaces the instance.
            (Word::Bad, None) => {
                agent.lose(Life::Gone, Stage::Follows);
                return Some(());
            }
        }
        if self.flaw != Some(Flaw::VerdictNotNoted) {
            agent.note = Some((release, Note::Decided(word)));
        }
        agent.step = self.after_bake(release, word);
        if word == Word::Bad {
            agent.step = Stage::GoesBack(release);
            agent.rolled_back.put(release);
        }
        Some(())
    }

    fn after_bake(&self, release: Release, word: Word) -> Stage {
        let is_unlocked_first = self.flaw == Some(Flaw::UnlockBeforeVerdict);
        if is_unlocked_first { Stage::Unlocks(release) } else { Stage::Writes(release, word) }
    }

    /// DELETEs of every lock that this instance finds to be its own.
    pub(crate) fn unlocks(&self, state: &State, i: Instance) -> Few<Write, 2> {
        let read = |etag| Some(etag).filter(|_| self.flaw != Some(Flaw::AnyLockDeleted));
        let own = (0..).zip(state.locks.iter()).filter_map(|(number, lock)| Some((number, (*lock)?)));
        let own = own.filter(|(_, lock)| lock.holder == i);
        let writes = own.map(|(number, lock)| Write::Unlock { number, read: read(lock.etag), holder: i });
        Few::of(Write::Unmark { instance: i, release: 0 }, writes)
    }

    fn unlocked(&self, state: &mut State, i: Instance) -> Option<()> {
        let agent = state.agent(i)?;
        agent.held = None;
        agent.step = match agent.note {
            Some((release, Note::Decided(word))) => Stage::Writes(release, word),
            _ => Stage::Follows,
        };
        Some(())
    }
}
