//! SSM Parameter Store: GetParameters, up to ten names at a time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::clock::{self, epoch};
use crate::iam::Iam;
use crate::refusal::{Refusal, denied};
use crate::secrets_manager::SecretsManager;

/// Below it is no parameter but, by its name, a secret of Secrets Manager (user guide, "Referencing AWS Secrets Manager secrets from Parameter
/// Store parameters").
const REFERENCE: &str = "/aws/reference/secretsmanager/";

/// The parameters of the account.
pub struct ParameterStore {
    prefix: String,
    iam: Iam,
    secrets: Arc<SecretsManager>,
    parameters: Mutex<BTreeMap<String, Parameter>>,
}

struct Parameter {
    kind: &'static str,
    values: Vec<String>,
    denied: bool,
    modified: f64,
}

impl ParameterStore {
    pub(crate) fn new(region: &str, account: &str, iam: Iam, secrets: Arc<SecretsManager>) -> Self {
        Self { prefix: format!("arn:aws:ssm:{region}:{account}:parameter"), iam, secrets, parameters: Mutex::default() }
    }

    /// Stores a `String`; a parameter that is there gets a new version. Its ARN.
    pub fn put(&self, name: &str, value: &str) -> String {
        self.store("String", name, value)
    }

    /// Stores a `SecureString`.
    pub fn put_secure(&self, name: &str, value: &str) -> String {
        self.store("SecureString", name, value)
    }

    /// Stores a `StringList`, which arrives joined by commas.
    pub fn put_list(&self, name: &str, values: &[&str]) -> String {
        self.store("StringList", name, &values.join(","))
    }

    /// Lets `AccessDeniedException` be the answer to every call that names this parameter.
    pub fn deny(&self, name: &str) {
        self.parameters.lock().unwrap().get_mut(name).expect("a parameter that was put").denied = true;
    }

    fn store(&self, kind: &'static str, name: &str, value: &str) -> String {
        let mut parameters = self.parameters.lock().unwrap();
        let fresh = || Parameter { kind, values: Vec::new(), denied: false, modified: 0.0 };
        let parameter = parameters.entry(name.to_owned()).or_insert_with(fresh);
        parameter.values.push(value.into());
        parameter.modified = epoch(clock::wall());
        self.arn(name)
    }

    fn arn(&self, name: &str) -> String {
        // A name in a hierarchy brings its own slash.
        if name.starts_with('/') { format!("{}{name}", self.prefix) } else { format!("{}/{name}", self.prefix) }
    }

    pub(crate) fn call(&self, operation: &str, input: &Value) -> Result<Value, Refusal> {
        if operation != "GetParameters" {
            return Err(Refusal::new("UnknownOperationException", ""));
        }
        let names: Vec<&str> =
            input["Names"].as_array().into_iter().flatten().filter_map(|name| name.as_str()).collect();
        if names.is_empty() || names.len() > 10 {
            return Err(Refusal::new(
                "ValidationException",
                "1 validation error detected: Value at 'names' failed to satisfy constraint: Member must have length \
                 less than or equal to 10",
            ));
        }
        let decrypt = input["WithDecryption"].as_bool().unwrap_or(false);
        let parameters = self.parameters.lock().unwrap();
        let (mut found, mut invalid) = (BTreeMap::new(), Vec::new());
        for asked in names {
            if let Some(id) = asked.strip_prefix(&self.prefix).unwrap_or(asked).strip_prefix(REFERENCE) {
                match self.secret(operation, id, decrypt)? {
                    Some(answer) => drop(found.insert(asked.to_owned(), answer)),
                    None => invalid.push(asked),
                }
                continue;
            }
            let Some((name, version, selector)) = self.resolve(&parameters, asked) else {
                invalid.push(asked);
                continue;
            };
            let parameter = &parameters[name];
            let arn = self.arn(name);
            if parameter.denied || !self.iam.allows("ssm:GetParameters", &arn) {
                return Err(denied("ssm", operation, &arn));
            }
            let plain = &parameter.values[version - 1];
            let sealed = parameter.kind == "SecureString" && !decrypt;
            let mut answer = json!({
                "ARN": arn, "DataType": "text", "LastModifiedDate": parameter.modified, "Name": name,
                "Type": parameter.kind, "Version": version,
                "Value": if sealed { format!("AQICAHh{}", "A".repeat(plain.len())) } else { plain.clone() },
            });
            if let Some(selector) = selector {
                answer["Selector"] = json!(selector);
            }
            found.insert(asked.to_owned(), answer);
        }
        // Alphabetical, not in the order of the request.
        Ok(json!({ "Parameters": found.into_values().collect::<Vec<_>>(), "InvalidParameters": invalid }))
    }

