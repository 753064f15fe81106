//! What it means when the engine says no. Its API has few statuses and much prose, so the prose is read.

use std::error::Error;
use std::io;
use std::slice;
use std::time::Duration;

use berth_config::Port;
use berth_config::printable::message;
use berth_core::message::error::{ErrorClass, find};
use bollard::errors::Error as Bollard;

use super::image::HERE;
use super::{image_error, refused_key};

/// So much of the engine's prose is kept; a registry's error page can be a whole document.
const LONGEST: usize = 600;

/// Why a call of the engine failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// `DOCKER_HOST` is no unix socket.
    #[error("DOCKER_HOST is {0:?}, but berth speaks to the engine on a unix socket: unix:///var/run/docker.sock")]
    NoSocket(String),
    /// The engine's API is older than what berth asks for.
    #[error(
        "the engine at {socket} has API {version}, and berth needs API 1.41 (Docker Engine 20.10) or later: update the engine"
    )]
    TooOld {
        /// Its socket.
        socket: String,
        /// Its newest API.
        version: String,
    },
    /// The engine said no.
    #[error("cannot {doing}: {message}")]
    Refused {
        /// What was tried.
        doing: String,
        /// The engine's own words.
        message: String,
        /// What to do about it.
        class: ErrorClass,
    },
    /// No answer, or none that could be understood.
    #[error("cannot {doing}")]
    NoAnswer {
        /// What was tried.
        doing: String,
        /// What to do about it.
        class: ErrorClass,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The connection ended before the answer did: the engine is stopped or restarted.
    #[error("cannot {doing}: the engine broke off in the middle of its answer")]
    BrokenOff {
        /// What was tried.
        doing: String,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The name that the container shall have is taken by a container of berth's.
    #[error("the container's name {0} is taken by another container")]
    NameTaken(String),
    /// The name that the container shall have is taken by a container that berth did not make, and so does not remove.
    #[error(
        "the container's name {name} is taken by the container {id} of {image}, which is not berth's: remove it, or give the \
         app another `name`"
    )]
    NotOurs {
        /// The name.
        name: String,
        /// Who has it, shortened.
        id: String,
        /// What that one runs.
        image: String,
    },
    /// The file of `security_opt=seccomp=…` cannot be used.
    #[error("cannot use the seccomp profile {path} (`security_opt`): {reason}")]
    SeccompProfile {
        /// The file on the host.
        path: String,
        /// Why.
        reason: String,
    },
    /// The image is for another kind of machine.
    #[error("{image} is built for {built_for}, and this machine is {HERE}: build it for linux/{HERE}, too")]
    OtherMachine {
        /// The image.
        image: String,
        /// Its architecture, in Go's word.
        built_for: String,
    },
    /// The image is not for the platform that the config asks for.
    #[error(
        "{image} is built for {built_for}, and not for {platform} (`platform`): build it for that platform, or leave the key out"
    )]
    OtherPlatform {
        /// The image.
        image: String,
        /// What the config asks for.
        platform: String,
        /// What it is built for.
        built_for: String,
    },
    /// The engine has no way to ask a registry which digest a tag has.
    #[error(
        "cannot resolve {0}: this engine cannot ask a registry for the digest of a tag (Podman's API has no /distribution); name the \
         image by its digest, NAME@sha256:…"
    )]
    NoTags(String),
    /// The pull stood still.
    #[error("no progress for {} s while pulling {image}", .stall.as_secs_f32())]
    Stalled {
        /// The image.
        image: String,
        /// For how long.
        stall: Duration,
    },
    /// The password is not text, so the engine cannot be told it.
    #[error("the password for {0} is not UTF-8 text")]
    UnreadableLogin(String),
    /// Neither the config nor the image says what to run.
    #[error("{0} has no ENTRYPOINT and no CMD, and the config has no command")]
    NoCommand(String),
    /// The container is on a network that is no bridge of this host.
    #[error(
        "imds=block cannot be kept on the network {network:?} ({driver}): it takes one that is a bridge of this host, or `none`"
    )]
    NoBridge {
        /// The network.
        network: String,
        /// Its driver.
        driver: String,
    },
    /// The command in the container took too long.
    #[error("it took longer than {} s", .0.as_secs_f32())]
    TooLong(Duration),
}

