//! Signed calls to AWS: the SDK's own signer over the process's HTTP client, without the SDK's clients.
//!
//! Two protocols are enough: JSON 1.1 (Secrets Manager, SSM, ECR) and Query (Auto Scaling). One call, one attempt; two
//! things are learnt from a refusal, so that the next attempt may succeed: that the credentials expired, and that this
//! host's clock is wrong.
#![expect(clippy::disallowed_methods, reason = "a signature holds the time")]

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::http::{Http, HttpError, close_after};
use super::imds::Imds;
use crate::identity::Identity;
use crate::partition::domain_of;

pub use credentials::{CredentialsError, Signer};
pub use error::{AwsError, DENIED};
pub use service::{Operation, Service};

mod credentials;
mod error;
mod service;
pub(super) mod xml;

/// For one call, from the connection to the last byte of the answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Twenty secrets of 64 KB each, as JSON or base64.
const MAX_BODY: usize = 4 * 1024 * 1024;
/// Less than this is no clock that is wrong: services allow five minutes.
const SKEW_THAT_MATTERS: i64 = 60;

/// The client of all services.
#[derive(Debug)]
pub struct Aws {
    http: Http,
    settings: Settings,
    credentials: credentials::Source,
    place: RwLock<Option<Place>>,
    /// Seconds that the services' clock is ahead of this host's.
    skew: AtomicI64,
}

/// What the environment says, read once. The names are the AWS SDKs'.
#[derive(Clone, Debug)]
struct Settings {
    region: Option<String>,
    /// By service, in the order of [`Service::ALL`].
    endpoints: Vec<(Service, String)>,
    fips: bool,
    dual_stack: bool,
}

/// A service that answers.
#[derive(Debug)]
pub struct Reached {
    /// Its URL.
    pub endpoint: String,
    /// Seconds that its clock is ahead of this host's.
    pub ahead: Option<i64>,
}

/// Where the instance is.
#[derive(Clone, Debug)]
struct Place {
    region: String,
    domain: String,
}

impl Aws {
    /// A client with the settings and, if there are any, the credentials of this environment; else those of the role.
    pub fn new(http: Http, imds: Imds, env: &dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            http,
            settings: Settings::from_env(env),
            credentials: credentials::Source::new(imds, env),
            place: RwLock::default(),
            skew: AtomicI64::new(0),
        }
    }

    /// Tells the client where it is, for calls that name no region.
    pub fn locate(&self, identity: &Identity) {
        *self.place.write().unwrap_or_else(PoisonError::into_inner) =
            Some(Place { region: identity.region.clone(), domain: identity.domain.clone() });
    }

    /// The region of calls that name none: `AWS_REGION`, `AWS_DEFAULT_REGION`, else the instance's.
    pub fn region(&self) -> Option<String> {
        let place = self.place.read().unwrap_or_else(PoisonError::into_inner);
        self.settings.region.clone().or_else(|| place.as_ref().map(|place| place.region.clone()))
    }

    /// A call with a JSON body and a JSON answer; `region` is the instance's if not given.
    pub async fn json_call<T: DeserializeOwned>(
        &self,
        operation: Operation,
        body: &Value,
        region: Option<&str>,
    ) -> Result<T, AwsError> {
        let headers = [
            (http::header::CONTENT_TYPE, "application/x-amz-json-1.1".to_owned()),
            (HeaderName::from_static("x-amz-target"), operation.target()),
        ];
        let answer = self.call(operation, headers.into(), body.to_string().into(), region).await?;
        // Its error would quote the body, which may hold secrets.
        serde_json::from_slice(&answer).map_err(|_| AwsError::Unreadable { operation })
    }

    /// A call of the Query protocol, which is Auto Scaling's; the answer as a tree.
    pub(super) async fn query_call(
        &self,
        operation: Operation,
        parameters: &[(&str, &str)],
    ) -> Result<xml::Element, AwsError> {
        let mut body = format!("Action={}&Version=2011-01-01", operation.name);
        for (name, value) in parameters {
            body.push_str(&format!("&{}={}", form_encoded(name), form_encoded(value)));
        }
        let headers = vec![(http::header::CONTENT_TYPE, "application/x-www-form-urlencoded; charset=utf-8".to_owned())];
        let answer = self.call(operation, headers, body.into(), None).await?;
        let root = xml::parse(&answer).filter(|root| root.is(&format!("{}Response", operation.name)));
        root.ok_or(AwsError::Unreadable { operation })
    }

    async fn call(
        &self,
        operation: Operation,
        headers: Vec<(HeaderName, String)>,
        body: Bytes,
        region: Option<&str>,
    ) -> Result<Bytes, AwsError> {
        let region = region.map(str::to_owned).or_else(|| self.region()).ok_or(AwsError::NoRegion { operation })?;
        let endpoint = self.endpoint(operation.service, &region);
        let credentials =
            self.credentials.get(self.now()).await.map_err(|source| AwsError::Credentials { operation, source })?;
        let skew = self.skew.load(Ordering::Relaxed);
        let now = shifted(SystemTime::now(), skew);
        let mut request = signed(&endpoint, operation.service, &region, headers, body, &credentials, now)
            .ok_or_else(|| AwsError::Unsignable { operation, endpoint: endpoint.clone() })?;
        if operation.service.tells_secrets() {
            close_after(&mut request);
        }
        let answer = self.http.send(request, TIMEOUT, MAX_BODY).await;
        let answer = answer.map_err(|source| AwsError::Unreachable { operation, source })?;
        if answer.status() == StatusCode::OK {
            return Ok(answer.into_body());
        }
        let refusal = error::refusal(operation, answer.status(), answer.headers(), answer.body());
        if refusal.is_expired_credentials() {
            self.credentials.refused(&credentials).await;
        }
        match self.correct_clock(&refusal, &answer, skew) {
            Some(seconds) => Err(AwsError::ClockSkewed { operation, seconds }),
            None => Err(refusal),
        }
    }

    /// As whom calls are signed.
    pub async fn signer(&self) -> Result<Signer, CredentialsError> {
        self.credentials.signer(self.now()).await
    }

    /// Asks a service for nothing, to see that it answers, and what time it is there. That time is believed from here on.
    pub async fn reach(&self, service: Service, region: Option<&str>) -> Result<Reached, HttpError> {
        let region = region.map(str::to_owned).or_else(|| self.region()).unwrap_or_default();
        let endpoint = self.endpoint(service, &region);
        let mut request = Request::new(Full::default());
        // One that is no URL has no host, and the client says so.
        *request.uri_mut() = endpoint.parse().unwrap_or_default();
        let answer = self.http.send(request, TIMEOUT, MAX_BODY).await?;
        let ahead = seconds_ahead(&answer);
        if let Some(seconds) = ahead.filter(|seconds| seconds.abs() >= SKEW_THAT_MATTERS) {
            self.skew.store(seconds, Ordering::Relaxed);
        }
        Ok(Reached { endpoint, ahead })
    }

    fn endpoint(&self, service: Service, region: &str) -> String {
        if let Some((_, url)) = self.settings.endpoints.iter().find(|(name, _)| *name == service) {
            return url.clone();
        }
        let place = self.place.read().unwrap_or_else(PoisonError::into_inner);
        let domain = match &*place {
            Some(place) => place.domain.as_str(),
            None => domain_of(region),
        };
        service.endpoint(region, domain, self.settings.fips, self.settings.dual_stack)
    }

    /// The time as the services see it.
    fn now(&self) -> SystemTime {
        shifted(SystemTime::now(), self.skew.load(Ordering::Relaxed))
    }

    /// Takes over the service's clock if the refusal blames ours; tells the difference in seconds. `signed_with` is the
    /// difference that the refused call was signed with: another call may have learnt a better one meanwhile.
    fn correct_clock(&self, refusal: &AwsError, answer: &Response<Bytes>, signed_with: i64) -> Option<i64> {
        if !refusal.blames_clock() {
            return None;
        }
        let skew = seconds_ahead(answer)?;
        // Signed by their clock and still refused: the clock is not what is wrong.
        if (skew - signed_with).abs() < SKEW_THAT_MATTERS {
            return None;
        }
        self.skew.store(skew, Ordering::Relaxed);
        Some(skew)
    }
}

