//! `berth doctor` on an instance that can boot, and on those that cannot: each error named, each with what to do.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use berth_kit::{Fault, World};
use serde_json::Value;

use crate::commands::{berth, err, out};
use crate::{BERTH, SOON};

const LISTEN: &str = "listen = \"127.0.0.1:0\"";

/// An instance that needs everything that a config can need.
pub(crate) async fn instance() -> World {
    let world = World::builder().private_registry().start().await;
    world.ami_defaults(LISTEN);
    for secret in ["prod/api", "prod/jwt"] {
        world.secrets.put(secret, r#"{"KEY":"a value that nobody prints"}"#);
    }
    world.parameters.put_secure("/prod/key", "another one");
    world.user_data(&format!("berth {}", line(&world)));
    world
}

pub(crate) fn line(world: &World) -> String {
    let image = world.app_image().by_tag();
    format!("image={image} port=0:8080 registry_auth=ecr secrets=prod/api,prod/jwt secret.KEY=ssm:/prod/key")
}

/// The JSON of it, the exit code as expected.
pub(crate) async fn examined(world: &World, code: i32) -> Value {
    let output = berth(world, &["doctor", "--json"]).await;
    assert_eq!(output.status.code(), Some(code), "{}{}", out(&output), err(&output));
    for value in ["a value that nobody prints", "another one", &world.ecr.password()] {
        assert!(!out(&output).contains(value) && !err(&output).contains(value), "{}", out(&output));
    }
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The checks of one name.
pub(crate) fn named<'r>(report: &'r Value, name: &str) -> Vec<&'r Value> {
    let checks: Vec<_> = report["checks"].as_array().unwrap().iter().filter(|check| check["name"] == name).collect();
    assert!(!checks.is_empty(), "no {name} in {report:#}");
    checks
}

