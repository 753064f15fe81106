//! The local socket, asked as the commands ask it.

use std::io::{Read, Write};

use berth_core::view::{Status, View};

use super::*;
use crate::io::listen::socket_client::{self, ClientError, Events};

const BOUND: Duration = Duration::from_secs(20);

struct Agent {
    run_dir: tempfile::TempDir,
    serving: Option<RunningSocket>,
    published: watch::Sender<Arc<Published>>,
    lines: broadcast::Sender<Arc<str>>,
    requests: mpsc::Receiver<Request>,
}

fn agent() -> Agent {
    let run_dir = tempfile::tempdir().unwrap();
    let (published, state) = watch::channel(Arc::default());
    let (lines, _) = broadcast::channel(4);
    let (asked, requests) = mpsc::channel(1);
    #[expect(clippy::disallowed_methods, reason = "the agent's start is now")]
    let began = Instant::now();
    let context = SocketContext { published: state, began, lines: lines.downgrade(), requests: asked };
    let serving = Some(Socket::bind(run_dir.path()).unwrap().serve(context));
    Agent { run_dir, serving, published, lines, requests }
}

#[tokio::test]
async fn the_socket_and_its_directory_are_for_their_owner_alone() {
    let parent = tempfile::tempdir().unwrap();
    let run_dir = parent.path().join("made/berth");
    let _socket = Socket::bind(&run_dir).unwrap();
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(run_dir.clone()), 0o700);
    assert_eq!(mode(run_dir.join(FILE)), 0o600);
    assert_eq!(mode(run_dir.join(LOCK)), 0o600);
}

#[tokio::test]
async fn the_socket_of_a_dead_agent_is_replaced() {
    let run_dir = tempfile::tempdir().unwrap();
    drop(UnixListener::bind(run_dir.path().join(FILE)).unwrap());
    assert!(run_dir.path().join(FILE).exists());
    assert!(matches!(socket_client::status(run_dir.path()).await, Err(ClientError::NotRunning(_))));
    Socket::bind(run_dir.path()).unwrap();
}

#[tokio::test]
async fn a_second_agent_is_refused_and_the_first_stays() {
    let agent = agent();
    let error = Socket::bind(agent.run_dir.path()).unwrap_err();
    assert!(error.to_string().starts_with("another berth runs with the run directory "), "{error}");
    socket_client::status(agent.run_dir.path()).await.unwrap();
}

#[tokio::test]
async fn an_agent_that_ended_frees_the_socket_for_the_next() {
    let mut agent = agent();
    agent.serving = None;
    assert!(!agent.run_dir.path().join(FILE).exists());
    assert!(matches!(socket_client::status(agent.run_dir.path()).await, Err(ClientError::NotRunning(_))));
    Socket::bind(agent.run_dir.path()).unwrap();
}

#[tokio::test]
async fn status_returns_what_is_published_and_the_time() {
    let agent = agent();
    let view = View { status: Status::Ok, name: Some("ap-api".into()), ..View::default() };
    agent.published.send_replace(Arc::new(Published { view, ..Published::default() }));
    let report = socket_client::status(agent.run_dir.path()).await.unwrap();
    assert_eq!(report.published, **agent.published.borrow());
    assert!(report.now_seconds > 0.0);
}

#[tokio::test]
async fn events_come_as_they_happen_until_the_agent_ends() {
    let agent = agent();
    let mut events = Events::open(agent.run_dir.path()).await.unwrap();
    for line in ["{\"event\":\"Began\"}", "{\"effect\":\"Identify\"}"] {
        agent.lines.send(line.into()).unwrap();
        assert_eq!(timeout(BOUND, events.next()).await.unwrap().unwrap(), line);
    }
    drop(agent.lines);
    assert_eq!(timeout(BOUND, events.next()).await.unwrap(), None);
}

