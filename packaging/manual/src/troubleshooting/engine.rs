//! The Docker Engine: its socket, and what it answers when a container is to be created or started.

use std::io;
use std::time::Duration;

use berth::io::docker::{EngineError, FailedCall, refused};
use berth_core::message::error::ErrorClass;

use super::Advice::Passes;
use super::{Advice, Row, Section, entry, rows};

pub(super) const DISK_FULL: Advice = entry(
    Section::Engine,
    "The disk of the engine is full, or out of inodes.",
    "make the volume larger in the launch template (`BlockDeviceMappings`), or build a smaller image. On this instance:",
    &["df -h /var/lib/docker; df -i /var/lib/docker", "docker system df"],
);

/// What an engine says, and what to do.
pub(super) struct Known {
    /// Pieces of its prose, in lower case, as the agent looks for them.
    pub(super) prose: &'static [&'static str],
    /// A whole answer.
    pub(super) example: &'static str,
    pub(super) advice: Advice,
}

/// The rows of these answers.
pub(super) fn known(all: &[Known], asked: FailedCall, doing: &str) -> Vec<Row> {
    let row = |known: &Known| {
        let error = refused(asked, doing, known.example);
        Row::new(Some(error.class()), &error, known.advice)
    };
    all.iter().map(row).collect()
}

fn refusal(class: ErrorClass) -> EngineError {
    EngineError::Refused { doing: "DO SOMETHING".to_owned(), message: format!("MESSAGE ({class:?})"), class }
}

fn class_of(error: &EngineError) -> Option<ErrorClass> {
    Some(error.class())
}

