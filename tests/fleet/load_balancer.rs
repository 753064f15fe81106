//! HAProxy, as the load balancer in front of a group: what it knows of a target is what the agent's endpoint answers.
//!
//! It is as hard on the agent as a balancer can be. A request that meets a target that is gone is an error for the client: it
//! is sent to no other (`retries 0`, no `redispatch`), as an Application Load Balancer never sends one twice. And it is not notified of a
//! target that leaves: the health check alone keeps requests from it. Only when it has no request left there, by its own
//! account, is the target taken out: HAProxy keeps one idle connection to a target that is down for as long as it lives,
//! which a deregistration closes, and which an agent cannot distinguish from one with a request on its way.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use berth_kit::world::own_address;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::load::Moment;
use crate::until;

/// Between two health checks of a target, in most tests.
pub(crate) const CHECKS: Duration = Duration::from_millis(500);

/// The most targets of one test, those that are gone included.
pub(crate) const SLOTS: usize = 32;

/// A running HAProxy. Dropped, it is killed.
pub(crate) struct LoadBalancer {
    /// Where clients find it.
    pub(crate) address: SocketAddr,
    /// Where it is given orders.
    pub(crate) admin: Admin,
    process: Child,
    directory: TempDir,
    /// The places that no target has.
    free: RefCell<Vec<String>>,
}

/// What becomes of a connection to a target when its request is over.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reuse {
    /// It is kept for requests of any client, HAProxy's default.
    Shared,
    /// It ends with the connection of its client.
    Never,
}

/// Its runtime API, chapter 9.3 of HAProxy's management guide.
#[derive(Clone, Debug)]
pub(crate) struct Admin(PathBuf);

/// One target: the name of its place.
#[derive(Clone, Debug)]
pub(crate) struct Slot(pub(crate) String);

/// What the balancer logged of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogLine {
    /// When it was over.
    pub(crate) at: Moment,
    /// The port of its client.
    pub(crate) client: u16,
    /// The target that it was sent to.
    pub(crate) target: String,
    /// How it ended: the status that the client was given, and the state that its end has in chapter 8.5 of HAProxy's manual.
    pub(crate) end: String,
}

impl LoadBalancer {
    /// Starts one without targets, with this time between two health checks of a target.
    pub(crate) async fn start(reuse: Reuse, checks: Duration) -> Self {
        Self::begin(reuse, Some(checks)).await
    }

    /// Starts one without targets that checks none of them: its user decides which of them take requests.
    pub(crate) async fn start_without_checks(reuse: Reuse) -> Self {
        Self::begin(reuse, None).await
    }

    async fn begin(reuse: Reuse, checks: Option<Duration>) -> Self {
        let directory = tempfile::Builder::new().prefix("berth").tempdir().expect("a directory");
        let (address, path) = (own_address(), directory.path().to_owned());
        let config = path.join("haproxy.cfg");
        let admin = Admin(path.join("admin.sock"));
        fs::write(&config, config_text(address, reuse, checks, &admin.0)).expect("a config");
        let log = File::create(path.join("log")).expect("a log");
        let process = Command::new("haproxy")
            .env("PATH", "/usr/sbin:/usr/local/sbin:/usr/bin:/bin")
            .arg("-db")
            .arg("-f")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("haproxy, of the Debian package of that name: run `tests/install world`");
        let free = slots().rev().collect::<Vec<_>>().into();
        let mut balancer = Self { address, admin, process, directory, free };
        until("HAProxy answers", async || {
            let ended = balancer.process.try_wait().expect("a child");
            assert!(ended.is_none(), "HAProxy ended: {}", balancer.log_text());
            UnixStream::connect(&balancer.admin.0).await.is_ok()
        })
        .await;
        balancer
    }

    /// One more target: the app's address, and the port on which its agent is asked whether it is ready. Waits until the
    /// balancer has asked and sends it requests.
    pub(crate) async fn register(&self, app: SocketAddr, agent: SocketAddr) -> Slot {
        let slot = Slot(self.free.borrow_mut().pop().expect("a place for a target"));
        self.admin.address(&slot, app).await;
        self.admin
            .command(&format!("set server fleet/{} check-addr {} port {}", slot.0, agent.ip(), agent.port()))
            .await;
        self.admin.state(&slot, "ready").await;
        self.sees_up(&slot).await;
        slot
    }

    /// Waits until the balancer has asked a target, got 200, and sends it requests.
    pub(crate) async fn sees_up(&self, slot: &Slot) {
        until("the target is up", async || {
            let row = self.admin.row(slot).await;
            row["status"] == "UP" && row["check_status"] == "L7OK"
        })
        .await;
    }

    /// Whether the balancer sends a target no more requests.
    pub(crate) async fn is_down(&self, slot: &Slot) -> bool {
        self.admin.row(slot).await["status"] == "DOWN"
    }

