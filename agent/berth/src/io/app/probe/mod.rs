//! Probes once whether the app is healthy, in the way that the config says.
//!
//! The container's own address is probed, never a published port: the engine's proxy accepts connections there even if no process listens behind it.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use berth_config::{HttpProbe, ProbeMethod};
use berth_core::message::container::{Address, RunningContainer};
use berth_core::message::error::JobError;
use berth_core::message::probe_failure::{ProbeFailure, ProbeFailureKind as Kind};
use http::{Request, Uri, header};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::io::docker::{Engine, EngineError};
use crate::io::http::one_shot;

mod tls;

/// For each of three attempts to connect, 300 ms in all; the kernel at the other end of a virtual cable needs well below a millisecond. The first packet
/// to a bridge port that just came up can be lost, and would be sent again only after a second (RFC 6298): another connection is faster.
const CONNECT: [Duration; 3] = [Duration::from_millis(30), Duration::from_millis(90), Duration::from_millis(180)];
/// Bytes of an answer's body that are read.
const POLITE: usize = 64 * 1024;

/// Probes once. `first_port`: the first TCP port of the container. The error says why the app is not healthy.
pub async fn probe(
    engine: &Engine,
    app: &RunningContainer,
    how: &ProbeMethod,
    first_port: Option<u16>,
    http: &HttpProbe,
    timeout: Duration,
) -> Result<(), ProbeFailure> {
    let asked = async {
        match how {
            ProbeMethod::Path(path) => Target::own(own_address(app, first_port)?, false, path).ask(http).await,
            ProbeMethod::Port { tls, port, path } => {
                Target::own(own_address(app, Some(*port))?, *tls, path).ask(http).await
            }
            ProbeMethod::Url(url) => Target::of_url(url)?.ask(http).await,
            ProbeMethod::Tcp(port) => connect(own_address(app, port.or(first_port))?).await.map(drop),
            ProbeMethod::Cmd(command) => exec(engine, app, command, timeout).await,
            ProbeMethod::Docker => {
                let missing = || ProbeFailure::new(Kind::NoHealthcheck, "the image has no HEALTHCHECK");
                let own = app.healthcheck.as_ref().ok_or_else(missing)?;
                exec(engine, app, &own.command, timeout).await
            }
            ProbeMethod::None => Ok(()),
        }
    };
    // A command has its own timeout, after which it must be killed.
    if let ProbeMethod::Cmd(_) | ProbeMethod::Docker = how {
        return asked.await;
    }
    let late = || Err(ProbeFailure::new(Kind::TimedOut, format!("no answer within {} s", timeout.as_secs_f32())));
    tokio::time::timeout(timeout, asked).await.unwrap_or_else(|_| late())
}

fn own_address(app: &RunningContainer, port: Option<u16>) -> Result<SocketAddr, ProbeFailure> {
    let address = match app.address {
        Address::At(address) => address,
        Address::Never => {
            let reason = "the container has no address of its own; probe it with health=cmd:…";
            return Err(ProbeFailure::new(Kind::NoAddress, reason));
        }
        Address::NotNow => {
            return Err(ProbeFailure::new(Kind::NotRunning, "the container does not run, or is on no network"));
        }
    };
    let port = port.ok_or_else(|| ProbeFailure::new(Kind::NoPort, "the config has no TCP port to probe"))?;
    Ok(SocketAddr::new(address, port))
}

async fn connect(at: SocketAddr) -> Result<TcpStream, ProbeFailure> {
    for limit in CONNECT {
        if let Ok(connected) = tokio::time::timeout(limit, TcpStream::connect(at)).await {
            return connected.map_err(|error| {
                let kind = if error.kind() == ErrorKind::ConnectionRefused { Kind::Refused } else { Kind::Unreachable };
                ProbeFailure::new(kind, format!("{at}: {}", error.kind()))
            });
        }
    }
    let limit = CONNECT.iter().sum::<Duration>().as_millis();
    Err(ProbeFailure::new(Kind::TimedOut, format!("{at}: no connection within {limit} ms")))
}

/// The target of an HTTP probe.
struct Target {
    at: SocketAddr,
    tls: bool,
    /// For the Host header.
    host: String,
    path: String,
}

