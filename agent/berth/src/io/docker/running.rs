//! The facts of an inspected container that decide anything.
#![expect(clippy::disallowed_methods, reason = "the engine reports by the wall clock when a container started")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use berth_config::PinnedImage;
use berth_core::message::container::{Address, ContainerId, FoundContainer, RunningContainer};
use bollard::models::{ContainerConfig, ContainerInspectResponse, NetworkSettings};

use super::create::{FINGERPRINT, IMAGE};
use super::image::healthcheck;
use crate::shim;

/// The address of a published port for which the engine reports none.
const ANYWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// The container as found, running or not.
pub(super) fn found(inspected: ContainerInspectResponse) -> FoundContainer {
    let label = |name: &str| inspected.config.as_ref()?.labels.as_ref()?.get(name).cloned();
    let state = inspected.state.as_ref();
    // A paused container serves no request, and one that the engine restarts has another owner.
    let runs = state.is_some_and(|state| {
        state.running == Some(true) && state.paused != Some(true) && state.restarting != Some(true)
    });
    FoundContainer {
        id: ContainerId(inspected.id.clone().unwrap_or_default()),
        name: inspected.name.as_deref().unwrap_or_default().trim_start_matches('/').to_owned(),
        fingerprint: label(FINGERPRINT),
        image: label(IMAGE).and_then(|image| {
            let (repository, digest) = image.rsplit_once('@')?;
            Some(PinnedImage { repository: repository.to_owned(), digest: digest.to_owned() })
        }),
        running: runs.then(|| running(inspected)),
    }
}

/// The container as it runs.
pub(super) fn running(inspected: ContainerInspectResponse) -> RunningContainer {
    let config = inspected.config.unwrap_or_default();
    let mode = inspected.host_config.and_then(|host| host.network_mode).unwrap_or_default();
    let network = inspected.network_settings.unwrap_or_default();
    RunningContainer {
        id: ContainerId(inspected.id.unwrap_or_default()),
        address: match (mode.as_str(), address(&network)) {
            ("host", _) => Address::At(Ipv4Addr::LOCALHOST.into()),
            (_, Some(address)) => Address::At(address),
            (mode, None) if mode == "none" || mode.starts_with("container:") => Address::Never,
            (_, None) => Address::NotNow,
        },
        published: published(network),
        shim: has_shim(&config),
        running_for: inspected.state.and_then(|state| age(&state.started_at?, SystemTime::now())).unwrap_or_default(),
        healthcheck: config.healthcheck.and_then(|health| healthcheck(health, config.shell)),
    }
}

/// The address on its network. With several networks it is that of the first by name, so that it is the same each time.
fn address(network: &NetworkSettings) -> Option<IpAddr> {
    let mut endpoints: Vec<_> = network.networks.iter().flatten().collect();
    endpoints.sort_by(|one, other| one.0.cmp(other.0));
    endpoints.into_iter().find_map(|(_, endpoint)| {
        let parsed = |text: &Option<String>| text.as_ref()?.parse().ok();
        parsed(&endpoint.ip_address).or_else(|| parsed(&endpoint.global_ipv6_address))
    })
}

fn published(network: NetworkSettings) -> Vec<(u16, SocketAddr)> {
    let mut published = Vec::new();
    for (port, bindings) in network.ports.into_iter().flatten() {
        let (number, protocol) = port.split_once('/').unwrap_or((&port, "tcp"));
        let Ok(container) = number.parse() else { continue };
        for binding in bindings.into_iter().flatten() {
            let host = binding.host_ip.and_then(|address| address.parse().ok()).unwrap_or(ANYWHERE);
            if let Some(port) = binding.host_port.and_then(|port| port.parse().ok()) {
                published.push((container, protocol != "tcp", SocketAddr::new(host, port)));
            }
        }
    }
    // TCP first: it is what probes and load balancers connect to.
    published.sort();
    published.dedup();
    published.into_iter().map(|(container, _, host)| (container, host)).collect()
}

