//! The agent's `/v1/events`, line by line as they come.

use std::path::Path;

use berth_kit::client;
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

/// The stream of events and effects from the moment it was opened.
pub(crate) struct Events {
    body: Incoming,
    rest: BytesMut,
}

impl Events {
    /// None while nobody listens on the socket.
    pub(crate) async fn open(socket: &Path) -> Option<Self> {
        let stream = UnixStream::connect(socket).await.ok()?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        let request = client::request("GET", "/v1/events").map(Full::<Bytes>::new);
        let response = sender.send_request(request).await.ok()?;
        (response.status() == 200).then(|| Self { body: response.into_body(), rest: BytesMut::new() })
    }

    /// The next one; none when the agent has ended.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                return serde_json::from_slice(&self.rest.split_to(end + 1)).ok();
            }
            if let Ok(data) = self.body.frame().await?.ok()?.into_data() {
                self.rest.extend_from_slice(&data);
            }
        }
    }
}
