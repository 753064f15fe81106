//! `berth timeline`: where the time of the boot went, and of the drain, as text, as JSON and as a picture; of the last life, too,
//! when no agent runs.
//!
//! Days of serving lie between the two, so each has a panel and an axis of its own. Within a panel the critical path is told
//! apart: work begins in the moment its last input is there, so following the begins back from the last end finds what the
//! whole waited for.

use std::path::Path;
use std::process::ExitCode;

use berth_core::view::last_life::{Ending, LastLife};
use berth_core::view::published::Report;
use berth_core::view::{DeadlineView, PhaseName, PhaseView, StepView, View, WaitView};
use serde::Serialize;

use crate::cli::{self, Global};
use crate::io::host::state_dir;
use crate::io::listen::socket_client::{self, ClientError};
use berth_config::printable::one_line;

mod axis;
pub mod bars;
mod svg;
mod text;

/// A begin this close after an end followed from it, in seconds.
const CLOSE: f64 = 0.001;
/// No life is longer, in seconds; what claims to be is cut.
const LONGEST: f64 = 1e9;
/// The longest note about the last life.
const LONGEST_NOTE: usize = 1000;

/// The whole command.
pub async fn main(global: &Global, args: &cli::Timeline) -> ExitCode {
    let timeline = match run(&global.run_dir()).await {
        Ok(timeline) => timeline,
        Err(error @ ClientError::NotRunning(_)) => match state_dir::read(&global.state_dir()) {
            Ok(Some(life)) => {
                super::note(&one_line(&format!("no agent runs; {}", life.sentence()), LONGEST_NOTE));
                Timeline::of_last(&life)
            }
            Ok(None) => return super::failed(super::NO, &super::chain(&error)),
            Err(strange) => return super::failed(super::NO, &format!("{error}; {}", super::chain(&strange))),
        },
        Err(error) => return super::failed(super::NO, &super::chain(&error)),
    };
    super::say(&timeline.draw(args));
    ExitCode::SUCCESS
}

/// The timeline of the running agent.
pub async fn run(run_dir: &Path) -> Result<Timeline, ClientError> {
    Ok(Timeline::of(&socket_client::status(run_dir).await?))
}

/// A life so far. Moments are in seconds since the agent started.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Timeline {
    /// The app.
    pub name: Option<String>,
    /// The tag or short digest that runs.
    pub version: Option<String>,
    /// The image as the config has it.
    pub image: Option<String>,
    /// Where.
    pub instance_id: Option<String>,
    /// The agent.
    pub agent_version: String,
    /// When the agent started, RFC 3339.
    pub started_at: String,
    /// The moment of this answer.
    pub now: f64,
    /// The phase at this moment.
    pub phase: PhaseName,
    /// Why it is in that phase.
    pub reason: String,
    /// How it ended, if it is the last life and no agent runs.
    pub last_life: Option<Ending>,
    /// When the app was served first, none if it never was.
    pub ready: Option<f64>,
    /// The boot, then the way out once it has begun.
    pub panels: Vec<Panel>,
}

/// One part of a life that fits one axis.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Panel {
    /// Boot, drain or failing.
    pub name: PhaseName,
    /// Where its axis begins.
    pub began: f64,
    /// Its last end, or now.
    pub until: f64,
    /// Whether it goes on.
    pub going: bool,
    /// The phases in it.
    pub phases: Vec<Band>,
    /// Its steps, in the order they began.
    pub steps: Vec<Bar>,
    /// What is waited for, and until when.
    pub deadlines: Vec<DeadlineView>,
}

/// A phase within a panel.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Band {
    /// Which.
    pub name: PhaseName,
    /// From when.
    pub began: f64,
    /// To when.
    pub until: f64,
}

