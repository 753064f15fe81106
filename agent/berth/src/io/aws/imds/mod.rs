//! The instance metadata service, version 2 only. One request, one attempt; tests replace the address.
//!
//! A token that is refused (401) is renewed once within the request: that is the protocol, not a retry. The service's own error pages are (X)HTML with
//! any status; they are never used as a value, and every value is checked.
#![expect(clippy::disallowed_methods, reason = "tokens expire by the clock")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use berth_core::message::error::JobError;
use berth_core::message::identity::{Identity, TargetState};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::io::host::ip_routes;
use crate::io::http::{Http, close_after};
use crate::io::secret::Secret;
use address::Addresses;

pub use error::ImdsError;

mod address;
mod error;
mod snapshot;

/// For one request. The service is on the same host: a longer response is lost.
const TIMEOUT: Duration = Duration::from_secs(2);
/// User-data is at most 16 KB; nothing else is longer.
const MAX_BODY: usize = 64 * 1024;
/// The longest that the service grants: six hours.
const TOKEN_TTL: Duration = Duration::from_secs(21_600);
/// A token is renewed this long before it expires, or a tenth of its life if that is shorter.
const RENEW_BEFORE: Duration = Duration::from_secs(60);

/// The oldest version of the schema that has all that is read here; `autoscaling/target-lifecycle-state` came last (EC2 user guide,
/// "Instance metadata categories"). What EC2 changes in a later version does not reach an AMI that was built before.
const SCHEMA: &str = "2021-07-15";
/// The version of the token's path, and of all paths where `SCHEMA` is unknown.
const LATEST: &str = "latest";

/// The identity document, which every instance has.
const DOCUMENT: &str = "dynamic/instance-identity/document";
/// The name of a token in an error.
const TOKEN: &str = "a token";
/// Lists the one role.
const ROLES: &str = "meta-data/iam/security-credentials/";

const TTL_HEADER: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");
const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token");

/// The metadata service; clones share its token, its address and its version.
#[derive(Clone, Debug)]
pub struct Imds {
    service: Arc<MetadataService>,
    http: Http,
    token: Arc<Mutex<Option<Token>>>,
}

/// The address and version of the service, which are detected once.
#[derive(Debug)]
struct MetadataService {
    addresses: Addresses,
    asks_latest: AtomicBool,
}

#[derive(Clone, Debug)]
struct Token {
    value: HeaderValue,
    renew_at: Instant,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IdentityDocument {
    instance_id: String,
    region: String,
    availability_zone: String,
    account_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RoleCredentials {
    code: Option<String>,
    access_key_id: Option<String>,
    secret_access_key: Option<Secret>,
    token: Option<Secret>,
    expiration: Option<String>,
}

impl Imds {
    /// The service at this address: scheme and authority, no path. No proxy is ever used for it.
    pub fn at(base: &Uri, http: Http) -> Self {
        Self::with(Addresses::only(base), http)
    }

    /// The service at the address of the AWS SDKs' environment variables, else at its link-local addresses: that of IPv4, or that of IPv6 if IPv4 cannot
    /// reach it.
    pub fn from_env(env: &dyn Fn(&str) -> Option<String>, http: Http) -> Result<Self, ImdsError> {
        Ok(Self::with(Addresses::from_env(env)?, http))
    }

    fn with(addresses: Addresses, http: Http) -> Self {
        Self {
            service: Arc::new(MetadataService { addresses, asks_latest: AtomicBool::new(false) }),
            http: http.direct(),
            token: Arc::default(),
        }
    }

    /// The address in use: once one of two addresses has answered, that one.
    pub fn base(&self) -> &str {
        self.service.addresses.current()
    }

    /// For messages: every address that may be used.
    pub fn asked(&self) -> String {
        self.service.addresses.to_text()
    }

    /// The version of the schema in use.
    pub fn schema(&self) -> &'static str {
        if self.service.asks_latest.load(Ordering::Relaxed) { LATEST } else { SCHEMA }
    }

    /// Whether this host reaches others by IPv6 only, so that endpoints must have an IPv6 address. Checked each time: early after power-on IPv4 may come
    /// later.
    pub fn is_ipv6_only(&self) -> bool {
        !ip_routes::has_ipv4() && (ip_routes::has_ipv6() || self.service.addresses.is_ipv6())
    }

    /// The identity of this instance: two requests side by side, with one token.
    pub async fn identity(&self) -> Result<Identity, ImdsError> {
        let asked = async || tokio::try_join!(self.optional(DOCUMENT), self.target_lifecycle_state());
        let mut answers = asked().await?;
        // Every instance has the document: without it, this version is unknown here. EC2 has it; an emulator of EC2 may have only the other.
        if answers.0.is_none() && !self.service.asks_latest.swap(true, Ordering::Relaxed) {
            answers = asked().await?;
            self.service.asks_latest.store(answers.0.is_some(), Ordering::Relaxed);
        }
        let (document, target_state) = answers;
        let document = document.ok_or_else(|| ImdsError::Missing { item: DOCUMENT.into() })?;
        let unusable = |what| ImdsError::Unusable { item: DOCUMENT.into(), what };
        let document: IdentityDocument =
            serde_json::from_slice(&document).map_err(|_| unusable("no identity document"))?;
        if !is_instance_id(&document.instance_id) {
            return Err(unusable("no instance id"));
        }
        if !is_label(&document.region) {
            return Err(unusable("no region"));
        }
        if !is_label(&document.availability_zone) {
            return Err(unusable("no availability zone"));
        }
        if document.account_id.len() != 12 || !document.account_id.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(unusable("no account id"));
        }
        Ok(Identity {
            instance_id: document.instance_id,
            region: document.region,
            availability_zone: document.availability_zone,
            account: document.account_id,
            target_state,
        })
    }

