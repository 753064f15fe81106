//! `after`: a boot that waits for a file and for a mount of the host.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use berth_kit::World;
use nix::unistd::geteuid;
use serde_json::json;
use tempfile::TempDir;

use crate::steps::{ready_answers, until};
use crate::{BERTH, SOON};

/// A mount unit of this machine's that nobody starts; gone when it is dropped.
struct Unit(PathBuf);

impl Unit {
    fn of(path: &Path) -> Self {
        let escaped = path.display().to_string().trim_start_matches('/').replace('-', "\\x2d").replace('/', "-");
        let directory = Path::new("/run/systemd/system");
        fs::create_dir_all(directory).unwrap();
        let unit = Self(directory.join(format!("{escaped}.mount")));
        fs::write(&unit.0, format!("[Mount]\nWhat=tmpfs\nType=tmpfs\nWhere={}\n", path.display())).unwrap();
        unit
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
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
        let _ = Command::new("umount").args(["-l"]).arg(&self.0).status();
    }
}

fn directory() -> (TempDir, PathBuf) {
    let directory = tempfile::Builder::new().prefix("berth-after").tempdir().unwrap();
    let path = directory.path().canonicalize().unwrap();
    (directory, path)
}

#[tokio::test]
async fn a_boot_waits_for_a_mount_and_the_app_has_what_is_on_it() {
    assert!(geteuid().is_root(), "only root mounts a file system");
    let world = World::start().await;
    let image = world.app_image();
    let (_directory, data) = directory();
    let unit = Unit::of(&data);
    // What a mount is about to cover is not what the app shall see.
    fs::write(data.join("which"), "the disk below").unwrap();
    let (data, image) = (data.display(), image.by_tag());
    world.user_data(&format!("berth image={image} port=0:8080 health=/health after={data} volumes={data}:/data"));
    let agent = world.launch(BERTH.as_ref()).await;
    let reason =
        format!("waiting for paths (nothing is mounted at {data}, which {} names (`after={data}`))", unit.0.display());
    until("waiting for the mount alone", async || agent.status().await["reason"] == reason).await;
    let answer = ready_answers(&agent, 503).await;
    assert_eq!(
        (&answer["status"], &answer["reason"]),
        (&json!("starting"), &json!("waiting for a path or a mount on the host"))
    );
    assert!(world.engine.inspect(&world.container()).await.is_none(), "nothing is created");

    let mounted = Mounted::at(Path::new(&data.to_string()));
    fs::write(mounted.0.join("which"), "the mount").unwrap();
    agent.ready_within(SOON).await;
    let sum = agent.app("/file?path=/data/which").await.text();
    let of_the_mount = Command::new("sha256sum").arg(mounted.0.join("which")).output().unwrap();
    let of_the_mount = String::from_utf8(of_the_mount.stdout).unwrap();
    assert_eq!(sum.trim(), of_the_mount.split_whitespace().next().unwrap());
    let steps = agent.status().await["steps"].clone();
    let paths = steps.as_array().unwrap().iter().find(|step| step["name"] == "paths").unwrap().clone();
    assert!(paths["attempts"].as_u64().unwrap() > 1 && paths["took_seconds"].is_number(), "{paths}");
    drop(agent);
    drop(world);
}

#[tokio::test]
async fn a_path_that_never_comes_ends_the_boot_with_its_name() {
    let world = World::start().await;
    let image = world.app_image();
    let (_directory, path) = directory();
    let missing = path.join("ready").display().to_string();
    world.user_data(&format!("berth image={} port=0:8080 boot.timeout=5s after={missing}", image.by_tag()));
    let agent = world.launch(BERTH.as_ref()).await;
    assert_eq!(agent.exit_within(SOON).await, 3);
    agent.log_within(&format!("waiting for paths ({missing} does not exist (`after`))"), SOON).await;
    world.journal.in_order(&["autoscaling CompleteLifecycleAction ABANDON 200"]);
    assert!(world.engine.inspect(&world.container()).await.is_none(), "nothing is created");
}

/// A berth in a mount namespace of its own, where a file system waits at this place for a daemon that does not answer.
fn beside_a_file_system_that_hangs(directory: &Path) -> PathBuf {
    let script = directory.join("berth");
    let (at, pipe) = (directory.join("hangs"), directory.join("pipe"));
    fs::create_dir(&at).unwrap();
    let text = format!(
        "#!/bin/sh -e\n\
         [ -n \"$INSIDE\" ] || INSIDE=1 exec unshare --mount --propagation private \"$0\" \"$@\"\n\
         mkfifo {pipe}; exec 9<>{pipe}\n\
         mount -i -t autofs -o fd=9,pgrp=1,minproto=5,maxproto=5,direct autofs {at}\n\
         exec {BERTH} \"$@\"\n",
        pipe = pipe.display(),
        at = at.display(),
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    script
}

#[tokio::test]
async fn a_file_system_that_hangs_keeps_the_boot_waiting_and_nothing_else() {
    assert!(geteuid().is_root(), "only root mounts a file system");
    let world = World::start().await;
    let image = world.app_image();
    let (_directory, path) = directory();
    let berth = beside_a_file_system_that_hangs(&path);
    let at = path.join("hangs").display().to_string();
    world.user_data(&format!("berth image={} port=0:8080 after={at}", image.by_tag()));
    let agent = world.launch(&berth).await;
    let reason = format!("waiting for paths (no answer from the file system of {at} within 10 s (`after`))");
    until("reported as hanging", async || agent.status().await["reason"] == reason).await;
    let threads = || {
        let tasks = fs::read_dir(format!("/proc/{}/task", agent.pid())).unwrap().flatten();
        tasks.filter(|task| fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name == "after\n")).count()
    };
    let attempts = async || {
        let status = agent.status().await;
        let paths = status["steps"].as_array().unwrap().iter().find(|step| step["name"] == "paths").cloned();
        paths.and_then(|paths| paths["attempts"].as_u64()).unwrap_or_default()
    };
    let before = attempts().await;
    until("asked again", async || attempts().await > before).await;
    assert_eq!(threads(), 1, "the file system is not asked twice at a time");
    assert_eq!(agent.http("/ready").await.status, 503);
    // Neither a notice nor the end of the agent waits for the 10 s of this attempt.
    let failed = || agent.log_text().matches("Failed CheckPaths").count();
    let before = failed();
    agent.signal("TERM");
    assert_eq!(agent.exit_within(SOON).await, 0, "{}", agent.log_text());
    assert!(before > 0 && failed() == before, "{}", agent.log_text());
}
