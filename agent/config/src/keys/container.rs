//! What `docker run` means by its options.

use crate::config::policy::ImdsAccess;
use crate::keys::key::KeyDefault::{Value as By, Words};
use crate::keys::key::{Key, Section, choice, put, some};
use crate::value::platform::Platform;
use crate::value::scalar::{cpus, is_name, size, switch};
use crate::value::{Reason, container, kernel, line, path};

/// The keys of the container.
pub(super) static SECTION: Section = Section {
    title: "The container",
    intro: "As `docker run` means them. Beyond the defaults below, the engine's restart policy is always off: only berth restarts the app.",
    keys: &[
        Key {
            name: "command",
            about: "a command: replaces the image's CMD",
            default: Words("the image's"),
            examples: &["'serve --port 80'"],
            resolve: |c, v, _| put(&mut c.command, line::command(v)),
        },
        Key {
            name: "entrypoint",
            about: "a command: replaces the image's ENTRYPOINT and drops its CMD",
            default: Words("the image's"),
            examples: &["/bin/app"],
            resolve: |c, v, _| put(&mut c.entrypoint, line::command(v)),
        },
        Key {
            name: "user",
            about: "`USER` or `USER:GROUP`, names or numbers",
            default: Words("the image's"),
            examples: &["1000:1000"],
            resolve: |c, v, _| put(&mut c.user, some(v, container::user)),
        },
        Key {
            name: "workdir",
            about: "absolute path",
            default: Words("the image's"),
            examples: &["/srv"],
            resolve: |c, v, _| put(&mut c.workdir, some(v, path::absolute)),
        },
        Key {
            name: "volumes",
            about: "list of `SOURCE:TARGET`, `SOURCE:TARGET:ro`, `TARGET`; the source is an absolute path or the name of \
                 a volume; a path that is not there is made by the engine, empty: `after` waits for a disk",
            default: Words("none"),
            examples: &["data:/var/lib/app,/etc/ssl:/etc/ssl:ro"],
            resolve: |c, v, _| put(&mut c.volumes, v.each(container::volume)),
        },
        Key {
            name: "tmpfs",
            about: "list of `/PATH` or `/PATH:OPTIONS`; the options may hold commas",
            default: Words("none"),
            examples: &["/run,/tmp:size=64m,noexec"],
            resolve: |c, v, _| put(&mut c.tmpfs, container::tmpfs(v)),
        },
        Key {
            name: "read_only",
            about: "boolean: the root filesystem is read-only",
            default: By("false"),
            examples: &["true"],
            resolve: |c, v, _| put(&mut c.read_only, v.one().and_then(switch)),
        },
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
            about: "most processes and threads; `-1` is no limit",
            default: Words("the engine's"),
            examples: &["512"],
            resolve: |c, v, _| put(&mut c.pids_limit, some(v, kernel::pids_limit)),
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
            about: "list of further groups of the app's user, names or numbers",
            default: Words("none"),
            examples: &["audio,2000"],
            resolve: |c, v, _| put(&mut c.group_add, v.each(kernel::group)),
        },
        Key {
            name: "security_opt",
            about: "list of `no-new-privileges=true` or `false`, `apparmor=PROFILE`, `seccomp=FILE` (an absolute path on the host, JSON), \
                 `seccomp=unconfined`, `label=disable`, `label=type:TYPE` and its kind, `systempaths=unconfined`, `writable-cgroups=true`",
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
        Key {
            name: "network",
            about: "`bridge`, `host`, `none`, `container:NAME` or a network's name; with `host`, a port is the same on \
                 both sides",
            default: Words("the engine's, `bridge`"),
            examples: &["host"],
            resolve: |c, v, _| put(&mut c.network, some(v, container::network)),
        },
        Key {
            name: "hostname",
            about: "host name",
            default: Words("the container's id"),
            examples: &["web-1"],
            resolve: |c, v, _| put(&mut c.hostname, some(v, container::hostname)),
        },
        Key {
            name: "extra_hosts",
            about: "list of `NAME:ADDRESS`; `host-gateway` is the host",
            default: Words("none"),
            examples: &["db:10.0.0.5"],
            resolve: |c, v, _| put(&mut c.extra_hosts, v.each(container::extra_host)),
        },
        Key {
            name: "dns",
            about: "list of name servers, by IP",
            default: Words("the engine's"),
            examples: &["169.254.169.253"],
            resolve: |c, v, _| put(&mut c.dns, v.each(|text| text.parse().map_err(|_| "is not an IP address".into()))),
        },
        Key {
            name: "dns_search",
            about: "list of domains; `.` is none",
            default: Words("the engine's"),
            examples: &["ec2.internal"],
            resolve: |c, v, _| put(&mut c.dns_search, v.each(container::domain)),
        },
        Key {
            name: "ipc",
            about: "`none`, `private`, `shareable`, `host`, or `container:NAME`: whose shared memory and message queues",
            default: Words("the engine's, `private`"),
            examples: &["host"],
            resolve: |c, v, _| put(&mut c.ipc, some(v, kernel::ipc)),
        },
        Key {
            name: "pid",
            about: "`host` or `container:NAME`: whose processes the app sees",
            default: Words("the container's own"),
            examples: &["host"],
            resolve: |c, v, _| put(&mut c.pid, some(v, kernel::pid)),
        },
        Key {
            name: "shm_size",
            about: "size of `/dev/shm`",
            default: Words("the engine's, `64m`"),
            examples: &["1g"],
            resolve: |c, v, _| put(&mut c.shm_size, some(v, size)),
        },
        Key {
            name: "labels",
            about: "list of `NAME=VALUE` (in TOML and JSON a list too, not a table); names that begin with `berth` are \
                 berth's own",
            default: Words("none"),
            examples: &["team=web,tier=front"],
            resolve: |c, v, _| put(&mut c.labels, container::labels(v)),
        },
        Key {
            name: "platform",
            about: "`linux/ARCH` or `linux/ARCH/VARIANT`: which image of a multi-platform one; another than the machine's needs \
                 emulation (binfmt_misc)",
            default: Words("the machine's"),
            examples: &["linux/amd64"],
            resolve: |c, v, _| put(&mut c.platform, some(v, Platform::parse)),
        },
        Key {
            name: "runtime",
            about: "one of the engine's runtimes (`docker info` lists them)",
            default: Words("the engine's, `runc`"),
            examples: &["runc"],
            resolve: |c, v, _| put(&mut c.runtime, some(v, container::runtime)),
        },
        Key {
            name: "init",
            about: "boolean: the engine's init as process 1",
            default: By("true"),
            examples: &["false"],
            resolve: |c, v, _| put(&mut c.init, v.one().and_then(switch)),
        },
        Key {
            name: "privileged",
            about: "boolean",
            default: By("false"),
            examples: &["true"],
            resolve: |c, v, _| put(&mut c.privileged, v.one().and_then(switch)),
        },
        Key {
            name: "stop_signal",
            about: "name or number",
            default: Words("the image's, else `SIGTERM`"),
            examples: &["SIGQUIT"],
            resolve: |c, v, _| put(&mut c.stop_signal, some(v, container::signal)),
        },
        Key {
            name: "log_driver",
            about: "one of the engine's log drivers; `awslogs` needs `log_opt.awslogs-group`; `engine`: whichever the engine has by default, with \
                 its own options",
            default: By("json-file"),
            examples: &["awslogs", "engine"],
            resolve: |c, v, _| put(&mut c.log_driver, v.one().and_then(log_driver)),
        },
        Key {
            name: "log_opt.NAME",
            about: "an option of the log driver; one of another driver is an error",
            default: Words("for `json-file`, when none is given: `max-size=10m`, `max-file=3`"),
            examples: &["log_opt.max-size=50m"],
            resolve: |c, v, name| {
                if !is_name(name, "_.-") {
                    return Err("has a name that no log driver knows".into());
                }
                c.log_opt.insert(name.to_owned(), v.one()?.to_owned());
                Ok(())
            },
        },
        Key {
            name: "imds",
            about: "`allow` or `block`: keep the container from the instance metadata, and so from the instance role; not with `network=host` or `container:NAME`; see below",
            default: By("allow"),
            examples: &["block"],
            resolve: |c, v, _| {
                put(&mut c.imds, choice(v, &[("allow", ImdsAccess::Allow), ("block", ImdsAccess::Block)]))
            },
        },
    ],
};

fn log_driver(text: &str) -> Result<String, Reason> {
    if is_name(text, "_.-/:") { Ok(text.to_owned()) } else { Err("is not a log driver's name".into()) }
}
