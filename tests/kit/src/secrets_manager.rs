//! Secrets Manager: GetSecretValue and BatchGetSecretValue over secrets with versions and staging labels.

use std::collections::BTreeMap;
use std::sync::Mutex;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::clock::{self, epoch};
use crate::iam::Iam;
use crate::refusal::{Refusal, denied};
use crate::text::random_hex;

/// The secrets of the account.
pub struct SecretsManager {
    prefix: String,
    iam: Iam,
    secrets: Mutex<BTreeMap<String, Secret>>,
}

struct Secret {
    arn: String,
    versions: Vec<Version>,
    denied: bool,
    deleted: bool,
}

struct Version {
    id: String,
    stages: Vec<String>,
    value: Payload,
    created: f64,
}

#[derive(Clone)]
enum Payload {
    Text(String),
    Binary(Vec<u8>),
}

impl SecretsManager {
    pub(crate) fn new(region: &str, account: &str, iam: Iam) -> Self {
        Self { prefix: format!("arn:aws:secretsmanager:{region}:{account}:secret:"), iam, secrets: Mutex::default() }
    }

    /// Stores a text; a secret that is there gets a new `AWSCURRENT` version, the old one becomes `AWSPREVIOUS`. Its ARN.
    pub fn put(&self, name: &str, text: &str) -> String {
        self.store(name, Payload::Text(text.into()))
    }

    /// Stores bytes (`SecretBinary`), else as [`SecretsManager::put`].
    pub fn put_binary(&self, name: &str, bytes: &[u8]) -> String {
        self.store(name, Payload::Binary(bytes.into()))
    }

    /// The id of the version that carries this staging label.
    pub fn version_id(&self, name: &str, stage: &str) -> Option<String> {
        let secrets = self.secrets.lock().unwrap();
        Some(secrets.get(name)?.versions.iter().find(|version| version.has(stage))?.id.clone())
    }

    /// Lets `AccessDeniedException` be the answer for this secret.
    pub fn deny(&self, name: &str) {
        self.secrets.lock().unwrap().get_mut(name).expect("a secret that was put").denied = true;
    }

    /// Schedules the secret for deletion: `InvalidRequestException` after this.
    pub fn schedule_deletion(&self, name: &str) {
        self.secrets.lock().unwrap().get_mut(name).expect("a secret that was put").deleted = true;
    }

    fn store(&self, name: &str, value: Payload) -> String {
        let mut secrets = self.secrets.lock().unwrap();
        let secret = secrets.entry(name.to_owned()).or_insert_with(|| Secret {
            arn: format!("{}{name}-{}", self.prefix, suffix()),
            versions: Vec::new(),
            denied: false,
            deleted: false,
        });
        for version in &mut secret.versions {
            version.stages.retain(|stage| stage != "AWSPREVIOUS");
            for stage in &mut version.stages {
                if stage == "AWSCURRENT" {
                    *stage = "AWSPREVIOUS".into();
                }
            }
        }
        let id = format!("{}-{}-4000-8000-{}", random_hex(8), random_hex(4), random_hex(12));
        let created = epoch(clock::wall());
        secret.versions.push(Version { id, stages: vec!["AWSCURRENT".into()], value, created });
        secret.arn.clone()
    }

    pub(crate) fn call(&self, operation: &str, input: &Value) -> Result<Value, Refusal> {
        match operation {
            "GetSecretValue" => {
                let id = input["SecretId"].as_str().unwrap_or_default();
                if id.is_empty() {
                    return Err(Refusal::new("ValidationException", "Invalid length for parameter SecretId"));
                }
                self.value(operation, id, input["VersionId"].as_str(), input["VersionStage"].as_str())
            }
            "BatchGetSecretValue" if self.iam.allows("secretsmanager:BatchGetSecretValue", "*") => self.batch(input),
            "BatchGetSecretValue" => Err(denied("secretsmanager", operation, "*")),
            _ => Err(Refusal::new("UnknownOperationException", "")),
        }
    }

    pub(crate) fn value(
        &self,
        operation: &str,
        id: &str,
        version: Option<&str>,
        stage: Option<&str>,
    ) -> Result<Value, Refusal> {
        let secrets = self.secrets.lock().unwrap();
        // A name, a whole ARN, or an ARN without its random suffix.
        let found = secrets.iter().find(|(name, secret)| {
            *name == id || secret.arn == id || secret.arn.rsplit_once('-').is_some_and(|(partial, _)| partial == id)
        });
        let Some((name, secret)) = found else { return Err(not_found("")) };
        if secret.denied || !self.iam.allows("secretsmanager:GetSecretValue", &secret.arn) {
            return Err(denied("secretsmanager", operation, &secret.arn));
        }
        if secret.deleted {
            let message = "You can't perform this operation on the secret because it was marked for deletion.";
            return Err(Refusal::new("InvalidRequestException", message));
        }
        let wanted = match (version, stage) {
            (None, None) => "AWSCURRENT",
            (_, stage) => stage.unwrap_or_default(),
        };
        let found = match version {
            Some(version) => secret.versions.iter().find(|one| one.id == version),
            None => secret.versions.iter().find(|one| one.has(wanted)),
        };
        let Some(found) = found else {
            let what = if version.is_some() { "VersionId" } else { "staging label" };
            return Err(not_found(&format!(" value for {what}: {}", version.unwrap_or(wanted))));
        };
        if version.is_some() && stage.is_some_and(|stage| !found.has(stage)) {
            let message = "You provided a VersionStage that is not associated to the provided VersionId.";
            return Err(Refusal::new("InvalidRequestException", message));
        }
        let mut answer = json!({
            "ARN": secret.arn, "Name": name, "VersionId": found.id, "VersionStages": found.stages,
            "CreatedDate": found.created,
        });
        match &found.value {
            Payload::Text(text) => answer["SecretString"] = json!(text),
            Payload::Binary(bytes) => answer["SecretBinary"] = json!(BASE64_STANDARD.encode(bytes)),
        }
        Ok(answer)
    }

