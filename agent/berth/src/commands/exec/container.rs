//! Finds the app's container: the agent's, or without an agent the one that it left running.

use berth_core::message::container::{ContainerId, FoundContainer, RunningContainer};
use berth_core::view::View;

use crate::cli::Global;
use crate::io::docker::Engine;
use crate::io::host::state_dir;
use crate::io::listen::socket_client::{self, ClientError};

use super::ExecError;

/// The running container of the app.
pub(super) async fn find(global: &Global, engine: &Engine) -> Result<RunningContainer, ExecError> {
    match socket_client::status(&global.run_dir()).await {
        Ok(report) => of_agent(engine, &report.published.view).await,
        Err(ClientError::NotRunning(run_dir)) => {
            let no_agent = ClientError::NotRunning(run_dir).to_string();
            // The engine may have containers of another agent, or of the instance that the AMI was made from.
            let last = state_dir::read(&global.state_dir()).ok().flatten();
            let instance_id = last.and_then(|life| life.report.published.view.instance_id);
            let app = only(engine.apps(instance_id.as_deref()).await?, &no_agent)?;
            super::super::note(&format!("{no_agent}; the command runs in the container that it left"));
            Ok(app)
        }
        Err(error) => Err(ExecError::Agent(error)),
    }
}

async fn of_agent(engine: &Engine, view: &View) -> Result<RunningContainer, ExecError> {
    let state = || format!("{}, {}", view.phase.word(), view.reason);
    let Some(container) = &view.container else { return Err(ExecError::NoContainer(state())) };
    let id = ContainerId(container.id.clone());
    match engine.container(&id).await? {
        Some(FoundContainer { running: Some(running), .. }) => Ok(running),
        Some(_) => Err(ExecError::NotRunning { name: container.name.clone(), state: state() }),
        None => Err(ExecError::NoSuchContainer { name: container.name.clone(), state: state() }),
    }
}

fn only(mut apps: Vec<FoundContainer>, no_agent: &str) -> Result<RunningContainer, ExecError> {
    let names: Vec<String> = apps.iter().map(|app| app.name.clone()).collect();
    match (apps.pop().and_then(|app| app.running), names.len()) {
        (Some(running), 1) => Ok(running),
        (None, _) | (_, 0) => Err(ExecError::NoneRunning(no_agent.to_owned())),
        _ => Err(ExecError::SeveralRunning { no_agent: no_agent.to_owned(), names: names.join(", ") }),
    }
}
