//! From keys with values to a config, or every error at once.

mod conflicts;
mod cross_checks;
pub(crate) mod hints;
pub(crate) mod isolation;
pub(crate) mod mounts;
pub(crate) mod network;
mod pitfalls;
mod release;
mod resolve;
pub(crate) mod shown;
mod target_groups;
pub(crate) mod warnings;
