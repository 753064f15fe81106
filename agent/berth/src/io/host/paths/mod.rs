//! `after`: checks once whether paths of the host exist, and are mounted if a mount is configured for them.
//!
//! A directory whose mount is still to come counts as missing: what the app writes into it goes to the wrong disk, and is hidden when the mount comes
//! (docs/decisions/0014). A file system that hangs blocks a thread, never the agent.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use tokio::sync::{Mutex, oneshot};
use tokio::time::timeout;

use berth_core::message::error::ErrorClass;
use mounts::Mounts;

mod mounts;

/// For the file systems to answer. A network file system without its server may never do so.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why not every path exists. It may come, so another check may find it.
#[derive(Debug, thiserror::Error)]
pub enum PathsError {
    /// Some do not exist.
    #[error("{}", listed(.0))]
    NotThere(Vec<Missing>),
    /// The file system does not answer.
    #[error("no answer from the file system of {paths} within {} s (`after`)", PATIENCE.as_secs())]
    NoAnswer {
        /// Which.
        paths: String,
    },
    /// No thread can be started for the check.
    #[error("cannot look at {paths} (`after`)")]
    NoThread {
        /// Which.
        paths: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl PathsError {
    /// What to do about it.
    pub fn class(&self) -> ErrorClass {
        ErrorClass::Transient
    }
}

job_error_from!(PathsError);

/// One path that is missing, and why.
#[derive(Debug, PartialEq, Eq)]
pub enum Missing {
    /// It does not exist.
    Absent(String),
    /// It lies on a mount point where nothing is mounted.
    NotMounted {
        /// As the config has it.
        path: String,
        /// The mount point.
        at: PathBuf,
        /// What names it: `/etc/fstab`, or a unit.
        named_by: PathBuf,
    },
    /// The agent cannot check.
    Unreadable {
        /// Which.
        path: String,
        /// The kernel's error.
        reason: String,
    },
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(path) => write!(f, "{path} does not exist (`after`)"),
            Self::NotMounted { path, at, named_by } => {
                write!(f, "nothing is mounted at {}, which {} names (`after={path}`)", at.display(), named_by.display())
            }
            Self::Unreadable { path, reason } => write!(f, "cannot look at {path} (`after`): {reason}"),
        }
    }
}

fn listed(missing: &[Missing]) -> String {
    missing.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Checks paths of the host.
#[derive(Debug)]
pub struct Paths {
    mounts: Mounts,
    /// One at a time: each may block a thread for ever.
    pending: Mutex<Option<PendingCheck>>,
}

/// A check that is running.
#[derive(Debug)]
struct PendingCheck {
    at: Vec<String>,
    answer: oneshot::Receiver<Vec<Missing>>,
}

impl Default for Paths {
    /// This host's.
    fn default() -> Self {
        Self::below(Path::new("/"))
    }
}

impl Paths {
    /// Paths whose mount points are configured below this directory, as `etc/fstab` and the units are below `/`.
    pub fn below(root: &Path) -> Self {
        Self { mounts: Mounts::below(root), pending: Mutex::default() }
    }

    /// Checks that all of them exist. One check; it takes at most ten seconds.
    pub async fn look(&self, paths: &[String]) -> Result<(), PathsError> {
        let mut pending = self.pending.lock().await;
        // A check that is still running, since its file system hangs, is not started a second time.
        let look = match pending.take() {
            Some(look) if look.at == paths => look,
            _ => self.begin(paths)?,
        };
        let Ok(answer) = timeout(PATIENCE, &mut pending.insert(look).answer).await else {
            return Err(PathsError::NoAnswer { paths: paths.join(", ") });
        };
        *pending = None;
        match answer {
            Ok(missing) if missing.is_empty() => Ok(()),
            Ok(missing) => Err(PathsError::NotThere(missing)),
            Err(_) => Err(PathsError::NoAnswer { paths: paths.join(", ") }),
        }
    }

    fn begin(&self, paths: &[String]) -> Result<PendingCheck, PathsError> {
        let (sender, receiver) = oneshot::channel();
        let (mounts, asked) = (self.mounts.clone(), paths.to_vec());
        // Not a thread of the runtime: at its end the runtime would wait for a thread that hangs.
        let look = move || drop(sender.send(asked.iter().filter_map(|path| missing(path, &mounts)).collect()));
        let started = thread::Builder::new().name("after".to_owned()).stack_size(256 * 1024).spawn(look);
        started
            .map(|_| PendingCheck { at: paths.to_vec(), answer: receiver })
            .map_err(|source| PathsError::NoThread { paths: paths.join(", "), source })
    }
}

/// Why a path is missing, if it is.
fn missing(path: &str, mounts: &Mounts) -> Option<Missing> {
    let looked = fs::metadata(path);
    if looked.as_ref().is_ok_and(fs::Metadata::is_dir) {
        // This triggers an automount.
        let _ = fs::read_dir(path);
    }
    let place = fs::canonicalize(path).unwrap_or_else(|_| PathBuf::from(path));
    if let Some((at, named_by)) = mounts.uncovered(&place) {
        return Some(Missing::NotMounted { path: path.to_owned(), at, named_by });
    }
    match looked {
        Ok(_) => None,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Some(Missing::Absent(path.to_owned()))
        }
        Err(error) => Some(Missing::Unreadable { path: path.to_owned(), reason: error.to_string() }),
    }
}
