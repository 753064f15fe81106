//! The values of secrets between their fetch and their delivery to the container.

use berth_config::{Config, SecretsAs};
use berth_core::message::container::{ContainerId, Creation};
use berth_core::message::error::JobError;

use super::{Adapters, hold};
use crate::io::aws::secrets;
use crate::io::docker::Mounted;

impl Adapters {
    /// Creates the container, with the mounts that its secrets need.
    pub(super) async fn create(&self, creation: &Creation) -> Result<ContainerId, JobError> {
        let config = &creation.config;
        if !config.has_secrets() {
            return Ok(self.engine.create(creation, Mounted::Nothing).await?);
        }
        let directory = self.delivery.prepare(&config.container_name(), config.secrets_as)?;
        let mounted = match config.secrets_as {
            SecretsAs::Env => Mounted::Env { binary: &self.binary, directory: &directory },
            SecretsAs::Files => Mounted::Files { directory: &directory },
        };
        Ok(self.engine.create(creation, mounted).await?)
    }

    /// Fetches the secrets again; whether any differs from what is delivered. The delivered values are the app's, not those that
    /// this process fetched before: an earlier process may have started the app, and the app may have restarted since.
    pub(super) async fn check_secrets(&self, config: &Config) -> Result<bool, JobError> {
        let values = secrets::fetch(&self.aws, config).await?;
        let delivered = self.delivery.holds(&config.container_name(), config.secrets_as, &values)?;
        // Without a delivery there is nothing to compare with: these are the first.
        let changed = delivered == Some(false);
        let mut fetched = hold(&self.secrets);
        match changed {
            true => drop(fetched.insert(config.container_name(), values)),
            false => drop(fetched.remove(&config.container_name())),
        }
        Ok(changed)
    }

    /// Delivers the values that were fetched last and wipes them here; whether the container has its values. None were fetched
    /// if the delivered ones are still valid.
    pub(super) fn deliver(&self, config: &Config) -> Result<bool, JobError> {
        let (container, how) = (config.container_name(), config.secrets_as);
        let mut fetched = hold(&self.secrets);
        let Some(values) = fetched.get(&container) else { return Ok(self.delivery.is_in_place(&container, how)?) };
        self.delivery.write(&container, how, values)?;
        fetched.remove(&container);
        Ok(true)
    }
}
