//! An AWS that a test can put things into; the tests of the services run on each of them.

use berth::edge::aws::{Aws, Service};
use berth::edge::http::Http;
use berth::edge::imds::Imds;
use serde_json::{Value, json};

use crate::moto;

/// An AWS with a way to put secrets and parameters in.
pub(crate) trait Services {
    /// A client of it.
    fn aws(&self) -> Aws;

    /// Creates a secret, or gives it a new version; tells its ARN and the version's id.
    async fn put_secret(&self, name: &str, value: &str) -> (String, String);

    /// Creates a secret of bytes.
    async fn put_binary_secret(&self, name: &str, value: &[u8]);

    /// Creates a parameter, or gives it a new version.
    async fn put_parameter(&self, name: &str, value: &str);
}

pub(crate) struct Moto;

/// A client of whatever answers at `base`, with keys of its own and no metadata service.
pub(crate) fn client_of(base: &str) -> Aws {
    let env = |name: &str| match name {
        "AWS_ENDPOINT_URL" => Some(base.to_owned()),
        "AWS_REGION" => Some("us-east-2".to_owned()),
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("EXAMPLE".to_owned()),
        _ => None,
    };
    let http = Http::default();
    Aws::new(http.clone(), Imds::at(&"http://127.0.0.1:1".parse().unwrap(), http), &env)
}

impl Services for Moto {
    fn aws(&self) -> Aws {
        client_of(&moto::base())
    }

    async fn put_secret(&self, name: &str, value: &str) -> (String, String) {
        let aws = self.aws();
        let create = json!({ "Name": name, "SecretString": value, "ClientRequestToken": token() });
        let put = json!({ "SecretId": name, "SecretString": value, "ClientRequestToken": token() });
        let service = Service::SecretsManager;
        let answer: Value = match aws.json_call(service.operation("CreateSecret"), &create, None).await {
            Ok(answer) => answer,
            Err(_) => aws.json_call(service.operation("PutSecretValue"), &put, None).await.unwrap(),
        };
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        (text("ARN"), text("VersionId"))
    }

    async fn put_binary_secret(&self, name: &str, value: &[u8]) {
        use base64::Engine as _;
        let binary = base64::engine::general_purpose::STANDARD.encode(value);
        let create = json!({ "Name": name, "SecretBinary": binary, "ClientRequestToken": token() });
        let operation = Service::SecretsManager.operation("CreateSecret");
        let _: Value = self.aws().json_call(operation, &create, None).await.unwrap();
    }

    async fn put_parameter(&self, name: &str, value: &str) {
        let put = json!({ "Name": name, "Value": value, "Type": "SecureString", "Overwrite": true });
        let _: Value = self.aws().json_call(Service::Ssm.operation("PutParameter"), &put, None).await.unwrap();
    }
}

/// A version id: 32 characters and more.
fn token() -> String {
    std::iter::repeat_with(fastrand::alphanumeric).take(36).collect()
}
