//! A service of the agent that answers with a script: over TCP on loopback, and as an engine on a unix socket. One for each
//! thread, and one runtime with it, because to make them takes longer than an input.

use std::cell::OnceCell;
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};

use berth::io::http::Http;
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::{Builder, Runtime};

use crate::script::Script;

/// How a body comes, and whether it comes whole.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Delivery {
    /// Bytes in one piece; 0 is all at once, with its length before.
    pub(crate) piece: usize,
    /// The connection breaks before the body has ended.
    pub(crate) cut: bool,
}

pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;
/// What answers a request.
pub(crate) type Answer = dyn Fn(&Request<Incoming>) -> Response<Body> + Send;

/// The service.
pub(crate) struct Answerer {
    runtime: Runtime,
    answer: Arc<Mutex<Box<Answer>>>,
    /// The agent's client, whose connections are used again.
    pub(crate) http: Http,
    /// `http://127.0.0.1:…`
    pub(crate) base: Uri,
    /// `unix:///…/engine.sock`
    pub(crate) engine: String,
    _directory: TempDir,
}

thread_local! {
    static ANSWERER: OnceCell<Answerer> = const { OnceCell::new() };
}

/// Asks something of a service that answers everything so.
pub(crate) fn answering<T>(
    answer: impl Fn(&Request<Incoming>) -> Response<Body> + Send + 'static,
    ask: impl AsyncFnOnce(&Answerer) -> T,
) -> T {
    ANSWERER.with(|cell| {
        let answerer = cell.get_or_init(Answerer::start);
        *answerer.answer.lock().unwrap() = Box::new(answer);
        answerer.runtime.block_on(ask(answerer))
    })
}

/// The answer that a script gives.
pub(crate) fn scripted(script: &Script, delivery: Delivery) -> Response<Body> {
    let body = match delivery.piece {
        0 if !delivery.cut => whole(script.body.clone()),
        piece => in_pieces(script.body.clone(), piece.max(1), delivery.cut),
    };
    let mut response = Response::new(body);
    *response.status_mut() = script.status;
    *response.headers_mut() = script.headers.clone();
    response
}

/// A body at once.
pub(crate) fn whole(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// An answer of one's own.
pub(crate) fn plain(status: StatusCode, body: &'static str) -> Response<Body> {
    let mut response = Response::new(whole(body));
    *response.status_mut() = status;
    response
}

fn in_pieces(body: Bytes, piece: usize, cut: bool) -> Body {
    let pieces = stream::unfold(Some(body), move |rest| async move {
        let mut rest = rest?;
        if rest.is_empty() {
            return cut.then(|| (Err(io::Error::other("cut")), None));
        }
        let next = rest.split_to(piece.min(rest.len()));
        Some((Ok(Frame::data(next)), Some(rest)))
    });
    StreamBody::new(pieces).boxed_unsync()
}

impl Answerer {
    fn start() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let answer: Arc<Mutex<Box<Answer>>> = Arc::new(Mutex::new(Box::new(|_| plain(StatusCode::NOT_FOUND, ""))));
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("engine.sock");
        let base = runtime.block_on(async {
            let (tcp, unix) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), UnixListener::bind(&path).unwrap());
            let base = format!("http://{}", tcp.local_addr().unwrap());
            let (of_tcp, of_unix) = (answer.clone(), answer.clone());
            tokio::spawn(async move {
                while let Ok((stream, _)) = tcp.accept().await {
                    // An answer is two writes; the second must not wait for the first to be acknowledged.
                    stream.set_nodelay(true).unwrap();
                    tokio::spawn(converse(stream, of_tcp.clone()));
                }
            });
            tokio::spawn(async move {
                while let Ok((stream, _)) = unix.accept().await {
                    tokio::spawn(converse(stream, of_unix.clone()));
                }
            });
            base.parse().unwrap()
        });
        let engine = format!("unix://{}", path.display());
        Self { runtime, answer, http: Http::default(), base, engine, _directory: directory }
    }
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, answer: Arc<Mutex<Box<Answer>>>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let response = answer.lock().unwrap()(&request);
        async move {
            // A request that is not read costs its connection.
            let _ = request.into_body().collect().await;
            Ok::<_, Infallible>(response)
        }
    });
    // A body that is cut, or a client that hangs up.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
