//! The Security Token Service: who this instance is to IAM.

use aws_sdk_sts::Client;
use berth_core::message::error::JobError;

use crate::io::aws::client::Aws;
use crate::io::aws::error::AwsError;
use crate::io::aws::service::{Operation, Service};

/// Allowed to everyone: no policy has to.
pub(crate) const GET: Operation = Service::Sts.operation("GetCallerIdentity");

/// `aws:userid` of IAM policies: `ROLEID:i-0123456789abcdef0` for the role of an instance.
pub async fn user_id(aws: &Aws) -> Result<String, JobError> {
    let answer = aws.call(GET, None, |config| Client::new(config).get_caller_identity().send());
    Ok(answer.await?.user_id.ok_or(AwsError::Unreadable { operation: GET })?)
}
