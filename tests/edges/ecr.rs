//! Logins for registries.

use berth::config::SecretRef;
use berth::edge::ecr;
use berth::fault::Class;

use crate::server::{Server, answer};
use crate::services::{Moto, Services, client_of};

const HOST: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";

#[tokio::test]
async fn moto_gives_a_login() {
    let login = ecr::login(&Moto.aws(), HOST).await.unwrap().unwrap();
    assert_eq!(login.username, "AWS");
    assert_eq!(login.password.expose(), b"123456789012-auth-token");
}

#[tokio::test]
async fn the_token_is_asked_for_in_the_registrys_own_region() {
    // AWS:pass:word
    let server =
        Server::start(|_| answer(200, r#"{"authorizationData":[{"authorizationToken":"QVdTOnBhc3M6d29yZA=="}]}"#))
            .await;
    let aws = client_of(&server.base);
    let login = ecr::login(&aws, HOST).await.unwrap().unwrap();
    assert_eq!((login.username.as_str(), login.password.expose()), ("AWS", &b"pass:word"[..]));
    ecr::login(&aws, "registry.example.com").await.unwrap();
    let scopes: Vec<_> = server.seen().iter().map(|seen| seen.headers["authorization"].clone()).collect();
    assert!(scopes[0].contains("/eu-west-1/ecr/"), "{}", scopes[0]);
    assert!(scopes[1].contains("/us-east-2/ecr/"), "{}", scopes[1]);
    assert_eq!(server.seen()[0].headers["x-amz-target"], "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken");
}

#[tokio::test]
async fn the_public_registry_needs_no_login() {
    assert!(ecr::login(&client_of("http://127.0.0.1:1"), "public.ecr.aws").await.unwrap().is_none());
}

#[tokio::test]
async fn a_token_of_another_form_is_not_quoted() {
    let server =
        Server::start(|_| answer(200, r#"{"authorizationData":[{"authorizationToken":"aHVudGVyMg=="}]}"#)).await;
    let error = ecr::login(&client_of(&server.base), HOST).await.unwrap_err();
    assert_eq!(error.to_string(), "ecr:GetAuthorizationToken told no token of the form AWS:password");
}

#[tokio::test]
async fn another_registrys_login_comes_from_a_secret() {
    Moto.put_secret("registry/login", r#"{"username":"robot","password":"pw"}"#).await;
    Moto.put_parameter("/registry/login", r#"{"username":"robot","pass":"hunter2"}"#).await;
    let good =
        SecretRef::Managed { id: "registry/login".into(), json_key: None, version_stage: None, version_id: None };
    let login = ecr::from_secret(&Moto.aws(), &good).await.unwrap();
    assert_eq!((login.username.as_str(), login.password.expose()), ("robot", &b"pw"[..]));
    let bad = SecretRef::Parameter { name: "/registry/login".into(), json_key: None };
    let error = ecr::from_secret(&Moto.aws(), &bad).await.unwrap_err();
    assert_eq!(error.class(), Class::Broken);
    assert_eq!(error.to_string(), "registry_auth: ssm:/registry/login must hold {\"username\":…,\"password\":…}");
}
