//! Keys of the config that the engine, its runtime or the kernel refuses when the container is created or started.

use berth::io::docker::FailedCall;

use super::engine::{Known, known};
use super::{Row, Section, entry};

pub(super) fn keys() -> Vec<Row> {
    known(KEYS, FailedCall::Start, "start the container")
}

/// Words that stand for one refusal together are joined by ` + `.
pub(super) static KEYS: &[Known] = &[
    Known {
        prose: &["unknown runtime specified", "unknown or invalid runtime name", "runtime + binary not installed"],
        example: "Unknown runtime specified NAME",
        advice: entry(
            Section::Container,
            "`runtime` names a runtime that the engine does not have.",
            "install it into the AMI and name it in `runtimes` of `/etc/docker/daemon.json`, or leave `runtime` out.",
            &["docker info --format '{{.Runtimes}}'"],
        ),
    },
    Known {
        prose: &["invalid --security-opt", "decoding seccomp profile failed", "apparmor + profile + no such file"],
        example: "invalid --security-opt 2: \"NAME=VALUE\"",
        advice: entry(
            Section::Container,
            "`security_opt` has an option that this engine does not know, a seccomp profile that it cannot read, or an AppArmor profile \
             that is not loaded on this host.",
            "correct the option, or load the profile in the AMI.",
            &["docker info --format '{{.SecurityOptions}}'", "aa-status"],
        ),
    },
    Known {
        prose: &["unable to find group"],
        example: "unable to find group NAME: no matching entries in group file",
        advice: entry(
            Section::Container,
            "`group_add` names a group that `/etc/group` of the image does not have.",
            "write its number.",
            &[],
        ),
    },
    Known {
        prose: &[
            "open /proc/sys/ + no such file",
            "open sysctl  + no such file",
            "write sysctl ",
            "open sysctl  + denied",
            "write /proc/sys/",
            "open /proc/sys/ + denied",
            "sysctl + not in a separate kernel namespace",
            "sysctl + not allowed in",
        ],
        example: "write /proc/sys/net/core/somaxconn: invalid argument",
        advice: entry(
            Section::Container,
            "A setting of `sysctls` does not exist in this kernel, does not take the value, or is none that a container has for itself.",
            "correct it, or set it on the host, in `/etc/sysctl.d` of the AMI.",
            &["sysctl --all | grep NAME"],
        ),
    },
    Known {
        prose: &["non-shareable ipc"],
        example: "cannot join IPC namespace of container NAME: non-shareable IPC",
        advice: entry(
            Section::Container,
            "`ipc=container:NAME` joins a container that does not share its own.",
            "create the other container with `--ipc=shareable`.",
            &[],
        ),
    },
    Known {
        prose: &[
            "does not match the specified platform",
            "does not provide the specified platform",
            "cannot overwrite digest",
        ],
        example: "image with reference IMAGE was found but does not match the specified platform: wanted linux/arm64, actual: linux/amd64",
        advice: entry(
            Section::Image,
            "The image is here for another kind of machine than `platform` asks for.",
            "build it for that platform, or leave `platform` out.",
            &["docker buildx imagetools inspect IMAGE"],
        ),
    },
];
