//! `config`: the document that has more keys.

use std::fmt;

use crate::value::Reason;
use crate::value::s3;
use crate::value::secret_ref::{SecretRef, check_parameter, check_secret_name};

/// What `config=` points to: a document with more keys, in any of the forms of user-data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pointer {
    /// `ssm:NAME`: a parameter, its name or ARN.
    Ssm(String),
    /// `secretsmanager:NAME`: a secret, its name or ARN.
    SecretsManager(String),
    /// `s3://BUCKET/KEY`: an object.
    S3 {
        /// The bucket, or the alias of an access point.
        bucket: String,
        /// The key, 1 to 1024 bytes without control characters.
        key: String,
    },
}

impl Pointer {
    /// The document as a reference to a secret; none if it is an object of S3.
    pub fn secret_ref(&self) -> Option<SecretRef> {
        match self {
            Self::Ssm(name) => Some(SecretRef::Parameter { name: name.clone(), json_key: None }),
            Self::SecretsManager(id) => {
                Some(SecretRef::Managed { id: id.clone(), json_key: None, version_stage: None, version_id: None })
            }
            Self::S3 { .. } => None,
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
        if s3::is_meant(text) {
            return match s3::place(text)? {
                (_, "") => Err("has no key after the bucket: write `s3://BUCKET/KEY`".into()),
                (_, key) if key.ends_with('/') => {
                    Err("is a folder: write the key of one object, `s3://BUCKET/KEY`".into())
                }
                (_, key) if key.starts_with('/') => {
                    Err("has two slashes after the bucket: write `s3://BUCKET/KEY`".into())
                }
                (bucket, key) => Ok(Self::S3 { bucket: bucket.to_owned(), key: key.to_owned() }),
            };
        }
        match text.starts_with('/') {
            true => {
                Err("is not `ssm:NAME`, `secretsmanager:NAME` or `s3://BUCKET/KEY`: a parameter is `ssm:/NAME`".into())
            }
            false => Err("is not `ssm:NAME`, `secretsmanager:NAME` or `s3://BUCKET/KEY`".into()),
        }
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ssm(name) => write!(f, "ssm:{name}"),
            Self::SecretsManager(name) => write!(f, "secretsmanager:{name}"),
            Self::S3 { bucket, key } => write!(f, "s3://{bucket}/{key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_a_parameter_a_secret_or_an_object() {
        let object = Pointer::S3 { bucket: "prod-berth".into(), key: "fleets/api".into() };
        for (text, pointer) in [
            ("ssm:/prod/berth", Pointer::Ssm("/prod/berth".into())),
            ("secretsmanager:prod/berth", Pointer::SecretsManager("prod/berth".into())),
            ("s3://prod-berth/fleets/api", object.clone()),
        ] {
            assert_eq!(Pointer::parse(text), Ok(pointer.clone()));
            assert_eq!(pointer.to_string(), text);
            assert_eq!(pointer.secret_ref().is_none(), pointer == object, "{text}");
        }
    }

    #[test]
    fn what_points_to_no_document_is_refused_with_what_to_write() {
        const FORMS: &str = "is not `ssm:NAME`, `secretsmanager:NAME` or `s3://BUCKET/KEY`";
        for (text, reason) in [
            ("s3:prod-berth/api", "is written `s3://BUCKET/KEY`, with two slashes"),
            ("arn:aws:s3:::prod-berth/api", "is the ARN of an object: write `s3://BUCKET/KEY`"),
            ("https://prod-berth.s3.amazonaws.com/api", "is the URL of an object: write `s3://BUCKET/KEY`"),
            ("s3://prod-berth", "has no key after the bucket: write `s3://BUCKET/KEY`"),
            ("s3://prod-berth/", "has no key after the bucket: write `s3://BUCKET/KEY`"),
            ("s3://prod-berth/api/", "is a folder: write the key of one object, `s3://BUCKET/KEY`"),
            ("s3://prod-berth//api", "has two slashes after the bucket: write `s3://BUCKET/KEY`"),
            ("https://example.com/api", FORMS),
            ("prod/api", FORMS),
            ("/prod/api", "is not `ssm:NAME`, `secretsmanager:NAME` or `s3://BUCKET/KEY`: a parameter is `ssm:/NAME`"),
        ] {
            assert_eq!(Pointer::parse(text), Err(reason.into()), "{text}");
        }
    }
}
