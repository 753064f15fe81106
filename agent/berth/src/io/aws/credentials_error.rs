//! Why there are no credentials.

use berth_core::message::error::ErrorClass;
use thiserror::Error;

use super::imds::ImdsError;

/// Why there are no credentials.
#[derive(Debug, Error)]
pub enum CredentialsError {
    /// One of the two variables without the other.
    #[error("the environment sets only one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: set both or neither")]
    HalfSet,
    /// Keys with a character that no request can carry.
    #[error(
        "the credentials from {from} contain a character that no request can carry: check the access key id and the session token"
    )]
    NotText {
        /// The source.
        from: &'static str,
    },
    /// The role has none.
    #[error("no credentials from the instance's role")]
    Role(#[source] ImdsError),
    /// The default chain has no source.
    #[error(
        "no credentials: there are no keys in the environment, no profile, no web identity and no container's role, and the instance's \
         role cannot be used"
    )]
    Nowhere(#[source] ImdsError),
    /// `AWS_PROFILE`, or the `source_profile` of another profile, that does not exist.
    #[error(
        "no credentials: the profile {name:?} is neither in the config file nor in the credentials file of the AWS CLI"
    )]
    NoProfile {
        /// Its name.
        name: String,
    },
    /// A profile that gets its credentials in a way that is left out of this binary.
    #[error(
        "no credentials: the profile {profile:?} gets them by {how}, which berth does not support; export them first: \
         eval \"$(aws configure export-credentials --profile {profile} --format env)\""
    )]
    Unsupported {
        /// The profile that was asked for.
        profile: String,
        /// How it would get them.
        how: &'static str,
    },
    /// A source of the default chain is configured and has no credentials.
    #[error("no credentials from {from}: {why}")]
    Chain {
        /// The source.
        from: &'static str,
        /// Why not.
        why: String,
    },
}

impl CredentialsError {
    /// What to do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::HalfSet
            | Self::NotText { .. }
            | Self::NoProfile { .. }
            | Self::Unsupported { .. }
            | Self::Chain { .. } => ErrorClass::Misconfigured,
            Self::Role(source) | Self::Nowhere(source) => source.class(),
        }
    }
}
