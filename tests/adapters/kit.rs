//! The kit as the AWS of these tests. Its client has no keys: they come from the kit's metadata service, and the kit checks
//! every signature.

use std::time::Duration;

use berth::io::aws::Aws;
use berth::io::aws::imds::Imds;
use berth::io::http::Http;
use berth_kit::target_group::{Health, TargetGroup};
use berth_kit::{World, oracle};
use serde_json::Value;

use crate::services::{Balanced, Membership, Services};

/// A client of the world's metadata service.
pub(crate) fn imds_of(world: &World) -> Imds {
    Imds::at(&world.imds.endpoint().parse().unwrap(), Http::default())
}

impl Services for World {
    async fn aws(&self) -> Aws {
        let imds = imds_of(self);
        let endpoint = |name: &str| (name == "AWS_ENDPOINT_URL").then(|| self.aws.endpoint());
        let aws = Aws::new(Http::default(), imds.clone(), &endpoint);
        aws.locate(&imds.identity().await.unwrap());
        aws
    }

    async fn put_secret(&self, name: &str, value: &str) -> (String, String) {
        (self.secrets.put(name, value), self.secrets.version_id(name, "AWSCURRENT").unwrap())
    }

    async fn put_binary_secret(&self, name: &str, value: &[u8]) {
        self.secrets.put_binary(name, value);
    }

    async fn delete_secret(&self, name: &str) {
        self.secrets.schedule_deletion(name);
    }

    async fn put_parameter(&self, name: &str, value: &str) -> String {
        self.parameters.put_secure(name, value)
    }

    fn registry_password(&self) -> String {
        self.ecr.password()
    }

    async fn join_group(&self) -> Membership {
        self.autoscaling.put("InService", Some("InService"));
        Membership { group: self.autoscaling.group().into(), instance_id: self.instance_id.clone() }
    }

    async fn balance(&self) -> Balanced {
        let target_group = self.target_groups.create(TargetGroup {
            scripted: Some(Health::HEALTHY),
            deregistration_delay: Duration::ZERO,
            ..TargetGroup::http("api", 8080)
        });
        Balanced { target_group, instance_id: self.instance_id.clone(), delay: Duration::ZERO }
    }

    async fn attach(&self, _: &Membership, balanced: &Balanced) {
        self.autoscaling.attach(&balanced.target_group);
    }

    async fn stop(&self, balanced: &Balanced) {
        self.target_groups.stop_instance(&balanced.instance_id);
    }

    async fn bucket(&self) -> String {
        let name = format!("b-{}", self.instance_id);
        self.s3.create(&name);
        name
    }

    async fn boto3(&self, calls: &[Value]) -> Vec<Value> {
        oracle::call(self, calls)["calls"].as_array().unwrap().clone()
    }

    async fn is_healthy(&self, _: &Membership) -> bool {
        self.autoscaling.health().unwrap() == "Healthy"
    }
}