    /// The user-data as given at launch (gzip stays gzip), none if none was given.
    pub async fn user_data(&self) -> Result<Option<Bytes>, ImdsError> {
        self.optional("user-data").await
    }

    /// The state that the instance is being moved to, none outside a group or before it is known.
    pub async fn target_lifecycle_state(&self) -> Result<Option<TargetState>, ImdsError> {
        const ITEM: &str = "meta-data/autoscaling/target-lifecycle-state";
        let Some(body) = self.optional(ITEM).await? else {
            return Ok(None);
        };
        let word = text(ITEM, &body)?;
        if word.is_empty() || word.len() > 64 || !word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b':')
        {
            return Err(ImdsError::Unusable { item: ITEM.into(), what: "no lifecycle state" });
        }
        Ok(Some(TargetState::from(word.to_owned())))
    }

    /// The Auto Scaling group that the instance's tags name; none unless the launch template says `InstanceMetadataTags=enabled`
    /// (EC2 User Guide, "View tags for your EC2 instances using instance metadata").
    pub async fn group(&self) -> Result<Option<String>, ImdsError> {
        const ITEM: &str = "meta-data/tags/instance/aws:autoscaling:groupName";
        let Some(body) = self.optional(ITEM).await? else {
            return Ok(None);
        };
        let name = text(ITEM, &body)?;
        // AutoScalingGroupName: 1 to 255 characters, no control characters.
        if name.is_empty() || name.chars().count() > 255 || name.chars().any(char::is_control) {
            return Err(ImdsError::Unusable { item: ITEM.into(), what: "no group's name" });
        }
        Ok(Some(name.to_owned()))
    }

    /// The name of the instance's role.
    pub async fn role(&self) -> Result<String, ImdsError> {
        let roles = self.optional(ROLES).await?.ok_or(ImdsError::NoRole)?;
        let role = text(ROLES, &roles)?.lines().next().unwrap_or_default();
        // IAM role names: [\w+=,.@-]+, up to 64.
        if role.len() > 64 || !role.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte)) {
            return Err(ImdsError::Unusable { item: ROLES.into(), what: "no role name" });
        }
        if role.is_empty() {
            return Err(ImdsError::NoRole);
        }
        Ok(role.to_owned())
    }

    /// The credentials of the instance's role.
    pub async fn credentials(&self) -> Result<Credentials, ImdsError> {
        let role = self.role().await?;
        let item = format!("{ROLES}{role}");
        let body = self.optional(&item).await?.ok_or(ImdsError::NoRole)?;
        let unusable = |what| ImdsError::Unusable { item: item.clone(), what };
        // The parser's error would quote the body.
        let read: RoleCredentials = serde_json::from_slice(&body).map_err(|_| unusable("no credentials"))?;
        if let Some(code) = read.code.filter(|code| code != "Success") {
            let code = code.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
            return Err(ImdsError::RoleFailed { role, code });
        }
        let utf8 = |secret: Secret| String::from_utf8(secret.expose().to_vec()).ok();
        let (Some(id), Some(secret), Some(token)) =
            (read.access_key_id, read.secret_access_key.and_then(utf8), read.token.and_then(utf8))
        else {
            return Err(unusable("credentials without a key"));
        };
        // The SDK's signer panics at keys that cannot be sent in a header.
        if [&id, &token].into_iter().any(|text| HeaderValue::from_str(text).is_err()) {
            return Err(unusable("credentials that are no text"));
        }
        let expiry = read
            .expiration
            .and_then(|text| DateTime::from_str(&text, Format::DateTime).ok())
            .and_then(|time| SystemTime::try_from(time).ok())
            .ok_or_else(|| unusable("credentials without an expiration"))?;
        Ok(Credentials::new(id, secret, Some(token), Some(expiry), "imds"))
    }

    /// One request. Only 404 means that the item does not exist.
    async fn optional(&self, item: &str) -> Result<Option<Bytes>, ImdsError> {
        let token = self.token(None).await?;
        let mut answer = self.get(item, &token).await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            let token = self.token(Some(&token)).await?;
            answer = self.get(item, &token).await?;
        }
        match answer.status() {
            StatusCode::OK if is_page(&answer) => {
                Err(ImdsError::Unusable { item: item.to_owned(), what: "an error page" })
            }
            StatusCode::OK => Ok(Some(answer.into_body())),
            StatusCode::NOT_FOUND => Ok(None),
            status => Err(refused(item, status)),
        }
    }

    async fn get(&self, item: &str, token: &HeaderValue) -> Result<Response<Bytes>, ImdsError> {
        self.send(item, Method::GET, &format!("{}/{}/{item}", self.base(), self.schema()), TOKEN_HEADER, token.clone())
            .await
    }

    async fn send(
        &self,
        item: &str,
        method: Method,
        uri: &str,
        name: HeaderName,
        value: HeaderValue,
    ) -> Result<Response<Bytes>, ImdsError> {
        let mut request = Request::new(Full::default());
        *request.method_mut() = method;
        *request.uri_mut() =
            uri.parse().map_err(|_| ImdsError::Unusable { item: item.to_owned(), what: "a name that is no path" })?;
        request.headers_mut().insert(name, value);
        if item.strip_prefix(ROLES).is_some_and(|role| !role.is_empty()) {
            close_after(&mut request);
        }
        let sent = self.http.send(request, TIMEOUT, MAX_BODY).await;
        sent.map_err(|source| ImdsError::Unreachable { item: item.to_owned(), source })
    }

    /// The token: the cached one unless it is about to expire or was just refused. Concurrent callers wait for the same one.
    async fn token(&self, refused_token: Option<&HeaderValue>) -> Result<HeaderValue, ImdsError> {
        let mut cached = self.token.lock().await;
        if let Some(token) = &*cached
            && Instant::now() < token.renew_at
            && Some(&token.value) != refused_token
        {
            return Ok(token.value.clone());
        }
        let asked_at = Instant::now();
        let answer = self.ask_for_token().await?;
        if answer.status() != StatusCode::OK {
            return Err(refused(TOKEN, answer.status()));
        }
        let granted = answer.headers().get(TTL_HEADER).and_then(|value| value.to_str().ok()?.parse().ok());
        let ttl = granted.map_or(TOKEN_TTL, Duration::from_secs).min(TOKEN_TTL);
        let unusable = || ImdsError::Unusable { item: TOKEN.into(), what: "an error page" };
        if is_page(&answer) || answer.body().is_empty() {
            return Err(unusable());
        }
        let mut value = HeaderValue::from_bytes(answer.body().trim_ascii()).map_err(|_| unusable())?;
        value.set_sensitive(true);
        *cached = Some(Token { value: value.clone(), renew_at: asked_at + ttl - RENEW_BEFORE.min(ttl / 10) });
        Ok(value)
    }

    /// The request that decides which address is used.
    async fn ask_for_token(&self) -> Result<Response<Bytes>, ImdsError> {
        let addresses = &self.service.addresses;
        let put = async |base: &str| {
            // A path of another version is refused (EC2 user guide, "How Instance Metadata Service Version 2 works").
            let uri = format!("{base}/{LATEST}/api/token");
            let answer = self.send(TOKEN, Method::PUT, &uri, TTL_HEADER, HeaderValue::from(TOKEN_TTL.as_secs())).await;
            answer.inspect(|_| addresses.answered(base))
        };
        let first = put(addresses.current()).await;
        let (Err(ImdsError::Unreachable { source, .. }), Some(second)) = (&first, addresses.alternative()) else {
            return first;
        };
        if !address::is_unreachable(source) {
            return first;
        }
        let ipv4 = JobError::from_error(source.class(), source).reason;
        put(second).await.map_err(|error| match error {
            ImdsError::Unreachable { item, source } => {
                ImdsError::NeitherAddress { item, ipv4, source: Box::new(source) }
            }
            other => other,
        })
    }
}

fn refused(item: &str, status: StatusCode) -> ImdsError {
    let item = item.to_owned();
    if status == StatusCode::FORBIDDEN { ImdsError::Off { item } } else { ImdsError::Status { item, status } }
}

/// Whether this is an (X)HTML page.
fn is_page(answer: &Response<Bytes>) -> bool {
    let content_type = answer.headers().get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if content_type.is_some_and(|value| value.to_ascii_lowercase().contains("html")) {
        return true;
    }
    let start = answer.body().trim_ascii_start();
    [&b"<?xml"[..], b"<!doctype", b"<html"]
        .iter()
        .any(|tag| start.get(..tag.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(tag)))
}

fn text<'b>(item: &str, body: &'b [u8]) -> Result<&'b str, ImdsError> {
    let text = std::str::from_utf8(body)
        .map_err(|_| ImdsError::Unusable { item: item.to_owned(), what: "bytes that are not text" })?;
    Ok(text.trim())
}

/// `i-` and 8 to 17 hex digits.
fn is_instance_id(text: &str) -> bool {
    text.strip_prefix("i-")
        .is_some_and(|hex| (8..=17).contains(&hex.len()) && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// A label of a host name, which regions and zones become part of.
fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}
