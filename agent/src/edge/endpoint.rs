//! The readiness endpoint that load balancers ask: `/ready`, `/live`, `/version`, `/metrics`.
//!
//! It answers from memory and is bound before the boot begins, so a probe is never refused. It shows no secret, no
//! environment and no config value but the image; it takes GET and HEAD, and reads no body.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::ALLOW;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde_json::json;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;

use crate::edge::http_server::{Body, Limits, Server, json, sentence, whole};
use crate::fault::Class;
use crate::metrics;
use crate::published::Published;
use crate::view::Status;

/// Seven seconds, and not five: load balancers ask every 5, 6, 10, 15 or 30 seconds, and a connection that is kept alive
/// must not end in the very moment of the next question.
const LIMITS: Limits = Limits { connections: 256, head: Duration::from_secs(7), life: Some(Duration::from_secs(120)) };

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: u32 = 1024;

/// An address that is bound; connections wait in its backlog.
#[derive(Debug)]
pub struct Endpoint {
    asked: SocketAddr,
    local: SocketAddr,
    listener: TcpListener,
}

/// The endpoint at work. Dropped, it stops.
#[derive(Debug)]
pub struct Serving {
    asked: SocketAddr,
    local: SocketAddr,
    server: Option<Server>,
    published: watch::Receiver<Arc<Published>>,
}

/// The address cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} (`listen`)")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    source: io::Error,
}

impl BindError {
    /// What to do about it: an address in use may be let go of, one that is not this host's never becomes so.
    pub fn class(&self) -> Class {
        match self.source.kind() {
            io::ErrorKind::AddrInUse => Class::Transient,
            _ => Class::Misconfigured,
        }
    }
}

impl Endpoint {
    /// Take the address. Needs a runtime.
    pub fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let bind = || {
            let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            // Connections of a former agent in TIME_WAIT must not keep the next one from its port.
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            let listener = socket.listen(BACKLOG)?;
            Ok(Self { asked: address, local: listener.local_addr()?, listener })
        };
        bind().map_err(|source| BindError { address, source })
    }

    /// Where it really listens, which tells the port if 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Answer from what is published.
    pub fn serve(self, published: watch::Receiver<Arc<Published>>) -> Serving {
        self.serve_within(LIMITS, published)
    }

    fn serve_within(self, limits: Limits, published: watch::Receiver<Arc<Published>>) -> Serving {
        let state = published.clone();
        let server = Server::start(self.listener, limits, move |request| {
            let response = answer(&request, &state.borrow());
            async move { response }
        });
        Serving { asked: self.asked, local: self.local, server: Some(server), published }
    }
}

impl Serving {
    /// Where it really listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Move to another address, once the config is known. The new one is bound before the old one is left, unless they
    /// share the port: then the kernel allows only one, and the old one is taken back if the new one cannot be had.
    pub async fn move_to(&mut self, address: SocketAddr) -> Result<SocketAddr, BindError> {
        if address == self.asked || address == self.local {
            return Ok(self.local);
        }
        let endpoint = match Endpoint::bind(address) {
            Err(error) if error.class() == Class::Transient && address.port() == self.local.port() => {
                if let Some(server) = self.server.take() {
                    server.close().await;
                }
                match Endpoint::bind(address) {
                    Ok(endpoint) => endpoint,
                    Err(error) => {
                        if let Ok(former) = Endpoint::bind(self.local) {
                            *self = former.serve(self.published.clone());
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

fn answer<B>(request: &Request<B>, published: &Published) -> Response<Body> {
    let page: fn(&Published) -> Response<Body> = match request.uri().path() {
        "/ready" => ready,
        "/live" => |_| json(StatusCode::OK, &json!({ "status": "ok" })),
        "/version" => version,
        "/metrics" => |published| whole(StatusCode::OK, metrics::CONTENT_TYPE, metrics::render(published)),
        _ => return sentence(StatusCode::NOT_FOUND, "there are /ready, /live, /version and /metrics"),
    };
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut refusal = sentence(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD");
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    page(published)
}

fn ready(published: &Published) -> Response<Body> {
    let view = &published.view;
    let status = if view.status == Status::Ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let page = json!({
        "status": view.status, "version": view.version, "phase": view.phase, "reason": view.reason,
    });
    json(status, &page)
}

fn version(published: &Published) -> Response<Body> {
    let view = &published.view;
    let page = json!({
        "image": view.image, "version": view.version, "tag": published.tag(), "digest": view.digest,
        "agent_version": published.agent_version, "instance_id": view.instance_id, "since": published.started_at,
    });
    json(StatusCode::OK, &page)
}
