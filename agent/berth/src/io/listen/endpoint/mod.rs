//! The readiness endpoint that load balancers ask: `/ready`, `/live`, `/version`, `/metrics`.
//!
//! It responds from memory and is bound before the boot begins, so a probe is never refused. Anyone can reach it, so it shows no secret, no environment,
//! no config value but the image, and nothing that AWS, the registry, the engine or the app returned: the reason is a sentence of a closed list. It
//! takes GET and HEAD, and reads no body.
//!
//! With the listener of the previous agent, a request for `/ready` waits for a moment until the running app is found again: a `starting` in between would
//! be wrong.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use berth_core::message::error::ErrorClass;
use berth_core::view::metrics;
use berth_core::view::published::Published;
use berth_core::view::{PhaseName, Status};
use http::header::ALLOW;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde::Serialize;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::io::listen::http_server::{Body, Limits, Server, json, sentence, whole};

/// The limits of the endpoint. Request headers have 7 s, and not 5: load balancers send a request every 5, 6, 10, 15 or 30 seconds, and a keep-alive
/// connection must not be closed at the moment of the next request.
pub const LIMITS: Limits = Limits {
    connections: 256,
    head: Duration::from_secs(7),
    life: Some(Duration::from_secs(120)),
    answers: Some(100),
    last_question: Some(Duration::from_millis(100)),
};

/// Connections that the kernel keeps until they are accepted; it takes no more than net.core.somaxconn, which is 4096. When the queue
/// is full, a probe is not refused but dropped, and repeated a second later, which may be the whole timeout of a load balancer.
const BACKLOG: u32 = 4096;

/// For the app of the previous agent to be found again. Shorter than the shortest timeout of a load balancer's
/// health check, which is 2 s.
const FOUND_AGAIN: Duration = Duration::from_secs(1);

/// A bound address; connections wait in its backlog.
#[derive(Debug)]
pub struct Endpoint {
    asked: SocketAddr,
    local: SocketAddr,
    listener: TcpListener,
    /// Until when `/ready` waits for the end of the start.
    patience: Option<Instant>,
}

/// The endpoint while it serves. Dropping it stops it.
#[derive(Debug)]
pub struct RunningEndpoint {
    asked: SocketAddr,
    local: SocketAddr,
    server: Option<Server<TcpListener>>,
    published: watch::Receiver<Arc<Published>>,
}

/// The address cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} (`listen`)")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// Why not.
    pub source: io::Error,
}

impl BindError {
    /// What to do about it: an address in use may become free; one of another host never becomes valid.
    pub fn class(&self) -> ErrorClass {
        match self.source.kind() {
            io::ErrorKind::AddrInUse => ErrorClass::Transient,
            _ => ErrorClass::Misconfigured,
        }
    }
}

job_error_from!(BindError);

impl Endpoint {
    /// Binds the address. Needs a runtime.
    pub fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let bind = || {
            let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            // Connections of a former agent in TIME_WAIT must not block the port.
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            let listener = socket.listen(BACKLOG)?;
            Ok(Self { asked: address, local: listener.local_addr()?, listener, patience: None })
        };
        bind().map_err(|source| BindError { address, source })
    }

    /// Continues with the listener of the previous agent. Needs a runtime.
    #[expect(clippy::disallowed_methods, reason = "how long a response may wait is the adapter's own time")]
    pub fn inherit(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let local = listener.local_addr()?;
        let patience = Some(Instant::now() + FOUND_AGAIN);
        Ok(Self { asked: local, local, listener: TcpListener::from_std(listener)?, patience })
    }

    /// The address that it listens on, with the real port if 0 was requested.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Serves what is published.
    pub fn serve(self, published: watch::Receiver<Arc<Published>>) -> RunningEndpoint {
        self.serve_within(LIMITS, published)
    }

    fn serve_within(self, limits: Limits, published: watch::Receiver<Arc<Published>>) -> RunningEndpoint {
        let state = published.clone();
        let server = Server::start(self.listener, limits, move |request| {
            let mut state = state.clone();
            async move {
                if let (Some(until), "/ready") = (self.patience, request.uri().path()) {
                    let over = state.wait_for(|published| published.view.status != Status::Starting);
                    let _ = timeout_at(until, over).await.is_ok();
                }
                answer(&request, &state.borrow())
            }
        });
        RunningEndpoint { asked: self.asked, local: self.local, server: Some(server), published }
    }
}

