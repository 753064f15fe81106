//! What `berth` does besides running the agent: one file a command.

pub mod check;
