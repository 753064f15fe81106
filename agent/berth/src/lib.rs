//! berth boots, serves and drains one container on a plain EC2 instance.
//!
//! A pure machine decides (`berth-core`), one loop drives it, adapters do the work: docs/architecture.md is the map.

pub mod cli;
pub mod commands;
pub mod logging;

pub mod run;

pub mod driver;

pub mod io;

pub mod core_dump;
pub mod shim;
