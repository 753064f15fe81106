//! What the services answer.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use berth_kit::group::{Hook, Transition};
use berth_kit::{World, oracle};
use serde_json::{Value, json};

use super::{answers, call, is_now, output};

#[tokio::test]
async fn the_credentials_and_the_region_are_found_in_the_metadata() {
    let world = World::start().await;
    let instance = oracle::call(&world, &[])["instance"].clone();
    assert_eq!((&instance["region"], &instance["found"]), (&json!("us-east-2"), &json!("iam-role")));
    let [secret_key, token] = world.credential_values().try_into().unwrap();
    assert_eq!((&instance["credentials"][1], &instance["credentials"][2]), (&json!(secret_key), &json!(token)));
    let expires = instance["expires"]["seconds"].as_f64().unwrap();
    is_now(&json!({ "seconds": expires - 6.0 * 3600.0 }));
    let zone = "meta-data/placement/availability-zone/ 200";
    let role = "meta-data/iam/security-credentials/berth-instance-role 200";
    world.journal.in_order(&["PUT token 200", zone, "PUT token 200", "meta-data/iam/security-credentials/ 200", role]);
}

#[tokio::test]
async fn a_secret_is_read_as_it_was_put() {
    let world = World::start().await;
    world.secrets.put("prod/api", "old");
    let old = world.secrets.version_id("prod/api", "AWSCURRENT").unwrap();
    let arn = world.secrets.put("prod/api", "n\u{e9}w \u{1f511} \"quoted\"");
    let new = world.secrets.version_id("prod/api", "AWSCURRENT").unwrap();
    let binary_arn = world.secrets.put_binary("prod/key", b"\x00\xff\x7f");
    let get = |parameters: Value| call("secretsmanager", "GetSecretValue", &parameters);
    let answers = answers(
        &world,
        &[
            get(json!({ "SecretId": "prod/api" })),
            get(json!({ "SecretId": arn })),
            get(json!({ "SecretId": arn.rsplit_once('-').unwrap().0 })),
            get(json!({ "SecretId": "prod/api", "VersionStage": "AWSPREVIOUS" })),
            get(json!({ "SecretId": "prod/api", "VersionId": old })),
            get(json!({ "SecretId": "prod/key" })),
        ],
    );
    let mut read: Vec<Value> = answers.iter().map(|answer| output(answer).clone()).collect();
    for answer in &mut read {
        is_now(&answer.as_object_mut().unwrap().remove("CreatedDate").unwrap());
    }
    let current = json!({
        "ARN": arn, "Name": "prod/api", "VersionId": new, "VersionStages": ["AWSCURRENT"],
        "SecretString": "n\u{e9}w \u{1f511} \"quoted\"",
    });
    let previous = json!({
        "ARN": arn, "Name": "prod/api", "VersionId": old, "VersionStages": ["AWSPREVIOUS"], "SecretString": "old",
    });
    let binary = json!({
        "ARN": binary_arn, "Name": "prod/key", "VersionStages": ["AWSCURRENT"], "SecretBinary": { "bytes": [0, 255, 127] },
        "VersionId": world.secrets.version_id("prod/key", "AWSCURRENT").unwrap(),
    });
    assert_eq!(read, [current.clone(), current.clone(), current, previous.clone(), previous, binary]);
    oracle::agree(&world);
}

#[tokio::test]
async fn a_batch_has_its_values_and_its_errors() {
    let world = World::start().await;
    let arns = ["a", "b", "c", "d"].map(|name| world.secrets.put(name, name));
    world.secrets.deny("b");
    world.secrets.schedule_deletion("c");
    let batch = json!({ "SecretIdList": ["a", "b", "c", arns[3], "none"] });
    let all = json!({ "SecretIdList": ["a", arns[3]] });
    let answers = answers(&world, &[batch, all].map(|input| call("secretsmanager", "BatchGetSecretValue", &input)));
    let (mixed, whole) = (output(&answers[0]), output(&answers[1]));
    for answer in [mixed, whole] {
        let mut values: Vec<_> = answer["SecretValues"].as_array().unwrap().iter().collect();
        values.sort_by_key(|value| value["Name"].as_str().unwrap());
        let names: Vec<_> = values.iter().map(|value| (&value["ARN"], &value["SecretString"])).collect();
        assert_eq!(names, [(&json!(arns[0]), &json!("a")), (&json!(arns[3]), &json!("d"))]);
        values.iter().for_each(|value| is_now(&value["CreatedDate"]));
    }
    assert_eq!(whole["Errors"], json!([]));
    let errors = mixed["Errors"].as_array().unwrap();
    let read: Vec<_> = errors.iter().map(|error| (&error["SecretId"], &error["ErrorCode"])).collect();
    assert_eq!(
        read,
        [
            (&json!("b"), &json!("AccessDeniedException")),
            (&json!("c"), &json!("InvalidRequestException")),
            (&json!("none"), &json!("ResourceNotFoundException"))
        ]
    );
    assert!(
        errors.iter().all(|error| error["Message"].as_str().is_some_and(|message| !message.is_empty())),
        "{errors:?}"
    );
    oracle::agree(&world);
}

