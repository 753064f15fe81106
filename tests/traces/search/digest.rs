//! What makes two states the same: the machine's `Debug` text without what is only shown to people, its times as differences from now.
//!
//! Times are rounded: below a second to 100 ms, below ten to a second, below a minute to five. Two states that differ by less
//! count as one, since the jitter of every wait would otherwise make each state a new one. What lies further back than any limit of the machine is one past.

use std::hash::{DefaultHasher, Hasher};
use std::time::Duration;

use berth_core::clock::Uptime;

/// Of these only the first letter counts: `None` or `Some`, or which of the machine's constants it is.
const ABBREVIATED: [&str; 17] = [
    "config",
    "recipe",
    "identity",
    "last",
    "reported",
    "error",
    "reason",
    "waits",
    "seconds",
    "stages",
    "pull",
    "progress",
    "failed",
    "connections",
    "recorded",
    "restored",
    "foreign",
];

/// Only shown, at the top of the machine.
const SHOWN: [&str; 6] = ["since", "outbox", "last", "phases", "retries", "refused"];

/// What is longer ago than any limit of the machine is the same, in tenths of a second; of an app's health the limits are those of the
/// configs of the search. A deadline that is over is over, however long ago.
const PAST: i128 = 2_000;
const PAST_OF_HEALTH: i128 = 300;

/// Reads one text, writes another that is the same for equal states.
pub(super) struct Digest<'a> {
    text: &'a [u8],
    at: usize,
    depth: u32,
    field: &'a str,
    /// Whether the hook that is read has ended: then its times are those of the past.
    is_hook_over: bool,
    now: Uptime,
    is_pending: &'a dyn Fn(u64) -> bool,
    out: Vec<u8>,
}

/// The digest of a text; `is_pending` says of a ticket whether its answer is still to come.
pub(super) fn digest(text: &str, now: Uptime, is_pending: &dyn Fn(u64) -> bool) -> u64 {
    let out = Vec::with_capacity(text.len() / 2);
    let mut digest =
        Digest { text: text.as_bytes(), at: 0, depth: 0, field: "", is_hook_over: false, now, is_pending, out };
    digest.read();
    let mut hasher = DefaultHasher::new();
    hasher.write(&digest.out);
    hasher.finish()
}

impl<'a> Digest<'a> {
    fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    fn read(&mut self) {
        while self.at < self.text.len() {
            match self.peek() {
                b'"' => {
                    let from = self.at;
                    self.skip_string();
                    self.out.extend_from_slice(&self.text[from..self.at]);
                }
                b'a'..=b'z' | b'A'..=b'Z' | b'_' => self.word(),
                other => {
                    match other {
                        b'{' | b'(' | b'[' => self.depth += 1,
                        b'}' | b')' | b']' => self.depth = self.depth.saturating_sub(1),
                        _ => {}
                    }
                    self.out.push(other);
                    self.at += 1;
                }
            }
        }
    }

