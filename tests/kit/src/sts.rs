//! The Security Token Service: GetCallerIdentity, which needs no permission.

use crate::imds::ROLE;
use crate::refusal::Refusal;

/// Who the instance is.
pub(crate) struct Sts {
    identity: String,
}

impl Sts {
    pub(crate) fn new(account: &str, instance_id: &str) -> Self {
        let arn = format!("arn:aws:sts::{account}:assumed-role/{ROLE}/{instance_id}");
        let identity =
            format!("<Arn>{arn}</Arn><UserId>AROA3XFRBF535PLBIFPI4:{instance_id}</UserId><Account>{account}</Account>");
        Self { identity }
    }

    pub(crate) fn call(&self, operation: &str) -> Result<String, Refusal> {
        match operation {
            "GetCallerIdentity" => Ok(self.identity.clone()),
            _ => Err(Refusal::new("InvalidAction", "the fake has no such operation")),
        }
    }
}
