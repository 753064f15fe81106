//! Why a container was not started: the kernel, the runtime and the network check what the creation did not.

use berth_config::Port;
use berth_core::message::error::ErrorClass;
use bollard::errors::Error as Bollard;

use super::answer::of;
use super::key;
use crate::io::docker::error::EngineError;

/// What the config asks for and the host does not provide.
pub(super) const MISCONFIGURED: [&str; 9] = [
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

/// What the image lacks, or the disk has no space for.
pub(super) const BROKEN: [&str; 6] = [
    "executable file not found",
    "no such file or directory",
    "permission denied",
    "exec format error",
    "unable to find user",
    "no space left on device",
];

/// Whether the container has no such user or group. Docker Engine 28.5 refuses such a command; older engines begin it, and it ends with 126.
pub fn is_no_such_user(error: &EngineError) -> bool {
    let EngineError::Refused { message, .. } = error else { return false };
    ["unable to find user", "unable to find group"].iter().any(|words| message.contains(words))
}

/// Classifies a refusal to start a container.
pub(in crate::io::docker) fn start(status: Option<u16>, prose: &str) -> ErrorClass {
    let says = |words: &[&str]| words.iter().any(|words| prose.contains(words));
    if status == Some(404) && prose.contains("no such container") {
        ErrorClass::Gone
    } else if let Some((class, _)) = key::find(prose) {
        class
    } else if says(&MISCONFIGURED) {
        ErrorClass::Misconfigured
    } else if says(&BROKEN) || matches!(status, Some(400 | 404)) {
        ErrorClass::Broken
    } else {
        ErrorClass::Transient
    }
}

/// The error of starting this container with these ports.
///
/// A container that does not exist may be another one, whose network this one shares. For host port 0 the engine chooses another port at the
/// next attempt, so a conflict passes; with a port that the config names it stays.
pub(in crate::io::docker) fn of_start(error: Bollard, id: &str, ports: &[Port]) -> EngineError {
    let mut error = of("start the container".to_owned(), error, start);
    if let EngineError::Refused { message, .. } = &error
        && !message.contains(id)
    {
        key::name_other_container(&mut error);
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

fn is_port_taken(prose: &str) -> bool {
    ["port is already allocated", "address already in use"].iter().any(|words| prose.contains(words))
}

#[cfg(test)]
mod tests {
    use berth_config::Protocol;

    use super::*;

    #[test]
    fn a_refused_start_is_classified_by_its_message() {
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
    fn a_missing_container_is_this_one_or_the_one_whose_network_it_shares() {
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
    fn a_conflict_passes_for_a_port_that_the_engine_chose_and_stays_for_one_of_the_config() {
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
