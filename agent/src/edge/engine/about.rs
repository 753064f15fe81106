//! What the engine says of itself.
//!
//! Asked without bollard: its type for this answer has a hundred fields, and the code that reads them would be as large as the
//! rest of a command.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::error::{self, EngineError};
use super::{Engine, SHORT};

/// An answer is some ten kilobytes long.
const LONGEST: usize = 1024 * 1024;

/// The engine.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct About {
    /// `28.0.1`
    #[serde(default)]
    pub server_version: String,
    /// The storage driver: `overlay2`
    #[serde(default)]
    pub driver: String,
    /// Where it keeps images and containers: `/var/lib/docker`
    #[serde(default)]
    pub docker_root_dir: PathBuf,
}

impl Engine {
    /// What the engine says of itself.
    pub async fn about(&self) -> Result<About, EngineError> {
        let fail = |source| error::no_answer(self.asking(), source);
        match timeout(SHORT, self.ask("/info")).await {
            Ok(answer) => answer.and_then(|body| Ok(serde_json::from_slice(&body)?)).map_err(fail),
            Err(late) => Err(fail(late.into())),
        }
    }

    async fn ask(&self, path: &str) -> Result<Bytes, Box<dyn Error + Send + Sync>> {
        match self.get(path).await? {
            (status, body) if status.is_success() => Ok(body),
            (status, _) => Err(io::Error::other(format!("it answered {status}")).into()),
        }
    }

    /// What the engine answers to this path, without bollard.
    pub(super) async fn get(&self, path: &str) -> Result<(StatusCode, Bytes), Box<dyn Error + Send + Sync>> {
        let stream = UnixStream::connect(&self.socket).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let answer =
            sender.send_request(Request::get(path).header("host", "docker").body(Empty::<Bytes>::new())?).await?;
        let status = answer.status();
        Ok((status, Limited::new(answer.into_body(), LONGEST).collect().await?.to_bytes()))
    }
}
