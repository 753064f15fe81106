//! The one table of keys: name, default, and how the value is validated. words.rs tells the same to people, and a test holds
//! the two together.

use crate::value::path;
use std::time::Duration;

use crate::config::Config;
use crate::config::network;
use crate::config::policy::{CutDrain, ImdsAccess, OnChange, OnFailure, OnNotice, Refresh, RegistryAuth, SecretsAs};
use crate::value::container;
use crate::value::health::ProbeMethod;
use crate::value::kernel;
use crate::value::line;
use crate::value::platform::Platform;
use crate::value::pointer::Pointer;
use crate::value::port::Port;
use crate::value::probe_http;
use crate::value::probe_http::Statuses;
use crate::value::reference::ImageRef;
use crate::value::scalar::{count, cpus, duration_from, is_name, one_of, size, switch};
use crate::value::secret_ref::SecretRef;
use crate::value::template::SecretValue;
use crate::value::{Reason, Reasons, Value};

pub(crate) mod defaults;
pub(crate) mod foreign_words;
pub(crate) mod key_docs;
pub(crate) mod suggest;

/// One key, or with `.NAME` at its end a table of keys.
pub(crate) struct Key {
    /// As it is written: `probe.interval`, `env.NAME`.
    pub(crate) name: &'static str,
    /// What holds when it is not written.
    pub(crate) default: KeyDefault,
    /// Believes a value; the second text is the NAME of a table's key.
    pub(crate) resolve: Believe,
}

