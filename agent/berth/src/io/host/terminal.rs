//! The terminal that a command was started from: its size, and its raw mode, which ends on every exit.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// The mode of standard input before it became raw. It is static, so that a panic hook can restore it.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Columns and rows of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Characters in a row.
    pub columns: u16,
    /// Rows.
    pub rows: u16,
}

/// The size of the terminal behind this descriptor; none if it is not a terminal, or reports no size.
pub fn size(of: impl AsFd) -> Option<Size> {
    let size = tcgetwinsize(of).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some(Size { columns: size.ws_col, rows: size.ws_row })
}

/// The size of the terminal on standard output, else of the one on standard input.
pub fn own_size() -> Option<Size> {
    size(io::stdout()).or_else(|| size(io::stdin()))
}

/// Standard input in raw mode: each key is passed on as it is pressed, Ctrl-C too, and none is shown. Dropping this restores the former mode.
#[derive(Debug)]
pub struct Raw(());

impl Raw {
    /// Begins it; none if standard input is not a terminal.
    pub fn begin() -> io::Result<Option<Self>> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(&stdin)?;
        let mut raw = before.clone();
        raw.make_raw();
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        let guard = Self(());
        tcsetattr(&stdin, OptionalActions::Now, &raw)?;
        Ok(Some(guard))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

/// Restores the former mode, if the terminal is raw.
pub fn restore() {
    if let Some(before) = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take() {
        // A terminal that is gone has no mode to restore.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
    }
}
