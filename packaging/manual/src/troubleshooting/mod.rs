//! docs/troubleshooting.md: every error that no other attempt changes (class misconfigured, denied or broken), as it is printed, with
//! what it means and what to do.
//!
//! The errors are the agent's own types. [`rows!`] takes one of them apart with a match that the compiler wants whole, and each row
//! with a value of its kind: an error without a row does not build, and one whose row is wrong fails a test.

use std::error::Error;
use std::fmt::Write;

use berth_core::message::error::{ErrorClass, JobError};

mod agent;
mod aws;
mod block;
mod codes;
mod engine;
mod group;
mod image;
mod life;
mod metadata;
mod network;
mod refused;
mod releases;
mod secrets;

/// Where an error belongs, in the order of the page: what is asked for first comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Section {
    Config,
    Metadata,
    Denied,
    Aws,
    Network,
    Secrets,
    Image,
    Engine,
    Container,
    Health,
    Group,
    LoadBalancer,
    Releases,
    Block,
    Agent,
}

/// What to say of an error.
#[derive(Clone, Copy, Debug)]
enum Advice {
    /// An entry of the page.
    Entry(Entry),
    /// It is tried again until it passes, or until a deadline does.
    Passes,
    /// It is printed in front of its source, and the source has an entry.
    Source,
    /// It is printed as its source is, which has an entry.
    Transparent,
}

/// An entry.
#[derive(Clone, Copy, Debug)]
struct Entry {
    section: Section,
    /// What it means, in Markdown.
    means: &'static str,
    /// What to do, in Markdown.
    todo: &'static str,
    /// Commands to type.
    commands: &'static [&'static str],
}

/// An error and what to say of it.
#[derive(Debug)]
struct Row {
    /// As it is printed, with words in capitals for what differs.
    text: String,
    /// Words that may stand in the place of one of its words.
    also: &'static [&'static str],
    class: Option<ErrorClass>,
    /// Whether something is printed behind it that has an entry of its own.
    has_source: bool,
    advice: Advice,
}

const fn entry(section: Section, means: &'static str, todo: &'static str, commands: &'static [&'static str]) -> Advice {
    Advice::Entry(Entry { section, means, todo, commands })
}

impl Row {
    fn new(class: Option<ErrorClass>, error: &(dyn Error + 'static), advice: Advice) -> Self {
        let has_source = error.source().is_some();
        // Of a source that has an entry, the entry is there for the words.
        let text = match advice {
            Advice::Source => format!("{error}: …"),
            _ => JobError::from_error(ErrorClass::Broken, error).reason,
        };
        Self { text, also: &[], class, has_source, advice }
    }
}

/// A function that gives the rows of an error's type: `PATTERN [if GUARD], VALUE => ADVICE;` for every variant. `CLASS` is how the type
/// tells the class of a value.
macro_rules! rows {
    ($name:ident, $error:ty, $class:expr; $($pattern:pat $(if $guard:expr)?, $value:expr => $advice:expr;)+) => {
        /// Every variant, one row each at least.
        pub(super) fn $name() -> Vec<$crate::troubleshooting::Row> {
            // A new variant does not build until it has a row.
            #[allow(unused_variables, reason = "a pattern binds what its guard looks at")]
            fn row(error: &$error) -> &'static str {
                match error {
                    $($pattern $(if $guard)? => stringify!($pattern $(if $guard)?),)+
                }
            }
            let class: fn(&$error) -> Option<berth_core::message::error::ErrorClass> = $class;
            vec![$({
                let value: $error = $value;
                assert_eq!(row(&value), stringify!($pattern $(if $guard)?), "the value is of another row");
                $crate::troubleshooting::Row::new(class(&value), &value, $advice)
            }),+]
        }
    };
}
use rows;

impl Section {
    const ALL: [Self; 15] = [
        Self::Config,
        Self::Metadata,
        Self::Denied,
        Self::Aws,
        Self::Network,
        Self::Secrets,
        Self::Image,
        Self::Engine,
        Self::Container,
        Self::Health,
        Self::Group,
        Self::LoadBalancer,
        Self::Releases,
        Self::Block,
        Self::Agent,
    ];

    fn heading(self) -> &'static str {
        match self {
            Self::Config => "The config",
            Self::Metadata => "Instance metadata and credentials",
            Self::Denied => "AWS denies a call",
            Self::Aws => "AWS answers with an error",
            Self::Network => "Network, DNS and TLS",
            Self::Secrets => "Secrets",
            Self::Image => "Registry and image",
            Self::Engine => "The Docker Engine",
            Self::Container => "The container does not start",
            Self::Health => "The app does not become healthy",
            Self::Group => "The Auto Scaling group and its hooks",
            Self::LoadBalancer => "The load balancer and its target groups",
            Self::Releases => "Releases, and the bucket that they are in",
            Self::Block => "`imds=block`",
            Self::Agent => "The agent and its commands",
        }
    }

    /// The anchor of the heading.
    fn anchor(self) -> String {
        let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
        self.heading().to_lowercase().chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
    }
}

