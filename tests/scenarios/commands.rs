//! The other commands, beside a running agent or without one.

use std::fs;
use std::process::{Output, Stdio};

use berth_kit::{Fault, World};

use crate::{BERTH, SOON};

/// Runs a command with the world's directories to its end.
pub(crate) async fn berth(world: &World, words: &[&str]) -> Output {
    let mut command = tokio::process::Command::from(world.launcher(BERTH.as_ref()).command());
    let ended = command.args(words).kill_on_drop(true).output();
    tokio::time::timeout(SOON, ended).await.expect("the command ends").unwrap()
}

pub(crate) fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[tokio::test]
async fn status_and_wait_report_a_running_agent() {
    let world = World::start().await;
    let image = world.app_image();
    world.user_data(&format!("berth image={} port=0:8080 health=/health", image.by_tag()));

    let none = berth(&world, &["status"]).await;
    assert_eq!((none.status.code(), out(&none).as_str()), (Some(1), ""));
    assert!(err(&none).contains("no berth agent is running"), "{}", err(&none));

    // It waits for an agent that is not there yet.
    let wait = ["wait", "ready", "--timeout", "1m"];
    let (waited, agent) = tokio::join!(berth(&world, &wait), world.launch(BERTH.as_ref()));
    assert_eq!(waited.status.code(), Some(0), "{}", err(&waited));
    assert_eq!(agent.http("/ready").await.status, 200);

    let text = berth(&world, &["status"]).await;
    assert_eq!(text.status.code(), Some(0), "{}", err(&text));
    let screen = out(&text);
    assert!(screen.starts_with("ok · serve for "), "{screen}");
    for fact in [&image.by_tag(), &image.digest, &world.container(), &world.instance_id] {
        assert!(screen.contains(fact.as_str()), "{fact} in\n{screen}");
    }
    let json = berth(&world, &["status", "--json"]).await;
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(
        (&json["phase"], &json["status"], &json["digest"]),
        (&"serve".into(), &"ok".into(), &image.digest.into())
    );

    // The run directory has its agent.
    let second = berth(&world, &["run", "listen=127.0.0.1:0"]).await;
    assert_eq!(second.status.code(), Some(2), "{}", err(&second));
    assert!(err(&second).contains("another berth runs with the run directory"), "{}", err(&second));
    assert_eq!(agent.http("/ready").await.status, 200);

    agent.signal("TERM");
    assert_eq!(agent.exit_within(SOON).await, 0);
    assert_eq!(berth(&world, &["status"]).await.status.code(), Some(1));
}

#[tokio::test]
async fn wait_distinguishes_a_failed_boot_from_a_slow_one() {
    let world = World::start().await;
    let image = world.app_image();
    world.user_data(&format!("berth image={} port=0:8080 boot.on_failure=hold", image.by_tag()));
    world.fault("registry HEAD manifest", Fault::Hang).always();
    let agent = world.launch(BERTH.as_ref()).await;
    agent.phase_within("boot", SOON).await;
    let late = berth(&world, &["wait", "ready", "--timeout", "1s"]).await;
    assert_eq!(late.status.code(), Some(1));
    assert!(err(&late).starts_with("berth: not ready in time: boot, "), "{}", err(&late));
    agent.kill9().await;

    world.faults.clear();
    world.registry.deny(&world.name);
    let wait = ["wait", "ready", "--timeout", "1m"];
    let (failed, _agent) = tokio::join!(berth(&world, &wait), world.relaunch(BERTH.as_ref()));
    assert_eq!(failed.status.code(), Some(3), "{}", err(&failed));
    assert!(err(&failed).starts_with("berth: the boot failed: "), "{}", err(&failed));
}

