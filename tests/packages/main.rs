//! The packages: installed, upgraded, removed, purged. Nothing starts by them, nothing that runs is stopped by an upgrade.
//!
//! Whether the agent's life goes on is for tests/boot, where systemd is real. Here it is a script that writes down what it was
//! asked, and but for one test berth is one too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod deb;
mod machine;
mod rpm;
mod tarball;
