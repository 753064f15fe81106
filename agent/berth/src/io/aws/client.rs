//! The client of all services: one configuration, made here, for every call.
//!
//! One call is one attempt: the SDK's retries and its own correction of the clock are off, and each answer has the timeout of [`exchange`]. Two
//! things are learnt from a refusal, so that the next attempt may succeed: that the credentials expired, and that this host's clock is wrong.
#![expect(clippy::disallowed_methods, reason = "a signature holds the time")]

use std::error::Error as StdError;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use aws_config::meta::region::ProvideRegion as _;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime::client::identity::IdentityCache;
use aws_smithy_runtime_api::client::identity::SharedIdentityCache;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::retry::RetryConfig;
use berth_config::Network;
use berth_core::message::identity::Identity;
use http::Request;
use http_body_util::Full;

use super::credentials::{Credentials as Source, Signer};
use super::credentials_error::CredentialsError;
use super::endpoint::{DUAL_STACK, Endpoints, FIPS};
use super::error::AwsError;
use super::exchange::{self, Exchange};
use super::imds::Imds;
use super::service::{Operation, Service};
use crate::io::http::Http;

/// The least difference that counts as a wrong clock: services allow five minutes.
const SKEW_THAT_MATTERS: i64 = 60;
/// For three requests to the metadata (a token, the role, its keys), two seconds each at most.
const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(10);
/// New credentials appear at least this long before the old expire (EC2 User Guide, "Retrieve security credentials").
const RENEW_BEFORE: Duration = Duration::from_secs(300);

/// The client of all services.
#[derive(Debug)]
pub struct Aws {
    http: Http,
    imds: Imds,
    endpoints: Endpoints,
    routing: RwLock<Routing>,
    /// The settings of the config, which override the environment.
    network: RwLock<Network>,
    credentials: SharedCredentialsProvider,
    source: Arc<Source>,
    /// Replaced when a service reports that the credentials expired.
    identities: RwLock<SharedIdentityCache>,
    clock: Clock,
}

/// The region of calls that name none, and the kind of endpoint.
#[derive(Clone, Debug)]
struct Routing {
    /// From the environment, else the instance's.
    region: Option<String>,
    fips: bool,
    /// None: decided by the routes of this host at the time of a call.
    dual_stack: Option<bool>,
}

/// A service that responds.
#[derive(Debug)]
pub struct Reached {
    /// Its URL.
    pub endpoint: String,
    /// Seconds that its clock is ahead of this host's.
    pub ahead: Option<i64>,
}

impl Routing {
    fn from_env(env: &dyn Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        let is_true = |name| set(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        Self {
            region: set("AWS_REGION").or_else(|| set("AWS_DEFAULT_REGION")),
            fips: is_true(FIPS),
            dual_stack: set(DUAL_STACK).map(|value| value.eq_ignore_ascii_case("true")),
        }
    }
}

impl Aws {
    /// A client with the settings and, if there are any, the credentials of this environment; else those of the role.
    pub fn new(http: Http, imds: Imds, env: &dyn Fn(&str) -> Option<String>) -> Self {
        let routing = Routing::from_env(env);
        let endpoints = Endpoints::from_env(env);
        Self::signed_by(Source::new(imds.clone(), env), http, imds, endpoints, routing)
    }

    /// A client for a command that may run anywhere: credentials by the SDKs' default chain, and a profile's region. It reads this
    /// process's own environment and files.
    pub async fn anywhere(http: Http, imds: Imds) -> Self {
        let env = |name: &str| std::env::var(name).ok();
        let clock = Clock::default();
        let routing = Routing::from_env(&env);
        let config = ProviderConfig::without_region()
            .with_http_client(Exchange::new(http.clone(), None))
            .with_sleep_impl(TokioSleep::new())
            .with_time_source(clock.clone())
            .with_use_fips(Some(routing.fips))
            .with_use_dual_stack(Some(routing.dual_stack.unwrap_or_else(|| imds.is_ipv6_only())))
            .with_behavior_version(Some(BehaviorVersion::v2026_01_12()));
        let region = match routing.region {
            Some(region) => Some(Region::new(region)),
            None => ProfileFileRegionProvider::builder().configure(&config).build().region().await,
        };
        let config = config.with_region(region.clone());
        let routing = Routing { region: region.map(|region| region.to_string()), ..routing };
        let source = Source::chain(imds.clone(), &env, &config);
        Self { clock, ..Self::signed_by(source, http, imds, Endpoints::from_env(&env), routing) }
    }

