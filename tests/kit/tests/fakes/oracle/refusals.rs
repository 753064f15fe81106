//! What the services refuse: each for reasons of its own, and all alike.

use std::time::Duration;

use berth_kit::{Fault, World, oracle};
use serde_json::{Value, json};

use super::{answers, call, one_of_each};

#[tokio::test]
async fn what_a_service_refuses_is_an_error_of_that_name() {
    let world = World::start().await;
    world.secrets.put("prod/api", "x");
    world.secrets.put("prod/denied", "x");
    world.secrets.deny("prod/denied");
    world.secrets.put("prod/deleted", "x");
    world.secrets.schedule_deletion("prod/deleted");
    world.parameters.put("/denied", "x");
    world.parameters.deny("/denied");
    let (current, group) = (world.secrets.version_id("prod/api", "AWSCURRENT").unwrap(), world.autoscaling.group());
    let many = |count| (0..count).map(|number| format!("n{number}")).collect::<Vec<_>>();
    let (gone, hook) = (format!("{group}-gone"), "launch");
    let no_group = format!("AutoScalingGroup name not found - AutoScalingGroup '{gone}' not found");
    let cases = [
        (
            "secretsmanager",
            "GetSecretValue",
            json!({ "SecretId": "none" }),
            "ResourceNotFoundException",
            "Secrets Manager can't find the specified secret.",
        ),
        (
            "secretsmanager",
            "GetSecretValue",
            json!({ "SecretId": "prod/api", "VersionStage": "AWSPREVIOUS" }),
            "ResourceNotFoundException",
            "value for staging label: AWSPREVIOUS",
        ),
        (
            "secretsmanager",
            "GetSecretValue",
            json!({ "SecretId": "prod/api", "VersionId": "0".repeat(32) }),
            "ResourceNotFoundException",
            "value for VersionId",
        ),
        (
            "secretsmanager",
            "GetSecretValue",
            json!({ "SecretId": "prod/api", "VersionId": current, "VersionStage": "X" }),
            "InvalidRequestException",
            "not associated",
        ),
        (
            "secretsmanager",
            "GetSecretValue",
            json!({ "SecretId": "prod/deleted" }),
            "InvalidRequestException",
            "marked for deletion",
        ),
        (
            "secretsmanager",
            "GetSecretValue",
            json!({ "SecretId": "prod/denied" }),
            "AccessDeniedException",
            "is not authorized to perform: secretsmanager:GetSecretValue on resource: arn:",
        ),
        (
            "secretsmanager",
            "BatchGetSecretValue",
            json!({ "SecretIdList": ["x"], "MaxResults": 1 }),
            "InvalidParameterException",
            "MaxResults",
        ),
        (
            "ssm",
            "GetParameters",
            json!({ "Names": ["/denied"] }),
            "AccessDeniedException",
            "ssm:GetParameters on resource",
        ),
        (
            "ssm",
            "GetParameters",
            json!({ "Names": ["/aws/reference/secretsmanager/prod/api"] }),
            "ValidationException",
            "WithDecryption flag must be True",
        ),
        (
            "autoscaling",
            "DescribeLifecycleHooks",
            json!({ "AutoScalingGroupName": gone }),
            "ValidationError",
            &no_group,
        ),
        (
            "autoscaling",
            "CompleteLifecycleAction",
            json!({ "AutoScalingGroupName": gone, "LifecycleHookName": hook, "InstanceId": world.instance_id,
                "LifecycleActionResult": "CONTINUE" }),
            "ValidationError",
            &no_group,
        ),
        (
            "autoscaling",
            "RecordLifecycleActionHeartbeat",
            json!({ "AutoScalingGroupName": gone, "LifecycleHookName": hook, "InstanceId": world.instance_id }),
            "ValidationError",
            &no_group,
        ),
        (
            "autoscaling",
            "CompleteLifecycleAction",
            json!({ "AutoScalingGroupName": group, "LifecycleHookName": hook, "InstanceId": world.instance_id,
                "LifecycleActionResult": "RETRY" }),
            "ValidationError",
            "must be CONTINUE or ABANDON",
        ),
        (
            "autoscaling",
            "SetInstanceHealth",
            json!({ "InstanceId": "i-0000000000000000f", "HealthStatus": "Unhealthy" }),
            "ValidationError",
            "No managed instance found for instance ID: i-0000000000000000f",
        ),
        (
            "autoscaling",
            "SetInstanceHealth",
            json!({ "InstanceId": world.instance_id, "HealthStatus": "Ill" }),
            "ValidationError",
            "Valid instance health states are: [Healthy, Unhealthy].",
        ),
    ];
    let calls: Vec<Value> =
        cases.iter().map(|(service, operation, input, ..)| call(service, operation, input)).collect();
    let modeled = ["ResourceNotFoundException", "InvalidRequestException", "InvalidParameterException"];
    for ((service, operation, input, code, words), answer) in cases.iter().zip(answers(&world, &calls)) {
        let shown = format!("{service} {operation} {input}: {answer}");
        assert_eq!((&answer["status"], &answer["error"]["Code"]), (&json!(400), &json!(code)), "{shown}");
        assert!(!modeled.contains(code) || answer["class"] == *code, "{shown}");
        assert!(answer["error"]["Message"].as_str().unwrap().contains(words), "{shown}");
    }
    oracle::agree(&world);

    // The model forbids these, too: what is judged is the answer.
    let cases = [
        ("secretsmanager", "GetSecretValue", json!({ "SecretId": "" }), "ValidationException"),
        ("secretsmanager", "BatchGetSecretValue", json!({ "SecretIdList": many(21) }), "ValidationException"),
        ("secretsmanager", "BatchGetSecretValue", json!({ "SecretIdList": [] }), "ValidationException"),
        ("ssm", "GetParameters", json!({ "Names": many(11) }), "ValidationException"),
        ("ssm", "GetParameters", json!({ "Names": [] }), "ValidationException"),
        ("autoscaling", "CompleteLifecycleAction", json!({ "LifecycleHookName": hook }), "ValidationError"),
        ("autoscaling", "DescribeLifecycleHooks", json!({}), "ValidationError"),
    ];
    let before = world.aws.exchanges().len();
    let calls: Vec<Value> =
        cases.iter().map(|(service, operation, input, _)| call(service, operation, input)).collect();
    for (case, answer) in cases.iter().zip(answers(&world, &calls)) {
        assert_eq!((&answer["status"], &answer["error"]["Code"]), (&json!(400), &json!(case.3)), "{case:?}: {answer}");
    }
    for verdict in &oracle::judge(&world)[before..] {
        assert!(verdict.differences.iter().any(|one| one.starts_with("request")), "{verdict:?}");
        assert!(!verdict.differences.iter().any(|one| one.starts_with("answer")), "{verdict:?}");
    }
}