rows! { engine, EngineError, class_of;
    EngineError::NoSocket(_), EngineError::NoSocket("VALUE".to_owned()) => entry(
        Section::Engine,
        "berth speaks to an engine on the same host only, on a unix socket.",
        "remove `DOCKER_HOST` from the environment of the agent, or set it to `unix:///…`.",
        &["systemctl show berth --property Environment"],
    );
    EngineError::TooOld { .. }, EngineError::TooOld { socket: "VALUE".to_owned(), version: "1.40".to_owned() } => entry(
        Section::Engine,
        "The engine is older than Docker Engine 20.10, the oldest that berth is tested with; Podman answers with an API of its own.",
        "update the engine in the AMI; `docs/support.md` has the list of those that work.",
        &["docker version --format '{{.Server.Version}} {{.Server.APIVersion}}'"],
    );
    EngineError::NoTags(_), EngineError::NoTags("VALUE".to_owned()) => entry(
        Section::Image,
        "The engine cannot ask a registry which digest a tag has: Podman's Docker-compatible API has no such call.",
        "name the image by its digest, or use Docker.",
        &["docker buildx imagetools inspect IMAGE --format '{{.Manifest.Digest}}'"],
    );
    EngineError::Refused { class: ErrorClass::Transient | ErrorClass::Expired | ErrorClass::Throttled | ErrorClass::Gone, .. }, refusal(ErrorClass::Transient) => Passes;
    EngineError::Refused { class: ErrorClass::Denied, .. }, refusal(ErrorClass::Denied) => entry(
        Section::Engine,
        "The engine, or an authorization plugin of it, does not allow the call. MESSAGE is the engine's own sentence.",
        "look for `authorization-plugins` in the config of the engine.",
        &["docker info --format '{{.Plugins.Authorization}}'", "cat /etc/docker/daemon.json"],
    );
    EngineError::Refused { class: ErrorClass::Misconfigured, .. }, refusal(ErrorClass::Misconfigured) => entry(
        Section::Container,
        "The engine does not take what the config asks for. MESSAGE is the engine's own sentence and names it; the usual ones have entries \
         below.",
        "correct the key that the message is about; `berth check --all` shows all of them. The engine's log may say more.",
        &["berth check --all", "journalctl -u docker --boot --lines 50"],
    );
    EngineError::Refused { class: ErrorClass::Broken, .. }, refusal(ErrorClass::Broken) => entry(
        Section::Container,
        "The engine, the image or the host does not have what is asked for. MESSAGE is the engine's own sentence; the usual ones have \
         entries below.",
        "look at what the message names; the engine's log may say more.",
        &["journalctl -u docker --boot --lines 50"],
    );
    EngineError::NoAnswer { class: ErrorClass::Denied, .. }, EngineError::NoAnswer {
        doing: "ping the engine".to_owned(),
        class: ErrorClass::Denied,
        source: io::Error::from_raw_os_error(13).into(),
    } => entry(
        Section::Engine,
        "The socket of the engine is there, and this user may not use it.",
        "run the agent as root, as `berth.service` does.",
        &["ls -l /var/run/docker.sock"],
    );
    EngineError::NoAnswer { class: ErrorClass::Broken | ErrorClass::Misconfigured, .. }, EngineError::NoAnswer {
        doing: "count the app's connections".to_owned(),
        class: ErrorClass::Broken,
        source: io::Error::from_raw_os_error(2).into(),
    } => entry(
        Section::Engine,
        "`/proc` of the container cannot be read, so a drain cannot see when its connections have ended and waits for `drain.timeout`.",
        "remove what hides it: a drop-in of the unit (`ProcSubset=`, `ProtectProc=`), or an engine in another PID namespace.",
        &["systemctl cat berth"],
    );
    EngineError::NoAnswer { .. }, EngineError::NoAnswer {
        doing: "ping the engine".to_owned(),
        class: ErrorClass::Transient,
        source: io::Error::from_raw_os_error(111).into(),
    } => Passes;
    EngineError::Closed { .. }, EngineError::Closed { doing: "ping the engine".to_owned(), source: "REASON".into() } => Passes;
    EngineError::NameTaken(_), EngineError::NameTaken("NAME".to_owned()) => Passes;
    EngineError::NotOurs { .. }, EngineError::NotOurs {
        name: "NAME".to_owned(),
        id: "ID".to_owned(),
        image: "IMAGE".to_owned(),
    } => entry(
        Section::Container,
        "A container that berth did not make has the name that the app's container must have. It was started by hand, by another tool, or \
         is in the AMI.",
        "remove it from the AMI, or give the app another `name`. On this instance:",
        &["docker rm --force NAME"],
    );
    EngineError::SeccompProfile { .. }, EngineError::SeccompProfile { path: "PATH".to_owned(), reason: "REASON".to_owned() } => entry(
        Section::Container,
        "The file of `security_opt=seccomp=PATH` is not on this host, or is no profile in JSON.",
        "put it into the AMI, or correct it.",
        &["jq . PATH"],
    );
    EngineError::OtherPlatform { .. }, EngineError::OtherPlatform {
        image: "IMAGE".to_owned(),
        platform: "linux/arm64".to_owned(),
        built_for: "linux/amd64".to_owned(),
    } => entry(
        Section::Image,
        "`platform` asks for a kind of machine that the image is not built for.",
        "build it for that platform, or leave `platform` out: the engine takes the one of this host.",
        &["docker buildx imagetools inspect IMAGE"],
    );
    EngineError::OtherMachine { .. }, EngineError::OtherMachine { image: "IMAGE".to_owned(), built_for: "arm64".to_owned() } => entry(
        Section::Image,
        "The image is for another kind of machine. `arm64` is Graviton, `amd64` is Intel and AMD.",
        "build it for both, or choose another instance type.",
        &["docker buildx build --platform linux/amd64,linux/arm64 --push -t IMAGE ."],
    );
    EngineError::Stalled { .. }, EngineError::Stalled { image: "IMAGE".to_owned(), stall: Duration::from_secs(30) } => Passes;
    EngineError::UnreadableLogin(_), EngineError::UnreadableLogin("HOST".to_owned()) => entry(
        Section::Image,
        "The password in the secret of `registry_auth` is not text.",
        "store it as text in UTF-8.",
        &[],
    );
    EngineError::NoCommand(_), EngineError::NoCommand("IMAGE".to_owned()) => entry(
        Section::Container,
        "Nothing says what to run.",
        "set `command`, or give the image a CMD.",
        &["docker image inspect --format '{{.Config.Entrypoint}} {{.Config.Cmd}}' IMAGE"],
    );
    EngineError::NoBridge { .. }, EngineError::NoBridge { network: "NETWORK".to_owned(), driver: "DRIVER".to_owned() } => entry(
        Section::Block,
        "The rule that keeps a container from the metadata stands on a bridge of this host, and this network is none.",
        "use a bridge network (`docker network create`), `network=none`, or `imds=allow`.",
        &["docker network ls"],
    );
    EngineError::TooLong(_), EngineError::TooLong(Duration::from_secs(5)) => Passes;
}