    fn signed_by(source: Source, http: Http, imds: Imds, endpoints: Endpoints, routing: Routing) -> Self {
        let source = Arc::new(source);
        Self {
            http,
            imds,
            endpoints,
            routing: RwLock::new(routing),
            network: RwLock::default(),
            credentials: SharedCredentialsProvider::new(source.clone() as Arc<dyn ProvideCredentials>),
            source,
            identities: RwLock::new(no_identities()),
            clock: Clock::default(),
        }
    }

    /// From the next call on, the network settings of the config override those of the environment.
    pub fn configure(&self, network: &Network) {
        self.http.configure(network);
        *self.network.write().unwrap_or_else(PoisonError::into_inner) = network.clone();
    }

    /// The client that calls are sent with.
    pub fn http(&self) -> &Http {
        &self.http
    }

    /// Sets the instance's region for calls that name none.
    pub fn locate(&self, identity: &Identity) {
        let mut routing = self.routing.write().unwrap_or_else(PoisonError::into_inner);
        routing.region.get_or_insert_with(|| identity.region.clone());
    }

    /// The region of calls that name none: `AWS_REGION`, `AWS_DEFAULT_REGION`, else the instance's.
    pub fn region(&self) -> Option<String> {
        self.routing().region
    }

    /// One attempt at an operation: `send` makes the service's client of the configuration and sends the request. `region` is
    /// the instance's if not given.
    pub async fn call<T, E, F>(
        &self,
        operation: Operation,
        region: Option<&str>,
        send: impl FnOnce(&SdkConfig) -> F,
    ) -> Result<T, AwsError>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        self.call_dated(operation, region, send).await.map(|(answer, _)| answer)
    }