/// Calls that are all refused: for JSON 1.1 with 400 and the first code, for Query with the status and code beside it, in these words.
type Refused<'a> = (Vec<Value>, &'a str, (u16, &'a str), &'a str);

#[track_caller]
fn all_are_refused(world: &World, refused: &[Refused<'_>]) {
    let calls: Vec<Value> = refused.iter().flat_map(|(calls, ..)| calls.clone()).collect();
    let mut answers = answers(world, &calls).into_iter();
    for (calls, json, query, words) in refused {
        for call in calls {
            let answer = answers.next().unwrap();
            let of_query = call[0] == "autoscaling" || call[0] == "elbv2";
            let (status, code) = if of_query { *query } else { (400, *json) };
            let shown = format!("{call}: {answer}");
            assert_eq!((&answer["status"], &answer["error"]["Code"]), (&json!(status), &json!(code)), "{shown}");
            assert!(answer["error"]["Message"].as_str().unwrap().contains(words), "{shown}");
            assert_eq!(answer["error"]["Type"].as_str(), of_query.then_some("Sender"), "{shown}");
        }
    }
}

#[tokio::test]
async fn what_every_service_refuses_alike_is_an_error_of_its_protocol() {
    let world = World::start().await;
    world.secrets.put("prod/api", "x");
    let calls = one_of_each(&world);
    let role = oracle::call(&world, &[])["instance"]["credentials"].clone();
    let with = |others: Value| calls.iter().map(|call| json!([call[0], call[1], call[2], others])).collect::<Vec<_>>();
    let keys = |access: &Value, secret: &Value, token: &Value| {
        with(json!({ "aws_access_key_id": access, "aws_secret_access_key": secret, "aws_session_token": token }))
    };

    let forged = ("InvalidSignatureException", (403, "SignatureDoesNotMatch"));
    let unknown = ("UnrecognizedClientException", (403, "InvalidClientTokenId"));
    let invalid = "The security token included in the request is invalid";
    let signature = "The request signature we calculated does not match";
    let unsigned = ("MissingAuthenticationTokenException", (403, "MissingAuthenticationToken"));
    let elsewhere = with(json!({ "region_name": "eu-west-1" }));
    all_are_refused(
        &world,
        &[
            (with(json!({ "unsigned": true })), unsigned.0, unsigned.1, "Missing"),
            (elsewhere, forged.0, forged.1, "Credential should be scoped to a valid region."),
            (keys(&role[0], &json!("wrong"), &role[2]), forged.0, forged.1, signature),
            (keys(&json!("AKIAX"), &role[1], &role[2]), unknown.0, unknown.1, invalid),
            (keys(&role[0], &role[1], &json!("another")), unknown.0, unknown.1, invalid),
        ],
    );
    let before = world.aws.exchanges().len();

    let denied = ("AccessDeniedException", (403, "AccessDenied"));
    let policy = |statements: Value| world.iam.enforce(&json!({ "Version": "2012-10-17", "Statement": statements }));
    policy(json!([]));
    all_are_refused(
        &world,
        &[
            (calls[..2].into(), denied.0, denied.1, "is not authorized to perform: secretsmanager:"),
            (calls[3..4].into(), denied.0, denied.1, "is not authorized to perform: ecr:GetAuthorizationToken"),
            (calls[4..6].into(), denied.0, denied.1, "is not authorized to perform: autoscaling:"),
            (calls[6..].into(), denied.0, denied.1, "is not authorized to perform: elasticloadbalancing:"),
        ],
    );
    policy(json!([{ "Effect": "Allow", "Action": "*", "Resource": "*" }]));

    let expired = ("ExpiredTokenException", (403, "ExpiredToken"));
    let over = "The security token included in the request is expired";
    let faults = [
        (Fault::Throttle, "ThrottlingException", (400, "Throttling"), "Rate exceeded"),
        (Fault::AccessDenied, denied.0, denied.1, "is not authorized to perform"),
        (Fault::ExpiredToken, expired.0, expired.1, over),
    ];
    for (fault, ..) in &faults {
        let secrets = ["secretsmanager GetSecretValue", "secretsmanager BatchGetSecretValue"];
        for service in secrets.into_iter().chain(["ssm", "ecr", "elasticloadbalancing"]) {
            world.fault(service, fault.clone());
        }
        world.fault("autoscaling", fault.clone()).times(2);
    }
    all_are_refused(&world, &faults.map(|(_, json, query, words)| (calls.clone(), json, query, words)));

    world.imds.expire_credentials();
    all_are_refused(&world, &[(keys(&role[0], &role[1], &role[2]), expired.0, expired.1, over)]);
    let minutes = Duration::from_secs(600);
    world.aws.set_clock_ahead(minutes);
    all_are_refused(&world, &[(calls.clone(), forged.0, forged.1, "Signature expired: ")]);
    world.aws.set_clock_behind(minutes);
    all_are_refused(&world, &[(calls.clone(), forged.0, forged.1, "Signature not yet current: ")]);

    let verdicts = oracle::judge(&world);
    let (strangers, role) = verdicts.split_at(before);
    let of_answers = strangers.iter().flat_map(|verdict| &verdict.differences).filter(|one| one.starts_with("answer"));
    assert_eq!(of_answers.collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(!role.is_empty() && !strangers.is_empty());
    assert!(role.iter().all(|verdict| verdict.differences.is_empty()), "{role:#?}");
}
