//! S3, as boto3 reads it.

use std::time::Duration;

use berth_kit::{Fault, World, oracle};
use serde_json::{Value, json};

use super::{answers, call, is_now, one_of_each_of_s3, output};

fn of(operation: &str, key: &str, more: Value) -> Value {
    let mut parameters = json!({ "Bucket": "fleet", "Key": key });
    parameters.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    call("s3", operation, &parameters)
}

/// The status, and the error code if there is one.
fn refusal(answer: &Value) -> (u64, &str) {
    (answer["status"].as_u64().unwrap(), answer["error"]["Code"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn an_object_is_written_read_and_deleted_under_conditions() {
    let world = World::start().await;
    world.s3.create("fleet");
    let etag = world.s3.put("fleet", "there", "one", &[("berth-previous", "abc")]);
    let given = answers(
        &world,
        &[
            of("PutObject", "there", json!({ "Body": "two", "IfNoneMatch": "*" })),
            of("PutObject", "new", json!({ "Body": "two", "IfNoneMatch": "*", "Metadata": { "a": "b" } })),
            of("PutObject", "there", json!({ "Body": "two", "IfMatch": "\"0\"" })),
            of("PutObject", "none", json!({ "Body": "two", "IfMatch": "\"0\"" })),
            of("GetObject", "there", json!({ "IfNoneMatch": etag })),
            of("HeadObject", "there", json!({})),
            of("HeadObject", "new", json!({})),
            of("DeleteObject", "there", json!({ "IfMatch": "\"0\"" })),
            of("DeleteObject", "there", json!({ "IfMatch": etag })),
            of("DeleteObject", "there", json!({ "IfMatch": etag })),
            of("DeleteObject", "there", json!({})),
            of("GetObject", "there", json!({})),
            call("s3", "ListObjectsV2", &json!({ "Bucket": "nowhere" })),
        ],
    );
    assert_eq!(refusal(&given[0]), (412, "PreconditionFailed"));
    assert_eq!(refusal(&given[1]), (200, ""));
    assert_eq!(refusal(&given[2]), (412, "PreconditionFailed"));
    assert_eq!(refusal(&given[3]), (404, "NoSuchKey"));
    assert_eq!(refusal(&given[4]).0, 304);
    let head = output(&given[5]);
    assert_eq!(
        (&head["ETag"], &head["ContentLength"], &head["Metadata"]),
        (&json!(etag), &json!(3), &json!({ "berth-previous": "abc" }))
    );
    is_now(&head["LastModified"]);
    assert_eq!(output(&given[6])["Metadata"], json!({ "a": "b" }));
    let rest: Vec<_> = given[7..].iter().map(refusal).collect();
    assert_eq!(
        rest,
        [
            (412, "PreconditionFailed"),
            (204, ""),
            (404, "NoSuchKey"),
            (204, ""),
            (404, "NoSuchKey"),
            (404, "NoSuchBucket")
        ]
    );
    assert_eq!(
        (world.s3.keys("fleet"), world.s3.object("fleet", "new").unwrap()),
        (vec!["new".to_owned()], "two".into())
    );
    oracle::agree(&world);
}

#[tokio::test]
async fn a_list_comes_in_pages_and_its_keys_in_every_spelling() {
    let world = World::start().await;
    world.s3.create("fleet");
    let keys = ["a/ +%&<>é", "a/b", "a/c//d", "b"];
    for key in keys {
        world.s3.put("fleet", key, "", &[]);
    }
    world.s3.set_page_size(2);
    let list = |more: Value| {
        let mut parameters = json!({ "Bucket": "fleet", "Prefix": "a/" });
        parameters.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        call("s3", "ListObjectsV2", &parameters)
    };
    let first = answers(&world, &[list(json!({}))]);
    let token = output(&first[0])["NextContinuationToken"].clone();
    let second = answers(&world, &[list(json!({ "ContinuationToken": token }))]);
    let listed = [&first[0], &second[0]].map(|page| output(page)["Contents"].as_array().unwrap().clone()).concat();
    assert_eq!(listed.iter().map(|one| one["Key"].as_str().unwrap()).collect::<Vec<_>>(), keys[..3]);
    assert_eq!((&output(&first[0])["IsTruncated"], &output(&second[0])["IsTruncated"]), (&json!(true), &json!(false)));
    oracle::agree(&world);
}

#[tokio::test]
async fn who_may_not_is_told_so_and_who_may_not_list_learns_nothing() {
    let world = World::start().await;
    let calls = one_of_each_of_s3(&world)[..5].to_vec();
    let role = oracle::call(&world, &[])["instance"]["credentials"].clone();
    let with = |others: Value| calls.iter().map(|call| json!([call[0], call[1], call[2], others])).collect::<Vec<_>>();
    let keys = |access: &Value, secret: &Value| {
        with(json!({ "aws_access_key_id": access, "aws_secret_access_key": secret, "aws_session_token": role[2] }))
    };
    let all = |calls: Vec<Value>, expected: (u64, &str)| {
        for (call, answer) in calls.iter().zip(answers(&world, &calls)) {
            assert_eq!(refusal(&answer), expected, "{call}: {answer}");
        }
    };
    all(with(json!({ "unsigned": true })), (403, "AccessDenied"));
    all(keys(&role[0], &json!("wrong")), (403, "SignatureDoesNotMatch"));
    all(keys(&json!("AKIAX"), &role[1]), (403, "InvalidAccessKeyId"));
    let before = world.aws.exchanges().len();
    for (fault, expected) in [
        (Fault::Throttle, (503, "SlowDown")),
        (Fault::ExpiredToken, (400, "ExpiredToken")),
        (Fault::AccessDenied, (403, "AccessDenied")),
        (Fault::Refuses(409, "ConditionalRequestConflict"), (409, "ConditionalRequestConflict")),
    ] {
        world.fault("s3", fault).times(calls.len());
        all(calls.clone(), expected);
    }
    world.s3.create_in("elsewhere", "eu-west-1");
    let elsewhere = answers(&world, &[call("s3", "GetObject", &json!({ "Bucket": "elsewhere", "Key": "x" }))]);
    // boto3 asks where the bucket is, and there the fake is not.
    assert_eq!(elsewhere[0]["output"], Value::Null, "{elsewhere:?}");
    let may = |action: &str| json!({ "Effect": "Allow", "Action": action, "Resource": "*" });
    let policy = |statements: Value| world.iam.enforce(&json!({ "Version": "2012-10-17", "Statement": statements }));
    let none = || of("GetObject", "none", json!({}));
    policy(json!([may("s3:GetObject")]));
    all(vec![none()], (403, "AccessDenied"));
    policy(json!([may("s3:GetObject"), may("s3:ListBucket")]));
    all(vec![none()], (404, "NoSuchKey"));
    all(vec![of("PutObject", "x", json!({ "Body": "" })), of("DeleteObject", "x", json!({}))], (403, "AccessDenied"));
    policy(json!([may("s3:*")]));
    world.aws.set_clock_ahead(Duration::from_secs(600));
    all(vec![none()], (403, "RequestTimeTooSkewed"));
    let verdicts = oracle::judge(&world);
    let wrong: Vec<_> = verdicts[before..].iter().filter(|verdict| !verdict.differences.is_empty()).collect();
    // The requests that boto3 signs for the other region are right, and the fake is not there.
    assert!(wrong.iter().all(|verdict| verdict.operation.contains("unreadable")), "{wrong:#?}");
}
