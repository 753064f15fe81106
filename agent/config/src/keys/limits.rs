//! The keys for what the container may use: memory, CPUs, processes, capabilities, kernel settings, devices.

use crate::keys::key::KeyDefault::Words;
use crate::keys::key::{ForeignWord, Key, none, put, same, some};
use crate::value::scalar::cpus;
use crate::value::{Reason, container, kernel};

const CPU: &str = "`cpus=` limits the CPU time";
const BLOCK_IO: &str = "limit the volume itself, in EBS";

/// The keys of the container's limits and rights.
pub(super) static KEYS: &[Key] = &[
    Key {
        name: "memory",
        about: "size, at least 6m",
        default: Words("no limit"),
        examples: &["512m"],
        resolve: |c, v, _| put(&mut c.memory, some(v, kernel::memory)),
    },
    Key {
        name: "memory_swap",
        about: "size of `memory` and swap together, not less than `memory`; the same size is no swap, `-1` no limit",
        default: Words("the engine's, twice `memory`"),
        examples: &["-1"],
        resolve: |c, v, _| put(&mut c.memory_swap, some(v, kernel::memory_swap)),
    },
    Key {
        name: "cpus",
        about: "number, at least 0.01",
        default: Words("no limit"),
        examples: &["0.5"],
        resolve: |c, v, _| put(&mut c.cpus, some(v, cpus)),
    },
    Key {
        name: "pids_limit",
        about: "the most processes and threads; `-1` is no limit",
        default: Words("the engine's"),
        examples: &["512"],
        resolve: |c, v, _| put(&mut c.pids_limit, some(v, kernel::pids_limit)),
    },
    Key {
        name: "oom_score_adj",
        about: "-1000 to 1000: when the instance runs out of memory, the kernel kills the process with the highest score first; a \
             high value protects the engine and other agents on the host",
        default: Words("the engine's, 0"),
        examples: &["500"],
        resolve: |c, v, _| put(&mut c.oom_score_adj, some(v, oom_score_adj)),
    },
    Key {
        name: "ulimits",
        about: "list of `NAME=SOFT` or `NAME=SOFT:HARD`; -1 is no limit",
        default: Words("the engine's"),
        examples: &["nofile=65536,core=0"],
        resolve: |c, v, _| put(&mut c.ulimits, v.each(container::ulimit)),
    },
    Key {
        name: "cap_add",
        about: "list of capabilities",
        default: Words("none"),
        examples: &["NET_ADMIN"],
        resolve: |c, v, _| put(&mut c.cap_add, v.each(container::capability)),
    },
    Key {
        name: "cap_drop",
        about: "list of capabilities",
        default: Words("none"),
        examples: &["ALL"],
        resolve: |c, v, _| put(&mut c.cap_drop, v.each(container::capability)),
    },
    Key {
        name: "group_add",
        about: "list of additional groups of the app's user, names or numbers",
        default: Words("none"),
        examples: &["audio,2000"],
        resolve: |c, v, _| put(&mut c.group_add, v.each(kernel::group)),
    },
    Key {
        name: "security_opt",
        about: "list of `no-new-privileges=true` or `false`, `apparmor=PROFILE`, `seccomp=FILE` (an absolute path on the host, JSON), \
             `seccomp=unconfined`, `label=disable`, `label=type:TYPE` (or `user:`, `role:`, `level:`, `filetype:`), \
             `systempaths=unconfined`, `writable-cgroups=true`",
        default: Words("`no-new-privileges`, without `privileged`"),
        examples: &["seccomp=unconfined,label=disable"],
        resolve: |c, v, _| put(&mut c.security_opt, kernel::security_opts(v)),
    },
    Key {
        name: "sysctls",
        about: "list of `NAME=VALUE`: `net.*`, `fs.mqueue.*`, `kernel.msg*`, `kernel.sem`, `kernel.shm*`",
        default: Words("the kernel's"),
        examples: &["net.core.somaxconn=4096"],
        resolve: |c, v, _| put(&mut c.sysctls, kernel::sysctls(v)),
    },
    Key {
        name: "devices",
        about: "list of `HOST`, `HOST:CONTAINER`, `HOST:CONTAINER:rwm`",
        default: Words("none"),
        examples: &["/dev/fuse"],
        resolve: |c, v, _| put(&mut c.devices, v.each(container::device)),
    },
    Key {
        name: "gpus",
        about: "`all`, a number, or `device=ID,ID`",
        default: Words("none"),
        examples: &["all"],
        resolve: |c, v, _| put(&mut c.gpus, some(v, container::gpus)),
    },
];

/// Words of other programs.
pub(super) static FOREIGN: &[ForeignWord] = &[
    same("mem_limit -m memory_limit deploy.resources.limits.memory", "memory", "with a unit, `512m`"),
    same("memswap_limit linuxParameters.maxSwap", "memory_swap", "memory and swap together, `1g`"),
    same("cpu cpu_count deploy.resources.limits.cpus", "cpus", "in CPUs: 1024 CPU units of ECS are `1`"),
    same("deploy.resources.limits.pids", "pids_limit", ""),
    same("ulimit", "ulimits", "`nofile=SOFT:HARD`"),
    same("linuxParameters.capabilities.add capabilities.add", "cap_add", ""),
    same("linuxParameters.capabilities.drop capabilities.drop", "cap_drop", ""),
    same("dockerSecurityOptions", "security_opt", ""),
    same("sysctl systemControls", "sysctls", "`NAME=VALUE`"),
    same("device linuxParameters.devices", "devices", "`HOST:CONTAINER:rwm`"),
    same("deploy.resources.reservations.devices resourceRequirements", "gpus", "`all`, or a number"),
    none(
        "memory_reservation mem_reservation deploy.resources.reservations.memory deploy.resources.reservations.cpus",
        "one container runs on an instance, so nothing is reserved: `memory=` and `cpus=` are limits",
    ),
    none("mem_swappiness memory_swappiness linuxParameters.swappiness", "set `vm.swappiness` on the instance"),
    none("kernel_memory oom_kill_disable", "`memory=` is the limit; the kernel kills what is above it"),
    none("cpu_shares -c cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpuset cpuset_cpus cpuset_mems", CPU),
    none(
        "blkio_weight blkio_weight_device blkio_config device_read_bps device_read_iops device_write_bps device_write_iops",
        BLOCK_IO,
    ),
    none("device_cgroup_rule device_cgroup_rules", "give the device in `devices=`, with its permissions"),
    none("deploy.resources.reservations.generic_resources deploy.resources.reservations", "`gpus=` gives GPUs"),
    none("deploy.resources.limits deploy.resources", "`memory=` and `cpus=` are limits"),
];

/// The range of `/proc/PID/oom_score_adj` (proc(5)).
fn oom_score_adj(text: &str) -> Result<i16, Reason> {
    let score = text.parse().ok().filter(|score| (-1000..=1000).contains(score));
    score.ok_or("is not a whole number from -1000 to 1000".into())
}
