//! Which config a container was made from: a label on it, so that the next start knows whether to keep what it finds.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::config::Config;

/// Keys that a running container does not depend on: another value here leaves it as it is.
const NOT_OF_THE_CONTAINER: [&str; 13] = [
    "health",
    "probe",
    "secrets_refresh",
    "registry_auth",
    "listen",
    "boot",
    "restart",
    "drain",
    "stop_timeout",
    "lifecycle",
    "spot",
    "rebalance",
    "maintenance",
];

/// The fingerprint of what the container is made from, 64 hex digits. Secrets count by reference, never by value.
pub fn fingerprint(config: &Config) -> String {
    // A Config is plain data, so it always has a JSON form; `null` would only make a container look unlike any other.
    let mut written = serde_json::to_value(config).unwrap_or_default();
    if let Some(keys) = written.as_object_mut() {
        for key in NOT_OF_THE_CONTAINER {
            keys.remove(key);
        }
    }
    let mut hex = String::new();
    for byte in Sha256::digest(written.to_string()) {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}
