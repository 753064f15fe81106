//! Which requests go through which proxy: as the keys of the config say, else the environment. hyper-util's matcher decides. Here are its rules, and
//! the addresses that are never proxied.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use thiserror::Error;

use berth_config::{Network, ProxyUrl};

/// A proxy, and the key or variable that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct NamedProxy {
    url: ProxyUrl,
    from: &'static str,
}

/// The proxies of the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Environment {
    http: Option<NamedProxy>,
    https: Option<NamedProxy>,
    no: Option<(String, &'static str)>,
}

/// A variable of the environment that is invalid. Its value may hold a password and is not shown.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{variable} {reason}")]
pub struct VariableError {
    /// The variable.
    pub variable: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

/// Variables that mean the same. The first that is set counts, also if it is empty, as the matcher reads them.
const ALL: [&str; 2] = ["ALL_PROXY", "all_proxy"];
const HTTP: [&str; 2] = ["HTTP_PROXY", "http_proxy"];
const HTTPS: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];
const NO: [&str; 2] = ["NO_PROXY", "no_proxy"];

impl Environment {
    pub(super) fn read(env: &dyn Fn(&str) -> Option<String>) -> Result<Self, VariableError> {
        let set = |names: [&'static str; 2]| {
            names.into_iter().find_map(|name| Some((env(name)?, name))).filter(|(value, _)| !value.trim().is_empty())
        };
        let proxy = |names| set(names).map(|(value, from)| named(&value, from)).transpose();
        let all = proxy(ALL)?;
        Ok(Self { http: proxy(HTTP)?.or_else(|| all.clone()), https: proxy(HTTPS)?.or(all), no: set(NO) })
    }
}

/// Without a scheme it is `http://`, as every program reads these variables.
fn named(value: &str, from: &'static str) -> Result<NamedProxy, VariableError> {
    let value = value.trim();
    let url = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
    match ProxyUrl::parse(&url) {
        Ok(url) => Ok(NamedProxy { url, from }),
        Err(reason) => Err(VariableError { variable: from, reason: reason.into_owned() }),
    }
}

/// The route to an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Direct: no proxy is set for it.
    Direct,
    /// Direct, although a proxy is set.
    Excepted {
        /// `no_proxy`, `NO_PROXY`, or a rule of berth.
        by: &'static str,
    },
    /// Through a proxy.
    Proxied {
        /// Its URL, without user and password.
        proxy: String,
        /// The key or the variable that names it.
        from: &'static str,
    },
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct => f.write_str("directly"),
            Self::Excepted { by } => write!(f, "directly ({by})"),
            Self::Proxied { proxy, from } => write!(f, "through the proxy {proxy} ({from})"),
        }
    }
}

/// The proxies of one client.
#[derive(Debug)]
pub(super) struct Proxies {
    http: Option<NamedProxy>,
    https: Option<NamedProxy>,
    no_from: &'static str,
    matcher: Matcher,
}

impl Proxies {
    /// The proxy of the config, else that of the environment.
    pub(super) fn new(environment: &Environment, network: &Network) -> Self {
        let written = network.https_proxy.clone().map(|url| NamedProxy { url, from: "https_proxy" });
        let (http, https) = (environment.http.clone(), written.or_else(|| environment.https.clone()));
        let (no, no_from) = match &network.no_proxy {
            Some(list) => (list.clone(), "no_proxy"),
            None => environment.no.clone().unwrap_or_default(),
        };
        let text = |proxy: &Option<NamedProxy>| {
            proxy.as_ref().map(|proxy| proxy.url.with_login().to_owned()).unwrap_or_default()
        };
        let matcher = Matcher::builder().http(text(&http)).https(text(&https)).no(no).build();
        Self { http, https, no_from, matcher }
    }

    /// The proxy for this request; none if it goes directly.
    pub(super) fn intercept(&self, uri: &Uri) -> Option<Intercept> {
        if is_local(uri.host()?) { None } else { self.matcher.intercept(uri) }
    }

    /// The route of a request, and why.
    pub(super) fn route(&self, uri: &Uri) -> Route {
        let named = if is_https(uri) { &self.https } else { &self.http };
        match named {
            None => Route::Direct,
            Some(_) if uri.host().is_none_or(is_local) => {
                Route::Excepted { by: "loopback and link-local addresses are never proxied" }
            }
            Some(NamedProxy { url, from }) => match self.matcher.intercept(uri) {
                Some(_) => Route::Proxied { proxy: url.to_string(), from },
                None => Route::Excepted { by: self.no_from },
            },
        }
    }
}

/// The route to a URL in a process with this environment that reads the variables as berth does.
pub fn route_in(env: &dyn Fn(&str) -> Option<String>, url: &str) -> Result<Route, VariableError> {
    let proxies = Proxies::new(&Environment::read(env)?, &Network::default());
    Ok(url.parse().map_or(Route::Direct, |uri| proxies.route(&uri)))
}

pub(super) fn is_https(uri: &Uri) -> bool {
    uri.scheme() == Some(&http::uri::Scheme::HTTPS)
}

/// Whether a proxy could not reach the address of this host: loopback and link-local addresses, the metadata service among them.
fn is_local(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    match host.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_link_local(),
        Ok(IpAddr::V6(address)) => {
            address.is_loopback() || address.is_unicast_link_local() || is_of_the_instance(address)
        }
        // RFC 6761: always loopback.
        Err(_) => host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost"),
    }
}

