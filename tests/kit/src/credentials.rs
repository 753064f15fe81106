//! The role credentials of the instance: the metadata service hands them out, the AWS endpoint knows them again.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use crate::clock;
use crate::text::random_hex;

/// One set of temporary credentials.
#[derive(Clone)]
pub(crate) struct Credential {
    pub(crate) access_key: String,
    pub(crate) secret_key: String,
    pub(crate) token: String,
    pub(crate) issued: SystemTime,
    pub(crate) expires: SystemTime,
}

/// All credentials that the world ever handed out; the last one is the current one.
pub(crate) struct Credentials(Mutex<Vec<Credential>>);

impl Credentials {
    pub(crate) fn new() -> Self {
        let credentials = Self(Mutex::default());
        credentials.issue(Duration::from_secs(6 * 3600));
        credentials
    }

    /// New credentials, valid for this long.
    pub(crate) fn issue(&self, valid: Duration) {
        let issued = clock::wall();
        self.0.lock().unwrap().push(Credential {
            access_key: format!("ASIA{}", random_hex(16).to_uppercase()),
            secret_key: format!("sk/{}", random_hex(37)),
            token: format!("IQoJb3JpZ2luX2Vj{}+/==", random_hex(200)),
            issued,
            expires: issued + valid,
        });
    }

    /// Lets every credential handed out so far be expired for AWS from now on.
    pub(crate) fn expire(&self) {
        for credential in &mut *self.0.lock().unwrap() {
            credential.expires = credential.issued;
        }
    }

    pub(crate) fn current(&self) -> Credential {
        self.0.lock().unwrap().last().expect("one is issued at the start").clone()
    }

    pub(crate) fn find(&self, access_key: &str) -> Option<Credential> {
        self.0.lock().unwrap().iter().find(|credential| credential.access_key == access_key).cloned()
    }

    /// Everything here that must be seen nowhere outside the agent's memory.
    pub(crate) fn secret_values(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().flat_map(|one| [one.secret_key.clone(), one.token.clone()]).collect()
    }
}
