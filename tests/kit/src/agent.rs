//! The shipped binary, run in a world: a clean environment, its log captured, every wait bounded and on a condition.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::sync::watch;

use crate::client::{self, Answer};
use crate::held::{Held, Pipe};
use crate::systemd::Systemd;
use crate::world::World;

/// Names the metadata service.
const METADATA: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
/// How often a condition is looked at again when nothing notifies of a change.
const TICK: Duration = Duration::from_millis(20);

/// A start of the agent in the making.
pub struct Launch<'a> {
    world: &'a World,
    berth: PathBuf,
    listen: Option<SocketAddr>,
    arguments: Vec<OsString>,
    environment: BTreeMap<String, OsString>,
    systemd: Option<&'a Systemd>,
}

impl<'a> Launch<'a> {
    pub(crate) fn new(world: &'a World, berth: &Path) -> Self {
        let mut environment = BTreeMap::from([
            (METADATA.into(), world.imds.endpoint().into()),
            ("AWS_ENDPOINT_URL".into(), world.aws.endpoint().into()),
            ("DOCKER_HOST".into(), world.engine.host().into()),
            ("BERTH_LOG".into(), "trace".into()),
            ("HOME".into(), world.home().into_os_string()),
            // As systemd has it for a service.
            ("PATH".into(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into()),
        ]);
        if world.alone.is_some() {
            environment.remove(METADATA);
        }
        let listen = match world.alone {
            Some(metadata) if metadata.is_ipv6() => (Ipv6Addr::LOCALHOST, 0).into(),
            _ => (Ipv4Addr::LOCALHOST, 0).into(),
        };
        let listen = Some(listen);
        Self { world, berth: berth.into(), listen, arguments: Vec::new(), environment, systemd: None }
    }

    /// Where the readiness endpoint answers; as a rule on 127.0.0.1, on a port that the kernel chooses.
    #[must_use]
    pub fn listen(mut self, address: impl Into<SocketAddr>) -> Self {
        self.listen = Some(address.into());
        self
    }

    /// The config has the address of the readiness endpoint, and the command line does not.
    #[must_use]
    pub fn listen_as_configured(mut self) -> Self {
        self.listen = None;
        self
    }

    /// One more word of the command line, e.g. `boot.timeout=5s`.
    #[must_use]
    pub fn arg(mut self, word: impl Into<OsString>) -> Self {
        self.arguments.push(word.into());
        self
    }

    /// One more variable of the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// As its unit starts it: with a notify socket, and what is stored there.
    #[must_use]
    pub fn under(mut self, systemd: &'a Systemd) -> Self {
        self.systemd = Some(systemd);
        self.env("NOTIFY_SOCKET", systemd.notify_socket())
    }

    /// The command as it would be started, for tests of other commands than `run`: the same environment and directories.
    ///
    /// # Panics
    /// If the metadata or the AWS endpoint is not on loopback: a test must never reach the real ones. A name below `berth.test` is
    /// nobody's (RFC 6761), and only a proxy of the test's own knows it.
    pub fn command(&self) -> std::process::Command {
        // In a network of its own it has nobody else to reach.
        let own = self.environment.keys().map(String::as_str).filter(|name| name.starts_with("AWS_ENDPOINT_URL_"));
        for name in [METADATA, "AWS_ENDPOINT_URL"].into_iter().chain(own).filter(|_| self.world.alone.is_none()) {
            let value = self.environment.get(name).and_then(|value| value.to_str()).unwrap_or_default();
            let address = value.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
            if address.rsplit_once(':').is_some_and(|(host, _)| host.ends_with(".berth.test")) {
                continue;
            }
            let loopback = address.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_loopback());
            assert!(loopback, "{name} is not an address on loopback: {value:?}");
        }
        for directory in [self.world.run_dir(), self.world.state_dir(), self.world.home()] {
            std::fs::create_dir_all(directory).expect("the world's directories");
        }
        for file in [self.world.config_file(), self.world.console_file()] {
            OpenOptions::new().create(true).append(true).open(file).expect("the world's files");
        }
        let mut command = std::process::Command::new(&self.berth);
        command.env_clear().envs(&self.environment).current_dir("/");
        command.arg("--config").arg(self.world.config_file());
        command.arg("--run-dir").arg(self.world.run_dir()).arg("--state-dir").arg(self.world.state_dir());
        command
    }

    /// Starts `berth run`.
    pub async fn start(self) -> Agent {
        self.begin(Log::default(), None, None)
    }

    /// Starts `berth run` with a stderr that holds a few lines, and that nothing reads: the end to read it from.
    pub async fn start_unread(self) -> (Agent, std::io::PipeReader) {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        rustix::pipe::fcntl_setpipe_size(&writer, 4096).expect("a pipe of one page");
        (self.begin(Log::default(), None, Some(writer.into())), reader)
    }

    /// Starts `berth run`, held at each line of its log.
    pub async fn start_held(self) -> (Agent, Held) {
        let (log, pipe) = (Log::default(), Pipe::new());
        let agent = self.begin(Arc::clone(&log), Some(pipe.stdin), Some(pipe.stderr));
        let held = Held::hold(agent.process.pid, pipe.seen, log);
        (agent, held)
    }

