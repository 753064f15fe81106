//! A command in a running container whose streams are the caller's, for `berth exec`.
//!
//! The engine responds to the start of the command with `101 Switching Protocols`. After that the connection carries the command's streams: what
//! is sent is its standard input, and what is received is its output (exec_output.rs). Half-closing the connection ends the input. The connection
//! is opened here and not by bollard, whose reader takes bytes of a terminal for a frame where they look like one.

use berth_core::message::container::{ContainerId, FoundContainer, RunningContainer};
use bollard::errors::Error as Bollard;
use bollard::models::ExecConfig;
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptions, ResizeExecOptions};
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE};
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use super::create::INSTANCE;
use super::engine::{Engine, SHORT};
use super::error::EngineError;
use super::exec::signal_inside;
use super::refusal;
use super::running::found;
use crate::io::host::terminal::Size;
use crate::io::http::one_shot;
use crate::shim;

/// Bytes of a refusal, which is a sentence in JSON.
const REFUSAL_BYTES: usize = 64 * 1024;
/// A sequence that is never typed. Detaching is of no use here, since nothing can attach to the command again. Docker's own sequence begins with
/// Ctrl-P, and so keeps that key from the command until the next one is pressed.
const NO_DETACH_KEYS: &str = "ctrl-^,ctrl-^,ctrl-^,ctrl-^,ctrl-^,ctrl-^,ctrl-^,ctrl-^";

/// What to run, and with which streams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecCommand {
    /// The program and its arguments. No shell runs them.
    pub words: Vec<String>,
    /// The user, as in `docker exec --user`; none is the container's user.
    pub user: Option<String>,
    /// Whether it has a standard input.
    pub input: bool,
    /// Whether it has a terminal.
    pub terminal: bool,
    /// The size of that terminal, if it is known.
    pub size: Option<Size>,
}

/// A command that was started.
#[derive(Debug)]
pub struct Attached {
    /// Its id in the engine.
    pub id: String,
    /// Bytes after the engine's response: the beginning of the output.
    pub begun: Bytes,
    /// Its output.
    pub output: OwnedReadHalf,
    /// Its standard input. Dropping it is the end of the input.
    pub input: OwnedWriteHalf,
}

/// The state of a command in the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommandState {
    /// Whether it runs.
    pub running: bool,
    /// Its exit code, once it has ended.
    pub code: Option<i64>,
    /// Its process id in the engine's process namespace, once it has started.
    pub pid: Option<i32>,
}

impl Engine {
    /// The container with this id, none if it is gone.
    pub async fn container(&self, id: &ContainerId) -> Result<Option<FoundContainer>, EngineError> {
        let fail = |error| refusal::of(format!("inspect the container {}", short(&id.0)), error, refusal::plain);
        let docker = self.within(SHORT).map_err(fail)?;
        match docker.inspect_container(&id.0, None::<InspectContainerOptions>).await {
            Ok(inspected) => Ok(Some(found(inspected))),
            Err(error) if refusal::is_not_found(&error) => Ok(None),
            Err(error) => Err(fail(error)),
        }
    }

    /// The running containers of berth, only those of this instance if its id is known.
    pub async fn apps(&self, instance_id: Option<&str>) -> Result<Vec<FoundContainer>, EngineError> {
        let fail = |error| refusal::of("list the containers".to_owned(), error, refusal::plain);
        let label = instance_id.map_or_else(|| INSTANCE.to_owned(), |id| format!("{INSTANCE}={id}"));
        let filters = [("label".to_owned(), vec![label])].into();
        let options = ListContainersOptions { filters: Some(filters), ..Default::default() };
        let listed = self.within(SHORT).map_err(fail)?.list_containers(Some(options)).await.map_err(fail)?;
        let mut apps = Vec::new();
        for id in listed.into_iter().filter_map(|summary| summary.id) {
            apps.extend(self.container(&ContainerId(id)).await?.filter(|found| found.running.is_some()));
        }
        Ok(apps)
    }

