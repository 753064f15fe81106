//! A Docker Engine of a test's own, which may be late, be restarted or have a full disk: the one that the tests share is
//! restarted for nobody. It is of the same kind (`BERTH_ENGINE`, tests/with-engine).
//!
//! It has its own socket, state and containerd, and touches no rule of the packet filter: its containers are on a bridge of its own
//! and are reached there, or through the engine's proxy. Or it is in a network namespace, where it may do as it likes.

use std::ffi::OsString;
use std::fs::File;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client;
use crate::engine::Engine;
use crate::needs::{self, Need, missing};

/// Where Debian has it.
const JOURNALD: &str = "/lib/systemd/systemd-journald";
/// For a start: far longer than it takes.
const START: Duration = Duration::from_secs(60);

/// An engine that is not started yet; gone, with all that it had, when it is dropped.
pub struct OwnEngine {
    state: TempDir,
    network: Network,
    environment: Vec<(String, String)>,
    journal: bool,
    process: Option<Child>,
}

enum Network {
    /// The bridge of this name with this address, the machine's network otherwise.
    Bridge(String, Ipv4Addr),
    /// This network namespace.
    Namespace(String),
}

impl OwnEngine {
    /// One on a bridge of its own. None where a test is to be left out without one ([`crate::missing`]).
    #[track_caller]
    pub fn new() -> Option<Self> {
        if !needs::root("starts a Docker Engine") {
            return None;
        }
        // 198.18.0.0/15 is for tests between networks (RFC 2544): nobody is there.
        let (mark, net, host) = (fastrand::u32(..), fastrand::u8(..), fastrand::u8(..) & 0xf0);
        let bridge = format!("bo{mark:x}");
        run(&format!("ip link add {bridge} type bridge"));
        let address = Ipv4Addr::new(198, 19, net, host + 1);
        let own = Self::with(Network::Bridge(bridge.clone(), address));
        run(&format!("ip addr add {address}/28 dev {bridge}"));
        run(&format!("ip link set {bridge} up"));
        Some(own)
    }

    /// One in a network namespace that is there, as only root may have it.
    pub fn in_namespace(namespace: &str) -> Self {
        Self::with(Network::Namespace(namespace.to_owned()))
    }

    fn with(network: Network) -> Self {
        let state = tempfile::Builder::new().prefix("berth-own-engine").tempdir().expect("a directory");
        let own = Self { state, network, environment: Vec::new(), journal: false, process: None };
        own.settings(&json!({}));
        own
    }

    /// What its `daemon.json` says from the next start on.
    pub fn settings(&self, settings: &Value) {
        std::fs::write(self.path("daemon.json"), settings.to_string()).expect("a file in its directory");
    }

    /// One more variable of its environment, from the next start on.
    pub fn env(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Gives it a journal of its own to log to, which ends with it; before its first start. False where the test is to be left
    /// out because there is no systemd-journald.
    #[track_caller]
    pub fn with_journal(&mut self) -> bool {
        self.journal = std::path::Path::new(JOURNALD).exists();
        if !self.journal {
            missing(Need::Journald, &format!("there is no {JOURNALD}"));
        }
        self.journal
    }

    /// Gives it a disk of so many megabytes; before its first start.
    pub fn small_disk(&self, megabytes: usize) {
        let data = self.path("data");
        std::fs::create_dir(&data).expect("its directory");
        run(&format!("mount -t tmpfs -o size={megabytes}m tmpfs {}", data.display()));
    }

    /// For `DOCKER_HOST`.
    pub fn host(&self) -> String {
        self.engine().host()
    }

    /// It, raw.
    pub fn engine(&self) -> Engine {
        Engine::at(self.path("docker.sock"))
    }

    /// Starts it, and waits until it answers.
    ///
    /// # Panics
    /// If it does not within a minute; the message is its log.
    pub async fn start(&mut self) {
        self.process = Some(self.daemon().spawn().expect("dockerd"));
        let socket = self.path("docker.sock");
        let answers = async {
            while client::over_unix(&socket, client::request("GET", "/_ping")).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let up = tokio::time::timeout(START, answers).await;
        assert!(up.is_ok(), "{}", std::fs::read_to_string(self.path("log")).unwrap_or_default());
    }

    /// Makes it hang: it takes connections and answers nothing. Its containers run on.
    pub fn hang(&self) {
        if let Some(process) = &self.process {
            let _ = kill(Pid::from_raw(process.id().cast_signed()), Signal::SIGSTOP);
        }
    }

    /// Stops it as `systemctl stop docker` does.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // One that hangs hears no other signal before this one.
            for signal in [Signal::SIGCONT, Signal::SIGTERM] {
                let _ = kill(Pid::from_raw(process.id().cast_signed()), signal);
            }
            let _ = process.wait();
        }
    }

