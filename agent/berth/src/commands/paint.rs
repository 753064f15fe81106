//! Colour on a terminal, unless `NO_COLOR` is set or the terminal has none.

use std::env;
use std::ffi::OsString;
use std::io::{IsTerminal, stderr, stdout};

/// Whether an output is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint(bool);

impl Paint {
    /// No colour.
    pub const NONE: Self = Self(false);

    /// For standard output.
    pub fn stdout() -> Self {
        Self(is_wanted(stdout().is_terminal(), |name| env::var_os(name)))
    }

    /// For standard error.
    pub fn stderr() -> Self {
        Self(is_wanted(stderr().is_terminal(), |name| env::var_os(name)))
    }

    /// For errors.
    pub fn red(self, text: &str) -> String {
        self.with("1;31", text)
    }

    /// For warnings.
    pub fn yellow(self, text: &str) -> String {
        self.with("1;33", text)
    }

    /// For checks that passed.
    pub fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    fn with(self, style: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// `NO_COLOR` counts if it is not empty (<https://no-color.org>).
fn is_wanted(is_terminal: bool, env: impl Fn(&str) -> Option<OsString>) -> bool {
    let forbidden = env("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_dumb = env("TERM").is_some_and(|term| term == "dumb");
    is_terminal && !forbidden && !is_dumb
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_for_a_terminal_that_has_it_unless_no_color_is_set() {
        for (is_terminal, variable, painted) in [
            (true, None, true),
            (false, None, false),
            (true, Some(("NO_COLOR", "1")), false),
            (true, Some(("NO_COLOR", "")), true),
            (true, Some(("TERM", "dumb")), false),
            (true, Some(("TERM", "xterm")), true),
        ] {
            let env = |name: &str| variable.filter(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
            assert_eq!(is_wanted(is_terminal, env), painted, "{is_terminal} {variable:?}");
        }
        assert_eq!(Paint(true).red("x"), "\x1b[1;31mx\x1b[0m");
        assert_eq!(Paint::NONE.red("x"), "x");
    }
}
