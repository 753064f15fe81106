//! Why a request to the metadata service has no usable answer.

use berth_core::message::error::ErrorClass;
use http::StatusCode;
use thiserror::Error;

use crate::io::http::HttpError;

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
    /// No answer at either of the two addresses of EC2.
    #[error("the instance metadata returned no {item} by IPv4 ({ipv4}) or IPv6")]
    NeitherAddress {
        /// What was asked for.
        item: String,
        /// Why not by IPv4.
        ipv4: String,
        /// Why not by IPv6.
        source: Box<HttpError>,
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
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Endpoint { .. } | Self::Off { .. } => ErrorClass::Misconfigured,
            Self::Unreachable { source, .. } => source.class(),
            Self::NeitherAddress { source, .. } => source.class(),
            Self::Status { status, .. } if *status == StatusCode::BAD_REQUEST => ErrorClass::Broken,
            // 401 again with a new token, 429, 5xx, pages of something in between: all of them pass.
            Self::Status { .. } | Self::Unusable { .. } => ErrorClass::Transient,
            Self::Missing { .. } => ErrorClass::Broken,
            Self::NoRole | Self::RoleFailed { .. } => ErrorClass::Denied,
        }
    }
}

job_error_from!(ImdsError);
