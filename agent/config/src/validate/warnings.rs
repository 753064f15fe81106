//! Warnings: what is legal and unwise, with its location. A warning never shows a value and never refuses a config.

use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::error::code::Code;
use crate::error::{ConfigErrors, Location, Position};
use crate::parse::layers::Layers;
use crate::validate::hints;
use crate::value::health::ProbeMethod;
use crate::value::path::clean;
use crate::value::scalar::duration_text;
use crate::value::secret_like;
use crate::value::secret_ref::SecretRef;
use crate::value::template::SecretValue;

/// The longest heartbeat timeout of a lifecycle hook (API reference, PutLifecycleHook).
const HEARTBEAT: Duration = Duration::from_secs(7200);

/// The longest that heartbeats keep a hook waiting (API reference, PutLifecycleHook: GlobalTimeout).
const GLOBAL: Duration = Duration::from_secs(48 * 3600);

/// Sockets of engines: a process that can write to one is root on the host.
const SOCKETS: [&str; 4] = ["docker.sock", "containerd.sock", "podman.sock", "crio.sock"];

/// Folders of the host with much more than an app needs, and whether only writing to them is unwise.
const FOLDERS: [(&str, bool); 17] = [
    ("/bin", true),
    ("/boot", true),
    ("/dev", false),
    ("/etc", true),
    ("/lib", true),
    ("/lib64", true),
    ("/proc", false),
    ("/root", false),
    ("/run", false),
    ("/sbin", true),
    ("/sys", true),
    ("/usr", true),
    ("/var", false),
    ("/var/lib", false),
    ("/var/lib/docker", false),
    ("/var/lib/berth", false),
    ("/var/run", false),
];

impl Layers {
    /// Every warning about this config.
    pub fn warnings(&self, config: &Config) -> ConfigErrors {
        let mut warnings = ConfigErrors::default();
        self.warn_of_sources(&mut warnings);
        self.warn_of_secrets(config, &mut warnings);
        self.warn_of_the_host(config, &mut warnings);
        self.warn_of_isolation(config, &mut warnings);
        self.warn_of_the_drain(config, &mut warnings);
        self.warn_of_pitfalls(config, &mut warnings);
        let none = config.network.as_deref() == Some("none");
        if none && !config.ports.is_empty() {
            let key = if self.location("port").is_some() { "port" } else { "ports" };
            warnings.add(
                Code::NotPublished,
                self.location(key),
                Some(key),
                || "is not published: with `network=none` the engine publishes no ports",
            );
        }
        self.warn_of_the_probe(config, &mut warnings);
        self.warn_of_target_groups(config, &mut warnings);
        self.warn_of_releases(config, &mut warnings);
        self.warn_of_the_network(&mut warnings);
        warnings.sort();
        warnings
    }

