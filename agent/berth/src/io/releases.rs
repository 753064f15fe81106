//! The documents of the releases that this instance read last, in the run directory: to go back to one needs nobody else.
//!
//! They are on a tmpfs only, so they do not outlive a reboot, and no AMI holds one. That of the release that serves is always among them:
//! without a board the next agent has it from nowhere else.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use berth_core::message::error::ErrorClass;
use berth_core::message::release::ReleaseId;
use berth_core::release::NotedReleases;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::io::aws::document::Document;
use crate::io::aws::s3::About;
use crate::io::host::memory_fs;
use crate::io::host::note::{self, Note, boot_ms};
use crate::io::host::small_file::{self, Durable};

/// The folder in the run directory.
const FOLDER: &str = "releases";
/// So many are kept: the one that serves, and the newest.
const KEPT: usize = 4;
/// The longest file: a config, packed, and a line before it.
const MAX_BYTES: u64 = (1 << 20) + 4096;

/// The kept documents of one run directory.
#[derive(Clone, Debug)]
pub struct KeptReleases {
    folder: PathBuf,
}

/// A document cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// The run directory is on a disk, which would keep the document over a reboot.
    #[error(
        "cannot keep {}: its directory is not on tmpfs or ramfs, and it must not outlive a reboot: set --run-dir (or \
         RUNTIME_DIRECTORY) to a directory below /run",
        .0.display()
    )]
    OnDisk(PathBuf),
    /// The file cannot be written, read or removed.
    #[error("cannot {} {}, the document of a release", .1, .0.display())]
    Io(PathBuf, &'static str, #[source] io::Error),
    /// It is not what this version writes, or not the document of this release.
    #[error("{} is not the document of that release", .0.display())]
    Invalid(PathBuf),
}

/// An earlier release cannot be read, or there is nothing to follow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// Neither here nor, without a board, elsewhere.
    #[error("the document of release {0} is not kept here any more, and without release.board it is nowhere else")]
    NotKept(ReleaseId),
    /// Nobody wrote its copy.
    #[error("the board has no copy of the document of release {0}, which `berth release publish` writes")]
    NotOnBoard(ReleaseId),
    /// The board has another document in its place.
    #[error("the board has the document of release {found} in the place of that of release {wanted}")]
    Another {
        /// The one that was asked for.
        wanted: ReleaseId,
        /// The one that is there.
        found: ReleaseId,
    },
    /// `config=` was removed from the layers while the agent ran.
    #[error("the config does not have `config` any more, so there is nothing to follow")]
    NoPointer,
}

impl ReleaseError {
    /// What to do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::NotKept(_) | Self::NotOnBoard(_) | Self::Another { .. } => ErrorClass::Broken,
            Self::NoPointer => ErrorClass::Misconfigured,
        }
    }
}

job_error_from!(ReleaseError);

/// The first line of a file; the document follows.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    /// When it was written, in milliseconds since the kernel started.
    written_ms: u64,
    revision: String,
    /// The age of the release at that time.
    age_ms: u64,
    previous: Option<ReleaseId>,
    is_rollback: bool,
}

impl KeptReleases {
    /// Those of this run directory.
    pub fn new(run_dir: &Path) -> Self {
        Self { folder: run_dir.join(FOLDER) }
    }

    /// Keeps a document, and removes all but the newest and the one that serves, by the note of the releases.
    pub fn keep(&self, document: &Document) -> Result<(), KeptError> {
        let file = self.file(&document.release.id);
        let run_dir = self.folder.parent().unwrap_or(&self.folder);
        if !memory_fs::holds(run_dir).map_err(io_error(run_dir, "look at the file system of"))? {
            return Err(KeptError::OnDisk(file));
        }
        std::fs::create_dir_all(&self.folder).map_err(io_error(&self.folder, "create"))?;
        let release = &document.release;
        let head = Head {
            written_ms: boot_ms(),
            revision: release.revision.clone(),
            age_ms: u64::try_from(release.age.as_millis()).unwrap_or(u64::MAX),
            previous: release.previous.clone(),
            is_rollback: release.is_rollback,
        };
        let mut bytes = serde_json::to_vec(&head).map_err(|_| KeptError::Invalid(file.clone()))?;
        bytes.push(b'\n');
        bytes.extend_from_slice(&document.bytes);
        small_file::replace(&file, &bytes, Durable::No).map_err(io_error(&file, "write"))?;
        self.remove_surplus(self.serving().as_ref())
    }

