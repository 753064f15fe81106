//! The SDK's calls over the process's own HTTP client: one request, one response.

use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::DateTime;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::date_time::Format;
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;

use super::s3;
use super::service::{Operation, Service};
use crate::io::http::{Http, HttpError, close_after};

/// For one call, from the connection to the last byte of the response.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// Twenty secrets of 64 KB each, as JSON or base64.
pub(super) const MAX_BODY: usize = 4 * 1024 * 1024;

/// The HTTP client of one call.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    http: Http,
    /// None is a call of a source of credentials.
    operation: Option<Operation>,
    date: AnswerDate,
}

/// The `Date` of the answer, which the SDK does not hand on. Clones are of the same call.
#[derive(Clone, Debug, Default)]
pub(super) struct AnswerDate(Arc<OnceLock<DateTime>>);

impl AnswerDate {
    /// None if there was no answer, or none with a date.
    pub(super) fn get(&self) -> Option<DateTime> {
        self.0.get().copied()
    }
}

/// Why there is no response for the SDK. It is carried in the SDK's error.
#[derive(Clone, Debug)]
pub(super) enum Unanswered {
    /// There was no response.
    Http(Arc<HttpError>),
    /// A good status with a body that is not a result of this operation.
    Unreadable,
    /// A status that no operation of AWS has. The SDK treats every status below 300 as success.
    Status(StatusCode),
    /// The SDK's request is not valid.
    Unsendable,
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the call got no response")
    }
}

impl StdError for Unanswered {}

impl Exchange {
    pub(super) fn new(http: Http, operation: Option<Operation>) -> Self {
        Self { http, operation, date: AnswerDate::default() }
    }

    pub(super) fn date(&self) -> AnswerDate {
        self.date.clone()
    }

    async fn send(self, request: HttpRequest) -> Result<HttpResponse, Unanswered> {
        let request = request.try_into_http1x().map_err(|_| Unanswered::Unsendable)?;
        // Every request of these services is in memory, and none holds a secret.
        let mut request = request.map(|body| Full::new(Bytes::copy_from_slice(body.bytes().unwrap_or_default())));
        if self.operation.is_none_or(|operation| operation.service.returns_secrets()) {
            close_after(&mut request);
        }
        let answer = self.http.send(request, TIMEOUT, MAX_BODY).await;
        let answer = answer.map_err(|error| Unanswered::Http(Arc::new(error)))?;
        let date = answer.headers().get(http::header::DATE).and_then(|date| date.to_str().ok());
        if let Some(date) = date.and_then(|date| DateTime::from_str(date, Format::HttpDate).ok()) {
            let _ = self.date.0.set(date);
        }
        let good = self.operation.map_or(StatusCode::OK, Operation::good_status);
        match answer.status() {
            status if status == good && !self.operation.is_none_or(|operation| operation.is_answered_by(&answer)) => {
                return Err(Unanswered::Unreadable);
            }
            status if status.is_success() && status != good => return Err(Unanswered::Status(status)),
            _ => {}
        }
        HttpResponse::try_from(answer.map(SdkBody::from)).map_err(|_| Unanswered::Unreadable)
    }
}

impl HttpClient for Exchange {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Exchange {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let exchange = self.clone();
        HttpConnectorFuture::new(async move {
            exchange.send(request).await.map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

impl Operation {
    /// The status of its result. S3 has another one for a deletion.
    fn good_status(self) -> StatusCode {
        if self == s3::DELETE { StatusCode::NO_CONTENT } else { StatusCode::OK }
    }

    /// Whether a body may be the response to this operation. For an operation without a result, such as `CompleteLifecycleAction`, the SDK accepts any
    /// body: a login page would count as a completed hook.
    fn is_answered_by(self, answer: &Response<Bytes>) -> bool {
        let body = answer.body().trim_ascii_start();
        // What an object holds can be anything, and so can the body of a page: the head says that S3 answered.
        if self.service == Service::S3 {
            // The second is the name that the other services have for it.
            return ["x-amz-request-id", "x-amzn-requestid"].iter().any(|name| answer.headers().contains_key(*name));
        }
        if !self.service.answers_xml() {
            return body.starts_with(b"{");
        }
        let text = std::str::from_utf8(body).unwrap_or_default();
        let root = match text.strip_prefix("<?xml") {
            Some(declared) => declared.split_once("?>").map_or("", |(_, root)| root).trim_start(),
            None => text,
        };
        let name = root.strip_prefix('<').and_then(|root| root.strip_prefix(self.name)?.strip_prefix("Response"));
        name.is_some_and(|rest| rest.starts_with([' ', '>', '/', '\n', '\r', '\t']))
    }
}
