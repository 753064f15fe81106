//! The metadata block of containers: set before a start, repaired while they run, removed with them.

use berth_core::message::container::{ContainerId, FoundContainer};
use berth_core::message::error::JobError;
use berth_core::message::event::BlockRepair;

use super::Adapters;
use crate::io::docker::EngineError;
use crate::io::host::metadata_block::MetadataBlock;

impl Adapters {
    /// Blocks the metadata for this container. Called before its start, so the app has no moment without the block.
    pub(super) async fn block_metadata(&self, id: &ContainerId, block: &MetadataBlock) -> Result<(), JobError> {
        // A container that is gone needs no block; its start reports that it is gone.
        if let Some(bridges) = self.engine.bridges(id).await? {
            block.hold(id, &bridges).await?;
        }
        Ok(())
    }

    /// Repairs the block of every blocked container: one that was connected to another network is disconnected from it again.
    pub(super) async fn check_block(&self) -> Result<BlockRepair, JobError> {
        let block = self.block.lock().await;
        let mut repair = BlockRepair::default();
        for id in block.held()? {
            let mut bridges = self.engine.bridges(&id).await;
            if let Err(EngineError::NoBridge { .. }) = bridges {
                repair.networks.append(&mut self.engine.leave_other_networks(&id).await?);
                bridges = self.engine.bridges(&id).await;
            }
            match bridges {
                Ok(Some(bridges)) => repair.bridges.append(&mut block.hold(&id, &bridges).await?),
                Ok(None) => block.lift(&id).await?,
                // The app may run while the engine is down. The rules noted earlier are restored now, the rest when the engine answers.
                Err(error) => {
                    let set = block.hold_as_noted(&id).await?;
                    if set.is_empty() {
                        return Err(error.into());
                    }
                    repair.bridges.extend(set);
                }
            }
        }
        Ok(repair)
    }

    /// The blocks that an earlier agent set: kept for a container that runs, since it may be adopted, and removed for one that is gone.
    pub(super) async fn review_blocks(&self, found: &[FoundContainer]) -> Result<(), JobError> {
        let block = self.block.lock().await;
        for id in block.held()? {
            match found.iter().find(|container| container.id == id) {
                Some(container) if container.running.is_some() => self.block_metadata(&id, &block).await?,
                // No process runs in it, and its start sets the block again.
                Some(_) => {}
                None => block.lift(&id).await?,
            }
        }
        Ok(())
    }
}
