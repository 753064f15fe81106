//! The engine's login at a registry: ECR's authorization token, or a secret that holds username and password.

use aws_sdk_ecr::Client;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use berth_config::{RegistryAuth, SecretRef};
use berth_core::message::error::{ErrorClass, JobError};
use berth_core::message::partition::registry_region;
use serde::Deserialize;
use thiserror::Error;

use crate::io::aws::client::Aws;
use crate::io::aws::error::AwsError;
use crate::io::aws::secrets::{self, SecretsError};
use crate::io::aws::service::{Operation, Service};
use crate::io::docker::Login;
use crate::io::secret::Secret;

pub(crate) const TOKEN: Operation = Service::Ecr.operation("GetAuthorizationToken");
/// The requests of the engine to the registry, which ECR authorizes as calls of its API: a manifest, and a layer.
pub(crate) const PULL: [Operation; 2] =
    [Service::Ecr.operation("BatchGetImage"), Service::Ecr.operation("GetDownloadUrlForLayer")];
/// ECR Public, where pulls need no login.
const PUBLIC: &str = "public.ecr.aws";

/// The username and password for a registry.
#[derive(Debug)]
pub struct RegistryCredentials {
    /// `AWS` for ECR.
    pub username: String,
    /// The password.
    pub password: Secret,
}

impl RegistryCredentials {
    /// In the form that the engine takes.
    pub fn as_login(&self) -> Login<'_> {
        Login { username: &self.username, password: &self.password }
    }
}

/// Why there is no login.
#[derive(Debug, Error)]
pub enum LoginError {
    /// ECR gave no token.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// ECR's token does not have the documented form.
    #[error("{TOKEN} returned no token of the form AWS:password")]
    NotAToken,
    /// The secret was not fetched.
    #[error("registry_auth")]
    Secret(#[source] SecretsError),
    /// The secret holds something else.
    #[error("registry_auth: {secret} must hold {{\"username\":…,\"password\":…}}")]
    NotALogin {
        /// The secret.
        secret: SecretRef,
    },
}

impl LoginError {
    /// What to do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Aws(source) => source.class(),
            Self::Secret(source) => source.class(),
            Self::NotAToken => ErrorClass::Transient,
            Self::NotALogin { .. } => ErrorClass::Broken,
        }
    }
}

impl From<LoginError> for JobError {
    fn from(error: LoginError) -> Self {
        let action = match &error {
            LoginError::Aws(source) => source.denied_action(),
            LoginError::Secret(source) => source.denied_action(),
            LoginError::NotAToken | LoginError::NotALogin { .. } => None,
        };
        Self::from_error(error.class(), &error).denied(action)
    }
}

/// Whether images of this registry are pulled with ECR's token; ECR Public needs no login.
pub fn needs_token(host: &str, auth: &RegistryAuth) -> bool {
    match auth {
        RegistryAuth::Auto => registry_region(host).is_some(),
        RegistryAuth::Ecr => host != PUBLIC,
        RegistryAuth::None | RegistryAuth::Secret(_) => false,
    }
}

/// The login for a registry, as the config says; none means anonymous.
pub async fn log_in(aws: &Aws, host: &str, auth: &RegistryAuth) -> Result<Option<RegistryCredentials>, LoginError> {
    Ok(match auth {
        _ if needs_token(host, auth) => Some(login(aws, host).await?),
        RegistryAuth::Secret(secret) => Some(from_secret(aws, secret).await?),
        RegistryAuth::Auto | RegistryAuth::Ecr | RegistryAuth::None => None,
    })
}

/// ECR's login in the registry's own region; the instance's region if the host name has none.
pub async fn login(aws: &Aws, host: &str) -> Result<RegistryCredentials, LoginError> {
    let answer =
        aws.call(TOKEN, registry_region(host), |config| Client::new(config).get_authorization_token().send()).await?;
    let token = answer.authorization_data.unwrap_or_default().into_iter().next();
    let token = token.and_then(|data| data.authorization_token).map(Secret::new).ok_or(LoginError::NotAToken)?;
    let decoded = STANDARD.decode(token.expose()).map_err(|_| LoginError::NotAToken)?;
    let decoded = Secret::new(decoded);
    let text = std::str::from_utf8(decoded.expose()).map_err(|_| LoginError::NotAToken)?;
    let (username, password) = text.split_once(':').ok_or(LoginError::NotAToken)?;
    Ok(RegistryCredentials { username: username.to_owned(), password: Secret::new(password) })
}

/// The login that a secret holds as JSON.
pub async fn from_secret(aws: &Aws, secret: &SecretRef) -> Result<RegistryCredentials, LoginError> {
    #[derive(Deserialize)]
    struct LoginSecret {
        username: String,
        password: Secret,
    }
    let value = secrets::fetch_one(aws, secret).await.map_err(LoginError::Secret)?;
    // The parser's error may quote the text.
    let login: LoginSecret = serde_json::from_slice(secrets::json_of(value.expose()))
        .map_err(|_| LoginError::NotALogin { secret: secret.clone() })?;
    Ok(RegistryCredentials { username: login.username, password: login.password })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_looks_like_a_registry_of_ecr_is_none() {
        for host in [
            "",
            "docker.io",
            "12345678901.dkr.ecr.us-east-1.amazonaws.com",
            "12345678901x.dkr.ecr.us-east-1.amazonaws.com",
            "123456789012.dkr.ecr.us-east-1",
            "123456789012.dkr.ecr.us-east-1.localhost",
            "123456789012.dkr.ecr..amazonaws.com",
            "123456789012.dkr.ecrx.us-east-1.amazonaws.com",
            "123456789012.dkr.ecr.us-east-1.amazonaws.com:5000",
            "x.123456789012.dkr.ecr.us-east-1.amazonaws.com",
            "123456789012.dkr.ecr.us-east-2.evil.example",
            "public.ecr.aws",
            "public.ecr.aws.example.com",
        ] {
            assert!(!needs_token(host, &RegistryAuth::Auto), "{host}");
        }
        assert!(!needs_token(PUBLIC, &RegistryAuth::Ecr));
    }
}
