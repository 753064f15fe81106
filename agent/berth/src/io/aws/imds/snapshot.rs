//! One poll of the metadata about notices to this instance: four requests in a row, over one connection.
//!
//! A 404 means "none", and so does an empty list. Only the parts of a response that were parsed are reported.
#![expect(clippy::disallowed_methods, reason = "a spot interruption is announced by the wall clock")]

use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use berth_core::message::snapshot::{Interruption, Snapshot};
use serde::Deserialize;
use serde_json::Value;

use super::{Imds, ImdsError};

const SPOT: &str = "meta-data/spot/instance-action";
const REBALANCE: &str = "meta-data/events/recommendations/rebalance";
const MAINTENANCE: &str = "meta-data/events/maintenance/scheduled";

/// How long before a spot interruption its notice comes (EC2 user guide, "Spot Instance interruption notices").
const SPOT_NOTICE: Duration = Duration::from_secs(120);

#[derive(Deserialize)]
struct Action {
    action: String,
    #[serde(default)]
    time: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Scheduled {
    #[serde(default)]
    code: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    not_before: String,
}

impl Imds {
    /// One poll. Each request has its own timeout. Two of them announce the end of the instance. If one of these reports something, it counts, even if
    /// the other failed: the poll has failed only if neither reported anything. The rest is advice, and its loss is not a failure.
    pub async fn snapshot(&self) -> Result<Snapshot, ImdsError> {
        let (target_state, spot) = match (self.target_lifecycle_state().await, self.interruption().await) {
            (Err(error), Ok(None) | Err(_)) | (Ok(None), Err(error)) => return Err(error),
            (target_state, spot) => (or_logged(target_state), or_logged(spot)),
        };
        let rebalance = or_logged(self.rebalance().await).is_some();
        let maintenance = or_logged(self.maintenance().await);
        Ok(Snapshot { target_state, spot, rebalance, maintenance })
    }

    async fn interruption(&self) -> Result<Option<Interruption>, ImdsError> {
        let Some(body) = self.optional(SPOT).await? else { return Ok(None) };
        let interruption = interruption(&body, SystemTime::now());
        interruption.map(Some).ok_or_else(|| ImdsError::Unusable { item: SPOT.into(), what: "no interruption" })
    }

    async fn rebalance(&self) -> Result<Option<()>, ImdsError> {
        let Some(body) = self.optional(REBALANCE).await? else { return Ok(None) };
        match serde_json::from_slice(&body) {
            Ok(Value::Object(notice)) if notice.contains_key("noticeTime") => Ok(Some(())),
            _ => Err(ImdsError::Unusable { item: REBALANCE.into(), what: "no recommendation" }),
        }
    }

