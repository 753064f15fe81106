//! The timeline as a picture: one file without scripts, fonts or anything else from elsewhere, for light and dark
//! themes. Text from elsewhere is escaped, so the file stays well-formed and inert.

use std::fmt::Write;

use berth_core::view::timeline::{Bar, BarState, Panel, Span, Timeline, UnitBar};

use super::{axis, bars, text};
use crate::commands::humanize::{point, span};
use berth_config::printable::one_line;

/// The width in pixels. The height depends on the panels.
const WIDTH: f64 = 1080.0;
/// The margin inside the card.
const MARGIN: f64 = 28.0;
/// Where the axis begins and ends. The text of a bar that ends there is right of it.
const LEFT: f64 = 160.0;
const RIGHT: f64 = 860.0;
/// Above the first panel, and below the last.
const HEAD: f64 = 92.0;
const FOOT: f64 = 48.0;
/// In a panel: above its first row, each row, each deadline, below the last.
const PANEL_HEAD: f64 = 74.0;
const ROW: f64 = 24.0;
const DEADLINE: f64 = 20.0;
const PANEL_FOOT: f64 = 30.0;
/// A bar's height, and how narrow it may be.
const BAR: f64 = 13.0;
const NARROW: f64 = 2.5;
/// An average letter of the text.
const LETTER: f64 = 6.4;
/// The longest text from elsewhere that a line or a tooltip takes, in bytes.
const TEXT: usize = 120;
const TOOLTIP: usize = 1000;
/// A deadline beyond this multiple of the time so far is not on the axis: it would make the bars small.
const NEAR: f64 = 1.5;

const STYLE: &str = include_str!("style.css");

/// Draws the timeline.
pub(super) fn draw(timeline: &Timeline) -> String {
    let height = HEAD + timeline.panels.iter().map(height).sum::<f64>() + FOOT;
    let mut svg = String::new();
    let label = escaped(&text::heading(timeline), TOOLTIP);
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         role=\"img\" aria-label=\"{label}\">\n<title>{label}</title>\n<style>\n{STYLE}</style>\n<defs>"
    );
    for kind in ["k", "b", "f"] {
        let _ = writeln!(
            svg,
            "<pattern id=\"h{kind}\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
             <path d=\"M1 0V5\" class=\"h{kind}\" stroke-width=\"2\"/></pattern>"
        );
    }
    let _ = writeln!(
        svg,
        "</defs>\n<rect class=\"card\" x=\".5\" y=\".5\" width=\"{}\" height=\"{}\" rx=\"10\"/>",
        WIDTH - 1.0,
        height - 1.0
    );
    head(&mut svg, timeline);
    let mut top = HEAD;
    for panel in &timeline.panels {
        draw_panel(&mut svg, panel, top);
        top += self::height(panel);
    }
    legend(&mut svg, top + 18.0);
    svg.push_str("</svg>\n");
    svg
}

fn head(svg: &mut String, timeline: &Timeline) {
    let app = [timeline.name.as_deref().unwrap_or("berth"), timeline.version.as_deref().unwrap_or_default()];
    words(svg, MARGIN, 44.0, "title", &one_line(app.join(" ").trim(), 70));
    words(svg, WIDTH - MARGIN, 44.0, "title end", &text::outcome(timeline));
    let facts = [timeline.instance_id.as_deref(), timeline.image.as_deref()];
    words(svg, MARGIN, 65.0, "quiet", &facts.into_iter().flatten().collect::<Vec<_>>().join(" · "));
    let agent = format!("berth {}, started {}", timeline.agent_version, timeline.started_at);
    words(svg, WIDTH - MARGIN, 65.0, "quiet end", &agent);
    let reason = if timeline.reason.is_empty() { String::new() } else { format!(": {}", timeline.reason) };
    words(svg, MARGIN, 83.0, "quiet", &format!("{}{reason}", timeline.phase.word()));
}

fn height(panel: &Panel) -> f64 {
    PANEL_HEAD + ROW * rows(panel) + DEADLINE * panel.deadlines.len() as f64 + PANEL_FOOT
}

fn rows(panel: &Panel) -> f64 {
    (panel.units.len() + panel.steps.len().max(1)) as f64
}

/// Where a moment is on a panel's axis.
struct Axis {
    began: f64,
    whole: f64,
}

