//! moto, somebody else's AWS: one process for all tests of this binary, and botocore, somebody else's client.

use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::OnceLock;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use berth::io::aws::imds::Imds;
use berth::io::aws::{Aws, Service};
use berth::io::http::Http;
use berth_kit::{World, oracle};
use bytes::Bytes;
use http::Request;
use http::request::Builder;
use http_body_util::Full;
use serde_json::{Value, json};

use crate::services::{Balanced, HEARTBEAT, Membership, Services};

/// The repository's root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// moto as the AWS of these tests; all of them share it.
pub(crate) struct Moto;

/// A client of whatever answers at `base`, with keys of its own and no metadata service.
pub(crate) fn client_of(base: &str) -> Aws {
    let env = |name: &str| match name {
        "AWS_ENDPOINT_URL" => Some(base.to_owned()),
        "AWS_REGION" => Some("us-east-2".to_owned()),
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("EXAMPLE".to_owned()),
        _ => None,
    };
    let http = Http::default();
    Aws::new(http.clone(), Imds::at(&"http://127.0.0.1:1".parse().unwrap(), http), &env)
}

impl Moto {
    /// A call with a JSON body, none if moto refuses it.
    async fn call(&self, service: Service, operation: &'static str, input: Value) -> Option<Value> {
        let target = match service {
            Service::SecretsManager => "secretsmanager",
            Service::Ssm => "AmazonSSM",
            Service::Ecr | Service::AutoScaling | Service::LoadBalancing | Service::S3 | Service::Sts => {
                panic!("nothing is put into {service:?} by JSON")
            }
        };
        let request = Request::post(base())
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", format!("{target}.{operation}"));
        let (status, text) = self.send(service.signing_name(), request, input.to_string()).await;
        (status == 200).then(|| serde_json::from_str(&text).unwrap())
    }

    /// A call of Auto Scaling that the agent never makes.
    async fn operate(&self, form: &str) -> String {
        self.operate_on("autoscaling", "2011-01-01", form).await
    }

    /// The same of another Query service.
    async fn operate_on(&self, service: &str, version: &str, form: &str) -> String {
        let request = Request::post(base()).header("content-type", "application/x-www-form-urlencoded");
        let (status, text) = self.send(service, request, format!("{form}&Version={version}")).await;
        assert_eq!(status, 200, "{text}");
        text
    }

    /// moto accepts every signature, and finds the service in it.
    async fn send(&self, signing_name: &str, request: Builder, body: String) -> (u16, String) {
        let scope = format!("x/20260101/us-east-2/{signing_name}/aws4_request");
        let signature = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0");
        let request = request.header("authorization", signature).body(Full::new(Bytes::from(body))).unwrap();
        let answer = Http::default().send(request, Duration::from_secs(20), 1 << 20).await.unwrap();
        (answer.status().as_u16(), String::from_utf8(answer.body().to_vec()).unwrap())
    }
}

impl Services for Moto {
    async fn aws(&self) -> Aws {
        client_of(&base())
    }

    async fn put_secret(&self, name: &str, value: &str) -> (String, String) {
        let create = json!({ "Name": name, "SecretString": value, "ClientRequestToken": token() });
        let put = json!({ "SecretId": name, "SecretString": value, "ClientRequestToken": token() });
        let answer = match self.call(Service::SecretsManager, "CreateSecret", create).await {
            Some(answer) => answer,
            None => self.call(Service::SecretsManager, "PutSecretValue", put).await.unwrap(),
        };
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        (text("ARN"), text("VersionId"))
    }

    async fn put_binary_secret(&self, name: &str, value: &[u8]) {
        let create = json!({ "Name": name, "SecretBinary": STANDARD.encode(value), "ClientRequestToken": token() });
        self.call(Service::SecretsManager, "CreateSecret", create).await.unwrap();
    }

    async fn delete_secret(&self, name: &str) {
        self.call(Service::SecretsManager, "DeleteSecret", json!({ "SecretId": name })).await.unwrap();
    }

    async fn put_parameter(&self, name: &str, value: &str) -> String {
        let put = json!({ "Name": name, "Value": value, "Type": "SecureString", "Overwrite": true });
        self.call(Service::Ssm, "PutParameter", put).await.unwrap();
        let found = self.call(Service::Ssm, "GetParameters", json!({ "Names": [name] })).await.unwrap();
        found["Parameters"][0]["ARN"].as_str().unwrap().to_owned()
    }

    fn registry_password(&self) -> String {
        "123456789012-auth-token".into()
    }

    async fn join_group(&self) -> Membership {
        let name = token();
        let of = format!("AutoScalingGroupName=web%20%26%20{name}");
        self.operate(&format!(
            "Action=CreateLaunchConfiguration&LaunchConfigurationName={name}&ImageId=ami-12345678&InstanceType=t3.micro"
        ))
        .await;
        self.operate(&format!("Action=CreateAutoScalingGroup&{of}&LaunchConfigurationName={name}&MinSize=1&MaxSize=1&DesiredCapacity=1&AvailabilityZones.member.1=us-east-2a")).await;
        for (hook, transition) in [("launch", "LAUNCHING"), ("terminate", "TERMINATING")] {
            let seconds = HEARTBEAT.as_secs();
            self.operate(&format!("Action=PutLifecycleHook&{of}&LifecycleHookName={hook}&HeartbeatTimeout={seconds}&LifecycleTransition=autoscaling:EC2_INSTANCE_{transition}")).await;
        }
        let names = of.replace('=', "s.member.1=");
        let listed = self.operate(&format!("Action=DescribeAutoScalingGroups&{names}")).await;
        let instance_id = text_of(&listed, "InstanceId");
        Membership { group: format!("web & {name}"), instance_id }
    }

