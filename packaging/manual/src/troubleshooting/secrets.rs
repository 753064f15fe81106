//! Secrets that AWS answered about, and their way into the container.

use std::io;

use berth::io::aws::secret_error::SecretError;
use berth::io::secret::deliver::DeliverError;

use super::Advice::Passes;
use super::codes::SECRET;
use super::{Section, entry, rows};

fn reference() -> String {
    "REFERENCE".to_owned()
}

rows! { secrets, SecretError, |error| Some(error.class());
    SecretError::NoKey { .. }, SecretError::NoKey { reference: reference(), key: "KEY".to_owned() } => entry(
        Section::Secrets,
        "The secret is a JSON object without this key. Keys are case-sensitive.",
        "correct the key behind `#`, or store the key. See the keys:",
        &["aws secretsmanager get-secret-value --secret-id prod/api --query SecretString --output text | jq keys"],
    );
    SecretError::NotAnObject { .. }, SecretError::NotAnObject { reference: reference(), is_utf16: false } => entry(
        Section::Secrets,
        "`secrets=` and `…#key` need a secret that is one JSON object, `{\"NAME\":\"value\"}`. This one is text, or JSON of another kind.",
        "take a plain secret by `secret.NAME=REFERENCE` without `#`, or store it as an object in UTF-8.",
        &[],
    );
    SecretError::NotUnicode { .. }, SecretError::NotUnicode { reference: reference() } => entry(
        Section::Secrets,
        "A value of the JSON object has half a surrogate pair (`\\ud800`), which no text can have.",
        "store the value again; bytes go into a secret of their own, as `SecretBinary`.",
        &[],
    );
    SecretError::Undeliverable { .. }, SecretError::Undeliverable {
        reference: reference(),
        why: "\"NAME\" cannot be the name of an environment variable".to_owned(),
    } => entry(
        Section::Secrets,
        "A key of the secret cannot be the name of a variable (empty, or with `=`) or of a file (with `/`, or longer than 255 bytes), or a \
         value holds a NUL byte.",
        "rename the key, take it by `secret.NAME=REFERENCE#key`, or deliver bytes with `secrets_as=files`.",
        &[],
    );
    SecretError::TooLarge { .. }, SecretError::TooLarge { why: "REASON".to_owned() } => entry(
        Section::Secrets,
        "Linux gives a process one variable of at most 128 KiB, and arguments and environment of at most a quarter of its stack limit.",
        "use `secrets_as=files`, or take fewer secrets.",
        &[],
    );
    SecretError::NotFetched { .. }, SecretError::NotFetched { reference: reference() } => entry(
        Section::Secrets,
        "A bug in berth.",
        "report it, with the config (without values) and the log.",
        &["journalctl -u berth --boot --output json >berth.log"],
    );
    SecretError::NoValue { .. }, SecretError::NoValue { operation: SECRET } => entry(
        Section::Secrets,
        "The version of the secret exists and has no value yet.",
        "put a value, or name another version.",
        &["aws secretsmanager put-secret-value --secret-id prod/api --secret-string file://secret.json"],
    );
    SecretError::NoParameter, SecretError::NoParameter => entry(
        Section::Secrets,
        "Parameter Store has no parameter of the name in front of this sentence, in the instance's region and account, or it has no such \
         version or label.",
        "correct the name; it begins with `/` if it has a path.",
        &["aws ssm get-parameters --names /prod/key --query InvalidParameters"],
    );
}

rows! { delivery, DeliverError, |error| Some(error.class());
    DeliverError::OnDisk { .. }, DeliverError::OnDisk { path: "DIRECTORY".into() } => entry(
        Section::Secrets,
        "berth writes secrets to no disk, and the run directory is on one.",
        "under systemd the run directory is `/run/berth`. By hand, or with a drop-in, name a directory below `/run`.",
        &["findmnt --target /run/berth"],
    );
    DeliverError::Undeliverable { .. }, DeliverError::Undeliverable {
        name: "NAME".to_owned(),
        how: "an environment variable",
        why: "its name is empty or holds = or NUL",
    } => entry(
        Section::Secrets,
        "The name or the value of a secret does not fit into the environment, or into a file.",
        "rename the key, or use `secrets_as=files`.",
        &[],
    );
    DeliverError::Io { .. }, DeliverError::Io {
        doing: "write",
        path: "PATH".into(),
        source: io::Error::from_raw_os_error(28),
    } => Passes;
}
