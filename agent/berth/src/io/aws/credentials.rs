//! The credentials that sign: the keys of the environment, else the role of the instance. Commands may run elsewhere, and use the SDKs' default chain.
//!
//! The SDK's cache keeps them until shortly before they expire.

use std::sync::Arc;
use std::time::SystemTime;

use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials as Keys;
use aws_credential_types::provider::error::CredentialsError as SdkCredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};

use super::chain::Chain;
use super::credentials_error::CredentialsError;
use super::imds::Imds;
use super::role::{Role, is_text};

/// Where credentials come from.
#[derive(Debug)]
pub(super) enum Credentials {
    Environment(Keys),
    HalfSet,
    NotText,
    Role(Role),
    /// For commands that run anywhere: docs/decisions/0015-the-sdk.md.
    Chain(Chain),
}

/// The credentials that sign the calls.
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

impl Credentials {
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
        Some(Self::Environment(Keys::new(id, secret, token, None, "environment")))
    }

    async fn get(&self) -> Result<(Option<&'static str>, Keys), Arc<CredentialsError>> {
        let role = match self {
            Self::Environment(credentials) => return Ok((None, credentials.clone())),
            Self::HalfSet => return Err(Arc::new(CredentialsError::HalfSet)),
            Self::NotText => return Err(Arc::new(CredentialsError::NotText { from: "the environment" })),
            Self::Role(role) => role,
            Self::Chain(chain) => return Ok(chain.get().await?),
        };
        Ok((None, role.get().await?))
    }

    /// The source of the credentials, and their end.
    pub(super) async fn signer(&self) -> Result<Signer, Arc<CredentialsError>> {
        let (from, credentials) = self.get().await?;
        let from = match (self, from) {
            (_, Some(from)) => Origin::Chain(from),
            (Self::Role(role), None) => Origin::Role(role.name().await?),
            (Self::Chain(chain), None) => Origin::Role(chain.role().name().await?),
            (Self::Environment(_) | Self::HalfSet | Self::NotText, None) => Origin::Environment,
        };
        Ok(Signer { from, until: credentials.expiry() })
    }
}

impl ProvideCredentials for Credentials {
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
