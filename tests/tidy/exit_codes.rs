//! The exit codes are an interface: the type, the table in the docs and the unit file agree.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use berth_core::message::outcome::Outcome;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The last value of a directive; systemd lets the last one win.
fn directive(unit: &str, name: &str) -> String {
    let mut values = unit.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    values.next_back().unwrap_or_else(|| panic!("the unit has no {name}=")).trim().to_owned()
}

/// Code and whether systemd starts the agent again, a row of the first table.
fn documented() -> Vec<(u8, bool)> {
    let page = read("docs/exit-codes.md");
    let table = page.lines().skip_while(|line| !line.starts_with("| code ")).skip(2);
    let rows = table.take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let again = match cells[2].split(':').next() {
            Some("yes") => true,
            Some("no") => false,
            other => panic!("{other:?} in {row}"),
        };
        (cells[0].parse().unwrap(), again)
    })
    .collect()
}

#[test]
fn the_table_has_every_outcome_in_its_order() {
    let codes: Vec<_> = documented().into_iter().map(|(code, _)| code).collect();
    assert_eq!(codes, Outcome::ALL.map(Outcome::code));
}

#[test]
fn systemd_starts_the_agent_again_after_what_the_table_says() {
    let unit = read("systemd/berth.service");
    assert_eq!(directive(&unit, "Restart"), "on-failure");
    let prevented: BTreeSet<u8> = directive(&unit, "RestartPreventExitStatus")
        .split_whitespace()
        .map(|code| code.parse().expect("a number"))
        .collect();
    let in_the_table: BTreeSet<u8> =
        documented().into_iter().filter(|(code, again)| *code != 0 && !again).map(|(code, _)| code).collect();
    assert_eq!(prevented, in_the_table);
    assert!(!documented().contains(&(0, true)), "on-failure never starts again after 0");
}

#[test]
fn systemd_waits_at_least_as_long_as_a_drain_takes_by_default() {
    // drain.settle, drain.timeout and stop_timeout.
    let drain = Duration::from_secs(20 + 300 + 30);
    let stop = directive(&read("systemd/berth.service"), "TimeoutStopSec").parse().expect("seconds");
    assert!(Duration::from_secs(stop) > drain);
}

#[test]
fn systemd_never_asks_for_a_core_dump() {
    let unit = read("systemd/berth.service");
    assert_eq!(["WatchdogSignal", "LimitCORE"].map(|name| directive(&unit, name)), ["SIGKILL", "0"]);
    assert!(!unit.contains("FailureMode=abort"), "SIGABRT asks for one");
}
