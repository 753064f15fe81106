//! What is wrong with one secret. An error holds names, never values.

use berth_core::message::error::ErrorClass;
use thiserror::Error;

use crate::io::aws::service::Operation;

/// One secret that cannot be used.
#[derive(Clone, Debug, Error)]
pub enum SecretError {
    /// The reference names a key of the secret, and the secret does not have it.
    #[error("{reference}: the secret has no key {key:?}")]
    NoKey {
        /// As it is written in the config.
        reference: String,
        /// The key.
        key: String,
    },
    /// Its keys are needed, and it is not a JSON object.
    #[error("{reference}: the secret is not a JSON object{}", if *.is_utf16 { ", it is UTF-16: store it as UTF-8" } else { "" })]
    NotAnObject {
        /// As it is written in the config.
        reference: String,
        /// Whether it would be one in UTF-8.
        is_utf16: bool,
    },
    /// A string of the JSON object has half a surrogate pair.
    #[error("{reference}: the secret holds text that is not Unicode")]
    NotUnicode {
        /// As it is written in the config.
        reference: String,
    },
    /// Its name or its value cannot be an environment variable, or a file.
    #[error("{reference}: {why}")]
    Undeliverable {
        /// As it is written in the config.
        reference: String,
        /// The rest of the sentence.
        why: String,
    },
    /// All secrets together are larger than the environment of a process may be.
    #[error("secrets_as=env: {why}: use secrets_as=files, or fewer or shorter secrets")]
    TooLarge {
        /// Sum and limit.
        why: String,
    },
    /// A bug: it was not requested.
    #[error("{reference} was not fetched")]
    NotFetched {
        /// As it is written in the config.
        reference: String,
    },
    /// A response with neither text nor bytes.
    #[error("{operation} returned no value")]
    NoValue {
        /// Which call.
        operation: Operation,
    },
    /// The Parameter Store reports it in a good response.
    #[error("there is no such parameter, or no such version of it")]
    NoParameter,
}

impl SecretError {
    /// What to do about it: nothing here passes by itself.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::TooLarge { .. } => ErrorClass::Misconfigured,
            Self::NoKey { .. }
            | Self::NotAnObject { .. }
            | Self::NotUnicode { .. }
            | Self::Undeliverable { .. }
            | Self::NotFetched { .. }
            | Self::NoValue { .. }
            | Self::NoParameter => ErrorClass::Broken,
        }
    }
}

job_error_from!(SecretError);
