//! `berth exec`: a command in the app's container, with the app's secret environment.
//!
//! It does what `docker exec` does, in the agent's container, and starts the command through the shim if the secrets are environment.
//! In two points it does more, as a person expects after Ctrl-C or a lost connection: without a terminal, a signal is forwarded to
//! the command; with one, the command gets SIGHUP when its terminal is gone.
//!
//! ```text
//!   stdin ─▶ thread ─▶ connection of the engine ─▶ command ─▶ connection ─▶ thread ─▶ stdout, stderr
//!                      signals ─▶ process group of the command
//!                      SIGWINCH ─▶ size of its terminal
//! ```

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use berth_core::message::container::RunningContainer;
use berth_core::message::error::ErrorClass;
use berth_core::message::outcome::Outcome;
use nix::libc;
use nix::sys::signal::Signal;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

use crate::cli::{ExecArgs, Global};
use crate::io::docker::exec_attached::{Attached, CommandState, ExecCommand};
use crate::io::docker::exec_output::{Channel, NoFrame};
use crate::io::docker::{Engine, EngineError, is_no_such_user};
use crate::io::host::terminal::{self, Raw};
use crate::io::listen::socket_client::ClientError;

use streams::OutputEnd;

mod container;
mod streams;

/// berth or the engine failed, as in `docker run`.
const FAILED: u8 = 125;
/// The command cannot be executed, as in `docker run`.
const CANNOT_EXECUTE: u8 = 126;
/// A process that a signal killed, as in shells: this plus the signal's number.
const SIGNALLED: u8 = 128;
/// Between two requests for the state of a command that has closed its output.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Requests for the exit code of a command that has ended.
const ATTEMPTS: usize = 50;

/// Why the command was not started, or why its exit code is not known.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// `-i -t` without a terminal.
    #[error("standard input is not a terminal: leave out -t, or start it from a terminal")]
    NoTerminal,
    /// The agent does not answer.
    #[error(transparent)]
    Agent(ClientError),
    /// The engine does not answer, or refuses.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The agent has no container.
    #[error("the app has no container: {0}")]
    NoContainer(String),
    /// The container does not run.
    #[error("the container {name} is not running: {state}")]
    NotRunning {
        /// Its name.
        name: String,
        /// The phase, and why.
        state: String,
    },
    /// The engine has no such container.
    #[error("the engine has no container {name}: {state}; set DOCKER_HOST if the agent uses another engine")]
    NoSuchContainer {
        /// Its name.
        name: String,
        /// The phase, and why.
        state: String,
    },
    /// No agent, and no container either.
    #[error("{0}, and the engine has no running container of this instance")]
    NoneRunning(String),
    /// No agent, and more than one container.
    #[error("{no_agent}, and the engine has several running containers: {names}; choose one with `docker exec`")]
    SeveralRunning {
        /// That there is none.
        no_agent: String,
        /// Their names.
        names: String,
    },
    /// The signals cannot be caught, or the terminal cannot be set.
    #[error("cannot {0}")]
    Setup(&'static str, #[source] io::Error),
    /// The connection ended too early.
    #[error("the connection to the engine was lost; the command may still be running")]
    ConnectionLost(#[source] Option<io::Error>),
    /// The output is in no known form.
    #[error(transparent)]
    InvalidOutput(NoFrame),
    /// This process's output cannot be written.
    #[error("cannot write to {0}")]
    Write(&'static str, #[source] io::Error),
    /// The engine does not know how it ended.
    #[error("the engine returned no exit code of the command")]
    NoExitCode,
}

impl ExecError {
    /// The exit code. The command may end with the same; only berth prints a sentence on standard error.
    pub fn code(&self) -> u8 {
        match self {
            Self::NoTerminal => Outcome::Usage.code(),
            Self::Engine(error) if error.class() == ErrorClass::Misconfigured => Outcome::Usage.code(),
            Self::Engine(error) if error.class() == ErrorClass::Denied => super::NO,
            Self::Engine(error) if is_no_such_user(error) => CANNOT_EXECUTE,
            Self::Agent(_)
            | Self::NoContainer(_)
            | Self::NotRunning { .. }
            | Self::NoSuchContainer { .. }
            | Self::NoneRunning(_)
            | Self::SeveralRunning { .. } => super::NO,
            Self::Engine(_)
            | Self::Setup(..)
            | Self::ConnectionLost(_)
            | Self::InvalidOutput(_)
            | Self::Write(..)
            | Self::NoExitCode => FAILED,
        }
    }
}

/// The whole command.
pub async fn main(global: &Global, args: &ExecArgs) -> ExitCode {
    match run(global, args).await {
        Ok(code) => code.into(),
        Err(error) => super::failed(error.code(), &super::plain(&super::chain(&error))),
    }
}

/// Runs the command to its end; its exit code.
async fn run(global: &Global, args: &ExecArgs) -> Result<u8, ExecError> {
    if args.terminal && args.interactive && !io::stdin().is_terminal() {
        return Err(ExecError::NoTerminal);
    }
    let engine = Engine::new(std::env::var("DOCKER_HOST").ok().as_deref())?;
    let app = container::find(global, &engine).await?;
    let command = ExecCommand {
        words: args.command.clone(),
        user: args.user.clone(),
        input: args.interactive,
        terminal: args.terminal,
        size: terminal::own_size().filter(|_| args.terminal),
    };
    // After this a signal is for the command.
    let mut signals = CommandSignals::new().map_err(|error| ExecError::Setup("catch signals", error))?;
    let attached = engine.attach(&app, &command).await?;
    let _raw = if args.terminal && args.interactive { raw()? } else { None };
    let running = RunningCommand { engine, app, id: attached.id.clone(), terminal: args.terminal };
    running.follow(attached, args.interactive, &mut signals).await
}

/// Sends every key to the command. A panic restores the terminal before it prints.
fn raw() -> Result<Option<Raw>, ExecError> {
    let raw = Raw::begin().map_err(|error| ExecError::Setup("set the terminal to raw mode", error))?;
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        terminal::restore();
        before(panic);
    }));
    Ok(raw)
}

