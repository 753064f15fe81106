//! The order of the process, and its exit code.

use std::process::ExitCode;

use berth::shim;

fn main() -> ExitCode {
    if shim::is_shim(std::env::args_os()) {
        return shim::run(std::env::args_os().skip(2));
    }
    ExitCode::SUCCESS
}
