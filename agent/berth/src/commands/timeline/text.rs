//! The timeline for a terminal.

use std::fmt::Write;

use berth_core::view::PhaseName;
use berth_core::view::timeline::{Panel, ReleaseBar, Timeline};

use super::axis;
use super::bars::{self, Weight};
use crate::commands::humanize::{point, span};
use berth_config::printable::one_line;

/// The width of a bar. With names and times a line fits into 80 columns.
const BAR: usize = 48;
/// The length of the names that it is for.
const NAME: usize = 10;
/// The columns before the names, and between the names and the bars.
const MARGIN: usize = 2;
const GAP: usize = 1;
/// The longest text from elsewhere.
const TEXT: usize = 160;

/// The whole timeline.
pub(super) fn draw(timeline: &Timeline) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{}", one_line(&heading(timeline), TEXT));
    if let Some(image) = &timeline.image {
        let _ = writeln!(text, "{}", one_line(image, TEXT));
    }
    for panel in &timeline.panels {
        draw_panel(&mut text, panel);
    }
    draw_releases(&mut text, &timeline.releases);
    if timeline.panels.iter().any(|panel| !panel.steps.is_empty()) {
        text.push_str("\n  ━ critical path   ─ off it   · waiting   ╌ going on, or cut off\n");
    }
    text
}

/// `ap-api a1b2c3d on i-0123456789abcdef0, ready after 12.4 s`
pub(super) fn heading(timeline: &Timeline) -> String {
    let app = [timeline.name.as_deref(), timeline.version.as_deref()];
    let mut words: Vec<String> = app.into_iter().flatten().map(str::to_owned).collect();
    words.extend(timeline.instance_id.iter().map(|id| format!("on {id}")));
    let outcome = outcome(timeline);
    if words.is_empty() { outcome } else { format!("{}, {outcome}", words.join(" ")) }
}

/// The time to ready.
pub(super) fn outcome(timeline: &Timeline) -> String {
    match timeline.ready_seconds {
        Some(ready) => match timeline.power_on_seconds {
            Some(power_on) => format!("ready after {}, {} after power-on", span(ready), span(ready - power_on)),
            None => format!("ready after {}", span(ready)),
        },
        None if timeline.phase == PhaseName::Boot => format!("not ready after {}", span(timeline.now_seconds)),
        None => "never ready".into(),
    }
}

fn draw_panel(text: &mut String, panel: &Panel) {
    let whole = panel.until_seconds - panel.began_seconds;
    let names = bars::name_width(panel);
    let indent = MARGIN + names + GAP;
    let _ =
        writeln!(text, "\n  {} {}{}", panel.name.word(), span(whole), if panel.running { ", going on" } else { "" });
    if panel.steps.is_empty() {
        let _ = writeln!(text, "  no step has begun");
    } else {
        let _ = writeln!(text, "{:indent$}{}", "", marks(whole, (BAR + NAME).saturating_sub(names)).trim_end());
    }
    for unit in &panel.units {
        let _ = writeln!(text, "{}", bars::unit_row(panel, unit, BAR));
    }
    for step in &panel.steps {
        let _ = writeln!(text, "{}", bars::row(panel, step, BAR, Weight::Path));
    }
    for deadline in &panel.deadlines {
        let _ = writeln!(
            text,
            "  {} ends after {}",
            deadline.name.label(),
            span(deadline.at_seconds - panel.began_seconds)
        );
    }
}

/// `after 2 h 5 min     43.2 s  release 2be772dcb1b6c108 is good, 2.1 s without a container that serves`
fn draw_releases(text: &mut String, releases: &[ReleaseBar]) {
    if !releases.is_empty() {
        text.push_str("\n  releases\n");
    }
    for release in releases {
        let (at, took) = (span(release.began_seconds), span(release.until_seconds - release.began_seconds));
        let mut notes: Vec<String> = if release.running { vec!["going on".to_owned()] } else { Vec::new() };
        if let Some(ended) = &release.ended {
            let what = ended.release.as_ref().map_or("the same release".to_owned(), |id| format!("release {id}"));
            notes.push(match ended.is_good {
                true => format!("{what} is good"),
                false => format!("{what} is bad: {}", ended.reason),
            });
            notes.extend(ended.gap_seconds.map(|gap| format!("no container took requests for {}", span(gap))));
        }
        let line = format!("  after {at:<11} {took:>10}  {}", one_line(&notes.join(", "), TEXT));
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

/// The marks of the axis, each beginning at its moment; those that would touch the one before are left out.
fn marks(whole: f64, width: usize) -> String {
    let mut line = String::new();
    for tick in axis::ticks(whole, 6) {
        let share = if whole > 0.0 { tick / whole } else { 0.0 };
        let at = (share * width as f64).round() as usize;
        let (label, used) = (format!("╷{}", point(tick)), line.chars().count());
        if (used == 0 || used < at) && at < width {
            line.extend(std::iter::repeat_n(' ', at.saturating_sub(used)));
            line.push_str(&label);
        }
    }
    line
}