#[tokio::test]
async fn a_parameter_is_read_as_it_was_put() {
    let world = World::start().await;
    world.parameters.put("/prod/plain", "first");
    let arn = world.parameters.put("/prod/plain", "second");
    let sealed = world.parameters.put_secure("/prod/sealed", "open sesame");
    let list = world.parameters.put_list("hosts", &["a", "b"]);
    let secret = world.secrets.put("prod/api", "of Secrets Manager");
    world.secrets.put_binary("prod/bytes", b"\x00");
    let names = json!([
        "/prod/plain",
        "/prod/plain:1",
        "/prod/sealed",
        list,
        "/none",
        "/aws/reference/secretsmanager/prod/api",
        "/aws/reference/secretsmanager/prod/api:AWSCURRENT"
    ]);
    let get = |names: &Value, decrypted| {
        call("ssm", "GetParameters", &json!({ "Names": names, "WithDecryption": decrypted }))
    };
    let bytes = json!(["/aws/reference/secretsmanager/prod/bytes"]);
    let answers = answers(&world, &[get(&names, true), get(&json!(["/prod/sealed"]), false), get(&bytes, true)]);
    let mut answer = output(&answers[0]).clone();
    let parameters = answer["Parameters"].as_array_mut().unwrap();
    let mut sources = Vec::new();
    for parameter in parameters.iter_mut() {
        let parameter = parameter.as_object_mut().unwrap();
        is_now(&parameter.remove("LastModifiedDate").unwrap());
        sources.extend(parameter.remove("SourceResult"));
    }
    parameters.sort_by_key(|parameter| (parameter["Name"].to_string(), parameter["Selector"].to_string()));
    let parameter = |arn: &str, name: &str, kind: &str, value: &str, others: Value| {
        let mut parameter = json!({ "ARN": arn, "DataType": "text", "Name": name, "Type": kind, "Value": value });
        parameter.as_object_mut().unwrap().extend(others.as_object().unwrap().clone());
        parameter
    };
    let reference = "/aws/reference/secretsmanager/prod/api";
    assert_eq!(
        *parameters,
        [
            parameter(&secret, reference, "SecureString", "of Secrets Manager", json!({ "Selector": ":AWSCURRENT" })),
            parameter(&secret, reference, "SecureString", "of Secrets Manager", json!({})),
            parameter(&arn, "/prod/plain", "String", "first", json!({ "Version": 1, "Selector": ":1" })),
            parameter(&arn, "/prod/plain", "String", "second", json!({ "Version": 2 })),
            parameter(&sealed, "/prod/sealed", "SecureString", "open sesame", json!({ "Version": 1 })),
            parameter(&list, "hosts", "StringList", "a,b", json!({ "Version": 1 })),
        ]
    );
    assert_eq!(answer["InvalidParameters"], json!(["/none"]));
    assert!(
        sources.len() == 2 && sources.iter().all(|source| source.as_str().unwrap().contains(&secret)),
        "{sources:?}"
    );
    assert_ne!(output(&answers[1])["Parameters"][0]["Value"], "open sesame");
    assert_eq!(output(&answers[1])["InvalidParameters"], json!([]));
    oracle::agree(&world);
}

#[tokio::test]
async fn a_login_for_the_registry_is_one() {
    let world = World::start().await;
    let answers = answers(&world, &[call("ecr", "GetAuthorizationToken", &json!({}))]);
    let data = &output(&answers[0])["authorizationData"][0];
    assert_eq!(data["proxyEndpoint"], "https://123456789012.dkr.ecr.us-east-2.amazonaws.com");
    is_now(&json!({ "seconds": data["expiresAt"]["seconds"].as_f64().unwrap() - 12.0 * 3600.0 }));
    let login = BASE64_STANDARD.decode(data["authorizationToken"].as_str().unwrap()).unwrap();
    assert_eq!(String::from_utf8(login).unwrap(), format!("AWS:{}", world.ecr.password()));
    oracle::agree(&world);
}

