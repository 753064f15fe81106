//! What is done with a container, in order: find, create, start, watch, stop, remove.

use std::time::Duration;

use berth_config::Port;
use berth_core::message::container::Exit;
use berth_core::message::container::{ContainerId, Creation, FoundContainer, RunningContainer};
use berth_core::message::error::ErrorClass;
use bollard::errors::Error as Bollard;
use bollard::query_parameters::{
    CreateContainerOptions, InspectContainerOptions, ListContainersOptions, RemoveContainerOptions,
    StartContainerOptions, StopContainerOptions, WaitContainerOptions,
};
use futures_util::StreamExt;

use super::create::{INSTANCE, Mounted, body, whole_seconds};
use super::engine::{Engine, LONG, SHORT};
use super::error::EngineError;
use super::refusal;
use super::running::{found, running};

/// The end of the second name that a release uses: `berth-<name>-2`.
const SECOND: &str = "-2";
/// The exit code of SIGKILL: that of a container that was removed by force.
const KILLED: i64 = 128 + 9;

impl Engine {
    /// The containers of this instance, and berth's container with this name, of whichever instance.
    pub async fn find_containers(&self, name: &str, instance_id: &str) -> Result<Vec<FoundContainer>, EngineError> {
        let fail = |error| refusal::of("list the containers".to_owned(), error, refusal::plain);
        let docker = self.within(LONG).map_err(fail)?;
        let all = ListContainersOptions { all: true, ..Default::default() };
        let mut containers = Vec::new();
        for summary in docker.list_containers(Some(all)).await.map_err(fail)? {
            // A container that berth did not create is left alone, whatever its name is.
            let Some(owner) = summary.labels.unwrap_or_default().remove(INSTANCE) else { continue };
            let ours = owner == instance_id;
            let is_ours = |held: &str| held == name || held.strip_suffix(SECOND) == Some(name);
            let named = summary.names.iter().flatten().any(|held| is_ours(held.trim_start_matches('/')));
            let Some(id) = summary.id.filter(|_| ours || named) else { continue };
            match docker.inspect_container(&id, None::<InspectContainerOptions>).await {
                Ok(inspected) if ours => containers.push(found(inspected)),
                // Of another instance, from whose disk the AMI was made. Without a fingerprint it is never adopted.
                Ok(inspected) => containers.push(FoundContainer { fingerprint: None, ..found(inspected) }),
                // It was removed in between.
                Err(error) if refusal::is_not_found(&error) => {}
                Err(error) => return Err(fail(error)),
            }
        }
        Ok(containers)
    }

    /// Creates the container `berth-<name>`.
    pub async fn create(&self, creation: &Creation, mounted: Mounted<'_>) -> Result<ContainerId, EngineError> {
        let name = creation.config.container_name();
        let body = body(creation, mounted)?;
        let fail = |error| refusal::of_create(&name, error);
        let platform = creation.config.platform.as_ref().map(ToString::to_string).unwrap_or_default();
        let options = CreateContainerOptions { name: Some(name.clone()), platform };
        match self.within(LONG).map_err(fail)?.create_container(Some(options), body).await {
            Ok(created) => Ok(ContainerId(created.id)),
            Err(error) if refusal::is_conflict(&error) => Err(self.name_taken(name.clone()).await),
            Err(error) => Err(fail(error)),
        }
    }

    /// The error for a name that is in use. A container of berth is about to be removed; any other is left alone.
    async fn name_taken(&self, name: String) -> EngineError {
        let Ok(docker) = self.within(SHORT) else { return EngineError::NameTaken(name) };
        let Ok(holder) = docker.inspect_container(&name, None::<InspectContainerOptions>).await else {
            return EngineError::NameTaken(name);
        };
        let config = holder.config.unwrap_or_default();
        if config.labels.is_some_and(|labels| labels.contains_key(INSTANCE)) {
            return EngineError::NameTaken(name);
        }
        let id = holder.id.unwrap_or_default().chars().take(12).collect();
        EngineError::NotOurs { name, id, image: config.image.unwrap_or_default() }
    }

    /// Starts the container, which publishes these ports. A container that runs already is left as it is.
    pub async fn start(&self, id: &ContainerId, ports: &[Port]) -> Result<RunningContainer, EngineError> {
        let fail = |error| refusal::of_start(error, &id.0, ports);
        let docker = self.within(LONG).map_err(fail)?;
        docker.start_container(&id.0, None::<StartContainerOptions>).await.map_err(fail)?;
        let inspected = docker.inspect_container(&id.0, None::<InspectContainerOptions>).await.map_err(fail)?;
        Ok(running(inspected))
    }