    /// What a secret looks like as a parameter: without a version, with the value of Secrets Manager in it, and never sealed.
    fn secret(&self, operation: &str, asked: &str, decrypt: bool) -> Result<Option<Value>, Refusal> {
        let (id, selector) = asked.split_once(':').map_or((asked, None), |(id, selector)| (id, Some(selector)));
        let arn = self.arn(&format!("{REFERENCE}{id}"));
        if !self.iam.allows("ssm:GetParameters", &arn) {
            return Err(denied("ssm", operation, &arn));
        }
        if !decrypt {
            let message = "WithDecryption flag must be True for retrieving a Secret Manager secret.";
            return Err(Refusal::new("ValidationException", message));
        }
        let is_version = |text: &&str| text.len() == 36 && text.split('-').count() == 5;
        let (version, stage) = (selector.filter(is_version), selector.filter(|text| !is_version(text)));
        let secret = match self.secrets.value("GetSecretValue", id, version, stage) {
            Ok(secret) => secret,
            Err(refusal) if refusal.code == "ResourceNotFoundException" => return Ok(None),
            Err(refusal) => return Err(refusal),
        };
        let mut answer = json!({
            "ARN": secret["ARN"], "DataType": "text", "LastModifiedDate": secret["CreatedDate"],
            "Name": format!("{REFERENCE}{id}"), "Type": "SecureString", "SourceResult": secret.to_string(),
        });
        // A secret of bytes has no text.
        if let Some(text) = secret.get("SecretString") {
            answer["Value"] = text.clone();
        }
        if let Some(selector) = selector {
            answer["Selector"] = json!(format!(":{selector}"));
        }
        Ok(Some(answer))
    }

