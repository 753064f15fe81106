//! The AWS endpoint knows its caller, and each service has its own shapes.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use berth_kit::client::{Answer, over_tcp, request};
use berth_kit::{Fault, World, clock};
use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};

use crate::imds::{ask, token};

/// A caller as the agent is one: the role's credentials, signed by the SDK's signer.
struct Caller {
    credentials: Credentials,
    region: &'static str,
    service: &'static str,
}

impl Caller {
    async fn of(world: &World, service: &'static str) -> Self {
        let token = token(world).await;
        let path = "/latest/meta-data/iam/security-credentials/berth-instance-role";
        let role = ask(world, "GET", path, &[("x-aws-ec2-metadata-token", &token)]).await.json();
        let text = |key: &str| role[key].as_str().unwrap().to_owned();
        let credentials =
            Credentials::new(text("AccessKeyId"), text("SecretAccessKey"), Some(text("Token")), None, "test");
        Self { credentials, region: "us-east-2", service }
    }

    fn sign(&self, world: &World, content_type: &str, target: Option<&str>, body: &str) -> Request<Bytes> {
        let mut request = request("POST", "/").map(|_| Bytes::copy_from_slice(body.as_bytes()));
        let host = world.aws.endpoint().strip_prefix("http://").unwrap().to_owned();
        request.headers_mut().insert("host", host.parse().unwrap());
        request.headers_mut().insert("content-type", content_type.parse().unwrap());
        if let Some(target) = target {
            request.headers_mut().insert("x-amz-target", target.parse().unwrap());
        }
        let identity = self.credentials.clone().into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(self.service)
            .time(clock::wall())
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let headers = request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
        let uri = format!("{}/", world.aws.endpoint());
        let signable = SignableRequest::new("POST", uri, headers, SignableBody::Bytes(body.as_bytes())).unwrap();
        let (instructions, _) = sign(signable, &parameters).unwrap().into_parts();
        instructions.apply_to_request_http1x(&mut request);
        request
    }

    async fn json(&self, world: &World, target: &str, body: &Value) -> Answer {
        send(world, self.sign(world, "application/x-amz-json-1.1", Some(target), &body.to_string())).await
    }

    async fn query(&self, world: &World, body: &str) -> Answer {
        let body = format!("{body}&Version=2011-01-01");
        send(world, self.sign(world, "application/x-www-form-urlencoded", None, &body)).await
    }
}

async fn send(world: &World, request: Request<Bytes>) -> Answer {
    let address = world.aws.endpoint().strip_prefix("http://").unwrap().parse().unwrap();
    over_tcp(address, request).await.unwrap()
}

const GET_SECRET: &str = "secretsmanager.GetSecretValue";
const COMPLETE: &str = "Action=CompleteLifecycleAction&LifecycleHookName=launch&LifecycleActionResult=CONTINUE";

#[tokio::test]
async fn a_call_signed_by_the_role_is_answered() {
    let world = World::start().await;
    world.secrets.put("prod/api", "s3cret-value");
    let caller = Caller::of(&world, "secretsmanager").await;
    let answer = caller.json(&world, GET_SECRET, &json!({ "SecretId": "prod/api" })).await;
    assert_eq!((answer.status, &answer.json()["SecretString"]), (200, &json!("s3cret-value")));
    world.journal.in_order(&["secretsmanager GetSecretValue prod/api 200"]);
    assert!(!world.journal.text().contains("s3cret-value"));
}

