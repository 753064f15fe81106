//! What the agent asks of the load balancer, and how it takes the answers.

use std::time::Duration;

use berth::io::aws::{autoscaling, load_balancing};
use berth_core::message::error::ErrorClass;
use berth_core::message::target::{GroupFacts, Target, TargetHealth, TargetHealthState};
use berth_kit::World;
use berth_kit::target_group::TargetGroup;

use crate::services::{Balanced, Services, on_moto_and_kit};

on_moto_and_kit!(
    an_instance_registers_itself_and_leaves,
    what_a_target_group_refuses_has_its_class,
    a_group_s_own_target_groups_are_found,
);

const PORT: u16 = 20_001;

fn target_of(balanced: &Balanced) -> Target {
    Target { target_group: balanced.target_group.clone(), port: PORT }
}

async fn an_instance_registers_itself_and_leaves(services: &impl Services) {
    let (aws, balanced) = (services.aws().await, services.balance().await);
    let (target, id) = (target_of(&balanced), &balanced.instance_id);
    let health = async || load_balancing::health(&aws, &target.target_group, id, &[PORT]).await.unwrap();
    let unused = TargetHealth {
        description: Some("Target is not registered to the target group".to_owned()),
        ..TargetHealth::of(TargetHealthState::Unused).because("Target.NotRegistered")
    };
    assert_eq!(health().await, [(PORT, unused)]);
    load_balancing::register(&aws, &target, id).await.unwrap();
    load_balancing::register(&aws, &target, id).await.unwrap();
    let registered = health().await;
    assert!(registered[0].1.is_good() && registered[0].1.is_registered(), "{registered:?}");
    load_balancing::deregister(&aws, &target, id).await.unwrap();
    // A second time moto answers `InvalidTarget`, where AWS says that the action returns successfully.
    load_balancing::deregister(&aws, &target, id).await.unwrap();
    assert!(!health().await[0].1.is_registered());
    assert_eq!(load_balancing::delay(&aws, &target.target_group).await.unwrap(), balanced.delay);
}

async fn what_a_target_group_refuses_has_its_class(services: &impl Services) {
    let (aws, balanced) = (services.aws().await, services.balance().await);
    let (target, id) = (target_of(&balanced), &balanced.instance_id);
    let gone = Target { target_group: target.target_group.replace("targetgroup/", "targetgroup/gone-"), port: PORT };
    let refused = load_balancing::register(&aws, &gone, id).await.unwrap_err();
    assert_eq!(refused.class, ErrorClass::Broken, "{refused}");
    let refused = load_balancing::health(&aws, &gone.target_group, id, &[PORT]).await.unwrap_err();
    assert_eq!(refused.class(), ErrorClass::Broken, "{refused}");
    load_balancing::deregister(&aws, &gone, id).await.unwrap();
    services.stop(&balanced).await;
    let refused = load_balancing::register(&aws, &target, id).await.unwrap_err();
    assert_eq!(refused.class, ErrorClass::Transient, "the instance may be about to run: {refused}");
}

async fn a_group_s_own_target_groups_are_found(services: &impl Services) {
    let (membership, balanced) = (services.join_group().await, services.balance().await);
    let aws = services.aws().await;
    let facts = async || autoscaling::describe_group(&aws, &membership.group, &membership.instance_id).await.unwrap();
    assert_eq!(facts().await, GroupFacts::default());
    services.attach(&membership, &balanced).await;
    assert_eq!(facts().await.target_groups, [balanced.target_group]);
    let nowhere = autoscaling::describe_group(&aws, "no-such-group", &membership.instance_id).await.unwrap();
    assert_eq!(nowhere, GroupFacts::default());
}

#[tokio::test]
async fn a_target_that_leaves_is_draining_and_a_shifted_one_is_good() {
    let world = World::start().await;
    let arn = world.target_groups.create(TargetGroup { zonal_shift: true, ..TargetGroup::http("web", 8080) });
    let (aws, id) = (world.aws().await, &world.instance_id);
    let target = Target { target_group: arn.clone(), port: PORT };
    load_balancing::register(&aws, &target, id).await.unwrap();
    let [(_, health)] = &load_balancing::health(&aws, &arn, id, &[PORT]).await.unwrap()[..] else { panic!("one") };
    assert!(health.is_shifted && health.is_good() && health.is_registered(), "{health}");
    load_balancing::deregister(&aws, &target, id).await.unwrap();
    let [(_, health)] = &load_balancing::health(&aws, &arn, id, &[PORT]).await.unwrap()[..] else { panic!("one") };
    assert_eq!(health.state, TargetHealthState::Draining, "{health}");
    assert!(!health.is_registered() && !health.is_unused());
    assert_eq!(load_balancing::delay(&aws, &arn).await.unwrap(), Duration::from_secs(300));
}

#[tokio::test]
async fn an_instance_knows_its_place_among_those_that_are_launched() {
    let world = World::builder().pending().start().await;
    let aws = world.aws().await;
    let group = world.autoscaling.group();
    let facts = autoscaling::describe_group(&aws, group, &world.instance_id).await.unwrap();
    assert_eq!((facts.launching, facts.before), (1, 0));
    let facts = autoscaling::describe_group(&aws, group, "i-ffffffffffffffff0").await.unwrap();
    assert_eq!((facts.launching, facts.before), (1, 1), "the other comes before this one");
}
