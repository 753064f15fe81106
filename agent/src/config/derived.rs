//! What follows from a believed config without asking anybody.

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Config, Health, Protocol};

/// Raised when what a container is made of is written down differently: containers of an older form are then made anew.
const FINGERPRINT_FORMAT: u32 = 1;

impl Config {
    /// Tells two containers apart by what they are made of: 32 hex digits that change when the container must be made anew,
    /// and do not when only its keeping changes (probe, restart, drain, lifecycle, listen, boot).
    pub fn fingerprint(&self) -> String {
        #[derive(Serialize)]
        struct Made<T: Serialize>(T);
        let made = Made((
            (FINGERPRINT_FORMAT, self.image.to_string(), &self.name, &self.ports),
            (&self.env, &self.secret, &self.secrets, &self.secrets_as, &self.imds),
            (
                &self.command,
                &self.entrypoint,
                &self.user,
                &self.workdir,
                &self.init,
                &self.privileged,
                &self.stop_signal,
            ),
            (&self.volumes, &self.tmpfs, &self.read_only, &self.memory, &self.cpus, &self.ulimits, &self.shm_size),
            (&self.cap_add, &self.cap_drop, &self.devices, &self.gpus),
            (&self.network, &self.hostname, &self.extra_hosts, &self.labels, &self.log_driver, &self.log_opt),
        ));
        // Maps with text keys and numbers always have a JSON form; an empty one would only make the container anew.
        let json = serde_json::to_vec(&made).unwrap_or_default();
        Sha256::digest(json).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    /// `berth-<name>`
    pub fn container_name(&self) -> String {
        format!("berth-{}", self.name)
    }

    /// How the app is asked: as written, else the image's HEALTHCHECK, else the first TCP port, else not at all.
    pub fn effective_health(&self, image_has_healthcheck: bool) -> Health {
        match (&self.health, image_has_healthcheck, self.first_tcp_port()) {
            (Some(health), ..) => health.clone(),
            (None, true, _) => Health::Docker,
            (None, false, Some(_)) => Health::Tcp(None),
            (None, false, None) => Health::None,
        }
    }

    /// The container's port that `/path` and `tcp` ask.
    pub fn first_tcp_port(&self) -> Option<u16> {
        self.ports.iter().find(|port| port.protocol == Protocol::Tcp).map(|port| port.container)
    }

    /// What the app calls itself to the outside: the tag, else the first twelve digits of the digest.
    pub fn version(&self) -> String {
        let short = || self.image.pinned().map(|image| image.short().to_owned());
        self.image.tag.clone().or_else(short).unwrap_or_default()
    }

    /// Whether the app gets any secret.
    pub fn has_secrets(&self) -> bool {
        !self.secret.is_empty() || !self.secrets.is_empty()
    }
}
