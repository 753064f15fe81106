//! The state directory: the record of the last run, for `berth status` and `berth timeline` when no agent runs.
//!
//! No boot reads it. A disk that is slow, full or read-only does not affect the agent: the file is written on a thread that may wait, and a failure is
//! logged.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use berth_core::message::error::{ErrorClass, JobError};
use berth_core::view::last_life::{Ending, LastLife, RecordError};
use berth_core::view::published::{StatusReport, rfc3339};
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;
use tracing::{info, warn};

use crate::io::host::small_file::{self, Durable};

/// The record's name in the state directory.
pub const FILE: &str = "last-life.json";
/// The longest record; a longer one is written without its steps and probes.
const BYTES: usize = 256 * 1024;
/// For the last record to be written before the process ends.
const LAST: Duration = Duration::from_secs(2);

/// The record cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The directory cannot be made.
    #[error("cannot make the state directory {}", .0.display())]
    Directory(PathBuf, #[source] io::Error),
    /// The file cannot be written, read or removed.
    #[error("cannot {} {}", .1, .0.display())]
    Io(PathBuf, &'static str, #[source] io::Error),
    /// It is not a record that this version reads.
    #[error("cannot read {}", .0.display())]
    Record(PathBuf, #[source] RecordError),
    /// The record cannot be made.
    #[error("cannot encode {}", .0.display())]
    Encode(PathBuf, #[source] serde_json::Error),
}

/// Keeps the record up to date; only the latest counts.
#[derive(Debug)]
pub struct Keeper {
    latest: watch::Sender<Option<Arc<LastLife>>>,
    writer: JoinHandle<()>,
}

impl Keeper {
    /// For this state directory, which is made if it does not exist. Needs a runtime.
    pub fn start(state_dir: &Path) -> Self {
        let (latest, seen) = watch::channel(None);
        Self { latest, writer: tokio::spawn(write_on(state_dir.to_owned(), seen)) }
    }

    /// Replaces the record. Never waits.
    pub fn keep(&self, report: StatusReport, exit_code: Option<u8>, final_status: Option<String>) {
        let last_life = Ending { written_at: date(), exit_code, final_status };
        self.latest.send_replace(Some(Arc::new(LastLife { report, last_life })));
    }

    /// Waits until the latest record is written, or for the timeout.
    pub async fn finish(self) {
        drop(self.latest);
        if timeout(LAST, self.writer).await.is_err() {
            warn!("writing the record of this run timed out after {LAST:?}");
        }
    }
}

async fn write_on(state_dir: PathBuf, mut latest: watch::Receiver<Option<Arc<LastLife>>>) {
    let mut failed = false;
    while latest.changed().await.is_ok() {
        let Some(life) = latest.borrow_and_update().clone() else { continue };
        let state_dir = state_dir.clone();
        match spawn_blocking(move || write(&state_dir, &life)).await {
            Ok(Ok(())) if failed => {
                failed = false;
                info!("the record of this run is written again");
            }
            Ok(Err(error)) if !failed => {
                failed = true;
                warn!(
                    "cannot write the record of this run: {}",
                    JobError::from_error(ErrorClass::Broken, &error).reason
                );
            }
            _ => {} // nothing changed, or the process ends
        }
    }
}

fn write(state_dir: &Path, life: &LastLife) -> Result<(), StateError> {
    let directory = |error| StateError::Directory(state_dir.to_owned(), error);
    DirBuilder::new().recursive(true).mode(0o700).create(state_dir).map_err(directory)?;
    let path = state_dir.join(FILE);
    let json = |life: &LastLife| serde_json::to_vec(life).map_err(|error| StateError::Encode(path.clone(), error));
    let mut bytes = json(life)?;
    if bytes.len() > BYTES {
        let mut shorter = life.clone();
        let view = &mut shorter.report.published.view;
        (view.steps, view.probes) = (Vec::new(), Vec::new());
        bytes = json(&shorter)?;
    }
    if bytes.len() > BYTES {
        let error = io::Error::new(io::ErrorKind::FileTooLarge, format!("longer than {BYTES} bytes"));
        return Err(StateError::Io(path, "write", error));
    }
    small_file::replace(&path, &bytes, Durable::Yes).map_err(|error| StateError::Io(path, "write", error))
}

/// The record of the last run; none if there is none.
pub fn read(state_dir: &Path) -> Result<Option<LastLife>, StateError> {
    let path = state_dir.join(FILE);
    let bytes = match small_file::read(&path, BYTES as u64) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(None),
        Err(error) => return Err(StateError::Io(path, "read", error)),
    };
    LastLife::from_json(&bytes).map(Some).map_err(|error| StateError::Record(path, error))
}

/// Removes the record; returns whether one existed.
pub fn forget(state_dir: &Path) -> Result<bool, StateError> {
    let path = state_dir.join(FILE);
    small_file::remove(&path).map_err(|error| StateError::Io(path, "remove", error))
}

#[expect(clippy::disallowed_methods, reason = "a date is for people")]
fn date() -> String {
    rfc3339(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}

#[cfg(test)]
mod tests {
    use berth_core::view::{PhaseName, StepView, View};

    use super::*;

    fn report(phase: PhaseName) -> StatusReport {
        let mut report = StatusReport::default();
        report.published.view = View { phase, reason: "because".into(), ..View::default() };
        report
    }

    #[tokio::test]
    async fn the_latest_record_is_there_when_the_agent_has_ended() {
        let directory = tempfile::tempdir().unwrap();
        let state_dir = directory.path().join("not/there/yet");
        assert_eq!(read(&state_dir).unwrap(), None);
        let keeper = Keeper::start(&state_dir);
        keeper.keep(report(PhaseName::Boot), None, None);
        keeper.keep(report(PhaseName::Gone), Some(0), Some("drained".into()));
        keeper.finish().await;
        let life = read(&state_dir).unwrap().unwrap();
        assert_eq!((life.report, life.last_life.exit_code), (report(PhaseName::Gone), Some(0)));
        assert_eq!(life.last_life.final_status.as_deref(), Some("drained"));
        assert!(forget(&state_dir).unwrap());
        assert_eq!((read(&state_dir).unwrap(), std::fs::read_dir(&state_dir).unwrap().count()), (None, 0));
    }

    #[tokio::test]
    async fn a_directory_that_cannot_be_written_holds_nobody_up() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let keeper = Keeper::start(&file.path().join("below a file"));
        keeper.keep(report(PhaseName::Boot), None, None);
        keeper.keep(report(PhaseName::Gone), Some(0), None);
        timeout(Duration::from_secs(20), keeper.finish()).await.unwrap();
        assert!(matches!(write(&file.path().join("x"), &LastLife::default()), Err(StateError::Directory(..))));
    }

    #[test]
    fn what_is_no_record_of_this_version_is_an_error_that_says_so() {
        let state_dir = tempfile::tempdir().unwrap();
        let path = state_dir.path().join(FILE);
        for text in ["", "{}", "null", "{\"phase\":\"boot\"", "\u{fffd}"] {
            std::fs::write(&path, text).unwrap();
            assert!(matches!(read(state_dir.path()), Err(StateError::Record(_, RecordError::Invalid(_)))), "{text:?}");
        }
        let mut life = LastLife::default();
        life.report.schema_version = 7;
        std::fs::write(&path, serde_json::to_vec(&life).unwrap()).unwrap();
        assert!(matches!(read(state_dir.path()), Err(StateError::Record(_, RecordError::OtherSchema(Some(7))))));
        std::fs::write(&path, vec![b' '; BYTES + 1]).unwrap();
        assert!(matches!(read(state_dir.path()), Err(StateError::Io(_, "read", _))));
    }

    #[test]
    fn a_record_is_never_longer_than_its_bound() {
        let state_dir = tempfile::tempdir().unwrap();
        let mut life = LastLife { report: report(PhaseName::Drain), ..LastLife::default() };
        life.report.published.view.steps = vec![StepView { error: Some("x".repeat(1000)), ..StepView::default() }; 500];
        write(state_dir.path(), &life).unwrap();
        let kept = read(state_dir.path()).unwrap().unwrap().report.published.view;
        assert_eq!((kept.steps.len(), kept.reason.as_str()), (0, "because"));
        life.report.published.view.reason = "x".repeat(BYTES);
        assert!(matches!(write(state_dir.path(), &life), Err(StateError::Io(_, "write", _))));
    }
}
