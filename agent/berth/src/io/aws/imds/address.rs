//! The address of the metadata service: the one that the environment names, else that of IPv4 and, if it cannot be reached, that of IPv6.
//!
//! ```text
//!   endpoint or mode set ──▶ that address
//!   nothing set ──▶ 169.254.169.254 ── no route, or silence ──▶ fd00:ec2::254      the first that answers is kept
//! ```
//! IPv4 comes first because an instance in an IPv6-only subnet usually has it for link-local addresses, and because the IPv6 endpoint
//! of the service is off unless the launch template says `HttpProtocolIpv6=enabled` (EC2 API, `InstanceMetadataOptionsRequest`). Early at
//! power-on neither address may have a route, so each request tries both until one has answered.

use std::io;
use std::sync::OnceLock;

use http::Uri;

use super::error::ImdsError;
use crate::io::http::HttpError;

/// Both as the EC2 user guide has them, "Access instance metadata for an EC2 instance".
const IPV4: &str = "http://169.254.169.254";
const IPV6: &str = "http://[fd00:ec2::254]";

/// The addresses, in the order in which they are tried.
#[derive(Debug)]
pub(super) struct Addresses {
    first: String,
    second: Option<String>,
    /// The one that answered, once one has.
    answered: OnceLock<String>,
}

impl Addresses {
    /// Just this one: scheme and authority, no path.
    pub(super) fn only(base: &Uri) -> Self {
        Self { first: base.to_string().trim_end_matches('/').to_owned(), second: None, answered: OnceLock::new() }
    }

    /// The address of the AWS SDKs' environment variables, else both addresses of EC2.
    pub(super) fn from_env(env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ImdsError> {
        const ENDPOINT: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
        const MODE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE";
        let set = |name| env(name).filter(|value| !value.is_empty());
        if let Some(value) = set(ENDPOINT) {
            return match value.parse::<Uri>() {
                Ok(base) if base.scheme().is_some() && base.host().is_some() => Ok(Self::only(&base)),
                _ => Err(ImdsError::Endpoint {
                    variable: ENDPOINT,
                    value,
                    expected: "a URL like http://169.254.169.254",
                }),
            };
        }
        match set(MODE) {
            None => Ok(Self { first: IPV4.to_owned(), second: Some(IPV6.to_owned()), answered: OnceLock::new() }),
            Some(mode) if mode.eq_ignore_ascii_case("IPv4") => Ok(Self::only(&Uri::from_static(IPV4))),
            Some(mode) if mode.eq_ignore_ascii_case("IPv6") => Ok(Self::only(&Uri::from_static(IPV6))),
            Some(value) => Err(ImdsError::Endpoint { variable: MODE, value, expected: "IPv4 or IPv6" }),
        }
    }

    /// The address to use: the one that answered, else the first.
    pub(super) fn current(&self) -> &str {
        self.answered.get().unwrap_or(&self.first)
    }

    /// The address to try if the first does not answer; none if there is only one, or one has answered.
    pub(super) fn alternative(&self) -> Option<&str> {
        self.second.as_deref().filter(|_| self.answered.get().is_none())
    }

    /// Keeps the address that answered.
    pub(super) fn answered(&self, base: &str) {
        if self.answered.set(base.to_owned()).is_ok() && self.second.is_some() {
            tracing::debug!(base, "the instance metadata service answers");
        }
    }

    /// Whether IPv6 is used.
    pub(super) fn is_ipv6(&self) -> bool {
        self.current().contains("//[")
    }

    /// For messages: every address that may be used.
    pub(super) fn to_text(&self) -> String {
        match self.alternative() {
            Some(second) => format!("{}, {second}", self.first),
            None => self.current().to_owned(),
        }
    }
}

/// Whether no service is at this address: no route, no ARP or NDP answer, or a timeout, which comes before the kernel gives up on ARP. A refused
/// connection means that there is a service.
pub(super) fn is_unreachable(error: &HttpError) -> bool {
    match error {
        HttpError::Timeout { .. } => true,
        HttpError::Connect { source, .. } => source.downcast_ref().is_some_and(|error: &io::Error| {
            use io::ErrorKind::{AddrNotAvailable, HostUnreachable, NetworkDown, NetworkUnreachable, TimedOut};
            matches!(error.kind(), AddrNotAvailable | HostUnreachable | NetworkDown | NetworkUnreachable | TimedOut)
        }),
        _ => false,
    }
}
