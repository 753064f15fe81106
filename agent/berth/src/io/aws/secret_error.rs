//! What is wrong with one secret that AWS answered about, or cannot answer about. Names are told, values never.

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
    /// Its keys are asked for, and it is no JSON object.
    #[error("{reference}: the secret is not a JSON object{}", if *.is_utf16 { ", it is UTF-16: store it as UTF-8" } else { "" })]
    NotAnObject {
        /// As it is written in the config.
        reference: String,
        /// Whether it would be one in UTF-8.
        is_utf16: bool,
    },
    /// A text of the JSON object has half a surrogate pair.
    #[error("{reference}: the secret holds text that is not Unicode")]
    NotUnicode {
        /// As it is written in the config.
        reference: String,
    },
    /// Its name or its value fits into no environment, or into no file.
    #[error("{reference}: {why}")]
    Undeliverable {
        /// As it is written in the config.
        reference: String,
        /// The rest of the sentence.
        why: String,
    },
    /// All of them are more than a process can be given.
    #[error("secrets_as=env: {why}: use secrets_as=files, or fewer or shorter secrets")]
    TooLarge {
        /// Sum and limit.
        why: String,
    },
    /// A bug: nobody asked for it.
    #[error("{reference} was not fetched")]
    NotFetched {
        /// As it is written in the config.
        reference: String,
    },
    /// An answer with neither text nor bytes.
    #[error("{operation} returned no value")]
    NoValue {
        /// Which call.
        operation: Operation,
    },
    /// Parameter Store says so inside of a good answer.
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
