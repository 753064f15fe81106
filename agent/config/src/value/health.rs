//! The forms of `health`.

use std::net::IpAddr;

use serde::Serialize;

use crate::value::Reason;
use crate::value::line;

/// How berth probes whether the app is healthy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeMethod {
    /// `/path`: GET on the first TCP port of the container; `probe.expect` lists the healthy statuses.
    Path(String),
    /// `http:PORT/path`, `https:PORT/path`: the same on this port of the container.
    Port {
        /// Whether it uses TLS.
        tls: bool,
        /// The port in the container.
        port: u16,
        /// The path with its query.
        path: String,
    },
    /// `http://…`, `https://…`: GET of this address as the host sees it.
    Url(String),
    /// `tcp` (the first TCP port) or `tcp:PORT` (a port of the container): a connection is accepted.
    Tcp(Option<u16>),
    /// `cmd:…`: a command in the container, without a shell; exit code 0 is healthy.
    Cmd(Vec<String>),
    /// `docker`: the image's HEALTHCHECK command.
    Docker,
    /// `none`: healthy once it has run for `probe.running_for`.
    None,
}

impl ProbeMethod {
    pub(crate) fn parse(text: &str) -> Result<Self, Reason> {
        match text {
            "tcp" => return Ok(Self::Tcp(None)),
            "docker" => return Ok(Self::Docker),
            "none" => return Ok(Self::None),
            _ => {}
        }
        if let Some(port) = text.strip_prefix("tcp:") {
            let port = Some(port).filter(|port| !port.starts_with('+')).and_then(|port| port.parse().ok());
            return match port {
                None | Some(0) => Err("has no valid port after `tcp:`".into()),
                port => Ok(Self::Tcp(port)),
            };
        }
        if let Some(command) = text.strip_prefix("cmd:") {
            let words = line::shell_words(command)?;
            return match words.first() {
                None => Err("has no command after `cmd:`".into()),
                Some(first) if first.is_empty() => Err("has a command that begins with an empty word".into()),
                Some(_) => Ok(Self::Cmd(words)),
            };
        }
        if text.starts_with('/') {
            return path(text).map(Self::Path);
        }
        for (scheme, tls) in [("http:", false), ("https:", true)] {
            match text.strip_prefix(scheme) {
                Some(rest) if rest.starts_with("//") => return url(text).map(Self::Url),
                Some(rest) => return port_and_path(tls, rest),
                None => {}
            }
        }
        Err("is not one of `/path`, `http://…`, `https://…`, `http:PORT/path`, `https:PORT/path`, `tcp`, `tcp:PORT`, `cmd:…`, `docker`, `none`".into())
    }

    /// Whether it is an HTTP probe, with TLS or without.
    pub fn is_http(&self) -> bool {
        matches!(self, Self::Path(_) | Self::Port { .. } | Self::Url(_))
    }
}

fn path(text: &str) -> Result<String, Reason> {
    match text.parse::<http::uri::PathAndQuery>() {
        Ok(path) if path == text => Ok(text.to_owned()),
        _ => Err("contains a character that a path cannot contain".into()),
    }
}

fn url(text: &str) -> Result<String, Reason> {
    const EXPECTED: &str = "is not an address like `http://127.0.0.1:8080/health`";
    let url: http::Uri = text.parse().map_err(|_| EXPECTED)?;
    match url.authority() {
        Some(authority) if authority.as_str().contains('@') => Err("has a user before `@`, which is not sent".into()),
        Some(authority) if !authority.host().is_empty() && !text.contains('#') => {
            check_target(authority)?;
            Ok(text.to_owned())
        }
        _ => Err(EXPECTED.into()),
    }
}

/// `8443/path` after the scheme. Text without a port may be a URL with a `/` missing, so it is an error.
fn port_and_path(tls: bool, text: &str) -> Result<ProbeMethod, Reason> {
    let (port, _) = text.split_once('/').unwrap_or((text, ""));
    let number = Some(port).filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    match number.and_then(|port| port.parse().ok()) {
        None | Some(0) => {
            let scheme = if tls { "https" } else { "http" };
            let forms = format!(
                "has no port after `{scheme}:`: write `{scheme}:PORT/path` for a port of the container, `{scheme}://127.0.0.1:PORT/path` \
                 for an address on the host"
            );
            Err(forms.into())
        }
        Some(number) => {
            let path = match text.get(port.len()..).unwrap_or_default() {
                "" => "/".to_owned(),
                rest => path(rest)?,
            };
            Ok(ProbeMethod::Port { tls, port: number, path })
        }
    }
}

