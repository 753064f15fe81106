//! The oracle is worth as much as what it finds: exchanges that are right, each with one thing made wrong.

use berth_kit::exchange::Exchange;
use berth_kit::target_group::{Health, TargetGroup};
use berth_kit::{World, oracle};
use bytes::Bytes;
use serde_json::json;

use super::{answers, call, one_of_each, one_of_each_of_s3};

/// A good exchange of each kind, to be changed.
async fn exchanges() -> (World, Vec<Exchange>) {
    let world = World::start().await;
    world.secrets.put("prod/api", "x");
    world.parameters.put("/prod/key", "x");
    let of = json!({ "AutoScalingGroupName": world.autoscaling.group(), "LifecycleHookName": "launch",
        "InstanceId": world.instance_id });
    let mut calls = one_of_each(&world);
    calls.push(call("autoscaling", "RecordLifecycleActionHeartbeat", &of));
    calls.push(call("secretsmanager", "GetSecretValue", &json!({ "SecretId": "none" })));
    let balanced = TargetGroup { scripted: Some(Health::timeout()), ..TargetGroup::http("api", 8080) };
    let arn = world.target_groups.create(balanced);
    let of = json!({ "TargetGroupArn": arn, "Targets": [{ "Id": world.instance_id, "Port": 20_001 }] });
    calls.extend(["RegisterTargets", "DescribeTargetHealth"].map(|operation| call("elbv2", operation, &of)));
    calls.push(call(
        "elbv2",
        "DeregisterTargets",
        &json!({ "TargetGroupArn": "arn:aws:gone", "Targets": [{ "Id": "i-0" }] }),
    ));
    calls.push(call("autoscaling", "DescribeAutoScalingGroups", &json!({})));
    calls.extend(one_of_each_of_s3(&world));
    answers(&world, &calls);
    let exchanges = world.aws.exchanges();
    let verdicts = oracle::judge(&world);
    assert_eq!(verdicts.len(), calls.len());
    assert!(verdicts.iter().all(|verdict| verdict.differences.is_empty()));
    (world, exchanges)
}

/// The exchange of this number with `from` made `to`, in the bodies and the headers of the request and the answer.
fn changed(exchange: &Exchange, from: &str, to: &str) -> Exchange {
    let replaced = |body: &Bytes| Bytes::from(String::from_utf8_lossy(body).replace(from, to));
    let mut changed = exchange.clone();
    *changed.request.body_mut() = replaced(exchange.request.body());
    let answer = changed.answer.as_mut().unwrap();
    for value in changed.request.headers_mut().values_mut().chain(answer.headers_mut().values_mut()) {
        *value = value.to_str().unwrap().replace(from, to).parse().unwrap();
    }
    *answer.body_mut() = replaced(exchange.answer.as_ref().unwrap().body());
    assert_ne!(format!("{changed:?}"), format!("{exchange:?}"), "there is no {from}");
    changed
}

