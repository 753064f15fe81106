//! The tables of cases, of inputs and of errors in tests/README.md name tests that exist.
//!
//! A function counts as a test only if an attribute or a macro makes it one: a helper of that name holds nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn tests() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests")
}

/// The rows of the table that begins so: the case, then the tests of each kind, as `file::name` between backticks.
fn rows(page: &str, begin: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut lines = page.lines().skip_while(|line| !line.starts_with(begin));
    let head = lines.next().unwrap_or_default();
    let kinds: Vec<&str> = head.trim_matches('|').split('|').skip(1).map(str::trim).collect();
    let rows = lines.skip(1).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let mut cells = row.trim_matches('|').split('|');
        let case = cells.next().unwrap_or_default().trim().to_owned();
        let tests = kinds.iter().zip(cells).filter(|(kind, _)| **kind != "ends");
        let named = tests.flat_map(|(kind, cell)| {
            cell.split('`').skip(1).step_by(2).map(|name| ((*kind).to_owned(), name.to_owned())).collect::<Vec<_>>()
        });
        (case, named.collect())
    })
    .collect()
}

/// The inputs that were handed in, by their letter: boot and life, user-data, attacks.
const INPUTS: [(char, usize); 3] = [('B', 17), ('U', 8), ('A', 13)];

/// Macros that make a test of each function whose name is in their brackets.
const MACROS: [&str; 3] = ["on_each_machine!", "on_moto_and_kit!", "on_every_registry!"];

/// The names of the functions in this source that the test runner runs.
pub(crate) fn tests_in(source: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    // Of the attributes right above the line.
    let (mut is_test, mut is_ignored, mut in_attribute) = (false, false, false);
    for line in source.lines().map(str::trim) {
        if in_attribute || line.starts_with("#[") {
            is_ignored |= line.starts_with("#[ignore");
            is_test |= line == "#[test]" || line.starts_with("#[tokio::test]") || line.starts_with("#[tokio::test(");
            in_attribute = !line.ends_with(']');
        } else if !line.starts_with("//") {
            let name = function(line).filter(|_| is_test && !is_ignored);
            names.extend(name);
            (is_test, is_ignored) = (false, false);
        }
    }
    for listed in MACROS {
        // A mention in a comment, or the macro's own definition, has no list of names behind it.
        for (_, rest) in source.match_indices(listed).map(|(at, _)| source.split_at(at + listed.len())) {
            let list = rest.trim_start().strip_prefix(['(', '{']).and_then(|rest| rest.split([')', '}']).next());
            let is_name = |word: &&str| {
                !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
            };
            names.extend(list.into_iter().flat_map(|list| list.split([',', ' ', '\n'])).filter(is_name));
        }
    }
    names
}

/// The name of the function that begins on this line.
fn function(line: &str) -> Option<&str> {
    let line = line.strip_prefix("async ").unwrap_or(line);
    line.strip_prefix("fn ")?.split(['(', '<']).next()
}

#[test]
fn every_case_every_input_and_every_error_has_a_test_that_exists() {
    let page = fs::read_to_string(tests().join("README.md")).unwrap();
    let (cases, inputs, errors) = (rows(&page, "| case "), rows(&page, "| input "), rows(&page, "| fault "));
    assert!(cases.len() > 20 && errors.len() > 20, "a table was not found: {cases:?} {errors:?}");
    let expected: Vec<String> =
        INPUTS.iter().flat_map(|(letter, last)| (1..=*last).map(move |number| format!("{letter}{number}"))).collect();
    let listed: Vec<&str> = inputs.iter().map(|(input, _)| input.split(':').next().unwrap_or_default()).collect();
    assert_eq!(listed, expected);
    for (case, named) in cases.into_iter().chain(inputs).chain(errors) {
        assert!(!named.is_empty(), "`{case}` has no test");
        for (kind, name) in named {
            let (module, function) = name.rsplit_once("::").unwrap_or_else(|| panic!("{name} is no `file::name`"));
            let file = if kind == "units" {
                // The first name is the crate.
                let (krate, module) = module.split_once("::").unwrap_or((module, "lib"));
                let path = tests().join(format!("../agent/{krate}/src/{}", module.replace("::", "/")));
                let folder = path.join("mod.rs");
                if folder.exists() { folder } else { path.with_extension("rs") }
            } else {
                tests().join(&kind).join(module.replace("::", "/")).with_extension("rs")
            };
            let text = fs::read_to_string(&file).unwrap_or_default();
            assert!(tests_in(&text).contains(function), "`{case}`: no test {name} in {}", file.display());
        }
    }
}

#[test]
fn only_what_the_test_runner_runs_is_a_test() {
    let source = "
        #[test]
        fn plain() {
            let inner = 1;
        }

        /// A sentence.
        #[expect(
            clippy::disallowed_methods,
            reason = \"the clock of the test itself\"
        )]
        #[tokio::test(flavor = \"multi_thread\")]
        // Why.
        async fn with_more_attributes() {}

        fn helper() {}

        #[test]
        #[ignore = \"slow\"]
        fn ignored() {}

        #[test]
        const BETWEEN: u8 = 0;
        fn after_something_else() {}

        #[allow(dead_code)]
        fn allowed() {}

        // #[test]
        fn commented_out() {}

        on_each_machine! {
            on_a_machine
            on_another
        }
        on_moto_and_kit!(on_moto, on_the_kit);
        async fn on_a_machine(suite: Suite) {}
        async fn on_no_list(suite: Suite) {}
    ";
    let found: Vec<&str> = tests_in(source).into_iter().collect();
    assert_eq!(found, ["on_a_machine", "on_another", "on_moto", "on_the_kit", "plain", "with_more_attributes"]);
}