impl Axis {
    /// Long enough for the panel, and for the deadlines that are near.
    fn of(panel: &Panel) -> Self {
        let until = panel
            .deadlines
            .iter()
            .map(|deadline| deadline.at_seconds)
            .filter(|at| is_near(panel, *at))
            .fold(panel.until_seconds, f64::max);
        Self { began: panel.began_seconds, whole: (until - panel.began_seconds).max(0.001) }
    }

    fn at(&self, moment: f64) -> f64 {
        LEFT + ((moment - self.began) / self.whole).clamp(0.0, 1.0) * (RIGHT - LEFT)
    }
}

fn is_near(panel: &Panel, at: f64) -> bool {
    at - panel.began_seconds <= NEAR * (panel.until_seconds - panel.began_seconds)
}

fn draw_panel(svg: &mut String, panel: &Panel, top: f64) {
    let axis = Axis::of(panel);
    let (strip, first) = (top + 30.0, top + PANEL_HEAD);
    let last = first + ROW * rows(panel);

    let going = if panel.running { ", going on" } else { "" };
    words(svg, MARGIN, top + 20.0, "part", panel.name.word());
    words(svg, LEFT, top + 20.0, "quiet", &format!("{}{going}", span(panel.until_seconds - panel.began_seconds)));
    for band in &panel.phases {
        let (from, to) = (axis.at(band.began_seconds), axis.at(band.until_seconds));
        let word = band.name.word();
        let _ = writeln!(
            svg,
            "<rect class=\"{word}\" x=\"{from:.1}\" y=\"{strip:.1}\" width=\"{:.1}\" height=\"18\"/>",
            (to - from).max(NARROW)
        );
        if to - from > LETTER * word.len() as f64 + 12.0 {
            words(svg, from + 6.0, strip + 13.0, "quiet", word);
        }
    }
    for tick in axis::ticks(axis.whole, 9) {
        let x = axis.at(axis.began + tick);
        line(svg, "grid", x, strip + 18.0, last);
        words(svg, x, strip + 33.0, "quiet mid", &point(tick));
    }
    if panel.running {
        let x = axis.at(panel.until_seconds);
        line(svg, "now", x, strip - 2.0, last);
        words(svg, x, strip - 5.0, "mid", "now");
    }
    for (at, deadline) in panel.deadlines.iter().enumerate() {
        let y = last + DEADLINE * (at as f64 + 1.0);
        let when = format!("{} at {}", deadline.name.label(), span(deadline.at_seconds - panel.began_seconds));
        if is_near(panel, deadline.at_seconds) {
            let x = axis.at(deadline.at_seconds);
            line(svg, "late", x, first - 6.0, y - 12.0);
            let side = if x > (LEFT + RIGHT) / 2.0 { "lates end" } else { "lates" };
            words(svg, x, y, side, &when);
        } else {
            words(svg, RIGHT, y, "lates end", &format!("{when} →"));
        }
    }
    for (at, unit) in panel.units.iter().enumerate() {
        draw_unit(svg, &axis, unit, first + ROW * at as f64);
    }
    let first = first + ROW * panel.units.len() as f64;
    if panel.steps.is_empty() {
        words(svg, LEFT, first + 16.0, "quiet", "no step has begun");
    }
    for (at, step) in panel.steps.iter().enumerate() {
        draw_step(svg, &axis, step, first + ROW * at as f64);
    }
}

/// What came up beside the agent: its bar is lighter than that of a step, since it is not the agent's time.
fn draw_unit(svg: &mut String, axis: &Axis, unit: &UnitBar, top: f64) {
    let took = span(unit.until_seconds - unit.began_seconds);
    let going = if unit.running { " g" } else { "" };
    let tooltip = format!("{}: {took}; begins at {}", unit.name, span(unit.began_seconds - axis.began));
    let _ = writeln!(svg, "<g><title>{}</title>", escaped(&tooltip, TOOLTIP));
    words(svg, LEFT - 12.0, top + ROW / 2.0 + 4.0, "quiet end", bars::unit_name(unit));
    part(svg, axis, &format!("u{going}"), unit.began_seconds, unit.until_seconds, top + (ROW - BAR) / 2.0);
    let x = axis.at(unit.until_seconds).max(axis.at(unit.began_seconds) + NARROW) + 8.0;
    words(svg, x, top + ROW / 2.0 + 4.0, "quiet over", &took);
    svg.push_str("</g>\n");
}

