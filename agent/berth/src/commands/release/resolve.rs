//! The digest of a tag, by the Docker Engine of this machine.

use berth_config::{Config, ImageRef};
use berth_core::message::error::JobError;

use super::Failure;
use crate::commands::doctor::within;
use crate::io::aws::ecr::RegistryCredentials;
use crate::io::aws::{Aws, ecr};
use crate::io::docker::Engine;

/// The digest of an image, `sha256:…`, with the login that the config names.
pub(super) async fn digest(aws: &Aws, config: &Config, image: &ImageRef) -> Result<String, Failure> {
    if let Some(pinned) = image.pinned() {
        return Ok(pinned.digest);
    }
    let refused = |reason: String| {
        let advice = "give the image with its digest, as your registry shows it";
        Failure::unmet(format!("{image} cannot be resolved to a digest: {reason}; {advice}: {}@sha256:…", image.name()))
    };
    let docker_host = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
    let engine = Engine::new(docker_host.as_deref()).map_err(|error| refused(JobError::from(error).reason))?;
    let login = match within(ecr::log_in(aws, &image.registry, &config.registry_auth)).await {
        None => return Err(refused(format!("no login for {} within 8 s", image.registry))),
        Some(login) => login.map_err(|error| refused(JobError::from(error).reason))?,
    };
    let login = login.as_ref().map(RegistryCredentials::as_login);
    let resolved = engine.with_platform(config.platform.as_ref()).resolve_digest(image, login).await;
    Ok(resolved.map_err(|error| refused(JobError::from(error).reason))?.digest)
}
