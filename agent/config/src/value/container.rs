//! The values of `docker run`'s options, each parsed and never printed.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use crate::value::path::absolute;
use crate::value::scalar::is_name;
use crate::value::{Reason, Reasons, Value, unique};

/// The signals of Linux below the real-time ones, without `SIG` (signal(7)).
const SIGNALS: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS",
];

/// One entry of `volumes`: `SOURCE:TARGET[:ro|rw]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Volume {
    /// A path on the host, or the name of a volume of the engine; none makes an anonymous volume.
    pub source: Option<String>,
    /// The path in the container.
    pub target: String,
    /// Whether it is mounted read-only.
    pub read_only: bool,
}

/// One entry of `ulimits`: `nofile=1024[:2048]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ulimit {
    /// `nofile`
    pub name: String,
    /// The soft limit, -1 for none.
    pub soft: i64,
    /// The hard limit, -1 for none.
    pub hard: i64,
}

/// One entry of `devices`: `HOST[:CONTAINER[:rwm]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Device {
    /// The path on the host.
    pub host: String,
    /// The path in the container.
    pub container: String,
    /// The cgroup permissions, letters of `rwm`.
    pub permissions: String,
}

/// `gpus`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Gpus {
    /// `all`
    All,
    /// A number of them.
    Count(u32),
    /// `device=0,1`: by index or UUID.
    Devices(Vec<String>),
}

/// `SOURCE:TARGET[:ro|rw]` or `TARGET`.
pub(crate) fn volume(text: &str) -> Result<Volume, Reason> {
    let fields: Vec<&str> = text.split(':').collect();
    let (source, target, mode) = match fields.as_slice() {
        [target] => (None, *target, "rw"),
        [source, target] => (Some(*source), *target, "rw"),
        [source, target, mode] => (Some(*source), *target, *mode),
        _ => return Err("is not `SOURCE:TARGET` or `SOURCE:TARGET:ro`".into()),
    };
    let read_only = match mode {
        "ro" => true,
        "rw" => false,
        _ => return Err("has a mode other than `ro` and `rw`".into()),
    };
    let is_source = |source: &str| source.starts_with('/') || (source.len() > 1 && is_name(source, "_.-"));
    if !source.is_none_or(is_source) {
        return Err("has a source that is neither an absolute path nor the name of a volume".into());
    }
    if !target.starts_with('/') || target.trim_matches('/').is_empty() {
        return Err("has a target that is not an absolute path below `/`".into());
    }
    Ok(Volume { source: source.map(str::to_owned), target: target.to_owned(), read_only })
}

/// `/run,/tmp:size=64m,noexec`: an element that does not begin with `/` continues the options of the path before it.
pub(crate) fn tmpfs(value: &Value) -> Result<BTreeMap<String, String>, Reasons> {
    let mut entries: Vec<String> = Vec::new();
    for element in value.list() {
        match entries.last_mut() {
            Some(last) if !element.starts_with('/') && last.contains(':') => {
                last.push(',');
                last.push_str(&element);
            }
            _ => entries.push(element.into_owned()),
        }
    }
    let mounts = Value::List(entries).each(|entry| {
        let (path, options) = entry.split_once(':').unwrap_or((entry, ""));
        if !path.starts_with('/') || path.trim_matches('/').is_empty() {
            return Err("is not an absolute path below `/`".into());
        }
        if options.contains(':') {
            return Err("is not `/PATH` or `/PATH:OPTIONS`".into());
        }
        Ok((path.to_owned(), options.to_owned()))
    })?;
    unique(mounts, "lists a path twice")
}

/// `nofile=1024` or `nofile=1024:2048`.
pub(crate) fn ulimit(text: &str) -> Result<Ulimit, Reason> {
    // go-units, the engine's own table.
    const NAMES: [&str; 15] = [
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ];
    let (name, limits) = text.split_once('=').ok_or("is not `NAME=SOFT` or `NAME=SOFT:HARD`")?;
    if !NAMES.contains(&name) {
        return Err(format!("has a name that is none of {}", NAMES.join(", ")).into());
    }
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let limit =
        |text: &str| text.parse::<i64>().ok().filter(|limit| *limit >= -1).ok_or("has a limit that is not a number");
    let (soft, hard) = (limit(soft)?, limit(hard)?);
    if hard != -1 && (soft > hard || soft == -1) {
        return Err("has a soft limit above the hard limit".into());
    }
    Ok(Ulimit { name: name.to_owned(), soft, hard })
}

