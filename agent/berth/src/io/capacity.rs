//! What the host has left for the next version of the app.

use std::path::Path;

use berth_config::PinnedImage;
use berth_core::message::capacity::Capacity;
use berth_core::message::container::ContainerId;
use nix::sys::statvfs::statvfs;

use super::docker::{Engine, EngineError};
use super::host::memory;

/// Measures it, for the container that serves and its image. A figure that is not known is left out.
pub async fn measure(
    engine: &Engine,
    container: &ContainerId,
    image: Option<&PinnedImage>,
) -> Result<Capacity, EngineError> {
    let directories = engine.image_directories().await?;
    let image_size = match image {
        Some(image) => engine.image_size(image).await,
        None => None,
    };
    Ok(Capacity {
        memory_available: memory::available(),
        memory_used: engine.memory_used(container).await,
        // The engine may keep some of an image on one disk, and some on another.
        disk_free: directories.iter().filter_map(|directory| free(directory)).min(),
        image_size,
    })
}

/// Bytes on the disk of this directory that are free for the engine; none if it cannot be asked.
pub fn free(directory: &Path) -> Option<u64> {
    let about = statvfs(directory).ok()?;
    Some(about.blocks_available().saturating_mul(about.fragment_size()))
}
