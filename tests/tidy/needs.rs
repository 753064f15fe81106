//! No test is skipped in silence: tests/missing and tests/with-summary, and that nothing else leaves a test out. The kit's needs.rs has
//! the tests of its own half.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use berth_kit::Need;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// One of the scripts in tests/, with this in `BERTH_TESTS_WITHOUT`.
fn script(words: &[&str], without: &str) -> (i32, String, String) {
    let mut command = Command::new(root().join("tests").join(words[0]));
    command.args(&words[1..]).env("BERTH_TESTS_WITHOUT", without).env_remove("BERTH_TESTS_LEFT_OUT");
    let Output { status, stdout, stderr } = command.current_dir(root()).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn what_a_script_lacks_fails_unless_it_is_named() {
    let lacks = ["missing", "packer", "the format", "there is no packer"];
    for without in ["", "terraform", "systemd-analyze,root"] {
        let (status, _, stderr) = script(&lacks, without);
        assert_eq!(status, 1, "{without}: {stderr}");
        assert!(stderr.starts_with("the format: there is no packer. To get it: install Packer"), "{stderr}");
        assert!(stderr.ends_with("BERTH_TESTS_WITHOUT=packer\n"), "{stderr}");
    }
    let (status, _, stderr) = script(&lacks, "terraform,packer");
    assert_eq!((status, &*stderr), (0, "LEFT OUT packer: the format: there is no packer\n"));
}

#[test]
fn an_unknown_word_fails_before_any_test_runs() {
    for without in ["pakcer", "packer,pakcer", "packer,.*", "#"] {
        let (status, out, stderr) = script(&["with-summary", "echo", "tests run"], without);
        assert_eq!((status, &*out), (2, ""), "{without}: {stderr}");
        assert!(stderr.contains("unknown word") && stderr.contains("known are: root systemd "), "{stderr}");
    }
    let (status, _, stderr) = script(&["missing", "no-such-word", "a", "b"], "");
    assert_eq!(status, 2, "{stderr}");
}

#[test]
fn the_summary_lists_what_was_left_out_and_keeps_the_exit_status() {
    let tests = "tests/missing packer one 'no packer'; tests/missing packer one 'no packer'; tests/missing root two 'no root'; exit 7";
    let (status, out, _) = script(&["with-summary", "sh", "-c", tests], "root,packer");
    assert_eq!(status, 7);
    let expected = "== left out, since BERTH_TESTS_WITHOUT=root,packer and this machine does not have it\n   \
                    packer\n     one: no packer\n   root\n     two: no root\n   2 tests were left out\n";
    assert_eq!(out, expected);
    let (status, out, _) = script(&["with-summary", "true"], "root,packer");
    assert_eq!((status, &*out), (0, "== no test was left out\n"));
}

#[test]
fn every_need_has_its_line_and_nothing_else_leaves_a_test_out() {
    assert!(Need::ALL.into_iter().all(|need| !need.how().is_empty()));
    let listed =
        Command::new("git").args(["ls-files", "tests", ".ci", "packaging"]).current_dir(root()).output().unwrap();
    let files = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.status.success() && files.lines().count() > 300, "the sources were not listed: {files}");
    for file in files.lines().filter(|file| {
        !file.starts_with("tests/fuzz/corpus/") && !["tests/tidy/needs.rs", "tests/tidy/cases.rs"].contains(file)
    }) {
        // A file that is listed and cannot be read was deleted, or is no text.
        let Ok(text) = std::fs::read_to_string(root().join(file)) else { continue };
        for (number, line) in text.lines().enumerate() {
            let silent = ["SKIPPED", "#[ignore", "not checked here", "skipTest", "unittest.skip"];
            assert!(!silent.iter().any(|mark| line.contains(mark)), "{file}:{}: {line}", number + 1);
        }
    }
}
