//! The app's last output as it may be shown: read from the engine, without the values of its secrets, cut to a screen.

use berth_config::Config;
use berth_core::message::container::ContainerId;
use berth_core::message::output::{AppOutput, BYTES, LINES, Unavailable};

use crate::io::docker::{Engine, EngineError, NoLogs, Tail};
use crate::io::secret::deliver::Delivery;
use crate::io::secret::redact::Redactor;
use berth_config::printable::one_line;

/// The longest line, in bytes.
const LINE: usize = 1000;

/// Reads the app's last lines. The values to remove are those on the tmpfs; if they cannot be read, nothing is shown.
pub async fn read(
    engine: &Engine,
    delivery: &Delivery,
    id: &ContainerId,
    config: &Config,
) -> Result<AppOutput, EngineError> {
    // Before anything is awaited: a stop in progress removes them from the tmpfs.
    let (redactor, since) = if config.has_secrets() {
        match delivery.values(&config.container_name(), config.secrets_as) {
            Ok(Some(given)) => {
                let secrets = given.secrets.iter().map(|(name, secret)| (name.as_str(), secret));
                (Redactor::new(secrets), Some(given.since))
            }
            Ok(None) | Err(_) => return Ok(AppOutput::none(Unavailable::SecretsUnknown)),
        }
    } else {
        (Redactor::default(), None)
    };
    // One more than is shown, since the first may be the end of a longer line.
    let (log_driver, tail) = engine.tail(id, LINES + 1, since).await?;
    let output = match tail {
        Ok(tail) => lines(&tail, &redactor),
        Err(NoLogs::Removed) => AppOutput::none(Unavailable::ContainerRemoved),
        Err(NoLogs::NotLogged) => AppOutput::none(Unavailable::NotLogged),
        Err(NoLogs::NotReadable) => AppOutput::none(Unavailable::DriverNotReadable),
    };
    Ok(AppOutput { log_driver, ..output })
}

fn lines(tail: &Tail, redactor: &Redactor) -> AppOutput {
    let text = redactor.redact(&tail.text, tail.is_cut);
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    let mut truncated = tail.has_more || all.len() > LINES;
    let (mut lines, mut bytes_left) = (Vec::new(), BYTES);
    for line in all.iter().rev().take(LINES) {
        // A tab is shown as columns.
        let spaced = line.trim_end().replace('\t', "    ");
        let shown = one_line(&spaced, LINE);
        truncated |= shown.ends_with('…') && !spaced.ends_with('…');
        if shown.len() > bytes_left {
            truncated = true;
            break;
        }
        bytes_left -= shown.len();
        lines.push(shown);
    }
    lines.reverse();
    AppOutput { lines, truncated, ..AppOutput::default() }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::io::secret::Secret;

    fn shown(text: &[u8], is_cut: bool) -> AppOutput {
        let secret = Secret::new("hunter2");
        let redactor = Redactor::new([("PASSWORD", &secret)]);
        lines(&Tail { text: Zeroizing::new(text.to_vec()), has_more: is_cut, is_cut }, &redactor)
    }

    #[test]
    fn lines_are_fit_to_be_shown() {
        let output = shown(b"\x1b[31mpanic\x1b[0m: hunter2\r\n\tat main\x00\xff\x07\n\n", false);
        assert_eq!(output.lines, ["panic: [secret PASSWORD]", "    at main\\u{0}\u{fffd}\\u{7}", ""]);
        assert!(!output.truncated);
        assert_eq!(shown("a\u{202e}b\u{9b}c".as_bytes(), false).lines, ["a\\u{202e}b\\u{9b}c"]);
        assert!(shown(b"", false).lines.is_empty());
    }

    #[test]
    fn the_newest_lines_stay() {
        let text: String = (0..50).map(|n| format!("line {n}\n")).collect();
        let output = shown(text.as_bytes(), false);
        assert_eq!((output.lines.len(), output.lines[0].as_str(), output.truncated), (LINES, "line 10", true));
        let exact: String = (0..40).map(|n| format!("line {n}\n")).collect();
        assert!(!shown(exact.as_bytes(), false).truncated);
        assert!(shown(exact.as_bytes(), true).truncated);
    }

    #[test]
    fn all_of_it_has_its_bound() {
        let text = format!("{}\n", "x".repeat(2000)).repeat(30);
        let output = shown(text.as_bytes(), false);
        let bytes: usize = output.lines.iter().map(String::len).sum();
        assert!(bytes <= BYTES && output.lines.len() == 8 && output.truncated, "{bytes} {}", output.lines.len());
        assert!(output.lines.iter().all(|line| line.len() <= LINE && line.ends_with('…')));
        let escapes = shown(&[b'\x01'; 5000], false);
        assert!(escapes.lines[0].len() <= LINE && escapes.truncated);
    }
}
