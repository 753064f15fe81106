//! The composition root: builds the adapters, the machine and the driver, and runs them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use berth_config::{Config, ConfigErrors, Layers};
use berth_core::clock::Uptime;
use berth_core::machine::Machine;
use berth_core::message::outcome::Outcome;
use berth_core::phase::drain::Unfinished;
use berth_core::view::published::{Published, rfc3339};
use serde::de::DeserializeOwned;
use tokio::sync::{broadcast, mpsc, watch};
use tracing::{error, info, warn};

use crate::cli::{Global, RunArgs};
use crate::driver::{self, Channels, End, Records};
use crate::io::aws::Aws;
use crate::io::aws::imds::Imds;
use crate::io::docker::Engine;
use crate::io::host::console::Console;
use crate::io::host::metadata_block::MetadataBlock;
use crate::io::host::note::{self, Note};
use crate::io::host::signals::Signals;
use crate::io::host::state_dir::Keeper;
use crate::io::http::Http;
use crate::io::http::dns::Resolver;
use crate::io::listen::handover;
use crate::io::listen::readiness::ReadinessEndpoint;
use crate::io::listen::socket::{Socket, SocketContext};
use crate::io::releases::KeptReleases;
use crate::io::secret::deliver::Delivery;
use crate::io::{Adapters, ConfigSources, Parts, host::log, host::systemd};

/// Events that may wait while the machine is busy, which is short.
const QUEUE: usize = 64;

/// For the queued lines of the log, before a handover. The endpoint does not answer meanwhile, so it is short.
const HANDOVER_FLUSH: Duration = Duration::from_millis(20);

