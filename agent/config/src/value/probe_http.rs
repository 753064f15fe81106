//! What an HTTP probe sends, and which responses are healthy: `probe.host`, `probe.expect`.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use serde::{Serialize, Serializer};

use crate::value::{Reason, Reasons, Value};

/// An HTTP probe without its address and path, which are in `health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HttpProbe {
    /// `probe.host`: the Host header, and without its port the name in the TLS handshake (SNI). None is the address of the request.
    pub host: Option<String>,
    /// `probe.expect`
    pub expect: Statuses,
}

/// The healthy statuses: `200-399`, `200,204`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses(Vec<RangeInclusive<u16>>);

impl HttpProbe {
    /// Without a value: no status is healthy.
    pub(crate) fn empty() -> Self {
        Self { host: None, expect: Statuses(Vec::new()) }
    }
}

impl Statuses {
    /// Parses a list of statuses and ranges.
    pub(crate) fn parse(value: &Value) -> Result<Self, Reasons> {
        let ranges = value.each(range)?;
        if ranges.is_empty() { Err("is empty".into()) } else { Ok(Self(ranges)) }
    }

    /// Whether a response with this status is healthy.
    pub fn has(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, range) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            let (first, last) = range.clone().into_inner();
            if first == last { write!(f, "{comma}{first}")? } else { write!(f, "{comma}{first}-{last}")? }
        }
        Ok(())
    }
}

impl Serialize for Statuses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A status or a range. Statuses below 200 are interim responses (RFC 9110, section 15.2).
fn range(text: &str) -> Result<RangeInclusive<u16>, Reason> {
    const EXPECTED: &str = "is not a status like `200` or a range like `200-399`, from 200 to 599";
    let status = |text: &str| {
        let digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|status| digits && (200..=599).contains(status)).ok_or(EXPECTED)
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (status(first)?, status(last)?);
    if first > last { Err("is a range that ends before it begins".into()) } else { Ok(first..=last) }
}

/// The value of a Host header: a name or an IP address, with or without a port.
pub(crate) fn host(text: &str) -> Result<String, Reason> {
    let authority = text.parse::<http::uri::Authority>().ok().filter(|authority| authority.as_str() == text);
    let Some(authority) = authority.filter(|authority| !authority.as_str().contains('@')) else {
        return Err("is not a host like `app.example.com` or `app.example.com:8443`".into());
    };
    let host = authority.host();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_name = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    let has_port = authority.as_str().len() > host.len();
    if !is_name && bare.parse::<IpAddr>().is_err() || has_port && authority.port_u16().is_none_or(|port| port == 0) {
        return Err("is not a host like `app.example.com` or `app.example.com:8443`".into());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statuses(text: &str) -> Result<Statuses, Vec<String>> {
        let reported = Statuses::parse(&Value::Text(text.into()));
        reported.map_err(|reasons| reasons.0.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn statuses_are_codes_and_ranges() {
        for (text, healthy, unhealthy) in [
            ("200-399", &[200, 204, 302, 399][..], &[199, 400, 503][..]),
            ("200,204", &[200, 204], &[201, 203, 302]),
            ("200-204,401", &[203, 401], &[400, 402]),
            ("503", &[503], &[200]),
        ] {
            let statuses = statuses(text).unwrap();
            assert_eq!(statuses.to_string(), text);
            assert!(healthy.iter().all(|status| statuses.has(*status)), "{text}");
            assert!(!unhealthy.iter().any(|status| statuses.has(*status)), "{text}");
        }
        assert_eq!(HttpProbe::default().expect, statuses("200-399").unwrap());
    }

    #[test]
    fn what_is_no_status_is_refused() {
        let expected = "is not a status like `200` or a range like `200-399`, from 200 to 599";
        for text in ["x", "2xx", "20", "0200", "+200", "100", "600", "200-", "-399", "200-300-400", "200 ", "٢٠٠"] {
            assert_eq!(statuses(text), Err(vec![expected.to_owned()]), "{text}");
        }
        assert_eq!(statuses("399-200"), Err(vec!["is a range that ends before it begins".to_owned()]));
        assert_eq!(statuses("200,,x"), Err(vec!["entry 2 is empty".to_owned(), format!("entry 3 {expected}")]));
        assert_eq!(statuses(""), Err(vec!["is empty".to_owned()]));
    }

    #[test]
    fn a_host_is_a_name_or_an_address_perhaps_with_a_port() {
        for text in ["app.example.com", "app.example.com:8443", "localhost", "my_app", "10.0.0.1", "[::1]:80", "[::1]"]
        {
            assert_eq!(host(text), Ok(text.to_owned()));
        }
        for text in
            ["", "a b", "u@x", "http://x", "x/y", "x:", "x:0", "x:99999", "x:y", "ü.example", "[::1", "x\r\nA: b", "*"]
        {
            assert_eq!(
                host(text),
                Err("is not a host like `app.example.com` or `app.example.com:8443`".into()),
                "{text}"
            );
        }
    }
}
