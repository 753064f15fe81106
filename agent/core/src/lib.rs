//! The core of berth: it decides, and does nothing else.
//!
//! Events come in, effects go out, and time is a value that is handed in. This crate reads no clock, file or socket: it depends on
//! no crate that could.

pub mod machine;

pub mod phase;

pub mod app;
pub mod connections;
pub mod hook;
pub mod metadata_guard;
pub mod release;
pub mod targets;
pub mod watcher;

pub mod outbox;
pub mod retry;
pub mod step;

pub mod view;

pub mod message;

pub mod clock;