fn hook(name: &str, transition: Transition, seconds: u64, default_result: &str) -> Hook {
    Hook {
        name: name.into(),
        transition,
        heartbeat_timeout: Duration::from_secs(seconds),
        default_result: default_result.into(),
    }
}

#[tokio::test]
async fn a_group_and_its_hooks_are_read_as_they_are() {
    let hooks = vec![
        hook("up", Transition::Launching, 30, "ABANDON"),
        hook("down/1-a_b", Transition::Terminating, 7200, "CONTINUE"),
    ];
    let world = World::builder().hooks(hooks).start().await;
    let (group, id) = (world.autoscaling.group(), world.instance_id.as_str());
    let describe = |ids: Value| call("autoscaling", "DescribeAutoScalingInstances", &json!({ "InstanceIds": ids }));
    let answers = answers(
        &world,
        &[
            describe(json!([id])),
            describe(json!([id, "i-0000000000000000f"])),
            describe(json!(["i-0000000000000000f"])),
            call("autoscaling", "DescribeLifecycleHooks", &json!({ "AutoScalingGroupName": group })),
            call(
                "autoscaling",
                "SetInstanceHealth",
                &json!({
                "InstanceId": id, "HealthStatus": "Unhealthy", "ShouldRespectGracePeriod": false }),
            ),
            call("autoscaling", "DescribeAutoScalingInstances", &json!({})),
        ],
    );
    let instance = |health: &str| {
        json!({ "AutoScalingInstances": [{
            "InstanceId": id, "AutoScalingGroupName": group, "AvailabilityZone": "us-east-2a", "HealthStatus": health,
            "LifecycleState": "Pending:Wait", "ProtectedFromScaleIn": false,
        }] })
    };
    let hook = |name: &str, transition: &str, timeout: u64, result: &str| {
        json!({
            "LifecycleHookName": name, "AutoScalingGroupName": group, "LifecycleTransition": transition,
            "HeartbeatTimeout": timeout, "GlobalTimeout": (timeout * 100).min(172_800), "DefaultResult": result,
        })
    };
    let hooks = json!({ "LifecycleHooks": [
        hook("up", "autoscaling:EC2_INSTANCE_LAUNCHING", 30, "ABANDON"),
        hook("down/1-a_b", "autoscaling:EC2_INSTANCE_TERMINATING", 7200, "CONTINUE"),
    ] });
    let none = json!({ "AutoScalingInstances": [] });
    let read: Vec<&Value> = answers.iter().map(output).collect();
    let healthy = instance("HEALTHY");
    assert_eq!(read, [&healthy, &healthy, &none, &hooks, &json!({}), &instance("UNHEALTHY")]);
    oracle::agree(&world);
}

#[tokio::test]
async fn a_hook_is_completed_once_and_refused_before_and_after() {
    let world = World::builder().pending().start().await;
    let of = json!({ "AutoScalingGroupName": world.autoscaling.group(), "LifecycleHookName": "launch",
        "InstanceId": world.instance_id });
    let mut result = of.clone();
    result["LifecycleActionResult"] = json!("CONTINUE");
    let both = [
        call("autoscaling", "RecordLifecycleActionHeartbeat", &of),
        call("autoscaling", "CompleteLifecycleAction", &result),
    ];
    let not_active = json!({
        "status": 400, "class": "ClientError",
        "error": { "Type": "Sender", "Code": "ValidationError",
            "Message": format!("No active Lifecycle Action found with instance ID {}", world.instance_id) },
    });
    let done = json!({ "status": 200, "output": {} });
    assert_eq!(answers(&world, &both), [not_active.clone(), not_active.clone()], "too early");
    world.autoscaling.enter_wait();
    assert_eq!(answers(&world, &both), [done.clone(), done]);
    assert_eq!(answers(&world, &both), [not_active.clone(), not_active], "it is over");
    assert_eq!((world.autoscaling.state().as_deref(), world.autoscaling.heartbeats()), (Some("InService"), 1));
    oracle::agree(&world);
}