#[tokio::test]
async fn a_drain_is_asked_for_and_followed_to_its_end() {
    let world = World::start().await;
    let image = world.app_image();
    world.ami_defaults("drain = { settle = \"100ms\", idle = \"100ms\" }");
    world.user_data(&format!("berth image={} port=0:8080 health=/health", image.by_tag()));
    let none = berth(&world, &["drain"]).await;
    assert_eq!(none.status.code(), Some(1));
    assert!(err(&none).contains("no berth agent is running"), "{}", err(&none));

    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    let picture = berth(&world, &["timeline", "--svg"]).await;
    assert_eq!(picture.status.code(), Some(0), "{}", err(&picture));
    let svg = out(&picture);
    assert!(svg.starts_with("<svg ") && svg.contains(&world.instance_id) && svg.contains(">pull</text>"), "{svg}");
    let text = out(&berth(&world, &["timeline"]).await);
    assert!(text.contains("ready after ") && text.contains("\n  pull ") && text.contains("━"), "{text}");

    // One asks and waits, one only waits, one asks again.
    let asks = ["drain", "--reason", "replacing the disk", "--wait"];
    let watches = ["status", "--watch", "--json"];
    let (asked, waited, watched) =
        tokio::join!(berth(&world, &asks), berth(&world, &["wait", "drained"]), berth(&world, &watches));
    assert_eq!(asked.status.code(), Some(0), "{}", err(&asked));
    assert_eq!(waited.status.code(), Some(0), "{}", err(&waited));
    assert_eq!(watched.status.code(), Some(0), "{}", err(&watched));
    assert_eq!(agent.exit_within(SOON).await, 0);
    assert!(agent.log_text().contains("replacing the disk"), "{}", agent.log_text());
    assert_eq!(berth(&world, &["wait", "drained"]).await.status.code(), Some(0));
}

#[tokio::test]
async fn check_says_of_a_user_data_what_run_does_with_it() {
    let world = World::start().await;
    let image = world.app_image();
    let file = world.state_dir().with_file_name("user-data");
    let path = file.to_str().unwrap();

    let good = format!("#cloud-config\n#berth image={} port=0:8080 health=/health\n", image.by_digest());
    fs::write(&file, &good).unwrap();
    world.user_data(&good);
    let checked = berth(&world, &["check", path]).await;
    assert_eq!(checked.status.code(), Some(0), "{}", err(&checked));
    for fact in [image.by_digest(), world.container(), "GET /health on port 8080".into()] {
        assert!(out(&checked).contains(&fact), "{fact} in\n{}", out(&checked));
    }
    assert_eq!(world.journal.count("imds"), 0, "it asks nobody");
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    agent.kill9().await;

    let bad = format!("#cloud-config\n#berth image={} helth=/health imagge=x\n", image.repository);
    fs::write(&file, &bad).unwrap();
    world.user_data(&bad);
    let checked = berth(&world, &["check", path]).await;
    assert_eq!((checked.status.code(), out(&checked).as_str()), (Some(2), ""));
    let agent = world.launch(BERTH.as_ref()).await;
    assert_eq!(agent.exit_within(SOON).await, 2);
    for error in ["`helth`: unknown key, did you mean `health`?", "did you mean `image`?", "is not pinned"] {
        assert!(err(&checked).contains(error), "{error} in\n{}", err(&checked));
        assert!(agent.log_text().contains(error), "{error} in\n{}", agent.log_text());
    }
}

#[tokio::test]
async fn a_shell_takes_the_completions() {
    let world = World::start().await;
    let printed = berth(&world, &["completions", "bash"]).await;
    assert_eq!(printed.status.code(), Some(0));
    let script = format!(
        "{}\nCOMP_WORDS=(berth wa) COMP_CWORD=1; _berth berth wa berth; echo \"${{COMPREPLY[@]}}\"",
        out(&printed)
    );
    let mut bash = std::process::Command::new("bash");
    let completed = bash.args(["--norc", "-c", &script]).output().unwrap();
    assert_eq!(out(&completed).trim(), "wait", "{}", err(&completed));
}

/// The exit code and standard error of a command whose standard output is a device that is full.
async fn unprinted(world: &World, words: &[&str]) -> (Option<i32>, String) {
    let mut command = tokio::process::Command::from(world.launcher(BERTH.as_ref()).command());
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    command.args(words).stdin(Stdio::null()).stdout(full).stderr(Stdio::piped()).kill_on_drop(true);
    let ended = command.spawn().unwrap().wait_with_output();
    let output = tokio::time::timeout(SOON, ended).await.expect("the command ends").unwrap();
    (output.status.code(), err(&output))
}

