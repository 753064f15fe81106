//! The five questions of docs/architecture.md name files that exist, and functions and types that are defined in them.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// One question with its answer on one line.
struct Question {
    text: String,
    answer: String,
}

/// The questions of the page: the headings of the section, each with the text below it.
fn questions(page: &str) -> Vec<Question> {
    let section = page.lines().skip_while(|line| *line != "## Five questions").skip(1);
    let mut found: Vec<Question> = Vec::new();
    for line in section.take_while(|line| !line.starts_with("## ")) {
        if let Some(text) = line.strip_prefix("### ") {
            found.push(Question { text: text.to_owned(), answer: String::new() });
        } else if let Some(question) = found.last_mut() {
            question.answer.push_str(line.trim());
            question.answer.push(' ');
        }
    }
    found
}

/// Each `name` in `file` of an answer.
fn places(answer: &str) -> Vec<(&str, &str)> {
    let pieces: Vec<&str> = answer.split('`').collect();
    let code = (1..pieces.len()).step_by(2);
    code.filter(|at| pieces.get(at + 1) == Some(&" in "))
        .filter_map(|at| Some((pieces[at], *pieces.get(at + 2)?)))
        .collect()
}

/// Every path of an answer.
fn files(answer: &str) -> impl Iterator<Item = &str> {
    answer.split('`').skip(1).step_by(2).filter(|code| code.contains('/') && code.ends_with(".rs"))
}

/// Whether the source defines a function or a type of this name.
fn defines(source: &str, name: &str) -> bool {
    ["fn ", "struct ", "enum "].iter().any(|keyword| {
        let definition = format!("{keyword}{name}");
        let mut rests = source.match_indices(&definition).map(|(at, _)| &source[at + definition.len()..]);
        // The name ends there: `fn complete(` and not `fn completes(`.
        rests.any(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    })
}

/// Why an answer is wrong: the files and the names that are not there.
fn missing(question: &Question) -> Vec<String> {
    let named = places(&question.answer);
    let absent =
        files(&question.answer).filter(|file| !root().join(file).exists()).map(|file| format!("{file} is missing"));
    let undefined = named.iter().filter_map(|(name, file)| {
        let source = fs::read_to_string(root().join(file)).unwrap_or_default();
        (!defines(&source, name)).then(|| format!("{file} does not define {name}"))
    });
    let none = named.is_empty().then(|| "the answer names no code".to_owned());
    none.into_iter().chain(absent).chain(undefined).map(|why| format!("{}: {why}", question.text)).collect()
}

#[test]
fn the_five_questions_are_answered_by_code_that_is_there() {
    let page = fs::read_to_string(root().join("docs/architecture.md")).expect("the page");
    let questions = questions(&page);
    let texts: Vec<&String> = questions.iter().map(|question| &question.text).collect();
    assert_eq!(questions.len(), 5, "{texts:?}");
    assert!(texts.iter().all(|text| text.ends_with('?')), "{texts:?}");
    let wrong: Vec<String> = questions.iter().flat_map(missing).collect();
    assert!(wrong.is_empty(), "docs/architecture.md, Five questions:\n{}", wrong.join("\n"));
}

#[test]
fn a_wrong_name_and_a_missing_file_are_found() {
    let page = "## Five questions\n\n### Why?\n\n`root` in `tests/tidy/questions.rs`, `roo` in\n`tests/tidy/questions.rs`, `x` in\n\
                `tests/tidy/absent.rs`, also `tests/tidy/gone.rs`.\n\n### And?\n\nNobody knows.\n## Next\n### No?\n";
    let found: Vec<String> = questions(page).iter().flat_map(missing).collect();
    let expected = [
        "Why?: tests/tidy/absent.rs is missing",
        "Why?: tests/tidy/gone.rs is missing",
        "Why?: tests/tidy/questions.rs does not define roo",
        "Why?: tests/tidy/absent.rs does not define x",
        "And?: the answer names no code",
    ];
    assert_eq!(found, expected);
}
