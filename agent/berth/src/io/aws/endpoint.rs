//! The URL of a service: the one that the environment names, else the one of the SDK's rules.
//!
//! It is resolved before a request is made, so that an error can name the variable or key that is wrong.

use http::Uri;

use super::service::Service;

/// For every service that has no variable of its own.
const ALL: &str = "AWS_ENDPOINT_URL";
pub(super) const FIPS: &str = "AWS_USE_FIPS_ENDPOINT";
pub(super) const DUAL_STACK: &str = "AWS_USE_DUALSTACK_ENDPOINT";

/// The endpoints that the environment names: `AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_<SERVICE>`.
#[derive(Clone, Debug)]
pub(super) struct Endpoints {
    /// By the name of the variable.
    named: Vec<(&'static str, String)>,
    /// A boolean that is neither `true` nor `false`. It is an error, so that a request for FIPS is never ignored.
    not_boolean: Option<&'static str>,
}

impl Endpoints {
    pub(super) fn from_env(env: &dyn Fn(&str) -> Option<String>) -> Self {
        let ignored =
            env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let names = Service::ALL.iter().map(|service| service.endpoint_variable()).chain([ALL]);
        let named =
            names.filter(|_| !ignored).filter_map(|name| Some((name, env(name).filter(|value| !value.is_empty())?)));
        let is_boolean = |value: &str| ["", "true", "false"].iter().any(|one| value.eq_ignore_ascii_case(one));
        let not_boolean =
            [FIPS, DUAL_STACK].into_iter().find(|name| env(name).is_some_and(|value| !is_boolean(&value)));
        Self { named: named.collect(), not_boolean }
    }

    /// The URL of a service in a region, or why there is none.
    pub(super) async fn url(
        &self,
        service: Service,
        region: &str,
        fips: bool,
        dual_stack: bool,
    ) -> Result<String, String> {
        let all = [(fips, "aws.fips", FIPS), (dual_stack, "aws.dual_stack", DUAL_STACK)];
        let on = all.iter().filter(|(is_on, ..)| *is_on).map(|(_, key, variable)| format!("`{key}` or {variable}"));
        let settings = on.collect::<Vec<_>>().join(" and ");
        if let Some(variable) = self.not_boolean {
            return Err(format!("{variable} is neither `true` nor `false`"));
        }
        match self.of(service) {
            // As in the SDK: an endpoint that is named has no other form.
            Some((variable, _)) if fips || dual_stack => {
                Err(format!("{variable} names the endpoint, and {settings} another one: remove one of them"))
            }
            Some((variable, url)) if !is_url(url) => {
                Err(format!("{variable} is not a URL such as https://vpce-0123.example.com"))
            }
            Some((_, url)) => Ok(url.to_owned()),
            None => service.endpoint(region, fips, dual_stack).await.map_err(|why| {
                let settings = if settings.is_empty() { settings } else { format!(", {settings}") };
                let name = service.signing_name();
                format!("AWS has no endpoint of {name} in {region:?}: check the region (AWS_REGION){settings}: {why}")
            }),
        }
    }

    /// The service's own endpoint, else the one for all services; with the name of the variable.
    pub(super) fn of(&self, service: Service) -> Option<(&str, &str)> {
        let mut named = self.named.iter().filter(|(name, _)| [service.endpoint_variable(), ALL].contains(name));
        named.next().map(|(name, url)| (*name, url.as_str()))
    }
}

fn is_url(text: &str) -> bool {
    let uri: Option<Uri> = text.parse().ok();
    let host = |uri: &Uri| uri.host().is_some_and(|host| !host.is_empty());
    uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && host(&uri))
}
