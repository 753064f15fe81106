//! The services and their endpoints.

use std::fmt;

/// A service that the agent calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// AWS Secrets Manager
    SecretsManager,
    /// AWS Systems Manager, of which only the Parameter Store
    Ssm,
    /// Amazon ECR
    Ecr,
    /// Amazon EC2 Auto Scaling
    AutoScaling,
    /// Elastic Load Balancing, of which only the version with target groups
    LoadBalancing,
    /// Amazon S3
    S3,
    /// AWS Security Token Service
    Sts,
}

/// One operation of a service, by its name in the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The service.
    pub service: Service,
    /// `GetSecretValue`
    pub name: &'static str,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::SecretsManager, Self::Ssm, Self::Ecr, Self::AutoScaling, Self::LoadBalancing, Self::S3, Self::Sts];

    /// One of its operations.
    pub const fn operation(self, name: &'static str) -> Operation {
        Operation { service: self, name }
    }

    /// The name in signatures and in the actions of IAM policies.
    pub fn signing_name(self) -> &'static str {
        match self {
            Self::SecretsManager => "secretsmanager",
            Self::Ssm => "ssm",
            Self::Ecr => "ecr",
            Self::AutoScaling => "autoscaling",
            Self::LoadBalancing => "elasticloadbalancing",
            Self::S3 => "s3",
            Self::Sts => "sts",
        }
    }

    /// Whether it has the Query protocol, with responses in XML; else JSON.
    pub(super) fn answers_xml(self) -> bool {
        matches!(self, Self::AutoScaling | Self::LoadBalancing | Self::Sts)
    }

    /// Whether its responses hold secrets, or a registry's password.
    pub(super) fn returns_secrets(self) -> bool {
        matches!(self, Self::SecretsManager | Self::Ssm | Self::Ecr)
    }

    /// The environment variable that names its endpoint.
    pub(super) fn endpoint_variable(self) -> &'static str {
        match self {
            Self::SecretsManager => "AWS_ENDPOINT_URL_SECRETS_MANAGER",
            Self::Ssm => "AWS_ENDPOINT_URL_SSM",
            Self::Ecr => "AWS_ENDPOINT_URL_ECR",
            Self::AutoScaling => "AWS_ENDPOINT_URL_AUTO_SCALING",
            Self::LoadBalancing => "AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2",
            Self::S3 => "AWS_ENDPOINT_URL_S3",
            Self::Sts => "AWS_ENDPOINT_URL_STS",
        }
    }

    /// The URL of the service by the SDK's rules, or why there is none.
    pub(super) async fn endpoint(self, region: &str, fips: bool, dual_stack: bool) -> Result<String, String> {
        macro_rules! by_the_rules_of {
            ($sdk:ident) => {{
                use $sdk::config::endpoint::{DefaultResolver, Params, ResolveEndpoint as _};
                let params = Params::builder().region(region).use_fips(fips).use_dual_stack(dual_stack).build();
                DefaultResolver::new().resolve_endpoint(&params.map_err(|error| error.to_string())?).await
            }};
        }
        let endpoint = match self {
            Self::SecretsManager => by_the_rules_of!(aws_sdk_secretsmanager),
            Self::Ssm => by_the_rules_of!(aws_sdk_ssm),
            Self::Ecr => by_the_rules_of!(aws_sdk_ecr),
            Self::AutoScaling => by_the_rules_of!(aws_sdk_autoscaling),
            Self::LoadBalancing => by_the_rules_of!(aws_sdk_elasticloadbalancingv2),
            Self::S3 => return s3_endpoint(region, fips, dual_stack).await,
            Self::Sts => by_the_rules_of!(aws_sdk_sts),
        };
        endpoint.map(|endpoint| endpoint.url().to_owned()).map_err(|error| error.to_string())
    }
}

/// S3's rules, as far as they concern the buckets of one region. The domain of the region's partition is that of another service: its plain
/// endpoint is the same in all of them.
async fn s3_endpoint(region: &str, fips: bool, dual_stack: bool) -> Result<String, String> {
    let plain = Box::pin(Service::AutoScaling.endpoint(region, false, false)).await?;
    let domain = plain.split_once(&format!(".{region}.")).map(|(_, domain)| domain);
    let domain = domain.ok_or_else(|| format!("{plain} does not name the region"))?;
    if fips && domain.ends_with(".cn") {
        return Err("Partition does not support FIPS".to_owned());
    }
    let (fips, dual_stack) = (if fips { "-fips" } else { "" }, if dual_stack { ".dualstack" } else { "" });
    Ok(format!("https://s3{fips}{dual_stack}.{region}.{domain}"))
}

/// As an IAM policy names the action: `secretsmanager:GetSecretValue`.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service.signing_name(), self.name)
    }
}
