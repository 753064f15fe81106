//! What the documentation shows of `berth status`, `timeline`, `check` and `policy` is what the binary prints: lives in virtual time are
//! handed to it as an agent's socket or as the record of a last life would.

#![cfg(test)]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use berth::cli::{RunDir, StateDir, TimelineArgs};
use berth::commands::timeline::draw;
use berth_core::message::event::{Event, PullProgress, Signal};
use berth_core::message::job::JobKind;
use berth_core::message::outcome::Outcome;
use berth_core::message::target::{TargetHealth, TargetHealthState};
use berth_core::view::last_life::{Ending, LastLife};
use berth_core::view::published::{Published, StatusReport};
use berth_core::view::timeline::{PowerOn, Timeline};

use serde_json::Value;

use sim::{Sim, exited, ms, secs};

#[expect(dead_code, reason = "the traces use the rest")]
#[path = "../traces/documents.rs"]
mod documents;
#[expect(dead_code, reason = "the traces use the rest")]
#[path = "../traces/load_balancer.rs"]
mod load_balancer;
#[expect(dead_code, reason = "the traces use the rest")]
#[path = "../traces/sim.rs"]
mod sim;

mod schema;

const LINE: &str =
    "image=123456789012.dkr.ecr.us-east-2.amazonaws.com/ap-api:a1b2c3d port=8080 health=/health secrets=prod/api";

/// A life with the times of an instance, which pulls for that long.
fn life(pull: Option<Duration>) -> Sim {
    match pull {
        Some(pull) => on_an_instance(LINE).answer(JobKind::PullImage, pull, Event::ImagePulled),
        None => on_an_instance(LINE).never(JobKind::PullImage),
    }
}

fn on_an_instance(line: &str) -> Sim {
    let identity = Event::Identified(Arc::new(sim::identity()));
    let group = sim::group(secs(600), "Pending:Wait");
    Sim::new(line).answer(JobKind::Identify, ms(262), identity).answer(JobKind::FindGroup, ms(15), group)
}

fn report(sim: &Sim, now: f64) -> StatusReport {
    let published = Published {
        view: sim.view(),
        listen: Some(([0, 0, 0, 0], 9911).into()),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: "2026-11-28T21:23:33Z".to_owned(),
        ..Published::default()
    };
    StatusReport::new(published, now)
}

/// What a command prints, standard error in between as on a terminal.
fn printed(arguments: &[&str], input: &str) -> String {
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let mut child = Command::new(env!("CARGO_BIN_EXE_berth"))
        .args(arguments)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(writer.try_clone().expect("a pipe"))
        .stderr(writer)
        .spawn()
        .expect("the binary");
    // One that does not read gets nothing.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("text");
    child.wait().expect("its end");
    text
}

/// What a command prints while an agent answers with this report.
fn asked(command: &[&str], report: &StatusReport) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    let listener = UnixListener::bind(directory.path().join("berth.sock")).expect("a socket");
    let body = serde_json::to_string(report).expect("JSON");
    let answering = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
            head.push(byte[0]);
        }
        let length = body.len();
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
            .expect("it reads");
    });
    let run_dir = directory.path().to_str().expect("text");
    let text = printed(&[command, &["--run-dir", run_dir, "--state-dir", run_dir]].concat(), "");
    answering.join().expect("it was asked");
    text.replace(run_dir, "/run/berth")
}

/// What a command prints when no agent runs and this is the record of the last one.
fn afterwards(command: &str, life: &LastLife) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("last-life.json"), serde_json::to_vec(life).expect("JSON")).expect("a file");
    let state_dir = directory.path().to_str().expect("text");
    printed(&[command, "--run-dir", state_dir, "--state-dir", state_dir], "").replace(state_dir, "/run/berth")
}

#[track_caller]
fn holds(file: &str, name: &str, text: &str) {
    berth_kit::pages::shows(file, name, "screens", text);
}

#[test]
fn the_status_of_a_pull_is_as_it_is_shown() {
    let progress = PullProgress { layers_done: 1, layers: 3, bytes: 13_400_000, total: 26_000_000 };
    let sim = life(None).at(ms(3200), Event::PullProgressed(progress)).run(ms(3300));
    holds("operations.md", "status of a pull", &format!("# berth status\n{}", asked(&["status"], &report(&sim, 3.3))));
}

/// The same with every list cut to its last entry.
fn shortened(value: &mut Value) {
    match value {
        Value::Array(all) => {
            all.drain(..all.len().saturating_sub(1));
            all.iter_mut().for_each(shortened);
        }
        Value::Object(fields) => fields.values_mut().for_each(shortened),
        _ => {}
    }
}

