//! What the agent asks of its group, and says to it.

use std::collections::BTreeSet;

use berth::io::aws::autoscaling::{self, GroupHook, GroupInstance, HookAnswer};
use berth_core::message::error::ErrorClass;
use berth_core::message::group::{HookName, HookResult, Transition};
use berth_kit::World;

use crate::moto::client_of;
use crate::server::{Server, answer};
use crate::services::{HEARTBEAT, Services, on_moto_and_kit};

on_moto_and_kit!(
    an_instance_finds_its_group_and_the_group_s_hooks,
    an_unknown_instance_is_in_no_group,
    an_instance_is_called_unhealthy,
);

async fn an_instance_finds_its_group_and_the_group_s_hooks(services: &impl Services) {
    let membership = services.join_group().await;
    let aws = services.aws().await;
    let instance = autoscaling::describe_instance(&aws, &membership.instance_id).await.unwrap().unwrap();
    assert_eq!(instance, GroupInstance { group: membership.group, lifecycle_state: "InService".into() });
    let hooks = autoscaling::hooks(&aws, &instance.group).await.unwrap();
    let hook = |name: &str, transition| GroupHook { name: name.into(), transition, timeout: Some(HEARTBEAT) };
    assert_eq!(hooks, [hook("launch", Transition::Launching), hook("terminate", Transition::Terminating)]);
}

async fn an_unknown_instance_is_in_no_group(services: &impl Services) {
    let aws = services.aws().await;
    assert_eq!(autoscaling::describe_instance(&aws, "i-0000000000000000f").await.unwrap(), None);
    let error = autoscaling::set_unhealthy(&aws, "i-0000000000000000f").await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Broken, "{error}");
}

async fn an_instance_is_called_unhealthy(services: &impl Services) {
    let membership = services.join_group().await;
    assert!(services.is_healthy(&membership).await);
    autoscaling::set_unhealthy(&services.aws().await, &membership.instance_id).await.unwrap();
    assert!(!services.is_healthy(&membership).await);
}

/// moto answers completions and heartbeats with an error page, and holds no instance.
fn hook_of(world: &World, hook: &str) -> HookName {
    HookName { group: world.autoscaling.group().into(), hook: hook.into() }
}

#[tokio::test]
async fn a_hook_is_active_between_its_wait_and_its_completion() {
    let world = World::builder().pending().start().await;
    let (aws, id, hook) = (world.aws().await, &world.instance_id, hook_of(&world, "launch"));
    let complete = || autoscaling::complete(&aws, &hook, id, HookResult::Continue);
    assert_eq!(autoscaling::heartbeat(&aws, &hook, id).await.unwrap(), HookAnswer::NotActive, "too early");
    assert_eq!(complete().await.unwrap(), HookAnswer::NotActive, "too early");
    world.autoscaling.enter_wait();
    let waiting = autoscaling::describe_instance(&aws, id).await.unwrap().unwrap();
    assert_eq!(waiting.lifecycle_state, "Pending:Wait");
    assert_eq!(autoscaling::heartbeat(&aws, &hook, id).await.unwrap(), HookAnswer::Done);
    world.autoscaling.refuse_although_active(1);
    assert_eq!(complete().await.unwrap(), HookAnswer::NotActive, "the group is behind its own word");
    assert_eq!(complete().await.unwrap(), HookAnswer::Done);
    assert_eq!(complete().await.unwrap(), HookAnswer::NotActive, "it is over");
    assert_eq!(world.autoscaling.heartbeats(), 1);
    assert_eq!(world.autoscaling.state().unwrap(), "InService");
    world
        .journal
        .in_order(&["CompleteLifecycleAction CONTINUE launch 400", "CompleteLifecycleAction CONTINUE launch 200"]);
}

#[tokio::test]
async fn an_abandoned_launch_is_terminated() {
    let world = World::start().await;
    let hook = hook_of(&world, "launch");
    let answer = autoscaling::complete(&world.aws().await, &hook, &world.instance_id, HookResult::Abandon).await;
    assert_eq!(answer.unwrap(), HookAnswer::Done);
    assert_eq!(world.autoscaling.state().unwrap(), "Terminating");
}

#[tokio::test]
async fn a_group_that_is_not_there_is_no_hook_that_is_not_active() {
    let world = World::start().await;
    let (aws, elsewhere) = (world.aws().await, HookName { group: "other".into(), hook: "launch".into() });
    let error = autoscaling::heartbeat(&aws, &elsewhere, &world.instance_id).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Broken);
    assert_eq!(
        error.to_string(),
        "autoscaling:RecordLifecycleActionHeartbeat failed with 400 Bad Request ValidationError: \
         AutoScalingGroup name not found - AutoScalingGroup 'other' not found"
    );
    // moto knows no hooks of it, and says so with a good status.
    assert_eq!(autoscaling::hooks(&aws, "other").await.unwrap_err().class(), ErrorClass::Broken);
}

#[tokio::test]
async fn a_completion_says_what_the_api_wants_to_know() {
    let server = Server::start(|seen| {
        let action = String::from_utf8_lossy(&seen.body).split(['=', '&']).nth(1).map(str::to_owned);
        answer(200, format!("<{}Response/>", action.unwrap()))
    })
    .await;
    let aws = client_of(&server.base);
    let hook = HookName { group: "web & api".into(), hook: "boot".into() };
    assert_eq!(autoscaling::complete(&aws, &hook, "i-0123", HookResult::Abandon).await.unwrap(), HookAnswer::Done);
    assert_eq!(autoscaling::heartbeat(&aws, &hook, "i-0123").await.unwrap(), HookAnswer::Done);
    autoscaling::set_unhealthy(&aws, "i-0123").await.unwrap();
    let parameters = |body: &str| body.split('&').map(str::to_owned).collect::<BTreeSet<_>>();
    let bodies: Vec<_> =
        server.seen().iter().map(|seen| parameters(std::str::from_utf8(&seen.body).unwrap())).collect();
    let of_hook = "AutoScalingGroupName=web%20%26%20api&LifecycleHookName=boot&InstanceId=i-0123";
    assert_eq!(
        bodies,
        [
            format!("Action=CompleteLifecycleAction&Version=2011-01-01&{of_hook}&LifecycleActionResult=ABANDON"),
            format!("Action=RecordLifecycleActionHeartbeat&Version=2011-01-01&{of_hook}"),
            "Action=SetInstanceHealth&Version=2011-01-01&InstanceId=i-0123&HealthStatus=Unhealthy&ShouldRespectGracePeriod=false".into(),
        ]
        .map(|body| parameters(&body))
    );
}
