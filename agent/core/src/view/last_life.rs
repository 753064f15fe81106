//! A life as it is kept in the state directory, to be read when no agent runs: how it ended, when and why, and its status at that
//! moment.
//!
//! Nothing decides by it (invariant 12). It holds what the socket shows, so no secret.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::message::outcome::Outcome;
use crate::view::SCHEMA_VERSION;
use crate::view::published::StatusReport;
use crate::view::read::Json;

/// A life that is over, or as far as it was known.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LastLife {
    /// What `/v1/status` would have answered at that moment; its fields stand at the top level of the JSON.
    #[serde(flatten)]
    pub report: StatusReport,
    /// How it ended.
    pub last_life: Ending,
}

/// How a life ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ending {
    /// When this record was last written, RFC 3339 in UTC: at the end, or when the phase, a hook, the restarts or the app's output last
    /// changed.
    pub written_at: String,
    /// The agent's exit code; null if it was killed before it could end.
    pub exit_code: Option<u8>,
    /// The line that the console got, for people.
    pub final_status: Option<String>,
}

/// What a record holds beside the report.
#[derive(Deserialize)]
struct BesideTheReport {
    last_life: Ending,
}

/// A record that cannot be read.
#[derive(Debug, Error)]
pub enum RecordError {
    /// It is no record of a run.
    #[error("it is not the record of a run")]
    Invalid(#[from] serde_json::Error),
    /// Another version of berth wrote it.
    #[error(
        "it has {}, and this version of berth reads {SCHEMA_VERSION}: the next agent replaces it",
        .0.map_or("no schema version".to_owned(), |version| format!("schema version {version}"))
    )]
    OtherSchema(Option<u32>),
}

/// The version of a record; the first ones had none.
#[derive(Deserialize)]
struct Versioned {
    schema_version: Option<u32>,
    #[serde(rename = "last_life")]
    _last_life: IgnoredAny,
}

impl LastLife {
    /// Reads its JSON: first its version, then the report and the rest.
    pub fn from_json(bytes: &[u8]) -> Result<Self, RecordError> {
        let json = serde_json::from_slice(bytes)?;
        match Json::read::<Versioned>(&json)?.schema_version {
            Some(SCHEMA_VERSION) => {}
            other => return Err(RecordError::OtherSchema(other)),
        }
        let BesideTheReport { last_life } = Json::read(&json)?;
        Ok(Self { report: StatusReport::read(&json)?, last_life })
    }

    /// One line for people: when, and how.
    pub fn sentence(&self) -> String {
        let Ending { written_at, exit_code, .. } = &self.last_life;
        let phase = self.report.published.view.phase.word();
        match exit_code {
            Some(code) => format!("the last agent ended at {written_at} with exit code {code} ({})", meaning(*code)),
            None => format!(
                "the last agent left no final status: it was killed, or the instance was stopped; when it last wrote its \
                 record, at {written_at}, it was in {phase}"
            ),
        }
    }
}

/// What an exit code means, in a few words.
fn meaning(code: u8) -> &'static str {
    match Outcome::ALL.into_iter().find(|outcome| outcome.code() == code) {
        Some(Outcome::Done) => "drained",
        Some(Outcome::Usage) => "the config is invalid",
        Some(Outcome::BootFailed) => "the boot failed",
        Some(Outcome::AppFailed) => "the app could not be kept running",
        Some(Outcome::DrainCut) => "the drain was cut short",
        Some(Outcome::Bug) => "a bug in berth",
        None => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_flat_and_comes_back_as_it_was() {
        let life = LastLife { last_life: Ending { exit_code: Some(5), ..Ending::default() }, ..LastLife::default() };
        let json = serde_json::to_value(&life).unwrap();
        assert_eq!((&json["phase"], &json["last_life"]["exit_code"]), (&"boot".into(), &5.into()));
        assert_eq!(LastLife::from_json(json.to_string().as_bytes()).unwrap(), life);
    }

    #[test]
    fn a_record_of_another_version_is_reported_as_one() {
        let mut json = serde_json::to_value(LastLife::default()).unwrap();
        json["schema_version"] = 7.into();
        let error = LastLife::from_json(json.to_string().as_bytes()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "it has schema version 7, and this version of berth reads 1: the next agent replaces it"
        );
        // As berth wrote it before there were versions.
        let old = r#"{"phase":"gone","phase_since":3.5,"steps":[{"name":"pull","began":1.0}],"last_life":{"format":1,"exit_code":0}}"#;
        assert!(matches!(LastLife::from_json(old.as_bytes()), Err(RecordError::OtherSchema(None))));
        for text in [
            "",
            "{}",
            "null",
            "[]",
            "{\"schema_version\":1,\"last_life\":{}}",
            "{\"schema_version\":-1,\"last_life\":{}}",
        ] {
            assert!(matches!(LastLife::from_json(text.as_bytes()), Err(RecordError::Invalid(_))), "{text:?}");
        }
    }

    #[test]
    fn each_exit_code_has_its_words() {
        let meanings = [
            (0, "drained"),
            (2, "the config is invalid"),
            (3, "the boot failed"),
            (4, "the app could not be kept running"),
            (5, "the drain was cut short"),
            (70, "a bug in berth"),
        ];
        assert_eq!(meanings.map(|(code, _)| code), Outcome::ALL.map(Outcome::code));
        for (code, meaning) in meanings.into_iter().chain([(1, "unknown")]) {
            let ending = Ending { exit_code: Some(code), written_at: "T".into(), ..Ending::default() };
            let sentence = LastLife { last_life: ending, ..LastLife::default() }.sentence();
            assert_eq!(sentence, format!("the last agent ended at T with exit code {code} ({meaning})"));
        }
        assert!(LastLife::default().sentence().contains("it was in boot"));
    }
}
