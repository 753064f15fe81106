//! One line of user-data with the word berth: the config, a near miss, or something else.
//!
//! The table is [`RECOGNISERS`]: the first that matches decides the message.

use std::borrow::Cow;

use crate::keys::Key;
use crate::value::printable::is_invisible;

/// What a line is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BerthLine {
    /// The one line: its words, and how many characters stand before them.
    Config {
        /// The words.
        words: String,
        /// Characters before the words.
        indent: usize,
    },
    /// Almost the one line.
    NearMiss(NearMiss),
}

/// Why a line is almost the config.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NearMiss {
    /// The column, counted from 1.
    pub(crate) column: usize,
    /// What it is, and what to do.
    pub(crate) reason: Cow<'static, str>,
    /// Whether it is certainly a config, and so an error beside another one.
    pub(crate) certain: bool,
}

/// The commands of berth, which a line of a script may call. A test compares them with the command line.
pub const COMMANDS: [&str; 13] = [
    "check",
    "status",
    "timeline",
    "drain",
    "exec",
    "handover",
    "wait",
    "bake",
    "doctor",
    "policy",
    "release",
    "completions",
    "help",
];

/// Recognises one line. In a script, a line that begins with `berth` may call the command.
pub(crate) fn look(line: &str, script: bool) -> Option<BerthLine> {
    let seen = Visible::of(line);
    if !seen.text.to_ascii_lowercase().contains("berth") {
        return misspelt(&seen.text).map(BerthLine::NearMiss);
    }
    let plain = config(&seen.text, script);
    match (plain, seen.first_hidden) {
        (Some(_), Some(column)) if config(line, script).is_none() => {
            Some(BerthLine::NearMiss(NearMiss { column, reason: INVISIBLE.into(), certain: true }))
        }
        (Some(_), _) => config(line, script).map(|(words, indent)| match words.contains("image=3D") {
            true => {
                BerthLine::NearMiss(NearMiss { column: indent + 1, reason: QUOTED_PRINTABLE.into(), certain: true })
            }
            false => BerthLine::Config { words, indent },
        }),
        (None, _) => seen
            .mentions()
            .take(OFTEN)
            .find_map(|mention| mention.recognise(script))
            .or_else(|| capitals(line, script))
            .map(BerthLine::NearMiss),
    }
}

/// A line that is the config in uppercase.
fn capitals(line: &str, script: bool) -> Option<NearMiss> {
    let lower = line.to_ascii_lowercase();
    let indent = config(&lower, script).filter(|(words, _)| lower != line && assigns_image(words, "="))?.1;
    Some(NearMiss { column: indent + 1, reason: CAPITALS.into(), certain: false })
}

/// A line that begins with `berth` with one typo, and sets `image`.
fn misspelt(line: &str) -> Option<NearMiss> {
    let rest = line.trim_start_matches([' ', '\t', '#']);
    let (word, after) = first_key(rest);
    let is_near = (4..=6).contains(&word.len()) && strsim::osa_distance(&word.to_ascii_lowercase(), "berth") == 1;
    let is_config = is_near && after.starts_with([' ', '\t', ':']) && assigns_image(after, "=");
    let column = line.get(..line.len() - rest.len())?.chars().count() + 1;
    is_config.then(|| NearMiss { column, reason: MISSPELT.into(), certain: false })
}

/// Whether a line continues the config of the line before it: `key=value` words of known keys. In a script, the
/// shell assigns variables like this, so the line must be a comment too.
pub(crate) fn goes_on(line: &str, script: bool) -> bool {
    let words = line.trim_start_matches([' ', '\t', '#']);
    let is_pair = |word: &str| word.split_once('=').is_some_and(|(key, _)| Key::find(key).is_some());
    let may_be = !script || line.trim_start().starts_with('#');
    // A quoted value may have spaces; a sentence that begins with `port=80` is prose.
    let mut each = words.split_whitespace();
    may_be && each.next().is_some_and(is_pair) && (each.all(is_pair) || words.contains(['\'', '"']))
}

/// The one line, with or without what editors and heredocs put before it: indentation, `# berth`, `##berth`.
fn config(line: &str, script: bool) -> Option<(String, usize)> {
    let rest = line.trim_start_matches([' ', '\t', '#']);
    let marks = line.get(..line.len() - rest.len())?;
    let after = rest.strip_prefix("berth")?;
    let colon = after.starts_with(':');
    let after = after.strip_prefix(':').unwrap_or(after);
    let first = after.chars().next().filter(|char| char.is_whitespace())?;
    // Another kind of space stays in the words, whose error has its column.
    let words = if matches!(first, ' ' | '\t') { after.get(1..)? } else { after };
    let first_word = words.split_whitespace().next().unwrap_or_default();
    let as_documented = match marks {
        "#" => true,
        "" => !colon && (!script || first_word.contains('=')),
        _ => false,
    };
    let is_other = first_word.starts_with('{') || (first_word == "run" && assigns_image(words, "=:"));
    if is_other || !(as_documented || assigns(words)) {
        return None;
    }
    let indent = line.get(..line.len() - words.len())?.chars().count();
    Some((words.to_owned(), indent))
}