/// A capability: `NET_ADMIN`, `CAP_NET_ADMIN`, `ALL`.
pub(crate) fn capability(text: &str) -> Result<String, Reason> {
    let upper = text.to_ascii_uppercase();
    let good = upper.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') && upper.len() <= 40;
    if good { Ok(upper) } else { Err("is not a capability like `NET_ADMIN` or `ALL`".into()) }
}

/// `HOST[:CONTAINER[:rwm]]`.
pub(crate) fn device(text: &str) -> Result<Device, Reason> {
    let is_mode = |text: &str| !text.is_empty() && text.bytes().all(|byte| b"rwm".contains(&byte)) && text.len() <= 3;
    let fields: Vec<&str> = text.split(':').collect();
    let (host, container, permissions) = match fields.as_slice() {
        [host] => (*host, *host, "rwm"),
        [host, mode] if is_mode(mode) => (*host, *host, *mode),
        [host, container] => (*host, *container, "rwm"),
        [host, container, mode] => (*host, *container, *mode),
        _ => return Err("is not `HOST`, `HOST:CONTAINER` or `HOST:CONTAINER:rwm`".into()),
    };
    if !is_mode(permissions) {
        return Err("has permissions other than letters of `rwm`".into());
    }
    Ok(Device { host: absolute(host)?, container: absolute(container)?, permissions: permissions.to_owned() })
}

/// `all`, a number, or `device=0,1`.
pub(crate) fn gpus(text: &str) -> Result<Gpus, Reason> {
    const EXPECTED: &str = "is not `all`, a number, or `device=0,1`";
    if text == "all" {
        return Ok(Gpus::All);
    }
    if let Some(devices) = text.strip_prefix("device=") {
        let devices: Vec<_> = devices.split(',').map(str::to_owned).collect();
        return if devices.iter().all(|id| is_name(id, "-")) {
            Ok(Gpus::Devices(devices))
        } else {
            Err(EXPECTED.into())
        };
    }
    match text.parse() {
        Ok(0) | Err(_) => Err(EXPECTED.into()),
        Ok(count) => Ok(Gpus::Count(count)),
    }
}

/// `bridge`, `host`, `none`, `container:NAME`, or a network's name.
pub(crate) fn network(text: &str) -> Result<String, Reason> {
    let name = text.strip_prefix("container:").unwrap_or(text);
    if is_name(name, "_.-") { Ok(text.to_owned()) } else { Err("is not a network name".into()) }
}

/// A host name (RFC 1123).
pub(crate) fn hostname(text: &str) -> Result<String, Reason> {
    let label = |label: &str| is_name(label, "-") && !label.ends_with('-') && label.len() <= 63;
    if text.len() <= 253 && text.split('.').all(label) { Ok(text.to_owned()) } else { Err("is not a host name".into()) }
}

/// `NAME:ADDRESS` or `NAME=ADDRESS`, the address also `host-gateway`; kept as `NAME:ADDRESS`.
pub(crate) fn extra_host(text: &str) -> Result<String, Reason> {
    let (name, address) = text.split_once([':', '=']).ok_or("is not `NAME:ADDRESS`")?;
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    if !is_name(name, "_.-") || (bare != "host-gateway" && bare.parse::<IpAddr>().is_err()) {
        return Err("is not `NAME:ADDRESS`".into());
    }
    Ok(format!("{name}:{bare}"))
}

/// One of `dns_search`: a domain, or `.` for none (docker/cli, opts.ValidateDNSSearch).
pub(crate) fn domain(text: &str) -> Result<String, Reason> {
    let domain = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| is_name(label, "-") && !label.ends_with('-');
    let good = domain.len() < 255 && domain.contains(|c: char| c.is_ascii_alphabetic()) && domain.split('.').all(label);
    if good || text == "." { Ok(text.to_owned()) } else { Err("is not a domain".into()) }
}

/// `runtime`: a name of the engine's `runtimes`, or of a containerd shim such as `io.containerd.runsc.v1`.
pub(crate) fn runtime(text: &str) -> Result<String, Reason> {
    if is_name(text, "_.-") { Ok(text.to_owned()) } else { Err("is not a runtime name".into()) }
}