    /// Waits for the container to exit. An engine that stops meanwhile is a transient error: the container may outlive it.
    pub async fn watch(&self, id: &ContainerId) -> Result<Exit, EngineError> {
        let fail = |error| refusal::of("watch the container".to_owned(), error, refusal::plain);
        let docker = self.within(LONG).map_err(fail)?;
        let options = WaitContainerOptions { condition: "not-running".to_owned() };
        let waited = match Box::pin(docker.wait_container(&id.0, Some(options))).next().await {
            Some(Ok(answer)) => Some(answer.status_code),
            Some(Err(Bollard::DockerContainerWaitError { code, .. })) => Some(code),
            Some(Err(error)) if refusal::is_not_found(&error) => return Ok(Exit { code: KILLED, oom_killed: false }),
            // The stream ended without a usable answer: the inspection decides.
            Some(Err(_)) | None => None,
        };
        let state = match docker.inspect_container(&id.0, None::<InspectContainerOptions>).await {
            Ok(inspected) => inspected.state.unwrap_or_default(),
            Err(error) if refusal::is_not_found(&error) => {
                return Ok(Exit { code: waited.unwrap_or(KILLED), oom_killed: false });
            }
            Err(error) => return Err(fail(error)),
        };
        let code = match waited {
            None if state.running == Some(true) => {
                return Err(EngineError::Refused {
                    doing: "watch the container".to_owned(),
                    message: "the wait ended, and the container still runs".to_owned(),
                    class: ErrorClass::Transient,
                });
            }
            code => code.or(state.exit_code).unwrap_or(KILLED),
        };
        Ok(Exit { code, oom_killed: state.oom_killed == Some(true) })
    }

    /// Stops the container: its stop signal, then SIGKILL after `timeout`. Returns when it has stopped. A container that has stopped already, or
    /// was removed, is no error.
    pub async fn stop(&self, id: &ContainerId, timeout: Duration) -> Result<(), EngineError> {
        let fail = |error| refusal::of("stop the container".to_owned(), error, refusal::plain);
        // The engine responds only when the container has stopped, so the client waits longer than that.
        let docker = self.within(timeout.saturating_add(LONG)).map_err(fail)?;
        let options = StopContainerOptions { t: Some(whole_seconds(timeout)), ..Default::default() };
        match docker.stop_container(&id.0, Some(options)).await {
            Err(error) if !refusal::is_not_found(&error) => Err(fail(error)),
            _ => Ok(()),
        }
    }

    /// Removes the container, running or not, with its anonymous volumes; a container that is gone is no error. Returns its name, by which its
    /// secrets are deleted.
    pub async fn remove(&self, id: &ContainerId) -> Result<Option<String>, EngineError> {
        let fail = |error| refusal::of("remove the container".to_owned(), error, refusal::plain);
        let docker = self.within(LONG).map_err(fail)?;
        let Some(name) = self.name_of(id).await? else { return Ok(None) };
        let options = RemoveContainerOptions { force: true, v: true, ..Default::default() };
        match docker.remove_container(&id.0, Some(options)).await {
            Err(error) if !refusal::is_not_found(&error) => Err(fail(error)),
            _ => Ok(Some(name)),
        }
    }

    /// The container's name, none if it is gone.
    pub async fn name_of(&self, id: &ContainerId) -> Result<Option<String>, EngineError> {
        let fail = |error| refusal::of("inspect the container".to_owned(), error, refusal::plain);
        let docker = self.within(SHORT).map_err(fail)?;
        match docker.inspect_container(&id.0, None::<InspectContainerOptions>).await {
            Ok(inspected) => Ok(Some(found(inspected).name)),
            Err(error) if refusal::is_not_found(&error) => Ok(None),
            Err(error) => Err(fail(error)),
        }
    }

    /// Sends the container a signal, e.g. `SIGHUP`.
    pub async fn signal(&self, id: &ContainerId, signal: &str) -> Result<(), EngineError> {
        let fail = |error| refusal::of(format!("send the container {signal}"), error, refusal::plain);
        let options = bollard::query_parameters::KillContainerOptions { signal: signal.to_owned() };
        self.within(SHORT).map_err(fail)?.kill_container(&id.0, Some(options)).await.map_err(fail)
    }
}