    /// A name or ARN, perhaps with `:version`, to the parameter's name, the version, and the selector as it was written.
    fn resolve<'a>(
        &self,
        parameters: &'a BTreeMap<String, Parameter>,
        asked: &str,
    ) -> Option<(&'a str, usize, Option<String>)> {
        let path = asked.strip_prefix(&self.prefix).unwrap_or(asked);
        let is_arn = path.len() != asked.len();
        let (path, selector) = match path.split_once(':') {
            Some((path, selector)) => (path, Some(selector)),
            None => (path, None),
        };
        let found = parameters.get_key_value(path).or_else(|| {
            let bare = if is_arn { path.strip_prefix('/')? } else { return None };
            parameters.get_key_value(bare)
        });
        let (name, parameter) = found?;
        let version = match selector {
            Some(selector) => selector.parse().ok().filter(|version| (1..=parameter.values.len()).contains(version))?,
            None => parameter.values.len(),
        };
        Some((name, version, selector.map(|selector| format!(":{selector}"))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> ParameterStore {
        let secrets = SecretsManager::new("us-east-2", "123456789012", Iam::default());
        secrets.put("prod/api", "open sesame");
        ParameterStore::new("us-east-2", "123456789012", Iam::default(), Arc::new(secrets))
    }

    fn get(store: &ParameterStore, names: &[&str], decrypt: bool) -> Result<Value, Refusal> {
        store.call("GetParameters", &json!({ "Names": names, "WithDecryption": decrypt }))
    }

    #[test]
    fn parameters_come_in_alphabetical_order_and_unknown_ones_apart() {
        let store = store();
        store.put("/b", "2");
        let arn = store.put("plain", "3");
        store.put("/a", "1");
        let answer = get(&store, &["/b", "/none", "/a", &arn], true).unwrap();
        let names: Vec<_> = answer["Parameters"].as_array().unwrap().iter().map(|one| &one["Name"]).collect();
        assert_eq!(names, ["/a", "/b", "plain"]);
        assert_eq!(answer["InvalidParameters"], json!(["/none"]));
        assert_eq!(arn, "arn:aws:ssm:us-east-2:123456789012:parameter/plain");
    }

    #[test]
    fn a_secure_string_is_sealed_unless_decryption_is_asked_for() {
        let store = store();
        store.put_secure("/key", "open sesame");
        assert_ne!(get(&store, &["/key"], false).unwrap()["Parameters"][0]["Value"], "open sesame");
        assert_eq!(get(&store, &["/key"], true).unwrap()["Parameters"][0]["Value"], "open sesame");
    }

    #[test]
    fn a_secret_is_a_parameter_of_the_reserved_path_and_only_decrypted() {
        let store = store();
        let name = "/aws/reference/secretsmanager/prod/api";
        let refusal = get(&store, &[name], false).unwrap_err();
        assert_eq!(refusal.code, "ValidationException");
        assert!(refusal.message.contains("WithDecryption flag must be True"), "{}", refusal.message);
        for (asked, selector) in [(name.to_owned(), json!(null)), (format!("{name}:AWSCURRENT"), json!(":AWSCURRENT"))]
        {
            let answer = get(&store, &[&asked], true).unwrap();
            let secret = &answer["Parameters"][0];
            assert_eq!(
                (&secret["Name"], &secret["Value"], &secret["Type"]),
                (&json!(name), &json!("open sesame"), &json!("SecureString"))
            );
            assert_eq!((&secret["Selector"], &secret["Version"]), (&selector, &json!(null)));
            assert!(
                secret["ARN"]
                    .as_str()
                    .unwrap()
                    .starts_with("arn:aws:secretsmanager:us-east-2:123456789012:secret:prod/api-")
            );
        }
        let answer = get(&store, &[&format!("{name}:AWSPENDING"), "/aws/reference/secretsmanager/none"], true).unwrap();
        assert_eq!(answer["InvalidParameters"].as_array().unwrap().len(), 2);
        store.secrets.deny("prod/api");
        assert!(get(&store, &[name], true).unwrap_err().message.contains("secretsmanager:GetSecretValue"));
    }

    #[test]
    fn a_version_is_chosen_by_its_selector() {
        let store = store();
        store.put("/key", "one");
        let arn = store.put("/key", "two");
        let answer = get(&store, &["/key:1"], true).unwrap();
        assert_eq!(
            (&answer["Parameters"][0]["Value"], &answer["Parameters"][0]["Selector"]),
            (&json!("one"), &json!(":1"))
        );
        assert_eq!(get(&store, &[&format!("{arn}:1")], true).unwrap()["Parameters"][0]["Value"], "one");
        assert_eq!(get(&store, &["/key"], true).unwrap()["Parameters"][0]["Value"], "two");
        assert_eq!(get(&store, &["/key:3"], true).unwrap()["InvalidParameters"], json!(["/key:3"]));
    }

    #[test]
    fn eleven_names_are_too_many_and_a_denied_one_fails_the_call() {
        let store = store();
        assert_eq!(get(&store, &["x"; 11], true).unwrap_err().code, "ValidationException");
        store.put("/key", "one");
        store.deny("/key");
        assert_eq!(get(&store, &["/key"], true).unwrap_err().code, "AccessDeniedException");
    }
}