fn draw_step(svg: &mut String, axis: &Axis, step: &Bar, top: f64) {
    let kind = match step.state {
        BarState::Failed => "f",
        _ if step.critical => "k",
        _ => "b",
    };
    let going = if matches!(step.state, BarState::Running | BarState::CutOff) { " g" } else { "" };
    let (took, notes) = (span(step.until_seconds - step.began_seconds), bars::notes(step));
    let details =
        [took.as_str(), notes.as_str()].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
    let tooltip = format!("{}: {details}; begins at {}", step.name.label(), span(step.began_seconds - axis.began));
    let _ = writeln!(svg, "<g><title>{}</title>", escaped(&tooltip, TOOLTIP));

    let (middle, y) = (top + ROW / 2.0, top + (ROW - BAR) / 2.0);
    let weight = if step.critical { " chain" } else { "" };
    words(svg, LEFT - 12.0, middle + 4.0, &format!("end{weight}"), &step.name.label());
    let mut from = step.began_seconds;
    for Span { began_seconds: wait_from, until_seconds: wait_to } in &step.waits {
        if *wait_from > from {
            part(svg, axis, &format!("{kind}{going}"), from, *wait_from, y);
        }
        hatched(svg, axis, kind, *wait_from, *wait_to, y);
        from = from.max(*wait_to);
    }
    // A step too short to see is still there.
    if step.waits.is_empty() || step.until_seconds > from {
        part(svg, axis, &format!("{kind}{going}"), from, step.until_seconds, y);
    }

    let x = axis.at(step.until_seconds).max(axis.at(step.began_seconds) + NARROW) + 8.0;
    words(svg, x, middle + 4.0, "over", &took);
    let x = x + LETTER * took.chars().count() as f64 + 8.0;
    let letters = ((WIDTH - MARGIN - x) / LETTER).max(0.0) as usize;
    if letters > 5 && !notes.is_empty() {
        words(svg, x, middle + 4.0, "quiet over", &one_line(&notes, letters));
    }
    svg.push_str("</g>\n");
}

/// A part of a bar in which work was done.
fn part(svg: &mut String, axis: &Axis, class: &str, from: f64, to: f64, y: f64) {
    let (x, width) = (axis.at(from), (axis.at(to) - axis.at(from)).max(NARROW));
    let _ = writeln!(
        svg,
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAR}\" rx=\"1.5\"/>"
    );
}

/// A part of a bar in which nothing ran.
fn hatched(svg: &mut String, axis: &Axis, kind: &str, from: f64, to: f64, y: f64) {
    let (x, width) = (axis.at(from), (axis.at(to) - axis.at(from)).max(NARROW));
    let area = format!("x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAR}\" rx=\"1.5\"");
    let _ = writeln!(svg, "<rect class=\"{kind} wait\" {area}/><rect fill=\"url(#h{kind})\" {area}/>");
}

fn legend(svg: &mut String, y: f64) {
    let _ = writeln!(svg, "<g>");
    let axis = Axis { began: 0.0, whole: RIGHT - LEFT };
    for (at, kind, what) in [
        (0.0, "k", "critical path"),
        (130.0, "b", "off it"),
        (205.0, "u", "beside berth"),
        (325.0, "f", "failed"),
        (480.0, "k g", "going on, or cut off"),
    ] {
        part(svg, &axis, kind, at, at + 18.0, y - 10.0);
        words(svg, LEFT + at + 25.0, y, "quiet", what);
    }
    hatched(svg, &axis, "k", 400.0, 418.0, y - 10.0);
    words(svg, LEFT + 425.0, y, "quiet", "waiting");
    let x = LEFT + 640.0;
    let _ = writeln!(svg, "<path class=\"late\" d=\"M{x} {}H{}\"/>", y - 4.0, x + 18.0);
    words(svg, x + 25.0, y, "quiet", "deadline");
    let _ = writeln!(svg, "</g>");
}

fn line(svg: &mut String, class: &str, x: f64, from: f64, to: f64) {
    let _ = writeln!(svg, "<path class=\"{class}\" d=\"M{x:.1} {from:.1}V{to:.1}\"/>");
}

fn words(svg: &mut String, x: f64, y: f64, class: &str, text: &str) {
    if !text.is_empty() {
        let _ = writeln!(svg, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escaped(text, TEXT));
    }
}

/// Text that XML takes, within an element or an attribute: one line, without the characters that XML 1.0 has no way to write.
fn escaped(text: &str, limit: usize) -> String {
    let mut escaped = String::new();
    for character in one_line(text, limit).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}
