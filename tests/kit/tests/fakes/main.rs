//! The kit's own tests: the fakes as a client meets them, one world a test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what tests call is test code too"
)]

mod agent;
mod aws;
mod faults;
mod imds;
mod oracle;
mod registry;
mod target_groups;
