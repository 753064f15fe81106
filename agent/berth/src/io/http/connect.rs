//! One connection, ready for requests: directly to the host or through a proxy, with TLS where the scheme says so.
//!
//! ```text
//!   https://  directly   TCP ── TLS(host)
//!             proxied    TCP ── [TLS(proxy)] ── CONNECT ── TLS(host)
//!   http://   directly   TCP
//!             proxied    TCP ── [TLS(proxy)], requests in absolute form
//! ```
//! The tunnel is asked for with hyper's own client: it tells the proxy's status, which hyper-util's `Tunnel` keeps for itself.

use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use berth_core::message::error::{ErrorClass, find};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::client::proxy::matcher::Intercept;
use thiserror::Error;
use tower_service::Service;

use super::proxy::{Proxies, is_https};
use super::trust::{Trust, TrustError};
use crate::io::http::dns::{DnsError, Resolver};

type BoxError = Box<dyn StdError + Send + Sync>;
type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;
/// What the client sends its requests on.
pub(super) type Stream = MaybeHttpsStream<Io>;

/// Why a proxy did not let a request through. `proxy` is its URL, without user and password.
#[derive(Clone, Debug, Error)]
pub enum ProxyError {
    /// Its name has no address.
    #[error("cannot reach the proxy {proxy}")]
    Resolve {
        /// Which.
        proxy: String,
        /// Why.
        source: DnsError,
    },
    /// No connection.
    #[error("cannot connect to the proxy {proxy}")]
    Connect {
        /// Which.
        proxy: String,
        /// Why.
        source: Arc<dyn StdError + Send + Sync>,
    },
    /// Its certificate is not to be trusted, or TLS failed otherwise.
    #[error("TLS handshake with the proxy {proxy} failed")]
    Tls {
        /// Which.
        proxy: String,
        /// Why.
        source: Box<rustls::Error>,
    },
    /// It refuses the connection.
    #[error("the proxy {proxy} refused {what} with {status}: {advice}")]
    Refused {
        /// Which.
        proxy: String,
        /// `CONNECT HOST:PORT`, or `requests`.
        what: String,
        /// Its answer.
        status: StatusCode,
        /// What to do.
        advice: &'static str,
    },
    /// It ended the connection, or did not speak HTTP.
    #[error("the proxy {proxy} did not answer CONNECT")]
    Broken {
        /// Which.
        proxy: String,
        /// Why.
        source: Arc<dyn StdError + Send + Sync>,
    },
}

impl ProxyError {
    /// The proxy said no; `proxy` is its URL, without user and password.
    pub fn refused(proxy: &str, what: String, status: StatusCode) -> Self {
        let advice = match status {
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                "give it the user and the password of an account that it knows, `http://USER:PASSWORD@HOST:PORT` (Basic is the one scheme that \
                 berth speaks)"
            }
            _ if status.is_client_error() => {
                "allow it in the proxy's rules, or have it reached directly with `no_proxy`"
            }
            _ => "see in the proxy's own log why it does not reach the host",
        };
        Self::Refused { proxy: proxy.to_owned(), what, status, advice }
    }

    /// What to do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Resolve { source: DnsError::NotAName { .. }, .. } => ErrorClass::Misconfigured,
            Self::Tls { source, .. } => super::tls_class(source),
            Self::Refused { status, .. } => match *status {
                StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => ErrorClass::Transient,
                status if status.is_client_error() => ErrorClass::Misconfigured,
                _ => ErrorClass::Transient,
            },
            Self::Resolve { .. } | Self::Connect { .. } | Self::Broken { .. } => ErrorClass::Transient,
        }
    }

    /// Of the connection to the proxy, TLS included.
    fn unreached(proxy: &Uri, error: BoxError) -> BoxError {
        let proxy = shown(proxy);
        if let Some(error) = find::<TrustError>(&*error) {
            return error.clone().into();
        }
        if let Some(source) = find::<DnsError>(&*error) {
            return Self::Resolve { proxy, source: source.clone() }.into();
        }
        if let Some(source) = find::<rustls::Error>(&*error) {
            return Self::Tls { proxy, source: Box::new(source.clone()) }.into();
        }
        let source: Arc<dyn StdError + Send + Sync> = match find::<io::Error>(&*error) {
            Some(cause) => Arc::new(io::Error::new(cause.kind(), cause.to_string())),
            None => Arc::from(error),
        };
        Self::Connect { proxy, source }.into()
    }
}