/// A step within a panel.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bar {
    /// Its name.
    pub name: String,
    /// From when.
    pub began: f64,
    /// To when: its end, the end of its phase if that cut it off, or now.
    pub until: f64,
    /// How it ended.
    pub state: State,
    /// Whether the whole panel waited for it.
    pub critical: bool,
    /// Attempts.
    pub attempts: u32,
    /// The error of the last failed attempt.
    pub error: Option<String>,
    /// How much of it was waiting, in seconds.
    pub waited: f64,
    /// The parts of it in which nothing ran, each from when to when.
    pub waits: Vec<(f64, f64)>,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It succeeded.
    Done,
    /// It was given up.
    Failed,
    /// It goes on.
    Going,
    /// Its phase ended before it did.
    Cut,
}

impl Bar {
    /// Whether there is nothing to say of it but that it is done.
    pub fn is_uneventful(&self) -> bool {
        self.state == State::Done && self.error.is_none() && self.attempts <= 1
    }
}

impl Timeline {
    /// What the report tells of where the time went.
    pub fn of(report: &Report) -> Self {
        let (view, now) = (&report.published.view, moment(report.now));
        let left = view.left_at().map(moment);
        let (boot, out): (Vec<_>, Vec<_>) =
            view.steps.iter().partition(|step| left.is_none_or(|left| moment(step.began) < left));
        let mut panels = vec![boot_panel(view, &boot, now)];
        panels.extend(left.map(|left| way_out(view, &out, left, now)));
        if let Some(last) = panels.last_mut() {
            let told = view.deadlines.iter().map(|told| DeadlineView { at: moment(told.at), ..told.clone() });
            last.deadlines = told.filter(|told| told.at > last.began).collect();
        }
        Self {
            name: view.name.clone(),
            version: view.version.clone(),
            image: view.image.clone(),
            instance_id: view.instance_id.clone(),
            agent_version: report.published.agent_version.clone(),
            started_at: report.published.started_at.clone(),
            now,
            phase: view.phase,
            reason: view.reason.clone(),
            last_life: None,
            ready: began(view, |name| name == PhaseName::Serve),
            panels,
        }
    }

    /// The same of a life that is over.
    pub fn of_last(life: &LastLife) -> Self {
        Self { last_life: Some(life.last_life.clone()), ..Self::of(&life.report) }
    }

    /// As it was asked for.
    pub fn draw(&self, args: &cli::Timeline) -> String {
        if args.svg {
            svg::draw(self)
        } else if args.json {
            self.json()
        } else {
            text::draw(self)
        }
    }

