//! berth boots, serves and drains one container on a plain EC2 instance.
//!
//! A pure machine decides, one loop drives it, the edge does the work: docs/architecture.md is the map. The order below is
//! the order to read in, from the top floor down; each floor uses only floors below it.

pub mod exit;

pub mod commands;

pub mod effect;
pub mod event;
pub mod fault;
pub mod identity;
pub mod view;

pub mod config;

pub mod clock;
