//! The only loop: it passes inputs to the machine and performs the effects.
//!
//! Priority, first to last: signals, requests, reports of running jobs, answers, wake-ups, the watchdog, signals that are ignored.
//! Each event, each effect and each change of the phase is logged here.
//!
//! Only the `select!` waits. The watchdog is fed only here, so systemd ends an agent whose loop hangs, even if other tasks still run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_core::clock::Uptime;
use berth_core::machine::Machine;
use berth_core::message::command::Command;
use berth_core::message::effect::Effect;
use berth_core::message::event::Event;
use berth_core::message::input::Input;
use berth_core::message::job::{Job, JobKind, Ticket};
use berth_core::message::outcome::Outcome;
use berth_core::view::PhaseName;
use berth_core::view::feed::{EffectLine, EventLine, FeedLine};
use berth_core::view::published::Published;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};
use tracing::{debug, info, warn};

use crate::io::host::signals::Signals;
use crate::io::listen::socket::Request;
use crate::io::{Adapters, host::log, host::systemd};

use recorder::Recorder;
pub use recorder::Records;
use repeats::Repeats;

mod recorder;
mod repeats;

/// The channels of the driver, beside the adapters.
pub struct Channels {
    /// Signals of the process.
    pub signals: Signals,
    /// What running jobs report before their answer.
    pub reports: mpsc::Receiver<(Ticket, Event)>,
    /// Requests over the socket.
    pub requests: mpsc::Receiver<Request>,
    /// What the endpoint and the socket show.
    pub published: watch::Sender<Arc<Published>>,
    /// The clients of `/v1/events`. Each message is one line of JSON.
    pub feed: broadcast::Sender<Arc<str>>,
}

/// How the agent ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With this exit code.
    Exit(Outcome),
    /// The next agent takes over.
    HandOver,
}

struct RunningJob {
    kind: JobKind,
    since: Uptime,
    handle: AbortHandle,
}

/// Runs the machine to its end. The agent started at `started`.
pub async fn drive(
    mut machine: Machine,
    adapters: Arc<Adapters>,
    mut channels: Channels,
    records: &Records,
    started: Instant,
) -> End {
    let mut tasks: JoinSet<(Ticket, Event)> = JoinSet::new();
    let mut running: BTreeMap<Ticket, RunningJob> = BTreeMap::new();
    let (mut layers_logged, mut repeats) = (0, Repeats::default());
    let mut successors = Vec::new();
    let mut recorder = Recorder::new();
    let watchdog = systemd::watchdog_interval();
    let mut feeding = watchdog.map(|_| Uptime::ZERO);
    loop {
        let turned = uptime(started);
        if let (Some(every), Some(_)) = (watchdog, feeding.filter(|due| *due <= turned)) {
            systemd::feed_watchdog();
            feeding = Some(turned + every);
        }
        log_dropped_lines();
        // Before the effects of the last event are performed, so the note for the next agent is never older than the effects.
        recorder.note(&machine, &records.note, turned);
        recorder.note_targets(&machine, &records.targets, turned);
        recorder.note_releases(&machine, &records.releases);
        while let Some(effect) = machine.next_effect() {
            let now = uptime(started);
            log_effect(&channels.feed, machine.phase(), &effect, &repeats, now);
            match effect {
                Effect::Job(ticket, job) => {
                    recorder.keep_final_status(&job);
                    let adapters = adapters.clone();
                    let kind = JobKind::from(&job);
                    let handle = tasks.spawn(async move { (ticket, adapters.perform(ticket, job).await) });
                    running.insert(ticket, RunningJob { kind, since: now, handle });
                }
                Effect::Command(Command::Cancel(ticket)) => {
                    if let Some(cancelled) = running.remove(&ticket) {
                        cancelled.handle.abort();
                    }
                }
                Effect::Command(Command::Exit(outcome)) => {
                    publish(&machine, &adapters, &channels.published);
                    recorder.end(outcome, &channels.published, records, now);
                    return End::Exit(outcome);
                }
                // Nothing is published: the status of the instance does not change.
                Effect::Command(Command::HandOver) => {
                    answer(&mut successors, Ok(()));
                    return End::HandOver;
                }
                Effect::Command(Command::RefuseHandover(why)) => answer(&mut successors, Err(why)),
                Effect::Command(Command::Remark(_)) => {} // it is logged
            }
        }
        publish(&machine, &adapters, &channels.published);
        recorder.keep(&channels.published, &records.life, uptime(started));

        let input = tokio::select! {
            biased;
            signal = channels.signals.drain.next() => Some(Event::Signalled(signal).into()),
            Some(request) = channels.requests.recv() => Some(match request {
                Request::Drain { reason } => Event::DrainRequested(reason).into(),
                Request::Handover { answer } => {
                    successors.push(answer);
                    Event::HandoverRequested.into()
                }
            }),
            Some((ticket, event)) = channels.reports.recv() => Some(Input::Report(ticket, event)),
            Some(done) = tasks.join_next() => match done {
                Ok((ticket, event)) => Some(Input::Answer(ticket, event)),
                Err(error) if error.is_cancelled() => None, // cancelled by the machine, which expects no answer
                Err(error) => {
                    warn!(%error, "a job panicked");
                    recorder.end(Outcome::Bug, &channels.published, records, uptime(started));
                    return End::Exit(Outcome::Bug);
                }
            },
            () = until(machine.next_wake(), started) => Some(Event::Woke.into()),
            () = until(feeding, started) => None, // the watchdog is fed at the top of the loop
            name = channels.signals.harmless.next() => {
                info!(phase = machine.phase().word(), "{name} is ignored: only SIGTERM and SIGINT drain");
                None
            }
        };
        let Some(input) = input else { continue };
        let now = uptime(started);
        let answered = match input {
            Input::Answer(ticket, _) => running.remove(&ticket).map(|job| (ticket, job.kind, now.since(job.since))),
            Input::Report(..) | Input::Event(_) => None,
        };
        let late = match input {
            Input::Answer(ticket, _) if answered.is_none() => Some(ticket),
            Input::Report(ticket, _) if !running.contains_key(&ticket) => Some(ticket),
            Input::Answer(..) | Input::Report(..) | Input::Event(_) => None,
        };
        if let Some(ticket) = late {
            // The machine drops it as well.
            debug!(ticket = ticket.0, event = input.event().name(), "late answer or report of a cancelled job");
        } else {
            let routine = match input.event() {
                Event::PullProgressed(progress) => {
                    progress.layers_done == std::mem::replace(&mut layers_logged, progress.layers_done)
                }
                event => event.is_routine() || repeats.hides(event),
            };
            let attempts = answered.and_then(|(_, kind, _)| repeats.attempts(kind));
            log_event(&channels.feed, machine.phase(), answered, attempts, input.event(), routine, now);
            repeats.take(answered.map(|(_, kind, _)| kind), input.event());
        }
        let before = machine.phase();
        machine.on(&input, now);
        if machine.phase() != before {
            log_phase(&machine, before);
        }
    }
}

