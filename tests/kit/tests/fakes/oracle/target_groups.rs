//! The load balancer's control plane, as boto3 reads it.

use std::time::Duration;

use berth_kit::target_group::{Health, Target, TargetGroup};
use berth_kit::{Fault, World, oracle};
use serde_json::{Value, json};

use super::{answers, call, output};

fn ask(operation: &str, parameters: &Value) -> Value {
    call("elbv2", operation, parameters)
}

/// No target of these tests listens: what a check would make of it is not asked for.
fn unchecked(name: &str, port: u16) -> TargetGroup {
    TargetGroup { scripted: Some(Health::HEALTHY), ..TargetGroup::http(name, port) }
}

fn refused(answer: &Value) -> (u64, &str, &str) {
    let text = |name: &str| answer["error"][name].as_str().unwrap_or_else(|| panic!("{answer}"));
    (answer["status"].as_u64().unwrap(), text("Code"), text("Message"))
}

#[tokio::test]
async fn a_target_is_registered_by_its_port_and_must_be_deregistered_by_it() {
    let world = World::start().await;
    let (arn, id) = (world.target_groups.create(unchecked("api", 8080)), world.instance_id.as_str());
    let own = json!({ "TargetGroupArn": arn, "Targets": [{ "Id": id, "Port": 20_001 }] });
    let default = json!({ "TargetGroupArn": arn, "Targets": [{ "Id": id }] });
    let all = json!({ "TargetGroupArn": arn });
    let none = json!({ "TargetGroupArn": arn, "Targets": [] });
    let answers = answers(
        &world,
        &[
            ask("RegisterTargets", &own),
            ask("RegisterTargets", &own),
            ask("DescribeTargetHealth", &all),
            ask("DeregisterTargets", &default),
            ask("DescribeTargetHealth", &own),
            ask("DescribeTargetHealth", &default),
            ask("DeregisterTargets", &own),
            ask("DescribeTargetHealth", &none),
            ask("DeregisterTargets", &own),
        ],
    );
    let described = |port: u16, health: Value| {
        let mut one = json!({ "Target": { "Id": id, "Port": port }, "HealthCheckPort": port.to_string(), "TargetHealth": health });
        if one["TargetHealth"]["Reason"] != "Target.NotRegistered" {
            one["AdministrativeOverride"] = json!({ "State": "no_override",
                "Reason": "AdministrativeOverride.NoOverride", "Description": "No override is currently active on target" });
        }
        json!({ "TargetHealthDescriptions": [one] })
    };
    let healthy = described(20_001, json!({ "State": "healthy" }));
    let unused = described(
        8_080,
        json!({ "State": "unused", "Reason": "Target.NotRegistered",
            "Description": "Target is not registered to the target group" }),
    );
    let draining = described(
        20_001,
        json!({ "State": "draining", "Reason": "Target.DeregistrationInProgress",
            "Description": "Target deregistration is in progress" }),
    );
    let read: Vec<&Value> = answers.iter().map(output).collect();
    let done = json!({});
    assert_eq!(read, [&done, &done, &healthy, &done, &healthy, &unused, &done, &draining, &done]);
    world.target_groups.end_draining(&arn);
    assert_eq!((world.target_groups.targets(&arn), world.target_groups.reused()), (vec![], vec![]));
    let target = format!("{id}:20001");
    world.journal.in_order(&[
        &format!("elasticloadbalancing RegisterTargets api {target} 200"),
        &format!("elasticloadbalancing DeregisterTargets api {id} 200"),
        &format!("elasticloadbalancing DescribeTargetHealth api {target} 200"),
        &format!("elasticloadbalancing DeregisterTargets api {target} 200"),
    ]);
    oracle::agree(&world);
}

#[tokio::test]
async fn a_target_that_comes_back_within_the_delay_is_noted() {
    let world = World::start().await;
    let arn = world.target_groups.create(unchecked("api", 8080));
    let of = json!({ "TargetGroupArn": arn, "Targets": [{ "Id": world.instance_id, "Port": 20_001 }] });
    let [register, deregister] = ["RegisterTargets", "DeregisterTargets"].map(|operation| ask(operation, &of));
    answers(&world, &[register.clone(), deregister.clone()]);
    world.target_groups.end_draining(&arn);
    answers(&world, &[register.clone(), deregister]);
    assert_eq!(world.target_groups.reused(), []);
    answers(&world, &[register]);
    let reused = world.target_groups.reused();
    assert_eq!(reused.len(), 1);
    assert_eq!(
        (&reused[0].target, reused[0].delay),
        (&Target::new(&world.instance_id, 20_001), Duration::from_secs(300))
    );
    assert!(reused[0].after < Duration::from_secs(60));
}

