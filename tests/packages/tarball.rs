//! The tarball and its install.sh.

use crate::machine::{ENABLED, Machine, Packages, Suite, starts_or_stops};

on_each_machine! {
    install_sh_installs_enables_hands_over_and_takes_all_away_again
    install_sh_leaves_a_package_alone
}

fn install_sh_installs_enables_hands_over_and_takes_all_away_again(suite: Suite) {
    let machine = Machine::start(suite);
    let packages = Packages::of_notes();
    machine.copy(&packages.make("tarball", None), "/berth.tar.gz");
    machine.sh("tar xzf /berth.tar.gz --strip-components=1 --one-top-level=/unpacked");
    machine.sh("/unpacked/install.sh");
    let calls = machine.calls();
    assert!(machine.has(&format!("/{ENABLED}")), "{calls:?}");
    assert!(!starts_or_stops(&calls), "{calls:?}");
    assert!(machine.has("/usr/lib/systemd/system/berth.service"));
    assert!(
        machine.has("/usr/lib/systemd/system/berth-drain.service") && machine.has("/usr/share/man/man1/berth.1.gz")
    );

    machine.sh("echo changed >>/etc/berth/berth.toml; touch /agent-runs; /unpacked/install.sh");
    let calls = machine.calls();
    assert!(!starts_or_stops(&calls) && !calls.iter().any(|call| call.contains("enable")), "{calls:?}");
    assert_eq!(calls.last().map(String::as_str), Some("berth handover"));
    assert!(machine.sh("cat /etc/berth/berth.toml").ends_with("changed\n"));

    machine.sh("mkdir -p /var/lib/berth; /unpacked/install.sh --remove");
    let calls = machine.calls();
    for unit in ["berth.service", "berth-drain.service"] {
        assert!(calls.contains(&format!("systemctl stop {unit}")), "{calls:?}");
    }
    assert!(machine.has("/etc/berth/berth.toml") && !machine.has("/usr/bin/berth"));
    machine.sh("rm /agent-runs; /unpacked/install.sh --purge; rm -r /unpacked /berth.tar.gz");
    assert_eq!(machine.sh("find / -xdev '(' -path /proc -o -path /sys ')' -prune -o -name '*berth*' -print"), "");
}

fn install_sh_leaves_a_package_alone(suite: Suite) {
    let machine = Machine::start(suite);
    let packages = Packages::of_notes();
    machine.copy(&packages.make("deb", None), "/package.deb");
    machine.copy(&packages.make("tarball", None), "/berth.tar.gz");
    machine.sh("dpkg -i /package.deb && tar xzf /berth.tar.gz --strip-components=1 --one-top-level=/unpacked");
    for action in ["", "--remove", "--purge"] {
        let printed = machine.sh(&format!("! /unpacked/install.sh {action}"));
        assert!(printed.contains("belongs to a package"), "{printed}");
    }
    assert_eq!(machine.sh("dpkg -V berth"), "");
}
