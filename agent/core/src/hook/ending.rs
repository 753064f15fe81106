//! How it ends with a hook.

use std::fmt;

use crate::message::group::HookResult;

/// Why nothing more is done about a hook.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Ending {
    Completed(HookResult),
    OutsideAnyGroup,
    NoHook,
    NothingToComplete(String),
    Expired(String),
    /// A call was refused for good.
    Refused {
        /// What, and what would allow it.
        reason: String,
        /// Whether the group said that the instance waits for the hook.
        waits: bool,
    },
    /// Its time is over, or nobody answered.
    GivenUp(String),
    /// The instance leaves, and another hook is completed.
    Left,
}

impl Ending {
    /// Whether the hook was there, as far as known, and was not completed.
    pub(super) fn is_failure(&self) -> bool {
        matches!(self, Self::Expired(_) | Self::Refused { .. } | Self::GivenUp(_))
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Completed(result) => write!(f, "completed {}", result.word()),
            Self::OutsideAnyGroup => f.write_str("in no group"),
            Self::NoHook => f.write_str("no such hook"),
            Self::NothingToComplete(state) => write!(f, "nothing to complete, the instance is {state}"),
            Self::Expired(state) => write!(f, "expired, the instance is {state}"),
            Self::Refused { reason, .. } => write!(f, "refused: {reason}"),
            Self::GivenUp(why) => write!(f, "given up: {why}"),
            Self::Left => f.write_str("given up: the instance leaves"),
        }
    }
}
