//! Each adapter against a real server of its protocol, as far as possible one that is not ours. See tests/README.md.

#![cfg(test)]

mod services;

mod kit;
mod moto;
mod server;
mod whole;

mod addresses;
mod autoscaling;
mod aws;
mod board;
mod client_hello;
mod dns;
mod doctor;
mod ecr;
mod endpoints;
mod http;
mod imds;
mod load_balancing;
mod membership;
mod metrics;
mod oracle;
mod parity;
mod paths;
mod proxy;
mod proxy_protocol;
mod refusals;
mod release;
mod releases;
mod resident;
mod s3;
mod secrets;
mod snapshot;
mod systemd;
mod target_groups;

mod engine;
