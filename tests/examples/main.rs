//! The examples of packaging/, applied: by a real Terraform and by CloudFormation to moto, and what they then say there boots an instance
//! in the kit, under the very policy that its role has there.

#![cfg(test)]

use std::time::Duration;

mod boot;
mod cloudformation;
mod colours;
mod module;
mod moto;
mod policies;
mod readme;
mod releases;
mod terraform;

/// The shipped binary.
const BERTH: &str = env!("CARGO_BIN_EXE_berth");

/// For a boot to end: far longer than it takes, on a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(60);
