//! One request on a connection of its own, which the caller opened. Nothing is pooled or retried, and the caller sets the timeout.

use std::error::Error;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::rt::{Read, Write};

/// A connection of any kind. Behind one type the code of HTTP is in the binary once, not for each kind.
pub(super) trait Duplex: Read + Write + Unpin + Send {}

impl<S: Read + Write + Unpin + Send> Duplex for S {}

/// Sends the request on a stream of any kind, and returns the answer with its body still to be read.
pub async fn send_on_any<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, hyper::Error>
where
    S: Read + Write + Unpin + Send + 'static,
{
    send(Box::new(stream) as Box<dyn Duplex>, request).await
}

/// Sends the request, and returns the answer with its body still to be read. An upgraded connection can be taken back as this very type.
///
/// The connection is driven by a task of its own. It ends when the body is read, when an upgraded connection is dropped, or when no caller waits
/// for the answer any more.
pub async fn send<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, hyper::Error>
where
    S: Read + Write + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(stream).await?;
    tokio::spawn(connection.with_upgrades());
    sender.send_request(request).await
}

/// Reads the whole body, which has at most `limit` bytes.
pub async fn read(body: Incoming, limit: usize) -> Result<Bytes, Box<dyn Error + Send + Sync>> {
    Ok(Limited::new(body, limit).collect().await?.to_bytes())
}