    async fn maintenance(&self) -> Result<Option<String>, ImdsError> {
        let Some(body) = self.optional(MAINTENANCE).await? else { return Ok(None) };
        next_event(&body).ok_or_else(|| ImdsError::Unusable { item: MAINTENANCE.into(), what: "no list of events" })
    }
}

fn or_logged<T>(answer: Result<Option<T>, ImdsError>) -> Option<T> {
    answer.unwrap_or_else(|error| {
        tracing::debug!(error = %berth_core::message::error::JobError::from(error), "the metadata snapshot is incomplete");
        None
    })
}

/// `{"action": "terminate", "time": "2017-09-18T08:22:00Z"}`. A time in the past means now. A missing time, or one that is
/// further away than any notice (then the clock of this host is wrong), counts as the full length of the notice: the interruption is certain, and a
/// longer drain would be cut off.
fn interruption(body: &[u8], now: SystemTime) -> Option<Interruption> {
    let Action { action, time } = serde_json::from_slice(body).ok()?;
    if !is_word(&action) {
        return None;
    }
    let at = time
        .as_str()
        .and_then(|text| DateTime::from_str(text, Format::DateTime).ok())
        .and_then(|time| SystemTime::try_from(time).ok());
    let ends_in = at.map_or(SPOT_NOTICE, |at| at.duration_since(now).unwrap_or_default().min(SPOT_NOTICE));
    Some(Interruption { action, ends_in })
}

/// The first active event, as `CODE at NOT_BEFORE`; none if this is not a list.
fn next_event(body: &[u8]) -> Option<Option<String>> {
    let events: Vec<Scheduled> = serde_json::from_slice(body).ok()?;
    let active = events.into_iter().filter(|event| event.state == "active" && is_word(&event.code));
    let next = active.min_by_key(|event| begin(&event.not_before).unwrap_or(i64::MAX));
    Some(next.map(|event| match begin(&event.not_before) {
        Some(_) => format!("{} at {}", event.code, event.not_before),
        None => event.code,
    }))
}

/// `21 Jan 2019 09:00:43 GMT`, in seconds since 1970: the date of HTTP except the day of the week, which is not checked.
fn begin(text: &str) -> Option<i64> {
    let date = format!("Mon, {text:0>24}");
    // The parser does not check the length: a fraction of a second without digits makes it panic.
    if date.len() != 29 {
        return None;
    }
    DateTime::from_str(&date, Format::HttpDate).ok().map(|date| date.secs())
}

/// A word of EC2 that may be logged: `terminate`, `system-reboot`.
fn is_word(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2017-09-18T08:20:30Z
    const NOW: u64 = 1_505_722_830;

    fn ends_in(time: &str) -> u64 {
        let body = format!(r#"{{"action":"terminate","time":{time}}}"#);
        interruption(body.as_bytes(), SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)).unwrap().ends_in.as_secs()
    }

    #[test]
    fn the_time_of_an_interruption_is_counted_from_now_and_the_past_is_now() {
        assert_eq!(ends_in("\"2017-09-18T08:22:00Z\""), 90);
        assert_eq!(ends_in("\"2017-09-18T08:22:00.000Z\""), 90);
        assert_eq!(ends_in("\"2017-09-18T08:20:00Z\""), 0);
        assert_eq!(ends_in("\"1999-12-31T23:59:59Z\""), 0);
    }

    #[test]
    fn an_interruption_without_a_usable_time_is_as_far_as_its_notice() {
        for time in ["\"soon\"", "\"\"", "null", "17", "\"2099-01-01T00:00:00Z\"", "\"9999-99-99T00:00:00Z\""] {
            assert_eq!(ends_in(time), 120, "{time}");
        }
    }

    #[test]
    fn what_names_no_action_is_no_interruption() {
        for body in ["", "[]", "{}", r#"{"action":""}"#, r#"{"action":"a\nb"}"#, r#"{"action":7}"#, "terminate"] {
            assert_eq!(interruption(body.as_bytes(), SystemTime::UNIX_EPOCH), None, "{body}");
        }
    }

    fn event(code: &str, state: &str, not_before: &str) -> String {
        format!(r#"{{"NotBefore":"{not_before}","Code":"{code}","Description":"x","EventId":"e","State":"{state}"}}"#)
    }

    #[test]
    fn the_first_active_event_counts_whatever_its_place() {
        let (late, soon) = ("21 Jan 2019 09:00:43 GMT", "3 Jan 2019 10:00:00 GMT");
        let list = [
            event("instance-stop", "completed", "1 Jan 2019 00:00:00 GMT"),
            event("system-reboot", "active", late),
            event("instance-retirement", "active", "some day"),
            event("system-maintenance", "active", soon),
            event("instance-reboot", "canceled", "2 Jan 2019 00:00:00 GMT"),
        ];
        let next = |list: &[String]| next_event(format!("[{}]", list.join(",")).as_bytes());
        assert_eq!(next(&list), Some(Some(format!("system-maintenance at {soon}"))));
        assert_eq!(next(&list[..2]), Some(Some(format!("system-reboot at {late}"))));
        assert_eq!(next(&list[2..3]), Some(Some("instance-retirement".to_owned())));
        assert_eq!(next(&list[..1]), Some(None));
        assert_eq!(next(&[]), Some(None));
    }

    #[test]
    fn an_event_with_an_invalid_date_is_reported_without_it() {
        for date in ["21 Jan 2019 09:00:43. GMT", "21 Jan 2019 09:00:43.5 GMT", "32 Jan 2019 09:00:43 GMT", ""] {
            let list = format!("[{}]", event("system-reboot", "active", date));
            assert_eq!(next_event(list.as_bytes()), Some(Some("system-reboot".to_owned())), "{date}");
        }
    }

    #[test]
    fn an_invalid_list_of_events_is_not_an_empty_one() {
        for body in ["", "{}", "null", "[1]", "none"] {
            assert_eq!(next_event(body.as_bytes()), None, "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_time_makes_it_panic(time in "([0-9TZ:. +-]|Jan|GMT|é){0,12}") {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
            let body = serde_json::json!({ "action": "stop", "time": time }).to_string();
            prop_assert!(interruption(body.as_bytes(), now).unwrap().ends_in <= SPOT_NOTICE);
            let list = format!("[{}]", event("system-reboot", "active", &time));
            prop_assert!(next_event(list.as_bytes()).unwrap().is_some());
        }

        #[test]
        fn no_date_close_to_a_real_one_makes_it_panic(at in 0_usize..30, put in "[0-9TZ:. +-]{0,2}", cut in 0_usize..3) {
            for real in ["21 Jan 2019 09:00:43 GMT", "2017-09-18T08:22:00.000Z"] {
                let at = at.min(real.len());
                let time = format!("{}{put}{}", &real[..at], &real[(at + cut).min(real.len())..]);
                let body = serde_json::json!({ "action": "stop", "time": time }).to_string();
                prop_assert!(interruption(body.as_bytes(), SystemTime::UNIX_EPOCH).is_some());
                let list = format!("[{}]", event("stop", "active", &time));
                prop_assert!(next_event(list.as_bytes()).unwrap().is_some());
            }
        }
    }
}
