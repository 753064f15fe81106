//! `berth check [FILE|-]`: what a config or a whole user-data would run, checked offline.
//!
//! It shows references to secrets, names of environment variables and of log options, and never their values.

use std::io::{self, IsTerminal, stdin};
use std::path::Path;
use std::process::ExitCode;

use berth_config::{
    Config, ConfigErrors, HttpProbe, Layers, OnChange, ProbeMethod, SecretRef, SecretValue, SecretsAs, TargetGroup,
    duration_text,
};
use berth_core::message::outcome::Outcome;

use super::paint::Paint;
use crate::cli::{CheckArgs, Global};
use crate::io::{ConfigSources, config_sources};

mod json;
mod release;
mod text;

/// How the result is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Print {
    /// Text: what would run, and the keys that are set.
    #[default]
    Text,
    /// Text, with the keys that have their default.
    All,
    /// JSON, with every key.
    Json,
}

/// The result of a check.
#[derive(Debug)]
pub struct Checked {
    /// What to print on standard output; of a config with errors only JSON.
    pub text: String,
    /// Warnings: valid, but probably not intended.
    pub warnings: ConfigErrors,
    /// Whether it would run, or every error.
    pub verdict: Result<(), ConfigErrors>,
}

/// The whole command. With --json everything is in the JSON, and standard error stays empty.
pub fn main(global: &Global, args: &CheckArgs) -> ExitCode {
    let print = match (args.json, args.all) {
        (true, _) => Print::Json,
        (false, true) => Print::All,
        (false, false) => Print::Text,
    };
    let sources = global.sources(Vec::new());
    let layers = match offline(&sources, &args.file) {
        Ok(layers) => layers,
        Err(reason) if args.json => {
            super::say(&json::unreadable(&reason));
            return Outcome::Usage.into();
        }
        Err(reason) => return super::failed(Outcome::Usage, &reason),
    };
    let Checked { text, warnings, verdict } = check(&layers, print);
    super::say(&text);
    if !args.json {
        note_layers(&sources, &layers);
        let paint = Paint::stderr();
        for warning in warnings.iter() {
            super::note(&format!("{} {warning}", paint.yellow("warning:")));
        }
        if let Err(errors) = &verdict {
            for error in errors.to_string().lines() {
                super::note(&format!("{} {error}", paint.red("error:")));
            }
        }
    }
    if verdict.is_ok() { ExitCode::SUCCESS } else { Outcome::Usage.into() }
}

/// The layers of `berth run` if FILE were the user-data, without a call to AWS or to the metadata.
pub(super) fn offline(sources: &ConfigSources, file: &Path) -> Result<Layers, String> {
    let bytes = read(file)?;
    layered(sources, &file.display().to_string(), &bytes)
}

/// The same for bytes. A file with AMI-wide defaults, by its name, replaces the host's own.
fn layered(sources: &ConfigSources, source: &str, bytes: &[u8]) -> Result<Layers, String> {
    let mut layers = match is_defaults(source) && !sources.file_is_required {
        true => Layers::new(),
        false => sources.read_file().map_err(|error| error.reason)?,
    };
    add(&mut layers, source, bytes);
    Ok(layers)
}

/// Prints that the host's own file is a layer, if no flag names it.
pub(super) fn note_layers(sources: &ConfigSources, layers: &Layers) {
    let file = sources.file.display().to_string();
    if !sources.file_is_required && layers.sources().contains(&file.as_str()) && layers.sources().len() > 1 {
        super::note(&format!("{file} is layered below it, as `berth run` does; `--config /dev/null` leaves it out"));
    }
}

/// The bytes of a file, or with `-` of standard input.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, String> {
    let read = if file == Path::new("-") {
        if stdin().is_terminal() {
            super::note("reads a config from standard input: type it and end it with Ctrl-D, or name a FILE");
        }
        config_sources::bounded(stdin())
    } else {
        config_sources::read_bounded(file)
    };
    read.map_err(|error| match error.kind() {
        // The name is not printed: a config that was given as an argument may hold a secret.
        io::ErrorKind::NotFound if file.to_string_lossy().contains('=') => {
            "takes a file, not `key=value` words; for words: echo 'berth image=… port=…' | berth check -".to_owned()
        }
        _ => format!("cannot read {}: {error}", super::plain(&file.display().to_string())),
    })
}

fn is_defaults(source: &str) -> bool {
    source.ends_with(".toml")
}

/// Adds the bytes of `source`, a file's name or `-`: AMI-wide defaults if the name ends in .toml, else user-data.
pub fn add(layers: &mut Layers, source: &str, bytes: &[u8]) {
    // A file's name may hold control characters.
    let name = if source == "-" { "stdin".to_owned() } else { super::plain(source) };
    if is_defaults(source) {
        layers.add_file(&name, bytes);
    } else {
        layers.add_user_data_from(&name, bytes);
    }
}

/// The config of these layers, without what `config=` points to.
pub(super) fn resolve_offline(layers: &Layers) -> Result<Config, ConfigErrors> {
    match resolve_in_part(layers) {
        (config, errors) if errors.is_empty() => Ok(config),
        (_, errors) => Err(errors),
    }
}