    fn batch(&self, input: &Value) -> Result<Value, Refusal> {
        let ids: Vec<&str> =
            input["SecretIdList"].as_array().into_iter().flatten().filter_map(|id| id.as_str()).collect();
        if ids.is_empty() || ids.len() > 20 {
            return Err(Refusal::new(
                "ValidationException",
                "1 validation error detected: Value at 'secretIdList' failed to satisfy constraint: Member must have \
                 length between 1 and 20",
            ));
        }
        if !input["MaxResults"].is_null() {
            return Err(Refusal::new("InvalidParameterException", "MaxResults can only be used with Filters."));
        }
        let (mut values, mut errors) = (Vec::new(), Vec::new());
        for id in ids {
            match self.value("GetSecretValue", id, None, None) {
                Ok(value) => values.push(value),
                Err(refusal) => {
                    errors.push(json!({ "SecretId": id, "ErrorCode": refusal.code, "Message": refusal.message }));
                }
            }
        }
        // The order is not promised, so that nobody may lean on it.
        fastrand::shuffle(&mut values);
        Ok(json!({ "SecretValues": values, "Errors": errors }))
    }
}

impl Version {
    fn has(&self, stage: &str) -> bool {
        self.stages.iter().any(|one| one == stage)
    }
}

fn not_found(what: &str) -> Refusal {
    let message = if what.is_empty() { " specified secret." } else { " specified secret" };
    Refusal::new("ResourceNotFoundException", format!("Secrets Manager can't find the{message}{what}"))
}

fn suffix() -> String {
    (0..6).map(|_| fastrand::alphanumeric()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manager() -> SecretsManager {
        SecretsManager::new("us-east-2", "123456789012", Iam::default())
    }

    fn get(manager: &SecretsManager, input: Value) -> Result<Value, Refusal> {
        manager.call("GetSecretValue", &input)
    }

    #[test]
    fn a_secret_is_found_by_name_by_arn_and_by_partial_arn() {
        let manager = manager();
        let arn = manager.put("prod/api", "one");
        let partial = arn.rsplit_once('-').unwrap().0;
        for id in ["prod/api", &arn, partial] {
            assert_eq!(get(&manager, json!({ "SecretId": id })).unwrap()["SecretString"], "one");
        }
        let refusal = get(&manager, json!({ "SecretId": "prod/other" })).unwrap_err();
        assert_eq!(refusal.code, "ResourceNotFoundException");
        assert_eq!(refusal.message, "Secrets Manager can't find the specified secret.");
    }

    #[test]
    fn a_rotated_secret_keeps_its_previous_version() {
        let manager = manager();
        manager.put("prod/api", "one");
        let first = manager.version_id("prod/api", "AWSCURRENT").unwrap();
        manager.put("prod/api", "two");
        assert_eq!(get(&manager, json!({ "SecretId": "prod/api" })).unwrap()["SecretString"], "two");
        let previous = json!({ "SecretId": "prod/api", "VersionStage": "AWSPREVIOUS" });
        assert_eq!(get(&manager, previous).unwrap()["VersionId"], first);
        let by_id = json!({ "SecretId": "prod/api", "VersionId": first });
        assert_eq!(get(&manager, by_id).unwrap()["SecretString"], "one");
        let apart = json!({ "SecretId": "prod/api", "VersionId": first, "VersionStage": "AWSCURRENT" });
        assert_eq!(get(&manager, apart).unwrap_err().code, "InvalidRequestException");
        let absent = json!({ "SecretId": "prod/api", "VersionStage": "AWSPENDING" });
        assert_eq!(get(&manager, absent).unwrap_err().code, "ResourceNotFoundException");
    }

    #[test]
    fn a_batch_has_its_errors_inside_the_answer() {
        let manager = manager();
        manager.put("a", "1");
        manager.put_binary("b", b"\x00\xff");
        manager.put("c", "3");
        manager.deny("c");
        let answer = manager.call("BatchGetSecretValue", &json!({ "SecretIdList": ["a", "b", "c", "d"] })).unwrap();
        let values = answer["SecretValues"].as_array().unwrap();
        assert_eq!(values.len(), 2);
        assert!(values.iter().any(|value| value["SecretBinary"] == "AP8="));
        assert_eq!(answer["Errors"][0]["ErrorCode"], "AccessDeniedException");
        assert_eq!(answer["Errors"][1]["SecretId"], "d");
        let many: Vec<String> = (0..21).map(|n| n.to_string()).collect();
        let refusal = manager.call("BatchGetSecretValue", &json!({ "SecretIdList": many })).unwrap_err();
        assert_eq!(refusal.code, "ValidationException");
    }
}