/// Whether a text begins with `key=`, or with a known key, spaces and `=`.
fn assigns(text: &str) -> bool {
    let (key, rest) = first_key(text);
    !key.is_empty() && (rest.starts_with('=') || (Key::find(key).is_some() && rest.trim_start().starts_with('=')))
}

/// The name at the start of a text, and the rest.
fn first_key(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    let is_part = |char: char| char.is_ascii_alphanumeric() || "_.-".contains(char);
    let end = text.find(|char| !is_part(char)).unwrap_or(text.len());
    let starts = text.starts_with(|char: char| char.is_ascii_alphabetic());
    text.split_at(if starts { end } else { 0 })
}

/// How far after `berth` the image may be, and how many times one line is searched: hostile input could make both large.
const FAR: usize = 2_000;
const OFTEN: usize = 64;

/// Whether the text has `image` followed by one of these signs, after at most one word of prose.
fn assigns_image(text: &str, signs: &str) -> bool {
    let end = (0..=FAR.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    let text = text.get(..end).unwrap_or_default();
    text.match_indices("image").any(|(at, _)| {
        let (before, after) = (text.get(..at).unwrap_or_default(), text.get(at + "image".len()..).unwrap_or_default());
        let alone = !before.ends_with(|char: char| char.is_alphanumeric() || "_./".contains(char));
        let is_prose = |word: &&str| word.chars().all(char::is_alphabetic);
        let signed = after.trim_start_matches(|char: char| char.is_whitespace() || "\"'`”’".contains(char));
        alone
            && signed.starts_with(|char| signs.contains(char))
            && before.split_whitespace().filter(is_prose).count() < 2
    })
}

/// A line without its invisible characters.
struct Visible {
    text: String,
    /// The column of each character.
    columns: Vec<usize>,
    first_hidden: Option<usize>,
}

impl Visible {
    fn of(line: &str) -> Self {
        let numbered = || line.chars().zip(1..);
        let (text, columns) = numbered().filter(|(char, _)| !is_invisible(*char)).unzip();
        Self { text, columns, first_hidden: numbered().find(|(char, _)| is_invisible(*char)).map(|(_, column)| column) }
    }

    /// Every `berth` that is a word of its own.
    fn mentions(&self) -> impl Iterator<Item = Mention<'_>> {
        let lower = self.text.to_ascii_lowercase();
        let starts: Vec<usize> = lower.match_indices("berth").map(|(at, _)| at).collect();
        starts.into_iter().filter_map(|at| {
            let (before, rest) = self.text.split_at_checked(at)?;
            let (word, after) = rest.split_at_checked("berth".len())?;
            let column = self.columns.get(before.chars().count()).copied()?;
            Some(Mention { before, word, after, column }).filter(Mention::stands_alone)
        })
    }
}

/// The word `berth` in a line.
struct Mention<'a> {
    before: &'a str,
    /// The word as written, in its case.
    word: &'a str,
    after: &'a str,
    column: usize,
}

/// What may be between `berth` and the first key.
const BETWEEN: &str = ":=,;|>-+\"'“”‘’`([{";

const INVISIBLE: &str = "an invisible character in the config line: type the line again without it";
const QUOTED_PRINTABLE: &str =
    "looks like quoted-printable (`=3D`): user-data is not decoded; write the config as plain text";
const RUN: &str = "is the command `berth run`, not a config: remove `run` and begin the line with `#berth `; berth.service starts the agent";
const YAML: &str =
    "looks like YAML, which is not supported: write `#berth image=… port=…` on one line, or TOML, or JSON";
const FOLDED: &str = "the config is in the middle of a line: `#berth …` needs a line of its own";
const CASE: &str = "`berth` is in uppercase: write it in lowercase, `#berth image=…`";
const CAPITALS: &str = "is in uppercase: write `berth` and the keys in lowercase, `#berth image=…`";
const MISSPELT: &str = "looks like `berth` with a typo: begin the line with `#berth ` or `berth `";
const NOT_FIRST: &str =
    "looks like a config but is not: begin the line with `#berth ` or `berth `, then write `key=value` words";

