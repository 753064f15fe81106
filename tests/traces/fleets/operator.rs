//! The operator and the group: what is published, halted, resumed and rolled back, who is launched, and when it is over.

use std::time::Duration;

use super::agent::Stage;
use super::counts::Row;
use super::plan::{Act, Quality};
use super::promises::Promise;
use super::world::{Fleet, Followed, Happens};
use crate::sim::{ms, secs};

/// An operator takes a mark for lost that is older than a lease and a bake.
const LOST: Duration = Duration::from_secs(120);
/// A fleet in which nothing changes for so long does nothing any more.
const QUIET: Duration = Duration::from_secs(400);
/// Every stage of an instance ends within this.
const STUCK: Duration = Duration::from_secs(900);

impl Fleet {
    pub(super) fn act(&mut self, act: Act) {
        match act {
            Act::Publish if self.published < self.plan.documents.len() => {
                let (release, previous) = (self.published, self.followed.release);
                if self.instances.iter().any(|agent| agent.next.is_some()) {
                    self.counts.saw(Row::Overtaken);
                }
                self.published += 1;
                self.plan.documents[release].previous = Some(previous);
                self.point(release, false);
            }
            Act::Publish => {}
            Act::RollBack => {
                let is_target = |release: &usize| {
                    let failures = self.plan.documents[*release].failures();
                    self.board.state(*release, usize::MAX).is_proven(failures)
                };
                let before = |release: &usize| self.plan.documents[*release].previous;
                let mut candidates = std::iter::successors(before(&self.followed.release), before);
                if let Some(release) = candidates.find(is_target) {
                    self.counts.saw(Row::RolledBack);
                    self.point(release, true);
                }
            }
            Act::Halt => {
                if self.instances.iter().any(|agent| agent.next.is_some()) {
                    self.counts.saw(Row::Halted);
                }
                self.board.halt(self.followed.release);
                self.board_changed(self.followed.release);
            }
            Act::Resume => self.begin_to_resume(),
            Act::Boot => self.launch(),
            Act::Mishap(mishap) => {
                let instance = self.rng.usize(0..self.instances.len());
                self.mishap(instance, mishap);
            }
        }
        self.changed = self.now;
        self.note(|| format!("{act:?}"));
    }

    /// The document has this release from now on.
    fn point(&mut self, release: usize, is_rollback: bool) {
        let before = self.followed.release;
        self.followed = Followed { release, previous: Some(before), is_rollback, written: self.now };
        self.board_changed(before);
        self.board_changed(release);
    }

    fn begin_to_resume(&mut self) {
        let before = self.now.saturating_sub(LOST).as_secs();
        let read = self.board.read_to_resume(self.followed.release, before);
        self.resumptions.push(Some(read));
        let at = self.now + ms(self.rng.u64(50..5_000));
        self.acts += 1;
        self.plan(at, Happens::Resumes(self.resumptions.len() - 1));
    }

    pub(super) fn resume(&mut self, number: usize) {
        self.acts -= 1;
        let Some(resumption) = self.resumptions[number].take() else { return };
        let release = resumption.release;
        let before = self.board.state(release, usize::MAX);
        for instance in self.board.resume(resumption) {
            self.counts.saw(Row::TakenForLost);
            if !matches!(self.instances[instance].stage, Stage::Gone | Stage::Down) {
                self.counts.saw(Row::LivedOn);
            }
        }
        let after = self.board.state(release, usize::MAX);
        if before.is_halted && !after.is_halted {
            self.counts.saw(Row::ResumedHalt);
        }
        if after.pardoned > before.pardoned {
            self.counts.saw(Row::Pardoned);
        }
        self.board_changed(release);
        self.changed = self.now;
        self.note(|| format!("resumed: {after}"));
    }

    /// Whether nothing more is to come. In the end an operator resumes a good release until it has reached all.
    pub(super) fn is_over(&mut self) -> bool {
        let quiet = self.now.saturating_sub(self.changed);
        if self.acts == 0 && quiet > STUCK {
            self.breaks(Promise::Ends, "an instance stays at one stage".to_owned());
            return true;
        }
        let is_settled = |stage: Stage| matches!(stage, Stage::Serving | Stage::Gone);
        if self.acts > 0 || quiet < secs(20) || !self.instances.iter().all(|agent| is_settled(agent.stage)) {
            return false;
        }
        let release = self.followed.release;
        let document = &self.plan.documents[release];
        let state = self.board.state(release, usize::MAX);
        let (failures, max_parallel) = (document.failures(), document.max_parallel());
        let is_stopped = state.is_stopped(failures);
        let may_begin = state.may_begin(failures, max_parallel);
        if !may_begin && !is_stopped {
            self.counts.saw(Row::StoppedByMarks);
        }
        if document.quality == Quality::Bad {
            return quiet > if may_begin { QUIET } else { secs(100) };
        }
        let is_there = |(at, agent): (usize, &super::agent::Agent)| {
            agent.stage == Stage::Gone || agent.serving == release || self.is_excused(at, release)
        };
        if self.instances.iter().enumerate().all(is_there) {
            return true;
        }
        if !may_begin && quiet > secs(130) && self.resumed < self.instances.len() + 10 {
            self.resumed += 1;
            self.begin_to_resume();
            self.changed = self.now;
            return false;
        }
        quiet > QUIET
    }
}
