//! Why a request has no answer.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use berth_core::message::error::{ErrorClass, find};
use http::{StatusCode, Uri};
use thiserror::Error;

use super::dns::DnsError;
use super::trust::TrustError;

type BoxError = Box<dyn StdError + Send + Sync>;

/// Why a request has no response. `to` is scheme, host and port, and the proxy if there is one: a path or a query may hold what should not be in a
/// log.
#[derive(Clone, Debug, Error)]
pub enum HttpError {
    /// No complete response within the timeout.
    #[error("{to} did not answer within {after:?}")]
    Timeout {
        /// The other side.
        to: String,
        /// The timeout.
        after: Duration,
    },
    /// The name has no address.
    #[error("cannot reach {to}")]
    Resolve {
        /// The other side.
        to: String,
        /// Why.
        source: DnsError,
    },
    /// No connection.
    #[error("cannot connect to {to}")]
    Connect {
        /// The other side.
        to: String,
        /// Why.
        source: Arc<dyn StdError + Send + Sync>,
    },
    /// The server's certificate is not trusted, or TLS failed otherwise.
    #[error("TLS handshake with {to} failed")]
    Tls {
        /// The other side.
        to: String,
        /// Why.
        source: Box<rustls::Error>,
    },
    /// There are no CA certificates to verify the server with.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The proxy did not forward the request.
    #[error("cannot reach {to}")]
    Proxy {
        /// The other side.
        to: String,
        /// Why.
        source: Box<ProxyError>,
    },
    /// The connection was closed, or the response was not HTTP.
    #[error("the connection to {to} failed")]
    Broken {
        /// The other side.
        to: String,
        /// Why.
        source: Arc<dyn StdError + Send + Sync>,
    },
    /// The response is longer than the limit.
    #[error("the response of {to} is longer than {limit} bytes")]
    TooLarge {
        /// The other side.
        to: String,
        /// The limit.
        limit: usize,
    },
}

impl HttpError {
    /// What to do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Trust(_) | Self::Resolve { source: DnsError::NotAName { .. }, .. } => ErrorClass::Misconfigured,
            Self::Tls { source, .. } => tls_class(source),
            Self::Proxy { source, .. } => source.class(),
            // The limits are above every response of the services themselves.
            Self::TooLarge { .. }
            | Self::Timeout { .. }
            | Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::Broken { .. } => ErrorClass::Transient,
        }
    }

    pub(super) fn from_hyper(error: hyper_util::client::legacy::Error, uri: &Uri, to: String) -> Self {
        if let Some(error) = find::<TrustError>(&error) {
            return Self::Trust(error.clone());
        }
        if let Some(source) = find::<ProxyError>(&error) {
            // Its source names the proxy.
            return Self::Proxy { to: origin(uri), source: Box::new(source.clone()) };
        }
        if let Some(source) = find::<DnsError>(&error) {
            return Self::Resolve { to, source: source.clone() };
        }
        if let Some(source) = find::<rustls::Error>(&error) {
            return Self::Tls { to, source: Box::new(source.clone()) };
        }
        match (error.is_connect(), find::<io::Error>(&error).map(|cause| (cause.kind(), cause.to_string()))) {
            // Of the whole chain only the kernel's message helps: "Connection refused (os error 111)".
            (true, Some((kind, text))) => Self::Connect { to, source: Arc::new(io::Error::new(kind, text)) },
            (true, None) => Self::Connect { to, source: Arc::new(error) },
            (false, _) => Self::Broken { to, source: Arc::new(error) },
        }
    }
}

/// A certificate outside its period of validity is a transient error: early in a boot the clock may not be set.
fn tls_class(error: &rustls::Error) -> ErrorClass {
    use rustls::CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    match error {
        rustls::Error::InvalidCertificate(
            Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. },
        ) => ErrorClass::Transient,
        rustls::Error::InvalidCertificate(_) => ErrorClass::Misconfigured,
        _ => ErrorClass::Transient,
    }
}

/// Why a proxy did not forward a request. `proxy` is its URL, without user and password.
#[derive(Clone, Debug, Error)]
pub enum ProxyError {
    /// Its name has no address.
    #[error("cannot reach the proxy {proxy}")]
    Resolve {
        /// The proxy.
        proxy: String,
        /// Why.
        source: DnsError,
    },
    /// No connection.
    #[error("cannot connect to the proxy {proxy}")]
    Connect {
        /// The proxy.
        proxy: String,
        /// Why.
        source: Arc<dyn StdError + Send + Sync>,
    },
    /// Its certificate is not trusted, or TLS failed otherwise.
    #[error("TLS handshake with the proxy {proxy} failed")]
    Tls {
        /// The proxy.
        proxy: String,
        /// Why.
        source: Box<rustls::Error>,
    },
    /// It refused the connection.
    #[error("the proxy {proxy} refused {what} with {status}: {advice}")]
    Refused {
        /// The proxy.
        proxy: String,
        /// `CONNECT HOST:PORT`, or `requests`.
        what: String,
        /// Its status.
        status: StatusCode,
        /// What to do.
        advice: &'static str,
    },
    /// It ended the connection, or did not speak HTTP.
    #[error("the proxy {proxy} did not answer CONNECT")]
    Broken {
        /// The proxy.
        proxy: String,
        /// Why.
        source: Arc<dyn StdError + Send + Sync>,
    },
}

impl ProxyError {
    /// The proxy refused; `proxy` is its URL, without user and password.
    pub fn refused(proxy: &str, what: String, status: StatusCode) -> Self {
        let advice = match status {
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                "set its user and password, `http://USER:PASSWORD@HOST:PORT` (Basic is the only scheme that berth supports)"
            }
            _ if status.is_client_error() => "allow it in the proxy's rules, or bypass the proxy with `no_proxy`",
            _ => "look into the proxy's log: it says why the host cannot be reached",
        };
        Self::Refused { proxy: proxy.to_owned(), what, status, advice }
    }

    /// What to do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Resolve { source: DnsError::NotAName { .. }, .. } => ErrorClass::Misconfigured,
            Self::Tls { source, .. } => tls_class(source),
            Self::Refused { status, .. } => match *status {
                StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => ErrorClass::Transient,
                status if status.is_client_error() => ErrorClass::Misconfigured,
                _ => ErrorClass::Transient,
            },
            Self::Resolve { .. } | Self::Connect { .. } | Self::Broken { .. } => ErrorClass::Transient,
        }
    }

    /// The error of a connection to the proxy, TLS included.
    pub(super) fn unreached(proxy: &Uri, error: BoxError) -> BoxError {
        let proxy = origin(proxy);
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

/// Scheme, host and port.
pub(super) fn origin(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or("http");
    let host = uri.host().unwrap_or_default();
    match uri.port() {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_out_of_its_time_may_be_a_clock_that_is_not_set_yet() {
        use rustls::CertificateError::{Expired, NotValidYet, UnknownIssuer};
        for (why, class) in [
            (NotValidYet, ErrorClass::Transient),
            (Expired, ErrorClass::Transient),
            (UnknownIssuer, ErrorClass::Misconfigured),
        ] {
            let source = Box::new(rustls::Error::InvalidCertificate(why));
            assert_eq!(HttpError::Tls { to: String::new(), source }.class(), class);
        }
    }
}