    fn begin(self, log: Log, held: Option<Stdio>, stderr: Option<Stdio>) -> Agent {
        let mut command = self.command();
        command.arg("run").arg("--console").arg(self.world.console_file());
        command.args(["--log-format", "json"]).args(self.listen.map(|address| format!("listen={address}")));
        command.args(&self.arguments);
        let socket = self.world.run_dir().join("berth.sock");
        let (command, stdin) = match (self.systemd, held) {
            (_, Some(stdin)) => (Pipe::holding(&command), stdin),
            (Some(systemd), None) => systemd.pass(command),
            (None, None) => (command, Stdio::null()),
        };
        let process = {
            let _entered = self.world.runtime.enter();
            Process::start(command.into(), stdin, log, stderr)
        };
        self.world.processes.lock().unwrap().push(Arc::clone(&process));
        Agent { process, socket }
    }
}

/// The output of a process, line by line.
type Log = Arc<Mutex<Vec<String>>>;

/// A process whose end and whose words are noted on the world's thread.
pub(crate) struct Process {
    pid: Pid,
    log: Log,
    exit: watch::Receiver<Option<i32>>,
}

impl Process {
    /// Must be called on a runtime. A caller that passes `stderr` writes what comes there to the log.
    fn start(mut command: Command, stdin: Stdio, log: Log, stderr: Option<Stdio>) -> Arc<Self> {
        command.stdin(stdin).stdout(Stdio::piped()).stderr(stderr.unwrap_or_else(Stdio::piped));
        let mut child = command.spawn().expect("the binary starts");
        let pid = Pid::from_raw(child.id().expect("it was just started").try_into().expect("a pid"));
        let err = child.stderr.take().map(|err| BufReader::new(err).lines());
        let mut out = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let (lines, exit) = (Arc::clone(&log), watch::Sender::new(None));
        let ended = exit.subscribe();
        let outward = Arc::clone(&log);
        let talk = async move {
            let stderr = async {
                let Some(mut err) = err else { return };
                while let Ok(Some(line)) = err.next_line().await {
                    lines.lock().unwrap().push(line);
                }
            };
            let stdout = async {
                while let Ok(Some(line)) = out.next_line().await {
                    outward.lock().unwrap().push(line);
                }
            };
            tokio::join!(stderr, stdout);
        };
        let talk = tokio::spawn(talk);
        tokio::spawn(async move {
            use std::os::unix::process::ExitStatusExt as _;
            let status = child.wait().await.expect("a child is waited for");
            // The rest of the log first; a child of the agent may keep the pipe open for ever.
            let _ = tokio::time::timeout(Duration::from_secs(1), talk).await;
            exit.send_replace(Some(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))));
        });
        Arc::new(Self { pid, log, exit: ended })
    }

    /// Its exit code, once it ended.
    pub(crate) fn exit(&self) -> watch::Receiver<Option<i32>> {
        self.exit.clone()
    }

    /// SIGKILL, if it runs.
    pub(crate) fn kill(&self) {
        self.send(Signal::SIGKILL);
    }

    fn send(&self, which: Signal) {
        if self.exit.borrow().is_none() {
            let _ = signal::kill(self.pid, which);
        }
    }
}

/// The running agent. Killed when dropped.
pub struct Agent {
    process: Arc<Process>,
    socket: PathBuf,
}

impl Agent {
    /// The process id.
    pub fn pid(&self) -> i32 {
        self.process.pid.as_raw()
    }

    /// Its local socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Everything that it wrote so far.
    pub fn log_text(&self) -> String {
        self.process.log.lock().unwrap().join("\n")
    }

    /// `GET` of a path on the local socket; none while it does not answer.
    pub async fn local(&self, method: &str, path: &str) -> Option<Answer> {
        client::over_unix(&self.socket, client::request(method, path)).await.ok()
    }

    /// `GET /v1/status` on the local socket; null while it does not answer.
    pub async fn status(&self) -> Value {
        self.local("GET", "/v1/status").await.map(|answer| answer.json()).unwrap_or_default()
    }

    /// Where the readiness endpoint answers, as the status or the log has it.
    ///
    /// # Panics
    /// If that is not known within ten seconds.
    pub async fn endpoint(&self) -> SocketAddr {
        self.within(Duration::from_secs(10), "a readiness endpoint", async || {
            if let Some(address) = self.status().await["listen"].as_str().and_then(|text| text.parse().ok()) {
                return Some(address);
            }
            let log = self.process.log.lock().unwrap();
            log.iter().rev().find_map(|line| {
                let line: Value = serde_json::from_str(line).ok()?;
                let fields = [&line["listen"], &line["fields"]["listen"]];
                let addresses = fields.iter().filter_map(|field| field.as_str()?.parse::<SocketAddr>().ok());
                addresses.into_iter().find(|address| address.port() != 0)
            })
        })
        .await
    }

