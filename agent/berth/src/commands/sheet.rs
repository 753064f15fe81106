//! What `berth status` shows, laid out for the size of the terminal.
//!
//! Every line has a rank. If there are more lines than rows, finished steps are folded into one line, and then the lines that
//! explain the least are left out, until the rest fits; what explains a failure is never left out. A line that is too long continues
//! in the next row. Without a bound (a file, a pipe) each line is one row.

use crate::commands::humanize::span;

/// The size of the terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Viewport {
    /// Columns, none for any number.
    pub columns: Option<usize>,
    /// Rows, none for any number.
    pub rows: Option<usize>,
    /// Whether rows beyond the last cannot be seen. Then the last row says that the rest is missing.
    pub bounded: bool,
}

/// The rank of a line. The lowest is left out first, the highest never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// A step that succeeded. All of them are folded into one line.
    FinishedStep,
    /// A detail that `--json` has as well.
    Detail,
    /// Nothing: an empty line.
    Space,
    /// What runs, and where.
    Fact,
    /// Explains the state, and how long it lasts.
    Explains,
}

/// One line: its head, its text, and notes that may take rows of their own.
#[derive(Clone, Debug)]
struct SheetLine {
    rank: Rank,
    head: String,
    text: String,
    notes: String,
}

/// The last lines of the app's output.
#[derive(Clone, Debug)]
struct OutputSection {
    ago: f64,
    lines: Vec<String>,
    /// Whether earlier output was cut.
    truncated: bool,
    /// The most and the fewest of them that are shown.
    most: usize,
    least: usize,
}

/// All lines.
#[derive(Clone, Debug, Default)]
pub(super) struct Sheet {
    lines: Vec<SheetLine>,
    /// What stands for all finished steps when they are folded.
    finished: Vec<String>,
    output: Option<OutputSection>,
}

/// How much is left out.
#[derive(Clone, Copy, Debug)]
struct Cut {
    /// The lowest rank that is shown.
    from: Rank,
    output: usize,
}

/// Lines of output that take precedence over other lines while the app is not healthy.
const OUTPUT: usize = 5;

impl Sheet {
    /// A line of text.
    pub(super) fn line(&mut self, rank: Rank, text: &str) {
        self.push(rank, "", text, "");
    }

    /// An empty line.
    pub(super) fn space(&mut self) {
        if self.lines.last().is_some_and(|line| line.rank == Rank::Space) {
            return;
        }
        self.push(Rank::Space, "", "", "");
    }

    /// A label and a text, if there is one.
    pub(super) fn row(&mut self, rank: Rank, label: &str, text: &str) {
        if !text.is_empty() {
            self.push(rank, &format!("  {label:<10} "), text, "");
        }
    }

    /// A step: its name, its bar and its notes. `folded` is its text in the line of the finished steps.
    pub(super) fn step(&mut self, name: &str, bar: &str, notes: &str, folded: Option<String>) {
        let rank = if folded.is_some() { Rank::FinishedStep } else { Rank::Explains };
        self.push(rank, &format!("  {name} "), bar, notes);
        self.finished.extend(folded);
    }

    /// What the app wrote last, `ago` seconds ago. It is shown at the end.
    pub(super) fn output(&mut self, ago: f64, lines: Vec<String>, truncated: bool, recovered: Option<usize>) {
        let most = recovered.unwrap_or(lines.len()).min(lines.len());
        let least = if recovered.is_some() { 0 } else { OUTPUT.min(lines.len()) };
        self.output = Some(OutputSection { ago, lines, truncated, most, least });
    }

    /// All of it, laid out.
    pub(super) fn fit(&self, viewport: Viewport) -> String {
        let columns = viewport.columns.unwrap_or(usize::MAX).max(MIN_COLUMNS);
        let cut =
            self.cuts().into_iter().find(|cut| self.rows(*cut, columns).len() <= viewport.rows.unwrap_or(usize::MAX));
        let least = Cut { from: Rank::Explains, output: self.output.as_ref().map_or(0, |output| output.least.min(1)) };
        let mut rows = self.rows(cut.unwrap_or(least), columns);
        if let Some(most) = viewport.rows.filter(|most| viewport.bounded && rows.len() > *most) {
            rows.truncate(most.saturating_sub(1));
            rows.push("… the rest does not fit here: `berth status`".into());
        }
        rows.iter().map(|row| format!("{}\n", row.trim_end())).collect()
    }

