//! The local socket, `berth.sock` in the run directory: HTTP for root on this instance, spoken by `berth status` and the
//! other commands through socket_client.rs.
//!
//! It is also what makes the agent the only one: a lock beside it is held for the life of the process, so the socket of a
//! dead agent is replaced and a second agent is refused, whichever starts first.

use std::convert::Infallible;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Response, StatusCode};
use http_body_util::{BodyExt, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use serde::Deserialize;
use tokio::net::{UnixListener, UnixSocket};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::edge::http_server::{Body, Limits, Server, json, sentence, stream_of, whole};
use crate::fault::Class;
use crate::published::{Published, Report};

/// The socket's name in the run directory.
pub const FILE: &str = "berth.sock";
/// The lock's name in the run directory.
const LOCK: &str = "berth.lock";

/// Only root gets here; the bounds are against scripts that forget to hang up. Nobody is waited for at the end, so that who
/// hears the last event does not go on before the process has ended.
const LIMITS: Limits = Limits { connections: 64, head: Duration::from_secs(10), life: None, last_question: None };
/// Connections that the kernel keeps until they are accepted.
const BACKLOG: u32 = 64;
/// The longest body of a request.
const BODY_BYTES: usize = 4096;
/// For whoever follows the events to hear the last of them; one that does not read has had its time.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why a request is not taken.
const LEAVING: &str = "the agent is busy or leaving";

/// What somebody on the instance asks of the agent.
#[derive(Debug)]
pub enum Request {
    /// `POST /v1/drain`
    Drain {
        /// Why, in the asker's words.
        reason: Option<String>,
    },
    /// `POST /v1/handover`
    Handover {
        /// Whether there is one, and why not.
        answer: oneshot::Sender<Result<(), &'static str>>,
    },
}

/// What the socket answers from, and where it hands requests to.
#[derive(Clone, Debug)]
pub struct Doors {
    /// The state.
    pub published: watch::Receiver<Arc<Published>>,
    /// When the agent started.
    pub began: Instant,
    /// Events and effects, each a JSON object on one line without its newline.
    pub lines: broadcast::WeakSender<Arc<str>>,
    /// To the driver.
    pub requests: mpsc::Sender<Request>,
}

/// The socket, bound.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    held: Held,
}

/// The socket at work. Dropped, it is closed and its file is gone.
#[derive(Debug)]
pub struct Serving {
    server: Server<UnixListener>,
    held: Held,
}

/// The name in the run directory, and the right to it, until it is dropped.
#[derive(Debug)]
pub struct Held {
    path: PathBuf,
    _lock: File,
}

/// The socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The lock is held.
    #[error("another berth runs with the run directory {}; stop it, or give this one its own --run-dir", .0.display())]
    Runs(PathBuf),
    /// The run directory does not work.
    #[error("cannot use the run directory {}", .0.display())]
    Directory(PathBuf, #[source] io::Error),
    /// The socket does not work.
    #[error("cannot listen on {}", .0.display())]
    Listen(PathBuf, #[source] io::Error),
}

impl SocketError {
    /// What to do about it: nothing here passes by itself.
    pub fn class(&self) -> Class {
        Class::Misconfigured
    }
}

impl Socket {
    /// Become the one agent of this run directory; it is made if it is not there. Needs a runtime.
    pub fn bind(run_dir: &Path) -> Result<Self, SocketError> {
        let directory = |error| SocketError::Directory(run_dir.to_owned(), error);
        DirBuilder::new().recursive(true).mode(0o700).create(run_dir).map_err(directory)?;
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(run_dir.join(LOCK))
            .map_err(directory)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SocketError::Runs(run_dir.to_owned())),
            Err(TryLockError::Error(error)) => return Err(directory(error)),
        }

        // Whoever holds the lock owns the name: what lies there is from an agent that died.
        let path = run_dir.join(FILE);
        let listen = |error| SocketError::Listen(path.clone(), error);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(listen(error)),
            _ => {}
        }
        let bind = || {
            let socket = UnixSocket::new_stream()?;
            socket.bind(&path)?;
            // Before it listens, so there is no moment in which somebody else may connect.
            fs::set_permissions(&path, Permissions::from_mode(0o600))?;
            socket.listen(BACKLOG)
        };
        let listener = bind().map_err(listen)?;
        Ok(Self { listener, held: Held { path, _lock: lock } })
    }

    /// Answer.
    pub fn serve(self, doors: Doors) -> Serving {
        let server = Server::start(self.listener, LIMITS, move |request| answer(request, doors.clone()));
        Serving { server, held: self.held }
    }
}

