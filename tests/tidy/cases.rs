//! The tables of cases, of inputs and of faults in tests/README.md name tests that are there.

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

#[test]
fn every_case_every_input_and_every_fault_has_a_test_that_is_there() {
    let page = fs::read_to_string(tests().join("README.md")).unwrap();
    let (cases, inputs, faults) = (rows(&page, "| case "), rows(&page, "| input "), rows(&page, "| fault "));
    assert!(cases.len() > 20 && faults.len() > 20, "a table was not found: {cases:?} {faults:?}");
    let expected: Vec<String> =
        INPUTS.iter().flat_map(|(letter, last)| (1..=*last).map(move |number| format!("{letter}{number}"))).collect();
    let listed: Vec<&str> = inputs.iter().map(|(input, _)| input.split(':').next().unwrap_or_default()).collect();
    assert_eq!(listed, expected);
    for (case, named) in cases.into_iter().chain(inputs).chain(faults) {
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
            let attribute =
                ["#[test]", "#[tokio::test]", "on_each_machine!"].iter().any(|attribute| text.contains(attribute));
            assert!(
                attribute && text.contains(&format!("fn {function}(")),
                "`{case}`: no {name} in {}",
                file.display()
            );
        }
    }
}
