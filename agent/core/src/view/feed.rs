//! `/v1/events`: one JSON object a line, an event, an effect, or how many lines a slow reader lost.
//!
//! The driver makes a line only while a client follows. `detail` is the line of the log, for people.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Uptime;
use crate::message::command::Command;
use crate::message::effect::Effect;
use crate::message::error::ErrorClass;
use crate::message::event::{Event, EventName, PullProgress, Signal};
use crate::message::group::HookResult;
use crate::message::job::{Job, JobKind, Ticket};
use crate::message::probe_failure::ProbeFailureKind;
use crate::view::{ExitView, HookResultName, PhaseName, PullView, SCHEMA_VERSION};

/// A line.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum FeedLine {
    /// Something happened.
    Event(Box<EventLine>),
    /// The agent begins to do something.
    Effect(Box<EffectLine>),
    /// Lines were lost.
    Lagged(LaggedLine),
}

/// An event: something happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EventLine {
    /// The version of this document's schema: 1.
    #[cfg_attr(feature = "schema", schemars(extend("const" = SCHEMA_VERSION)))]
    pub schema_version: u32,
    /// When.
    pub at_seconds: f64,
    /// The phase that the instance was in.
    pub phase: PhaseName,
    /// What happened.
    pub event: EventName,
    /// The number of the job that it answers; null if it answers none.
    pub ticket: Option<u64>,
    /// The job that it answers; null if it answers none.
    pub job: Option<JobKind>,
    /// How long that job took.
    pub took_seconds: Option<f64>,
    /// The class of the error, of a job that failed.
    pub error_class: Option<ErrorClass>,
    /// The kind of failure, of a probe that failed.
    pub probe_failure: Option<ProbeFailureKind>,
    /// How the app exited, if that is what happened.
    pub app_exit: Option<ExitView>,
    /// How far the pull is, if it made progress.
    pub pull: Option<PullView>,
    /// How many connections of clients are open, if they were counted.
    pub connections: Option<u32>,
    /// The signal, if the process got one.
    pub signal: Option<SignalName>,
    /// The same for people, with what was answered.
    pub detail: String,
}

/// An effect: the agent begins to do something.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EffectLine {
    /// The version of this document's schema: 1.
    #[cfg_attr(feature = "schema", schemars(extend("const" = SCHEMA_VERSION)))]
    pub schema_version: u32,
    /// When.
    pub at_seconds: f64,
    /// The phase that the instance is in.
    pub phase: PhaseName,
    /// What is done.
    pub effect: EffectName,
    /// The number of the job. The event that answers it has the same. A command has none.
    pub ticket: Option<u64>,
    /// The ticket that is cancelled, of `cancel`.
    pub cancelled_ticket: Option<u64>,
    /// What the hook is completed with, of `complete_hook`.
    pub hook_result: Option<HookResultName>,
    /// The agent's exit code, of `exit`, which is the last line.
    pub exit_code: Option<u8>,
    /// The same for people, with what it is done to.
    pub detail: String,
}

/// The reader was too slow, and lines were lost.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LaggedLine {
    /// The version of this document's schema: 1.
    #[cfg_attr(feature = "schema", schemars(extend("const" = SCHEMA_VERSION)))]
    pub schema_version: u32,
    /// How many.
    pub lagged: u64,
}

/// What an effect is: a job for an adapter, which an event answers, or a command for the agent itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum EffectName {
    /// A job.
    Job(JobKind),
    /// A command.
    Command(CommandName),
}

/// A command for the agent itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum CommandName {
    /// Stop a job; its answer is dropped.
    Cancel,
    /// Exit.
    Exit,
    /// Exit for the next agent, and leave the container running.
    HandOver,
    /// Refuse a handover.
    RefuseHandover,
    /// Nothing is done: what was decided, and why.
    Remark,
}

/// A signal that the agent reacts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum SignalName {
    /// SIGTERM
    #[serde(rename = "SIGTERM")]
    Term,
    /// SIGINT
    #[serde(rename = "SIGINT")]
    Interrupt,
}

impl EventLine {
    /// The line of an event. A job that it answers has a ticket, a kind and the time that it took.
    pub fn new(phase: PhaseName, answers: Option<(Ticket, JobKind, Duration)>, event: &Event, now: Uptime) -> Self {
        let at_seconds = now.0.as_secs_f64();
        let mut line = Self {
            schema_version: SCHEMA_VERSION,
            at_seconds,
            phase,
            event: event.into(),
            ticket: answers.map(|(ticket, ..)| ticket.0),
            job: answers.map(|(_, job, _)| job),
            took_seconds: answers.map(|(.., took)| took.as_secs_f64()),
            error_class: None,
            probe_failure: None,
            app_exit: None,
            pull: None,
            connections: None,
            signal: None,
            detail: event.to_string(),
        };
        match event {
            Event::Failed(_, error) => line.error_class = Some(error.class),
            Event::ProbeFailed(failure) => line.probe_failure = Some(failure.kind),
            Event::ContainerExited(exit) => line.app_exit = Some(ExitView::new(exit, at_seconds)),
            Event::PullProgressed(progress) => line.pull = Some(progress.into()),
            Event::ConnectionsCounted(count) => line.connections = Some(*count),
            Event::Signalled(signal) => line.signal = Some((*signal).into()),
            _ => {} // nothing beyond its name
        }
        line
    }
}

