//! The last output of a container, whatever its log driver is. The engine reads back `json-file`, `local` and `journald`, and since
//! 20.10 has a cache of its own for drivers that cannot be read ("Use docker logs with remote logging drivers").

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use berth_core::message::container::ContainerId;
use bollard::container::LogOutput;
use bollard::errors::Error as Bollard;
use bollard::query_parameters::{InspectContainerOptions, LogsOptions};
use futures_util::StreamExt;
use zeroize::Zeroizing;

use super::engine::{Engine, SHORT};
use super::error::EngineError;
use super::refusal;

/// For the whole reading.
const PATIENCE: Duration = Duration::from_secs(3);
/// Bytes of the newest output that are kept. The engine's drivers split a longer line into entries of 16 KB, `local` of 1 MB.
const WINDOW: usize = 64 * 1024;

/// The end of what a container wrote, on both streams in the engine's order.
pub struct Tail {
    /// Lines, each with its `\n`. It may hold the values of secrets.
    pub text: Zeroizing<Vec<u8>>,
    /// Whether the container wrote more before.
    pub has_more: bool,
    /// Whether the beginning of the first line may be missing.
    pub is_cut: bool,
}

/// Why there is no output to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoLogs {
    /// The container is gone.
    Removed,
    /// The log driver is `none`.
    NotLogged,
    /// The engine cannot read what the log driver writes.
    NotReadable,
}

impl Engine {
    /// The last `lines` entries of the container's log that were written since then, and its log driver. One attempt; it takes at
    /// most three seconds.
    pub async fn tail(
        &self,
        id: &ContainerId,
        lines: usize,
        since: Option<SystemTime>,
    ) -> Result<(Option<String>, Result<Tail, NoLogs>), EngineError> {
        match tokio::time::timeout(PATIENCE, self.read_tail(id, lines, since)).await {
            Ok(answer) => answer,
            Err(_) => Err(EngineError::TooLong(PATIENCE)),
        }
    }

    async fn read_tail(
        &self,
        id: &ContainerId,
        lines: usize,
        since: Option<SystemTime>,
    ) -> Result<(Option<String>, Result<Tail, NoLogs>), EngineError> {
        let fail = |error| refusal::of("read the container's log".to_owned(), error, refusal::plain);
        let docker = self.within(SHORT).map_err(fail)?;
        let inspected = match docker.inspect_container(&id.0, None::<InspectContainerOptions>).await {
            Ok(inspected) => inspected,
            Err(error) if refusal::is_not_found(&error) => return Ok((None, Err(NoLogs::Removed))),
            Err(error) => return Err(fail(error)),
        };
        let driver = inspected.host_config.and_then(|host| host.log_config).and_then(|log| log.typ);
        if driver.as_deref() == Some("none") {
            return Ok((driver, Err(NoLogs::NotLogged)));
        }
        let options = LogsOptions {
            stdout: true,
            stderr: true,
            // They separate the output of an earlier start, and the output of a terminal from the frames of two streams.
            timestamps: true,
            tail: lines.to_string(),
            ..Default::default()
        };
        let mut entries = Box::pin(docker.logs(&id.0, Some(options)));
        let mut window = Window::new(since.map(nanoseconds));
        let mut count = 0;
        while let Some(entry) = entries.next().await {
            match entry {
                Ok(entry) => {
                    count += 1;
                    window.take(&entry);
                }
                Err(error) if refusal::is_not_found(&error) => return Ok((driver, Err(NoLogs::Removed))),
                Err(Bollard::DockerResponseServerError { status_code, message })
                    if status_code == 501 || message.contains("does not support reading") =>
                {
                    return Ok((driver, Err(NoLogs::NotReadable)));
                }
                Err(error) => return Err(fail(error)),
            }
        }
        Ok((driver, Ok(window.finish(count >= lines))))
    }
}

/// The newest lines that fit. A line in several entries is put together, for each stream apart.
struct Window {
    since: Option<i128>,
    text: Zeroizing<Vec<u8>>,
    /// The beginnings of lines of standard output and standard error.
    begun: [Zeroizing<Vec<u8>>; 2],
    /// Whether an earlier start's output was left out.
    has_earlier: bool,
    is_cut: bool,
}

