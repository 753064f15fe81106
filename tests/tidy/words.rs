//! Words that this project does not use: a word of the field stands for each. CONTRIBUTING.md says how a sentence is written.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the words are held: whole files, and folders with a `/` at the end. A path joins when its last word is replaced.
const HELD: &[&str] = &[
    ".cargo/",
    ".ci/",
    ".shellcheckrc",
    "CONTRIBUTING.md",
    "Cargo.toml",
    "Makefile",
    "README.md",
    "agent/",
    "clippy.toml",
    "deny.toml",
    "docs/",
    "packaging/",
    "systemd/",
    "tests/README.md",
    "tests/adapters/",
    "tests/boot/",
    "tests/broken-machines",
    "tests/examples/",
    "tests/fleet/",
    "tests/fuzz/",
    "tests/kit/",
    "tests/packages/",
    "tests/release-model/",
    "tests/scenarios/",
    "tests/screens/",
    "tests/tidy/",
    "tests/traces/",
    "tests/bench/",
    "tests/check",
    "tests/engines/",
    "tests/images",
    "tests/install",
    "tests/install-aws",
    "tests/install-moto",
    "tests/missing",
    "tests/needs",
    "tests/terraform-plugins",
    "tests/with-engine",
    "tests/with-summary",
];

/// Files of a held folder that are made from code outside of it.
const MADE: &[&str] = &["docs/commands.md", "docs/troubleshooting.md", "packaging/manual/", "tests/tidy/words.rs"];

/// A word or a phrase, and what stands for it.
const WORDS: &[(&str, &str)] = &[
    ("1 connections", "1 connection"),
    ("a head may", "request headers: at most …"),
    ("a switch", "a boolean"),
    ("ail", "becomes unhealthy"),
    ("all the same", "anyway"),
    ("ami's defaults", "AMI-wide defaults"),
    ("anew", "again"),
    ("answer is no", "condition not met"),
    ("at fault", "is invalid"),
    ("at_told", "with_digest"),
    ("believe", "resolve, accept"),
    ("believed", "resolved, accepted"),
    ("believes", "resolves, accepts"),
    ("blank", "space"),
    ("blanks", "spaces"),
    ("broke off", "connection closed mid-response"),
    ("considered ends", "deliberate exits"),
    ("desk", "outbox"),
    ("door", "listener"),
    ("doors", "listeners"),
    ("eager", "ceiling"),
    ("edge", "adapter, io"),
    ("edges", "adapters"),
    ("emptying", "draining connections"),
    ("fault", "error"),
    ("faults", "errors"),
    ("floors", "layers"),
    ("from then on", "after that"),
    ("hopeless", "past the threshold"),
    ("house", "plain words"),
    ("is well", "is healthy"),
    ("its time is over", "timed out"),
    ("keen", "floor"),
    ("last words", "final status"),
    ("longer than time itself", "no jokes"),
    ("longest chain", "critical path"),
    ("neighbour", "adapter, service"),
    ("neighbours", "adapters, services"),
    ("no tls with", "TLS handshake with … failed"),
    ("outlives a reboot", "persistent state"),
    ("pulse", "health"),
    ("room", "module, space"),
    ("rooms", "modules"),
    ("said", "reported"),
    ("sight", "snapshot, poll"),
    ("taken away", "spot interruption, removed"),
    ("takes the instance away", "Auto Scaling is terminating the instance"),
    ("telling", "completing the hook, reporting"),
    ("tells", "reports, says"),
    ("told", "reported"),
    ("watchdog's bite", "watchdog timeout"),
    ("who asks", "the role: operator, load balancer, app"),
    ("whoever", "anyone who, or the role"),
];

