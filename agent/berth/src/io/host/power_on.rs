//! When this machine was switched on, and what came up beside the agent: systemd's own times, by `systemctl show`.
//!
//! They are only shown, so whatever systemd answers is no error: what cannot be read is left out.

use std::collections::BTreeMap;
use std::time::Duration;

use berth_core::view::timeline::PowerOn;
use nix::time::{ClockId, clock_gettime};
use tokio::process::Command;
use tokio::time::timeout;

/// For one answer of a service manager that may be busy with the boot.
const LIMIT: Duration = Duration::from_secs(2);

/// What an agent may wait for, or what runs beside it. A unit that this machine does not have has no row.
const UNITS: [&str; 14] = [
    "cloud-init-local.service",
    "systemd-networkd.service",
    "NetworkManager.service",
    "networking.service",
    "network-online.target",
    "cloud-init.service",
    "cloud-init-network.service",
    "cloud-config.service",
    "cloud-final.service",
    "containerd.service",
    "docker.socket",
    "docker.service",
    "podman.socket",
    "berth.service",
];
const OF_THE_MANAGER: [&str; 4] =
    ["KernelTimestamp", "InitRDTimestampMonotonic", "UserspaceTimestampMonotonic", "FinishTimestampMonotonic"];
const OF_A_UNIT: [&str; 3] = ["Id", "InactiveExitTimestampMonotonic", "ActiveEnterTimestampMonotonic"];

/// The start of this machine, on the axis of an agent that started so many seconds ago. None without systemd, or if the agent was started later than
/// by the machine's own start.
pub async fn read(agent_age: f64) -> Option<PowerOn> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).ok()?;
    let started = Duration::from(now).as_secs_f64() - agent_age;
    let (manager, units) = tokio::join!(show(&OF_THE_MANAGER, &[]), show(&OF_A_UNIT, &UNITS));
    parse(&manager?, &units.unwrap_or_default(), started)
}

async fn show(properties: &[&str], units: &[&str]) -> Option<String> {
    let mut command = Command::new("systemctl");
    command
        .args(["show", "--no-pager", &format!("--property={}", properties.join(","))])
        .args(units)
        .kill_on_drop(true);
    let output = timeout(LIMIT, command.output()).await.ok()?.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Both answers, on the axis of an agent that started at this moment of the monotonic clock.
fn parse(manager: &str, units: &str, started: f64) -> Option<PowerOn> {
    let manager = properties(manager);
    let moment = |properties: &BTreeMap<&str, &str>, name: &str| seconds(properties.get(name)?).map(|at| at - started);
    let userspace = moment(&manager, "UserspaceTimestampMonotonic")?;
    let finished = moment(&manager, "FinishTimestampMonotonic");
    if userspace > 0.0 || finished.is_some_and(|at| at < 0.0) {
        return None;
    }
    // The monotonic clock begins with the kernel. In a container that is another machine's, and systemd does not report it.
    let has_kernel = manager.get("KernelTimestamp").is_some_and(|at| !at.is_empty());
    let at_seconds = if has_kernel { -started } else { userspace };
    let initrd = moment(&manager, "InitRDTimestampMonotonic").filter(|_| has_kernel);
    let mut rows = Vec::new();
    if has_kernel {
        rows.push(("kernel".to_owned(), at_seconds, Some(initrd.unwrap_or(userspace))));
    }
    rows.extend(initrd.map(|initrd| ("initrd".to_owned(), initrd, Some(userspace))));
    for unit in units.split("\n\n").map(properties) {
        let Some(name) = unit.get("Id").filter(|id| UNITS.contains(*id)) else { continue };
        let Some(began) = moment(&unit, "InactiveExitTimestampMonotonic") else { continue };
        // Of one that was started again, or is being stopped, the older time is of another start.
        let active = moment(&unit, "ActiveEnterTimestampMonotonic").filter(|active| *active >= began);
        // A target takes no time; what is of interest is how long it took to reach it.
        let began = if name.ends_with(".target") { at_seconds } else { began };
        rows.push(((*name).to_owned(), began, active));
    }
    Some(PowerOn { at_seconds, units: rows })
}

fn properties(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.split_once('=')).collect()
}

