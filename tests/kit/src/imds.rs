//! The instance metadata service, version 2 only, as facts of EC2's user guide and of its clients' sources have it.
//!
//! Items are text below `/VERSION/`, of which `latest` is one; a path that ends in `/` lists its children. A version has the items that
//! were there when it was released. Errors carry small XHTML pages, never a value.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use serde_json::json;
use tokio::runtime::Handle;

use crate::clock::{self, iso8601};
use crate::credentials::Credentials;
use crate::faults::{self, Fault, Faults, error_page};
use crate::journal::Journal;
use crate::server::{Fake, Reply, Reserved, reply};
use crate::text::random_hex;

const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN: &str = "x-aws-ec2-metadata-token";
const TARGET_STATE: &str = "meta-data/autoscaling/target-lifecycle-state";

/// The versions that EC2 has, without most of the old ones.
const VERSIONS: [&str; 8] =
    ["1.0", "2009-04-04", "2016-09-02", "2018-09-24", "2020-10-27", "2021-03-23", "2021-07-15", LATEST];
const LATEST: &str = "latest";
/// What came later than 2016, and in which version: "Instance metadata categories" of EC2's user guide.
const RELEASED: [(&str, &str); 6] = [
    ("meta-data/spot/instance-action", "2016-11-15"),
    ("meta-data/events/maintenance", "2018-08-17"),
    ("meta-data/placement/region", "2020-08-24"),
    ("meta-data/events/recommendations", "2020-10-27"),
    ("meta-data/tags", "2021-03-23"),
    (TARGET_STATE, "2021-07-15"),
];

/// The name of the instance's role.
pub const ROLE: &str = "berth-instance-role";

/// What the metadata says from the start.
pub(crate) struct Instance<'a> {
    pub(crate) id: &'a str,
    pub(crate) region: &'a str,
    pub(crate) zone: &'a str,
    pub(crate) account: &'a str,
}

/// The metadata service.
pub struct Imds {
    port: Reserved,
    items: Mutex<BTreeMap<String, Bytes>>,
    tokens: Mutex<BTreeMap<String, Instant>>,
    versions: Mutex<Vec<&'static str>>,
    credentials: Arc<Credentials>,
    journal: Journal,
    faults: Faults,
    runtime: Handle,
}

impl Imds {
    pub(crate) fn new(
        instance: &Instance<'_>,
        port: Reserved,
        credentials: Arc<Credentials>,
        journal: Journal,
        faults: Faults,
        runtime: Handle,
    ) -> Self {
        let (items, tokens, versions) = (Mutex::default(), Mutex::default(), Mutex::new(VERSIONS.to_vec()));
        let imds = Self { port, items, tokens, versions, credentials, journal, faults, runtime };
        let Instance { id, region, zone, account } = instance;
        imds.set("meta-data/instance-id", id);
        imds.set("meta-data/placement/region", region);
        imds.set("meta-data/placement/availability-zone", zone);
        imds.set("meta-data/placement/availability-zone-id", "use2-az1");
        imds.set("meta-data/services/partition", "aws");
        imds.set("meta-data/services/domain", "amazonaws.com");
        imds.set("meta-data/instance-life-cycle", "on-demand");
        imds.set("meta-data/instance-type", "t3.small");
        imds.set("meta-data/events/maintenance/scheduled", "[]");
        let document = json!({
            "accountId": account, "architecture": "x86_64", "availabilityZone": zone, "billingProducts": null,
            "devpayProductCodes": null, "imageId": "ami-0abcdef1234567890", "instanceId": id, "instanceType": "t3.small",
            "kernelId": null, "marketplaceProductCodes": null, "pendingTime": iso8601(clock::wall()),
            "privateIp": "10.0.0.10", "ramdiskId": null, "region": region, "version": "2017-09-30",
        });
        imds.set("dynamic/instance-identity/document", document.to_string());
        imds
    }

