//! The HTTP/1.1 server under every fake: a port of its own, reserved first, opened later, closed and opened again.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpSocket;
use tokio::runtime::{Builder as RuntimeBuilder, Handle};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};

/// What a fake answers.
pub(crate) type Reply = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// A fake: requests in, replies out. Whatever it may do to the connection, the reply's body does.
pub(crate) trait Fake: Send + Sync + 'static {
    fn answer(&self, request: Request<Bytes>) -> impl Future<Output = Reply> + Send;
}

/// A port that is taken, and that refuses connections while it is not open.
pub(crate) struct Reserved {
    /// Bound and never listening, so that nobody else gets the port while it is closed.
    _held: TcpSocket,
    pub(crate) address: SocketAddr,
    open: Mutex<Option<AbortHandle>>,
}

impl Reserved {
    /// Port 0: one that the kernel chooses.
    pub(crate) fn new(address: impl Into<SocketAddr>) -> Self {
        let held = bound(address.into());
        let address = held.local_addr().expect("a bound socket has an address");
        Self { _held: held, address, open: Mutex::default() }
    }

    /// Answers until it is closed or the runtime ends.
    pub(crate) fn open<N: Fake>(&self, runtime: &Handle, fake: Arc<N>) {
        let _entered = runtime.enter();
        let listener = bound(self.address).listen(1024).expect("a bound socket listens");
        let task = runtime.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                while connections.try_join_next().is_some() {}
                let fake = Arc::clone(&fake);
                let service = service_fn(move |request: Request<Incoming>| {
                    let fake = Arc::clone(&fake);
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                        Ok::<_, Infallible>(fake.answer(Request::from_parts(head, body)).await)
                    }
                });
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        *self.open.lock().unwrap() = Some(task.abort_handle());
    }

    /// Cuts every connection and refuses new ones.
    pub(crate) fn close(&self) {
        if let Some(task) = self.open.lock().unwrap().take() {
            task.abort();
        }
    }
}

/// Others may be bound to the same address; only one of them ever listens.
fn bound(address: SocketAddr) -> TcpSocket {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.expect("a socket");
    socket.set_reuseport(true).expect("an address that is shared");
    socket.bind(address).expect("a free port on an address of this network");
    socket
}

/// A reply whose body is at hand.
pub(crate) fn reply(status: StatusCode, content_type: &str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()).map_err(|never: Infallible| match never {}).boxed_unsync());
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_str(content_type).expect("a content type"));
    reply
}

/// A body that comes piece by piece.
pub(crate) fn streaming(
    pieces: impl Stream<Item = io::Result<Frame<Bytes>>> + Send + 'static,
) -> UnsyncBoxBody<Bytes, io::Error> {
    BodyExt::boxed_unsync(StreamBody::new(pieces))
}

/// Ends a thread, and is there to wait for its end.
pub(crate) type Stop = (oneshot::Sender<()>, JoinHandle<()>);

/// A thread with a runtime that runs until it is stopped.
pub(crate) fn begin_thread(name: &str) -> (Handle, Stop) {
    let (stop, stopped) = oneshot::channel();
    let runtime = RuntimeBuilder::new_current_thread().enable_all().build().expect("a runtime");
    let handle = runtime.handle().clone();
    let thread = thread::Builder::new().name(name.into()).spawn(move || {
        let _ = runtime.block_on(stopped);
    });
    (handle, (stop, thread.expect("a thread")))
}
