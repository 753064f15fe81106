//! The SDKs' default chain after the keys of the environment, for commands that run anywhere: a profile, a web identity, the container's role, the
//! instance's role.
//!
//! It is implemented here because the SDK's own chain does not report the source of the credentials, and goes on when the profile of `AWS_PROFILE` does
//! not exist: the next call would be signed by other credentials.

use std::error::Error as StdError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_config::ecs::EcsCredentialsProvider;
use aws_config::profile::{self, ProfileFileCredentialsProvider, ProfileSet};
use aws_config::provider_config::ProviderConfig;
use aws_config::web_identity_token::WebIdentityTokenCredentialsProvider;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError as SdkCredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_runtime::env_config::file::EnvConfigFiles;
use aws_smithy_runtime_api::client::dns::{DnsFuture, ResolveDns, ResolveDnsError};
use aws_smithy_types::error::metadata::ErrorMetadata;
use aws_types::os_shim_internal::{Env, Fs};
use berth_config::printable::message;
use berth_core::message::error::{ErrorClass, JobError, chain, find};

use super::credentials_error::CredentialsError;
use super::exchange::Unanswered;
use super::role::{Role, is_text};
use crate::io::aws::imds::Imds;
use crate::io::http::dns::Resolver;

/// The profile if none is named.
const DEFAULT: &str = "default";

const PROFILE: &str = "a profile";
const WEB_IDENTITY: &str = "a web identity";
const CONTAINER: &str = "the container's role";

const FILES: [(&str, &str); 4] = [
    ("AWS_CONFIG_FILE", PROFILE),
    ("AWS_SHARED_CREDENTIALS_FILE", PROFILE),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", WEB_IDENTITY),
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", CONTAINER),
];
/// The longest such file, in bytes.
const MOST: u64 = 1 << 20;

/// Bytes of a message of the SDK or a service.
const MAX_REASON: usize = 400;

/// The chain, with the sources that the environment names.
#[derive(Debug)]
pub(super) struct Chain {
    /// `AWS_PROFILE`
    profile: Option<String>,
    providers: Vec<(&'static str, SharedCredentialsProvider)>,
    role: Arc<Role>,
    /// The files that variables name: the variable, the source, the file.
    files: Vec<(&'static str, &'static str, PathBuf)>,
    /// `AWS_CONTAINER_CREDENTIALS_FULL_URI`, which may have a password.
    uri: Option<String>,
}

impl Chain {
    pub(super) fn new(imds: Imds, env: &dyn Fn(&str) -> Option<String>, config: &ProviderConfig) -> Self {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        let role = Arc::new(Role::new(imds));
        let container = || EcsCredentialsProvider::builder().configure(config).dns(Names).build();
        let profile = set("AWS_PROFILE");
        let of_profile = ProfileFileCredentialsProvider::builder()
            .configure(config)
            .profile_name(profile.as_deref().unwrap_or(DEFAULT))
            // The values of `credential_source` in a profile: the same sources as in the chain.
            .with_custom_provider("Ec2InstanceMetadata", role.clone() as Arc<dyn ProvideCredentials>)
            .with_custom_provider("EcsContainer", container())
            .build();
        let mut providers = vec![(PROFILE, SharedCredentialsProvider::new(of_profile))];
        if set("AWS_WEB_IDENTITY_TOKEN_FILE").is_some() {
            let of_web_identity = WebIdentityTokenCredentialsProvider::builder().configure(config).build();
            providers.push((WEB_IDENTITY, SharedCredentialsProvider::new(of_web_identity)));
        }
        let uris = ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"];
        if uris.into_iter().any(|name| set(name).is_some()) {
            providers.push((CONTAINER, SharedCredentialsProvider::new(container())));
        }
        let files =
            FILES.into_iter().filter_map(|(name, from)| Some((name, from, PathBuf::from(set(name)?)))).collect();
        Self { profile, providers, role, files, uri: set("AWS_CONTAINER_CREDENTIALS_FULL_URI") }
    }

    /// The credentials, and their source; none is the instance's role.
    pub(super) async fn get(&self) -> Result<(Option<&'static str>, Credentials), CredentialsError> {
        self.check_profile().await?;
        for &(from, ref provider) in &self.providers {
            match provider.provide_credentials().await {
                Ok(credentials) if !is_text(credentials.access_key_id(), credentials.session_token()) => {
                    return Err(CredentialsError::NotText { from });
                }
                Ok(credentials) => return Ok((Some(from), credentials)),
                // No profile, or one without credentials, such as one that only names a region.
                Err(SdkCredentialsError::CredentialsNotLoaded(_)) if from == PROFILE => {}
                Err(source) => return Err(self.refused(from, source)),
            }
        }
        match self.role.get().await {
            Ok(credentials) => Ok((None, credentials)),
            Err(CredentialsError::Role(source)) => Err(CredentialsError::Nowhere(source)),
            Err(other) => Err(other),
        }
    }

    pub(super) fn role(&self) -> &Role {
        &self.role
    }

