//! The keys that change what the kernel gives the container: namespaces, security options, sysctls, limits.

use std::collections::BTreeMap;

use crate::value::path::absolute;
use crate::value::scalar::{is_name, one_of, size};
use crate::value::unique;
use crate::value::{Reason, Reasons, Value};

/// The engine's minimum (linuxMinMemory).
const LEAST_MEMORY: u64 = 6 << 20;

/// The largest process id of a Linux kernel (PID_MAX_LIMIT), which rejects a higher limit.
const MOST_PIDS: i64 = 1 << 22;

/// The largest group id that the engine accepts.
const MOST_GID: u64 = i32::MAX as u64;

/// `memory`, in bytes.
pub(crate) fn memory(text: &str) -> Result<u64, Reason> {
    match size(text)? {
        bytes if bytes >= LEAST_MEMORY => Ok(bytes),
        _ if is_bare(text) => Err(
            "is a number of bytes, as in Docker, and less than `6m`, the engine's minimum; for MiB, as in ECS task \
                                   definitions, add `m`"
                .into(),
        ),
        _ => Err("is less than `6m`, the engine's minimum".into()),
    }
}

/// `memory_swap`, memory and swap together in bytes; -1 is no limit, 0 the engine's default.
pub(crate) fn memory_swap(text: &str) -> Result<i64, Reason> {
    match text {
        "-1" => Ok(-1),
        "0" => Ok(0),
        text => memory(text).map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
    }
}

/// Whether a size has no unit, and so is a number of bytes.
pub(crate) fn is_bare(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `pids_limit`; -1 and 0 are no limit.
pub(crate) fn pids_limit(text: &str) -> Result<i64, Reason> {
    let limit: i64 = text.parse().map_err(|_| "is not a whole number")?;
    match limit {
        ..-1 => Err("is less than -1 (no limit)".into()),
        limit if limit > MOST_PIDS => Err("is more than `4194304`, the kernel's maximum".into()),
        limit => Ok(limit),
    }
}

/// `ipc`: `none`, `private`, `shareable`, `host` or `container:NAME`.
pub(crate) fn ipc(text: &str) -> Result<String, Reason> {
    if is_of_another(text) {
        return Ok(text.to_owned());
    }
    let modes = ["none", "private", "shareable", "host"].map(|mode| (mode, mode.to_owned()));
    one_of(text, &modes).map_err(|reason| format!("{reason}, or `container:NAME`").into())
}

/// `pid`: `host` or `container:NAME`.
pub(crate) fn pid(text: &str) -> Result<String, Reason> {
    if text == "host" || is_of_another(text) {
        return Ok(text.to_owned());
    }
    Err("is not `host` or `container:NAME`".into())
}

fn is_of_another(text: &str) -> bool {
    text.strip_prefix("container:").is_some_and(|name| is_name(name, "_.-"))
}

/// One of `group_add`: a name, or a number.
pub(crate) fn group(text: &str) -> Result<String, Reason> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return match text.parse::<u64>() {
            Ok(gid) if gid <= MOST_GID => Ok(text.to_owned()),
            _ => Err("is more than `2147483647`, the largest group id".into()),
        };
    }
    let good =
        text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && is_name(&text.replace('_', "a"), ".-$");
    if good { Ok(text.to_owned()) } else { Err("is not a group name or number".into()) }
}

/// `sysctls`: each `NAME=VALUE`, only sysctls that are namespaced (docker/cli, opts.ValidateSysctl).
pub(crate) fn sysctls(value: &Value) -> Result<BTreeMap<String, String>, Reasons> {
    let sysctls = value.each(|entry| {
        let (name, value) = entry.split_once('=').ok_or("is not `NAME=VALUE`")?;
        if value.trim().is_empty() || value.contains(char::is_control) || !is_name(name, "_.-/") {
            return Err("is not `NAME=VALUE`".into());
        }
        if name.split(['.', '/']).any(str::is_empty) {
            return Err("is not a sysctl name like `net.ipv4.ip_forward`".into());
        }
        // The form of /proc/sys; the engine needs dots.
        if ["net/", "kernel/", "fs/"].iter().any(|start| name.starts_with(start)) {
            return Err(format!("is written with dots: `{}`", name.replace('/', ".")).into());
        }
        if !is_of_ipc(name) && !is_of_network(name) {
            return Err("is a setting of the whole host, not of a container: only `net.*`, `fs.mqueue.*`, \
                        `kernel.msg*`, `kernel.sem` and `kernel.shm*` can be set here; set others in `/etc/sysctl.d`"
                .into());
        }
        Ok((name.to_owned(), value.to_owned()))
    })?;
    unique(sysctls, "lists a sysctl twice")
}

