//! The choice of a boot: which release of the document this instance runs.
//!
//! What runs already goes on. Else it is the newest release that is proven, somebody serves it and it is not stopped; each names the
//! one before it. If none is proven there is nothing better than the newest. What failed here before, by the board or by the note of an
//! agent before this one, is taken only if nothing else is known.

use std::sync::Arc;

use berth_config::{Board, Config};

use super::NotedReleases;
use crate::clock::Uptime;
use crate::message::error::{ErrorClass, JobError};
use crate::message::event::Event;
use crate::message::input::Input;
use crate::message::job::Job;
use crate::message::release::{BoardState, Release, ReleaseId, Verdict};
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
    /// What an agent before this one noted as failed here.
    failed: Vec<ReleaseId>,
    /// The newest that did not fail here.
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
    /// The one before what was judged.
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
        let failed = noted.map(|noted| noted.failed.clone()).unwrap_or_default();
        Self { seen: vec![newest.release.id.clone()], failed, allowed: None, newest, board, stage, step }
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
            (Stage::Reading(_), Event::ConfigRead(config, Some(release))) => {
                self.step.go_on();
                self.stage = Stage::Judging(Chosen { config: config.clone(), release: release.as_ref().clone() });
            }
            (Stage::Judging(judged), Event::BoardRead(state)) => {
                let judged = judged.clone();
                let has_failed = state.own == Some(Verdict::Bad) || self.failed.contains(&judged.release.id);
                self.judge(judged, state.clone(), has_failed, now);
            }
            // It was valid for another version of berth, or with another user-data.
            (Stage::Running(_), Event::ConfigRefused { .. }) => self.judge_newest(),
            (Stage::Reading(_), Event::ConfigRefused { .. }) => self.end(now),
            (_, Event::Failed(_, error)) if error.is_transient() => self.step.retry(error, outbox, now),
            // The release that ran is not here any more, or one that came before was removed.
            (Stage::Running(_), Event::Failed(_, error)) if is_gone(error) => self.judge_newest(),
            (Stage::Reading(_), Event::Failed(_, error)) if is_gone(error) => self.end(now),
            (_, Event::Failed(_, error)) => {
                self.step.refuse(error, now);
                return Err(error.clone());
            }
            _ => self.step.again(),
        }
        Ok(())
    }

    /// What ran before is not to be had: as if nothing had.
    fn judge_newest(&mut self) {
        self.step.go_on();
        self.stage = Stage::Judging(self.newest.clone());
    }

    /// Takes what is proven, else looks at the one before.
    fn judge(&mut self, judged: Chosen, state: BoardState, has_failed: bool, now: Uptime) {
        if !has_failed {
            self.allowed.get_or_insert_with(|| judged.clone());
            if state.is_proven(judged.config.release.failures) {
                return self.step.done(judged, now);
            }
        }
        // What a rollback replaced is what the operator goes back from.
        let previous = judged.release.previous.filter(|_| !judged.release.is_rollback);
        let previous = previous.filter(|id| !self.seen.contains(id));
        match previous.filter(|_| self.seen.len() < LOOKED_AT) {
            Some(previous) => {
                self.step.go_on();
                self.seen.push(previous.clone());
                self.stage = Stage::Reading(previous);
            }
            None => self.end(now),
        }
    }

    /// None is proven: the newest that did not fail here, else there is nothing better than the newest.
    fn end(&mut self, now: Uptime) {
        self.step.done(self.allowed.clone().unwrap_or_else(|| self.newest.clone()), now);
    }

    /// Orders the next question.
    pub fn advance(&mut self, outbox: &mut Outbox, now: Uptime) {
        if let (Stage::Judging(judged), None, true) = (&self.stage, &self.board, self.step.is_due(now)) {
            // Without a board nothing is proven: what did not fail here is as good as any.
            let (judged, has_failed) = (judged.clone(), self.failed.contains(&judged.release.id));
            if !has_failed {
                return self.step.done(judged, now);
            }
            self.judge(judged, BoardState::default(), has_failed, now);
        }
        if !self.step.is_due(now) {
            return;
        }
        let job = match (&self.stage, &self.board) {
            (Stage::Running(release) | Stage::Reading(release), board) => {
                Job::ReadRelease { board: board.clone(), release: release.clone() }
            }
            (Stage::Judging(judged), Some(board)) => {
                Job::ReadBoard { board: board.clone(), release: judged.release.id.clone() }
            }
            (Stage::Judging(_), None) => return, // judged above
        };
        self.step.emit(job, outbox, now);
    }

    /// Gives up what is under way.
    pub fn cancel(&mut self, outbox: &mut Outbox) {
        self.step.cancel(outbox);
    }
}

fn is_gone(error: &JobError) -> bool {
    matches!(error.class, ErrorClass::Broken | ErrorClass::Misconfigured)
}
