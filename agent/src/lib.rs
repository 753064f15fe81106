//! berth boots, serves and drains one container on a plain EC2 instance.
//!
//! A pure machine decides, one loop drives it, the edge does the work: docs/architecture.md is the map. The order below is
//! the order to read in, from the top floor down; each floor uses only floors below it.

pub mod cli;
pub mod commands;
pub mod exit;
pub mod logging;

pub mod run;

pub mod driver;

pub mod machine;

pub mod boot;
pub mod drain;
pub mod failing;
pub mod hold;
pub mod serve;
pub mod warm;

pub mod edge;

pub mod app;
pub mod desk;
pub mod effect;
pub mod event;
pub mod failure_reason;
pub mod fault;
pub mod histogram;
pub mod hook;
pub mod identity;
pub mod last_life;
pub mod metadata_guard;
pub mod metrics;
pub mod notice;
pub mod output;
pub mod partition;
pub mod probe_failure;
pub mod published;
pub mod retry;
pub mod step;
pub mod view;

pub mod config;

pub mod clock;

pub mod core_dump;
pub mod shim;