impl Serving {
    /// Ends, once those who follow the events have heard the last: the process goes next, and takes what was not sent along.
    /// The name is still this agent's own.
    pub async fn finish(self) -> Held {
        let _ = timeout(FAREWELL, self.server.finish()).await;
        self.held
    }
}

impl Drop for Held {
    /// The file goes before the lock does, so it can only be our own.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

async fn answer(request: http::Request<Incoming>, doors: Doors) -> Response<Body> {
    let (method, path) = (request.method(), request.uri().path());
    match (method, path) {
        (&Method::GET, "/v1/status") => {
            let published = Published::clone(&doors.published.borrow());
            json(StatusCode::OK, &Report { published, now: doors.began.elapsed().as_secs_f64() })
        }
        (&Method::GET, "/v1/events") => match doors.lines.upgrade() {
            Some(lines) => events(lines.subscribe()),
            None => sentence(StatusCode::SERVICE_UNAVAILABLE, "the agent is leaving"),
        },
        (&Method::POST, "/v1/drain") => drain(request, &doors.requests).await,
        (&Method::POST, "/v1/handover") => handover(&doors.requests).await,
        (_, "/v1/status" | "/v1/events" | "/v1/drain" | "/v1/handover") => sentence(
            StatusCode::METHOD_NOT_ALLOWED,
            "GET /v1/status, GET /v1/events, POST /v1/drain, POST /v1/handover",
        ),
        _ => sentence(StatusCode::NOT_FOUND, "there are /v1/status, /v1/events, /v1/drain and /v1/handover"),
    }
}

/// A line for each event and effect from here on, until the agent ends. A reader that is too slow loses lines, and is told
/// how many.
fn events(lines: broadcast::Receiver<Arc<str>>) -> Response<Body> {
    let frames = stream::unfold(lines, async |mut lines| {
        let line = match lines.recv().await {
            Ok(line) => format!("{line}\n"),
            Err(RecvError::Lagged(lost)) => format!("{{\"lagged\":{lost}}}\n"),
            Err(RecvError::Closed) => return None,
        };
        Some((Ok::<_, Infallible>(Frame::data(Bytes::from(line))), lines))
    });
    stream_of("application/x-ndjson", StreamBody::new(frames).boxed_unsync())
}

/// `{"reason":"…"}`, or no body at all.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct DrainBody {
    reason: Option<String>,
}

async fn drain(request: http::Request<Incoming>, requests: &mpsc::Sender<Request>) -> Response<Body> {
    let Ok(body) = Limited::new(request.into_body(), BODY_BYTES).collect().await else {
        return sentence(StatusCode::PAYLOAD_TOO_LARGE, "the body is longer than 4096 bytes, or ended early");
    };
    let body = body.to_bytes();
    let asked = if body.is_empty() { Ok(DrainBody::default()) } else { serde_json::from_slice(&body) };
    let Ok(DrainBody { reason }) = asked else {
        return sentence(StatusCode::BAD_REQUEST, "the body is not {\"reason\":\"…\"}");
    };
    let reason = reason.filter(|reason| !reason.trim().is_empty());
    match requests.try_send(Request::Drain { reason }) {
        Ok(()) => whole(StatusCode::ACCEPTED, "application/json", "{\"accepted\":\"drain\"}\n"),
        Err(_) => sentence(StatusCode::SERVICE_UNAVAILABLE, LEAVING),
    }
}

