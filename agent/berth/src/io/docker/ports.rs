//! The ports of the host that are in use: by the engine's containers, and by whatever listens on the host.

use std::collections::BTreeSet;
use std::io;

use berth_core::message::error::ErrorClass;
use bollard::query_parameters::ListContainersOptions;

use super::connections::listening_on_host;
use super::engine::{Engine, LONG};
use super::error::EngineError;
use super::refusal;

impl Engine {
    /// The TCP ports of the host that a new container cannot have. Without its proxy the engine forwards a port and listens nowhere, so both
    /// are asked.
    pub async fn ports_in_use(&self) -> Result<BTreeSet<u16>, EngineError> {
        let doing = || "list the ports of the containers".to_owned();
        let fail = |error| refusal::of(doing(), error, refusal::plain);
        let docker = self.within(LONG).map_err(fail)?;
        let containers = docker.list_containers(None::<ListContainersOptions>).await.map_err(fail)?;
        let published = containers.into_iter().flat_map(|container| container.ports.unwrap_or_default());
        let mut ports: BTreeSet<u16> = published.filter_map(|port| port.public_port).collect();
        let listening = tokio::task::spawn_blocking(listening_on_host).await;
        let listening = listening.unwrap_or_else(|error| Err(io::Error::other(error)));
        ports.extend(listening.map_err(|source| EngineError::NoAnswer {
            doing: "list the ports that the host listens on".to_owned(),
            class: ErrorClass::Broken,
            source: source.into(),
        })?);
        Ok(ports)
    }
}
