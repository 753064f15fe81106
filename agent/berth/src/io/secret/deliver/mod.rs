//! Secrets on their way into the container: files on tmpfs, in a directory that is bind-mounted read-only.
//!
//! ```text
//!   <run-dir>/secrets/            0700, so that only root can enter it on the host
//!     berth-api/                  0700
//!       env/    env               0755, 0444: mounted at /.berth/secrets, read by the shim (shim.rs)
//!       files/  password  …       0755, 0444: mounted at /run/secrets
//!       parts                     the parts of values that were put together (deliver/parts.rs)
//!       former/ 1/ 2/ …           0700: former deliveries (deliver/delivered.rs)
//! ```
//! A bind mount refers to the directory that it was made from, so a directory is never replaced, only its files: each is written under another name and
//! renamed. Anything but tmpfs or ramfs is refused (invariant 5: no secret on a disk).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use berth_config::SecretsAs;
use zeroize::Zeroizing;

use crate::io::host::memory_fs;
use crate::io::secret::Secret;
use crate::shim;

pub use delivered::Delivered;
pub use files::DeliverError;

use files::{Existing, UNFINISHED, list, make_directory, read_file, remove, write_file};

mod delivered;
mod files;
mod parts;

/// The directory with the files of all containers.
#[derive(Clone, Debug)]
pub struct Delivery {
    root: PathBuf,
}

impl Delivery {
    /// The delivery below this run directory.
    pub fn new(run_dir: &Path) -> Self {
        Self { root: run_dir.join("secrets") }
    }

    /// Makes the directory that is mounted into the container of this name, without any value in it yet: the engine checks at the creation that it
    /// exists.
    pub fn prepare(&self, container: &str, how: SecretsAs) -> Result<PathBuf, DeliverError> {
        let run_dir = self.root.parent().unwrap_or(&self.root);
        make_directory(run_dir, 0o755, Existing::Kept)?;
        refuse_disk(run_dir)?;
        make_directory(&self.root, 0o700, Existing::Corrected)?;
        make_directory(&self.root.join(container), 0o700, Existing::Corrected)?;
        let mounted = self.mounted(container, how);
        make_directory(&mounted, 0o755, Existing::Corrected)?;
        Ok(mounted)
    }

    /// Writes the values, and removes what an earlier delivery left and this one does not have.
    pub fn write(
        &self,
        container: &str,
        how: SecretsAs,
        secrets: &BTreeMap<String, Secret>,
    ) -> Result<(), DeliverError> {
        for (name, secret) in secrets {
            check_name(name, how)?;
            check_value(name, secret, how)?;
        }
        let directory = self.prepare(container, how)?;
        if self.holds(container, how, secrets)? == Some(false) {
            delivered::keep(&self.root.join(container), &directory)?;
        }
        // Before the values, so that no value exists without its parts.
        parts::write(&self.root.join(container), secrets)?;
        match how {
            SecretsAs::Env => write_file(&directory, shim::FILE, &environment(secrets)),
            SecretsAs::Files => {
                for (name, secret) in secrets {
                    write_file(&directory, name, secret.expose())?;
                }
                remove_others(&directory, secrets)
            }
        }
    }

    /// Whether exactly these values are delivered; none if nothing is.
    pub fn holds(
        &self,
        container: &str,
        how: SecretsAs,
        secrets: &BTreeMap<String, Secret>,
    ) -> Result<Option<bool>, DeliverError> {
        let directory = self.mounted(container, how);
        match how {
            SecretsAs::Env => Ok(read_file(&directory, shim::FILE)?.map(|file| *file == *environment(secrets))),
            SecretsAs::Files => {
                let names = match list(&directory) {
                    Err(DeliverError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                        return Ok(None);
                    }
                    names => names?,
                };
                for (name, secret) in secrets {
                    if read_file(&directory, name)?.is_none_or(|file| *file != secret.expose()) {
                        return Ok(Some(false));
                    }
                }
                let known = |name: &OsString| {
                    name.to_str().is_some_and(|name| name == UNFINISHED || secrets.contains_key(name))
                };
                Ok(Some(names.iter().all(known)))
            }
        }
    }