async fn handover(requests: &mpsc::Sender<Request>) -> Response<Body> {
    let (answer, answered) = oneshot::channel();
    match requests.try_send(Request::Handover { answer }) {
        Ok(()) => match answered.await {
            Ok(Ok(())) => whole(StatusCode::ACCEPTED, "application/json", "{\"accepted\":\"handover\"}\n"),
            Ok(Err(why)) => sentence(StatusCode::CONFLICT, why),
            Err(_) => sentence(StatusCode::SERVICE_UNAVAILABLE, LEAVING),
        },
        Err(_) => sentence(StatusCode::SERVICE_UNAVAILABLE, LEAVING),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;
    use crate::edge::socket_client::{self, ClientError, Events};
    use crate::view::{Status, View};

    const BOUND: Duration = Duration::from_secs(20);

    struct Agent {
        run_dir: tempfile::TempDir,
        serving: Option<Serving>,
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
        let doors = Doors { published: state, began, lines: lines.downgrade(), requests: asked };
        let serving = Some(Socket::bind(run_dir.path()).unwrap().serve(doors));
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
    async fn an_agent_that_ended_leaves_room_for_the_next() {
        let mut agent = agent();
        agent.serving = None;
        assert!(!agent.run_dir.path().join(FILE).exists());
        assert!(matches!(socket_client::status(agent.run_dir.path()).await, Err(ClientError::NotRunning(_))));
        Socket::bind(agent.run_dir.path()).unwrap();
    }

    #[tokio::test]
    async fn status_tells_what_is_published_and_the_time() {
        let agent = agent();
        let view = View { status: Status::Ok, name: Some("ap-api".into()), ..View::default() };
        agent.published.send_replace(Arc::new(Published { view, ..Published::default() }));
        let report = socket_client::status(agent.run_dir.path()).await.unwrap();
        assert_eq!(report.published, **agent.published.borrow());
        assert!(report.now > 0.0);
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
    async fn a_slow_reader_is_told_how_much_it_missed() {
        let agent = agent();
        let mut events = Events::open(agent.run_dir.path()).await.unwrap();
        for number in 0..7 {
            agent.lines.send(number.to_string().into()).unwrap();
        }
        let mut heard = Vec::new();
        while heard.last().is_none_or(|line| line != "6") {
            heard.push(timeout(BOUND, events.next()).await.unwrap().unwrap());
        }
        assert_eq!(heard, ["{\"lagged\":3}", "3", "4", "5", "6"]);
    }

    async fn drain_asked(agent: &mut Agent) -> Option<String> {
        match agent.requests.recv().await {
            Some(Request::Drain { reason }) => reason,
            other => panic!("{other:?} is no drain"),
        }
    }

    #[tokio::test]
    async fn a_handover_is_answered_by_who_decides() {
        let mut agent = agent();
        let run_dir = agent.run_dir.path().to_owned();
        for (said, heard) in [
            (Some(Ok(())), None),
            (Some(Err("not today")), Some("the agent answered /v1/handover with 409 Conflict: not today")),
            (None, Some("the agent answered /v1/handover with 503 Service Unavailable: the agent is busy or leaving")),
        ] {
            let decide = async {
                let Some(Request::Handover { answer }) = agent.requests.recv().await else { panic!("no handover") };
                if let Some(said) = said {
                    answer.send(said).unwrap();
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
        // Nobody has taken it yet, and there is room for one.
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
        let error = socket_client::post(&run_dir, "/v1/drain", "{\"raison\":\"deploy\"}").await.unwrap_err();
        assert!(error.to_string().ends_with("400 Bad Request: the body is not {\"reason\":\"…\"}"), "{error}");
        assert!(agent.requests.try_recv().is_err());
    }
}
