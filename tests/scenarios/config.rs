//! One config in every form that user-data can have.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use berth_kit::World;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

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

/// The demo app tells a variable by its digest only.
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
