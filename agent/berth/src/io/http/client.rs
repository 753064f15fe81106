//! The one HTTP client of the process, for requests to AWS.
//!
//! ```text
//!   Http ─▶ Client (pool) ─▶ connect.rs: TCP, CONNECT, TLS ─┬─ proxy.rs: through which proxy, if any
//!                                                           └─ trust.rs: which certificates are trusted
//! ```

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use berth_config::Network;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::connect::Connector;
use super::dns::Resolver;
use super::error::{HttpError, ProxyError, origin};
use super::proxy::{Environment, Proxies, Route, VariableError, is_https};
use super::trust::{Bundle, Trust, TrustError};

/// For a connection to one address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long an idle connection is kept: the calls of one boot share connections, and an idle agent holds none.
const POOL_IDLE: Duration = Duration::from_secs(10);
/// The AWS SDKs' variable for a file with CA certificates.
const BUNDLE: &str = "AWS_CA_BUNDLE";

/// A handle on the client; clones share its connections and its settings.
#[derive(Clone, Debug)]
pub struct Http {
    shared: Arc<SharedClient>,
}

#[derive(Debug)]
struct SharedClient {
    resolver: Resolver,
    environment: Environment,
    bundle: Option<Bundle>,
    current: RwLock<Arc<Current>>,
}

/// The client in its present configuration. A new configuration makes a new client, so that no old connection is used again.
#[derive(Debug)]
struct Current {
    network: Network,
    client: Client<Connector, Full<Bytes>>,
    proxies: Arc<Proxies>,
    trust: Arc<Trust>,
}

impl Default for Http {
    fn default() -> Self {
        Self::with(Resolver::default())
    }
}

impl Http {
    /// A client with this resolver that reads no environment: no proxy, and the host's certificates.
    pub fn with(resolver: Resolver) -> Self {
        Self::new(resolver, Environment::default(), None)
    }

    /// A client with the proxies and the CA bundle of this environment.
    pub fn from_env(env: &dyn Fn(&str) -> Option<String>, resolver: Resolver) -> Result<Self, VariableError> {
        let file = env(BUNDLE).filter(|file| !file.is_empty()).map(PathBuf::from);
        Ok(Self::new(resolver, Environment::read(env)?, file.map(|file| Bundle { file, from: BUNDLE })))
    }

    fn new(resolver: Resolver, environment: Environment, bundle: Option<Bundle>) -> Self {
        let current = RwLock::new(Arc::new(Current::new(&resolver, &environment, bundle.clone(), Network::default())));
        Self { shared: Arc::new(SharedClient { resolver, environment, bundle, current }) }
    }

    /// Another client, which never uses a proxy: for the instance metadata, at any address.
    pub fn direct(&self) -> Self {
        let SharedClient { resolver, bundle, .. } = &*self.shared;
        Self::new(resolver.clone(), Environment::default(), bundle.clone())
    }

    /// From the next request on, the settings of the config override those of the environment, for all clones.
    pub fn configure(&self, network: &Network) {
        let SharedClient { resolver, environment, bundle, current } = &*self.shared;
        if self.current().network != *network {
            let next = Current::new(resolver, environment, bundle.clone(), network.clone());
            *current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        }
    }

    /// The route of a request to this URL.
    pub fn route(&self, url: &str) -> Route {
        url.parse().map_or(Route::Direct, |uri| self.current().proxies.route(&uri))
    }

    /// How many CA certificates are trusted.
    pub fn trusted(&self) -> Result<usize, TrustError> {
        Ok(self.current().trust.roots()?.len())
    }

    /// The file that replaces the host's CA certificates, and the key or the variable that names it.
    pub fn bundle(&self) -> Option<(PathBuf, &'static str)> {
        self.current().trust.bundle().map(|(file, from)| (file.to_owned(), from))
    }

    /// Sends one request and reads the whole response within `limit`; its body has at most `max_body` bytes.
    pub async fn send(
        &self,
        request: Request<Full<Bytes>>,
        limit: Duration,
        max_body: usize,
    ) -> Result<Response<Bytes>, HttpError> {
        let current = self.current();
        let to = current.destination(request.uri());
        match tokio::time::timeout(limit, current.exchange(request, &to, max_body)).await {
            Ok(result) => result,
            Err(_) => Err(HttpError::Timeout { to, after: limit }),
        }
    }

    fn current(&self) -> Arc<Current> {
        Arc::clone(&self.shared.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Current {
    fn new(resolver: &Resolver, environment: &Environment, bundle: Option<Bundle>, network: Network) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(resolver.clone());
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let written = network.ca_bundle.as_ref().map(|file| Bundle { file: file.into(), from: "ca_bundle" });
        let proxies = Arc::new(Proxies::new(environment, &network));
        let trust = Arc::new(Trust::new(written.or(bundle)));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .build(Connector { tcp, proxies: Arc::clone(&proxies), trust: Arc::clone(&trust) });
        Self { network, client, proxies, trust }
    }

    /// The name of the other side in errors.
    fn destination(&self, uri: &Uri) -> String {
        match self.proxies.route(uri) {
            Route::Proxied { proxy, .. } => format!("{} through the proxy {proxy}", origin(uri)),
            Route::Direct | Route::Excepted { .. } => origin(uri),
        }
    }

    async fn exchange(
        &self,
        mut request: Request<Full<Bytes>>,
        to: &str,
        max_body: usize,
    ) -> Result<Response<Bytes>, HttpError> {
        let uri = request.uri().clone();
        // A tunnel authenticates when it is made; a request in absolute form authenticates itself.
        let proxy = if is_https(&uri) { None } else { self.proxies.intercept(&uri) };
        if let Some(login) = proxy.as_ref().and_then(|proxy| proxy.basic_auth()) {
            request.headers_mut().insert(header::PROXY_AUTHORIZATION, login.clone());
        }
        let sent = self.client.request(request).await;
        let answer = sent.map_err(|error| HttpError::from_hyper(error, &uri, to.to_owned()))?;
        if let (Some(proxy), StatusCode::PROXY_AUTHENTICATION_REQUIRED) = (proxy, answer.status()) {
            let source = ProxyError::refused(&origin(proxy.uri()), "the request".to_owned(), answer.status());
            return Err(HttpError::Proxy { to: origin(&uri), source: Box::new(source) });
        }
        let (head, body) = answer.into_parts();
        match Limited::new(body, max_body).collect().await {
            Ok(body) => Ok(Response::from_parts(head, body.to_bytes())),
            Err(error) if error.is::<LengthLimitError>() => {
                Err(HttpError::TooLarge { to: to.to_owned(), limit: max_body })
            }
            Err(source) => Err(HttpError::Broken { to: to.to_owned(), source: Arc::from(source) }),
        }
    }
}

/// Closes the connection after the response, which holds a secret: the buffers of a connection that is kept would hold it for as long as the
/// connection is used.
pub fn close_after(request: &mut Request<Full<Bytes>>) {
    request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
}
