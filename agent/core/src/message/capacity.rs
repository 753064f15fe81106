//! What the host has left for the next version of the app: memory for a second container, and disk for another image.

use std::fmt;

/// What the host has left, in bytes, as far as it can be found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capacity {
    /// Memory that a new process can have without another one being swapped out.
    pub memory_available: Option<u64>,
    /// What the container that serves uses.
    pub memory_used: Option<u64>,
    /// Free on the disk that has the engine's images.
    pub disk_free: Option<u64>,
    /// The image of the container that serves, unpacked.
    pub image_size: Option<u64>,
}

/// Bytes, in the units of `docker images`: `312 MB`, `3.1 GB`.
#[derive(Clone, Copy, Debug)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 / 1_000_000 {
            megabytes @ 0..1000 => write!(f, "{megabytes} MB"),
            megabytes => write!(f, "{}.{} GB", megabytes / 1000, megabytes % 1000 / 100),
        }
    }
}

/// `memory 3.1 GB available, 312 MB used by the container; disk 12.0 GB free, 180 MB used by the image`
impl fmt::Display for Capacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = |bytes: Option<u64>| bytes.map_or_else(|| "?".to_owned(), |bytes| Bytes(bytes).to_string());
        write!(
            f,
            "memory {} available, {} used by the container; disk {} free, {} used by the image",
            known(self.memory_available),
            known(self.memory_used),
            known(self.disk_free),
            known(self.image_size)
        )
    }
}
