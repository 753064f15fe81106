//! The partitions of AWS: which one a region is in, and which hosts are registries of ECR. The endpoints of services are the SDK's matter.
//!
//! botocore's partitions.json has the regions and the domains (tests/adapters/parity.rs compares), amazon-ecr-credential-helper those of
//! dual-stack registries.

/// One partition.
struct Partition {
    /// Its name in an ARN.
    name: &'static str,
    /// What its regions begin with.
    regions: &'static str,
    /// The domain of its registries.
    domain: &'static str,
    /// The domain of its dual-stack registries, where it has them.
    registries: Option<&'static str>,
}

const fn partition(
    name: &'static str,
    regions: &'static str,
    domain: &'static str,
    registries: Option<&'static str>,
) -> Partition {
    Partition { name, regions, domain, registries }
}

/// The last one has every region that no other has: a region of a later day is most likely one of it.
const PARTITIONS: [Partition; 8] = [
    partition("aws-cn", "cn-", "amazonaws.com.cn", Some("on.amazonwebservices.com.cn")),
    partition("aws-eusc", "eusc-", "amazonaws.eu", Some("on.amazonwebservices.eu")),
    partition("aws-iso", "us-iso-", "c2s.ic.gov", None),
    partition("aws-iso-b", "us-isob-", "sc2s.sgov.gov", None),
    partition("aws-iso-e", "eu-isoe-", "cloud.adc-e.uk", None),
    partition("aws-iso-f", "us-isof-", "csp.hci.ic.gov", None),
    partition("aws-us-gov", "us-gov-", "amazonaws.com", Some("on.aws")),
    partition("aws", "", "amazonaws.com", Some("on.aws")),
];

/// The partition of a region, as an ARN names it.
pub fn partition_of(region: &str) -> &'static str {
    let found = PARTITIONS.iter().find(|partition| region.starts_with(partition.regions));
    found.map_or("aws", |partition| partition.name)
}

/// The region of a private registry of ECR, in every form that there is: `ACCOUNT.dkr.ecr[-fips].REGION.DOMAIN` and, dual-stack,
/// `ACCOUNT.dkr-ecr[-fips].REGION.on.aws`. Only AWS's own domains count, to their last letter: a registry gets the account's token.
pub fn registry_region(host: &str) -> Option<&str> {
    let (account, rest) = host.split_once('.')?;
    if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let rest = rest.strip_prefix("dkr.ecr").or_else(|| rest.strip_prefix("dkr-ecr"))?;
    let rest = rest.strip_prefix("-fips").unwrap_or(rest).strip_prefix('.')?;
    let (region, domain) = rest.split_once('.')?;
    let is_region = region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let is_aws = PARTITIONS.iter().any(|aws| aws.domain == domain || aws.registries == Some(domain));
    (is_region && !region.is_empty() && is_aws).then_some(region)
}

