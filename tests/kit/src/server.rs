//! The HTTP/1.1 server under every fake: a port of its own, reserved first, opened later.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

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
use tokio::runtime::Handle;

/// What a fake answers.
pub(crate) type Reply = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// A fake: requests in, replies out. Whatever it may do to the connection, the reply's body does.
pub(crate) trait Neighbour: Send + Sync + 'static {
    fn answer(&self, request: Request<Bytes>) -> impl Future<Output = Reply> + Send;
}

/// A port that is taken but refuses connections until it is opened.
pub(crate) struct Reserved {
    socket: TcpSocket,
    pub(crate) address: SocketAddr,
}

impl Reserved {
    /// Port 0: one that the kernel chooses.
    pub(crate) fn new(address: impl Into<SocketAddr>) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(address.into()).expect("a free port on an address of this network");
        let address = socket.local_addr().expect("a bound socket has an address");
        Self { socket, address }
    }

    /// Answers from here on, until the runtime ends.
    pub(crate) fn open<N: Neighbour>(self, runtime: &Handle, neighbour: Arc<N>) {
        let _entered = runtime.enter();
        let listener = self.socket.listen(1024).expect("a bound socket listens");
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let neighbour = Arc::clone(&neighbour);
                let service = service_fn(move |request: Request<Incoming>| {
                    let neighbour = Arc::clone(&neighbour);
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                        Ok::<_, Infallible>(neighbour.answer(Request::from_parts(head, body)).await)
                    }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
    }
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
