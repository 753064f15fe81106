//! All secrets of a config: both services side by side, JSON keys extracted, names checked, every error reported at once.
//!
//! No error holds a value: it names the secret and the key.

use std::collections::{BTreeMap, BTreeSet};

use berth_config::{Config, SecretRef, SecretValue, SecretsAs};
use berth_core::message::error::{ErrorClass, JobError};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::io::aws::client::Aws;
use crate::io::aws::error::AwsError;
use crate::io::aws::secret_error::SecretError;
use crate::io::aws::secrets_manager::SecretVersion;
use crate::io::secret::Secret;
use crate::io::{aws::exec_limits, aws::parameter_store, aws::secrets_manager};

pub use template::remarks;
pub use versioned::Versioned;

mod template;
pub(super) mod versioned;

/// Why some secrets cannot be used: every error of the fetch, each with the names of its secrets.
#[derive(Debug, Error)]
#[error("{}", joined(.errors))]
pub struct SecretsError {
    /// At least one.
    pub errors: Vec<JobError>,
}

impl SecretsError {
    /// What to do about it: an error that is not transient decides, then one that is throttled.
    pub fn class(&self) -> ErrorClass {
        let permanent = self.errors.iter().find(|error| !error.is_transient());
        let throttled = || self.errors.iter().find(|error| error.class == ErrorClass::Throttled);
        permanent.or_else(throttled).map_or(ErrorClass::Transient, |error| error.class)
    }

    /// The IAM action that the credentials lack; of several errors the first that knows one decides.
    pub fn denied_action(&self) -> Option<String> {
        self.errors.iter().find_map(|error| error.denied_action.clone())
    }

    fn unless_empty(errors: Vec<JobError>) -> Result<(), Self> {
        if errors.is_empty() { Ok(()) } else { Err(Self { errors }) }
    }
}

impl From<SecretsError> for JobError {
    fn from(error: SecretsError) -> Self {
        Self::from_error(error.class(), &error).denied(error.denied_action())
    }
}

fn joined(errors: &[JobError]) -> String {
    errors.iter().map(|error| error.reason.as_str()).collect::<Vec<_>>().join("; ")
}

/// The value of every name that the config's `secrets` and `secret.NAME` give to the app. More than the environment of a process may hold is refused
/// here, and not by every start of the app.
pub async fn fetch(aws: &Aws, config: &Config) -> Result<BTreeMap<String, Secret>, SecretsError> {
    let secrets = fetch_named(aws, &config.secrets, &config.secret, config.secrets_as).await?;
    match config.secrets_as {
        SecretsAs::Env => match exec_limits::too_large(config, &secrets) {
            Some(why) => Err(SecretsError { errors: vec![SecretError::TooLarge { why }.into()] }),
            None => Ok(secrets),
        },
        SecretsAs::Files => Ok(secrets),
    }
}

/// The same, from the keys of the config that matter: `all` are objects whose keys become names, `named` win over them.
pub async fn fetch_named(
    aws: &Aws,
    all: &[SecretRef],
    named: &BTreeMap<String, SecretValue>,
    secrets_as: SecretsAs,
) -> Result<BTreeMap<String, Secret>, SecretsError> {
    let whole = all.iter().map(|reference| (reference, None));
    let fetched =
        FetchedSecrets::fetch(aws, whole.chain(named.iter().flat_map(|(name, value)| template::places(name, value))))
            .await?;
    let (mut secrets, mut errors) = (BTreeMap::new(), Vec::new());
    let mut put = |from: String, values: Result<Vec<(String, Secret)>, Vec<JobError>>| match values {
        Ok(values) => {
            for (name, secret) in values {
                match unusable(secrets_as, &name, &secret) {
                    Some(why) => errors.push(SecretError::Undeliverable { reference: from.to_string(), why }.into()),
                    None => drop(secrets.insert(name, secret)),
                }
            }
        }
        Err(mut more) => errors.append(&mut more),
    };
    for reference in all {
        put(reference.to_string(), fetched.all_keys(reference).map_err(|error| vec![error]));
    }
    for (name, value) in named {
        let (from, secret) = match value {
            SecretValue::Reference(reference) => {
                (reference.to_string(), fetched.value(reference).map_err(|error| vec![error]))
            }
            SecretValue::Template(template) => {
                (format!("secret.{name}"), template::fill_in(name, template, |reference| fetched.value(reference)))
            }
        };
        put(from, secret.map(|secret| vec![(name.clone(), secret)]));
    }
    SecretsError::unless_empty(errors)?;
    Ok(secrets)
}

