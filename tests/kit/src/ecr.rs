//! ECR's API side: GetAuthorizationToken. The images themselves come from the registry.

use std::sync::Mutex;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::clock::{self, epoch};
use crate::refusal::Refusal;
use crate::text::random_hex;

/// How long a password is good.
const VALID: Duration = Duration::from_secs(12 * 3600);

/// The authorization tokens of the account.
pub struct Ecr {
    region: String,
    account: String,
    password: Mutex<String>,
}

impl Ecr {
    pub(crate) fn new(region: &str, account: &str) -> Self {
        let password = Mutex::new(new_password());
        Self { region: region.into(), account: account.into(), password }
    }

    /// The password that goes with the user `AWS`, for [`crate::registry::Registry::require`].
    pub fn password(&self) -> String {
        self.password.lock().unwrap().clone()
    }

    pub(crate) fn call(&self, operation: &str) -> Result<Value, Refusal> {
        if operation != "GetAuthorizationToken" {
            return Err(Refusal::new("UnknownOperationException", ""));
        }
        Ok(json!({ "authorizationData": [{
            "authorizationToken": BASE64_STANDARD.encode(format!("AWS:{}", self.password())),
            "expiresAt": epoch(clock::wall() + VALID),
            "proxyEndpoint": format!("https://{}.dkr.ecr.{}.amazonaws.com", self.account, self.region),
        }] }))
    }
}

/// As the real ones: base64 of some JSON, far longer than a usual password.
fn new_password() -> String {
    BASE64_STANDARD.encode(json!({ "payload": random_hex(800), "version": "2", "type": "DATA_KEY" }).to_string())
}
