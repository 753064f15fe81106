//! How AWS is reached: `https_proxy`, `no_proxy`, `ca_bundle`, `aws.fips`, `aws.dual_stack`. What is not written is left to the
//! environment variables of the same names.
//!
//! No part of [`Config`](crate::Config), which the machine holds: a proxy's URL may have a password. [`Layers::network`] gives it to
//! the adapters alone, and before `config=` is followed.

use std::fmt;

use ipnet::IpNet;

use crate::error::ConfigErrors;
use crate::error::code::Code;
use crate::parse::layers::Layers;
use crate::validate::isolation::hidden;
use crate::value::container::absolute;
use crate::value::probe_http;
use crate::value::scalar::switch;
use crate::value::{Reason, Reasons, Value};

/// How AWS is reached, as far as the config says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// `https_proxy`
    pub https_proxy: Option<ProxyUrl>,
    /// `no_proxy`, its entries with commas; empty if there are none although the environment has some.
    pub no_proxy: Option<String>,
    /// `ca_bundle`, a path on the host.
    pub ca_bundle: Option<String>,
    /// `aws.fips`
    pub fips: Option<bool>,
    /// `aws.dual_stack`
    pub dual_stack: Option<bool>,
}

/// Every key that a [`Network`] is made of.
const KEYS: [&str; 5] = ["aws.fips", "aws.dual_stack", "https_proxy", "no_proxy", "ca_bundle"];

impl Network {
    /// Takes over the value of one of its keys.
    fn set(&mut self, key: &str, value: &Value) -> Result<(), Reasons> {
        match key {
            "aws.fips" => self.fips = Some(value.one().and_then(switch)?),
            "aws.dual_stack" => self.dual_stack = Some(value.one().and_then(switch)?),
            "https_proxy" => self.https_proxy = Some(value.one().and_then(ProxyUrl::parse)?),
            "no_proxy" => self.no_proxy = Some(value.each(exception)?.join(",")),
            "ca_bundle" => self.ca_bundle = Some(value.one().and_then(absolute)?),
            _ => {}
        }
        Ok(())
    }
}

/// What is wrong with the value of one of these keys.
pub(crate) fn check(key: &str, value: &Value) -> Result<(), Reasons> {
    Network::default().set(key, value)
}

impl Layers {
    /// How AWS is reached, as far as the layers say so far. If one of its keys is invalid, every error that is known so far: nobody
    /// is asked on a way that was not meant.
    pub fn network(&self) -> Result<Network, ConfigErrors> {
        let mut network = Network::default();
        let mut written = KEYS.iter().filter_map(|key| self.keys.get(*key).map(|written| (key, &written.value)));
        match written.try_for_each(|(key, value)| network.set(key, value)) {
            Ok(()) => Ok(network),
            Err(_) => Err(self.resolve_what_is_written(true).1),
        }
    }

    /// What is legal and unwise on the way to AWS.
    pub(crate) fn warn_of_the_network(&self, warnings: &mut ConfigErrors) {
        let Ok(network) = self.network() else { return };
        if network.https_proxy.as_ref().is_some_and(ProxyUrl::has_password) {
            warnings.add(Code::PlainSecret, self.place("https_proxy"), Some("https_proxy"), || {
                "holds a password in plain text, readable by every process on the instance (user-data) or by everyone who can use the AMI (its file): let the proxy allow the instances by \
                 their addresses, or set `HTTPS_PROXY` in an `EnvironmentFile=` of berth.service that only root can read"
            });
        }
        if network.https_proxy.is_some()
            && network.no_proxy.as_deref().is_some_and(|list| list.split(',').any(|entry| entry == "*"))
        {
            warnings.add(
                Code::UnusedKey,
                self.place("https_proxy"),
                Some("https_proxy"),
                || "has no effect: `no_proxy` has `*`, so everything is reached directly",
            );
        }
        if let Some((folder, directive)) = network.ca_bundle.as_deref().and_then(hidden) {
            warnings.add(Code::HiddenPath, self.place("ca_bundle"), Some("ca_bundle"), || {
                format!("cannot be read by the agent: berth.service hides the host's `{folder}` ({directive}); put the file below `/etc`")
            });
        }
    }
}