fn all() -> Vec<Row> {
    [
        metadata::imds(),
        metadata::credentials(),
        aws::calls(),
        codes::codes(),
        network::http(),
        network::trust(),
        network::proxy(),
        network::variables(),
        network::dns(),
        secrets::secrets(),
        secrets::delivery(),
        image::login(),
        image::pull(),
        engine::engine(),
        engine::create(),
        engine::start(),
        refused::keys(),
        life::boots(),
        life::probes(),
        group::hooks(),
        group::membership(),
        releases::objects(),
        releases::releases(),
        releases::kept(),
        block::block(),
        block::filter(),
        agent::config(),
        agent::socket(),
        agent::commands(),
        agent::listen(),
        agent::console(),
        agent::records(),
        agent::notes(),
        agent::handovers(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// docs/troubleshooting.md
fn markdown() -> String {
    let mut text = String::from(INTRODUCTION);
    // Writing to a String cannot fail.
    text.push_str("| `/ready` says | go to |\n|---|---|\n");
    for (sentence, section) in life::reasons() {
        let _ = writeln!(text, "| `{sentence}` | [{}](#{}) |", section.heading(), section.anchor());
    }
    let rows = all();
    for section in Section::ALL {
        let _ = writeln!(text, "\n## {}\n", section.heading());
        let mut parts: Vec<String> = Vec::new();
        let mut last: Option<&Entry> = None;
        for row in &rows {
            let Advice::Entry(entry) = &row.advice else { continue };
            if entry.section != section {
                continue;
            }
            // Errors that follow each other and mean the same have one entry.
            if last.is_some_and(|last| last.means == entry.means)
                && let Some(part) = parts.last_mut()
                && let Some((texts, rest)) = part.split_once("\n\n")
            {
                *part = format!("{texts}  \n{}\n\n{rest}", shown(row));
                continue;
            }
            last = Some(entry);
            let mut part = format!("{}\n\n{} **Do:** {}\n", shown(row), entry.means, entry.todo);
            for (at, command) in entry.commands.iter().enumerate() {
                let _ = writeln!(part, "{}    {command}", if at == 0 { "\n" } else { "" });
            }
            parts.push(part);
        }
        text.push_str(&parts.join("\n"));
    }
    text
}

fn shown(row: &Row) -> String {
    let Row { text, also, .. } = row;
    // Code that holds a backtick has two around it.
    let shown = if text.contains('`') { format!("**`` {text} ``**") } else { format!("**`{text}`**") };
    match also {
        [] => shown,
        also => format!("{shown} (also `{}`)", also.join("`, `")),
    }
}

const INTRODUCTION: &str = "\
# Troubleshooting

<!-- made from the error types of agent/berth/src by packaging/manual: UPDATE_EXPECT=1 cargo test -p berth-manual -->

Every error that ends a boot, or that no other attempt changes. Search this page for a few words of yours; words in CAPITALS differ from
case to case. Errors that pass by themselves (timeouts, throttling, 5xx) are not here: they are tried again until a deadline, and `berth
status` shows the last one.

Where the error is, the first that you can reach:

    berth status
    journalctl -u berth --boot --priority warning
    aws ec2 get-console-output --latest --output text --instance-id i-0123456789abcdef0

`berth doctor` tries everything that a boot needs and prints what is missing, with the IAM statement for each denied call. A boot that failed
ends the instance: `boot.on_failure=hold` keeps the next one for a look, unless its config is invalid. When the cause is mended, `berth handover` on
a held instance tries the boot again.

";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use expect_test::expect_file;

    use super::*;

    #[test]
    fn what_no_other_attempt_changes_has_an_entry_and_nothing_else_has() {
        let rows = all();
        assert!(rows.len() > 60, "only {} rows", rows.len());
        for row in &rows {
            let is_final = row.class.map(|class| !class.is_transient() && class != ErrorClass::Gone);
            match &row.advice {
                Advice::Entry(entry) => {
                    assert_ne!(is_final, Some(false), "{} passes by itself", row.text);
                    assert!(entry.means.ends_with(['.', ':']) && entry.todo.ends_with(['.', ':']), "{}", row.text);
                }
                Advice::Passes => assert_eq!(is_final, Some(false), "{} has no entry", row.text),
                Advice::Source => assert!(row.has_source, "{} has no source", row.text),
                Advice::Transparent => {}
            }
        }
    }

    #[test]
    fn every_section_has_an_entry_and_no_text_has_two() {
        let rows = all();
        let mut sections = BTreeSet::new();
        let mut texts = BTreeSet::new();
        for row in &rows {
            if let Advice::Entry(entry) = &row.advice {
                sections.insert(entry.section);
                assert!(texts.insert(&row.text), "{} is there twice", row.text);
            }
        }
        assert_eq!(sections.into_iter().collect::<Vec<_>>(), Section::ALL);
    }

    #[test]
    fn the_documentation_has_this_page() {
        expect_file![concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/troubleshooting.md")].assert_eq(&markdown());
    }
}