/// Checks the host of a URL. A probe resolves no names, because a health check that needs DNS fails with DNS.
fn check_target(authority: &http::uri::Authority) -> Result<(), Reason> {
    let host = authority.host();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if host != "localhost" && bare.parse::<IpAddr>().is_err() {
        return Err("has a host name, and a probe resolves no names: write `localhost` or an IP address, or probe the app with `health=/path`; for a name in the Host header, set `probe.host`".into());
    }
    let has_port = authority.as_str().len() > host.len();
    match authority.port_u16() {
        None if has_port => Err("has a port that is not a port number".into()),
        Some(0) => Err("has port 0, which cannot be probed".into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<ProbeMethod, &'static str>) {
        assert_eq!(ProbeMethod::parse(text), expected.map_err(Into::into), "{text}");
    }

    #[test]
    fn every_form_is_read() {
        check("/health", Ok(ProbeMethod::Path("/health".into())));
        check("/h?deep=1&x=a%20b", Ok(ProbeMethod::Path("/h?deep=1&x=a%20b".into())));
        check("http://127.0.0.1:9/x", Ok(ProbeMethod::Url("http://127.0.0.1:9/x".into())));
        check("http://localhost/x", Ok(ProbeMethod::Url("http://localhost/x".into())));
        check("http://[::1]:9", Ok(ProbeMethod::Url("http://[::1]:9".into())));
        check("https://127.0.0.1:8443/x", Ok(ProbeMethod::Url("https://127.0.0.1:8443/x".into())));
        check("https://[::1]", Ok(ProbeMethod::Url("https://[::1]".into())));
        let port = |tls, port, path: &str| Ok(ProbeMethod::Port { tls, port, path: path.into() });
        check("https:8443/health?a=b", port(true, 8443, "/health?a=b"));
        check("https:8443", port(true, 8443, "/"));
        check("http:8081/actuator/health", port(false, 8081, "/actuator/health"));
        check("tcp", Ok(ProbeMethod::Tcp(None)));
        check("tcp:5432", Ok(ProbeMethod::Tcp(Some(5432))));
        check(
            "cmd:pg_isready -U 'my app'",
            Ok(ProbeMethod::Cmd(vec!["pg_isready".into(), "-U".into(), "my app".into()])),
        );
        check("docker", Ok(ProbeMethod::Docker));
        check("none", Ok(ProbeMethod::None));
    }

    #[test]
    fn an_unknown_form_is_an_error() {
        check(
            "health",
            Err(
                "is not one of `/path`, `http://…`, `https://…`, `http:PORT/path`, `https:PORT/path`, `tcp`, `tcp:PORT`, `cmd:…`, `docker`, `none`",
            ),
        );
        check("https://", Err("is not an address like `http://127.0.0.1:8080/health`"));
        check("https://u:p@127.0.0.1/", Err("has a user before `@`, which is not sent"));
        for text in [
            "https:/health",
            "https:",
            "https:0/x",
            "https:x/y",
            "https:99999/x",
            "https:+1/x",
            "https:/127.0.0.1:8443/x",
        ] {
            check(
                text,
                Err(
                    "has no port after `https:`: write `https:PORT/path` for a port of the container, `https://127.0.0.1:PORT/path` for an address on the host",
                ),
            );
        }
        check("http:8080/a b", Err("contains a character that a path cannot contain"));
        check("http:8080/a#b", Err("contains a character that a path cannot contain"));
        check("http://", Err("is not an address like `http://127.0.0.1:8080/health`"));
        check("http:///x", Err("is not an address like `http://127.0.0.1:8080/health`"));
        check("http://u:p@x/", Err("has a user before `@`, which is not sent"));
        let looked_up = "has a host name, and a probe resolves no names: write `localhost` or an IP address, or probe the app with `health=/path`; for a name in the Host header, set `probe.host`";
        for name in ["app.internal:8080", "app", "LOCALHOST:80", "127.0.0.1.nip.io", "[::1%25lo]:80", "1.2.3"] {
            let reported = ProbeMethod::parse(&format!("http://{name}/x"));
            assert!(
                reported == Err(looked_up.into())
                    || reported == Err("is not an address like `http://127.0.0.1:8080/health`".into()),
                "{name}: {reported:?}"
            );
        }
        check("http://app.internal:8080/x", Err(looked_up));
        check("http://127.0.0.1:99999/x", Err("has a port that is not a port number"));
        check("http://127.0.0.1:/x", Err("has a port that is not a port number"));
        check("http://localhost:0/x", Err("has port 0, which cannot be probed"));
        check("/a b", Err("contains a character that a path cannot contain"));
        check("/a#b", Err("contains a character that a path cannot contain"));
        check("tcp:0", Err("has no valid port after `tcp:`"));
        check("tcp:+1", Err("has no valid port after `tcp:`"));
        check("tcp:x", Err("has no valid port after `tcp:`"));
        check("cmd:", Err("has no command after `cmd:`"));
        check("cmd:'' x", Err("has a command that begins with an empty word"));
        check("cmd:x 'y", Err("this ' is never closed"));
    }
}
