//! Suggestions for unknown keys.

use crate::keys::foreign_words;
use crate::keys::{Key, all};
use crate::value::text;

/// An unknown key.
pub(crate) struct Unknown {
    /// One sentence, with what to write instead if that is known.
    pub(crate) reason: String,
    /// The key that was most likely meant, as it would be written.
    pub(crate) meant: Option<String>,
}

impl Unknown {
    fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), meant: None }
    }

    fn meaning(key: impl Into<String>, reason: impl FnOnce(&str) -> String) -> Self {
        let key = key.into();
        Self { reason: reason(&key), meant: Some(key) }
    }

    fn near(key: impl Into<String>) -> Self {
        Self::meaning(key, |key| format!("unknown key, did you mean `{key}`?"))
    }

    fn of_others(meaning: foreign_words::Meaning) -> Self {
        let advice = meaning.advice;
        match meaning.key {
            None => Self::new(format!("unknown key, and berth has no equivalent: {advice}")),
            Some(key) if advice.is_empty() => Self::meaning(key, |key| format!("unknown key: berth calls it `{key}`")),
            Some(key) => Self::meaning(key, |key| format!("unknown key: berth calls it `{key}`; {advice}")),
        }
    }
}

impl Key {
    /// Whether this is a table of keys: `probe`, `env`.
    pub(crate) fn is_table(written: &str) -> bool {
        table(written).is_some()
    }

    /// Whether this is a key, a table of keys, or similar to a key.
    pub(crate) fn is_meant(written: &str) -> bool {
        Self::find(written).is_some()
            || table(written).is_some()
            || foreign_words::is_certain(written)
            || nearest(written).is_some()
    }

    /// The error of an unknown key, with the key that was most likely meant.
    pub(crate) fn unknown(written: &str) -> Unknown {
        if written == "secret" {
            return Unknown::meaning("secret.NAME", |_| {
                "needs a name: `secret.NAME=…` for one value, or `secrets=…` for every key of a JSON secret".into()
            });
        }
        if let Some(meaning) = foreign_words::find(written) {
            return Unknown::of_others(meaning);
        }
        let bare = written.trim_start_matches('-');
        let head = foreign_words::fold(bare.trim_end_matches('.'));
        if let Some(key) = table_by(|table| foreign_words::fold(table) == head) {
            return Unknown::meaning(key, |key| format!("needs a name: `{key}=…`"));
        }
        if bare != written && Self::is_meant(bare) && respelled(bare).is_none() {
            let bare = text::shown(bare);
            return Unknown::meaning(&bare, |_| format!("unknown key: write it without `--`, as in `{bare}=…`"));
        }
        if let Some(key) = respelled(bare) {
            return Unknown::near(key);
        }
        if let Some(key) = below(written) {
            return Unknown::meaning(text::shown(&key), |key| format!("unknown key: write `{key}` at the top level"));
        }
        let head = written.split('.').next().unwrap_or(written);
        if all().any(|key| key.name == head) {
            return Unknown::meaning(head, |head| format!("unknown key: `{head}` is a value or a list, not a table"));
        }
        match nearest(written) {
            Some(name) => Unknown::near(text::shown(&name)),
            None => foreign_words::find_near(written).map_or_else(|| Unknown::new("unknown key"), Unknown::of_others),
        }
    }
}

/// The first key of this table.
fn table(written: &str) -> Option<&'static str> {
    table_by(|table| table == written)
}

fn table_by(is_it: impl Fn(&str) -> bool) -> Option<&'static str> {
    all().map(|key| key.name).find(|name| name.split_once('.').is_some_and(|(table, _)| is_it(table)))
}

/// The key in another spelling: `stopTimeout`, `read-only`, `bootTimeout`.
fn respelled(written: &str) -> Option<&'static str> {
    let squashed = |text: &str| foreign_words::fold(text).replace('.', "");
    let it = squashed(written);
    all().map(|key| key.name).find(|name| *name != written && !name.ends_with(".NAME") && squashed(name) == it)
}

/// The known key at the end of a nested one: `services.web.image`, `berth.image`.
fn below(written: &str) -> Option<String> {
    // `services.NAME.` is the deepest nesting of a container elsewhere.
    const ABOVE: usize = 3;
    let parts = std::iter::successors(Some(written), |path| path.split_once('.').map(|(_, below)| below));
    parts.skip(1).take(ABOVE).find_map(|below| match Key::find(below) {
        Some(_) => Some(below.to_owned()),
        None => foreign_words::find(below).and_then(|meaning| meaning.key),
    })
}

/// The most similar known name, if it is similar enough.
fn nearest(written: &str) -> Option<String> {
    // Far longer than any known key; limits the work.
    const LONGEST: usize = 64;
    if written.len() > LONGEST {
        return None;
    }
    let near = |known: &str, word: &str| {
        let distance = strsim::damerau_levenshtein(known, &word.to_ascii_lowercase());
        (distance <= (known.len() / 3).max(1)).then_some(distance)
    };
    all()
        .filter_map(|key| match (key.name.strip_suffix(".NAME"), written.split_once('.')) {
            (Some(table), Some((head, name))) => {
                near(table, head).map(|distance| (distance, format!("{table}.{name}")))
            }
            (Some(_), None) => None,
            (None, _) => {
                let last = key.name.rsplit('.').next().filter(|last| *last == written).map(|_| 1);
                near(key.name, written).or(last).map(|distance| (distance, key.name.to_owned()))
            }
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_gets_the_most_similar_known_key() {
        for (written, reported) in [
            ("helth", "unknown key, did you mean `health`?"),
            ("prot", "unknown key, did you mean `port`?"),
            ("Image", "unknown key, did you mean `image`?"),
            ("boot_timeout", "unknown key, did you mean `boot.timeout`?"),
            ("bootTimeout", "unknown key, did you mean `boot.timeout`?"),
            ("interval", "unknown key, did you mean `probe.interval`?"),
            ("probe.intervall", "unknown key, did you mean `probe.interval`?"),
            ("evn.FOO", "unknown key, did you mean `env.FOO`?"),
            ("log_opts.max-size", "unknown key, did you mean `log_opt.max-size`?"),
            ("env", "needs a name: `env.NAME=…`"),
            ("env.", "needs a name: `env.NAME=…`"),
            ("--env", "needs a name: `env.NAME=…`"),
            ("probe", "needs a name: `probe.interval=…`"),
            ("labels.a", "unknown key: `labels` is a value or a list, not a table"),
            ("secret", "needs a name: `secret.NAME=…` for one value, or `secrets=…` for every key of a JSON secret"),
            ("--image", "unknown key: write it without `--`, as in `image=…`"),
            ("berth.image", "unknown key: write `image` at the top level"),
            ("zzzzzzzz", "unknown key"),
            ("", "unknown key"),
            ("-", "unknown key"),
            ("...", "unknown key"),
        ] {
            assert_eq!(Key::unknown(written).reason, reported, "{written}");
        }
        assert_eq!(Key::unknown(&"x".repeat(1000)).reason, "unknown key");
        assert_eq!(Key::unknown(&"x.".repeat(1000)).reason, "unknown key");
        assert_eq!(Key::unknown("prot").meant.as_deref(), Some("port"));
    }
}
