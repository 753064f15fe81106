//! The CloudFormation template: cfn-lint finds nothing in it, and deployed to moto, as far as moto goes (deploy.py says how far), it boots an
//! instance.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::boot::{AWKWARD, HEALTH, boots_and_drains, free_port, instance};
use crate::moto::{Moto, python, root};

fn template() -> PathBuf {
    root().join("packaging/cloudformation/berth.yaml")
}

fn deploy(moto: &Moto, stack: &str, given: &str) -> Value {
    let mut command = Command::new(python());
    command.arg(root().join("tests/examples/deploy.py")).args([&moto.endpoint, stack, given]);
    let printed = command.output().unwrap();
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    serde_json::from_slice(&printed.stdout).unwrap()
}

#[test]
fn cfn_lint_finds_nothing() {
    let linted = Command::new(python().with_file_name("cfn-lint")).arg(template()).output().unwrap();
    assert!(linted.status.success(), "{}", String::from_utf8_lossy(&linted.stdout));
}

#[tokio::test]
async fn the_template_without_a_secret_boots_an_instance_and_is_deleted() {
    let (moto, world, port) = (Moto::start(), instance().await, free_port());
    let group = world.autoscaling.group().to_owned();
    let image = world.app_image();
    let (repository, tag) = (&world.name, "v1");
    let given = json!({
        "Repository": repository, "Tag": tag, "Port": 8080, "InstancePort": port, "Health": HEALTH,
        "Keys": format!("secret.API_KEY=ssm:/prod/ap-api/key env.AWKWARD='{}'", AWKWARD.replace('\'', r"'\''")),
        "KeysParameterArns": "arn:aws:ssm:us-east-2:123456789012:parameter/prod/ap-api/key",
    });
    let outputs = deploy(&moto, &group, &given.to_string());
    assert!(outputs["AlarmTopic"].as_str().unwrap().starts_with("arn:aws:sns:"), "{outputs}");
    let mut made = moto.group(&group, "cloudformation", &template());

    // The one thing that differs from what moto holds: the registry is the kit's.
    let of_ecr = format!("123456789012.dkr.ecr.us-east-2.amazonaws.com/{repository}:{tag}");
    let user_data = made["user_data"].as_str().unwrap();
    assert!(user_data.contains(&of_ecr), "{user_data}");
    made["user_data"] = user_data.replace(&of_ecr, &image.by_tag()).trim_end().into();
    made["user_data"] = format!("{} registry_auth=ecr\n", made["user_data"].as_str().unwrap()).into();
    boots_and_drains(&world, &made, &[("AWKWARD", AWKWARD), ("API_KEY", "from the parameter store")]).await;

    deploy(&moto, &group, "delete");
    moto.is_empty();
}

#[test]
fn a_secret_and_two_more_in_the_keys_are_allowed() {
    let moto = Moto::start();
    let secret = |name: &str| format!("arn:aws:secretsmanager:us-east-2:123456789012:secret:{name}-??????");
    let given = json!({
        "Repository": "team/ap-api", "Tag": "a1b2c3d", "Port": 3000, "Secret": "prod/api",
        "Keys": "secret.URL=prod/db#url secret.KEY=prod/key",
        "KeysSecretArns": format!("{},{}", secret("prod/db"), secret("prod/key")),
    });
    deploy(&moto, "ap-api", &given.to_string());
    let made = moto.group("ap-api", "cloudformation", &template());
    let user_data = made["user_data"].as_str().unwrap();
    let line = "#berth image=123456789012.dkr.ecr.us-east-2.amazonaws.com/team/ap-api:a1b2c3d port=8080:3000 \
                health='/health' secrets=prod/api secret.URL=prod/db#url secret.KEY=prod/key\n";
    assert_eq!(user_data, format!("#cloud-config\n{line}"));
}