/// `labels`: each `NAME=VALUE`.
pub(crate) fn labels(value: &Value) -> Result<BTreeMap<String, String>, Reasons> {
    let labels = value.each(|entry| {
        let (name, value) = entry.split_once('=').ok_or("is not `NAME=VALUE`")?;
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err("is not `NAME=VALUE`".into());
        }
        if name == "berth" || name.starts_with("berth.") {
            return Err("has a name that begins with `berth`, which is reserved for berth".into());
        }
        Ok((name.to_owned(), value.to_owned()))
    })?;
    unique(labels, "lists a label twice")
}

/// `SIGTERM`, `TERM`, `SIGRTMIN+3`, or a number; a name is kept as `SIGTERM`.
pub(crate) fn signal(text: &str) -> Result<String, Reason> {
    if let Ok(number) = text.parse::<u8>() {
        let good = (1..=64).contains(&number);
        return if good { Ok(number.to_string()) } else { Err("is not a signal from 1 to 64".into()) };
    }
    let upper = text.to_ascii_uppercase();
    let name = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
    let real_time =
        |rest: &str| rest.is_empty() || rest.get(1..).is_some_and(|n| n.parse::<u8>().is_ok_and(|n| n <= 30));
    let real_time = match (name.strip_prefix("SIGRTMIN"), name.strip_prefix("SIGRTMAX")) {
        (Some(rest), _) => (rest.is_empty() || rest.starts_with('+')) && real_time(rest),
        (_, Some(rest)) => (rest.is_empty() || rest.starts_with('-')) && real_time(rest),
        _ => false,
    };
    let known = name.strip_prefix("SIG").is_some_and(|name| SIGNALS.contains(&name));
    if real_time || known { Ok(name) } else { Err("is not a signal like `SIGTERM`".into()) }
}

/// `NAME`, `UID`, either with `:GROUP`.
pub(crate) fn user(text: &str) -> Result<String, Reason> {
    let good = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "_.-$".contains(c))
    };
    if text.split(':').count() <= 2 && text.split(':').all(good) {
        Ok(text.to_owned())
    } else {
        Err("is not `USER` or `USER:GROUP`".into())
    }
}