impl EngineError {
    /// What to do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::NoSocket(_)
            | Self::NoTags(_)
            | Self::UnreadableLogin(_)
            | Self::NoCommand(_)
            | Self::NoBridge { .. } => ErrorClass::Misconfigured,
            Self::SeccompProfile { .. } => ErrorClass::Misconfigured,
            Self::TooOld { .. } | Self::NotOurs { .. } | Self::OtherMachine { .. } | Self::OtherPlatform { .. } => {
                ErrorClass::Broken
            }
            Self::Refused { class, .. } | Self::NoAnswer { class, .. } => *class,
            // Its holder may be on the way out.
            Self::NameTaken(_) => ErrorClass::Transient,
            Self::BrokenOff { .. } => ErrorClass::Transient,
            Self::Stalled { .. } | Self::TooLong(_) => ErrorClass::Transient,
        }
    }
}

/// What the engine was asked for when it said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To ask a registry, or to pull.
    Registry,
    /// To create a container.
    Create,
    /// To start one.
    Start,
}

/// The disk of the engine.
const DISK_FULL: &str = "no space left on device";

/// What makes a no final: words of its prose, all of them there, in lower case. For the documentation and its test.
pub fn final_prose() -> Vec<(Asked, &'static [&'static str])> {
    let lists: [(Asked, &'static [&'static str]); 9] = [
        (Asked::Registry, &image_error::IMAGE),
        (Asked::Registry, &image_error::CONFIG),
        (Asked::Registry, &REGISTRY_MISCONFIGURED),
        (Asked::Registry, &REGISTRY_DENIED),
        (Asked::Registry, &REGISTRY_BROKEN),
        (Asked::Create, &CREATE_MISCONFIGURED),
        (Asked::Create, &[DISK_FULL]),
        (Asked::Start, &START_MISCONFIGURED),
        (Asked::Start, &START_BROKEN),
    ];
    let single =
        lists.into_iter().flat_map(|(asked, prose)| prose.iter().map(move |prose| (asked, slice::from_ref(prose))));
    // Some engines refuse a key at the creation, others at the start.
    single.chain(refused_key::final_words().map(|words| (Asked::Start, words))).collect()
}

/// The error that this answer of the engine becomes.
pub fn refused(asked: Asked, doing: &str, prose: &str) -> EngineError {
    let error = Bollard::DockerResponseServerError { status_code: 500, message: prose.to_owned() };
    let judge = match asked {
        Asked::Registry => registry,
        Asked::Create => create,
        Asked::Start => start,
    };
    of(doing.to_owned(), error, judge)
}

/// The class of a no: the status, if there was one, and the prose.
pub(super) type Judge = fn(Option<u16>, &str) -> ErrorClass;

/// The error of a call that failed.
pub(super) fn of(doing: String, error: Bollard, judge: Judge) -> EngineError {
    match error {
        Bollard::DockerResponseServerError { status_code, message } => {
            let class = judge(Some(status_code), &message.to_lowercase());
            EngineError::Refused { doing, message: explained(&message), class }
        }
        Bollard::DockerStreamError { error } => {
            let class = judge(None, &error.to_lowercase());
            EngineError::Refused { doing, message: explained(&error), class }
        }
        Bollard::HyperResponseError { err } => EngineError::BrokenOff { doing, source: Box::new(err) },
        // A body that ends early, as bollard hands it on.
        Bollard::IOError { err } if err.kind() == io::ErrorKind::Other => {
            EngineError::BrokenOff { doing, source: Box::new(err) }
        }
        // Its text repeats its source's.
        Bollard::HyperLegacyError { err } => no_answer(doing, Box::new(err)),
        other => no_answer(doing, Box::new(other)),
    }
}

/// The error of a call that was not answered.
pub(super) fn no_answer(doing: String, source: Box<dyn Error + Send + Sync>) -> EngineError {
    let class = if is_permission(&*source) { ErrorClass::Denied } else { ErrorClass::Transient };
    EngineError::NoAnswer { doing, class, source }
}

