//! The system console: EC2 shows the final status there after the instance is gone.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use berth_config::printable::one_line;
use berth_core::message::error::ErrorClass;
use nix::libc;
use tokio::time::{sleep, timeout};

/// For one line. 1000 bytes on a serial line at 9600 baud take a second.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two attempts at a full console: waiting for its descriptor would need tokio's unsafe `AsyncFd`.
const AGAIN: Duration = Duration::from_millis(20);
/// The longest line, in bytes of text after the prefix: EC2 keeps 64 KB of console output in all, and a
/// service's message about a denied call, with the action that would allow it, has some 500.
const LINE_BYTES: usize = 1000;
/// Lines of the status: one for each of several errors.
const LINES: usize = 20;
/// The newest lines of the app, and bytes of each: 2 KB in all.
const APP_LINES: usize = 10;
const APP_LINE_BYTES: usize = 200;

/// The console that the final status is written to.
#[derive(Clone, Debug)]
pub struct Console {
    /// `/dev/console`, or a file that exists.
    pub path: PathBuf,
}

/// The line cannot be written to the console.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// It cannot be opened.
    #[error("cannot open {}", .0.display())]
    Open(PathBuf, #[source] io::Error),
    /// It cannot be written.
    #[error("cannot write to {}", .0.display())]
    Write(PathBuf, #[source] io::Error),
    /// It takes no bytes.
    #[error("write to {} timed out after {PATIENCE:?}", .0.display())]
    Stuck(PathBuf),
}

impl ConsoleError {
    /// What to do about it: nothing that berth could do again would help.
    pub fn class(&self) -> ErrorClass {
        ErrorClass::Broken
    }
}

job_error_from!(ConsoleError);

impl Console {
    /// Writes one line, `berth: …`, each further error below it, and the last of the app's lines, `berth: app: …`. Never blocks, and times out on a
    /// console that takes no bytes.
    pub async fn say(&self, words: &str, output: &[String]) -> Result<(), ConsoleError> {
        let file = open(&self.path).map_err(|error| ConsoleError::Open(self.path.clone(), error))?;
        let app = output.iter().skip(output.len().saturating_sub(APP_LINES));
        let app = app.map(|line| format!("berth: app: {}\n", one_line(line, APP_LINE_BYTES)));
        // Indented, so that no text from elsewhere can look like another final status.
        let status =
            words.lines().take(LINES).enumerate().map(|(at, line)| {
                format!("berth: {}{}\n", if at == 0 { "" } else { "  " }, one_line(line, LINE_BYTES))
            });
        // One line at a time, the most important first: a slow console may not take all of them.
        for line in status.chain(app) {
            match timeout(PATIENCE, write_all(&file, line.as_bytes())).await {
                Ok(written) => written.map_err(|error| ConsoleError::Write(self.path.clone(), error))?,
                Err(_) => return Err(ConsoleError::Stuck(self.path.clone())),
            }
        }
        Ok(())
    }
}

/// Not created: a regular file named /dev/console would hide that there is none.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

async fn write_all(mut file: &File, mut rest: &[u8]) -> io::Result<()> {
    while !rest.is_empty() {
        match file.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                sleep(AGAIN).await;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::FileTypeExt;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    #[tokio::test]
    async fn each_error_has_a_line_after_what_is_there() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "login: \n").unwrap();
        let console = Console { path: file.path().to_owned() };
        console.say("boot failed: image\nnot found \u{1b}[2J", &[]).await.unwrap();
        assert_eq!(
            fs::read_to_string(file.path()).unwrap(),
            "login: \nberth: boot failed: image\nberth:   not found \\u{1b}[2J\n"
        );
    }

    #[tokio::test]
    async fn the_newest_of_the_app_s_lines_follow_each_cut() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let console = Console { path: file.path().to_owned() };
        let output: Vec<String> = (0..40).map(|n| format!("line {n}\u{1b}[2J{}", "x".repeat(300))).collect();
        console.say("the boot failed", &output).await.unwrap();
        let written = fs::read_to_string(file.path()).unwrap();
        let lines: Vec<_> = written.lines().collect();
        assert_eq!((lines.len(), lines[0]), (1 + APP_LINES, "berth: the boot failed"));
        assert!(
            lines[1].starts_with("berth: app: line 30\\u{1b}[2Jxx") && lines[10].starts_with("berth: app: line 39")
        );
        assert!(lines[1..].iter().all(|line| line.len() <= 12 + APP_LINE_BYTES && line.ends_with('…')), "{written}");
    }

    #[tokio::test]
    async fn a_console_that_is_not_there_is_not_made() {
        let directory = tempfile::tempdir().unwrap();
        let console = Console { path: directory.path().join("console") };
        assert!(matches!(console.say("x", &[]).await, Err(ConsoleError::Open(..))));
        assert!(!console.path.exists());
    }

    #[tokio::test]
    async fn a_stuck_console_is_given_up_and_a_slow_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let console = Console { path: directory.path().join("console") };
        mkfifo(&console.path, Mode::from_bits_truncate(0o600)).unwrap();
        assert!(fs::metadata(&console.path).unwrap().file_type().is_fifo());
        let mut reader = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&console.path).unwrap();
        let mut filler = open(&console.path).unwrap();
        while filler.write(&[b'.'; 4096]).is_ok() {}
        while filler.write(b".").is_ok() {}
        assert!(matches!(console.say("x", &[]).await, Err(ConsoleError::Stuck(_))));

        let mut heard = vec![0; 1 << 20];
        let drained = reader.read(&mut heard).unwrap();
        assert!(drained > 0);
        console.say("x", &[]).await.unwrap();
    }

    #[test]
    fn a_line_is_cut_between_characters() {
        assert_eq!(one_line("short", 5), "short");
        assert_eq!(one_line("longer", 5), "lo…");
        assert_eq!(one_line("äöüäöü", 8), "äö…");
        assert_eq!(one_line("a\u{7}b\u{85}c\u{2028}d", 100), "a\\u{7}b\\u{85}c\\u{2028}d");
        for limit in 0..20 {
            assert!(one_line("ä\nö\u{1b}ü€𝄞x\ty", limit).len() <= limit.max(3), "{limit}");
        }
    }
}
