//! Calls to AWS, whatever they are for.

use berth::io::aws::{AwsError, CredentialsError};
use berth::io::http::HttpError;
use http::StatusCode;

use super::Advice::{Passes, Source};
use super::codes::SECRET;
use super::{Section, codes, entry, rows};

rows! { calls, AwsError, |error| Some(error.class());
    AwsError::NoRegion { .. }, AwsError::NoRegion { operation: SECRET } => entry(
        Section::Aws,
        "Neither the metadata nor the environment names a region. On an instance the metadata does; elsewhere nothing does.",
        "set `AWS_REGION` for commands that run outside of EC2.",
        &["AWS_REGION=us-east-2 berth bake"],
    );
    AwsError::Credentials { .. }, AwsError::Credentials { operation: SECRET, source: CredentialsError::HalfSet.into() } => Source;
    AwsError::Unsendable { .. }, AwsError::Unsendable { operation: SECRET, why: "REASON".to_owned() } => entry(
        Section::Aws,
        "AWS has no such endpoint: the region does not exist, or its partition has no FIPS or dual-stack endpoint. Or `AWS_ENDPOINT_URL` \
         is not a URL, or is set beside a FIPS or dual-stack setting, which would ask for another host.",
        "correct or remove what REASON names: `AWS_REGION`, `AWS_USE_FIPS_ENDPOINT`, `AWS_USE_DUALSTACK_ENDPOINT`, `AWS_ENDPOINT_URL`.",
        &["systemctl cat berth"],
    );
    AwsError::Unreachable { .. }, AwsError::Unreachable {
        operation: SECRET,
        source: HttpError::TooLarge { to: "https://HOST".to_owned(), limit: 65_536 }.into(),
    } => Source;
    AwsError::Denied { .. }, AwsError::Denied {
        operation: SECRET,
        code: "AccessDeniedException".to_owned(),
        message: "MESSAGE".to_owned(),
    } => codes::not_allowed();
    AwsError::Failed { status, .. } if status.is_server_error(), AwsError::Failed {
        operation: SECRET,
        status: StatusCode::INTERNAL_SERVER_ERROR,
        code: "InternalServiceError".to_owned(),
        message: "MESSAGE".to_owned(),
    } => Passes;
    AwsError::Failed { .. }, AwsError::Failed {
        operation: SECRET,
        status: StatusCode::BAD_REQUEST,
        code: "CODE".to_owned(),
        message: "MESSAGE".to_owned(),
    } => entry(
        Section::Aws,
        "AWS took the call and refused what it asks for. MESSAGE is AWS's own sentence, and CODE its error code; the usual ones have entries \
         below.",
        "make the same call by hand, with the same role, and correct what the message names.",
        &["aws secretsmanager get-secret-value --secret-id prod/api --query VersionId"],
    );
    AwsError::NotAws { .. }, AwsError::NotAws { operation: SECRET, status: StatusCode::FOUND } => Passes;
    AwsError::ClockSkewed { .. }, AwsError::ClockSkewed { operation: SECRET, seconds: 600 } => Passes;
    AwsError::Unreadable { .. }, AwsError::Unreadable { operation: SECRET } => Passes;
    AwsError::GivenUp { .. }, AwsError::GivenUp { operation: SECRET } => Passes;
}
