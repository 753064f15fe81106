//! The documentation of the keys: the tables of docs/configuration.md, and the descriptions of `berth check --json`.

use std::fmt::Write;

use crate::keys::key::{Key, KeyDefault, Section};
use crate::keys::table::SECTIONS;

/// One key, as the documentation shows it.
#[derive(Clone, Debug)]
pub struct KeyDoc {
    /// The name; `env.NAME` stands for every name.
    pub key: &'static str,
    /// What it means and in which forms, in Markdown.
    pub about: &'static str,
    /// The default, in Markdown.
    pub default: String,
    /// Values as in the one line; for a table, whole words.
    pub examples: &'static [&'static str],
}

/// Keys that belong together, as the documentation shows them.
#[derive(Clone, Debug)]
pub struct KeySection {
    /// The heading.
    pub title: &'static str,
    /// An introduction, in Markdown; may be empty.
    pub intro: &'static str,
    /// The keys, in the order of the table of keys.
    pub keys: Vec<KeyDoc>,
}

/// Every key, by section.
pub fn key_sections() -> Vec<KeySection> {
    let doc = |key: &Key| {
        let default = match key.default {
            KeyDefault::Value(text) => format!("`{text}`"),
            KeyDefault::Words(text) => text.to_owned(),
        };
        KeyDoc { key: key.name, about: key.about, default, examples: key.examples }
    };
    let section = |section: &&Section| KeySection {
        title: section.title,
        intro: section.intro,
        keys: section.keys.iter().copied().flatten().map(doc).collect(),
    };
    SECTIONS.iter().map(section).collect()
}

/// What a key takes, with an example; none for an unknown key.
pub(crate) fn help(written: &str) -> Option<String> {
    let (Key { name, about, .. }, _) = Key::find(written)?;
    let example = example(written).map(|example| format!("; for example `{example}`"));
    Some(format!("`{name}`: {about}{}", example.unwrap_or_default()))
}

/// A key with a value, as it is written in the one line.
pub(crate) fn example(written: &str) -> Option<String> {
    let (Key { name, examples, .. }, _) = Key::find(written)?;
    let example = examples.iter().find(|example| !example.contains('…'))?;
    Some(if name.ends_with(".NAME") { (*example).to_owned() } else { format!("{name}={example}") })
}

/// The tables of docs/configuration.md, one for each section.
pub fn key_tables() -> String {
    let mut text = String::new();
    for KeySection { title, intro, keys } in key_sections() {
        let gap = if intro.is_empty() { "" } else { "\n\n" };
        // Writing to a String cannot fail.
        let _ = write!(text, "\n### {title}\n\n{intro}{gap}");
        text.push_str("| key | meaning and forms | default | example |\n|---|---|---|---|\n");
        for KeyDoc { key, about, default, examples } in keys {
            let examples: Vec<_> = examples.iter().map(|example| format!("`{example}`")).collect();
            let _ = writeln!(text, "| `{key}` | {about} | {default} | {} |", examples.join(", "));
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use std::fs;

    use expect_test::expect_file;

    use super::*;
    use crate::keys::all;
    use crate::parse::layers::Layers;

    const BEGIN: &str = "<!-- the tables are made from agent/config/src/keys: UPDATE_EXPECT=1 cargo test -p berth-config key_docs -->\n";
    const END: &str = "<!-- end of the tables -->\n";

    #[test]
    fn every_example_is_valid() {
        for key in all() {
            assert!(!key.examples.is_empty(), "{} has no example", key.name);
            for example in key.examples.iter().filter(|example| !example.contains('…')) {
                let written = match key.name.ends_with(".NAME") {
                    true => (*example).to_owned(),
                    false => format!("{}={example}", key.name),
                };
                // Keys that some examples need; added first, so that the example wins.
                let needed = match *example {
                    "awslogs" => "log_opt.awslogs-group = 'g'",
                    "15s" => "config = 'ssm:/x'\nrelease.move = 'restart'",
                    _ => "",
                };
                let mut layers = Layers::new();
                layers.add_file("needed", format!("image = 'x:1'\nport = 80\n{needed}").as_bytes());
                layers.add_user_data(format!("berth {written}").as_bytes());
                assert_eq!(layers.resolve().err().map(|errors| errors.to_string()), None, "{written}");
            }
        }
    }

    #[test]
    fn the_documentation_has_these_tables() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        #[expect(clippy::disallowed_methods, reason = "the page is made from this table")]
        let page = fs::read_to_string(path).unwrap();
        let (before, rest) = page.split_once(BEGIN).unwrap();
        let (_, after) = rest.split_once(END).unwrap();
        expect_file![path].assert_eq(&format!("{before}{BEGIN}{}{END}{after}", key_tables()));
    }
}
