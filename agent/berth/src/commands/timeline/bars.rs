//! One step as one line: its name, its bar on the panel's axis, how long it took, and what went wrong.

use berth_core::view::timeline::{Bar, BarState, Panel};

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
    let longest = panel.steps.iter().map(|step| step.name.label().chars().count()).max();
    longest.unwrap_or_default().max(NAME)
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
    let whole = panel.until_seconds - panel.began_seconds;
    let column = |moment: f64| {
        let share = if whole > 0.0 { (moment - panel.began_seconds) / whole } else { 0.0 };
        // A float saturates when it becomes an integer.
        ((share * width as f64).round() as usize).min(width)
    };
    let begins = column(step.began_seconds).min(width.saturating_sub(1));
    let ends = column(step.until_seconds).max(begins + 1);
    let work = match (step.state, weight) {
        (BarState::Running | BarState::CutOff, _) => '╌',
        (_, Weight::Path) if !step.critical => '─',
        _ => '━',
    };
    let waits: Vec<_> = step.waits.iter().map(|wait| column(wait.began_seconds)..column(wait.until_seconds)).collect();
    let mark = |at: usize| match at {
        _ if at < begins || at >= ends => ' ',
        _ if waits.iter().any(|wait| wait.contains(&at)) => '·',
        _ => work,
    };
    (0..width).map(mark).collect()
}
