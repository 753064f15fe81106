//! The keys that mean what `docker run` means by its options.

use crate::keys::key::KeyDefault::{Value as By, Words};
use crate::keys::key::{ForeignWord, Key, Section, choice, none, put, same, some};
use crate::keys::limits;
use crate::value::platform::Platform;
use crate::value::scalar::{boolean, is_name, size};
use crate::value::{Reason, container, kernel, line, path};

const NETWORKING: &str = "join a network of the engine with `network=`; create it before, with `docker network create`";
const NO_TERMINAL: &str = "an agent runs the container, and no terminal is attached to it: remove it";
const WINDOWS: &str = "it is for Windows containers, which berth does not run";
const KERNEL: &str = "the engine's default holds (`/etc/docker/daemon.json`)";
const VOLUME: &str = "`SOURCE:TARGET` or `SOURCE:TARGET:ro`";
const MOUNTED: &str = "mount it on the instance (`/etc/fstab`), and give its path in `volumes=` and in `after=`";
const NAMED: &str = "create the volume before, with `docker volume create`, and give its name in `volumes=`";

/// The keys of the container.
pub(super) static SECTION: Section = Section {
    title: "The container",
    intro: "As `docker run` means them. The engine's restart policy is always off: only berth restarts the app.",
    keys: &[PROCESS, limits::KEYS, REST],
    foreign: &[FOREIGN, limits::FOREIGN],
};

/// The process and its file system.
static PROCESS: &[Key] = &[
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
        about: "list of `SOURCE:TARGET`, `SOURCE:TARGET:ro`, `TARGET`; the source is an absolute path or the name of a volume; the \
             engine creates a missing path as an empty directory: `after` waits for a disk",
        default: Words("none"),
        examples: &["data:/var/lib/app,/etc/ssl:/etc/ssl:ro"],
        resolve: |c, v, _| put(&mut c.volumes, v.each(container::volume)),
    },
    Key {
        name: "tmpfs",
        about: "list of `/PATH` or `/PATH:OPTIONS`; the options may contain commas",
        default: Words("none"),
        examples: &["/run,/tmp:size=64m,noexec"],
        resolve: |c, v, _| put(&mut c.tmpfs, container::tmpfs(v)),
    },
    Key {
        name: "read_only",
        about: "boolean: the root filesystem is read-only",
        default: By("false"),
        examples: &["true"],
        resolve: |c, v, _| put(&mut c.read_only, v.one().and_then(boolean)),
    },
];

/// Network, namespaces, labels, platform, logs, metadata.
static REST: &[Key] = &[
    Key {
        name: "network",
        about: "`bridge`, `host`, `none`, `container:NAME` or a network name; with `host`, the two sides of a port must be equal",
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
        about: "`none`, `private`, `shareable`, `host`, or `container:NAME`: the namespace of shared memory and message queues",
        default: Words("the engine's, `private`"),
        examples: &["host"],
        resolve: |c, v, _| put(&mut c.ipc, some(v, kernel::ipc)),
    },
    Key {
        name: "pid",
        about: "`host` or `container:NAME`: the namespace of processes",
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
        about: "list of `NAME=VALUE` (in TOML and JSON a list too, not a table); names that begin with `berth` are reserved",
        default: Words("none"),
        examples: &["team=web,tier=front"],
        resolve: |c, v, _| put(&mut c.labels, container::labels(v)),
    },
    Key {
        name: "platform",
        about: "`linux/ARCH` or `linux/ARCH/VARIANT`: which image of a multi-platform one; a platform other than the machine's needs \
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
        resolve: |c, v, _| put(&mut c.init, v.one().and_then(boolean)),
    },
    Key {
        name: "privileged",
        about: "boolean",
        default: By("false"),
        examples: &["true"],
        resolve: |c, v, _| put(&mut c.privileged, v.one().and_then(boolean)),
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
        about: "a log driver of the engine; `awslogs` needs `log_opt.awslogs-group`; `engine`: the engine's default, with the \
             engine's options",
        default: By("json-file"),
        examples: &["awslogs", "engine"],
        resolve: |c, v, _| put(&mut c.log_driver, v.one().and_then(log_driver)),
    },
    Key {
        name: "log_opt.NAME",
        about: "an option of the log driver; one of another driver is an error",
        default: Words("for `json-file` without options: `max-size=10m`, `max-file=3`"),
        examples: &["log_opt.max-size=50m"],
        resolve: |c, v, name| {
            if !is_name(name, "_.-") {
                return Err("has a name that is not letters, digits and `_.-`".into());
            }
            c.log_opt.insert(name.to_owned(), v.one()?.to_owned());
            Ok(())
        },
    },
    Key {
        name: "imds",
        about: "`allow` or `block`: whether the container can reach the instance metadata, and so the instance role; `block` is not \
             possible with `network=host` or `container:NAME`; see below",
        default: By("allow"),
        examples: &["block"],
        resolve: |c, v, _| put(&mut c.imds, choice(v)),
    },
];