    /// Kills it as a crash would. Its containerd dies with it; what runs goes on under `live-restore`, and no longer otherwise.
    ///
    /// # Panics
    /// If the containerd does not end within a minute.
    pub async fn kill9(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
        // One that waits for somebody to hear of its end would be taken for one that runs.
        let pid_file = self.path("exec/containerd/containerd.pid");
        let ended = async {
            while std::fs::read_to_string(&pid_file).is_ok_and(|pid| !is_over(&pid)) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        assert!(tokio::time::timeout(START, ended).await.is_ok(), "its containerd lives on");
        let _ = std::fs::remove_file(&pid_file);
    }

    /// The address that it gives to its first container, none in a network namespace.
    pub fn first_address(&self) -> Option<Ipv4Addr> {
        match &self.network {
            Network::Bridge(_, address) => Some(Ipv4Addr::from_bits(address.to_bits() + 1)),
            Network::Namespace(_) => None,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.state.path().join(name)
    }

    fn daemon(&self) -> Command {
        let mut dockerd = match &self.network {
            Network::Bridge(bridge, _) => {
                let mut dockerd = if self.journal { journalled() } else { Command::new(program()) };
                dockerd.args(["--bridge", bridge, "--iptables=false", "--ip-masq=false"]);
                dockerd
            }
            // Only the network is another: a container shall find its control groups where the machine has them.
            Network::Namespace(namespace) => {
                let mut dockerd = Command::new("nsenter");
                dockerd.arg(format!("--net=/run/netns/{namespace}")).arg(program());
                dockerd
            }
        };
        for (flag, name) in [("--config-file", "daemon.json"), ("--data-root", "data"), ("--exec-root", "exec")] {
            dockerd.arg(flag).arg(self.path(name));
        }
        dockerd.arg("--pidfile").arg(self.path("pid")).arg("--host").arg(self.host());
        let log = File::options().create(true).append(true).open(self.path("log")).expect("a file in its directory");
        let again = log.try_clone().expect("a file descriptor");
        dockerd.envs(self.environment.iter().map(|(name, value)| (name, value)));
        dockerd.stdin(Stdio::null()).stdout(again).stderr(log);
        dockerd
    }
}

impl Drop for OwnEngine {
    fn drop(&mut self) {
        self.stop();
        // What is left mounted must not be entered when the directory is removed.
        let left =
            "awk -v below=\"$0/\" 'index($2, below) == 1 { print $2 }' /proc/mounts | sort -r | xargs -r umount -l";
        let _ = Command::new("sh").args([OsString::from("-c"), left.into()]).arg(self.state.path()).status();
        if let Network::Bridge(bridge, _) = &self.network {
            let _ = Command::new("ip").args(["link", "del", bridge]).status();
        }
    }
}

/// What takes dockerd's flags: the engine under test where tests/with-engine started another than the machine's.
fn program() -> OsString {
    std::env::var_os("BERTH_DOCKERD").unwrap_or_else(|| "dockerd".into())
}

/// A `dockerd` with a journal, both in a mount namespace of their own: the journal's place is the machine's.
fn journalled() -> Command {
    let script = format!(
        "set -e; mkdir -p /run/systemd /run/log
        mount -t tmpfs tmpfs /run/systemd; mount -t tmpfs tmpfs /run/log; mkdir /run/systemd/journal /run/log/journal
        setpriv --pdeathsig KILL {JOURNALD} &
        for i in $(seq 500); do [ -S /run/systemd/journal/socket ] && break; sleep 0.02; done
        exec \"$@\""
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"]).arg(program());
    command
}

/// Whether a process is no more, or is a zombie (proc_pid_stat(5)).
fn is_over(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
}

/// Runs a line, which must succeed.
fn run(line: &str) {
    let ran = Command::new("sh").args(["-c", line]).output().expect("a shell");
    assert!(ran.status.success(), "{line}: {}", String::from_utf8_lossy(&ran.stderr));
}