impl RunningEndpoint {
    /// The address that it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Whether it already listens on this address. Port 0 matches any port.
    pub fn is_at(&self, address: SocketAddr) -> bool {
        let any_port = address.port() == 0 && address.ip() == self.local.ip();
        self.server.is_some() && (any_port || address == self.asked || address == self.local)
    }

    /// Its listener.
    pub fn listener(&self) -> Option<&TcpListener> {
        self.server.as_ref().map(Server::listener)
    }

    /// Stops serving and returns the listener; none if it is lost.
    pub async fn retire(self) -> Option<Arc<TcpListener>> {
        Some(self.server?.retire().await)
    }

    /// Moves to another address, when the config is known. The new one is bound before the old one is closed, unless they share the port: then the kernel
    /// allows only one, and the old one is bound again if the new one cannot be bound.
    pub async fn move_to(&mut self, address: SocketAddr) -> Result<SocketAddr, BindError> {
        if self.is_at(address) {
            return Ok(self.local);
        }
        let endpoint = match Endpoint::bind(address) {
            Err(error) if error.class() == ErrorClass::Transient && address.port() == self.local.port() => {
                if let Some(server) = self.server.take() {
                    server.close().await;
                }
                match Endpoint::bind(address) {
                    Ok(endpoint) => endpoint,
                    Err(error) => {
                        match Endpoint::bind(self.local) {
                            Ok(former) => *self = former.serve(self.published.clone()),
                            Err(lost) => {
                                tracing::error!(error = %lost, "cannot bind the former address again: the readiness endpoint is closed until the next attempt")
                            }
                        }
                        return Err(error);
                    }
                }
            }
            bound => bound?,
        };
        *self = endpoint.serve(self.published.clone());
        Ok(self.local)
    }
}

/// The response to a request, from what is published.
pub fn answer<B>(request: &Request<B>, published: &Published) -> Response<Body> {
    let page: fn(&Published) -> Response<Body> = match request.uri().path() {
        "/ready" => ready,
        "/live" => |_| whole(StatusCode::OK, "application/json", "{\"status\":\"ok\"}\n"),
        "/version" => version,
        "/metrics" => |published| whole(StatusCode::OK, metrics::CONTENT_TYPE, metrics::render(published)),
        _ => {
            return sentence(
                StatusCode::NOT_FOUND,
                "not found: this endpoint has /ready, /live, /version and /metrics",
            );
        }
    };
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut refusal = sentence(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD");
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    page(published)
}

/// `/ready`, its fields in the order of reading.
#[derive(Serialize)]
struct Ready<'a> {
    status: Status,
    version: Option<&'a str>,
    phase: PhaseName,
    reason: &'static str,
}

fn ready(published: &Published) -> Response<Body> {
    let view = &published.view;
    let status = if view.status == Status::Ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let version = view.version.as_deref();
    json(status, &Ready { status: view.status, version, phase: view.phase, reason: view.ready_reason.sentence() })
}

/// `/version`
#[derive(Serialize)]
struct Version<'a> {
    image: Option<&'a str>,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
    version: Option<&'a str>,
    agent_version: &'a str,
    instance_id: Option<&'a str>,
    since: &'a str,
}

fn version(published: &Published) -> Response<Body> {
    let view = &published.view;
    let page = Version {
        image: view.image.as_deref(),
        tag: published.tag(),
        digest: view.digest.as_deref(),
        version: view.version.as_deref(),
        agent_version: &published.agent_version,
        instance_id: view.instance_id.as_deref(),
        since: &published.started_at,
    };
    json(StatusCode::OK, &page)
}

#[cfg(test)]
mod tests;
