//! A life as it is kept in the state directory, for people who come when no agent runs: how it ended, when and why, and what it
//! showed of itself at that moment.
//!
//! Nothing decides by it (invariant 12). It holds what the socket shows, so no secret.

use serde::{Deserialize, Serialize};

use crate::message::outcome::Outcome;
use crate::view::published::Report;

/// The form of the record; another version may have another.
pub const FORMAT: u32 = 1;

/// A life that is over, or as far as it was known.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LastLife {
    /// What `/v1/status` would have answered at that moment; its fields stand at the top level of the JSON.
    #[serde(flatten)]
    pub report: Report,
    /// How it ended.
    pub last_life: Ending,
}

/// How a life ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ending {
    /// [`FORMAT`]
    pub format: u32,
    /// When this was written, RFC 3339 in UTC: at the end, or else when the last phase began.
    pub written_at: String,
    /// The exit code; none if the agent was killed before it could end.
    pub exit_code: Option<u8>,
    /// The line that the console got.
    pub final_status: Option<String>,
}

/// What a record holds beside the report.
#[derive(Deserialize)]
struct BesideTheReport {
    last_life: Ending,
}

impl LastLife {
    /// Reads its JSON, once for the report and once for the rest.
    pub fn from_json(bytes: &[u8]) -> serde_json::Result<Self> {
        let BesideTheReport { last_life } = serde_json::from_slice(bytes)?;
        Ok(Self { report: Report::from_json(bytes)?, last_life })
    }

    /// One line for people: when, and how.
    pub fn sentence(&self) -> String {
        let Ending { written_at, exit_code, .. } = &self.last_life;
        let phase = self.report.published.view.phase.word();
        match exit_code {
            Some(code) => format!("the last agent ended at {written_at} with exit code {code} ({})", meaning(*code)),
            None => format!(
                "the last agent left no final status: it was killed, or the instance was stopped; its last known phase is \
                 {phase}, since {written_at}"
            ),
        }
    }
}

/// What an exit code says, in a few words.
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
        let life = LastLife {
            last_life: Ending { format: FORMAT, exit_code: Some(5), ..Ending::default() },
            ..LastLife::default()
        };
        let json = serde_json::to_value(&life).unwrap();
        assert_eq!((&json["phase"], &json["last_life"]["exit_code"]), (&"boot".into(), &5.into()));
        assert_eq!(LastLife::from_json(json.to_string().as_bytes()).unwrap(), life);
    }

    #[test]
    fn each_exit_code_is_told_in_words() {
        for outcome in Outcome::ALL {
            let ending = Ending { exit_code: Some(outcome.code()), written_at: "T".into(), ..Ending::default() };
            let sentence = LastLife { last_life: ending, ..LastLife::default() }.sentence();
            assert!(sentence.starts_with(&format!("the last agent ended at T with exit code {} (", outcome.code())));
            assert!(!sentence.contains("unknown"), "{sentence}");
        }
        assert!(LastLife::default().sentence().contains("its last known phase is boot"));
    }
}
