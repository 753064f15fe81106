//! The local socket, `berth.sock` in the run directory: HTTP for root on this instance, used by `berth status` and the other
//! commands through socket_client.rs.
//!
//! It also makes the agent the only one: the process holds a lock in the same directory, so the socket of a dead agent is replaced
//! and a second agent is refused, whichever starts first.

use std::convert::Infallible;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_core::message::error::ErrorClass;
use berth_core::view::feed::LaggedLine;
use berth_core::view::published::{Published, StatusReport};
use bytes::Bytes;
use futures_util::stream;
use http::{Method, Response, StatusCode};
use http_body_util::{BodyExt, Collected, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use serde::Deserialize;
use tokio::net::{UnixListener, UnixSocket};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::io::listen::http_server::{Body, Limits, Server, json, sentence, stream_of, whole};

/// The socket's name in the run directory.
pub const FILE: &str = "berth.sock";
/// The lock's name in the run directory.
const LOCK: &str = "berth.lock";

/// Only root may connect; the limits are for scripts that leave connections open. The end does not wait for requests, so the process
/// ends soon after its last event.
pub const LIMITS: Limits =
    Limits { connections: 64, head: Duration::from_secs(10), life: None, answers: None, last_question: None };
/// Connections that the kernel keeps until they are accepted.
const BACKLOG: u32 = 64;
/// The longest body of a request.
const BODY_BYTES: usize = 4096;
/// For the clients of `/v1/events` to receive the last event.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why a request is refused.
const LEAVING: &str = "the agent is busy or leaving";

/// A request to the driver.
#[derive(Debug)]
pub enum Request {
    /// `POST /v1/drain`
    Drain {
        /// Why, as the operator wrote it.
        reason: Option<String>,
    },
    /// `POST /v1/handover`
    Handover {
        /// Whether the agent hands over, and if not, why.
        answer: oneshot::Sender<Result<(), &'static str>>,
    },
}

/// The state that the socket answers with, and the queue of its requests.
#[derive(Clone, Debug)]
pub struct SocketContext {
    /// The state.
    pub published: watch::Receiver<Arc<Published>>,
    /// When the agent started.
    pub began: Instant,
    /// Events and effects, each a JSON object on one line without its newline.
    pub lines: broadcast::WeakSender<Arc<str>>,
    /// The queue to the driver.
    pub requests: mpsc::Sender<Request>,
}

/// The socket, bound.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    held: Held,
}

/// The running socket. Dropping it closes it and removes its file.
#[derive(Debug)]
pub struct RunningSocket {
    server: Server<UnixListener>,
    held: Held,
}

/// The file in the run directory and its lock, until it is dropped.
#[derive(Debug)]
pub struct Held {
    path: PathBuf,
    _lock: File,
}

/// The socket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The lock is held.
    #[error("another berth runs with the run directory {}; stop it, or give this one its own --run-dir", .0.display())]
    InUse(PathBuf),
    /// The run directory cannot be used.
    #[error("cannot use the run directory {}", .0.display())]
    Directory(PathBuf, #[source] io::Error),
    /// The socket cannot listen.
    #[error("cannot listen on {}", .0.display())]
    Listen(PathBuf, #[source] io::Error),
}

impl SocketError {
    /// The class of every error here: none passes by itself.
    pub fn class(&self) -> ErrorClass {
        ErrorClass::Misconfigured
    }
}

impl Socket {
    /// Becomes the only agent of this run directory, which is created if it does not exist. Needs a runtime.
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
            Err(TryLockError::WouldBlock) => return Err(SocketError::InUse(run_dir.to_owned())),
            Err(TryLockError::Error(error)) => return Err(directory(error)),
        }

        // The lock is held, so a file with this name is from an agent that died.
        let path = run_dir.join(FILE);
        let listen = |error| SocketError::Listen(path.clone(), error);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(listen(error)),
            _ => {}
        }
        let bind = || {
            let socket = UnixSocket::new_stream()?;
            socket.bind(&path)?;
            // Before it listens, so that no other user can connect in between.
            fs::set_permissions(&path, Permissions::from_mode(0o600))?;
            socket.listen(BACKLOG)
        };
        let listener = bind().map_err(listen)?;
        Ok(Self { listener, held: Held { path, _lock: lock } })
    }

    /// Answers requests.
    pub fn serve(self, context: SocketContext) -> RunningSocket {
        let server = Server::start(self.listener, LIMITS, move |request| answer(request, context.clone()));
        RunningSocket { server, held: self.held }
    }
}

