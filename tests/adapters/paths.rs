//! `after`: paths of this very host, with a mount where a mount is wanted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use berth::io::host::paths::{Missing, Paths, PathsError};
use berth_core::message::error::ErrorClass;
use nix::unistd::geteuid;
use tempfile::TempDir;

/// A directory whose `etc/fstab` names mount points in it.
struct Host(TempDir);

impl Host {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("etc/systemd/system")).unwrap();
        fs::create_dir(directory.path().join("data")).unwrap();
        Self(directory)
    }

    fn at(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn path(&self, name: &str) -> PathBuf {
        // As the kernel names it: the directory for such things may be a link.
        self.0.path().canonicalize().unwrap().join(name)
    }

    fn paths(&self) -> Paths {
        Paths::below(self.0.path())
    }

    async fn missing(&self, names: &[&str]) -> Vec<Missing> {
        let paths: Vec<String> = names.iter().map(|name| self.at(name)).collect();
        match self.paths().look(&paths).await {
            Ok(()) => Vec::new(),
            Err(PathsError::NotThere(missing)) => missing,
            Err(error) => panic!("{error}"),
        }
    }
}

/// A file system in memory, mounted until it is dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn at(path: &Path) -> Self {
        let status = Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(path).status().unwrap();
        assert!(status.success(), "mount {}", path.display());
        Self(path.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[tokio::test]
async fn what_exists_is_there_and_everything_that_does_not_is_named() {
    let host = Host::new();
    fs::write(host.path("file"), "").unwrap();
    std::os::unix::fs::symlink("nowhere", host.path("dangling")).unwrap();
    std::os::unix::fs::symlink("data", host.path("link")).unwrap();
    assert_eq!(host.missing(&["data", "file", "link", "data/../file"]).await, []);
    let absent = |name: &str| Missing::Absent(host.at(name));
    let named = ["data", "not-there", "file/below", "dangling"];
    assert_eq!(host.missing(&named).await, [absent("not-there"), absent("file/below"), absent("dangling")]);

    let error = host.paths().look(&[host.at("a"), host.at("b")]).await.unwrap_err();
    let message = format!("{} does not exist (`after`); {} does not exist (`after`)", host.at("a"), host.at("b"));
    assert_eq!((error.to_string(), error.class()), (message, ErrorClass::Transient));
}

#[tokio::test]
async fn a_mount_point_that_the_host_names_is_there_once_it_is_mounted() {
    assert!(geteuid().is_root(), "only root mounts a file system");
    let host = Host::new();
    let data = host.path("data");
    assert_eq!(host.missing(&["data"]).await, [], "nothing says that it is more than a directory");
    for of_unit in [false, true] {
        let escaped = host.at("data").trim_start_matches('/').replace('-', "\\x2d").replace('/', "-");
        let unit = host.path("etc/systemd/system").join(format!("{escaped}.mount"));
        let named_by = if of_unit { unit } else { host.path("etc/fstab") };
        let text =
            if of_unit { "[Mount]\n".to_owned() } else { format!("tmpfs {} tmpfs nofail 0 0\n", data.display()) };
        fs::write(&named_by, text).unwrap();
        let missing = host.missing(&["data", "data/db"]).await;
        for (missing, name) in missing.iter().zip(["data", "data/db"]) {
            let Missing::NotMounted { path, at, named_by: unit } = missing else { panic!("{missing:?}") };
            assert_eq!((path, at), (&host.at(name), &data));
            assert_eq!(unit.canonicalize().unwrap(), named_by);
        }
        assert_eq!(missing.len(), 2);
        {
            let _mounted = Mounted::at(&data);
            assert_eq!(host.missing(&["data"]).await, []);
            assert_eq!(host.missing(&["data/db"]).await, [Missing::Absent(host.at("data/db"))]);
            fs::create_dir(data.join("db")).unwrap();
            assert_eq!(host.missing(&["data", "data/db"]).await, []);
        }
        assert_eq!(host.missing(&["data"]).await.len(), 1, "unmounted again");
        fs::remove_file(&named_by).unwrap();
    }
}
