//! Through which interfaces of the host a container's packets come in.

use bollard::query_parameters::{InspectContainerOptions, InspectNetworkOptions};

use super::error::{self, EngineError};
use super::{Engine, SHORT};
use crate::effect::ContainerId;

/// The option of a network that names its bridge.
const BRIDGE_NAME: &str = "com.docker.network.bridge.name";

impl Engine {
    /// The bridges of the container's networks, none at all for `network=none`; `None` if the container is gone. A network that
    /// is no bridge of this host is a fault: what is on it passes the host's packet filter by.
    pub async fn bridges(&self, id: &ContainerId) -> Result<Option<Vec<String>>, EngineError> {
        let fail = |error| error::of("look at the container's networks".to_owned(), error, error::start);
        let docker = self.within(SHORT).map_err(fail)?;
        let inspected = match docker.inspect_container(&id.0, None::<InspectContainerOptions>).await {
            Ok(inspected) => inspected,
            Err(error) if error::is_not_found(&error) => return Ok(None),
            Err(error) => return Err(fail(error)),
        };
        let mode = inspected.host_config.and_then(|host| host.network_mode).unwrap_or_default();
        let networks = inspected.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
        if networks.is_empty() {
            return Err(EngineError::NoBridge { network: mode, driver: "another container's".to_owned() });
        }
        let mut bridges = Vec::new();
        for network in networks.into_keys() {
            let shown = docker.inspect_network(&network, None::<InspectNetworkOptions>).await.map_err(fail)?;
            let named = shown.options.and_then(|mut options| options.remove(BRIDGE_NAME));
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
}

/// What the engine calls a bridge when nobody named it (libnetwork's bridge driver).
fn by_id(network: &str) -> String {
    format!("br-{}", network.get(..12).unwrap_or(network))
}
