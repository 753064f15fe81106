//! Secrets from both services, as a config asks for them.

use std::collections::BTreeMap;

use berth::config::{SecretRef, SecretsAs};
use berth::edge::secrets;
use berth::fault::Class;

use crate::server::{Server, answer};
use crate::services::{Moto, Services, client_of};

fn managed(id: &str, json_key: Option<&str>) -> SecretRef {
    SecretRef::Managed { id: id.into(), json_key: json_key.map(str::to_owned), version_stage: None, version_id: None }
}

fn staged(id: &str, stage: Option<&str>, version_id: Option<&str>) -> SecretRef {
    SecretRef::Managed {
        id: id.into(),
        json_key: None,
        version_stage: stage.map(str::to_owned),
        version_id: version_id.map(str::to_owned),
    }
}

fn parameter(name: &str, json_key: Option<&str>) -> SecretRef {
    SecretRef::Parameter { name: name.into(), json_key: json_key.map(str::to_owned) }
}

/// The keys of a config that concern secrets.
struct Asked {
    secret: Vec<(&'static str, SecretRef)>,
    secrets: Vec<SecretRef>,
    secrets_as: SecretsAs,
}

async fn fetch(aws: &berth::edge::aws::Aws, asked: Asked) -> Result<BTreeMap<String, String>, secrets::SecretsError> {
    let secret = asked.secret.into_iter().map(|(name, reference)| (name.to_owned(), reference)).collect();
    let fetched = secrets::fetch_named(aws, &asked.secrets, &secret, asked.secrets_as).await?;
    Ok(fetched.into_iter().map(|(name, secret)| (name, String::from_utf8_lossy(secret.expose()).into())).collect())
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

async fn secrets_are_fetched_in_every_form(services: impl Services) {
    let (_, old) = services.put_secret("forms/api", r#"{"password":"old"}"#).await;
    let (arn, _) = services
        .put_secret(
            "forms/api",
            r#"{"password":"pw=\"1\" é","port":5432,"ratio":1.50,"on":true,"none":null,"deep":{"a": [1, "x y"]}}"#,
        )
        .await;
    services.put_secret("forms/jwt", "not json").await;
    services.put_binary_secret("forms/binary", b"bytes").await;
    services.put_parameter("/forms/key", "first").await;
    services.put_parameter("/forms/key", "second").await;
    let aws = services.aws();
    let fetched = fetch(
        &aws,
        Asked {
            secret: vec![
                ("WHOLE", managed("forms/jwt", None)),
                ("BINARY", managed("forms/binary", None)),
                ("KEY", managed("forms/api", Some("password"))),
                ("BY_ARN", managed(&arn, Some("port"))),
                ("PREVIOUS", staged("forms/api", Some("AWSPREVIOUS"), None)),
                ("BY_VERSION", staged("forms/api", None, Some(&old))),
                ("CURRENT", staged("forms/jwt", Some("AWSCURRENT"), None)),
                ("PARAMETER", parameter("/forms/key", None)),
                ("PARAMETER_VERSION", parameter("/forms/key:1", None)),
            ],
            secrets: vec![managed("forms/api", None)],
            secrets_as: SecretsAs::Env,
        },
    )
    .await
    .unwrap();
    assert_eq!(
        fetched,
        map(&[
            ("BINARY", "bytes"),
            ("BY_ARN", "5432"),
            ("BY_VERSION", r#"{"password":"old"}"#),
            ("CURRENT", "not json"),
            ("KEY", "pw=\"1\" é"),
            ("PARAMETER", "second"),
            ("PARAMETER_VERSION", "first"),
            ("PREVIOUS", r#"{"password":"old"}"#),
            ("WHOLE", "not json"),
            ("deep", r#"{"a":[1,"x y"]}"#),
            ("none", "null"),
            ("on", "true"),
            ("password", "pw=\"1\" é"),
            ("port", "5432"),
            ("ratio", "1.50"),
        ])
    );
}

#[tokio::test]
async fn moto_gives_secrets_in_every_form() {
    secrets_are_fetched_in_every_form(Moto).await;
}

async fn a_later_secret_wins_and_a_named_one_wins_over_all(services: impl Services) {
    services.put_secret("wins/one", r#"{"A":"1","B":"1","C":"1"}"#).await;
    services.put_secret("wins/two", r#"{"B":"2","C":"2"}"#).await;
    services.put_parameter("/wins/three", "3").await;
    let fetched = fetch(
        &services.aws(),
        Asked {
            secret: vec![("C", parameter("/wins/three", None))],
            secrets: vec![managed("wins/one", None), managed("wins/two", None)],
            secrets_as: SecretsAs::Files,
        },
    )
    .await
    .unwrap();
    assert_eq!(fetched, map(&[("A", "1"), ("B", "2"), ("C", "3")]));
}

#[tokio::test]
async fn with_moto_a_later_secret_wins_and_a_named_one_wins_over_all() {
    a_later_secret_wins_and_a_named_one_wins_over_all(Moto).await;
}

async fn many_are_fetched_in_batches(services: impl Services) {
    let mut references = Vec::new();
    for number in 0..23 {
        services.put_secret(&format!("many/s{number}"), &format!(r#"{{"S{number}":"{number}"}}"#)).await;
        services.put_parameter(&format!("/many/p{number}"), &format!(r#"{{"P{number}":"{number}"}}"#)).await;
        references.push(managed(&format!("many/s{number}"), None));
        references.push(parameter(&format!("/many/p{number}"), None));
    }
    let asked = Asked { secret: vec![], secrets: references, secrets_as: SecretsAs::Env };
    let fetched = fetch(&services.aws(), asked).await.unwrap();
    assert_eq!(fetched.len(), 46);
    for number in 0..23 {
        assert_eq!(fetched[&format!("S{number}")], number.to_string());
        assert_eq!(fetched[&format!("P{number}")], number.to_string());
    }
}

#[tokio::test]
async fn with_moto_many_are_fetched_in_batches() {
    many_are_fetched_in_batches(Moto).await;
}

async fn every_secret_that_is_missing_is_named_at_once(services: impl Services) {
    services.put_secret("faults/there", "{}").await;
    services.put_parameter("/faults/there", "x").await;
    let asked = Asked {
        secret: vec![
            ("A", managed("faults/absent", None)),
            ("B", managed("faults/there", None)),
            ("C", staged("faults/there", Some("AWSPREVIOUS"), None)),
            ("D", parameter("/faults/absent", None)),
            ("E", parameter("/faults/there", None)),
        ],
        secrets: vec![],
        secrets_as: SecretsAs::Env,
    };
    let error = fetch(&services.aws(), asked).await.unwrap_err();
    assert_eq!(error.class(), Class::Broken);
    let text = error.to_string();
    for named in ["faults/absent: ", "faults/there (AWSPREVIOUS): ", "ssm:/faults/absent: "] {
        assert!(text.contains(named), "{named} is not in {text}");
    }
    assert!(text.contains("ResourceNotFoundException"), "{text}");
    assert_eq!(error.faults.len(), 3, "{text}");
}

#[tokio::test]
async fn with_moto_every_secret_that_is_missing_is_named_at_once() {
    every_secret_that_is_missing_is_named_at_once(Moto).await;
}

async fn a_key_that_is_missing_is_named_and_no_value_is_told(services: impl Services) {
    services.put_secret("keys/api", r#"{"user":"hunter2","a=b":"hunter2","nul":"hunter2\u0000"}"#).await;
    services.put_secret("keys/text", "hunter2").await;
    services.put_secret("keys/number", r#"["hunter2"]"#).await;
    let asked = Asked {
        secret: vec![
            ("A", managed("keys/api", Some("password"))),
            ("B", managed("keys/text", Some("password"))),
            ("C", managed("keys/number", Some("password"))),
        ],
        secrets: vec![managed("keys/api", None)],
        secrets_as: SecretsAs::Env,
    };
    let error = fetch(&services.aws(), asked).await.unwrap_err();
    assert_eq!(error.class(), Class::Broken);
    let text = error.to_string();
    assert_eq!(
        text,
        "keys/api: \"a=b\" cannot be the name of an environment variable; \
         keys/api: the value for \"nul\" holds a NUL byte, which no environment can: use secrets_as=files; \
         keys/api#password: the secret has no key \"password\"; \
         keys/text#password: the secret is not a JSON object; \
         keys/number#password: the secret is not a JSON object"
    );
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[tokio::test]
async fn with_moto_a_key_that_is_missing_is_named_and_no_value_is_told() {
    a_key_that_is_missing_is_named_and_no_value_is_told(Moto).await;
}

async fn a_pointer_gives_the_text(services: impl Services) {
    services.put_parameter("/pointer/config", "image=a/b:1 port=8080").await;
    services.put_secret("pointer/config", "#berth\nport = 1\n").await;
    let aws = services.aws();
    let text = secrets::config_pointer(&aws, &parameter("/pointer/config", None)).await.unwrap();
    assert_eq!(text, "image=a/b:1 port=8080");
    let text = secrets::config_pointer(&aws, &managed("pointer/config", None)).await.unwrap();
    assert_eq!(text, "#berth\nport = 1\n");
}

#[tokio::test]
async fn with_moto_a_pointer_gives_the_text() {
    a_pointer_gives_the_text(Moto).await;
}

fn two(secrets_as: SecretsAs) -> Asked {
    Asked {
        secret: vec![("A", managed("one", None)), ("B", managed("two", None)), ("C", managed("two", Some("k")))],
        secrets: vec![],
        secrets_as,
    }
}

#[tokio::test]
async fn two_secrets_cost_one_call() {
    let server = Server::start(|_| {
        answer(
            200,
            r#"{"SecretValues":[{"Name":"two","SecretString":"{\"k\":\"v\"}"},{"Name":"one","SecretString":"1"}]}"#,
        )
    })
    .await;
    let fetched = fetch(&client_of(&server.base), two(SecretsAs::Env)).await.unwrap();
    assert_eq!(fetched, map(&[("A", "1"), ("B", r#"{"k":"v"}"#), ("C", "v")]));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_role_that_may_not_batch_asks_one_by_one() {
    let server = Server::start(|seen| {
        if seen.headers["x-amz-target"].ends_with("BatchGetSecretValue") {
            return answer(400, r#"{"__type":"AccessDeniedException","Message":"not authorized"}"#);
        }
        answer(200, r#"{"Name":"x","SecretString":"{\"k\":\"v\"}"}"#)
    })
    .await;
    let fetched = fetch(&client_of(&server.base), two(SecretsAs::Env)).await.unwrap();
    assert_eq!(fetched["C"], "v");
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn a_secret_that_a_batch_leaves_out_is_asked_for_singly() {
    let server = Server::start(|seen| {
        if seen.headers["x-amz-target"].ends_with("BatchGetSecretValue") {
            return answer(
                200,
                r#"{"SecretValues":[{"Name":"two","SecretString":"{\"k\":\"v\"}"}],"NextToken":"more"}"#,
            );
        }
        answer(200, r#"{"Name":"one","SecretString":"1"}"#)
    })
    .await;
    assert_eq!(fetch(&client_of(&server.base), two(SecretsAs::Env)).await.unwrap()["A"], "1");
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn an_error_inside_a_good_answer_is_told_by_name_and_keeps_its_class() {
    let server = Server::start(|_| {
        answer(
            200,
            r#"{"SecretValues":[{"Name":"two","SecretString":"{\"k\":\"v\"}"}],
                "Errors":[{"SecretId":"one","ErrorCode":"AccessDeniedException","Message":"no kms:Decrypt"}]}"#,
        )
    })
    .await;
    let error = fetch(&client_of(&server.base), two(SecretsAs::Env)).await.unwrap_err();
    assert_eq!(error.class(), Class::Denied);
    assert_eq!(
        error.to_string(),
        "one: secretsmanager:GetSecretValue is not allowed (AccessDeniedException): no kms:Decrypt"
    );
}

#[tokio::test]
async fn a_call_that_fails_for_many_is_told_once() {
    let server = Server::start(|_| answer(400, r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#)).await;
    let error = fetch(&client_of(&server.base), two(SecretsAs::Env)).await.unwrap_err();
    assert_eq!(error.class(), Class::Transient);
    assert_eq!(
        error.to_string(),
        "one, two: secretsmanager:BatchGetSecretValue failed with 400 Bad Request ThrottlingException: Rate exceeded"
    );
}

#[tokio::test]
async fn an_answer_that_is_no_json_is_not_quoted() {
    let server = Server::start(|_| answer(200, r#"{"Name":"x","SecretString":{"hunter2":"hunter2"}}"#)).await;
    let error = secrets::fetch_one(&client_of(&server.base), &managed("one", None)).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    assert_eq!(error.class(), Class::Transient);
}

#[tokio::test]
async fn a_parameter_is_found_by_its_arn_and_its_label_whatever_the_order() {
    const ARN: &str = "arn:aws:ssm:eu-west-1:123456789012:parameter/k";
    let server = Server::start(|_| {
        let at = format!(r#""Name":"/k","ARN":"{ARN}","Version":3"#);
        answer(
            200,
            format!(
                r#"{{"Parameters":[{{{at},"Value":"current"}},{{{at},"Selector":":live","Value":"labelled"}}],
                    "InvalidParameters":["/absent"]}}"#
            ),
        )
    })
    .await;
    let named = BTreeMap::from([
        ("A".to_owned(), parameter(ARN, None)),
        ("B".to_owned(), parameter(&format!("{ARN}:live"), None)),
    ]);
    let found = secrets::fetch_named(&client_of(&server.base), &[], &named, SecretsAs::Env).await.unwrap();
    assert_eq!((found["A"].expose(), found["B"].expose()), (&b"current"[..], &b"labelled"[..]));
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    assert!(seen[0].headers["authorization"].contains("/eu-west-1/ssm/"));
}