/// Microseconds of the monotonic clock; 0 is never.
fn seconds(microseconds: &str) -> Option<f64> {
    let microseconds: u64 = microseconds.parse().ok()?;
    (microseconds > 0).then(|| Duration::from_micros(microseconds).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANAGER: &str = "KernelTimestamp=Mon 2026-11-30 05:00:00 UTC\nInitRDTimestampMonotonic=400000\n\
                           UserspaceTimestampMonotonic=900000\nFinishTimestampMonotonic=0\n";
    const ALL: &str = "Id=docker.service\nInactiveExitTimestampMonotonic=2000000\nActiveEnterTimestampMonotonic=3500000\n\n\
                       Id=network-online.target\nInactiveExitTimestampMonotonic=1900000\nActiveEnterTimestampMonotonic=1900000\n\n\
                       ActiveEnterTimestampMonotonic=0\nInactiveExitTimestampMonotonic=2100000\nId=cloud-final.service\n\n\
                       Id=NetworkManager.service\nInactiveExitTimestampMonotonic=0\nActiveEnterTimestampMonotonic=0\n";

    fn shown(manager: &str, units: &str, started: f64) -> String {
        let Some(power_on) = parse(manager, units, started) else { return "none".to_owned() };
        let row = |(name, began, active): &(String, f64, Option<f64>)| {
            let active = active.map_or("-".to_owned(), |at| format!("{at:.1}"));
            format!("{name} {began:.1} {active}")
        };
        let rows: Vec<_> = power_on.units.iter().map(row).collect();
        format!("{:.1}: {}", power_on.at_seconds, rows.join(", "))
    }

    #[test]
    fn moments_are_on_the_axis_of_the_agent() {
        assert_eq!(
            shown(MANAGER, ALL, 1.5),
            "-1.5: kernel -1.5 -1.1, initrd -1.1 -0.6, docker.service 0.5 2.0, network-online.target -1.5 0.4, cloud-final.service 0.6 -"
        );
    }

    #[test]
    fn in_a_container_the_machine_starts_with_its_pid_1() {
        let manager = MANAGER.replace("Mon 2026-11-30 05:00:00 UTC", "");
        assert_eq!(shown(&manager, "", 1.5), "-0.6: ");
    }

    #[test]
    fn an_agent_that_was_started_later_has_no_power_on() {
        let finished = MANAGER.replace("FinishTimestampMonotonic=0", "FinishTimestampMonotonic=9000000");
        assert_ne!(shown(&finished, ALL, 8.9), "none");
        assert_eq!(shown(&finished, ALL, 9.1), "none");
        assert_eq!(shown(MANAGER, ALL, 0.8), "none", "before PID 1: these are the times of another machine");
    }

    #[test]
    fn whatever_else_is_answered_is_no_row_and_no_panic() {
        let junk = [
            "",
            "\n\n\n",
            "=",
            "Id",
            "Id=\u{0}=\n=",
            "UserspaceTimestampMonotonic=-1",
            "UserspaceTimestampMonotonic=99999999999999999999",
        ];
        for manager in junk {
            assert_eq!(shown(manager, ALL, 1.0), "none", "{manager:?}");
        }
        for units in junk {
            assert_eq!(shown(MANAGER, units, 1.5), "-1.5: kernel -1.5 -1.1, initrd -1.1 -0.6", "{units:?}");
        }
        let strange = "Id=docker.service\nInactiveExitTimestampMonotonic=18446744073709551615\nActiveEnterTimestampMonotonic=x\n\n\
                       Id=evil.service\nInactiveExitTimestampMonotonic=1";
        assert!(shown(MANAGER, strange, f64::NAN).contains("docker.service"));
        assert!(!shown(MANAGER, strange, 1.5).contains("evil"));
    }
}
