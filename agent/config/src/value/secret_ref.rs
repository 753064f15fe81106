//! References to secrets. No type here has a secret's value.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

use crate::value::arn::Arn;

/// The path below which the Parameter Store gives the secrets of Secrets Manager by name (user guide, "Referencing AWS Secrets Manager secrets
/// from Parameter Store parameters").
const REFERENCE: &str = "/aws/reference/secretsmanager/";

/// One secret, or one JSON key of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum SecretRef {
    /// In Secrets Manager.
    Managed {
        /// Name or ARN.
        id: String,
        /// The key of the JSON object; none is the whole value.
        json_key: Option<String>,
        /// `AWSCURRENT` if none.
        version_stage: Option<String>,
        /// A version by id.
        version_id: Option<String>,
    },
    /// In the Parameter Store.
    Parameter {
        /// Name, with `:version` or `:label` if written, or ARN.
        name: String,
        /// The key of the JSON object; none is the whole value.
        json_key: Option<String>,
    },
}

impl SecretRef {
    /// Reads `prod/api`, `prod/api#password` (Secrets Manager), `ssm:/prod/key` (Parameter Store) and the ARNs that ECS takes
    /// as `valueFrom`, for Secrets Manager also with `:json-key:version-stage:version-id`. `#json-key` works with all of
    /// them but those extended ARNs.
    pub fn parse(text: &str) -> Result<Self, Cow<'static, str>> {
        let (place, json_key) = match text.split_once('#') {
            Some((_, "")) => return Err("has no key after `#`".into()),
            Some((place, key)) => (place, Some(key.to_owned())),
            None => (text, None),
        };
        if Arn::is_meant(place) {
            return of_arn(place, json_key);
        }
        if let Some(name) = place.strip_prefix("ssm:") {
            check_parameter(name)?;
            return Ok(Self::Parameter { name: name.to_owned(), json_key });
        }
        let id = place.strip_prefix("secretsmanager:").unwrap_or(place);
        check_secret_name(id)?;
        Ok(Self::Managed { id: id.to_owned(), json_key, version_stage: None, version_id: None })
    }

    /// The name of the secret, if this is a parameter below the path for secrets of Secrets Manager.
    pub fn secret_of_parameter(&self) -> Option<&str> {
        let Self::Parameter { name, .. } = self else { return None };
        let path = match Arn::parse(name) {
            Some(arn) => arn.resource.strip_prefix("parameter")?,
            None => name,
        };
        path.strip_prefix(REFERENCE)?.split(':').next()
    }

    /// Whether this is one key of a JSON object, not the whole secret.
    pub(crate) fn is_one_key(&self) -> bool {
        match self {
            Self::Managed { json_key, .. } | Self::Parameter { json_key, .. } => json_key.is_some(),
        }
    }
}

/// A name in Secrets Manager: letters, digits and `/_+=.@-` (API reference, CreateSecret), and `!` in the names that services
/// give to the secrets they manage (`rds!cluster-…`).
pub(crate) fn check_secret_name(name: &str) -> Result<(), Cow<'static, str>> {
    const ALSO: &[u8] = b"/_+=.@-!";
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || ALSO.contains(&byte);
    match name.len() {
        0 => Err("has no secret name".into()),
        1..=512 if name.bytes().all(allowed) => Ok(()),
        _ => Err("is not a secret: write a name (letters, digits and `/_+=.@-`), `ssm:…`, or an ARN".into()),
    }
}

/// The lengths of a version's id and of a staging label (API reference, GetSecretValue).
fn check_version(stage: Option<&str>, id: Option<&str>) -> Result<(), Cow<'static, str>> {
    if id.is_some_and(|id| !(32..=64).contains(&id.chars().count())) {
        return Err("has a version id that is not 32 to 64 characters long".into());
    }
    if stage.is_some_and(|stage| stage.chars().count() > 256) {
        return Err("has a version stage longer than 256 characters".into());
    }
    Ok(())
}

/// A name in the Parameter Store: letters, digits and `_.-/`, with or without `:version` or `:label` (API reference, PutParameter,
/// LabelParameterVersion).
pub(crate) fn check_parameter(name: &str) -> Result<(), Cow<'static, str>> {
    let (path, selector) = match name.split_once(':') {
        Some((path, selector)) => (path, Some(selector)),
        None => (name, None),
    };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'/');
    let selects = |text: &str| {
        (1..=100).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
    };
    if path.is_empty() {
        return Err("has no parameter name".into());
    }
    if let Some(secret) = path.strip_prefix(REFERENCE) {
        check_secret_name(secret)?;
    } else if path.len() > 1011 || !path.bytes().all(allowed) {
        return Err("is not a parameter name: letters, digits and `_.-/`".into());
    }
    if path.contains('/') && !path.starts_with('/') {
        return Err("is not a parameter name: a name with `/` in it begins with `/`".into());
    }
    if selector.is_some_and(|text| !selects(text)) {
        return Err("has a version or label that is not at most 100 letters, digits and `_.-`".into());
    }
    Ok(())
}