#[tokio::test]
async fn a_call_signed_wrongly_is_refused_as_aws_refuses_it() {
    let world = World::start().await;
    world.secrets.put("prod/api", "x");
    let good = Caller::of(&world, "secretsmanager").await;
    let body = json!({ "SecretId": "prod/api" });
    let why = |answer: Answer| (answer.status, answer.json()["__type"].as_str().unwrap_or_default().to_owned());

    let other_service = Caller { service: "ssm", credentials: good.credentials.clone(), ..good };
    assert_eq!(why(other_service.json(&world, GET_SECRET, &body).await), (400, "InvalidSignatureException".into()));
    let other_region = Caller { region: "eu-west-1", credentials: good.credentials.clone(), ..good };
    assert_eq!(why(other_region.json(&world, GET_SECRET, &body).await), (400, "InvalidSignatureException".into()));
    world.aws.also_in("eu-west-1");
    assert_eq!(other_region.json(&world, GET_SECRET, &body).await.status, 200);

    let (key, token) = (good.credentials.access_key_id(), good.credentials.session_token().map(str::to_owned));
    let wrong_key = Caller { credentials: Credentials::new(key, "wrong", token, None, "test"), ..good };
    assert_eq!(why(wrong_key.json(&world, GET_SECRET, &body).await), (400, "InvalidSignatureException".into()));
    let secret = good.credentials.secret_access_key();
    let no_token = Caller { credentials: Credentials::new(key, secret, None, None, "test"), ..good };
    assert_eq!(why(no_token.json(&world, GET_SECRET, &body).await), (400, "UnrecognizedClientException".into()));
    let stranger = Caller { credentials: Credentials::new("AKIAX", "y", Some("z".into()), None, "test"), ..good };
    assert_eq!(why(stranger.json(&world, GET_SECRET, &body).await), (400, "UnrecognizedClientException".into()));

    let mut changed = good.sign(&world, "application/x-amz-json-1.1", Some(GET_SECRET), &body.to_string());
    *changed.body_mut() = Bytes::from_static(b"{\"SecretId\":\"prod/apx\"}");
    assert_eq!(why(send(&world, changed).await), (400, "InvalidSignatureException".into()));
    let mut unsigned = good.sign(&world, "application/x-amz-json-1.1", Some(GET_SECRET), &body.to_string());
    unsigned.headers_mut().remove("authorization");
    assert_eq!(why(send(&world, unsigned).await), (400, "MissingAuthenticationTokenException".into()));

    world.imds.expire_credentials();
    assert_eq!(why(good.json(&world, GET_SECRET, &body).await), (400, "ExpiredTokenException".into()));
    let renewed = Caller::of(&world, "secretsmanager").await;
    assert_eq!(renewed.json(&world, GET_SECRET, &body).await.status, 200);
}

#[tokio::test]
async fn a_query_call_is_refused_in_xml() {
    let world = World::start().await;
    let caller = Caller::of(&world, "ecr").await;
    let answer = caller.query(&world, "Action=DescribeAutoScalingInstances").await;
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("<Code>SignatureDoesNotMatch</Code>"), "{}", answer.text());
}

#[tokio::test]
async fn parameters_and_the_registry_token_come_as_json() {
    let world = World::start().await;
    world.parameters.put_secure("/prod/key", "value");
    let ssm = Caller::of(&world, "ssm").await;
    let wanted = json!({ "Names": ["/prod/key"], "WithDecryption": true });
    let answer = ssm.json(&world, "AmazonSSM.GetParameters", &wanted).await.json();
    assert_eq!(answer["Parameters"][0]["Value"], "value");

    let ecr = Caller::of(&world, "ecr").await;
    let target = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken";
    let data = ecr.json(&world, target, &json!({})).await.json()["authorizationData"][0].clone();
    assert_eq!(data["proxyEndpoint"], "https://123456789012.dkr.ecr.us-east-2.amazonaws.com");
    assert!(data["expiresAt"].is_number());
    world.journal.in_order(&["ssm GetParameters /prod/key 200", "ecr GetAuthorizationToken us-east-2 200"]);
}

