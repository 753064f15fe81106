//! Amazon S3: buckets, whose objects are read, written and deleted under conditions, and listed.
//!
//! Written from the API reference: GetObject, PutObject, DeleteObject, ListObjectsV2, and what boto3 needs beside them. Path style only.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};

use crate::clock::{self, http_date, iso8601};
use crate::iam::Iam;
use crate::refusal::{Protocol, Refusal, refuse, request_id};
use crate::server::{Reply, reply};
use crate::text::{percent_decode, percent_encode, sha256_hex, xml};
use crate::world::REGION;

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";
/// How the metadata of an object's publisher is named.
const METADATA: &str = "x-amz-meta-";

/// The buckets of the account. Clones are the same, so that several worlds may share them ([`crate::world::WorldBuilder::s3`]).
#[derive(Clone)]
pub struct S3 {
    account: Arc<Account>,
}

struct Account {
    buckets: Mutex<BTreeMap<String, Bucket>>,
    page: Mutex<usize>,
}

/// The role that calls, and the clock of its services.
pub(crate) struct Caller<'c> {
    pub(crate) iam: &'c Iam,
    /// By how many seconds the clock of this world's services is ahead of this machine's.
    pub(crate) ahead: i64,
}

struct Bucket {
    region: String,
    objects: BTreeMap<String, Object>,
}

#[derive(Clone)]
struct Object {
    body: Bytes,
    /// By this machine's clock.
    modified: SystemTime,
    metadata: BTreeMap<String, String>,
}

/// A request, by what it is about.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) operation: &'static str,
    bucket: String,
    key: String,
    query: BTreeMap<String, String>,
}

impl Object {
    /// A hash of the content; not the MD5 that S3 takes if it encrypts with keys of its own.
    fn etag(&self) -> String {
        format!("\"{}\"", &sha256_hex(&self.body)[..32])
    }
}

impl Call {
    /// None if it is no request of S3 that the fake has.
    pub(crate) fn read(request: &Request<Bytes>) -> Option<Self> {
        let text = |encoded: &str| String::from_utf8(percent_decode(encoded, false)).ok();
        let path = request.uri().path().strip_prefix('/')?;
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let (bucket, key) = (bucket.to_owned(), text(key)?);
        let pairs = request.uri().query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let query: BTreeMap<_, _> = pairs
            .filter_map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Some((text(name)?, text(value)?))
            })
            .collect();
        let operation = match (request.method(), key.is_empty()) {
            (_, _) if bucket.is_empty() => return None,
            (&Method::GET, true) if query.get("list-type").is_some_and(|kind| kind == "2") => "ListObjectsV2",
            (&Method::PUT, true) => "CreateBucket",
            (&Method::GET, false) => "GetObject",
            (&Method::HEAD, false) => "HeadObject",
            (&Method::PUT, false) => "PutObject",
            (&Method::DELETE, false) => "DeleteObject",
            _ => return None,
        };
        Some(Self { operation, bucket, key, query })
    }

    /// For the journal.
    pub(crate) fn detail(&self) -> String {
        match self.operation {
            "ListObjectsV2" => format!("{}/{}", self.bucket, self.query.get("prefix").map_or("", |prefix| prefix)),
            _ => format!("{}/{}", self.bucket, self.key),
        }
    }

    /// The action that allows it, and the resource.
    fn action(&self) -> (&'static str, String) {
        match self.operation {
            "GetObject" | "HeadObject" => ("s3:GetObject", format!("arn:aws:s3:::{}/{}", self.bucket, self.key)),
            "PutObject" => ("s3:PutObject", format!("arn:aws:s3:::{}/{}", self.bucket, self.key)),
            "DeleteObject" => ("s3:DeleteObject", format!("arn:aws:s3:::{}/{}", self.bucket, self.key)),
            "CreateBucket" => ("s3:CreateBucket", format!("arn:aws:s3:::{}", self.bucket)),
            _ => ("s3:ListBucket", format!("arn:aws:s3:::{}", self.bucket)),
        }
    }
}

impl Default for S3 {
    fn default() -> Self {
        Self { account: Arc::new(Account { buckets: Mutex::default(), page: Mutex::new(1_000) }) }
    }
}

impl S3 {
    /// Creates a bucket in the world's region, unless there is one.
    pub fn create(&self, bucket: &str) {
        self.create_in(bucket, REGION);
    }

    /// Creates a bucket in another region.
    pub fn create_in(&self, bucket: &str, region: &str) {
        let empty = || Bucket { region: region.into(), objects: BTreeMap::new() };
        self.buckets().entry(bucket.into()).or_insert_with(empty);
    }

    /// Writes an object as a publisher does, with this metadata; its ETag.
    pub fn put(&self, bucket: &str, key: &str, body: impl Into<Bytes>, metadata: &[(&str, &str)]) -> String {
        let metadata = metadata.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let object = Object { body: body.into(), modified: clock::wall(), metadata };
        let etag = object.etag();
        self.of(bucket, |bucket| drop(bucket.objects.insert(key.into(), object)));
        etag
    }