#[tokio::test]
async fn a_command_whose_answer_cannot_be_printed_has_not_done_what_it_was_asked_for() {
    let world = World::start().await;
    let line = format!("berth image={} port=0:8080 health=/health", world.app_image().by_tag());
    let file = world.state_dir().with_file_name("user-data");
    world.user_data(&line);
    fs::write(&file, &line).unwrap();
    let path = file.to_str().unwrap();
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    for words in [
        &["check", path][..],
        &["check", "--json", path],
        &["policy", path],
        &["policy"],
        &["status"],
        &["status", "--json"],
        &["timeline"],
        &["timeline", "--svg"],
        &["completions", "bash"],
        &["--help"],
        &["help", "check"],
        &["--version"],
    ] {
        let (code, stderr) = unprinted(&world, words).await;
        assert!(
            code == Some(1) && stderr.contains("cannot write to standard output: No space left"),
            "{words:?}: {code:?} {stderr}"
        );
        assert_eq!(stderr.matches("cannot write").count(), 1, "{words:?}: {stderr}");
    }
    // A reader may stop early: that is no error.
    let piped = format!("{BERTH} check --all {path} | head -n 1; exit ${{PIPESTATUS[0]}}");
    let ended = std::process::Command::new("bash").args(["-c", &piped]).output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", err(&ended));
}

#[tokio::test]
async fn check_prints_json_for_errors_too_and_nothing_beside_it() {
    let world = World::start().await;
    let file = world.state_dir().with_file_name("user-data");
    let path = file.to_str().unwrap();
    for (text, code) in [("berth image=x:1 add_host=db:10.0.0.5", "unknown_key"), ("berth image=x", "invalid_value")] {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        let checked = berth(&world, &["check", "--json", path]).await;
        assert_eq!((checked.status.code(), err(&checked).as_str()), (Some(2), ""));
        let json: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
        assert_eq!((&json["ok"], &json["errors"][0]["code"]), (&false.into(), &code.into()), "{json:#}");
        assert_eq!(json["layers"].as_array().map(Vec::len), Some(2), "the file of --config is a layer: {json:#}");
    }
    for unreadable in ["/nowhere", "/dev/zero"] {
        let checked = berth(&world, &["check", "--json", unreadable]).await;
        assert_eq!((checked.status.code(), err(&checked).as_str()), (Some(2), ""));
        let json: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
        assert_eq!(json["errors"][0]["code"], "unreadable", "{json:#}");
    }
}

#[tokio::test]
async fn colour_is_only_on_a_terminal_and_not_with_no_color() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("user-data");
    fs::write(&file, "berth image=x:1 privileged=true helth=/x").unwrap();
    let command = format!("{BERTH} check {}", file.display());
    let on_a_terminal = |no_colour: Option<&str>| {
        // util-linux's `script` makes a terminal of it.
        let mut script = std::process::Command::new("script");
        script.args(["-qec", &command, "/dev/null"]).env("TERM", "xterm").env_remove("NO_COLOR");
        script.envs(no_colour.map(|value| ("NO_COLOR", value))).stdin(Stdio::null());
        out(&script.output().unwrap())
    };
    let painted = on_a_terminal(None);
    assert!(
        painted.contains("\x1b[1;33mwarning:\x1b[0m ") && painted.contains("\x1b[1;31merror:\x1b[0m "),
        "{painted}"
    );
    assert!(!on_a_terminal(Some("1")).contains('\x1b'));
    let piped = std::process::Command::new(BERTH).args(["check", file.to_str().unwrap()]).output().unwrap();
    assert!(!err(&piped).contains('\x1b') && err(&piped).contains("berth: error: "), "{}", err(&piped));
}

#[test]
fn every_line_of_an_error_begins_with_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("user-data");
    fs::write(&file, "berth image=x:latest port=99999 helth=/x").unwrap();
    for command in ["check", "policy"] {
        let mut berth = std::process::Command::new(BERTH);
        let refused = berth.args([command, file.to_str().unwrap(), "--config", "/dev/null"]).output().unwrap();
        let lines = err(&refused);
        assert_eq!((refused.status.code(), lines.lines().count()), (Some(2), 3), "{lines}");
        assert!(lines.lines().all(|line| line.starts_with("berth: ")), "{lines}");
    }
}

#[tokio::test]
async fn a_boot_timeout_of_the_command_line_counts_before_the_config_is_read() {
    let world = World::start().await;
    world.user_data("berth image=x:1");
    world.fault("imds GET user-data", Fault::Hang).always();
    let agent = world.launcher(BERTH.as_ref()).arg("boot.timeout=2s").start().await;
    assert_eq!(agent.exit_within(SOON).await, 3, "{}", agent.log_text());
    assert!(agent.log_text().contains("within 2s (boot.timeout)"), "{}", agent.log_text());
}