#[tokio::test]
async fn a_group_is_found_and_its_hook_completed_once() {
    let world = World::start().await;
    let caller = Caller::of(&world, "autoscaling").await;
    let group = world.autoscaling.group();
    let id = &world.instance_id;

    let answer = caller.query(&world, &format!("Action=DescribeAutoScalingInstances&InstanceIds.member.1={id}")).await;
    assert!(answer.text().contains("<LifecycleState>Pending:Wait</LifecycleState>"), "{}", answer.text());
    let other = caller.query(&world, "Action=DescribeAutoScalingInstances&InstanceIds.member.1=i-other").await;
    assert!(other.status == 200 && !other.text().contains("<member>"), "{}", other.text());
    let hooks = caller.query(&world, &format!("Action=DescribeLifecycleHooks&AutoScalingGroupName={group}")).await;
    assert!(hooks.text().contains("<LifecycleHookName>launch</LifecycleHookName>"), "{}", hooks.text());

    let on_hook = format!("AutoScalingGroupName={group}&InstanceId={id}");
    let heartbeat = format!("Action=RecordLifecycleActionHeartbeat&LifecycleHookName=launch&{on_hook}");
    assert_eq!(caller.query(&world, &heartbeat).await.status, 200);
    world.autoscaling.refuse_although_active(1);
    let complete = format!("{COMPLETE}&{on_hook}");
    let early = caller.query(&world, &complete).await;
    assert_eq!(early.status, 400);
    let words = format!("No active Lifecycle Action found with instance ID {id}");
    assert!(early.text().contains("<Code>ValidationError</Code>") && early.text().contains(&words));
    let (answer, ()) = tokio::join!(
        caller.query(&world, &complete),
        world.autoscaling.wait_for_state("InService", Duration::from_secs(5))
    );
    assert_eq!(answer.status, 200);
    assert_eq!(caller.query(&world, &complete).await.status, 400);
    assert_eq!((world.autoscaling.completions().len(), world.autoscaling.heartbeats()), (1, 1));
    world.journal.in_order(&["CompleteLifecycleAction CONTINUE 400", "CompleteLifecycleAction CONTINUE 200"]);
}

#[tokio::test]
async fn outside_any_group_nothing_is_found() {
    let world = World::builder().no_group().start().await;
    let caller = Caller::of(&world, "autoscaling").await;
    let id = &world.instance_id;
    let answer = caller.query(&world, &format!("Action=DescribeAutoScalingInstances&InstanceIds.member.1={id}")).await;
    assert!(answer.status == 200 && !answer.text().contains("<member>"), "{}", answer.text());
    let health = format!("Action=SetInstanceHealth&HealthStatus=Unhealthy&InstanceId={id}");
    assert_eq!(caller.query(&world, &health).await.status, 400);
}

#[tokio::test]
async fn an_unhealthy_instance_is_noted() {
    let world = World::start().await;
    let caller = Caller::of(&world, "autoscaling").await;
    let id = &world.instance_id;
    let health = format!("Action=SetInstanceHealth&HealthStatus=Unhealthy&InstanceId={id}");
    assert_eq!(caller.query(&world, &health).await.status, 200);
    assert_eq!(world.autoscaling.health().as_deref(), Some("Unhealthy"));
}

#[tokio::test]
async fn a_throttle_has_the_shape_of_its_protocol() {
    let world = World::start().await;
    world.secrets.put("prod/api", "x");
    world.fault("secretsmanager GetSecretValue", Fault::Throttle).times(2);
    world.fault("autoscaling", Fault::Throttle);
    let json_caller = Caller::of(&world, "secretsmanager").await;
    let body = json!({ "SecretId": "prod/api" });
    for (status, kind) in [(400, json!("ThrottlingException")), (400, json!("ThrottlingException")), (200, Value::Null)]
    {
        let answer = json_caller.json(&world, GET_SECRET, &body).await;
        assert_eq!((answer.status, &answer.json()["__type"]), (status, &kind));
    }
    let query_caller = Caller::of(&world, "autoscaling").await;
    let answer = query_caller.query(&world, "Action=DescribeAutoScalingInstances").await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("<Code>Throttling</Code>"), "{}", answer.text());
    assert_eq!(world.journal.count("GetSecretValue 400 !Throttle"), 2);
}
