//! Why a call has no answer, and what a service's error code asks for.

use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use thiserror::Error;

use super::{CredentialsError, Operation, Service, xml};
use crate::edge::http::HttpError;
use crate::fault::Class;

/// A call that failed. The service's message is kept, cut short; it names principals and resources, never values.
#[derive(Debug, Error)]
pub enum AwsError {
    /// Neither the environment nor the instance's metadata named a region.
    #[error("{operation} has no region: set AWS_REGION")]
    NoRegion {
        /// Which call.
        operation: Operation,
    },
    /// Nobody to sign as.
    #[error("{operation} cannot be signed")]
    Credentials {
        /// Which call.
        operation: Operation,
        /// Why.
        source: CredentialsError,
    },
    /// The endpoint is no URL, or the credentials fit into no header.
    #[error("{operation} cannot be sent to {endpoint}: check AWS_ENDPOINT_URL and the credentials of the environment")]
    Unsignable {
        /// Which call.
        operation: Operation,
        /// Where to.
        endpoint: String,
    },
    /// No answer.
    #[error("{operation} was not answered")]
    Unreachable {
        /// Which call.
        operation: Operation,
        /// Why.
        source: HttpError,
    },
    /// The credentials do not allow it.
    #[error("{operation} is not allowed ({code}): {message}")]
    Denied {
        /// Which call, as an IAM policy names it.
        operation: Operation,
        /// The service's error code.
        code: String,
        /// The service's message.
        message: String,
    },
    /// Any other error of the service.
    #[error("{operation} failed with {status} {code}: {message}")]
    Failed {
        /// Which call.
        operation: Operation,
        /// The HTTP status.
        status: StatusCode,
        /// The service's error code.
        code: String,
        /// The service's message.
        message: String,
    },
    /// An answer without an error code of AWS: no service of AWS refused anything.
    #[error(
        "{operation} was answered with {status} and no AWS error code: check what is between this host and AWS (proxy, firewall, \
         login page)"
    )]
    NotAws {
        /// Which call.
        operation: Operation,
        /// The HTTP status.
        status: StatusCode,
    },
    /// The service blames the clock of this host; calls are signed by the service's time from now on.
    #[error(
        "{operation} was refused because the clock of this host is {} s {}: the service's time is used from now on",
        seconds.unsigned_abs(),
        if *seconds > 0 { "behind" } else { "ahead" }
    )]
    ClockSkewed {
        /// Which call.
        operation: Operation,
        /// How far the service's clock is ahead of this host's.
        seconds: i64,
    },
    /// A good status over something that is no answer to this call.
    #[error("{operation} was answered with something else than its result")]
    Unreadable {
        /// Which call.
        operation: Operation,
    },
}

impl AwsError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::NoRegion { .. } | Self::Unsignable { .. } => Class::Misconfigured,
            Self::Credentials { source, .. } => source.class(),
            Self::Unreachable { source, .. } => source.class(),
            Self::Denied { .. } => Class::Denied,
            Self::Failed { status, code, .. } => class_of(*status, code),
            Self::NotAws { status, .. } if *status == StatusCode::TOO_MANY_REQUESTS => Class::Throttled,
            // Only what AWS itself says is final: something between this host and the service may be another in a minute.
            Self::NotAws { .. } | Self::ClockSkewed { .. } | Self::Unreadable { .. } => Class::Transient,
        }
    }

    /// The service's error code.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Denied { code, .. } | Self::Failed { code, .. } => Some(code),
            _ => None,
        }
    }

    /// The service's message.
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Denied { message, .. } | Self::Failed { message, .. } => Some(message),
            _ => None,
        }
    }

    pub(super) fn is_expired_credentials(&self) -> bool {
        matches!(self.code(), Some("ExpiredToken" | "ExpiredTokenException"))
    }

    pub(super) fn blames_clock(&self) -> bool {
        let message = self.message().unwrap_or_default();
        match self.code() {
            Some("RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture") => true,
            Some("InvalidSignatureException" | "SignatureDoesNotMatch" | "InvalidSignature") => {
                message.contains("Signature expired") || message.contains("not yet current")
            }
            _ => false,
        }
    }

    /// An error code that a service told for one of several things it was asked for.
    pub(in crate::edge) fn of_code(operation: Operation, status: StatusCode, code: &str, message: &str) -> Self {
        if !is_code(code) {
            return Self::NotAws { operation, status };
        }
        let code = printable(code, 100);
        let message = printable(message, 300);
        if class_of(status, &code) == Class::Denied {
            Self::Denied { operation, code, message }
        } else {
            Self::Failed { operation, status, code, message }
        }
    }
}

/// Too many callers (the codes that botocore takes for throttling).
const THROTTLED: &[&str] = &[
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "LimitExceededException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];

/// What passes by itself (the other codes that botocore retries), and credentials that will be renewed.
const TRANSIENT: &[&str] = &[
    "ExpiredToken",
    "ExpiredTokenException",
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "InternalServiceError",
    "InternalServiceErrorException",
    "RequestTimeout",
    "RequestTimeoutException",
    "ResourceContention",
    "ServerException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "TransactionInProgressException",
];

/// The credentials are wrong, or not enough.
pub const DENIED: &[&str] = &[
    "AccessDenied",
    "AccessDeniedException",
    "AuthFailure",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidClientTokenId",
    "InvalidSignature",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "NotAuthorized",
    "OptInRequired",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnauthorizedOperation",
    "UnrecognizedClientException",
];

fn class_of(status: StatusCode, code: &str) -> Class {
    let code = code.strip_suffix("Fault").unwrap_or(code);
    if THROTTLED.contains(&code) || status == StatusCode::TOO_MANY_REQUESTS {
        Class::Throttled
    } else if TRANSIENT.contains(&code) || status.is_server_error() {
        Class::Transient
    } else if DENIED.contains(&code) || status == StatusCode::FORBIDDEN || status == StatusCode::UNAUTHORIZED {
        Class::Denied
    } else {
        Class::Broken
    }
}

/// Reads the error of either protocol; what cannot be read is no error of AWS.
pub(super) fn refusal(operation: Operation, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> AwsError {
    #[derive(Default, Deserialize)]
    struct Json {
        #[serde(rename = "__type")]
        kind: Option<String>,
        code: Option<String>,
        #[serde(alias = "Message")]
        message: Option<String>,
    }
    let (code, message) = if operation.service == Service::AutoScaling {
        let root = xml::parse(body).unwrap_or_default();
        let error = root.find("Error");
        let text = |name| error.and_then(|error| error.text_of(name)).map(str::to_owned);
        (text("Code"), text("Message"))
    } else {
        let json: Json = serde_json::from_slice(body).unwrap_or_default();
        let header = headers.get("x-amzn-errortype").and_then(|value| value.to_str().ok()).map(str::to_owned);
        (header.or(json.kind).or(json.code), json.message)
    };
    // `com.amazonaws.ssm#ThrottlingException:http://…` is ThrottlingException.
    let code = code.unwrap_or_default();
    let code = code.split(':').next().unwrap_or_default();
    let code = code.rsplit('#').next().unwrap_or_default();
    AwsError::of_code(operation, status, code, &message.unwrap_or_else(|| "no message".to_owned()))
}

/// Whether this may be an error code of AWS: a word in camel case, as each of its services has them.
fn is_code(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_uppercase())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'_')
}

/// At most that many characters, in one line.
fn printable(text: &str, most: usize) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(most).collect()
}
