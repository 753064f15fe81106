//! One step as one line: its name, its bar on the panel's axis, how long it took, and what went wrong.

use std::ops::Range;

use berth_core::view::timeline::{Bar, BarState, Panel, UnitBar};

use crate::commands::humanize::span;
use berth_config::printable::one_line;

/// The longest text from elsewhere, in bytes: a message of AWS for a denied call has about 500.
const TEXT: usize = 1000;
/// The columns of the names in a panel, at least.
const NAME: usize = 10;

/// The style of the bars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Every bar alike.
    Even,
    /// Heavy on the critical path, light off it.
    Path,
}

/// The columns that the names of this panel take.
pub fn name_width(panel: &Panel) -> usize {
    let steps = panel.steps.iter().map(|step| step.name.label().chars().count());
    let units = panel.units.iter().map(|unit| unit_name(unit).chars().count());
    steps.chain(units).max().unwrap_or_default().max(NAME)
}

/// The name of a unit as a row has it: a service needs no suffix, except that `berth` alone would be the agent's command.
pub fn unit_name(unit: &UnitBar) -> &str {
    unit.name.strip_suffix(".service").filter(|name| *name != "berth").unwrap_or(&unit.name)
}

/// The line of a unit, as that of a step. To reach a target is to wait.
pub fn unit_row(panel: &Panel, unit: &UnitBar, width: usize) -> String {
    let names = name_width(panel);
    let mark = match unit.running {
        true => '╌',
        false if unit.name.ends_with(".target") => '·',
        false => '─',
    };
    let drawn = columns(panel, unit.began_seconds, unit.until_seconds, (width + NAME).saturating_sub(names));
    let bar: String = (0..drawn.width).map(|at| if drawn.bar.contains(&at) { mark } else { ' ' }).collect();
    let took = span(unit.until_seconds - unit.began_seconds);
    format!("  {:<names$} {bar} {took:>7}", unit_name(unit))
}

/// Where a bar is drawn.
struct Columns {
    bar: Range<usize>,
    width: usize,
}

fn columns(panel: &Panel, began: f64, until: f64, width: usize) -> Columns {
    let begins = column(panel, began, width).min(width.saturating_sub(1));
    Columns { bar: begins..column(panel, until, width).max(begins + 1), width }
}

fn column(panel: &Panel, moment: f64, width: usize) -> usize {
    let whole = panel.until_seconds - panel.began_seconds;
    let share = if whole > 0.0 { (moment - panel.began_seconds) / whole } else { 0.0 };
    // A float saturates when it becomes an integer.
    ((share * width as f64).round() as usize).min(width)
}

/// The name of a step in so many columns.
pub fn name(step: &Bar, width: usize) -> String {
    format!("{:<width$}", step.name.label())
}

/// The line of a step, with a bar of at most `width` columns beside names of the usual length.
pub fn row(panel: &Panel, step: &Bar, width: usize, weight: Weight) -> String {
    let names = name_width(panel);
    let took = span(step.until_seconds - step.began_seconds);
    let bar = bar(panel, step, (width + NAME).saturating_sub(names), weight);
    let row = format!("  {} {bar} {took:>7}  {}", name(step, names), notes(step));
    row.trim_end().to_owned()
}

/// Notes on a step: how it ended, attempts, waits, its error.
pub fn notes(step: &Bar) -> String {
    let mut notes = Vec::new();
    match step.state {
        BarState::Failed => notes.push("failed".to_owned()),
        BarState::CutOff => notes.push("cut off".to_owned()),
        BarState::Done | BarState::Running => {}
    }
    if step.attempts > 1 {
        notes.push(format!("{} attempts", step.attempts));
    }
    // A step that only waits has a name that says so.
    if step.waited_seconds > 0.0 && step.waited_seconds < step.until_seconds - step.began_seconds {
        notes.push(format!("{} waiting", span(step.waited_seconds)));
    }
    if let Some(error) = &step.error {
        notes.push(one_line(error, TEXT));
    }
    notes.join(", ")
}

/// The bar alone, in so many columns.
pub fn bar(panel: &Panel, step: &Bar, width: usize, weight: Weight) -> String {
    let drawn = columns(panel, step.began_seconds, step.until_seconds, width);
    let work = match (step.state, weight) {
        (BarState::Running | BarState::CutOff, _) => '╌',
        (_, Weight::Path) if !step.critical => '─',
        _ => '━',
    };
    let waits: Vec<_> = step
        .waits
        .iter()
        .map(|wait| column(panel, wait.began_seconds, width)..column(panel, wait.until_seconds, width))
        .collect();
    let mark = |at: usize| match at {
        _ if !drawn.bar.contains(&at) => ' ',
        _ if waits.iter().any(|wait| wait.contains(&at)) => '·',
        _ => work,
    };
    (0..width).map(mark).collect()
}
