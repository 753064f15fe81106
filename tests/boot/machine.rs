//! A machine: a container whose PID 1 is systemd, with a Docker Engine of its own, on which berth is installed.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use berth_kit::World;
use berth_kit::client;
use serde_json::Value;

use crate::hardware::HARDWARE;
use crate::network::{self, MACHINE};
use crate::{BERTH, command, until};

/// A release of Debian, with its own systemd and its own Docker Engine.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Suite {
    /// Debian 12: systemd 252, Docker Engine 20.10.
    Bookworm,
    /// Debian 13: systemd 257, Docker Engine 26.1.
    Trixie,
}

impl Suite {
    /// What tests/boot/image made.
    fn image(self) -> &'static str {
        match self {
            Self::Bookworm => "berth-test/machine:bookworm",
            Self::Trixie => "berth-test/machine:trixie",
        }
    }
}

/// Lists what is on the machine's disk and tmpfs; not what others write there while the machine runs.
const FILES: &str = "find / /run '(' -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /var/log -o -path /var/lib/docker \
     -o -path /var/lib/containerd -o -path /run/docker -o -path /run/containerd -o -path /run/systemd -o -path /run/udev \
     -o -path /run/user -o -path /var/lib/dpkg -o -path /var/cache -o -path '/var/tmp/systemd-private-*' ')' -prune -o -print | sort -u";
const BEFORE: &str = "/tmp/files-before-berth";

/// The machine. Removed with everything on it when dropped.
pub(crate) struct Machine {
    name: String,
    image: &'static str,
}

impl Machine {
    /// What an AMI's builder does: switches a machine on and installs the package there. It is on when this returns, and the agent
    /// does not run.
    ///
    /// `Err`: why this machine here can have no such machine; a failure later is a panic.
    pub(crate) async fn built(suite: Suite, world: &World) -> Result<Self, String> {
        let image = suite.image();
        docker(["image", "inspect", image])
            .map_err(|error| format!("tests/boot/image makes what is missing: {error}"))?;
        let machine = Self { name: format!("berth-boot-{}", world.name), image };
        let create = ["create", "--name", &machine.name, "--hostname", &machine.name];
        docker(create.iter().chain(HARDWARE).chain(&[image]))?;
        machine.switch_on()?;
        until("the machine's engine runs", async || machine.active("docker.service")).await?;
        machine.install(world);
        Ok(machine)
    }

    /// Installs berth, and what only a test needs: where this world's AWS is, and short waits.
    fn install(&self, world: &World) {
        self.run(&format!("{FILES} >{BEFORE}"));
        self.copy(&package("1"), "/var/tmp/berth.deb");
        self.run("dpkg --install /var/tmp/berth.deb");
        self.write("/etc/berth/berth.toml", crate::QUICK);
        let aws = format!("[Service]\nEnvironment=AWS_ENDPOINT_URL={} BERTH_LOG=debug\n", world.aws.endpoint());
        self.drop_in("world", &aws);
    }

    /// Installs the same binary as a newer package, which hands the agent over to it.
    ///
    /// `Err`: what dpkg printed.
    pub(crate) fn upgrade(&self) -> Result<String, String> {
        self.copy(&package("2"), "/var/tmp/berth.deb");
        self.try_run("dpkg --install /var/tmp/berth.deb 2>&1")
    }

    /// Removes the package and its configuration: what dpkg printed.
    pub(crate) fn purge(&self) -> String {
        self.run("dpkg --purge berth 2>&1")
    }

    /// What is on the machine and was not before berth was installed; without its journal, and what only the test wrote.
    pub(crate) fn left_by_berth(&self) -> String {
        self.run("rm -r /etc/systemd/system/berth.service.d /var/tmp/berth.deb");
        self.run(&format!("{FILES} | diff {BEFORE} - | grep '^>' || true"))
    }

    /// Overrides the unit, as `systemctl edit` does.
    pub(crate) fn drop_in(&self, name: &str, text: &str) {
        self.write(&format!("/etc/systemd/system/berth.service.d/{name}.conf"), text);
        self.run("systemctl daemon-reload");
    }

    /// Lets a unit start no earlier than `release` says, at every boot.
    pub(crate) fn hold_back(&self, unit: &str) {
        let wait =
            format!("[Service]\nExecStartPre=/bin/sh -c 'until [ -e /run/release-{unit} ]; do sleep 0.02; done'\n");
        self.write(&format!("/etc/systemd/system/{unit}.service.d/held.conf"), &wait);
    }

    /// Lets a unit start that is held back, in this boot.
    pub(crate) fn release(&self, unit: &str) {
        self.run(&format!("touch /run/release-{unit}"));
    }

    /// Power on, and a card in the network.
    pub(crate) fn switch_on(&self) -> Result<(), String> {
        docker(["start", &self.name])?;
        network::plug_in(self.inspect("{{.State.Pid}}").trim())
    }

    /// `systemctl poweroff`, until it is off.
    pub(crate) async fn power_off(&self) {
        self.go_down("poweroff").await;
    }