impl RunningSocket {
    /// Ends, once the clients of `/v1/events` have the last event: the end of the process drops what is not sent.
    /// The lock is still held.
    pub async fn finish(self) -> Held {
        let _ = timeout(FAREWELL, self.server.finish()).await;
        self.held
    }
}

impl Drop for Held {
    /// The file is removed before the lock is released, so it is this agent's own.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// The response to a request. A drain or a handover is passed to the driver.
pub async fn answer(request: http::Request<Incoming>, context: SocketContext) -> Response<Body> {
    let (method, path) = (request.method(), request.uri().path());
    match (method, path) {
        (&Method::GET, "/v1/status") => {
            let published = Published::clone(&context.published.borrow());
            json(StatusCode::OK, &StatusReport::new(published, context.began.elapsed().as_secs_f64()))
        }
        (&Method::GET, "/v1/events") => match context.lines.upgrade() {
            Some(lines) => events(lines.subscribe()),
            None => sentence(StatusCode::SERVICE_UNAVAILABLE, "the agent is leaving"),
        },
        (&Method::POST, "/v1/drain") => drain(request, &context.requests).await,
        (&Method::POST, "/v1/handover") => handover(request, &context.requests).await,
        (_, "/v1/status" | "/v1/events" | "/v1/drain" | "/v1/handover") => sentence(
            StatusCode::METHOD_NOT_ALLOWED,
            "GET /v1/status, GET /v1/events, POST /v1/drain, POST /v1/handover",
        ),
        _ => sentence(StatusCode::NOT_FOUND, "there are /v1/status, /v1/events, /v1/drain and /v1/handover"),
    }
}

/// A line for each event and effect after this, until the agent ends. A reader that is too slow loses lines and gets their number.
fn events(lines: broadcast::Receiver<Arc<str>>) -> Response<Body> {
    let frames = stream::unfold(lines, async |mut lines| {
        let line = match lines.recv().await {
            Ok(line) => format!("{line}\n"),
            Err(RecvError::Lagged(lost)) => serde_json::to_string(&LaggedLine::new(lost)).unwrap_or_default() + "\n",
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

async fn body_of(request: http::Request<Incoming>) -> Result<Bytes, Response<Body>> {
    let read = Limited::new(request.into_body(), BODY_BYTES).collect().await.map(Collected::to_bytes);
    read.map_err(|_| sentence(StatusCode::PAYLOAD_TOO_LARGE, "the body is longer than 4096 bytes, or ended early"))
}

async fn drain(request: http::Request<Incoming>, requests: &mpsc::Sender<Request>) -> Response<Body> {
    let body = match body_of(request).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let asked = match body.trim_ascii_start() {
        [] => Ok(DrainBody::default()),
        // serde reads a struct from an array, too.
        [b'{', ..] => serde_json::from_slice(&body).map_err(drop),
        _ => Err(()),
    };
    let Ok(DrainBody { reason }) = asked else {
        return sentence(StatusCode::BAD_REQUEST, "the body is not {\"reason\":\"…\"}");
    };
    let reason = reason.filter(|reason| !reason.trim().is_empty());
    match requests.try_send(Request::Drain { reason }) {
        Ok(()) => whole(StatusCode::ACCEPTED, "application/json", "{\"accepted\":\"drain\"}\n"),
        Err(_) => sentence(StatusCode::SERVICE_UNAVAILABLE, LEAVING),
    }
}

async fn handover(request: http::Request<Incoming>, requests: &mpsc::Sender<Request>) -> Response<Body> {
    match body_of(request).await {
        Ok(body) if body.is_empty() => {}
        Ok(_) => return sentence(StatusCode::BAD_REQUEST, "a handover has no body"),
        Err(refusal) => return refusal,
    }
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
mod tests;
