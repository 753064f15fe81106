//! The commands: a manual page each, and docs/commands.md, from the definition that `--help` shows.

use std::fmt::Write;

use clap::{Arg, ArgAction, Command, CommandFactory};

use crate::help::Help;
use crate::roff::Page;
use crate::text::{Block, Inline, Line, line, to_markdown};
use crate::{exits, files};

/// A flag, or a word that has a meaning by where it stands.
#[derive(Clone, Debug)]
struct Word {
    /// As in the synopsis, with brackets if it may be left out.
    short: Line,
    /// As in the list of options.
    long: Line,
    /// What it means.
    about: Vec<Block>,
}

/// `berth(1)` and a page for each command.
pub fn pages() -> Vec<Page> {
    let root = berth();
    let commands: Vec<&Command> = shown(&root).collect();
    let mut see_also: Vec<(String, u8)> = commands.iter().map(|command| (page_name(command), 1)).collect();
    see_also.extend([("berth.toml".to_owned(), 5), ("berth.service".to_owned(), 8)]);
    let first = Page {
        name: "berth".to_owned(),
        section: 1,
        about: about(&root),
        synopsis: vec![root_synopsis(&root), line("`berth --help` | `--version`")],
        sections: vec![
            ("DESCRIPTION", description(&root)),
            ("OPTIONS", options(&root)),
            ("COMMANDS", commands.iter().map(|command| listed(command)).collect()),
            ("EXIT STATUS", exits::agent_blocks()),
            ("ENVIRONMENT", files::environment_of("berth")),
            ("FILES", files::files_of("berth")),
        ],
        see_also,
    };
    std::iter::once(first).chain(commands.into_iter().map(page)).collect()
}

/// docs/commands.md
pub fn markdown() -> String {
    let root = berth();
    let mut text = String::from(
        "# Commands\n\n<!-- made from agent/berth/src/cli.rs and packaging/manual: UPDATE_EXPECT=1 cargo test -p berth-manual -->\n\n",
    );
    let _ =
        writeln!(text, "{}. `berth help COMMAND` and the manual (`man berth-status`) say the same.\n", about(&root));
    text.push_str("| command | what it does |\n|---|---|\n");
    for command in shown(&root) {
        let _ = writeln!(text, "| [`berth {}`](#{}) | {} |", name(command), page_name(command), about(command));
    }
    text.push_str("\nWhat the commands exit with is also in [one table](exit-codes.md).\n");
    for command in shown(&root) {
        in_markdown(&mut text, command);
    }
    text
}

fn in_markdown(text: &mut String, command: &Command) {
    let name = name(command);
    let words = words(command);
    let help = help(command);
    // Writing to a String cannot fail.
    let _ = writeln!(text, "\n## berth {name}\n\n{}.\n", about(command));
    let mut called: Vec<String> = words.iter().map(|word| plain(&word.short)).collect();
    called.extend(parts(command).next().map(|_| "COMMAND ...".to_owned()));
    let _ = writeln!(text, "Usage: `{}`\n", [&[format!("berth {name}")], &called[..]].concat().join(" "));
    for block in &help.said {
        paragraph_in(text, block);
    }
    if !words.is_empty() {
        text.push_str("| option | meaning |\n|---|---|\n");
        for word in &words {
            let about: Vec<String> = word.about.iter().map(in_cell).collect();
            // A bar would end the cell, also within code.
            let word = plain(&word.long).replace('|', "\\|");
            let _ = writeln!(text, "| `{word}` | {} |", about.join(" · "));
        }
        text.push('\n');
    }
    if let Some(examples) = &help.examples {
        text.push_str("Examples:\n\n");
        paragraph_in(text, &Block::Code(examples.clone()));
    }
    match name.as_str() {
        "run" => text.push_str("Exit codes: [those of the agent](exit-codes.md).\n"),
        _ => {
            text.push_str("| exit code | when |\n|---|---|\n");
            let mut of = String::new();
            for block in exits::command_blocks(&name) {
                match block {
                    Block::Heading(line) => of = format!("{}: ", to_markdown(&line)),
                    Block::Term(code, when) => {
                        let when: Vec<String> = when.iter().map(in_cell).collect();
                        let _ = writeln!(text, "| {} | {of}{} |", plain(&code), when.join(" "));
                    }
                    _ => {}
                }
            }
        }
    }
}

fn paragraph_in(text: &mut String, block: &Block) {
    match block {
        Block::Code(code) => {
            for line in code.lines() {
                let _ = writeln!(text, "    {line}");
            }
            text.push('\n');
        }
        other => {
            let _ = writeln!(text, "{}\n", in_cell(other));
        }
    }
}

/// What fits into a cell of a table.
fn in_cell(block: &Block) -> String {
    match block {
        Block::Paragraph(line) | Block::Heading(line) => to_markdown(line).replace('|', "\\|"),
        Block::Term(word, about) => {
            format!("{}: {}", to_markdown(word), about.iter().map(in_cell).collect::<Vec<_>>().join(" "))
        }
        Block::Code(_) | Block::Entry(..) => String::new(),
    }
}

