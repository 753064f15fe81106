//! The timeline of a life: its steps on one axis for the boot and on another for the way out.
//!
//! Days of serving lie between the two, so each has a panel of its own. Within a panel the critical path is marked: work begins in the
//! moment its last input is there, so following the begins back from the last end finds what the whole waited for.

use std::ops::Add;

use serde::Serialize;

use crate::message::error::ErrorClass;
use crate::view::last_life::{Ending, LastLife};
use crate::view::published::StatusReport;
use crate::view::{
    DeadlineView, LastReleaseView, PhaseName, PhaseView, SCHEMA_VERSION, StepName, StepView, View, WaitView,
};

/// A begin this close after an end followed from it, in seconds.
const CLOSE: f64 = 0.001;
/// No life is longer, in seconds; what claims to be is cut.
const LONGEST: f64 = 1e9;

/// A life so far. Moments are in seconds since the agent started.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Timeline {
    /// The version of this document's schema: 1.
    #[cfg_attr(feature = "schema", schemars(extend("const" = SCHEMA_VERSION)))]
    pub schema_version: u32,
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
    pub now_seconds: f64,
    /// The phase at this moment.
    pub phase: PhaseName,
    /// Why it is in that phase.
    pub reason: String,
    /// How it ended, if it is the last life and no agent runs.
    pub last_life: Option<Ending>,
    /// When the app first served; null if it never did.
    pub ready_seconds: Option<f64>,
    /// When the machine's kernel started, in a container its PID 1: before the agent, so a negative number. Null if the start of the machine did not
    /// start the agent, or if systemd does not say.
    pub power_on_seconds: Option<f64>,
    /// The boot, then the way out once it has begun.
    pub panels: Vec<Panel>,
    /// The releases in between, from the start of the new container to the end of the old one, in the order they began.
    pub releases: Vec<ReleaseBar>,
}

/// A release in place, or another replacement of the container.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReleaseBar {
    /// From when.
    pub began_seconds: f64,
    /// To when, or now.
    pub until_seconds: f64,
    /// Whether it goes on.
    pub running: bool,
    /// How it ended; of the last one that did, else null.
    pub ended: Option<LastReleaseView>,
}

/// One part of a life that fits one axis.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Panel {
    /// Boot, drain or failing.
    pub name: PhaseName,
    /// Where its axis begins.
    pub began_seconds: f64,
    /// Its last end, or now.
    pub until_seconds: f64,
    /// Whether it goes on.
    pub running: bool,
    /// The phases in it.
    pub phases: Vec<Band>,
    /// What came up beside the agent since power-on, in the order it began.
    pub units: Vec<UnitBar>,
    /// Its steps, in the order they began.
    pub steps: Vec<Bar>,
    /// What is waited for, and until when.
    pub deadlines: Vec<DeadlineView>,
}

/// A part of the machine's start within a panel: the kernel, or a unit of systemd.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UnitBar {
    /// The unit; `kernel` and `initrd` for what is before the first of them.
    pub name: String,
    /// From when; of a target from power-on.
    pub began_seconds: f64,
    /// To when it was active, or now.
    pub until_seconds: f64,
    /// Whether it still starts.
    pub running: bool,
}

/// The start of the machine. Moments are on the axis of the timeline.
#[derive(Clone, Debug, PartialEq)]
pub struct PowerOn {
    /// When the kernel started.
    pub at_seconds: f64,
    /// What came up since then, each with when it began and when it was active, if it is.
    pub units: Vec<(String, f64, Option<f64>)>,
}

/// A phase within a panel.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Band {
    /// Which.
    pub name: PhaseName,
    /// From when.
    pub began_seconds: f64,
    /// To when.
    pub until_seconds: f64,
}

/// A step within a panel.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Bar {
    /// Its name.
    pub name: StepName,
    /// From when.
    pub began_seconds: f64,
    /// To when: its end, the end of its phase if that cut it off, or now.
    pub until_seconds: f64,
    /// How it ended.
    pub state: BarState,
    /// Whether the whole panel waited for it.
    pub critical: bool,
    /// Attempts.
    pub attempts: u32,
    /// The error of the last failed attempt.
    pub error: Option<String>,
    /// The class of that error.
    pub error_class: Option<ErrorClass>,
    /// How much of it was waiting, in seconds.
    pub waited_seconds: f64,
    /// The parts of it in which nothing ran, each from when to when.
    pub waits: Vec<Span>,
}

