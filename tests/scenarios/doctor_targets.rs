//! `berth doctor` on an instance that registers itself with target groups: each question of its agent, and nothing registered.

use berth_kit::World;
use berth_kit::target_group::{Health, Target, TargetGroup};
use serde_json::{Value, json};

use crate::commands::berth;
use crate::doctor::{examined, free_port, instance, line, named, not_ok};

/// An instance that registers itself with these target groups.
async fn registering(names: &[&str]) -> (World, Vec<String>) {
    let world = instance().await;
    let group = |name: &&str| TargetGroup { scripted: Some(Health::HEALTHY), ..TargetGroup::http(name, 8080) };
    let arns: Vec<String> = names.iter().map(|name| world.target_groups.create(group(name))).collect();
    let other = "i-0000000000000000a";
    world.target_groups.run_instance(other, [127, 0, 0, 1]);
    arns.iter().for_each(|arn| world.target_groups.register(arn, &Target::new(other, 8080)));
    names_them(&world, &arns);
    (world, arns)
}

fn names_them(world: &World, arns: &[String]) {
    world.user_data(&format!("berth {} target_groups={}", line(world), arns.join(",")));
}

async fn policy(world: &World) -> Value {
    serde_json::from_slice(&berth(world, &["policy"]).await.stdout).unwrap()
}

/// What it found about target groups.
fn found(report: &Value) -> Vec<&str> {
    named(report, "target").into_iter().map(|check| check["found"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn target_groups_are_asked_for_and_nothing_is_registered() {
    let (world, arns) = registering(&["web", "admin"]).await;
    world.iam.enforce(&policy(&world).await);
    let report = examined(&world, 0).await;
    assert_eq!(not_ok(&report), Vec::<String>::new(), "{report:#}");
    let [admin, web, untried] = found(&report)[..] else { panic!("{report:#}") };
    assert_eq!(admin, "admin: 1 of 1 targets healthy, deregistration delay 5m");
    assert_eq!(web, "web: 1 of 1 targets healthy, deregistration delay 5m");
    assert!(untried.contains("are not tried"), "{untried}");
    let untried = named(&report, "target")[2];
    assert_eq!((&untried["verdict"], &untried["statement"]["Sid"]), (&json!("untried"), &json!("BerthTargets")));
    assert_eq!(untried["statement"]["Resource"].as_array().unwrap().len(), 2);
    assert_eq!(named(&report, "endpoint").len(), 5, "{report:#}");
    for effect in ["RegisterTargets", "DeregisterTargets"] {
        assert_eq!(world.journal.count(effect), 0, "{}", world.journal.text());
    }
    assert!(arns.iter().all(|arn| world.target_groups.targets(arn).len() == 1));
}

#[tokio::test]
async fn a_question_that_is_denied_comes_with_its_statement() {
    let (world, _) = registering(&["web"]).await;
    let whole = policy(&world).await.to_string();
    for (action, expected, sid) in [
        ("elasticloadbalancing:DescribeTargetHealth", "target fail", "BerthTargetHealth"),
        // A boot goes on without these two.
        ("elasticloadbalancing:DescribeTargetGroupAttributes", "target warn", "BerthTargetHealth"),
        ("autoscaling:DescribeAutoScalingGroups", "target warn", "BerthGroupLookup"),
    ] {
        world.iam.enforce(&serde_json::from_str(&whole.replace(action, "autoscaling:None")).unwrap());
        let report = examined(&world, if expected == "target fail" { 3 } else { 0 }).await;
        assert_eq!(not_ok(&report), [expected], "{action}\n{report:#}");
        let check = named(&report, "target")[0];
        assert_eq!(check["statement"]["Sid"], sid, "{check}");
        assert!(check["found"].as_str().unwrap().contains(action), "{check}");
    }
}

#[tokio::test]
async fn a_target_group_of_the_auto_scaling_group_s_own_is_left_to_it() {
    let (world, arns) = registering(&["web", "admin"]).await;
    world.autoscaling.attach(&arns[0]);
    let report = examined(&world, 3).await;
    assert_eq!(not_ok(&report), ["target fail"], "the port of this instance is another one: {report:#}");
    assert!(found(&report)[0].ends_with("`port` leaves the host port open"), "{report:#}");

    let fixed = line(&world).replace("port=0:", &format!("port={}:", free_port()));
    world.user_data(&format!("berth {fixed} target_groups={}", arns.join(",")));
    let report = examined(&world, 0).await;
    assert_eq!(not_ok(&report), ["target warn"], "{report:#}");
    let left = named(&report, "target")[0];
    let words = format!(
        "web: the Auto Scaling group {} attaches it itself, so berth leaves it to the group",
        world.autoscaling.group()
    );
    assert_eq!((&left["found"], &left["verdict"]), (&json!(words), &json!("warn")));
    assert_eq!(found(&report).len(), 3, "the other one, and what is not tried: {report:#}");

    world.autoscaling.attach(&arns[1]);
    let report = examined(&world, 0).await;
    assert_eq!(not_ok(&report), ["target warn", "target warn"], "nothing else is to be registered: {report:#}");
    assert_eq!(found(&report).len(), 2, "{report:#}");
}

#[tokio::test]
async fn a_target_group_that_cannot_serve_is_named_with_what_to_do() {
    let (world, arns) = registering(&["web"]).await;
    for (arn, found, advice) in [
        (arns[0].replace("/web/", "/gone/"), "gone: ", "create it in us-east-2, or correct its ARN in `target_groups`"),
        (
            arns[0].replace("us-east-2", "eu-west-1"),
            "web is in eu-west-1, and this instance is in us-east-2",
            "a target group takes the instances of its own VPC: name one of this region in `target_groups`",
        ),
    ] {
        names_them(&world, &[arn]);
        let report = examined(&world, 3).await;
        assert_eq!(not_ok(&report), ["target fail"], "{report:#}");
        let check = named(&report, "target")[0];
        assert!(check["found"].as_str().unwrap().starts_with(found), "{check}");
        assert_eq!(check["advice"], advice);
    }
    names_them(&world, &arns);
    world.target_groups.configure(&arns[0], |group| (group.scripted, group.has_listener) = (None, false));
    let report = examined(&world, 0).await;
    assert_eq!(not_ok(&report), ["target warn"], "{report:#}");
    let words = found(&report)[0];
    let expected = "web: no target of it is healthy, i-0000000000000000a as web:8080 is unused (Target.NotInUse): \
                    no listener of a load balancer forwards to the target group";
    assert!(words.starts_with(expected), "{words}");
}
