//! A machine to install on, and packages to install: a container of Debian without network, with a systemd that only takes notes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use tempfile::TempDir;

/// The link by which systemd starts the agent at boot.
pub(crate) const ENABLED: &str = "etc/systemd/system/multi-user.target.wants/berth.service";
/// Writes down in /calls what it is asked, and sets that link or removes it. The agent runs if there is a file /agent-runs; to hand
/// it over fails if there is /agent-stuck.
pub(crate) const SYSTEMCTL: &str = r#"#!/bin/sh
echo "systemctl $*" >>/calls
wants=/etc/systemd/system/multi-user.target.wants
case "$*" in
*is-active*) [ -e /agent-runs ] ;;
*disable*) rm -f $wants/berth.service ;;
*preset*|*enable*) mkdir -p $wants && ln -sf /usr/lib/systemd/system/berth.service $wants/berth.service ;;
esac
"#;
/// Its presence in the root says that the agent runs.
pub(crate) const BERTH_RUNS: &str = "agent-runs";
const BERTH: &str = "#!/bin/sh\necho \"berth $*\" >>/calls\n[ ! -e /agent-stuck ]\n";

/// The root of the sources.
pub(crate) fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// Runs it, and gives what it printed; panics with all of it if it fails.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
    format!("{out}{err}")
}

/// `packaging/KIND` of a berth that takes notes, or of the one under test; each time with a revision where the kind has them.
pub(crate) struct Packages {
    directory: PathBuf,
}

/// Every package so far: to make one takes seconds.
static MADE: Mutex<BTreeMap<(PathBuf, String), PathBuf>> = Mutex::new(BTreeMap::new());

impl Packages {
    pub(crate) fn of_notes() -> Self {
        Self::of("notes", |binary| std::fs::write(binary, BERTH).unwrap())
    }

    /// The binary under test; without its symbols, which would take a minute to compress.
    pub(crate) fn of_berth() -> Self {
        Self::of("berth", |binary| {
            run(Command::new("strip").arg("-o").arg(binary).arg(env!("CARGO_BIN_EXE_berth")));
        })
    }

    fn of(name: &str, binary: impl FnOnce(&Path)) -> Self {
        let _one_at_a_time = MADE.lock().unwrap();
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages").join(name);
        std::fs::create_dir_all(&directory).unwrap();
        binary(&directory.join("berth"));
        Self { directory }
    }

    pub(crate) fn make(&self, kind: &str, revision: Option<&str>) -> PathBuf {
        let key = (self.directory.clone(), format!("{kind} {}", revision.unwrap_or_default()));
        let make = || {
            let mut command = Command::new(sources().join("packaging").join(kind));
            command.arg(self.directory.join("berth")).arg("x86_64").arg(&self.directory).args(revision);
            let printed = run(&mut command);
            let name = printed.lines().find(|line| Path::new(line).starts_with(&self.directory));
            PathBuf::from(name.unwrap_or_else(|| panic!("packaging/{kind} printed no path: {printed}")))
        };
        MADE.lock().unwrap().entry(key).or_insert_with(make).clone()
    }
}

/// A release of Debian.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Suite {
    /// Debian 12, of which little is there: no systemd.
    Bookworm,
    /// Debian 13, with systemd, Docker and others that own the directories that a package shares.
    Trixie,
}

impl Suite {
    /// An image that tests/images or tests/boot/image made.
    fn image(self) -> &'static str {
        match self {
            Self::Bookworm => "berth-test/nginx:1",
            Self::Trixie => "berth-test/machine:trixie",
        }
    }
}

/// A container; gone when dropped.
pub(crate) struct Machine {
    id: String,
}

impl Machine {
    pub(crate) fn start(suite: Suite) -> Self {
        let run_it = ["run", "--detach", "--rm", "--network=none", "--init", "--entrypoint=sleep"];
        let id = run(Command::new("docker").args(run_it).args([suite.image(), "infinity"]));
        let machine = Self { id: id.trim().to_owned() };
        // The images leave out the manuals, and so would dpkg here.
        machine.sh("rm -f /etc/dpkg/dpkg.cfg.d/* && mkdir -p /run/systemd/system && : >/calls");
        let directory = TempDir::new().unwrap();
        let systemctl = directory.path().join("systemctl");
        std::fs::write(&systemctl, SYSTEMCTL).unwrap();
        run(Command::new("chmod").arg("755").arg(&systemctl));
        machine.copy(&systemctl, "/usr/bin/systemctl");
        machine
    }

    /// Runs a script as root; its output.
    pub(crate) fn sh(&self, script: &str) -> String {
        run(Command::new("docker").args(["exec", &self.id, "sh", "-euc", script]))
    }

    pub(crate) fn copy(&self, from: &Path, to: &str) {
        run(Command::new("docker").arg("cp").arg(from).arg(format!("{}:{to}", self.id)));
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        let test = format!("if [ -e {path} ] || [ -L {path} ]; then echo yes; fi");
        !self.sh(&test).is_empty()
    }

    /// What systemctl and berth were asked since the last time.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.sh("cat /calls; : >/calls").lines().map(str::to_owned).collect()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "--force", &self.id]).output();
    }
}

/// Whether one of the calls would begin or end something.
pub(crate) fn starts_or_stops(calls: &[String]) -> bool {
    let words = ["start", "stop", "restart", "try-restart", "reload-or-restart", "kill", "--now"];
    calls.iter().any(|call| call.split_whitespace().any(|word| words.contains(&word)))
}
