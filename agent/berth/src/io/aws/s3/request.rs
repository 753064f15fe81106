//! A request to S3, and an answer of it.

use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::DateTime;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::date_time::Format;
use bytes::Bytes;
use http::{Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Condition, ObjectName};

/// What a signature encodes in a query: all but the unreserved characters (RFC 3986).
const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same in a path. A colon must be encoded: S3 encodes it when it computes the signature.
const IN_PATH: &AsciiSet = &IN_QUERY.remove(b'/');

/// A request about an object, or about the names under a prefix.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) at: ObjectName,
    method: Method,
    /// After the bucket: `/key`, or `?encoding-type=…`.
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

/// An answer that is no error: a good one, or 304.
#[derive(Debug)]
pub(super) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    pub(super) body: Bytes,
}

impl Request {
    pub(super) fn new(method: Method, at: &ObjectName) -> Self {
        let path = format!("/{}", utf8_percent_encode(&at.key, IN_PATH));
        Self { at: at.clone(), method, path, headers: Vec::new(), body: Vec::new() }
    }

    /// `ListObjectsV2`: the next page of the keys that begin so. They come encoded, since XML cannot hold every key.
    pub(super) fn list(prefix: &ObjectName, token: Option<&str>) -> Self {
        let encoded = |text| utf8_percent_encode(text, IN_QUERY);
        let mut path = format!("?encoding-type=url&list-type=2&prefix={}", encoded(&prefix.key));
        if let Some(token) = token {
            path.push_str(&format!("&continuation-token={}", encoded(token)));
        }
        Self { at: prefix.clone(), method: Method::GET, path, headers: Vec::new(), body: Vec::new() }
    }

    pub(super) fn header(mut self, name: &'static str, value: Option<&str>) -> Self {
        self.headers.extend(value.map(|value| (name, value.to_owned())));
        self
    }

    pub(super) fn condition(self, condition: Condition<'_>) -> Self {
        match condition {
            Condition::Absent => self.header("if-none-match", Some("*")),
            Condition::Unchanged(etag) => self.header("if-match", Some(etag)),
            Condition::None => self,
        }
    }

    pub(super) fn body(self, body: Vec<u8>) -> Self {
        Self { body, ..self }
    }

    /// As the SDK sends it, after the part of the path that names the bucket.
    pub(super) fn to_http(&self, bucket: &str) -> Option<HttpRequest> {
        let mut request = HttpRequest::new(SdkBody::from(self.body.clone()));
        request.set_method(self.method.as_str()).ok()?;
        let slash = if bucket.is_empty() && self.path.starts_with('?') { "/" } else { "" };
        request.set_uri(format!("{bucket}{slash}{}", self.path)).ok()?;
        for (name, value) in &self.headers {
            request.headers_mut().try_insert(*name, value.clone()).ok()?;
        }
        Some(request)
    }
}

impl Answer {
    pub(super) fn of(answer: &HttpResponse) -> Self {
        let texts = answer.headers().iter_bytes();
        let headers =
            texts.filter_map(|(name, value)| Some((name.to_owned(), String::from_utf8(value.to_vec()).ok()?)));
        Self {
            status: answer.status().as_u16(),
            headers: headers.collect(),
            body: Bytes::copy_from_slice(answer.body().bytes().unwrap_or_default()),
        }
    }

    pub(super) fn is_not_modified(&self) -> bool {
        self.status == StatusCode::NOT_MODIFIED.as_u16()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(one, _)| one == name).map(|(_, value)| value.as_str())
    }

    /// How long ago the object was written: both times are of S3's clock.
    pub(super) fn age(&self) -> Option<Duration> {
        let seconds = |name| Some(DateTime::from_str(self.header(name)?, Format::HttpDate).ok()?.secs());
        let age = seconds("date")?.saturating_sub(seconds("last-modified")?);
        Some(Duration::from_secs(u64::try_from(age).unwrap_or_default()))
    }
}