/// How long ago the container started. The engine's times are the host's wall clock, which may have been set since: a time in the future has no age.
fn age(started_at: &str, now: SystemTime) -> Option<Duration> {
    let started = SystemTime::try_from(DateTime::from_str(started_at, Format::DateTimeWithOffset).ok()?).ok()?;
    now.duration_since(started).ok()
}

fn has_shim(config: &ContainerConfig) -> bool {
    config.entrypoint.as_deref().is_some_and(|words| matches!(words, [first, ..] if first == shim::BINARY))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inspected(json: serde_json::Value) -> ContainerInspectResponse {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_container_answers_on_its_own_network_or_on_the_host_s() {
        let at = |mode: &str, networks: serde_json::Value| {
            running(inspected(serde_json::json!({
                "Id": "x", "HostConfig": {"NetworkMode": mode}, "NetworkSettings": {"Networks": networks, "Ports": {}},
            })))
            .address
            .to_string()
        };
        assert_eq!(at("default", serde_json::json!({"bridge": {"IPAddress": "172.17.0.2"}})), "172.17.0.2");
        assert_eq!(at("own", serde_json::json!({"own": {"IPAddress": "172.18.0.2"}})), "172.18.0.2");
        assert_eq!(at("six", serde_json::json!({"six": {"IPAddress": "", "GlobalIPv6Address": "fd00::2"}})), "fd00::2");
        assert_eq!(at("host", serde_json::json!({"host": {"IPAddress": ""}})), "127.0.0.1");
        let without = |mode: &str, networks: serde_json::Value| {
            running(inspected(serde_json::json!({
                "HostConfig": {"NetworkMode": mode}, "NetworkSettings": {"Networks": networks},
            })))
            .address
        };
        assert_eq!(without("none", serde_json::json!({"none": {"IPAddress": ""}})), Address::Never);
        assert_eq!(without("container:x", serde_json::json!({})), Address::Never);
        assert_eq!(without("default", serde_json::json!({"bridge": {"IPAddress": ""}})), Address::NotNow, "it exited");
        assert_eq!(without("own", serde_json::json!({})), Address::NotNow, "it was disconnected");
    }

    #[test]
    fn how_long_it_has_run_is_counted_from_its_last_start() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_232_321_500);
        let age = |at| age(at, now);
        assert_eq!(age("2026-11-21T03:38:31.25Z"), Some(Duration::from_millis(10_250)));
        assert_eq!(age("2026-11-21T03:38:41.123456789Z"), Some(Duration::from_nanos(376_543_211)));
        assert_eq!(
            age("2026-11-21T05:38:41.000000000+02:00"),
            Some(Duration::from_millis(500)),
            "an engine with a time zone"
        );
        assert_eq!(age("2026-11-21T03:38:42Z"), None, "not in the future");
        assert_eq!(age(""), None);
    }

    #[test]
    fn one_that_is_paused_or_restarted_by_the_engine_does_not_run() {
        let runs = |state: serde_json::Value| found(inspected(serde_json::json!({"State": state}))).running.is_some();
        assert!(runs(serde_json::json!({"Running": true, "Paused": false, "Restarting": false})));
        assert!(!runs(serde_json::json!({"Running": true, "Paused": true})));
        assert!(!runs(serde_json::json!({"Running": true, "Restarting": true})));
        assert!(!runs(serde_json::json!({"Running": false})));
    }

    #[test]
    fn a_published_port_has_its_address_on_the_host() {
        let published = running(inspected(serde_json::json!({"NetworkSettings": {"Ports": {
            "8080/tcp": [{"HostIp": "0.0.0.0", "HostPort": "32768"}, {"HostIp": "::", "HostPort": "32768"}],
            "53/udp": [{"HostIp": "127.0.0.1", "HostPort": "53"}], "53/tcp": [{"HostIp": "127.0.0.1", "HostPort": "54"}],
            "9/tcp": null,
        }}})))
        .published;
        let shown: Vec<_> = published.iter().map(|(port, host)| format!("{port} {host}")).collect();
        assert_eq!(shown, ["53 127.0.0.1:54", "53 127.0.0.1:53", "8080 0.0.0.0:32768", "8080 [::]:32768"]);
    }
}
