//! What the machine knows of a failure: its class and one sentence. The typed error stays in the adapters.

use std::error::Error;
use std::{fmt, io, iter};

use serde::Serialize;
use strum::{IntoStaticStr, VariantArray};

/// The kind of failure. It alone decides what berth does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ErrorClass {
    /// May pass by itself: 5xx, a refused connection, a timeout. Tried again with backoff.
    Transient,
    /// The credentials have expired: they are fetched again, then the job is tried again with backoff.
    Expired,
    /// The service has too many callers. It passes, the sooner the longer they wait.
    Throttled,
    /// The credentials do not allow it. Permanent for this boot.
    Denied,
    /// The container does not exist any more: it was removed from outside.
    Gone,
    /// It does not exist or is unusable: image not found, a secret without that key. Permanent for this boot.
    Broken,
    /// The config is invalid. Permanent for this boot.
    Misconfigured,
}

berth_config::read_as_word!(ErrorClass);

/// A failed attempt, as the machine sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobError {
    /// What to do about it.
    pub class: ErrorClass,
    /// The whole chain in one sentence, without any secret.
    pub reason: String,
    /// The IAM action that the credentials lack, `secretsmanager:GetSecretValue`; known if AWS denied a call.
    pub denied_action: Option<String>,
    /// Whether a disk of this host was full: it says nothing of what was tried.
    pub is_disk_full: bool,
}

impl ErrorClass {
    /// Whether another attempt may succeed.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Transient | Self::Expired | Self::Throttled)
    }
}

impl JobError {
    /// An error from an error and its class, the chain of sources joined by `: `. A source that says the same as the error before it is left
    /// out.
    pub fn from_error(class: ErrorClass, error: &(dyn Error + 'static)) -> Self {
        let mut texts: Vec<String> = chain(error).map(ToString::to_string).collect();
        texts.dedup();
        Self::new(class, texts.join(": "))
    }

    /// An error with a sentence of its own.
    pub fn new(class: ErrorClass, reason: impl Into<String>) -> Self {
        Self { class, reason: reason.into(), denied_action: None, is_disk_full: false }
    }

    /// The same error, with the IAM action that would have allowed the call.
    #[must_use]
    pub fn denied(mut self, action: Option<String>) -> Self {
        self.denied_action = action;
        self
    }

    /// The same error, of a disk that may be full.
    #[must_use]
    pub fn disk_full(mut self, is_disk_full: bool) -> Self {
        self.is_disk_full = is_disk_full;
        self
    }

    /// Whether another attempt may succeed.
    pub fn is_transient(&self) -> bool {
        self.class.is_transient()
    }
}

/// The error and its sources, from the outermost on. An `io::Error` that wraps another error names the source of that one, and not the
/// wrapped error itself: here the wrapped error follows.
pub fn chain<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    fn next<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        }
    }
    iter::successors(Some(error), |error| next(*error))
}

/// The first error of this type in the chain.
pub fn find<'e, E: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e E> {
    chain(error).find_map(|error| error.downcast_ref())
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer(io::Error);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("cannot read x")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[derive(Debug)]
    struct Inner;

    impl fmt::Display for Inner {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the disk is full")
        }
    }

    impl Error for Inner {}

    #[test]
    fn an_error_inside_an_io_error_is_found_and_shown_once() {
        let error = Outer(io::Error::other(Inner));
        assert!(find::<Inner>(&error).is_some());
        assert_eq!(JobError::from_error(ErrorClass::Broken, &error).reason, "cannot read x: the disk is full");
        assert!(find::<fmt::Error>(&error).is_none());
    }
}
