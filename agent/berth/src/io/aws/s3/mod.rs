//! Amazon S3: an object read, written, deleted, each under a condition; and the names under a prefix.
//!
//! The requests and the answers are made and read here, and go through the SDK's pipeline: its cache of credentials, its signer, its errors. The SDK's own
//! client of S3 is 900 KB: docs/decisions/0015-the-sdk.md.

use std::fmt;
use std::time::Duration;

use berth_core::message::error::{ErrorClass, JobError};
use berth_core::message::release::ReleaseId;
use bytes::Bytes;
use http::Method;
use thiserror::Error;

use crate::io::aws::client::Aws;
use crate::io::aws::error::AwsError;
use crate::io::aws::service::{Operation, Service};
use request::{Answer, Request};

mod page;
mod pipeline;
mod request;

pub(crate) const GET: Operation = Service::S3.operation("GetObject");
pub(crate) const PUT: Operation = Service::S3.operation("PutObject");
pub(crate) const DELETE: Operation = Service::S3.operation("DeleteObject");
/// `ListObjectsV2`, by the action that allows it.
pub(crate) const LIST: Operation = Service::S3.operation("ListBucket");

/// A list ends after so many pages of a thousand names: no board has as many.
const MAX_PAGES: usize = 1_000;

/// The metadata of a release's document: the release that it replaces, and whether it goes back to an earlier one.
const PREVIOUS: &str = "x-amz-meta-berth-previous";
const ROLLBACK: &str = "x-amz-meta-berth-rollback";

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectName {
    /// Its bucket.
    pub bucket: String,
    /// Its key, not encoded.
    pub key: String,
}

/// An object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// What it holds.
    pub body: Bytes,
    /// The ETag, with its quotes: another one after each write of other bytes.
    pub etag: String,
    /// How long ago it was written, by the clock of S3 alone.
    pub age: Duration,
    /// What it says of the release that it is.
    pub about: About,
}

/// The metadata of a release's document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The release that it replaces.
    pub previous: Option<ReleaseId>,
    /// Whether it was published to go back to an earlier one.
    pub is_rollback: bool,
}

/// When a write takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition<'a> {
    /// There is no such object.
    Absent,
    /// The object has this ETag.
    Unchanged(&'a str),
    /// Always.
    None,
}

/// A call about an object, or about the objects under a prefix, that failed.
#[derive(Debug, Error)]
#[error("{at}")]
pub struct S3Error {
    /// `s3://bucket/key`
    pub at: String,
    /// Why.
    pub source: AwsError,
}

impl S3Error {
    /// What to do about it.
    pub fn class(&self) -> ErrorClass {
        self.source.class()
    }

    /// Whether there is no such object.
    pub fn is_missing(&self) -> bool {
        self.source.code() == Some("NoSuchKey")
    }

    /// Whether the condition of the call did not hold. To a write over an object that is gone S3 answers that there is none.
    fn is_lost(&self) -> bool {
        self.source.code() == Some("PreconditionFailed") || self.is_missing()
    }
}

impl From<S3Error> for JobError {
    fn from(error: S3Error) -> Self {
        let action = error.source.denied_action();
        let mut whole = Self::from_error(error.class(), &error);
        // S3 does not tell whether an object exists to anyone who may not list the bucket (API reference, GetObject).
        if error.source.operation() == GET && action.as_deref() == Some("s3:GetObject") {
            whole.reason.push_str("; without s3:ListBucket, S3 says this of an object that does not exist too");
        }
        whole.denied(action)
    }
}

/// An object; none if it still has the ETag `unless`.
pub async fn get(aws: &Aws, at: &ObjectName, unless: Option<&str>) -> Result<Option<Object>, S3Error> {
    let request = Request::new(Method::GET, at).header("if-none-match", unless);
    let answer = send(aws, GET, request).await?;
    if answer.is_not_modified() {
        return Ok(None);
    }
    let object = (answer.header("etag"), answer.age());
    let (Some(etag), Some(age)) = object else {
        return Err(failed(at.to_string(), AwsError::Unreadable { operation: GET }));
    };
    let about = About {
        previous: answer.header(PREVIOUS).and_then(ReleaseId::parse),
        is_rollback: answer.header(ROLLBACK) == Some("true"),
    };
    Ok(Some(Object { etag: etag.to_owned(), age, about, body: answer.body }))
}

/// Writes an object, and returns its ETag; none if the condition does not hold.
pub async fn put(
    aws: &Aws,
    at: &ObjectName,
    body: Vec<u8>,
    condition: Condition<'_>,
    about: &About,
) -> Result<Option<String>, S3Error> {
    let request = Request::new(Method::PUT, at)
        .condition(condition)
        .header(PREVIOUS, about.previous.as_ref().map(|id| id.0.as_str()))
        .header(ROLLBACK, about.is_rollback.then_some("true"))
        .body(body);
    match send(aws, PUT, request).await {
        Ok(answer) => match answer.header("etag") {
            Some(etag) => Ok(Some(etag.to_owned())),
            None => Err(failed(at.to_string(), AwsError::Unreadable { operation: PUT })),
        },
        Err(error) if error.is_lost() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Deletes an object that is there as the condition says; returns whether it was.
pub async fn delete(aws: &Aws, at: &ObjectName, condition: Condition<'_>) -> Result<bool, S3Error> {
    match send(aws, DELETE, Request::new(Method::DELETE, at).condition(condition)).await {
        Ok(_) => Ok(true),
        Err(error) if error.is_lost() => Ok(false),
        Err(error) => Err(error),
    }
}

/// An object, if there is one. A GET of what is not there is answered with 403 where a list is allowed under a condition only (API reference,
/// GetObject): then a list of its key says so.
pub async fn find(aws: &Aws, at: &ObjectName) -> Result<Option<Object>, S3Error> {
    match get(aws, at, None).await {
        Err(error) if error.is_missing() => Ok(None),
        Err(error) if error.class() == ErrorClass::Denied => {
            let is_there = list(aws, at).await?.iter().any(String::is_empty);
            if is_there { Err(error) } else { Ok(None) }
        }
        found => found,
    }
}

/// The keys of a bucket that begin so, without that beginning; all pages.
pub async fn list(aws: &Aws, prefix: &ObjectName) -> Result<Vec<String>, S3Error> {
    let (mut keys, mut token) = (Vec::new(), None);
    for _ in 0..MAX_PAGES {
        let answer = send(aws, LIST, Request::list(prefix, token.as_deref())).await?;
        let Some(page) = page::read(&answer.body) else { break };
        keys.extend(page.keys.iter().filter_map(|key| key.strip_prefix(&prefix.key)).map(str::to_owned));
        token = page.next;
        if token.is_none() {
            return Ok(keys);
        }
    }
    Err(failed(prefix.to_string(), AwsError::Unreadable { operation: LIST }))
}

async fn send(aws: &Aws, operation: Operation, request: Request) -> Result<Answer, S3Error> {
    let (at, is_named) = (request.at.to_string(), aws.names_endpoint(Service::S3));
    let sent = aws.call(operation, None, |config| pipeline::send(config, operation, request, is_named));
    sent.await.map_err(|source| failed(at, source))
}

fn failed(at: String, source: AwsError) -> S3Error {
    S3Error { at, source }
}

/// `s3://bucket/key`
impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}
