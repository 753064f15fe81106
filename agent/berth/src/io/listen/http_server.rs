//! An HTTP/1.1 server for any client: limits for the size of a request, for time, and for the number of connections.
//!
//! The readiness endpoint and the local socket both use it. At the limit of connections, and when the process is out of file descriptors, the oldest
//! connection of the peer with the most connections is closed: a client that opens many connections closes its own, and a load balancer with one is
//! always accepted. When the server closes, each open connection may send one last request.

#![expect(clippy::disallowed_methods, reason = "the age of a connection is the adapter's own time")]

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::errno::Errno;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, Id, JoinError, JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

use crate::io::listen::proxy_protocol::Skipping;

/// Request headers: at most 8 KB, the smallest limit of hyper. A longer one gets 431.
const HEAD_BYTES: usize = 8192;
/// For the responses in progress when the listener is kept for the next agent: they come from memory.
const RETIREMENT: Duration = Duration::from_millis(250);
/// Between two failed accepts, if no connection can be closed to free one: the error would repeat at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// For the headers of a request, and for the idle time before it on a keep-alive connection.
    pub head: Duration,
    /// For a connection; after half of it the next response announces the close. None: a stream has no end.
    pub life: Option<Duration>,
    /// Responses on one connection; the last announces the close. A client that sends requests and reads no response would keep the process busy and fill
    /// the kernel's memory. None: no limit.
    pub answers: Option<usize>,
    /// For the last request on a connection that is open when the listener closes: it may be on its way, and closing the connection would look like a
    /// refusal. None: idle connections are closed at once.
    pub last_question: Option<Duration>,
}

/// The body of a response.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A source of connections.
pub trait Listener: Send + Sync + 'static {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection, and the address of its peer if it has one.
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Self::Stream, Option<IpAddr>)>>;
}

impl Listener for TcpListener {
    type Stream = TcpStream;
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, Option<IpAddr>)>> {
        self.poll_accept(cx).map_ok(|(stream, peer)| (stream, Some(peer.ip())))
    }
}

impl Listener for UnixListener {
    type Stream = UnixStream;
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(UnixStream, Option<IpAddr>)>> {
        self.poll_accept(cx).map_ok(|(stream, _)| (stream, None))
    }
}

/// A server. Dropping it closes the listener, and finishes the responses in progress.
#[derive(Debug)]
pub struct Server<L> {
    listener: Arc<L>,
    stop: oneshot::Sender<()>,
    closed: oneshot::Receiver<()>,
    task: JoinHandle<()>,
}

impl<L: Listener> Server<L> {
    /// Serves this listener, on the current runtime.
    pub fn start<A, F>(listener: L, limits: Limits, answer: A) -> Self
    where
        A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let (stop, stopped) = oneshot::channel();
        let (closing, closed) = oneshot::channel();
        let listener = Arc::new(listener);
        let task = tokio::spawn(serve(listener.clone(), limits, answer, stopped, closing));
        Self { listener, stop, closed, task }
    }

    /// Its listener.
    pub fn listener(&self) -> &L {
        &self.listener
    }

    /// Closes the listener and waits until its address is free; the responses in progress are finished.
    pub async fn close(self) {
        drop((self.stop, self.listener));
        // The sender is used or dropped, and either way the listener is closed.
        let _ = self.closed.await;
    }

    /// Closes the listener and waits until the responses in progress are finished.
    pub async fn finish(self) {
        drop((self.stop, self.listener));
        let _ = self.task.await;
    }

    /// Accepts no more connections, finishes the responses in progress, and returns the listener. New connections wait in its queue, so slow clients are
    /// not waited for.
    pub async fn retire(self) -> Arc<L> {
        drop(self.stop);
        let _ = timeout(RETIREMENT, self.task).await;
        self.listener
    }
}

