//! The test kit with a prompt: an instance in a world on loopback, without an AWS account.
//!
//! `sandbox` reads commands (prompt.rs), `sandbox demo` shows one boot from the start to a clean stop (demo.rs). Both show
//! a running agent live (follow.rs). However it ends, the world is dropped, and takes its agents, containers and images
//! with it.

use std::process::ExitCode;

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use screen::Screen;

mod demo;
mod prompt;

mod command;
mod stage;

mod events;
mod follow;
mod screen;

const USAGE: &str = "usage: sandbox         a prompt; `help` lists its commands
       sandbox demo    one boot, shown and checked; DEMO_HOLD=60 keeps it serving for that many seconds";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let screen = Screen::new();
    let demo = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => false,
        ["demo"] => true,
        ["-h" | "--help"] => {
            screen.line(USAGE);
            return ExitCode::SUCCESS;
        }
        _ => return failed(2, USAGE),
    };
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(1, &format!("cannot start: {error}")),
    };
    runtime.block_on(async {
        let work = async { if demo { demo::run(&screen).await } else { prompt::run(&screen).await } };
        tokio::select! {
            biased;
            code = interrupted(&screen) => ExitCode::from(code),
            done = work => match done {
                Ok(()) => ExitCode::SUCCESS,
                Err(sentence) => failed(1, &format!("sandbox: {sentence}")),
            },
        }
    })
}

fn failed(code: u8, sentence: &str) -> ExitCode {
    use std::io::Write as _;
    // If stderr is closed, nobody reads it.
    let _ = writeln!(std::io::stderr(), "{sentence}");
    ExitCode::from(code)
}

/// Waits for a signal that ends the sandbox; the exit code that a shell gives for it.
async fn interrupted(screen: &Screen) -> u8 {
    let wait = async |kind| match signal(kind) {
        Ok(mut signal) => signal.recv().await,
        // Then its default action ends the process.
        Err(_) => std::future::pending().await,
    };
    let number = tokio::select! {
        _ = wait(SignalKind::interrupt()) => 2,
        _ = wait(SignalKind::terminate()) => 15,
        _ = wait(SignalKind::hangup()) => 1,
    };
    screen.footer("");
    screen.line("\ninterrupted: removing the agent, its container and its image");
    128 + number
}
