//! Core dumps: a signal that asks for one leaves none of the agent, however the host is set up.

use crate::journal::{Journal, systemd};
use crate::machine::{Machine, Suite};
use crate::{Site, installed};

/// Where the kernel writes core files to, for all of its processes. Theirs have no such directory, the agent may write there.
const PATTERN: &str = "/run/berth/core-%e-%s";
const FILE: &str = "/proc/sys/kernel/core_pattern";

/// The kernel's pattern, until this is dropped.
struct CorePattern {
    former: String,
}

impl CorePattern {
    fn set(pattern: &str) -> Self {
        let former = std::fs::read_to_string(FILE).unwrap();
        std::fs::write(FILE, pattern).unwrap();
        Self { former }
    }
}

impl Drop for CorePattern {
    fn drop(&mut self) {
        std::fs::write(FILE, &self.former).unwrap();
    }
}

fn cores(machine: &Machine) -> String {
    machine.run("cd /run/berth && ls -d core-* 2> /dev/null || true")
}

on_each_machine! { a_signal_that_asks_for_a_core_dump_leaves_none_of_the_agent }

async fn a_signal_that_asks_for_a_core_dump_leaves_none_of_the_agent(suite: Suite) {
    let Some(site) = installed(suite, "").await else { return };
    let Site { machine, .. } = &site;
    machine.write("/etc/systemd/system.conf.d/cores.conf", "[Manager]\nDefaultLimitCORE=infinity\n");
    machine.run("systemctl daemon-reload");
    machine.start_agent().await;
    let before = machine.container();
    let _pattern = CorePattern::set(PATTERN);

    // The host writes core files: another service leaves one by its default limit.
    machine.write("/var/tmp/quits", "kill -QUIT $$\n");
    machine.run("systemd-run --wait --quiet sh /var/tmp/quits || true");
    assert_eq!(cores(machine).trim(), "core-sh-3");

    // Where somebody has lifted the unit's limit, the agent has its own. It holds from the next start on.
    for (restarts, signal, lifted) in [(1, "QUIT", false), (2, "ABRT", true), (3, "QUIT", true), (4, "ABRT", true)] {
        if lifted {
            machine.drop_in("test", "[Service]\nLimitCORE=infinity\n");
        }
        machine.run(&format!("systemctl kill --kill-whom=main --signal=SIG{signal} berth.service"));
        machine.until("systemd starts it again", async || machine.property("NRestarts") == restarts.to_string()).await;
        machine.is_ready().await;
        assert_eq!(cores(machine).trim(), "core-sh-3", "after SIG{signal}, limit lifted: {lifted}");
    }
    assert_eq!(machine.property("LimitCORE"), "infinity", "the drop-in counts");
    let limits = machine.run("cat /proc/$(systemctl show --value --property=MainPID berth.service)/limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).collect::<Vec<_>>(), ["0", "0", "bytes"], "{core}");
    assert_eq!(machine.container(), before, "the same container, not started again");
    let journal = Journal::of(machine);
    let killed = ["Main process exited, code=killed, status=3/QUIT", "Main process exited, code=killed, status=6/ABRT"];
    assert_eq!(killed.map(|how| journal.count(&systemd("berth.service", how))), [2, 2], "{}", machine.journal_text());
}
