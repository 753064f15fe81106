//! The commands that are not the agent itself.

pub mod status;
pub mod wait;

/// The exit code of a command whose answer is no. The agent itself never ends with it.
pub const NO: u8 = 1;
