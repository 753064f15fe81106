//! The readiness endpoint that load balancers ask: `/ready`, `/live`, `/version`, `/metrics`.
//!
//! It answers from memory and is bound before the boot begins, so a probe is never refused. It shows no secret, no
//! environment and no config value but the image; it takes GET and HEAD, and reads no body.
//!
//! With the listener of the agent before it, it goes on with what that agent said: who asks `/ready` before the app that
//! runs on was found again waits for that, a moment and no longer, instead of hearing of a start that is none.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::ALLOW;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde::Serialize;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::edge::http_server::{Body, Limits, Server, json, sentence, whole};
use crate::fault::Class;
use crate::metrics;
use crate::published::Published;
use crate::view::{PhaseName, Status};

/// Seven seconds, and not five: load balancers ask every 5, 6, 10, 15 or 30 seconds, and a connection that is kept alive
/// must not end in the very moment of the next question.
const LIMITS: Limits = Limits {
    connections: 256,
    head: Duration::from_secs(7),
    life: Some(Duration::from_secs(120)),
    last_question: Some(Duration::from_millis(100)),
};

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: u32 = 1024;

/// For the app of the agent before this one to be found again. Shorter than the shortest timeout of a load balancer's
/// health check, which is 2 s.
const FOUND_AGAIN: Duration = Duration::from_secs(1);

/// An address that is bound; connections wait in its backlog.
#[derive(Debug)]
pub struct Endpoint {
    asked: SocketAddr,
    local: SocketAddr,
    listener: TcpListener,
    /// Until when `/ready` waits for the end of the start.
    patience: Option<Instant>,
}

/// The endpoint at work. Dropped, it stops.
#[derive(Debug)]
pub struct Serving {
    asked: SocketAddr,
    local: SocketAddr,
    server: Option<Server<TcpListener>>,
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
            Ok(Self { asked: address, local: listener.local_addr()?, listener, patience: None })
        };
        bind().map_err(|source| BindError { address, source })
    }

    /// Go on with the listener of the agent before this one. Needs a runtime.
    #[expect(clippy::disallowed_methods, reason = "how long an answer may wait is the edge's own time")]
    pub fn inherit(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let local = listener.local_addr()?;
        let patience = Some(Instant::now() + FOUND_AGAIN);
        Ok(Self { asked: local, local, listener: TcpListener::from_std(listener)?, patience })
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
            let mut state = state.clone();
            async move {
                if let (Some(until), "/ready") = (self.patience, request.uri().path()) {
                    let over = state.wait_for(|published| published.view.status != Status::Starting);
                    let _ = timeout_at(until, over).await.is_ok();
                }
                answer(&request, &state.borrow())
            }
        });
        Serving { asked: self.asked, local: self.local, server: Some(server), published }
    }
}

impl Serving {
    /// Where it really listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Whether it is where this address asks it to be. Any port will do for port 0.
    pub fn is_at(&self, address: SocketAddr) -> bool {
        let any_port = address.port() == 0 && address.ip() == self.local.ip();
        self.server.is_some() && (any_port || address == self.asked || address == self.local)
    }

    /// What it listens on.
    pub fn listener(&self) -> Option<&TcpListener> {
        self.server.as_ref().map(Server::listener)
    }

    /// Answer nobody any more, but keep the address; none if it is lost.
    pub async fn retire(self) -> Option<Arc<TcpListener>> {
        Some(self.server?.retire().await)
    }

