//! Logins for registries.

use berth::io::aws::ecr;
use berth_config::{RegistryAuth, SecretRef};
use berth_core::message::error::ErrorClass;
use berth_kit::World;

use crate::moto::client_of;
use crate::server::{Server, answer};
use crate::services::{Services, on_moto_and_kit};

const HOST: &str = "123456789012.dkr.ecr.us-east-2.amazonaws.com";

on_moto_and_kit!(the_account_s_registry_gives_a_login, another_registry_s_login_comes_from_a_secret);

async fn the_account_s_registry_gives_a_login(services: &impl Services) {
    let login = ecr::login(&services.aws().await, HOST).await.unwrap();
    assert_eq!(login.username, "AWS");
    assert_eq!(login.password.expose(), services.registry_password().as_bytes());
}

async fn another_registry_s_login_comes_from_a_secret(services: &impl Services) {
    services.put_secret("registry/login", "\u{feff}{\"username\":\"robot\",\"password\":\"pw\"}").await;
    services.put_parameter("/registry/login", r#"{"username":"robot","pass":"hunter2"}"#).await;
    let aws = services.aws().await;
    let good =
        SecretRef::Managed { id: "registry/login".into(), json_key: None, version_stage: None, version_id: None };
    let login = ecr::from_secret(&aws, &good).await.unwrap();
    assert_eq!((login.username.as_str(), login.password.expose()), ("robot", &b"pw"[..]));
    let bad = SecretRef::Parameter { name: "/registry/login".into(), json_key: None };
    let error = ecr::from_secret(&aws, &bad).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Broken);
    assert_eq!(error.to_string(), "registry_auth: ssm:/registry/login must hold {\"username\":…,\"password\":…}");
}

#[tokio::test]
async fn the_token_is_asked_for_in_the_registry_s_own_region() {
    let world = World::start().await;
    let aws = world.aws().await;
    let elsewhere = HOST.replace("us-east-2", "eu-west-1");
    assert_eq!(ecr::login(&aws, &elsewhere).await.unwrap_err().class(), ErrorClass::Denied, "no such region yet");
    world.aws.also_in("eu-west-1");
    ecr::login(&aws, &elsewhere).await.unwrap();
    ecr::login(&aws, "registry.example.com").await.unwrap();
    world.journal.in_order(&[
        "ecr GetAuthorizationToken eu-west-1 400",
        "ecr GetAuthorizationToken eu-west-1 200",
        "ecr GetAuthorizationToken us-east-2 200",
    ]);
}

#[tokio::test]
async fn the_public_registry_needs_no_login() {
    assert!(
        ecr::log_in(&client_of("http://127.0.0.1:1"), "public.ecr.aws", &RegistryAuth::Auto).await.unwrap().is_none()
    );
}

#[tokio::test]
async fn a_host_that_only_looks_like_a_registry_of_ecr_gets_no_token() {
    let world = World::start().await;
    let aws = world.aws().await;
    for host in [
        "123456789012.dkr.ecr.us-east-2.evil.example",
        "123456789012.dkr.ecr.us-east-2.amazonaws.com.evil.example",
        "123456789012.dkr-ecr.us-east-2.on.aws.evil.example",
    ] {
        assert!(ecr::log_in(&aws, host, &RegistryAuth::Auto).await.unwrap().is_none(), "{host}");
    }
    assert_eq!(world.journal.count("ecr"), 0);
    assert!(ecr::log_in(&aws, HOST, &RegistryAuth::Auto).await.unwrap().is_some());
}

#[tokio::test]
async fn a_password_may_hold_a_colon_and_a_token_of_another_form_is_not_quoted() {
    let gives = |token: &'static str| {
        move |_: &_| answer(200, format!(r#"{{"authorizationData":[{{"authorizationToken":"{token}"}}]}}"#))
    };
    let server = Server::start(gives("QVdTOnBhc3M6d29yZA==")).await; // AWS:pass:word
    let login = ecr::login(&client_of(&server.base), HOST).await.unwrap();
    assert_eq!((login.username.as_str(), login.password.expose()), ("AWS", &b"pass:word"[..]));
    let server = Server::start(gives("aHVudGVyMg==")).await; // hunter2
    let error = ecr::login(&client_of(&server.base), HOST).await.unwrap_err();
    assert_eq!(error.to_string(), "ecr:GetAuthorizationToken returned no token of the form AWS:password");
}
