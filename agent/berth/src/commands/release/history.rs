//! The releases before the current one, by the release that each names as the one it replaced.

use berth_config::{Board, Pointer};
use berth_core::message::release::ReleaseId;

use super::limits::Limits;
use super::{Failure, patiently, source};
use crate::io::aws::document::Document;
use crate::io::aws::publisher::{self, Verdicts};
use crate::io::aws::{Aws, board};

/// So many names of releases are followed: a rollback names one that was before.
const FOLLOWED: usize = 40;

/// A release that was published before.
#[derive(Clone, Debug)]
pub(super) struct Past {
    pub(super) id: ReleaseId,
    /// Its document; none if the board does not have it.
    pub(super) document: Option<Document>,
    pub(super) verdicts: Verdicts,
    /// Those of its document.
    pub(super) limits: Limits,
    /// The app's version.
    pub(super) version: String,
}

impl Past {
    /// Whether instances may go back to it.
    pub(super) fn is_proven(&self) -> bool {
        self.document.is_some() && self.verdicts.state().is_proven(self.limits.failures)
    }
}

/// At most so many releases before `current`, the newest first, each once. It ends at the first one that `last` says so of.
pub(super) async fn before(
    aws: &Aws,
    pointer: &Pointer,
    board: &Board,
    current: &Document,
    most: usize,
    last: impl Fn(&Past) -> bool,
) -> Result<Vec<Past>, Failure> {
    let mut found: Vec<Past> = Vec::new();
    // Those whose copy was read: the current release may be an earlier one again, and its copy names another one than the document.
    let mut named: Vec<ReleaseId> = Vec::new();
    let mut next = current.release.previous.clone();
    while let Some(id) = next.take().filter(|id| !named.contains(id)) {
        if found.len() >= most || named.len() >= FOLLOWED {
            break;
        }
        named.push(id.clone());
        let past = past(aws, pointer, board, &id).await?;
        next = past.document.as_ref().and_then(|document| document.release.previous.clone());
        if id != current.release.id {
            let is_last = last(&past);
            found.push(past);
            if is_last {
                break;
            }
        }
    }
    Ok(found)
}

/// One release, as the board has it.
pub(super) async fn past(aws: &Aws, pointer: &Pointer, board: &Board, id: &ReleaseId) -> Result<Past, Failure> {
    let document = patiently(async || board::document(aws, board, id).await.map(|copy| copy.map(Document::from)));
    // Another document in its place is not that release.
    let document = document.await?.filter(|document| document.release.id == *id);
    let verdicts = patiently(async || publisher::verdicts(aws, board, id).await).await?;
    let bytes = document.as_ref().map(|document| &*document.bytes).unwrap_or_default();
    let config = source::read(pointer, Some(board), None, bytes).config;
    let (limits, version) = (Limits::of(&config), config.version());
    Ok(Past { id: id.clone(), document, verdicts, limits, version })
}