async fn serve<L, A, F>(
    listener: Arc<L>,
    limits: Limits,
    answer: A,
    mut stopped: oneshot::Receiver<()>,
    closing: oneshot::Sender<()>,
) where
    L: Listener,
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let (leaving, leave) = watch::channel(());
    let mut tasks = JoinSet::new();
    let mut connections = Connections::default();
    loop {
        tokio::select! {
            biased;
            _ = &mut stopped => break,
            Some(ended) = tasks.join_next_with_id() => connections.remove(&ended),
            accepted = poll_fn(|cx| listener.poll_accept(cx)) => match accepted {
                Ok((stream, peer)) => {
                    if connections.0.len() >= limits.connections {
                        connections.close_oldest();
                    }
                    let task = tasks.spawn(serve_connection(stream, limits, answer.clone(), leave.clone()));
                    connections.0.push_back(OpenConnection { peer, task });
                }
                Err(error) => {
                    tracing::debug!(%error, "a connection was not accepted");
                    if is_out_of_descriptors(&error) && !connections.0.is_empty() {
                        connections.close_oldest();
                        if let Some(ended) = tasks.join_next_with_id().await {
                            connections.remove(&ended);
                        }
                    } else {
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            },
        }
    }
    drop(listener);
    let _ = closing.send(());
    drop(leaving);
    let _ = timeout(limits.head, async { while tasks.join_next().await.is_some() {} }).await;
}

/// Whether a connection must be closed before another can be accepted: EMFILE, ENFILE.
fn is_out_of_descriptors(error: &io::Error) -> bool {
    let errors = [Errno::EMFILE, Errno::ENFILE].map(|errno| Some(errno as i32));
    errors.contains(&error.raw_os_error())
}

/// One connection, from its first request to its end.
async fn serve_connection<S, A, F>(stream: S, limits: Limits, answer: A, mut leave: watch::Receiver<()>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<Body>>,
{
    let began = Instant::now();
    let closing = leave.clone();
    let answers = Cell::new(0);
    let service = service_fn(move |request| {
        answers.set(answers.get() + 1);
        let is_last = limits.answers.is_some_and(|most| answers.get() >= most);
        let answered = answer(request);
        let closing = closing.clone();
        async move {
            let mut response = answered.await;
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            if is_last || limits.life.is_some_and(|life| began.elapsed() > life / 2) || closing.has_changed().is_err() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let served = async {
        let mut connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits.head)
                .max_buf_size(HEAD_BYTES)
                .serve_connection(TokioIo::new(Skipping::new(stream)), service)
        );
        tokio::select! {
            ended = &mut connection => ended,
            _ = leave.changed() => {
                if let Some(patience) = limits.last_question
                    && let Ok(ended) = timeout(patience, &mut connection).await
                {
                    return ended;
                }
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    };
    let ended = match limits.life {
        Some(life) => timeout(life, served).await.unwrap_or(Ok(())),
        None => served.await,
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "a connection ended early");
    }
}

/// The connections that are open, oldest first.
#[derive(Default)]
struct Connections(VecDeque<OpenConnection>);

struct OpenConnection {
    peer: Option<IpAddr>,
    task: AbortHandle,
}

impl Connections {
    /// Closes the oldest connection of the peer with the most connections; among equals, the oldest of all.
    fn close_oldest(&mut self) {
        let mut held = BTreeMap::new();
        for connection in &self.0 {
            *held.entry(connection.peer).or_insert(0) += 1;
        }
        let Some(most) = held.values().copied().max() else { return };
        let oldest = self.0.iter().position(|connection| held.get(&connection.peer) == Some(&most));
        if let Some(connection) = oldest.and_then(|at| self.0.remove(at)) {
            connection.task.abort();
        }
    }

    fn remove(&mut self, ended: &Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        self.0.retain(|connection| connection.task.id() != id);
    }
}

/// A response with this body.
pub fn whole(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(body.into()).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A response in JSON, with a newline at its end for `curl` on a terminal.
pub fn json(status: StatusCode, value: &impl serde::Serialize) -> Response<Body> {
    match serde_json::to_string(value) {
        Ok(text) => whole(status, "application/json", text + "\n"),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            sentence(StatusCode::INTERNAL_SERVER_ERROR, "the answer could not be written as JSON")
        }
    }
}

/// A response of one sentence.
pub fn sentence(status: StatusCode, text: &str) -> Response<Body> {
    whole(status, "text/plain; charset=utf-8", format!("{text}\n"))
}

/// A response whose body is a stream.
pub fn stream_of(content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
