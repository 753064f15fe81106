//! Objects in S3: read, written and deleted, each under a condition; and the names under a prefix.

use std::collections::BTreeSet;

use berth::io::aws::s3::{self, About, Condition, ObjectName};
use berth_core::message::error::{ErrorClass, JobError};
use berth_core::message::release::ReleaseId;
use futures_util::{StreamExt as _, stream};
use serde_json::json;

use crate::services::{Services, on_moto_and_kit};

on_moto_and_kit!(
    an_object_is_read_again_only_if_it_changed,
    a_write_takes_effect_under_its_condition_alone,
    an_object_is_deleted_only_as_it_was_read,
    a_list_has_every_page,
    what_boto3_wrote_is_read_and_what_is_written_boto3_reads,
    what_does_not_exist_is_named,
);

fn object(bucket: &str, key: &str) -> ObjectName {
    ObjectName { bucket: bucket.to_owned(), key: key.to_owned() }
}

/// Every byte that a signature must encode in its own way, and text that is not ASCII.
const ODD: &str = "a b+c/=&%2B\"'<>~*(é)//:\u{1f511}";

async fn an_object_is_read_again_only_if_it_changed(services: &impl Services) {
    let (aws, at) = (services.aws().await, object(&services.bucket().await, "prod/config"));
    let about = About { previous: Some(ReleaseId::of(b"before")), is_rollback: true };
    let etag = s3::put(&aws, &at, b"one".to_vec(), Condition::None, &about).await.unwrap().unwrap();
    let read = s3::get(&aws, &at, None).await.unwrap().unwrap();
    assert_eq!((&read.body[..], &read.etag, &read.about), (&b"one"[..], &etag, &about));
    assert!(read.age.as_secs() < 60, "{:?}", read.age);
    assert_eq!(s3::get(&aws, &at, Some(&etag)).await.unwrap(), None);
    s3::put(&aws, &at, b"two".to_vec(), Condition::None, &About::default()).await.unwrap().unwrap();
    let read = s3::get(&aws, &at, Some(&etag)).await.unwrap().unwrap();
    assert_eq!((&read.body[..], read.about), (&b"two"[..], About::default()));
    assert_ne!(read.etag, etag);
}

async fn a_write_takes_effect_under_its_condition_alone(services: &impl Services) {
    let (aws, bucket) = (services.aws().await, services.bucket().await);
    let at = object(&bucket, ODD);
    let put = async |text: &str, condition: Condition<'_>| {
        s3::put(&aws, &at, text.as_bytes().to_vec(), condition, &About::default()).await.unwrap()
    };
    assert_eq!(put("over nothing", Condition::Unchanged("\"0123456789abcdef0123456789abcdef\"")).await, None);
    let first = put("first", Condition::Absent).await.unwrap();
    assert_eq!(put("second", Condition::Absent).await, None);
    let second = put("second", Condition::Unchanged(&first)).await.unwrap();
    assert_eq!(put("third", Condition::Unchanged(&first)).await, None);
    assert_eq!(&s3::get(&aws, &at, None).await.unwrap().unwrap().body[..], b"second");
    assert_eq!(s3::list(&aws, &object(&bucket, "")).await.unwrap(), [ODD]);
    assert!(s3::delete(&aws, &at, Condition::Unchanged(&second)).await.unwrap());
    assert!(put("empty", Condition::Absent).await.is_some());
}

async fn an_object_is_deleted_only_as_it_was_read(services: &impl Services) {
    let (aws, at) = (services.aws().await, object(&services.bucket().await, "lock"));
    let put = async |text: &str| {
        s3::put(&aws, &at, text.as_bytes().to_vec(), Condition::None, &About::default()).await.unwrap().unwrap()
    };
    let (old, new) = (put("old").await, put("new").await);
    assert!(!s3::delete(&aws, &at, Condition::Unchanged(&old)).await.unwrap());
    assert!(s3::get(&aws, &at, None).await.is_ok());
    assert!(s3::delete(&aws, &at, Condition::Unchanged(&new)).await.unwrap());
    assert!(s3::get(&aws, &at, None).await.unwrap_err().is_missing());
    assert!(s3::delete(&aws, &at, Condition::None).await.unwrap(), "without a condition there is nothing to lose");
}

