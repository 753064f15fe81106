//! The engine's adapter against a real Docker Engine and Debian's own registry.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "test support: whatever is not as it must be fails the test"
)]

mod bench;
mod registry;

mod containers;
mod keys;
mod probes;
mod pulls;
mod secrets;