/// A part of a step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Span {
    /// From when.
    pub began_seconds: f64,
    /// To when.
    pub until_seconds: f64,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum BarState {
    /// It succeeded.
    Done,
    /// It was given up.
    Failed,
    /// It goes on.
    Running,
    /// Its phase ended before it did.
    CutOff,
}

impl Bar {
    /// Whether there is nothing to say of it but that it is done.
    pub fn is_uneventful(&self) -> bool {
        self.state == BarState::Done && self.error.is_none() && self.attempts <= 1
    }
}

impl Timeline {
    /// Where the time went, by the report.
    pub fn of(report: &StatusReport) -> Self {
        let (view, now) = (&report.published.view, moment(report.now_seconds));
        let left = view.left_at().map(moment);
        let (boot, out): (Vec<_>, Vec<_>) =
            view.steps.iter().partition(|step| left.is_none_or(|left| moment(step.began_seconds) < left));
        let mut panels = vec![boot_panel(view, &boot, now)];
        panels.extend(left.map(|left| way_out(view, &out, left, now)));
        if let Some(last) = panels.last_mut() {
            let moments = view
                .deadlines
                .iter()
                .map(|deadline| DeadlineView { at_seconds: moment(deadline.at_seconds), ..*deadline });
            last.deadlines = moments.filter(|deadline| deadline.at_seconds > last.began_seconds).collect();
        }
        Self {
            schema_version: SCHEMA_VERSION,
            name: view.name.clone(),
            version: view.version.clone(),
            image: view.image.clone(),
            instance_id: view.instance_id.clone(),
            agent_version: report.published.agent_version.clone(),
            started_at: report.published.started_at.clone(),
            now_seconds: now,
            phase: view.phase,
            reason: view.reason.clone(),
            last_life: None,
            ready_seconds: began(view, |name| name == PhaseName::Serve),
            power_on_seconds: None,
            panels,
            releases: releases(view, now),
        }
    }

    /// The same, from power-on: the boot's axis begins there. What began after the boot's end is left out.
    #[must_use]
    pub fn since(mut self, power_on: PowerOn) -> Self {
        let at = power_on.at_seconds;
        let Some(boot) = self.panels.first_mut().filter(|boot| (-LONGEST..=boot.began_seconds).contains(&at)) else {
            return self;
        };
        let units = power_on.units.into_iter().filter_map(|(name, began, active)| {
            let until = active.unwrap_or(boot.until_seconds);
            let is_sane = at <= began && began <= boot.until_seconds && began <= until && until <= LONGEST;
            is_sane.then_some(UnitBar { name, began_seconds: began, until_seconds: until, running: active.is_none() })
        });
        boot.units = units.collect();
        boot.units.sort_by(|one, other| one.began_seconds.total_cmp(&other.began_seconds));
        boot.began_seconds = at;
        self.power_on_seconds = Some(at);
        self
    }

    /// The same of a life that is over.
    pub fn of_last(life: &LastLife) -> Self {
        Self { last_life: Some(life.last_life.clone()), ..Self::of(&life.report) }
    }
}

/// When the first phase of that kind began.
fn began(view: &View, kind: impl Fn(PhaseName) -> bool) -> Option<f64> {
    view.phases.iter().find(|phase| kind(phase.name)).map(|phase| moment(phase.began_seconds))
}

fn boot_panel(view: &View, steps: &[&StepView], now: f64) -> Panel {
    // What a boot leaves to do is done while it serves, also beside a release.
    let cut = began(view, |name| !matches!(name, PhaseName::Boot | PhaseName::Serve | PhaseName::Release));
    let first = view.phases.iter().map(|phase| phase.began_seconds).chain(steps.iter().map(|step| step.began_seconds));
    let from = first.map(moment).reduce(f64::min).unwrap_or_default();
    let steps = lay(steps, cut, now);
    let running =
        cut.is_none() && (view.phase == PhaseName::Boot || steps.iter().any(|step| step.state == BarState::Running));
    let last = steps.iter().map(|step| step.until_seconds).reduce(f64::max).unwrap_or(from);
    let until = if running { now } else { last };
    Panel { name: PhaseName::Boot, ..panel(view, steps, from, until, running) }
}

