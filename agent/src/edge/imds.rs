//! The instance metadata service, version 2 only. One question, one attempt; the address is the seam.
//!
//! A token that is refused (401) is renewed once inside the question: that is the protocol, not a retry. The service's own
//! error pages are (X)HTML with any status; nothing of them is ever taken for a value, and every value is checked.
#![expect(clippy::disallowed_methods, reason = "tokens expire by the clock")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use serde::Deserialize;
use thiserror::Error;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::http::{Http, HttpError, close_after};
use super::secret::Secret;
use crate::fault::Class;
use crate::identity::{Identity, TargetState};
use crate::partition::domain_of;

mod sight;

/// For one request. The service is on the same host: what takes longer is lost.
const TIMEOUT: Duration = Duration::from_secs(2);
/// User-data is at most 16 KB; nothing else is longer.
const MAX_BODY: usize = 64 * 1024;
/// The longest that the service grants: six hours.
const TOKEN_TTL: Duration = Duration::from_secs(21_600);
/// A token is renewed this long before it expires, or a tenth of its life if that is shorter.
const RENEW_BEFORE: Duration = Duration::from_secs(60);

/// Lists the one role.
const ROLES: &str = "meta-data/iam/security-credentials/";

const TTL_HEADER: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");
const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token");

/// The metadata service at one address; clones share its token.
#[derive(Clone, Debug)]
pub struct Imds {
    base: Arc<str>,
    http: Http,
    token: Arc<Mutex<Option<Token>>>,
}

#[derive(Clone, Debug)]
struct Token {
    value: HeaderValue,
    renew_at: Instant,
}

/// Why a question has no answer.
#[derive(Debug, Error)]
pub enum ImdsError {
    /// The environment names an endpoint that cannot be one.
    #[error("{variable}={value:?} is not usable: expected {expected}")]
    Endpoint {
        /// The environment variable.
        variable: &'static str,
        /// What it says.
        value: String,
        /// What it should say.
        expected: &'static str,
    },
    /// No answer.
    #[error("the instance metadata returned no {item}")]
    Unreachable {
        /// What was asked for.
        item: String,
        /// Why.
        source: HttpError,
    },
    /// The service is switched off for this instance, or does not grant it.
    #[error(
        "the instance metadata refused {item} (403): enable it with `aws ec2 modify-instance-metadata-options \
         --http-endpoint enabled --http-tokens required` (HttpEndpoint, HttpTokens)"
    )]
    Off {
        /// What was asked for.
        item: String,
    },
    /// Any other status.
    #[error("the instance metadata answered {status} when asked for {item}")]
    Status {
        /// What was asked for.
        item: String,
        /// The status.
        status: StatusCode,
    },
    /// Every instance has it, this one has not.
    #[error("the instance metadata has no {item}")]
    Missing {
        /// What was asked for.
        item: String,
    },
    /// An error page under a good status, or a value that cannot be one.
    #[error("the instance metadata answered with {what} when asked for {item}")]
    Unusable {
        /// What was asked for.
        item: String,
        /// What came instead.
        what: &'static str,
    },
    /// The instance has no role.
    #[error("the instance has no credentials: attach an instance profile with a role to it")]
    NoRole,
    /// The role's credentials could not be made.
    #[error(
        "the instance has no credentials: its role {role} answers {code}: attach an instance profile whose role trusts \
         ec2.amazonaws.com"
    )]
    RoleFailed {
        /// The role.
        role: String,
        /// The service's word.
        code: String,
    },
}

