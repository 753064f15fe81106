//! What the agent does: boot, restart, drain, lifecycle hooks, notices.

use std::time::Duration;

use crate::config::policy::{CutDrain, OnFailure, OnNotice};
use crate::keys::key::KeyDefault::{Value as By, Words};
use crate::keys::key::{Key, Section, at_least, choice, put, some};
use crate::value::pointer::Pointer;
use crate::value::scalar::count;
use crate::value::{Reason, Value, path};

/// The keys of the instance's life.
pub(super) static SECTION: Section = Section {
    title: "The instance's life",
    intro: "",
    keys: &[
        Key {
            name: "listen",
            about: "address and port of the readiness endpoint",
            default: By("0.0.0.0:9911"),
            examples: &["[::]:9911"],
            resolve: |c, v, _| put(&mut c.listen, listen(v)),
        },
        Key {
            name: "after",
            about: "list of paths on the host that must be there before the container is created, within `boot.timeout`; a path on a mount \
                 point that `/etc/fstab` or a mount unit names is there once that is mounted; see below",
            default: Words("none"),
            examples: &["/mnt/data"],
            resolve: |c, v, _| put(&mut c.after, v.each(path::host_path)),
        },
        Key {
            name: "boot.timeout",
            about: "give up booting after this; at least 1s",
            default: By("10m"),
            examples: &["20m"],
            resolve: |c, v, _| put(&mut c.boot.timeout, boot_timeout(v)),
        },
        Key {
            name: "boot.on_failure",
            about: "`abandon`: complete the launch hook with ABANDON, without a hook mark the instance unhealthy · \
                 `hold`: keep the instance for debugging, not ready",
            default: By("abandon"),
            examples: &["hold"],
            resolve: |c, v, _| {
                put(&mut c.boot.on_failure, choice(v, &[("abandon", OnFailure::Abandon), ("hold", OnFailure::Hold)]))
            },
        },
        Key {
            name: "restart.backoff",
            about: "wait before the first restart of an app that exited; doubles",
            default: By("1s"),
            examples: &["500ms"],
            resolve: |c, v, _| put(&mut c.restart.backoff, at_least(1, v)),
        },
        Key {
            name: "restart.backoff_max",
            about: "the longest wait",
            default: By("60s"),
            examples: &["5m"],
            resolve: |c, v, _| put(&mut c.restart.backoff_max, at_least(1, v)),
        },
        Key {
            name: "restart.limit",
            about: "restarts within the window; with one more the boot fails, or the instance that serves is marked unhealthy; 0 allows none",
            default: By("5"),
            examples: &["10"],
            resolve: |c, v, _| put(&mut c.restart.limit, v.one().and_then(|text| count(0, text))),
        },
        Key {
            name: "restart.window",
            about: "the window",
            default: By("10m"),
            examples: &["1h"],
            resolve: |c, v, _| put(&mut c.restart.window, at_least(1, v)),
        },
        Key {
            name: "drain.settle",
            about: "keep serving this long after readiness turned 503",
            default: By("20s"),
            examples: &["35s"],
            resolve: |c, v, _| put(&mut c.drain.settle, at_least(0, v)),
        },
        Key {
            name: "drain.timeout",
            about: "wait at most this long for connections to end",
            default: By("300s"),
            examples: &["15m"],
            resolve: |c, v, _| put(&mut c.drain.timeout, at_least(0, v)),
        },
        Key {
            name: "drain.idle",
            about: "no connection for this long counts as ended",
            default: By("2s"),
            examples: &["5s"],
            resolve: |c, v, _| put(&mut c.drain.idle, at_least(0, v)),
        },
        Key {
            name: "drain.on_failure",
            about: "how a drain that was cut short completes the termination hook: `continue` · `abandon`: with ABANDON, so \
                 that a group with the retention trigger `TerminateHookAbandon=retain` keeps the instance",
            default: By("continue"),
            examples: &["abandon"],
            resolve: |c, v, _| {
                put(
                    &mut c.drain.on_failure,
                    choice(v, &[("continue", CutDrain::Continue), ("abandon", CutDrain::Abandon)]),
                )
            },
        },
        Key {
            name: "stop_timeout",
            about: "duration from the stop signal to SIGKILL",
            default: By("30s"),
            examples: &["2m"],
            resolve: |c, v, _| put(&mut c.stop_timeout, at_least(0, v)),
        },
        Key {
            name: "lifecycle.poll",
            about: "how often the group's target state is looked at; at least 100ms",
            default: By("2s"),
            examples: &["5s"],
            resolve: |c, v, _| put(&mut c.lifecycle.poll, at_least(100, v)),
        },
        Key {
            name: "lifecycle.group",
            about: "the Auto Scaling group",
            default: Words("discovered"),
            examples: &["web"],
            resolve: |c, v, _| put(&mut c.lifecycle.group, some(v, group_name)),
        },
        Key {
            name: "lifecycle.launch_hook",
            about: "the launch hook",
            default: Words("discovered"),
            examples: &["launching"],
            resolve: |c, v, _| put(&mut c.lifecycle.launch_hook, some(v, hook_name)),
        },
        Key {
            name: "lifecycle.terminate_hook",
            about: "the termination hook",
            default: Words("discovered"),
            examples: &["terminating"],
            resolve: |c, v, _| put(&mut c.lifecycle.terminate_hook, some(v, hook_name)),
        },
        Key {
            name: "lifecycle.heartbeat",
            about: "between two heartbeats, 1s to 2h",
            default: Words("half the hook's timeout, 30s if that is unknown"),
            examples: &["30s"],
            resolve: |c, v, _| put(&mut c.lifecycle.heartbeat, heartbeat(v).map(Some)),
        },
        Key {
            name: "spot",
            about: "on a spot interruption: `drain` or `ignore`",
            default: By("drain"),
            examples: &["ignore"],
            resolve: |c, v, _| put(&mut c.spot, on_notice(v)),
        },
        Key {
            name: "rebalance",
            about: "on a rebalance recommendation: `drain` or `ignore`",
            default: By("ignore"),
            examples: &["drain"],
            resolve: |c, v, _| put(&mut c.rebalance, on_notice(v)),
        },
        Key {
            name: "maintenance",
            about: "on a scheduled event: `drain` or `ignore`",
            default: By("ignore"),
            examples: &["drain"],
            resolve: |c, v, _| put(&mut c.maintenance, on_notice(v)),
        },
        Key {
            name: "config",
            about: "where more keys are: `ssm:NAME` or `secretsmanager:NAME`; must hold a config in one of the forms and \
                 cannot point on",
            default: Words("none"),
            examples: &["ssm:/prod/berth"],
            resolve: |_, v, _| {
                v.one().and_then(Pointer::parse)?;
                Ok(())
            },
        },
    ],
};

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

fn on_notice(value: &Value) -> Result<OnNotice, Reason> {
    choice(value, &[("drain", OnNotice::Drain), ("ignore", OnNotice::Ignore)])
}