/// How far the clock of whoever answered is ahead of this host's.
fn seconds_ahead(answer: &Response<Bytes>) -> Option<i64> {
    let date = answer.headers().get(http::header::DATE)?.to_str().ok()?;
    let theirs = DateTime::from_str(date, Format::HttpDate).ok()?.secs();
    Some(theirs - DateTime::from(SystemTime::now()).secs())
}

impl Settings {
    fn from_env(env: &dyn Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        let is_true = |name| set(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let ignored = is_true("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
        let endpoint = |service: Service| {
            let own = set(&format!("AWS_ENDPOINT_URL_{}", service.env_suffix()));
            Some((service, own.or_else(|| set("AWS_ENDPOINT_URL"))?))
        };
        Self {
            region: set("AWS_REGION").or_else(|| set("AWS_DEFAULT_REGION")),
            endpoints: if ignored { Vec::new() } else { Service::ALL.into_iter().filter_map(endpoint).collect() },
            fips: is_true("AWS_USE_FIPS_ENDPOINT"),
            dual_stack: is_true("AWS_USE_DUALSTACK_ENDPOINT"),
        }
    }
}

/// The request with its signature; none if a part of it cannot be sent.
fn signed(
    endpoint: &str,
    service: Service,
    region: &str,
    headers: Vec<(HeaderName, String)>,
    body: Bytes,
    credentials: &Credentials,
    time: SystemTime,
) -> Option<Request<Full<Bytes>>> {
    let uri: http::Uri = format!("{}/", endpoint.trim_end_matches('/')).parse().ok()?;
    uri.scheme()?;
    let host = uri.authority()?.to_string();
    let identity = credentials.clone().into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service.signing_name())
        .time(time)
        .settings(SigningSettings::default())
        .build()
        .ok()?
        .into();
    let to_sign = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain([("host", host.as_str())]);
    let signable = SignableRequest::new("POST", uri.to_string(), to_sign, SignableBody::Bytes(&body)).ok()?;
    let (instructions, _) = sign(signable, &parameters).ok()?.into_parts();
    let (signature, _) = instructions.into_parts();

    let mut request = Request::new(Full::new(body.clone()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    for (name, value) in headers {
        request.headers_mut().insert(name, HeaderValue::try_from(value).ok()?);
    }
    request.headers_mut().insert(http::header::HOST, HeaderValue::try_from(host).ok()?);
    for header in signature {
        let mut value = HeaderValue::try_from(header.value()).ok()?;
        value.set_sensitive(true);
        request.headers_mut().insert(header.name(), value);
    }
    Some(request)
}

fn shifted(time: SystemTime, seconds: i64) -> SystemTime {
    let by = Duration::from_secs(seconds.unsigned_abs());
    let shifted = if seconds < 0 { time.checked_sub(by) } else { time.checked_add(by) };
    shifted.unwrap_or(time)
}

/// `application/x-www-form-urlencoded`, everything but RFC 3986's unreserved characters escaped.
fn form_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(byte.into()),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
