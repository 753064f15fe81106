//! What the fakes answer, boto3 reads as it was meant, and botocore's models of the services allow it.

use std::time::UNIX_EPOCH;

use berth_kit::{World, clock, oracle};
use serde_json::{Value, json};

mod answers;
mod models;
mod refusals;
mod s3;
mod target_groups;

/// What boto3 made of each answer.
fn answers(world: &World, calls: &[Value]) -> Vec<Value> {
    oracle::call(world, calls)["calls"].as_array().unwrap().clone()
}

fn call(service: &str, operation: &str, parameters: &Value) -> Value {
    json!([service, operation, parameters, {}])
}

/// That boto3 read a moment, and one of these last seconds.
#[track_caller]
fn is_now(value: &Value) {
    let seconds = value["seconds"].as_f64().unwrap_or_else(|| panic!("{value} is no moment"));
    let now = clock::wall().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((now - 60.0..=now + 1.0).contains(&seconds), "{seconds} is not {now}");
}

fn output(answer: &Value) -> &Value {
    assert_eq!(answer["status"], 200, "{answer}");
    &answer["output"]
}

/// One good call of each operation of S3, and of STS.
fn one_of_each_of_s3(world: &World) -> Vec<Value> {
    world.s3.create("fleet");
    let object = |more: Value| {
        let mut parameters = json!({ "Bucket": "fleet", "Key": "a b/c:d+é" });
        parameters.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        parameters
    };
    vec![
        call("s3", "PutObject", &object(json!({ "Body": "open sesame", "Metadata": { "berth-previous": "1" } }))),
        call("s3", "GetObject", &object(json!({}))),
        call("s3", "ListObjectsV2", &json!({ "Bucket": "fleet", "Prefix": "a " })),
        call("s3", "GetObject", &json!({ "Bucket": "fleet", "Key": "none" })),
        call("s3", "DeleteObject", &object(json!({}))),
        call("sts", "GetCallerIdentity", &json!({})),
    ]
}

/// One good call of each service.
fn one_of_each(world: &World) -> Vec<Value> {
    vec![
        call("secretsmanager", "GetSecretValue", &json!({ "SecretId": "prod/api" })),
        call("secretsmanager", "BatchGetSecretValue", &json!({ "SecretIdList": ["prod/api"] })),
        call("ssm", "GetParameters", &json!({ "Names": ["/prod/key"] })),
        call("ecr", "GetAuthorizationToken", &json!({})),
        call("autoscaling", "DescribeAutoScalingInstances", &json!({ "InstanceIds": [world.instance_id] })),
        call(
            "autoscaling",
            "SetInstanceHealth",
            &json!({ "InstanceId": world.instance_id, "HealthStatus": "Healthy" }),
        ),
        call("elbv2", "DescribeTargetGroups", &json!({})),
    ]
}
