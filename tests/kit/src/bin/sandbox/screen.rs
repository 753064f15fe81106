//! What is written to stdout: lines, and on a terminal one more at the bottom that changes in place.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

/// Stdout. Clones are the same.
#[derive(Clone)]
pub(crate) struct Screen {
    live: bool,
    bottom: Arc<Mutex<Bottom>>,
}

#[derive(Default)]
struct Bottom {
    text: String,
    drawn: bool,
}

impl Screen {
    pub(crate) fn new() -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self { live: io::stdout().is_terminal() && !dumb, bottom: Arc::default() }
    }

    /// Whether the bottom line is shown at all.
    pub(crate) fn is_live(&self) -> bool {
        self.live
    }

    /// Writes one or more lines above the bottom one.
    pub(crate) fn line(&self, text: &str) {
        self.write(|_| format!("{}\n", text.trim_end_matches('\n')));
    }

    /// Replaces the bottom line; an empty one goes away. Nothing is shown where it cannot change in place.
    pub(crate) fn footer(&self, text: &str) {
        self.write(|bottom| {
            bottom.text = text.to_owned();
            String::new()
        });
    }

    /// The person at the terminal ended the bottom line with Enter.
    pub(crate) fn entered(&self) {
        self.bottom.lock().unwrap_or_else(PoisonError::into_inner).drawn = false;
    }

    fn write(&self, change: impl FnOnce(&mut Bottom) -> String) {
        let mut bottom = self.bottom.lock().unwrap_or_else(PoisonError::into_inner);
        let erase = if bottom.drawn { "\r\x1b[2K" } else { "" };
        let lines = change(&mut bottom);
        bottom.drawn = self.live && !bottom.text.is_empty();
        let footer = if bottom.drawn { bottom.text.as_str() } else { "" };
        let mut stdout = io::stdout().lock();
        // The reader may be gone; the cleanup goes on anyway.
        let _ = stdout.write_all(format!("{erase}{lines}{footer}").as_bytes()).and_then(|()| stdout.flush());
    }
}
