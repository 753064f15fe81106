//! The agent replaced while the app runs on: on request, by another binary, and after a crash under systemd.

use std::cell::{Cell, RefCell};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::rc::Rc;
use std::time::Duration;

use berth_kit::systemd::NO_STORE;
use berth_kit::{Agent, Systemd, World, client};
use http::header::CONNECTION;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, LocalSet};

use crate::steps::{container, ready_answers, until};
use crate::{BERTH, SOON};

/// `FileDescriptorStoreMax=` of berth.service.
const STORE: usize = 2;

/// What a client heard that asks without a pause, each time on a connection of its own.
#[derive(Default)]
struct Heard {
    good: Cell<usize>,
    not_ready: Cell<usize>,
    failed: RefCell<Vec<String>>,
}

struct Client {
    heard: Rc<Heard>,
    asking: JoinHandle<()>,
}

impl Client {
    fn start(address: SocketAddr, path: &'static str) -> Self {
        let heard = Rc::<Heard>::default();
        let noted = Rc::clone(&heard);
        let asking = tokio::task::spawn_local(async move {
            loop {
                let answer = client::over_tcp(address, client::request("GET", path));
                match tokio::time::timeout(SOON, answer).await {
                    Ok(Ok(answer)) if answer.status == 200 => noted.good.set(noted.good.get() + 1),
                    Ok(Ok(_)) => noted.not_ready.set(noted.not_ready.get() + 1),
                    Ok(Err(error)) => noted.failed.borrow_mut().push(error.to_string()),
                    Err(_) => noted.failed.borrow_mut().push("no answer".to_owned()),
                }
                // The next question, a load balancer's in a great hurry.
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        Self { heard, asking }
    }

    /// Waits for so many more good answers.
    async fn hears(&self, more: usize) {
        let enough = self.heard.good.get() + more;
        until("enough good answers", async || self.heard.good.get() >= enough).await;
    }

    /// Ends. What did not go well: answers of another status, and questions without one.
    fn end(self) -> (usize, Vec<String>) {
        self.asking.abort();
        let heard = &self.heard;
        (heard.not_ready.get(), heard.failed.take())
    }
}

/// `berth handover`, to its end.
async fn handover(world: &World, berth: &Path) -> Output {
    let mut command = tokio::process::Command::from(world.launcher(berth).command());
    let ended = command.arg("handover").kill_on_drop(true).output();
    tokio::time::timeout(SOON, ended).await.expect("the command ends").unwrap()
}

fn code_and_text(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

/// An agent that serves, and its world's line.
async fn serving(world: &World, berth: &Path, systemd: &Systemd) -> Agent {
    let image = world.app_image();
    world.secrets.put("prod/api", r#"{"KEY":"value"}"#);
    world.user_data(&format!(
        "berth image={} port=0:8080 health=/health secrets=prod/api drain.settle=2s",
        image.by_digest()
    ));
    let agent = world.launcher(berth).under(systemd).start().await;
    agent.ready_within(SOON).await;
    world.autoscaling.wait_for_state("InService", SOON).await;
    agent
}

/// A copy of the binary, as a package installs it: written beside, then renamed.
fn install(directory: &Path) -> PathBuf {
    let (new, installed) = (directory.join("berth.new"), directory.join("berth"));
    fs::copy(BERTH, &new).unwrap();
    fs::rename(new, &installed).unwrap();
    installed
}

/// A package that is only half unpacked.
fn break_package(berth: &Path) {
    fs::remove_file(berth).unwrap();
    fs::write(berth, "half a package").unwrap();
}

/// The file that the process runs.
fn runs(agent: &Agent) -> u64 {
    fs::metadata(format!("/proc/{}/exe", agent.pid())).unwrap().ino()
}

#[tokio::test]
async fn an_upgrade_is_noticed_by_no_client_and_by_no_load_balancer() {
    let story = async {
        let world = World::start().await;
        let (systemd, package) = (Systemd::start(STORE), tempfile::tempdir().unwrap());
        let berth = install(package.path());
        let agent = serving(&world, &berth, &systemd).await;
        let (before, first) = (container(&world).await, runs(&agent));
        let ready = Client::start(agent.endpoint().await, "/ready");
        let app = Client::start(agent.app_address().await, "/");
        ready.hears(20).await;

        // Twice, as an upgrade and its rollback do.
        let mut former = agent.status().await;
        for _ in 0..2 {
            install(package.path());
            let (code, text) = code_and_text(&handover(&world, &berth).await);
            assert_eq!(code, Some(0), "{text}");
            let version = env!("CARGO_PKG_VERSION");
            assert_eq!(text, format!("handed over from berth {version} to berth {version}, in serve\n"));
            assert_ne!(runs(&agent), first, "the new binary runs, in the same process");
            let next = agent.status().await;
            assert_eq!((&next["status"], &next["container"]["adopted"]), (&"ok".into(), &true.into()));
            assert_eq!(next["listen"], former["listen"]);
            former = next;
            ready.hears(20).await;
            app.hears(20).await;
        }
        assert_eq!((ready.end(), app.end()), ((0, vec![]), (0, vec![])));

        let after = container(&world).await;
        assert_eq!(after["Id"], before["Id"]);
        assert_eq!(after["State"]["StartedAt"], before["State"]["StartedAt"]);
        assert_eq!(world.autoscaling.completions().len(), 1, "{}", world.journal.text());
        assert_eq!(systemd.stored(), ["listen"], "the next one gives the same listener, which is kept once");

        // It is an agent like any other.
        agent.signal("TERM");
        assert_eq!(agent.exit_within(SOON).await, 0);
        assert_eq!(container(&world).await["State"]["Running"], false);
    };
    LocalSet::new().run_until(story).await;
}

/// What the load balancer's client heard over a crash: answers of another status than 200, and questions without one.
async fn crash(store: usize) -> (usize, Vec<String>) {
    let world = World::start().await;
    let systemd = Systemd::start(store);
    let agent = serving(&world, BERTH.as_ref(), &systemd).await;
    let before = container(&world).await;
    let address = agent.endpoint().await;
    let (ready, app) = (Client::start(address, "/ready"), Client::start(agent.app_address().await, "/"));
    ready.hears(20).await;
    agent.kill9().await;
    // Long enough for the load balancer to ask while nobody is there.
    app.hears(100).await;
    let agent = world.launcher(BERTH.as_ref()).listen(address).under(&systemd).start().await;
    ready.hears(20).await;
    app.hears(20).await;
    assert_eq!(agent.status().await["container"]["adopted"], true);
    assert_eq!(app.end(), (0, vec![]));
    assert_eq!(container(&world).await["State"]["StartedAt"], before["State"]["StartedAt"]);
    ready.end()
}

#[tokio::test]
async fn after_a_crash_a_load_balancer_is_answered_late_and_not_refused() {
    LocalSet::new()
        .run_until(async {
            let (not_ready, failed) = crash(STORE).await;
            // One question may die with the agent that was about to answer it.
            assert!(failed.len() <= 1 && !failed.iter().any(|error| error.contains("refused")), "{failed:?}");
            assert_eq!(not_ready, 0);
        })
        .await;
}

#[tokio::test]
async fn without_the_store_a_load_balancer_is_refused_after_a_crash() {
    LocalSet::new()
        .run_until(async {
            let (_, failed) = crash(NO_STORE).await;
            assert!(failed.iter().any(|error| error.contains("refused")), "{failed:?}");
        })
        .await;
}

#[tokio::test]
async fn a_handover_is_refused_where_there_is_nothing_to_hand_over() {
    let world = World::start().await;
    let (code, text) = code_and_text(&handover(&world, BERTH.as_ref()).await);
    assert_eq!(code, Some(1));
    assert!(text.starts_with("berth: no berth agent is running (run directory "), "{text}");

    let systemd = Systemd::start(STORE);
    let agent = serving(&world, BERTH.as_ref(), &systemd).await;
    agent.signal("TERM");
    ready_answers(&agent, 503).await;
    let (code, text) = code_and_text(&handover(&world, BERTH.as_ref()).await);
    assert_eq!(
        (code, text.as_str()),
        (
            Some(1),
            "berth: the agent answered /v1/handover with 409 Conflict: the instance drains: the installed binary \
             starts with the next agent\n"
        )
    );
    assert_eq!(agent.exit_within(SOON).await, 0, "the drain goes on");
    assert_eq!(container(&world).await["State"]["Running"], false);
}

#[tokio::test]
async fn a_binary_that_does_not_start_ends_the_agent_as_a_bug_and_the_app_runs_on() {
    let world = World::start().await;
    let (systemd, package) = (Systemd::start(STORE), tempfile::tempdir().unwrap());
    let berth = install(package.path());
    let agent = serving(&world, &berth, &systemd).await;
    let address = agent.endpoint().await;
    break_package(&berth);
    assert_eq!(agent.local("POST", "/v1/handover").await.unwrap().status, 202);
    // systemd starts it again after this code, once the package is whole.
    assert_eq!(agent.exit_within(SOON).await, 70);
    assert!(agent.log_text().contains("cannot start "), "{}", agent.log_text());
    install(package.path());
    let agent = world.launcher(&berth).listen(address).under(&systemd).start().await;
    agent.ready_within(SOON).await;
    assert_eq!(agent.status().await["container"]["adopted"], true);
}

/// A load balancer that keeps its connection and sends the next request just after the agent began to leave must get an answer that says
/// `Connection: close`: a connection that only closes looks like a refusal. The agent waits for 100 ms. A client on a busy machine may be later,
/// and is hung up on; then the next agent is tried. The package is broken, so that no other agent can answer.
#[tokio::test]
async fn a_kept_connection_gets_one_last_answer_from_an_agent_that_hands_over() {
    let world = World::start().await;
    let (systemd, package) = (Systemd::start(STORE), tempfile::tempdir().unwrap());
    let berth = install(package.path());
    let mut agent = serving(&world, &berth, &systemd).await;
    let address = agent.endpoint().await;
    for _ in 0..5 {
        break_package(&berth);
        let asking = asks_until_closed(address);
        let leaving = async {
            assert_eq!(agent.local("POST", "/v1/handover").await.unwrap().status, 202);
            assert_eq!(agent.exit_within(SOON).await, 70);
        };
        let (answered, ()) = tokio::join!(tokio::time::timeout(SOON, asking), leaving);
        if answered.expect("the connection ends") {
            return;
        }
        install(package.path());
        agent = world.launcher(&berth).listen(address).under(&systemd).start().await;
        agent.ready_within(SOON).await;
    }
    panic!("no agent gives a last answer on a kept connection");
}

/// Sends requests on one connection, with pauses that are long beside an answer, until it ends: whether the last answer announced that.
async fn asks_until_closed(address: SocketAddr) -> bool {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let closes = loop {
        let Ok(answer) = sender.send_request(client::request("GET", "/ready").map(Full::new)).await else {
            break false;
        };
        assert_eq!(answer.status(), 200);
        let says_close = answer.headers().get(CONNECTION).is_some_and(|value| value == "close");
        answer.into_body().collect().await.unwrap();
        if says_close {
            break true;
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    };
    connection.abort();
    closes
}