    /// Keys without effect for this `health`, or for every default of it.
    fn warn_of_the_probe(&self, config: &Config, warnings: &mut ConfigErrors) {
        let mut warn = |key: &str, reason: &'static str| {
            if let location @ Some(_) = self.location(key) {
                warnings.add(Code::UnusedKey, location, Some(key), || reason);
            }
        };
        match &config.health {
            Some(ProbeMethod::None) => {
                for key in ["probe.interval", "probe.timeout", "probe.healthy", "probe.unhealthy"] {
                    warn(key, "has no effect with `health=none`: there is no probe");
                }
            }
            Some(_) => warn("probe.running_for", "has no effect with a probe: it applies only to `health=none`"),
            None => {}
        }
        if !config.health.as_ref().is_some_and(ProbeMethod::is_http) {
            for key in ["probe.host", "probe.expect"] {
                warn(
                    key,
                    "has no effect without an HTTP health check: write `health=/path`, `health=https:PORT/path` or a URL",
                );
            }
        }
    }

    fn warn_of_sources(&self, warnings: &mut ConfigErrors) {
        let within = |source: &Arc<str>| Some(Location { source: Arc::clone(source), at: Position::Within });
        for source in &self.empty {
            warnings.add(
                Code::EmptyConfig,
                within(source),
                None,
                || "has a config without keys: the other layers decide what runs",
            );
        }
        if let Some(source) = &self.too_long {
            warnings.add(
                Code::UserDataTooLong,
                within(source),
                None,
                || "is longer than 16 KB, the limit of EC2 for user-data: move keys to the document that `config=` points to, or compress it with gzip",
            );
        }
    }

    fn warn_of_secrets(&self, config: &Config, warnings: &mut ConfigErrors) {
        for (name, value) in &config.env {
            let key = format!("env.{name}");
            if secret_like::is_reference(value) {
                warnings.add(Code::PlainReference, self.location(&key), Some(&key), || {
                    format!("is passed to the app as this text: to fetch the secret, write `secret.{name}=…`")
                });
            } else if secret_like::is_secret(name, value) {
                warnings.add(Code::PlainSecret, self.location(&key), Some(&key), || {
                    format!(
                        "looks like a secret in plain text, which user-data and `docker inspect` show: write `secret.{name}=…` and keep \
                         it in Secrets Manager or the Parameter Store"
                    )
                });
            } else if value.contains("${") && hints::holds_variable(value) {
                warnings.add(
                    Code::UnfilledVariable,
                    self.location(&key),
                    Some(&key),
                    || "has a variable (`${…}`), and berth replaces no variables: the app gets this text; only `secret.NAME` takes `${…}`, for secrets",
                );
            }
        }
        for (name, value) in &config.secret {
            let SecretValue::Template(template) = value else { continue };
            let key = format!("secret.{name}");
            if template.holds_password() {
                warnings.add(Code::PlainSecret, self.location(&key), Some(&key), || {
                    "has a password in plain text, which user-data shows: move it to a secret, and write `${…}` in its place"
                });
            }
            for (reference, at) in template.references().filter(|(reference, _)| is_variable(reference)) {
                warnings.add(Code::UnfilledVariable, self.location(&key), Some(&key), || {
                    format!(
                        "`${{{reference}}}` at character {at} reads the secret `{reference}` and looks like a variable: berth replaces no \
                         variables"
                    )
                });
            }
        }
        let health = match &config.health {
            Some(ProbeMethod::Cmd(words)) => words.as_slice(),
            _ => &[],
        };
        let commands = [
            ("command", config.command.as_deref()),
            ("entrypoint", config.entrypoint.as_deref()),
            ("health", Some(health)),
        ];
        for (key, words) in commands {
            if words.unwrap_or_default().iter().any(|word| secret_like::is_secret_argument(word)) {
                warnings.add(
                    Code::SecretArgument,
                    self.location(key),
                    Some(key),
                    || "looks like a secret on a command line, which process lists show: use `secret.NAME=…`",
                );
            }
        }
    }

    fn warn_of_the_host(&self, config: &Config, warnings: &mut ConfigErrors) {
        let mut warn = |code, key: &str, reason: String| warnings.add(code, self.location(key), Some(key), || reason);
        if config.privileged {
            warn(Code::Privileged, "privileged", "gives the container every device and capability, and so root on the host: use `cap_add=` and `devices=` for single ones".into());
        }
        if let Some(name) = config.cap_add.iter().find(|name| is_all_of_the_host(name)) {
            warn(
                Code::Privileged,
                "cap_add",
                format!("`{name}` gives the container most of root's rights on the host"),
            );
        }
        for volume in &config.volumes {
            let Some(source) = volume.source.as_deref().filter(|source| source.starts_with('/')) else { continue };
            let source = clean(source);
            if SOCKETS.iter().any(|socket| source.rsplit('/').next() == Some(socket)) {
                warn(
                    Code::EngineSocket,
                    "volumes",
                    "gives the container the engine's socket, and so root on the host, even with `:ro`".into(),
                );
            } else if source == "/" {
                warn(
                    Code::HostFolder,
                    "volumes",
                    "gives the container the whole file system of the host, with its secrets and the engine's socket"
                        .into(),
                );
            } else if source.starts_with("/run/berth") || source.starts_with("/var/run/berth") {
                warn(
                    Code::HostFolder,
                    "volumes",
                    "gives the container berth's own directory, with its socket and the app's secrets".into(),
                );
            } else if let Some((folder, _)) =
                FOLDERS.iter().find(|(folder, write)| source == *folder && !(*write && volume.read_only))
            {
                warn(
                    Code::HostFolder,
                    "volumes",
                    format!("gives the container the host's `{folder}`: mount only the directory that the app needs"),
                );
            }
        }
    }

    /// The drain takes as long as its parts. The timeout of the hook is unknown here; only the limits of all hooks are known.
    fn warn_of_the_drain(&self, config: &Config, warnings: &mut ConfigErrors) {
        let drain = config.drain.settle.saturating_add(config.drain.timeout).saturating_add(config.stop_timeout);
        let parts = [
            ("drain.timeout", config.drain.timeout),
            ("stop_timeout", config.stop_timeout),
            ("drain.settle", config.drain.settle),
        ];
        let longest = parts.iter().filter(|(key, _)| self.location(key).is_some()).max_by_key(|(_, part)| *part);
        let Some((key, _)) = longest else { return };
        let text = duration_text(drain);
        if drain > GLOBAL {
            warnings.add(Code::LongDrain, self.location(key), Some(key), || {
                format!("a drain may take {text} (settle, timeout, stop_timeout), and no hook waits longer than 48h: the instance is terminated before")
            });
        } else if drain > HEARTBEAT {
            warnings.add(Code::LongDrain, self.location(key), Some(key), || {
                format!(
                    "a drain may take {text} (settle, timeout, stop_timeout), longer than 2h, the longest timeout of a hook: only heartbeats keep \
                     the hook waiting, and not longer than 100 of its timeouts; give the termination hook a timeout above {}",
                    duration_text(Duration::from_secs(drain.as_secs() / 100))
                )
            });
        }
    }
}