    /// Starts the command in the container, with the secret environment if it has one.
    pub async fn attach(&self, app: &RunningContainer, command: &ExecCommand) -> Result<Attached, EngineError> {
        let doing = || format!("run a command in the container {}", short(&app.id.0));
        let fail = |error| refusal::of(doing(), error, refusal::start);
        let console_size = command.size.map(|size| vec![usize::from(size.rows), usize::from(size.columns)]);
        // Through the shim, so that the engine's description of this command holds no value.
        let shim: &[&str] = if app.shim { &[shim::BINARY, shim::WORD] } else { &[] };
        let config = ExecConfig {
            cmd: Some(shim.iter().map(|word| (*word).to_owned()).chain(command.words.iter().cloned()).collect()),
            user: command.user.clone(),
            attach_stdin: Some(command.input),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(command.terminal),
            // Engines before API 1.42 ignore it.
            console_size: console_size.clone(),
            detach_keys: Some(NO_DETACH_KEYS.to_owned()),
            ..Default::default()
        };
        let id = self.within(SHORT).map_err(fail)?.create_exec(&app.id.0, config).await.map_err(fail)?.id;
        let start = json!({"Detach": false, "Tty": command.terminal, "ConsoleSize": console_size});
        let opened = timeout(SHORT, self.open(&format!("/exec/{id}/start"), &start)).await;
        let (begun, stream) = opened.unwrap_or(Err(Bollard::RequestTimeoutError)).map_err(fail)?;
        let (output, input) = stream.into_split();
        Ok(Attached { id, begun, output, input })
    }

    /// Sends the request on a connection of its own, which is the caller's once the engine has switched protocols.
    async fn open(&self, path: &str, body: &Value) -> Result<(Bytes, UnixStream), Bollard> {
        let stream = UnixStream::connect(&self.socket).await?;
        let request = Request::post(path)
            .header(HOST, "docker")
            .header(CONTENT_TYPE, "application/json")
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "tcp")
            .body(Full::new(Bytes::from(body.to_string())))?;
        let response = one_shot::send(TokioIo::new(stream), request).await?;
        let status = response.status();
        if status != StatusCode::SWITCHING_PROTOCOLS {
            let body = one_shot::read(response.into_body(), REFUSAL_BYTES).await.unwrap_or_default();
            return Err(refusal::response(status, &body));
        }
        let upgraded = hyper::upgrade::on(response).await?;
        match upgraded.downcast::<TokioIo<UnixStream>>() {
            Ok(parts) => Ok((parts.read_buf, parts.io.into_inner())),
            // It is the stream that was passed to hyper above.
            Err(_) => Err(std::io::Error::other("the connection is of another kind").into()),
        }
    }

    /// Sets the size of the command's terminal.
    pub async fn resize(&self, id: &str, size: Size) -> Result<(), EngineError> {
        let fail = |error| refusal::of("resize the command's terminal".to_owned(), error, refusal::plain);
        let options = ResizeExecOptions { h: size.rows.into(), w: size.columns.into() };
        self.within(SHORT).map_err(fail)?.resize_exec(id, options).await.map_err(fail)
    }

    /// Whether the command runs, and how it ended.
    pub async fn command_state(&self, id: &str) -> Result<CommandState, EngineError> {
        let fail = |error| refusal::of("inspect the command".to_owned(), error, refusal::plain);
        let inspected = self.within(SHORT).map_err(fail)?.inspect_exec(id).await.map_err(fail)?;
        Ok(CommandState {
            running: inspected.running == Some(true),
            code: inspected.exit_code,
            pid: inspected.pid.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0),
        })
    }

    /// Sends the command a signal; returns whether it was sent. The engine has no call for it, but the process is one of this host.
    pub async fn signal_command(&self, app: &RunningContainer, id: &str, signal: Signal) -> bool {
        match self.command_state(id).await {
            Ok(CommandState { running: true, pid: Some(pid), .. }) => signal_inside(pid, &app.id.0, signal),
            _ => false,
        }
    }
}

/// As `docker ps` shows an id.
fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}