/// A running command.
struct RunningCommand {
    engine: Engine,
    app: RunningContainer,
    id: String,
    terminal: bool,
}

/// Why the output is followed no more.
enum Followed {
    Output(OutputEnd),
    Signal(Signal),
}

impl RunningCommand {
    async fn follow(
        self,
        attached: Attached,
        interactive: bool,
        signals: &mut CommandSignals,
    ) -> Result<u8, ExecError> {
        let Attached { begun, output, input, .. } = attached;
        // A drop would close this direction of the connection, and some engines then close both.
        let kept = if interactive {
            tokio::spawn(streams::send_input(input));
            None
        } else {
            Some(input)
        };
        if self.terminal {
            // Engines before API 1.42 did not take the size with the command.
            self.resize().await;
        }
        let output = streams::receive_output(&begun, output, self.terminal);
        let followed = self.until_output_ends(output, signals).await;
        drop(kept);
        match followed {
            Followed::Signal(signal) => Ok(died_by(signal)),
            Followed::Output(OutputEnd::Complete) => self.code(signals).await,
            Followed::Output(OutputEnd::Truncated) => Err(ExecError::ConnectionLost(None)),
            Followed::Output(OutputEnd::ConnectionLost(error)) => Err(ExecError::ConnectionLost(Some(error))),
            Followed::Output(OutputEnd::InvalidFrame(invalid)) => Err(ExecError::InvalidOutput(invalid)),
            Followed::Output(OutputEnd::WriteFailed(channel, error)) => {
                // As the kernel does if the command itself writes there.
                self.signal_once_started(Signal::SIGPIPE, signals).await;
                if error.kind() == io::ErrorKind::BrokenPipe {
                    return Ok(died_by(Signal::SIGPIPE));
                }
                let stream = if channel == Channel::Error { "standard error" } else { "standard output" };
                Err(ExecError::Write(stream, error))
            }
        }
    }

