//! Keys whose behaviour this version does not have. `berth run` refuses them where they are written, because a key that is
//! ignored in silence is worse than one that is refused; `berth check` notes them.

use super::layers::Layers;
use super::value::Value;

/// A key, the one value that may be written all the same, and the sentence.
type Row = (&'static str, Option<&'static str>, &'static str);

const DRAIN: &str = "this version does not drain: SIGTERM stops the container with `stop_timeout`";
const NOTICES: &str = "this version does not watch for this notice";

static NOT_YET: &[Row] = &[
    ("secrets_refresh", Some("off"), "this version does not look for rotated secrets: replace the instance"),
    ("imds", Some("allow"), "this version cannot keep the container from the instance metadata"),
    ("drain.settle", None, DRAIN),
    ("drain.timeout", None, DRAIN),
    ("drain.idle", None, DRAIN),
    ("lifecycle.poll", None, "this version does not watch the group after the boot"),
    ("lifecycle.terminate_hook", None, "this version does not complete the termination hook"),
    ("spot", None, NOTICES),
    ("rebalance", None, NOTICES),
    ("maintenance", None, NOTICES),
];

impl Layers {
    /// The keys written that this version does not act on, each with the sentence that says so.
    pub fn not_yet(&self) -> Vec<(&'static str, &'static str)> {
        let written = |(key, harmless, sentence): &Row| {
            let written = self.keys.get(*key)?;
            let is_harmless = matches!(&written.value, Value::Text(text) if Some(text.as_str()) == *harmless);
            (!is_harmless).then_some((*key, *sentence))
        };
        NOT_YET.iter().filter_map(written).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::Key;
    use super::*;

    #[test]
    fn every_key_of_the_table_exists() {
        for (key, ..) in NOT_YET {
            assert!(Key::find(key).is_some(), "{key}");
        }
    }
}