/// Whether a sysctl belongs to the network namespace.
pub(crate) fn is_of_network(sysctl: &str) -> bool {
    sysctl.strip_prefix("net.").is_some_and(|rest| !rest.is_empty())
}

/// Whether a sysctl belongs to the IPC namespace.
pub(crate) fn is_of_ipc(sysctl: &str) -> bool {
    const KERNEL: [&str; 8] = ["msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced"];
    let mqueue = sysctl.strip_prefix("fs.mqueue.").is_some_and(|rest| !rest.is_empty());
    mqueue || sysctl.strip_prefix("kernel.").is_some_and(|name| KERNEL.contains(&name))
}

/// `security_opt`, each kept as `NAME=VALUE`.
pub(crate) fn security_opts(value: &Value) -> Result<Vec<String>, Reasons> {
    let options = value.each(security_opt)?;
    let name = |option: &String| option.split('=').next().unwrap_or_default().to_owned();
    let is_again = |n: usize, option: &String| {
        // A label has several parts, each an option of its own.
        name(option) != "label" && options.iter().take(n).any(|earlier| name(earlier) == name(option))
    };
    match options.iter().enumerate().any(|(n, option)| is_again(n, option)) {
        true => Err("lists an option twice".into()),
        false => Ok(options),
    }
}

/// `no-new-privileges`, `NAME=VALUE`, or `NAME:VALUE`, which the docker command accepts too.
fn security_opt(text: &str) -> Result<String, Reason> {
    let (name, value) = match text.split_once(['=', ':']) {
        Some(pair) => pair,
        None if text == "no-new-privileges" => (text, "true"),
        None => return Err(KNOWN.into()),
    };
    let is_word = |text: &str| !text.is_empty() && !text.contains(|c: char| c.is_control() || c.is_whitespace());
    match name {
        "no-new-privileges" | "writable-cgroups" => {
            one_of(value, &[("true", ()), ("false", ())]).map_err(|reason| format!("has a value that {reason}"))?;
        }
        "systempaths" if value == "unconfined" => {}
        "systempaths" => return Err("has a value other than `systempaths=unconfined`".into()),
        "apparmor" if is_word(value) => {}
        "apparmor" => return Err("has no AppArmor profile: write `apparmor=PROFILE` or `apparmor=unconfined`".into()),
        "seccomp" if matches!(value, "unconfined" | "builtin") || absolute(value).is_ok() => {}
        "seccomp" => {
            return Err(
                "has no seccomp profile: write `seccomp=unconfined`, `seccomp=builtin`, or the absolute path of a file"
                    .into(),
            );
        }
        "label" if matches!(value, "disable" | "nested") => {}
        "label" => {
            let part = value.split_once(':').filter(|(_, text)| is_word(text)).map(|(part, _)| part);
            if !matches!(part, Some("user" | "role" | "type" | "level" | "filetype")) {
                return Err(
                    "has no SELinux label: write `label=disable`, or `label=user:…`, `role:`, `type:`, `level:`, `filetype:`"
                        .into(),
                );
            }
        }
        _ => return Err(KNOWN.into()),
    }
    Ok(format!("{name}={value}"))
}

const KNOWN: &str = "is not a security option: `no-new-privileges`, `apparmor=…`, `seccomp=…`, `label=…`, `systempaths=unconfined` or \
                     `writable-cgroups=true`";

#[cfg(test)]
mod tests {
    use super::*;

    fn reported<T: std::fmt::Debug>(result: Result<T, impl std::fmt::Debug>) -> String {
        format!("{result:?}")
    }

    #[test]
    fn small_memory_without_a_unit_explains_mib() {
        assert_eq!(memory("512m"), Ok(512 << 20));
        assert_eq!(memory("6291456"), Ok(6 << 20));
        for text in ["512", "2048", "6291455"] {
            assert!(reported(memory(text)).contains("add `m`"), "{text}");
            assert!(reported(memory_swap(text)).contains("add `m`"), "{text}");
        }
        assert_eq!(memory("1m"), Err("is less than `6m`, the engine's minimum".into()));
        assert_eq!((memory_swap("-1"), memory_swap("0"), memory_swap("1g")), (Ok(-1), Ok(0), Ok(1 << 30)));
        assert!(memory_swap("-2").is_err() && memory_swap("lots").is_err());
    }