    /// For `AWS_EC2_METADATA_SERVICE_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.port.address)
    }

    /// Begins to answer; until then connections are refused, as on a network that is not up yet.
    pub fn start_listening(self: &Arc<Self>) {
        self.port.open(&self.runtime, Arc::clone(self));
    }

    /// Cuts every connection, and refuses new ones.
    pub fn stop_listening(&self) {
        self.port.close();
    }

    /// Knows no version but `latest` after this, as ec2-metadata-mock and others that play EC2.
    pub fn know_latest_only(&self) {
        *self.versions.lock().unwrap() = vec![LATEST];
    }

    /// Sets one item; the path is that below `/latest/`.
    pub fn set(&self, path: &str, value: impl AsRef<[u8]>) {
        self.items.lock().unwrap().insert(path.into(), Bytes::copy_from_slice(value.as_ref()));
    }

    /// Removes one item: 404 after this.
    pub fn remove(&self, path: &str) {
        self.items.lock().unwrap().remove(path);
    }

    /// `user-data`, as the bytes that the launch template's base64 decodes to.
    pub fn user_data(&self, bytes: impl AsRef<[u8]>) {
        self.set("user-data", bytes);
    }

    /// `autoscaling/target-lifecycle-state`; none is a 404.
    pub fn target_state(&self, state: Option<&str>) {
        match state {
            Some(state) => self.set(TARGET_STATE, state),
            None => self.remove(TARGET_STATE),
        }
    }

    /// A spot interruption: `action` is `terminate`, `stop` or `hibernate`.
    pub fn spot_interruption(&self, action: &str, time: SystemTime) {
        self.set("meta-data/instance-life-cycle", "spot");
        let notice = json!({ "action": action, "time": iso8601(time) });
        self.set("meta-data/spot/instance-action", notice.to_string());
    }

    /// A rebalance recommendation.
    pub fn rebalance_recommendation(&self, time: SystemTime) {
        let notice = json!({ "noticeTime": iso8601(time) });
        self.set("meta-data/events/recommendations/rebalance", notice.to_string());
    }

    /// The scheduled events, a JSON array.
    pub fn scheduled_events(&self, events: &serde_json::Value) {
        self.set("meta-data/events/maintenance/scheduled", events.to_string());
    }

    /// A tag in the metadata.
    pub fn tag(&self, key: &str, value: &str) {
        self.set(&format!("meta-data/tags/instance/{key}"), value);
    }

    /// Makes every token handed out so far invalid: 401.
    pub fn expire_tokens(&self) {
        self.tokens.lock().unwrap().clear();
    }

    /// Hands out new role credentials after this, valid for this long; the old ones stay good until their own end.
    pub fn rotate_credentials(&self, valid: Duration) {
        self.credentials.issue(valid);
    }

    /// Lets AWS refuse every credential handed out so far as expired, and hands out new ones.
    pub fn expire_credentials(&self) {
        self.credentials.expire();
        self.credentials.issue(Duration::from_secs(6 * 3600));
    }

    fn put_token(&self, headers: &HeaderMap) -> Reply {
        if headers.contains_key("x-forwarded-for") {
            return error_page(403);
        }
        let ttl = headers.get(TTL).and_then(|ttl| ttl.to_str().ok()).and_then(|ttl| ttl.parse().ok());
        let Some(seconds @ 1..=21_600_u64) = ttl else { return error_page(400) };
        let token = format!("AQAEA{}==", random_hex(48));
        self.tokens.lock().unwrap().insert(token.clone(), clock::now() + Duration::from_secs(seconds));
        let mut answer = reply(StatusCode::OK, "text/plain", token);
        answer.headers_mut().insert(TTL, HeaderValue::from(seconds));
        answer
    }

    fn token_is_good(&self, headers: &HeaderMap) -> bool {
        let token = headers.get(TOKEN).and_then(|token| token.to_str().ok()).unwrap_or_default();
        self.tokens.lock().unwrap().get(token).is_some_and(|expires| clock::now() < *expires)
    }

    fn get(&self, version: &str, item: &str) -> Reply {
        let known = self.versions.lock().unwrap();
        if version.is_empty() {
            return reply(StatusCode::OK, "text/plain", known.join("\n"));
        }
        // As text, a date is before a later one, and before `latest`.
        let is_later = |(path, released): &(&str, &str)| item.starts_with(path) && version < *released;
        if !known.contains(&version) || RELEASED.iter().any(is_later) {
            return error_page(404);
        }
        if let Some(role) = item.strip_prefix("meta-data/iam/security-credentials") {
            return match role {
                "" | "/" => reply(StatusCode::OK, "text/plain", ROLE),
                role if role.strip_prefix('/') == Some(ROLE) => {
                    reply(StatusCode::OK, "text/plain", self.role_credentials())
                }
                _ => error_page(404),
            };
        }
        let items = self.items.lock().unwrap();
        // botocore asks for the zone with a slash behind it.
        if let Some(value) = items.get(item.trim_end_matches('/')) {
            let kind = if item == "user-data" { "application/octet-stream" } else { "text/plain" };
            return reply(StatusCode::OK, kind, value.clone());
        }
        let below = format!("{}/", item.trim_end_matches('/'));
        let mut children: Vec<&str> =
            items.keys().filter_map(|path| path.strip_prefix(&below)?.split_inclusive('/').next()).collect();
        children.dedup();
        if children.is_empty() { error_page(404) } else { reply(StatusCode::OK, "text/plain", children.join("\n")) }
    }

    fn role_credentials(&self) -> String {
        let one = self.credentials.current();
        json!({
            "Code": "Success", "LastUpdated": iso8601(one.issued), "Type": "AWS-HMAC", "AccessKeyId": one.access_key,
            "SecretAccessKey": one.secret_key, "Token": one.token, "Expiration": iso8601(one.expires),
        })
        .to_string()
    }
}

impl Fake for Imds {
    async fn answer(&self, request: Request<Bytes>) -> Reply {
        let path = request.uri().path().to_owned();
        let below = path.trim_start_matches('/');
        let (version, item) = below.split_once('/').unwrap_or((below, ""));
        let operation = if item == "api/token" { "token" } else { item };
        let noted = self.journal.arrived("imds", format!("{} {operation}", request.method()), String::new());
        let fault = self.faults.meet(&noted);
        let answer = match self.faults.before(fault.as_ref()).await {
            Some(answer) => answer,
            None => match (&fault, request.method()) {
                (Some(Fault::Throttle), _) => error_page(429),
                (Some(Fault::ExpiredToken), _) => error_page(401),
                (Some(Fault::AccessDenied), _) => error_page(403),
                (_, &Method::PUT) if path == "/latest/api/token" => self.put_token(request.headers()),
                (_, &Method::PUT) => error_page(403),
                (_, &(Method::GET | Method::HEAD)) if !self.token_is_good(request.headers()) => error_page(401),
                (_, &(Method::GET | Method::HEAD)) => self.get(version, item),
                _ => error_page(405),
            },
        };
        noted.answered(answer.status().as_u16());
        faults::after(fault.as_ref(), answer).await
    }
}
