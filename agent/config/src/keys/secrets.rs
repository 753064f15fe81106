//! The keys for secrets and for the login to the registry.

use std::time::Duration;

use crate::config::policy::{OnChange, Refresh, RegistryAuth};
use crate::keys::key::KeyDefault::{Value as By, Words};
use crate::keys::key::{ForeignWord, Key, Section, choice, put, same};
use crate::value::scalar::duration_from;
use crate::value::secret_ref::SecretRef;
use crate::value::template::SecretValue;
use crate::value::{Reason, Value, container};

/// The keys of secrets and of the registry.
pub(super) static SECTION: Section = Section {
    title: "Secrets and the registry",
    intro: "",
    keys: &[&[
        Key {
            name: "secret.NAME",
            about: "one secret, or one key of a JSON secret, as one variable or file; or a text with several, each as `${…}` (`$${` is \
                 the text `${`); see below",
            default: Words("none"),
            examples: &[
                "secret.DB_PASSWORD=prod/db#password",
                "secret.DB_URL='postgres://app:${prod/db#password}@db/app'",
            ],
            resolve: |c, v, name| {
                container::env_name(name)?;
                c.secret.insert(name.to_owned(), SecretValue::parse(v.one()?)?);
                Ok(())
            },
        },
        Key {
            name: "secrets",
            about: "list of secrets that are JSON objects; each key becomes a variable or file; a later secret wins, `secret.NAME` wins \
                 over all",
            default: Words("none"),
            examples: &["prod/api,prod/jwt"],
            resolve: |c, v, _| put(&mut c.secrets, v.each(whole_secret)),
        },
        Key {
            name: "secrets_as",
            about: "`env`: variables of the process, not in `docker inspect` and not on disk; `files`: one file each in `/run/secrets`, \
                 on tmpfs",
            default: By("env"),
            examples: &["files"],
            resolve: |c, v, _| put(&mut c.secrets_as, choice(v)),
        },
        Key {
            name: "secrets_refresh",
            about: "how often to check for rotated values, and what a change does: `1h` or `1h,restart` (restart the app), \
                 `1h,signal:HUP` (send it a signal), `off`",
            default: By("off"),
            examples: &["1h,signal:HUP"],
            resolve: |c, v, _| put(&mut c.secrets_refresh, refresh(v)),
        },
        Key {
            name: "registry_auth",
            about: "`auto`: ECR's login if the image's host is ECR, else none · `ecr` · `none` · a secret with \
                 `{\"username\":…,\"password\":…}`",
            default: By("auto"),
            examples: &["prod/registry"],
            resolve: |c, v, _| put(&mut c.registry_auth, v.one().and_then(registry_auth)),
        },
    ]],
    foreign: &[FOREIGN],
};

/// Words of other programs.
static FOREIGN: &[ForeignWord] = &[
    same("valueFrom", "secret.NAME", "one key for each variable, with the reference as its value"),
    same("repositoryCredentials credentialsParameter", "registry_auth", "the name or ARN of the secret"),
];

fn whole_secret(text: &str) -> Result<SecretRef, Reason> {
    let secret = SecretRef::parse(text)?;
    if secret.is_one_key() {
        return Err("names one key of a secret: write it as `secret.NAME=…`".into());
    }
    Ok(secret)
}

/// `1h`, `1h,restart`, `1h,signal:HUP`, `off`.
fn refresh(value: &Value) -> Result<Option<Refresh>, Reason> {
    const EXPECTED: &str = "is not `INTERVAL`, `INTERVAL,restart`, `INTERVAL,signal:NAME` or `off`";
    let list = value.list();
    let (every, on_change) = match list.as_slice() {
        [off] if off == "off" => return Ok(None),
        [every] => (every, "restart"),
        [every, on_change] => (every, on_change.as_ref()),
        _ => return Err(EXPECTED.into()),
    };
    let every = duration_from(Duration::from_secs(1), every)?;
    let on_change = match on_change.strip_prefix("signal:") {
        Some(signal) => {
            let name = container::signal(signal)?;
            OnChange::Signal(name.strip_prefix("SIG").map_or(name.clone(), str::to_owned))
        }
        None if on_change == "restart" => OnChange::Restart,
        None => return Err(EXPECTED.into()),
    };
    Ok(Some(Refresh { every, on_change }))
}

fn registry_auth(text: &str) -> Result<RegistryAuth, Reason> {
    match text {
        "auto" => Ok(RegistryAuth::Auto),
        "ecr" => Ok(RegistryAuth::Ecr),
        "none" => Ok(RegistryAuth::None),
        secret => whole_secret(secret).map(RegistryAuth::Secret),
    }
}
