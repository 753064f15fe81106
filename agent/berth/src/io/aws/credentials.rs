//! Who signs: the keys of the environment, else the role of the instance. Commands may run elsewhere: they go by the SDKs' default chain.
//!
//! The SDK's cache keeps them until shortly before they expire. When the role's cannot be renewed, the last good ones stay in use,
//! even past their end: the services decide, and often allow it while the metadata service is ill.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError as SdkCredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use berth_core::message::error::ErrorClass;
use http::HeaderValue;
use thiserror::Error;

use super::chain::Chain;
use crate::io::aws::imds::{Imds, ImdsError};

/// The SDK's cache renews at a random moment of its last minutes, which may be the very last: what is signed then arrives too late.
const SPARE: Duration = Duration::from_secs(60);

/// Where credentials come from.
#[derive(Debug)]
pub(super) enum Source {
    Environment(Credentials),
    HalfSet,
    NotText,
    Role(Role),
    /// For commands that run anywhere: docs/decisions/0015-the-sdk.md.
    Chain(Chain),
}

/// The role of the instance, by berth's own client of the metadata: docs/decisions/0015-the-sdk.md.
#[derive(Debug)]
pub(super) struct Role {
    imds: Imds,
    last: Mutex<Option<Credentials>>,
}

/// As whom calls are signed.
#[derive(Debug)]
pub struct Signer {
    /// Where the credentials come from.
    pub from: Origin,
    /// When the credentials are renewed at the latest, if they end.
    pub until: Option<SystemTime>,
}

/// Where credentials come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`
    Environment,
    /// The instance's role, by name.
    Role(String),
    /// Another source of the SDKs' default chain.
    Chain(&'static str),
}

/// Why there are no credentials.
#[derive(Debug, Error)]
pub enum CredentialsError {
    /// One of the two variables without the other.
    #[error("the environment sets only one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: set both or neither")]
    HalfSet,
    /// Keys with a character that no request may carry.
    #[error(
        "the credentials from {from} have a character that no credentials have: check the access key id and the session token"
    )]
    NotText {
        /// The source.
        from: &'static str,
    },
    /// The role has none.
    #[error("no credentials from the instance's role")]
    Role(#[source] ImdsError),
    /// Nothing of the default chain is there.
    #[error(
        "no credentials: there are no keys in the environment, no profile, no web identity and no container's role, and the instance's \
         role cannot be used"
    )]
    Nowhere(#[source] ImdsError),
    /// `AWS_PROFILE`, or the `source_profile` of another profile, that is not there.
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
    /// A source of the default chain is there and has none.
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

impl Source {
    /// The agent's: the environment, else the role.
    pub(super) fn new(imds: Imds, env: &dyn Fn(&str) -> Option<String>) -> Self {
        Self::of_environment(env).unwrap_or_else(|| Self::Role(Role::new(imds)))
    }

    /// The default chain: the environment, a profile, a web identity, the container's role, the instance's role.
    pub(super) fn chain(imds: Imds, env: &dyn Fn(&str) -> Option<String>, config: &ProviderConfig) -> Self {
        Self::of_environment(env).unwrap_or_else(|| Self::Chain(Chain::new(imds, env, config)))
    }

    fn of_environment(env: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        let (id, secret) = match (set("AWS_ACCESS_KEY_ID"), set("AWS_SECRET_ACCESS_KEY")) {
            (Some(id), Some(secret)) => (id, secret),
            (None, None) => return None,
            _ => return Some(Self::HalfSet),
        };
        let token = set("AWS_SESSION_TOKEN");
        if !is_text(&id, token.as_deref()) {
            return Some(Self::NotText);
        }
        Some(Self::Environment(Credentials::new(id, secret, token, None, "environment")))
    }

    async fn get(&self) -> Result<(Option<&'static str>, Credentials), Arc<CredentialsError>> {
        let role = match self {
            Self::Environment(credentials) => return Ok((None, credentials.clone())),
            Self::HalfSet => return Err(Arc::new(CredentialsError::HalfSet)),
            Self::NotText => return Err(Arc::new(CredentialsError::NotText { from: "the environment" })),
            Self::Role(role) => role,
            Self::Chain(chain) => return Ok(chain.get().await?),
        };
        Ok((None, role.get().await?))
    }

    /// Who signs and until when.
    pub(super) async fn signer(&self) -> Result<Signer, Arc<CredentialsError>> {
        let (from, credentials) = self.get().await?;
        let from = match (self, from) {
            (_, Some(from)) => Origin::Chain(from),
            (Self::Role(role), None) => role.origin().await?,
            (Self::Chain(chain), None) => chain.role().origin().await?,
            (Self::Environment(_) | Self::HalfSet | Self::NotText, None) => Origin::Environment,
        };
        Ok(Signer { from, until: credentials.expiry() })
    }
}

/// Whether they fit into the headers that they are sent in. The SDK's signer takes it for granted, and panics.
pub(super) fn is_text(access_key_id: &str, session_token: Option<&str>) -> bool {
    [Some(access_key_id), session_token].into_iter().flatten().all(|text| HeaderValue::from_str(text).is_ok())
}

impl Role {
    pub(super) fn new(imds: Imds) -> Self {
        Self { imds, last: Mutex::default() }
    }

    async fn origin(&self) -> Result<Origin, CredentialsError> {
        Ok(Origin::Role(self.imds.role().await.map_err(CredentialsError::Role)?))
    }

    pub(super) async fn get(&self) -> Result<Credentials, CredentialsError> {
        let renewed = self.imds.credentials().await;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match (renewed, &*last) {
            (Ok(mut credentials), _) => {
                if let Some(end) = credentials.expiry_mut() {
                    *end = end.checked_sub(SPARE).unwrap_or(*end);
                }
                Ok(last.insert(credentials).clone())
            }
            (Err(error), Some(last)) => {
                tracing::debug!(%error, "the role's credentials were not renewed; the last ones stay in use");
                Ok(last.clone())
            }
            (Err(error), None) => Err(CredentialsError::Role(error)),
        }
    }
}

impl ProvideCredentials for Role {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async { self.get().await.map_err(SdkCredentialsError::provider_error) })
    }
}

impl ProvideCredentials for Source {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let (_, credentials) = self.get().await.map_err(SdkCredentialsError::provider_error)?;
            Ok(credentials)
        })
    }
}
