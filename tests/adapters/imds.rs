//! The instance metadata service, as it answers and as it fails.

use std::collections::BTreeMap;

use berth::io::aws::imds::Imds;
use berth::io::http::Http;
use berth_core::message::error::ErrorClass;
use berth_core::message::identity::TargetState;
use berth_kit::World;
use bytes::Bytes;
use http::Response;
use http_body_util::Full;

use crate::kit::imds_of;
use crate::server::{Reply, Seen, Server, answer};

const DOCUMENT: &str = r#"{"accountId":"123456789012","architecture":"x86_64","availabilityZone":"us-east-2a","billingProducts":null,
    "imageId":"ami-1","instanceId":"i-0123456789abcdef0","instanceType":"t3.micro","privateIp":"10.0.0.1","region":"us-east-2"}"#;
const CREDENTIALS: &str = r#"{"Code":"Success","LastUpdated":"2026-01-01T00:00:00Z","Type":"AWS-HMAC","AccessKeyId":"ASIA",
    "SecretAccessKey":"hunter2","Token":"tok","Expiration":"2026-01-01T06:00:00Z"}"#;
const PAGE_404: &str =
    "<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>\n<html><body><h1>404 - Not Found</h1></body></html>";

fn token(value: impl ToString, ttl: &str) -> Reply {
    let answer = Response::builder().header("x-aws-ec2-metadata-token-ttl-seconds", ttl);
    Reply::Answer(answer.body(Full::new(Bytes::from(value.to_string()))).unwrap())
}

/// A service that has these items, below the version that is asked for, for a request with a token.
fn items(items: &[(&'static str, &'static str)]) -> impl Fn(&Seen) -> Reply + use<> {
    let items: BTreeMap<_, _> = items.iter().copied().collect();
    move |seen| {
        if seen.method == "PUT" && seen.path == "/latest/api/token" {
            assert_eq!(seen.headers["x-aws-ec2-metadata-token-ttl-seconds"], "21600");
            return token("t0ken", "21600");
        }
        if seen.headers.get("x-aws-ec2-metadata-token").map(String::as_str) != Some("t0ken") {
            return answer(401, "<?xml?>unauthorized");
        }
        match items.get(seen.path.trim_start_matches("/2021-07-15/")) {
            Some(body) => answer(200, *body),
            None => answer(404, PAGE_404),
        }
    }
}

fn everything() -> Vec<(&'static str, &'static str)> {
    vec![
        ("dynamic/instance-identity/document", DOCUMENT),
        ("meta-data/autoscaling/target-lifecycle-state", "InService"),
        ("meta-data/iam/security-credentials/", "app-role"),
        ("meta-data/iam/security-credentials/app-role", CREDENTIALS),
    ]
}

fn with(item: &'static str, body: &'static str) -> Vec<(&'static str, &'static str)> {
    let mut all = everything();
    all.push((item, body));
    all
}

fn imds(server: &Server) -> Imds {
    Imds::at(&server.base.parse().unwrap(), Http::default())
}

#[tokio::test]
async fn the_identity_costs_one_token_and_two_questions() {
    let world = World::start().await;
    let imds = imds_of(&world);
    let identity = imds.identity().await.unwrap();
    assert_eq!(identity.instance_id, world.instance_id);
    assert_eq!((identity.region.as_str(), identity.availability_zone.as_str()), ("us-east-2", "us-east-2a"));
    assert_eq!(identity.account, "123456789012");
    assert_eq!(identity.target_state, Some(TargetState::InService));
    world.journal.in_order(&["imds PUT token 200", "imds GET 200", "imds GET 200"]);
    assert_eq!(world.journal.entries().len(), 3);
    imds.identity().await.unwrap();
    assert_eq!(world.journal.entries().len(), 5);
    assert_eq!((world.journal.count("services/"), imds.schema()), (0, "2021-07-15"));
}

#[tokio::test]
async fn what_is_not_there_is_an_answer_only_where_it_may_be_absent() {
    let world = World::builder().no_group().start().await;
    let imds = imds_of(&world);
    assert_eq!(imds.user_data().await.unwrap(), None);
    assert_eq!(imds.target_lifecycle_state().await.unwrap(), None);
    assert_eq!(imds.identity().await.unwrap().target_state, None);
    world.imds.remove("dynamic/instance-identity/document");
    let error = imds.identity().await.unwrap_err();
    assert_eq!(error.to_string(), "IMDS has no dynamic/instance-identity/document");
    assert_eq!(error.class(), ErrorClass::Broken);
}

#[tokio::test]
async fn every_item_is_asked_for_in_one_version_and_the_token_in_the_latest() {
    let server = Server::start(items(&everything())).await;
    let imds = imds(&server);
    imds.identity().await.unwrap();
    imds.user_data().await.unwrap();
    imds.group().await.unwrap();
    imds.credentials().await.unwrap();
    imds.snapshot().await.unwrap();
    let (tokens, others): (Vec<_>, Vec<_>) =
        server.asked().into_iter().partition(|asked| asked == "PUT /latest/api/token");
    assert_eq!((tokens.len(), others.len()), (1, 10));
    assert!(others.iter().all(|asked| asked.starts_with("GET /2021-07-15/")), "{others:?}");
}