#[tokio::test]
async fn what_a_model_does_not_allow_is_found() {
    let (world, good) = exchanges().await;
    let (get, batch, parameters, token, instances, health, groups) = (0, 1, 2, 3, 4, 5, 6);
    let (heartbeat, missing, register, targets, gone, attached) = (7, 8, 9, 10, 11, 12);
    let (put, object, list, no_object, delete, identity) = (13, 14, 15, 16, 17, 18);
    let long = format!("\"{}\"", "x".repeat(2049));
    let unknown = "UnknownException";
    let cases = [
        // Requests: the wrong name, type, length, pattern, enum, headers, envelope.
        (
            get,
            "\"SecretId\"",
            "\"SecretID\"",
            "request: Parameter validation failed:\nMissing required parameter in input: \"SecretId\"",
        ),
        (
            get,
            "\"prod/api\"}",
            "\"prod/api\", \"Name\": 1}",
            "request: the body is {'SecretId': 'prod/api', 'Name': 1}",
        ),
        (get, "\"prod/api\"}", "7}", "request: Parameter validation failed:\nInvalid type for parameter SecretId"),
        (get, "\"prod/api\"}", "\"\"}", "Invalid length for parameter SecretId, value: 0, valid min length: 1"),
        (get, "\"prod/api\"}", &format!("{long}}}"), "request.SecretId is longer than 2048"),
        (
            batch,
            "}",
            ", \"Filters\": [{\"Key\": \"colour\"}]}",
            "request.Filters[0].Key is 'colour', not one of ['description'",
        ),
        (batch, "[\"prod/api\"]", "\"prod/api\"", "request: the body is"),
        (
            parameters,
            "\"/prod/key\"]",
            "\"/prod/key\"], \"WithDecryption\": \"true\"",
            "Invalid type for parameter WithDecryption",
        ),
        (token, "{}", "{\"registryIds\": [\"12345\"]}", "request.registryIds[0] does not match [0-9]{12}"),
        (token, "x-amz-json-1.1", "x-amz-json-1.0", "request: Content-Type is application/x-amz-json-1.0"),
        (token, "_V20150921.", "_V20151110.", "request: X-Amz-Target is AmazonEC2ContainerRegistry_V20151110.GetAuth"),
        (token, "/ecr/aws4", "/ssm/aws4", "OperationNotFoundError: GetAuthorizationToken"),
        (instances, "2011-01-01", "2011-01-02", "request: the body is"),
        (instances, ".member.1", ".1", "request: the body is"),
        (instances, "DescribeAutoScalingInstances", "DescribeAutoScalingInstance", "OperationNotFoundError"),
        (
            heartbeat,
            "LifecycleHookName=launch",
            "LifecycleHookName=la%20unch",
            "request.LifecycleHookName does not match",
        ),
        (heartbeat, "&LifecycleHookName=launch", "", "Missing required parameter in input: \"LifecycleHookName\""),
        (health, "=Healthy", "=Healthy&ShouldRespectGracePeriod=False", "request: the body is"),
        // Answers: the wrong name, type, moment, envelope, status, code.
        (get, "\"ARN\"", "\"Arn\"", "answer: answer has no member Arn"),
        (
            get,
            "\"CreatedDate\":",
            "\"CreatedDate\":\"2026-01-01T00:00:00Z\",\"X\":",
            "answer: answer.CreatedDate is no number",
        ),
        (get, "\"SecretString\":\"x\"", "\"SecretString\":null", "answer: answer.SecretString is null"),
        (get, "\"SecretString\"", "\"SecretBinary\"", "Error"),
        (parameters, "\"Version\":1", "\"Version\":\"1\"", "Invalid type for parameter Parameters[0].Version"),
        (parameters, "\"String\"", "\"Text\"", "answer: answer.Parameters[0].Type is 'Text', not one of"),
        (
            instances,
            "<HealthStatus>HEALTHY</HealthStatus>",
            "",
            "answer: Missing required parameter in AutoScalingInstances[0]: \"HealthStatus\"",
        ),
        (instances, "false", "False", "ProtectedFromScaleIn is False"),
        (instances, "member>", "item>", "answer: answer.AutoScalingInstances[0] is {"),
        (
            health,
            "<ResponseMetadata>",
            "<SetInstanceHealthResult/><ResponseMetadata>",
            "answer: {http://autoscaling.amazonaws.com",
        ),
        (
            missing,
            "ResourceNotFoundException",
            unknown,
            "answer: UnknownException is neither an error of GetSecretValue nor a common one",
        ),
        (
            missing,
            "ResourceNotFoundException",
            "InternalServiceError",
            "answer: InternalServiceError comes with 500, not with 400",
        ),
        (missing, "\"Message\"", "\"message\"", "answer: ResourceNotFoundException has no member message"),
        // The same of the target groups.
        (register, "member.1.Id", "member.1.ID", "Missing required parameter in Targets[0]: \"Id\""),
        (register, "Port=20001", "Port=70000", "request.Targets[0].Port is more than 65535"),
        (register, "Port=20001", "Port=0", "Invalid value for parameter Targets[0].Port, value: 0, valid min value: 1"),
        (register, "2015-12-01", "2012-06-01", "request: the body is"),
        (register, "/elasticloadbalancing/aws4", "/autoscaling/aws4", "OperationNotFoundError: RegisterTargets"),
        (register, "RegisterTargetsResult", "RegisterTargetResult", "answer: KeyError: 'RegisterTargetsResult'"),
        (
            targets,
            "<State>unhealthy",
            "<State>ill",
            "answer.TargetHealthDescriptions[0].TargetHealth.State is 'ill', not",
        ),
        (targets, "Target.Timeout", "Target.TimedOut", "TargetHealth.Reason is 'Target.TimedOut', not one of"),
        (targets, "no_override", "none", "AdministrativeOverride.State is 'none', not one of"),
        (targets, "<Port>20001", "<Port>x", "ValueError"),
        (targets, "HealthCheckPort>", "CheckPort>", "answer.TargetHealthDescriptions[0] has no member {http"),
        (groups, "<HealthCheckEnabled>true", "<HealthCheckEnabled>True", "HealthCheckEnabled is True"),
        (groups, "<HealthCheckIntervalSeconds>5", "<HealthCheckIntervalSeconds>1", "value: 1, valid min value: 5"),
        (
            gone,
            "TargetGroupNotFound",
            "TargetGroupNotFoundException",
            "neither an error of DeregisterTargets nor a common one",
        ),
        (
            attached,
            "<HealthCheckType>EC2</HealthCheckType>",
            "",
            "Missing required parameter in AutoScalingGroups[0]: \"HealthCheck",
        ),
        // The same of S3.
        (put, "/s3/aws4", "/ssm/aws4", "KeyError"),
        (put, "open", "shut", "request: x-amz-content-sha256 is not that of the body"),
        (list, "<KeyCount>1", "<KeyCount>one", "ValueError"),
        (
            list,
            "Contents>",
            "Content>",
            "answer: answer has no member {http://s3.amazonaws.com/doc/2006-03-01/}Content",
        ),
        (list, "<Size>11</Size>", "<Length>11</Length>", "answer.Contents has no member"),
        (list, "ListBucketResult", "ListResult", "ListResult, not ListBucketResult"),
        (list, "<IsTruncated>false", "<IsTruncated>no", "answer.IsTruncated is no, not true or false"),
        (
            list,
            "<StorageClass>STANDARD",
            "<StorageClass>USUAL",
            "answer.Contents[0].StorageClass is 'USUAL', not one of",
        ),
        (
            no_object,
            "NoSuchKey",
            "NoSuchObject",
            "answer: NoSuchObject is neither an error of GetObject nor a common one",
        ),
        (object, "GMT", "UTC+x", "Error"),
        (delete, "x-amz-date", "x-amz-data", "Error"),
        (identity, "UserId>", "UserID>", "answer: answer has no member"),
        (attached, "TargetGroupARNs", "TargetGroupArns", "answer.AutoScalingGroups[0] has no member"),
    ];
    let wrong: Vec<Exchange> = cases.iter().map(|(number, from, to, _)| changed(&good[*number], from, to)).collect();
    let mut passed = String::new();
    for ((_, from, to, words), verdict) in cases.iter().zip(oracle::judge_all(&world, &wrong)) {
        if !verdict.differences.iter().any(|difference| difference.contains(words)) {
            passed += &format!("{from} made {to} is not found as {words}: {verdict:#?}\n");
        }
    }
    assert!(passed.is_empty(), "{passed}");
    let other_key = changed(&good[get], "Signature=", "Signature=0");
    let verdicts = oracle::judge_all(&world, &[other_key]);
    assert_eq!(verdicts[0].differences, ["request: botocore computes another signature"]);
}
