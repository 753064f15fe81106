//! `berth policy` against an account that enforces it: what it allows is all that a life needs, and no more.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use berth_kit::target_group::{Health, TargetGroup};
use berth_kit::{Agent, Fault, World, client};
use serde_json::Value;

use crate::commands::{berth, err, out};
use crate::doctor::free_port;
use crate::steps::until;
use crate::{BERTH, SOON};

const QUICK: &str = r#"
    stop_timeout = "2s"
    drain = { settle = "100ms", idle = "100ms", timeout = "5s" }
    lifecycle = { poll = "200ms", heartbeat = "1s" }
    restart = { backoff = "100ms", limit = 1 }
"#;

/// An account with secrets, a private registry, and a document that more of the config comes from.
async fn account() -> World {
    let world = World::builder().private_registry().start().await;
    world.ami_defaults(QUICK);
    for secret in ["prod/api", "prod/jwt", "prod/other"] {
        world.secrets.put(secret, &format!(r#"{{"{}":"value"}}"#, secret.replace("prod/", "")));
    }
    for parameter in ["/prod/key", "plain"] {
        world.parameters.put(parameter, "value");
    }
    world.parameters.put("/prod/berth", "berth secret.FAR=prod/other#other");
    world
}

/// The policy for a user-data, as the operator gets it at home.
async fn policy(world: &World, user_data: &str, more: &[&str]) -> Value {
    let file: PathBuf = world.state_dir().with_file_name("user-data");
    fs::write(&file, user_data).unwrap();
    let printed = berth(world, &[&["policy", file.to_str().unwrap()], more].concat()).await;
    assert_eq!(printed.status.code(), Some(0), "{}", err(&printed));
    assert_eq!(world.journal.entries().len(), 0, "it asks nobody:\n{}", world.journal.text());
    serde_json::from_slice(&printed.stdout).unwrap()
}

fn actions(policy: &Value) -> BTreeSet<String> {
    let statements = policy["Statement"].as_array().unwrap().iter();
    let actions = statements.flat_map(|statement| statement["Action"].as_array().unwrap());
    actions.map(|action| action.as_str().unwrap().to_owned()).collect()
}

async fn exits(agent: &Agent) {
    // It goes without an answer.
    let _ = client::over_tcp(agent.app_address().await, client::request("GET", "/exit?code=1")).await;
}

/// Two lives that together meet every call: a slow boot with heartbeats and an app that cannot be kept running, then another
/// boot and a drain that begins before its hook is active.
async fn lives(world: &World, user_data: &str) {
    world.user_data(user_data);
    world.fault("registry GET blob", Fault::Delay(Duration::from_secs(2))).times(2);
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    world.autoscaling.wait_for_state("InService", SOON).await;
    exits(&agent).await;
    until("restarted", async || agent.status().await["restarts"] == 1).await;
    until("ready", async || agent.http("/ready").await.status == 200).await;
    exits(&agent).await;
    assert_eq!(agent.exit_within(SOON).await, 4, "{}", agent.log_text());

    let agent = world.relaunch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    world.autoscaling.terminate();
    world.journal.wait_for_count("autoscaling CompleteLifecycleAction", 2, SOON).await;
    world.autoscaling.enter_wait();
    assert_eq!(agent.exit_within(SOON).await, 0, "{}", agent.log_text());
    let results: Vec<_> = world.autoscaling.completions().into_iter().map(|one| one.result).collect();
    assert_eq!(results, ["CONTINUE", "CONTINUE"]);
}

/// Lives under the policy: nothing is denied, and every action of it is needed.
async fn lives_by_its_policy(line: impl Fn(&World) -> String) {
    let world = account().await;
    let user_data = format!("#cloud-config\n#berth {}\n", line(&world));
    let policy = policy(&world, &user_data, &[]).await;
    world.iam.enforce(&policy);
    lives(&world, &user_data).await;
    assert_eq!(world.iam.denied(), BTreeSet::new(), "{}", world.journal.text());
    assert_eq!(world.iam.needed(), actions(&policy));
}

#[tokio::test]
async fn a_config_with_everything_lives_by_its_policy_and_needs_all_of_it() {
    lives_by_its_policy(|world| {
        let image = world.app_image().by_tag();
        format!(
            "image={image} port=0:8080 health=/health registry_auth=ecr secrets=prod/api,prod/jwt secret.KEY=ssm:/prod/key \
             secret.PLAIN=ssm:plain secret.URL='x://${{ssm:plain}}:${{ssm:/aws/reference/secretsmanager/prod/other}}@db'"
        )
    })
    .await;
}

#[tokio::test]
async fn a_config_that_names_its_group_and_hooks_lives_by_its_policy_and_needs_all_of_it() {
    lives_by_its_policy(|world| {
        world.secrets.put("login", &format!(r#"{{"username":"AWS","password":"{}"}}"#, world.ecr.password()));
        world.registry.require_only_the_password();
        let (image, group) = (world.app_image().by_digest(), world.autoscaling.group().to_owned());
        format!(
            "image={image} port=0:8080 health=/health registry_auth=login secret.KEY=prod/api#api lifecycle.group={group} \
             lifecycle.launch_hook=launch lifecycle.terminate_hook=terminate"
        )
    })
    .await;
}

#[tokio::test]
async fn an_instance_that_registers_itself_lives_by_its_policy_and_needs_all_of_it() {
    let world = account().await;
    let group = TargetGroup {
        scripted: Some(Health::HEALTHY),
        deregistration_delay: Duration::from_secs(60),
        ..TargetGroup::http("api", 8080)
    };
    let arn = world.target_groups.create(group);
    let (image, port) = (world.app_image().by_tag(), free_port());
    let user_data =
        format!("berth image={image} port={port}:8080 health=/health registry_auth=ecr target_groups={arn}");
    let policy = policy(&world, &user_data, &[]).await;
    world.iam.enforce(&policy);
    world.user_data(&user_data);
    let agent = world.launch(BERTH.as_ref()).await;
    world.autoscaling.wait_for_state("InService", SOON).await;
    world.autoscaling.terminate();
    world.autoscaling.enter_wait();
    assert_eq!(agent.exit_within(SOON).await, 0, "{}", agent.log_text());
    // The next one has to know how long the port stays out of use.
    let agent = world.relaunch(BERTH.as_ref()).await;
    world.journal.wait_for_count("elasticloadbalancing DescribeTargetGroupAttributes", 1, SOON).await;
    agent.kill9().await;

    assert_eq!(world.iam.denied(), BTreeSet::new(), "{}", world.journal.text());
    let of_target_groups = |action: &String| {
        action.starts_with("elasticloadbalancing:") || action == "autoscaling:DescribeAutoScalingGroups"
    };
    let needed: Vec<String> = world.iam.needed().into_iter().filter(of_target_groups).collect();
    let allowed: Vec<String> = actions(&policy).into_iter().filter(of_target_groups).collect();
    assert_eq!((needed.len(), &needed), (5, &allowed));
}

#[tokio::test]
async fn on_an_instance_the_policy_is_for_what_run_would_read() {
    let world = account().await;
    let image = world.app_image().by_tag();
    world.user_data(&format!("berth image={image} secret.NEAR=prod/api#api config=ssm:/prod/berth"));
    let printed = berth(&world, &["policy"]).await;
    assert_eq!(printed.status.code(), Some(0), "{}", err(&printed));
    for arn in [
        "arn:aws:secretsmanager:us-east-2:123456789012:secret:prod/api-??????",
        "arn:aws:secretsmanager:us-east-2:123456789012:secret:prod/other-??????",
        "arn:aws:ssm:us-east-2:123456789012:parameter/prod/berth",
    ] {
        assert!(out(&printed).contains(arn), "{arn} in\n{}", out(&printed));
    }

    // A role that may not read it yet is the reason to ask.
    world.parameters.deny("/prod/berth");
    let printed = berth(&world, &["policy"]).await;
    assert_eq!(printed.status.code(), Some(0), "{}", err(&printed));
    assert!(out(&printed).contains("parameter/prod/berth") && !out(&printed).contains("prod/other"));
    assert!(err(&printed).contains("ssm:/prod/berth was not read"), "{}", err(&printed));
}

#[tokio::test]
async fn without_any_one_statement_a_life_is_denied_something() {
    let world = account().await;
    let image = world.app_image().by_tag();
    let line = format!(
        "berth image={image} port=0:8080 health=/health registry_auth=ecr secrets=prod/api,prod/jwt \
         secret.KEY=ssm:/prod/key boot.timeout=20s"
    );
    let whole = policy(&world, &line, &["--region", "us-east-2", "--account", "123456789012"]).await;
    let statements = whole["Statement"].as_array().unwrap().len();
    assert_eq!(statements, 7);
    for left_out in 0..statements {
        let world = account().await;
        world.user_data(&line.replace(&image, &world.app_image().by_tag()));
        let other = whole.to_string().replace(&image_name(&image), &world.name);
        let mut policy: Value = serde_json::from_str(&other).unwrap();
        let gone = policy["Statement"].as_array_mut().unwrap().remove(left_out);
        world.iam.enforce(&policy);
        let agent = world.launch(BERTH.as_ref()).await;
        until("something denied", async || !world.iam.denied().is_empty()).await;
        let denied = world.iam.denied();
        let first = denied.first().unwrap();
        assert!(gone["Action"].as_array().unwrap().contains(&first.as_str().into()), "{first} without {gone}");
        agent.kill9().await;
    }
}

/// `app-0123abcd` of `127.0.0.1:5000/app-0123abcd:v1`.
fn image_name(image: &str) -> String {
    image.rsplit('/').next().unwrap().split(':').next().unwrap().to_owned()
}
