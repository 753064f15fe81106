//! What the pages say exists: commands and flags of berth, keys of the one line, and tests that are named as guards.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use berth::cli::Cli;
use berth_config::Layers;
use clap::{Command, CommandFactory};

use crate::cases::tests_in;
use crate::links::pages;

#[test]
fn commands_in_the_documentation_exist_with_their_flags() {
    let mut seen = BTreeSet::new();
    let mut errors = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page");
        for (line, code) in code(&text) {
            for words in commands(&code) {
                seen.extend(words.get(1).cloned());
                let named = |error| format!("{}:{line}: `{}`: {error}", page.display(), words.join(" "));
                errors.extend(error(&words).map(named));
            }
        }
        for piece in inline(&text) {
            errors.extend(unknown(piece).map(|what| format!("{}: `{piece}`: there is no {what}", page.display())));
        }
    }
    assert!(seen.contains("drain") && seen.contains("timeline"), "the commands were not found: {seen:?}");
    assert!(errors.is_empty(), "{}", errors.join("\n"));
}

#[test]
fn one_lines_in_the_documentation_are_valid() {
    let mut seen = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page");
        let lines = code(&text).into_iter().map(|(at, code)| (at, code.trim().trim_start_matches('#').to_owned()));
        for (at, line) in lines.filter(|(_, line)| line.starts_with("berth image=") && !line.contains('…')) {
            let mut layers = Layers::new();
            layers.add_user_data(line.as_bytes());
            assert_eq!(layers.resolve().err().map(|errors| errors.to_string()), None, "{}:{at}", page.display());
            seen += 1;
        }
    }
    assert!(seen > 3, "only {seen} were found");
}

#[test]
fn tests_that_the_security_page_names_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(root.join("docs/security.md")).expect("the page");
    // A metric has berth's name in front.
    let is_name = |word: &&str| {
        let is_snake_case = word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        is_snake_case && word.matches('_').count() > 2 && !word.starts_with("berth_")
    };
    let named: BTreeSet<&str> = page.split('`').skip(1).step_by(2).filter(is_name).collect();
    assert!(named.len() > 10, "only {named:?} were found");
    let sources = sources(&[root.join("agent"), root.join("tests")]);
    let tests = tests_in(&sources);
    let missing: Vec<_> = named.into_iter().filter(|name| !tests.contains(name)).collect();
    assert!(missing.is_empty(), "no test has the name: {missing:?}");
}

#[test]
fn a_command_is_separated_from_what_stands_around_it() {
    let found = |line: &str| commands(line).into_iter().map(|words| words.join(" ")).collect::<Vec<_>>();
    assert_eq!(found("    # berth status"), ["berth status"]);
    assert_eq!(
        found("    sudo berth drain --reason 'a b' --wait && shutdown now"),
        ["berth drain --reason a b --wait"]
    );
    assert_eq!(found("    terraform output | berth check - >out 2>/dev/null # why"), ["berth check -"]);
    assert_eq!(
        found("    berth wait ready --timeout 5m || berth status"),
        ["berth wait ready --timeout 5m", "berth status"]
    );
    for line in [
        "    berth image=x:1 port=80",
        "    #berth image=x:1",
        "    make demo",
        "  berth drain",
        "berth status says so",
    ] {
        assert_eq!(found(line), Vec::<String>::new(), "{line}");
    }
    assert_eq!(
        inline("a `berth drain` b `c`\n    `berth x`\n```\n`berth y`\n```\n`berth wait`"),
        ["berth drain", "berth wait"]
    );
    assert_eq!(unknown("berth timeline [--svg\\|--json]"), None);
    assert_eq!(unknown("berth image=x:1"), None);
    assert_eq!(unknown("berth drain [--now]"), Some("--now".to_owned()));
    assert_eq!(unknown("berth dran"), Some("dran".to_owned()));
    assert_eq!(unknown("berth exec [-i] -- rails --color"), None);
    assert_eq!(unknown("berth exec --now -- rails"), Some("--now".to_owned()));
    assert_eq!(code("text\n\n    one\n```\ntwo\n```\n`three`").len(), 2);
    for (line, is_wrong) in [
        ("berth nonsense", true),
        ("berth drain --now", true),
        ("berth wait", true),
        ("berth status --json", false),
        ("berth run image=x:1", false),
    ] {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        assert_eq!(error(&words).is_some(), is_wrong, "{line}");
    }
}

