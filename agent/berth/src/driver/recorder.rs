//! What the driver writes for the time after this agent: a note, with which the next agent continues a drain, and the record of this
//! life for `berth status`.

use std::sync::Arc;

use berth_core::clock::Uptime;
use berth_core::machine::Machine;
use berth_core::message::error::{ErrorClass, JobError};
use berth_core::message::job::Job;
use berth_core::message::outcome::Outcome;
use berth_core::release::NotedReleases;
use berth_core::view::published::{Published, StatusReport};
use berth_core::view::{HookState, PhaseName, View};
use tokio::sync::watch;
use tracing::warn;

use crate::io::host::note::Note;
use crate::io::host::state_dir::Keeper;

/// The files that are written for the time after this agent.
#[derive(Debug)]
pub struct Records {
    /// The note for the next agent, if this one is killed in a drain.
    pub note: Note,
    /// The note of the targets that are registered with load balancers, or were a short while ago.
    pub targets: Note,
    /// The note of the releases: which serves, and which failed here.
    pub releases: Note,
    /// The record of this life, for `berth status` and `berth timeline`.
    pub life: Keeper,
}

/// What was written so far.
#[derive(Debug)]
pub(super) struct Recorder {
    /// Whether a note may exist.
    noted: bool,
    /// Whether the last note could not be written.
    failed: bool,
    /// The targets' changes that the note has.
    target_changes: Option<u64>,
    /// What the note of the releases has.
    releases: Option<NotedReleases>,
    /// The release that was reported last as one that needs new instances.
    refused: Option<String>,
    recorded: Option<RecordedState>,
    final_status: Option<String>,
}

/// The parts of the view whose change writes the record again, since an agent that is killed cannot write at its end.
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
    /// At the start a note of the agent before this one may exist.
    pub(super) fn new() -> Self {
        Self {
            noted: true,
            failed: false,
            target_changes: None,
            releases: None,
            refused: None,
            recorded: None,
            final_status: None,
        }
    }

    /// Writes what is left of a drain for the next agent. The file is on a tmpfs, so the loop may wait for the write.
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
                "cannot save this drain for the next agent: {}",
                JobError::from_error(ErrorClass::Broken, error).reason
            );
        }
        self.failed = written.is_err();
    }

    /// Notes the targets for the next agent before a call registers or deregisters one.
    pub(super) fn note_targets(&mut self, machine: &Machine, note: &Note, now: Uptime) {
        let changes = machine.target_changes();
        if changes.is_none() || changes == self.target_changes {
            return;
        }
        if let Some(targets) = machine.noted_targets(now)
            && let Err(error) = note.leave(targets)
        {
            let error = JobError::from_error(ErrorClass::Broken, &error);
            warn!("cannot note the targets for the next agent, which asks the load balancer instead: {}", error.reason);
        }
        self.target_changes = changes;
    }

    /// Notes the releases for the next agent before another one of them takes traffic.
    pub(super) fn note_releases(&mut self, machine: &Machine, note: &Note) {
        let Some(releases) = machine.noted_releases().filter(|releases| self.releases.as_ref() != Some(releases))
        else {
            return;
        };
        if let Err(error) = note.leave(&releases) {
            let error = JobError::from_error(ErrorClass::Broken, &error);
            warn!("cannot note the releases for the next agent, which reads the board instead: {}", error.reason);
        }
        self.releases = Some(releases);
    }

    /// Writes the record when one of its main parts has changed.
    pub(super) fn keep(&mut self, published: &watch::Sender<Arc<Published>>, life: &Keeper, now: Uptime) {
        self.report_refusal(&published.borrow().view);
        let shown = RecordedState::of(&published.borrow().view);
        if self.recorded.as_ref() != Some(&shown) {
            self.recorded = Some(shown);
            life.keep(report(published, now), None, None);
        }
    }

    /// A document that cannot be released in place is a warning, once.
    fn report_refusal(&mut self, view: &View) {
        let refused = view.releases.as_ref().and_then(|releases| releases.refused.as_ref());
        let release = refused.map(|refused| refused.release.clone());
        if let Some(refused) = refused.filter(|_| release != self.refused) {
            let keys = refused.keys.join(", ");
            warn!("release {} needs new instances and changes nothing here: it changes {keys}", refused.release);
        }
        self.refused = release;
    }

    /// Keeps the final status, which is part of the record.
    pub(super) fn keep_final_status(&mut self, job: &Job) {
        if let Job::WriteFinalStatus { line, .. } = job {
            self.final_status = Some(line.clone());
        }
    }

    /// The agent ends. After a bug the note stays: the next agent continues the drain, as after a kill.
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
