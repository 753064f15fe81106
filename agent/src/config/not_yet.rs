//! Keys whose behaviour this version does not have. `berth run` refuses them where they are written, because a key that is
//! ignored in silence is worse than one that is refused; `berth check` notes them.

use super::layers::Layers;
use super::value::Value;

/// A key, the one value that may be written all the same, and the sentence.
type Row = (&'static str, Option<&'static str>, &'static str);

static NOT_YET: &[Row] =
    &[("imds", Some("allow"), "this version cannot keep the container from the instance metadata")];

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
