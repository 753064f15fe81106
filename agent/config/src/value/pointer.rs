//! `config`: the document that has more keys.

use std::fmt;

use crate::value::Reason;
use crate::value::secret_ref::{SecretRef, check_parameter, check_secret_name};

/// What `config=` points to: a document with more keys, in any of the forms of user-data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pointer {
    /// `ssm:NAME`: a parameter, its name or ARN.
    Ssm(String),
    /// `secretsmanager:NAME`: a secret, its name or ARN.
    SecretsManager(String),
}

impl Pointer {
    /// The document as a reference to a secret.
    pub fn secret_ref(&self) -> SecretRef {
        match self {
            Self::Ssm(name) => SecretRef::Parameter { name: name.clone(), json_key: None },
            Self::SecretsManager(id) => {
                SecretRef::Managed { id: id.clone(), json_key: None, version_stage: None, version_id: None }
            }
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Reason> {
        if let Some(name) = text.strip_prefix("ssm:") {
            check_parameter(name)?;
            return Ok(Self::Ssm(name.to_owned()));
        }
        if let Some(name) = text.strip_prefix("secretsmanager:") {
            check_secret_name(name)?;
            return Ok(Self::SecretsManager(name.to_owned()));
        }
        match text.starts_with('/') {
            true => Err("is not `ssm:NAME` or `secretsmanager:NAME`: a parameter is `ssm:/NAME`".into()),
            false => Err("is not `ssm:NAME` or `secretsmanager:NAME`".into()),
        }
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ssm(name) => write!(f, "ssm:{name}"),
            Self::SecretsManager(name) => write!(f, "secretsmanager:{name}"),
        }
    }
}
