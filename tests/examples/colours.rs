//! The example with a target group per colour: the walk-through of docs/target-groups.md, typed as it stands there, and an instance that
//! registers itself.

use berth_kit::target_group::{Health, TargetGroup};
use serde_json::{Value, json};

use crate::boot::{AWKWARD, HEALTH, boots_and_drains, instance, keys};
use crate::moto::{Moto, root};
use crate::terraform::{Terraform, is_gone_before};

const NEEDED_TO_DRAIN: [&str; 6] = [
    "module.app[\"green\"].aws_vpc_security_group_ingress_rule.app",
    "module.app[\"green\"].aws_vpc_security_group_ingress_rule.readiness",
    "module.app[\"green\"].aws_vpc_security_group_egress_rule.all",
    "module.app[\"green\"].aws_iam_role_policy.berth",
    "aws_lb_target_group.this[\"green\"]",
    "aws_lb_listener.test",
];

/// The blocks of commands below the heading of the page.
fn walk_through() -> Vec<String> {
    let page = std::fs::read_to_string(root().join("docs/target-groups.md")).unwrap();
    let section = page.split("\n## ").find(|section| section.starts_with("Blue and green\n")).unwrap();
    let blocks = section.split("```sh\n").skip(1);
    blocks.map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// What the listeners forward to: everything on port 80 to the one colour, everything on port 8080 to the other.
fn live(colour: &str, other: &str) -> Value {
    json!({ "80": { format!("ap-api-{colour}"): 1 }, "8080": { format!("ap-api-{colour}"): 0, format!("ap-api-{other}"): 100 } })
}

/// Only the two listeners were changed.
#[track_caller]
fn is_a_switch(printed: &str) {
    assert!(printed.contains("Resources: 0 added, 2 changed, 0 destroyed."), "{printed}");
    let changed: Vec<_> =
        printed.lines().filter_map(|line| line.split_once(": Modifying...")).map(|(name, _)| name).collect();
    assert!(changed.iter().all(|name| name.starts_with("aws_lb_listener.")), "{changed:?}");
}

/// The second change began after the first one was made.
#[track_caller]
fn in_order(printed: &str, first: &str, second: &str) {
    let at = |what: &str| printed.find(what).unwrap_or_else(|| panic!("no '{what}' in\n{printed}"));
    assert!(at(first) < at(second), "{second} is not after {first}:\n{printed}");
}

#[tokio::test]
async fn the_walk_through_switches_the_colours_and_back_and_an_instance_registers_itself() {
    let (moto, world) = (Moto::start(), instance().await);
    let Some(terraform) = Terraform::of(&moto, "examples/blue-green", &[]) else { return };
    let colours = || {
        let state = terraform.state();
        ["blue", "green"].map(|colour| moto.group(&format!("ap-api-{colour}"), "terraform", &state))
    };
    let blocks = walk_through();
    let [start, green, switch, look, back, end] = &blocks[..] else { panic!("{} blocks of commands", blocks.len()) };
    let of_example = "cd packaging/terraform/examples/blue-green\n";
    let start = start.strip_prefix(of_example).expect("the folder of the example");

    terraform.types(start);
    terraform.plans_no_change();
    let [blue_v1, idle] = colours();
    assert_eq!(blue_v1["forwards"], live("blue", "green"));
    assert_eq!((&blue_v1["sizes"], &idle["sizes"]), (&json!([2, 2, 4]), &json!([0, 0, 0])));

    // A colour without instances does not go live.
    let refused = terraform.refuses(&["plan", "-var", "live=green"]);
    assert!(refused.contains("live is green, which has no instances"), "{refused}");

    terraform.types(green);
    let [blue, green_v2] = colours();
    assert_eq!(blue, blue_v1, "the colour that is live is as it was");
    assert_eq!(green_v2["sizes"], json!([2, 2, 4]));
    assert!(green_v2["user_data"].as_str().unwrap().contains("/ap-api:e4f5a6b port=0:8080 "), "{green_v2}");
    assert_ne!(green_v2["target_group"], blue["target_group"]);

    is_a_switch(&terraform.types(switch));
    terraform.plans_no_change();
    assert_eq!(colours()[0]["forwards"], live("green", "blue"));
    // The load balancer is asked about the colour that is no longer live, whose instances moto did not register.
    assert!(terraform.types(look).contains("TargetHealthDescriptions"));
    is_a_switch(&terraform.types(back));
    assert_eq!(colours(), [blue, green_v2], "all is as it was before the switch");

    terraform.types(switch);
    terraform.types(end);
    assert_eq!(colours()[0]["sizes"], json!([0, 0, 0]));

    // New instances and the switch at once: the listener waits for them. With what the kit has for an instance.
    terraform.variables_over_all(&json!({
        "live": "blue",
        "blue": { "image": world.app_image().by_tag(), "size": 1 },
        "health": HEALTH,
        "keys": keys(),
    }));
    let printed = terraform.apply();
    let booted = "module.app[\"blue\"].aws_autoscaling_group.this: Modifications complete";
    in_order(&printed, booted, "aws_lb_listener.production: Modifying...");
    let [made, _] = colours();
    assert_eq!(made["forwards"], live("blue", "green"));

    // Group and target group of moto's are those of the kit for the instance that boots.
    let healthy = TargetGroup { scripted: Some(Health::HEALTHY), ..TargetGroup::http("ap-api-blue", 8080) };
    let registered = world.target_groups.create(healthy);
    let made = made.to_string().replace(made["target_group"].as_str().unwrap(), &registered);
    let made = made.replace("Name/ap-api-blue", &format!("Name/{}", world.autoscaling.group()));
    let environment = [("AWKWARD", AWKWARD), ("API_KEY", "from the parameter store")];
    boots_and_drains(&world, &serde_json::from_str(&made).unwrap(), &environment).await;
    let needed = world.iam.needed();
    for action in ["RegisterTargets", "DeregisterTargets", "DescribeTargetHealth"] {
        assert!(needed.contains(&format!("elasticloadbalancing:{action}")), "{action} in {needed:?}");
    }

    let destroyed = terraform.destroy();
    is_gone_before(&destroyed, "module.app[\"green\"].aws_autoscaling_group.this", &NEEDED_TO_DRAIN);
    moto.is_empty();
}
