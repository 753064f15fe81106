//! Which host each call is sent to: in every partition by the SDK's rules, compared with botocore's, or as the environment says.
//!
//! No name is resolved and nothing leaves this machine: the resolver asks a name server that is not there, and the error says which
//! host was to be reached.

use std::io::Write as _;
use std::time::Duration;

use berth::io::aws::imds::Imds;
use berth::io::aws::s3::{self, ObjectName};
use berth::io::aws::{Aws, Service};
use berth::io::http::Http;
use berth::io::http::dns::Resolver;
use berth::io::{aws::ecr, aws::load_balancing, aws::secrets, aws::sts};
use berth_config::SecretRef;
use berth_core::message::error::{ErrorClass, JobError};
use futures_util::future::join_all;
use serde_json::json;
use tempfile::NamedTempFile;

use crate::moto;
use crate::refusals::{Call, Outcome};

/// At least one of every partition, and one that nobody knows yet.
const REGIONS: [&str; 15] = [
    "us-east-1",
    "eu-central-2",
    "mx-central-1",
    "xy-newest-1",
    "us-gov-west-1",
    "us-gov-east-1",
    "cn-north-1",
    "cn-northwest-1",
    "eusc-de-east-1",
    "us-iso-east-1",
    "us-iso-west-1",
    "us-isob-east-1",
    "eu-isoe-west-1",
    "us-isof-south-1",
    "us-isof-east-1",
];

const ALL: &str = "AWS_ENDPOINT_URL";
const FIPS: &str = "AWS_USE_FIPS_ENDPOINT";
const DUAL_STACK: &str = "AWS_USE_DUALSTACK_ENDPOINT";

/// A network in which no name has an address.
struct Nowhere {
    http: Http,
    _files: [NamedTempFile; 2],
}

impl Nowhere {
    fn new() -> Self {
        let file = |text: &str| {
            let mut file = NamedTempFile::new().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            file
        };
        let (hosts, resolv_conf) = (file(""), file("nameserver 127.0.0.1\n"));
        // Nothing listens at port 1, so every question is refused at once.
        let http = Http::with(Resolver {
            hosts: hosts.path().into(),
            resolv_conf: resolv_conf.path().into(),
            port: 1,
            timeout: Duration::from_secs(1),
        });
        Self { http, _files: [hosts, resolv_conf] }
    }