impl Target {
    /// The container's own address.
    fn own(at: SocketAddr, tls: bool, path: &str) -> Self {
        Self { at, tls, host: at.to_string(), path: path.to_owned() }
    }

    /// The target of a URL of the config, an IP address or `localhost` of this host: a health check that needs DNS would fail with it.
    fn of_url(url: &str) -> Result<Self, ProbeFailure> {
        let invalid = |reason: String| ProbeFailure::new(Kind::InvalidTarget, reason);
        let uri: Uri = url.parse().map_err(|_| invalid(format!("{url} is not a URL")))?;
        let (tls, authority) = match (uri.scheme_str(), uri.authority()) {
            (Some("http"), Some(authority)) => (false, authority),
            (Some("https"), Some(authority)) => (true, authority),
            _ => return Err(invalid(format!("{url} is not an http:// or https:// URL"))),
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let address = match host {
            "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            _ => host.parse().map_err(|_| invalid(format!("{host} is neither an IP address nor localhost")))?,
        };
        let at = SocketAddr::new(address, authority.port_u16().unwrap_or(if tls { 443 } else { 80 }));
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self { at, tls, host: authority.as_str().to_owned(), path: path.to_owned() })
    }

    async fn ask(&self, http: &HttpProbe) -> Result<(), ProbeFailure> {
        let host = http.host.as_deref().unwrap_or(&self.host);
        let stream = connect(self.at).await?;
        let status = if self.tls {
            self.get(host, tls::handshake(self.at, host, stream).await?).await?
        } else {
            self.get(host, stream).await?
        };
        if http.expect.has(status) {
            return Ok(());
        }
        let reason = format!("{} answers {status}, expected {}", self.path, http.expect);
        Err(ProbeFailure::new(Kind::Status, reason))
    }

    /// One GET, and the status of its response; a redirect is not followed.
    async fn get<S>(&self, host: &str, stream: S) -> Result<u16, ProbeFailure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let request = Request::get(&self.path)
            .header(header::HOST, host)
            .header(header::USER_AGENT, concat!("berth/", env!("CARGO_PKG_VERSION")))
            .header(header::CONNECTION, "close")
            .body(Full::default())
            .map_err(|_| {
                let reason = format!("{} is not a valid path", self.path);
                ProbeFailure::new(Kind::InvalidTarget, reason)
            })?;
        let answer =
            one_shot::send_on_any(TokioIo::new(stream), request).await.map_err(|error| self.not_http(&error))?;
        let status = answer.status().as_u16();
        // Read so that the app can write its answer to the end. Whatever it is, the status counts.
        let _ = one_shot::read(answer.into_body(), POLITE).await;
        Ok(status)
    }

    fn not_http(&self, error: &hyper::Error) -> ProbeFailure {
        if let Some(failure) = tls::later(self.at, error) {
            return failure;
        }
        let hint = if self.tls { "" } else { "; for an app that listens with TLS write `health=https:PORT/path`" };
        ProbeFailure::new(Kind::NotHttp, format!("the response of {} is not HTTP: {error}{hint}", self.at))
    }
}

async fn exec(
    engine: &Engine,
    app: &RunningContainer,
    command: &[String],
    timeout: Duration,
) -> Result<(), ProbeFailure> {
    let program = command.first().map_or("", String::as_str);
    let failed = |kind, reason: String| Err(ProbeFailure::new(kind, reason));
    match engine.exec(app, command, timeout).await {
        Ok(0) => Ok(()),
        // The engine, berth's shim and a shell all use these codes.
        Ok(code @ (126 | 127)) => failed(
            Kind::CommandNotFound,
            format!(
                "{program} exits with {code}: it, or a program that it runs, is not in the container or not executable"
            ),
        ),
        Ok(code) => failed(Kind::CommandFailed, format!("{program} exits with {code}")),
        Err(error) => {
            let kind = match &error {
                EngineError::TooLong(_) => Kind::TimedOut,
                _ => Kind::Engine,
            };
            failed(kind, format!("{program}: {}", JobError::from_error(error.class(), &error)))
        }
    }
}