#[tokio::test]
async fn every_state_has_its_words() {
    let world = World::start().await;
    let (arn, id) = (world.target_groups.create(unchecked("api", 8080)), world.instance_id.as_str());
    let target = Target::new(id, 8080);
    let targets = json!({ "TargetGroupArn": arn, "Targets": [{ "Id": id }] });
    output(&answers(&world, &[ask("RegisterTargets", &targets)])[0]);
    let mut described = targets;
    described["Include"] = json!(["All"]);
    let shown = |what: &str| {
        let answer = answers(&world, &[ask("DescribeTargetHealth", &described)]).remove(0);
        let one = output(&answer)["TargetHealthDescriptions"][0].clone();
        let health = world.target_groups.health(&arn, &target);
        let wanted = (json!(health.state), json!(health.reason), json!(health.description));
        let of = |name: &str| one["TargetHealth"][name].clone();
        assert_eq!((of("State"), of("Reason"), of("Description")), wanted, "{what}");
        assert_eq!(one["AnomalyDetection"], json!({ "Result": "normal", "MitigationInEffect": "no" }));
        one
    };
    for health in [
        Health::of("initial", "Elb.RegistrationInProgress", "x"),
        Health::of("initial", "Elb.InitialHealthChecking", "x"),
        Health::code(503),
        Health::timeout(),
        Health::failed(),
        Health::of("unhealthy", "Elb.InternalError", "x"),
        Health::of("unhealthy.draining", "Target.FailedHealthChecks", "x"),
        Health::of("unused", "Target.IpUnusable", "x"),
        Health::of("unavailable", "Elb.InternalError", "x"),
        Health::HEALTHY,
    ] {
        world.target_groups.configure(&arn, |group| group.scripted = Some(health.clone()));
        shown(&format!("{health:?}"));
    }
    world.target_groups.configure(&arn, |group| group.zonal_shift = true);
    assert_eq!(shown("a zonal shift")["AdministrativeOverride"]["State"], "zonal_shift_active");
    world.target_groups.configure(&arn, |group| (group.scripted, group.check.enabled) = (None, false));
    assert_eq!(shown("no checks")["TargetHealth"]["Reason"], "Target.HealthCheckDisabled");
    world.target_groups.stop_instance(id);
    assert_eq!(shown("a stopped instance")["TargetHealth"]["Reason"], "Target.InvalidState");
    world.target_groups.configure(&arn, |group| group.has_listener = false);
    assert_eq!(shown("no listener")["TargetHealth"]["Reason"], "Target.NotInUse");
    oracle::agree(&world);
}

#[tokio::test]
async fn a_target_group_is_read_as_it_was_made() {
    let world = World::start().await;
    let mut tcp = TargetGroup { protocol: "TCP", has_listener: false, ..TargetGroup::http("net", 5432) };
    (tcp.check.path, tcp.check.port) = (None, Some(9000));
    let mut http = TargetGroup::http("api", 8080);
    http.check.codes = 200..=299;
    let (http, tcp) = (world.target_groups.create(http), world.target_groups.create(tcp));
    let describe = |parameters: Value| ask("DescribeTargetGroups", &parameters);
    let calls = [
        describe(json!({ "TargetGroupArns": [http] })),
        describe(json!({ "Names": ["net"] })),
        describe(json!({})),
        describe(json!({ "TargetGroupArns": [http, http.replace("/api/", "/ap/")] })),
        ask("DescribeTargetGroupAttributes", &json!({ "TargetGroupArn": http })),
    ];
    let answers = answers(&world, &calls);
    let [one, other] = [0, 1].map(|at| output(&answers[at])["TargetGroups"][0].clone());
    let wanted = json!({
        "TargetGroupArn": http, "TargetGroupName": "api", "Protocol": "HTTP", "Port": 8080,
        "VpcId": "vpc-0123456789abcdef0", "HealthCheckProtocol": "HTTP", "HealthCheckPort": "traffic-port",
        "HealthCheckEnabled": true, "HealthCheckIntervalSeconds": 5, "HealthCheckTimeoutSeconds": 2,
        "HealthyThresholdCount": 2, "UnhealthyThresholdCount": 2, "HealthCheckPath": "/ready",
        "Matcher": { "HttpCode": "200-299" }, "TargetType": "instance", "ProtocolVersion": "HTTP1", "IpAddressType": "ipv4",
        "LoadBalancerArns": ["arn:aws:elasticloadbalancing:us-east-2:123456789012:loadbalancer/app/api/0123456789abcdef"],
    });
    assert_eq!(one, wanted);
    assert_eq!((&other["TargetGroupArn"], &other["LoadBalancerArns"]), (&json!(tcp), &json!([])));
    assert_eq!((&other["HealthCheckProtocol"], &other["HealthCheckPort"]), (&json!("TCP"), &json!("9000")));
    assert!(other.get("HealthCheckPath").is_none() && other.get("Matcher").is_none(), "{other}");
    assert_eq!(output(&answers[2])["TargetGroups"].as_array().unwrap().len(), 2);
    assert_eq!(refused(&answers[3]), (400, "TargetGroupNotFound", "One or more target groups not found"));
    let attributes = output(&answers[4])["Attributes"].as_array().unwrap();
    let delay = json!({ "Key": "deregistration_delay.timeout_seconds", "Value": "300" });
    assert!(attributes.contains(&delay), "{attributes:?}");
    oracle::agree(&world);
}

