//! Each adapter alone: against a scripted server, and against somebody else's. See tests/README.md.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on panics"
)]

mod moto;
mod server;
mod services;

mod autoscaling;
mod aws;
mod dns;
mod ecr;
mod http;
mod imds;
mod parity;
mod secrets;