/// The ARNs that ECS takes (ECS developer guide, "Specifying sensitive data").
fn of_arn(text: &str, json_key: Option<String>) -> Result<SecretRef, Cow<'static, str>> {
    let Some(arn) = Arn::parse(text) else { return Err("is not a complete ARN".into()) };
    arn.check_place()?;
    let Arn { service, resource, .. } = arn;
    let rest: Vec<&str> = resource.split(':').collect();
    let given = |text: &&str| Some((*text).to_owned()).filter(|text| !text.is_empty());
    match (service, rest.as_slice()) {
        ("secretsmanager", ["secret", name]) => {
            check_secret_name(name)?;
            Ok(SecretRef::Managed { id: text.to_owned(), json_key, version_stage: None, version_id: None })
        }
        ("secretsmanager", ["secret", name, key, stage, id]) => {
            check_secret_name(name)?;
            let (key, version_stage, version_id) = (given(key), given(stage), given(id));
            if json_key.is_some() {
                return Err("has both `:json-key:…` and `#json-key`".into());
            }
            if version_stage.is_some() && version_id.is_some() {
                return Err("has both a version stage and a version id: write one of them".into());
            }
            check_version(version_stage.as_deref(), version_id.as_deref())?;
            let secret = format!("secret:{name}");
            let id = Arn { resource: &secret, ..arn }.to_string();
            Ok(SecretRef::Managed { id, json_key: key, version_stage, version_id })
        }
        ("secretsmanager", ["secret", ..]) => Err(
            "is a secret's ARN with only some of `:json-key:version-stage:version-id`: all three colons are required"
                .into(),
        ),
        ("ssm", [parameter, selector @ ..]) if parameter.starts_with("parameter/") => {
            let path = parameter.strip_prefix("parameter").unwrap_or_default();
            check_parameter(&[&[path], selector].concat().join(":"))?;
            Ok(SecretRef::Parameter { name: text.to_owned(), json_key })
        }
        ("secretsmanager" | "ssm", _) => Err("is an ARN of neither a secret nor a parameter".into()),
        _ => Err("is an ARN of neither Secrets Manager nor the Parameter Store".into()),
    }
}

