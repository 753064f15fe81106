//! The four services and where they answer.

use std::fmt;

use crate::partition::dual_stack_domain;

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
}

/// One operation of a service, by its name in the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Whose.
    pub service: Service,
    /// `GetSecretValue`
    pub name: &'static str,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::SecretsManager, Self::Ssm, Self::Ecr, Self::AutoScaling];

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
        }
    }

    /// Whether its answers hold secrets, or a registry's password.
    pub(super) fn tells_secrets(self) -> bool {
        self != Self::AutoScaling
    }

    /// What follows `AWS_ENDPOINT_URL_`.
    pub(super) fn env_suffix(self) -> &'static str {
        match self {
            Self::SecretsManager => "SECRETS_MANAGER",
            Self::Ssm => "SSM",
            Self::Ecr => "ECR",
            Self::AutoScaling => "AUTO_SCALING",
        }
    }

    /// The URL of the service in a region of the partition whose endpoints end in `domain`.
    ///
    /// The rules are those of the SDKs' endpoint rule sets; tests/edges compares with botocore's.
    pub fn endpoint(self, region: &str, domain: &str, fips: bool, dual_stack: bool) -> String {
        // Secrets Manager answers IPv6 under its one name where others have a second.
        let dual_stack = dual_stack && !(self == Self::SecretsManager && domain.starts_with("amazonaws.com"));
        let domain = if dual_stack { dual_stack_domain(domain) } else { domain };
        let fips = match (fips, self) {
            (false, _) => "",
            // GovCloud's plain endpoints of these two are the validated ones.
            (true, Self::Ssm | Self::AutoScaling) if region.starts_with("us-gov-") && !dual_stack => "",
            (true, _) => "-fips",
        };
        let prefix = match self {
            Self::Ecr if fips.is_empty() && !dual_stack => "api.ecr",
            _ => self.signing_name(),
        };
        format!("https://{prefix}{fips}.{region}.{domain}")
    }
}

impl Operation {
    /// `X-Amz-Target`
    pub(super) fn target(self) -> String {
        let prefix = match self.service {
            Service::SecretsManager => "secretsmanager",
            Service::Ssm => "AmazonSSM",
            Service::Ecr => "AmazonEC2ContainerRegistry_V20150921",
            Service::AutoScaling => "AutoScaling_2011_01_01",
        };
        format!("{prefix}.{}", self.name)
    }
}

/// As an IAM policy names the action: `secretsmanager:GetSecretValue`.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service.signing_name(), self.name)
    }
}