/// Whether the fetch of this config's secrets uses `BatchGetSecretValue`.
pub fn is_batched(config: &Config) -> bool {
    secrets_manager::is_batched(managed(config))
}

/// Tries only those calls, which the fetch replaces by single ones when they are denied.
pub async fn try_batches(aws: &Aws, config: &Config) -> Result<(), AwsError> {
    secrets_manager::try_batches(aws, managed(config)).await
}

fn managed(config: &Config) -> BTreeSet<SecretVersion> {
    let all = config.secrets.iter().chain(config.secret.values().flat_map(SecretValue::references));
    all.filter_map(|reference| SecretId::of(reference).managed()).collect()
}

/// One secret, whole or one key of it.
pub async fn fetch_one(aws: &Aws, reference: &SecretRef) -> Result<Secret, SecretsError> {
    let fetched = FetchedSecrets::fetch(aws, [(reference, None)]).await?;
    fetched.value(reference).map_err(|error| SecretsError { errors: vec![error] })
}

/// One whole secret with its version, by one call.
pub async fn fetch_versioned(aws: &Aws, reference: &SecretRef) -> Result<Versioned, SecretsError> {
    let (name, fetched) = match SecretId::of(reference) {
        SecretId::Managed(wanted) => (wanted.to_string(), secrets_manager::fetch_versioned(aws, wanted).await),
        SecretId::Parameter(name) => (parameter_name(name), parameter_store::fetch_versioned(aws, name).await),
    };
    let named = |error: JobError| JobError { reason: format!("{name}: {}", error.reason), ..error };
    fetched.map_err(|error| SecretsError { errors: vec![named(error)] })
}

/// The secrets, before their keys are extracted.
#[derive(Debug)]
struct FetchedSecrets {
    managed: BTreeMap<SecretVersion, Secret>,
    parameters: BTreeMap<String, Secret>,
}

impl FetchedSecrets {
    /// Each secret once, however often it is referred to. A reference in a template comes with its place, for errors.
    async fn fetch(
        aws: &Aws,
        references: impl IntoIterator<Item = (&SecretRef, Option<String>)>,
    ) -> Result<Self, SecretsError> {
        let (mut managed, mut parameters) = (BTreeSet::new(), BTreeSet::new());
        let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (reference, place) in references {
            let name = match SecretId::of(reference) {
                SecretId::Managed(wanted) => {
                    let name = wanted.to_string();
                    managed.insert(wanted);
                    name
                }
                SecretId::Parameter(name) => {
                    parameters.insert(name.to_owned());
                    parameter_name(name)
                }
            };
            places.entry(name).or_default().extend(place);
        }
        let (managed, parameters) =
            tokio::join!(secrets_manager::fetch(aws, managed), parameter_store::fetch(aws, parameters));
        // One refused call may fail many secrets: its reason is reported once, after their names.
        let mut failed: BTreeMap<String, (JobError, Vec<String>)> = BTreeMap::new();
        let mut fail = |mut name: String, error: JobError| {
            if let Some(places) = places.get(&name).filter(|places| !places.is_empty()) {
                name = format!("{name} ({})", places.join(", "));
            }
            failed.entry(error.reason.clone()).or_insert_with(|| (error, Vec::new())).1.push(name);
        };
        let mut fetched = Self { managed: BTreeMap::new(), parameters: BTreeMap::new() };
        for (wanted, result) in managed {
            match result {
                Ok(secret) => drop(fetched.managed.insert(wanted, secret)),
                Err(error) => fail(wanted.to_string(), error),
            }
        }
        for (name, result) in parameters {
            match result {
                Ok(secret) => drop(fetched.parameters.insert(name, secret)),
                Err(error) => fail(parameter_name(&name), error),
            }
        }
        let errors = failed
            .into_values()
            .map(|(error, names)| JobError { reason: format!("{}: {}", names.join(", "), error.reason), ..error });
        SecretsError::unless_empty(errors.collect())?;
        Ok(fetched)
    }

    fn whole(&self, reference: &SecretRef) -> Result<&Secret, JobError> {
        let found = match SecretId::of(reference) {
            SecretId::Managed(wanted) => self.managed.get(&wanted),
            SecretId::Parameter(name) => self.parameters.get(name),
        };
        found.ok_or_else(|| SecretError::NotFetched { reference: reference.to_string() }.into())
    }

