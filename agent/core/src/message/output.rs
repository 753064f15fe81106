//! What the app wrote last: the lines that say why it exited, or why it is not healthy.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

/// So many lines are kept, the newest.
pub const LINES: usize = 40;
/// And so many bytes of them in all.
pub const BYTES: usize = 8 * 1024;

/// The last lines on the app's standard output and standard error, fit to be shown: without the values of its secrets and
/// without control characters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AppOutput {
    /// When they were read.
    pub at_seconds: f64,
    /// Oldest first, at most 40 lines and 8 KB.
    pub lines: Vec<String>,
    /// Whether earlier output, or a part of a line, was left out.
    pub truncated: bool,
    /// Why there are no lines, if they could not be read.
    pub unavailable: Option<Unavailable>,
    /// The container's log driver, if the engine returned it.
    pub log_driver: Option<String>,
}

/// Why the app's output could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Unavailable {
    /// The container is gone, and its log with it.
    ContainerRemoved,
    /// `log_driver=none`
    NotLogged,
    /// The engine cannot read back what this log driver writes.
    DriverNotReadable,
    /// The values of the app's secrets are not there, so they cannot be removed from the lines.
    SecretsUnknown,
    /// The engine failed, or did not answer in time.
    EngineFailed,
}

berth_config::read_as_word!(Unavailable);

impl AppOutput {
    /// No lines, and why.
    pub fn none(why: Unavailable) -> Self {
        Self { unavailable: Some(why), ..Self::default() }
    }

    /// The lines for a person, or one sentence that says why there are none.
    pub fn for_people(&self) -> Vec<Cow<'_, str>> {
        let sentence = match self.unavailable {
            None if self.lines.is_empty() => "(the app wrote nothing)".into(),
            None => return self.lines.iter().map(|line| line.as_str().into()).collect(),
            Some(why) => format!("(the app's output is not available: {})", self.because(why)).into(),
        };
        vec![sentence]
    }

    fn because(&self, why: Unavailable) -> Cow<'static, str> {
        match why {
            Unavailable::ContainerRemoved => "the container was removed".into(),
            Unavailable::NotLogged => "log_driver=none keeps none".into(),
            Unavailable::DriverNotReadable => match &self.log_driver {
                Some(driver) => format!(
                    "the engine cannot read the log driver {driver} (cache-disabled=true?); look where it writes to"
                )
                .into(),
                None => "the engine cannot read the log driver; look where it writes to".into(),
            },
            Unavailable::SecretsUnknown => {
                "the app's secrets are not on the tmpfs any more, so their values cannot be \
                 removed from it; see `docker logs`"
                    .into()
            }
            Unavailable::EngineFailed => "the engine failed or did not answer in time; see `docker logs`".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_output_is_one_sentence() {
        let wrote = AppOutput { lines: vec!["one".into(), "two".into()], ..AppOutput::default() };
        assert_eq!(wrote.for_people(), ["one", "two"]);
        assert_eq!(AppOutput::default().for_people(), ["(the app wrote nothing)"]);
        let driver = Some("awslogs".to_owned());
        let unreadable = AppOutput { log_driver: driver, ..AppOutput::none(Unavailable::DriverNotReadable) };
        assert_eq!(
            unreadable.for_people(),
            [
                "(the app's output is not available: the engine cannot read the log driver awslogs (cache-disabled=true?); \
              look where it writes to)"
            ]
        );
    }

    #[test]
    fn its_states_are_words() {
        let json = serde_json::to_value(AppOutput::none(Unavailable::ContainerRemoved)).unwrap();
        assert_eq!(json["unavailable"], "container_removed");
        assert_eq!(serde_json::from_value::<AppOutput>(json).unwrap().unavailable, Some(Unavailable::ContainerRemoved));
    }
}