    /// `GET` of a path on the readiness endpoint.
    ///
    /// # Panics
    /// If it does not answer.
    pub async fn http(&self, path: &str) -> Answer {
        let address = self.endpoint().await;
        match client::over_tcp(address, client::request("GET", path)).await {
            Ok(answer) => answer,
            Err(error) => panic!("{path} at {address}: {error}\n{}", self.log_text()),
        }
    }

    /// `GET` of a path of the app, at the address where its first port is published.
    ///
    /// # Panics
    /// If it has none within ten seconds, or does not answer there.
    pub async fn app(&self, path: &str) -> Answer {
        let address = self.app_address().await;
        match client::over_tcp(address, client::request("GET", path)).await {
            Ok(answer) => answer,
            Err(error) => panic!("{path} of the app at {address}: {error}\n{}", self.log_text()),
        }
    }

    /// Where the app's first port is published (`host_address` in the status): the address that it is bound to, or
    /// loopback if that is every address.
    pub async fn app_address(&self) -> SocketAddr {
        self.within(Duration::from_secs(10), "a published port", async || {
            let status = self.status().await;
            let mut address: SocketAddr = status["container"]["ports"][0]["host_address"].as_str()?.parse().ok()?;
            if address.ip().is_unspecified() {
                address.set_ip(Ipv4Addr::LOCALHOST.into());
            }
            Some(address)
        })
        .await
    }

    /// Waits until `/ready` says 200.
    ///
    /// # Panics
    /// If it does not within `bound`, or the agent ends.
    pub async fn ready_within(&self, bound: Duration) {
        let address = self.endpoint().await;
        self.within(bound, "readiness", async || {
            let answer = client::over_tcp(address, client::request("GET", "/ready")).await.ok()?;
            (answer.status == 200).then_some(())
        })
        .await;
    }

    /// Waits until the status names this phase.
    ///
    /// # Panics
    /// If it does not within `bound`, or the agent ends.
    pub async fn phase_within(&self, phase: &str, bound: Duration) {
        let what = format!("the phase {phase}");
        self.within(bound, &what, async || (self.status().await["phase"] == phase).then_some(())).await;
    }

    /// Waits until the log has this text.
    ///
    /// # Panics
    /// If it does not within `bound`, or the agent ends without it.
    pub async fn log_within(&self, text: &str, bound: Duration) {
        let what = format!("{text:?} in the log");
        self.within(bound, &what, async || self.log_text().contains(text).then_some(())).await;
    }

    /// Waits until the agent ends: its exit code, 128 + n for signal n.
    ///
    /// # Panics
    /// If it does not within `bound`.
    pub async fn exit_within(&self, bound: Duration) -> i32 {
        let mut exit = self.process.exit();
        let ended = tokio::time::timeout(bound, exit.wait_for(Option::is_some)).await;
        match ended {
            Ok(Ok(code)) => code.expect("waited for"),
            _ => panic!("the agent does not end within {bound:?}\n{}", self.log_text()),
        }
    }

    /// Whether it runs.
    pub fn runs(&self) -> bool {
        self.process.exit.borrow().is_none()
    }

    /// Sends a signal: `TERM`, `INT`, `HUP`, `STOP`, `CONT`, …
    ///
    /// # Panics
    /// If there is no such signal.
    pub fn signal(&self, name: &str) {
        self.process.send(format!("SIG{name}").parse().expect("a signal's name"));
    }

    /// Kills it as a crash would, and waits for its end. What it was about to execute holds its lock a moment longer; systemd waits a second.
    pub async fn kill9(&self) {
        self.process.kill();
        self.exit_within(Duration::from_secs(10)).await;
        let lock = self.socket.with_file_name("berth.lock");
        let is_free = || std::fs::File::open(&lock).map_or(true, |lock| lock.try_lock().is_ok());
        let free = tokio::time::timeout(Duration::from_secs(10), async {
            while !is_free() {
                tokio::time::sleep(TICK).await;
            }
        });
        assert!(free.await.is_ok(), "its lock is held");
    }

    /// Looks at a condition again and again until it holds.
    async fn within<T>(&self, bound: Duration, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
        let held = tokio::time::timeout(bound, async {
            // The last lines of a held agent may come a little later than its exit code.
            let mut looks_after_the_end = 0;
            loop {
                looks_after_the_end += u32::from(!self.runs());
                if let Some(value) = look().await {
                    return value;
                }
                let over = TICK * looks_after_the_end > Duration::from_secs(1);
                assert!(!over, "the agent ended without {what}\n{}", self.log_text());
                tokio::time::sleep(TICK).await;
            }
        });
        match held.await {
            Ok(value) => value,
            Err(_) => panic!("no {what} within {bound:?}\n{}", self.log_text()),
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.process.kill();
    }
}

/// One request with a body to the app or the endpoint, for tests that need another method than GET.
///
/// # Panics
/// If nothing answers.
pub async fn post(address: SocketAddr, path: &str) -> Answer {
    let request: Request<Bytes> = client::request("POST", path);
    client::over_tcp(address, request).await.unwrap_or_else(|error| panic!("POST {path} at {address}: {error}"))
}
