//! Secrets Manager: many secrets in few calls, each value once.
//!
//! Two or more current values go by `BatchGetSecretValue`, twenty a call; one alone, and every other version, by
//! `GetSecretValue`; all calls side by side. What a batch does not return (the role may not allow it, or the
//! response omits one) is fetched singly. A secret that is named by ARN is fetched from the ARN's region.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueOutput;
use aws_sdk_secretsmanager::primitives::Blob;
use aws_sdk_secretsmanager::types::{ApiErrorType, SecretValueEntry};
use aws_smithy_types::DateTime;
use berth_config::Arn;
use berth_core::message::error::{ErrorClass, JobError};
use futures_util::future::join_all;
use http::StatusCode;

use crate::io::aws::client::Aws;
use crate::io::aws::error::AwsError;
use crate::io::aws::secret_error::SecretError;
use crate::io::aws::secrets::versioned::{self, Versioned};
use crate::io::aws::service::{Operation, Service};
use crate::io::secret::Secret;

pub(crate) const GET: Operation = Service::SecretsManager.operation("GetSecretValue");
pub(crate) const BATCH: Operation = Service::SecretsManager.operation("BatchGetSecretValue");
/// `SecretIdList` of `BatchGetSecretValue`.
const MAX_BATCH: usize = 20;

/// One version of one secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretVersion {
    /// Name or ARN.
    pub id: String,
    /// None is `AWSCURRENT`.
    pub version_stage: Option<String>,
    /// A version by id.
    pub version_id: Option<String>,
}

/// One secret in the response of either operation.
struct FetchedSecret {
    arn: String,
    name: String,
    version_id: Option<String>,
    version_stages: Option<Vec<String>>,
    /// When this version was created.
    created: Option<DateTime>,
    value: Option<Secret>,
}

impl From<GetSecretValueOutput> for FetchedSecret {
    fn from(output: GetSecretValueOutput) -> Self {
        Self {
            arn: output.arn.unwrap_or_default(),
            name: output.name.unwrap_or_default(),
            version_id: output.version_id,
            version_stages: output.version_stages,
            created: output.created_date,
            value: value(output.secret_string, output.secret_binary),
        }
    }
}

impl From<SecretValueEntry> for FetchedSecret {
    fn from(output: SecretValueEntry) -> Self {
        Self {
            arn: output.arn.unwrap_or_default(),
            name: output.name.unwrap_or_default(),
            version_id: output.version_id,
            version_stages: output.version_stages,
            created: output.created_date,
            value: value(output.secret_string, output.secret_binary),
        }
    }
}

/// A secret is text or bytes.
fn value(text: Option<String>, binary: Option<Blob>) -> Option<Secret> {
    text.map(Secret::new).or_else(|| binary.map(|binary| Secret::new(binary.into_inner())))
}

type Results = BTreeMap<SecretVersion, Result<Secret, JobError>>;

impl SecretVersion {
    /// The region of an ARN, none for a name.
    fn region(&self) -> Option<&str> {
        Arn::parse(&self.id).map(|arn| arn.region)
    }

    fn is_current(&self) -> bool {
        self.version_id.is_none() && self.version_stage.is_none()
    }

    /// Whether this value is the requested one: the secret by name, by ARN, or by ARN without its six random characters, and the version, as far as the
    /// response names it.
    fn is(&self, value: &FetchedSecret) -> bool {
        let suffix = value.arn.strip_prefix(&self.id).map(str::as_bytes);
        let secret = self.id == value.name
            || self.id == value.arn
            || matches!(suffix, Some([b'-', rest @ ..]) if rest.len() == 6 && self.region().is_some());
        let is_version = |id: &String| value.version_id.as_ref().is_none_or(|returned| returned == id);
        let has_stage =
            |stage| value.version_stages.as_ref().is_none_or(|stages| stages.iter().any(|one| one == stage));
        // A version that is requested by its id may have no stage any more.
        let stage = self.version_stage.as_deref().or(self.version_id.is_none().then_some("AWSCURRENT"));
        secret && self.version_id.as_ref().is_none_or(is_version) && stage.is_none_or(has_stage)
    }
}

/// The id, with the version if one is set.
impl fmt::Display for SecretVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)?;
        match self.version_stage.as_ref().or(self.version_id.as_ref()) {
            Some(version) => write!(f, " ({version})"),
            None => Ok(()),
        }
    }
}

/// Every requested value, or why there is none.
pub async fn fetch(aws: &Aws, wanted: BTreeSet<SecretVersion>) -> Results {
    let (current, others): (Vec<_>, Vec<_>) = wanted.into_iter().partition(SecretVersion::is_current);
    let batches = batches(current).into_iter().map(|batch| fetch_batch(aws, batch));
    let (batched, single) = tokio::join!(join_all(batches), fetch_singly(aws, others));
    batched.into_iter().flatten().chain(single).collect()
}