impl EffectLine {
    /// The line of an effect.
    pub fn new(phase: PhaseName, effect: &Effect, now: Uptime) -> Self {
        let (mut cancelled_ticket, mut hook_result, mut exit_code) = (None, None, None);
        let name = match effect {
            Effect::Job(_, job) => {
                if let Job::CompleteHook { result, .. } = job {
                    hook_result = Some((*result).into());
                }
                EffectName::Job(job.into())
            }
            Effect::Command(command) => EffectName::Command(match command {
                Command::Cancel(other) => {
                    cancelled_ticket = Some(other.0);
                    CommandName::Cancel
                }
                Command::Exit(outcome) => {
                    exit_code = Some(outcome.code());
                    CommandName::Exit
                }
                Command::HandOver => CommandName::HandOver,
                Command::RefuseHandover(_) => CommandName::RefuseHandover,
                Command::Remark(_) => CommandName::Remark,
            }),
        };
        Self {
            schema_version: SCHEMA_VERSION,
            at_seconds: now.0.as_secs_f64(),
            phase,
            effect: name,
            ticket: effect.ticket().map(|ticket| ticket.0),
            cancelled_ticket,
            hook_result,
            exit_code,
            detail: effect.to_string(),
        }
    }
}

impl LaggedLine {
    /// So many lines were lost.
    pub fn new(lagged: u64) -> Self {
        Self { schema_version: SCHEMA_VERSION, lagged }
    }
}

impl From<Signal> for SignalName {
    fn from(signal: Signal) -> Self {
        match signal {
            Signal::Term => Self::Term,
            Signal::Interrupt => Self::Interrupt,
        }
    }
}

impl From<HookResult> for HookResultName {
    fn from(result: HookResult) -> Self {
        match result {
            HookResult::Continue => Self::Continue,
            HookResult::Abandon => Self::Abandon,
        }
    }
}

impl From<&PullProgress> for PullView {
    fn from(progress: &PullProgress) -> Self {
        let PullProgress { layers_done, layers, bytes, total } = *progress;
        Self { layers_done, layers_total: layers, bytes_pulled: bytes, bytes_total: total }
    }
}

/// The last event of an agent, as far as a client that waits for its end reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct ExitLine {
    /// The agent's exit code, in its last line only.
    pub exit_code: Option<u8>,
}

impl ExitLine {
    /// The exit code, if this is the last line of an agent.
    pub fn exit_code(line: &str) -> Option<u8> {
        serde_json::from_str::<Self>(line).ok()?.exit_code
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::error::JobError;
    use crate::message::outcome::Outcome;

    const NOW: Uptime = Uptime(Duration::from_millis(1500));

    fn effect(effect: Effect) -> serde_json::Value {
        serde_json::to_value(FeedLine::Effect(Box::new(EffectLine::new(PhaseName::Drain, &effect, NOW)))).unwrap()
    }

    #[test]
    fn an_effect_is_a_word_and_its_numbers_are_numbers() {
        let exit = effect(Effect::Command(Command::Exit(Outcome::DrainCut)));
        assert_eq!((&exit["effect"], &exit["exit_code"], &exit["ticket"]), (&"exit".into(), &5.into(), &().into()));
        assert_eq!(
            (&exit["schema_version"], &exit["at_seconds"], &exit["phase"]),
            (&1.into(), &1.5.into(), &"drain".into())
        );
        let job = effect(Effect::Job(Ticket(7), Job::PingEngine));
        assert_eq!((&job["effect"], &job["exit_code"], &job["ticket"]), (&"ping_engine".into(), &().into(), &7.into()));
        let cancel = effect(Effect::Command(Command::Cancel(Ticket(7))));
        assert_eq!((&cancel["effect"], &cancel["cancelled_ticket"]), (&"cancel".into(), &7.into()));
    }

    #[test]
    fn an_event_has_the_job_that_it_answers_and_the_class_of_its_error() {
        let failed = Event::Failed(JobKind::PullImage, JobError::new(ErrorClass::Denied, "no"));
        let answers = Some((Ticket(3), JobKind::PullImage, Duration::from_secs(2)));
        let line = serde_json::to_value(EventLine::new(PhaseName::Boot, answers, &failed, NOW)).unwrap();
        assert_eq!((&line["event"], &line["job"]), (&"failed".into(), &"pull_image".into()));
        assert_eq!((&line["error_class"], &line["took_seconds"]), (&"denied".into(), &2.0.into()));
        let signal = EventLine::new(PhaseName::Serve, None, &Event::Signalled(Signal::Term), NOW);
        assert_eq!(serde_json::to_value(signal).unwrap()["signal"], "SIGTERM");
    }

    #[test]
    fn a_pull_shows_its_layers_and_bytes() {
        let progress = PullProgress { layers_done: 2, layers: 5, bytes: 1_000, total: 4_000 };
        let line = EventLine::new(PhaseName::Boot, None, &Event::PullProgressed(progress), NOW);
        let pull =
            serde_json::json!({"layers_done": 2, "layers_total": 5, "bytes_pulled": 1_000, "bytes_total": 4_000});
        assert_eq!(serde_json::to_value(line).unwrap()["pull"], pull);
    }

    #[test]
    fn only_the_last_line_has_an_exit_code() {
        for outcome in Outcome::ALL {
            let line = effect(Effect::Command(Command::Exit(outcome))).to_string();
            assert_eq!(ExitLine::exit_code(&line), Some(outcome.code()));
        }
        let words = Job::WriteFinalStatus { line: "Exit 0".into(), output: Vec::new() };
        assert_eq!(ExitLine::exit_code(&effect(Effect::Job(Ticket(1), words)).to_string()), None);
        for other in [
            "",
            "{}",
            "Exit 0",
            "{\"lagged\":3}",
            "{\"event\":\"failed\",\"detail\":\"Exit 0\"}",
            "{\"exit_code\":256}",
        ] {
            assert_eq!(ExitLine::exit_code(other), None, "{other}");
        }
    }
}
