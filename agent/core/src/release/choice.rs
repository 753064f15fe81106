//! The choice of a boot: which release of the document this instance runs.
//!
//! What runs already goes on. Else it is the newest release that is proven, somebody serves it and it is not stopped; each names the
//! one before it. If none is proven it is one that somebody serves although it was stopped, then one that was not stopped, the newest
//! of them. What failed here before, by the board or by the note of an agent before this one, is taken only if nothing else is known.

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

/// Whether what was asked for is not there, or cannot be used.
fn is_missing(error: &JobError) -> bool {
    matches!(error.class, ErrorClass::Broken | ErrorClass::Misconfigured)
}

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
    /// The best of those that are not proven and did not fail here.
    fallback: Option<(Fallback, Chosen)>,
    step: Step<Chosen>,
}

/// What is taken if nothing is proven, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fallback {
    /// It was stopped, and nobody serves it.
    Stopped,
    /// Nobody serves it yet.
    Untried,
    /// It was stopped, and somebody serves it.
    Served,
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
        let failed = noted.map(|noted| noted.failed.clone()).unwrap_or_default();
        Self { seen: vec![newest.release.id.clone()], failed, fallback: None, newest, board, stage, step }
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
                self.look_before(copy.previous.clone(), now);
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
            // One that is no config here any more still names the one before it.
            (Stage::Reading(_), Event::ConfigRefused { release, .. }) => {
                self.look_before(release.previous.clone(), now)
            }
            // It was valid for another version of berth, or with another user-data.
            (Stage::Running(_), Event::ConfigRefused { .. }) => self.judge_newest(),
            (_, Event::Failed(_, error)) if error.is_transient() => self.step.retry(error, outbox, now),
            // The release that ran is not here any more: it is a boot like any other.
            (Stage::Running(_), Event::Failed(_, error)) if is_missing(error) => self.judge_newest(),
            // One that came before was removed.
            (Stage::Reading(_), Event::Failed(_, error)) if is_missing(error) => self.settle(now),
            (_, Event::Failed(_, error)) => {
                self.step.refuse(error, now);
                return Err(error.clone());
            }
            _ => self.step.again(),
        }
        Ok(())
    }

    /// Takes what is proven, else looks at the one before.
    fn judge(&mut self, judged: Chosen, state: BoardState, has_failed: bool, now: Uptime) {
        let failures = judged.config.release.failures;
        let rank = match &state {
            state if state.ok > 0 => Fallback::Served,
            state if state.is_stopped(failures) => Fallback::Stopped,
            _ => Fallback::Untried,
        };
        let (id, previous, is_rollback) =
            (judged.release.id.clone(), judged.release.previous.clone(), judged.release.is_rollback);
        if !has_failed {
            if state.is_proven(failures) {
                return self.step.done(judged, now);
            }
            if self.fallback.as_ref().is_none_or(|(best, _)| *best < rank) {
                self.fallback = Some((rank, judged));
            }
        }
        match &self.board {
            // What a rollback replaced is what the operator goes back from. Its copy on the board says what it replaced itself.
            Some(_) if is_rollback && id == self.newest.release.id => {
                self.step.go_on();
                self.stage = Stage::Reading(id);
            }
            None if is_rollback => self.settle(now),
            _ => self.look_before(previous, now),
        }
    }

    /// Looks at the release before this one, if there is one that was not looked at.
    fn look_before(&mut self, previous: Option<ReleaseId>, now: Uptime) {
        match previous.filter(|id| !self.seen.contains(id) && self.seen.len() < LOOKED_AT) {
            Some(previous) => {
                self.step.go_on();
                self.seen.push(previous.clone());
                self.stage = Stage::Reading(previous);
            }
            None => self.settle(now),
        }
    }

    /// Nothing is proven: the best of the rest.
    fn settle(&mut self, now: Uptime) {
        let best = self.fallback.as_ref().map_or(&self.newest, |(_, best)| best).clone();
        self.step.done(best, now);
    }

    /// What ran before is not to be had: as if nothing had.
    fn judge_newest(&mut self) {
        self.step.go_on();
        self.stage = Stage::Judging(self.newest.clone());
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
            (Stage::Running(release), board) => Job::ReadRelease { board: board.clone(), release: release.clone() },
            (Stage::Reading(release), Some(board)) => Job::ReadCopy { board: board.clone(), release: release.clone() },
            // What is kept here may be as good.
            (Stage::Reading(release), None) => Job::ReadRelease { board: None, release: release.clone() },
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
