//! The one type that a secret's bytes live in: it cannot be printed, and is wiped when dropped.
//!
//! What it cannot wipe are the buffers that the bytes came through (TLS, HTTP): those belong to the libraries.

use std::fmt;

use serde::Deserialize;
use zeroize::Zeroizing;

/// The bytes of one secret.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over, without a copy.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The bytes, for the one who delivers them.
    pub fn expose(&self) -> &[u8] {
        &self.0
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