#[tokio::test]
async fn a_service_that_knows_only_latest_is_asked_for_that_afterwards() {
    let world = World::start().await;
    world.user_data("data");
    world.imds.know_latest_only();
    let imds = imds_of(&world);
    let identity = imds.identity().await.unwrap();
    assert_eq!((identity.instance_id.as_str(), imds.schema()), (world.instance_id.as_str(), "latest"));
    assert_eq!(identity.target_state, Some(TargetState::InService), "which was a 404 at first");
    assert_eq!(world.journal.entries().len(), 5, "a token, two items, and both again");
    assert_eq!(imds.user_data().await.unwrap().unwrap(), "data");
    imds.identity().await.unwrap();
    assert_eq!(world.journal.entries().len(), 8);
}

#[tokio::test]
async fn a_document_that_is_missing_in_every_version_changes_nothing() {
    let world = World::start().await;
    world.imds.remove("dynamic/instance-identity/document");
    let imds = imds_of(&world);
    for _ in 0..2 {
        let error = imds.identity().await.unwrap_err();
        assert_eq!(error.to_string(), "IMDS has no dynamic/instance-identity/document");
        assert_eq!(imds.schema(), "2021-07-15");
    }
}

#[tokio::test]
async fn user_data_comes_as_bytes() {
    let world = World::start().await;
    let gzip = b"\x1f\x8b\x08\x00\xff\xfe\n";
    world.imds.user_data(gzip);
    assert_eq!(imds_of(&world).user_data().await.unwrap().unwrap(), &gzip[..]);
}

#[tokio::test]
async fn a_target_state_is_read_each_time() {
    let world = World::start().await;
    let imds = imds_of(&world);
    world.autoscaling.terminate();
    assert_eq!(imds.target_lifecycle_state().await.unwrap(), Some(TargetState::Terminated));
    world.imds.target_state(Some("Warmed:Stopped"));
    assert_eq!(imds.target_lifecycle_state().await.unwrap(), Some(TargetState::WarmedStopped));
}

#[tokio::test]
async fn the_group_is_named_where_tags_are_in_the_metadata() {
    let world = World::start().await;
    let imds = imds_of(&world);
    assert_eq!(imds.group().await.unwrap(), None, "they are off by default");
    world.autoscaling.show_in_tags();
    assert_eq!(imds.group().await.unwrap().as_deref(), Some(world.autoscaling.group()));
    for odd in ["", "two\nlines"] {
        world.imds.tag("aws:autoscaling:groupName", odd);
        assert_eq!(imds.group().await.unwrap_err().class(), ErrorClass::Transient, "{odd:?}");
    }
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let world = World::start().await;
    world.user_data("data");
    let imds = imds_of(&world);
    imds.user_data().await.unwrap();
    world.imds.expire_tokens();
    assert_eq!(imds.user_data().await.unwrap().unwrap(), "data");
    imds.user_data().await.unwrap();
    let (put, get) = ("imds PUT token 200", "imds GET user-data 200");
    world.journal.in_order(&[put, get, "imds GET user-data 401", put, get, get]);
    assert_eq!(world.journal.entries().len(), 6);
}

#[tokio::test]
async fn a_token_that_is_always_refused_ends_the_question() {
    let server = Server::start(|seen| if seen.method == "PUT" { token("t", "60") } else { answer(401, "") }).await;
    let error = imds(&server).user_data().await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Transient);
    assert_eq!(server.asked().len(), 4);
}

#[tokio::test]
async fn a_token_is_renewed_before_it_expires() {
    let server = Server::start(|seen| if seen.method == "PUT" { token("t", "0") } else { answer(200, "x") }).await;
    let imds = imds(&server);
    imds.user_data().await.unwrap();
    imds.user_data().await.unwrap();
    assert_eq!(server.asked().iter().filter(|asked| asked.starts_with("PUT")).count(), 2);
}

#[tokio::test]
async fn every_status_has_its_class() {
    for (status, class) in [
        (400, ErrorClass::Broken),
        (403, ErrorClass::Misconfigured),
        (429, ErrorClass::Transient),
        (500, ErrorClass::Transient),
        (503, ErrorClass::Transient),
        (302, ErrorClass::Transient),
    ] {
        for on_token in [true, false] {
            let server = Server::start(move |seen| match (seen.method == "PUT", on_token) {
                (true, false) => token("t", "60"),
                _ => answer(status, PAGE_404),
            })
            .await;
            let error = imds(&server).target_lifecycle_state().await.unwrap_err();
            assert_eq!(error.class(), class, "{status}: {error}");
            assert_eq!(status == 403, error.to_string().contains("HttpTokens"), "{error}");
        }
    }
}

