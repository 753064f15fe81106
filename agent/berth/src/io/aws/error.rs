//! Why a call failed, and the class of a service's error code.

use std::error::Error as StdError;
use std::sync::Arc;

use aws_runtime::retries::classifiers::{THROTTLING_ERRORS, TRANSIENT_ERRORS};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::{ErrorMetadata, ProvideErrorMetadata};
use berth_config::printable::{message, one_line};
use berth_core::message::error::{ErrorClass, JobError, find};
use http::StatusCode;
use thiserror::Error;

use super::credentials_error::CredentialsError;
use super::exchange::Unanswered;
use super::service::Operation;
use crate::io::http::HttpError;

/// Bytes of an error code that are kept.
const MAX_CODE: usize = 100;
/// Bytes of a service's message that are kept.
const MAX_MESSAGE: usize = 300;

/// A call that failed. The service's message is kept, cut short; it names principals and resources, never values.
#[derive(Debug, Error)]
pub enum AwsError {
    /// Neither the environment nor the instance's metadata named a region.
    #[error("{operation} has no region: set AWS_REGION")]
    NoRegion {
        /// Which call.
        operation: Operation,
    },
    /// There are no credentials to sign with.
    #[error("{operation} cannot be signed")]
    Credentials {
        /// Which call.
        operation: Operation,
        /// Why.
        source: Arc<CredentialsError>,
    },
    /// There is no such endpoint, or the credentials cannot be sent in a header.
    #[error("{operation} cannot be sent: {why}")]
    Unsendable {
        /// Which call.
        operation: Operation,
        /// What is wrong, and what to check.
        why: String,
    },
    /// No response.
    #[error("{operation} got no response")]
    Unreachable {
        /// Which call.
        operation: Operation,
        /// Why.
        source: Arc<HttpError>,
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
    /// A response without an error code of AWS: it is not from a service of AWS.
    #[error(
        "{operation} returned {status} without an AWS error code: check what is between this host and AWS (proxy, firewall, \
         login page)"
    )]
    NotAws {
        /// Which call.
        operation: Operation,
        /// The HTTP status.
        status: StatusCode,
    },
    /// The service refused because of the clock of this host; calls are signed by the service's time after that.
    #[error(
        "{operation} was refused because the clock of this host is {} s {}; the service's time is used after that",
        seconds.unsigned_abs(),
        if *seconds > 0 { "behind" } else { "ahead" }
    )]
    ClockSkewed {
        /// Which call.
        operation: Operation,
        /// How far the service's clock is ahead of this host's.
        seconds: i64,
    },
    /// A good status with a body that is not a result of this operation.
    #[error("{operation} returned no result of this operation")]
    Unreadable {
        /// Which call.
        operation: Operation,
    },
    /// The SDK ended the call by itself, for none of the reasons above.
    #[error("{operation} ended without a response")]
    GivenUp {
        /// Which call.
        operation: Operation,
    },
}

impl AwsError {
    /// What to do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::NoRegion { .. } | Self::Unsendable { .. } => ErrorClass::Misconfigured,
            Self::Credentials { source, .. } => source.class(),
            Self::Unreachable { source, .. } => source.class(),
            Self::Denied { .. } => ErrorClass::Denied,
            Self::Failed { status, code, .. } => class_of(*status, code),
            Self::NotAws { status, .. } if *status == StatusCode::TOO_MANY_REQUESTS => ErrorClass::Throttled,
            // Only an answer of AWS itself is final: what is between this host and the service may change in a minute.
            Self::NotAws { .. } | Self::ClockSkewed { .. } | Self::Unreadable { .. } | Self::GivenUp { .. } => {
                ErrorClass::Transient
            }
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

    /// The IAM action that the credentials lack, if that is the reason: the one that the service's message names, else that of the call.
    pub fn denied_action(&self) -> Option<String> {
        match self {
            Self::Denied { operation, message, .. } => {
                Some(named_action(message).map_or_else(|| operation.to_string(), str::to_owned))
            }
            _ => None,
        }
    }

    /// Converts the SDK's error. None of its own texts is kept: they may quote a response.
    pub(super) fn from_sdk<E>(operation: Operation, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        if let Some(answer) = error.raw_response() {
            let status = StatusCode::from_u16(answer.status().as_u16()).unwrap_or_default();
            return Self::refused(operation, status, error.meta());
        }
        if let Some(source) = find::<Arc<CredentialsError>>(error) {
            return Self::Credentials { operation, source: source.clone() };
        }
        match (find::<Unanswered>(error), error) {
            (Some(Unanswered::Http(source)), _) => Self::Unreachable { operation, source: source.clone() },
            (Some(Unanswered::Unreadable), _) => Self::Unreadable { operation },
            (Some(Unanswered::Status(status)), _) => Self::NotAws { operation, status: *status },
            (Some(Unanswered::Unsendable), _) | (None, SdkError::ConstructionFailure(_)) => {
                let why = "check AWS_REGION and the credentials of the environment".to_owned();
                Self::Unsendable { operation, why }
            }
            // Nothing that the SDK decides by itself is final.
            (None, _) => Self::GivenUp { operation },
        }
    }

    fn refused(operation: Operation, status: StatusCode, error: &ErrorMetadata) -> Self {
        if status == StatusCode::OK {
            return Self::Unreadable { operation };
        }
        let message = error.message().unwrap_or("no message");
        Self::of_code(operation, status, error.code().unwrap_or_default(), message)
    }