impl ImdsError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Endpoint { .. } | Self::Off { .. } => Class::Misconfigured,
            Self::Unreachable { source, .. } => source.class(),
            Self::Status { status, .. } if *status == StatusCode::BAD_REQUEST => Class::Broken,
            // 401 again with a new token, 429, 5xx, pages of something in between: all of them pass.
            Self::Status { .. } | Self::Unusable { .. } => Class::Transient,
            Self::Missing { .. } => Class::Broken,
            Self::NoRole | Self::RoleFailed { .. } => Class::Denied,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
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
    /// The service at this address: scheme and authority, no path.
    pub fn at(base: &Uri, http: Http) -> Self {
        Self { base: base.to_string().trim_end_matches('/').into(), http, token: Arc::default() }
    }

    /// The service where the AWS SDKs' environment variables say, else at its link-local address.
    pub fn from_env(env: &dyn Fn(&str) -> Option<String>, http: Http) -> Result<Self, ImdsError> {
        const ENDPOINT: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
        const MODE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE";
        let set = |name| env(name).filter(|value| !value.is_empty());
        if let Some(value) = set(ENDPOINT) {
            return match value.parse::<Uri>() {
                Ok(base) if base.scheme().is_some() && base.host().is_some() => Ok(Self::at(&base, http)),
                _ => Err(ImdsError::Endpoint {
                    variable: ENDPOINT,
                    value,
                    expected: "a URL like http://169.254.169.254",
                }),
            };
        }
        match set(MODE) {
            None => Ok(Self::at(&Uri::from_static("http://169.254.169.254"), http)),
            Some(mode) if mode.eq_ignore_ascii_case("IPv4") => {
                Ok(Self::at(&Uri::from_static("http://169.254.169.254"), http))
            }
            Some(mode) if mode.eq_ignore_ascii_case("IPv6") => {
                Ok(Self::at(&Uri::from_static("http://[fd00:ec2::254]"), http))
            }
            Some(value) => Err(ImdsError::Endpoint { variable: MODE, value, expected: "IPv4 or IPv6" }),
        }
    }

    /// Where it asks.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Who this instance is: three questions side by side, behind one token.
    pub async fn identity(&self) -> Result<Identity, ImdsError> {
        let (document, domain, target_state) = tokio::try_join!(
            self.required("dynamic/instance-identity/document"),
            self.optional("meta-data/services/domain"),
            self.target_lifecycle_state(),
        )?;
        let unusable = |what| ImdsError::Unusable { item: "dynamic/instance-identity/document".into(), what };
        let document: Document = serde_json::from_slice(&document).map_err(|_| unusable("no identity document"))?;
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
        let domain = text("meta-data/services/domain", domain.as_deref().unwrap_or_default())?;
        // Some of what plays the metadata service leaves it out: then the region says which partition it is.
        let domain = if domain.is_empty() { domain_of(&document.region) } else { domain };
        if !domain.split('.').all(is_label) {
            return Err(ImdsError::Unusable { item: "meta-data/services/domain".into(), what: "no domain" });
        }
        Ok(Identity {
            instance_id: document.instance_id,
            region: document.region,
            availability_zone: document.availability_zone,
            account: document.account_id,
            domain: domain.to_owned(),
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
        // Its error would quote the body.
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
        // The SDK's signer takes it for granted that they fit into a header, and panics.
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

    async fn required(&self, item: &str) -> Result<Bytes, ImdsError> {
        self.optional(item).await?.ok_or_else(|| ImdsError::Missing { item: item.to_owned() })
    }

    /// One question. Only 404 says that the item is not there.
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
        self.send(item, Method::GET, &format!("{}/latest/{item}", self.base), TOKEN_HEADER, token.clone()).await
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

    /// The token: the one at hand unless it is about to expire or was just refused. Who asks meanwhile waits for the same.
    async fn token(&self, refused_token: Option<&HeaderValue>) -> Result<HeaderValue, ImdsError> {
        let mut cached = self.token.lock().await;
        if let Some(token) = &*cached
            && Instant::now() < token.renew_at
            && Some(&token.value) != refused_token
        {
            return Ok(token.value.clone());
        }
        const ITEM: &str = "a token";
        let uri = format!("{}/latest/api/token", self.base);
        let asked_at = Instant::now();
        let answer = self.send(ITEM, Method::PUT, &uri, TTL_HEADER, HeaderValue::from(TOKEN_TTL.as_secs())).await?;
        if answer.status() != StatusCode::OK {
            return Err(refused(ITEM, answer.status()));
        }
        let granted = answer.headers().get(TTL_HEADER).and_then(|value| value.to_str().ok()?.parse().ok());
        let ttl = granted.map_or(TOKEN_TTL, Duration::from_secs).min(TOKEN_TTL);
        let unusable = || ImdsError::Unusable { item: ITEM.into(), what: "an error page" };
        if is_page(&answer) || answer.body().is_empty() {
            return Err(unusable());
        }
        let mut value = HeaderValue::from_bytes(answer.body().trim_ascii()).map_err(|_| unusable())?;
        value.set_sensitive(true);
        *cached = Some(Token { value: value.clone(), renew_at: asked_at + ttl - RENEW_BEFORE.min(ttl / 10) });
        Ok(value)
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

/// A part of a host name, which regions and zones become.
fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}