/// The words without marks.
fn plain(line: &[Inline]) -> String {
    let piece = |piece: &Inline| match piece {
        Inline::Plain(text) | Inline::Code(text) | Inline::Emphasis(text) => text.clone(),
    };
    line.iter().map(piece).collect()
}

fn page(command: &Command) -> Page {
    let name = name(command);
    let words = words(command);
    let mut short: Vec<Line> = words.iter().map(|word| word.short.clone()).collect();
    short.extend(
        parts(command).next().map(|_| vec![Inline::Emphasis("COMMAND".to_owned()), Inline::Plain(" ...".to_owned())]),
    );
    let examples = help(command).examples.map(|examples| vec![Block::Code(examples)]).unwrap_or_default();
    let mut see_also = vec![("berth".to_owned(), 1)];
    see_also.extend(related(&name).iter().map(|(name, section)| ((*name).to_owned(), *section)));
    Page {
        name: page_name(command),
        section: 1,
        about: about(command),
        synopsis: vec![synopsis(&format!("berth {name}"), &short)],
        sections: vec![
            ("DESCRIPTION", description(command)),
            ("OPTIONS", options(command)),
            ("COMMANDS", parts(command).map(listed).collect()),
            ("EXIT STATUS", exits::command_blocks(&name)),
            ("ENVIRONMENT", files::environment_of(&name)),
            ("FILES", files::files_of(&name)),
            ("EXAMPLES", examples),
        ],
        see_also,
    }
}

/// The pages that somebody who reads this one may want next.
fn related(command: &str) -> &'static [(&'static str, u8)] {
    match command {
        "run" => &[("berth-check", 1), ("berth.toml", 5), ("berth.service", 8)],
        "check" | "policy" => &[("berth-doctor", 1), ("berth.toml", 5)],
        "bake" | "doctor" => &[("berth-check", 1), ("berth-policy", 1), ("berth.toml", 5)],
        "status" => &[("berth-timeline", 1), ("berth-wait", 1)],
        "timeline" => &[("berth-status", 1)],
        "drain" => &[("berth-wait", 1), ("berth-status", 1), ("berth.service", 8)],
        "wait" => &[("berth-drain", 1), ("berth-status", 1)],
        "handover" => &[("berth-wait", 1), ("berth.service", 8)],
        "exec" => &[("berth-status", 1), ("docker-exec", 1)],
        "release" => &[("berth-check", 1), ("berth.toml", 5)],
        "release publish" => &[("berth-release", 1), ("berth-check", 1)],
        _ if command.starts_with("release ") => &[("berth-release", 1)],
        _ => &[],
    }
}

/// What the command does, and what its help says below the flags.
fn description(command: &Command) -> Vec<Block> {
    let long = command.get_long_about().map(ToString::to_string).unwrap_or_else(|| about(command));
    let long = if long.ends_with('.') { long } else { format!("{long}.") };
    let first = long.split("\n\n").map(|part| Block::Paragraph(line(&part.replace('\n', " "))));
    first.chain(help(command).said).collect()
}

fn options(command: &Command) -> Vec<Block> {
    words(command).into_iter().map(|word| Block::Term(word.long, word.about)).collect()
}

fn listed(command: &Command) -> Block {
    let name = Inline::Code(page_name(command));
    Block::Term(
        vec![name, Inline::Plain("(1)".to_owned())],
        vec![Block::Paragraph(line(&format!("{}.", about(command))))],
    )
}

fn root_synopsis(root: &Command) -> Line {
    let names: Vec<Line> = words(root).into_iter().map(|word| word.short).collect();
    let mut line = synopsis("berth", &names);
    line.extend([Inline::Plain(" ".to_owned()), Inline::Emphasis("COMMAND".to_owned())]);
    line.push(Inline::Plain(" ...".to_owned()));
    line
}

fn synopsis(name: &str, words: &[Line]) -> Line {
    let mut line = vec![Inline::Code(name.to_owned())];
    for word in words {
        line.push(Inline::Plain(" ".to_owned()));
        line.extend(word.iter().cloned());
    }
    line
}

fn berth() -> Command {
    let mut root = berth::cli::Cli::command();
    root.build();
    root
}

/// The commands that have a page, each before its parts.
fn shown(root: &Command) -> impl Iterator<Item = &Command> {
    parts(root).flat_map(|command| std::iter::once(command).chain(parts(command)))
}

/// The commands of a command; `help` shows what is in the pages of the others.
fn parts(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|part| part.get_name() != "help" && !part.is_hide_set())
}

/// What is typed after `berth`: `release publish`.
fn name(command: &Command) -> String {
    let typed = command.get_bin_name().unwrap_or_else(|| command.get_name());
    typed.strip_prefix("berth ").unwrap_or(typed).to_owned()
}

/// `berth-release-publish`
fn page_name(command: &Command) -> String {
    format!("berth-{}", name(command).replace(' ', "-"))
}

fn about(command: &Command) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    about.trim_end_matches('.').to_owned()
}

fn help(command: &Command) -> Help {
    let text = command.get_after_long_help().or(command.get_after_help()).map(ToString::to_string);
    Help::parse(&text.unwrap_or_default())
}

