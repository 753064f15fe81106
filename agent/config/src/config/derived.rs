//! Values that follow from a validated config.

use std::time::Duration;

use crate::config::Config;
use crate::config::policy::{Probe, TrafficMove};
use crate::value::health::ProbeMethod;
use crate::value::port::{Port, Protocol};
use crate::value::target_group::TargetGroup;

/// The timeout of one probe, if neither the config nor a HEALTHCHECK sets one.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// The time from the start of the container to the first healthy probe, if the config sets none.
const START_TIMEOUT: Duration = Duration::from_secs(120);

impl Probe {
    /// The timeout of one probe: the config's, else the HEALTHCHECK's if that is the probe, else 2 s.
    pub fn timeout_for(&self, healthcheck: Option<Duration>) -> Duration {
        self.timeout.or(healthcheck).unwrap_or(PROBE_TIMEOUT)
    }

    /// The time from the start of the container to the first healthy probe: the config's, else 120 s plus the start period of the
    /// HEALTHCHECK if that is the probe. The engine accepts an app that becomes healthy after its start period.
    pub fn start_limit(&self, start_period: Option<Duration>) -> Duration {
        self.start_timeout.unwrap_or_else(|| START_TIMEOUT.saturating_add(start_period.unwrap_or_default()))
    }
}

impl Config {
    /// `berth-<name>`, or `berth-<name>-2` for the second of two.
    pub fn container_name(&self) -> String {
        self.placed(self.placement.is_second)
    }

    /// The name of the container beside it, while a release has two.
    pub fn other_container_name(&self) -> String {
        self.placed(!self.placement.is_second)
    }

    fn placed(&self, is_second: bool) -> String {
        format!("berth-{}{}", self.name, if is_second { "-2" } else { "" })
    }

    /// How the app is probed: the config's, else the image's HEALTHCHECK, else the first TCP port, else not at all.
    pub fn effective_health(&self, image_has_healthcheck: bool) -> ProbeMethod {
        match (&self.health, image_has_healthcheck, self.first_tcp_port()) {
            (Some(health), ..) => health.clone(),
            (None, true, _) => ProbeMethod::Docker,
            (None, false, Some(_)) => ProbeMethod::Tcp(None),
            (None, false, None) => ProbeMethod::None,
        }
    }

    /// The container's port that `/path` and `tcp` probe.
    pub fn first_tcp_port(&self) -> Option<u16> {
        self.ports.iter().find(|port| port.protocol == Protocol::Tcp).map(|port| port.container)
    }

    /// The port in the container that this target group's targets are: its own, else the first TCP port.
    pub fn target_port(&self, group: &TargetGroup) -> Option<u16> {
        group.container_port.or_else(|| self.first_tcp_port())
    }

    /// The port on the host of this target group's targets, as far as the config sets it: none if berth chooses it.
    pub fn target_host_port(&self, group: &TargetGroup) -> Option<u16> {
        let container = self.target_port(group)?;
        if self.network.as_deref() == Some("host") {
            return Some(container);
        }
        let mut published = self.ports.iter().filter(|port| port.is_reached_at(container));
        published.next().map(|port| port.host).filter(|host| *host != 0)
    }

    /// Whether berth chooses host ports: a load balancer that may still send to the last one must not find another app there.
    pub fn chooses_ports(&self) -> bool {
        !self.target_groups.is_empty() && self.ports.iter().any(Port::is_open)
    }

    /// How a release moves the traffic.
    pub fn traffic_move(&self) -> TrafficMove {
        match self.release.traffic {
            TrafficMove::Auto if self.target_groups.is_empty() => TrafficMove::Readiness,
            TrafficMove::Auto => TrafficMove::Targets,
            written => written,
        }
    }

    /// Whether a second container can be registered with the target groups beside the first: each gets host ports of its own.
    pub fn can_register_beside(&self) -> bool {
        self.traffic_move() == TrafficMove::Targets && self.chooses_ports() && self.ports.iter().all(Port::is_open)
    }

    /// The app's version: the tag, else the first twelve digits of the digest.
    pub fn version(&self) -> String {
        let short = || self.image.pinned().map(|image| image.short().to_owned());
        self.image.tag.clone().or_else(short).unwrap_or_default()
    }

