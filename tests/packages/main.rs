//! The packages: installed, upgraded, removed, purged. Nothing starts by them, nothing that runs is stopped by an upgrade.
//!
//! Whether the agent's life goes on is for tests/boot, where systemd is real. Here it is a script that writes down what it was
//! asked, and but for one test berth is one too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

/// Makes a test of each of these functions on every machine.
macro_rules! on_each_machine {
    ($($test:ident)*) => {
        mod bookworm {
            $(#[test] fn $test() { super::$test(crate::machine::Suite::Bookworm); })*
        }
        mod trixie {
            $(#[test] fn $test() { super::$test(crate::machine::Suite::Trixie); })*
        }
    };
}

mod deb;
mod machine;
mod rpm;
mod tarball;