    /// From everything to the least, in the order in which they are tried.
    fn cuts(&self) -> Vec<Cut> {
        let (most, least) = self.output.as_ref().map_or((0, 0), |output| (output.most, output.least));
        let mut cuts = vec![Cut { from: Rank::FinishedStep, output: most }];
        // The output of a healthy app explains less than the details of its instance.
        if least == 0 {
            cuts.push(Cut { from: Rank::Detail, output: most });
            cuts.extend((0..most).rev().map(|output| Cut { from: Rank::Detail, output }));
        }
        for from in [Rank::Detail, Rank::Space, Rank::Fact, Rank::Explains] {
            let most = if least == 0 { 0 } else { most };
            cuts.extend((least..=most).rev().map(|output| Cut { from, output }));
        }
        cuts.extend((1..least).rev().map(|output| Cut { from: Rank::Explains, output }));
        cuts
    }

    fn push(&mut self, rank: Rank, head: &str, text: &str, notes: &str) {
        self.lines.push(SheetLine { rank, head: head.into(), text: text.into(), notes: notes.into() });
    }

    fn rows(&self, cut: Cut, columns: usize) -> Vec<String> {
        let mut rows: Vec<String> = Vec::new();
        let mut folded = false;
        for line in &self.lines {
            let fold = cut.from > Rank::FinishedStep && cut.from < Rank::Explains;
            if line.rank == Rank::FinishedStep && fold && !folded {
                folded = true;
                let done =
                    SheetLine { head: "  done       ".into(), text: self.finished.join(", "), ..SheetLine::empty() };
                rows.extend(done.rows(columns));
            }
            if line.rank >= cut.from {
                rows.extend(line.rows(columns));
            }
        }
        // The last part may have been left out.
        while rows.last().is_some_and(|row| row.trim().is_empty()) {
            rows.pop();
        }
        if let Some(output) = self.output.as_ref().filter(|output| cut.output > 0 || output.lines.is_empty()) {
            if cut.from <= Rank::Space {
                rows.push(String::new());
            }
            rows.extend(output.rows(cut.output, columns));
        }
        rows
    }
}

impl SheetLine {
    fn empty() -> Self {
        Self { rank: Rank::Explains, head: String::new(), text: String::new(), notes: String::new() }
    }

    fn rows(&self, columns: usize) -> Vec<String> {
        let Self { head, text, notes, .. } = self;
        let whole = format!("{head}{text}");
        if notes.is_empty() {
            return wrap(head, text, columns);
        }
        let line = format!("{whole}  {notes}");
        if width(&line) <= columns {
            return vec![line];
        }
        let mut rows = wrap(head, text, columns);
        rows.extend(wrap(&" ".repeat(width(head)), notes, columns));
        rows
    }
}

impl OutputSection {
    fn rows(&self, shown: usize, columns: usize) -> Vec<String> {
        let before = self.lines.len() - shown.min(self.lines.len());
        let more = match (before, self.truncated) {
            (1, _) => ", 1 line before in --json".to_owned(),
            (2.., _) => format!(", {before} lines before in --json"),
            (0, true) => ", earlier output left out".to_owned(),
            (0, false) => String::new(),
        };
        let mut rows = wrap("  ", &format!("the app's last output, {} ago{more}", span(self.ago)), columns);
        rows.extend(self.lines.iter().skip(before).flat_map(|line| wrap("    ", line, columns)));
        rows
    }
}

/// The least width of the layout.
const MIN_COLUMNS: usize = 20;

/// The text behind its head, in as many rows as it takes; those after the first are indented as the text is. A word that is longer than
/// a row is broken.
fn wrap(head: &str, text: &str, columns: usize) -> Vec<String> {
    let indent = width(head).min(columns / 2);
    let mut rows = Vec::new();
    let (mut row, mut used) = (head.to_owned(), width(head));
    let begin = |row: &mut String, used: &mut usize| {
        *used = indent;
        std::mem::replace(row, " ".repeat(indent))
    };
    for (at, word) in text.split_inclusive(' ').enumerate() {
        // The space after a word may be beyond the last column.
        if at > 0 && used + width(word.trim_end()) > columns && used > indent {
            rows.push(begin(&mut row, &mut used));
        }
        for character in word.chars() {
            let wide = columns_of(character);
            if used + wide > columns && character != ' ' {
                rows.push(begin(&mut row, &mut used));
            }
            row.push(character);
            used += wide;
        }
    }
    rows.push(row);
    rows
}

