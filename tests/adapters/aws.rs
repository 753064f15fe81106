//! The signed calls: whose credentials, which region, what a refusal means.

use std::time::Duration;

use aws_sdk_ssm::Client;
use berth::io::aws::autoscaling;
use berth::io::aws::imds::Imds;
use berth::io::aws::{Aws, AwsError, Service};
use berth::io::http::Http;
use berth_config::{Layers, Network};
use berth_core::message::error::ErrorClass;
use berth_kit::{Fault, World};
use bytes::Bytes;
use http::Response;
use http_body_util::Full;

use crate::moto::client_of;
use crate::server::{Reply, Server, answer};
use crate::services::Services;

async fn call(aws: &Aws) -> Result<(), AwsError> {
    let operation = Service::Ssm.operation("GetParameters");
    let sent = aws.call(operation, None, |config| Client::new(config).get_parameters().names("/none").send());
    sent.await.map(drop)
}

#[tokio::test]
async fn a_wrong_clock_is_set_right_by_the_answer() {
    let server = Server::start(|seen| {
        if seen.headers["x-amz-date"].starts_with("20310203T04") {
            return answer(200, "{}");
        }
        let body =
            r#"{"__type":"InvalidSignatureException","message":"Signature expired: 2026… is now earlier than 2031…"}"#;
        let refused = Response::builder().status(403).header("date", "Mon, 03 Feb 2031 04:05:06 GMT");
        Reply::Answer(refused.body(Full::new(Bytes::from(body))).unwrap())
    })
    .await;
    let aws = client_of(&server.base);
    let error = call(&aws).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Transient);
    assert!(
        error.to_string().contains("the clock of this host is") && error.to_string().contains("s behind"),
        "{error}"
    );
    call(&aws).await.unwrap();
}

#[tokio::test]
async fn calls_side_by_side_all_learn_of_a_wrong_clock() {
    let world = World::start().await;
    world.aws.set_clock_ahead(Duration::from_secs(600));
    world.fault("ssm", Fault::Delay(Duration::from_millis(100))).times(2);
    let aws = world.aws().await;
    for result in <[_; 2]>::from(tokio::join!(call(&aws), call(&aws))) {
        assert_eq!(result.unwrap_err().class(), ErrorClass::Transient, "signed before anybody knew");
    }
    call(&aws).await.unwrap();
}

#[tokio::test]
async fn a_refused_signature_at_the_right_time_is_denied() {
    let body = r#"{"__type":"InvalidSignatureException","message":"Signature not yet current: …"}"#;
    let server = Server::start(move |_| answer(403, body)).await; // hyper's own Date is this host's
    assert_eq!(call(&client_of(&server.base)).await.unwrap_err().class(), ErrorClass::Denied);
}

const ROLE: &str = "imds GET meta-data/iam/security-credentials/berth-instance-role 200";

#[tokio::test]
async fn the_role_s_credentials_are_asked_for_once() {
    let world = World::start().await;
    let aws = world.aws().await;
    let (one, two) = tokio::join!(call(&aws), call(&aws));
    for result in [one, two, call(&aws).await] {
        result.unwrap();
    }
    assert_eq!((world.journal.count("ssm 200"), world.journal.count(ROLE)), (3, 1));
}

#[tokio::test]
async fn credentials_are_renewed_before_their_end_and_kept_if_that_fails() {
    let world = World::start().await;
    let aws = world.aws().await;
    // The SDK's cache renews them at a random moment from six minutes before their end to one minute before it.
    world.imds.rotate_credentials(Duration::from_secs(370));
    call(&aws).await.unwrap();
    call(&aws).await.unwrap();
    assert_eq!(world.journal.count(ROLE), 1);
    world.imds.rotate_credentials(Duration::from_secs(59));
    let aws = world.aws().await;
    call(&aws).await.unwrap();
    call(&aws).await.unwrap();
    assert_eq!(world.journal.count(ROLE), 3);
    world.fault("imds", Fault::Status(503)).always();
    call(&aws).await.unwrap();
    world.journal.in_order(&["ssm 200", ROLE, "ssm 200", "imds GET 503", "ssm 200"]);
}

#[tokio::test]
async fn credentials_that_a_service_calls_expired_are_renewed_for_the_next_attempt() {
    let world = World::start().await;
    let aws = world.aws().await;
    call(&aws).await.unwrap();
    world.imds.expire_credentials();
    assert_eq!(call(&aws).await.unwrap_err().class(), ErrorClass::Transient);
    call(&aws).await.unwrap();
    world.journal.in_order(&[ROLE, "ssm 200", "ssm 400", ROLE, "ssm 200"]);
    world.imds.expire_credentials();
    let error = autoscaling::describe_instance(&aws, &world.instance_id).await.unwrap_err();
    assert_eq!((error.class(), error.code()), (ErrorClass::Transient, Some("ExpiredToken")));
    autoscaling::describe_instance(&aws, &world.instance_id).await.unwrap();
}

