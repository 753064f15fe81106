//! The credentials of the instance's role, by berth's own client of the metadata: docs/decisions/0015-the-sdk.md.
//!
//! When they cannot be renewed, the last good ones stay in use, even past their end: the services decide, and often accept them while the
//! metadata service is degraded.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError as SdkCredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use http::HeaderValue;

use super::credentials_error::CredentialsError;
use super::imds::Imds;

/// The credentials are treated as expired this long before they are. The SDK's cache renews them at a random moment of their last minutes, and a
/// request that is signed in the last seconds arrives too late.
const SPARE: Duration = Duration::from_secs(60);

/// The role of the instance.
#[derive(Debug)]
pub(super) struct Role {
    imds: Imds,
    last: Mutex<Option<Credentials>>,
}

impl Role {
    pub(super) fn new(imds: Imds) -> Self {
        Self { imds, last: Mutex::default() }
    }

    /// Its name.
    pub(super) async fn name(&self) -> Result<String, CredentialsError> {
        self.imds.role().await.map_err(CredentialsError::Role)
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

/// Whether the keys can be sent in a header. The SDK's signer does not check that, and panics.
pub(super) fn is_text(access_key_id: &str, session_token: Option<&str>) -> bool {
    [Some(access_key_id), session_token].into_iter().flatten().all(|text| HeaderValue::from_str(text).is_ok())
}
