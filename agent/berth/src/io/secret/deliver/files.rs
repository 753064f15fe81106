//! The directories and files of a delivery, and why one of them failed.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use berth_core::message::error::ErrorClass;
use zeroize::Zeroizing;

/// The name of a file until it is complete; no secret may have this name.
pub(super) const UNFINISHED: &str = ".berth-unfinished";

/// Why secrets cannot be delivered. The errors hold names, never values.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// The run directory is on a disk.
    #[error(
        "{path} is not on tmpfs or ramfs, and secrets are written to no disk: set --run-dir (or RUNTIME_DIRECTORY) to a directory below /run"
    )]
    OnDisk {
        /// The run directory.
        path: PathBuf,
    },
    /// A name that cannot be delivered this way.
    #[error("the secret {name:?} cannot be delivered as {how}: {why}")]
    Undeliverable {
        /// The name.
        name: String,
        /// `an environment variable` or `a file`.
        how: &'static str,
        /// The rest of the sentence.
        why: &'static str,
    },
    /// The file system refused.
    #[error("cannot {doing} {path}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl DeliverError {
    /// What to do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::OnDisk { .. } => ErrorClass::Misconfigured,
            Self::Undeliverable { .. } => ErrorClass::Broken,
            Self::Io { .. } => ErrorClass::Transient,
        }
    }
}

job_error_from!(DeliverError);

pub(super) fn remove(path: PathBuf) -> Result<(), DeliverError> {
    match std::fs::remove_dir_all(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(DeliverError::Io { doing: "remove", path, source })
        }
        _ => Ok(()),
    }
}

/// Whether the mode of an existing directory is set.
#[derive(PartialEq)]
pub(super) enum Existing {
    Kept,
    Corrected,
}

pub(super) fn make_directory(path: &Path, mode: u32, existing: Existing) -> Result<(), DeliverError> {
    let io = |doing| move |source| DeliverError::Io { doing, path: path.to_owned(), source };
    match DirBuilder::new().mode(mode).create(path) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => return Err(io("make the directory")(source)),
        Err(_) if existing == Existing::Kept => return Ok(()),
        _ => {}
    }
    // The process's umask applied to the creation.
    std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(io("set the mode of"))
}

pub(super) fn write_file(directory: &Path, name: &str, content: &[u8]) -> Result<(), DeliverError> {
    let unfinished = directory.join(UNFINISHED);
    let io = |doing, path: &Path| {
        let path = path.to_owned();
        move |source| DeliverError::Io { doing, path, source }
    };
    let mut file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)
        .map_err(io("write", &unfinished))?;
    file.write_all(content).map_err(io("write", &unfinished))?;
    file.set_permissions(Permissions::from_mode(0o444)).map_err(io("set the mode of", &unfinished))?;
    let path = directory.join(name);
    std::fs::rename(&unfinished, &path).map_err(io("write", &path))
}

/// The file's bytes, none if it does not exist.
pub(super) fn read_file(directory: &Path, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, DeliverError> {
    let path = directory.join(name);
    match std::fs::read(&path) {
        Ok(bytes) => Ok(Some(Zeroizing::new(bytes))),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(DeliverError::Io { doing: "read", path, source }),
    }
}

pub(super) fn list(directory: &Path) -> Result<Vec<OsString>, DeliverError> {
    let names = || std::fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>();
    names().map_err(|source| DeliverError::Io { doing: "list", path: directory.to_owned(), source })
}