/// Those that are not well, as `name verdict`.
pub(crate) fn not_ok(report: &Value) -> Vec<String> {
    let checks = report["checks"].as_array().unwrap().iter();
    let not_ok = checks.filter(|check| ["warn", "fail"].contains(&check["verdict"].as_str().unwrap()));
    // What the machine of the test is like is not the test's matter.
    let not_ok = not_ok.filter(|check| !["user", "disk"].contains(&check["name"].as_str().unwrap()));
    not_ok.map(|check| format!("{} {}", check["name"].as_str().unwrap(), check["verdict"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn an_instance_that_can_boot_is_reported_so_and_not_changed() {
    let world = instance().await;
    let printed = berth(&world, &["doctor"]).await;
    assert_eq!(printed.status.code(), Some(0), "{}{}", out(&printed), err(&printed));
    let text = out(&printed);
    for fact in [
        world.instance_id.as_str(),
        "of the role berth-instance-role, for ",
        "prod/api: 1 keys",
        "ssm:/prod/key",
        " as AWS",
        "agrees with AWS",
        "Docker Engine ",
        "none runs yet",
        "launch hook launch, termination hook terminate",
        "are not tried",
        "autoscaling:CompleteLifecycleAction",
        "\nthis instance can boot",
    ] {
        assert!(text.contains(fact), "{fact:?} in\n{text}");
    }
    assert!(!text.contains("FAIL") && text.lines().any(|line| line.starts_with("-     hook")), "{text}");
    for effect in ["CompleteLifecycleAction", "RecordLifecycleActionHeartbeat", "SetInstanceHealth"] {
        assert_eq!(world.journal.count(effect), 0, "{}", world.journal.text());
    }
    assert!(world.engine.inspect(&world.container()).await.is_none());

    // It needs no more than the agent does.
    let policy = berth(&world, &["policy"]).await;
    world.iam.enforce(&serde_json::from_slice(&policy.stdout).unwrap());
    assert_eq!(not_ok(&examined(&world, 0).await), Vec::<String>::new());
}

#[tokio::test]
async fn beside_a_running_agent_its_own_ports_are_not_taken() {
    let world = instance().await;
    let (listen, port) = (free_port(), free_port());
    world.user_data(&format!("berth {}", line(&world).replace("port=0:", &format!("port=127.0.0.1:{port}:"))));
    world.ami_defaults(&format!("listen = \"127.0.0.1:{listen}\""));
    let agent = world.launcher(BERTH.as_ref()).listen(([127, 0, 0, 1], listen)).start().await;
    agent.ready_within(SOON).await;
    let report = examined(&world, 0).await;
    assert_eq!(not_ok(&report), Vec::<String>::new(), "{report:#}");
    assert!(named(&report, "agent")[0]["found"].as_str().unwrap().starts_with("runs, serve for "), "{report:#}");
    for held in ["listen", "port"] {
        assert!(named(&report, held)[0]["found"].as_str().unwrap().contains("held by the "), "{report:#}");
    }
    drop(agent);
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn each_call_that_is_denied_comes_with_the_statement_that_allows_it() {
    let world = instance().await;
    let policy: Value = serde_json::from_slice(&berth(&world, &["policy"]).await.stdout).unwrap();
    let none: Value = serde_json::json!({ "Version": "2012-10-17", "Statement": [] });
    world.iam.enforce(&none);
    let report = examined(&world, 3).await;
    let expected = ["secret fail", "secret fail", "secret fail", "secrets warn", "login fail", "group fail"];
    assert_eq!(not_ok(&report), expected, "{report:#}");

    // All the statements it prints together are the policy, but for what the registry was not asked for without a login.
    let statements = || report["checks"].as_array().unwrap().iter().map(|check| &check["statement"]);
    for statement in policy["Statement"].as_array().unwrap() {
        let is_printed = statements().any(|reported| reported == statement);
        assert_eq!(is_printed, statement["Sid"] != "BerthImage", "{statement}\n{report:#}");
    }
    let denied: Vec<_> = world.iam.denied().into_iter().collect();
    assert_eq!(
        denied,
        [
            "autoscaling:DescribeAutoScalingInstances",
            "ecr:GetAuthorizationToken",
            "secretsmanager:BatchGetSecretValue",
            "secretsmanager:GetSecretValue",
            "ssm:GetParameters"
        ]
    );

    let mut without_image = policy.clone();
    without_image["Statement"].as_array_mut().unwrap().retain(|statement| statement["Sid"] != "BerthImage");
    world.iam.enforce(&without_image);
    let report = examined(&world, 3).await;
    assert_eq!(not_ok(&report), ["image fail"]);
    assert_eq!(named(&report, "image")[0]["statement"]["Sid"], "BerthImage");
}

#[tokio::test]
async fn a_secret_that_is_read_as_a_parameter_comes_with_the_statement_that_is_missing() {
    let world = instance().await;
    world.secrets.put("prod/only", "a value that nobody prints");
    world.user_data(&format!("berth {} secret.API=ssm:/aws/reference/secretsmanager/prod/only", line(&world)));
    let policy: Value = serde_json::from_slice(&berth(&world, &["policy"]).await.stdout).unwrap();
    world.iam.enforce(&policy);
    assert_eq!(not_ok(&examined(&world, 0).await), Vec::<String>::new());
    let text = policy.to_string();
    for (missing, resource) in
        [("BerthSecrets", "secret:prod/only-"), ("BerthParameters", "secretsmanager/prod/only\"")]
    {
        assert_eq!(text.matches(resource).count(), 1, "{text}");
        let less: Value = serde_json::from_str(&text.replace(resource, &resource.replace("only", "another"))).unwrap();
        world.iam.enforce(&less);
        let report = examined(&world, 3).await;
        let check = named(&report, "secret")
            .into_iter()
            .find(|check| check["found"].as_str().unwrap().contains("ssm:/aws/reference/secretsmanager/prod/only"));
        assert_eq!(check.expect("the check")["statement"]["Sid"], missing, "{report:#}");
    }
}

#[tokio::test]
async fn what_is_missing_or_wrong_is_named() {
    let world = instance().await;
    let holders = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [port, listen] = holders.each_ref().map(|holder| holder.local_addr().unwrap());
    let image = world.app_image().by_tag().replace(":v1", ":v2");
    world.user_data(&format!(
        "berth image={image} port={port}:8080 registry_auth=ecr secrets=prod/none secret.A=prod/api#NOPE secret.B=ssm:/none"
    ));
    world.ami_defaults(&format!("listen = \"{listen}\""));
    let report = examined(&world, 3).await;
    let expected = ["secret fail", "secret fail", "secret fail", "image fail", "listen fail", "port fail"];
    assert_eq!(not_ok(&report), expected, "{report:#}");
    let found: Vec<_> = named(&report, "secret").iter().map(|check| check["found"].as_str().unwrap()).collect();
    assert!(found[0].contains("prod/none") && found[0].contains("ResourceNotFoundException"), "{found:?}");
    assert!(found[1].contains("no key \"NOPE\""), "{found:?}");
    assert!(found[2].contains("ssm:/none: there is no such parameter"), "{found:?}");
    assert!(named(&report, "image")[0]["advice"].as_str().unwrap().contains("push the image"), "{report:#}");
    assert!(named(&report, "port")[0]["advice"].as_str().unwrap().contains("ss -lntp"), "{report:#}");
}

#[tokio::test]
async fn a_clock_ten_minutes_behind_is_reported_and_everything_else_is_checked() {
    let world = instance().await;
    world.aws.set_clock_ahead(Duration::from_secs(600));
    let report = examined(&world, 0).await;
    assert_eq!(not_ok(&report), ["clock warn"], "{report:#}");
    let clock = named(&report, "clock")[0];
    assert!(clock["found"].as_str().unwrap().ends_with(" s behind AWS"), "{clock}");
    assert!(clock["advice"].as_str().unwrap().contains("chronyd"), "{clock}");
    // What it says is so: the agent boots.
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
}

#[tokio::test]
async fn without_an_engine_the_rest_is_still_checked() {
    let world = instance().await;
    let mut command = tokio::process::Command::from(
        world.launcher(BERTH.as_ref()).env("DOCKER_HOST", "unix:///nowhere/docker.sock").command(),
    );
    let output = command.args(["doctor", "--json"]).kill_on_drop(true).output().await.unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", err(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(not_ok(&report), ["engine fail"], "{report:#}");
    assert!(named(&report, "engine")[0]["advice"].as_str().unwrap().contains("systemctl enable --now docker"));
}

#[tokio::test]
async fn a_block_of_the_metadata_needs_a_packet_filter() {
    let world = instance().await;
    world.user_data(&format!("berth {} imds=block", line(&world)));
    let command = |path: &str| world.launcher(BERTH.as_ref()).env("PATH", path).command();
    for (path, verdict) in [("/usr/sbin:/usr/bin:/sbin:/bin", "ok"), ("/nowhere", "fail")] {
        let mut command = tokio::process::Command::from(command(path));
        let output = command.args(["doctor", "--json"]).kill_on_drop(true).output().await.unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(named(&report, "imds")[0]["verdict"], verdict, "{report:#}");
    }
}

#[tokio::test]
async fn an_invalid_config_is_exit_code_2_with_every_error() {
    let world = instance().await;
    world.user_data("berth image=nginx helth=/x");
    let report = examined(&world, 2).await;
    let found = named(&report, "config")[0]["found"].as_str().unwrap();
    assert!(found.contains("is not pinned") && found.contains("did you mean `health`?"), "{found}");
    assert_eq!(not_ok(&report), ["config fail"]);
}

#[tokio::test]
async fn without_metadata_or_with_a_role_that_fails_it_says_what_to_switch_on() {
    let world = World::builder().imds_closed().start().await;
    world.ami_defaults(LISTEN);
    let report = examined(&world, 3).await;
    assert_eq!(not_ok(&report)[0], "metadata fail", "{report:#}");
    assert!(named(&report, "metadata")[0]["advice"].as_str().unwrap().contains("hop limit"), "{report:#}");
    assert_eq!(named(&report, "config")[0]["verdict"], "untried");

    let world = instance().await;
    world.fault("imds GET meta-data/iam/security-credentials/", Fault::Status(404)).always();
    let report = examined(&world, 3).await;
    let credentials = named(&report, "credentials")[0];
    assert_eq!(credentials["verdict"], "fail", "{report:#}");
    assert!(credentials["found"].as_str().unwrap().contains("attach an instance profile"), "{credentials}");
}

#[tokio::test]
async fn a_pointer_that_may_not_be_read_comes_with_its_statement() {
    let world = instance().await;
    world.parameters.put("/prod/berth", "berth port=0:8080");
    world.parameters.deny("/prod/berth");
    world.user_data(&format!("berth image={} config=ssm:/prod/berth", world.app_image().by_tag()));
    let report = examined(&world, 3).await;
    let pointer = named(&report, "pointer")[0];
    assert_eq!(pointer["statement"]["Resource"][0], "arn:aws:ssm:us-east-2:123456789012:parameter/prod/berth");
}

#[tokio::test]
async fn what_the_container_waits_for_is_checked() {
    let world = instance().await;
    let there = tempfile::tempdir().unwrap();
    let (here, absent) = (there.path().display().to_string(), there.path().join("absent").display().to_string());
    for (after, verdict, found) in
        [(&here, "ok", here.clone()), (&absent, "fail", format!("{absent} does not exist (`after`)"))]
    {
        world.user_data(&format!("berth {} after={after}", line(&world)));
        let report = examined(&world, if verdict == "ok" { 0 } else { 3 }).await;
        let paths = named(&report, "paths")[0];
        assert_eq!((&paths["verdict"], &paths["found"]), (&verdict.into(), &found.into()), "{paths}");
    }
}

#[tokio::test]
async fn what_is_legal_and_unwise_is_a_warning_and_prevents_no_boot() {
    let world = instance().await;
    world.user_data(&format!("berth {} env.API_TOKEN=hunter2 probe.unhealthy=1", line(&world)));
    let report = examined(&world, 0).await;
    assert_eq!(not_ok(&report), ["config warn", "config warn"]);
    let config = named(&report, "config");
    let [_, token, probe] = config.as_slice() else { panic!("{config:#?}") };
    assert!(token["found"].as_str().unwrap().contains("`env.API_TOKEN`: looks like a secret"), "{token}");
    assert!(probe["advice"].as_str().unwrap().starts_with("one_failure: "), "{probe}");
    assert!(!report.to_string().contains("hunter2"));
}

#[tokio::test]
async fn more_than_a_process_can_be_given_is_found_before_the_boot() {
    let world = instance().await;
    world.secrets.put("prod/large", &"x".repeat(60_000));
    let template = |count: usize| format!("berth {} secret.LARGE='{}'", line(&world), "${prod/large}".repeat(count));
    world.user_data(&template(2));
    assert_eq!(not_ok(&examined(&world, 0).await), Vec::<String>::new());
    world.user_data(&template(3));
    let report = examined(&world, 3).await;
    assert_eq!(not_ok(&report), ["secret fail"], "{report:#}");
    let reported = named(&report, "secret")
        .into_iter()
        .any(|check| check["found"].as_str().unwrap().contains("LARGE takes 180007 bytes"));
    assert!(reported, "{report:#}");
}

/// As an instance shows it: what differs from run to run, and where the kit stands in for AWS, is replaced.
fn on_an_instance(world: &World, text: &str) -> String {
    let image = world.app_image().by_tag();
    let text = text
        .replace(&image, "123456789012.dkr.ecr.us-east-2.amazonaws.com/ap-api:a1b2c3d")
        .replace(&world.instance_id, "i-0123456789abcdef0")
        .replace("berth-instance-role", "ap-api");
    let mut endpoints = ["secretsmanager", "api.ecr", "autoscaling"].into_iter();
    let line = |line: &str| {
        let Some((head, found)) = line.split_at_checked(19) else { return line.to_owned() };
        let found = match head.get(6..).unwrap_or_default().trim_end() {
            "trust" => "145 root certificates".to_owned(),
            "credentials" => "of the role ap-api, for 5 h 59 min".to_owned(),
            "endpoint" => {
                let (_, route) = found.split_once(", ").expect("how it is reached");
                format!("https://{}.us-east-2.amazonaws.com, {route}", endpoints.next().expect("a service"))
            }
            "secret" => {
                // What Secrets Manager appends to a name is not known before it is made.
                let (before, after) = found.split_once("secret:prod/api-").expect("an ARN");
                format!("{before}secret:prod/api-a1B2c3{}", after.get(6..).expect("six characters"))
            }
            "login" => "to 123456789012.dkr.ecr.us-east-2.amazonaws.com as AWS".to_owned(),
            "image" => {
                let (_, digest) = found.split_once('@').expect("a digest");
                let digest = if digest.len() == 71 {
                    format!("sha256:{}", "43b39eba7b364162".repeat(4))
                } else {
                    digest.to_owned()
                };
                format!("123456789012.dkr.ecr.us-east-2.amazonaws.com/ap-api@{digest}")
            }
            "group" => "ap-api, launch hook launch, termination hook terminate".to_owned(),
            "engine" => "Docker Engine 28.5.2, storage driver overlay2".to_owned(),
            "disk" => "17.21 GB free in /var/lib/docker".to_owned(),
            "run-dir" => "/run/berth is kept in memory".to_owned(),
            "listen" => "0.0.0.0:9911 is free".to_owned(),
            _ => found.to_owned(),
        };
        format!("{head}{found}")
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn the_screen_of_the_documentation_is_what_it_prints() {
    let world = World::builder().private_registry().start().await;
    world.ami_defaults(LISTEN);
    world.secrets.put("prod/api", r#"{"KEY":"a value that nobody prints"}"#);
    let image = world.app_image().by_tag();
    world.user_data(&format!("berth image={image} name=ap-api port=0:8080 registry_auth=ecr secrets=prod/api"));
    let mut policy: Value = serde_json::from_slice(&berth(&world, &["policy"]).await.stdout).unwrap();
    policy["Statement"].as_array_mut().unwrap().retain(|statement| statement["Sid"] != "BerthSecrets");
    world.iam.enforce(&policy);
    let printed = berth(&world, &["doctor"]).await;
    let screen = format!("# berth doctor\n{}", on_an_instance(&world, &out(&printed)));
    berth_kit::pages::shows("operations.md", "doctor", "scenarios screen", &screen);
}

#[tokio::test]
async fn a_unit_that_would_not_drain_at_a_shutdown_is_a_warning() {
    let world = instance().await;
    let bin = world.state_dir().with_file_name("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let systemctl = bin.join("systemctl");
    std::fs::write(&systemctl, "#!/bin/sh\necho masked\nexit 1\n").unwrap();
    std::fs::set_permissions(&systemctl, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = tokio::process::Command::from(world.launcher(BERTH.as_ref()).env("PATH", &bin).command());
    let output = command.args(["doctor", "--json"]).output().await.unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((not_ok(&report), output.status.code()), (vec!["unit warn".to_owned()], Some(0)), "{report:#}");
    assert!(named(&report, "unit")[0]["advice"].as_str().unwrap().contains("unmask berth-drain"));
}