/// Why the agent did not start.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("{0}")]
    Words(ConfigErrors),
    #[error(transparent)]
    Socket(#[from] crate::io::listen::socket::SocketError),
    #[error(transparent)]
    Imds(#[from] crate::io::aws::imds::ImdsError),
    #[error(transparent)]
    Proxy(#[from] crate::io::http::VariableError),
    #[error(transparent)]
    Engine(#[from] crate::io::docker::EngineError),
    #[error("cannot listen to signals")]
    Signals(#[source] io::Error),
    #[error("the environment variable {0} is not UTF-8: correct it, or remove it")]
    NotUtf8(String),
    #[error("cannot find berth's own binary")]
    Binary(#[source] io::Error),
}

/// Runs the agent from its start to its end.
#[expect(clippy::disallowed_methods, reason = "the agent's clock starts here")]
pub async fn run(global: &Global, run: &RunArgs) -> Outcome {
    match start(global, run, Instant::now()).await {
        Ok(outcome) => outcome,
        Err(error) => {
            error!(
                "{}",
                berth_core::message::error::JobError::from_error(
                    berth_core::message::error::ErrorClass::Misconfigured,
                    &error
                )
            );
            Outcome::Usage
        }
    }
}

async fn start(global: &Global, run: &RunArgs, started: Instant) -> Result<Outcome, StartError> {
    let sources = global.sources(run.words.clone());
    let early = early_layers(&sources)?;

    let signals = Signals::new().map_err(StartError::Signals)?;
    let socket = Socket::bind(&global.run_dir())?;
    let (published, watcher) = watch::channel(Arc::new(initial()));
    let endpoint = match systemd::inherited_listener() {
        Some(listener) => ReadinessEndpoint::inherit(listener, watcher.clone()),
        None => ReadinessEndpoint::open(early.listen().unwrap_or_else(|| Config::defaults().listen), watcher.clone()),
    };
    let (feed, _) = broadcast::channel(256);
    let (ask, requests) = mpsc::channel(QUEUE);
    let context = SocketContext { published: watcher.clone(), began: started, lines: feed.downgrade(), requests: ask };
    let socket = socket.serve(context);

    let environment = text_of(std::env::vars_os())?;
    let env = |name: &str| environment.get(name).cloned();
    let http = Http::from_env(&env, Resolver::default())?;
    let imds = Imds::from_env(&env, http.clone())?;
    let (tell, reports) = mpsc::channel(QUEUE);
    let own = own_binary().map_err(StartError::Binary)?;
    let adapters = Arc::new(Adapters::new(Parts {
        aws: Aws::new(http, imds.clone(), &env),
        block: MetadataBlock::new(&global.run_dir(), imds.base()),
        imds,
        engine: Engine::new(env("DOCKER_HOST").as_deref())?,
        delivery: Delivery::new(&global.run_dir()),
        console: Console { path: run.console.clone() },
        sources,
        releases: KeptReleases::new(&global.run_dir()),
        binary: own.clone(),
        endpoint,
        reports: tell,
    }));

    let run_dir = global.run_dir();
    let records = Records {
        note: Note::new(&run_dir, note::DRAIN),
        targets: Note::new(&run_dir, note::TARGETS),
        releases: Note::new(&run_dir, note::RELEASES),
        life: Keeper::start(&global.state_dir()),
    };
    let left = left(&records.note);
    let targets = read(&records.targets);
    let releases = read(&records.releases).map(|(releases, _)| releases);
    let channels = Channels { signals, requests, reports, published, feed };
    tokio::spawn(systemd::follow(watcher));
    let machine = Machine::new(seed(), Uptime::ZERO).within(early.boot_timeout());
    let machine = machine.after(left, Uptime::ZERO).knowing(targets).continuing(releases);
    let end = driver::drive(machine, adapters.clone(), channels, &records, started).await;
    records.life.finish().await;
    match end {
        End::Exit(outcome) => {
            drop(socket.finish().await);
            Ok(outcome)
        }
        End::HandOver => {
            if let Err(error) = Signals::hold_back() {
                warn!(%error, "a signal may be lost until the next agent listens");
            }
            // The endpoint closes last, so it answers until then.
            let _name = socket.finish().await;
            // execve ends the thread that writes to standard error.
            log::flush(HANDOVER_FLUSH);
            let listener = adapters.leave_endpoint().await;
            let Err(error) = handover::become_next(&own, listener);
            error!(
                "{}",
                berth_core::message::error::JobError::from_error(
                    berth_core::message::error::ErrorClass::Broken,
                    &error
                )
            );
            Ok(Outcome::Bug)
        }
    }
}

/// The layers that are known before any request. Errors in the words of the command line are reported at once; those of the file
/// are reported together with the user-data's.
fn early_layers(sources: &ConfigSources) -> Result<Layers, StartError> {
    let mut words = Layers::new();
    words.add_words(&sources.words);
    let errors = words.errors_so_far();
    if !errors.is_empty() {
        return Err(StartError::Words(errors.clone()));
    }
    // A file that cannot be read is reported when the config is read.
    let mut layers = sources.read_file().unwrap_or_default();
    layers.add_words(&sources.words);
    Ok(layers)
}

/// The variables that are UTF-8. Another one is an error only if berth reads it; its value is not shown.
fn text_of(variables: impl Iterator<Item = (OsString, OsString)>) -> Result<BTreeMap<String, String>, StartError> {
    let is_read = |name: &str| name.starts_with("AWS_") || name.to_ascii_uppercase().ends_with("_PROXY");
    let mut environment = BTreeMap::new();
    for (name, value) in variables {
        match (name.into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => drop(environment.insert(name, value)),
            (Ok(name), Err(_)) if is_read(&name) || name == "DOCKER_HOST" => return Err(StartError::NotUtf8(name)),
            _ => {}
        }
    }
    Ok(environment)
}

/// What an agent before this one noted, and how long ago. A note that cannot be read is logged and ignored.
fn read<T: DeserializeOwned>(note: &Note) -> Option<(T, Duration)> {
    note.read().unwrap_or_else(|error| {
        warn!(
            "{}",
            berth_core::message::error::JobError::from_error(berth_core::message::error::ErrorClass::Broken, &error)
        );
        None
    })
}

/// The unfinished drain of an agent that was killed.
fn left(note: &Note) -> Option<Unfinished> {
    let left = read::<Unfinished>(note).map(|(left, ago)| left.after(ago));
    if let Some(left) = &left {
        let age = left.age.as_secs_f64();
        info!(age, cause = %left.cause, "an agent before this one was killed in a drain; whether this one continues it is decided once the instance is known");
    }
    left
}

/// The path of this binary, for the shim's bind mount. `/proc/self/exe` is right even after an upgrade moved the file.
fn own_binary() -> io::Result<PathBuf> {
    std::fs::read_link(Path::new("/proc/self/exe"))
}

#[expect(clippy::disallowed_methods, reason = "the wall clock is shown, not used for decisions")]
fn initial() -> Published {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    Published { agent_version: env!("CARGO_PKG_VERSION").to_owned(), started_at: rfc3339(unix), ..Published::default() }
}

/// The seed of the jitter: different for each instance and each start.
fn seed() -> u64 {
    fastrand::u64(..)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    #[test]
    fn a_variable_that_is_not_text_is_no_panic_and_its_value_is_not_shown() {
        let bytes = || OsString::from_vec(b"\xffs3cr3t".to_vec());
        let of = |name: &str| text_of([(OsString::from(name), bytes()), ("A".into(), "b".into())].into_iter());
        assert_eq!(of("MY_DB_PASSWORD").unwrap(), BTreeMap::from([("A".to_owned(), "b".to_owned())]));
        assert!(text_of([(bytes(), bytes())].into_iter()).unwrap().is_empty());
        for name in ["AWS_REGION", "https_proxy", "NO_PROXY", "DOCKER_HOST"] {
            let refused = of(name).unwrap_err().to_string();
            assert!(refused.contains(name) && !refused.contains("s3cr3t"), "{refused}");
        }
    }
}
