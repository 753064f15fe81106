//! The jobs that read the config: all of it, what `config=` points to if that changed, and an earlier release.

use std::sync::Arc;

use berth_config::{Board, Layers};
use berth_core::message::error::{ErrorClass, JobError};
use berth_core::message::event::Event;
use berth_core::message::job::Ticket;
use berth_core::message::release::{Release, ReleaseId};

use super::{Adapters, hold, misconfigured};
use crate::io::aws::board;
use crate::io::aws::document::{self, Document};
use crate::io::config_sources;
use crate::io::releases::ReleaseError;

impl Adapters {
    /// Every layer.
    pub(super) async fn read_config(&self, ticket: Ticket) -> Result<Event, JobError> {
        let (layers, document) = self.sources.read(&self.imds, &self.aws).await?;
        *hold(&self.pointer) = layers.pointer();
        if let Some(document) = &document {
            self.keep(document);
        }
        self.resolve(ticket, &layers, document.map(|document| document.release)).await
    }

    /// Every layer, if what `config=` points to is another revision. Its source is asked once, changed or not, and the metadata only if it is.
    pub(super) async fn follow_config(&self, ticket: Ticket, revision: &str) -> Result<Event, JobError> {
        let known = hold(&self.pointer).clone();
        let pointer = match known {
            Some(pointer) => Some(pointer),
            None => self.sources.read_unpointed(&self.imds).await?.pointer(),
        };
        let Some(pointer) = pointer else { return Err(ReleaseError::NoPointer.into()) };
        let Some(document) = document::read(&self.aws, &pointer, Some(revision)).await? else {
            return Ok(Event::ConfigUnchanged);
        };
        let mut layers = self.sources.read_unpointed(&self.imds).await?;
        if layers.pointer().as_ref() != Some(&pointer) {
            // The file changed too, and points elsewhere now.
            return self.read_config(ticket).await;
        }
        layers.add_pointed(&pointer, &document.bytes);
        self.accept(ticket, &layers, document).await
    }

    /// Every layer, with the document of this release in the place of what `config=` points to.
    pub(super) async fn read_release(
        &self,
        ticket: Ticket,
        board: Option<&Board>,
        id: &ReleaseId,
    ) -> Result<Event, JobError> {
        let kept = self.releases.read(id).unwrap_or_else(|error| {
            tracing::warn!("{}: release {id} is read from the board", JobError::from_error(ErrorClass::Broken, &error));
            None
        });
        match (kept, board) {
            (Some(document), _) => self.read_document(ticket, document, id).await,
            (None, Some(board)) => self.read_copy(ticket, board, id).await,
            (None, None) => Err(ReleaseError::NotKept(id.clone()).into()),
        }
    }

    pub(super) async fn read_copy(&self, ticket: Ticket, board: &Board, id: &ReleaseId) -> Result<Event, JobError> {
        let copy = board::document(&self.aws, board, id).await?;
        let document = copy.ok_or_else(|| ReleaseError::NotOnBoard(id.clone()))?.into();
        self.read_document(ticket, document, id).await
    }

    async fn read_document(&self, ticket: Ticket, document: Document, id: &ReleaseId) -> Result<Event, JobError> {
        if document.release.id != *id {
            return Err(ReleaseError::Another { wanted: id.clone(), found: document.release.id }.into());
        }
        let mut layers = self.sources.read_unpointed(&self.imds).await?;
        let Some(pointer) = layers.pointer() else { return Err(ReleaseError::NoPointer.into()) };
        layers.add_pointed(&pointer, &document.bytes);
        self.accept(ticket, &layers, document).await
    }

    /// The config with a document that was read beside the one that runs: an error in it is an answer, and changes nothing.
    async fn accept(&self, ticket: Ticket, layers: &Layers, document: Document) -> Result<Event, JobError> {
        self.keep(&document);
        let release = document.release;
        match self.resolve(ticket, layers, Some(release.clone())).await {
            Ok(read) => {
                config_sources::configure(layers, &self.aws)?;
                Ok(read)
            }
            Err(error) => Ok(Event::ConfigRefused { release: Box::new(release), error }),
        }
    }

    async fn resolve(&self, ticket: Ticket, layers: &Layers, release: Option<Release>) -> Result<Event, JobError> {
        let config = layers.resolve().map_err(misconfigured)?;
        // Warnings for the log. The receiver is gone once the agent ends.
        let foreign = layers.foreign().map(Event::UserDataIsForeign);
        let warnings =
            layers.warnings(&config).iter().map(|warning| Event::ConfigWarned(warning.to_string())).collect::<Vec<_>>();
        for remark in foreign.into_iter().chain(warnings) {
            let _ = self.reports.send((ticket, remark)).await;
        }
        Ok(Event::ConfigRead(Arc::new(config), release.map(Box::new)))
    }

    /// Keeps a document for [`Adapters::read_release`]. Without it, the board has it.
    fn keep(&self, document: &Document) {
        if let Err(error) = self.releases.keep(document) {
            tracing::warn!("{}", JobError::from_error(ErrorClass::Broken, &error));
        }
    }
}