    /// Whether the app gets any secret.
    pub fn has_secrets(&self) -> bool {
        !self.secret.is_empty() || !self.secrets.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::layers::Layers;

    fn config(words: &str) -> Config {
        let mut layers = Layers::new();
        layers.add_user_data(format!("berth {words}").as_bytes());
        layers.resolve().unwrap_or_else(|errors| panic!("{errors}"))
    }

    #[test]
    fn the_fingerprint_changes_with_what_a_container_is_made_of() {
        let plain = config("image=x:1").fingerprint();
        assert_eq!(plain.len(), 32);
        for words in [
            "image=x:2",
            "image=x:1 name=y",
            "image=x:1 port=80",
            "image=x:1 env.A=1",
            "image=x:1 secrets=a",
            "image=x:1 secret.A=a",
            "image=x:1 secret.A=a${b}",
            "image=x:1 secrets_as=files",
            "image=x:1 command=a",
            "image=x:1 entrypoint=a",
            "image=x:1 user=a",
            "image=x:1 workdir=/a",
            "image=x:1 volumes=/a",
            "image=x:1 tmpfs=/a",
            "image=x:1 read_only=true",
            "image=x:1 memory=9m",
            "image=x:1 cpus=1",
            "image=x:1 ulimits=core=0",
            "image=x:1 cap_add=ALL",
            "image=x:1 cap_drop=ALL",
            "image=x:1 devices=/dev/a",
            "image=x:1 gpus=all",
            "image=x:1 network=host",
            "image=x:1 hostname=a",
            "image=x:1 extra_hosts=a:1.1.1.1",
            "image=x:1 shm_size=1m",
            "image=x:1 labels=a=b",
            "image=x:1 init=false",
            "image=x:1 privileged=true",
            "image=x:1 stop_signal=INT",
            "image=x:1 log_driver=journald",
            "image=x:1 log_opt.a=b",
            "image=x:1 imds=block",
            "image=x:1 dns=1.1.1.1",
            "image=x:1 dns_search=a",
            "image=x:1 group_add=a",
            "image=x:1 ipc=host",
            "image=x:1 memory_swap=-1",
            "image=x:1 pid=host",
            "image=x:1 pids_limit=0",
            "image=x:1 oom_score_adj=0",
            "image=x:1 platform=linux/arm64",
            "image=x:1 runtime=runc",
            "image=x:1 security_opt=label=disable",
            "image=x:1 sysctls=net.a=1",
            "image=x:1 log_driver=engine",
        ] {
            assert_ne!(config(words).fingerprint(), plain, "{words}");
        }
    }

    #[test]
    fn the_fingerprint_stays_when_only_the_keeping_changes() {
        let plain = config("image=x:1").fingerprint();
        for words in [
            "health=none",
            "probe.interval=1s",
            "drain.settle=1s",
            "drain.on_failure=abandon",
            "lifecycle.group=a",
            "listen=0.0.0.0:1",
            "boot.on_failure=hold",
            "restart.limit=1",
            "registry_auth=none",
            "stop_timeout=1s",
            "secrets_refresh=1h",
            "spot=ignore",
            "after=/mnt/data",
            "image=docker.io/library/x:1",
        ] {
            let words = if words.starts_with("image") { words.to_owned() } else { format!("image=x:1 {words}") };
            assert_eq!(config(&words).fingerprint(), plain, "{words}");
        }
        // Pinned: if this value changes, an upgrade creates every container again.
        assert_eq!(plain, "8b1a5975b68e88df28b726c6a5a6c580");
    }

    /// Every key that a container is made of, and most of the rest.
    const EVERYTHING: &str = "image=r.example.com/team/app:v1 name=web port=80:8080,127.0.0.1:53:53/udp health=/h probe.interval=1s \
        env.A=1 env.B='x y' secret.P=prod/api#p secret.Q=ssm:/q secret.R='postgres://${prod/db#user}@db' secrets=prod/a,prod/b \
        secrets_as=files secrets_refresh=1h registry_auth=ecr command='serve --port 80' entrypoint=/bin/app user=1000:1000 \
        workdir=/srv volumes=data:/data,/etc/ssl:/etc/ssl:ro,/x tmpfs=/tmp:size=64m,noexec read_only=true memory=512m memory_swap=1g \
        cpus=0.5 pids_limit=100 ulimits=nofile=1024:2048 cap_add=net_admin cap_drop=ALL group_add=audio,2000 \
        security_opt=seccomp=unconfined,label=disable sysctls=net.core.somaxconn=4096 devices=/dev/fuse gpus=device=0,1 network=web \
        hostname=web-1 extra_hosts=db:10.0.0.1 dns=1.1.1.1,::1 dns_search=ec2.internal ipc=private pid=host shm_size=1g \
        labels=a=b,c=d platform=linux/arm64/v9 runtime=runc init=false privileged=true stop_signal=QUIT log_driver=journald \
        log_opt.tag=x imds=block listen=[::]:9000 after=/mnt/data drain.settle=1s spot=ignore";

    #[test]
    fn the_fingerprint_of_a_config_that_exists_never_changes() {
        for (words, fingerprint) in [
            ("image=x:1", "8b1a5975b68e88df28b726c6a5a6c580"),
            ("image=x:1 port=80 health=/ env.A=1 secrets=prod/api", "144bce139948c39990365d224a0f2612"),
            ("image=x:1 gpus=2 secrets_as=files volumes=/a:/b:ro ulimits=core=0", "75a508d6a5d6ed4b6749992c5e136dd7"),
            ("image=x:1 log_driver=engine dns=1.1.1.1", "101a7d65543064b6759777c6e85d9f0c"),
            (EVERYTHING, "d8032951ad4f16e5c1782918e21877f1"),
        ] {
            assert_eq!(config(words).fingerprint(), fingerprint, "{words}");
        }
    }

    #[test]
    fn health_is_asked_by_the_best_that_there_is() {
        assert_eq!(config("image=x:1 health=none port=80").effective_health(true), ProbeMethod::None);
        assert_eq!(config("image=x:1 port=80").effective_health(true), ProbeMethod::Docker);
        assert_eq!(config("image=x:1 port=80").effective_health(false), ProbeMethod::Tcp(None));
        assert_eq!(config("image=x:1 port=53/udp").effective_health(false), ProbeMethod::None);
    }

    #[test]
    fn names_and_versions_follow_from_the_image() {
        let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
        assert_eq!(config("image=r.io/team/ap-api:a1").container_name(), "berth-ap-api");
        assert_eq!(config("image=r.io/team/ap-api:a1").version(), "a1");
        assert_eq!(config(&format!("image=x@{digest}")).version(), "0123456789ab");
        assert_eq!(config(&format!("image=x:1@{digest}")).version(), "1");
        assert_eq!(config("image=x:1 port=53:53/udp,80:8080").first_tcp_port(), Some(8080));
    }
}