    /// The values that are delivered, and the former ones; none if nothing is delivered.
    pub fn values(&self, container: &str, how: SecretsAs) -> Result<Option<Delivered>, DeliverError> {
        delivered::read(&self.root.join(container), &self.mounted(container, how), how)
    }

    /// Whether there is an earlier delivery. One without files is not seen: it may be a directory that was only prepared.
    pub fn is_in_place(&self, container: &str, how: SecretsAs) -> Result<bool, DeliverError> {
        match list(&self.mounted(container, how)) {
            Ok(names) => Ok(names.iter().any(|name| name != UNFINISHED)),
            Err(DeliverError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes everything of this container. It is no error if there is nothing.
    pub fn forget(&self, container: &str) -> Result<(), DeliverError> {
        remove(self.root.join(container))
    }

    /// Deletes everything of every container. It is no error if there is nothing.
    pub fn forget_all(&self) -> Result<(), DeliverError> {
        remove(self.root.clone())
    }

    fn mounted(&self, container: &str, how: SecretsAs) -> PathBuf {
        self.root.join(container).join(match how {
            SecretsAs::Env => "env",
            SecretsAs::Files => "files",
        })
    }
}

/// `NAME=VALUE` between NULs, as /proc/PID/environ has it.
fn environment(secrets: &BTreeMap<String, Secret>) -> Zeroizing<Vec<u8>> {
    let size = secrets.iter().map(|(name, secret)| name.len() + secret.expose().len() + 2).sum();
    // The size is exact: a vector that grows leaves copies that are not wiped.
    let mut file = Zeroizing::new(Vec::with_capacity(size));
    for (name, secret) in secrets {
        file.extend_from_slice(name.as_bytes());
        file.push(b'=');
        file.extend_from_slice(secret.expose());
        file.push(0);
    }
    file
}

fn check_name(name: &str, how: SecretsAs) -> Result<(), DeliverError> {
    let refuse = |how, why| Err(DeliverError::Undeliverable { name: name.to_owned(), how, why });
    match how {
        SecretsAs::Env if name.is_empty() || name.contains(['=', '\0']) => {
            refuse("an environment variable", "its name is empty or holds = or NUL")
        }
        SecretsAs::Files if matches!(name, "" | "." | ".." | UNFINISHED) || name.contains(['/', '\0']) => {
            refuse("a file", "its name is not a file name")
        }
        SecretsAs::Files if name.len() > 255 => refuse("a file", "its name is longer than 255 bytes"),
        _ => Ok(()),
    }
}

fn check_value(name: &str, secret: &Secret, how: SecretsAs) -> Result<(), DeliverError> {
    match how {
        SecretsAs::Env if secret.expose().contains(&0) => Err(DeliverError::Undeliverable {
            name: name.to_owned(),
            how: "an environment variable",
            why: "its value holds NUL; secrets_as=files can deliver it",
        }),
        _ => Ok(()),
    }
}

/// Refuses a run directory that is not in memory. If it does not exist yet, the nearest directory above it counts.
pub fn may_hold_secrets(run_dir: &Path) -> Result<(), DeliverError> {
    refuse_disk(run_dir.ancestors().find(|path| path.exists()).unwrap_or(run_dir))
}

fn refuse_disk(path: &Path) -> Result<(), DeliverError> {
    let io = |source| DeliverError::Io { doing: "look at the file system of", path: path.to_owned(), source };
    match memory_fs::holds(path).map_err(io)? {
        true => Ok(()),
        false => Err(DeliverError::OnDisk { path: path.to_owned() }),
    }
}

fn remove_others(directory: &Path, kept: &BTreeMap<String, Secret>) -> Result<(), DeliverError> {
    for name in list(directory)? {
        if !name.to_str().is_some_and(|name| kept.contains_key(name)) {
            let path = directory.join(&name);
            std::fs::remove_file(&path).map_err(|source| DeliverError::Io { doing: "remove", path, source })?;
        }
    }
    Ok(())
}