impl Window {
    fn new(since: Option<i128>) -> Self {
        let buffer = || Zeroizing::new(Vec::new());
        Self { since, text: buffer(), begun: [buffer(), buffer()], has_earlier: false, is_cut: false }
    }

    fn take(&mut self, entry: &LogOutput) {
        let (stream, message) = match entry {
            LogOutput::StdErr { message } => (1, message),
            LogOutput::StdOut { message } | LogOutput::StdIn { message } | LogOutput::Console { message } => {
                (0, message)
            }
        };
        let (stamp, line) = split_stamp(message);
        if self.since.is_some_and(|since| stamp.is_some_and(|stamp| stamp < since)) {
            self.has_earlier = true;
            return;
        }
        let Some(begun) = self.begun.get_mut(stream) else { return };
        if matches!(entry, LogOutput::Console { .. }) && line.len() > 8 * 1024 {
            // On a terminal the entries of one long line come as one, each with its time before it.
            without_stamps(line, begun);
        } else {
            begun.extend_from_slice(line);
        }
        self.is_cut |= shorten(begun);
        if begun.ends_with(b"\n") {
            self.text.append(begun);
            self.is_cut |= shorten(&mut self.text);
        }
    }

    /// `has_more`: the log has perhaps more entries than were asked for.
    fn finish(mut self, has_more: bool) -> Tail {
        for begun in &mut self.begun {
            if !begun.is_empty() {
                self.text.append(begun);
                self.text.push(b'\n');
            }
        }
        let is_shortened = shorten(&mut self.text) | self.is_cut;
        // Every start begins with a line of its own.
        let is_cut = is_shortened || (has_more && !self.has_earlier);
        Tail { text: self.text, has_more: is_cut || self.has_earlier, is_cut }
    }
}

/// Cuts off the beginning of what is too long; returns whether it did.
fn shorten(text: &mut Vec<u8>) -> bool {
    let much = text.len().saturating_sub(WINDOW);
    text.drain(..much);
    much > 0
}

/// The time before an entry, in nanoseconds since 1970, and the rest.
fn split_stamp(entry: &[u8]) -> (Option<i128>, &[u8]) {
    let Some(space) = entry.iter().take(40).position(|byte| *byte == b' ') else { return (None, entry) };
    let (stamp, line) = entry.split_at(space);
    match std::str::from_utf8(stamp).ok().and_then(parse) {
        Some(moment) => (Some(moment), line.get(1..).unwrap_or_default()),
        None => (None, entry),
    }
}

/// Appends the line without the times in the engine's format.
fn without_stamps(mut line: &[u8], kept: &mut Vec<u8>) {
    while let [first, rest @ ..] = line {
        match if first.is_ascii_digit() { split_stamp(line) } else { (None, line) } {
            (Some(_), after) => line = after,
            (None, _) => {
                kept.push(*first);
                line = rest;
            }
        }
    }
}

fn nanoseconds(moment: SystemTime) -> i128 {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    i128::try_from(since).unwrap_or_default()
}