    /// Checks what the SDK ignores, or panics at: a profile that does not exist, and keys that cannot be sent in a header.
    async fn check_profile(&self) -> Result<(), CredentialsError> {
        for (variable, from, file) in &self.files {
            if !is_finite(file) {
                let why = format!("{variable} names {}, which is not a file of at most 1 MiB", file.display());
                return Err(CredentialsError::Chain { from, why });
            }
        }
        // The provider's own error does not name the line.
        let profiles = profile::load(&Fs::real(), &Env::real(), &EnvConfigFiles::default(), None).await;
        let profiles = profiles.map_err(|error| CredentialsError::Chain { from: PROFILE, why: chain_of(&error) })?;
        let mut name = match &self.profile {
            Some(name) => name.as_str(),
            None if profiles.get_profile(DEFAULT).is_none() => return Ok(()),
            None => DEFAULT,
        };
        // A profile that assumes a role has the keys of another one. The provider reports a circle.
        let mut met = Vec::new();
        while !met.contains(&name) {
            met.push(name);
            match next_profile(&profiles, name)? {
                Some(next) => name = next,
                None => break,
            }
        }
        Ok(())
    }

    fn refused(&self, from: &'static str, source: SdkCredentialsError) -> CredentialsError {
        match unsupported(&source) {
            Some(how) => {
                let profile = self.profile.as_deref().unwrap_or(DEFAULT).to_owned();
                CredentialsError::Unsupported { profile, how }
            }
            None => {
                let why = reason(&source);
                // The SDK quotes it.
                let why = match &self.uri {
                    Some(uri) => why.replace(uri.as_str(), "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
                    None => why,
                };
                CredentialsError::Chain { from, why }
            }
        }
    }
}

/// Whether a file can be read to its end: a pipe would block the command, and `/dev/zero` fill its memory. A missing file is ignored, as by the AWS
/// CLI; `/dev/null` stands for no file.
fn is_finite(file: &Path) -> bool {
    match std::fs::metadata(file) {
        Ok(about) => file == Path::new("/dev/null") || about.is_file() && about.len() <= MOST,
        Err(_) => true,
    }
}

fn next_profile<'p>(profiles: &'p ProfileSet, name: &str) -> Result<Option<&'p str>, CredentialsError> {
    let profile = profiles.get_profile(name).ok_or_else(|| CredentialsError::NoProfile { name: name.to_owned() })?;
    let (id, token) = (profile.get("aws_access_key_id"), profile.get("aws_session_token"));
    if !is_text(id.unwrap_or_default(), token) {
        return Err(CredentialsError::NotText { from: PROFILE });
    }
    Ok(profile.get("role_arn").and(profile.get("source_profile")))
}

/// How the profile would get its credentials, if in a way that this binary leaves out. The SDK reports it as text only (aws-config,
/// `ProfileFileError::FeatureNotEnabled`).
fn unsupported(error: &SdkCredentialsError) -> Option<&'static str> {
    let text = error.source()?.to_string();
    let (_, feature) = text.split_once("cargo feature(s) enabled: ")?;
    let all = [("sso", "SSO"), ("credentials-process", "a credential_process"), ("credentials-login", "aws login")];
    all.into_iter().find_map(|(name, how)| feature.starts_with(name).then_some(how))
}

/// The useful part of the SDK's error: up to five of its sources only say that there was an error.
fn reason(error: &SdkCredentialsError) -> String {
    if let Some(of_the_role) = find::<CredentialsError>(error) {
        return chain_of(of_the_role);
    }
    match find::<Unanswered>(error) {
        Some(Unanswered::Http(source)) => return chain_of(&**source),
        Some(Unanswered::Status(status)) => return format!("the response has the status {status}"),
        _ => {}
    }
    if let Some(file) = find::<io::Error>(error) {
        return format!("the file with the token cannot be read: {file}");
    }
    if let Some((code, text)) = find::<ErrorMetadata>(error).and_then(|meta| Some((meta.code()?, meta.message()?))) {
        return message(&format!("{code}: {text}"), MAX_REASON);
    }
    let text = chain(error).last().map(ToString::to_string).unwrap_or_default();
    // It quotes the response.
    if text.starts_with("error parsing XML") {
        return "the response is not one of STS".to_owned();
    }
    message(text.strip_prefix("ProfileFile provider could not be built: ").unwrap_or(&text), MAX_REASON)
}

fn chain_of(error: &(dyn StdError + 'static)) -> String {
    message(&JobError::from_error(ErrorClass::Misconfigured, error).reason, MAX_REASON)
}

/// The process's own resolver, for the host name in `AWS_CONTAINER_CREDENTIALS_FULL_URI`.
#[derive(Debug)]
struct Names;

impl ResolveDns for Names {
    fn resolve_dns<'a>(&'a self, name: &'a str) -> DnsFuture<'a> {
        DnsFuture::new(async move { Resolver::default().lookup(name).await.map_err(ResolveDnsError::new) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_or_blocking_path_is_not_read_as_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::fs::File::create(at("long")).unwrap().set_len(MOST + 1).unwrap();
        std::fs::write(at("file"), "[default]").unwrap();
        for file in [at("pipe"), at("long"), directory.path().to_owned(), "/dev/zero".into()] {
            assert!(!is_finite(&file), "{}", file.display());
        }
        for file in [at("file"), at("none"), "/dev/null".into()] {
            assert!(is_finite(&file), "{}", file.display());
        }
    }
}