    /// What serves. A note that cannot be read is reported by the agent that reads it.
    fn serving(&self) -> Option<ReleaseId> {
        let note = Note::new(self.folder.parent()?, note::RELEASES).read::<NotedReleases>();
        note.ok().flatten().map(|(noted, _)| noted.serving)
    }

    /// The document of a release, none if it is not kept.
    pub fn read(&self, id: &ReleaseId) -> Result<Option<Document>, KeptError> {
        let file = self.file(id);
        let Some((head, bytes)) = read(&file)? else { return Ok(None) };
        let since = boot_ms().saturating_sub(head.written_ms);
        let age = Duration::from_millis(head.age_ms.saturating_add(since));
        let about = About { previous: head.previous, is_rollback: head.is_rollback };
        let document = Document::new(bytes, head.revision, age, about);
        if document.release.id == *id { Ok(Some(document)) } else { Err(KeptError::Invalid(file)) }
    }

    fn file(&self, id: &ReleaseId) -> PathBuf {
        self.folder.join(&id.0)
    }

    fn remove_surplus(&self, serving: Option<&ReleaseId>) -> Result<(), KeptError> {
        let entries = std::fs::read_dir(&self.folder).map_err(io_error(&self.folder, "read"))?;
        let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let serving = serving.map(|id| self.file(id));
        // What cannot be read counts as the oldest.
        let written = |file: &PathBuf| read(file).ok().flatten().map(|(head, _)| head.written_ms);
        let mut files: Vec<_> = files.map(|file| (serving.as_ref() == Some(&file), written(&file), file)).collect();
        files.sort();
        let surplus = files.len().saturating_sub(KEPT);
        for (.., file) in files.iter().take(surplus) {
            small_file::remove(file).map_err(io_error(file, "remove"))?;
        }
        Ok(())
    }
}

fn read(file: &Path) -> Result<Option<(Head, Bytes)>, KeptError> {
    let bytes = small_file::read(file, MAX_BYTES).map_err(io_error(file, "read"))?;
    let Some(bytes) = bytes else { return Ok(None) };
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let head = parts.next().and_then(|head| serde_json::from_slice(head).ok());
    match (head, parts.next()) {
        (Some(head), Some(document)) => Ok(Some((head, Bytes::copy_from_slice(document)))),
        _ => Err(KeptError::Invalid(file.to_owned())),
    }
}

