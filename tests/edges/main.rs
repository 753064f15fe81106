//! Each adapter alone: against a scripted server, and against somebody else's. See tests/README.md.

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