    /// Whether the last time that the balancer asked a target it had no answer.
    pub(crate) async fn misses(&self, slot: &Slot) -> bool {
        self.admin.row(slot).await["check_status"] != "L7OK"
    }

    /// Waits until the balancer sends a target no more requests.
    pub(crate) async fn sees_down(&self, slot: &Slot) {
        until("the target is down", async || self.is_down(slot).await).await;
    }

    /// Takes a target out that is down, once no request is left there.
    pub(crate) async fn deregister(&self, slot: &Slot) {
        until("the target has no request", async || self.admin.row(slot).await["scur"] == "0").await;
        self.admin.state(slot, "maint").await;
        // A new address is what closes the idle connections to the old one.
        self.admin.address(slot, ([127, 0, 0, 1], 1).into()).await;
        self.free.borrow_mut().push(slot.0.clone());
    }

    /// What it logged of the requests of these clients.
    pub(crate) fn log_lines_of(&self, clients: &BTreeSet<u16>) -> Vec<LogLine> {
        self.log().lines().filter_map(log_line).filter(|line| clients.contains(&line.client)).collect()
    }

    /// What went wrong, in its own words.
    pub(crate) fn log_text(&self) -> String {
        let log = self.log();
        log.lines()
            .filter(|line| log_line(line).is_none_or(|line| !line.end.ends_with("--")))
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Admin {
    /// Where the requests of a place go.
    pub(crate) async fn address(&self, slot: &Slot, address: SocketAddr) {
        self.command(&format!("set server fleet/{} addr {} port {}", slot.0, address.ip(), address.port())).await;
    }

    /// `ready`: it takes requests; `drain`: no more of them; `maint`: and its idle connections are closed.
    pub(crate) async fn state(&self, slot: &Slot, state: &str) {
        self.command(&format!("set server fleet/{} state {state}", slot.0)).await;
    }

    /// A target's figures, by the names that the page of statistics gives them.
    pub(crate) async fn row(&self, slot: &Slot) -> BTreeMap<String, String> {
        let page = self.command("show stat").await;
        let mut lines = page.trim_start_matches("# ").lines().map(|line| line.split(',').map(str::to_owned));
        let names: Vec<String> = lines.next().into_iter().flatten().collect();
        let rows = lines.map(|values| names.iter().cloned().zip(values).collect::<BTreeMap<_, _>>());
        let mut rows = rows.filter(|row| row.get("svname") == Some(&slot.0));
        rows.next().unwrap_or_else(|| panic!("no target {} in: {page}", slot.0))
    }

    pub(crate) async fn command(&self, command: &str) -> String {
        let mut stream = UnixStream::connect(&self.0).await.expect("HAProxy's socket");
        stream.write_all(format!("{command}\n").as_bytes()).await.expect("HAProxy listens");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("HAProxy answers");
        answer
    }
}

impl Drop for LoadBalancer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The names of its places.
pub(crate) fn slots() -> impl DoubleEndedIterator<Item = String> {
    (1..=SLOTS).map(|number| format!("t{number}"))
}

/// A line of its log, see the format there.
fn log_line(line: &str) -> Option<LogLine> {
    let mut words = line.split_whitespace();
    let (at, client) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let (target, status, state) = (words.next()?.to_owned(), words.next()?, words.next()?);
    Some(LogLine { at, client, target, end: format!("{status} {state}") })
}

/// Two failed health checks take a target out, one that passes puts it back. A check without an answer within a second has failed.
fn config_text(address: SocketAddr, reuse: Reuse, checks: Option<Duration>, admin: &Path) -> String {
    let admin = admin.display();
    let (checks, check) = match checks.map(|checks| checks.as_millis()) {
        Some(checks) => (
            format!(
                "option httpchk GET /ready
    http-check expect status 200
    default-server check inter {checks}ms fall 2 rise 1"
            ),
            "check port 1 ",
        ),
        None => (String::new(), ""),
    };
    let reuse = match reuse {
        Reuse::Shared => "safe",
        Reuse::Never => "never",
    };
    let second = Duration::from_secs(1).as_millis();
    format!(
        "global
    nbthread 1
    maxconn 2000
    log stderr format raw local0
    stats socket {admin} mode 600 level admin
defaults
    mode http
    log global
    log-format \"%[date(0,ms)] %cp %s %ST %ts %Tc/%Tr/%Ta %{{+Q}}r\"
    retries 0
    timeout connect {second}
    timeout check {second}
    timeout client 60s
    timeout server 60s
    timeout tunnel 60s
frontend clients
    bind {address}
    default_backend fleet
backend fleet
    balance roundrobin
    http-reuse {reuse}
    {checks}
    server-template t 1-{SLOTS} 127.0.0.1:1 {check}disabled
"
    )
}