    /// `systemctl reboot`: down in order, and up again.
    pub(crate) async fn reboot(&self) {
        self.go_down("reboot").await;
        self.switch_on().unwrap();
    }

    /// Off from one moment to the next, and on again.
    pub(crate) fn power_loss(&self) {
        docker(["kill", &self.name]).unwrap();
        self.switch_on().unwrap();
    }

    /// `systemctl` with these words, until the machine is off.
    pub(crate) async fn go_down(&self, how: &str) {
        self.run(&format!("systemctl --no-block {how}"));
        self.until("the machine is off", async || self.inspect("{{.State.Running}}").trim() == "false").await;
    }

    /// Starts the agent on a machine that has just been installed, without another boot, and waits until it is ready.
    pub(crate) async fn start_agent(&self) {
        self.run("systemctl start berth.service");
        self.is_ready().await;
    }

    /// Whether a unit is active.
    pub(crate) fn active(&self, unit: &str) -> bool {
        self.try_run(&format!("systemctl is-active {unit}")).is_ok()
    }

    /// A property of the agent's unit.
    pub(crate) fn property(&self, name: &str) -> String {
        self.run(&format!("systemctl show --value --property={name} berth.service")).trim().to_owned()
    }

    /// Runs a command line on the machine: what it printed.
    ///
    /// # Panics
    /// If it fails.
    pub(crate) fn run(&self, line: &str) -> String {
        self.try_run(line).unwrap_or_else(|error| panic!("{error}\n{}", self.journal_text()))
    }

    /// The same, of which a failure is an answer.
    pub(crate) fn try_run(&self, line: &str) -> Result<String, String> {
        docker(["exec", &self.name, "sh", "-c", line])
    }

    /// Waits until `/ready` answers 200.
    pub(crate) async fn is_ready(&self) {
        let address = SocketAddr::from((MACHINE, 9911));
        self.until("/ready answers 200", async || {
            let answer = client::over_tcp(address, client::request("GET", "/ready")).await;
            answer.is_ok_and(|answer| answer.status == 200)
        })
        .await;
    }

    /// Waits until something holds.
    ///
    /// # Panics
    /// If it does not, with the journal.
    pub(crate) async fn until(&self, what: &str, holds: impl AsyncFnMut() -> bool) {
        until(what, holds).await.unwrap_or_else(|error| panic!("{error}\n{}", self.journal_text()));
    }

    /// The app's container on the machine: its id and since when it runs.
    pub(crate) fn container(&self) -> String {
        self.run("docker inspect --format '{{.Id}} {{.State.StartedAt}}' $(docker ps --quiet)")
    }

    /// What the machine wrote to its console, which is all that EC2 keeps of it.
    pub(crate) fn console(&self) -> String {
        docker(["logs", &self.name]).unwrap()
    }

    /// The journal of all boots, an object an entry; also of a machine that is off.
    pub(crate) fn journal(&self) -> Vec<Value> {
        let read = ["run", "--rm", "--network=none", "--volumes-from", &self.name, self.image];
        let journalctl = ["journalctl", "--directory=/var/log/journal", "--output=json", "--no-pager"];
        let text = docker(read.iter().chain(&journalctl)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The journal as a failing test shows it.
    pub(crate) fn journal_text(&self) -> String {
        let entries = self.journal();
        let lines = entries.iter().filter_map(|entry| {
            let name = entry["SYSLOG_IDENTIFIER"]
                .as_str()
                .filter(|name| !["kernel", "dockerd", "containerd"].contains(name))?;
            Some(format!("{name}: {}", entry["MESSAGE"].as_str()?))
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Writes a file on the machine.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let mut file = tempfile::Builder::new().permissions(Permissions::from_mode(0o644)).tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        self.copy(file.path(), path);
    }

    fn copy(&self, from: &Path, to: &str) {
        self.run(&format!("mkdir -p $(dirname {to})"));
        docker(["cp", "--follow-link", &from.display().to_string(), &format!("{}:{to}", self.name)]).unwrap();
    }

    fn inspect(&self, format: &str) -> String {
        docker(["inspect", "--format", format, &self.name]).unwrap()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Err(error) = docker(["rm", "--force", "--volumes", &self.name])
            && !std::thread::panicking()
        {
            panic!("the machine is left behind: {error}");
        }
    }
}

fn docker<W: AsRef<std::ffi::OsStr>>(words: impl IntoIterator<Item = W>) -> Result<String, String> {
    command::run("docker", words)
}

/// A Debian package of the shipped binary; each revision is made once.
fn package(revision: &str) -> PathBuf {
    const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/deb");
    static MADE: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let make = || {
        let (binary, directory) = (concat!(env!("CARGO_TARGET_TMPDIR"), "/berth"), env!("CARGO_TARGET_TMPDIR"));
        // Without symbols, as it is shipped: it is compressed in seconds.
        command::run("strip", ["-o", binary, BERTH]).unwrap();
        let path = command::run(SCRIPT, [binary, std::env::consts::ARCH, directory, revision]).unwrap();
        PathBuf::from(path.trim())
    };
    let mut made = MADE.lock().unwrap();
    made.entry(revision.to_owned()).or_insert_with(make).clone()
}