/// Words of other programs.
static FOREIGN: &[ForeignWord] = &[
    same("working_dir workingDirectory -w", "workdir", ""),
    same("-u", "user", ""),
    same("volume -v mount mountPoints bind host.sourcePath", "volumes", VOLUME),
    same("linuxParameters.tmpfs", "tmpfs", "`/PATH:size=64m`"),
    same("readonlyRootFilesystem", "read_only", ""),
    same("net network_mode networks", "network", "one network"),
    same("disableNetworking", "network", "`network=none`"),
    same("-h", "hostname", ""),
    same("add_host", "extra_hosts", "`NAME:ADDRESS`"),
    same("dnsServers", "dns", ""),
    same("dnsSearchDomains", "dns_search", ""),
    same("ipcMode", "ipc", ""),
    same("pidMode", "pid", ""),
    same("runtimePlatform", "platform", "`linux/amd64` or `linux/arm64`"),
    same("linuxParameters.sharedMemorySize", "shm_size", "with a unit: MiB of ECS are `m`"),
    same("label -l dockerLabels deploy.labels", "labels", "`NAME=VALUE`"),
    same("linuxParameters.initProcessEnabled", "init", ""),
    same(
        "logging logConfiguration logging.driver logConfiguration.logDriver",
        "log_driver",
        "options are `log_opt.NAME`",
    ),
    same("logging.options logConfiguration.options", "log_opt.NAME", "one key for each option"),
    none("label_file", "write the labels in `labels=`"),
    none("volumes_from", "give each path in `volumes=`"),
    none("volume_driver dockerVolumeConfiguration", NAMED),
    none("efsVolumeConfiguration s3filesVolumeConfiguration", MOUNTED),
    none(
        "configs",
        "put the file into the image, or on the instance and into `volumes=`; `secrets_as=files` delivers secrets as files",
    ),
    none("network_alias net_alias link links external_links link_local_ip ip ip6 mac_address", NETWORKING),
    none("dns_opt dns_option", "set it in the engine: `dns-opts` in `/etc/docker/daemon.json`"),
    none("domainname", "write the whole name in `hostname=`"),
    none(
        "cgroupns cgroup cgroup_parent userns userns_mode uts storage_opt disable_content_trust use_api_socket",
        KERNEL,
    ),
    none("annotation annotations", "`labels=` puts labels on the container"),
    none("firelensConfiguration", "send to a log router that runs elsewhere, with `log_driver=fluentd`"),
    none("logConfiguration.secretOptions", "a log driver takes plain options only"),
    none(
        "attach -a detach -d detach_keys interactive -i stdin_open tty -t pseudoTerminal sig_proxy cidfile help quiet -q",
        NO_TERMINAL,
    ),
    none("rm", "berth removes the container when it is replaced: remove it"),
    none("pull pull_policy pull_refresh_after", "an image is pulled unless the instance has its digest"),
    none("versionConsistency", "a tag is resolved to a digest at each boot; `image=…@sha256:…` is always the same"),
    none(
        "restartPolicy.ignoredExitCodes deploy.restart_policy.condition",
        "an app that exits is restarted, whatever its exit code",
    ),
    none(
        "cpu_percent io_maxbandwidth io_maxiops isolation credential_spec credentialSpecs fsxWindowsFileServerVolumeConfiguration",
        WINDOWS,
    ),
];

fn log_driver(text: &str) -> Result<String, Reason> {
    if is_name(text, "_.-/:") { Ok(text.to_owned()) } else { Err("is not a log driver name".into()) }
}
