//! What the agent asks of its group, and says to it.

use std::time::Duration;

use berth::edge::autoscaling::{self, Answer, GroupHook, GroupInstance, Transition};
use berth::edge::http::Http;
use berth::effect::{HookName, HookResult};
use berth::fault::Class;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use crate::moto;
use crate::server::{Server, answer};
use crate::services::{Moto, Services, client_of};

/// What an operator would do, in the API's own form.
async fn operate(base: &str, form: &str) -> String {
    let request = Request::post(base)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("authorization", "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-2/autoscaling/aws4_request, SignedHeaders=host, Signature=0")
        .body(Full::new(Bytes::from(format!("{form}&Version=2011-01-01"))))
        .unwrap();
    let answer = Http::default().send(request, Duration::from_secs(20), 1 << 20).await.unwrap();
    let text = String::from_utf8(answer.body().to_vec()).unwrap();
    assert_eq!(answer.status(), 200, "{text}");
    text
}

#[tokio::test]
async fn moto_tells_the_group_its_hooks_and_takes_the_health() {
    let base = moto::base();
    operate(
        &base,
        "Action=CreateLaunchConfiguration&LaunchConfigurationName=lc&ImageId=ami-12345678&InstanceType=t3.micro",
    )
    .await;
    operate(&base, "Action=CreateAutoScalingGroup&AutoScalingGroupName=web%20%26%20api&LaunchConfigurationName=lc&MinSize=1&MaxSize=1&DesiredCapacity=1&AvailabilityZones.member.1=us-east-2a").await;
    for (hook, transition) in [("boot", "LAUNCHING"), ("drain", "TERMINATING")] {
        operate(&base, &format!("Action=PutLifecycleHook&AutoScalingGroupName=web%20%26%20api&LifecycleHookName={hook}&HeartbeatTimeout=90&LifecycleTransition=autoscaling:EC2_INSTANCE_{transition}")).await;
    }
    let listed = operate(&base, "Action=DescribeAutoScalingInstances").await;
    let id = listed.split("<InstanceId>").nth(1).unwrap().split('<').next().unwrap();

    let aws = Moto.aws();
    let instance = autoscaling::describe_instance(&aws, id).await.unwrap().unwrap();
    assert_eq!(instance, GroupInstance { group: "web & api".into(), lifecycle_state: "InService".into() });
    assert_eq!(autoscaling::describe_instance(&aws, "i-0000000000000000f").await.unwrap(), None);
    let hooks = autoscaling::hooks(&aws, &instance.group).await.unwrap();
    let hook =
        |name: &str, transition| GroupHook { name: name.into(), transition, timeout: Some(Duration::from_secs(90)) };
    assert_eq!(hooks, [hook("boot", Transition::Launching), hook("drain", Transition::Terminating)]);
    autoscaling::set_unhealthy(&aws, id).await.unwrap();
    assert!(
        operate(&base, "Action=DescribeAutoScalingInstances").await.contains("<HealthStatus>Unhealthy</HealthStatus>")
    );
}

#[tokio::test]
async fn a_completion_says_what_the_api_wants_to_know() {
    let server = Server::start(|_| answer(200, "<CompleteLifecycleActionResponse/>")).await;
    let aws = client_of(&server.base);
    let hook = HookName { group: "web & api".into(), hook: "boot".into() };
    assert_eq!(autoscaling::complete(&aws, &hook, "i-0123", HookResult::Abandon).await.unwrap(), Answer::Done);
    assert_eq!(autoscaling::heartbeat(&aws, &hook, "i-0123").await.unwrap(), Answer::Done);
    autoscaling::set_unhealthy(&aws, "i-0123").await.unwrap();
    let bodies: Vec<_> = server.seen().iter().map(|seen| String::from_utf8(seen.body.to_vec()).unwrap()).collect();
    let of_hook = "AutoScalingGroupName=web%20%26%20api&LifecycleHookName=boot&InstanceId=i-0123";
    assert_eq!(
        bodies,
        [
            format!("Action=CompleteLifecycleAction&Version=2011-01-01&{of_hook}&LifecycleActionResult=ABANDON"),
            format!("Action=RecordLifecycleActionHeartbeat&Version=2011-01-01&{of_hook}"),
            "Action=SetInstanceHealth&Version=2011-01-01&InstanceId=i-0123&HealthStatus=Unhealthy&ShouldRespectGracePeriod=false".into(),
        ]
    );
}

const NOT_ACTIVE: &str = "<ErrorResponse xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\"><Error><Type>Sender</Type>\
    <Code>ValidationError</Code><Message>No active Lifecycle Action found with instance ID i-0123</Message></Error>\
    <RequestId>x</RequestId></ErrorResponse>";

#[tokio::test]
async fn no_active_lifecycle_action_is_an_answer() {
    let server = Server::start(|_| answer(400, NOT_ACTIVE)).await;
    let aws = client_of(&server.base);
    let hook = HookName { group: "g".into(), hook: "h".into() };
    assert_eq!(autoscaling::complete(&aws, &hook, "i-0123", HookResult::Continue).await.unwrap(), Answer::NotActive);
    assert_eq!(autoscaling::heartbeat(&aws, &hook, "i-0123").await.unwrap(), Answer::NotActive);
}

#[tokio::test]
async fn another_validation_error_is_none() {
    let server =
        Server::start(|_| answer(400, NOT_ACTIVE.replace("No active Lifecycle Action found", "No such group"))).await;
    let hook = HookName { group: "g".into(), hook: "h".into() };
    let error = autoscaling::heartbeat(&client_of(&server.base), &hook, "i-0123").await.unwrap_err();
    assert_eq!(error.class(), Class::Broken);
    assert_eq!(
        error.to_string(),
        "autoscaling:RecordLifecycleActionHeartbeat failed with 400 Bad Request ValidationError: No such group with instance ID i-0123"
    );
}

#[tokio::test]
async fn contention_and_pages_of_an_ill_service_pass() {
    for (status, body) in [
        (500, "<!doctype html><html>oops</html>".to_owned()),
        (400, NOT_ACTIVE.replace("ValidationError", "Throttling")),
        (400, NOT_ACTIVE.replace("ValidationError", "ResourceContentionFault")),
    ] {
        let server = Server::start(move |_| answer(status, body.clone())).await;
        let error = autoscaling::set_unhealthy(&client_of(&server.base), "i-0123").await.unwrap_err();
        assert_eq!(error.class(), Class::Transient, "{error}");
    }
}

#[tokio::test]
async fn an_answer_without_the_list_does_not_say_that_there_is_no_group() {
    let server = Server::start(|_| answer(200, "<html></html>")).await;
    let error = autoscaling::describe_instance(&client_of(&server.base), "i-0123").await.unwrap_err();
    assert_eq!(error.class(), Class::Transient);
}