    /// The secret, or its key.
    fn value(&self, reference: &SecretRef) -> Result<Secret, JobError> {
        let whole = self.whole(reference)?;
        let Some(key) = SecretId::json_key(reference) else {
            return Ok(Secret::new(whole.expose()));
        };
        let object = object(whole, reference)?;
        let value = object
            .get(key)
            .ok_or_else(|| SecretError::NoKey { reference: reference.to_string(), key: key.to_owned() })?;
        plain(value, reference)
    }

    /// Every key of the secret's JSON object, or of the object at its key.
    fn all_keys(&self, reference: &SecretRef) -> Result<Vec<(String, Secret)>, JobError> {
        let secret = self.value(reference)?;
        let object = object(&secret, reference)?;
        object.into_iter().map(|(key, value)| Ok((key, plain(value, reference)?))).collect()
    }
}

fn parameter_name(name: &str) -> String {
    SecretRef::Parameter { name: name.to_owned(), json_key: None }.to_string()
}

/// A reference without its key.
enum SecretId<'r> {
    Managed(SecretVersion),
    Parameter(&'r str),
}

impl<'r> SecretId<'r> {
    fn of(reference: &'r SecretRef) -> Self {
        match reference {
            SecretRef::Managed { id, version_stage, version_id, .. } => Self::Managed(SecretVersion {
                id: id.clone(),
                version_stage: version_stage.clone().filter(|stage| stage != "AWSCURRENT"),
                version_id: version_id.clone(),
            }),
            SecretRef::Parameter { name, .. } => Self::Parameter(name),
        }
    }

    fn managed(self) -> Option<SecretVersion> {
        match self {
            Self::Managed(wanted) => Some(wanted),
            Self::Parameter(_) => None,
        }
    }

    fn json_key(reference: &SecretRef) -> Option<&str> {
        match reference {
            SecretRef::Managed { json_key, .. } | SecretRef::Parameter { json_key, .. } => json_key.as_deref(),
        }
    }
}

/// The keys of a JSON object. Its values are not copied, and stay as they are written.
fn object<'s>(secret: &'s Secret, reference: &SecretRef) -> Result<BTreeMap<String, &'s RawValue>, JobError> {
    // The parser's error may quote the text.
    serde_json::from_slice(json_of(secret.expose())).map_err(|_| {
        SecretError::NotAnObject { reference: reference.to_string(), is_utf16: is_utf16(secret.expose()) }.into()
    })
}

/// JSON without the byte order mark that editors on Windows and PowerShell put before UTF-8. A parser may ignore it (RFC 8259, section 8.1). A value
/// that is delivered whole keeps it.
pub(crate) fn json_of(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// Whether this begins as UTF-16 does, with its byte order mark or with the brace of an object.
fn is_utf16(bytes: &[u8]) -> bool {
    matches!(bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [b'{', 0, ..] | [0, b'{', ..])
}

/// A JSON value as the app gets it: strings as they are, everything else as compact JSON.
fn plain(value: &RawValue, reference: &SecretRef) -> Result<Secret, JobError> {
    let json = value.get();
    if !json.starts_with('"') {
        return Ok(Secret::new(compact(json)));
    }
    serde_json::from_str::<Secret>(json)
        .map_err(|_| SecretError::NotUnicode { reference: reference.to_string() }.into())
}

/// JSON without the white space between its tokens; numbers stay as written.
fn compact(json: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    json.chars()
        .filter(|c| {
            let between = !in_string && c.is_ascii_whitespace();
            if *c == '"' && !escaped {
                in_string = !in_string;
            }
            escaped = in_string && *c == '\\' && !escaped;
            !between
        })
        .collect()
}

/// Why a name and its value cannot be delivered.
fn unusable(secrets_as: SecretsAs, name: &str, secret: &Secret) -> Option<String> {
    let shown: String = name.chars().take(100).collect();
    match secrets_as {
        SecretsAs::Env if name.is_empty() || name.contains(['=', '\0']) => {
            Some(format!("{shown:?} cannot be the name of an environment variable"))
        }
        SecretsAs::Env if secret.expose().contains(&0) => {
            Some(format!("the value for {shown:?} holds a NUL byte, which no environment can: use secrets_as=files"))
        }
        // NAME_MAX is 255 on every file system that matters.
        SecretsAs::Files if matches!(name, "" | "." | "..") || name.contains(['/', '\0']) || name.len() > 255 => {
            Some(format!("{shown:?} cannot be the name of a file"))
        }
        _ => None,
    }
}
