//! The policy that the module derives is the one that `berth policy` prints for its user-data, for keys of every kind; and nothing has to be
//! known when it is planned.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::BERTH;
use crate::moto::Moto;
use crate::terraform::{Terraform, beside};

const ECR: &str = "123456789012.dkr.ecr.us-east-2.amazonaws.com/ap-api:a1b2c3d";

/// Name, image, secrets, other keys.
fn cases() -> Vec<(&'static str, &'static str, Value, Value)> {
    let digest = "nginx@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let elsewhere = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/team/api:1@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:prod/api";
    let target_group = "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup";
    vec![
        ("nothing", "nginx:1.27", json!([]), json!({})),
        ("by_digest", digest, json!([]), json!({})),
        ("ecr", ECR, json!(["prod/api"]), json!({})),
        ("ecr_elsewhere", elsewhere, json!(["prod/api", "prod/jwt"]), json!({})),
        ("ecr_without_login", ECR, json!([]), json!({ "registry_auth": "none" })),
        ("ecr_public", "public.ecr.aws/x/y:1", json!([]), json!({ "registry_auth": "ecr" })),
        ("any_registry_as_ecr", "127.0.0.1:5000/team/api:v1", json!([]), json!({ "registry_auth": "ecr" })),
        ("login", "registry.internal/api:1", json!(["prod/api"]), json!({ "registry_auth": "prod/registry" })),
        (
            "one_secret_by_its_keys",
            ECR,
            json!([]),
            json!({ "secret.A": "prod/db#user", "secret.B": "prod/db#password" }),
        ),
        ("secrets_and_keys", ECR, json!(["prod/api"]), json!({ "secret.A": "prod/db#user" })),
        ("prefixed", ECR, json!([]), json!({ "secret.A": "secretsmanager:prod/db#user" })),
        (
            "parameters",
            ECR,
            json!([]),
            json!({
                "secret.A": "ssm:/prod/key:3",
                "secret.B": "ssm:plain#k",
                "secret.C": "arn:aws:ssm:eu-west-1:111122223333:parameter/prod/key:2",
            }),
        ),
        (
            "arns",
            ECR,
            json!([format!("{arn}-AbCdEf")]),
            json!({ "secret.A": format!("{arn}-AbCdEf:k::"), "secret.B": arn, "secret.C": format!("{arn}-AbCdEf:k:AWSPREVIOUS:") }),
        ),
        ("one_of_each_region", ECR, json!(["prod/api"]), json!({ "secret.A": format!("{arn}-AbCdEf:k::") })),
        (
            "templates",
            ECR,
            json!([]),
            json!({ "secret.URL": "postgres://${prod/db#user}:${prod/db#password}@${ssm:/prod/host}/$${literal}" }),
        ),
        ("two_in_a_template", ECR, json!([]), json!({ "secret.URL": "${prod/db#user}${prod/other}" })),
        ("config_of_ssm", ECR, json!([]), json!({ "config": "ssm:/prod/berth" })),
        ("config_of_secrets_manager", ECR, json!([]), json!({ "config": "secretsmanager:prod/berth" })),
        ("logs", ECR, json!([]), json!({ "log_driver": "awslogs", "log_opt.awslogs-group": "/api" })),
        (
            "logs_elsewhere",
            ECR,
            json!([]),
            json!({
                "log_driver": "awslogs",
                "log_opt.awslogs-group": "/api",
                "log_opt.awslogs-region": "eu-west-1",
                "log_opt.awslogs-create-group": "true",
            }),
        ),
        (
            "target_groups",
            ECR,
            json!([]),
            json!({ "target_groups": [format!("{target_group}/blue/1a"), format!("{target_group}/api/2b#8080")] }),
        ),
        ("stand_in", ECR, json!([]), json!({ "secret.A": "ssm:/aws/reference/secretsmanager/prod/api" })),
    ]
}

/// What `berth` prints for this input.
fn berth(arguments: &[&str], input: &str) -> String {
    let mut command = Command::new(BERTH);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{input}{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Pairs of action and resource; the group is the one that a config does not name.
fn allowed(policy: &str) -> BTreeSet<(String, String)> {
    let policy: Value = serde_json::from_str(policy).unwrap();
    let texts = |list: &Value| list.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect();
    let mut pairs = BTreeSet::new();
    for statement in policy["Statement"].as_array().unwrap() {
        let (actions, resources): (Vec<String>, Vec<String>) =
            (texts(&statement["Action"]), texts(&statement["Resource"]));
        for action in &actions {
            pairs.extend(resources.iter().map(|one| (action.clone(), one.replace("Name/ap-api", "Name/*"))));
        }
    }
    pairs
}

#[test]
fn the_policy_is_what_berth_policy_prints() {
    let moto = Moto::start();
    let given: serde_json::Map<_, _> = cases()
        .into_iter()
        .map(|(name, image, secrets, mut keys)| {
            // A list, and a variable of its own.
            let groups = keys.as_object_mut().and_then(|keys| keys.remove("target_groups")).unwrap_or(json!([]));
            (name.into(), json!({ "image": image, "secrets": secrets, "keys": keys, "target_groups": groups }))
        })
        .collect();
    let files = [("main.tf", beside("cases.tf")), ("cases.json", Value::Object(given).to_string())];
    let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let Some(terraform) = Terraform::of(&moto, "cases", &files) else { return };
    let plan = terraform.plan();
    let modules = plan["planned_values"]["root_module"]["child_modules"].as_array().unwrap();
    let value = |case: &str, resource: &str, name: &str| {
        let address = format!("module.case[\"{case}\"]");
        let module = modules.iter().find(|module| module["address"] == address.as_str()).unwrap();
        let mut resources = module["resources"].as_array().unwrap().iter();
        let found = resources.find(|one| one["address"] == format!("{address}.{resource}").as_str()).unwrap();
        found["values"][name].as_str().unwrap_or_else(|| panic!("{case}: {name} is not known")).to_owned()
    };
    for (case, ..) in cases() {
        let user_data = STANDARD.decode(value(case, "aws_launch_template.this", "user_data")).unwrap();
        let user_data = String::from_utf8(user_data).unwrap();
        let policy = value(case, "aws_iam_role_policy.berth", "policy");
        let printed = berth(&["policy", "-", "--region", "us-east-2", "--account", "123456789012"], &user_data);
        assert_eq!(allowed(&policy), allowed(&printed), "{case}: {user_data}");
    }
}

#[test]
fn nothing_has_to_be_known_when_it_is_planned() {
    let moto = Moto::start();
    let Some(terraform) = Terraform::of(&moto, "unknown", &[("main.tf", &beside("unknown.tf"))]) else { return };
    let plan = terraform.plan();
    let changes = plan["resource_changes"].as_array().unwrap();
    let groups = changes.iter().filter(|change| change["type"] == "aws_autoscaling_group").count();
    assert_eq!(groups, 2);
}
