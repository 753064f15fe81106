//! What the driver writes for those who come when this agent is gone: a note for the next agent, so that it can go on with a drain,
//! and the record of the life for people.

use std::sync::Arc;

use berth_core::clock::Uptime;
use berth_core::machine::Machine;
use berth_core::message::error::{ErrorClass, JobError};
use berth_core::message::job::Job;
use berth_core::message::outcome::Outcome;
use berth_core::view::published::{Published, StatusReport};
use berth_core::view::{HookState, PhaseName, View};
use tokio::sync::watch;
use tracing::warn;

use crate::io::host::note::Note;
use crate::io::host::state_dir::Keeper;

/// What is written for those who come when this agent is gone.
#[derive(Debug)]
pub struct Records {
    /// For the next agent, if this one is killed in a drain.
    pub note: Note,
    /// For people.
    pub life: Keeper,
}

/// What was written so far for those who come when this agent is gone.
#[derive(Debug)]
pub(super) struct Recorder {
    /// Whether a note may lie there.
    noted: bool,
    /// Whether the last note could not be written.
    failed: bool,
    recorded: Option<RecordedState>,
    final_status: Option<String>,
}

/// What a record is written for: an agent that is killed writes no more.
#[derive(Debug, PartialEq)]
struct RecordedState {
    phase: PhaseName,
    hooks: Vec<(HookState, Option<String>)>,
    restarts: u32,
    output: Option<f64>,
}

impl RecordedState {
    fn of(view: &View) -> Self {
        let output = view.app_output.as_ref().map(|output| output.at_seconds);
        let hooks = view.lifecycle.hooks.iter().map(|hook| (hook.state, hook.reason.clone())).collect();
        Self { phase: view.phase, hooks, restarts: view.restarts, output }
    }
}

impl Recorder {
    /// At the start a note of an agent before this one may lie there, read or not.
    pub(super) fn new() -> Self {
        Self { noted: true, failed: false, recorded: None, final_status: None }
    }

    /// Leaves the next agent what is left of a drain. A disk has no part in it, so the loop waits for it.
    pub(super) fn note(&mut self, machine: &Machine, note: &Note, now: Uptime) {
        let written = match machine.unfinished(now) {
            Some(left) => {
                self.noted = true;
                note.leave(left)
            }
            None if self.noted && machine.phase() != PhaseName::Gone => {
                self.noted = false;
                note.clear()
            }
            None => Ok(()),
        };
        if let Err(error) = &written
            && !self.failed
        {
            warn!(
                "the next agent would not know of this drain: {}",
                JobError::from_error(ErrorClass::Broken, error).reason
            );
        }
        self.failed = written.is_err();
    }

    /// Keeps what can be seen, whenever what explains a life has changed.
    pub(super) fn keep(&mut self, published: &watch::Sender<Arc<Published>>, life: &Keeper, now: Uptime) {
        let shown = RecordedState::of(&published.borrow().view);
        if self.recorded.as_ref() != Some(&shown) {
            self.recorded = Some(shown);
            life.keep(report(published, now), None, None);
        }
    }

    /// The line for the console is records with the record.
    pub(super) fn hear(&mut self, job: &Job) {
        if let Job::WriteFinalStatus { line, .. } = job {
            self.final_status = Some(line.clone());
        }
    }

    /// The agent ends. After a bug the next one goes on with the drain, as after a kill.
    pub(super) fn end(
        &mut self,
        outcome: Outcome,
        published: &watch::Sender<Arc<Published>>,
        records: &Records,
        now: Uptime,
    ) {
        records.life.keep(report(published, now), Some(outcome.code()), self.final_status.take());
        if outcome != Outcome::Bug
            && let Err(error) = records.note.clear()
        {
            warn!("{}", JobError::from_error(ErrorClass::Broken, &error).reason);
        }
    }
}

fn report(published: &watch::Sender<Arc<Published>>, now: Uptime) -> StatusReport {
    StatusReport::new(Published::clone(&published.borrow()), now.0.as_secs_f64())
}