/// Answers every request for a handover. A client that disconnected needs no answer.
fn answer(successors: &mut Vec<oneshot::Sender<Result<(), &'static str>>>, answer: Result<(), &'static str>) {
    for client in successors.drain(..) {
        let _ = client.send(answer);
    }
}

/// Logs how many lines were dropped, once the log has space again.
fn log_dropped_lines() {
    let dropped = log::unreported();
    if dropped > 0 {
        warn!(dropped, "lines of the log were dropped: nothing read standard error");
    }
}

fn log_effect(feed: &broadcast::Sender<Arc<str>>, phase: PhaseName, effect: &Effect, repeats: &Repeats, now: Uptime) {
    // A final status while the app still serves is a warning.
    let is_warning = matches!(effect, Effect::Job(_, Job::WriteFinalStatus { .. }))
        && matches!(phase, PhaseName::Serve | PhaseName::Release | PhaseName::Warm);
    let (word, ticket) = (phase.word(), effect.ticket().map(|ticket| ticket.0));
    if is_warning {
        warn!(phase = word, ticket, "> {effect}");
    } else if effect.is_routine() || repeats.is_repeated(effect) {
        debug!(phase = word, ticket, "> {effect}");
    } else {
        info!(phase = word, ticket, "> {effect}");
    }
    send(feed, || FeedLine::Effect(Box::new(EffectLine::new(phase, effect, now))));
}

/// The reason is in the view: after a timeout no event holds it.
fn log_phase(machine: &Machine, before: PhaseName) {
    let view = machine.view();
    let (phase, from) = (view.phase.word(), before.word());
    let reason = Some(view.reason.as_str()).filter(|reason| !reason.is_empty());
    match view.phase {
        PhaseName::Failing | PhaseName::Hold => warn!(phase, from, reason, "phase"),
        _ => info!(phase, from, reason, "phase"),
    }
}

fn log_event(
    feed: &broadcast::Sender<Arc<str>>,
    phase: PhaseName,
    answers: Option<(Ticket, JobKind, Duration)>,
    attempts: Option<u32>,
    event: &Event,
    routine: bool,
    now: Uptime,
) {
    let (word, name) = (phase.word(), event.name());
    let (ticket, took) = (answers.map(|(ticket, ..)| ticket.0), answers.map(|(.., took)| took.as_secs_f64()));
    match event {
        _ if routine => debug!(phase = word, ticket, took, attempts, "{name} {event}"),
        event if event.is_warning() => warn!(phase = word, ticket, took, attempts, "{name} {event}"),
        _ => info!(phase = word, ticket, took, attempts, "{name} {event}"),
    }
    // Each line of the app is a line of the log, so that a log collector takes it.
    if let Event::OutputRead(output) = event {
        output.for_people().iter().for_each(|line| warn!(phase = word, "app: {line}"));
    }
    if !matches!(event, Event::Woke) {
        send(feed, || FeedLine::Event(Box::new(EventLine::new(phase, answers, event, now))));
    }
}

/// A line is built only while a client follows the events.
fn send(feed: &broadcast::Sender<Arc<str>>, line: impl FnOnce() -> FeedLine) {
    if feed.receiver_count() > 0
        && let Ok(line) = serde_json::to_string(&line())
    {
        let _ = feed.send(line.into());
    }
}

fn publish(machine: &Machine, adapters: &Adapters, published: &watch::Sender<Arc<Published>>) {
    let view = machine.view();
    published.send_modify(|former| {
        let listen = adapters.listening().or(former.listen);
        *former = Arc::new(Published { view, listen, log_lines_dropped: log::dropped(), ..Published::clone(former) });
    });
}

/// The only reading of the clock (invariant 1).
#[expect(clippy::disallowed_methods, reason = "only the driver reads the clock")]
fn uptime(started: Instant) -> Uptime {
    Uptime(Instant::now().saturating_duration_since(started))
}

/// Waits for the wake-up; without one it never ends.
async fn until(wake: Option<Uptime>, started: Instant) {
    match wake {
        Some(at) => tokio::time::sleep_until((started + at.0).into()).await,
        None => std::future::pending().await,
    }
}
