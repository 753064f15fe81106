//! The screen of `berth status`.
//!
//! It is drawn from `/v1/status` alone, or from the record of the last life, so it shows nothing that the socket does not. It is laid
//! out for its terminal (sheet.rs). Text from elsewhere (a reason, an error) is cut to one line without control characters, so
//! an error page of a registry cannot control the terminal.

use std::path::Path;

use berth_core::message::output::AppOutput;
use berth_core::message::target::TargetHealthState;
use berth_core::view::last_life::LastLife;
use berth_core::view::published::StatusReport;
use berth_core::view::timeline::{Bar, Timeline};
use berth_core::view::{
    DeadlineName, DeadlineView, GateStage, HookView, NextReleaseView, PortView, PullView, ReleasesView, Status, View,
};

use crate::commands::humanize::{bytes, span};
use crate::commands::sheet::{Rank, Sheet, Viewport};
use crate::commands::timeline::bars;
use crate::io::host::terminal;
use crate::io::listen::socket_client::{self, ClientError};
use berth_config::printable::one_line;

/// The width of a bar after a name of so many letters. With a time, in 80 columns, a short note still fits.
const BAR: usize = 36;
const NAME: usize = 10;
/// The columns of a step's line without its name and its bar: the margin, the spaces and the time.
const BESIDE_THE_BAR: usize = 11;
/// The longest text from elsewhere: a reason begins with what was tried, with an image's whole name in it, and ends with why it failed.
const LONGEST: usize = 1000;
/// Lines of the app's output that are shown once it is healthy again.
const RECOVERED: usize = 10;
/// Lines of a version that was rolled back.
const ROLLED_BACK: usize = 5;

/// The last life: how it ended, when and why, and what it showed at that moment.
pub fn last(life: &LastLife, json: bool, viewport: Viewport) -> String {
    if json {
        // It has no map with keys that are not strings, so it always can be written.
        return serde_json::to_string(life).unwrap_or_default() + "\n";
    }
    let mut sheet = Sheet::default();
    sheet.line(Rank::Explains, &clean(&life.sentence()));
    for line in life.last_life.final_status.as_ref().unwrap_or(&life.report.published.view.reason).lines() {
        sheet.line(Rank::Explains, &clean(line));
    }
    body(&mut sheet, &life.report, viewport);
    sheet.fit(viewport)
}

/// The screen, or the agent's JSON.
pub async fn run(run_dir: &Path, json: bool, viewport: Viewport) -> Result<String, ClientError> {
    if json {
        let answer = socket_client::get(run_dir, "/v1/status").await?;
        return Ok(String::from_utf8_lossy(&answer).into_owned());
    }
    Ok(screen(&socket_client::status(run_dir).await?, viewport))
}

/// The size of standard output's terminal, without the rows of the next prompt. It scrolls, so it is no bound.
pub fn viewport() -> Viewport {
    match terminal::size(std::io::stdout()) {
        Some(size) => Viewport {
            columns: Some(size.columns.into()),
            rows: Some(usize::from(size.rows).saturating_sub(2)),
            bounded: false,
        },
        None => Viewport::default(),
    }
}

/// The running agent, on one screen.
pub fn screen(report: &StatusReport, viewport: Viewport) -> String {
    let (view, now) = (&report.published.view, report.now_seconds);
    let mut sheet = Sheet::default();
    let since = span(now - view.phase_since_seconds);
    sheet.line(Rank::Explains, &format!("{} · {} for {since}", view.status.word(), view.phase.word()));
    for line in view.reason.lines() {
        sheet.line(Rank::Explains, &clean(line));
    }
    body(&mut sheet, report, viewport);
    sheet.fit(viewport)
}