#[test]
fn the_last_event_is_heard_although_nothing_runs_any_more() {
    let life = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut agent = life.block_on(async { agent() });
    let mut follower = std::os::unix::net::UnixStream::connect(agent.run_dir.path().join(FILE)).unwrap();
    follower.write_all(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    follower.set_read_timeout(Some(BOUND)).unwrap();
    life.block_on(async {
        while agent.lines.receiver_count() == 0 {
            tokio::task::yield_now().await;
        }
        agent.lines.send("{\"effect\":\"Exit 0\"}".into()).unwrap();
        drop(agent.lines);
        agent.serving.take().unwrap().finish().await;
    });
    drop(life);
    let mut heard = String::new();
    follower.read_to_string(&mut heard).unwrap();
    assert!(heard.contains("{\"effect\":\"Exit 0\"}\n"), "{heard}");
}

#[tokio::test]
async fn a_follower_does_not_keep_the_agent_from_ending() {
    let mut agent = agent();
    let _events = Events::open(agent.run_dir.path()).await.unwrap();
    timeout(BOUND, agent.serving.take().unwrap().finish()).await.unwrap();
}

#[tokio::test]
async fn a_slow_reader_learns_how_many_lines_it_lost() {
    let agent = agent();
    let mut events = Events::open(agent.run_dir.path()).await.unwrap();
    for number in 0..7 {
        agent.lines.send(number.to_string().into()).unwrap();
    }
    let mut heard = Vec::new();
    while heard.last().is_none_or(|line| line != "6") {
        heard.push(timeout(BOUND, events.next()).await.unwrap().unwrap());
    }
    assert_eq!(heard, ["{\"schema_version\":1,\"lagged\":3}", "3", "4", "5", "6"]);
}

async fn drain_asked(agent: &mut Agent) -> Option<String> {
    match agent.requests.recv().await {
        Some(Request::Drain { reason }) => reason,
        other => panic!("{other:?} is no drain"),
    }
}

#[tokio::test]
async fn a_handover_is_answered_by_the_driver() {
    let mut agent = agent();
    let run_dir = agent.run_dir.path().to_owned();
    for (answer_sent, heard) in [
        (Some(Ok(())), None),
        (Some(Err("not today")), Some("the agent answered /v1/handover with 409 Conflict: not today")),
        (None, Some("the agent answered /v1/handover with 503 Service Unavailable: the agent is busy or leaving")),
    ] {
        let decide = async {
            let Some(Request::Handover { answer }) = agent.requests.recv().await else { panic!("no handover") };
            if let Some(sent) = answer_sent {
                answer.send(sent).unwrap();
            }
        };
        let (answered, ()) = tokio::join!(socket_client::handover(&run_dir), decide);
        assert_eq!(answered.err().map(|error| error.to_string()).as_deref(), heard);
    }
}

#[tokio::test]
async fn the_name_stays_until_it_is_let_go_of() {
    let mut agent = agent();
    let name = agent.serving.take().unwrap().finish().await;
    assert!(agent.run_dir.path().join(FILE).exists());
    assert!(matches!(socket_client::status(agent.run_dir.path()).await, Err(ClientError::NotRunning(_))));
    drop(name);
    assert!(!agent.run_dir.path().join(FILE).exists());
}

#[tokio::test]
async fn a_drain_is_handed_on_with_its_reason() {
    let mut agent = agent();
    let run_dir = agent.run_dir.path().to_owned();
    let hostile = "\"},\n\u{1b}[2J{\"reason\":\"é\u{0}";
    for reason in ["deploy", hostile] {
        socket_client::drain(&run_dir, Some(reason)).await.unwrap();
        assert_eq!(drain_asked(&mut agent).await, Some(reason.into()));
    }
    for nothing in [None, Some(" ")] {
        socket_client::drain(&run_dir, nothing).await.unwrap();
        assert_eq!(drain_asked(&mut agent).await, None);
    }
    // No driver has taken it yet, and the queue has space for one.
    socket_client::drain(&run_dir, None).await.unwrap();
    let error = socket_client::drain(&run_dir, None).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the agent answered /v1/drain with 503 Service Unavailable: the agent is busy or leaving"
    );
}

#[tokio::test]
async fn a_body_that_is_wrong_or_too_long_drains_nothing() {
    let mut agent = agent();
    let run_dir = agent.run_dir.path().to_owned();
    let long = "a".repeat(BODY_BYTES);
    let error = socket_client::drain(&run_dir, Some(&long)).await.unwrap_err();
    assert!(error.to_string().ends_with("the body is longer than 4096 bytes, or ended early"), "{error}");
    for wrong in ["{\"raison\":\"deploy\"}", "[\"deploy\"]", "[null]", "null", "\"deploy\"", "{\"reason\":5}", "{"] {
        let error = socket_client::post(&run_dir, "/v1/drain", wrong).await.unwrap_err();
        assert!(error.to_string().ends_with("400 Bad Request: the body is not {\"reason\":\"…\"}"), "{wrong}: {error}");
    }
    let error = socket_client::post(&run_dir, "/v1/handover", "{\"reason\":\"deploy\"}").await.unwrap_err();
    assert!(error.to_string().ends_with("400 Bad Request: a handover has no body"), "{error}");
    assert!(agent.requests.try_recv().is_err());
}
