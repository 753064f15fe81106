//! Target groups of Elastic Load Balancing that the instance registers itself with, as a config names them.

use std::fmt;

use serde::Serialize;

use crate::value::Reason;
use crate::value::arn::Arn;

/// One target group, and which of the container's ports its targets are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct TargetGroup {
    /// `arn:aws:elasticloadbalancing:REGION:ACCOUNT:targetgroup/NAME/ID`
    pub arn: String,
    /// The port in the container; none is the first TCP port of `port`.
    pub container_port: Option<u16>,
}

impl TargetGroup {
    /// Reads `ARN` and `ARN#CONTAINERPORT`.
    pub(crate) fn parse(text: &str) -> Result<Self, Reason> {
        let (arn, port) = match text.split_once('#') {
            Some((arn, port)) => (arn, Some(port)),
            None => (text, None),
        };
        let parts = Arn::parse(arn).filter(|parts| parts.service == "elasticloadbalancing");
        let Some(parts) = parts else {
            return Err(
                "is not the ARN of a target group, `arn:aws:elasticloadbalancing:REGION:ACCOUNT:targetgroup/NAME/ID`"
                    .into(),
            );
        };
        let resource = parts.resource;
        let kind = resource.split('/').next().unwrap_or_default();
        if kind != "targetgroup" {
            return Err(match kind {
                "loadbalancer" => "is the ARN of a load balancer: write the ARN of its target group",
                "listener" | "listener-rule" => {
                    "is the ARN of a listener: write the ARN of the target group that it forwards to"
                }
                _ => "is not the ARN of a target group: its resource is `targetgroup/NAME/ID`",
            }
            .into());
        }
        let names: Vec<_> = resource.split('/').skip(1).collect();
        let is_name =
            |name: &&str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if names.len() != 2 || !names.iter().all(is_name) {
            return Err("is not a whole ARN of a target group: it ends in `targetgroup/NAME/ID`, and a port of the container is written `#8080` after that".into());
        }
        parts.check_place()?;
        let container_port = match port {
            None => None,
            Some(port) => {
                let number = port.bytes().all(|byte| byte.is_ascii_digit()).then(|| port.parse::<u16>().ok()).flatten();
                let number = number.filter(|port| *port != 0);
                Some(number.ok_or("has no port of the container after `#`: write `ARN#8080`")?)
            }
        };
        Ok(Self { arn: arn.to_owned(), container_port })
    }

    /// The region that it is in.
    pub fn region(&self) -> Option<&str> {
        Arn::parse(&self.arn).map(|arn| arn.region)
    }

    /// Its name, for people.
    pub fn name(&self) -> &str {
        Self::name_of(&self.arn)
    }

    /// The name in the ARN of a target group, for people.
    pub fn name_of(arn: &str) -> &str {
        arn.rsplit('/').nth(1).unwrap_or(arn)
    }
}

/// As it is written.
impl fmt::Display for TargetGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn)?;
        match self.container_port {
            Some(port) => write!(f, "#{port}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/web/73e2d6bc24d8a067";

    #[test]
    fn a_target_group_is_an_arn_and_may_have_a_port_of_the_container() {
        let plain = TargetGroup::parse(ARN).unwrap();
        assert_eq!((plain.name(), plain.region(), plain.container_port), ("web", Some("us-east-2"), None));
        assert_eq!(plain.to_string(), ARN);
        let with_port = TargetGroup::parse(&format!("{ARN}#9000")).unwrap();
        assert_eq!((with_port.container_port, with_port.to_string()), (Some(9000), format!("{ARN}#9000")));
    }

    #[test]
    fn what_is_no_target_group_is_refused_with_what_to_write() {
        let refused = |text: &str| TargetGroup::parse(text).unwrap_err().into_owned();
        for text in ["web", "", "arn:aws:ec2:us-east-2:123456789012:targetgroup/web/1", "arn:aws:elasticloadbalancing"]
        {
            assert!(refused(text).starts_with("is not the ARN of a target group, `arn:aws:"), "{text}");
        }
        let of = |resource: &str| refused(&format!("arn:aws:elasticloadbalancing:us-east-2:123456789012:{resource}"));
        assert_eq!(of("loadbalancer/app/web/1"), "is the ARN of a load balancer: write the ARN of its target group");
        assert!(of("listener/app/web/1/2").contains("that it forwards to"));
        assert!(of("listener-rule/app/web/1/2/3").contains("that it forwards to"));
        assert!(of("rule/x").contains("its resource is `targetgroup/NAME/ID`"));
        for resource in
            ["targetgroup", "targetgroup/web", "targetgroup/web/", "targetgroup/w b/1", "targetgroup/web/1/2"]
        {
            assert!(of(resource).contains("not a whole ARN"), "{resource}");
        }
        for (place, why) in [
            ("aws:elasticloadbalancing::123456789012", "without partition or region"),
            ("aws:elasticloadbalancing:*:123456789012", "without partition or region"),
            ("aws:elasticloadbalancing:../x.example/:123456789012", "without partition or region"),
            ("asw:elasticloadbalancing:us-east-2:123456789012", "a partition that does not exist"),
            ("aws:elasticloadbalancing:us-east-2:12345678901", "not twelve digits"),
            ("aws:elasticloadbalancing:us-east-2:*", "not twelve digits"),
        ] {
            let reported = refused(&format!("arn:{place}:targetgroup/web/1"));
            assert!(reported.contains(why), "{place}: {reported}");
        }
        for partition in ["aws-cn", "aws-us-gov", "aws-iso-b", "aws-eusc"] {
            assert!(TargetGroup::parse(&ARN.replace("arn:aws:", &format!("arn:{partition}:"))).is_ok(), "{partition}");
        }
        for port in ["", "0", "http", "65536", "+80", "80/tcp"] {
            assert!(refused(&format!("{ARN}#{port}")).contains("write `ARN#8080`"), "{port}");
        }
    }
}
