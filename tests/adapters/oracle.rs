//! Every request that the adapters send, over their whole range, is one that botocore's models allow; so is every answer of the kit.

use std::collections::BTreeMap;

use berth::io::aws::s3::{self, About, Condition, ObjectName};
use berth::io::{aws::autoscaling, aws::ecr, aws::load_balancing, aws::secrets, aws::sts};
use berth_config::{RegistryAuth, SecretRef, SecretsAs};
use berth_core::message::group::{HookName, HookResult};
use berth_core::message::release::ReleaseId;
use berth_core::message::target::Target;
use berth_kit::target_group::TargetGroup;
use berth_kit::{Fault, World, oracle};

use crate::services::Services;

/// Every operation that the agent calls. A new one needs a call in [`the_requests_are_those_of_botocore_s_models`].
const OPERATIONS: [&str; 19] = [
    "autoscaling CompleteLifecycleAction",
    "autoscaling DescribeAutoScalingGroups",
    "autoscaling DescribeAutoScalingInstances",
    "autoscaling DescribeLifecycleHooks",
    "autoscaling RecordLifecycleActionHeartbeat",
    "autoscaling SetInstanceHealth",
    "ecr GetAuthorizationToken",
    "elasticloadbalancing DeregisterTargets",
    "elasticloadbalancing DescribeTargetGroupAttributes",
    "elasticloadbalancing DescribeTargetHealth",
    "elasticloadbalancing RegisterTargets",
    "s3 DeleteObject",
    "s3 GetObject",
    "s3 ListObjectsV2",
    "s3 PutObject",
    "secretsmanager BatchGetSecretValue",
    "secretsmanager GetSecretValue",
    "ssm GetParameters",
    "sts GetCallerIdentity",
];

/// Text that needs every escape of JSON, of a form and of XML.
const ODD: &str = "a+b c/=&%2B\"\\<>'~é\u{1f511}";

fn references(texts: &[String]) -> Vec<SecretRef> {
    texts.iter().map(|text| SecretRef::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))).collect()
}

