//! The rpm, by Debian's rpm in a directory of its own: Amazon Linux itself is not to be had here.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::machine::{BERTH_RUNS, ENABLED, Packages, SYSTEMCTL, run, starts_or_stops};

/// A root that holds a shell and the systemctl that takes notes.
struct Root(TempDir);

impl Root {
    fn new() -> Self {
        let root = TempDir::new().unwrap();
        for directory in ["bin", "usr/bin", "run/systemd/system", "var/lib/rpm"] {
            fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        let busybox = run(Command::new("sh").args(["-c", "command -v busybox"]));
        fs::copy(busybox.trim(), root.path().join("bin/busybox")).unwrap();
        fs::hard_link(root.path().join("bin/busybox"), root.path().join("bin/sh")).unwrap();
        fs::write(root.path().join("usr/bin/systemctl"), SYSTEMCTL).unwrap();
        fs::set_permissions(root.path().join("usr/bin/systemctl"), fs::Permissions::from_mode(0o755)).unwrap();
        Self(root)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    /// Its dependencies are the scripts' shell and recommendations; this root has no database of what brought the shell.
    fn rpm(&self, words: &[&str], package: Option<&Path>) -> String {
        // rpm changes its root, which takes root, or looks like it.
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "rpm", "--root"]).arg(self.0.path()).args(words).args(package);
        run(command.env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin"))
    }

    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.path("calls")).unwrap_or_default();
        let _ = fs::remove_file(self.path("calls"));
        calls.lines().map(str::to_owned).collect()
    }
}

#[test]
fn an_rpm_is_enabled_by_preset_handed_over_at_an_upgrade_and_drained_at_a_removal() {
    let root = Root::new();
    let packages = Packages::of_notes();
    root.rpm(&["--install", "--nodeps"], Some(&packages.make("rpm", None)));
    let calls = root.calls();
    assert_eq!(calls.first().map(String::as_str), Some("systemctl --no-reload preset berth.service"));
    assert!(!starts_or_stops(&calls), "{calls:?}");
    assert!(root.path(ENABLED).is_symlink());
    let preset = fs::read_to_string(root.path("usr/lib/systemd/system-preset/50-berth.preset")).unwrap();
    assert!(preset.contains("\nenable berth.service\n"));
    for unit in ["berth.service", "berth-drain.service"] {
        assert!(root.path(&format!("usr/lib/systemd/system/{unit}")).exists(), "{unit}");
    }

    fs::write(root.path("etc/berth/berth.toml"), "# changed").unwrap();
    fs::write(root.path(BERTH_RUNS), "").unwrap();
    root.rpm(&["--upgrade", "--nodeps"], Some(&packages.make("rpm", Some("2"))));
    let calls = root.calls();
    assert!(!starts_or_stops(&calls) && !calls.iter().any(|call| call.contains("preset")), "{calls:?}");
    assert_eq!(calls.iter().filter(|call| *call == "berth handover").count(), 1, "{calls:?}");
    assert_eq!(fs::read_to_string(root.path("etc/berth/berth.toml")).unwrap(), "# changed");
    assert_eq!(root.rpm(&["--query", "berth"], None).lines().count(), 1);

    root.rpm(&["--erase", "--nodeps", "berth"], None);
    let calls = root.calls();
    for call in ["--no-reload disable --now berth.service", "stop berth-drain.service"] {
        assert!(calls.contains(&format!("systemctl {call}")), "{calls:?}");
    }
    assert!(!root.path("usr/bin/berth").exists() && !root.path("usr/share/doc/berth").exists());
    assert!(!root.path(ENABLED).is_symlink());
}