/// Why it is no command of berth.
fn error(words: &[String]) -> Option<String> {
    let cli: Command = Cli::command();
    words.get(1)?;
    // What the shell fills in.
    let filled = words.iter().map(|word| match word.as_str() {
        "$AWS_REGION" => "us-east-2",
        "$ACCOUNT" => "123456789012",
        other => other,
    });
    let error = cli.try_get_matches_from(filled).err().filter(clap::Error::use_stderr)?;
    Some(error.to_string().lines().next().unwrap_or_default().to_owned())
}

/// The first of a command's name and flags that does not exist, of what is written as `berth drain [--wait]`.
fn unknown(piece: &str) -> Option<String> {
    let mut cli = Cli::command();
    // Until then there is no `help`.
    cli.build();
    let mut words = piece.split([' ', '[', ']', '|', '\\']).filter(|word| !word.is_empty()).skip(1);
    let name = words.next().filter(|name| name.chars().all(|c| c.is_ascii_lowercase()))?;
    let Some(mut command) = cli.find_subcommand(name) else {
        return Some(name.to_owned());
    };
    let mut words = words.peekable();
    // `release publish` has flags of its own.
    while let Some(part) = words.peek().and_then(|word| command.find_subcommand(word)) {
        command = part;
        words.next();
    }
    let exists =
        |flag: &str| cli.get_arguments().chain(command.get_arguments()).any(|arg| arg.get_long() == Some(flag));
    // What follows `--` is another program's.
    let mut words = words.take_while(|word| *word != "--");
    words.find(|word| word.strip_prefix("--").is_some_and(|flag| !exists(flag))).map(str::to_owned)
}

/// What stands between backticks in the text of a page and begins with `berth `.
fn inline(text: &str) -> Vec<&str> {
    let mut fenced = false;
    let is_text = |line: &&str| {
        fenced ^= line.trim_start().starts_with("```");
        !fenced && !line.starts_with("    ")
    };
    let pieces = text.lines().filter(is_text).flat_map(|line| line.split('`').skip(1).step_by(2));
    pieces.filter(|piece| piece.starts_with("berth ")).collect()
}

/// The lines of code of a page, fenced or indented by four, each with its number; a line that ends in `\` goes on.
fn code(text: &str) -> Vec<(usize, String)> {
    let mut fenced = false;
    let mut goes_on = false;
    let mut found: Vec<(usize, String)> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        if !fenced && !line.starts_with("    ") {
            continue;
        }
        let part = line.strip_suffix('\\').unwrap_or(line);
        match found.last_mut() {
            Some((_, earlier)) if goes_on => earlier.push_str(part),
            _ => found.push((at + 1, format!("    {}", part.trim_start()))),
        }
        goes_on = line.ends_with('\\');
    }
    found
}

/// The commands of berth in a line of shell, in words; what the shell does with them is left out.
fn commands(line: &str) -> Vec<Vec<String>> {
    let Some(line) = line.strip_prefix("    ") else { return Vec::new() };
    let line = ["# berth ", "$ berth "].iter().find(|prompt| line.starts_with(**prompt)).map_or(line, |_| &line[2..]);
    let mut all = vec![Vec::new()];
    let (mut word, mut quote) = (None::<String>, None);
    let end_word = |word: &mut Option<String>, all: &mut Vec<Vec<String>>| {
        all.last_mut().expect("never empty").extend(word.take());
    };
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, '|' | '&' | ';' | '(' | ')') => {
                end_word(&mut word, &mut all);
                all.push(Vec::new());
            }
            (None, c) if c.is_whitespace() => end_word(&mut word, &mut all),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    end_word(&mut word, &mut all);
    let plain = |words: Vec<String>| {
        let words: Vec<_> = words.into_iter().skip_while(|word| word == "sudo").collect();
        words.into_iter().filter(|word| !word.contains(['>', '<'])).collect::<Vec<_>>()
    };
    let is_command = |words: &Vec<String>| {
        words.first().is_some_and(|word| word == "berth") && words.get(1).is_some_and(|word| !word.contains('='))
    };
    all.into_iter().map(plain).filter(is_command).collect()
}

/// Every Rust source below these folders, one after the other.
fn sources(folders: &[PathBuf]) -> String {
    let mut folders = folders.to_vec();
    let mut text = String::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            match path.extension().is_some_and(|extension| extension == "rs") {
                true => text.push_str(&fs::read_to_string(path).expect("a source")),
                false if path.is_dir() => folders.push(path),
                false => {}
            }
        }
    }
    text
}

#[test]
fn a_near_miss_of_the_config_knows_every_command() {
    let mut cli = Cli::command();
    cli.build();
    let mut commands: Vec<_> = cli.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    let mut known: Vec<_> =
        berth_config::COMMANDS.iter().map(|command| (*command).to_owned()).chain(["run".to_owned()]).collect();
    commands.sort();
    known.sort();
    assert_eq!(known, commands);
}
