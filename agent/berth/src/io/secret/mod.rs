//! `Secret`, the only type that holds a secret's bytes: it cannot be printed, and is wiped when dropped. `deliver` writes them for the container, and
//! `redact` removes them from the app's output.
//!
//! It cannot wipe the buffers that the bytes came through (TLS, HTTP), which belong to the libraries.

use std::fmt;

use serde::Deserialize;
use zeroize::Zeroizing;

pub mod deliver;
pub mod redact;

/// The bytes of one secret.
pub struct Secret {
    bytes: Zeroizing<Vec<u8>>,
    parts: Vec<Secret>,
}

impl Secret {
    /// Takes the bytes over, without a copy.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: Zeroizing::new(bytes.into()), parts: Vec::new() }
    }

    /// A secret that was put together of others, which an app may write alone.
    pub fn of_parts(bytes: impl Into<Vec<u8>>, parts: Vec<Self>) -> Self {
        Self { bytes: Zeroizing::new(bytes.into()), parts }
    }

    /// The secrets that it was put together of; empty for one that was fetched.
    pub fn parts(&self) -> &[Self] {
        &self.parts
    }

    /// The bytes, for the delivery.
    pub fn expose(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// From a JSON string. An error of it may quote the value: it is never shown or chained.
impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(..)");
        assert_eq!(format!("{:#?}", Some(Secret::new("hunter2"))), "Some(\n    Secret(..),\n)");
    }
}