/// The URL of a proxy. What is shown of it, also as `Debug`, has neither user nor password.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl {
    whole: String,
    shown: String,
    has_password: bool,
}

impl ProxyUrl {
    /// `http://HOST:PORT` or `https://HOST:PORT`, with `USER:PASSWORD@` before the host where the proxy asks for them.
    pub fn parse(text: &str) -> Result<Self, Reason> {
        const EXPECTED: &str = "is not the URL of a proxy like `http://proxy.example.com:3128` or `http://USER:PASSWORD@proxy.example.com:3128`";
        let is_scheme = |scheme: &str, name: &str| scheme.eq_ignore_ascii_case(name);
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) if is_scheme(scheme, "http") => ("http", rest),
            Some((scheme, rest)) if is_scheme(scheme, "https") => ("https", rest),
            Some((scheme, _)) if scheme.to_ascii_lowercase().starts_with("socks") => {
                return Err("is the URL of a SOCKS proxy: only `http://` and `https://` proxies can be used".into());
            }
            _ => return Err(EXPECTED.into()),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (login, address) = match authority.rsplit_once('@') {
            Some((login, address)) => (Some(login), address),
            None => (None, authority),
        };
        if let Some(login) = login {
            check_login(login)?;
        }
        if authority.contains(['/', '?', '#', '\\']) {
            return Err("has something behind the host and the port: leave it out".into());
        }
        probe_http::host(address).map_err(|_| EXPECTED)?;
        Ok(Self {
            whole: format!("{scheme}://{authority}"),
            shown: format!("{scheme}://{address}"),
            has_password: login.is_some_and(|login| login.contains(':')),
        })
    }

    /// With user and password, for nobody but the proxy.
    pub fn with_login(&self) -> &str {
        &self.whole
    }

    /// Whether there is a password in it.
    pub fn has_password(&self) -> bool {
        self.has_password
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// RFC 3986, section 3.2.1: what has a meaning in a URL is percent-encoded.
fn check_login(login: &str) -> Result<(), Reason> {
    if login.contains(['@', '/', '?', '#', '\\']) {
        return Err("has a character in the user or the password that must be percent-encoded: `@` is `%40`, `/` is `%2F`, `?` is `%3F`, \
                    `#` is `%23`"
            .into());
    }
    let encoded = |part: &str| part.len() >= 2 && part.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    if !login.split('%').skip(1).all(encoded) {
        return Err(
            "has a `%` in the user or the password without two hex digits behind it: `%` is written `%25`".into()
        );
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:%".contains(&byte);
    match login.bytes().all(allowed) && !login.is_empty() && !login.starts_with(':') {
        true => Ok(()),
        false => Err("has a user or a password that is not `USER:PASSWORD`, percent-encoded where a character is neither a letter nor \
                      a digit"
            .into()),
    }
}

/// An entry of `no_proxy` that the matcher of the HTTP client knows: a name stands for all below it, too.
fn exception(text: &str) -> Result<String, Reason> {
    let text = text.trim();
    if text == "*" || text.parse::<IpNet>().is_ok() || text.parse::<std::net::IpAddr>().is_ok() {
        return Ok(text.to_owned());
    }
    if text.starts_with("*.") {
        return Err("begins with `*.`: write `.example.com`, which stands for every name below it".into());
    }
    let name = text.strip_prefix('.').unwrap_or(text);
    match probe_http::host(name) {
        Ok(_) if !name.contains([':', '[']) => Ok(text.to_owned()),
        Ok(_) if !name.starts_with('[') => Err("has a port: leave it out, every port of the host counts".into()),
        _ => Err("is not a name like `.example.com`, an IP address, a network like `10.0.0.0/8`, or `*`".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_a_url_with_a_host_and_perhaps_a_login() {
        for (text, shown) in [
            ("http://proxy:3128", "http://proxy:3128"),
            ("HTTP://proxy.example.com", "http://proxy.example.com"),
            ("https://proxy.example.com:8443/", "https://proxy.example.com:8443"),
            ("http://10.0.0.1:3128", "http://10.0.0.1:3128"),
            ("http://[fd00::1]:3128", "http://[fd00::1]:3128"),
            ("http://user@proxy:3128", "http://proxy:3128"),
            ("http://user:@proxy:3128", "http://proxy:3128"),
            ("http://user:p%40ss%3Aw%2Frd@proxy:3128", "http://proxy:3128"),
            ("http://corp%5Cuser:hunter2!@proxy:3128", "http://proxy:3128"),
        ] {
            let proxy = ProxyUrl::parse(text).unwrap_or_else(|reason| panic!("{text}: {reason}"));
            assert_eq!(proxy.to_string(), shown, "{text}");
            assert_eq!(format!("{proxy:?}"), shown, "{text}");
        }
        let proxy = ProxyUrl::parse("http://user:hunter2@proxy:3128/").unwrap();
        assert_eq!((proxy.with_login(), proxy.has_password()), ("http://user:hunter2@proxy:3128", true));
        assert!(!ProxyUrl::parse("http://user@proxy").unwrap().has_password());
    }

    #[test]
    fn what_is_no_proxy_is_told_without_what_it_is() {
        for (text, told) in [
            ("proxy:3128", "is not the URL of a proxy"),
            ("hunter2", "is not the URL of a proxy"),
            ("ftp://hunter2", "is not the URL of a proxy"),
            ("http://", "is not the URL of a proxy"),
            ("http://:3128", "is not the URL of a proxy"),
            ("http://user:hunter2@", "is not the URL of a proxy"),
            ("http://proxy:0", "is not the URL of a proxy"),
            ("http://proxy:hunter2", "is not the URL of a proxy"),
            ("http://pro xy:3128", "is not the URL of a proxy"),
            ("socks5h://user:hunter2@proxy:1080", "is the URL of a SOCKS proxy"),
            ("http://proxy:3128/hunter2", "has something behind the host and the port"),
            ("http://proxy:3128?hunter2", "has something behind the host and the port"),
            ("http://user:hunter@2@proxy:3128", "`@` is `%40`"),
            ("http://user:hunter/2@proxy:3128", "`/` is `%2F`"),
            ("http://user:hunter#2@proxy:3128", "`#` is `%23`"),
            ("http://user:100%hunter2@proxy:3128", "`%` is written `%25`"),
            ("http://user:hunter2%@proxy:3128", "`%` is written `%25`"),
            ("http://user:hunter 2@proxy:3128", "is not `USER:PASSWORD`"),
            ("http://:hunter2@proxy:3128", "is not `USER:PASSWORD`"),
            ("http://@proxy:3128", "is not `USER:PASSWORD`"),
        ] {
            let reason = ProxyUrl::parse(text).unwrap_err();
            assert!(reason.contains(told) && !reason.contains("hunter"), "{text}: {reason}");
        }
    }

    #[test]
    fn an_exception_is_one_that_the_matcher_knows() {
        for text in
            ["example.com", ".example.com", "10.0.0.0/8", "fd00::/8", "10.0.0.1", "::1", "*", "localhost", " a.b "]
        {
            assert_eq!(exception(text), Ok(text.trim().to_owned()));
        }
        for (text, told) in [
            ("*.example.com", "write `.example.com`"),
            ("example.com:8443", "has a port"),
            ("10.0.0.0/33", "is not a name"),
            ("https://example.com", "is not a name"),
            ("a b", "is not a name"),
            ("[::1]", "is not a name"),
            (".", "is not a name"),
        ] {
            assert!(exception(text).unwrap_err().contains(told), "{text}");
        }
    }

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
    fn a_way_that_is_invalid_is_none_and_every_error_is_told() {
        let mut layers = Layers::new();
        layers.add_user_data(b"berth image=nginx https_proxy=proxy:3128 no_proxy=*.x ca_bundle=x config=ssm:/x");
        let told = layers.network().unwrap_err().to_string();
        for key in ["`image`", "`https_proxy`", "`no_proxy`", "`ca_bundle`"] {
            assert!(told.contains(key), "{told}");
        }
        assert_eq!(told.lines().count(), 4, "{told}");
    }
}