async fn a_list_has_every_page(services: &impl Services) {
    let (aws, bucket) = (services.aws().await, services.bucket().await);
    let names: BTreeSet<String> = (0..1_050).map(|number| format!("ok/AROA:i-{number:017x}")).collect();
    let keys = names.iter().map(|name| format!("p/r/{name}")).chain(["p/r2/x".to_owned(), "p/q".to_owned()]);
    let put = async |key: String| {
        s3::put(&aws, &object(&bucket, &key), Vec::new(), Condition::None, &About::default()).await.unwrap();
    };
    stream::iter(keys).for_each_concurrent(16, put).await;
    let listed = s3::list(&aws, &object(&bucket, "p/r/")).await.unwrap();
    assert_eq!(listed.len(), names.len());
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), names);
    assert!(s3::list(&aws, &object(&bucket, "none/")).await.unwrap().is_empty());
}

async fn what_boto3_wrote_is_read_and_what_is_written_boto3_reads(services: &impl Services) {
    let (aws, bucket) = (services.aws().await, services.bucket().await);
    let previous = ReleaseId::of(b"before");
    let written = object(&bucket, "by/us");
    let about = About { previous: Some(previous.clone()), is_rollback: true };
    s3::put(&aws, &written, b"ours".to_vec(), Condition::Absent, &about).await.unwrap().unwrap();
    let answers = services
        .boto3(&[
            json!(["s3", "PutObject", { "Bucket": bucket, "Key": ODD, "Body": "theirs", "Metadata": { "berth-previous": previous.0 } }, {}]),
            json!(["s3", "HeadObject", { "Bucket": bucket, "Key": "by/us" }, {}]),
            json!(["s3", "ListObjectsV2", { "Bucket": bucket, "Prefix": "by/" }, {}]),
        ])
        .await;
    let theirs = s3::get(&aws, &object(&bucket, ODD), None).await.unwrap().unwrap();
    assert_eq!(
        (&theirs.body[..], theirs.about),
        (&b"theirs"[..], About { previous: Some(previous.clone()), is_rollback: false })
    );
    assert_eq!(answers[0]["output"]["ETag"], *theirs.etag);
    assert_eq!(answers[1]["output"]["Metadata"], json!({ "berth-previous": previous.0, "berth-rollback": "true" }));
    assert_eq!(answers[2]["output"]["Contents"][0]["Key"], "by/us");
}

async fn what_does_not_exist_is_named(services: &impl Services) {
    let (aws, bucket) = (services.aws().await, services.bucket().await);
    let error = s3::get(&aws, &object(&bucket, "none"), None).await.unwrap_err();
    assert!(error.is_missing());
    let error = JobError::from(error);
    assert_eq!(error.class, ErrorClass::Broken, "{error}");
    let start = format!("s3://{bucket}/none: s3:GetObject failed with 404 Not Found NoSuchKey: ");
    assert!(error.reason.starts_with(&start), "{error}");
    let nowhere = object(&format!("{bucket}-none"), "x");
    for error in [
        s3::get(&aws, &nowhere, None).await.unwrap_err(),
        s3::put(&aws, &nowhere, Vec::new(), Condition::Absent, &About::default()).await.unwrap_err(),
        s3::put(&aws, &nowhere, Vec::new(), Condition::Unchanged("\"x\""), &About::default()).await.unwrap_err(),
        s3::delete(&aws, &nowhere, Condition::None).await.unwrap_err(),
        s3::list(&aws, &nowhere).await.unwrap_err(),
    ] {
        assert!(!error.is_missing() && error.class() == ErrorClass::Broken, "{error:?}");
        assert!(JobError::from(error).reason.contains("NoSuchBucket"));
    }
}