/// By name, by ARN, in another region, by version; one alone, two, and more than a call takes.
async fn ask_for_secrets(world: &World) {
    let aws = world.aws().await;
    let arn = world.secrets.put("prod/api", r#"{"A":"1"}"#);
    let version = world.secrets.version_id("prod/api", "AWSCURRENT").unwrap();
    let parameter = world.parameters.put_secure("/prod/key", r#"{"B":"2"}"#);
    let mut many: Vec<String> = Vec::new();
    for number in 0..23 {
        let value = format!(r#"{{"KEY{number}":"{number}"}}"#);
        world.secrets.put(&format!("many/s+{number}=@."), &value);
        world.parameters.put(&format!("/many/p-{number}"), &value);
        many.extend([format!("many/s+{number}=@."), format!("ssm:/many/p-{number}")]);
    }
    let elsewhere = |arn: &str| arn.replace("us-east-2", "eu-west-1");
    let of_version = [
        format!("{arn}::AWSPREVIOUS:"),
        format!("{arn}:::{version}"),
        "ssm:/prod/key:1".to_owned(),
        "ssm:/prod/key:label".to_owned(),
        "ssm:/aws/reference/secretsmanager/prod/api".to_owned(),
    ];
    // The longest and the shortest that a config takes.
    let text = |count| "x".repeat(count);
    let at_limits = [
        text(1),
        text(512),
        format!("{arn}::{}:", text(256)),
        format!("{arn}:::{}", text(32)),
        format!("{arn}:::{}", text(64)),
        "ssm:x".to_owned(),
        format!("ssm:/{}:{}", text(1010), text(100)),
        format!("arn:aws:ssm:us-east-2:123456789012:parameter/{}:{}", text(1010), text(100)),
    ];
    let in_regions = [arn.clone(), elsewhere(&arn), parameter.clone(), elsewhere(&parameter)];
    for asked in
        [&["prod/api".to_owned()][..], &["prod/api".to_owned(), arn], &many, &of_version, &at_limits, &in_regions]
    {
        // Some are not there: that, too, is an answer.
        let _ = secrets::fetch_named(&aws, &references(asked), &BTreeMap::new(), SecretsAs::Env).await;
    }
    for pointer in ["secretsmanager:prod/api", "ssm:/prod/key"] {
        secrets::fetch_versioned(&aws, &SecretRef::parse(pointer).unwrap()).await.unwrap();
    }
    let login = RegistryAuth::Secret(SecretRef::parse("prod/api").unwrap());
    let _ = ecr::log_in(&aws, "registry.example.com", &login).await;
}

async fn ask_for_logins(world: &World) {
    let aws = world.aws().await;
    for region in ["us-east-2", "eu-west-1"] {
        let host = format!("123456789012.dkr.ecr.{region}.amazonaws.com");
        ecr::log_in(&aws, &host, &RegistryAuth::Auto).await.unwrap().unwrap();
    }
}

async fn talk_to_the_group(world: &World) {
    let (aws, id) = (world.aws().await, &world.instance_id);
    let group = world.autoscaling.group().to_owned();
    autoscaling::describe_instance(&aws, id).await.unwrap().unwrap();
    autoscaling::hooks(&aws, &group).await.unwrap();
    autoscaling::hooks(&aws, ODD).await.unwrap_err();
    autoscaling::set_unhealthy(&aws, id).await.unwrap();
    let longest = "h".repeat(255);
    for (group, hook, is_there) in [(&*group, "launch", true), (ODD, "a-b_c/1", false), (ODD, &longest, false)] {
        let hook = HookName { group: group.into(), hook: hook.into() };
        assert_eq!(autoscaling::heartbeat(&aws, &hook, id).await.is_ok(), is_there);
        for result in [HookResult::Continue, HookResult::Abandon] {
            assert_eq!(autoscaling::complete(&aws, &hook, id, result).await.is_ok(), is_there);
        }
    }
}

async fn talk_to_the_load_balancer(world: &World) {
    let (aws, id) = (world.aws().await, &world.instance_id);
    let target_group = world.target_groups.create(TargetGroup::http("web", 8080));
    autoscaling::describe_group(&aws, world.autoscaling.group(), id).await.unwrap();
    autoscaling::describe_group(&aws, ODD, id).await.unwrap();
    load_balancing::delay(&aws, &target_group).await.unwrap();
    for port in [1, 20_001, 65_535] {
        let target = Target { target_group: target_group.clone(), port };
        load_balancing::register(&aws, &target, id).await.unwrap();
        load_balancing::health(&aws, &target_group, id, &[port]).await.unwrap();
        load_balancing::deregister(&aws, &target, id).await.unwrap();
    }
    let many: Vec<u16> = (20_000..20_032).collect();
    assert_eq!(load_balancing::health(&aws, &target_group, id, &many).await.unwrap().len(), many.len());
}

/// Every condition, with and without metadata, keys of every kind, and all pages.
async fn use_a_bucket(world: &World) {
    let aws = world.aws().await;
    world.s3.create("fleet");
    let object = |key: &str| ObjectName { bucket: "fleet".to_owned(), key: key.to_owned() };
    let about = About { previous: Some(ReleaseId::of(b"x")), is_rollback: true };
    for key in ["prod/api/locks/0", ODD, "a//b/./../c", "~-._"] {
        let put = async |body: &str, condition: Condition<'_>, about: &About| {
            s3::put(&aws, &object(key), body.into(), condition, about).await.unwrap()
        };
        let etag = put("one", Condition::Absent, &about).await.unwrap();
        assert_eq!(put("two", Condition::Absent, &about).await, None);
        assert_eq!(put("two", Condition::Unchanged("\"0\""), &About::default()).await, None);
        assert_eq!(s3::get(&aws, &object(key), Some(&etag)).await.unwrap(), None);
        assert!(s3::get(&aws, &object(key), Some("\"0\"")).await.unwrap().is_some());
        put("", Condition::None, &About::default()).await.unwrap();
        assert!(!s3::delete(&aws, &object(key), Condition::Unchanged(&etag)).await.unwrap());
    }
    world.s3.set_page_size(2);
    for prefix in ["", "prod/api/", "a", ODD, "none"] {
        s3::list(&aws, &object(prefix)).await.unwrap();
    }
    assert_eq!(s3::list(&aws, &object("")).await.unwrap().len(), 4);
    for key in [ODD, "none"] {
        assert!(!s3::delete(&aws, &object(key), Condition::Unchanged("\"0\"")).await.unwrap());
        assert!(s3::delete(&aws, &object(key), Condition::None).await.unwrap());
    }
    s3::get(&aws, &object("none"), None).await.unwrap_err();
    s3::get(&aws, &ObjectName { bucket: "nowhere".to_owned(), key: "x".to_owned() }, None).await.unwrap_err();
    sts::user_id(&aws).await.unwrap();
}

#[tokio::test]
async fn the_requests_are_those_of_botocore_s_models() {
    let world = World::start().await;
    world.aws.also_in("eu-west-1");
    ask_for_secrets(&world).await;
    ask_for_logins(&world).await;
    talk_to_the_group(&world).await;
    talk_to_the_load_balancer(&world).await;
    use_a_bucket(&world).await;
    // Not allowed to batch, it asks singly.
    world.fault("secretsmanager BatchGetSecretValue", Fault::AccessDenied).always();
    ask_for_secrets(&world).await;

    assert_eq!(oracle::agree(&world).into_iter().collect::<Vec<_>>(), OPERATIONS);
}