/// RFC 3339 with nanoseconds, as the engine writes it: `2026-11-28T19:22:44.123456789Z`, or with an offset.
///
/// The calendar is Howard Hinnant's `days_from_civil`: <https://howardhinnant.github.io/date_algorithms.html>.
fn parse(stamp: &str) -> Option<i128> {
    let number = |range: std::ops::Range<usize>| stamp.get(range)?.parse::<i128>().ok();
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if !marks.iter().all(|(at, mark)| stamp.as_bytes().get(*at) == Some(mark)) {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468;
    let mut rest = stamp.get(19..)?;
    let mut fraction = 0;
    if let Some(digits) = rest.strip_prefix('.') {
        let count = digits.bytes().take_while(u8::is_ascii_digit).count();
        fraction = format!("{:0<9.9}", digits.get(..count)?).parse().ok()?;
        rest = digits.get(count..)?;
    }
    let offset = match rest.as_bytes() {
        b"Z" => 0,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let minutes = rest.get(1..3)?.parse::<i128>().ok()? * 60 + rest.get(4..6)?.parse::<i128>().ok()?;
            if *sign == b'-' { -minutes } else { minutes }
        }
        _ => return None,
    };
    let seconds = days * 86_400 + number(11..13)? * 3600 + (number(14..16)? - offset) * 60 + number(17..19)?;
    Some(seconds * 1_000_000_000 + fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(message: &str) -> LogOutput {
        LogOutput::StdOut { message: message.to_owned().into() }
    }

    fn err(message: &str) -> LogOutput {
        LogOutput::StdErr { message: message.to_owned().into() }
    }

    fn window(since: Option<i128>, entries: &[LogOutput]) -> (String, bool) {
        let mut window = Window::new(since);
        entries.iter().for_each(|entry| window.take(entry));
        let tail = window.finish(false);
        (String::from_utf8_lossy(&tail.text).into_owned(), tail.has_more)
    }

    const AT: &str = "2026-11-28T19:22:44.123456789Z";

    #[test]
    fn a_time_is_read_as_date_reads_it() {
        assert_eq!(parse("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(parse(AT), Some(1_795_893_764_123_456_789));
        assert_eq!(parse("2026-11-28T21:22:44.123456789+02:00"), parse(AT));
        assert_eq!(parse("2026-11-28T14:52:44.123456789-04:30"), parse(AT));
        assert_eq!(parse("2000-02-29T00:00:00.5Z"), Some(951_782_400_500_000_000));
        for text in
            ["", "2026", "2026-11-28 19:22:44Z", "2026-11-28T19:22:44", "2026-11-28T19:22:44.1+2", "ä026-11-28T19"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_line_in_several_entries_is_put_together_whatever_comes_between() {
        let entries = [
            out(&format!("{AT} one, ")),
            err(&format!("{AT} of the other stream\n")),
            out(&format!("{AT} two\n")),
            err(&format!("{AT} without an end")),
        ];
        let text = "of the other stream\none, two\nwithout an end\n".to_owned();
        assert_eq!(window(None, &entries), (text, false));
    }

    #[test]
    fn what_an_earlier_start_wrote_is_left_out() {
        let entries = [out(&format!("{AT} now\n")), out("2026-11-28T19:22:44.123456788Z before\n"), out("no time\n")];
        assert_eq!(window(parse(AT), &entries), ("now\nno time\n".into(), true));
    }

    #[test]
    fn only_what_is_cut_off_may_begin_in_the_middle_of_a_line() {
        let cut = |since: Option<i128>, entries: &[LogOutput], has_more: bool| {
            let mut window = Window::new(since);
            entries.iter().for_each(|entry| window.take(entry));
            window.finish(has_more).is_cut
        };
        let now = out(&format!("{AT} now\n"));
        let earlier = out("2026-11-28T19:22:44.1Z earlier\n");
        assert!(!cut(None, std::slice::from_ref(&now), false) && cut(None, std::slice::from_ref(&now), true));
        assert!(!cut(parse(AT), &[earlier, now.clone()], true), "a start begins with a line of its own");
        assert!(cut(None, &[out(&"x".repeat(WINDOW + 1)), now], false));
    }

    #[test]
    fn a_flood_leaves_the_newest() {
        let much: Vec<_> = (0..100).map(|n| out(&format!("{AT} {n} {}\n", "x".repeat(16_000)))).collect();
        let (text, is_cut) = window(None, &much);
        assert!(is_cut && text.len() <= WINDOW && text.contains("\n99 xxx"), "{}", text.len());
        let one: Vec<_> = (0..100).map(|n| out(&format!("{AT} {n}{}", "x".repeat(16_000)))).collect();
        let (text, is_cut) = window(None, &one);
        assert!(is_cut && text.len() <= WINDOW && text.ends_with("x\n") && text.contains("99x"));
    }

    #[test]
    fn on_a_terminal_the_times_within_a_long_line_are_left_out() {
        let line = format!("{AT} {}{AT} {}\r\n", "a".repeat(16_000), "b1 2".repeat(100));
        let entries = [LogOutput::Console { message: line.into() }];
        assert_eq!(window(None, &entries).0, format!("{}{}\r\n", "a".repeat(16_000), "b1 2".repeat(100)));
    }
}