    fn word(&mut self) {
        let (text, from): (&'a [u8], usize) = (self.text, self.at);
        while matches!(self.peek(), b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'0'..=b'9') {
            self.at += 1;
        }
        let word = std::str::from_utf8(&text[from..self.at]).unwrap_or_default();
        let is_field = self.text[self.at..].starts_with(b": ");
        self.out.extend_from_slice(word.as_bytes());
        if is_field {
            self.at += 2;
            self.field = word;
            let value = &self.text[self.at..];
            match word {
                "transition" => self.is_hook_over = false,
                "state" => self.is_hook_over |= value.starts_with(b"Over("),
                _ => {}
            }
            let of_a_hook =
                matches!(word, "heartbeats" | "give_up_at" | "answer_by" | "found" | "completed" | "patience");
            let idle = (of_a_hook && self.is_hook_over) || value.starts_with(b"Unclear { word: None");
            let first = self.peek();
            let of_a_step = matches!(word, "began" | "ended") && matches!(first, b'S' | b'N');
            let shown = self.depth == 1 && SHOWN.contains(&word);
            if shown || idle || of_a_step || ABBREVIATED.contains(&word) || (word == "steps" && first == b'[') {
                self.out.push(if shown || idle { b'-' } else { first });
                self.skip_value();
            } else if word == "passes" {
                // It only ever has to reach `probe.healthy`.
                self.out.push(first.min(b'2'));
                self.skip_value();
            } else if matches!(word, "attempts" | "failures" | "throttled" | "answers") {
                // The doubling of a wait ends before seven, and no threshold is higher.
                let from = self.at;
                self.skip_value();
                let digits = self.at - from;
                self.out.push(if digits > 1 { b'7' } else { first.min(b'7') });
            }
        } else if word == "Uptime" {
            self.at += 1;
            let time = self.until(b')');
            let difference = i128::try_from(time.as_nanos()).unwrap_or(i128::MAX)
                - i128::try_from(self.now.0.as_nanos()).unwrap_or(0);
            let past = match self.field {
                "since" | "entered" | "began" | "at" | "recent" | "engine_away" | "quiet_since" => PAST,
                "up_since" | "unhealthy_since" => PAST_OF_HEALTH,
                _ => 0,
            };
            self.out.extend_from_slice(rounded(difference).max(-past).to_string().as_bytes());
        } else if word == "Ticket" {
            self.at += 1;
            let from = self.at;
            while self.peek().is_ascii_digit() {
                self.at += 1;
            }
            let number =
                std::str::from_utf8(&self.text[from..self.at]).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
            self.out.push(if (self.is_pending)(number) { b'+' } else { b'-' });
            self.at += 1;
        }
    }

    /// A duration as `Debug` writes it.
    fn until(&mut self, end: u8) -> Duration {
        let from = self.at;
        while self.at < self.text.len() && self.peek() != end {
            self.at += 1;
        }
        let text = std::str::from_utf8(&self.text[from..self.at]).unwrap_or_default();
        self.at += 1;
        let unit = text.trim_start_matches(|one: char| one.is_ascii_digit() || one == '.');
        let number: f64 = text[..text.len() - unit.len()].parse().unwrap_or(0.0);
        let seconds = match unit {
            "s" => number,
            "ms" => number / 1e3,
            "ns" => number / 1e9,
            _ => number / 1e6,
        };
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    fn skip_string(&mut self) {
        self.at += 1;
        while self.at < self.text.len() && self.peek() != b'"' {
            self.at += if self.peek() == b'\\' { 2 } else { 1 };
        }
        self.at += 1;
    }

    fn skip_value(&mut self) {
        let mut depth = 0;
        while self.at < self.text.len() {
            match self.peek() {
                b'"' => {
                    self.skip_string();
                    continue;
                }
                b'{' | b'(' | b'[' => depth += 1,
                b'}' | b')' | b']' if depth == 0 => return,
                b'}' | b')' | b']' => depth -= 1,
                b',' if depth == 0 => return,
                _ => {}
            }
            self.at += 1;
        }
    }
}

/// In tenths of a second, rounded to whole seconds from one second on, to five from ten on, and to a minute from a minute on. Five
/// minutes and more are far.
fn rounded(nanoseconds: i128) -> i128 {
    let tenths = nanoseconds.div_euclid(100_000_000).min(3_000);
    let grain = match tenths.abs() {
        0..10 => 1,
        10..100 => 10,
        100..600 => 50,
        _ => 600,
    };
    tenths.div_euclid(grain) * grain
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the names are looked for in the sources")]
fn every_name_is_one_of_a_field() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut sources) = (vec![root], String::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => sources += &std::fs::read_to_string(path).unwrap(),
            }
        }
    }
    for name in ABBREVIATED.iter().chain(&SHOWN) {
        let is_field = |line: &str| line.trim_start().trim_start_matches("pub ").starts_with(&format!("{name}: "));
        assert!(sources.lines().any(is_field), "no field has the name {name}");
    }
}

#[test]
fn equal_but_for_the_time_and_what_is_shown_is_the_same() {
    let of = |text: &str, now| digest(text, Uptime(Duration::from_secs(now)), &|ticket| ticket > 5);
    let one = of(
        "Machine { phase: Boot(Boot { deadline: Uptime(40s), state: Running(Ticket(7)), error: None }), since: Uptime(3s) }",
        10,
    );
    let two = of(
        "Machine { phase: Boot(Boot { deadline: Uptime(45.04s), state: Running(Ticket(9)), error: None }), since: Uptime(9s) }",
        15,
    );
    assert_eq!(one, two);
    let later = of(
        "Machine { phase: Boot(Boot { deadline: Uptime(45s), state: Running(Ticket(9)), error: None }), since: Uptime(9s) }",
        10,
    );
    let stale = of(
        "Machine { phase: Boot(Boot { deadline: Uptime(40s), state: Running(Ticket(2)), error: None }), since: Uptime(3s) }",
        10,
    );
    let failed = of(
        "Machine { phase: Boot(Boot { deadline: Uptime(40s), state: Running(Ticket(7)), error: Some(\"a, } b\") }), since: Uptime(3s) }",
        10,
    );
    assert!(one != later && one != stale && one != failed);
}
