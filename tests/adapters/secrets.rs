//! Secrets from both services, as a config asks for them.

use std::collections::BTreeMap;

use berth::io::aws::secrets;
use berth_config::{Config, Layers, SecretRef, SecretValue, SecretsAs};
use berth_core::message::error::ErrorClass;
use berth_kit::{Fault, World};

use crate::moto::client_of;
use crate::server::{Server, answer};
use crate::services::{Services, on_moto_and_kit};

on_moto_and_kit!(
    secrets_are_fetched_in_every_form,
    a_later_secret_wins_and_a_named_one_wins_over_all,
    many_are_fetched_in_batches,
    every_secret_that_is_missing_is_named_at_once,
    a_key_that_is_missing_is_named_and_no_value_is_shown,
    a_pointer_gives_the_text,
    a_template_is_filled_in_from_both_services,
);

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

async fn fetch(aws: &berth::io::aws::Aws, asked: Asked) -> Result<BTreeMap<String, String>, secrets::SecretsError> {
    let secret =
        asked.secret.into_iter().map(|(name, reference)| (name.to_owned(), SecretValue::from(reference))).collect();
    let fetched = secrets::fetch_named(aws, &asked.secrets, &secret, asked.secrets_as).await?;
    Ok(fetched.into_iter().map(|(name, secret)| (name, String::from_utf8_lossy(secret.expose()).into())).collect())
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

async fn secrets_are_fetched_in_every_form(services: &impl Services) {
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
    let parameter_arn = services.put_parameter("/forms/key", "second").await;
    let flat_arn = services.put_parameter("forms-flat", "flat").await;
    let aws = services.aws().await;
    let fetched = fetch(
        &aws,
        Asked {
            secret: vec![
                ("WHOLE", managed("forms/jwt", None)),
                ("BINARY", managed("forms/binary", None)),
                ("KEY", managed("forms/api", Some("password"))),
                ("BY_ARN", managed(&arn, Some("port"))),
                ("BY_PARTIAL_ARN", managed(arn.rsplit_once('-').unwrap().0, Some("on"))),
                ("PREVIOUS", staged("forms/api", Some("AWSPREVIOUS"), None)),
                ("BY_VERSION", staged("forms/api", None, Some(&old))),
                ("CURRENT", staged("forms/jwt", Some("AWSCURRENT"), None)),
                ("PARAMETER", parameter("/forms/key", None)),
                ("PARAMETER_VERSION", parameter("/forms/key:1", None)),
                ("PARAMETER_ARN", parameter(&parameter_arn, None)),
                ("PARAMETER_ARN_VERSION", parameter(&format!("{parameter_arn}:1"), None)),
                ("FLAT", parameter(&flat_arn, None)),
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
            ("BY_PARTIAL_ARN", "true"),
            ("BY_VERSION", r#"{"password":"old"}"#),
            ("CURRENT", "not json"),
            ("FLAT", "flat"),
            ("KEY", "pw=\"1\" é"),
            ("PARAMETER", "second"),
            ("PARAMETER_ARN", "second"),
            ("PARAMETER_ARN_VERSION", "first"),
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

async fn a_later_secret_wins_and_a_named_one_wins_over_all(services: &impl Services) {
    services.put_secret("wins/one", r#"{"A":"1","B":"1","C":"1"}"#).await;
    services.put_secret("wins/two", r#"{"B":"2","C":"2"}"#).await;
    services.put_parameter("/wins/three", "3").await;
    let fetched = fetch(
        &services.aws().await,
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

async fn many_are_fetched_in_batches(services: &impl Services) {
    let mut references = Vec::new();
    for number in 0..23 {
        services.put_secret(&format!("many/s{number}"), &format!(r#"{{"S{number}":"{number}"}}"#)).await;
        services.put_parameter(&format!("/many/p{number}"), &format!(r#"{{"P{number}":"{number}"}}"#)).await;
        references.push(managed(&format!("many/s{number}"), None));
        references.push(parameter(&format!("/many/p{number}"), None));
    }
    let asked = Asked { secret: vec![], secrets: references, secrets_as: SecretsAs::Env };
    let fetched = fetch(&services.aws().await, asked).await.unwrap();
    assert_eq!(fetched.len(), 46);
    for number in 0..23 {
        assert_eq!(fetched[&format!("S{number}")], number.to_string());
        assert_eq!(fetched[&format!("P{number}")], number.to_string());
    }
}

async fn every_secret_that_is_missing_is_named_at_once(services: &impl Services) {
    let (_, current) = services.put_secret("errors/there", "{}").await;
    services.put_secret("errors/deleted", "{}").await;
    services.delete_secret("errors/deleted").await;
    services.put_parameter("/errors/there", "x").await;
    let asked = Asked {
        secret: vec![
            ("A", managed("errors/absent", None)),
            ("B", managed("errors/there", None)),
            ("C", staged("errors/there", Some("AWSPREVIOUS"), None)),
            ("D", staged("errors/there", None, Some(&"0".repeat(32)))),
            ("E", staged("errors/there", Some("AWSPREVIOUS"), Some(&current))),
            ("F", managed("errors/deleted", None)),
            ("G", parameter("/errors/absent", None)),
            ("H", parameter("/errors/there:2", None)),
            ("I", parameter("/errors/there", None)),
        ],
        secrets: vec![],
        secrets_as: SecretsAs::Env,
    };
    let error = fetch(&services.aws().await, asked).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Broken);
    let text = error.to_string();
    let (absent, invalid, no_parameter) =
        ("ResourceNotFoundException", "InvalidRequestException", "there is no such parameter");
    for (named, why) in [
        ("errors/absent", absent),
        ("errors/there (AWSPREVIOUS)", absent),
        (&format!("errors/there ({})", "0".repeat(32)), absent),
        ("errors/there (AWSPREVIOUS)", invalid),
        ("errors/deleted", invalid),
        ("ssm:/errors/absent, ssm:/errors/there:2", no_parameter),
    ] {
        let is_named = |error: &str| error.starts_with(&format!("{named}: ")) && error.contains(why);
        assert!(error.errors.iter().any(|error| is_named(&error.reason)), "{named}: {why} is not in {text}");
    }
    assert_eq!(error.errors.len(), 6, "{text}");
}

async fn a_key_that_is_missing_is_named_and_no_value_is_shown(services: &impl Services) {
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
    let error = fetch(&services.aws().await, asked).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Broken);
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

async fn a_pointer_gives_the_text(services: &impl Services) {
    services.put_parameter("/pointer/config", "image=a/b:1 port=8080").await;
    let (arn, _) = services.put_secret("pointer/config", "#berth\nport = 1\n").await;
    let aws = services.aws().await;
    let text = secrets::fetch_versioned(&aws, &parameter("/pointer/config", None)).await.unwrap().value;
    assert_eq!(text.expose(), b"image=a/b:1 port=8080");
    for id in ["pointer/config", &arn, arn.rsplit_once('-').unwrap().0] {
        let text = secrets::fetch_versioned(&aws, &managed(id, None)).await.unwrap().value;
        assert_eq!(text.expose(), b"#berth\nport = 1\n", "{id}");
    }
}

async fn a_template_is_filled_in_from_both_services(services: &impl Services) {
    services.put_secret("template/db", r#"{"user":"app","password":"p@ss","port":5432}"#).await;
    services.put_parameter("/template/host", "db.internal").await;
    services.put_secret("template/text", "{\"a\": 1}").await;
    let text = "postgres://${template/db#user}:${template/db#password}@${ssm:/template/host}:${template/db#port}/$${x}?${template/db#user}";
    let config =
        config(&[&format!("secret.URL={text}"), "secret.TEXT=<${template/text}>", "secret.ONE=template/db#user"]);
    let fetched = secrets::fetch(&services.aws().await, &config).await.unwrap();
    let value = |name: &str| String::from_utf8_lossy(fetched[name].expose()).into_owned();
    assert_eq!(value("URL"), "postgres://app:p@ss@db.internal:5432/${x}?app");
    assert_eq!((value("TEXT").as_str(), value("ONE").as_str()), ("<{\"a\": 1}>", "app"));
    assert_eq!((fetched["URL"].parts().len(), fetched["ONE"].parts().len()), (5, 0));
}

/// moto has the name of the secret where AWS has that of the parameter.
#[tokio::test]
async fn a_secret_is_read_as_a_parameter() {
    let world = World::start().await;
    world.secrets.put("reserved/api", r#"{"user":"old"}"#);
    world.secrets.put("reserved/api", r#"{"user":"app"}"#);
    let asked = "ssm:/aws/reference/secretsmanager/reserved/api";
    let words = [format!("secret.USER={asked}#user"), format!("secret.OLD=${{{asked}:AWSPREVIOUS#user}}")];
    let config = config(&words.each_ref().map(String::as_str));
    let fetched = secrets::fetch(&world.aws().await, &config).await.unwrap();
    assert_eq!((fetched["USER"].expose(), fetched["OLD"].expose()), (&b"app"[..], &b"old"[..]));
    assert_eq!((world.journal.count("secretsmanager"), world.journal.count("ssm")), (0, 1), "{}", world.journal.text());
}

fn config(words: &[&str]) -> Config {
    let mut layers = Layers::new();
    layers.add_words(&[&["image=a/b:1"], words].concat().iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
    layers.resolve().unwrap()
}

#[tokio::test]
async fn a_secret_that_is_used_many_times_is_fetched_once() {
    let world = world_of_two().await;
    world.parameters.put("/p", "x");
    let config = config(&["secret.A=${one}${one}${two#k}${two}${ssm:/p}${ssm:/p}", "secret.B=${one}", "secrets=two"]);
    let fetched = secrets::fetch(&world.aws().await, &config).await.unwrap();
    assert_eq!(fetched["A"].expose(), br#"11v{"k":"v"}xx"#);
    assert_eq!((world.journal.count("secretsmanager"), world.journal.count("ssm")), (1, 1), "{}", world.journal.text());
}

#[tokio::test]
async fn an_error_in_a_part_of_a_template_is_reported_with_its_place_and_without_a_value() {
    let world = World::start().await;
    world.secrets.put("prod/db", r#"{"user":"hunter2","nul":"hunter2\u0000"}"#);
    world.secrets.put_binary("prod/key", b"hunter2\xff");
    let aws = world.aws().await;
    for (words, class, expected) in [
        (
            &["secret.URL=x://${prod/db#user}:${prod/db#password}@${prod/key}", "secret.NUL=<${prod/db#nul}>"][..],
            ErrorClass::Broken,
            "secret.NUL: the value for \"NUL\" holds a NUL byte, which no environment can: use secrets_as=files; \
             secret.URL at character 21: prod/db#password: the secret has no key \"password\"; \
             secret.URL at character 41: prod/key: the value is binary, and only text can be put into a text",
        ),
        (
            &[
                "secret.URL=x://${prod/none#user}:${prod/none#password}@${prod/db#user}",
                "secret.A=ssm:/none",
                "secret.B=${ssm:/none}",
            ],
            ErrorClass::Broken,
            "prod/none (secret.URL at character 5, secret.URL at character 23): secretsmanager:GetSecretValue failed with 200 OK \
             ResourceNotFoundException: Secrets Manager can't find the specified secret.; \
             ssm:/none (secret.B at character 1): there is no such parameter, or no such version of it",
        ),
    ] {
        let error = secrets::fetch(&aws, &config(words)).await.unwrap_err();
        assert_eq!((error.class(), error.to_string().as_str()), (class, expected));
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

fn two(secrets_as: SecretsAs) -> Asked {
    Asked {
        secret: vec![("A", managed("one", None)), ("B", managed("two", None)), ("C", managed("two", Some("k")))],
        secrets: vec![],
        secrets_as,
    }
}

/// A world with what [`two`] asks for.
async fn world_of_two() -> World {
    let world = World::start().await;
    world.secrets.put("one", "1");
    world.secrets.put("two", r#"{"k":"v"}"#);
    world
}

#[tokio::test]
async fn two_secrets_cost_one_call() {
    let world = world_of_two().await;
    let fetched = fetch(&world.aws().await, two(SecretsAs::Env)).await.unwrap();
    assert_eq!(fetched, map(&[("A", "1"), ("B", r#"{"k":"v"}"#), ("C", "v")]));
    assert_eq!(world.journal.count("secretsmanager"), 1);
}

#[tokio::test]
async fn a_role_that_may_not_batch_asks_one_by_one() {
    let world = world_of_two().await;
    world.fault("secretsmanager BatchGetSecretValue", Fault::AccessDenied).always();
    assert_eq!(fetch(&world.aws().await, two(SecretsAs::Env)).await.unwrap()["C"], "v");
    world.journal.in_order(&["secretsmanager BatchGetSecretValue 400", "secretsmanager GetSecretValue 200"]);
    assert_eq!(world.journal.count("secretsmanager GetSecretValue 200"), 2);
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
async fn an_error_inside_a_good_answer_is_reported_by_name_and_keeps_its_class() {
    let world = world_of_two().await;
    world.secrets.deny("one");
    let error = fetch(&world.aws().await, two(SecretsAs::Env)).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Denied);
    let text = error.to_string();
    assert!(text.starts_with("one: secretsmanager:GetSecretValue is not allowed (AccessDeniedException): "), "{text}");
    assert_eq!((error.errors.len(), world.journal.count("BatchGetSecretValue 200")), (1, 1), "{text}");
}

#[tokio::test]
async fn a_call_that_fails_for_many_is_reported_once() {
    let world = world_of_two().await;
    world.fault("secretsmanager", Fault::Throttle);
    let error = fetch(&world.aws().await, two(SecretsAs::Env)).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Throttled);
    assert_eq!(
        error.to_string(),
        "one, two: secretsmanager:BatchGetSecretValue failed with 400 Bad Request ThrottlingException: Rate exceeded"
    );
}

#[tokio::test]
async fn a_parameter_that_may_not_be_read_takes_its_call_along() {
    let world = World::start().await;
    for name in ["/open", "/closed"] {
        world.parameters.put(name, "x");
    }
    world.parameters.deny("/closed");
    let named = vec![("A", parameter("/open", None)), ("B", parameter("/closed", None))];
    let asked = Asked { secret: named, secrets: vec![], secrets_as: SecretsAs::Env };
    let error = fetch(&world.aws().await, asked).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Denied);
    let text = error.to_string();
    assert!(text.starts_with("ssm:/closed, ssm:/open: ssm:GetParameters is not allowed"), "{text}");
}

#[tokio::test]
async fn more_than_a_process_can_be_given_is_refused_with_the_sum_and_the_limit() {
    let world = World::start().await;
    let mut words = vec!["image=a/b:1".to_owned(), "env.LOG=info".to_owned()];
    for number in 0..40 {
        world.secrets.put(&format!("big/s{number}"), &"hunter2 ".repeat(8192));
        words.push(format!("secret.S{number:02}=big/s{number}"));
    }
    let aws = world.aws().await;
    let fetch = async |more: &[&str]| {
        let mut layers = Layers::new();
        layers.add_words(&[&words[..], &more.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()[..]].concat());
        secrets::fetch(&aws, &layers.resolve().unwrap()).await
    };
    let error = fetch(&[]).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Misconfigured);
    assert_eq!(
        error.to_string(),
        "secrets_as=env: 40 secrets and 1 env.* take 2621977 bytes of the environment, and a process can be given 1966080: use \
         secrets_as=files, or fewer or shorter secrets"
    );
    assert_eq!(fetch(&["secrets_as=files"]).await.unwrap().len(), 40);
    assert_eq!(fetch(&["ulimits=stack=67108864"]).await.unwrap().len(), 40);
}

/// A Secrets Manager and a Parameter Store that answer every question with this one secret and parameter.
async fn always(secret: &'static str, parameter: &'static str) -> Server {
    Server::start(move |seen| match seen.headers["x-amz-target"].rsplit('.').next() {
        Some("BatchGetSecretValue") => answer(200, format!(r#"{{"SecretValues":[{{{secret}}}]}}"#)),
        Some("GetSecretValue") => answer(200, format!("{{{secret}}}")),
        _ => answer(200, format!(r#"{{"Parameters":[{{{parameter}}}]}}"#)),
    })
    .await
}

#[tokio::test]
async fn a_value_of_another_secret_is_refused() {
    const ARN: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret";
    let version = |stage: Option<&str>, id: Option<&str>| staged("prod/api", stage, id);
    let (full, partial) = (format!("{ARN}:prod/api-AbCdEf"), format!("{ARN}:prod/api"));
    for (asked, answered) in [
        (managed("prod/api", None), r#""ARN":"arn:x:secret:prod/other-AbCdEf","Name":"prod/other""#),
        (managed("prod/api", None), r#""ARN":"arn:x:secret:prod/api2-AbCdEf","Name":"prod/api2""#),
        (managed("prod/api", None), r#""ARN":"prod/api-AbCdEf","Name":"prod/other""#),
        (managed("prod/api", None), ""),
        (
            managed(&full, None),
            r#""ARN":"arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/api-ghijkl","Name":"prod/api""#,
        ),
        (
            managed(&full, None),
            r#""ARN":"arn:aws:secretsmanager:eu-west-1:210987654321:secret:prod/api-AbCdEf","Name":"prod/api""#,
        ),
        (
            managed(&partial, None),
            r#""ARN":"arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/api/v2-AbCdEf","Name":"prod/api/v2""#,
        ),
        (
            managed(&partial, None),
            r#""ARN":"arn:aws:secretsmanager:us-east-2:123456789012:secret:prod/api-AbCdEf","Name":"prod/api""#,
        ),
        (version(None, None), r#""Name":"prod/api","VersionStages":["AWSPREVIOUS"]"#),
        (version(Some("AWSPREVIOUS"), None), r#""Name":"prod/api","VersionStages":["AWSCURRENT"]"#),
        (version(None, Some("v1")), r#""Name":"prod/api","VersionId":"v2","VersionStages":["AWSCURRENT"]"#),
        (parameter("/prod/api", None), r#""Name":"/prod/other","Version":1"#),
        (parameter("/prod/api", None), r#""Name":"/prod/ap","Version":1"#),
        (parameter("/prod/api:3", None), r#""Name":"/prod/api","Version":4,"Selector":":4""#),
        (parameter("/prod/api:3", None), r#""Name":"/prod/api","Version":4,"Selector":":3""#),
        (parameter("/prod/api:live", None), r#""Name":"/prod/api","Version":4,"Selector":":dead""#),
        (parameter("/prod/api:live", None), r#""Name":"/prod/api","Version":4"#),
        (
            parameter("arn:aws:ssm:eu-west-1:123456789012:parameter/k", None),
            r#""ARN":"arn:aws:ssm:eu-west-1:210987654321:parameter/k","Name":"/k","Version":1"#,
        ),
    ] {
        let comma = if answered.is_empty() { "" } else { "," };
        let secret = format!(r#"{answered}{comma}"SecretString":"hunter2""#).leak();
        let parameter_value = format!(r#"{answered}{comma}"Value":"hunter2""#).leak();
        let server = always(secret, parameter_value).await;
        let aws = client_of(&server.base);
        let alone = secrets::fetch_one(&aws, &asked).await.unwrap_err();
        let besides = vec![("A", asked.clone()), ("B", managed("other", None)), ("C", parameter("/other", None))];
        let together = fetch(&aws, Asked { secret: besides, secrets: vec![], secrets_as: SecretsAs::Env }).await;
        for error in [alone, together.unwrap_err()] {
            assert_eq!(error.class(), ErrorClass::Transient, "{asked} by {answered}: {error}");
            assert!(error.to_string().contains(asked.to_string().trim_start_matches("ssm:")), "{asked}: {error}");
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }
}

#[tokio::test]
async fn a_byte_order_mark_in_front_of_json_is_ignored_and_stays_in_a_whole_value() {
    let world = World::start().await;
    world.secrets.put("bom/api", "\u{feff}{\"A\":\"1\"}");
    world.parameters.put("/bom/key", "\u{feff}{\"B\":\"2\"}");
    world.secrets.put("bom/deep", r#"{"D":"\ufeff{\"C\":\"3\"}"}"#);
    world.secrets.put("bom/config", "\u{feff}berth image=a/b:1 port=8080");
    let utf16: Vec<u8> = "\u{feff}{\"A\":\"1\"}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    world.secrets.put_binary("bom/utf16", &utf16);
    let aws = world.aws().await;
    let asked = Asked {
        secret: vec![("WHOLE", managed("bom/api", None)), ("KEY", managed("bom/api", Some("A")))],
        secrets: vec![managed("bom/api", None), parameter("/bom/key", None), managed("bom/deep", Some("D"))],
        secrets_as: SecretsAs::Env,
    };
    let whole = "\u{feff}{\"A\":\"1\"}";
    assert_eq!(
        fetch(&aws, asked).await.unwrap(),
        map(&[("A", "1"), ("B", "2"), ("C", "3"), ("KEY", "1"), ("WHOLE", whole)])
    );

    let error = secrets::fetch_one(&aws, &managed("bom/utf16", Some("A"))).await.unwrap_err();
    assert_eq!(error.to_string(), "bom/utf16#A: the secret is not a JSON object, it is UTF-16: store it as UTF-8");

    let text = secrets::fetch_versioned(&aws, &managed("bom/config", None)).await.unwrap().value;
    let mut layers = Layers::new();
    layers.add_words(&["config=secretsmanager:bom/config".to_owned()]);
    let pointer = layers.pointer().unwrap();
    layers.add_pointed(&pointer, text.expose());
    assert_eq!(layers.resolve().unwrap().image.to_string(), "docker.io/a/b:1");
}

#[tokio::test]
async fn an_answer_that_is_no_json_is_not_quoted() {
    let server = Server::start(|_| answer(200, r#"{"Name":"x","SecretString":{"hunter2":"hunter2"}}"#)).await;
    let error = secrets::fetch_one(&client_of(&server.base), &managed("one", None)).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    assert_eq!(error.class(), ErrorClass::Transient);
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
        ("A".to_owned(), parameter(ARN, None).into()),
        ("B".to_owned(), parameter(&format!("{ARN}:live"), None).into()),
    ]);
    let found = secrets::fetch_named(&client_of(&server.base), &[], &named, SecretsAs::Env).await.unwrap();
    assert_eq!((found["A"].expose(), found["B"].expose()), (&b"current"[..], &b"labelled"[..]));
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    assert!(seen[0].headers["authorization"].contains("/eu-west-1/ssm/"));
}