    /// What an object holds, none if there is none.
    pub fn object(&self, bucket: &str, key: &str) -> Option<Bytes> {
        self.of(bucket, |bucket| bucket.objects.get(key).map(|object| object.body.clone()))
    }

    /// The keys of a bucket.
    pub fn keys(&self, bucket: &str) -> Vec<String> {
        self.of(bucket, |bucket| bucket.objects.keys().cloned().collect())
    }

    /// Deletes an object.
    pub fn delete(&self, bucket: &str, key: &str) {
        self.of(bucket, |bucket| drop(bucket.objects.remove(key)));
    }

    /// Lets an object be this much older: a lease runs out, a wave begins.
    pub fn age(&self, bucket: &str, key: &str, by: Duration) {
        self.of(bucket, |bucket| bucket.objects.get_mut(key).expect("an object").modified -= by);
    }

    /// How many keys a page of a list has; a thousand as a rule.
    pub fn set_page_size(&self, keys: usize) {
        *self.account.page.lock().unwrap() = keys;
    }

    fn of<T>(&self, bucket: &str, what: impl FnOnce(&mut Bucket) -> T) -> T {
        what(self.buckets().get_mut(bucket).expect("a bucket that was created"))
    }

    fn buckets(&self) -> MutexGuard<'_, BTreeMap<String, Bucket>> {
        self.account.buckets.lock().unwrap()
    }

    /// The answer to a call whose caller is known. It is one step: of two conditional writes one is later.
    pub(crate) fn call(&self, call: &Call, request: &Request<Bytes>, caller: &Caller<'_>) -> Reply {
        self.perform(call, request, caller).unwrap_or_else(|refusal| {
            let mut answer = refuse("s3", Protocol::RestXml, &refusal);
            // A bucket elsewhere is answered with its region.
            if let Some(bucket) = self.buckets().get(&call.bucket).filter(|bucket| bucket.region != REGION) {
                put_header(&mut answer, "x-amz-bucket-region", &bucket.region);
            }
            if call.operation == "HeadObject" {
                *answer.body_mut() = reply(StatusCode::OK, "text/plain", "").into_body();
            }
            answer
        })
    }

    fn perform(&self, call: &Call, request: &Request<Bytes>, caller: &Caller<'_>) -> Result<Reply, Refusal> {
        let (action, resource) = call.action();
        let refused = || denied(action, &resource);
        let prefix = call.query.get("prefix").map(String::as_str).filter(|_| call.operation == "ListObjectsV2");
        if !caller.iam.allows_below(action, &resource, prefix) {
            return Err(refused());
        }
        if call.operation == "CreateBucket" {
            self.create(&call.bucket);
            return Ok(good(StatusCode::OK, Bytes::new()));
        }
        let mut buckets = self.buckets();
        let no_bucket =
            || Refusal { status: 404, ..Refusal::new("NoSuchBucket", "The specified bucket does not exist") };
        let bucket = buckets.get_mut(&call.bucket).ok_or_else(no_bucket)?;
        if bucket.region != REGION {
            let message = "The bucket you are attempting to access must be addressed using the specified endpoint. Please send all \
                           future requests to this endpoint.";
            return Err(Refusal { status: 301, ..Refusal::new("PermanentRedirect", message) });
        }
        let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        let there = bucket.objects.get(&call.key).cloned();
        // Without the right to list, nobody learns that there is no such object.
        let missing = || match caller.iam.allows("s3:ListBucket", &format!("arn:aws:s3:::{}", call.bucket)) {
            true => Refusal { status: 404, ..Refusal::new("NoSuchKey", "The specified key does not exist.") },
            false => refused(),
        };
        let lost = || {
            let message = "At least one of the pre-conditions you specified did not hold";
            Refusal { status: 412, ..Refusal::new("PreconditionFailed", message) }
        };
        let etag = there.as_ref().map(Object::etag);
        let is_same =
            |wanted: &str| etag.as_deref().is_some_and(|etag| etag.trim_matches('"') == wanted.trim_matches('"'));
        match call.operation {
            "GetObject" | "HeadObject" => {
                let object = there.ok_or_else(missing)?;
                if text("if-none-match").is_some_and(is_same) {
                    let mut answer = good(StatusCode::NOT_MODIFIED, Bytes::new());
                    put_header(&mut answer, "etag", &object.etag());
                    return Ok(answer);
                }
                Ok(of_object(call, &object, caller))
            }
            "PutObject" => {
                match (text("if-none-match"), text("if-match")) {
                    (Some("*"), _) if there.is_some() => return Err(lost()),
                    (None, Some(_)) if there.is_none() => return Err(missing()),
                    (None, Some(wanted)) if !is_same(wanted) => return Err(lost()),
                    _ => {}
                }
                let named = request.headers().iter().filter_map(|(name, value)| {
                    Some((name.as_str().strip_prefix(METADATA)?.to_owned(), value.to_str().ok()?.to_owned()))
                });
                let object =
                    Object { body: request.body().clone(), modified: clock::wall(), metadata: named.collect() };
                let mut answer = good(StatusCode::OK, Bytes::new());
                put_header(&mut answer, "etag", &object.etag());
                bucket.objects.insert(call.key.clone(), object);
                Ok(answer)
            }
            "DeleteObject" => {
                match text("if-match") {
                    Some(_) if there.is_none() => return Err(missing()),
                    Some(wanted) if !is_same(wanted) => return Err(lost()),
                    _ => drop(bucket.objects.remove(&call.key)),
                }
                Ok(good(StatusCode::NO_CONTENT, Bytes::new()))
            }
            _ => Ok(good(StatusCode::OK, self.page(call, bucket).into())),
        }
    }

    /// A page of a list. A continuation token is the key before the page, encoded twice so that it needs every escape.
    fn page(&self, call: &Call, bucket: &Bucket) -> String {
        let value = |name: &str| call.query.get(name).map_or("", |value| value);
        let size = *self.account.page.lock().unwrap();
        let after = call.query.get("continuation-token").map(|token| {
            String::from_utf8(percent_decode(token.strip_prefix("1+/=&").unwrap_or(token), false)).unwrap()
        });
        let keys = bucket.objects.iter().filter(|(key, _)| key.starts_with(value("prefix")));
        let mut keys: Vec<_> = keys.filter(|(key, _)| after.as_ref().is_none_or(|after| *key > after)).collect();
        let is_truncated = keys.len() > size;
        keys.truncate(size);
        let is_url = value("encoding-type") == "url";
        let encoded = |key: &str| if is_url { percent_encode(key.as_bytes()).replace("%2F", "/") } else { xml(key) };
        let mut page = format!("<Name>{}</Name><Prefix>{}</Prefix>", call.bucket, encoded(value("prefix")));
        if let Some(token) = call.query.get("continuation-token") {
            page += &format!("<ContinuationToken>{}</ContinuationToken>", xml(token));
        }
        if let Some((last, _)) = keys.last().filter(|_| is_truncated) {
            let token = format!("1+/=&{}", percent_encode(last.as_bytes()));
            page += &format!("<NextContinuationToken>{}</NextContinuationToken>", xml(&token));
        }
        page += &format!("<KeyCount>{}</KeyCount><MaxKeys>1000</MaxKeys>", keys.len());
        if is_url {
            page += "<EncodingType>url</EncodingType>";
        }
        page += &format!("<IsTruncated>{is_truncated}</IsTruncated>");
        for (key, object) in keys {
            page += &format!(
                "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>{}</ETag><Size>{}</Size>\
                 <StorageClass>STANDARD</StorageClass></Contents>",
                encoded(key),
                iso8601(object.modified).replace('Z', ".000Z"),
                object.etag().replace('"', "&quot;"),
                object.body.len()
            );
        }
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"{NAMESPACE}\">{page}</ListBucketResult>"
        )
    }
}

