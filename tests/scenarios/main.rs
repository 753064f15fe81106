//! Scenarios: the shipped binary in a world on loopback, with a real Docker Engine. Few, each one that a user could observe.

#![cfg(test)]

use std::time::Duration;

mod steps;

mod after;
mod bake;
mod boot;
mod canaries;
mod commands;
mod config;
mod crash;
mod credentials;
mod doctor;
mod doctor_releases;
mod doctor_targets;
mod drain;
mod engine;
mod exec;
mod faults;
mod forms;
mod handover;
mod hook;
mod hostile;
mod ipv6;
mod last_life;
mod log;
mod long;
mod memory;
mod metadata;
mod oracle;
mod policy;
mod proxy;
mod real_images;
mod release;
mod restart;
mod secrecy;
mod socket;
mod targets;
mod templates;
mod unprobed;

/// The shipped binary.
const BERTH: &str = env!("CARGO_BIN_EXE_berth");

/// For a boot to end: far longer than it takes, on a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(60);