/// Flags first, then words by their place; not `--help` and `--version`.
fn words(command: &Command) -> Vec<Word> {
    let is_shown = |arg: &&Arg| {
        let is_help = matches!(arg.get_action(), ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong);
        !arg.is_hide_set() && !is_help && !matches!(arg.get_action(), ArgAction::Version)
    };
    let flags = command.get_arguments().filter(is_shown).filter(|arg| !arg.is_positional());
    let places = command.get_arguments().filter(is_shown).filter(|arg| arg.is_positional());
    flags.chain(places).map(word).collect()
}

fn word(arg: &Arg) -> Word {
    let code = |text: &str| Inline::Code(text.to_owned());
    let plain = |text: &str| Inline::Plain(text.to_owned());
    let values = arg.get_possible_values();
    let takes_value = arg.get_action().takes_values();
    let values: Vec<_> = values.iter().filter(|value| takes_value && !value.is_hide_set()).collect();
    let mut value: Line = Vec::new();
    if takes_value {
        let names: Vec<String> = match arg.get_value_names() {
            Some(names) => names.iter().map(ToString::to_string).collect(),
            None => vec![arg.get_id().as_str().to_uppercase()],
        };
        value.push(match values.is_empty() || !arg.is_positional() {
            true => Inline::Emphasis(names.join(" ")),
            // What stands at this place is one of these words.
            false => Inline::Code(values.iter().map(|value| value.get_name()).collect::<Vec<_>>().join("|")),
        });
    }
    let mut long: Line = Vec::new();
    if let Some(short) = arg.get_short() {
        long.extend([code(&format!("-{short}")), plain(", ")]);
    }
    if let Some(name) = arg.get_long() {
        long.push(code(&format!("--{name}")));
    }
    if arg.get_long().is_none() && arg.get_short().is_some() {
        long.pop();
    }
    let flag = long.first().cloned();
    if takes_value {
        if !arg.is_positional() {
            long.push(plain(" "));
        }
        long.extend(value.clone());
    }
    let mut short: Line = match (arg.get_long(), flag) {
        (Some(name), _) => vec![code(&format!("--{name}"))],
        (None, Some(flag)) => vec![flag],
        (None, None) => Vec::new(),
    };
    if takes_value {
        if !short.is_empty() {
            short.push(plain(" "));
        }
        short.extend(value);
    }
    let is_many =
        matches!(arg.get_action(), ArgAction::Append) || arg.get_num_args().is_some_and(|n| n.max_values() > 1);
    if !arg.is_required_set() {
        short.insert(0, plain("["));
        short.push(plain("]"));
    }
    if is_many {
        short.push(plain("..."));
    }
    let said = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let mut about: Vec<Block> =
        vec![Block::Paragraph(line(&format!("{}.", said.trim_end_matches('.').replace('\n', " "))))];
    let defaults: Vec<String> =
        arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    if takes_value && !defaults.is_empty() && !said.contains("[default") {
        about.push(Block::Paragraph(line(&format!("The default is `{}`.", defaults.join(" ")))));
    }
    let explained = values.iter().filter_map(|value| Some((value.get_name(), value.get_help()?.to_string())));
    about
        .extend(explained.map(|(name, meaning)| Block::Term(vec![code(name)], vec![Block::Paragraph(line(&meaning))])));
    Word { short, long, about }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use std::collections::BTreeSet;

    use expect_test::expect_file;

    use super::*;

    #[test]
    fn every_command_and_flag_is_in_its_page() {
        let root = berth();
        let mut seen = 0;
        let pages = pages();
        for (command, page) in std::iter::once(&root).chain(shown(&root)).zip(&pages) {
            let page = page.to_roff("2026-11-28").replace("\\-", "-");
            let (_, below) = page.split_once(".SH OPTIONS").unwrap_or(("", &page));
            let flags = command.get_arguments().filter(|arg| !arg.is_hide_set()).filter_map(Arg::get_long);
            let flags = flags.filter(|long| !["help", "version"].contains(long)).map(|long| format!("--{long}"));
            let names = command.get_subcommands().map(|c| c.get_name().to_owned()).filter(|name| name != "help");
            for word in flags.chain(names) {
                seen += 1;
                assert!(below.contains(&word), "{word} is not in {page}");
            }
        }
        assert!(seen > 20, "only {seen} words were looked for");
    }

    #[test]
    fn every_command_says_what_it_exits_with() {
        let root = berth();
        let all: BTreeSet<String> = shown(&root).filter(|command| parts(command).next().is_none()).map(name).collect();
        // `wait ready` is of `wait`, and `release halt` of itself.
        let of = |exits: &exits::Exits| {
            let is_its = |name: &&String| format!("{} ", exits.command).starts_with(&format!("{name} "));
            all.iter().find(is_its).unwrap_or_else(|| panic!("there is no {}", exits.command)).clone()
        };
        let mut said: BTreeSet<String> = exits::COMMANDS.iter().map(of).collect();
        said.insert("run".to_owned());
        assert_eq!(said, all);
    }

    #[test]
    fn the_documentation_has_this_page() {
        expect_file![concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/commands.md")].assert_eq(&markdown());
    }
}
