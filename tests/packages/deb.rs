//! The Debian package.

use std::path::Path;

use crate::machine::{ENABLED, Machine, Packages, Suite, sources, starts_or_stops};

on_each_machine! {
    the_package_brings_a_berth_that_runs_and_an_example_that_it_understands
    an_installation_enables_the_agent_and_starts_nothing
    an_upgrade_hands_over_the_agent_that_runs_and_keeps_what_the_administrator_changed
    an_upgrade_succeeds_and_says_so_when_the_agent_cannot_be_handed_over
    a_removal_drains_and_a_purge_leaves_nothing
}

fn install(machine: &Machine, package: &Path) -> String {
    machine.copy(package, "/package.deb");
    machine.sh("dpkg --force-confold -i /package.deb")
}

fn the_package_brings_a_berth_that_runs_and_an_example_that_it_understands(suite: Suite) {
    let machine = Machine::start(suite);
    install(&machine, &Packages::of_berth().make("deb", None));
    assert_eq!(machine.sh("dpkg -V berth"), "", "a file is not as it was packaged");
    assert_eq!(machine.sh("berth --version"), format!("berth {}\n", env!("CARGO_PKG_VERSION")));
    // Every key of the example is a comment; without the marks they are a config.
    assert_eq!(machine.sh("grep -v '^#' /etc/berth/berth.toml | grep . || true"), "");
    let shown = machine.sh("{ echo '#berth'; sed 's/^#\\([a-z[]\\)/\\1/' /etc/berth/berth.toml; } | berth check -");
    assert!(shown.contains("ap-api:a1b2c3d"), "{shown}");
    for file in [
        "/usr/lib/systemd/system/berth.service",
        "/usr/lib/systemd/system/berth-drain.service",
        "/usr/share/man/man1/berth-run.1.gz",
        "/usr/share/man/man5/berth.toml.5.gz",
        "/usr/share/man/man8/berth.service.8.gz",
        "/usr/share/bash-completion/completions/berth",
        "/usr/share/zsh/vendor-completions/_berth",
        "/usr/share/fish/vendor_completions.d/berth.fish",
        "/usr/share/doc/berth/copyright",
    ] {
        assert!(machine.has(file), "{file}");
    }
    // The unit names a page of the documentation.
    let unit = std::fs::read_to_string(sources().join("systemd/berth.service")).unwrap();
    let page = unit.lines().find_map(|line| line.strip_prefix("Documentation=file://")).unwrap();
    assert!(machine.has(page), "{page}");
}

fn an_installation_enables_the_agent_and_starts_nothing(suite: Suite) {
    let machine = Machine::start(suite);
    install(&machine, &Packages::of_notes().make("deb", None));
    assert!(machine.has(&format!("/{ENABLED}")));
    let calls = machine.calls();
    assert!(!starts_or_stops(&calls), "{calls:?}");
    assert!(!calls.iter().any(|call| call.starts_with("berth")), "{calls:?}");
}

fn an_upgrade_hands_over_the_agent_that_runs_and_keeps_what_the_administrator_changed(suite: Suite) {
    let machine = Machine::start(suite);
    let packages = Packages::of_notes();
    install(&machine, &packages.make("deb", None));
    machine.sh("echo 'listen = \"0.0.0.0:1\"' >>/etc/berth/berth.toml; touch /agent-runs");
    machine.calls();
    install(&machine, &packages.make("deb", Some("2")));
    let calls = machine.calls();
    assert!(!starts_or_stops(&calls), "{calls:?}");
    assert_eq!(calls.iter().filter(|call| *call == "berth handover").count(), 1, "{calls:?}");
    let reload = calls.iter().position(|call| call.contains("daemon-reload"));
    let handover = calls.iter().position(|call| call == "berth handover");
    assert!(reload < handover, "the next agent must start by the new unit: {calls:?}");
    assert!(machine.sh("cat /etc/berth/berth.toml").contains("0.0.0.0:1"));

    machine.sh(&format!("rm /agent-runs /{ENABLED}"));
    install(&machine, &packages.make("deb", Some("3")));
    let calls = machine.calls();
    assert!(!starts_or_stops(&calls) && !calls.contains(&"berth handover".to_owned()), "{calls:?}");
    assert!(!machine.has(&format!("/{ENABLED}")), "it stays disabled");
}

fn an_upgrade_succeeds_and_says_so_when_the_agent_cannot_be_handed_over(suite: Suite) {
    let machine = Machine::start(suite);
    let packages = Packages::of_notes();
    install(&machine, &packages.make("deb", None));
    machine.sh("touch /agent-runs /agent-stuck");
    let printed = install(&machine, &packages.make("deb", Some("2")));
    assert!(printed.contains("was not handed over"), "{printed}");
    assert!(!starts_or_stops(&machine.calls()));
}

fn a_removal_drains_and_a_purge_leaves_nothing(suite: Suite) {
    let machine = Machine::start(suite);
    install(&machine, &Packages::of_notes().make("deb", None));
    machine.sh("mkdir -p /var/lib/berth /run/berth && touch /var/lib/berth/state /run/berth/lock /agent-runs");
    machine.calls();
    let printed = machine.sh("dpkg -r berth");
    assert!(printed.contains("out of traffic") && !printed.contains("warning"), "{printed}");
    let calls = machine.calls();
    for unit in ["berth.service", "berth-drain.service"] {
        assert!(calls.iter().any(|call| call.ends_with(&format!("stop {unit}"))), "{calls:?}");
    }
    assert!(!machine.has("/usr/bin/berth"));
    assert!(machine.has("/etc/berth/berth.toml") && machine.has("/var/lib/berth/state"));

    let printed = machine.sh("dpkg -P berth");
    assert!(!printed.contains("warning"), "{printed}");
    let left = machine.sh("find / -xdev '(' -path /proc -o -path /sys ')' -prune -o -name '*berth*' -print; ls -d /run/berth 2>/dev/null || true");
    assert_eq!(left, "");
}