/// `fd00:ec2::/32`: the services of the instance itself, its metadata, name server and clock (EC2 user guide, "Instance metadata service").
fn is_of_the_instance(address: Ipv6Addr) -> bool {
    address.segments().starts_with(&[0xfd00, 0x0ec2])
}

#[cfg(test)]
mod tests {
    use berth_config::Layers;

    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Result<Environment, VariableError> {
        Environment::read(&|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    fn network(words: &str) -> Network {
        let mut layers = Layers::new();
        layers.add_user_data(format!("berth image=x:1 {words}").as_bytes());
        layers.network().unwrap()
    }

    #[track_caller]
    fn check(variables: &[(&str, &str)], words: &str, routes: &[(&str, &str)]) {
        let proxies = Proxies::new(&environment(variables).unwrap(), &network(words));
        for (url, shown) in routes {
            let uri: Uri = url.parse().unwrap();
            let route = proxies.route(&uri);
            assert_eq!(route.to_string(), *shown, "{url} with {variables:?} {words}");
            assert_eq!(proxies.intercept(&uri).is_some(), matches!(route, Route::Proxied { .. }), "{url}");
        }
    }

    const AWS: &str = "https://ssm.us-east-2.amazonaws.com";
    const LOCAL: &str = "directly (loopback and link-local addresses are never proxied)";

    #[test]
    fn the_environment_says_which_proxy_and_the_config_wins() {
        check(&[], "", &[(AWS, "directly"), ("http://x", "directly")]);
        check(
            &[("HTTPS_PROXY", "http://u:hunter2@a:3128"), ("HTTP_PROXY", "b:3128")],
            "",
            &[
                (AWS, "through the proxy http://a:3128 (HTTPS_PROXY)"),
                ("http://x", "through the proxy http://b:3128 (HTTP_PROXY)"),
            ],
        );
        check(
            &[("ALL_PROXY", "http://a:3128"), ("https_proxy", "https://b")],
            "",
            &[
                (AWS, "through the proxy https://b (https_proxy)"),
                ("http://x", "through the proxy http://a:3128 (ALL_PROXY)"),
            ],
        );
        check(
            &[("HTTPS_PROXY", "http://a:3128")],
            "https_proxy=http://u:hunter2@c:8080",
            &[(AWS, "through the proxy http://c:8080 (https_proxy)"), ("http://x", "directly")],
        );
        // Set and empty is none, as for the matcher.
        check(&[("HTTPS_PROXY", ""), ("https_proxy", "http://a:3128")], "", &[(AWS, "directly")]);
    }

    #[test]
    fn exceptions_are_names_networks_and_everything() {
        let proxy = ("HTTPS_PROXY", "http://p:3128");
        let through = "through the proxy http://p:3128 (HTTPS_PROXY)";
        check(
            &[proxy, ("NO_PROXY", ".amazonaws.com, 10.0.0.0/8,internal")],
            "",
            &[
                (AWS, "directly (NO_PROXY)"),
                ("https://amazonaws.com", "directly (NO_PROXY)"),
                ("https://xamazonaws.com", through),
                ("https://10.1.2.3:8443", "directly (NO_PROXY)"),
                ("https://11.1.2.3", through),
                ("https://a.internal", "directly (NO_PROXY)"),
                ("https://example.com", through),
            ],
        );
        check(&[proxy, ("no_proxy", "*")], "", &[(AWS, "directly (no_proxy)")]);
        check(&[proxy, ("NO_PROXY", "*")], "no_proxy=", &[(AWS, through)]);
        check(&[proxy], "no_proxy=.amazonaws.com", &[(AWS, "directly (no_proxy)"), ("https://x", through)]);
    }

    #[test]
    fn loopback_and_the_metadata_are_never_proxied() {
        let local = [
            "http://127.0.0.1:1",
            "https://127.9.9.9",
            "http://localhost:1",
            "http://LOCALHOST.",
            "http://x.localhost",
            "http://[::1]:1",
            "http://[::ffff:127.0.0.1]",
            "http://169.254.169.254",
            "http://169.254.170.2",
            "http://[fd00:ec2::254]",
            "http://[fe80::1]",
        ];
        let routes = local.map(|url| (url, LOCAL));
        check(&[("ALL_PROXY", "http://p:3128"), ("NO_PROXY", "")], "", &routes);
        check(&[("ALL_PROXY", "http://p:3128")], "https_proxy=http://p:3128 no_proxy=", &routes);
    }

    #[test]
    fn a_variable_that_cannot_be_followed_is_named_and_not_shown() {
        for (name, value) in [
            ("HTTPS_PROXY", "socks5://hunter2:1080"),
            ("https_proxy", "http://u:hunter@2@proxy"),
            ("HTTP_PROXY", "http://proxy/hunter2"),
            ("ALL_PROXY", "hunter2 hunter2"),
        ] {
            let error = environment(&[(name, value)]).unwrap_err().to_string();
            assert!(error.starts_with(name) && !error.contains("hunter"), "{error}");
        }
        assert_eq!(environment(&[("HTTPS_PROXY", " "), ("NO_PROXY", "*.x y:1")]).unwrap().https, None);
    }
}
