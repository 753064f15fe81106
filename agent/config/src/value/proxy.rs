//! `https_proxy` and `no_proxy`: the URL of a proxy, and the hosts that bypass it.

use std::fmt;

use ipnet::IpNet;

use crate::value::{Reason, probe_http};

/// The URL of a proxy. `Display` and `Debug` show neither user nor password.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl {
    whole: String,
    shown: String,
    has_password: bool,
}

impl ProxyUrl {
    /// `http://HOST:PORT` or `https://HOST:PORT`, with `USER:PASSWORD@` before the host if the proxy needs a login.
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
            return Err("has a path, query or fragment after the host and port: remove it".into());
        }
        probe_http::host(address).map_err(|_| EXPECTED)?;
        Ok(Self {
            whole: format!("{scheme}://{authority}"),
            shown: format!("{scheme}://{address}"),
            has_password: login.is_some_and(|login| login.contains(':')),
        })
    }

    /// With user and password, for the connection to the proxy only.
    pub fn with_login(&self) -> &str {
        &self.whole
    }

    /// Whether it has a password.
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

/// Checks the login: characters with a meaning in a URL are percent-encoded (RFC 3986, section 3.2.1).
fn check_login(login: &str) -> Result<(), Reason> {
    if login.contains(['@', '/', '?', '#', '\\']) {
        return Err("has a character in the user or password that must be percent-encoded: `@` is `%40`, `/` is `%2F`, `?` is `%3F`, \
                    `#` is `%23`"
            .into());
    }
    let encoded = |part: &str| part.len() >= 2 && part.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    if !login.split('%').skip(1).all(encoded) {
        return Err(
            "has a `%` in the user or password that is not followed by two hex digits: `%` is written `%25`".into()
        );
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:%".contains(&byte);
    match login.bytes().all(allowed) && !login.is_empty() && !login.starts_with(':') {
        true => Ok(()),
        false => {
            Err("has a login that is not `USER:PASSWORD`: percent-encode every character that is neither a letter nor \
                      a digit"
                .into())
        }
    }
}

/// An entry of `no_proxy` that the HTTP client can match. A name matches every name below it too.
pub(crate) fn exception(text: &str) -> Result<String, Reason> {
    let text = text.trim();
    if text == "*" || text.parse::<IpNet>().is_ok() || text.parse::<std::net::IpAddr>().is_ok() {
        return Ok(text.to_owned());
    }
    if text.starts_with("*.") {
        return Err("begins with `*.`: write `.example.com`, which matches every name below it".into());
    }
    let name = text.strip_prefix('.').unwrap_or(text);
    match probe_http::host(name) {
        Ok(_) if !name.contains([':', '[']) => Ok(text.to_owned()),
        Ok(_) if !name.starts_with('[') => Err("has a port: remove it, an entry matches every port".into()),
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
    fn an_invalid_proxy_is_an_error_without_its_value() {
        for (text, reported) in [
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
            ("http://proxy:3128/hunter2", "has a path, query or fragment after the host"),
            ("http://proxy:3128?hunter2", "has a path, query or fragment after the host"),
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
            assert!(reason.contains(reported) && !reason.contains("hunter"), "{text}: {reason}");
        }
    }

    #[test]
    fn an_exception_is_one_that_the_matcher_knows() {
        for text in
            ["example.com", ".example.com", "10.0.0.0/8", "fd00::/8", "10.0.0.1", "::1", "*", "localhost", " a.b "]
        {
            assert_eq!(exception(text), Ok(text.trim().to_owned()));
        }
        for (text, reported) in [
            ("*.example.com", "write `.example.com`"),
            ("example.com:8443", "has a port"),
            ("10.0.0.0/33", "is not a name"),
            ("https://example.com", "is not a name"),
            ("a b", "is not a name"),
            ("[::1]", "is not a name"),
            (".", "is not a name"),
        ] {
            assert!(exception(text).unwrap_err().contains(reported), "{text}");
        }
    }
}