    #[test]
    fn limits_and_groups_are_docker_s() {
        assert_eq!((pids_limit("-1"), pids_limit("0"), pids_limit("4194304")), (Ok(-1), Ok(0), Ok(4_194_304)));
        for text in ["-2", "4194305", "many", "1.5", ""] {
            assert!(pids_limit(text).is_err(), "{text}");
        }
        for text in ["audio", "_x", "0", "2147483647", "a-b.c"] {
            assert_eq!(group(text), Ok(text.to_owned()));
        }
        for text in ["2147483648", "-1", "a b", "ä", "a:b", "1x"] {
            assert!(group(text).is_err(), "{text}");
        }
    }

    #[test]
    fn namespaces_are_docker_s() {
        for text in ["none", "private", "shareable", "host", "container:db"] {
            assert_eq!(ipc(text), Ok(text.to_owned()));
        }
        assert_eq!(
            ipc("container:"),
            Err("is not one of `none`, `private`, `shareable`, `host`, or `container:NAME`".into())
        );
        assert_eq!((pid("host"), pid("container:db")), (Ok("host".to_owned()), Ok("container:db".to_owned())));
        for text in ["private", "container:", "container:a b", "", "Host"] {
            assert_eq!(pid(text), Err("is not `host` or `container:NAME`".into()), "{text}");
        }
    }

    #[test]
    fn sysctls_are_those_of_the_container_s_own_namespaces() {
        let read = |text: &str| reported(sysctls(&Value::Text(text.into())));
        assert_eq!(
            read("net.core.somaxconn=4096,net.ipv4.ping_group_range=0 1000"),
            r#"Ok({"net.core.somaxconn": "4096", "net.ipv4.ping_group_range": "0 1000"})"#
        );
        assert!(read("kernel.shmmax=1,fs.mqueue.msg_max=9").starts_with("Ok"));
        for text in ["vm.swappiness=1", "kernel.pid_max=9", "fs.file-max=1"] {
            assert!(read(text).contains("of the whole host"), "{text}");
        }
        for text in ["net.core.somaxconn", "=1", "net.x=", "net. x=1"] {
            assert!(read(text).contains("is not `NAME=VALUE`"), "{text}");
        }
        assert!(read("net.x=1,net.x=2").contains("lists a sysctl twice"));
        assert!(read("net/ipv4/ip_forward=1").contains("is written with dots: `net.ipv4.ip_forward`"));
        for text in ["net.=1", "fs.mqueue.=1"] {
            assert!(read(text).contains("is not a sysctl name"), "{text}");
        }
        assert!(read("net.x=1,vm.x=2").contains("entry 2 "));
    }

    #[test]
    fn security_options_are_docker_s() {
        let read = |text: &str| security_opts(&Value::Text(text.into()));
        for (text, kept) in [
            ("no-new-privileges", "no-new-privileges=true"),
            ("no-new-privileges:false", "no-new-privileges=false"),
            ("apparmor=my-profile", "apparmor=my-profile"),
            ("apparmor:unconfined", "apparmor=unconfined"),
            ("seccomp=unconfined", "seccomp=unconfined"),
            ("seccomp=builtin", "seccomp=builtin"),
            ("seccomp=/etc/berth/seccomp.json", "seccomp=/etc/berth/seccomp.json"),
            ("label:disable", "label=disable"),
            ("label=type:container_t", "label=type:container_t"),
            ("systempaths=unconfined", "systempaths=unconfined"),
            ("writable-cgroups=true", "writable-cgroups=true"),
        ] {
            assert_eq!(read(text), Ok(vec![kept.to_owned()]), "{text}");
        }
        for (text, reason) in [
            ("nonsense", "is not a security option"),
            ("seccomp", "is not a security option"),
            ("foo=bar", "is not a security option"),
            ("no-new-privileges=1", "is not one of `true`, `false`"),
            ("apparmor=", "has no AppArmor profile"),
            ("seccomp=profile.json", "has no seccomp profile"),
            ("label=user:", "has no SELinux label"),
            ("label=shoe:42", "has no SELinux label"),
            ("systempaths=confined", "other than `systempaths=unconfined`"),
            ("seccomp=unconfined,seccomp=builtin", "lists an option twice"),
        ] {
            assert!(reported(read(text)).contains(reason), "{text}: {:?}", read(text));
        }
        assert!(read("label=user:u,label=role:r").is_ok());
    }
}
