//! What the machine, the driver and the adapters exchange.

pub mod command;
pub mod effect;
pub mod event;
pub mod input;
pub mod job;

pub mod capacity;
pub mod container;
pub mod error;
pub mod failure_reason;
pub mod group;
pub mod identity;
pub mod outcome;
pub mod output;
pub mod partition;
pub mod probe_failure;
pub mod release;
pub mod snapshot;
pub mod target;