fn io_error(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> KeptError + use<> {
    let path = path.to_owned();
    move |error| KeptError::Io(path, doing, error)
}

#[cfg(test)]
mod tests {
    use berth_core::message::release::Release;

    use super::*;

    fn in_memory() -> (tempfile::TempDir, KeptReleases) {
        let run_dir = tempfile::tempdir_in("/dev/shm").unwrap();
        let kept = KeptReleases::new(run_dir.path());
        (run_dir, kept)
    }

    fn document(text: &str) -> Document {
        let about = About { previous: Some(ReleaseId("0123456789abcdef".into())), is_rollback: true };
        Document::new(Bytes::copy_from_slice(text.as_bytes()), "\"etag\"".into(), Duration::from_secs(60), about)
    }

    #[test]
    fn a_document_is_read_back_as_it_was_and_has_aged() {
        let (_run_dir, kept) = in_memory();
        for text in ["berth image=x:1", "", "\n\n#berth\nimage = 'x'\n", "\u{1f}\u{8b}\n\u{0}"] {
            let document = document(text);
            assert_eq!(kept.read(&document.release.id).unwrap(), None);
            kept.keep(&document).unwrap();
            let read = kept.read(&document.release.id).unwrap().unwrap();
            assert!((60..90).contains(&read.release.age.as_secs()), "{read:?}");
            let same_age = Release { age: document.release.age, ..read.release };
            assert_eq!(Document { release: same_age, ..read }, document);
        }
    }

    /// Lets a kept document be written at this millisecond.
    fn date(file: &Path, written_ms: usize) {
        let text = std::fs::read_to_string(file).unwrap();
        let (_, rest) = text.split_once(',').unwrap();
        std::fs::write(file, format!("{{\"written_ms\":{written_ms},{rest}")).unwrap();
    }

    #[test]
    fn the_newest_four_are_kept() {
        let (run_dir, kept) = in_memory();
        let documents: Vec<_> = (0..6).map(|number| document(&format!("berth image=x:{number}"))).collect();
        std::fs::create_dir_all(&kept.folder).unwrap();
        for (number, document) in documents.iter().enumerate() {
            kept.keep(document).unwrap();
            // Within one millisecond none would be newer.
            date(&kept.file(&document.release.id), number);
        }
        kept.keep(&documents[5]).unwrap();
        let there: Vec<bool> = documents.iter().map(|one| kept.read(&one.release.id).unwrap().is_some()).collect();
        assert_eq!(there, [false, false, true, true, true, true]);
        assert_eq!(std::fs::read_dir(run_dir.path().join(FOLDER)).unwrap().count(), KEPT);
    }

    #[test]
    fn the_one_that_serves_is_kept_however_many_come_after_it() {
        let (run_dir, kept) = in_memory();
        let documents: Vec<_> = (0..9).map(|number| document(&format!("berth image=x:{number}"))).collect();
        let serves = |number: usize| {
            let serving = documents[number].release.id.clone();
            let noted = NotedReleases {
                instance_id: "i-1".into(),
                serving,
                container: None,
                failed: vec![],
                pulled: vec![],
                before: None,
            };
            Note::new(run_dir.path(), note::RELEASES).leave(noted).unwrap();
        };
        let there = || {
            let numbers = documents.iter().enumerate();
            let kept = numbers.filter(|(_, one)| kept.read(&one.release.id).unwrap().is_some());
            kept.map(|(number, _)| number).collect::<Vec<_>>()
        };
        kept.keep(&documents[0]).unwrap();
        date(&kept.file(&documents[0].release.id), 0);
        serves(0);
        for (document, at) in documents[1..8].iter().zip(1..) {
            kept.keep(document).unwrap();
            // Two may be written within one millisecond.
            date(&kept.file(&document.release.id), at);
            assert!(there().contains(&0), "{:?}", there());
        }
        assert_eq!(there().len(), KEPT);
        // Another one serves, and the first is the oldest.
        serves(7);
        kept.keep(&documents[8]).unwrap();
        let there = there();
        assert!(there.len() == KEPT && !there.contains(&0) && there.contains(&7), "{there:?}");
    }

    #[test]
    fn what_is_not_that_document_is_an_error() {
        let (_run_dir, kept) = in_memory();
        let (one, other) = (document("berth image=x:1"), document("berth image=x:2"));
        kept.keep(&one).unwrap();
        std::fs::copy(kept.file(&one.release.id), kept.file(&other.release.id)).unwrap();
        assert!(matches!(kept.read(&other.release.id), Err(KeptError::Invalid(_))));
        std::fs::write(kept.file(&one.release.id), "{}").unwrap();
        assert!(matches!(kept.read(&one.release.id), Err(KeptError::Invalid(_))));
        kept.keep(&one).unwrap();
        assert!(kept.read(&one.release.id).unwrap().is_some(), "it is replaced");
    }

    #[test]
    fn nothing_is_kept_on_a_disk() {
        // /sys is no tmpfs wherever a test runs.
        assert!(matches!(KeptReleases::new(Path::new("/sys")).keep(&document("x")), Err(KeptError::OnDisk(_))));
    }
}
