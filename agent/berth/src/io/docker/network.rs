//! The interfaces of the host through which a container's packets arrive.

use std::collections::BTreeSet;

use berth_core::message::container::ContainerId;
use bollard::models::{ContainerInspectResponse, NetworkDisconnectRequest, NetworkInspect};
use bollard::query_parameters::{InspectContainerOptions, InspectNetworkOptions};

use super::engine::{Engine, SHORT};
use super::error::EngineError;
use super::refusal;

/// The option of a network that names its bridge.
const BRIDGE_NAME: &str = "com.docker.network.bridge.name";

impl Engine {
    /// The bridges of the container's networks, empty for `network=none`; `None` if the container is gone. A network that is not a bridge of this host
    /// is an error: its packets bypass the packet filter of the host.
    pub async fn bridges(&self, id: &ContainerId) -> Result<Option<Vec<String>>, EngineError> {
        let Some(inspected) = self.inspected(id).await? else { return Ok(None) };
        let mode = mode(&inspected).to_owned();
        let networks = networks(inspected);
        if networks.len() == 0 {
            return Err(EngineError::NoBridge { network: mode, driver: "another container's network".to_owned() });
        }
        let mut bridges = Vec::new();
        for network in networks {
            let mut shown = self.network(&network).await?;
            let named = shown.options.take().and_then(|mut options| options.remove(BRIDGE_NAME));
            match shown.driver.as_deref() {
                Some("bridge") => bridges.push(named.unwrap_or_else(|| by_id(&shown.id.unwrap_or_default()))),
                Some("null") => {}
                driver => {
                    let driver = driver.unwrap_or_default().to_owned();
                    return Err(EngineError::NoBridge { network, driver });
                }
            }
        }
        Ok(Some(bridges))
    }

    /// Disconnects the container from every network that is not a bridge of this host, except the one that the config names; returns which.
    pub async fn leave_other_networks(&self, id: &ContainerId) -> Result<BTreeSet<String>, EngineError> {
        let Some(inspected) = self.inspected(id).await? else { return Ok(BTreeSet::new()) };
        let mode = mode(&inspected).to_owned();
        let mut left = BTreeSet::new();
        for network in networks(inspected) {
            let shown = self.network(&network).await?;
            let is_its_own = network == mode || shown.id.as_deref() == Some(&mode);
            if is_its_own || matches!(shown.driver.as_deref(), Some("bridge" | "null")) {
                continue;
            }
            let fail = |error| refusal::of(format!("disconnect the container from {network}"), error, refusal::plain);
            let request = NetworkDisconnectRequest { container: id.0.clone(), force: Some(true) };
            self.within(SHORT).map_err(fail)?.disconnect_network(&network, request).await.map_err(fail)?;
            left.insert(network);
        }
        Ok(left)
    }

    async fn inspected(&self, id: &ContainerId) -> Result<Option<ContainerInspectResponse>, EngineError> {
        let docker = self.within(SHORT).map_err(fail)?;
        match docker.inspect_container(&id.0, None::<InspectContainerOptions>).await {
            Ok(inspected) => Ok(Some(inspected)),
            Err(error) if refusal::is_not_found(&error) => Ok(None),
            Err(error) => Err(fail(error)),
        }
    }

    async fn network(&self, name: &str) -> Result<NetworkInspect, EngineError> {
        let docker = self.within(SHORT).map_err(fail)?;
        docker.inspect_network(name, None::<InspectNetworkOptions>).await.map_err(fail)
    }
}

fn fail(error: bollard::errors::Error) -> EngineError {
    refusal::of("inspect the networks of the container".to_owned(), error, refusal::start)
}

/// The network mode that the container was created with.
fn mode(inspected: &ContainerInspectResponse) -> &str {
    inspected.host_config.as_ref().and_then(|host| host.network_mode.as_deref()).unwrap_or_default()
}

fn networks(inspected: ContainerInspectResponse) -> impl ExactSizeIterator<Item = String> {
    inspected.network_settings.and_then(|settings| settings.networks).unwrap_or_default().into_keys()
}

/// The name of a bridge that was created without one (libnetwork's bridge driver).
fn by_id(network: &str) -> String {
    format!("br-{}", network.get(..12).unwrap_or(network))
}
