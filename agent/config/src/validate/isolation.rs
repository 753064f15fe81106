//! Warnings about weak isolation of the container, about keys without effect because of it, and about paths that the agent's own isolation hides.

use crate::config::Config;
use crate::config::policy::ImdsAccess;
use crate::error::ConfigErrors;
use crate::error::code::Code;
use crate::parse::layers::Layers;
use crate::value::kernel::is_bare;
use crate::value::path::below;

/// Directories that berth.service hides from the agent, and the directive that does it.
const HIDDEN: [(&str, &str); 6] = [
    ("/dev", "PrivateDevices"),
    ("/home", "ProtectHome"),
    ("/root", "ProtectHome"),
    ("/run/user", "ProtectHome"),
    ("/tmp", "PrivateTmp"),
    ("/var/tmp", "PrivateTmp"),
];

/// A `shm_size` below this is most likely meant in another unit.
const SMALL_SHM: u64 = 1 << 20;

/// The directory and the directive of berth.service that hide this path from the agent.
pub(crate) fn hidden(path: &str) -> Option<(&'static str, &'static str)> {
    HIDDEN.into_iter().find(|(folder, _)| below(path, folder))
}

impl Layers {
    pub(crate) fn warn_of_isolation(&self, config: &Config, warnings: &mut ConfigErrors) {
        let mut warn = |code, key: &str, reason: &str| {
            let reason = reason.to_owned();
            warnings.add(code, self.location(key), Some(key), || reason);
        };
        for option in &config.security_opt {
            if let Some(reason) = weakness(option) {
                warn(Code::WeakIsolation, "security_opt", reason);
            }
        }
        if config.pid.as_deref() == Some("host") {
            warn(Code::WeakIsolation, "pid", of_host_processes(config));
        }
        let ipc = config.ipc.as_deref().unwrap_or_default();
        if ipc == "host" {
            warn(
                Code::WeakIsolation,
                "ipc",
                "gives the container the shared memory and message queues of every process on the host",
            );
        }
        if config.shm_size.is_some() && (matches!(ipc, "host" | "none") || ipc.starts_with("container:")) {
            warn(
                Code::UnusedKey,
                "shm_size",
                "has no effect: with this `ipc`, the container has no `/dev/shm` of its own",
            );
        }
        if config.runtime.as_deref().is_some_and(has_own_network) {
            warn(
                Code::UncountedConnections,
                "runtime",
                "has its own network stack, so berth cannot count the app's connections: a drain waits for \
                 `drain.settle` only",
            );
        }
        for path in &config.after {
            if let Some((folder, directive)) = hidden(path) {
                warn(
                    Code::HiddenPath,
                    "after",
                    &format!(
                        "may never exist for the agent: berth.service hides `{folder}` of the host ({directive}); wait for another path, or \
                         change the unit with `systemctl edit berth`"
                    ),
                );
            }
        }
        let is_bare = self.keys.get("shm_size").and_then(|written| written.value.one().ok()).is_some_and(is_bare);
        if is_bare && config.shm_size.is_some_and(|bytes| bytes < SMALL_SHM) {
            warn(
                Code::SmallSize,
                "shm_size",
                "is a number of bytes, as in Docker; for MiB, as in ECS task definitions, add `m`",
            );
        }
    }
}

/// Whether a runtime keeps sockets where the host's kernel does not list them: gVisor, Kata Containers.
fn has_own_network(runtime: &str) -> bool {
    ["runsc", "gvisor", "kata"].iter().any(|name| runtime.contains(name))
}

/// How a security option weakens the isolation, if it does.
fn weakness(option: &str) -> Option<&'static str> {
    Some(match option {
        "apparmor=unconfined" => {
            "runs the container without an AppArmor profile: give it one that allows what the app needs"
        }
        "seccomp=unconfined" => {
            "runs the container without a seccomp profile: give it one (`seccomp=FILE`) that allows what the app needs"
        }
        "label=disable" => {
            "runs the container without SELinux confinement: give it a type (`label=type:…`) that allows what the app needs"
        }
        "systempaths=unconfined" => "lets the container read and write what the engine hides in `/proc` and `/sys`",
        "no-new-privileges=false" => "lets the app gain privileges through setuid programs, such as `sudo`",
        "writable-cgroups=true" => "lets the container write to its control groups",
        _ => return None,
    })
}

fn of_host_processes(config: &Config) -> &'static str {
    match (config.privileged, config.imds) {
        (true, ImdsAccess::Block) => {
            "makes a `privileged` container root on the host, because it can enter the host's namespaces, and `imds=block` cannot keep it \
             from the metadata"
        }
        (true, ImdsAccess::Allow) => {
            "makes a `privileged` container root on the host, because it can enter the host's namespaces"
        }
        (false, _) => "lets the container see the host's processes, and signal those that its user may signal",
    }
}

#[cfg(test)]
mod tests {
    use crate::validate::warnings::tests::warnings;

    #[test]
    fn weak_isolation_gets_a_warning_with_its_location() {
        for (words, expected) in [
            ("security_opt=apparmor=unconfined", "`security_opt`: runs the container without an AppArmor profile"),
            ("security_opt=apparmor:unconfined", "`security_opt`: runs the container without an AppArmor profile"),
            ("security_opt=seccomp=unconfined", "`security_opt`: runs the container without a seccomp profile"),
            ("security_opt=label=disable", "`security_opt`: runs the container without SELinux"),
            (
                "security_opt=systempaths=unconfined",
                "`security_opt`: lets the container read and write what the engine hides",
            ),
            ("security_opt=no-new-privileges=false", "`security_opt`: lets the app gain privileges"),
            ("pid=host", "`pid`: lets the container see the host's processes"),
            ("ipc=host", "`ipc`: gives the container the shared memory"),
            ("shm_size=1g ipc=none", "`shm_size`: has no effect"),
            (
                "after=/mnt/data,/home/app/data",
                "`after`: may never exist for the agent: berth.service hides `/home` of the host",
            ),
            ("after=/dev/nvme1n1", "berth.service hides `/dev` of the host (PrivateDevices)"),
            ("runtime=io.containerd.runsc.v1", "`runtime`: has its own network stack"),
            ("shm_size=512", "`shm_size`: is a number of bytes, as in Docker"),
        ] {
            let reported = warnings(words);
            assert!(
                reported.starts_with("user-data line 1 column 17: ") && reported.contains(expected),
                "{words}: {reported}"
            );
            assert_eq!(reported.lines().count(), 1, "{words}: {reported}");
        }
        let reported = warnings("pid=host privileged=true");
        assert!(
            reported.contains("`pid`: makes a `privileged` container root on the host")
                && reported.lines().count() == 2,
            "{reported}"
        );
        assert!(warnings("pid=host privileged=true imds=block").contains("`imds=block` cannot keep it"));
    }

    #[test]
    fn what_keeps_it_gets_none() {
        for words in [
            "security_opt=no-new-privileges,apparmor=mine,seccomp=/etc/berth/app.json,label=type:app_t",
            "ipc=private pid=container:a",
            "after=/mnt/data,/run/ready,/devices",
            "ipc=shareable shm_size=1g",
            "sysctls=net.core.somaxconn=4096 dns=1.1.1.1 dns_search=a group_add=a pids_limit=10 platform=linux/arm64 runtime=runc",
        ] {
            assert_eq!(warnings(words), "", "{words}");
        }
    }
}
