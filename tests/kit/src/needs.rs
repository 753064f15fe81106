//! What some tests need and a machine may not have. No test is skipped in silence: without what it needs it fails and says how to get it,
//! unless `BERTH_TESTS_WITHOUT` names it. Then it is left out, and the summary of `make test` lists it (tests/with-summary).

use std::fs::File;
use std::io::Write as _;

use nix::unistd::geteuid;

/// Every word, and how to get what it stands for; tests/missing reads the same file.
const NEEDS: &str = include_str!("../../needs");
/// Words with commas between them.
const WITHOUT: &str = "BERTH_TESTS_WITHOUT";
/// The file in which tests/with-summary collects the tests that were left out: word, test, reason, a tab between them.
const LEFT_OUT: &str = "BERTH_TESTS_LEFT_OUT";

/// Something that a machine may not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// To be root.
    Root,
    /// A container that runs systemd as PID 1.
    Systemd,
    /// systemd-journald.
    Journald,
    /// The `terraform` command, with the AWS provider.
    Terraform,
}

impl Need {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Root, Self::Systemd, Self::Journald, Self::Terraform];

    /// Its word in `BERTH_TESTS_WITHOUT`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Systemd => "systemd",
            Self::Journald => "journald",
            Self::Terraform => "terraform",
        }
    }

    /// How to get it.
    ///
    /// # Panics
    /// If tests/needs does not say it.
    pub fn how(self) -> &'static str {
        let found = known().find(|(word, _)| *word == self.word());
        found.unwrap_or_else(|| panic!("tests/needs has no line for {}", self.word())).1
    }
}

/// Whether this is root; if not, see [`missing`].
#[track_caller]
pub fn root(what: &str) -> bool {
    let root = geteuid().is_root();
    if !root {
        missing(Need::Root, &format!("only root {what}"));
    }
    root
}

/// Says that something is missing here. If this returns, the test is to be left out: its caller returns.
///
/// # Panics
/// If `BERTH_TESTS_WITHOUT` does not name it, or has a word that does not exist.
#[track_caller]
pub fn missing(need: Need, why: &str) {
    let without = std::env::var(WITHOUT).unwrap_or_default();
    match verdict(need, why, &without) {
        Ok(()) => leave_out(need, why),
        Err(failure) => panic!("{failure}"),
    }
}

/// `Err`: what the test fails with.
fn verdict(need: Need, why: &str, without: &str) -> Result<(), String> {
    let words: Vec<_> = without.split([',', ' ']).filter(|word| !word.is_empty()).collect();
    if let Some(word) = words.iter().find(|word| known().all(|(known, _)| known != **word)) {
        let known: Vec<_> = known().map(|(word, _)| word).collect();
        return Err(format!("{WITHOUT}: unknown word '{word}'; known are: {}", known.join(" ")));
    }
    if words.contains(&need.word()) {
        return Ok(());
    }
    let (word, how) = (need.word(), need.how());
    Err(format!("{why}. To get it: {how}. To leave out what needs it: {WITHOUT}={word}"))
}

fn leave_out(need: Need, why: &str) {
    let line = line(need, why);
    // libtest captures what a macro prints and shows it of failed tests only.
    let _ = write!(std::io::stderr(), "LEFT OUT {}", line.replace('\t', ": "));
    let Some(list) = std::env::var_os(LEFT_OUT) else { return };
    // One write in append mode: several processes share the file.
    File::options().append(true).open(list).and_then(|mut list| list.write_all(line.as_bytes())).expect(LEFT_OUT);
}

fn line(need: Need, why: &str) -> String {
    // The reason may be another program's output, of several lines.
    let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("{}\t{}\t{why}\n", need.word(), test())
}

/// The test's kind and name; libtest names the thread for it.
fn test() -> String {
    let program = std::env::current_exe().unwrap_or_default();
    let program = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let kind = program.rsplit_once('-').map_or(&*program, |(kind, _)| kind);
    format!("{kind} {}", std::thread::current().name().unwrap_or("?"))
}

fn known() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = NEEDS.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(' ')).map(|(word, how)| (word, how.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_fails_and_says_how_to_get_it_and_how_to_do_without() {
        for need in Need::ALL {
            let failure = verdict(need, "no such thing", "").unwrap_err();
            assert!(failure.starts_with("no such thing. To get it: "), "{failure}");
            assert!(failure.contains(need.how()) && !need.how().is_empty(), "{failure}");
            assert!(failure.ends_with(&format!("BERTH_TESTS_WITHOUT={}", need.word())), "{failure}");
            verdict(need, "another thing is left out", if need == Need::Root { "systemd" } else { "root" })
                .unwrap_err();
        }
    }

    #[test]
    fn what_is_named_is_left_out_and_an_unknown_word_never_is_passed_over() {
        for without in ["terraform", "root,terraform", " root, terraform ,"] {
            assert_eq!(verdict(Need::Terraform, "why", without), Ok(()), "{without}");
        }
        for without in ["terrafrom", "terraform,everything", "Terraform", "#"] {
            let failure = verdict(Need::Terraform, "why", without).unwrap_err();
            assert!(failure.contains("unknown word") && failure.contains("known are: root "), "{failure}");
        }
    }

    #[test]
    fn a_test_that_is_left_out_is_listed_by_its_name_on_one_line() {
        let name = "needs::tests::a_test_that_is_left_out_is_listed_by_its_name_on_one_line";
        let line = line(Need::Journald, "first line\n  second\tline");
        assert_eq!(line, format!("journald\tberth_kit {name}\tfirst line second line\n"));
    }
}