fn resolve_in_part(layers: &Layers) -> (Config, ConfigErrors) {
    match layers.pointer() {
        None => layers.resolve_in_part(),
        Some(_) => layers.resolve_what_is_written(true),
    }
}

/// Checks these layers.
pub fn check(layers: &Layers, print: Print) -> Checked {
    let (config, errors) = resolve_in_part(layers);
    let warnings = layers.warnings(&config);
    let text = match (print, errors.is_empty()) {
        (Print::Json, true) => json::of(layers, &config, &warnings),
        (Print::Json, false) => json::of_errors(layers, &errors, &warnings),
        (Print::Text | Print::All, true) => text::of(layers, &config, print == Print::All),
        (Print::Text | Print::All, false) => String::new(),
    };
    Checked { text, warnings, verdict: if errors.is_empty() { Ok(()) } else { Err(errors) } }
}

fn has_image(config: &Config) -> bool {
    !config.image.repository.is_empty()
}

fn image(layers: &Layers, config: &Config) -> String {
    match (has_image(config), &config.image.digest) {
        (true, Some(_)) => config.image.to_string(),
        (true, None) => format!("{} (the tag's digest is looked up at boot)", config.image),
        (false, _) => format!("given by {}", layers.pointer_name().unwrap_or_default()),
    }
}

fn health(config: &Config) -> String {
    let port = config.first_tcp_port().map_or("the first port".to_owned(), |port| format!("port {port}"));
    let http = &config.probe.http;
    let mut details = http.host.as_ref().map(|host| format!(" as {host}")).unwrap_or_default();
    if http.expect != HttpProbe::default().expect {
        details.push_str(&format!(", {} passes", http.expect));
    }
    let how = |health: ProbeMethod| match health {
        ProbeMethod::Path(path) => format!("GET {path} on {port}{details}"),
        ProbeMethod::Port { tls, port, path } => {
            format!("GET {path} over {} on port {port}{details}", if tls { "TLS" } else { "HTTP" })
        }
        ProbeMethod::Url(url) => format!("GET {url}{details}"),
        ProbeMethod::Tcp(None) => format!("a TCP connection to {port}"),
        ProbeMethod::Tcp(Some(port)) => format!("a TCP connection to port {port}"),
        ProbeMethod::Cmd(words) => format!("in the container: {}", words.join(" ")),
        ProbeMethod::Docker => "the image's HEALTHCHECK".to_owned(),
        ProbeMethod::None => format!("healthy once it has run for {}", duration_text(config.probe.running_for)),
    };
    match &config.health {
        Some(health) => how(health.clone()),
        None => format!("{}, else {}", how(ProbeMethod::Docker), how(config.effective_health(false))),
    }
}

fn rhythm(config: &Config) -> String {
    if config.health == Some(ProbeMethod::None) {
        return String::new();
    }
    let probe = &config.probe;
    format!(
        "; every {}, {} to answer, unhealthy after {} failures, healthy within {} of the start",
        duration_text(probe.interval),
        duration_text(probe.timeout_for(None)),
        probe.unhealthy,
        duration_text(probe.start_limit(None)),
    )
}

fn targets(config: &Config) -> Vec<String> {
    let target = |group: &TargetGroup| {
        let container = config.target_port(group).unwrap_or_default(); // a config that has none is refused
        let host = match config.target_host_port(group) {
            Some(port) => port.to_string(),
            None => "chosen by berth".to_owned(),
        };
        format!("{}: port {container} of the container, host port {host}", group.name())
    };
    config.target_groups.iter().map(target).collect()
}

fn secrets(config: &Config) -> Vec<String> {
    let into = match config.secrets_as {
        SecretsAs::Env => "in the environment",
        SecretsAs::Files => "in /run/secrets",
    };
    let whole = config.secrets.iter().map(|secret| format!("every key of {}, {into}", reference(secret)));
    let single = config.secret.iter().map(|(name, secret)| format!("{name} from {}, {into}", value(secret)));
    let mut lines: Vec<_> = whole.chain(single).collect();
    if let Some(refresh) = &config.secrets_refresh {
        let what = match &refresh.on_change {
            OnChange::Restart => "a restart".to_owned(),
            OnChange::Signal(name) => format!("SIG{name}"),
        };
        lines.push(format!("checked every {}, a change causes {what}", duration_text(refresh.every)));
    }
    lines
}

fn value(secret: &SecretValue) -> String {
    match secret {
        SecretValue::Reference(secret) => reference(secret),
        SecretValue::Template(template) => template.to_string(),
    }
}

fn reference(secret: &SecretRef) -> String {
    match secret {
        SecretRef::Managed { version_stage: Some(version), .. }
        | SecretRef::Managed { version_id: Some(version), .. } => {
            format!("{secret} ({version})")
        }
        _ => secret.to_string(),
    }
}

fn notes(layers: &Layers) -> Vec<String> {
    let more = layers.pointer_name().map(|pointer| format!("more keys come from {pointer}, which is not read here"));
    let foreign = layers.foreign().map(|foreign| format!("the user-data is {foreign} and holds no config"));
    more.into_iter().chain(foreign).collect()
}

#[cfg(test)]
mod disguises;
#[cfg(test)]
mod tests;
