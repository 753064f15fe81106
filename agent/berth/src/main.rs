//! The order of the process, and its exit code.

use std::alloc::System;
use std::process::ExitCode;

use berth::cli::{Cli, CommandArgs};
use berth::commands::{bake, check, doctor, drain, exec, handover, policy, release, status, timeline, wait};
use berth::io::host::log;
use berth::{commands, core_dump, logging, run, shim};
use berth_core::message::outcome::Outcome;
use clap::{CommandFactory, Parser};
use zeroizing_alloc::ZeroAlloc;

/// Wipes every buffer when it is freed or moved, those of the libraries too: the values of secrets go through many of them
/// (docs/decisions/0007-wiped-memory.md).
#[global_allocator]
static MEMORY: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    // First of all: in a container this is the shim and nothing else.
    if shim::is_shim(std::env::args_os()) {
        return shim::run(std::env::args_os().skip(2));
    }
    let forbidden = core_dump::forbid();
    // Not the hook that is there: it may look for a backtrace, and what is shipped has no tables to unwind by (build.rs).
    std::panic::set_hook(Box::new(|panic| {
        commands::note(&format!("this is a bug: {panic}"));
        std::process::exit(Outcome::Bug.code().into());
    }));
    let (global, command) = match Cli::try_parse() {
        Ok(cli) => cli.into_parts(),
        Err(shown) if !shown.use_stderr() => {
            commands::say(&shown.to_string());
            return commands::ended(ExitCode::SUCCESS);
        }
        Err(wrong) => wrong.exit(),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return commands::failed(Outcome::Bug, &format!("cannot start: {error}")),
    };
    commands::ended(match command {
        CommandArgs::Run(run) => {
            logging::init(run.log_format);
            if let Err(error) = forbidden {
                tracing::warn!(%error, "a crash of this process may write a core dump");
            }
            logging::log_panics();
            let outcome = runtime.block_on(run::run(&global, &run));
            // What still runs is cancelled; the engine and AWS do not need us to hear their answers.
            runtime.shutdown_background();
            log::flush(log::LAST);
            outcome.into()
        }
        CommandArgs::Check(args) => check::main(&global, &args),
        CommandArgs::Status(args) => runtime.block_on(status::main(&global, &args)),
        CommandArgs::Timeline(args) => runtime.block_on(timeline::main(&global, &args)),
        CommandArgs::Drain(args) => runtime.block_on(drain::main(&global, &args)),
        CommandArgs::Exec(args) => runtime.block_on(exec::main(&global, &args)),
        CommandArgs::Handover(_) => runtime.block_on(handover::main(&global)),
        CommandArgs::Wait(args) => runtime.block_on(wait::main(&global, &args)),
        CommandArgs::Bake(args) => runtime.block_on(bake::main(&global, &args)),
        CommandArgs::Doctor(args) => runtime.block_on(doctor::main(&global, &args)),
        CommandArgs::Policy(args) => runtime.block_on(policy::main(&global, &args)),
        CommandArgs::Release(args) => runtime.block_on(release::main(&args)),
        CommandArgs::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "berth", &mut script);
            commands::say(&String::from_utf8_lossy(&script));
            ExitCode::SUCCESS
        }
    })
}
