//! What the endpoint, the socket and `berth status` show: the view of the machine, and what only the adapters know.
//!
//! The driver publishes one through a `watch` after every event, so a request is answered from memory.

use std::net::SocketAddr;

use serde::de::{Error, IgnoredAny};
use serde::{Deserialize, Serialize};

use crate::view::read::{Json, read_json};
use crate::view::{PhaseName, SCHEMA_VERSION, View};

/// The agent as it shows itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Published {
    /// The machine; its fields stand at the top level of the JSON.
    #[serde(flatten)]
    pub view: View,
    /// Where the readiness endpoint really answers; `listen` may have asked for port 0.
    pub listen: Option<SocketAddr>,
    /// Lines of the log that standard error did not take.
    pub log_lines_dropped: u64,
    /// The version of this binary.
    pub agent_version: String,
    /// When the agent started, RFC 3339 in UTC.
    pub started_at: String,
}

/// `GET /v1/status`: what is published, and the moment of the answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StatusReport {
    /// The version of this document's schema: 1.
    #[cfg_attr(feature = "schema", schemars(extend("const" = SCHEMA_VERSION)))]
    pub schema_version: u32,
    /// The agent; its fields stand at the top level of the JSON.
    #[serde(flatten)]
    pub published: Published,
    /// The moment of this answer.
    pub now_seconds: f64,
}

impl Default for StatusReport {
    fn default() -> Self {
        Self::new(Published::default(), 0.0)
    }
}

/// What a report holds beside the view.
#[derive(Deserialize)]
struct BesideTheView {
    schema_version: u32,
    listen: Option<SocketAddr>,
    #[serde(default)]
    log_lines_dropped: u64,
    agent_version: String,
    started_at: String,
    now_seconds: f64,
    // Of the view: without them it would be the default of one.
    #[serde(rename = "phase")]
    _phase: IgnoredAny,
    #[serde(rename = "status")]
    _status: IgnoredAny,
}

impl StatusReport {
    /// What is published, at that moment.
    pub fn new(published: Published, now_seconds: f64) -> Self {
        Self { schema_version: SCHEMA_VERSION, published, now_seconds }
    }

    /// Reads its JSON.
    pub fn from_json(bytes: &[u8]) -> serde_json::Result<Self> {
        Self::read(&serde_json::from_slice(bytes)?)
    }

    /// Reads it once for the view and once for the rest: serde reads a struct that is flattened into another by a second set of code for
    /// every type in it.
    pub(super) fn read(json: &serde_json::Value) -> serde_json::Result<Self> {
        let BesideTheView { schema_version, listen, log_lines_dropped, agent_version, started_at, now_seconds, .. } =
            Json::read(json)?;
        if schema_version != SCHEMA_VERSION {
            return Err(Error::custom(format_args!(
                "it has schema version {schema_version}, and this version of berth reads {SCHEMA_VERSION}"
            )));
        }
        let published = Published { view: Json::read(json)?, listen, log_lines_dropped, agent_version, started_at };
        Ok(Self { schema_version, published, now_seconds })
    }
}

/// What an agent of any version says of itself, before or after this one: all that a handover needs.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Essentials {
    /// The version of its binary.
    pub agent_version: String,
    /// Its phase.
    pub phase: PhaseName,
    /// Why, for people.
    #[serde(default)]
    pub reason: String,
}

impl Essentials {
    /// Reads them from its `/v1/status`.
    pub fn from_json(bytes: &[u8]) -> serde_json::Result<Self> {
        read_json(bytes)
    }
}

impl Published {
    /// The tag of the image, if the config gave one.
    pub fn tag(&self) -> Option<&str> {
        let image = self.view.image.as_deref()?;
        let name = image.split('@').next()?;
        let (_, tag) = name.rsplit_once(':')?;
        (!tag.contains('/')).then_some(tag)
    }
}

/// Seconds since 1970 as RFC 3339 in UTC: `2026-11-21T03:38:41Z`.
///
/// The calendar is Howard Hinnant's `civil_from_days`: <https://howardhinnant.github.io/date_algorithms.html>.
pub fn rfc3339(unix: u64) -> String {
    let (days, second) = (unix / 86_400, unix % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_as_date_dash_u_writes_it() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(rfc3339(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(1_795_232_321), "2026-11-21T03:38:41Z");
    }

    #[test]
    fn the_day_after_february_is_the_first_of_march() {
        assert_eq!(rfc3339(5_097_600), "1970-03-01T00:00:00Z");
        assert_eq!(rfc3339(951_868_800), "2000-03-01T00:00:00Z");
        assert_eq!(rfc3339(1_772_323_200), "2026-03-01T00:00:00Z");
        // A century without a leap day.
        assert_eq!(rfc3339(4_107_542_400), "2100-03-01T00:00:00Z");
    }

    #[test]
    fn the_port_of_a_registry_is_no_tag() {
        let tag = |image: &str| {
            let view = View { image: Some(image.into()), ..View::default() };
            Published { view, ..Published::default() }.tag().map(str::to_owned)
        };
        assert_eq!(tag("localhost:5000/app"), None);
        assert_eq!(tag("localhost:5000/app:v1"), Some("v1".into()));
        assert_eq!(tag("docker.io/library/nginx:1.29@sha256:00"), Some("1.29".into()));
        assert_eq!(tag("docker.io/library/nginx@sha256:00"), None);
    }

    #[test]
    fn a_report_is_flat_and_comes_back_as_it_was() {
        let published = Published { agent_version: "0.1.0".into(), ..Published::default() };
        let report = StatusReport::new(published, 1.5);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(
            (&json["schema_version"], &json["phase"], &json["now_seconds"]),
            (&1.into(), &"boot".into(), &1.5.into())
        );
        assert_eq!(StatusReport::from_json(json.to_string().as_bytes()).unwrap(), report);
    }

    #[test]
    fn a_report_of_another_schema_or_without_a_phase_is_none() {
        let json = serde_json::to_value(StatusReport::default()).unwrap();
        let with = |change: &dyn Fn(&mut serde_json::Value)| {
            let mut json = json.clone();
            change(&mut json);
            StatusReport::from_json(json.to_string().as_bytes()).map_err(|error| error.to_string())
        };
        assert!(with(&|_| {}).is_ok());
        let newer = with(&|json| json["schema_version"] = 2.into()).unwrap_err();
        assert_eq!(newer, "it has schema version 2, and this version of berth reads 1");
        for field in ["phase", "status", "now_seconds"] {
            let error = with(&|json| drop(json.as_object_mut().unwrap().remove(field))).unwrap_err();
            assert_eq!(error, format!("missing field `{field}`"));
        }
    }

    #[test]
    fn an_agent_from_before_the_schema_is_understood_as_far_as_a_handover_needs_it() {
        let old =
            r#"{"phase":"serve","status":"ok","reason":"healthy","phase_since":1.5,"agent_version":"0.0.9","now":2.0}"#;
        assert!(StatusReport::from_json(old.as_bytes()).is_err());
        let essentials = Essentials::from_json(old.as_bytes()).unwrap();
        assert_eq!((essentials.agent_version.as_str(), essentials.phase), ("0.0.9", PhaseName::Serve));
    }
}