#[test]
fn the_json_of_a_status_is_as_it_is_shown() {
    let sim = life(Some(ms(7500))).run(secs(40));
    let mut json: Value = serde_json::from_str(&asked(&["status", "--json"], &report(&sim, 40.0))).expect("JSON");
    shortened(&mut json);
    holds("socket.md", "status as JSON", &serde_json::to_string_pretty(&json).expect("JSON"));
}

#[test]
fn the_lines_of_the_feed_are_as_they_are_shown() {
    holds("socket.md", "events", &schema::examples().join("\n"));
}

#[test]
fn the_timeline_of_a_boot_is_as_it_is_shown() {
    let sim = life(Some(ms(7500))).run(secs(12));
    holds(
        "operations.md",
        "timeline of a boot",
        &format!("# berth timeline\n{}", asked(&["timeline"], &report(&sim, 12.0))),
    );
}

/// As systemd reports the start of an instance: it is handed to the timeline as the command does.
#[test]
fn the_timeline_from_power_on_is_as_it_is_shown() {
    let unit = |name: &str, began, active| (name.to_owned(), began, Some(active));
    let power_on = PowerOn {
        at_seconds: -2.84,
        units: vec![
            unit("kernel", -2.84, -1.32),
            unit("cloud-init-local.service", -0.71, 0.05),
            unit("systemd-networkd.service", 0.06, 0.09),
            unit("network-online.target", -2.84, 0.21),
            unit("docker.socket", -0.09, -0.08),
            unit("containerd.service", -0.03, 0.35),
            unit("docker.service", 0.36, 1.21),
            unit("berth.service", -0.01, 0.004),
        ],
    };
    let sim = life(Some(ms(7500))).answer(JobKind::PingEngine, ms(920), Event::EngineAnswered).run(secs(12));
    let timeline = Timeline::of(&report(&sim, 12.0)).since(power_on);
    let args = TimelineArgs { json: false, svg: false, run_dir: RunDir::default(), state_dir: StateDir::default() };
    holds("operations.md", "timeline from power-on", &format!("# berth timeline\n{}", draw(&timeline, &args)));
}

/// A boot whose target the load balancer calls unhealthy, up to this second.
fn waiting_for_the_load_balancer(seconds: u64) -> StatusReport {
    let target_groups = "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/api/73e2d6bc24d8a067";
    let unanswered = TargetHealth::of(TargetHealthState::Unhealthy).because("Target.Timeout");
    let line = format!("{} target_groups={target_groups}", LINE.replace("port=", "port=0:"));
    let sim = on_an_instance(&line)
        .answer(JobKind::PullImage, ms(2500), Event::ImagePulled)
        .balancing(|balancer| (balancer.healthy_after, balancer.until_then) = (Some(secs(30)), unanswered));
    report(&sim.run(secs(seconds)), Duration::from_secs(seconds).as_secs_f64())
}

#[test]
fn a_target_that_waits_for_the_load_balancer_is_as_it_is_shown() {
    let text = asked(&["status"], &waiting_for_the_load_balancer(25));
    // The facts and the steps between them are those of any boot.
    let first = text.lines().take_while(|line| !line.is_empty());
    let last = text.lines().skip_while(|line| !line.starts_with("  probes"));
    let shown: Vec<&str> = ["# berth status"].into_iter().chain(first).chain(["  …"]).chain(last).collect();
    holds("target-groups.md", "status of a target", &shown.join("\n"));
}

#[test]
fn the_timeline_of_a_boot_with_a_target_group_is_as_it_is_shown() {
    let report = waiting_for_the_load_balancer(60);
    let text = asked(&["timeline"], &report);
    holds("target-groups.md", "timeline of a target", &format!("# berth timeline\n{text}"));
}

#[test]
fn the_status_after_a_drain_that_was_cut_short_is_as_it_is_shown() {
    let sim = life(Some(ms(7500)))
        .holds(secs(15), 2)
        .at(secs(60), Event::Signalled(Signal::Term))
        .at(secs(87), exited(143))
        .run(secs(200));
    assert_eq!(sim.outcome(), Some(Outcome::DrainCut), "{}", sim.trace());
    let last_life = Ending {
        written_at: "2026-11-28T21:25:00Z".to_owned(),
        exit_code: Some(Outcome::DrainCut.code()),
        final_status: Some(sim.words.clone()),
    };
    let life = LastLife { report: report(&sim, 88.0), last_life };
    let text = afterwards("status", &life);
    // The rows below are those of a running agent.
    let first: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).collect();
    holds("operations.md", "status afterwards", &format!("# berth status\n{}", first.join("\n")));
}

#[test]
fn the_errors_of_a_config_are_as_they_are_shown() {
    let user_data = "#!/bin/bash\n#berth helth=/h addHost=db:10.0.0.5 image=nginx\n";
    let text = printed(&["check", "--config", "/dev/null", "-"], user_data).replace("stdin", "user-data");
    holds("configuration.md", "errors of a config", &text);
}
