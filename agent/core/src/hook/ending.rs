//! The ends of a hook.

use crate::message::group::HookResult;

/// Why nothing more is done about a hook.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum HookEnding {
    Completed(HookResult),
    OutsideAnyGroup,
    NoHook,
    /// The group has several, and the config names none.
    NotNamed,
    NothingToComplete(String),
    Expired(String),
    /// A call was refused for good.
    Refused {
        /// What, and what would allow it.
        reason: String,
        /// Whether the group reported that the instance waits for the hook.
        waits: bool,
    },
    /// It timed out, or no call was answered.
    GivenUp(String),
    /// The instance leaves, and another hook is completed.
    Left,
}

impl HookEnding {
    /// Whether the hook was there, as far as known, and was not completed.
    pub(super) fn is_failure(&self) -> bool {
        matches!(self, Self::Expired(_) | Self::Refused { .. } | Self::GivenUp(_))
    }
}