    async fn balance(&self) -> Balanced {
        let name: String = token().chars().take(16).collect();
        let ec2 = async |form: &str| self.operate_on("ec2", "2016-11-15", form).await;
        let elb = async |form: &str| self.operate_on("elasticloadbalancing", "2015-12-01", form).await;
        let vpc = text_of(&ec2("Action=CreateVpc&CidrBlock=10.0.0.0/16").await, "vpcId");
        let mut subnets = Vec::new();
        for (number, zone) in ["us-east-2a", "us-east-2b"].into_iter().enumerate() {
            let form = format!("Action=CreateSubnet&VpcId={vpc}&CidrBlock=10.0.{number}.0/24&AvailabilityZone={zone}");
            subnets.push(text_of(&ec2(&form).await, "subnetId"));
        }
        let form = format!(
            "Action=RunInstances&ImageId=ami-12345678&MinCount=1&MaxCount=1&InstanceType=t3.micro&SubnetId={}",
            subnets[0]
        );
        let instance_id = text_of(&ec2(&form).await, "instanceId");
        let form = format!(
            "Action=CreateTargetGroup&Name={name}&Protocol=HTTP&Port=8080&VpcId={vpc}&TargetType=instance&HealthCheckPath=/ready"
        );
        let target_group = text_of(&elb(&form).await, "TargetGroupArn");
        let form = format!(
            "Action=CreateLoadBalancer&Name={name}&Subnets.member.1={}&Subnets.member.2={}",
            subnets[0], subnets[1]
        );
        let balancer = text_of(&elb(&form).await, "LoadBalancerArn");
        elb(&format!(
            "Action=CreateListener&LoadBalancerArn={balancer}&Protocol=HTTP&Port=80&DefaultActions.member.1.Type=forward\
             &DefaultActions.member.1.TargetGroupArn={target_group}"
        ))
        .await;
        Balanced { target_group, instance_id, delay: Duration::from_secs(300) }
    }

    async fn attach(&self, membership: &Membership, balanced: &Balanced) {
        let group = membership.group.replace(" & ", "%20%26%20");
        let of = format!("AutoScalingGroupName={group}&TargetGroupARNs.member.1={}", balanced.target_group);
        self.operate(&format!("Action=AttachLoadBalancerTargetGroups&{of}")).await;
    }

    async fn stop(&self, balanced: &Balanced) {
        let form = format!("Action=StopInstances&InstanceId.1={}", balanced.instance_id);
        self.operate_on("ec2", "2016-11-15", &form).await;
    }

    async fn bucket(&self) -> String {
        let name = format!("b-{}", token().to_lowercase());
        let region = "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>us-east-2</LocationConstraint></CreateBucketConfiguration>";
        let (status, text) = self.send("s3", Request::put(format!("{}/{name}", base())), region.into()).await;
        assert_eq!(status, 200, "{text}");
        name
    }

    async fn boto3(&self, calls: &[Value]) -> Vec<Value> {
        let world = World::builder().no_group().start().await;
        oracle::call_at(&base(), &world, calls)["calls"].as_array().unwrap().clone()
    }

    async fn is_healthy(&self, membership: &Membership) -> bool {
        let of = format!("InstanceIds.member.1={}", membership.instance_id);
        let listed = self.operate(&format!("Action=DescribeAutoScalingInstances&{of}")).await;
        listed.contains("<HealthStatus>Healthy</HealthStatus>")
    }
}

/// The text of the first element of this name.
fn text_of(answer: &str, name: &str) -> String {
    let from = answer.split(&format!("<{name}>")).nth(1).unwrap_or_else(|| panic!("no {name} in {answer}"));
    from.split('<').next().unwrap().to_owned()
}

/// A version id: 32 characters and more.
fn token() -> String {
    std::iter::repeat_with(fastrand::alphanumeric).take(36).collect()
}

/// moto's address. It ends with this process: it reads the pipe that only this process holds.
pub(crate) fn base() -> String {
    static MOTO: OnceLock<(Child, u16)> = OnceLock::new();
    let (_, port) = MOTO.get_or_init(|| serve("serve_moto.py", &[]));
    format!("http://127.0.0.1:{port}")
}

/// Starts one of the scripts beside this file that serve until their input ends, and print their port.
pub(crate) fn serve(script: &str, arguments: &[&Path]) -> (Child, u16) {
    oracle::serve(&root().join("tests/adapters").join(script), arguments)
}

/// Runs one of the scripts beside this file with botocore at hand: JSON in, JSON out.
pub(crate) fn botocore(script: &str, input: &Value) -> Value {
    oracle::run(&root().join("tests/adapters").join(script), input)
}
