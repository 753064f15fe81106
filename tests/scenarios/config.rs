//! One config in every form that user-data can have.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use berth_kit::World;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use crate::commands::{berth, err, out};
use crate::{BERTH, SOON};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Boots what the bytes say and gives the greeting that the app was given.
async fn greeting(world: &World, user_data: &[u8]) -> String {
    world.imds.user_data(user_data);
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    let answer = agent.app("/env/GREETING").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text()
}

async fn boots(form: impl Fn(&str) -> Vec<u8>) {
    let world = World::start().await;
    let image = world.app_image().by_tag();
    let greeted = greeting(&world, &form(&image)).await;
    let expected = greeting_digest();
    assert_eq!(greeted.trim(), expected);
}

/// The demo app shows only the digest of a variable.
fn greeting_digest() -> String {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(b"hello, world").iter().map(|byte| format!("{byte:02x}")).collect()
}

fn line(image: &str) -> String {
    format!("berth image={image} port=0:8080 health=/health env.GREETING='hello, world'")
}

fn toml(image: &str) -> String {
    format!(
        "#berth\nimage = \"{image}\"\nport = \"0:8080\"\nhealth = \"/health\"\n[env]\nGREETING = \"hello, world\"\n"
    )
}

#[tokio::test]
async fn a_line_inside_a_cloud_config() {
    boots(|image| format!("#cloud-config\n#{}\npackages: []\n", line(image)).into_bytes()).await;
}

#[tokio::test]
async fn a_toml_document_gzipped() {
    boots(|image| gzip(toml(image).as_bytes())).await;
}

#[tokio::test]
async fn a_json_object() {
    boots(|image| {
        let object =
            json!({"image": image, "port": "0:8080", "health": "/health", "env": {"GREETING": "hello, world"}});
        object.to_string().into_bytes()
    })
    .await;
}

#[tokio::test]
async fn a_mime_part_in_base64() {
    boots(|image| {
        let part = STANDARD.encode(toml(image));
        format!(
            "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=b=\"\r\n\r\n\
             --=b=\r\nContent-Type: text/x-shellscript\r\n\r\n#!/bin/sh\necho hi\r\n\
             --=b=\r\nContent-Type: text/x-berth\r\nContent-Transfer-Encoding: base64\r\n\r\n{part}\r\n--=b=--\r\n"
        )
        .into_bytes()
    })
    .await;
}

#[tokio::test]
async fn a_pointer_to_the_parameter_store_over_the_defaults_of_the_image() {
    let world = World::start().await;
    let image = world.app_image().by_tag();
    world.ami_defaults("health = \"/health\"\nport = \"0:8080\"\nimage = \"never.test/asked-for:1\"\n");
    world.parameters.put("/berth/web", &format!("berth image={image} env.GREETING=overridden"));
    let greeted = greeting(&world, b"berth config=ssm:/berth/web env.GREETING='hello, world'").await;
    assert_eq!(greeted.trim(), greeting_digest());
}

#[tokio::test]
async fn a_pointer_to_secrets_manager() {
    let world = World::start().await;
    let image = world.app_image().by_tag();
    world.secrets.put("berth/web", &toml(&image));
    let greeted = greeting(&world, b"berth config=secretsmanager:berth/web").await;
    assert_eq!(greeted.trim(), greeting_digest());
}

/// A world whose AMI asks for an older image than the user-data does.
async fn with_an_older_image_in_the_ami() -> (World, String) {
    let world = World::start().await;
    let image = world.app_image().by_tag();
    world.ami_defaults("health = \"/health\"\nport = \"0:8080\"\nimage = \"never.test/older:1\"\n");
    (world, image)
}

#[tokio::test]
async fn a_line_as_a_heredoc_indents_it_boots_its_own_image() {
    let (world, image) = with_an_older_image_in_the_ami().await;
    let user_data = format!("    #cloud-config\n    # berth image={image} env.GREETING='hello, world'\n");
    assert_eq!(greeting(&world, user_data.as_bytes()).await.trim(), greeting_digest());
}