/// Scheme, host and port: the matcher gives a path behind them.
fn shown(proxy: &Uri) -> String {
    super::origin(proxy)
}

/// Makes connections for one client.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    pub(super) tcp: HttpConnector<Resolver>,
    pub(super) proxies: Arc<Proxies>,
    pub(super) trust: Arc<Trust>,
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = Connecting<Stream>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        secured(Transport(self.clone()), &self.trust, uri)
    }
}

/// TLS on top of what `connector` connects, for `https`.
fn secured<C>(mut connector: C, trust: &Trust, uri: Uri) -> Connecting<Stream>
where
    C: Service<Uri, Response = Io, Error = BoxError, Future = Connecting<Io>>,
{
    if !is_https(&uri) {
        let connecting = connector.call(uri);
        return Box::pin(async move { Ok(MaybeHttpsStream::Http(connecting.await?)) });
    }
    match trust.tls_config() {
        Ok(config) => HttpsConnector::from((connector, config)).call(uri),
        Err(error) => Box::pin(async move { Err(error.into()) }),
    }
}

/// The way to a host, without TLS to it.
struct Transport(Connector);

impl Service<Uri> for Transport {
    type Response = Io;
    type Error = BoxError;
    type Future = Connecting<Io>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Some(proxy) = self.0.proxies.intercept(&uri) else {
            return Direct(self.0.tcp.clone()).call(uri);
        };
        let reaching = secured(Direct(self.0.tcp.clone()), &self.0.trust, proxy.uri().clone());
        Box::pin(async move {
            let stream = reaching.await.map_err(|error| ProxyError::unreached(proxy.uri(), error))?;
            match is_https(&uri) {
                true => tunnel(stream, &proxy, &uri).await.map_err(Into::into),
                false => Ok(Io { inner: Box::new(stream), is_proxied: true }),
            }
        })
    }
}

/// TCP, and nothing else.
struct Direct(HttpConnector<Resolver>);

impl Service<Uri> for Direct {
    type Response = Io;
    type Error = BoxError;
    type Future = Connecting<Io>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        Box::pin(async move { Ok(Io { inner: Box::new(connecting.await?), is_proxied: false }) })
    }
}

/// Has the proxy connect to the host; what comes back is a connection to the host.
async fn tunnel(stream: Stream, proxy: &Intercept, host: &Uri) -> Result<Io, ProxyError> {
    let broken = |error: BoxError| ProxyError::Broken { proxy: shown(proxy.uri()), source: Arc::from(error) };
    let authority = format!("{}:{}", host.host().unwrap_or_default(), host.port_u16().unwrap_or(443));
    let request = connect_request(&authority, proxy.basic_auth()).map_err(|error| broken(error.into()))?;
    let (mut sender, connection) = http1::handshake(stream).await.map_err(|error| broken(error.into()))?;
    // It ends when the tunnel does, or when nobody waits for the answer any more.
    tokio::spawn(async move {
        let _ = connection.with_upgrades().await;
    });
    let answer = sender.send_request(request).await.map_err(|error| broken(error.into()))?;
    if !answer.status().is_success() {
        return Err(ProxyError::refused(&shown(proxy.uri()), format!("CONNECT {authority}"), answer.status()));
    }
    let tunnel = hyper::upgrade::on(answer).await.map_err(|error| broken(error.into()))?;
    Ok(Io { inner: Box::new(tunnel), is_proxied: false })
}

/// RFC 9110, section 9.3.6.
fn connect_request(authority: &str, login: Option<&HeaderValue>) -> Result<Request<Full<Bytes>>, http::Error> {
    let mut request = Request::builder().method(Method::CONNECT).uri(authority).header(header::HOST, authority);
    if let Some(login) = login {
        request = request.header(header::PROXY_AUTHORIZATION, login);
    }
    request.body(Full::default())
}

/// A connection of whatever kind: one type, so that TLS and HTTP over it are compiled once.
pub(super) struct Io {
    inner: Box<dyn Duplex>,
    /// Whether requests on it are for a proxy, and so in absolute form.
    is_proxied: bool,
}

trait Duplex: Read + Write + Send + Unpin {}

impl<T: Read + Write + Send + Unpin> Duplex for T {}

impl Connection for Io {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.is_proxied)
    }
}

impl Read for Io {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl Write for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bytes)
    }
}
