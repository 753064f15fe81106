//! Who signs: the keys of the environment, else the role of the instance.
//!
//! The SDK's cache keeps them until shortly before they expire. When the role's cannot be renewed, the last good ones stay in use,
//! even past their end: the services decide, and often allow it while the metadata service is ill.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError as SdkCredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use http::HeaderValue;
use thiserror::Error;

use crate::edge::imds::{Imds, ImdsError};
use crate::fault::Class;

/// The SDK's cache renews at a random moment of its last minutes, which may be the very last: what is signed then arrives too late.
const SPARE: Duration = Duration::from_secs(60);

/// Where credentials come from.
#[derive(Debug)]
pub(super) enum Source {
    Environment(Credentials),
    HalfSet,
    NotText,
    /// By berth's own client of the metadata: docs/decisions/0015-the-sdk.md.
    Role {
        imds: Imds,
        last: Mutex<Option<Credentials>>,
    },
}

/// As whom calls are signed.
#[derive(Debug)]
pub struct Signer {
    /// The instance's role; none for the keys of the environment.
    pub role: Option<String>,
    /// When the credentials are renewed at the latest, if they end.
    pub until: Option<SystemTime>,
}

/// Why there are no credentials.
#[derive(Debug, Error)]
pub enum CredentialsError {
    /// One of the two variables without the other.
    #[error("the environment sets only one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: set both or neither")]
    HalfSet,
    /// Keys with a character that no request may carry.
    #[error(
        "the credentials of the environment hold a character that they cannot have: check AWS_ACCESS_KEY_ID and AWS_SESSION_TOKEN"
    )]
    NotText,
    /// The role has none.
    #[error("no credentials from the instance's role")]
    Role(#[source] ImdsError),
}

impl CredentialsError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::HalfSet | Self::NotText => Class::Misconfigured,
            Self::Role(source) => source.class(),
        }
    }
}

impl Source {
    pub(super) fn new(imds: Imds, env: &dyn Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        match (set("AWS_ACCESS_KEY_ID"), set("AWS_SECRET_ACCESS_KEY")) {
            (Some(id), Some(secret)) => {
                let token = set("AWS_SESSION_TOKEN");
                // The SDK's signer takes it for granted, and panics.
                let fit =
                    [Some(&id), token.as_ref()].into_iter().flatten().all(|text| HeaderValue::from_str(text).is_ok());
                if !fit {
                    return Self::NotText;
                }
                Self::Environment(Credentials::new(id, secret, token, None, "environment"))
            }
            (None, None) => Self::Role { imds, last: Mutex::default() },
            _ => Self::HalfSet,
        }
    }

    async fn get(&self) -> Result<Credentials, Arc<CredentialsError>> {
        let (imds, last) = match self {
            Self::Environment(credentials) => return Ok(credentials.clone()),
            Self::HalfSet => return Err(Arc::new(CredentialsError::HalfSet)),
            Self::NotText => return Err(Arc::new(CredentialsError::NotText)),
            Self::Role { imds, last } => (imds, last),
        };
        let renewed = imds.credentials().await;
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
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
            (Err(error), None) => Err(Arc::new(CredentialsError::Role(error))),
        }
    }

    /// Who signs and until when: the role's name, none for the keys of the environment.
    pub(super) async fn signer(&self) -> Result<Signer, Arc<CredentialsError>> {
        let role = match self {
            Self::Role { imds, .. } => Some(imds.role().await.map_err(CredentialsError::Role)?),
            Self::Environment(_) | Self::HalfSet | Self::NotText => None,
        };
        Ok(Signer { role, until: self.get().await?.expiry() })
    }
}

impl ProvideCredentials for Source {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async { self.get().await.map_err(SdkCredentialsError::provider_error) })
    }
}