/// Whether the socket is there and not for us.
fn is_permission(error: &(dyn Error + 'static)) -> bool {
    find::<io::Error>(error).is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

/// Whether the engine says that it has no such thing.
pub(super) fn is_not_found(error: &Bollard) -> bool {
    matches!(error, Bollard::DockerResponseServerError { status_code: 404, .. })
}

/// Whether the engine has no such path in its API. Of what it knows a 404 has a sentence.
pub(super) fn is_no_such_path(error: &Bollard) -> bool {
    matches!(error, Bollard::DockerResponseServerError { status_code: 404, message }
        if message.trim().eq_ignore_ascii_case("not found"))
}

/// Whether the engine says that the state does not allow it.
pub(super) fn is_conflict(error: &Bollard) -> bool {
    matches!(error, Bollard::DockerResponseServerError { status_code: 409, .. })
}

/// For calls that are about nothing but the engine.
pub(super) fn plain(status: Option<u16>, _: &str) -> ErrorClass {
    match status {
        Some(400) => ErrorClass::Misconfigured,
        Some(403) => ErrorClass::Denied,
        Some(404) => ErrorClass::Broken,
        _ => ErrorClass::Transient,
    }
}

/// Engines answer 500 and 404 to these, too.
const CREATE_MISCONFIGURED: [&str; 4] =
    ["error looking up logging plugin", "unknown log opt", "invalid mount config", "bind source path does not exist"];

/// For creating a container: the engine checks what it was asked for.
pub(super) fn create(status: Option<u16>, prose: &str) -> ErrorClass {
    if CREATE_MISCONFIGURED.iter().any(|words| prose.contains(words)) {
        return ErrorClass::Misconfigured;
    }
    if let Some((class, _)) = refused_key::find(prose) {
        return class;
    }
    match status {
        _ if prose.contains(DISK_FULL) => ErrorClass::Broken,
        Some(400) => ErrorClass::Misconfigured,
        Some(404) => ErrorClass::Broken,
        _ => ErrorClass::Transient,
    }
}

/// What the host does not give the container.
const START_MISCONFIGURED: [&str; 9] = [
    "port is already allocated",
    "address already in use",
    "cannot assign requested address",
    "error gathering device information",
    "could not select device driver",
    "failed to initialize logging driver",
    "network-scoped alias",
    "bind source path does not exist",
    "invalid mount config",
];

/// What the image does not have, or the host has no room for.
const START_BROKEN: [&str; 6] = [
    "executable file not found",
    "no such file or directory",
    "permission denied",
    "exec format error",
    "unable to find user",
    "no space left on device",
];

/// For starting a container: the kernel, the runtime and the network check the rest.
pub(super) fn start(status: Option<u16>, prose: &str) -> ErrorClass {
    let says = |words: &[&str]| words.iter().any(|words| prose.contains(words));
    if status == Some(404) && prose.contains("no such container") {
        ErrorClass::Gone
    } else if let Some((class, _)) = refused_key::find(prose) {
        class
    } else if says(&START_MISCONFIGURED) {
        ErrorClass::Misconfigured
    } else if says(&START_BROKEN) || matches!(status, Some(400 | 404)) {
        ErrorClass::Broken
    } else {
        ErrorClass::Transient
    }
}

/// The error of a start of this container with these ports. One that is not there may be another, whose network it shares. The engine chooses another for host port 0 at the next attempt, so one
/// that is taken is in the way only now; a port that the config names is taken for good.
pub(super) fn of_start(error: Bollard, id: &str, ports: &[Port]) -> EngineError {
    let mut error = of("start the container".to_owned(), error, start);
    if let EngineError::Refused { message, .. } = &error
        && !message.contains(id)
    {
        name_the_other(&mut error);
    }
    if let EngineError::Refused { message, class, .. } = &mut error
        && is_port_taken(&message.to_lowercase())
        && !ports.is_empty()
    {
        let named: Vec<u16> = message
            .split(|char: char| !char.is_ascii_digit() && char != ':')
            .flat_map(|word| word.split(':').skip(1))
            .filter_map(|port| port.parse().ok())
            .collect();
        let is_chosen = |port: &Port| port.host == 0;
        let is_taken = |port: &Port| named.is_empty() || named.contains(&port.host);
        if ports.iter().any(is_chosen) && !ports.iter().any(|port| !is_chosen(port) && is_taken(port)) {
            *class = ErrorClass::Transient;
        }
    }
    error
}

/// The error of a creation of the container with this name.
pub(super) fn of_create(name: &str, error: Bollard) -> EngineError {
    let mut error = of(format!("create the container {name}"), error, create);
    name_the_other(&mut error);
    error
}

/// A container that is not there, and is another than the one that the call was about.
fn name_the_other(error: &mut EngineError) {
    if let EngineError::Refused { message, class, .. } = error
        && message.to_lowercase().contains("no such container")
        && let Some((of_other, advice)) = refused_key::find("no such container")
    {
        *class = of_other;
        *message = format!("{message}; {advice}");
    }
}

fn is_port_taken(prose: &str) -> bool {
    ["port is already allocated", "address already in use"].iter().any(|words| prose.contains(words))
}

/// What the config or the engine's own config says of the registry.
const REGISTRY_MISCONFIGURED: [&str; 2] = ["server gave http response to https client", "invalid reference format"];

/// The login is missing, or allows something else.
const REGISTRY_DENIED: [&str; 7] = [
    "denied",
    "unauthorized",
    "forbidden",
    "no basic auth credentials",
    "authentication required",
    "authorization failed",
    "insufficient_scope",
];

/// What the registry or the host does not have.
const REGISTRY_BROKEN: [&str; 6] = [
    "manifest unknown",
    "name unknown",
    "not found",
    "no matching manifest",
    "does not exist",
    "no space left on device",
];

/// For what the engine asks a registry on our behalf. Its status says little: a denied pull is a 404.
pub(super) fn registry(status: Option<u16>, prose: &str) -> ErrorClass {
    // ECR's words for a token that is older than 12 hours.
    const EXPIRED: &str = "authorization token has expired";
    const THROTTLED: [&str; 2] = ["toomanyrequests", "too many requests"];
    const TRANSIENT: [&str; 3] = ["request has expired", "no such host", "received unexpected http status: 5"];
    let says = |words: &[&str]| words.iter().any(|words| prose.contains(words));
    if prose.contains(EXPIRED) {
        ErrorClass::Expired
    } else if says(&THROTTLED) {
        ErrorClass::Throttled
    } else if says(&TRANSIENT) || image_error::is_page(prose) {
        ErrorClass::Transient
    } else if let Some((class, _)) = refused_key::find(prose) {
        class
    } else if image_error::is_final(prose) {
        ErrorClass::Broken
    } else if says(&REGISTRY_MISCONFIGURED) {
        ErrorClass::Misconfigured
    } else if says(&REGISTRY_DENIED) || matches!(status, Some(401 | 403)) {
        ErrorClass::Denied
    } else if says(&REGISTRY_BROKEN) || status == Some(404) {
        ErrorClass::Broken
    } else {
        ErrorClass::Transient
    }
}

/// The prose, and what to do where the image is the reason.
fn explained(prose: &str) -> String {
    let line = message(prose, LONGEST);
    let prose = prose.to_lowercase();
    // Which container it is that is not there, only the caller knows.
    let of_key =
        || refused_key::find(&prose).filter(|(class, _)| *class != ErrorClass::Transient).map(|(_, advice)| advice);
    match image_error::advice(&prose).or_else(of_key) {
        Some(advice) => format!("{line}; {advice}"),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use berth_config::Protocol;

    use super::*;

    #[test]
    fn a_registry_s_prose_is_told_apart() {
        let table: [(Option<u16>, &str, ErrorClass); 16] = [
            (None, "manifest unknown: manifest unknown", ErrorClass::Broken),
            (Some(404), "manifest for host/x:1 not found: manifest unknown: manifest unknown", ErrorClass::Broken),
            (
                Some(404),
                "pull access denied for x, repository does not exist or may require 'docker login'",
                ErrorClass::Denied,
            ),
            (Some(500), "Head \"https://host/v2/x/manifests/1\": no basic auth credentials", ErrorClass::Denied),
            (None, "denied: Your authorization token has expired. Reauthenticate and try again.", ErrorClass::Expired),
            (None, "unauthorized: authentication required", ErrorClass::Denied),
            (None, "unexpected status from HEAD request to https://host/v2/: 403 Forbidden", ErrorClass::Denied),
            (None, "toomanyrequests: You have reached your pull rate limit", ErrorClass::Throttled),
            (None, "filesystem layer verification failed for digest sha256:aa", ErrorClass::Transient),
            (None, "unexpected EOF", ErrorClass::Transient),
            (None, "received unexpected HTTP status: 503 Service Unavailable", ErrorClass::Transient),
            (Some(500), "Get \"https://host/v2/\": dial tcp: lookup host: no such host", ErrorClass::Transient),
            (Some(500), "Get \"https://host/v2/\": dial tcp 10.0.0.1:443: i/o timeout", ErrorClass::Transient),
            (None, "no matching manifest for linux/arm64/v8 in the manifest list entries", ErrorClass::Broken),
            (None, "failed to register layer: write /x: no space left on device", ErrorClass::Broken),
            (None, "http: server gave HTTP response to HTTPS client", ErrorClass::Misconfigured),
        ];
        for (status, prose, class) in table {
            assert_eq!(registry(status, &prose.to_lowercase()), class, "{prose}");
        }
    }

    #[test]
    fn a_create_s_prose_is_told_apart() {
        let table: [(u16, &str, ErrorClass); 4] = [
            // An engine looks for 15 s before it says so.
            (500, "error looking up logging plugin nope: plugin \"nope\" not found", ErrorClass::Misconfigured),
            (400, "invalid signal: SIGNOPE", ErrorClass::Misconfigured),
            (404, "No such image: host/x@sha256:aa", ErrorClass::Broken),
            (500, "context deadline exceeded", ErrorClass::Transient),
        ];
        for (status, prose, class) in table {
            assert_eq!(create(Some(status), &prose.to_lowercase()), class, "{prose}");
        }
    }

    #[test]
    fn a_start_s_prose_is_told_apart() {
        let table: [(u16, &str, ErrorClass); 7] = [
            (404, "No such container: 352a920488d7", ErrorClass::Gone),
            (404, "network own not found", ErrorClass::Broken),
            (500, "driver failed: Bind for 0.0.0.0:80 failed: port is already allocated", ErrorClass::Misconfigured),
            (
                500,
                "error gathering device information while adding custom device \"/dev/x\": no such file or directory",
                ErrorClass::Misconfigured,
            ),
            (
                400,
                "OCI runtime create failed: exec: \"nope\": executable file not found in $PATH: unknown",
                ErrorClass::Broken,
            ),
            (500, "failed to create shim task: context deadline exceeded", ErrorClass::Transient),
            (409, "container is marked for removal and cannot be started", ErrorClass::Transient),
        ];
        for (status, prose, class) in table {
            assert_eq!(start(Some(status), &prose.to_lowercase()), class, "{prose}");
        }
    }

    #[test]
    fn a_start_tells_its_own_container_from_one_whose_network_it_shares() {
        let of = |named: &str| {
            let message = format!("No such container: {named}");
            of_start(Bollard::DockerResponseServerError { status_code: 404, message }, "c0ffee", &[])
        };
        assert_eq!(of("c0ffee").class(), ErrorClass::Gone);
        let other = of("db");
        assert_eq!(other.class(), ErrorClass::Transient);
        assert!(other.to_string().contains("No such container: db; `network`, `ipc` or `pid` names it"), "{other}");
    }

    #[test]
    fn a_port_that_the_engine_chose_is_taken_only_now_and_one_of_the_config_for_good() {
        let ports = |hosts: &[u16]| {
            let port = |host: &u16| Port { host_ip: None, host: *host, container: 8080, protocol: Protocol::Tcp };
            hosts.iter().map(port).collect::<Vec<_>>()
        };
        let class = |prose: &str, hosts: &[u16]| {
            let message = format!("driver failed programming external connectivity on endpoint x (0a1b): {prose}");
            of_start(Bollard::DockerResponseServerError { status_code: 500, message }, "c0ffee", &ports(hosts)).class()
        };
        for prose in [
            "Error starting userland proxy: listen tcp4 0.0.0.0:32768: bind: address already in use",
            "Bind for 0.0.0.0:32768 failed: port is already allocated",
            "failed to bind host port for 0.0.0.0:32768:172.17.0.2:8080/tcp: address already in use",
            "failed to bind host port [::]:32768/tcp: address already in use",
        ] {
            for chosen in [&[0][..], &[0, 80]] {
                assert_eq!(class(prose, chosen), ErrorClass::Transient, "{chosen:?}: {prose}");
            }
            for fixed in [&[32768][..], &[0, 32768]] {
                assert_eq!(class(prose, fixed), ErrorClass::Misconfigured, "{fixed:?}: {prose}");
            }
        }
        assert_eq!(class("address already in use", &[0]), ErrorClass::Transient, "without a number it is the only one");
        assert_eq!(class("address already in use", &[0, 80]), ErrorClass::Misconfigured, "it may be either");
    }
}
