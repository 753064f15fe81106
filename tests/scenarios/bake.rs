//! `berth bake` on a builder, and what becomes of it on the instances that are launched from the AMI.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use berth_kit::agent::Launch;
use berth_kit::{Image, World};

use crate::commands::{err, out};
use crate::steps::{container, until};
use crate::{BERTH, SOON};

/// Bakes where the unit `berth.service` is in this state.
async fn bake_with_unit(world: &World, unit: &str, words: &[&str]) -> Output {
    bake_as(world, world.launcher(BERTH.as_ref()), unit, words).await
}

/// The same with what else the launcher has.
pub(crate) async fn bake_as(world: &World, launcher: Launch<'_>, unit: &str, words: &[&str]) -> Output {
    let bin = world.state_dir().with_file_name("bin");
    fs::create_dir_all(&bin).unwrap();
    let systemctl = bin.join("systemctl");
    fs::write(&systemctl, format!("#!/bin/sh\necho {unit}\ntest {unit} = enabled\n")).unwrap();
    fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = tokio::process::Command::from(launcher.env("PATH", &bin).command());
    let ended = command.arg("bake").args(words).kill_on_drop(true).output();
    tokio::time::timeout(SOON, ended).await.expect("the command ends").unwrap()
}

pub(crate) async fn bake(world: &World, words: &[&str]) -> Output {
    bake_with_unit(world, "enabled", words).await
}