#[tokio::test]
async fn what_it_refuses_is_an_error_of_that_name() {
    let world = World::start().await;
    let small = TargetGroup { most_targets: 1, ..unchecked("small", 80) };
    let (arn, id) = (world.target_groups.create(small), world.instance_id.as_str());
    world.target_groups.run_instance("i-0000000000000000a", [127, 0, 0, 1]);
    world.target_groups.stop_instance("i-0000000000000000a");
    let of = |targets: Value| json!({ "TargetGroupArn": arn, "Targets": targets });
    let elsewhere = json!({ "TargetGroupArn": arn.replace("small", "gone"), "Targets": [{ "Id": id }] });
    let not_found = ("TargetGroupNotFound", "One or more target groups not found");
    let cases = [
        ("RegisterTargets", elsewhere.clone(), not_found),
        ("DeregisterTargets", elsewhere.clone(), not_found),
        ("DescribeTargetGroupAttributes", json!({ "TargetGroupArn": elsewhere["TargetGroupArn"] }), not_found),
        ("DescribeTargetHealth", elsewhere, not_found),
        (
            "RegisterTargets",
            of(json!([{ "Id": id }, { "Id": "i-0000000000000000a" }])),
            ("InvalidTarget", "not in a running state and cannot be registered: 'i-0000000000000000a'"),
        ),
        (
            "RegisterTargets",
            of(json!([{ "Id": "i-0000000000000000b" }])),
            ("InvalidTarget", "not in the target group VPC: 'i-0000000000000000b'"),
        ),
        ("RegisterTargets", of(json!([{ "Id": id }, { "Id": id, "Port": 81 }])), ("TooManyTargets", "maximum number")),
        (
            "RegisterTargets",
            of(json!([{ "Id": "10.0.0.1" }])),
            ("ValidationError", "Instance ID '10.0.0.1' is not valid"),
        ),
        (
            "RegisterTargets",
            of(json!([{ "Id": id, "AvailabilityZone": "all" }])),
            ("ValidationError", "You cannot specify an Availability Zone"),
        ),
        (
            "DescribeTargetHealth",
            json!({ "TargetGroupArn": "small" }),
            ("ValidationError", "'small' is not a valid target group ARN"),
        ),
    ];
    let calls: Vec<Value> = cases.iter().map(|(operation, input, _)| ask(operation, input)).collect();
    for ((operation, input, (code, words)), answer) in cases.iter().zip(answers(&world, &calls)) {
        let (status, given, message) = refused(&answer);
        assert_eq!((status, given), (400, *code), "{operation} {input}: {answer}");
        assert!(message.contains(words), "{operation} {input}: {answer}");
    }
    assert_eq!(world.target_groups.targets(&arn), [], "nothing of a call that is refused is done");
    oracle::agree(&world);

    // The model forbids these, too.
    let calls = [
        ask("RegisterTargets", &json!({ "TargetGroupArn": arn })),
        ask("DeregisterTargets", &json!({ "Targets": [{ "Id": id }] })),
        ask("RegisterTargets", &of(json!([{ "Port": 80 }]))),
        ask("RegisterTargets", &of(json!([{ "Id": id, "Port": 0 }]))),
    ];
    for answer in answers(&world, &calls) {
        assert_eq!(refused(&answer).1, "ValidationError");
    }
}

