//! The signed calls: whose credentials, which region, what a refusal means.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::SystemTime;

use berth::edge::aws::{Aws, AwsError, Service};
use berth::edge::http::Http;
use berth::edge::imds::Imds;
use berth::fault::Class;
use berth::identity::Identity;
use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use serde_json::{Value, json};

use crate::server::{Reply, Server, answer};
use crate::services::client_of;

async fn call(aws: &Aws) -> Result<Value, AwsError> {
    aws.json_call(Service::Ssm.operation("GetParameters"), &json!({}), None).await
}

#[tokio::test]
async fn every_refusal_has_its_class() {
    for (status, code, class) in [
        (400, "ThrottlingException", Class::Transient),
        (400, "com.amazon.coral.availability#ThrottlingException", Class::Transient),
        (400, "ExpiredTokenException", Class::Transient),
        (500, "Whatever", Class::Transient),
        (429, "", Class::Transient),
        (400, "AccessDeniedException", Class::Denied),
        (400, "UnrecognizedClientException", Class::Denied),
        (403, "InvalidSignatureException", Class::Denied),
        (403, "", Class::Denied),
        (400, "ResourceNotFoundException", Class::Broken),
        (400, "", Class::Broken),
    ] {
        let server =
            Server::start(move |_| answer(status, json!({ "__type": code, "message": "why" }).to_string())).await;
        let error = call(&client_of(&server.base)).await.unwrap_err();
        assert_eq!(error.class(), class, "{status} {code}: {error}");
        assert!(error.to_string().contains("ssm:GetParameters") && error.to_string().contains("why"), "{error}");
    }
}

#[tokio::test]
async fn a_long_message_is_cut_and_kept_in_one_line() {
    let server =
        Server::start(|_| answer(400, json!({ "__type": "X", "message": "a\n".repeat(9000) }).to_string())).await;
    let error = call(&client_of(&server.base)).await.unwrap_err().to_string();
    assert!(error.len() < 400 && !error.contains('\n'), "{error}");
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
    assert_eq!(error.class(), Class::Transient);
    assert!(
        error.to_string().contains("the clock of this host is") && error.to_string().contains("s behind"),
        "{error}"
    );
    call(&aws).await.unwrap();
}

#[tokio::test]
async fn a_refused_signature_at_the_right_time_is_denied() {
    let body = r#"{"__type":"InvalidSignatureException","message":"Signature not yet current: …"}"#;
    let server = Server::start(move |_| answer(403, body)).await; // hyper's own Date is this host's
    assert_eq!(call(&client_of(&server.base)).await.unwrap_err().class(), Class::Denied);
}

/// A metadata service and AWS on one address: credentials with that much life, `KEY1`, `KEY2`, … at each look.
async fn world(
    life: i64,
    works: Arc<AtomicBool>,
    reply: impl Fn(&str) -> Reply + Send + Sync + 'static,
) -> (Server, Aws) {
    let looks = AtomicUsize::new(0);
    #[expect(clippy::disallowed_methods, reason = "credentials expire by the clock")]
    let end = aws_smithy_types::DateTime::from_secs(aws_smithy_types::DateTime::from(SystemTime::now()).secs() + life);
    let end = end.fmt(aws_smithy_types::date_time::Format::DateTime).unwrap();
    let server = Server::start(move |seen| match seen.path.as_str() {
        "/latest/api/token" => answer(200, "t"),
        "/latest/meta-data/iam/security-credentials/" if !works.load(Ordering::SeqCst) => answer(503, ""),
        "/latest/meta-data/iam/security-credentials/" => answer(200, "role"),
        "/latest/meta-data/iam/security-credentials/role" => {
            let key = format!("KEY{}", looks.fetch_add(1, Ordering::SeqCst) + 1);
            answer(
                200,
                json!({ "Code": "Success", "AccessKeyId": key, "SecretAccessKey": "s", "Token": "t", "Expiration": end })
                    .to_string(),
            )
        }
        _ => reply(&seen.headers["authorization"]),
    })
    .await;
    let base = server.base.clone();
    let env = move |name: &str| (name == "AWS_ENDPOINT_URL_SSM").then(|| base.clone());
    let http = Http::default();
    let aws = Aws::new(http.clone(), Imds::at(&server.base.parse().unwrap(), http), &env);
    aws.locate(&Identity {
        instance_id: "i-0123456789abcdef0".into(),
        region: "ap-south-1".into(),
        availability_zone: "ap-south-1a".into(),
        account: "123456789012".into(),
        domain: "amazonaws.com".into(),
        target_state: None,
    });
    (server, aws)
}

fn keys(server: &Server) -> Vec<String> {
    let of_calls = |seen: crate::server::Seen| {
        let authorization = seen.headers.get("authorization")?;
        Some(authorization.split("Credential=").nth(1)?.split('/').next()?.to_owned())
    };
    server.seen().into_iter().filter_map(of_calls).collect()
}

#[tokio::test]
async fn the_roles_credentials_are_asked_for_once() {
    let (server, aws) = world(3600, Arc::new(true.into()), |_| answer(200, "{}")).await;
    let (one, two) = tokio::join!(call(&aws), call(&aws));
    for result in [one, two, call(&aws).await] {
        result.unwrap();
    }
    assert_eq!(keys(&server), ["KEY1", "KEY1", "KEY1"]);
    assert!(server.seen().last().unwrap().headers["authorization"].contains("/ap-south-1/ssm/"));
}

#[tokio::test]
async fn credentials_are_renewed_five_minutes_before_their_end_and_kept_if_that_fails() {
    let works = Arc::new(AtomicBool::new(true));
    let (server, aws) = world(299, works.clone(), |_| answer(200, "{}")).await;
    call(&aws).await.unwrap();
    call(&aws).await.unwrap();
    works.store(false, Ordering::SeqCst);
    call(&aws).await.unwrap();
    assert_eq!(keys(&server), ["KEY1", "KEY2", "KEY2"]);
}

#[tokio::test]
async fn credentials_that_a_service_calls_expired_are_renewed_for_the_next_attempt() {
    let (server, aws) = world(3600, Arc::new(true.into()), |authorization| {
        if authorization.contains("KEY1") {
            return answer(400, r#"{"__type":"ExpiredTokenException","message":"expired"}"#);
        }
        answer(200, "{}")
    })
    .await;
    assert_eq!(call(&aws).await.unwrap_err().class(), Class::Transient);
    call(&aws).await.unwrap();
    assert_eq!(keys(&server), ["KEY1", "KEY2"]);
}

#[tokio::test]
async fn without_credentials_or_region_the_call_says_what_to_do() {
    let (_server, aws) = world(3600, Arc::new(false.into()), |_| answer(200, "{}")).await;
    assert_eq!(call(&aws).await.unwrap_err().class(), Class::Transient);
    let imds = || Imds::at(&"http://127.0.0.1:1".parse().unwrap(), Http::default());
    let nowhere = Aws::new(Http::default(), imds(), &|_| None);
    let error = call(&nowhere).await.unwrap_err();
    assert_eq!(error.to_string(), "ssm:GetParameters has no region: set AWS_REGION");
    let half = Aws::new(Http::default(), imds(), &|name| {
        ["AWS_ACCESS_KEY_ID", "AWS_REGION"].contains(&name).then(|| "x".to_owned())
    });
    assert_eq!(call(&half).await.unwrap_err().class(), Class::Misconfigured);
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