    async fn until_output_ends(
        &self,
        output: impl Future<Output = OutputEnd>,
        signals: &mut CommandSignals,
    ) -> Followed {
        let mut output = std::pin::pin!(output);
        let mut forwarded = false;
        loop {
            let signal = tokio::select! {
                end = &mut output => return Followed::Output(end),
                signal = signals.next() => signal,
            };
            if let Some(signal) = signal {
                if self.obey(signal, forwarded, signals).await {
                    return Followed::Signal(signal);
                }
                forwarded = true;
            } else if self.terminal {
                self.resize().await;
            }
        }
    }

    /// Forwards the signal; whether this process ends.
    async fn obey(&self, signal: Signal, again: bool, signals: &mut CommandSignals) -> bool {
        // With a terminal no key becomes a signal of this process, so the signal is for this process, and the command loses its terminal.
        let sent_signal = if self.terminal { Signal::SIGHUP } else { signal };
        let sent = self.signal_once_started(sent_signal, signals).await;
        if !sent {
            terminal::restore();
            super::note(&format!(
                "{sent_signal} could not be sent to the command, which may still be running in the container"
            ));
        }
        self.terminal || again || !sent
    }

    /// Sends the command a signal; whether it was sent. The engine may send output before it knows the command's process.
    async fn signal_once_started(&self, signal: Signal, signals: &mut CommandSignals) -> bool {
        for _ in 0..ATTEMPTS {
            let state = self.engine.command_state(&self.id).await.unwrap_or_default();
            if state.pid.is_some() || state.code.is_some() {
                return self.engine.signal_command(&self.app, &self.id, signal).await;
            }
            // A second signal ends the wait.
            if let Ok(Some(_)) = tokio::time::timeout(POLL_INTERVAL, signals.next()).await {
                return false;
            }
        }
        false
    }

    async fn resize(&self) {
        if let Some(size) = terminal::own_size() {
            // A command that has just ended has no terminal.
            let _ = self.engine.resize(&self.id, size).await;
        }
    }

    /// The exit code, once the command has ended: one that has closed its output may still run.
    async fn code(&self, signals: &mut CommandSignals) -> Result<u8, ExecError> {
        let mut attempts = 0;
        let mut forwarded = false;
        loop {
            match self.engine.command_state(&self.id).await? {
                CommandState { running: false, code: Some(code), .. } => {
                    return u8::try_from(code).map_err(|_| ExecError::NoExitCode);
                }
                CommandState { running: false, .. } if attempts == ATTEMPTS => return Err(ExecError::NoExitCode),
                CommandState { running: false, .. } => attempts += 1,
                CommandState { .. } => {}
            }
            if let Ok(Some(signal)) = tokio::time::timeout(POLL_INTERVAL, signals.next()).await {
                if self.obey(signal, forwarded, signals).await {
                    return Ok(died_by(signal));
                }
                forwarded = true;
            }
        }
    }
}

fn died_by(signal: Signal) -> u8 {
    u8::try_from(signal as libc::c_int).map_or(FAILED, |number| SIGNALLED.saturating_add(number))
}

/// The signals for the command: those that end a process, and a new size of the terminal.
struct CommandSignals {
    interrupt: Stream,
    quit: Stream,
    hangup: Stream,
    terminate: Stream,
    window: Stream,
}

impl CommandSignals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            window: signal(SignalKind::window_change())?,
        })
    }

    /// The next signal, none for a new size. Cancel-safe.
    async fn next(&mut self) -> Option<Signal> {
        tokio::select! {
            _ = self.interrupt.recv() => Some(Signal::SIGINT),
            _ = self.quit.recv() => Some(Signal::SIGQUIT),
            _ = self.hangup.recv() => Some(Signal::SIGHUP),
            _ = self.terminate.recv() => Some(Signal::SIGTERM),
            _ = self.window.recv() => None,
        }
    }
}
