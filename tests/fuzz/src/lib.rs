//! What berth reads from others, one function for each kind of input: bytes in, and it panics if a promise about them is
//! broken. `bins/` hands them to libFuzzer (`make fuzz`), `tests/corpora.rs` the inputs of `corpus/` in every `cargo test`.
//!
//! The agent is driven through its public functions. Where it asks somebody, the answer comes from a server of this process,
//! over loopback or a unix socket: the seams are addresses here, too.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a target reports what it found by a panic"
)]

pub use aws_errors::aws_errors;
pub use config::config;
pub use dns::dns;
pub use endpoint::endpoint;
pub use imds::imds;
pub use pull::pull;
pub use registry::registry;
pub use socket::socket;

mod aws_errors;
mod config;
mod dns;
mod endpoint;
mod imds;
mod pull;
mod registry;
mod socket;

mod answerer;
mod client;
mod script;

/// Part of values that must never be shown; what it is made of passes no filter of names and words.
const CANARY: &str = "hunter!2";

/// What the agent shows of an error is one line of bounded length.
#[track_caller]
fn check_shown(text: &str) {
    assert!(text.len() < 4096, "{} bytes are shown: {text:.200}", text.len());
    assert!(!text.contains(char::is_control), "more than a line is shown: {text:?}");
}