/// Whether a name looks like an environment variable: `STAGE`, `DB_HOST`.
fn is_variable(reference: &SecretRef) -> bool {
    let SecretRef::Managed { id, json_key: None, .. } = reference else { return false };
    id.starts_with(|char: char| char.is_ascii_uppercase())
        && id.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

fn is_all_of_the_host(capability: &str) -> bool {
    matches!(capability.strip_prefix("CAP_").unwrap_or(capability), "ALL" | "SYS_ADMIN" | "SYS_MODULE" | "SYS_RAWIO")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The warnings about a config of these words.
    pub(crate) fn warnings(words: &str) -> String {
        let mut layers = Layers::new();
        layers.add_user_data(format!("berth image=x:1 {words}").as_bytes());
        let config = layers.resolve().unwrap_or_else(|errors| panic!("{words}: {errors}"));
        layers.warnings(&config).to_string()
    }

    #[test]
    fn what_is_legal_and_unwise_gets_a_warning_with_its_location() {
        for (words, expected) in [
            ("probe.running_for=30s port=80 health=/", "`probe.running_for`: has no effect with a probe"),
            ("probe.expect=204 port=80", "`probe.expect`: has no effect without an HTTP health check"),
            ("probe.host=app.example.com health=tcp:80", "`probe.host`: has no effect without an HTTP health check"),
            ("probe.interval=10s health=none", "`probe.interval`: has no effect with `health=none`"),
            ("env.DB_PASSWORD=hunter2", "`env.DB_PASSWORD`: looks like a secret in plain text"),
            ("env.DATABASE_URL=postgres://app:hunter2@db/app", "`env.DATABASE_URL`: looks like a secret in plain text"),
            ("env.KEY=AKIAIOSFODNN7EXAMPLE", "`env.KEY`: looks like a secret in plain text"),
            ("env.DB_PASSWORD=ssm:/prod/db", "`env.DB_PASSWORD`: is passed to the app as this text"),
            ("env.STAGE='${STAGE}'", "`env.STAGE`: has a variable"),
            (
                "secret.A=prod/${STAGE}/db",
                "`secret.A`: `${STAGE}` at character 6 reads the secret `STAGE` and looks like a variable",
            ),
            ("secret.A='postgres://app:hunter2@${db/host}/x'", "`secret.A`: has a password in plain text"),
            ("command='serve --password=hunter2'", "`command`: looks like a secret on a command line"),
            ("health='cmd:psql postgres://app:hunter2@db/app'", "`health`: looks like a secret on a command line"),
            ("volumes=/var/run/docker.sock:/var/run/docker.sock", "`volumes`: gives the container the engine's socket"),
            ("volumes=/run/docker.sock:/x:ro", "`volumes`: gives the container the engine's socket"),
            ("volumes=/run/containerd/containerd.sock:/x", "`volumes`: gives the container the engine's socket"),
            ("volumes=/:/host", "`volumes`: gives the container the whole file system of the host"),
            ("volumes=//:/host:ro", "`volumes`: gives the container the whole file system of the host"),
            ("volumes=/etc/..:/host", "`volumes`: gives the container the whole file system of the host"),
            ("volumes=/var/run:/x", "`volumes`: gives the container the host's `/var/run`"),
            ("volumes=/etc/:/x", "`volumes`: gives the container the host's `/etc`"),
            ("volumes=/run/berth:/x", "`volumes`: gives the container berth's own directory"),
            ("privileged=true", "`privileged`: gives the container every device"),
            ("cap_add=sys_admin", "`cap_add`: `SYS_ADMIN` gives the container most"),
            ("drain.timeout=2h", "`drain.timeout`: a drain may take 2h50s"),
            ("stop_timeout=2h", "`stop_timeout`: a drain may take 2h5m20s"),
            ("drain.timeout=50h", "no hook waits longer than 48h"),
            ("port=80 network=none health=none", "`port`: is not published"),
            ("https_proxy=http://u:hunter2@proxy:3128", "`https_proxy`: has a password in plain text"),
            ("https_proxy=http://proxy:3128 no_proxy=.x,*", "`https_proxy`: has no effect: `no_proxy` has `*`"),
            ("ca_bundle=/tmp/corp.pem", "`ca_bundle`: cannot be read by the agent"),
        ] {
            let reported = warnings(words);
            assert!(
                reported.starts_with("user-data line 1 column 17: ") && reported.contains(expected),
                "{words}: {reported}"
            );
            assert!(
                !reported.contains("hunter2") && !reported.contains("AKIA") && reported.lines().count() == 1,
                "{words}: {reported}"
            );
        }
    }

    #[test]
    fn what_is_wise_gets_none() {
        for words in [
            "",
            "env.LOG_LEVEL=debug env.PASSWORD= env.TOKEN_TTL=3600 env.TOKENIZERS_PARALLELISM=false env.SECRET_NAME=prod/api",
            "env.DB_PASSWORD_FILE=/run/secrets/db env.SESSION_TOKEN_HEADER=x-token env.URL=https://example.com/a:b@c",
            "env.DATABASE_URL=postgres://db/app env.SECRET_KEY_PATH=/x env.PASSWORD_MIN_LENGTH=12",
            "secret.DB_PASSWORD=prod/db#password",
            "secret.A='postgres://${prod/db#user}:${prod/db#password}@db/app' secret.B='${API_TOKEN#value}'",
            "probe.expect=204 probe.host=app.example.com health=https:8443/x probe.interval=1s",
            "probe.interval=1s probe.running_for=1s",
            "https_proxy=http://proxy:3128 no_proxy=.internal ca_bundle=/etc/ssl/corp.pem aws.fips=true",
            "volumes=/etc/ssl:/etc/ssl:ro,/srv/data:/data,/etc:/host/etc:ro,/sys:/sys:ro",
            "command='sh -c \"echo ${HOME}\"' cap_add=NET_ADMIN drain.timeout=1h",
        ] {
            assert_eq!(warnings(words), "", "{words}");
        }
    }
}