/// What an engine says when it does not create a container.
pub(super) fn create() -> Vec<Row> {
    known(CREATE, FailedCall::Create, "create the container NAME")
}

/// What an engine says when it does not start one.
pub(super) fn start() -> Vec<Row> {
    known(START, FailedCall::Start, "start the container")
}

const NO_MOUNT: Advice = entry(
    Section::Container,
    "A path that is to be mounted is not on this host. For `volumes` the engine makes a missing path, as an empty folder, as with `docker run -v`: \
     `after` waits for a disk instead.",
    "make it in the AMI, or mount the volume that it is on before berth starts.",
    &["findmnt", "ls -ld PATH"],
);

const LOG_DRIVER: Advice = entry(
    Section::Container,
    "The engine has no such log driver, or the driver does not take an option, or cannot reach where it writes to. For `awslogs` the \
     message ends with AWS's answer: the role needs `logs:CreateLogStream` and `logs:PutLogEvents`, and the group must exist.",
    "correct `log_driver` and `log_opt.*`, or what the message names.",
    &["docker info --format '{{.Plugins.Log}}'", "berth policy"],
);

const PORT_TAKEN: Advice = entry(
    Section::Container,
    "Another process, or another container, has the host port of `port`.",
    "stop it in the AMI (often a web server that a package started), or use another port; `0:8080` lets the engine choose one.",
    &["ss -lntup", "docker ps"],
);

const NOT_RUN: Advice = entry(
    Section::Container,
    "The program that `command`, `entrypoint` or the image names is not in the image, or the interpreter of its first line is not.",
    "correct the name. No shell runs the command: for pipes and variables write `command='sh -c \"…\"'`.",
    &["docker image inspect --format '{{.Config.Entrypoint}} {{.Config.Cmd}}' IMAGE"],
);

static CREATE: &[Known] = &[
    Known {
        prose: &["bind source path does not exist", "invalid mount config"],
        example: "invalid mount config for type \"bind\": bind source path does not exist: PATH",
        advice: NO_MOUNT,
    },
    Known {
        prose: &["error looking up logging plugin"],
        example: "error looking up logging plugin NAME: plugin \"NAME\" not found",
        advice: LOG_DRIVER,
    },
    Known {
        prose: &["unknown log opt"],
        example: "unknown log opt 'NAME' for json-file log driver",
        advice: LOG_DRIVER,
    },
    Known {
        prose: &["no space left on device"],
        example: "mkdir /var/lib/docker/…: no space left on device",
        advice: DISK_FULL,
    },
];