#[tokio::test]
async fn user_data_that_is_almost_a_config_is_refused_and_the_older_image_never_runs() {
    let (world, image) = with_an_older_image_in_the_ami().await;
    for (user_data, place, mend) in [
        (STANDARD.encode(line(&image)), "user-data: ", "looks like base64 of a config: encode it once"),
        (
            format!("#cloud-config\n#{}\n#{}\n", line(&image), line(&image)),
            "user-data line 3 column 1: ",
            "is one of 2 configs",
        ),
        (format!("#cloud-config\nberth:\n  image: {image}\n"), "user-data line 2 column 1: ", "looks like YAML"),
    ] {
        world.imds.user_data(user_data.as_bytes());
        let agent = world.launch(BERTH.as_ref()).await;
        assert_eq!(agent.exit_within(SOON).await, 2, "{user_data}");
        agent.log_within(&format!("{place}{mend}"), SOON).await;
        assert_eq!(world.journal.count("never.test"), 0);
    }
    assert_eq!(world.journal.count("registry"), 0, "{}", world.journal.text());
}

#[tokio::test]
async fn user_data_of_others_is_noted_and_the_config_of_the_ami_runs() {
    for (user_data, word, sentence) in [
        (r#"{"ignition":{"version":"3.3.0"}}"#, "ignition", "for Ignition, holds no config"),
        ("#!/bin/bash\nset -e\nyum update -y\nberth wait ready\n", "script", "a script, holds no config"),
    ] {
        let world = World::start().await;
        let image = world.app_image().by_tag();
        world.ami_defaults(&format!(
            "health = \"/health\"\nport = \"0:8080\"\nimage = \"{image}\"\n[env]\nAPI_TOKEN = \"hunter2\"\n"
        ));
        world.imds.user_data(user_data.as_bytes());
        let agent = world.launch(BERTH.as_ref()).await;
        agent.ready_within(SOON).await;
        assert_eq!(agent.status().await["user_data"], word);
        let screen = out(&berth(&world, &["status"]).await);
        assert!(screen.contains(sentence), "{screen}");
        agent.log_within("UserDataIsForeign", SOON).await;
        // What is legal and unwise is in the log of the agent, too, with its place and without the value.
        agent.log_within("`env.API_TOKEN`: looks like a secret in plain text", SOON).await;
        assert!(!agent.log_text().contains("hunter2"), "{}", agent.log_text());
    }
}

#[tokio::test]
async fn check_layers_as_run_does_and_says_what_it_waits_for() {
    let (world, image) = with_an_older_image_in_the_ami().await;
    let folder = tempfile::tempdir().unwrap();
    let (ami, user_data) = (folder.path().join("ami.toml"), folder.path().join("user-data"));
    std::fs::write(&ami, "image = \"never.test/older:1\"\nport = 80\n").unwrap();
    std::fs::write(&user_data, format!("#cloud-config\n  #berth image={image} volumes=/:/host\n")).unwrap();
    let (ami, user_data) = (ami.to_str().unwrap(), user_data.to_str().unwrap());
    let checked = berth(&world, &["check", "--config", ami, user_data]).await;
    assert_eq!(checked.status.code(), Some(0), "{}", err(&checked));
    assert!(out(&checked).contains(&image) && out(&checked).contains("port       80 -> 80/tcp"), "{}", out(&checked));
    assert!(err(&checked).starts_with("berth: warning: ") && err(&checked).contains("`volumes`"), "{}", err(&checked));

    // On a terminal, which util-linux's `script` makes one of; the end of its input is a Ctrl-D.
    let command = format!("{} check", BERTH);
    let mut script = tokio::process::Command::new("script");
    script.args(["-qec", &command, "/dev/null"]).stdin(std::process::Stdio::null()).kill_on_drop(true);
    let waited = tokio::time::timeout(SOON, script.output()).await.expect("it ends with its input").unwrap();
    assert_eq!(waited.status.code(), Some(2), "{}", out(&waited));
    assert!(out(&waited).contains("reads a config from standard input"), "{}", out(&waited));
}