/// All but the first lines.
fn body(sheet: &mut Sheet, report: &StatusReport, viewport: Viewport) {
    let (view, now) = (&report.published.view, report.now_seconds);
    sheet.space();
    facts(sheet, report);
    steps(sheet, report, viewport);
    if let Some(pull) = &view.pull {
        sheet.row(Rank::Fact, "pulled", &pulled(pull));
    }
    let failing = view.probes.last().is_some_and(|probe| probe.error.is_some());
    sheet.row(if failing { Rank::Explains } else { Rank::Fact }, "probes", &clean(&probes(view, now)));
    for hook in view.lifecycle.current() {
        sheet.row(Rank::Explains, "hook", &clean(&hook_row(view, hook)));
    }
    for target in &view.targets {
        let mut row = format!("{target}, {}", target.state.label());
        let is_new = |reason: &&String| !is_in_reason(view, &format!("{target}: {reason}"), viewport);
        if let Some(reason) = target.reason.as_ref().filter(is_new) {
            row.push_str(&format!(": {reason}"));
        }
        let is_in = target.health == Some(TargetHealthState::Healthy);
        sheet.row(if is_in { Rank::Fact } else { Rank::Explains }, "target", &clean(&row));
    }
    if let Some(releases) = &view.releases {
        release_rows(sheet, releases, now);
    }
    for deadline in &view.deadlines {
        sheet.row(Rank::Explains, "deadline", &clean(&until(deadline, now)));
    }
    if !view.refused.is_empty() {
        let calls = view.refused.iter().map(|(job, count)| format!("{job} {count} ×"));
        sheet.row(Rank::Explains, "refused", &clean(&calls.collect::<Vec<_>>().join(", ")));
    }
    if let Some(output) = &view.app_output {
        let lines = output.for_people().iter().map(|line| clean(line)).collect();
        let recovered = (view.status == Status::Ok).then_some(RECOVERED);
        sheet.output(now - output.at_seconds, lines, output.truncated, recovered);
    }
}

/// What serves is a fact; what comes next, and why something does not, explains.
fn release_rows(sheet: &mut Sheet, releases: &ReleasesView, now: f64) {
    if let Some(serving) = &releases.serving {
        sheet.row(Rank::Fact, "release", &clean(serving));
    }
    if let Some(next) = &releases.next {
        let mut row = format!("{} ({}), {}", next.release, next.version, waits_for(next, now));
        if let (Some(ok), Some(bad)) = (next.ok, next.bad) {
            row.push_str(&format!(", board: {ok} ok, {bad} bad"));
        }
        if let Some(error) = &next.error {
            row.push_str(&format!(": {error}"));
        }
        sheet.row(Rank::Explains, "next", &clean(&row));
    }
    if let Some(last) = &releases.last {
        let end = if last.is_good { "serves" } else { "rolled back" };
        let ago = span(now - last.at_seconds);
        let gap = last.gap_seconds.map(|gap| format!(", {} without a container", span(gap))).unwrap_or_default();
        let name = last.release.as_deref().unwrap_or("rotated secrets");
        let why = if last.is_good { String::new() } else { format!(": {}", last.reason) };
        let rank = if last.is_good { Rank::Fact } else { Rank::Explains };
        sheet.row(rank, "last", &clean(&format!("{name} {end}, {ago} ago{gap}{why}")));
        let lines = last.output.as_ref().map(AppOutput::for_people).unwrap_or_default();
        for line in lines.iter().skip(lines.len().saturating_sub(ROLLED_BACK)) {
            sheet.row(rank, "it wrote", &clean(line));
        }
    }
    if let Some(refused) = &releases.refused {
        let keys = refused.keys.join(", ");
        let row = format!("{} needs new instances: it changes {keys}", refused.release);
        sheet.row(Rank::Explains, "refused", &clean(&row));
    }
    if let Some(error) = &releases.follow_error {
        sheet.row(Rank::Explains, "document", &clean(error));
    }
}

fn waits_for(next: &NextReleaseView, now: f64) -> String {
    match next.waits_for {
        GateStage::Wave => format!("its wave begins in {}", span(next.wave_at_seconds - now)),
        GateStage::Preparing => "its image is being pulled".to_owned(),
        GateStage::Capacity => "the instance lacks disk or memory".to_owned(),
        GateStage::Lock => "others release now".to_owned(),
        GateStage::Stopped => "stopped: halted, or rolled back by too many".to_owned(),
        GateStage::Open => "under way".to_owned(),
        GateStage::Verdict | GateStage::Over => "its verdict is being written".to_owned(),
    }
}

/// One line without control characters.
pub fn clean(text: &str) -> String {
    one_line(text, LONGEST)
}

fn facts(sheet: &mut Sheet, report: &StatusReport) {
    let (published, view) = (&report.published, &report.published.view);
    let mut row = |rank, label, text: &str| sheet.row(rank, label, &clean(text));
    row(Rank::Fact, "image", view.image.as_deref().unwrap_or_default());
    row(Rank::Detail, "digest", view.digest.as_deref().unwrap_or_default());
    if let Some(container) = &view.container {
        let id = container.id.get(..12).unwrap_or(&container.id);
        let adopted = if container.adopted { ", adopted" } else { "" };
        let restarts = match view.restarts {
            0 => String::new(),
            1 => ", restarted once".into(),
            times => format!(", restarted {times} times"),
        };
        row(Rank::Fact, "container", &format!("{} ({id}){adopted}{restarts}", container.name));
        row(Rank::Detail, "ports", &container.ports.iter().map(port).collect::<Vec<_>>().join(", "));
    }
    let instance = [view.instance_id.as_deref(), view.availability_zone.as_deref()];
    row(Rank::Fact, "instance", &instance.into_iter().flatten().collect::<Vec<_>>().join(" in "));
    let foreign = view.user_data.map(|foreign| format!("{foreign}, holds no config"));
    row(Rank::Explains, "user-data", foreign.as_deref().unwrap_or_default());
    row(Rank::Detail, "endpoint", &published.listen.map(|listen| listen.to_string()).unwrap_or_default());
    row(Rank::Detail, "agent", &format!("{} since {}", published.agent_version, published.started_at));
}