    /// Which call.
    pub(super) fn operation(&self) -> Operation {
        match self {
            Self::NoRegion { operation }
            | Self::Credentials { operation, .. }
            | Self::Unsendable { operation, .. }
            | Self::Unreachable { operation, .. }
            | Self::Denied { operation, .. }
            | Self::Failed { operation, .. }
            | Self::NotAws { operation, .. }
            | Self::ClockSkewed { operation, .. }
            | Self::Unreadable { operation }
            | Self::GivenUp { operation } => *operation,
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

    /// The error code of a service for one of several items of a call.
    pub(in crate::io) fn of_code(operation: Operation, status: StatusCode, code: &str, text: &str) -> Self {
        if !is_code(code) {
            return Self::NotAws { operation, status };
        }
        let (code, message) = (one_line(code, MAX_CODE), message(text, MAX_MESSAGE));
        if class_of(status, &code) == ErrorClass::Denied {
            Self::Denied { operation, code, message }
        } else {
            Self::Failed { operation, status, code, message }
        }
    }
}

impl From<AwsError> for JobError {
    fn from(error: AwsError) -> Self {
        Self::from_error(error.class(), &error).denied(error.denied_action())
    }
}

/// Transient codes beside the SDK's own list: the other codes that botocore retries, and credentials that will be renewed.
const TRANSIENT: &[&str] = &[
    "ExpiredToken",
    "ExpiredTokenException",
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "InternalServiceError",
    "InternalServiceErrorException",
    // S3: another conditional write of the object was in progress.
    "ConditionalRequestConflict",
    "OperationAborted",
    // S3: a new bucket, whose name is not known everywhere yet.
    "TemporaryRedirect",
    "ResourceContention",
    "ServerException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
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

fn class_of(status: StatusCode, code: &str) -> ErrorClass {
    let code = code.strip_suffix("Fault").unwrap_or(code);
    if THROTTLING_ERRORS.contains(&code) || status == StatusCode::TOO_MANY_REQUESTS {
        ErrorClass::Throttled
    } else if TRANSIENT_ERRORS.contains(&code) || TRANSIENT.contains(&code) || status.is_server_error() {
        ErrorClass::Transient
    } else if DENIED.contains(&code) || status == StatusCode::FORBIDDEN || status == StatusCode::UNAUTHORIZED {
        ErrorClass::Denied
    } else {
        ErrorClass::Broken
    }
}

/// The action in a message of AWS: `… is not authorized to perform: ACTION on resource: …` (IAM User Guide, "Troubleshoot access denied error
/// messages"). Secrets Manager says `Access to KMS is not allowed` of a key without naming the action (API reference, GetSecretValue).
fn named_action(message: &str) -> Option<&str> {
    let named = message.split_once("not authorized to perform: ").and_then(|(_, rest)| rest.split_whitespace().next());
    match named.filter(|action| action.contains(':')) {
        None if message.to_ascii_lowercase().contains("kms") => Some("kms:Decrypt"),
        named => named,
    }
}

/// Whether this may be an error code of AWS: a word in camel case, as each of its services has them.
fn is_code(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_uppercase())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'_')
}

#[cfg(test)]
mod tests {
    use aws_sdk_ssm::operation::get_parameters::GetParametersError;
    use aws_smithy_runtime_api::client::result::ConnectorError;

    use super::super::service::Service;
    use super::*;

    /// Query services such as Auto Scaling put `Fault` behind the names of some of their errors (botocore's `service-2.json`).
    #[test]
    fn a_code_of_auto_scaling_is_classified_without_its_suffix() {
        assert_eq!(class_of(StatusCode::BAD_REQUEST, "ResourceContentionFault"), ErrorClass::Transient);
        assert_eq!(class_of(StatusCode::BAD_REQUEST, "ScalingActivityInProgressFault"), ErrorClass::Broken);
    }

    /// The messages of the IAM User Guide, of Secrets Manager and of the Parameter Store.
    #[test]
    fn a_denied_call_says_which_action_would_have_allowed_it() {
        let denied = |message: &str| {
            let operation = Service::Ssm.operation("GetParameters");
            let error = AwsError::of_code(operation, StatusCode::BAD_REQUEST, "AccessDeniedException", message);
            JobError::from(error).denied_action.unwrap()
        };
        let user = "User: arn:aws:sts::123456789012:assumed-role/web/i-0123456789abcdef0";
        for (message, action) in [
            (
                format!("{user} is not authorized to perform: ssm:GetParameters on resource: arn:aws:ssm:x"),
                "ssm:GetParameters",
            ),
            (
                format!("{user} is not authorized to perform: secretsmanager:GetSecretValue on resource: secret:kms-1"),
                "secretsmanager:GetSecretValue",
            ),
            (format!("{user} is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:x"), "kms:Decrypt"),
            ("Access to KMS is not allowed".to_owned(), "kms:Decrypt"),
            ("no message".to_owned(), "ssm:GetParameters"),
        ] {
            assert_eq!(denied(&message), action, "{message}");
        }
        let failed = AwsError::of_code(
            Service::Ssm.operation("GetParameters"),
            StatusCode::BAD_REQUEST,
            "ThrottlingException",
            "",
        );
        assert_eq!(JobError::from(failed).denied_action, None);
    }

    #[test]
    fn what_the_sdk_gives_up_by_itself_passes_and_what_it_cannot_build_does_not() {
        type Sdk = SdkError<GetParametersError, HttpResponse>;
        let operation = Service::Ssm.operation("GetParameters");
        for (error, class) in [
            (Sdk::timeout_error("too slow"), ErrorClass::Transient),
            (Sdk::dispatch_failure(ConnectorError::other("why".into(), None)), ErrorClass::Transient),
            (Sdk::construction_failure("no such region"), ErrorClass::Misconfigured),
        ] {
            let aws_error = AwsError::from_sdk(operation, &error);
            assert_eq!(aws_error.class(), class, "{error:?}: {aws_error}");
        }
    }
}
