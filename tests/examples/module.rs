//! The Terraform module: each of its examples applied and destroyed, and what it makes of its variables.

use std::fs;

use berth_kit::World;
use serde_json::{Value, json};

use crate::boot::{AWKWARD, HEALTH, boots_and_drains, free_port, instance, keys};
use crate::moto::Moto;
use crate::terraform::{Terraform, beside, is_gone_before};

const GROUP: &str = "module.app.aws_autoscaling_group.this";
const NEEDED_TO_DRAIN: [&str; 5] = [
    "module.app.aws_vpc_security_group_ingress_rule.app",
    "module.app.aws_vpc_security_group_ingress_rule.readiness",
    "module.app.aws_vpc_security_group_egress_rule.all",
    "module.app.aws_iam_role_policy.berth",
    "module.app.aws_lb_listener_rule.this[0]",
];
const ENVIRONMENT: [(&str, &str); 3] =
    [("AWKWARD", AWKWARD), ("API_KEY", "from the parameter store"), ("DATABASE_URL", "postgres://app@db/app")];

/// What an example is given for this world.
fn values(world: &World, port: u16) -> Value {
    json!({
        "name": world.autoscaling.group(),
        "ami_id": "ami-12c6146b",
        "image": world.app_image().by_tag(),
        "port": port,
        "health": HEALTH,
        "keys": keys(),
    })
}

/// Many instances share this host: the port of this one is its own.
fn on_port(port: u16) -> String {
    format!("module \"app\" {{\n  instance_port = {port}\n}}\n")
}

#[tokio::test]
async fn the_complete_example_boots_an_instance_takes_another_port_and_is_destroyed() {
    let (moto, world, port) = (Moto::start(), instance().await, free_port());
    let Some(terraform) = Terraform::of(&moto, "examples/complete", &[("port_override.tf", &on_port(port))]) else {
        return;
    };
    let group = world.autoscaling.group().to_owned();
    terraform.variables(&values(&world, 8080));
    terraform.apply();
    terraform.plans_no_change();
    let made = moto.group(&group, "terraform", &terraform.state());
    assert_eq!(made["port"], port);
    let alarms = made["alarms"].as_object().unwrap();
    assert_eq!(alarms.len(), 3, "{alarms:?}");
    for (alarm, actions) in alarms {
        assert!(actions[0].as_str().is_some_and(|topic| topic.ends_with("-alarms")), "{alarm}: {actions}");
    }
    assert_eq!(made["tags"]["Version"], "v1", "{}", made["tags"]);
    boots_and_drains(&world, &made, &ENVIRONMENT).await;

    // Another port of the app is a rollout, and nothing else.
    terraform.variables(&values(&world, 9090));
    terraform.apply();
    terraform.plans_no_change();
    let changed = moto.group(&group, "terraform", &terraform.state());
    assert!(changed["user_data"].as_str().unwrap().contains(&format!("port={port}:9090 ")), "{changed}");
    assert_eq!(changed["target_group"], made["target_group"]);
    assert_eq!(changed["refreshes"], made["refreshes"].as_u64().unwrap() + 1, "a refresh was started");

    is_gone_before(&terraform.destroy(), GROUP, &NEEDED_TO_DRAIN);
    moto.is_empty();
}

#[tokio::test]
async fn behind_a_load_balancer_of_the_same_configuration_an_instance_boots_and_the_port_of_the_instances_changes() {
    let (moto, world, port) = (Moto::start(), instance().await, free_port());
    // The example is a module of a configuration that makes what it wants to exist: nothing of that is known when it is planned.
    let files = [("main.tf", beside("around_existing_alb.tf")), ("versions.tf", String::new())];
    let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let Some(terraform) = Terraform::of(&moto, "around", &files) else { return };
    let example = terraform.directory().join("../examples/existing-alb/port_override.tf");
    let at_port = |port: u16| fs::write(&example, on_port(port)).unwrap();

    let group = world.autoscaling.group().to_owned();
    at_port(port);
    terraform.variables(&values(&world, 8080));
    terraform.apply();
    terraform.plans_no_change();
    let made = moto.group(&group, "terraform", &terraform.state());
    assert_eq!(made["port"], port);
    boots_and_drains(&world, &made, &ENVIRONMENT).await;

    // A port of a target group cannot change: there is another one, and the old one goes, although a rule used it.
    at_port(port + 1);
    terraform.apply();
    terraform.plans_no_change();
    let changed = moto.group(&group, "terraform", &terraform.state());
    assert_eq!(changed["port"], port + 1);
    assert_ne!(changed["target_group"], made["target_group"]);

    let needed: Vec<_> = NEEDED_TO_DRAIN.iter().map(|name| format!("module.example.{name}")).collect();
    let needed: Vec<_> = needed.iter().map(String::as_str).collect();
    is_gone_before(&terraform.destroy(), &format!("module.example.{GROUP}"), &needed);
    moto.is_empty();
}

#[test]
fn the_module_refuses_what_does_not_fit_and_quotes_what_needs_it() {
    let moto = Moto::start();
    let Some(terraform) = Terraform::of(&moto, ".", &[]) else { return };
    terraform.tests();
}
