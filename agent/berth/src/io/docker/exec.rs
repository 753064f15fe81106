//! A command in a running container, for the probes.

use std::time::Duration;

use berth_core::message::container::RunningContainer;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use futures_util::StreamExt;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, getpgid};

use super::engine::{Engine, SHORT};
use super::error::EngineError;
use super::refusal;
use crate::shim;

impl Engine {
    /// Runs the command in the container, without a shell and with the secret environment if there is one, and returns its exit code. Its output is
    /// discarded: it may hold a secret. A command that takes longer than `timeout` is killed, which no engine does: otherwise every probe of an app
    /// that hangs would leave a process behind.
    pub async fn exec(
        &self,
        app: &RunningContainer,
        command: &[String],
        timeout: Duration,
    ) -> Result<i64, EngineError> {
        let fail = |error| refusal::of("run a command in the container".to_owned(), error, refusal::start);
        let docker = self.within(SHORT.saturating_add(timeout)).map_err(fail)?;
        let shim: &[&str] = if app.shim { &[shim::BINARY, shim::WORD] } else { &[] };
        let config = ExecConfig {
            cmd: Some(shim.iter().map(|word| (*word).to_owned()).chain(command.iter().cloned()).collect()),
            // Attached, because the end of the output marks the end of the command.
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..Default::default()
        };
        let created = tokio::time::timeout(timeout, docker.create_exec(&app.id.0, config)).await;
        let exec = created.map_err(|_| EngineError::TooLong(timeout))?.map_err(fail)?.id;
        let end = async {
            let started = docker.start_exec(&exec, None::<StartExecOptions>).await.map_err(fail)?;
            if let StartExecResults::Attached { mut output, .. } = started {
                while let Some(Ok(_)) = output.next().await {}
            }
            let inspected = docker.inspect_exec(&exec).await.map_err(fail)?;
            Ok(inspected.exit_code.unwrap_or_default())
        };
        if let Ok(code) = tokio::time::timeout(timeout, end).await {
            return code;
        }
        if let Ok(inspected) = docker.inspect_exec(&exec).await
            && inspected.running == Some(true)
            && let Some(pid) = inspected.pid.and_then(|pid| i32::try_from(pid).ok())
        {
            signal_inside(pid, &app.id.0, Signal::SIGKILL);
        }
        Err(EngineError::TooLong(timeout))
    }
}

/// Sends the signal to the process, and to its process group if it leads one, as a terminal does; returns whether it was sent. The process must
/// belong to the container, whose control group is named by the id: an engine in another process namespace returns numbers that mean something
/// else here.
pub(super) fn signal_inside(pid: i32, container: &str, signal: Signal) -> bool {
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    if pid <= 1 || container.is_empty() || !groups.contains(container) {
        return false;
    }
    let pid = Pid::from_raw(pid);
    match getpgid(Some(pid)) {
        Ok(group) if group == pid => killpg(pid, signal).is_ok(),
        _ => kill(pid, signal).is_ok(),
    }
}