/// Whether [`fetch`] requests some of these by `BatchGetSecretValue`.
pub(crate) fn is_batched(wanted: BTreeSet<SecretVersion>) -> bool {
    batches(wanted.into_iter().filter(SecretVersion::is_current)).iter().any(|batch| batch.len() > 1)
}

/// Tries the batch calls of [`fetch`], which it replaces by single calls when they are denied.
pub(crate) async fn try_batches(aws: &Aws, wanted: BTreeSet<SecretVersion>) -> Result<(), AwsError> {
    for batch in batches(wanted.into_iter().filter(SecretVersion::is_current)) {
        if let [first, _, ..] = batch.as_slice() {
            call_batch(aws, &batch, first.region()).await?;
        }
    }
    Ok(())
}

fn batches(current: impl IntoIterator<Item = SecretVersion>) -> Vec<Vec<SecretVersion>> {
    let mut by_region: BTreeMap<Option<String>, Vec<SecretVersion>> = BTreeMap::new();
    for wanted in current {
        by_region.entry(wanted.region().map(str::to_owned)).or_default().push(wanted);
    }
    by_region.values().flat_map(|region| region.chunks(MAX_BATCH).map(<[SecretVersion]>::to_vec)).collect()
}

/// Up to twenty current values of one region.
async fn fetch_batch(aws: &Aws, wanted: Vec<SecretVersion>) -> Results {
    let Some(region) = wanted.first().filter(|_| wanted.len() > 1).map(SecretVersion::region) else {
        return fetch_singly(aws, wanted).await;
    };
    let (mut values, errors) = match call_batch(aws, &wanted, region).await {
        Ok(answer) => answer,
        Err(error @ AwsError::Denied { .. }) => {
            tracing::debug!(%error, "the secrets are fetched one by one");
            return fetch_singly(aws, wanted).await;
        }
        Err(error) => {
            let error = JobError::from(error);
            return wanted.into_iter().map(|wanted| (wanted, Err(error.clone()))).collect();
        }
    };
    let mut results = Results::new();
    let mut left_out = Vec::new();
    for wanted in wanted {
        let error = errors.iter().find(|error| error.secret_id.as_deref() == Some(&wanted.id));
        if let Some(at) = values.iter().position(|value| wanted.is(value)) {
            let value = values.swap_remove(at).into_secret(BATCH);
            results.insert(wanted, value);
        } else if let Some(error) = error {
            let code = error.error_code.as_deref().unwrap_or_default();
            let error = AwsError::of_code(GET, StatusCode::OK, code, error.message.as_deref().unwrap_or("no message"));
            results.insert(wanted, Err(JobError::from(error)));
        } else {
            // The same secret by its name and by its ARN, of which the response holds one.
            left_out.push(wanted);
        }
    }
    results.extend(fetch_singly(aws, left_out).await);
    results
}

async fn call_batch(
    aws: &Aws,
    wanted: &[SecretVersion],
    region: Option<&str>,
) -> Result<(Vec<FetchedSecret>, Vec<ApiErrorType>), AwsError> {
    let ids = wanted.iter().map(|wanted| wanted.id.clone()).collect();
    let answer = aws.call(BATCH, region, |config| {
        Client::new(config).batch_get_secret_value().set_secret_id_list(Some(ids)).send()
    });
    let answer = answer.await?;
    let values = answer.secret_values.unwrap_or_default().into_iter().map(FetchedSecret::from).collect();
    Ok((values, answer.errors.unwrap_or_default()))
}

async fn fetch_singly(aws: &Aws, wanted: Vec<SecretVersion>) -> Results {
    let asked = wanted.into_iter().map(async |wanted| {
        let value = get(aws, &wanted).await.and_then(|(fetched, _)| fetched.into_secret(GET));
        (wanted, value)
    });
    join_all(asked).await.into_iter().collect()
}

/// One secret with the id of its version, and the age of that.
pub async fn fetch_versioned(aws: &Aws, wanted: SecretVersion) -> Result<Versioned, JobError> {
    let (fetched, now) = get(aws, &wanted).await?;
    let (version, age) = (fetched.version_id.clone(), versioned::age(fetched.created, now));
    Ok(Versioned { value: fetched.into_secret(GET)?, version, age })
}

async fn get(aws: &Aws, wanted: &SecretVersion) -> Result<(FetchedSecret, DateTime), JobError> {
    let answer = aws.call_dated(GET, wanted.region(), |config| {
        let SecretVersion { id, version_stage, version_id } = wanted.clone();
        let request = Client::new(config).get_secret_value().secret_id(id);
        request.set_version_stage(version_stage).set_version_id(version_id).send()
    });
    let (answer, now) = answer.await?;
    let fetched = FetchedSecret::from(answer);
    if !wanted.is(&fetched) {
        // AWS returns no other secret than the requested one: something between did.
        return Err(JobError::new(ErrorClass::Transient, format!("{GET} returned another secret or version")));
    }
    Ok((fetched, now))
}

impl FetchedSecret {
    fn into_secret(self, operation: Operation) -> Result<Secret, JobError> {
        self.value.ok_or_else(|| SecretError::NoValue { operation }.into())
    }
}