fn releases(view: &View, now: f64) -> Vec<ReleaseBar> {
    let ends = view.phases.iter().skip(1).map(|phase| Some(moment(phase.began_seconds))).chain([None]);
    let last = view.releases.as_ref().and_then(|releases| releases.last.as_ref());
    let bar = |(phase, end): (&PhaseView, Option<f64>)| {
        let began = moment(phase.began_seconds);
        let until = end.unwrap_or(now).max(began);
        let is_its_end = |ended: &&LastReleaseView| (began..=until).contains(&moment(ended.at_seconds));
        ReleaseBar {
            began_seconds: began,
            until_seconds: until,
            running: end.is_none(),
            ended: last.filter(is_its_end).cloned(),
        }
    };
    view.phases.iter().zip(ends).filter(|(phase, _)| phase.name == PhaseName::Release).map(bar).collect()
}

fn way_out(view: &View, steps: &[&StepView], left: f64, now: f64) -> Panel {
    let gone = began(view, |name| name == PhaseName::Gone);
    let name =
        view.phases.iter().map(|phase| phase.name).find(|name| matches!(name, PhaseName::Drain | PhaseName::Failing));
    let steps = lay(steps, gone, now);
    let until = gone.unwrap_or(now);
    Panel { name: name.unwrap_or(PhaseName::Drain), ..panel(view, steps, left, until, gone.is_none()) }
}

fn panel(view: &View, mut steps: Vec<Bar>, began: f64, until: f64, running: bool) -> Panel {
    let until = until.max(began);
    mark_critical_path(&mut steps);
    Panel {
        name: view.phase,
        began_seconds: began,
        until_seconds: until,
        running,
        phases: bands(&view.phases, began, until),
        units: Vec::new(),
        steps,
        deadlines: Vec::new(),
    }
}

/// The steps of one panel; what has no end ended at `cut`, or goes on.
fn lay(steps: &[&StepView], cut: Option<f64>, now: f64) -> Vec<Bar> {
    let mut laid: Vec<Bar> = steps.iter().map(|step| bar(step, cut, now)).collect();
    laid.sort_by(|one, other| one.began_seconds.total_cmp(&other.began_seconds));
    laid
}

fn bar(step: &StepView, cut: Option<f64>, now: f64) -> Bar {
    let began = moment(step.began_seconds);
    let (until, state) = match (step.took_seconds, cut) {
        (Some(took), _) => (began + moment(took), if step.error.is_some() { BarState::Failed } else { BarState::Done }),
        (None, Some(cut)) => (cut, BarState::CutOff),
        (None, None) => (now, BarState::Running),
    };
    let until = until.max(began);
    let span = |wait: &WaitView| {
        let from = moment(wait.began_seconds).clamp(began, until);
        let to = wait.took_seconds.map_or(until, |took| from + moment(took)).clamp(from, until);
        Span { began_seconds: from, until_seconds: to }
    };
    let waits: Vec<_> = step.waits.iter().map(span).filter(|wait| wait.until_seconds > wait.began_seconds).collect();
    Bar {
        name: step.name,
        began_seconds: began,
        until_seconds: until,
        state,
        critical: false,
        attempts: step.attempts,
        error: step.error.clone(),
        error_class: step.error_class,
        waited_seconds: waits.iter().map(|wait| wait.until_seconds - wait.began_seconds).fold(0.0, f64::add),
        waits,
    }
}

fn bands(phases: &[PhaseView], began: f64, until: f64) -> Vec<Band> {
    let ends = phases.iter().skip(1).map(|phase| moment(phase.began_seconds)).chain([f64::INFINITY]);
    let bands = phases.iter().zip(ends).map(|(phase, end)| Band {
        name: phase.name,
        began_seconds: moment(phase.began_seconds).clamp(began, until),
        until_seconds: end.clamp(began, until),
    });
    bands.filter(|band| band.until_seconds > band.began_seconds).collect()
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
    let mut from = step.began_seconds;
    for Span { began_seconds: wait_from, until_seconds: wait_to } in &step.waits {
        stretches.push(Stretch { step: at, from, to: *wait_from, work: true });
        stretches.push(Stretch { step: at, from: *wait_from, to: *wait_to, work: false });
        from = *wait_to;
    }
    stretches.push(Stretch { step: at, from, to: step.until_seconds, work: true });
    stretches.retain(|one| one.to > one.from);
    stretches
}

/// A moment or a span that can be drawn, whatever another clock reports.
fn moment(seconds: f64) -> f64 {
    if seconds.is_nan() { 0.0 } else { seconds.clamp(0.0, LONGEST) }
}
