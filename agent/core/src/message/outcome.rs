//! The exit codes, which are an interface: docs/exit-codes.md, berth.service and one test agree with this table.

use std::process::ExitCode;

/// How a run of `berth` ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Outcome {
    /// Drained, or done.
    Done = 0,
    /// The usage or the config is at error.
    Usage = 2,
    /// The boot failed.
    BootFailed = 3,
    /// The app cannot be kept running.
    AppFailed = 4,
    /// The drain was cut short by its deadline.
    DrainCut = 5,
    /// A bug in berth.
    Bug = 70,
}

impl Outcome {
    /// Every outcome, for the table in the docs and its test.
    pub const ALL: [Self; 6] = [Self::Done, Self::Usage, Self::BootFailed, Self::AppFailed, Self::DrainCut, Self::Bug];

    /// The process's exit code.
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<Outcome> for u8 {
    fn from(outcome: Outcome) -> Self {
        outcome.code()
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(outcome.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_its_exit_code() {
        assert_eq!(Outcome::ALL.map(u8::from), [0, 2, 3, 4, 5, 70]);
        // It can only be compared by how it is printed.
        let cut = ExitCode::from(Outcome::DrainCut);
        assert_eq!(format!("{cut:?}"), format!("{:?}", ExitCode::from(5)));
    }
}