#[tokio::test]
async fn an_error_page_is_never_a_value() {
    for body in [PAGE_404, "  <HTML><body>busy</body></HTML>", "<!DOCTYPE html>"] {
        let server = Server::start(items(&with("user-data", body))).await;
        let error = imds(&server).user_data().await.unwrap_err();
        assert_eq!(error.to_string(), "IMDS request for user-data returned an error page");
        assert_eq!(error.class(), ErrorClass::Transient);
    }
    let server = Server::start(|seen| {
        if seen.method == "PUT" {
            return token("t", "60");
        }
        let page = Response::builder().header("content-type", "application/xhtml+xml");
        Reply::Answer(page.body(Full::new(Bytes::from("InService"))).unwrap())
    })
    .await;
    imds(&server).target_lifecycle_state().await.unwrap_err();
    let server = Server::start(|_| answer(200, PAGE_404)).await;
    let error = imds(&server).user_data().await.unwrap_err();
    assert_eq!(error.to_string(), "IMDS request for a token returned an error page");
}

#[tokio::test]
async fn values_that_cannot_be_are_refused() {
    for (item, body, what) in [
        ("dynamic/instance-identity/document", "{}", "no identity document"),
        (
            "dynamic/instance-identity/document",
            leak(DOCUMENT.replace("i-0123456789abcdef0", "i-xyz")),
            "no instance id",
        ),
        ("dynamic/instance-identity/document", leak(DOCUMENT.replace("\"us-east-2\"", "\"us east\"")), "no region"),
        ("dynamic/instance-identity/document", leak(DOCUMENT.replace("us-east-2a", "")), "no availability zone"),
        ("dynamic/instance-identity/document", leak(DOCUMENT.replace("123456789012", "12345678901")), "no account id"),
        ("meta-data/autoscaling/target-lifecycle-state", "In Service", "no lifecycle state"),
    ] {
        let server = Server::start(items(&with(item, body))).await;
        let error = imds(&server).identity().await.unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    }
}

fn leak(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

#[tokio::test]
async fn the_role_s_credentials_are_read_and_not_printed() {
    let world = World::start().await;
    let credentials = imds_of(&world).credentials().await.unwrap();
    assert!(credentials.access_key_id().starts_with("ASIA") && credentials.expiry().is_some());
    let secrets = [credentials.secret_access_key(), credentials.session_token().unwrap()];
    assert_eq!(secrets.map(str::to_owned).to_vec(), world.credential_values());
    assert!(!secrets.iter().any(|value| format!("{credentials:?}").contains(value)));
}

#[tokio::test]
async fn an_instance_without_a_usable_role_says_what_to_do() {
    let failed = r#"{"Code":"AssumeRoleUnauthorizedAccess","Message":"no","LastUpdated":"2026-01-01T00:00:00Z"}"#;
    for (items_of, text) in [
        (vec![], "attach an instance profile"),
        (
            with("meta-data/iam/security-credentials/app-role", failed),
            "role app-role answers AssumeRoleUnauthorizedAccess: attach",
        ),
    ] {
        let server = Server::start(items(&items_of)).await;
        let error = imds(&server).credentials().await.unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
        assert_eq!(error.class(), ErrorClass::Denied);
    }
}

#[tokio::test]
async fn credentials_that_cannot_be_read_are_not_quoted() {
    for body in [r#"{"SecretAccessKey":["hunter2"]}"#, r#"{"Code":"Success","SecretAccessKey":"hunter2"}"#] {
        let server = Server::start(items(&with("meta-data/iam/security-credentials/app-role", body))).await;
        let error = imds(&server).credentials().await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}

#[tokio::test]
async fn a_refused_connection_and_a_silent_service_pass() {
    let http = Http::default();
    let error = Imds::at(&"http://127.0.0.1:1".parse().unwrap(), http).user_data().await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Transient);
    let server = Server::start(|_| Reply::Hang).await;
    let error = imds(&server).user_data().await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Transient);
}

#[test]
fn the_environment_of_the_sdks_names_the_endpoint() {
    const ENDPOINT: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
    const MODE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE";
    let base = |pairs: &[(&str, &str)]| {
        let env = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string());
        Imds::from_env(&env, Http::default()).map(|imds| imds.base().to_owned())
    };
    assert_eq!(base(&[]).unwrap(), "http://169.254.169.254");
    assert_eq!(base(&[(MODE, "ipv6")]).unwrap(), "http://[fd00:ec2::254]");
    assert_eq!(base(&[(MODE, "IPv4")]).unwrap(), "http://169.254.169.254");
    assert_eq!(base(&[(MODE, "IPv6"), (ENDPOINT, "http://[::1]:1338/")]).unwrap(), "http://[::1]:1338");
    assert_eq!(base(&[(ENDPOINT, "")]).unwrap(), "http://169.254.169.254");
    let asked = |pairs: &[(&str, &str)]| {
        let env = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string());
        Imds::from_env(&env, Http::default()).unwrap().asked()
    };
    assert_eq!(asked(&[]), "http://169.254.169.254, http://[fd00:ec2::254]");
    assert_eq!(asked(&[(MODE, "IPv4")]), "http://169.254.169.254");
    for bad in [(MODE, "v6"), (ENDPOINT, "169.254.169.254"), (ENDPOINT, "http:///x"), (ENDPOINT, "not a url")] {
        assert_eq!(base(&[bad]).unwrap_err().class(), ErrorClass::Misconfigured, "{bad:?}");
    }
}
