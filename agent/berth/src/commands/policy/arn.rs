//! The resources of a policy: ARNs, with `*` for each part that is not known.

use berth_config::{Arn, Config, ImageRef, SecretRef};
use berth_core::message::partition::{partition_of, registry_region};

/// The region and the account that the ARNs of a policy are limited to, as far as they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArnScope {
    /// `us-east-2`
    pub region: Option<String>,
    /// The twelve digits.
    pub account: Option<String>,
}

/// Builds ARNs. A part that is not known is `*`.
pub(super) struct ArnBuilder {
    partition: String,
    region: String,
    account: String,
}

impl ArnBuilder {
    pub(super) fn new(config: &Config, references: &[SecretRef], scope: &ArnScope) -> Self {
        let registry = registry_region(&config.image.registry);
        let arns = references.iter().map(id).chain(config.target_groups.iter().map(|group| group.arn.as_str()));
        let of_arn = arns.filter_map(Arn::parse).map(|arn| arn.partition).next();
        // Credentials of one partition are not valid in another.
        let partition = match scope.region.as_deref().or(registry) {
            Some(region) => partition_of(region),
            None => of_arn.unwrap_or("aws"),
        };
        let or_any = |part: &Option<String>| part.clone().unwrap_or_else(|| "*".to_owned());
        Self { partition: partition.to_owned(), region: or_any(&scope.region), account: or_any(&scope.account) }
    }

    pub(super) fn of(&self, service: &str, region: Option<&str>, account: Option<&str>, resource: &str) -> String {
        let (region, account) = (region.unwrap_or(&self.region), account.unwrap_or(&self.account));
        Arn { partition: &self.partition, service, region, account, resource }.to_string()
    }

    /// The ARN of a secret, also of one that is read as a parameter: Parameter Store calls Secrets Manager with the caller's permissions.
    pub(super) fn secret(&self, reference: &SecretRef) -> Option<String> {
        let of_name =
            |region, account, name: &str| self.of("secretsmanager", region, account, &format!("secret:{name}-??????"));
        Some(match reference {
            SecretRef::Managed { id, .. } if !Arn::is_meant(id) => of_name(None, None, id),
            SecretRef::Managed { id, .. } if is_whole(id) => id.clone(),
            SecretRef::Managed { id, .. } => format!("{id}-??????"),
            SecretRef::Parameter { name, .. } => {
                let secret = reference.secret_of_parameter()?;
                let arn = Arn::parse(name);
                of_name(arn.map(|arn| arn.region), arn.map(|arn| arn.account), secret)
            }
        })
    }

    /// The ARN of a parameter, without its version or label.
    pub(super) fn parameter(&self, reference: &SecretRef) -> Option<String> {
        let SecretRef::Parameter { name, .. } = reference else { return None };
        if let Some(arn) = Arn::parse(name) {
            let resource = arn.resource.split(':').next().unwrap_or_default();
            return Some(Arn { resource, ..arn }.to_string());
        }
        let path = name.split(':').next().unwrap_or_default().trim_start_matches('/');
        Some(self.of("ssm", None, None, &format!("parameter/{path}")))
    }

    /// An object of S3, whose ARN names neither region nor account.
    pub(super) fn object(&self, bucket: &str, key: &str) -> String {
        self.of("s3", Some(""), Some(""), &format!("{bucket}/{key}"))
    }

    pub(super) fn repository(&self, image: &ImageRef) -> String {
        let region = registry_region(&image.registry);
        let account = region.and(image.registry.get(..12));
        self.of("ecr", region, account, &format!("repository/{}", image.repository))
    }

    pub(super) fn group(&self, name: Option<&str>) -> String {
        let name = name.unwrap_or("*");
        self.of("autoscaling", None, None, &format!("autoScalingGroup:*:autoScalingGroupName/{name}"))
    }
}

fn id(reference: &SecretRef) -> &str {
    match reference {
        SecretRef::Managed { id, .. } => id,
        SecretRef::Parameter { name, .. } => name,
    }
}

/// Whether a secret's ARN ends in the six characters that Secrets Manager adds to its name.
fn is_whole(arn: &str) -> bool {
    let suffix = arn.rsplit_once('-').map(|(_, suffix)| suffix);
    suffix.is_some_and(|suffix| suffix.len() == 6 && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}
