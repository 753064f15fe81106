//! What a container and an image take, where the engine keeps its images, and the end of an image that is not used.

use std::path::{Path, PathBuf};

use berth_config::PinnedImage;
use berth_core::message::container::ContainerId;
use bollard::query_parameters::RemoveImageOptions;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::engine::{Engine, LONG, SHORT};
use super::error::EngineError;
use super::refusal;

/// Where containerd keeps images by default. Docker does not report it.
const CONTAINERD: &str = "/var/lib/containerd";

#[derive(Deserialize)]
struct Stats {
    memory_stats: Memory,
}

#[derive(Deserialize)]
struct Memory {
    usage: u64,
    #[serde(default)]
    stats: Pages,
}

/// Pages of files that were not read lately: version 2 of control groups, and version 1.
#[derive(Default, Deserialize)]
struct Pages {
    inactive_file: Option<u64>,
    total_inactive_file: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    size: u64,
}

impl Engine {
    /// The memory that a container uses in bytes, as `docker stats` shows it; none if the engine does not know it.
    pub async fn memory_used(&self, id: &ContainerId) -> Option<u64> {
        let stats: Stats = self.look(&format!("/containers/{}/stats?stream=false&one-shot=true", id.0)).await?;
        Some(stats.memory_stats.used())
    }

    /// The size of an image in bytes; none if the engine does not know it.
    pub async fn image_size(&self, image: &PinnedImage) -> Option<u64> {
        self.look::<Inspected>(&format!("/images/{image}/json")).await.map(|inspected| inspected.size)
    }

    /// The directories that the engine keeps its images in.
    pub async fn image_directories(&self) -> Result<Vec<PathBuf>, EngineError> {
        let about = self.about().await?;
        let containerd = Some(PathBuf::from(CONTAINERD)).filter(|path| about.has_containerd_store() && path.exists());
        Ok(Some(about.docker_root_dir).filter(|path| *path != Path::new("")).into_iter().chain(containerd).collect())
    }

    /// Removes an image; whether it is gone. One that a container uses stays.
    pub async fn remove_image(&self, image: &PinnedImage) -> Result<bool, EngineError> {
        let fail = |error| refusal::of(format!("remove the image {image}"), error, refusal::plain);
        let docker = self.within(LONG).map_err(fail)?;
        match docker.remove_image(&image.to_string(), None::<RemoveImageOptions>, None).await {
            Ok(_) => Ok(true),
            Err(error) if refusal::is_not_found(&error) => Ok(true),
            Err(error) if refusal::is_conflict(&error) => Ok(false),
            Err(error) => Err(fail(error)),
        }
    }

    async fn look<T: DeserializeOwned>(&self, path: &str) -> Option<T> {
        let (status, body) = timeout(SHORT, self.get(path)).await.ok()?.ok()?;
        serde_json::from_slice(&body).ok().filter(|_| status.is_success())
    }
}

impl Memory {
    fn used(&self) -> u64 {
        let Pages { inactive_file, total_inactive_file } = self.stats;
        self.usage.saturating_sub(total_inactive_file.or(inactive_file).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_s_memory_is_what_docker_stats_shows() {
        let used = |text: &str| serde_json::from_str::<Stats>(text).map(|stats| stats.memory_stats.used()).ok();
        assert_eq!(
            used(r#"{"memory_stats":{"usage":900,"limit":9999,"stats":{"inactive_file":200,"file":300}}}"#),
            Some(700)
        );
        let first = r#"{"memory_stats":{"usage":900,"stats":{"inactive_file":1,"total_inactive_file":200}}}"#;
        assert_eq!(used(first), Some(700));
        assert_eq!(used(r#"{"memory_stats":{"usage":900}}"#), Some(900));
        assert_eq!(used(r#"{"memory_stats":{}}"#), None, "of a container that does not run");
    }
}
