//! A host that has only IPv6: registries without an IPv6 address, and an endpoint that listens on IPv4.

use berth_config::Config;
use berth_core::message::partition::dual_stack_registry;

use crate::commands::doctor::report::Finding;
use crate::io::aws::imds::Imds;

/// A finding if the host has only IPv6.
pub fn ipv6_only(imds: &Imds) -> Option<Finding> {
    let found = "IPv6 only: AWS services are called at their dual-stack endpoints, unless `aws.dual_stack` or AWS_USE_DUALSTACK_ENDPOINT is set";
    imds.is_ipv6_only().then(|| Finding::ok("network", found))
}

/// What an IPv6-only host cannot reach, or cannot be reached by.
pub fn unreachable(config: &Config) -> Vec<Finding> {
    let host = &config.image.registry;
    let registry = dual_stack_registry(host).map(|other| {
        let image = config.image.name().replacen(host.as_str(), &other, 1);
        Finding::warn(
            "registry",
            format!("{host} has no IPv6 address"),
            format!("write `image={image}…` with the same tag or digest, or give the subnet DNS64 and NAT64"),
        )
    });
    let listen = (config.listen.is_ipv4() && !config.listen.ip().is_loopback()).then(|| {
        let port = config.listen.port();
        let found = format!("{} is reached by IPv4 only", config.listen);
        Finding::warn("listen", found, format!("for a load balancer with IPv6 targets set `listen=[::]:{port}`"))
    });
    registry.into_iter().chain(listen).collect()
}

#[cfg(test)]
mod tests {
    use berth_config::Layers;

    use super::*;

    fn found(line: &str) -> Vec<(&'static str, String)> {
        let mut layers = Layers::new();
        layers.add_user_data(line.as_bytes());
        let checks = unreachable(&layers.resolve().unwrap());
        checks.into_iter().map(|check| (check.name, format!("{}; {}", check.found, check.advice.unwrap()))).collect()
    }

    #[test]
    fn a_registry_or_an_endpoint_without_ipv6_is_a_warning() {
        let checks = found("berth image=123456789012.dkr.ecr.us-east-2.amazonaws.com/ap/api:a1 port=8080");
        let names: Vec<_> = checks.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["registry", "listen"]);
        assert!(checks[0].1.contains("`image=123456789012.dkr-ecr.us-east-2.on.aws/ap/api…`"), "{}", checks[0].1);
        assert!(checks[1].1.contains("`listen=[::]:9911`"), "{}", checks[1].1);
    }

    #[test]
    fn what_ipv6_reaches_is_no_warning() {
        for line in [
            "berth image=123456789012.dkr-ecr.us-east-2.on.aws/ap/api:a1 listen=[::]:9911",
            "berth image=registry.example.com/ap/api:a1 listen=127.0.0.1:9911",
        ] {
            assert_eq!(found(line), [], "{line}");
        }
    }
}
