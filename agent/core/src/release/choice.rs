//! The choice of a boot: which release of the document this instance runs.
//!
//! What runs already goes on. Else it is the newest release that is proven, somebody serves it and it is not stopped; each names the
//! one before it. If none is proven there is nothing better than the newest.

use std::sync::Arc;

use berth_config::{Board, Config};

use super::NotedReleases;
use crate::clock::Uptime;
use crate::message::error::{ErrorClass, JobError};
use crate::message::event::Event;
use crate::message::input::Input;
use crate::message::job::Job;
use crate::message::release::{Release, ReleaseId, Verdict};
use crate::outbox::Outbox;
use crate::retry::FAR;
use crate::step::Step;
use crate::view::StepName;

/// So many releases are looked at.
const LOOKED_AT: usize = 10;

/// The choice of one boot.
#[derive(Clone, Debug)]
pub struct Choice {
    /// What the document says.
    newest: Chosen,
    board: Option<Board>,
    /// What is to be read, or is looked at.
    stage: Stage,
    seen: Vec<ReleaseId>,
    /// The newest that was not rolled back here.
    allowed: Option<Chosen>,
    step: Step<Chosen>,
}

/// A release with its config.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// Its config.
    pub config: Arc<Config>,
    /// Which it is.
    pub release: Release,
}

#[derive(Clone, Debug)]
enum Stage {
    /// It ran before: nothing is asked of the board.
    Running(ReleaseId),
    /// Is it proven?
    Judging(Chosen),
    /// The copy of the one before what was judged, or of what a rollback published.
    Reading(ReleaseId),
}

impl Choice {
    /// The choice, if the document says this and an agent before this one left that.
    pub fn begin(newest: Chosen, noted: Option<&NotedReleases>, now: Uptime) -> Self {
        let board = newest.config.release.board.clone();
        let mut step = Step::new(StepName::Release, FAR);
        let stage = match noted.map(|noted| &noted.serving).filter(|serving| **serving != newest.release.id) {
            Some(serving) => Stage::Running(serving.clone()),
            None => Stage::Judging(newest.clone()),
        };
        let is_known = noted.is_some() && matches!(stage, Stage::Judging(_));
        if is_known || (board.is_none() && matches!(stage, Stage::Judging(_))) {
            step.done(newest.clone(), now);
        }
        Self { seen: vec![newest.release.id.clone()], allowed: None, newest, board, stage, step }
    }

    /// What was chosen, once it is.
    pub fn chosen(&self) -> Option<&Chosen> {
        self.step.get()
    }

    /// What the document has.
    pub fn newest(&self) -> &ReleaseId {
        &self.newest.release.id
    }

    /// Its step, for people.
    pub fn step(&self) -> &Step<Chosen> {
        &self.step
    }

    /// Takes an answer. An error is one that no further attempt can change.
    pub fn on(&mut self, input: &Input, outbox: &mut Outbox, now: Uptime) -> Result<(), JobError> {
        let Some(event) = self.step.answer(input) else { return Ok(()) };
        match (&self.stage, event) {
            (Stage::Running(_), Event::ConfigRead(config, Some(release))) => {
                let chosen = Chosen { config: config.clone(), release: release.as_ref().clone() };
                self.step.done(chosen, now);
            }
            (Stage::Reading(_), Event::ConfigRead(_, Some(copy))) if copy.id == self.newest.release.id => {
                self.go_before(copy.previous.clone(), now);
            }
            (Stage::Reading(_), Event::ConfigRead(config, Some(release))) => {
                self.step.go_on();
                self.stage = Stage::Judging(Chosen { config: config.clone(), release: release.as_ref().clone() });
            }
            (Stage::Judging(judged), Event::BoardRead(state)) => {
                let was_bad_here = state.own == Some(Verdict::Bad);
                if !was_bad_here {
                    self.allowed.get_or_insert_with(|| judged.clone());
                }
                if state.is_proven(judged.config.release.failures) && !was_bad_here {
                    let chosen = judged.clone();
                    self.step.done(chosen, now);
                    return Ok(());
                }
                let (id, previous) = (judged.release.id.clone(), judged.release.previous.clone());
                if judged.release.is_rollback && id == self.newest.release.id {
                    // What a rollback replaced is what the operator goes back from. Its copy says what it replaced itself.
                    self.step.go_on();
                    self.stage = Stage::Reading(id);
                } else {
                    self.go_before(previous, now);
                }
            }
            // It was valid for another version of berth, or with another user-data.
            (Stage::Running(_) | Stage::Reading(_), Event::ConfigRefused { .. }) => {
                self.step.done(self.newest.clone(), now);
            }
            (_, Event::Failed(_, error)) if error.is_transient() => self.step.retry(error, outbox, now),
            // The release that ran is not here any more, or one that came before was removed: the newest is what there is.
            (Stage::Running(_) | Stage::Reading(_), Event::Failed(_, error))
                if matches!(error.class, ErrorClass::Broken | ErrorClass::Misconfigured) =>
            {
                self.step.done(self.newest.clone(), now);
            }
            (_, Event::Failed(_, error)) => {
                self.step.refuse(error, now);
                return Err(error.clone());
            }
            _ => self.step.again(),
        }
        Ok(())
    }

    /// The release before this one, if there is one that was not looked at.
    fn go_before(&mut self, previous: Option<ReleaseId>, now: Uptime) {
        let previous = previous.filter(|id| !self.seen.contains(id));
        match previous.filter(|_| self.seen.len() < LOOKED_AT) {
            Some(previous) => {
                self.step.go_on();
                self.seen.push(previous.clone());
                self.stage = Stage::Reading(previous);
            }
            None => self.step.done(self.allowed.clone().unwrap_or_else(|| self.newest.clone()), now),
        }
    }

    /// Orders the next question.
    pub fn advance(&mut self, outbox: &mut Outbox, now: Uptime) {
        if !self.step.is_due(now) {
            return;
        }
        let job = match (&self.stage, &self.board) {
            (Stage::Running(release), board) => Job::ReadRelease { board: board.clone(), release: release.clone() },
            (Stage::Reading(release), Some(board)) => Job::ReadCopy { board: board.clone(), release: release.clone() },
            (Stage::Judging(judged), Some(board)) => {
                Job::ReadBoard { board: board.clone(), release: judged.release.id.clone() }
            }
            (Stage::Reading(_) | Stage::Judging(_), None) => return self.step.done(self.newest.clone(), now),
        };
        self.step.emit(job, outbox, now);
    }

    /// Gives up what is under way.
    pub fn cancel(&mut self, outbox: &mut Outbox) {
        self.step.cancel(outbox);
    }
}
