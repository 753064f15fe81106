//! How a container is started so that it can be a machine; `make bench PARTS=power` starts them in the same way.

/// As `--privileged`, without what a machine that is itself one in a cloud may not have, and with a namespace of control
/// groups of its own. The journal outlives the machine.
pub(crate) const HARDWARE: &[&str] = &[
    "--tty",
    "--stop-signal=SIGRTMIN+3",
    "--network=none",
    "--cap-add=ALL",
    "--cap-drop=SYS_RESOURCE",
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",
    "--security-opt=systempaths=unconfined",
    "--device-cgroup-rule=a *:* rwm",
    "--cgroupns=private",
    "--tmpfs=/run:exec",
    "--tmpfs=/run/lock",
    "--tmpfs=/tmp:exec",
    "--volume=/var/lib/docker",
    "--volume=/var/lib/containerd",
    "--volume=/var/log/journal",
];