/// What holds when a key is not written.
pub(crate) enum KeyDefault {
    /// As if this had been written.
    Value(&'static str),
    /// This, in words.
    Words(&'static str),
}

type Believe = fn(&mut Config, &Value, &str) -> Result<(), Reasons>;

use KeyDefault::{Value as By, Words};

const fn key(name: &'static str, default: KeyDefault, resolve: Believe) -> Key {
    Key { name, default, resolve }
}

/// Puts what was validated where it belongs; an error of any kind becomes the reasons of the value.
fn put<T, E: Into<Reasons>>(into: &mut T, validated: Result<T, E>) -> Result<(), Reasons> {
    *into = validated.map_err(Into::into)?;
    Ok(())
}

/// Every key there is, in the order of the documentation.
pub(crate) static KEYS: &[Key] = &[
    key("image", Words("required"), |c, v, _| put(&mut c.image, v.one().and_then(ImageRef::parse))),
    key("name", Words("last part of the repository"), |c, v, _| put(&mut c.name, v.one().and_then(app_name))),
    key("port", Words("none"), ports),
    key("ports", Words("none"), ports),
    key(
        "health",
        Words("`docker` if the image has a HEALTHCHECK, else `tcp` on the first port, else `none`"),
        |c, v, _| put(&mut c.health, v.one().and_then(ProbeMethod::parse).map(Some)),
    ),
    key("probe.interval", By("5s"), |c, v, _| put(&mut c.probe.interval, at_least(100, v))),
    key("probe.timeout", Words("the HEALTHCHECK's own where that is asked, else `2s`"), |c, v, _| {
        put(&mut c.probe.timeout, at_least(100, v).map(Some))
    }),
    key("probe.healthy", By("1"), |c, v, _| put(&mut c.probe.healthy, v.one().and_then(|text| count(1, text)))),
    key("probe.unhealthy", By("3"), |c, v, _| put(&mut c.probe.unhealthy, v.one().and_then(|text| count(1, text)))),
    key("probe.start_timeout", Words("`120s`, and the HEALTHCHECK's start period where that is asked"), |c, v, _| {
        put(&mut c.probe.start_timeout, at_least(1000, v).map(Some))
    }),
    key("probe.running_for", By("5s"), |c, v, _| put(&mut c.probe.running_for, at_least(0, v))),
    key("probe.host", Words("the address that is asked"), |c, v, _| {
        put(&mut c.probe.http.host, some(v, probe_http::host))
    }),
    key("probe.expect", By("200-399"), |c, v, _| put(&mut c.probe.http.expect, Statuses::parse(v))),
    key("env.NAME", Words("none"), |c, v, name| {
        container::env_name(name)?;
        c.env.insert(name.to_owned(), v.text()?.to_owned());
        Ok(())
    }),
    key("secret.NAME", Words("none"), |c, v, name| {
        container::env_name(name)?;
        c.secret.insert(name.to_owned(), SecretValue::parse(v.one()?)?);
        Ok(())
    }),
    key("secrets", Words("none"), |c, v, _| put(&mut c.secrets, v.each(whole_secret))),
    key("secrets_as", By("env"), |c, v, _| {
        put(&mut c.secrets_as, choice(v, &[("env", SecretsAs::Env), ("files", SecretsAs::Files)]))
    }),
    key("secrets_refresh", By("off"), |c, v, _| put(&mut c.secrets_refresh, refresh(v))),
    key("registry_auth", By("auto"), |c, v, _| put(&mut c.registry_auth, v.one().and_then(registry_auth))),
    key("command", Words("the image's"), |c, v, _| put(&mut c.command, line::command(v))),
    key("entrypoint", Words("the image's"), |c, v, _| put(&mut c.entrypoint, line::command(v))),
    key("user", Words("the image's"), |c, v, _| put(&mut c.user, some(v, container::user))),
    key("workdir", Words("the image's"), |c, v, _| put(&mut c.workdir, some(v, path::absolute))),
    key("volumes", Words("none"), |c, v, _| put(&mut c.volumes, v.each(container::volume))),
    key("tmpfs", Words("none"), |c, v, _| put(&mut c.tmpfs, container::tmpfs(v))),
    key("read_only", By("false"), |c, v, _| put(&mut c.read_only, v.one().and_then(switch))),
    key("memory", Words("no limit"), |c, v, _| put(&mut c.memory, some(v, kernel::memory))),
    key("memory_swap", Words("the engine's, twice `memory`"), |c, v, _| {
        put(&mut c.memory_swap, some(v, kernel::memory_swap))
    }),
    key("cpus", Words("no limit"), |c, v, _| put(&mut c.cpus, some(v, cpus))),
    key("pids_limit", Words("the engine's"), |c, v, _| put(&mut c.pids_limit, some(v, kernel::pids_limit))),
    key("ulimits", Words("the engine's"), |c, v, _| put(&mut c.ulimits, v.each(container::ulimit))),
    key("cap_add", Words("none"), |c, v, _| put(&mut c.cap_add, v.each(container::capability))),
    key("cap_drop", Words("none"), |c, v, _| put(&mut c.cap_drop, v.each(container::capability))),
    key("group_add", Words("none"), |c, v, _| put(&mut c.group_add, v.each(kernel::group))),
    key("security_opt", Words("`no-new-privileges`, without `privileged`"), |c, v, _| {
        put(&mut c.security_opt, kernel::security_opts(v))
    }),
    key("sysctls", Words("the kernel's"), |c, v, _| put(&mut c.sysctls, kernel::sysctls(v))),
    key("devices", Words("none"), |c, v, _| put(&mut c.devices, v.each(container::device))),
    key("gpus", Words("none"), |c, v, _| put(&mut c.gpus, some(v, container::gpus))),
    key("network", Words("the engine's, `bridge`"), |c, v, _| put(&mut c.network, some(v, container::network))),
    key("hostname", Words("the container's id"), |c, v, _| put(&mut c.hostname, some(v, container::hostname))),
    key("extra_hosts", Words("none"), |c, v, _| put(&mut c.extra_hosts, v.each(container::extra_host))),
    key("dns", Words("the engine's"), |c, v, _| {
        put(&mut c.dns, v.each(|text| text.parse().map_err(|_| "is not an IP address".into())))
    }),
    key("dns_search", Words("the engine's"), |c, v, _| put(&mut c.dns_search, v.each(container::domain))),
    key("ipc", Words("the engine's, `private`"), |c, v, _| put(&mut c.ipc, some(v, kernel::ipc))),
    key("pid", Words("the container's own"), |c, v, _| put(&mut c.pid, some(v, kernel::pid))),
    key("shm_size", Words("the engine's, `64m`"), |c, v, _| put(&mut c.shm_size, some(v, size))),
    key("labels", Words("none"), |c, v, _| put(&mut c.labels, container::labels(v))),
    key("platform", Words("the machine's"), |c, v, _| put(&mut c.platform, some(v, Platform::parse))),
    key("runtime", Words("the engine's, `runc`"), |c, v, _| put(&mut c.runtime, some(v, container::runtime))),
    key("init", By("true"), |c, v, _| put(&mut c.init, v.one().and_then(switch))),
    key("privileged", By("false"), |c, v, _| put(&mut c.privileged, v.one().and_then(switch))),
    key("stop_signal", Words("the image's, else `SIGTERM`"), |c, v, _| {
        put(&mut c.stop_signal, some(v, container::signal))
    }),
    key("log_driver", By("json-file"), |c, v, _| put(&mut c.log_driver, v.one().and_then(log_driver))),
    key("log_opt.NAME", Words("for `json-file`, when none is given: `max-size=10m`, `max-file=3`"), |c, v, name| {
        if !is_name(name, "_.-") {
            return Err("has a name that no log driver knows".into());
        }
        c.log_opt.insert(name.to_owned(), v.one()?.to_owned());
        Ok(())
    }),
    key("imds", By("allow"), |c, v, _| {
        put(&mut c.imds, choice(v, &[("allow", ImdsAccess::Allow), ("block", ImdsAccess::Block)]))
    }),
    key("listen", By("0.0.0.0:9911"), |c, v, _| put(&mut c.listen, listen(v))),
    key("after", Words("none"), |c, v, _| put(&mut c.after, v.each(path::host_path))),
    key("boot.timeout", By("10m"), |c, v, _| put(&mut c.boot.timeout, boot_timeout(v))),
    key("boot.on_failure", By("abandon"), |c, v, _| {
        put(&mut c.boot.on_failure, choice(v, &[("abandon", OnFailure::Abandon), ("hold", OnFailure::Hold)]))
    }),
    key("restart.backoff", By("1s"), |c, v, _| put(&mut c.restart.backoff, at_least(1, v))),
    key("restart.backoff_max", By("60s"), |c, v, _| put(&mut c.restart.backoff_max, at_least(1, v))),
    key("restart.limit", By("5"), |c, v, _| put(&mut c.restart.limit, v.one().and_then(|text| count(0, text)))),
    key("restart.window", By("10m"), |c, v, _| put(&mut c.restart.window, at_least(1, v))),
    key("drain.settle", By("20s"), |c, v, _| put(&mut c.drain.settle, at_least(0, v))),
    key("drain.timeout", By("300s"), |c, v, _| put(&mut c.drain.timeout, at_least(0, v))),
    key("drain.idle", By("2s"), |c, v, _| put(&mut c.drain.idle, at_least(0, v))),
    key("drain.on_failure", By("continue"), |c, v, _| {
        put(&mut c.drain.on_failure, choice(v, &[("continue", CutDrain::Continue), ("abandon", CutDrain::Abandon)]))
    }),
    key("stop_timeout", By("30s"), |c, v, _| put(&mut c.stop_timeout, at_least(0, v))),
    key("lifecycle.poll", By("2s"), |c, v, _| put(&mut c.lifecycle.poll, at_least(100, v))),
    key("lifecycle.group", Words("discovered"), |c, v, _| put(&mut c.lifecycle.group, some(v, group_name))),
    key("lifecycle.launch_hook", Words("discovered"), |c, v, _| put(&mut c.lifecycle.launch_hook, some(v, hook_name))),
    key("lifecycle.terminate_hook", Words("discovered"), |c, v, _| {
        put(&mut c.lifecycle.terminate_hook, some(v, hook_name))
    }),
    key("lifecycle.heartbeat", Words("half the hook's timeout, 30s if that is unknown"), |c, v, _| {
        put(&mut c.lifecycle.heartbeat, heartbeat(v).map(Some))
    }),
    key("spot", By("drain"), |c, v, _| put(&mut c.spot, on_notice(v))),
    key("rebalance", By("ignore"), |c, v, _| put(&mut c.rebalance, on_notice(v))),
    key("maintenance", By("ignore"), |c, v, _| put(&mut c.maintenance, on_notice(v))),
    key("config", Words("none"), |_, v, _| {
        v.one().and_then(Pointer::parse)?;
        Ok(())
    }),
    // Held by `Network`, which the adapters alone has.
    key("https_proxy", Words("`HTTPS_PROXY`, `ALL_PROXY`, else none"), |_, v, _| network::check("https_proxy", v)),
    key("no_proxy", Words("`NO_PROXY`, else none"), |_, v, _| network::check("no_proxy", v)),
    key("ca_bundle", Words("`AWS_CA_BUNDLE`, else the host's CAs"), |_, v, _| network::check("ca_bundle", v)),
    key("aws.fips", Words("`AWS_USE_FIPS_ENDPOINT`, else false"), |_, v, _| network::check("aws.fips", v)),
    key("aws.dual_stack", Words("`AWS_USE_DUALSTACK_ENDPOINT`, else true on a host without IPv4"), |_, v, _| {
        network::check("aws.dual_stack", v)
    }),
];

impl Key {
    /// The key with this name, and the NAME if it is one of a table.
    pub(crate) fn find(written: &str) -> Option<(&'static Self, &str)> {
        KEYS.iter().find_map(|key| match key.name.strip_suffix("NAME") {
            Some(table) => written.strip_prefix(table).filter(|name| !name.is_empty()).map(|name| (key, name)),
            None => (key.name == written).then_some((key, "")),
        })
    }
}

/// A key that has no value of its own when it is not written.
fn some<T>(value: &Value, resolve: impl Fn(&str) -> Result<T, Reason>) -> Result<Option<T>, Reason> {
    resolve(value.one()?).map(Some)
}

fn choice<T: Clone>(value: &Value, words: &[(&str, T)]) -> Result<T, Reason> {
    one_of(value.one()?, words)
}

fn at_least(milliseconds: u64, value: &Value) -> Result<Duration, Reason> {
    duration_from(Duration::from_millis(milliseconds), value.one()?)
}

fn on_notice(value: &Value) -> Result<OnNotice, Reason> {
    choice(value, &[("drain", OnNotice::Drain), ("ignore", OnNotice::Ignore)])
}

fn ports(config: &mut Config, value: &Value, _: &str) -> Result<(), Reasons> {
    config.ports.extend(value.each(Port::parse)?);
    Ok(())
}

/// What `berth-<name>` may hold for the engine and for every log driver.
pub(crate) fn app_name(text: &str) -> Result<String, Reason> {
    if is_name(text, "_.-") && text.len() <= 100 {
        Ok(text.to_owned())
    } else {
        Err("is not a name: at most 100 letters, digits and `_.-`".into())
    }
}

fn whole_secret(text: &str) -> Result<SecretRef, Reason> {
    let secret = SecretRef::parse(text)?;
    if secret.is_one_key() {
        return Err("names one key of a secret; that is what `secret.NAME=` is for".into());
    }
    Ok(secret)
}

/// `1h`, `1h,restart`, `1h,signal:HUP`, `off`.
fn refresh(value: &Value) -> Result<Option<Refresh>, Reason> {
    const EXPECTED: &str = "is not `INTERVAL`, `INTERVAL,restart`, `INTERVAL,signal:NAME` or `off`";
    let list = value.list();
    let (every, on_change) = match list.as_slice() {
        [off] if off == "off" => return Ok(None),
        [every] => (every, "restart"),
        [every, on_change] => (every, on_change.as_ref()),
        _ => return Err(EXPECTED.into()),
    };
    let every = duration_from(Duration::from_secs(1), every)?;
    let on_change = match on_change.strip_prefix("signal:") {
        Some(signal) => {
            let name = container::signal(signal)?;
            OnChange::Signal(name.strip_prefix("SIG").map_or(name.clone(), str::to_owned))
        }
        None if on_change == "restart" => OnChange::Restart,
        None => return Err(EXPECTED.into()),
    };
    Ok(Some(Refresh { every, on_change }))
}

fn registry_auth(text: &str) -> Result<RegistryAuth, Reason> {
    match text {
        "auto" => Ok(RegistryAuth::Auto),
        "ecr" => Ok(RegistryAuth::Ecr),
        "none" => Ok(RegistryAuth::None),
        secret => whole_secret(secret).map(RegistryAuth::Secret),
    }
}

fn log_driver(text: &str) -> Result<String, Reason> {
    if is_name(text, "_.-/:") { Ok(text.to_owned()) } else { Err("is not a log driver's name".into()) }
}

pub(crate) fn boot_timeout(value: &Value) -> Result<Duration, Reason> {
    at_least(1000, value)
}

pub(crate) fn listen(value: &Value) -> Result<std::net::SocketAddr, Reason> {
    value.one()?.parse().map_err(|_| "is not an address with a port like `0.0.0.0:9911` or `[::]:9911`".into())
}

/// At most 255 characters (API reference, CreateAutoScalingGroup); no control characters.
fn group_name(text: &str) -> Result<String, Reason> {
    let good = text.chars().count() <= 255 && !text.chars().any(char::is_control);
    if good { Ok(text.to_owned()) } else { Err("is not the name of an Auto Scaling group".into()) }
}

/// `[A-Za-z0-9\-_\/]+`, at most 255 (API reference, PutLifecycleHook).
fn hook_name(text: &str) -> Result<String, Reason> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_/".contains(&byte);
    let good = text.len() <= 255 && text.bytes().all(allowed);
    if good { Ok(text.to_owned()) } else { Err("is not a hook's name: letters, digits and `-_/`".into()) }
}

/// No hook waits longer than two hours for a heartbeat (API reference, PutLifecycleHook).
fn heartbeat(value: &Value) -> Result<Duration, Reason> {
    let every = at_least(1000, value)?;
    if every > Duration::from_secs(7200) {
        Err("is longer than `2h`, the longest timeout of a hook".into())
    } else {
        Ok(every)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_in_the_table_is_found_once() {
        for key in KEYS {
            let (found, _) = Key::find(key.name).unwrap();
            assert_eq!(found.name, key.name);
        }
    }
}