/// The name of an environment variable.
pub(crate) fn env_name(name: &str) -> Result<(), Reason> {
    let first = name.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_');
    let rest = name.chars().all(|char| char.is_ascii_alphanumeric() || "_.-".contains(char));
    if first && rest && name.len() <= 255 {
        Ok(())
    } else {
        Err("has a name that is not letters, digits and `_.-`, beginning with a letter or `_`".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reported<T: std::fmt::Debug>(result: Result<T, Reason>) -> String {
        result.map_or_else(|reason| reason.to_string(), |value| format!("{value:?}"))
    }

    #[test]
    fn volumes_are_docker_s() {
        let check = |text: &str, source: Option<&str>, target: &str, read_only: bool| {
            let expected = Volume { source: source.map(Into::into), target: target.into(), read_only };
            assert_eq!(volume(text), Ok(expected), "{text}");
        };
        check("/data", None, "/data", false);
        check("pg:/var/lib/pg", Some("pg"), "/var/lib/pg", false);
        check("/srv:/srv:ro", Some("/srv"), "/srv", true);
        check("/srv:/srv:rw", Some("/srv"), "/srv", false);
        for text in ["./x:/y", "x:/y", "/x:y", "/x:/", "/x:/y:z", "/x:/y:ro:z", "/a://", "", ":/x", "-a:/x"] {
            assert!(volume(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_options_of_a_tmpfs_may_hold_commas() {
        let read = |text: &str| tmpfs(&Value::Text(text.into())).map(|map| format!("{map:?}"));
        assert_eq!(read("/tmp"), Ok(r#"{"/tmp": ""}"#.into()));
        assert_eq!(
            read("/tmp:size=64m,noexec,/run,/x:mode=700"),
            Ok(r#"{"/run": "", "/tmp": "size=64m,noexec", "/x": "mode=700"}"#.into())
        );
        assert_eq!(read("/run,noexec"), Err(Reasons(vec!["entry 2 is not an absolute path below `/`".into()])));
        assert_eq!(read("/run,/run"), Err("lists a path twice".into()));
        assert!(read("/").is_err() && read("/a:b:c").is_err());
    }

    #[test]
    fn limits_devices_and_gpus_are_docker_s() {
        assert_eq!(reported(ulimit("nofile=1024:2048")), r#"Ulimit { name: "nofile", soft: 1024, hard: 2048 }"#);
        assert_eq!(reported(ulimit("memlock=-1")), r#"Ulimit { name: "memlock", soft: -1, hard: -1 }"#);
        assert_eq!(reported(ulimit("nofile=2:1")), "has a soft limit above the hard limit");
        assert_eq!(reported(ulimit("nofile=-1:1")), "has a soft limit above the hard limit");
        assert!(ulimit("nofiles=1").is_err() && ulimit("nofile").is_err() && ulimit("nofile=-2").is_err());
        assert_eq!(
            reported(device("/dev/fuse")),
            r#"Device { host: "/dev/fuse", container: "/dev/fuse", permissions: "rwm" }"#
        );
        assert_eq!(reported(device("/dev/a:r")), r#"Device { host: "/dev/a", container: "/dev/a", permissions: "r" }"#);
        assert_eq!(
            reported(device("/dev/a:/b:rw")),
            r#"Device { host: "/dev/a", container: "/b", permissions: "rw" }"#
        );
        assert!(device("/dev/a:/b:x").is_err() && device("fuse").is_err() && device("/a:/b:r:w").is_err());
        assert_eq!(gpus("all"), Ok(Gpus::All));
        assert_eq!(gpus("2"), Ok(Gpus::Count(2)));
        assert_eq!(gpus("device=0,GPU-1a"), Ok(Gpus::Devices(vec!["0".into(), "GPU-1a".into()])));
        assert!(gpus("0").is_err() && gpus("device=").is_err() && gpus("some").is_err());
    }

    #[test]
    fn names_hosts_and_signals_are_docker_s() {
        assert_eq!(signal("term"), Ok("SIGTERM".into()));
        assert_eq!(signal("SIGQUIT"), Ok("SIGQUIT".into()));
        assert_eq!(signal("RTMIN+3"), Ok("SIGRTMIN+3".into()));
        assert_eq!(signal("15"), Ok("15".into()));
        for text in ["SIGFOO", "0", "65", "RTMIN-1", "RTMIN+99", "RTMIN+ä", "", "-9"] {
            assert!(signal(text).is_err(), "{text}");
        }
        assert_eq!(extra_host("db:10.0.0.1"), Ok("db:10.0.0.1".into()));
        assert_eq!(extra_host("db=::1"), Ok("db:::1".into()));
        assert_eq!(extra_host("h:host-gateway"), Ok("h:host-gateway".into()));
        assert!(extra_host("db").is_err() && extra_host("db:x").is_err() && extra_host(":1.1.1.1").is_err());
        assert!(hostname("web-1.local").is_ok() && hostname("-x").is_err() && hostname("a..b").is_err());
        assert!(user("1000:1000").is_ok() && user("www-data").is_ok() && user("a:b:c").is_err() && user(":0").is_err());
        assert_eq!(capability("net_admin"), Ok("NET_ADMIN".into()));
        assert!(capability("NET ADMIN").is_err());
        assert!(
            env_name("A_b.c-1").is_ok() && env_name("1A").is_err() && env_name("").is_err() && env_name("Ä").is_err()
        );
        assert!(network("container:x").is_ok() && network("host").is_ok() && network("a b").is_err());
    }

    #[test]
    fn domains_and_runtimes_are_docker_s() {
        for text in ["example.com", "ec2.internal.", "a-b", "."] {
            assert_eq!(domain(text), Ok(text.to_owned()));
        }
        for text in ["1", "a_b", "-a", "a-", "a..b", "", "a b", &"a.".repeat(128)] {
            assert!(domain(text).is_err(), "{text}");
        }
        assert!(runtime("io.containerd.runsc.v1").is_ok() && runtime("nvidia").is_ok());
        assert!(runtime("/usr/bin/runc").is_err() && runtime("a b").is_err());
    }

    #[test]
    fn labels_are_pairs_and_leave_berth_s_own_alone() {
        let read = |text: &str| labels(&Value::Text(text.into())).map(|map| format!("{map:?}"));
        assert_eq!(read("a=1,b.c=x=y"), Ok(r#"{"a": "1", "b.c": "x=y"}"#.into()));
        assert_eq!(read("berth.x=1"), Err("has a name that begins with `berth`, which is reserved for berth".into()));
        assert_eq!(read("a=1,a=2"), Err("lists a label twice".into()));
        assert!(read("a").is_err() && read("=x").is_err());
    }
}