    /// A client with keys and this environment.
    fn client(&self, set: &[(&str, &str)]) -> Aws {
        let env = |name: &str| {
            // Unless a test says otherwise: without a setting the routes of this machine would decide.
            let keys = [("AWS_ACCESS_KEY_ID", "EXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "EXAMPLE"), (DUAL_STACK, "false")];
            let all = set.iter().chain(&keys);
            all.into_iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        let imds = Imds::at(&"http://127.0.0.1:1".parse().unwrap(), self.http.clone());
        Aws::new(self.http.clone(), imds, &env)
    }
}

/// Where a call of this service is sent, or why it is not.
async fn sent_to(aws: &Aws, service: Service) -> Result<String, JobError> {
    let call = match service {
        Service::SecretsManager => Call::GetSecretValue,
        Service::Ssm => Call::GetParameters,
        Service::Ecr => return login(aws, "registry.example.com").await,
        Service::AutoScaling => Call::CompleteLifecycleAction,
        Service::LoadBalancing => return delay(aws).await,
        Service::S3 => return to_be_reached(get_object(aws, "bucket.with.dots").await),
        Service::Sts => return to_be_reached(sts::user_id(aws).await.unwrap_err()),
    };
    match call.make(aws).await {
        Outcome::Failed(error) => to_be_reached(error),
        Outcome::Other(answer) => panic!("{call:?} has {answer}"),
    }
}

/// The same of Elastic Load Balancing, for a target group of the agent's region.
async fn delay(aws: &Aws) -> Result<String, JobError> {
    let region = aws.region().unwrap();
    let arn = format!("arn:aws:elasticloadbalancing:{region}:123456789012:targetgroup/web/73e2d6bc24d8a067");
    let error = load_balancing::delay(aws, &arn).await.unwrap_err();
    to_be_reached(error.into())
}

/// The same of ECR, for the login of a registry.
async fn login(aws: &Aws, host: &str) -> Result<String, JobError> {
    let error = ecr::login(aws, host).await.unwrap_err();
    to_be_reached(JobError::from_error(error.class(), &error))
}

/// Why an object of a bucket is not read.
async fn get_object(aws: &Aws, bucket: &str) -> JobError {
    let at = ObjectName { bucket: bucket.to_owned(), key: "key".to_owned() };
    s3::get(aws, &at, None).await.unwrap_err().into()
}

fn to_be_reached(error: JobError) -> Result<String, JobError> {
    match error.reason.split_once("cannot reach ").or_else(|| error.reason.split_once("cannot connect to ")) {
        Some((_, rest)) => Ok(rest.split_once(": ").unwrap().0.to_owned()),
        None => Err(error),
    }
}

fn settings(region: &str, fips: bool, dual_stack: bool) -> Vec<(&str, &str)> {
    let mut set = vec![("AWS_REGION", region)];
    set.extend(fips.then_some((FIPS, "true")));
    set.extend(dual_stack.then_some((DUAL_STACK, "TRUE")));
    set
}

#[tokio::test]
async fn every_call_is_sent_where_botocore_s_rules_say() {
    let mut asked = Vec::new();
    for region in REGIONS {
        for (fips, dual_stack) in [(false, false), (false, true), (true, false), (true, true)] {
            let there = Service::ALL
                .into_iter()
                .filter(|service| !(*service == Service::S3 && fips && region.starts_with("cn-")));
            asked.extend(there.map(|service| (service, region, fips, dual_stack)));
        }
    }
    let nowhere = Nowhere::new();
    let ours = join_all(asked.iter().map(async |(service, region, fips, dual_stack)| {
        let aws = nowhere.client(&settings(region, *fips, *dual_stack));
        let sent = sent_to(&aws, *service).await;
        assert_eq!(aws.endpoint(*service, None).await.ok(), sent.as_ref().ok().cloned(), "what doctor shows");
        sent.unwrap_or_else(|error| panic!("{service:?} {region} {fips} {dual_stack}: {error}"))
    }));
    let questions = asked.iter().map(|(service, region, fips, dual_stack)| {
        // As botocore's folders are called.
        let name = if *service == Service::LoadBalancing { "elbv2" } else { service.signing_name() };
        let mut question = json!({ "service": name, "Region": region, "UseFIPS": fips, "UseDualStack": dual_stack });
        if *service == Service::Sts {
            question["UseGlobalEndpoint"] = json!(false);
        }
        if *service == Service::S3 {
            for name in
                ["ForcePathStyle", "Accelerate", "UseGlobalEndpoint", "DisableMultiRegionAccessPoints", "UseArnRegion"]
            {
                question[name] = json!(false);
            }
        }
        question
    });
    let botocore = moto::botocore("endpoints.py", &questions.collect());
    let ours = ours.await;
    for ((asked, ours), theirs) in asked.iter().zip(&ours).zip(botocore.as_array().unwrap()) {
        assert_eq!(theirs["url"], **ours, "{asked:?}: {theirs}");
    }
    assert_eq!(ours.len(), 15 * 7 * 4 - 4, "S3 has no FIPS in China");
}

/// A bucket is a part of the host where a certificate allows that; the environment's endpoint is left as it is.
#[tokio::test]
async fn a_bucket_is_asked_for_where_botocore_s_rules_say() {
    let nowhere = Nowhere::new();
    let (mut asked, mut ours) = (Vec::new(), Vec::new());
    for region in REGIONS {
        for (fips, dual_stack) in [(false, false), (false, true), (true, false), (true, true)] {
            for bucket in ["bucket", "bucket.with.dots", "with_underscore", "a-b-1", "ab", "-ab", "ab-", "Upper"] {
                let aws = nowhere.client(&settings(region, fips, dual_stack));
                ours.push(to_be_reached(get_object(&aws, bucket).await));
                asked.push(json!({
                    "service": "s3", "Region": region, "UseFIPS": fips, "UseDualStack": dual_stack, "Bucket": bucket, "ForcePathStyle": false,
                    "Accelerate": false, "UseGlobalEndpoint": false, "DisableMultiRegionAccessPoints": false, "UseArnRegion": false,
                }));
            }
        }
    }
    let botocore = moto::botocore("endpoints.py", &json!(asked));
    for ((asked, ours), theirs) in asked.iter().zip(ours).zip(botocore.as_array().unwrap()) {
        // The host: a bucket that is in the path has none of its own.
        let host = |url: &str| url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        let theirs = theirs["url"].as_str().map(host);
        assert_eq!(ours.as_ref().ok(), theirs.as_ref(), "{asked}: {ours:?}");
    }
    for (endpoint, host) in
        [("http://127.0.0.1:1", "http://127.0.0.1:1"), ("https://s3.invalid/base", "https://s3.invalid")]
    {
        for variable in [ALL, "AWS_ENDPOINT_URL_S3"] {
            let aws = nowhere.client(&[(variable, endpoint), ("AWS_REGION", "us-east-2")]);
            assert_eq!(to_be_reached(get_object(&aws, "bucket").await).unwrap(), host);
        }
    }
}

/// What names a region is asked for there, in its partition too.
#[tokio::test]
async fn an_arn_and_a_registry_are_asked_for_in_their_own_region() {
    let nowhere = Nowhere::new();
    let aws = nowhere.client(&settings("us-east-2", false, false));
    let fetched = async |reference: SecretRef| {
        let error = secrets::fetch_one(&aws, &reference).await.unwrap_err();
        to_be_reached(JobError::from_error(error.class(), &error)).unwrap()
    };
    for (partition, region, domain) in [
        ("aws", "eu-west-1", "amazonaws.com"),
        ("aws-us-gov", "us-gov-west-1", "amazonaws.com"),
        ("aws-cn", "cn-north-1", "amazonaws.com.cn"),
        ("aws-eusc", "eusc-de-east-1", "amazonaws.eu"),
        ("aws-iso", "us-iso-east-1", "c2s.ic.gov"),
        ("aws-iso-b", "us-isob-east-1", "sc2s.sgov.gov"),
        ("aws-iso-e", "eu-isoe-west-1", "cloud.adc-e.uk"),
        ("aws-iso-f", "us-isof-south-1", "csp.hci.ic.gov"),
    ] {
        let registry = format!("123456789012.dkr.ecr.{region}.{domain}");
        assert_eq!(login(&aws, &registry).await.unwrap(), format!("https://api.ecr.{region}.{domain}"));
        let id = format!("arn:{partition}:secretsmanager:{region}:123456789012:secret:prod/api-AbCdEf");
        let secret = SecretRef::Managed { id, json_key: None, version_stage: None, version_id: None };
        assert_eq!(fetched(secret).await, format!("https://secretsmanager.{region}.{domain}"));
        let name = format!("arn:{partition}:ssm:{region}:123456789012:parameter/prod/key");
        assert_eq!(
            fetched(SecretRef::Parameter { name, json_key: None }).await,
            format!("https://ssm.{region}.{domain}")
        );
    }
}

#[tokio::test]
async fn the_environment_names_endpoints_as_for_the_sdks() {
    const OWN: &str = "AWS_ENDPOINT_URL_SSM";
    const IGNORED: &str = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS";
    const NAMED: &str = "http://localhost.invalid:4566";
    const RULES: &str = "https://ssm.us-east-2.amazonaws.com";
    let nowhere = Nowhere::new();
    for (set, ssm) in [
        (&[] as &[_], RULES),
        (&[(ALL, NAMED)], NAMED),
        (&[(ALL, ""), (OWN, "")], RULES),
        (&[(ALL, "https://all.invalid"), (OWN, NAMED)], NAMED),
        (&[(OWN, "https://vpce-0123.invalid/")], "https://vpce-0123.invalid"),
        (&[(OWN, "http://[fd00::1]:1/base")], "http://[fd00::1]:1"),
        (&[("AWS_ENDPOINT_URL_ECR", NAMED)], RULES),
        (&[(ALL, NAMED), (IGNORED, "true")], RULES),
        (&[(OWN, NAMED), (IGNORED, "True")], RULES),
        (&[(OWN, NAMED), (IGNORED, "false")], NAMED),
        (&[(ALL, NAMED), (IGNORED, "true"), (FIPS, "true")], "https://ssm-fips.us-east-2.amazonaws.com"),
        (&[(FIPS, "false"), (DUAL_STACK, "false")], RULES),
        (&[(FIPS, "True"), (DUAL_STACK, "true")], "https://ssm-fips.us-east-2.api.aws"),
    ] {
        let set = [set, &[("AWS_REGION", "us-east-2")]].concat();
        assert_eq!(sent_to(&nowhere.client(&set), Service::Ssm).await.unwrap(), ssm, "{set:?}");
    }
    let own = [
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", Service::SecretsManager),
        ("AWS_ENDPOINT_URL_SSM", Service::Ssm),
        ("AWS_ENDPOINT_URL_ECR", Service::Ecr),
        ("AWS_ENDPOINT_URL_AUTO_SCALING", Service::AutoScaling),
        ("AWS_ENDPOINT_URL_S3", Service::S3),
        ("AWS_ENDPOINT_URL_STS", Service::Sts),
    ];
    for (variable, service) in own {
        let aws = nowhere.client(&[(variable, NAMED), (ALL, "http://other.invalid"), ("AWS_REGION", "us-east-2")]);
        assert_eq!(sent_to(&aws, service).await.unwrap(), NAMED, "{variable}");
        for other in Service::ALL.into_iter().filter(|other| *other != service) {
            assert_eq!(sent_to(&aws, other).await.unwrap(), "http://other.invalid", "{variable} {other:?}");
        }
    }
}

#[tokio::test]
async fn an_endpoint_that_cannot_exist_is_reported_by_the_names_in_the_environment() {
    const URL: &str = "http://localhost.invalid";
    let nowhere = Nowhere::new();
    for (set, words) in [
        (&[(ALL, URL), (FIPS, "true")] as &[_], &[ALL, FIPS] as &[&str]),
        (&[(ALL, URL), (DUAL_STACK, "true")], &[ALL, DUAL_STACK]),
        (
            &[("AWS_ENDPOINT_URL_SSM", URL), (FIPS, "true"), (DUAL_STACK, "true")],
            &["AWS_ENDPOINT_URL_SSM", FIPS, DUAL_STACK],
        ),
        (&[(ALL, "no url")], &["AWS_ENDPOINT_URL is not a URL such as https://"]),
        (&[(ALL, "127.0.0.1:4566")], &["AWS_ENDPOINT_URL is not a URL"]),
        (&[(ALL, "localhost")], &["AWS_ENDPOINT_URL is not a URL"]),
        (&[(ALL, "http://")], &["AWS_ENDPOINT_URL is not a URL"]),
        (&[(ALL, "http:///path")], &["AWS_ENDPOINT_URL is not a URL"]),
        (&[(ALL, "ftp://host")], &["AWS_ENDPOINT_URL is not a URL"]),
        (&[("AWS_ENDPOINT_URL_SSM", "line\nbreak")], &["AWS_ENDPOINT_URL_SSM is not a URL"]),
        // It may have a password.
        (&[(ALL, "http://u:s3cr3t@a b")], &["AWS_ENDPOINT_URL is not a URL"]),
        (&[(FIPS, "yes")], &["AWS_USE_FIPS_ENDPOINT is neither `true` nor `false`"]),
        (&[(DUAL_STACK, "1")], &["AWS_USE_DUALSTACK_ENDPOINT is neither"]),
        (&[("AWS_REGION", "us east")], &["ssm in \"us east\"", "AWS_REGION"]),
        (&[("AWS_REGION", "us-east-2/../x"), (FIPS, "true")], &["\"us-east-2/../x\"", "AWS_REGION", FIPS]),
        (&[("AWS_REGION", "\u{1f980}\n")], &["ssm in \"\u{1f980}\\n\""]),
    ] {
        let set = [set, &[("AWS_REGION", "us-east-2")]].concat();
        let error = sent_to(&nowhere.client(&set), Service::Ssm).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Misconfigured, "{error}");
        assert!(error.reason.starts_with("ssm:GetParameters cannot be sent: "), "{error}");
        assert!(words.iter().all(|word| error.reason.contains(word)), "{words:?}: {error}");
        assert!(!error.reason.contains('\n') && !error.reason.contains("s3cr3t"), "{error}");
    }
}

#[test]
fn botocore_refuses_these_settings_beside_a_named_endpoint_too() {
    let question = |fips: bool, dual_stack: bool| json!({ "service": "ssm", "Region": "us-east-2", "UseFIPS": fips, "UseDualStack": dual_stack, "Endpoint": "http://x" });
    let answers =
        moto::botocore("endpoints.py", &json!([question(false, false), question(true, false), question(false, true)]));
    assert_eq!(answers[0]["url"], "http://x");
    assert!(answers[1]["error"].is_string() && answers[2]["error"].is_string(), "{answers}");
}
