//! `berth.toml(5)`: every key of the config, in every form. The keys come from the code, what is said around them from
//! docs/configuration.md.

use berth_config::{KeyDoc, key_sections};

use crate::markdown::{blocks, section, sentence};
use crate::roff::Page;
use crate::text::{Block, Inline, Line, line, paragraph};
use crate::{exits, files};

/// docs/configuration.md
const CONFIGURATION: &str = include_str!("../../../docs/configuration.md");

/// Sections of that page, and under which heading the manual has them.
const TAKEN: &[(&str, &str)] = &[
    ("## Layers", "LAYERS"),
    ("## The five forms", "FORMS AND QUOTING"),
    ("## Values", "VALUES"),
    ("## Errors and warnings", "ERRORS AND WARNINGS"),
];

/// The page.
pub fn page() -> Page {
    let mut sections = vec![("DESCRIPTION", description())];
    let taken = |heading: &str| section(CONFIGURATION, heading).map(blocks).unwrap_or_default();
    let (around, errors) = TAKEN.split_at(TAKEN.len() - 1);
    sections.extend(around.iter().map(|(heading, name)| (*name, taken(heading))));
    sections.push(("KEYS", keys()));
    sections.extend(errors.iter().map(|(heading, name)| (*name, taken(heading))));
    sections.push(("EXIT STATUS", exits::command_blocks("check")));
    sections.push(("FILES", files::of_keys()));
    sections.push(("EXAMPLES", examples()));
    Page {
        name: "berth.toml".to_owned(),
        section: 5,
        about: "configuration of berth: one line of user-data, or a file".to_owned(),
        synopsis: vec![
            line("`/etc/berth/berth.toml`"),
            line("`berth image=…` `KEY=VALUE` ... (the one line of the user-data)"),
        ],
        sections,
        see_also: [("berth-check", 1), ("berth-run", 1), ("berth-policy", 1), ("berth.service", 8)]
            .map(|(name, section)| (name.to_owned(), section))
            .to_vec(),
    }
}

fn description() -> Vec<Block> {
    // Up to the first heading, without the title.
    let begin = CONFIGURATION.find("\n## ").unwrap_or(CONFIGURATION.len());
    blocks(CONFIGURATION.get(..begin).unwrap_or_default())
}

fn keys() -> Vec<Block> {
    let mut all = Vec::new();
    for section in key_sections() {
        all.push(Block::Heading(line(section.title)));
        if !section.intro.is_empty() {
            all.push(Block::Paragraph(sentence(section.intro)));
        }
        all.extend(section.keys.iter().map(key));
    }
    all
}

fn key(key: &KeyDoc) -> Block {
    // A list of forms has dots between its entries.
    let mut said: Vec<Block> = Vec::new();
    let forms: Vec<&str> = key.about.split(" · ").collect();
    match forms.as_slice() {
        [one] => said.push(Block::Paragraph(sentence(&capital(one)))),
        many => said.extend(many.iter().map(|form| Block::Entry(None, vec![Block::Paragraph(sentence(form))]))),
    }
    let mut default = vec![Inline::Plain("Default: ".to_owned())];
    default.extend(sentence(&key.default));
    said.push(Block::Paragraph(default));
    let mut examples: Line = vec![Inline::Plain("Example: ".to_owned())];
    for (at, example) in key.examples.iter().enumerate() {
        if at > 0 {
            examples.push(Inline::Plain(", ".to_owned()));
        }
        // Of a table the example is a whole word already.
        let is_word = key.key.ends_with(".NAME");
        examples.push(Inline::Code(if is_word { (*example).to_owned() } else { format!("{}={example}", key.key) }));
    }
    said.push(Block::Paragraph(examples));
    Block::Term(vec![Inline::Code(key.key.to_owned())], said)
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn examples() -> Vec<Block> {
    vec![
        paragraph("The user-data of a launch template, with cloud-init on the AMI:"),
        Block::Code(
            "#cloud-config\n#berth image=123456789012.dkr.ecr.us-east-2.amazonaws.com/ap-api:a1b2c3d port=8080 secrets=prod/api\n"
                .to_owned(),
        ),
        paragraph("The same as `/etc/berth/berth.toml`:"),
        Block::Code(
            "image = \"123456789012.dkr.ecr.us-east-2.amazonaws.com/ap-api:a1b2c3d\"\nport = 8080\nsecrets = [\"prod/api\"]\n"
                .to_owned(),
        ),
        paragraph("What would run, and what is wrong:"),
        Block::Code("berth check --all /etc/berth/berth.toml\n".to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_in_the_page_with_its_default_and_an_example() {
        let page = page().to_roff("2026-11-28").replace("\\-", "-");
        let (_, keys) = page.split_once(".SH KEYS").unwrap_or_default();
        let mut seen = 0;
        for key in key_sections().into_iter().flat_map(|section| section.keys) {
            seen += 1;
            assert!(keys.contains(&format!(".TP 7\n\\fB{}\\fR\n", key.key)), "{} is not in the page", key.key);
        }
        assert!(seen > 60, "only {seen} keys were looked for");
        assert_eq!(keys.matches("Default: ").count(), seen);
    }

    #[test]
    fn what_the_page_takes_from_the_documentation_is_there() {
        for (heading, _) in TAKEN {
            assert!(section(CONFIGURATION, heading).is_some_and(|text| text.len() > 200), "{heading}");
        }
        assert!(description().len() > 2);
    }
}