    fn json(&self) -> String {
        // It has no map with keys that are not strings, so it always can be written.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

/// When the first phase of that kind began.
fn began(view: &View, kind: impl Fn(PhaseName) -> bool) -> Option<f64> {
    view.phases.iter().find(|phase| kind(phase.name)).map(|phase| moment(phase.began))
}

fn boot_panel(view: &View, steps: &[&StepView], now: f64) -> Panel {
    let cut = began(view, |name| !matches!(name, PhaseName::Boot | PhaseName::Serve));
    let first = view.phases.iter().map(|phase| phase.began).chain(steps.iter().map(|step| step.began));
    let from = first.map(moment).reduce(f64::min).unwrap_or_default();
    let steps = lay(steps, cut, now);
    let going = cut.is_none() && (view.phase == PhaseName::Boot || steps.iter().any(|step| step.state == State::Going));
    let last = steps.iter().map(|step| step.until).reduce(f64::max).unwrap_or(from);
    let until = if going { now } else { last };
    Panel { name: PhaseName::Boot, ..panel(view, steps, from, until, going) }
}

fn way_out(view: &View, steps: &[&StepView], left: f64, now: f64) -> Panel {
    let gone = began(view, |name| name == PhaseName::Gone);
    let name =
        view.phases.iter().map(|phase| phase.name).find(|name| matches!(name, PhaseName::Drain | PhaseName::Failing));
    let steps = lay(steps, gone, now);
    let until = gone.unwrap_or(now);
    Panel { name: name.unwrap_or(PhaseName::Drain), ..panel(view, steps, left, until, gone.is_none()) }
}

fn panel(view: &View, mut steps: Vec<Bar>, began: f64, until: f64, going: bool) -> Panel {
    let until = until.max(began);
    mark_critical_path(&mut steps);
    Panel {
        name: view.phase,
        began,
        until,
        going,
        phases: bands(&view.phases, began, until),
        steps,
        deadlines: Vec::new(),
    }
}

/// The steps of one panel; what has no end ended at `cut`, or goes on.
fn lay(steps: &[&StepView], cut: Option<f64>, now: f64) -> Vec<Bar> {
    let mut laid: Vec<Bar> = steps.iter().map(|step| bar(step, cut, now)).collect();
    laid.sort_by(|one, other| one.began.total_cmp(&other.began));
    laid
}

fn bar(step: &StepView, cut: Option<f64>, now: f64) -> Bar {
    let began = moment(step.began);
    let (until, state) = match (step.took, cut) {
        (Some(took), _) => (began + moment(took), if step.error.is_some() { State::Failed } else { State::Done }),
        (None, Some(cut)) => (cut, State::Cut),
        (None, None) => (now, State::Going),
    };
    let until = until.max(began);
    let span = |wait: &WaitView| {
        let from = moment(wait.began).clamp(began, until);
        (from, wait.took.map_or(until, |took| from + moment(took)).clamp(from, until))
    };
    let waits: Vec<_> = step.waits.iter().map(span).filter(|(from, to)| to > from).collect();
    Bar {
        name: step.name.clone(),
        began,
        until,
        state,
        critical: false,
        attempts: step.attempts,
        error: step.error.clone(),
        waited: waits.iter().map(|(from, to)| to - from).sum(),
        waits,
    }
}

fn bands(phases: &[PhaseView], began: f64, until: f64) -> Vec<Band> {
    let ends = phases.iter().skip(1).map(|phase| moment(phase.began)).chain([f64::INFINITY]);
    let bands = phases.iter().zip(ends).map(|(phase, end)| Band {
        name: phase.name,
        began: moment(phase.began).clamp(began, until),
        until: end.clamp(began, until),
    });
    bands.filter(|band| band.until > band.began).collect()
}

/// A stretch of a step without a change from work to waiting.
struct Stretch {
    step: usize,
    from: f64,
    to: f64,
    work: bool,
}

/// Back from the last end: before each stretch, the one that ended last before it began.
fn mark_critical_path(steps: &mut [Bar]) {
    let stretches: Vec<Stretch> = steps.iter().enumerate().flat_map(|(at, step)| stretches(at, step)).collect();
    let mut end = stretches.iter().map(|one| one.to).reduce(f64::max).unwrap_or_default();
    loop {
        let before = stretches.iter().filter(|one| one.to <= end + CLOSE && one.from < end);
        // Of those that ended together, work comes before waiting for it, then the one that began first.
        let latest = before.max_by(|one, other| {
            let ended = |one: &Stretch| (one.to / CLOSE).round();
            let by_end = ended(one).total_cmp(&ended(other));
            by_end.then(one.work.cmp(&other.work)).then(other.from.total_cmp(&one.from))
        });
        let Some(stretch) = latest else { return };
        if let Some(step) = steps.get_mut(stretch.step) {
            step.critical = true;
        }
        end = stretch.from;
    }
}

fn stretches(at: usize, step: &Bar) -> Vec<Stretch> {
    let mut stretches = Vec::new();
    let mut from = step.began;
    for (wait_from, wait_to) in &step.waits {
        stretches.push(Stretch { step: at, from, to: *wait_from, work: true });
        stretches.push(Stretch { step: at, from: *wait_from, to: *wait_to, work: false });
        from = *wait_to;
    }
    stretches.push(Stretch { step: at, from, to: step.until, work: true });
    stretches.retain(|one| one.to > one.from);
    stretches
}

/// A moment or a span that can be drawn, whatever somebody else's clock said.
fn moment(seconds: f64) -> f64 {
    if seconds.is_nan() { 0.0 } else { seconds.clamp(0.0, LONGEST) }
}

#[cfg(test)]
mod tests;
