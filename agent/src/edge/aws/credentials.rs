//! Who signs: the keys of the environment, else the role of the instance.
//!
//! The role's credentials are kept until shortly before they expire. When they cannot be renewed, the last good ones stay
//! in use, even past their end: the services decide, and often allow it while the metadata service is ill.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use thiserror::Error;
use tokio::sync::Mutex;

use crate::edge::imds::{Imds, ImdsError};
use crate::fault::Class;

/// New credentials appear at least this long before the old expire (EC2 User Guide).
const RENEW_BEFORE: Duration = Duration::from_secs(300);

/// Where credentials come from.
#[derive(Debug)]
pub(super) enum Source {
    Environment(Credentials),
    HalfSet,
    Role { imds: Imds, cached: Mutex<Cached> },
}

#[derive(Debug, Default)]
pub(super) struct Cached {
    credentials: Option<Credentials>,
    /// A service called them expired, whatever they say of themselves.
    refused: bool,
}

/// As whom calls are signed.
#[derive(Debug)]
pub struct Signer {
    /// The instance's role; none for the keys of the environment.
    pub role: Option<String>,
    /// When the credentials end, if they do.
    pub until: Option<SystemTime>,
}

/// Why there are no credentials.
#[derive(Debug, Error)]
pub enum CredentialsError {
    /// One of the two variables without the other.
    #[error("the environment sets only one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: set both or neither")]
    HalfSet,
    /// The role has none.
    #[error("no credentials from the instance's role")]
    Role(#[source] ImdsError),
}

impl CredentialsError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::HalfSet => Class::Misconfigured,
            Self::Role(source) => source.class(),
        }
    }
}

impl Source {
    pub(super) fn new(imds: Imds, env: &dyn Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        match (set("AWS_ACCESS_KEY_ID"), set("AWS_SECRET_ACCESS_KEY")) {
            (Some(id), Some(secret)) => {
                Self::Environment(Credentials::new(id, secret, set("AWS_SESSION_TOKEN"), None, "environment"))
            }
            (None, None) => Self::Role { imds, cached: Mutex::default() },
            _ => Self::HalfSet,
        }
    }

    /// The credentials to sign with now. Calls at the same time share one look at the metadata.
    pub(super) async fn get(&self, now: SystemTime) -> Result<Credentials, CredentialsError> {
        let (imds, cached) = match self {
            Self::Environment(credentials) => return Ok(credentials.clone()),
            Self::HalfSet => return Err(CredentialsError::HalfSet),
            Self::Role { imds, cached } => (imds, cached),
        };
        let mut cached = cached.lock().await;
        if let Some(credentials) = &cached.credentials
            && !cached.refused
            && credentials.expiry().is_none_or(|end| now + RENEW_BEFORE < end)
        {
            return Ok(credentials.clone());
        }
        match (imds.credentials().await, &cached.credentials) {
            (Ok(credentials), _) => {
                *cached = Cached { credentials: Some(credentials.clone()), refused: false };
                Ok(credentials)
            }
            (Err(error), Some(last)) => {
                tracing::debug!(%error, "the role's credentials were not renewed; the last ones stay in use");
                Ok(last.clone())
            }
            (Err(error), None) => Err(CredentialsError::Role(error)),
        }
    }

    /// Who signs and until when: the role's name, none for the keys of the environment.
    pub(super) async fn signer(&self, now: SystemTime) -> Result<Signer, CredentialsError> {
        let role = match self {
            Self::Role { imds, .. } => Some(imds.role().await.map_err(CredentialsError::Role)?),
            Self::Environment(_) | Self::HalfSet => None,
        };
        Ok(Signer { role, until: self.get(now).await?.expiry() })
    }

    /// A service called these expired: the next call asks for new ones.
    pub(super) async fn refused(&self, credentials: &Credentials) {
        if let Self::Role { cached, .. } = self {
            let mut cached = cached.lock().await;
            if cached.credentials.as_ref() == Some(credentials) {
                cached.refused = true;
            }
        }
    }
}
