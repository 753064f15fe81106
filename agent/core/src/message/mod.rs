//! What the machine, the driver and the adapters say to each other.

pub mod effect;
pub mod error;
pub mod event;
pub mod failure_reason;
pub mod identity;
pub mod outcome;
pub mod output;
pub mod partition;
pub mod probe_failure;
