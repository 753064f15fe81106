//! What the engine says of itself.
//!
//! Asked without bollard: its type for this answer has a hundred fields, and the code that reads them would be as large as the
//! rest of a command.

use std::error::Error;
use std::path::PathBuf;

use bollard::errors::Error as Bollard;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
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

/// The oldest API that has all that berth asks for: that of Docker Engine 20.10.
const OLDEST: (u16, u16) = (1, 41);

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
    /// The proxy for `http://` registries, which the engine shows without its password.
    #[serde(default)]
    pub http_proxy: String,
    /// The proxy for `https://` registries.
    #[serde(default)]
    pub https_proxy: String,
    /// What it reaches directly.
    #[serde(default)]
    pub no_proxy: String,
    /// Whether it is Podman, with its API in Docker's words.
    #[serde(skip)]
    pub is_podman: bool,
}

/// How the engine says no.
#[derive(Deserialize)]
struct Refusal {
    message: String,
}

impl Engine {
    /// Whether the engine answers, in an API that is new enough.
    pub async fn ping(&self) -> Result<(), EngineError> {
        self.ask("/_ping").await.map(drop)
    }

    /// What the engine says of itself.
    pub async fn about(&self) -> Result<About, EngineError> {
        let answer = self.ask("/info").await?;
        let about =
            serde_json::from_slice(answer.body()).map_err(|error| error::no_answer(self.asking(), error.into()))?;
        Ok(About { is_podman: header(&answer, "server").starts_with("Libpod/"), ..about })
    }

    async fn ask(&self, path: &str) -> Result<Response<Bytes>, EngineError> {
        let fail = |source| error::no_answer(self.asking(), source);
        let answer = match timeout(SHORT, self.answer(path)).await {
            Ok(answer) => answer.map_err(fail)?,
            Err(late) => return Err(fail(late.into())),
        };
        if !answer.status().is_success() {
            let body = answer.body();
            let said = serde_json::from_slice::<Refusal>(body).map(|refusal| refusal.message);
            let message = said.unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned());
            let refused = Bollard::DockerResponseServerError { status_code: answer.status().as_u16(), message };
            return Err(error::of(self.asking(), refused, error::plain));
        }
        // One that does not say its version is validated.
        match api_version(header(&answer, "api-version")) {
            Some(version) if version < OLDEST => Err(EngineError::TooOld {
                socket: self.socket.clone(),
                version: format!("{}.{}", version.0, version.1),
            }),
            _ => Ok(answer),
        }
    }

    /// What the engine answers to this path, without bollard.
    pub(super) async fn get(&self, path: &str) -> Result<(StatusCode, Bytes), Box<dyn Error + Send + Sync>> {
        let (parts, body) = self.answer(path).await?.into_parts();
        Ok((parts.status, body))
    }

    async fn answer(&self, path: &str) -> Result<Response<Bytes>, Box<dyn Error + Send + Sync>> {
        let stream = UnixStream::connect(&self.socket).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let answer =
            sender.send_request(Request::get(path).header("host", "docker").body(Empty::<Bytes>::new())?).await?;
        let (parts, body) = answer.into_parts();
        Ok(Response::from_parts(parts, Limited::new(body, LONGEST).collect().await?.to_bytes()))
    }
}

fn header<'a>(answer: &'a Response<Bytes>, name: &str) -> &'a str {
    answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// `1.41`
fn api_version(text: &str) -> Option<(u16, u16)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