fn denied(action: &str, resource: &str) -> Refusal {
    let (_, operation) = action.split_once(':').expect("an action of S3");
    Refusal { status: 403, code: "AccessDenied".into(), ..crate::refusal::denied("s3", operation, resource) }
}

fn of_object(call: &Call, object: &Object, caller: &Caller<'_>) -> Reply {
    let mut answer = good(StatusCode::OK, object.body.clone());
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("binary/octet-stream"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    put_header(&mut answer, "etag", &object.etag());
    put_header(&mut answer, "last-modified", &http_date(clock::shifted(object.modified, caller.ahead)));
    for (name, value) in &object.metadata {
        put_header(&mut answer, &format!("{METADATA}{name}"), value);
    }
    if call.operation == "HeadObject" {
        put_header(&mut answer, "content-length", &object.body.len().to_string());
        *answer.body_mut() = reply(StatusCode::OK, "text/plain", "").into_body();
    }
    answer
}

fn good(status: StatusCode, body: Bytes) -> Reply {
    let mut answer = reply(status, "application/xml", body.clone());
    if body.is_empty() {
        answer.headers_mut().remove(header::CONTENT_TYPE);
    }
    sign_off(&mut answer);
    answer
}

/// What the head of each answer has.
pub(crate) fn sign_off(answer: &mut Reply) {
    put_header(answer, "x-amz-request-id", &request_id().replace('-', "")[..16].to_uppercase());
    put_header(answer, "x-amz-id-2", &format!("{}=", request_id().replace('-', "+")));
    put_header(answer, "server", "AmazonS3");
}

fn put_header(answer: &mut Reply, name: &str, value: &str) {
    let name = HeaderName::from_bytes(name.as_bytes()).expect("the name of a header");
    answer.headers_mut().insert(name, HeaderValue::from_str(value).expect("a header's value"));
}
