//! Why a request to the metadata service has no usable answer.

use berth_core::message::error::ErrorClass;
use http::StatusCode;
use thiserror::Error;

use crate::io::http::HttpError;

/// Why a request failed.
#[derive(Debug, Error)]
pub enum ImdsError {
    /// The environment names an endpoint that is not valid.
    #[error("{variable}={value:?} is not usable: expected {expected}")]
    Endpoint {
        /// The environment variable.
        variable: &'static str,
        /// Its value.
        value: String,
        /// The valid values.
        expected: &'static str,
    },
    /// No response.
    #[error("IMDS request for {item} failed")]
    Unreachable {
        /// What was requested.
        item: String,
        /// Why.
        source: HttpError,
    },
    /// No response at either of the two addresses of EC2.
    #[error("IMDS request for {item} failed by IPv4 ({ipv4}) and by IPv6")]
    NeitherAddress {
        /// What was requested.
        item: String,
        /// Why not by IPv4.
        ipv4: String,
        /// Why not by IPv6.
        source: Box<HttpError>,
    },
    /// The service is switched off for this instance, or does not grant it.
    #[error(
        "IMDS request for {item} was refused (403): enable IMDS with `aws ec2 modify-instance-metadata-options \
         --http-endpoint enabled --http-tokens required` (HttpEndpoint, HttpTokens)"
    )]
    Off {
        /// What was requested.
        item: String,
    },
    /// Any other status.
    #[error("IMDS request for {item} failed with {status}")]
    Status {
        /// What was requested.
        item: String,
        /// The status.
        status: StatusCode,
    },
    /// Every instance has it, but this one does not.
    #[error("IMDS has no {item}")]
    Missing {
        /// What was requested.
        item: String,
    },
    /// An error page under a good status, or a value that is not valid.
    #[error("IMDS request for {item} returned {what}")]
    Unusable {
        /// What was requested.
        item: String,
        /// What was returned instead.
        what: &'static str,
    },
    /// The instance has no role.
    #[error("the instance has no credentials: attach an instance profile with a role to it")]
    NoRole,
    /// The role's credentials cannot be issued.
    #[error(
        "the instance has no credentials: its role {role} answers {code}: attach an instance profile whose role trusts \
         ec2.amazonaws.com"
    )]
    RoleFailed {
        /// The role.
        role: String,
        /// The service's code.
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
            // A second 401, 429, 5xx and pages of something between are transient.
            Self::Status { .. } | Self::Unusable { .. } => ErrorClass::Transient,
            Self::Missing { .. } => ErrorClass::Broken,
            Self::NoRole | Self::RoleFailed { .. } => ErrorClass::Denied,
        }
    }
}

job_error_from!(ImdsError);