/// The same registry under the name that has an IPv6 address too; none if this is no private registry of ECR with IPv4 alone, or its partition
/// has no other name (ECR user guide, "Getting started with making requests to Amazon ECR over IPv6").
pub fn dual_stack_registry(host: &str) -> Option<String> {
    let region = registry_region(host)?;
    let (account, rest) = host.split_once(".dkr.ecr")?;
    let fips = if rest.starts_with("-fips.") { "-fips" } else { "" };
    let partition = PARTITIONS.iter().find(|partition| region.starts_with(partition.regions))?;
    Some(format!("{account}.dkr-ecr{fips}.{region}.{}", partition.registries?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_registry_host_has_its_region() {
        for (host, region) in [
            ("123456789012.dkr.ecr.us-east-1.amazonaws.com", "us-east-1"),
            ("123456789012.dkr.ecr-fips.us-east-1.amazonaws.com", "us-east-1"),
            ("123456789012.dkr.ecr.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
            ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
            ("123456789012.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn", "cn-north-1"),
            ("123456789012.dkr-ecr.us-east-1.on.aws", "us-east-1"),
            ("123456789012.dkr-ecr-fips.us-gov-west-1.on.aws", "us-gov-west-1"),
            ("123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"),
            ("123456789012.dkr-ecr.eusc-de-east-1.on.amazonwebservices.eu", "eusc-de-east-1"),
            ("123456789012.dkr.ecr.us-iso-east-1.c2s.ic.gov", "us-iso-east-1"),
            ("123456789012.dkr.ecr.us-isob-east-1.sc2s.sgov.gov", "us-isob-east-1"),
            ("123456789012.dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk", "eu-isoe-west-1"),
            ("123456789012.dkr.ecr.us-isof-south-1.csp.hci.ic.gov", "us-isof-south-1"),
            ("123456789012.dkr.ecr.xy-newest-1.amazonaws.com", "xy-newest-1"),
        ] {
            assert_eq!(registry_region(host), Some(region), "{host}");
        }
    }

    #[test]
    fn a_registry_with_ipv4_alone_has_another_name() {
        for (host, other) in [
            ("123456789012.dkr.ecr.us-east-1.amazonaws.com", Some("123456789012.dkr-ecr.us-east-1.on.aws")),
            (
                "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com",
                Some("123456789012.dkr-ecr-fips.us-gov-west-1.on.aws"),
            ),
            (
                "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
                Some("123456789012.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn"),
            ),
            ("123456789012.dkr.ecr.us-iso-east-1.c2s.ic.gov", None),
            ("123456789012.dkr-ecr.us-east-1.on.aws", None),
            ("123456789012.dkr.ecr.us-east-1.evil.example", None),
            ("registry-1.docker.io", None),
        ] {
            assert_eq!(dual_stack_registry(host).as_deref(), other, "{host}");
        }
    }

    #[test]
    fn a_host_outside_of_aws_s_own_domains_is_no_registry_of_ecr() {
        for host in [
            "123456789012.dkr.ecr.us-east-2.evil.example",
            "123456789012.dkr.ecr.us-east-2.amazonaws.com.evil.example",
            "123456789012.dkr.ecr.us-east-2.evilamazonaws.com",
            "123456789012.dkr.ecr.us-east-2.evil.amazonaws.com",
            "123456789012.dkr.ecr.us-east-2.amazonaws.com.",
            "123456789012.dkr.ecr.us-east-2.amazonaws.co",
            "123456789012.dkr.ecr.us-east-2.amazonaws.com.cn.example",
            "123456789012.dkr.ecr.us-east-2.AMAZONAWS.COM",
            "123456789012.dkr.ecr.us-east-2.aws",
            "123456789012.dkr.ecr.us-east-2.api.aws",
            "123456789012.dkr-ecr.us-east-2.on.aws.example",
            "123456789012.dkr-ecr.us-east-2.xon.aws",
            "123456789012.dkr.ecr.us-east-2.on.amazonwebservices.com",
            "123456789012.dkr.ecr.us-east-2.ic.gov",
            "123456789012.dkr.ecr.us_east_2.amazonaws.com",
            "123456789012.dkr.ecr.us-east-2@evil.amazonaws.com",
            "123456789012.dkr.ecr..amazonaws.com",
            "12345678901.dkr.ecr.us-east-2.amazonaws.com",
            "1234567890123.dkr.ecr.us-east-2.amazonaws.com",
            "12345678901a.dkr.ecr.us-east-2.amazonaws.com",
        ] {
            assert_eq!(registry_region(host), None, "{host}");
        }
    }

    #[test]
    fn an_arn_names_the_partition_of_its_region() {
        for (region, name) in [
            ("us-east-2", "aws"),
            ("us-gov-east-1", "aws-us-gov"),
            ("us-isob-east-1", "aws-iso-b"),
            ("xy-newest-1", "aws"),
        ] {
            assert_eq!(partition_of(region), name, "{region}");
        }
    }
}
