//! What the metadata service answers (see script.rs): `a` user-data, `b` identity, `c` target state, `d` role, `e` credentials, `f` to
//! `h` spot, rebalance and maintenance within a look, `i` the token itself.

use berth::io::aws::imds::{Imds, ImdsError};
use berth_core::message::error::JobError;
use http::{Method, StatusCode};

use crate::answerer::{Delivery, answering, plain, scripted};
use crate::script::Script;
use crate::{CANARY, check_shown};

/// The longest that any answer may be.
const LONGEST: usize = 64 * 1024;

/// What is asked for, in the order of the questions, and a good answer to it.
const ITEMS: [(&str, &str); 9] = [
    ("user-data", "berth image=x:1"),
    (
        "dynamic/instance-identity/document",
        r#"{"accountId":"123456789012","availabilityZone":"us-east-2a","instanceId":"i-0123456789abcdef0","region":"us-east-2"}"#,
    ),
    ("meta-data/autoscaling/target-lifecycle-state", "InService"),
    ("meta-data/iam/security-credentials/", "app-role"),
    (
        "meta-data/iam/security-credentials/app-role",
        r#"{"Code":"Success","AccessKeyId":"ASIA","SecretAccessKey":"hunter!2","Token":"hunter!2","Expiration":"2026-01-01T06:00:00Z"}"#,
    ),
    ("meta-data/spot/instance-action", ""),
    ("meta-data/events/recommendations/rebalance", ""),
    ("meta-data/events/maintenance/scheduled", "[]"),
    ("api/token", "t0ken"),
];

/// An answer of the metadata service is a value that can be one, or an error that shows nothing of it.
pub fn imds(bytes: &[u8]) {
    let script = Script::read(bytes);
    let question = script.question % ITEMS.len();
    let asked = ITEMS[question].0;
    let body = script.body.clone();
    let answer = move |request: &http::Request<_>| {
        // Below the version that is asked for.
        let item = request.uri().path().splitn(3, '/').nth(2).unwrap_or_default();
        if item == asked {
            return scripted(&script, Delivery::default());
        }
        match ITEMS.iter().find(|(known, answer)| *known == item && !answer.is_empty()) {
            Some((_, good)) => plain(StatusCode::OK, good),
            None => {
                plain(if request.method() == Method::PUT { StatusCode::FORBIDDEN } else { StatusCode::NOT_FOUND }, "")
            }
        }
    };
    answering(answer, async |answerer| {
        let imds = Imds::at(&answerer.base, answerer.http.clone());
        match question {
            0 => {
                if let Some(Some(data)) = shown(imds.user_data().await) {
                    assert!(data.len() <= LONGEST && data == body, "user-data is not what came");
                }
            }
            1 | 2 => {
                if let Some(identity) = shown(imds.identity().await) {
                    let is_id = identity.instance_id.starts_with("i-") && identity.instance_id.len() <= 19;
                    assert!(is_id && identity.account.len() == 12, "{identity:?}");
                    let host = format!("{}.amazonaws.com", identity.region);
                    assert!(format!("http://{host}/").parse::<http::Uri>().is_ok(), "{host:?} is no host");
                    check_shown(&format!("{identity:?}"));
                }
            }
            3 => {
                if let Some(role) = shown(imds.role().await) {
                    assert!((1..=64).contains(&role.len()), "{role:?}");
                    check_shown(&role);
                }
            }
            4 | 8 => {
                if let Some(credentials) = shown(imds.credentials().await) {
                    assert!(credentials.session_token().is_some() && credentials.expiry().is_some());
                }
            }
            _ => {
                if let Some(snapshot) = shown(imds.snapshot().await) {
                    if let Some(spot) = &snapshot.spot {
                        assert!(spot.ends_in.as_secs() <= 120, "{spot:?}");
                    }
                    check_shown(&format!("{snapshot:?}"));
                }
            }
        }
    });
}

/// The value. Without one, the reason is checked as the agent would report it.
fn shown<T>(answer: Result<T, ImdsError>) -> Option<T> {
    answer
        .map_err(|error| {
            let reason = JobError::from_error(error.class(), &error).reason;
            check_shown(&reason);
            assert!(!reason.contains(CANARY), "a secret is shown: {reason}");
        })
        .ok()
}
