//! How AWS is reached according to the layers, and warnings about it.

use crate::config::network::{KEYS, Network};
use crate::error::ConfigErrors;
use crate::error::code::Code;
use crate::parse::layers::Layers;
use crate::validate::isolation::hidden;
use crate::value::proxy::ProxyUrl;

impl Layers {
    /// How AWS is reached, according to the layers so far. If one of its keys is invalid, every error so far: no
    /// request leaves on a wrong way.
    pub fn network(&self) -> Result<Network, ConfigErrors> {
        let mut network = Network::default();
        let mut written = KEYS.iter().filter_map(|key| self.keys.get(*key).map(|written| (key, &written.value)));
        match written.try_for_each(|(key, value)| network.set(key, value)) {
            Ok(()) => Ok(network),
            Err(_) => Err(self.resolve_what_is_written(true).1),
        }
    }

    /// Warnings about the way to AWS.
    pub(crate) fn warn_of_the_network(&self, warnings: &mut ConfigErrors) {
        let Ok(network) = self.network() else { return };
        if network.https_proxy.as_ref().is_some_and(ProxyUrl::has_password) {
            warnings.add(Code::PlainSecret, self.location("https_proxy"), Some("https_proxy"), || {
                "has a password in plain text, which every process on the instance (user-data) or everyone who can use the AMI (its file) can read: let the proxy allow the instances by \
                 their addresses, or set `HTTPS_PROXY` in an `EnvironmentFile=` of berth.service that only root can read"
            });
        }
        if network.https_proxy.is_some()
            && network.no_proxy.as_deref().is_some_and(|list| list.split(',').any(|entry| entry == "*"))
        {
            warnings.add(
                Code::UnusedKey,
                self.location("https_proxy"),
                Some("https_proxy"),
                || "has no effect: `no_proxy` has `*`, so no request uses the proxy",
            );
        }
        if let Some((folder, directive)) = network.ca_bundle.as_deref().and_then(hidden) {
            warnings.add(Code::HiddenPath, self.location("ca_bundle"), Some("ca_bundle"), || {
                format!("cannot be read by the agent: berth.service hides `{folder}` of the host ({directive}); put the file below `/etc`")
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_layers_say_so_far_counts_and_a_later_one_wins() {
        let mut layers = Layers::new();
        layers.add_file(
            "defaults",
            b"https_proxy = 'http://old:3128'\nca_bundle = '/etc/ssl/corp.pem'\n[aws]\nfips = true\n",
        );
        layers.add_user_data(
            b"berth https_proxy=http://u:p@new:3128 no_proxy=.internal,10.0.0.0/8 aws.dual_stack=false config=ssm:/x",
        );
        let network = layers.network().unwrap();
        assert_eq!(
            network.https_proxy.map(|proxy| proxy.with_login().to_owned()).as_deref(),
            Some("http://u:p@new:3128")
        );
        assert_eq!(network.no_proxy.as_deref(), Some(".internal,10.0.0.0/8"));
        assert_eq!(network.ca_bundle.as_deref(), Some("/etc/ssl/corp.pem"));
        assert_eq!((network.fips, network.dual_stack), (Some(true), Some(false)));
        layers.add_pointed(&layers.pointer().unwrap(), b"berth no_proxy= aws.fips=false ca_bundle=/other.pem");
        let network = layers.network().unwrap();
        // The line wins over what it points to, and that over the file.
        assert_eq!(network.no_proxy.as_deref(), Some(".internal,10.0.0.0/8"));
        assert_eq!((network.fips, network.ca_bundle.as_deref()), (Some(false), Some("/other.pem")));
    }

    #[test]
    fn an_invalid_way_to_aws_is_an_error_with_every_other_error() {
        let mut layers = Layers::new();
        layers.add_user_data(b"berth image=nginx https_proxy=proxy:3128 no_proxy=*.x ca_bundle=x config=ssm:/x");
        let reported = layers.network().unwrap_err().to_string();
        for key in ["`image`", "`https_proxy`", "`no_proxy`", "`ca_bundle`"] {
            assert!(reported.contains(key), "{reported}");
        }
        assert_eq!(reported.lines().count(), 4, "{reported}");
    }
}
