//! What our client does without the SDK, compared with botocore: the signature and the endpoints.

use std::collections::BTreeMap;

use berth::edge::aws::{Aws, Service};
use berth::edge::http::Http;
use berth::edge::imds::Imds;
use berth::partition::domain_of;
use serde_json::{Value, json};

use crate::moto;
use crate::server::{Server, answer};

#[tokio::test]
async fn a_request_is_signed_as_botocore_signs_it() {
    let server = Server::start(|_| answer(200, "{}")).await;
    let base = server.base.clone();
    let env = move |name: &str| {
        Some(match name {
            "AWS_ENDPOINT_URL" => base.clone(),
            "AWS_REGION" => "eu-central-1".into(),
            "AWS_ACCESS_KEY_ID" => "AKIDEXAMPLE".into(),
            "AWS_SECRET_ACCESS_KEY" => "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            "AWS_SESSION_TOKEN" => "FwoGZXIvYXdzEXAMPLE//token+with=signs".into(),
            _ => return None,
        })
    };
    let imds = Imds::at(&server.base.parse().unwrap(), Http::default());
    let aws = Aws::new(Http::default(), imds, &env);
    let body = json!({ "SecretId": "prod/äpi", "VersionStage": "AWS PREVIOUS" });
    let _: Value = aws.json_call(Service::SecretsManager.operation("GetSecretValue"), &body, None).await.unwrap();

    let seen = server.seen().remove(0);
    let authorization = &seen.headers["authorization"];
    let names = authorization.split("SignedHeaders=").nth(1).unwrap().split(',').next().unwrap();
    assert_eq!(names, "content-type;host;x-amz-date;x-amz-security-token;x-amz-target");
    let headers: BTreeMap<_, _> = names.split(';').map(|name| (name, &seen.headers[name])).collect();
    let botocore = moto::botocore(
        "sign.py",
        &json!({
            "method": seen.method,
            "url": format!("{}{}", server.base, seen.path),
            "headers": headers,
            "body": std::str::from_utf8(&seen.body).unwrap(),
            "credentials": [env("AWS_ACCESS_KEY_ID"), env("AWS_SECRET_ACCESS_KEY"), env("AWS_SESSION_TOKEN")],
            "service": "secretsmanager",
            "region": "eu-central-1",
        }),
    );
    assert_eq!(*authorization, botocore["authorization"].as_str().unwrap());
}

#[test]
fn endpoints_are_those_of_botocores_rules() {
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
                let told = match (service, region, fips, dual_stack) {
                    // The rules say `api.ecr-fips`; the documentation of ECR and botocore's own endpoints.json say
                    // `ecr-fips`, and so do we.
                    (Service::Ecr, _, true, false) => continue,
                    // There is no FIPS in China.
                    (_, "cn-north-1", true, _) => continue,
                    _ => service.endpoint(region, domain_of(region), fips, dual_stack),
                };
                asked.push(json!([service.signing_name(), region, fips, dual_stack]));
                ours.push(told);
            }
        }
    }
    assert_eq!(json!(ours), moto::botocore("endpoints.py", &json!(asked)));
}
