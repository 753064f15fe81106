//! How AWS is reached: `https_proxy`, `no_proxy`, `ca_bundle`, `aws.fips`, `aws.dual_stack`. Keys that are not set follow the
//! environment variables of the same names.
//!
//! Not a part of [`Config`](crate::Config), which the machine has: a proxy's URL may have a password. `Layers::network` gives it to
//! the adapters only, before `config=` is followed.

use crate::value::path::absolute;
use crate::value::proxy::{self, ProxyUrl};
use crate::value::scalar::boolean;
use crate::value::{Reasons, Value};

/// How AWS is reached, as far as the config sets it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// `https_proxy`
    pub https_proxy: Option<ProxyUrl>,
    /// `no_proxy`, its entries with commas; an empty text overrides the environment.
    pub no_proxy: Option<String>,
    /// `ca_bundle`, a path on the host.
    pub ca_bundle: Option<String>,
    /// `aws.fips`
    pub fips: Option<bool>,
    /// `aws.dual_stack`
    pub dual_stack: Option<bool>,
}

/// The keys of [`Network`].
pub(crate) const KEYS: [&str; 5] = ["aws.fips", "aws.dual_stack", "https_proxy", "no_proxy", "ca_bundle"];

impl Network {
    /// Sets one of the keys.
    pub(crate) fn set(&mut self, key: &str, value: &Value) -> Result<(), Reasons> {
        match key {
            "aws.fips" => self.fips = Some(value.one().and_then(boolean)?),
            "aws.dual_stack" => self.dual_stack = Some(value.one().and_then(boolean)?),
            "https_proxy" => self.https_proxy = Some(value.one().and_then(ProxyUrl::parse)?),
            "no_proxy" => self.no_proxy = Some(value.each(proxy::exception)?.join(",")),
            "ca_bundle" => self.ca_bundle = Some(value.one().and_then(absolute)?),
            _ => {}
        }
        Ok(())
    }
}

/// Checks the value of one of these keys.
pub(crate) fn check(key: &str, value: &Value) -> Result<(), Reasons> {
    Network::default().set(key, value)
}