    /// Move to another address, once the config is known. The new one is bound before the old one is left, unless they
    /// share the port: then the kernel allows only one, and the old one is taken back if the new one cannot be had.
    pub async fn move_to(&mut self, address: SocketAddr) -> Result<SocketAddr, BindError> {
        if self.is_at(address) {
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
                        match Endpoint::bind(self.local) {
                            Ok(former) => *self = former.serve(self.published.clone()),
                            Err(lost) => tracing::error!(error = %lost, "nothing answers until the next try"),
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
        "/live" => |_| whole(StatusCode::OK, "application/json", "{\"status\":\"ok\"}\n"),
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

/// `/ready`, its fields in the order that people read them in.
#[derive(Serialize)]
struct Ready<'a> {
    status: Status,
    version: Option<&'a str>,
    phase: PhaseName,
    reason: &'a str,
}

fn ready(published: &Published) -> Response<Body> {
    let view = &published.view;
    let status = if view.status == Status::Ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let version = view.version.as_deref();
    json(status, &Ready { status: view.status, version, phase: view.phase, reason: &view.reason })
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
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::time::timeout;

    use super::*;
    use crate::view::View;

    /// Far longer than anything here takes, and shorter than anybody's patience.
    const BOUND: Duration = Duration::from_secs(20);

    fn published(status: Status) -> Published {
        let view = View {
            status,
            phase: PhaseName::Serve,
            reason: "the app is well".into(),
            image: Some("registry.example/ap-api:v7".into()),
            version: Some("v7".into()),
            ..View::default()
        };
        Published { view, agent_version: "0.1.0".into(), ..Published::default() }
    }

    fn start(limits: Limits) -> (Serving, watch::Sender<Arc<Published>>) {
        let (sender, receiver) = watch::channel(Arc::new(published(Status::Starting)));
        let endpoint = Endpoint::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        assert_ne!(endpoint.local_addr().port(), 0);
        (endpoint.serve_within(limits, receiver), sender)
    }

    /// Says `request` and hears everything until the connection ends.
    async fn talk(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        hear(&mut stream).await
    }

    async fn hear(stream: &mut TcpStream) -> String {
        let mut heard = Vec::new();
        // A reset is an end too.
        let _ = timeout(BOUND, stream.read_to_end(&mut heard)).await.expect("the connection ends");
        String::from_utf8(heard).unwrap()
    }

    async fn ask(address: SocketAddr, method: &str, path: &str) -> String {
        talk(address, &format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await
    }

    #[tokio::test]
    async fn ready_turns_200_with_the_status_and_back() {
        let (serving, sender) = start(LIMITS);
        let before = ask(serving.local_addr(), "GET", "/ready").await;
        assert!(before.starts_with("HTTP/1.1 503 "), "{before}");
        sender.send_replace(Arc::new(published(Status::Ok)));
        let ready = ask(serving.local_addr(), "GET", "/ready?from=lb").await;
        assert!(ready.starts_with("HTTP/1.1 200 "), "{ready}");
        assert!(ready.to_lowercase().contains("cache-control: no-store\r\n"), "{ready}");
        let body: serde_json::Value = serde_json::from_str(ready.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!(
            body,
            serde_json::json!({"status": "ok", "version": "v7", "phase": "serve", "reason": "the app is well"})
        );
        for status in [Status::Unhealthy, Status::Draining, Status::Standby, Status::Warm, Status::Failed] {
            sender.send_replace(Arc::new(published(status)));
            assert!(ask(serving.local_addr(), "GET", "/ready").await.starts_with("HTTP/1.1 503 "), "{status:?}");
        }
    }

    #[tokio::test]
    async fn the_other_pages_answer_whatever_the_status() {
        let (serving, _sender) = start(LIMITS);
        let address = serving.local_addr();
        assert!(ask(address, "GET", "/live").await.starts_with("HTTP/1.1 200 "));
        assert!(ask(address, "GET", "/version").await.contains("\"tag\":\"v7\""));
        assert!(ask(address, "GET", "/metrics").await.contains("\nberth_ready 0\n"));
        assert!(ask(address, "GET", "/v1/status").await.starts_with("HTTP/1.1 404 "));
    }

    #[tokio::test]
    async fn head_is_get_without_the_body_and_nothing_else_is_taken() {
        let (serving, _sender) = start(LIMITS);
        let head = ask(serving.local_addr(), "HEAD", "/ready").await;
        assert!(head.starts_with("HTTP/1.1 503 ") && head.ends_with("\r\n\r\n"), "{head}");
        let post = ask(serving.local_addr(), "POST", "/ready").await;
        assert!(post.starts_with("HTTP/1.1 405 ") && post.to_lowercase().contains("allow: get, head"), "{post}");
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_not_waited_for() {
        let (serving, _sender) = start(LIMITS);
        let answer =
            talk(serving.local_addr(), "GET /live HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\nx").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }

    #[tokio::test]
    async fn pipelined_requests_are_answered_in_their_order() {
        let (serving, _sender) = start(LIMITS);
        let answers = talk(
            serving.local_addr(),
            "GET /live HTTP/1.1\r\nHost: x\r\n\r\nGET /ready HTTP/1.1\r\nHost: x\r\n\r\nGET /no HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        )
        .await;
        let codes: Vec<_> = answers.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
        assert_eq!(codes, ["200", "503", "404"]);
    }

    #[tokio::test]
    async fn a_head_that_comes_too_slowly_is_cut() {
        let (serving, _sender) = start(Limits { head: Duration::from_millis(50), ..LIMITS });
        let answer = talk(serving.local_addr(), "GET /ready HTTP/1.1\r\nHost: x\r\nX-Slow: ").await;
        assert!(!answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }

    #[tokio::test]
    async fn a_head_that_is_too_long_is_refused() {
        let (serving, _sender) = start(LIMITS);
        let long = "a".repeat(100_000);
        let mut stream = TcpStream::connect(serving.local_addr()).await.unwrap();
        // The other side may hang up before it has everything.
        let _ = stream.write_all(format!("GET /live HTTP/1.1\r\nHost: x\r\nX-Long: {long}\r\n\r\n").as_bytes()).await;
        let mut answer = Vec::new();
        let _ = timeout(BOUND, stream.read_to_end(&mut answer)).await.expect("the connection ends");
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431 "), "{}", String::from_utf8_lossy(&answer));
    }

    #[tokio::test]
    async fn garbage_does_no_harm() {
        let (serving, _sender) = start(LIMITS);
        for garbage in
            ["\0\u{1}\u{2}\r\n\r\n", "GET\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET /live HTTP/9.9\r\n\r\n"]
        {
            let answer = talk(serving.local_addr(), garbage).await;
            assert!(!answer.starts_with("HTTP/1.1 200 "), "{garbage:?} got {answer}");
        }
        assert!(ask(serving.local_addr(), "GET", "/live").await.starts_with("HTTP/1.1 200 "));
    }

    #[tokio::test]
    async fn a_client_that_hoards_connections_pushes_out_itself() {
        let (serving, _sender) = start(LIMITS);
        let address = serving.local_addr();
        // The load balancer comes first, from another address, and is the oldest of all.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let mut balancer = socket.connect(address).await.unwrap();
        let mut hoard = Vec::new();
        for _ in 0..300 {
            hoard.push(TcpStream::connect(address).await.unwrap());
        }
        // The oldest of the hoard are the ones that are cut.
        assert_eq!(hear(&mut hoard[0]).await, "");
        assert!(ask(address, "GET", "/live").await.starts_with("HTTP/1.1 200 "));
        balancer.write_all(b"GET /ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        assert!(hear(&mut balancer).await.starts_with("HTTP/1.1 503 "));
        assert!(hoard[299].try_read(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock));
    }

    #[tokio::test]
    async fn a_connection_is_told_to_close_before_it_is_cut() {
        let hour = Duration::from_secs(3600);
        let (serving, _sender) = start(Limits { life: Some(Duration::from_millis(500)), head: hour, ..LIMITS });
        let mut stream = TcpStream::connect(serving.local_addr()).await.unwrap();
        let mut answer = String::new();
        let mut answers = 0;
        while !answer.contains("connection: close") {
            stream.write_all(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
            let mut heard = vec![0; 1024];
            let length = timeout(BOUND, stream.read(&mut heard)).await.unwrap().unwrap();
            answer = String::from_utf8_lossy(&heard[..length]).to_lowercase();
            assert!(answer.starts_with("http/1.1 200 "), "{answer}");
            answers += 1;
        }
        assert!(answers > 1, "a young connection is kept");
        assert_eq!(hear(&mut stream).await, "");

        let endless = talk(serving.local_addr(), "GET /live HTTP/1.1\r\nX-Slow: ").await;
        assert_eq!(endless, "");
    }

    #[tokio::test]
    async fn moving_binds_the_new_address_before_the_old_one_is_left() {
        let (mut serving, _sender) = start(LIMITS);
        let first = serving.local_addr();
        assert_eq!(serving.move_to(first).await.unwrap(), first);

        let second = serving.move_to("127.0.0.2:0".parse().unwrap()).await.unwrap();
        assert_ne!(second, first);
        assert!(ask(second, "GET", "/live").await.starts_with("HTTP/1.1 200 "));
        gone(first).await;

        // Asked again for port 0, it is where it was asked to be.
        assert_eq!(serving.move_to("127.0.0.2:0".parse().unwrap()).await.unwrap(), second);
    }

    #[tokio::test]
    async fn moving_to_all_addresses_of_the_same_port_and_back_works() {
        let (mut serving, _sender) = start(LIMITS);
        let port = serving.local_addr().port();
        let everywhere = serving.move_to(SocketAddr::new([0, 0, 0, 0].into(), port)).await.unwrap();
        assert_eq!(everywhere.to_string(), format!("0.0.0.0:{port}"));
        assert!(ask(SocketAddr::new([127, 0, 0, 3].into(), port), "GET", "/live").await.starts_with("HTTP/1.1 200 "));
    }

    #[tokio::test]
    async fn the_old_address_is_taken_back_when_the_new_one_of_its_port_cannot_be_had() {
        // Somebody else has the port on another address, so all addresses together cannot be had.
        let other = std::net::TcpListener::bind("127.0.0.9:0").unwrap();
        let port = other.local_addr().unwrap().port();
        let here = SocketAddr::new([127, 0, 0, 8].into(), port);
        let (_sender, receiver) = watch::channel(Arc::default());
        let mut serving = Endpoint::bind(here).unwrap().serve(receiver);
        let error = serving.move_to(SocketAddr::new([0, 0, 0, 0].into(), port)).await.unwrap_err();
        assert_eq!(error.class(), Class::Transient);
        assert_eq!(serving.local_addr(), here);
        assert!(ask(here, "GET", "/live").await.starts_with("HTTP/1.1 200 "));
    }

    /// An endpoint on a listener of another, whose queue is open.
    fn inherit() -> (Serving, watch::Sender<Arc<Published>>) {
        let (sender, receiver) = watch::channel(Arc::new(published(Status::Starting)));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        (Endpoint::inherit(listener).unwrap().serve(receiver), sender)
    }

    #[tokio::test]
    async fn an_inherited_endpoint_waits_with_ready_for_the_end_of_the_start() {
        let (serving, sender) = inherit();
        let address = serving.local_addr();
        let found = async {
            assert!(ask(address, "GET", "/live").await.starts_with("HTTP/1.1 200 "));
            sender.send_replace(Arc::new(published(Status::Ok)));
        };
        let (answer, ()) = tokio::join!(ask(address, "GET", "/ready"), found);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }

    #[tokio::test]
    async fn an_inherited_endpoint_does_not_wait_for_long() {
        let (serving, _sender) = inherit();
        assert!(ask(serving.local_addr(), "GET", "/ready").await.starts_with("HTTP/1.1 503 "));
    }

    #[tokio::test]
    async fn a_retired_endpoint_answers_who_is_there_and_keeps_its_queue() {
        let (serving, sender) = start(Limits { head: Duration::from_secs(3600), ..LIMITS });
        sender.send_replace(Arc::new(published(Status::Ok)));
        let address = serving.local_addr();
        let question = b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n";
        let mut early = TcpStream::connect(address).await.unwrap();
        // It has been accepted when another that came after it was answered.
        assert!(ask(address, "GET", "/live").await.starts_with("HTTP/1.1 200 "));
        let ask_late = async {
            early.write_all(question).await.unwrap();
            hear(&mut early).await
        };
        let (kept, answer) = tokio::join!(serving.retire(), ask_late);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.to_lowercase().contains("connection: close\r\n"), "{answer}");

        let mut late = TcpStream::connect(address).await.unwrap();
        late.write_all(question).await.unwrap();
        let listener = Arc::into_inner(kept.unwrap()).unwrap().into_std().unwrap();
        let (_sender, receiver) = watch::channel(Arc::new(published(Status::Ok)));
        let next = Endpoint::inherit(listener).unwrap().serve_within(LIMITS, receiver);
        assert_eq!(next.local_addr(), address);
        let mut heard = [0; 12];
        timeout(BOUND, late.read_exact(&mut heard)).await.unwrap().unwrap();
        assert_eq!(&heard, b"HTTP/1.1 200");
    }

    #[tokio::test]
    async fn a_slow_client_does_not_keep_an_endpoint_from_retiring() {
        let (serving, _sender) = start(Limits { head: Duration::from_secs(3600), ..LIMITS });
        let mut slow = TcpStream::connect(serving.local_addr()).await.unwrap();
        slow.write_all(b"GET /live HTTP/1.1\r\nHost: ").await.unwrap();
        assert!(ask(serving.local_addr(), "GET", "/live").await.starts_with("HTTP/1.1 200 "));
        assert!(timeout(BOUND, serving.retire()).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn an_inherited_endpoint_is_where_its_config_asks_for_it() {
        let (mut serving, _sender) = inherit();
        let address = serving.local_addr();
        assert_eq!(serving.move_to(address).await.unwrap(), address);
        assert_eq!(serving.move_to("127.0.0.1:0".parse().unwrap()).await.unwrap(), address, "any port will do");
        assert_ne!(serving.move_to("127.0.0.2:0".parse().unwrap()).await.unwrap(), address);
        gone(address).await;
    }

    #[tokio::test]
    async fn an_address_that_cannot_be_had_leaves_the_endpoint_where_it_is() {
        let (mut serving, _sender) = start(LIMITS);
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let error = serving.move_to(taken.local_addr().unwrap()).await.unwrap_err();
        assert_eq!(error.class(), Class::Transient);
        let error = serving.move_to("192.0.2.1:9911".parse().unwrap()).await.unwrap_err();
        assert_eq!(error.class(), Class::Misconfigured);
        assert_eq!(error.to_string(), "cannot listen on 192.0.2.1:9911 (`listen`)");
        assert!(ask(serving.local_addr(), "GET", "/live").await.starts_with("HTTP/1.1 200 "));
    }

    #[tokio::test]
    async fn a_dropped_endpoint_finishes_and_frees_its_address() {
        let (serving, _sender) = start(Limits { head: Duration::from_secs(3600), ..LIMITS });
        let address = serving.local_addr();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut first = [0; 1];
        stream.read_exact(&mut first).await.unwrap();
        drop(serving);
        // The idle connection is ended, not reset.
        assert!(hear(&mut stream).await.starts_with("TTP/1.1 503 "));
        gone(address).await;
    }

    async fn gone(address: SocketAddr) {
        let refused = async { while TcpStream::connect(address).await.is_ok() {} };
        timeout(BOUND, refused).await.expect("the address is left");
    }
}
