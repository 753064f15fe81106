//! Where one secret is: the reference, never the value.

use std::fmt;

use serde::Serialize;

/// One secret, or one JSON key of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum SecretRef {
    /// In Secrets Manager.
    Managed {
        /// Name or ARN.
        id: String,
        /// The key of the JSON object; none is the whole value.
        json_key: Option<String>,
        /// `AWSCURRENT` if not said.
        version_stage: Option<String>,
        /// A version by id.
        version_id: Option<String>,
    },
    /// In the Parameter Store.
    Parameter {
        /// Name (with `:version` or `:label` if written) or ARN.
        name: String,
        /// The key of the JSON object; none is the whole value.
        json_key: Option<String>,
    },
}

/// The reference in the shortest form that berth reads, for messages: `prod/api#password`, `ssm:/prod/key`.
impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = match self {
            Self::Managed { id, json_key, .. } => {
                f.write_str(id)?;
                json_key
            }
            Self::Parameter { name, json_key } => {
                if !name.starts_with("arn:") {
                    f.write_str("ssm:")?;
                }
                f.write_str(name)?;
                json_key
            }
        };
        match key {
            Some(key) => write!(f, "#{key}"),
            None => Ok(()),
        }
    }
}
