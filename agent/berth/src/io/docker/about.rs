//! The engine's own description: its version, its storage, its proxies.
//!
//! Requested without bollard: its type for this response has a hundred fields, and the code that reads them would be as large as the rest of a
//! command.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::error::EngineError;
use super::refusal;
use crate::io::http::one_shot;

use super::engine::{Engine, LONG, SHORT};

/// A response has some ten kilobytes.
const LONGEST: usize = 1024 * 1024;

/// The oldest API that has everything berth uses: that of Docker Engine 20.10.
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
    /// What else it says of its storage: pairs of a name and a value.
    #[serde(default)]
    pub driver_status: Option<Vec<(String, String)>>,
    /// The proxy for `http://` registries, which the engine shows without its password.
    #[serde(default)]
    pub http_proxy: String,
    /// The proxy for `https://` registries.
    #[serde(default)]
    pub https_proxy: String,
    /// The hosts that it reaches without a proxy.
    #[serde(default)]
    pub no_proxy: String,
    /// Whether it is Podman, which has an API compatible with Docker's.
    #[serde(skip)]
    pub is_podman: bool,
}

impl About {
    /// Whether containerd keeps the images.
    pub fn has_containerd_store(&self) -> bool {
        let mut status = self.driver_status.iter().flatten();
        status.any(|(name, value)| name == "driver-type" && value.starts_with("io.containerd."))
    }
}

impl Engine {
    /// Waits until the engine answers, in an API that is new enough.
    ///
    /// To connect starts an engine whose socket systemd holds (`docker.socket`), and the answer comes when the engine is up. So the wait is as long as a
    /// start on a cold disk may take, and nothing is asked twice meanwhile.
    pub async fn ping(&self) -> Result<(), EngineError> {
        self.ask("/_ping", LONG).await.map(drop)
    }

    /// The engine's own description.
    pub async fn about(&self) -> Result<About, EngineError> {
        let answer = self.ask("/info", SHORT).await?;
        let about =
            serde_json::from_slice(answer.body()).map_err(|error| refusal::no_answer(self.asking(), error.into()))?;
        Ok(About { is_podman: header(&answer, "server").starts_with("Libpod/"), ..about })
    }

    async fn ask(&self, path: &str, within: Duration) -> Result<Response<Bytes>, EngineError> {
        let fail = |source| refusal::no_answer(self.asking(), source);
        let answer = match timeout(within, self.answer(path)).await {
            Ok(answer) => answer.map_err(fail)?,
            Err(late) => return Err(fail(late.into())),
        };
        if !answer.status().is_success() {
            let refused = refusal::response(answer.status(), answer.body());
            return Err(refusal::of(self.asking(), refused, refusal::plain));
        }
        // An engine that does not report its version is accepted.
        match api_version(header(&answer, "api-version")) {
            Some(version) if version < OLDEST => Err(EngineError::TooOld {
                socket: self.socket.clone(),
                version: format!("{}.{}", version.0, version.1),
            }),
            _ => Ok(answer),
        }
    }

    /// The response to a GET of this path, without bollard.
    pub(super) async fn get(&self, path: &str) -> Result<(StatusCode, Bytes), Box<dyn Error + Send + Sync>> {
        let (parts, body) = self.answer(path).await?.into_parts();
        Ok((parts.status, body))
    }

    async fn answer(&self, path: &str) -> Result<Response<Bytes>, Box<dyn Error + Send + Sync>> {
        let stream = UnixStream::connect(&self.socket).await?;
        let request = Request::get(path).header("host", "docker").body(Full::default())?;
        let (parts, body) = one_shot::send(TokioIo::new(stream), request).await?.into_parts();
        Ok(Response::from_parts(parts, one_shot::read(body, LONGEST).await?))
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