/// A word that is right in these files, and why: (word, path, reason).
const RIGHT: &[(&str, &str, &str)] = &[
    ("desk", "tests/adapters/refusals.md", "a help desk, in a proxy's page"),
    ("edge", "docs/examples.md", "the name of an app"),
    ("edge", "docs/sequence.svg", "a variable of the style sheet"),
    ("edge", "docs/states.svg", "the same"),
    ("edges", "packaging/licences", "an option of cargo tree"),
    ("edges", "tests/tidy/layers.rs", "an option of cargo tree"),
    ("fault", "agent/berth/src/io/aws/error.rs", "the suffix of error codes of Auto Scaling"),
    ("fault", "CONTRIBUTING.md", "a command of the sandbox"),
    ("fault", "tests/README.md", "faults are injected there"),
    ("fault", "tests/adapters/", "faults are injected there"),
    ("fault", "tests/fleet/by_registration.rs", "faults are injected there"),
    ("fault", "tests/kit/", "faults are injected there"),
    ("fault", "tests/scenarios/", "faults are injected there"),
    ("fault", "tests/tidy/cases.rs", "the head of a table"),
    ("fault", "tests/traces/", "the simulator injects faults"),
    ("faults", "Makefile", "faults are injected there"),
    ("faults", "README.md", "the sandbox injects faults"),
    ("faults", "docs/architecture.md", "the kit injects faults"),
    ("faults", "docs/performance.md", "page faults"),
    ("faults", "tests/README.md", "faults are injected there"),
    ("faults", "tests/adapters/", "faults are injected there"),
    ("faults", "tests/kit/", "faults are injected there"),
    ("faults", "tests/scenarios/", "faults are injected there"),
    ("faults", "tests/traces/", "the simulator injects faults"),
    ("faults", "tests/engines/", "the name of a module of tests"),
];

/// One use of a word: file, line, word.
type Use = (String, usize, &'static str);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Whether the path is one of these, or in a folder of them.
fn is_in(path: &str, paths: &[&str]) -> bool {
    paths.iter().any(|one| path == *one || one.ends_with('/') && path.starts_with(one))
}

/// Every held file that git tracks.
fn held() -> Vec<String> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output().expect("git");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let paths = String::from_utf8(listed.stdout).expect("text");
    paths.split('\0').filter(|path| is_in(path, HELD) && !is_in(path, MADE)).map(str::to_owned).collect()
}

/// Whether the line, in lower case, has the whole word.
fn has(line: &str, word: &str) -> bool {
    let joins = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| !line[..at].ends_with(joins) && !line[at + word.len()..].starts_with(joins))
}

/// Every use of a word in the text of a file.
fn uses(path: &str, text: &str) -> Vec<Use> {
    let lines = text.lines().map(str::to_lowercase).enumerate();
    lines
        .flat_map(|(at, line)| {
            let found = WORDS.iter().filter(move |(word, _)| has(&line, word));
            found.map(move |(word, _)| (path.to_owned(), at + 1, *word)).collect::<Vec<_>>()
        })
        .collect()
}

fn is_right(used: &Use) -> bool {
    RIGHT.iter().any(|(word, path, _)| *word == used.2 && is_in(&used.0, &[path]))
}

#[test]
fn no_page_and_no_script_uses_a_word_of_the_old_language() {
    let files = held();
    assert!(files.len() > 80, "the files were not found: {files:?}");
    let read = files.iter().filter_map(|path| fs::read_to_string(root().join(path)).ok().map(|text| (path, text)));
    let (right, wrong): (Vec<Use>, Vec<Use>) = read.flat_map(|(path, text)| uses(path, &text)).partition(is_right);
    let instead = |word: &str| WORDS.iter().find(|(one, _)| *one == word).map_or("", |(_, instead)| instead);
    let lines: Vec<String> =
        wrong.iter().map(|(path, line, word)| format!("{path}:{line}: {word:?}; write: {}", instead(word))).collect();
    assert!(lines.is_empty(), "{} uses:\n{}", lines.len(), lines.join("\n"));
    let stale =
        RIGHT.iter().filter(|(word, path, _)| !right.iter().any(|used| used.2 == *word && is_in(&used.0, &[path])));
    let stale: Vec<_> = stale.collect();
    assert!(stale.is_empty(), "an exception that nothing needs: {stale:?}");
}

#[test]
fn a_whole_word_is_found_in_any_case_and_a_part_of_one_is_not() {
    let found = uses("x", "The Room is full.\nmushroom, room_of, rooms; who asks?\ntolded (told)\n");
    let expected = [(1, "room"), (2, "rooms"), (2, "who asks"), (3, "told")];
    assert_eq!(found.iter().map(|(_, line, word)| (*line, *word)).collect::<Vec<_>>(), expected);
    assert!(is_in("docs/a.md", &["docs/"]) && is_in("Makefile", &["Makefile"]));
    assert!(!is_in("docsx/a.md", &["docs/"]) && !is_in("Makefile.old", &["Makefile"]));
}
