//! One HTTP request over a TCP or a unix socket: how tests speak to the agent, the app and the engine.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use bytes::Bytes;
use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// An answer's status, headers and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null if it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// One request to an address.
///
/// # Errors
/// If nothing listens, or the answer does not end as it should.
pub async fn over_tcp(address: SocketAddr, request: Request<Bytes>) -> io::Result<Answer> {
    exchange(TcpStream::connect(address).await?, request).await
}

/// One request to a unix socket.
///
/// # Errors
/// If nothing listens, or the answer does not end as it should.
pub async fn over_unix(socket: &Path, request: Request<Bytes>) -> io::Result<Answer> {
    exchange(UnixStream::connect(socket).await?, request).await
}

/// A request without a body.
pub fn request(method: &str, path: &str) -> Request<Bytes> {
    let request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
    request.body(Bytes::new()).expect("a method and a path")
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Bytes>,
) -> io::Result<Answer> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let connection = tokio::spawn(connection);
    let answer = async {
        let response = sender.send_request(request.map(Full::new)).await?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok::<_, hyper::Error>(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
    };
    let answer = answer.await.map_err(io::Error::other);
    connection.abort();
    answer
}
