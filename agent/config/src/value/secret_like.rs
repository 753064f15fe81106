//! Whether a plain value looks like a secret, by its name or by its form.

use crate::value::arn::Arn;

/// Parts of the names of secrets, without `_`.
const NAMES: [&str; 13] = [
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "SECRET",
    "TOKEN",
    "CREDENTIAL",
    "APIKEY",
    "ACCESSKEY",
    "PRIVATEKEY",
    "SIGNINGKEY",
    "ENCRYPTIONKEY",
    "MASTERKEY",
    "AUTHKEY",
];

/// Last parts of names that are about a secret and whose values are not secret.
const NOT_SECRET: [&str; 27] = [
    "ALGORITHM",
    "ARN",
    "AUDIENCE",
    "COUNT",
    "DIR",
    "ENABLED",
    "ENDPOINT",
    "EXPIRES",
    "EXPIRY",
    "FIELD",
    "FILE",
    "HEADER",
    "HOST",
    "ID",
    "ISSUER",
    "LENGTH",
    "LIFETIME",
    "NAME",
    "PATH",
    "PREFIX",
    "REGION",
    "REQUIRED",
    "TIMEOUT",
    "TTL",
    "TYPE",
    "URI",
    "URL",
];

/// Prefixes of well-known keys: GitHub, GitLab, Slack, Stripe.
const PREFIXES: [&str; 7] = ["ghp_", "gho_", "github_pat_", "glpat-", "xoxb-", "sk_live_", "rk_live_"];

/// Whether this value under this name is most likely a secret.
pub(crate) fn is_secret(name: &str, value: &str) -> bool {
    has_secret_form(value) || (is_secret_name(name) && !is_harmless(value))
}

/// Whether a word of a command line is a secret or has one in it: `--password=…`, a URL with a password.
pub(crate) fn is_secret_argument(word: &str) -> bool {
    let option = word.strip_prefix('-').and_then(|option| option.split_once('='));
    has_secret_form(word) || option.is_some_and(|(name, value)| is_secret(name.trim_start_matches('-'), value))
}

/// Whether a text of several parts (a connection string, a query, JSON, a header) has a secret in it; `$` stands for a reference.
pub(crate) fn has_secret(text: &str) -> bool {
    let parts: Vec<String> = text
        .split(|char: char| char.is_whitespace() || ";&?,{}".contains(char))
        .map(|part| part.replace(['"', '\''], ""))
        .filter(|part| !part.is_empty())
        .collect();
    let is_given = |name: &str, value: &str| !value.starts_with('$') && is_secret(name, value);
    let is_pair = |part: &str| {
        [part.split_once('='), part.split_once(':')].into_iter().flatten().any(|(name, value)| is_given(name, value))
    };
    let is_authorization = |pair: &[String]| {
        matches!(pair, [scheme, value] if ["bearer", "basic"].contains(&scheme.to_ascii_lowercase().as_str())
            && value.len() >= 8 && !value.contains('$'))
    };
    is_secret_argument(text)
        || parts.iter().any(|part| is_pair(part) || part.split([':', '=', '@']).any(has_secret_form))
        || parts.windows(2).any(is_authorization)
}

/// Whether this is a reference to a secret.
pub(crate) fn is_reference(value: &str) -> bool {
    let of_arn = Arn::parse(value).is_some_and(|arn| match arn.service {
        "secretsmanager" => true,
        "ssm" => arn.resource.starts_with("parameter/"),
        _ => false,
    });
    of_arn
        || ["ssm:", "secretsmanager:"]
            .iter()
            .any(|start| value.strip_prefix(start).is_some_and(|rest| !rest.is_empty()))
}

fn is_secret_name(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    let last = upper.rsplit(['_', '-', '.']).next().unwrap_or_default();
    let joined: String = upper.chars().filter(char::is_ascii_alphanumeric).collect();
    !NOT_SECRET.contains(&last) && (last == "PWD" && upper.len() > 3 || NAMES.iter().any(|part| joined.contains(part)))
}

/// Whether a value is empty, a number, a duration, a boolean or a path.
fn is_harmless(value: &str) -> bool {
    const WORDS: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "null", "none", "disabled"];
    let unit = value.trim_start_matches(|char: char| char.is_ascii_digit() || char == '.');
    let is_number = unit.len() < value.len() && unit.len() <= 2 && unit.chars().all(|char| char.is_ascii_alphabetic());
    value.is_empty() || is_number || value.starts_with('/') || WORDS.contains(&value.to_ascii_lowercase().as_str())
}

fn has_secret_form(value: &str) -> bool {
    let is_aws_key = ["AKIA", "ASIA"].iter().any(|start| {
        value.len() == 20
            && value.starts_with(start)
            && value.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    });
    let is_pem = value.contains("-----BEGIN") && value.contains("PRIVATE KEY");
    is_aws_key
        || is_pem
        || has_password(value)
        || PREFIXES.iter().any(|start| value.starts_with(start) && value.len() >= 20)
}

/// `scheme://user:password@host`
fn has_password(value: &str) -> bool {
    value.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', '?', '#', ' ']).next().unwrap_or_default();
        let user = authority.rsplit_once('@').map(|(user, _)| user);
        user.and_then(|user| user.split_once(':'))
            .is_some_and(|(_, password)| !password.is_empty() && !password.starts_with('$'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_several_parts_is_looked_through() {
        for secret in [
            "Server=db;Password=hunter2hunter2;User=$",
            "postgres://$@h/db?sslmode=require&password=hunter2hunter2",
            r#"{"password":"hunter2hunter2","u":"$"}"#,
            "Authorization: Bearer eyJhbGciOiJIUzI1NiJ9 $",
            "Authorization: Basic dTpodW50ZXIy $",
            "api_key=hunter2hunter2 $",
            "AKIAIOSFODNN7EXAMPLE:$",
            "postgres://u:hunter2@$/db",
        ] {
            assert!(has_secret(secret), "{secret}");
        }
        for none in [
            "postgres://$:$@db/app",
            "Server=db;User=app;Password=$",
            r#"{"password":"$","user":"app"}"#,
            "Authorization: Bearer $",
            "redis://:$@cache:6379/0?timeout=5s&token_ttl=60",
            "amqp://app:$@mq:5671/%2f?heartbeat=30",
            "$",
        ] {
            assert!(!has_secret(none), "{none}");
        }
    }
}
