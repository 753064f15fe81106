//! A secret that is not there, not as it must be, or not for us.

use berth_kit::World;

use super::{container, fails, gives_up};

const VALUE: &str = "a value that nobody prints";

/// A boot that needs these keys.
async fn without(keys: &str, words: &[&str]) {
    let world = World::start().await;
    let image = world.app_image().by_tag();
    world.secrets.put("prod/api", &format!(r#"{{"PASSWORD":"{VALUE}"}}"#));
    world.secrets.put_binary("prod/binary", b"\x00\xffa value that nobody prints");
    world.secrets.put("prod/denied", "{}");
    world.secrets.deny("prod/denied");
    let agent = fails(&world, &format!("berth image={image} port=0:8080 {keys}")).await;
    gives_up(&world, &agent, 3, words).await;
    assert!(!agent.log_text().contains(VALUE) && !world.console_text().contains(VALUE), "{}", agent.log_text());
    assert_ne!(container(&world.engine, &world).await, "running");
}

#[tokio::test]
async fn a_secret_that_is_missing_is_named() {
    let manager = ["prod/none: ", "ResourceNotFoundException", "can't find the specified secret"];
    let store = ["ssm:/prod/none: there is no such parameter"];
    tokio::join!(without("secrets=prod/none", &manager), without("secret.KEY=ssm:/prod/none", &store));
}

#[tokio::test]
async fn a_key_that_the_secret_does_not_have_is_named() {
    without("secret.KEY=prod/api#NOPE", &["prod/api#NOPE: the secret has no key \"NOPE\""]).await;
}

#[tokio::test]
async fn a_binary_secret_is_no_text() {
    let object = ["prod/binary: the secret is not a JSON object"];
    let variable = ["prod/binary: ", "\"KEY\" holds a NUL byte", "use secrets_as=files"];
    let login = ["registry_auth: prod/binary must hold {\"username\":…,\"password\":…}"];
    tokio::join!(
        without("secrets=prod/binary", &object),
        without("secret.KEY=prod/binary", &variable),
        without("registry_auth=prod/binary", &login)
    );
}

#[tokio::test]
async fn secrets_that_no_process_can_be_given_are_refused_with_their_sum() {
    let world = World::start().await;
    let image = world.app_image().by_tag();
    let mut named = Vec::new();
    for number in 0..40 {
        world.secrets.put(&format!("big/s{number}"), &"x".repeat(64 * 1024));
        named.push(format!("secret.S{number:02}=big/s{number}"));
    }
    let agent = fails(&world, &format!("berth image={image} port=0:8080 {}", named.join(" "))).await;
    let words = ["40 secrets and 0 env.* take 2621960 bytes", "a process can be given 1966080", "use secrets_as=files"];
    gives_up(&world, &agent, 3, &words).await;
    assert_ne!(container(&world.engine, &world).await, "running");
}

#[tokio::test]
async fn a_secret_that_is_denied_names_the_action_that_is_missing() {
    let words = ["prod/denied: secretsmanager:GetSecretValue is not allowed", "AccessDeniedException"];
    without("secrets=prod/denied", &words).await;
}
