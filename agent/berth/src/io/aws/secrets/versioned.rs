//! A secret or a parameter with its version: what `config=` points to is followed by it.

use std::time::Duration;

use aws_smithy_types::DateTime;

use crate::io::secret::Secret;

/// A value with its version.
#[derive(Debug)]
pub struct Versioned {
    /// The value.
    pub value: Secret,
    /// Its version, if its service has one.
    pub version: Option<String>,
    /// How long ago it was written, by the clock of its service.
    pub age: Duration,
}

/// The time between two moments of a service's clock; nothing if it did not say when.
pub(in crate::io::aws) fn age(written: Option<DateTime>, now: DateTime) -> Duration {
    let seconds = written.map_or(0, |written| now.secs().saturating_sub(written.secs()));
    Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}
