//! A note in the run directory that an agent leaves for the next one, also in case it is killed.
//!
//! It is kept on a tmpfs only, so it outlives the process but not a reboot, and no AMI holds one (invariant 12). Its age is measured by the kernel's
//! clock that cannot be set and that goes on while the instance sleeps (CLOCK_BOOTTIME, clock_gettime(2)).

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use berth_core::view::read_json;

use crate::io::host::memory_fs;
use crate::io::host::small_file::{self, Durable};

/// The name in the run directory of the note of an unfinished drain.
pub const DRAIN: &str = "drain.json";
/// The name of the note of the targets in load balancers.
pub const TARGETS: &str = "targets.json";
/// The name of the note of the releases.
pub const RELEASES: &str = "releases.json";
/// The longest note, many times the usual length.
const BYTES: u64 = 64 * 1024;

/// The note of one run directory.
#[derive(Clone, Debug)]
pub struct Note {
    path: PathBuf,
}

/// The note cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum NoteError {
    /// The run directory is on a disk, which would keep the note over a reboot.
    #[error(
        "cannot write {}: its directory is not on tmpfs or ramfs, and the note must not outlive a reboot: set --run-dir (or \
         RUNTIME_DIRECTORY) to a directory below /run",
        .0.display()
    )]
    OnDisk(PathBuf),
    /// The file cannot be written, read or removed.
    #[error("cannot {} {}", .1, .0.display())]
    Io(PathBuf, &'static str, #[source] io::Error),
    /// It is not what this version writes.
    #[error("{} is not a note of this version of berth", .0.display())]
    Invalid(PathBuf, #[source] serde_json::Error),
}

/// The note as it is written.
#[derive(Debug, Serialize, Deserialize)]
struct Stamped<T> {
    /// When, in milliseconds since the kernel started.
    written_ms: u64,
    note: T,
}

impl Note {
    /// The note with this name in this run directory.
    pub fn new(run_dir: &Path, name: &str) -> Self {
        Self { path: run_dir.join(name) }
    }

    /// The note of the previous agent, and its age; none if there is no note.
    pub fn read<T: DeserializeOwned>(&self) -> Result<Option<(T, Duration)>, NoteError> {
        let bytes = small_file::read(&self.path, BYTES).map_err(self.io("read"))?;
        let Some(bytes) = bytes else { return Ok(None) };
        let Stamped { written_ms, note } =
            read_json(&bytes).map_err(|error| NoteError::Invalid(self.path.clone(), error))?;
        Ok(Some((note, Duration::from_millis(boot_ms().saturating_sub(written_ms)))))
    }

    /// Writes the note, which replaces the former one.
    pub fn leave<T: Serialize>(&self, note: T) -> Result<(), NoteError> {
        let run_dir = self.path.parent().unwrap_or(&self.path);
        if !memory_fs::holds(run_dir).map_err(self.io("look at the file system of"))? {
            return Err(NoteError::OnDisk(self.path.clone()));
        }
        let stamped = serde_json::to_vec(&Stamped { written_ms: boot_ms(), note });
        let bytes = stamped.map_err(|error| NoteError::Invalid(self.path.clone(), error))?;
        small_file::replace(&self.path, &bytes, Durable::No).map_err(self.io("write"))
    }

    /// Removes the note.
    pub fn clear(&self) -> Result<(), NoteError> {
        small_file::remove(&self.path).map(drop).map_err(self.io("remove"))
    }

    fn io(&self, doing: &'static str) -> impl FnOnce(io::Error) -> NoteError + '_ {
        move |error| NoteError::Io(self.path.clone(), doing, error)
    }
}

/// Milliseconds since the kernel started. Every kernel has this clock, so the call does not fail.
pub(in crate::io) fn boot_ms() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory on a tmpfs.
    fn in_memory() -> tempfile::TempDir {
        tempfile::tempdir_in("/dev/shm").unwrap()
    }

    #[test]
    fn a_note_is_read_by_the_next_agent_until_it_is_cleared() {
        let run_dir = in_memory();
        let note = Note::new(run_dir.path(), DRAIN);
        assert_eq!(note.read::<String>().unwrap(), None);
        note.leave("first").unwrap();
        note.leave("second").unwrap();
        let (text, age) = note.read::<String>().unwrap().unwrap();
        assert!(text == "second" && age < Duration::from_secs(60), "{text} {age:?}");
        note.clear().unwrap();
        note.clear().unwrap();
        assert_eq!(note.read::<String>().unwrap(), None);
    }

    #[test]
    fn its_age_is_counted_by_a_clock_that_nobody_sets() {
        let run_dir = in_memory();
        let note = Note::new(run_dir.path(), DRAIN);
        let written = |ms: u64| {
            std::fs::write(run_dir.path().join(DRAIN), format!(r#"{{"written_ms":{ms},"note":1}}"#)).unwrap();
            note.read::<u8>().unwrap().unwrap().1
        };
        assert!((Duration::from_secs(5)..Duration::from_secs(60)).contains(&written(boot_ms() - 5_000)));
        assert_eq!(written(u64::MAX), Duration::ZERO);
    }

    #[test]
    fn what_is_no_note_is_an_error_and_never_a_note() {
        let run_dir = in_memory();
        let note = Note::new(run_dir.path(), DRAIN);
        for text in ["", "{", "[]", r#"{"written_ms":-1,"note":"x"}"#, r#"{"written_ms":1,"note":7}"#, "\0\u{1}"] {
            std::fs::write(run_dir.path().join(DRAIN), text).unwrap();
            assert!(matches!(note.read::<String>(), Err(NoteError::Invalid(..))), "{text:?}");
        }
        std::fs::write(run_dir.path().join(DRAIN), vec![b' '; 65 * 1024]).unwrap();
        assert!(matches!(note.read::<String>(), Err(NoteError::Io(..))));
    }

    #[test]
    fn nothing_is_left_on_a_disk_that_would_survive_the_reboot() {
        // /sys is no tmpfs wherever a test runs.
        assert!(matches!(Note::new(Path::new("/sys"), DRAIN).leave(1), Err(NoteError::OnDisk(..))));
    }
}