#[tokio::test]
async fn keys_that_aws_does_not_know_are_denied() {
    let world = World::start().await;
    let stranger = client_of(&world.aws.endpoint());
    let error = call(&stranger).await.unwrap_err();
    assert_eq!((error.class(), error.code()), (ErrorClass::Denied, Some("UnrecognizedClientException")));
    let error = autoscaling::describe_instance(&stranger, &world.instance_id).await.unwrap_err();
    assert_eq!((error.class(), error.code()), (ErrorClass::Denied, Some("InvalidClientTokenId")));
}

#[tokio::test]
async fn without_credentials_or_region_the_call_says_what_to_do() {
    let world = World::start().await;
    let aws = world.aws().await;
    world.fault("imds", Fault::Status(503)).always();
    assert_eq!(call(&aws).await.unwrap_err().class(), ErrorClass::Transient);
    let imds = || Imds::at(&"http://127.0.0.1:1".parse().unwrap(), Http::default());
    let nowhere = Aws::new(Http::default(), imds(), &|_| None);
    let error = call(&nowhere).await.unwrap_err();
    assert_eq!(error.to_string(), "ssm:GetParameters has no region: set AWS_REGION");
    let half = Aws::new(Http::default(), imds(), &|name| {
        ["AWS_ACCESS_KEY_ID", "AWS_REGION"].contains(&name).then(|| "x".to_owned())
    });
    assert_eq!(call(&half).await.unwrap_err().class(), ErrorClass::Misconfigured);
}

#[tokio::test]
async fn an_environment_that_cannot_be_sent_is_no_panic() {
    for (name, value) in [
        ("AWS_SESSION_TOKEN", "line\nbreak"),
        ("AWS_ACCESS_KEY_ID", "line\nbreak"),
        ("AWS_SECRET_ACCESS_KEY", "line\nbreak \u{1f980}"),
        ("AWS_ENDPOINT_URL", "no url"),
        ("AWS_ENDPOINT_URL", "127.0.0.1:1"),
        ("AWS_ENDPOINT_URL", "http:///"),
        ("AWS_REGION", "us east\n\u{1f980}"),
    ] {
        let env = |asked: &str| match asked {
            _ if asked == name => Some(value.to_owned()),
            "AWS_ENDPOINT_URL" => Some("http://127.0.0.1:1".to_owned()),
            "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" | "AWS_REGION" => Some("x".to_owned()),
            _ => None,
        };
        let aws = Aws::new(Http::default(), Imds::at(&"http://127.0.0.1:1".parse().unwrap(), Http::default()), &env);
        call(&aws).await.unwrap_err();
    }
}

#[tokio::test]
async fn the_keys_of_the_config_come_before_the_environment() {
    let env = |name: &str| match name {
        "AWS_REGION" => Some("us-east-2".to_owned()),
        "AWS_USE_FIPS_ENDPOINT" => Some("true".to_owned()),
        _ => None,
    };
    let imds = Imds::at(&"http://127.0.0.1:1".parse().unwrap(), Http::default());
    let aws = Aws::new(Http::default(), imds, &env);
    // An error names the key, too.
    let named = |name: &str| {
        env(name)
            .filter(|_| name != "AWS_USE_FIPS_ENDPOINT")
            .or_else(|| (name == "AWS_ENDPOINT_URL").then(|| "http://x".to_owned()))
    };
    let at = Aws::new(Http::default(), Imds::at(&"http://127.0.0.1:1".parse().unwrap(), Http::default()), &named);
    at.configure(&Network { fips: Some(true), ..Network::default() });
    let error = call(&at).await.unwrap_err();
    assert!(error.to_string().contains("`aws.fips` or AWS_USE_FIPS_ENDPOINT"), "{error}");
    assert_eq!(error.class(), ErrorClass::Misconfigured);
    for (keys, endpoint) in [
        ("", "https://ssm-fips.us-east-2.amazonaws.com"),
        ("aws.fips=false aws.dual_stack=true", "https://ssm.us-east-2.api.aws"),
        ("aws.dual_stack=true", "https://ssm-fips.us-east-2.api.aws"),
        ("", "https://ssm-fips.us-east-2.amazonaws.com"),
    ] {
        let mut layers = Layers::new();
        layers.add_user_data(format!("berth image=x:1 {keys}").as_bytes());
        aws.configure(&layers.network().unwrap());
        assert_eq!(aws.endpoint(Service::Ssm, None).await.unwrap().trim_end_matches('/'), endpoint, "{keys}");
    }
}