/// What a line with the word berth that is not the config can be, in the order in which it is tried.
const RECOGNISERS: [fn(&Mention<'_>) -> Option<&'static str>; 5] = [
    |it| (it.command() == Some("run")).then_some(RUN),
    |it| it.is_yaml().then_some(YAML),
    |it| it.is_folded().then_some(FOLDED),
    |it| (it.word != "berth" && it.is_at_the_start() && it.after.starts_with(char::is_whitespace)).then_some(CASE),
    |_| Some(NOT_FIRST),
];

impl Mention<'_> {
    /// Whether it is not a part of a path, a name or a variable.
    fn stands_alone(&self) -> bool {
        let is_part = |char: char| char.is_alphanumeric() || "_.$@".contains(char);
        let only_marks = !self.before.chars().any(char::is_alphanumeric);
        // `/usr/bin/berth run` is a command, `team/berth:1` an image.
        let folder = self.before.trim_end_matches(['/', '-']);
        let is_joined = folder.len() < self.before.len() && folder.ends_with(is_part);
        let is_program = self.before.ends_with('/') && self.after.starts_with(char::is_whitespace);
        let left = only_marks || is_program || !(is_joined || self.before.ends_with(is_part));
        left && !self.after.starts_with(|char: char| char.is_alphanumeric() || "_./-".contains(char))
    }

    fn recognise(&self, script: bool) -> Option<NearMiss> {
        let command = self.command();
        if command.is_some_and(|command| COMMANDS.contains(&command)) {
            return None;
        }
        let first = self.after.trim_start_matches(|char: char| char.is_whitespace() || BETWEEN.contains(char));
        let (key, _) = first_key(first);
        let certain = command != Some("run") && Key::find(key).is_some() && assigns(first);
        let perhaps = assigns_image(self.after, "=") || (self.is_yaml() && !script);
        if !certain && !perhaps {
            return None;
        }
        let reason = RECOGNISERS.iter().find_map(|recognise| recognise(self))?;
        Some(NearMiss { column: self.column, reason: reason.into(), certain })
    }

    /// The word after it, if it is not a key.
    fn command(&self) -> Option<&str> {
        let rest = self.after.trim_start_matches(|char: char| char.is_whitespace() || ",\"'".contains(char));
        let (word, after) = first_key(rest);
        Some(word).filter(|word| !word.is_empty() && !after.trim_start().starts_with(['=', ':']))
    }

    fn is_yaml(&self) -> bool {
        let after = self.after.trim_start_matches(['"', '\'']).trim_start();
        after.starts_with(':') && assigns_image(after, ":") && !assigns(after.trim_start_matches(':'))
    }

    fn is_at_the_start(&self) -> bool {
        self.before.chars().all(|char| char == '#' || char.is_whitespace())
    }

    /// Whether it follows the first line of a script or a cloud-config, or a character that was the end of a line.
    fn is_folded(&self) -> bool {
        let before = self.before.trim_start();
        let head = before.trim_end_matches(['#', ' ', '\t']);
        let behind_head = (head.starts_with("#!") && head.len() > 2) || head.starts_with("#cloud-");
        behind_head || before.contains(['\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}'])
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    fn reported(line: &str, script: bool) -> String {
        match look(line, script) {
            None => "nothing".into(),
            Some(BerthLine::Config { words, indent }) => format!("{indent}: {words}"),
            Some(BerthLine::NearMiss(NearMiss { column, reason, certain })) => {
                format!("{column}{} {reason}", if certain { "" } else { "?" })
            }
        }
    }

    #[test]
    fn a_line_with_the_marks_of_a_comment_or_an_indentation_is_the_config() {
        for (line, expected) in [
            ("berth image=x:1", "6: image=x:1"),
            ("#berth image=x:1", "7: image=x:1"),
            ("#berth: image=x:1", "8: image=x:1"),
            ("    #berth image=x:1", "11: image=x:1"),
            ("\t# berth\timage=x:1", "9: image=x:1"),
            ("## berth image = x", "9: image = x"),
            ("berth: image=x", "7: image=x"),
            ("berth wait", "6: wait"),
            ("#berth wait", "7: wait"),
            ("berth\u{a0}image=x", "5: \u{a0}image=x"),
        ] {
            assert_eq!(reported(line, false), expected, "{line:?}");
        }
        assert_eq!(reported("  berth image=x", true), "8: image=x");
        assert_eq!(reported("berth wait ready", true), "nothing");
        assert_eq!(reported("  berth wait ready", false), "nothing");
    }

    #[test]
    fn every_recogniser_says_what_to_do_about_its_own_line() {
        for (line, expected) in [
            ("#ber\u{200b}th image=x:1", format!("5 {INVISIBLE}")),
            ("berth image=3Dx:1", format!("7 {QUOTED_PRINTABLE}")),
            ("sudo berth run image=x:1", format!("6? {RUN}")),
            ("  - [berth, run, \"image=x:1\"]", format!("6? {RUN}")),
            ("berth: {image: x}", format!("1? {YAML}")),
            ("#!/bin/sh #berth image=x", format!("12 {FOLDED}")),
            ("#Berth image=x", format!("2 {CASE}")),
            ("//berth image=x", format!("3 {NOT_FIRST}")),
            ("//berth imagine=x", "nothing".into()),
            ("echo 'berth port=80'", format!("7 {NOT_FIRST}")),
            ("x berth y image = 1", format!("3? {NOT_FIRST}")),
        ] {
            assert_eq!(reported(line, false), expected, "{line:?}");
        }
    }

    #[test]
    fn prose_paths_and_commands_are_no_config() {
        for line in [
            "# berth reads its config from a file, image=… is in there",
            "cat /etc/berth/berth.toml # image=x",
            "docker run ghcr.io/team/berth:1 --image=x",
            "echo $berth image=x",
            "systemctl restart berth.service; image=x",
            "berth drain --wait && echo image=gone",
            "sudo berth bake --image=x:1",
            "berthed image=x",
        ] {
            assert_eq!(reported(line, true), "nothing", "{line:?}");
        }
    }
}