/// It fails with this code and says all of this.
#[track_caller]
fn refused(output: &Output, code: i32, sentences: &[&str]) {
    let text = out(output) + &err(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for sentence in sentences {
        assert!(text.contains(sentence), "{sentence:?} in\n{text}");
    }
}

#[tokio::test]
async fn what_was_baked_is_not_pulled_at_the_boot_and_anything_else_boots_as_well() {
    let world = World::builder().private_registry().start().await;
    let (baked, base) = (world.app_image(), world.push("base", &Image::scratch().layer_of_random(1000)));
    let other = world.push("v2", &Image::demo_app().env("COLOR", "blue"));
    let defaults = format!("image = \"{}\"\nregistry_auth = \"ecr\"\nlisten = \"127.0.0.1:0\"\n", baked.by_tag());
    world.ami_defaults(&defaults);
    let printed = bake(&world, &["--image", &base.by_digest()]).await;
    refused(
        &printed,
        0,
        &[
            "berth.service is enabled",
            "nothing in ",
            "none runs yet",
            &format!("{}@{}, ", baked.repository, baked.digest),
            " pulled\n",
            "\nthis host is ready to be an AMI",
        ],
    );
    assert!(
        world.engine.image(&base.by_digest()).await.is_some() && world.engine.image(&baked.by_digest()).await.is_some()
    );
    assert_eq!(fs::read_dir(world.state_dir()).unwrap().count(), 0);
    assert!(world.engine.inspect(&world.container()).await.is_none());
    let again = bake(&world, &[]).await;
    refused(&again, 0, &[&format!("{}@{} is here already", baked.repository, baked.digest)]);

    world.user_data("berth port=0:8080 health=/health");
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    assert!(!agent.log_text().contains("> PullImage"), "{}", agent.log_text());
    agent.kill9().await;

    // Nothing baked into the AMI keeps another image from booting.
    world.user_data(&format!("berth image={} port=0:8080 health=/health", other.by_tag()));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    assert_eq!(agent.status().await["digest"], other.digest);
}

#[tokio::test]
async fn a_container_of_the_instance_that_the_ami_was_made_from_is_not_adopted() {
    let (builder, instance) = (World::start().await, World::start().await);
    let image = builder.app_image();
    let line = format!("berth image={} port=0:8080 health=/health", image.by_tag());
    builder.user_data(&line);
    let agent = builder.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    let before = container(&builder).await;
    agent.kill9().await;

    // The very same config, so the same fingerprint, on another instance.
    instance.user_data(&line);
    let agent = instance.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    let after = container(&builder).await;
    assert_ne!(after["Id"], before["Id"]);
    assert_eq!(after["Config"]["Labels"]["berth.instance"], instance.instance_id);
    assert_eq!(agent.status().await["container"]["adopted"], false);
}

#[tokio::test]
async fn what_an_agent_left_on_the_builder_is_removed_or_reported() {
    let world = World::start().await;
    let image = world.app_image();
    world.user_data(&format!("berth image={} port=0:8080 health=/health", image.by_tag()));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    refused(&bake(&world, &[]).await, 3, &["FAIL  agent", "systemctl stop berth"]);
    agent.kill9().await;
    let runs = format!("{} runs, and no agent does", world.container());
    refused(&bake(&world, &[]).await, 3, &[&runs, &format!("docker rm -f {}", world.container())]);

    world.engine.call("POST", &format!("/containers/{}/kill", world.container()), None).await;
    until("stopped", async || container(&world).await["State"]["Running"] == false).await;
    refused(&bake(&world, &[]).await, 0, &[&format!("{} of an earlier life is removed", world.container())]);
    assert!(world.engine.inspect(&world.container()).await.is_none());

    // The record of the agent above is the builder's own.
    assert_eq!(fs::read_dir(world.state_dir()).unwrap().count(), 0);
    fs::write(world.state_dir().join("last-life.json"), "{}").unwrap();
    refused(&bake(&world, &[]).await, 0, &["nothing in ", "the record of an earlier life in "]);
    assert_eq!(fs::read_dir(world.state_dir()).unwrap().count(), 0);

    fs::write(world.state_dir().join("something"), "").unwrap();
    refused(&bake(&world, &[]).await, 3, &["FAIL  state", "1 files of an earlier life"]);
}

#[tokio::test]
async fn a_builder_that_is_not_ready_is_shown_what_to_do() {
    let world = World::builder().private_registry().start().await;
    let image = world.app_image();
    world.ami_defaults("registry_auth = \"ecr\"");

    let errors = ["--image \"nginx\" is not pinned", "the image behind `latest` changes"];
    refused(&bake(&world, &["--image", "nginx", "--image", "nginx:latest"]).await, 2, &errors);
    assert_eq!(world.journal.entries().len(), 0, "{}", world.journal.text());

    let missing = image.by_tag().replace(":v1", ":v2");
    refused(&bake(&world, &["--image", &missing]).await, 3, &["FAIL  image", "push the image"]);
    let disabled = bake_with_unit(&world, "disabled", &[]).await;
    refused(&disabled, 3, &["berth.service is disabled", "systemctl enable berth"]);
    let masked = bake_with_unit(&world, "masked", &[]).await;
    refused(&masked, 3, &["berth-drain.service is masked", "systemctl unmask berth-drain"]);

    world.iam.enforce(&serde_json::json!({ "Version": "2012-10-17", "Statement": [] }));
    let denied = ["FAIL  login", "ecr:GetAuthorizationToken", "\"BerthRegistryLogin\""];
    refused(&bake(&world, &["--image", &image.by_tag()]).await, 3, &denied);

    let launcher = world.launcher(BERTH.as_ref()).env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let mut command = tokio::process::Command::from(launcher.env("PATH", "/nowhere").command());
    let output = command.args(["bake", "--image", &image.by_tag()]).output().await.unwrap();
    refused(&output, 3, &["FAIL  engine", "install the Docker Engine", "this host is not ready to be an AMI"]);
    assert!(!out(&output).contains("unit"), "where there is no systemd units are not mentioned");
}

#[tokio::test]
async fn a_builder_without_metadata_pulls_what_needs_no_login_and_says_what_a_login_needs() {
    let world = World::builder().imds_closed().start().await;
    let image = world.app_image().by_tag();
    refused(&bake(&world, &["--image", &image]).await, 0, &[" pulled\n"]);
    world.ami_defaults("registry_auth = \"ecr\"");
    refused(&bake(&world, &["--image", &image]).await, 3, &["FAIL  login", "AWS_REGION"]);
}
