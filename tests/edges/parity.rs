//! The endpoints that services are asked at, compared with botocore's rules; the partitions, with its list.

use berth::edge::aws::{Aws, Service};
use berth::edge::http::Http;
use berth::edge::imds::Imds;
use berth::partition::{partition_of, registry_region};
use serde_json::json;

use crate::moto;

#[tokio::test]
async fn endpoints_are_those_of_botocores_rules() {
    let regions = [
        "us-east-1",
        "us-gov-west-1",
        "cn-north-1",
        "eusc-de-east-1",
        "us-iso-east-1",
        "us-isob-east-1",
        "eu-isoe-west-1",
        "us-isof-south-1",
    ];
    let (mut asked, mut ours) = (Vec::new(), Vec::new());
    for service in Service::ALL {
        for region in regions {
            for (fips, dual_stack) in [(false, false), (false, true), (true, false), (true, true)] {
                let env = |name: &str| {
                    let is_set = match name {
                        "AWS_USE_FIPS_ENDPOINT" => fips,
                        "AWS_USE_DUALSTACK_ENDPOINT" => dual_stack,
                        _ => false,
                    };
                    is_set.then(|| "true".to_owned())
                };
                let imds = Imds::at(&"http://127.0.0.1:1".parse().unwrap(), Http::default());
                let aws = Aws::new(Http::default(), imds, &env);
                let Ok(told) = aws.endpoint(service, Some(region)).await else {
                    // There is no FIPS in China.
                    assert!(fips && region == "cn-north-1", "{service:?} {region} {fips} {dual_stack}");
                    continue;
                };
                asked.push(json!([service.signing_name(), region, fips, dual_stack]));
                ours.push(told);
            }
        }
    }
    assert_eq!(json!(ours), moto::botocore("endpoints.py", &json!(asked)));
}

#[test]
fn every_region_of_botocore_has_its_partition_and_its_registry() {
    let regions = moto::botocore("partitions.py", &json!(null));
    let regions = regions.as_array().unwrap();
    assert!(regions.len() > 40, "{regions:?}");
    for one in regions {
        let [partition, region, domain] = [0, 1, 2].map(|at| one[at].as_str().unwrap());
        assert_eq!(partition_of(region), partition, "{region}");
        for name in ["dkr.ecr", "dkr.ecr-fips"] {
            let host = format!("123456789012.{name}.{region}.{domain}");
            assert_eq!(registry_region(&host), Some(region), "{host}");
        }
    }
}
