//! The commands' side of the running agent's socket (socket/mod.rs).

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use berth_core::view::published::{Essentials, StatusReport};
use bytes::{Bytes, BytesMut};
use http::request::Builder;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::io::http::one_shot;
use crate::io::listen::socket::FILE;
use berth_config::printable::one_line;

/// For a response, which the agent has in memory.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest response, far more than any has.
const BODY_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of a refusal, which is one sentence.
const REFUSAL_BYTES: usize = 400;

/// Why the agent did not respond.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No agent listens.
    #[error("no berth agent is running (run directory {})", .0.display())]
    NotRunning(PathBuf),
    /// The socket is not for this user.
    #[error("{} is for root only", .0.display())]
    Denied(PathBuf),
    /// It cannot be reached for another reason.
    #[error("cannot connect to {}", .0.display())]
    Connect(PathBuf, #[source] io::Error),
    /// It closed the connection, or the response is not HTTP.
    #[error("the agent did not answer {0}")]
    NoResponse(&'static str, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// It did not respond in time.
    #[error("the agent did not answer {0} within {PATIENCE:?}")]
    TimedOut(&'static str),
    /// It refused.
    #[error("the agent answered {0} with {1}: {2}")]
    Refused(&'static str, StatusCode, String),
    /// This version cannot parse the response.
    #[error("cannot parse the response to {0}: the agent may be of another version than this command")]
    InvalidResponse(&'static str, #[source] serde_json::Error),
}

/// `GET /v1/status`
pub async fn status(run_dir: &Path) -> Result<StatusReport, ClientError> {
    let path = "/v1/status";
    StatusReport::from_json(&get(run_dir, path).await?).map_err(|error| ClientError::InvalidResponse(path, error))
}

/// `GET /v1/status` of an agent that may be of another version, limited to the fields that every version has.
pub async fn essentials(run_dir: &Path) -> Result<Essentials, ClientError> {
    let path = "/v1/status";
    Essentials::from_json(&get(run_dir, path).await?).map_err(|error| ClientError::InvalidResponse(path, error))
}

/// `POST /v1/drain`
pub async fn drain(run_dir: &Path, reason: Option<&str>) -> Result<(), ClientError> {
    let path = "/v1/drain";
    post(run_dir, path, &json!({ "reason": reason }).to_string()).await.map(drop)
}

/// `POST /v1/handover`
pub async fn handover(run_dir: &Path) -> Result<(), ClientError> {
    post(run_dir, "/v1/handover", "").await.map(drop)
}

/// The body of the response to one GET.
pub async fn get(run_dir: &Path, path: &'static str) -> Result<Bytes, ClientError> {
    whole(run_dir, Request::get(path), path, "").await
}

/// The body of the response to one POST of JSON.
pub async fn post(run_dir: &Path, path: &'static str, body: &str) -> Result<Bytes, ClientError> {
    whole(run_dir, Request::post(path).header("content-type", "application/json"), path, body).await
}

async fn whole(run_dir: &Path, request: Builder, path: &'static str, body: &str) -> Result<Bytes, ClientError> {
    let answer = async {
        let body = open(run_dir, request, path, body).await?;
        one_shot::read(body, BODY_BYTES).await.map_err(|error| ClientError::NoResponse(path, error))
    };
    timeout(PATIENCE, answer).await.unwrap_or(Err(ClientError::TimedOut(path)))
}

/// The lines of `GET /v1/events`.
#[derive(Debug)]
pub struct Events {
    body: Incoming,
    rest: BytesMut,
}

impl Events {
    /// Opens the stream.
    pub async fn open(run_dir: &Path) -> Result<Self, ClientError> {
        let path = "/v1/events";
        let opened = open(run_dir, Request::get(path), path, "");
        let body = timeout(PATIENCE, opened).await.unwrap_or(Err(ClientError::TimedOut(path)))?;
        Ok(Self { body, rest: BytesMut::new() })
    }

    /// The next line, without its newline; none when the agent has ended. Cancel-safe.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line = self.rest.split_to(end + 1);
                return Some(String::from_utf8_lossy(line.trim_ascii_end()).into_owned());
            }
            let frame = self.body.frame().await?.ok()?;
            if let Ok(data) = frame.into_data() {
                self.rest.extend_from_slice(&data);
            }
        }
    }
}

/// The body of the response, if its status is good.
async fn open(run_dir: &Path, request: Builder, path: &'static str, body: &str) -> Result<Incoming, ClientError> {
    let socket = run_dir.join(FILE);
    let stream = match UnixStream::connect(&socket).await {
        Ok(stream) => stream,
        Err(error) => {
            return Err(match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    ClientError::NotRunning(run_dir.to_owned())
                }
                io::ErrorKind::PermissionDenied => ClientError::Denied(socket),
                _ => ClientError::Connect(socket, error),
            });
        }
    };
    let no_response = |error: hyper::Error| ClientError::NoResponse(path, error.into());
    let request = request.header("host", "berth").body(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    let request = request.map_err(|error| ClientError::NoResponse(path, error.into()))?;
    let response = one_shot::send(TokioIo::new(stream), request).await.map_err(no_response)?;
    let status = response.status();
    if status.is_success() {
        return Ok(response.into_body());
    }
    let sentence = one_shot::read(response.into_body(), REFUSAL_BYTES).await.unwrap_or_default();
    Err(ClientError::Refused(path, status, one_line(String::from_utf8_lossy(&sentence).trim(), REFUSAL_BYTES)))
}
