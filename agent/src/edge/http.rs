//! The one HTTP client of the process: plain and TLS, own resolver, connections kept for a moment and used again.
//!
//! One request, one attempt, under a timeout. The host's CA certificates are read at the first `https` request: to parse
//! them takes longer than the rest of the agent's start.

use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;
use tokio::net::TcpStream;
use tower_service::Service;

use super::dns::{DnsError, Resolver};
use crate::fault::Class;

/// For one address to accept the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Long enough for the calls of one boot to share connections, short enough to hold none while idle.
const POOL_IDLE: Duration = Duration::from_secs(10);

/// A handle on the client; clones share its connections.
#[derive(Clone, Debug)]
pub struct Http {
    client: Arc<Client<Connector, Full<Bytes>>>,
}

/// Why a request has no answer. `to` is scheme, host and port: a path or a query may say more than a log should hold.
#[derive(Debug, Error)]
pub enum HttpError {
    /// No whole answer within the time.
    #[error("{to} did not answer within {after:?}")]
    Timeout {
        /// Whom.
        to: String,
        /// The time.
        after: Duration,
    },
    /// The name has no address.
    #[error("cannot reach {to}")]
    Resolve {
        /// Whom.
        to: String,
        /// Why.
        source: DnsError,
    },
    /// No connection.
    #[error("cannot connect to {to}")]
    Connect {
        /// Whom.
        to: String,
        /// Why.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The server's certificate is not to be trusted, or TLS failed otherwise.
    #[error("no TLS with {to}")]
    Tls {
        /// Whom.
        to: String,
        /// Why.
        source: Box<rustls::Error>,
    },
    /// This host cannot check any certificate.
    #[error(transparent)]
    NoRoots(#[from] NoRoots),
    /// The connection broke, or what came was not HTTP.
    #[error("the connection to {to} broke")]
    Broken {
        /// Whom.
        to: String,
        /// Why.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The answer is longer than anyone asked for.
    #[error("the answer of {to} is longer than {limit} bytes")]
    TooLarge {
        /// Whom.
        to: String,
        /// The limit.
        limit: usize,
    },
}

/// The host has no CA certificates.
#[derive(Clone, Debug, Error)]
#[error("no CA certificates on this host{detail}: install the package ca-certificates, or set SSL_CERT_FILE")]
pub struct NoRoots {
    /// What was found instead, in parentheses behind a space; may be empty.
    pub detail: String,
}

impl HttpError {
    /// What to do about it. A certificate that is out of its time passes: early in a boot the clock may not be set.
    pub fn class(&self) -> Class {
        use rustls::CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
        match self {
            Self::NoRoots(_) | Self::Resolve { source: DnsError::NotAName { .. }, .. } => Class::Misconfigured,
            Self::Tls { source, .. } => match &**source {
                rustls::Error::InvalidCertificate(
                    Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. },
                ) => Class::Transient,
                rustls::Error::InvalidCertificate(_) => Class::Misconfigured,
                _ => Class::Transient,
            },
            // The limits are above everything that the services themselves answer.
            Self::TooLarge { .. }
            | Self::Timeout { .. }
            | Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::Broken { .. } => Class::Transient,
        }
    }

    fn from_hyper(error: hyper_util::client::legacy::Error, to: String) -> Self {
        if let Some(no_roots) = find::<NoRoots>(&error) {
            return Self::NoRoots(no_roots.clone());
        }
        if let Some(source) = find::<DnsError>(&error) {
            return Self::Resolve { to, source: source.clone() };
        }
        if let Some(source) = find::<rustls::Error>(&error) {
            return Self::Tls { to, source: Box::new(source.clone()) };
        }
        match (error.is_connect(), find::<io::Error>(&error).map(|cause| (cause.kind(), cause.to_string()))) {
            // Of the whole chain only the system's own words help: "Connection refused (os error 111)".
            (true, Some((kind, text))) => Self::Connect { to, source: io::Error::new(kind, text).into() },
            (true, None) => Self::Connect { to, source: error.into() },
            (false, _) => Self::Broken { to, source: error.into() },
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self::with(Resolver::default())
    }
}

impl Http {
    /// A client that looks names up with this resolver.
    pub fn with(resolver: Resolver) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(resolver);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .build(Connector { tcp, tls: Arc::default() });
        Self { client: Arc::new(client) }
    }

    /// Sends one request and reads the whole answer, within `limit`; at most `max_body` bytes of it.
    pub async fn send(
        &self,
        request: Request<Full<Bytes>>,
        limit: Duration,
        max_body: usize,
    ) -> Result<Response<Bytes>, HttpError> {
        let to = origin(request.uri());
        match tokio::time::timeout(limit, self.exchange(request, &to, max_body)).await {
            Ok(result) => result,
            Err(_) => Err(HttpError::Timeout { to, after: limit }),
        }
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        to: &str,
        max_body: usize,
    ) -> Result<Response<Bytes>, HttpError> {
        let answer = self.client.request(request).await.map_err(|error| HttpError::from_hyper(error, to.to_owned()))?;
        let (head, body) = answer.into_parts();
        match Limited::new(body, max_body).collect().await {
            Ok(body) => Ok(Response::from_parts(head, body.to_bytes())),
            Err(error) if error.is::<LengthLimitError>() => {
                Err(HttpError::TooLarge { to: to.to_owned(), limit: max_body })
            }
            Err(source) => Err(HttpError::Broken { to: to.to_owned(), source }),
        }
    }
}

/// Has the connection closed after the answer, which holds a secret: the buffers of one that is kept hold what came last, for as
/// long as it is used.
pub fn close_after(request: &mut Request<Full<Bytes>>) {
    request.headers_mut().insert(http::header::CONNECTION, HeaderValue::from_static("close"));
}

/// Scheme, host and port.
fn origin(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or("http");
    let host = uri.host().unwrap_or_default();
    match uri.port() {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    }
}

/// The first error of that type in the chain; looks into `io::Error`s, whose `source` skips what they wrap.
pub(super) fn find<'e, E: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

type BoxError = Box<dyn StdError + Send + Sync>;
type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Connects, with TLS where the scheme says so.
#[derive(Clone, Debug)]
struct Connector {
    tcp: HttpConnector<Resolver>,
    tls: Arc<Mutex<Option<Arc<ClientConfig>>>>,
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        if uri.scheme() != Some(&http::uri::Scheme::HTTPS) {
            let connecting = self.tcp.call(uri);
            return Box::pin(async move { Ok(MaybeHttpsStream::Http(connecting.await?)) });
        }
        match self.tls_config() {
            Ok(config) => HttpsConnector::from((self.tcp.clone(), config)).call(uri),
            Err(no_roots) => Box::pin(async move { Err(no_roots.into()) }),
        }
    }
}

impl Connector {
    /// Reads the roots once; a host without them is looked at again at the next request.
    fn tls_config(&self) -> Result<Arc<ClientConfig>, NoRoots> {
        let mut cached = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = &*cached {
            return Ok(config.clone());
        }
        let config = Arc::new(tls_config()?);
        *cached = Some(config.clone());
        Ok(config)
    }
}

/// The CA certificates of this host; at least one.
pub fn trust_roots() -> Result<RootCertStore, NoRoots> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _unusable) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let detail = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        return Err(NoRoots { detail });
    }
    Ok(roots)
}

fn tls_config() -> Result<ClientConfig, NoRoots> {
    let roots = trust_roots()?;
    let builder = ClientConfig::builder_with_provider(super::tls_provider::hybrid())
        .with_safe_default_protocol_versions()
        .map_err(|error| NoRoots { detail: format!(" ({error})") })?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_out_of_its_time_may_be_a_clock_that_is_not_set_yet() {
        use rustls::CertificateError::{Expired, NotValidYet, UnknownIssuer};
        for (why, class) in
            [(NotValidYet, Class::Transient), (Expired, Class::Transient), (UnknownIssuer, Class::Misconfigured)]
        {
            let source = Box::new(rustls::Error::InvalidCertificate(why));
            assert_eq!(HttpError::Tls { to: String::new(), source }.class(), class);
        }
    }
}