    /// The same, with the moment of the answer by the clock of the service; by this host's, corrected, if the service did not say.
    pub async fn call_dated<T, E, F>(
        &self,
        operation: Operation,
        region: Option<&str>,
        send: impl FnOnce(&SdkConfig) -> F,
    ) -> Result<(T, DateTime), AwsError>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        let region = region.map(str::to_owned).or_else(|| self.region()).ok_or(AwsError::NoRegion { operation })?;
        let endpoint = self.url(operation, &region).await?;
        let signed_with = self.clock.ahead();
        let exchange = Exchange::new(self.http.clone(), Some(operation));
        let date = exchange.date();
        let config = self.config(exchange, region, endpoint);
        match send(&config).await {
            Ok(answer) => Ok((answer, date.get().unwrap_or_else(|| self.now()))),
            Err(error) => {
                let refusal = AwsError::from_sdk(operation, &error);
                Err(self.learn(refusal, error.raw_response(), signed_with))
            }
        }
    }

    /// The one configuration of all clients.
    fn config(&self, exchange: Exchange, region: String, endpoint: String) -> SdkConfig {
        let identities = self.identities.read().unwrap_or_else(PoisonError::into_inner).clone();
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(exchange)
            .retry_config(RetryConfig::disabled())
            .disable_clock_skew_correction(true)
            // It would measure the upload, which it does not see: [`exchange`] sends the request as a whole. A service that takes more than five
            // seconds to respond would fail.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .sleep_impl(TokioSleep::new())
            .time_source(self.clock.clone())
            .credentials_provider(self.credentials.clone())
            .identity_cache(identities)
            .region(Region::new(region))
            .endpoint_url(endpoint)
            .build()
    }

    /// Now, by the clock of the services as far as it is known.
    pub fn now(&self) -> DateTime {
        DateTime::from(self.clock.now())
    }

    /// Whether the environment names the endpoint of a service.
    pub(super) fn names_endpoint(&self, service: Service) -> bool {
        self.endpoints.of(service).is_some()
    }

    /// The credentials that sign the calls.
    pub async fn signer(&self) -> Result<Signer, Arc<CredentialsError>> {
        self.source.signer().await
    }

    /// The URL of a service: that of the environment, else by the SDK's rules for the region.
    pub async fn endpoint(&self, service: Service, region: Option<&str>) -> Result<String, AwsError> {
        let operation = service.operation("*");
        let region = region.map(str::to_owned).or_else(|| self.region()).ok_or(AwsError::NoRegion { operation })?;
        self.url(operation, &region).await
    }

    async fn url(&self, operation: Operation, region: &str) -> Result<String, AwsError> {
        let Routing { fips, dual_stack, .. } = self.routing();
        // A host without IPv4 uses dual-stack endpoints, unless the environment names the endpoint, which has no other form.
        let by_itself = || self.endpoints.of(operation.service).is_none() && self.imds.is_ipv6_only();
        let dual_stack = dual_stack.unwrap_or_else(by_itself);
        let url = self.endpoints.url(operation.service, region, fips, dual_stack).await;
        url.map_err(|why| AwsError::Unsendable { operation, why })
    }

    /// Sends an empty request to a service, to see that it responds, and what its time is. Calls are signed by that time after that.
    pub async fn reach(&self, service: Service, region: Option<&str>) -> Result<Reached, AwsError> {
        let endpoint = self.endpoint(service, region).await?;
        let mut request = Request::new(Full::default());
        // An endpoint that is not a URL has no host, which the client reports.
        *request.uri_mut() = endpoint.parse().unwrap_or_default();
        let answer = self.http.send(request, exchange::TIMEOUT, exchange::MAX_BODY).await;
        let operation = service.operation("*");
        let answer = answer.map_err(|source| AwsError::Unreachable { operation, source: Arc::new(source) })?;
        let date = answer.headers().get(http::header::DATE).and_then(|date| date.to_str().ok());
        let ahead = seconds_ahead(date);
        if let Some(seconds) = ahead.filter(|seconds| seconds.abs() >= SKEW_THAT_MATTERS) {
            self.clock.set_ahead(seconds);
        }
        Ok(Reached { endpoint, ahead })
    }

    fn routing(&self) -> Routing {
        let routing = self.routing.read().unwrap_or_else(PoisonError::into_inner).clone();
        let network = self.network.read().unwrap_or_else(PoisonError::into_inner);
        Routing {
            fips: network.fips.unwrap_or(routing.fips),
            dual_stack: network.dual_stack.or(routing.dual_stack),
            ..routing
        }
    }

    /// Learns from a refusal what the next attempt does in another way. `signed_with` is the clock difference that the refused call was signed with:
    /// another call may have learnt a better one meanwhile.
    fn learn(&self, refusal: AwsError, answer: Option<&HttpResponse>, signed_with: i64) -> AwsError {
        if refusal.is_expired_credentials() {
            *self.identities.write().unwrap_or_else(PoisonError::into_inner) = no_identities();
        }
        let date = answer.and_then(|answer| answer.headers().get("date"));
        match seconds_ahead(date.filter(|_| refusal.blames_clock())) {
            // Signed by the service's clock and still refused: the clock is not the reason.
            Some(ahead) if (ahead - signed_with).abs() >= SKEW_THAT_MATTERS => {
                self.clock.set_ahead(ahead);
                AwsError::ClockSkewed { operation: refusal.operation(), seconds: ahead }
            }
            _ => refusal,
        }
    }
}

fn no_identities() -> SharedIdentityCache {
    IdentityCache::lazy().load_timeout(CREDENTIALS_TIMEOUT).buffer_time(RENEW_BEFORE).build()
}

/// Seconds that the service's clock is ahead of this host's, by the `Date` of its response.
fn seconds_ahead(date: Option<&str>) -> Option<i64> {
    let theirs = DateTime::from_str(date?, Format::HttpDate).ok()?.secs();
    Some(theirs - DateTime::from(SystemTime::now()).secs())
}

/// The time of the services; clones share the difference.
#[derive(Clone, Debug, Default)]
struct Clock {
    /// Seconds that the services' clock is ahead of this host's.
    ahead: Arc<AtomicI64>,
}

impl Clock {
    fn ahead(&self) -> i64 {
        self.ahead.load(Ordering::Relaxed)
    }

    fn set_ahead(&self, seconds: i64) {
        self.ahead.store(seconds, Ordering::Relaxed);
    }
}

impl TimeSource for Clock {
    fn now(&self) -> SystemTime {
        let (now, ahead) = (SystemTime::now(), self.ahead());
        let by = Duration::from_secs(ahead.unsigned_abs());
        let shifted = if ahead < 0 { now.checked_sub(by) } else { now.checked_add(by) };
        shifted.unwrap_or(now)
    }
}
