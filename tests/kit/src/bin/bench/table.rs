//! Tables in Markdown: the median, the extremes, and whether a goal is met. A missed goal is marked, never left out.

/// Rows of figures.
pub(crate) struct Table {
    rows: Vec<String>,
}

/// How a figure is written.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    Seconds,
    Milliseconds,
    Times,
    Megabytes,
    Mebibytes,
    Percent,
    Count,
}

impl Unit {
    fn write(self, value: f64) -> String {
        match self {
            Self::Seconds => format!("{value:.3} s"),
            Self::Milliseconds => format!("{value:.1} ms"),
            Self::Times => format!("{value:.3} ×"),
            Self::Megabytes => format!("{value:.2} MB"),
            Self::Mebibytes => format!("{value:.2} MiB"),
            Self::Percent => format!("{value:.3} %"),
            Self::Count => format!("{value}"),
        }
    }
}

impl Table {
    /// A table of this, and what its figures are of.
    pub(crate) fn new(title: &str) -> Self {
        Self { rows: vec![format!("| {title} | median | min | max | goal |"), "|---|---:|---:|---:|---|".into()] }
    }

    /// A row; nothing measured is no row.
    pub(crate) fn row(&mut self, what: &str, unit: Unit, values: &[f64], goal: Option<f64>) {
        if values.is_empty() {
            return;
        }
        let middle = median(values);
        let (min, max) =
            values.iter().fold((f64::MAX, f64::MIN), |(min, max), value| (min.min(*value), max.max(*value)));
        let goal = goal.map_or_else(String::new, |goal| {
            let verdict = if middle <= goal { "✓" } else { "**missed**" };
            format!("≤ {} {verdict}", unit.write(goal).trim_end_matches(" ×"))
        });
        let range = if values.len() > 1 { format!("{} | {}", unit.write(min), unit.write(max)) } else { " | ".into() };
        self.rows.push(format!("| {what} | {} | {range} | {goal} |", unit.write(middle)));
    }

    pub(crate) fn print(&self) {
        println!("{}\n", self.rows.join("\n"));
    }
}

/// The middle one; of an even number, the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[half] } else { (sorted[half - 1] + sorted[half]) / 2.0 }
}