static START: &[Known] = &[
    Known {
        prose: &["port is already allocated"],
        example: "driver failed programming external connectivity on endpoint NAME: Bind for 0.0.0.0:8080 failed: port is already allocated",
        advice: PORT_TAKEN,
    },
    Known {
        prose: &["address already in use"],
        example: "Error starting userland proxy: listen tcp4 0.0.0.0:8080: bind: address already in use",
        advice: PORT_TAKEN,
    },
    Known {
        prose: &["cannot assign requested address"],
        example: "listen tcp4 192.0.2.1:8080: bind: cannot assign requested address",
        advice: entry(
            Section::Container,
            "`port` names an address that is not one of this host.",
            "leave the address out, or write one that every instance has (`127.0.0.1`).",
            &["ip -brief address"],
        ),
    },
    Known {
        prose: &["executable file not found", "no such file or directory"],
        example: "exec: \"PROGRAM\": executable file not found in $PATH: unknown",
        advice: NOT_RUN,
    },
    Known {
        prose: &["permission denied"],
        example: "exec: \"PROGRAM\": permission denied: unknown",
        advice: entry(
            Section::Container,
            "The program is in the image and is not executable, or `user` may not run it.",
            "`chmod +x` it in the build, or correct `user`.",
            &[],
        ),
    },
    Known {
        prose: &["exec format error"],
        example: "exec PROGRAM: exec format error",
        advice: entry(
            Section::Container,
            "The program is for another kind of machine, or a script without its first line `#!`.",
            "build it for this machine, or give the script its interpreter.",
            &["docker image inspect --format '{{.Architecture}}' IMAGE"],
        ),
    },
    Known {
        prose: &["unable to find user"],
        example: "unable to find user NAME: no matching entries in passwd file",
        advice: entry(
            Section::Container,
            "`user`, or USER of the image, is a name that `/etc/passwd` of the image does not have.",
            "write its number: `user=1000:1000`.",
            &[],
        ),
    },
    Known {
        prose: &["error gathering device information"],
        example: "error gathering device information while adding custom device \"PATH\": no such file or directory",
        advice: entry(
            Section::Container,
            "A device of `devices` is not on this host.",
            "choose an instance type that has it, load its module in the AMI, or leave it out.",
            &["ls -l /dev"],
        ),
    },
    Known {
        prose: &["could not select device driver"],
        example: "could not select device driver \"\" with capabilities: [[gpu]]",
        advice: entry(
            Section::Container,
            "`gpus` is set, and the engine has no GPU runtime.",
            "install NVIDIA's driver and its container toolkit into the AMI.",
            &["nvidia-smi", "docker info --format '{{.Runtimes}}'"],
        ),
    },
    Known {
        prose: &["failed to initialize logging driver"],
        example: "failed to initialize logging driver: MESSAGE",
        advice: LOG_DRIVER,
    },
    Known {
        prose: &["network-scoped alias"],
        example: "network-scoped alias is supported only for containers in user defined networks",
        advice: entry(
            Section::Container,
            "The network does not take what the config asks of it.",
            "create a network of your own in the AMI and name it with `network`.",
            &["docker network create NAME"],
        ),
    },
    Known {
        prose: &["bind source path does not exist", "invalid mount config"],
        example: "invalid mount config for type \"bind\": bind source path does not exist: PATH",
        advice: NO_MOUNT,
    },
    Known {
        prose: &["no space left on device"],
        example: "mkdir /var/lib/docker/…: no space left on device",
        advice: DISK_FULL,
    },
];

#[cfg(test)]
mod tests {
    use berth::io::docker::final_prose;

    use super::super::refused;
    use super::*;

    #[test]
    fn all_prose_that_is_final_has_an_entry_and_its_example_holds_it() {
        let prose = |all: &[Known]| all.iter().flat_map(|known| known.prose).copied().collect::<Vec<_>>();
        let said = |asked: FailedCall| match asked {
            FailedCall::Registry => super::super::image::known_prose(),
            FailedCall::Create => prose(CREATE),
            FailedCall::Start => [prose(START), prose(refused::KEYS)].concat(),
        };
        let is_missing = |(asked, words): &(FailedCall, &[&str])| !said(*asked).contains(&words.join(" + ").as_str());
        let missing: Vec<_> = final_prose().into_iter().filter(is_missing).collect();
        assert!(missing.is_empty(), "no entry says what to do: {missing:?}");
        for known in CREATE.iter().chain(START).chain(refused::KEYS) {
            let example = known.example.to_lowercase();
            let holds = |words: &&&str| words.split(" + ").all(|words| example.contains(words));
            assert!(known.prose.iter().any(|words| holds(&words)), "{example}");
        }
    }
}
