//! Amazon resource names, `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE` (IAM User Guide, "Identify AWS resources with ARNs").

use std::fmt;

use crate::value::Reason;

/// The parts of an ARN. Each may be empty, and `*` in a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arn<'a> {
    /// `aws`, `aws-cn`, …
    pub partition: &'a str,
    /// `secretsmanager`
    pub service: &'a str,
    /// `us-east-2`
    pub region: &'a str,
    /// Twelve digits.
    pub account: &'a str,
    /// Everything after the account: `secret:prod/api-AbCdEf`. It may hold more colons.
    pub resource: &'a str,
}

impl<'a> Arn<'a> {
    /// The parts of this text; none if it is not a whole ARN.
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let mut next = || parts.next();
        match (next()?, next()?, next()?, next()?, next()?, next()?) {
            ("arn", partition, service, region, account, resource) => {
                Some(Self { partition, service, region, account, resource })
            }
            _ => None,
        }
    }

    /// Whether its partition, region and account can be those of a service: they lead to an endpoint, and into a policy.
    pub(crate) fn check_place(&self) -> Result<(), Reason> {
        let words =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !words(self.partition) || !words(self.region) {
            return Err("is an ARN without partition or region".into());
        }
        if !self.partition.starts_with("aws") {
            return Err("is an ARN of a partition that does not exist: write `aws`, `aws-cn`, `aws-us-gov`, …".into());
        }
        if self.account.len() != 12 || !self.account.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err("is an ARN whose account is not twelve digits".into());
        }
        Ok(())
    }

    /// Whether the text is meant as an ARN, perhaps not a whole one.
    pub fn is_meant(text: &str) -> bool {
        text.starts_with("arn:")
    }
}

impl fmt::Display for Arn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, service, region, account, resource } = self;
        write!(f, "arn:{partition}:{service}:{region}:{account}:{resource}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_is_its_parts() {
        let text = "arn:aws-cn:ssm:cn-north-1:123456789012:parameter/prod/key:3";
        let arn = Arn::parse(text).unwrap();
        assert_eq!(
            (arn.partition, arn.service, arn.region, arn.account),
            ("aws-cn", "ssm", "cn-north-1", "123456789012")
        );
        assert_eq!(arn.resource, "parameter/prod/key:3");
        assert_eq!(arn.to_string(), text);
        assert_eq!(Arn::parse("arn:aws:s3:::bucket").unwrap().region, "");
        for text in ["arn:aws:ssm", "prod/api", "arm:aws:ssm:us-east-2:123456789012:parameter/x", ""] {
            assert_eq!(Arn::parse(text), None, "{text}");
        }
    }
}
