//! The log: one line per event and per effect, on standard error. The agent never blocks on it (io/host/log). JSON for the journal,
//! text for a person.
//!
//! `BERTH_LOG` sets the level. Other crates log from `warn` on at most: a `trace` line of an HTTP or TLS library may hold the bytes of
//! a secret (invariant 5).

use std::fmt;
use std::io::{self, IsTerminal, Write};

use berth_core::message::outcome::Outcome;
use berth_core::view::published::rfc3339;
use clap::ValueEnum;
use nix::sys::stat::fstat;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::io::host::log;

/// The format of a line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// `{"timestamp":…,"level":…,"message":…,"phase":…}`
    Json,
    /// `03:38:41 INFO message phase=…`
    Text,
}

/// Starts logging, once. Without a format: text on a terminal, JSON under systemd, else text.
pub fn init(format: Option<LogFormat>) {
    let (level, is_invalid) = match std::env::var("BERTH_LOG") {
        Ok(word) => level(&word).map_or((Level::INFO, true), |level| (level, false)),
        Err(_) => (Level::INFO, false),
    };
    let others = LevelFilter::from_level(level.min(Level::WARN));
    let targets = Targets::new().with_default(others).with_target("berth", level);
    // A line that cannot be written is lost: standard error is closed, and a report there would panic.
    let layer = tracing_subscriber::fmt::layer().with_writer(stderr).with_target(false).log_internal_errors(false);
    let format = format.unwrap_or_else(default_format);
    let registry = tracing_subscriber::registry().with(targets);
    // A second call in a process fails and changes nothing.
    let _ = match format {
        LogFormat::Json => {
            let json = layer.json().flatten_event(true).with_current_span(false).with_span_list(false);
            let is_journal = std::env::var("JOURNAL_STREAM").is_ok_and(|stream| is_stderr(&stream));
            registry.with(json.map_event_format(|json| Prioritised { json, is_journal })).try_init()
        }
        LogFormat::Text => registry.with(layer.with_ansi(false).with_timer(TimeOfDay)).try_init(),
    };
    if is_invalid {
        tracing::warn!("BERTH_LOG is none of error, warn, info, debug, trace; the level is info");
    }
}

/// Makes a panic one line of the log and the end of the process. Queued lines are written, but a log that is not read does not delay
/// the end.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!("{panic}");
        log::flush(log::LAST);
        std::process::exit(Outcome::Bug.code().into());
    }));
}

fn stderr() -> Box<dyn Write> {
    match log::stderr() {
        Some(writer) => Box::new(writer),
        None => Box::new(io::sink()),
    }
}

/// Whether standard error is the journal's stream, `DEVICE:INODE` (`JOURNAL_STREAM` in systemd.exec(5)): a redirected one is not.
fn is_stderr(stream: &str) -> bool {
    fstat(io::stderr()).is_ok_and(|stderr| stream == format!("{}:{}", stderr.st_dev, stderr.st_ino))
}

/// A line of JSON; for the journal with its priority in front, which journald removes (sd-daemon(3)). So
/// `journalctl -p warning` finds warnings.
struct Prioritised<F> {
    json: F,
    is_journal: bool,
}

impl<S, N, F> FormatEvent<S, N> for Prioritised<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        if self.is_journal {
            write!(line, "<{}>", priority(*event.metadata().level()))?;
        }
        self.json.format_event(context, line, event)
    }
}

/// syslog(3)'s number.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

fn level(word: &str) -> Option<Level> {
    Some(match word.trim().to_ascii_lowercase().as_str() {
        "error" => Level::ERROR,
        "warn" => Level::WARN,
        "" | "info" => Level::INFO,
        "debug" => Level::DEBUG,
        "trace" => Level::TRACE,
        _ => return None,
    })
}

/// A shell inside a service inherits `JOURNAL_STREAM`, so a terminal takes precedence.
fn default_format() -> LogFormat {
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    if journal && !io::stderr().is_terminal() { LogFormat::Json } else { LogFormat::Text }
}

/// The time of day, in UTC.
struct TimeOfDay;

impl FormatTime for TimeOfDay {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let date = rfc3339(since.as_secs());
        let time = date.get(11..19).unwrap_or_default();
        write!(writer, "{time}.{:03}", since.subsec_millis())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What is logged through it.
    #[derive(Clone, Default)]
    struct CapturedLog(Arc<Mutex<Vec<u8>>>);

    impl Write for CapturedLog {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(is_journal: bool) -> String {
        let lines = CapturedLog::default();
        let writer = lines.clone();
        let layer = tracing_subscriber::fmt::layer().with_writer(move || writer.clone()).json();
        let layer = layer.map_event_format(|json| Prioritised { json, is_journal });
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::error!("a");
            tracing::warn!("b");
            tracing::info!("c");
        });
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn only_the_journal_gets_the_priority_of_each_line() {
        let begins = |text: &str| text.lines().map(|line| line.chars().take(4).collect()).collect::<Vec<String>>();
        assert_eq!(begins(&logged(true)), ["<3>{", "<4>{", "<6>{"]);
        assert!(begins(&logged(false)).iter().all(|line| line.starts_with('{')));
    }

    #[test]
    fn the_journal_s_stream_is_known_by_its_inode() {
        let stderr = fstat(io::stderr()).unwrap();
        assert!(is_stderr(&format!("{}:{}", stderr.st_dev, stderr.st_ino)));
        for other in ["", "1:2", "stderr"] {
            assert!(!is_stderr(other), "{other}");
        }
    }
}
