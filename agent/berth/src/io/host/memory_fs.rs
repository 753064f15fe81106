//! Whether a directory is in memory: what is in it does not outlive a reboot, and reaches no disk.

use std::io;
use std::path::Path;

use nix::sys::statfs::{FsType, TMPFS_MAGIC, statfs};

/// `RAMFS_MAGIC` of linux/magic.h.
const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);

/// Whether this directory is on tmpfs or ramfs.
pub fn holds(directory: &Path) -> io::Result<bool> {
    let kind = statfs(directory)?.filesystem_type();
    Ok(kind == TMPFS_MAGIC || kind == RAMFS_MAGIC)
}