/// The reference in its shortest form, for messages: `prod/api#password`, `ssm:/prod/key`.
impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = match self {
            Self::Managed { id, json_key, .. } => {
                f.write_str(id)?;
                json_key
            }
            Self::Parameter { name, json_key } => {
                if !Arn::is_meant(name) {
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

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:secretsmanager:us-east-2:123456789012:secret:prod/api-AbCdEf";
    const PARAMETER: &str = "arn:aws:ssm:us-east-2:123456789012:parameter";

    fn managed(id: &str, key: Option<&str>, stage: Option<&str>, version: Option<&str>) -> Result<SecretRef, String> {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Ok(SecretRef::Managed {
            id: id.into(),
            json_key: own(key),
            version_stage: own(stage),
            version_id: own(version),
        })
    }

    fn parameter(name: &str, key: Option<&str>) -> Result<SecretRef, String> {
        Ok(SecretRef::Parameter { name: name.into(), json_key: key.map(str::to_owned) })
    }

    fn check(text: &str, expected: Result<SecretRef, String>) {
        assert_eq!(SecretRef::parse(text).map_err(|reason| reason.to_string()), expected, "{text}");
    }

    #[test]
    fn names_and_parameters_are_read() {
        check("prod/api", managed("prod/api", None, None, None));
        check("prod/api#password", managed("prod/api", Some("password"), None, None));
        check("prod/api#a#b", managed("prod/api", Some("a#b"), None, None));
        check("rds!cluster-1#password", managed("rds!cluster-1", Some("password"), None, None));
        check("secretsmanager:prod/api", managed("prod/api", None, None, None));
        check("ssm:/prod/key", parameter("/prod/key", None));
        check("ssm:key:3", parameter("key:3", None));
        check("ssm:/prod/db#user", parameter("/prod/db", Some("user")));
        let managed = "/aws/reference/secretsmanager/rds!cluster-1";
        check(&format!("ssm:{managed}:AWSPREVIOUS#user"), parameter(&format!("{managed}:AWSPREVIOUS"), Some("user")));
    }

    #[test]
    fn the_forms_of_ecs_are_read() {
        check(ARN, managed(ARN, None, None, None));
        check(&format!("{ARN}#user"), managed(ARN, Some("user"), None, None));
        check(&format!("{ARN}:user::"), managed(ARN, Some("user"), None, None));
        check(&format!("{ARN}::AWSPREVIOUS:"), managed(ARN, None, Some("AWSPREVIOUS"), None));
        let id = "9d4cb84b-ad69-40c0-a0ab-cead36b967e8";
        check(&format!("{ARN}:::{id}"), managed(ARN, None, None, Some(id)));
        check(&format!("{ARN}:user::{id}"), managed(ARN, Some("user"), None, Some(id)));
        check(&format!("{ARN}:::"), managed(ARN, None, None, None));
        let cn = ARN.replace("arn:aws:", "arn:aws-cn:");
        check(&cn, managed(&cn, None, None, None));
        check(&format!("{PARAMETER}/prod/key"), parameter(&format!("{PARAMETER}/prod/key"), None));
        check(&format!("{PARAMETER}/key:2"), parameter(&format!("{PARAMETER}/key:2"), None));
    }

    #[test]
    fn a_parameter_of_the_reserved_path_is_a_secret() {
        for (text, secret) in [
            ("ssm:/aws/reference/secretsmanager/prod/api", Some("prod/api")),
            ("ssm:/aws/reference/secretsmanager/prod/api:AWSPREVIOUS#user", Some("prod/api")),
            (&format!("{PARAMETER}/aws/reference/secretsmanager/prod/api:AWSPREVIOUS"), Some("prod/api")),
            ("ssm:/prod/key", None),
            (&format!("{PARAMETER}/prod/key"), None),
            ("prod/api", None),
        ] {
            assert_eq!(SecretRef::parse(text).unwrap().secret_of_parameter(), secret, "{text}");
        }
    }

    #[test]
    fn an_invalid_reference_is_an_error() {
        for (text, reason) in [
            ("", "has no secret name"),
            ("#x", "has no secret name"),
            ("prod/api#", "has no key after `#`"),
            ("prod api", "is not a secret: write a name (letters, digits and `/_+=.@-`), `ssm:…`, or an ARN"),
            ("ssm:", "has no parameter name"),
            ("ssm:a/b", "is not a parameter name: a name with `/` in it begins with `/`"),
            ("ssm:/a b", "is not a parameter name: letters, digits and `_.-/`"),
            ("ssm:/aws/reference/secretsmanager/", "has no secret name"),
            ("ssm:/a:", "has a version or label that is not at most 100 letters, digits and `_.-`"),
            ("arn:aws:ssm", "is not a complete ARN"),
            ("arn:aws:s3:us-east-2:123456789012:x", "is an ARN of neither Secrets Manager nor the Parameter Store"),
            ("arn:aws:ssm:us-east-2:123456789012:document/x", "is an ARN of neither a secret nor a parameter"),
            ("arn:aws:ssm:us-east-2:1234:parameter/x", "is an ARN whose account is not twelve digits"),
            ("arn::ssm::123456789012:parameter/x", "is an ARN without partition or region"),
        ] {
            check(text, Err(reason.into()));
        }
        check(
            &format!("{ARN}:user"),
            Err("is a secret's ARN with only some of `:json-key:version-stage:version-id`: all three colons are required"
                .into()),
        );
        check(&format!("{ARN}:user::#x"), Err("has both `:json-key:…` and `#json-key`".into()));
        check(
            &format!("{ARN}::AWSCURRENT:9d4c"),
            Err("has both a version stage and a version id: write one of them".into()),
        );
    }

    #[test]
    fn an_impossible_version_is_an_error() {
        let of = |count| "v".repeat(count);
        for count in [32, 64] {
            check(&format!("{ARN}:::{}", of(count)), managed(ARN, None, None, Some(&of(count))));
        }
        for count in [31, 65] {
            let reason = "has a version id that is not 32 to 64 characters long";
            check(&format!("{ARN}:::{}", of(count)), Err(reason.into()));
        }
        check(&format!("{ARN}::{}:", of(256)), managed(ARN, None, Some(&of(256)), None));
        let reason = "has a version stage longer than 256 characters";
        check(&format!("{ARN}::{}:", of(257)), Err(reason.into()));
    }
}
