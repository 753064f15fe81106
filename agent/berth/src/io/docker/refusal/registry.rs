//! Why a registry did not give the engine what it asked for on berth's behalf.

use berth_core::message::error::ErrorClass;

use super::{image, key};

/// The config, or the engine's own config, is wrong about the registry.
pub(super) const MISCONFIGURED: [&str; 2] = ["server gave http response to https client", "invalid reference format"];

/// The login is missing, or does not allow the pull.
pub(super) const DENIED: [&str; 7] = [
    "denied",
    "unauthorized",
    "forbidden",
    "no basic auth credentials",
    "authentication required",
    "authorization failed",
    "insufficient_scope",
];

/// What the registry does not have, or the disk has no space for.
pub(super) const BROKEN: [&str; 6] = [
    "manifest unknown",
    "name unknown",
    "not found",
    "no matching manifest",
    "does not exist",
    "no space left on device",
];

/// Classifies what a registry answered. The status says little: a denied pull is a 404.
pub(in crate::io::docker) fn registry(status: Option<u16>, prose: &str) -> ErrorClass {
    // ECR, of a token that is older than 12 hours.
    const EXPIRED: &str = "authorization token has expired";
    const THROTTLED: [&str; 2] = ["toomanyrequests", "too many requests"];
    const TRANSIENT: [&str; 3] = ["request has expired", "no such host", "received unexpected http status: 5"];
    let says = |words: &[&str]| words.iter().any(|words| prose.contains(words));
    if prose.contains(EXPIRED) {
        ErrorClass::Expired
    } else if says(&THROTTLED) {
        ErrorClass::Throttled
    } else if says(&TRANSIENT) || image::is_page(prose) {
        ErrorClass::Transient
    } else if let Some((class, _)) = key::find(prose) {
        class
    } else if image::is_final(prose) {
        ErrorClass::Broken
    } else if says(&MISCONFIGURED) {
        ErrorClass::Misconfigured
    } else if says(&DENIED) || matches!(status, Some(401 | 403)) {
        ErrorClass::Denied
    } else if says(&BROKEN) || status == Some(404) {
        ErrorClass::Broken
    } else {
        ErrorClass::Transient
    }
}

#[cfg(test)]
mod tests {
    use berth_core::message::error::JobError;

    use super::super::{FailedCall, refused};
    use super::*;

    #[test]
    fn a_full_disk_is_seen_as_one() {
        let message = "failed to register layer: write /x: No space left on device";
        let is_full = |message: &str| JobError::from(refused(FailedCall::Registry, "pull x", message)).is_disk_full;
        assert_eq!([message, "manifest unknown"].map(is_full), [true, false]);
    }

    #[test]
    fn a_registry_s_answer_is_classified_by_its_message() {
        let table: [(Option<u16>, &str, ErrorClass); 16] = [
            (None, "manifest unknown: manifest unknown", ErrorClass::Broken),
            (Some(404), "manifest for host/x:1 not found: manifest unknown: manifest unknown", ErrorClass::Broken),
            (
                Some(404),
                "pull access denied for x, repository does not exist or may require 'docker login'",
                ErrorClass::Denied,
            ),
            (Some(500), "Head \"https://host/v2/x/manifests/1\": no basic auth credentials", ErrorClass::Denied),
            (None, "denied: Your authorization token has expired. Reauthenticate and try again.", ErrorClass::Expired),
            (None, "unauthorized: authentication required", ErrorClass::Denied),
            (None, "unexpected status from HEAD request to https://host/v2/: 403 Forbidden", ErrorClass::Denied),
            (None, "toomanyrequests: You have reached your pull rate limit", ErrorClass::Throttled),
            (None, "filesystem layer verification failed for digest sha256:aa", ErrorClass::Transient),
            (None, "unexpected EOF", ErrorClass::Transient),
            (None, "received unexpected HTTP status: 503 Service Unavailable", ErrorClass::Transient),
            (Some(500), "Get \"https://host/v2/\": dial tcp: lookup host: no such host", ErrorClass::Transient),
            (Some(500), "Get \"https://host/v2/\": dial tcp 10.0.0.1:443: i/o timeout", ErrorClass::Transient),
            (None, "no matching manifest for linux/arm64/v8 in the manifest list entries", ErrorClass::Broken),
            (None, "failed to register layer: write /x: no space left on device", ErrorClass::Broken),
            (None, "http: server gave HTTP response to HTTPS client", ErrorClass::Misconfigured),
        ];
        for (status, prose, class) in table {
            assert_eq!(registry(status, &prose.to_lowercase()), class, "{prose}");
        }
    }
}