#[tokio::test]
async fn more_calls_than_the_account_has_are_throttled_each_kind_by_its_own_bucket() {
    let world = World::start().await;
    let arn = world.target_groups.create(unchecked("api", 8080));
    let of = json!({ "TargetGroupArn": arn, "Targets": [{ "Id": world.instance_id }] });
    let calls: Vec<Value> = (0..120).map(|_| ask("DeregisterTargets", &of)).collect();
    let answers_of_many = answers(&world, &calls);
    let (good, refusals): (Vec<&Value>, Vec<&Value>) = answers_of_many.iter().partition(|one| one["status"] == 200);
    assert!(good.len() >= 20 && !refusals.is_empty(), "{} and {}", good.len(), refusals.len());
    assert!(answers_of_many[..20].iter().all(|one| one["status"] == 200));
    assert!(refusals.iter().all(|one| refused(one) == (400, "ThrottlingException", "Rate exceeded")));
    assert_eq!(answers(&world, &[ask("DescribeTargetHealth", &of)])[0]["status"], 200, "it has a bucket of its own");
    world.fault("elasticloadbalancing DescribeTargetHealth", Fault::Throttle);
    assert_eq!(refused(&answers(&world, &[ask("DescribeTargetHealth", &of)])[0]), (400, "Throttling", "Rate exceeded"));
    oracle::agree(&world);
}

#[tokio::test]
async fn a_role_may_register_with_the_groups_of_its_policy_and_with_no_others() {
    let world = World::start().await;
    let (own, other) =
        (world.target_groups.create(unchecked("own", 80)), world.target_groups.create(unchecked("other", 80)));
    let statement =
        |action: &[&str], resource: &str| json!({ "Effect": "Allow", "Action": action, "Resource": resource });
    let writes = ["elasticloadbalancing:RegisterTargets", "elasticloadbalancing:DeregisterTargets"];
    world.iam.enforce(&json!({ "Version": "2012-10-17", "Statement": [
        statement(&writes, &own), statement(&["elasticloadbalancing:DescribeTargetHealth"], "*"),
    ] }));
    let of = |arn: &str| json!({ "TargetGroupArn": arn, "Targets": [{ "Id": world.instance_id }] });
    let operations = ["RegisterTargets", "DescribeTargetHealth", "DeregisterTargets"];
    for answer in answers(&world, &operations.map(|operation| ask(operation, &of(&own)))) {
        output(&answer);
    }
    let mut others = answers(&world, &operations.map(|operation| ask(operation, &of(&other))));
    output(&others.remove(1));
    for answer in others {
        let (status, code, message) = refused(&answer);
        assert_eq!((status, code), (403, "AccessDenied"));
        assert!(message.contains(&other), "{message}");
    }
    oracle::agree(&world);
}

#[tokio::test]
async fn a_group_says_which_target_groups_it_attaches() {
    let world = World::start().await;
    let (arn, group) = (world.target_groups.create(unchecked("api", 8080)), world.autoscaling.group());
    let describe =
        |names: Value| call("autoscaling", "DescribeAutoScalingGroups", &json!({ "AutoScalingGroupNames": names }));
    let bare = output(&answers(&world, &[describe(json!([group]))])[0])["AutoScalingGroups"][0].clone();
    assert_eq!((&bare["TargetGroupARNs"], &bare["TrafficSources"]), (&json!([]), &json!([])));
    world.autoscaling.attach(&arn);
    let answers = answers(&world, &[describe(json!([group])), describe(json!(["gone"])), describe(json!([]))]);
    let attached = &output(&answers[0])["AutoScalingGroups"][0];
    assert_eq!((&attached["AutoScalingGroupName"], &attached["TargetGroupARNs"]), (&json!(group), &json!([arn])));
    assert_eq!(attached["TrafficSources"], json!([{ "Identifier": arn, "Type": "elbv2" }]));
    assert_eq!(attached["Instances"][0]["InstanceId"], world.instance_id);
    assert_eq!(output(&answers[1]), &json!({ "AutoScalingGroups": [] }));
    assert_eq!(&output(&answers[2])["AutoScalingGroups"][0], attached);
    oracle::agree(&world);
}
