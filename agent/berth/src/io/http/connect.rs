//! One connection, ready for requests: directly to the host or through a proxy, with TLS where the scheme says so.
//!
//! ```text
//!   https://  directly   TCP ── TLS(host)
//!             proxied    TCP ── [TLS(proxy)] ── CONNECT ── TLS(host)
//!   http://   directly   TCP
//!             proxied    TCP ── [TLS(proxy)], requests in absolute form
//! ```
//! The tunnel is requested with hyper's own client, which returns the proxy's status; hyper-util's `Tunnel` does not.

use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Uri, header};
use http_body_util::Full;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::client::proxy::matcher::Intercept;
use tower_service::Service;

use super::error::{ProxyError, origin};
use super::one_shot::{self, Duplex};
use super::proxy::{Proxies, is_https};
use super::trust::Trust;
use crate::io::http::dns::Resolver;

type BoxError = Box<dyn StdError + Send + Sync>;
type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;
/// The connection that the client sends its requests on.
pub(super) type Stream = MaybeHttpsStream<Io>;

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

/// Adds TLS to the connections of `connector`, for `https`.
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

/// The connection to a host or through a proxy, before TLS to the host.
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

/// TCP only.
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

/// Asks the proxy for a tunnel, and returns it as a connection to the host.
async fn tunnel(stream: Stream, proxy: &Intercept, host: &Uri) -> Result<Io, ProxyError> {
    let broken = |error: BoxError| ProxyError::Broken { proxy: origin(proxy.uri()), source: Arc::from(error) };
    let authority = format!("{}:{}", host.host().unwrap_or_default(), host.port_u16().unwrap_or(443));
    let request = connect_request(&authority, proxy.basic_auth()).map_err(|error| broken(error.into()))?;
    let answer = one_shot::send_on_any(stream, request).await.map_err(|error| broken(error.into()))?;
    if !answer.status().is_success() {
        return Err(ProxyError::refused(&origin(proxy.uri()), format!("CONNECT {authority}"), answer.status()));
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

/// A connection of any kind: one type, so that TLS and HTTP over it are compiled once.
pub(super) struct Io {
    inner: Box<dyn Duplex>,
    /// Whether a proxy reads the requests on it, which then have the absolute form.
    is_proxied: bool,
}

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
