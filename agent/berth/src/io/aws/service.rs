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
    pub const ALL: [Self; 5] = [Self::SecretsManager, Self::Ssm, Self::Ecr, Self::AutoScaling, Self::LoadBalancing];

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
        }
    }

    /// Whether it has the Query protocol, with responses in XML; else JSON.
    pub(super) fn answers_xml(self) -> bool {
        matches!(self, Self::AutoScaling | Self::LoadBalancing)
    }

    /// Whether its responses hold secrets, or a registry's password.
    pub(super) fn returns_secrets(self) -> bool {
        !self.answers_xml()
    }

    /// The environment variable that names its endpoint.
    pub(super) fn endpoint_variable(self) -> &'static str {
        match self {
            Self::SecretsManager => "AWS_ENDPOINT_URL_SECRETS_MANAGER",
            Self::Ssm => "AWS_ENDPOINT_URL_SSM",
            Self::Ecr => "AWS_ENDPOINT_URL_ECR",
            Self::AutoScaling => "AWS_ENDPOINT_URL_AUTO_SCALING",
            Self::LoadBalancing => "AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2",
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
        };
        endpoint.map(|endpoint| endpoint.url().to_owned()).map_err(|error| error.to_string())
    }
}

/// As an IAM policy names the action: `secretsmanager:GetSecretValue`.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service.signing_name(), self.name)
    }
}
