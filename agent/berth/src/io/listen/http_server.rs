//! HTTP/1.1 for whoever knocks: bounded in the size of a request, in time, and in the number of connections.
//!
//! The readiness endpoint and the local socket both answer through it. When the house is full, the oldest connection of
//! the peer that holds the most makes room, as it does when the process is out of file descriptors: a client that hoards connections pushes out itself, and a load balancer that
//! comes with one is always let in. When it closes, whoever is connected may ask one last question.

#![expect(clippy::disallowed_methods, reason = "the age of a connection is the adapters's own time")]

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

/// hyper's smallest: the head of a request, whole, fits in it or gets 431.
const HEAD_BYTES: usize = 8192;
/// For the answers under way when the listener is kept for another: they come from memory.
const RETIREMENT: Duration = Duration::from_millis(250);
/// Between two accepts that fail, if nobody can be sent away for it: the error repeats at once, the loop must not.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What is refused, and when.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// For the head of a request, and for the silence before it on a connection that is kept alive.
    pub head: Duration,
    /// For a connection; past half of it the next answer says that it closes. None: a stream may go on.
    pub life: Option<Duration>,
    /// Answers to one connection; the last says that it closes. Who asks on and on and does not listen would keep the process at work,
    /// and the kernel's memory full of answers. None: as many as are asked for.
    pub answers: Option<usize>,
    /// For the last question of a connection that is open when the listener closes: its request may be on the way, and to
    /// hang up on it would look like a refusal. None: nobody is waited for who asks nothing.
    pub last_question: Option<Duration>,
}

/// The body of an answer.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Where connections come from.
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

/// A listener at work. Dropped, it is closed, and the answers under way are finished.
#[derive(Debug)]
pub struct Server<L> {
    listener: Arc<L>,
    stop: oneshot::Sender<()>,
    closed: oneshot::Receiver<()>,
    task: JoinHandle<()>,
}

impl<L: Listener> Server<L> {
    /// Answer on this listener, on the current runtime.
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

    /// What it listens on.
    pub fn listener(&self) -> &L {
        &self.listener
    }

    /// Close the listener and wait until its address is free; the answers under way are finished.
    pub async fn close(self) {
        drop((self.stop, self.listener));
        // The sender is used or dropped, and either way the listener is closed.
        let _ = self.closed.await;
    }

    /// Close the listener and wait until the answers under way are finished, too.
    pub async fn finish(self) {
        drop((self.stop, self.listener));
        let _ = self.task.await;
    }

    /// Accept nobody any more, finish the answers under way, and give the listener back: who comes from here on waits in
    /// its queue, and so a slow client is not waited for.
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
    let mut guests = Guests::default();
    loop {
        tokio::select! {
            biased;
            _ = &mut stopped => break,
            Some(ended) = tasks.join_next_with_id() => guests.left(&ended),
            accepted = poll_fn(|cx| listener.poll_accept(cx)) => match accepted {
                Ok((stream, peer)) => {
                    if guests.0.len() >= limits.connections {
                        guests.make_room();
                    }
                    let task = tasks.spawn(converse(stream, limits, answer.clone(), leave.clone()));
                    guests.0.push_back(Guest { peer, task });
                }
                Err(error) => {
                    tracing::debug!(%error, "a connection was not accepted");
                    if is_out_of_descriptors(&error) && !guests.0.is_empty() {
                        guests.make_room();
                        if let Some(ended) = tasks.join_next_with_id().await {
                            guests.left(&ended);
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

/// Whether somebody must go before somebody comes: EMFILE, ENFILE.
fn is_out_of_descriptors(error: &io::Error) -> bool {
    let of_whom = [Errno::EMFILE, Errno::ENFILE].map(|errno| Some(errno as i32));
    of_whom.contains(&error.raw_os_error())
}

/// One connection, from its first request to its end.
async fn converse<S, A, F>(stream: S, limits: Limits, answer: A, mut leave: watch::Receiver<()>)
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
    let conversation = async {
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
        Some(life) => timeout(life, conversation).await.unwrap_or(Ok(())),
        None => conversation.await,
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "a connection ended early");
    }
}

/// The connections that are open, oldest first.
#[derive(Default)]
struct Guests(VecDeque<Guest>);

struct Guest {
    peer: Option<IpAddr>,
    task: AbortHandle,
}

impl Guests {
    /// Ends the oldest connection of the peer that holds the most; among equals, the oldest of all.
    fn make_room(&mut self) {
        let mut held = BTreeMap::new();
        for guest in &self.0 {
            *held.entry(guest.peer).or_insert(0) += 1;
        }
        let Some(most) = held.values().copied().max() else { return };
        let oldest = self.0.iter().position(|guest| held.get(&guest.peer) == Some(&most));
        if let Some(guest) = oldest.and_then(|at| self.0.remove(at)) {
            guest.task.abort();
        }
    }

    fn left(&mut self, ended: &Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        self.0.retain(|guest| guest.task.id() != id);
    }
}

/// An answer that is there whole.
pub fn whole(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(body.into()).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// An answer in JSON, with a newline at its end for people who `curl`.
pub fn json(status: StatusCode, value: &impl serde::Serialize) -> Response<Body> {
    match serde_json::to_string(value) {
        Ok(text) => whole(status, "application/json", text + "\n"),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            sentence(StatusCode::INTERNAL_SERVER_ERROR, "the answer could not be written as JSON")
        }
    }
}

/// An answer that is one sentence.
pub fn sentence(status: StatusCode, text: &str) -> Response<Body> {
    whole(status, "text/plain; charset=utf-8", format!("{text}\n"))
}

/// An answer that goes on.
pub fn stream_of(content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