/// The steps of the boot, or of the drain once it has begun.
fn steps(sheet: &mut Sheet, report: &StatusReport, viewport: Viewport) {
    let timeline = Timeline::of(report);
    let Some(panel) = timeline.panels.last().filter(|panel| !panel.steps.is_empty()) else { return };
    sheet.space();
    sheet.line(Rank::Explains, &format!("  {} {}", panel.name.word(), span(panel.until_seconds - panel.began_seconds)));
    let names = bars::name_width(panel);
    let beside = names + BESIDE_THE_BAR;
    let width =
        viewport.columns.map_or(BAR, |columns| columns.saturating_sub(beside)).min((BAR + NAME).saturating_sub(names));
    for step in &panel.steps {
        let took = span(step.until_seconds - step.began_seconds);
        let bar = format!("{} {took:>7}", bars::bar(panel, step, width, bars::Weight::Even));
        let folded = step.is_uneventful().then(|| {
            if step.until_seconds - step.began_seconds < 1.0 {
                step.name.label()
            } else {
                format!("{} {took}", step.name.label())
            }
        });
        let notes = match step.error.as_ref().filter(|error| is_in_reason(&report.published.view, error, viewport)) {
            Some(_) => bars::notes(&Bar { error: None, ..step.clone() }),
            None => bars::notes(step),
        };
        sheet.step(&bars::name(step, names), &bar, &notes, folded);
    }
    sheet.space();
}

/// On a terminal, what is part of the reason is not repeated below it.
fn is_in_reason(view: &View, text: &str, viewport: Viewport) -> bool {
    viewport.columns.is_some() && view.reason.contains(text)
}

/// A deadline, and the time left.
fn until(deadline: &DeadlineView, now: f64) -> String {
    let (label, left) = (deadline.name.label(), span(deadline.at_seconds - now));
    match deadline.name {
        DeadlineName::SpotInterruption => format!("{label} in {left}"),
        _ => format!("{label} ends in {left}"),
    }
}

fn pulled(pull: &PullView) -> String {
    let share =
        if pull.bytes_total == 0 { 0.0 } else { (pull.bytes_pulled as f64 / pull.bytes_total as f64).clamp(0.0, 1.0) };
    let full = (share * BAR as f64) as usize;
    format!(
        "{}{} {:3.0} %  {} of {}, {} of {} layers",
        "█".repeat(full),
        "░".repeat(BAR - full),
        share * 100.0,
        bytes(pull.bytes_pulled),
        bytes(pull.bytes_total),
        pull.layers_done,
        pull.layers_total
    )
}

fn probes(view: &View, now: f64) -> String {
    let Some(last) = view.probes.last() else { return String::new() };
    let marks: String = view.probes.iter().map(|probe| if probe.error.is_none() { '●' } else { '○' }).collect();
    let (took, ago) = (span(last.took_seconds), span(now - last.at_seconds));
    match &last.error {
        None => format!("{marks} last passed in {took}, {ago} ago"),
        Some(error) => format!("{marks} last failed in {took}, {ago} ago: {error}"),
    }
}

fn hook_row(view: &View, hook: &HookView) -> String {
    let names: Vec<_> = [&view.lifecycle.group, &hook.name].into_iter().flatten().map(String::as_str).collect();
    let mut words: Vec<String> =
        [names.join(" / "), hook.to_string()].into_iter().filter(|word| !word.is_empty()).collect();
    match hook.heartbeats {
        0 => {}
        1 => words.push("1 heartbeat".into()),
        many => words.push(format!("{many} heartbeats")),
    }
    if let Some(target) = &view.lifecycle.target_state {
        words.push(format!("target state {target}"));
    }
    words.join(", ")
}

fn port(port: &PortView) -> String {
    format!("{} -> {}", port.container_port, port.host_address)
}

#[cfg(test)]
mod screens;
#[cfg(test)]
mod tests;