/// How many columns a text takes.
fn width(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

/// Two for the characters of East Asian scripts and for emoji, by their blocks in Unicode; where that is too many, a row ends early.
fn columns_of(character: char) -> usize {
    match u32::from(character) {
        0x1100..=0x115F | 0x2E80..=0xA4CF | 0xAC00..=0xD7A3 | 0xF900..=0xFAFF | 0xFE30..=0xFE6F => 2,
        0xFF00..=0xFF60 | 0xFFE0..=0xFFE6 | 0x1F300..=0x1FAFF | 0x20000..=0x3FFFD => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(columns: usize, rows: usize) -> Viewport {
        Viewport { columns: Some(columns), rows: Some(rows), bounded: true }
    }

    #[test]
    fn a_long_text_goes_on_below_its_beginning_and_a_long_word_is_broken() {
        let mut sheet = Sheet::default();
        sheet.row(Rank::Fact, "reason", "one two three four arn:aws:iam::123456789012:role/x");
        assert_eq!(
            sheet.fit(at(30, 9)),
            "  reason     one two three\n             four\n             arn:aws:iam::1234\n             56789012:role/x\n"
        );
        assert_eq!(sheet.fit(Viewport::default()).lines().count(), 1);
    }

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!(wrap("", "日本語日本語日本語日", 20).len(), 1);
        assert_eq!(wrap("", "日本語日本語日本語日本", 20).len(), 2);
    }

    #[test]
    fn what_explains_the_least_is_left_out_first() {
        let mut sheet = Sheet::default();
        sheet.line(Rank::Explains, "failed");
        sheet.space();
        sheet.row(Rank::Fact, "image", "x");
        sheet.row(Rank::Detail, "agent", "y");
        sheet.step("config", "━", "", Some("config".into()));
        sheet.step("secrets", " ━", "", Some("secrets".into()));
        sheet.step("pull", "  ━", "failed, denied", None);
        sheet.output(1.0, (1..=9).map(|n| format!("line {n}")).collect(), false, None);
        let first = |rows| sheet.fit(at(60, rows)).lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>();
        assert_eq!(first(18).len(), 18);
        assert!(first(17).contains(&"done       config, secrets".to_owned()), "{:?}", first(17));
        assert!(first(17).contains(&"the app's last output, 1.0 s ago".to_owned()), "{:?}", first(17));
        assert!(first(16).contains(&"agent      y".to_owned()), "{:?}", first(16));
        assert!(
            first(16).contains(&"the app's last output, 1.0 s ago, 1 line before in --json".to_owned()),
            "{:?}",
            first(16)
        );
        for (rows, without) in [(12, "agent      y"), (8, "image      x")] {
            assert!(!first(rows).contains(&without.to_owned()), "{:?}", first(rows));
        }
        for rows in 6..18 {
            let shown = first(rows);
            assert!(shown.len() <= rows, "{shown:?}");
            assert!(shown[0] == "failed" && shown.iter().any(|line| line.ends_with("failed, denied")), "{shown:?}");
            assert_eq!(shown.last().unwrap(), "line 9");
        }
        assert!(first(3).last().unwrap().starts_with('…'), "{:?}", first(3));
    }

    proptest! {
        #[test]
        fn wrapping_loses_nothing_and_keeps_to_the_columns(text in "[ -~äλ日…]{0,300}", head in "[ a-z]{0,14}", columns in 20..100_usize) {
            let rows = wrap(&head, &text, columns);
            let dense = |text: &str| text.chars().filter(|c| *c != ' ').collect::<String>();
            prop_assert_eq!(dense(&rows.concat()), dense(&head) + &dense(&text));
            for row in &rows {
                prop_assert!(width(row.trim_end()) <= columns, "{row:?}");
            }
        }
    }
}
