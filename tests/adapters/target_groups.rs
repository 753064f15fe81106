//! The load balancer's control plane of moto and of the kit, as boto3 meets them both.

use serde_json::{Value, json};

use crate::services::{Balanced, Services, on_moto_and_kit};

on_moto_and_kit!(
    a_target_is_registered_found_healthy_and_deregistered,
    what_is_not_there_or_does_not_run_is_refused,
    a_target_group_says_where_it_looks,
    a_group_says_which_target_groups_it_attaches,
);

fn of(balanced: &Balanced) -> Value {
    json!({ "TargetGroupArn": balanced.target_group, "Targets": [{ "Id": balanced.instance_id, "Port": 20_001 }] })
}

fn ask(operation: &str, parameters: &Value) -> Value {
    json!(["elbv2", operation, parameters, {}])
}

fn output(answer: &Value) -> &Value {
    assert_eq!(answer["status"], 200, "{answer}");
    &answer["output"]
}

async fn a_target_is_registered_found_healthy_and_deregistered(services: &impl Services) {
    let balanced = services.balance().await;
    let of = of(&balanced);
    let all = json!({ "TargetGroupArn": balanced.target_group });
    let operations = ["DescribeTargetHealth", "RegisterTargets", "RegisterTargets", "DescribeTargetHealth"];
    let mut calls: Vec<Value> = operations.iter().map(|operation| ask(operation, &of)).collect();
    calls.push(ask("DescribeTargetHealth", &all));
    // A second time moto answers `InvalidTarget`, where AWS says that the action returns successfully.
    let after = ["DeregisterTargets", "DescribeTargetHealth"];
    calls.extend(after.iter().map(|operation| ask(operation, &of)));
    calls.push(ask("DescribeTargetHealth", &all));
    let answers = services.boto3(&calls).await;
    let health = |at: usize| {
        let described = &output(&answers[at])["TargetHealthDescriptions"];
        assert_eq!(described.as_array().unwrap().len(), 1, "{described}");
        (described[0]["Target"].clone(), described[0]["TargetHealth"].clone())
    };
    let target = json!({ "Id": balanced.instance_id, "Port": 20_001 });
    let unused = json!({ "State": "unused", "Reason": "Target.NotRegistered",
        "Description": "Target is not registered to the target group" });
    let healthy = json!({ "State": "healthy" });
    assert_eq!(health(0), (target.clone(), unused.clone()));
    assert_eq!(health(3), (target.clone(), healthy.clone()));
    assert_eq!(health(4), (target.clone(), healthy));
    assert_eq!(health(6), (target, unused));
    assert_eq!(output(&answers[7])["TargetHealthDescriptions"], json!([]));
    for at in [1, 2, 5] {
        assert_eq!(output(&answers[at]), &json!({}));
    }
}

async fn what_is_not_there_or_does_not_run_is_refused(services: &impl Services) {
    let balanced = services.balance().await;
    services.stop(&balanced).await;
    let gone = Balanced {
        target_group: format!("{}0", balanced.target_group.replace("targetgroup/", "targetgroup/gone-")),
        instance_id: balanced.instance_id.clone(),
        delay: balanced.delay,
    };
    let operations = ["RegisterTargets", "DeregisterTargets", "DescribeTargetHealth"];
    let mut calls: Vec<Value> = operations.iter().map(|operation| ask(operation, &of(&gone))).collect();
    calls.push(ask("DescribeTargetGroups", &json!({ "TargetGroupArns": [gone.target_group] })));
    calls.push(ask("RegisterTargets", &of(&balanced)));
    let answers = services.boto3(&calls).await;
    let not_found =
        json!({ "Type": "Sender", "Code": "TargetGroupNotFound", "Message": "One or more target groups not found" });
    for answer in &answers[..4] {
        assert_eq!((&answer["status"], &answer["error"]), (&json!(400), &not_found));
    }
    let message = format!(
        "The following targets are not in a running state and cannot be registered: '{}'",
        balanced.instance_id
    );
    let stopped = json!({ "Type": "Sender", "Code": "InvalidTarget", "Message": message });
    assert_eq!((&answers[4]["status"], &answers[4]["error"]), (&json!(400), &stopped));
}

async fn a_target_group_says_where_it_looks(services: &impl Services) {
    let balanced = services.balance().await;
    let by_arn = json!({ "TargetGroupArns": [balanced.target_group] });
    let of_one = json!({ "TargetGroupArn": balanced.target_group });
    let calls = [ask("DescribeTargetGroups", &by_arn), ask("DescribeTargetGroupAttributes", &of_one)];
    let answers = services.boto3(&calls).await;
    let mut attributes = output(&answers[1])["Attributes"].as_array().unwrap().iter();
    let delay = attributes.find(|one| one["Key"] == "deregistration_delay.timeout_seconds").expect("a delay");
    assert!(delay["Value"].as_str().unwrap().parse::<u16>().is_ok(), "{delay}");
    let groups = &output(&answers[0])["TargetGroups"];
    assert_eq!(groups.as_array().unwrap().len(), 1, "{groups}");
    let group = &groups[0];
    assert_eq!(group["LoadBalancerArns"].as_array().unwrap().len(), 1, "{group}");
    for (name, value) in [
        ("TargetGroupArn", json!(balanced.target_group)),
        ("Protocol", json!("HTTP")),
        ("Port", json!(8080)),
        ("TargetType", json!("instance")),
        ("HealthCheckEnabled", json!(true)),
        ("HealthCheckPath", json!("/ready")),
        ("HealthCheckPort", json!("traffic-port")),
        ("HealthCheckProtocol", json!("HTTP")),
        ("Matcher", json!({ "HttpCode": "200" })),
    ] {
        assert_eq!(group[name], value, "{name} of {group}");
    }
}

async fn a_group_says_which_target_groups_it_attaches(services: &impl Services) {
    let (membership, balanced) = (services.join_group().await, services.balance().await);
    let describe =
        json!(["autoscaling", "DescribeAutoScalingGroups", { "AutoScalingGroupNames": [membership.group] }, {}]);
    let attached = async || {
        let answers = services.boto3(std::slice::from_ref(&describe)).await;
        let groups = &output(&answers[0])["AutoScalingGroups"];
        assert_eq!(groups.as_array().unwrap().len(), 1, "{groups}");
        // moto has no `TrafficSources`.
        groups[0]["TargetGroupARNs"].clone()
    };
    assert_eq!(attached().await, json!([]));
    services.attach(&membership, &balanced).await;
    assert_eq!(attached().await, json!([balanced.target_group]));
}
