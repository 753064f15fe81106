//! Asking the app once whether it is well, in the way that the config says.
//!
//! Its own address is asked, never a published port: the engine's proxy accepts there even if nobody listens behind it.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::config::Health;
use crate::edge::engine::{Engine, EngineError};
use crate::effect::{Address, RunningContainer};
use crate::fault::Fault;
use crate::probe_failure::{ProbeFailure, ProbeFailureKind as Kind};

/// For the kernel on the other end of a virtual cable to take a connection, which needs well below a millisecond; 300 ms in
/// all. The first packet to a bridge port that just came up can be lost, and would be sent again only after a second (RFC
/// 6298): another connection is sooner.
const CONNECT: [Duration; 3] = [Duration::from_millis(30), Duration::from_millis(90), Duration::from_millis(180)];
/// So much of an answer's body is read out of politeness.
const POLITE: usize = 64 * 1024;

/// Asks once. `first_port`: the first TCP port of the container. The answer is why the app is not healthy.
pub async fn probe(
    engine: &Engine,
    app: &RunningContainer,
    how: &Health,
    first_port: Option<u16>,
    timeout: Duration,
) -> Result<(), ProbeFailure> {
    let asked = async {
        match how {
            Health::Path(path) => {
                let at = own_address(app, first_port)?;
                get(at, &at.to_string(), path).await
            }
            Health::Url(url) => {
                let (at, host, path) = target(url)?;
                get(at, &host, &path).await
            }
            Health::Tcp(port) => connect(own_address(app, port.or(first_port))?).await.map(drop),
            Health::Cmd(command) => exec(engine, app, command, timeout).await,
            Health::Docker => {
                let missing = || ProbeFailure::new(Kind::NoHealthcheck, "the image has no HEALTHCHECK");
                let own = app.healthcheck.as_ref().ok_or_else(missing)?;
                exec(engine, app, &own.command, timeout).await
            }
            Health::None => Ok(()),
        }
    };
    // A command has its own timeout, after which there is something to clean up.
    if let Health::Cmd(_) | Health::Docker = how {
        return asked.await;
    }
    let late = || Err(ProbeFailure::new(Kind::TimedOut, format!("no answer within {} s", timeout.as_secs_f32())));
    tokio::time::timeout(timeout, asked).await.unwrap_or_else(|_| late())
}

fn own_address(app: &RunningContainer, port: Option<u16>) -> Result<SocketAddr, ProbeFailure> {
    let address = match app.address {
        Address::At(address) => address,
        Address::Never => {
            let reason = "the container has no address of its own; ask it with health=cmd:…";
            return Err(ProbeFailure::new(Kind::NoAddress, reason));
        }
        Address::NotNow => {
            return Err(ProbeFailure::new(Kind::NotRunning, "the container does not run, or is on no network"));
        }
    };
    let port = port.ok_or_else(|| ProbeFailure::new(Kind::NoPort, "the config has no TCP port to ask"))?;
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

/// One GET; 200 to 399 is well, a redirect is not followed.
async fn get(at: SocketAddr, host: &str, path: &str) -> Result<(), ProbeFailure> {
    let stream = connect(at).await?;
    let broken = |error: hyper::Error| ProbeFailure::new(Kind::NotHttp, format!("{at} speaks no HTTP: {error}"));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let request = Request::get(path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, concat!("berth/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|_| ProbeFailure::new(Kind::InvalidTarget, format!("{path} is no path that can be asked for")))?;
    let exchange = async {
        let answer = sender.send_request(request).await.map_err(broken)?;
        let status = answer.status();
        let mut body = answer.into_body();
        let mut read = 0;
        while read < POLITE
            && let Some(Ok(frame)) = body.frame().await
        {
            read += frame.data_ref().map_or(0, Bytes::len);
        }
        match status.as_u16() {
            200..=399 => Ok(()),
            code => Err(ProbeFailure::new(Kind::Status, format!("{path} answers {code}"))),
        }
    };
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        // The connection may end before the answer was looked at.
        _ = connection => exchange.await,
    }
}

/// Where an address of the config leads: the socket, the Host header and the path. As the host sees it, so by number or
/// `localhost`: a health check that needs the DNS would fail with it.
fn target(url: &str) -> Result<(SocketAddr, String, String), ProbeFailure> {
    let invalid = |reason: String| ProbeFailure::new(Kind::InvalidTarget, reason);
    let uri: Uri = url.parse().map_err(|_| invalid(format!("{url} is no address")))?;
    let (Some("http"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(invalid(format!("{url} is no http:// address")));
    };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let address = match host {
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        _ => host.parse().map_err(|_| invalid(format!("{host} is neither an IP address nor localhost")))?,
    };
    let at = SocketAddr::new(address, authority.port_u16().unwrap_or(80));
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    Ok((at, authority.as_str().to_owned(), path.to_owned()))
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
        // From the engine, from berth's shim and from a shell alike.
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
            failed(kind, format!("{program}: {}", Fault::from_error(error.class(), &error)))
        }
    }
}
