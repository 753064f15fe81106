//! The Parameter Store of SSM: `GetParameters`, ten names a call, decrypted; all calls side by side.
//!
//! The response has an order of its own, and lists unknown names under a good status. A parameter that is named by ARN is fetched from the ARN's
//! region.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ssm::Client;
use aws_sdk_ssm::operation::get_parameters::GetParametersOutput;
use aws_sdk_ssm::types::Parameter;
use aws_smithy_types::DateTime;
use berth_config::Arn;
use berth_core::message::error::{ErrorClass, JobError};
use futures_util::future::join_all;

use crate::io::aws::client::Aws;
use crate::io::aws::error::AwsError;
use crate::io::aws::secret_error::SecretError;
use crate::io::aws::secrets::versioned::{self, Versioned};
use crate::io::aws::service::{Operation, Service};
use crate::io::secret::Secret;

pub(crate) const GET: Operation = Service::Ssm.operation("GetParameters");
/// `Names` of `GetParameters`.
const MAX_NAMES: usize = 10;

type Results = BTreeMap<String, Result<Secret, JobError>>;

/// Whether this is the requested parameter, by name or by ARN, with or without a version or label.
fn is(parameter: &Parameter, requested: &str) -> bool {
    [&parameter.name, &parameter.arn].into_iter().flatten().filter(|id| !id.is_empty()).any(|id| {
        let returned = parameter.selector.as_deref().unwrap_or_default();
        match requested.strip_prefix(id.as_str()) {
            Some("") => returned.is_empty(),
            Some(selector) => match selector.strip_prefix(':').and_then(|version| version.parse::<i64>().ok()) {
                Some(version) => parameter.version == version,
                None => selector == returned && !returned.is_empty(),
            },
            None => false,
        }
    })
}

/// Every parameter (name or ARN, perhaps with `:version` or `:label`), or why it has no value.
pub async fn fetch(aws: &Aws, names: BTreeSet<String>) -> Results {
    let mut by_region: BTreeMap<Option<String>, Vec<String>> = BTreeMap::new();
    for name in names {
        by_region.entry(Arn::parse(&name).map(|arn| arn.region.to_owned())).or_default().push(name);
    }
    let calls = by_region
        .iter()
        .flat_map(|(region, names)| names.chunks(MAX_NAMES).map(|names| fetch_batch(aws, names, region.as_deref())));
    join_all(calls).await.into_iter().flatten().collect()
}

/// One parameter with its version. A secret that is named as a parameter has no version here.
pub async fn fetch_versioned(aws: &Aws, name: &str) -> Result<Versioned, JobError> {
    let region = Arn::parse(name).map(|arn| arn.region);
    let (mut answer, now) = call(aws, &[name.to_owned()], region).await?;
    let parameter = take(&mut answer, name)?;
    let (version, age) = (parameter.version, versioned::age(parameter.last_modified_date, now));
    let version = (version > 0).then(|| version.to_string());
    Ok(Versioned { value: value(parameter)?, version, age })
}

async fn fetch_batch(aws: &Aws, names: &[String], region: Option<&str>) -> Results {
    let mut answer = match call(aws, names, region).await {
        Ok((answer, _)) => answer,
        Err(error) => {
            let error = JobError::from(error);
            return names.iter().map(|name| (name.clone(), Err(error.clone()))).collect();
        }
    };
    // From the last to the first, so that `name:1` is found before `name`, which a value without a selector would fit too.
    names.iter().rev().map(|name| (name.clone(), take(&mut answer, name).and_then(value))).collect()
}

async fn call(aws: &Aws, names: &[String], region: Option<&str>) -> Result<(GetParametersOutput, DateTime), AwsError> {
    let answer = aws.call_dated(GET, region, |config| {
        Client::new(config).get_parameters().set_names(Some(names.to_vec())).with_decryption(true).send()
    });
    answer.await
}

/// Takes a parameter out of an answer.
fn take(answer: &mut GetParametersOutput, name: &str) -> Result<Parameter, JobError> {
    let parameters = answer.parameters.get_or_insert_default();
    if let Some(at) = parameters.iter().position(|parameter| is(parameter, name)) {
        return Ok(parameters.swap_remove(at));
    }
    let is_invalid = |invalid: &String| !invalid.is_empty() && name.ends_with(invalid.as_str());
    match answer.invalid_parameters().iter().any(is_invalid) {
        true => Err(SecretError::NoParameter.into()),
        // AWS omits no name and returns no other: something between did.
        false => Err(no_value()),
    }
}

fn value(parameter: Parameter) -> Result<Secret, JobError> {
    parameter.value.map(Secret::new).ok_or_else(no_value)
}

fn no_value() -> JobError {
    JobError::new(ErrorClass::Transient, format!("{GET} returned neither a value nor an error for it"))
}
