//! The Parameter Store of SSM: `GetParameters`, ten names a call, decrypted; all calls side by side.
//!
//! The answer comes in an order of its own and tells unknown names inside a good status. A parameter named by ARN is
//! asked for in the ARN's region.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::json;

use super::aws::{Aws, Operation, Service};
use super::secret::Secret;
use super::secret_error::SecretError;
use super::secrets_manager::arn_region;
use crate::fault::{Class, Fault};

pub(crate) const GET: Operation = Service::Ssm.operation("GetParameters");
/// `Names` of `GetParameters`.
const MAX_NAMES: usize = 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    parameters: Vec<Parameter>,
    /// Those of the names that there is no parameter for.
    #[serde(default)]
    invalid_parameters: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameter {
    #[serde(default)]
    name: String,
    #[serde(rename = "ARN", default)]
    arn: String,
    /// `:version` or `:label`, if one was asked for.
    #[serde(default)]
    selector: String,
    #[serde(default)]
    version: u64,
    value: Secret,
}

type Results = BTreeMap<String, Result<Secret, Fault>>;

impl Parameter {
    /// Whether this is what was asked for, by name or by ARN, with or without a version or label.
    fn is(&self, asked: &str) -> bool {
        [&self.name, &self.arn].into_iter().filter(|id| !id.is_empty()).any(|id| {
            match asked.strip_prefix(id.as_str()) {
                Some("") => self.selector.is_empty(),
                Some(selector) => match selector.strip_prefix(':').and_then(|version| version.parse::<u64>().ok()) {
                    Some(version) => self.version == version,
                    None => selector == self.selector && !selector.is_empty(),
                },
                None => false,
            }
        })
    }
}

/// Every parameter (name or ARN, with `:version` or `:label` if one is meant), or why it is not there.
pub async fn fetch(aws: &Aws, names: BTreeSet<String>) -> Results {
    let mut by_region: BTreeMap<Option<String>, Vec<String>> = BTreeMap::new();
    for name in names {
        by_region.entry(arn_region(&name).map(str::to_owned)).or_default().push(name);
    }
    let calls = by_region
        .iter()
        .flat_map(|(region, names)| names.chunks(MAX_NAMES).map(|names| fetch_batch(aws, names, region.as_deref())));
    join_all(calls).await.into_iter().flatten().collect()
}

async fn fetch_batch(aws: &Aws, names: &[String], region: Option<&str>) -> Results {
    let body = json!({ "Names": names, "WithDecryption": true });
    let mut answer: Answer = match aws.json_call(GET, &body, region).await {
        Ok(answer) => answer,
        Err(error) => {
            let fault = Fault::from_error(error.class(), &error);
            return names.iter().map(|name| (name.clone(), Err(fault.clone()))).collect();
        }
    };
    let mut find = |name: &String| match answer.parameters.iter().position(|parameter| parameter.is(name)) {
        Some(at) => Ok(answer.parameters.swap_remove(at).value),
        None if answer.invalid_parameters.iter().any(|invalid| !invalid.is_empty() && name.ends_with(invalid)) => {
            Err(SecretError::NoParameter.into())
        }
        // AWS leaves out no name and answers about no other: something in between did.
        None => Err(Fault::new(Class::Transient, format!("{GET} returned neither a value nor an error for it"))),
    };
    // From the last to the first, so that `name:1` is found before `name`, which a value without a selector would fit too.
    names.iter().rev().map(|name| (name.clone(), find(name))).collect()
}
