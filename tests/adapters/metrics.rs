//! `/metrics` against Prometheus' own reader and linter.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use berth_core::message::job::JobKind;
use berth_core::view::metrics::render;
use berth_core::view::published::Published;
use berth_core::view::{
    HookView, LifecycleView, PhaseName, PhaseView, StepName, StepView, TargetStage, TargetView, View,
};

/// What `promtool check metrics` says; nothing if the page is right.
fn promtool(page: &str) -> String {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool, of the Debian package prometheus: run `tests/install world`");
    let page = page.to_owned();
    let mut stdin = promtool.stdin.take().unwrap();
    // It hangs up in the middle of what it cannot read.
    let writer = std::thread::spawn(move || stdin.write_all(page.as_bytes()));
    let output = promtool.wait_with_output().unwrap();
    let _ = writer.join().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    if output.status.success() && printed.is_empty() {
        return String::new();
    }
    format!("{}: {}", output.status, String::from_utf8_lossy(&printed))
}

/// A life that has everything, with names that nobody should give.
fn everything() -> View {
    let step = |name, began_seconds| StepView {
        name,
        began_seconds,
        took_seconds: Some(0.25),
        attempts: 3,
        ..StepView::default()
    };
    let phase = |name, began_seconds| PhaseView { name, began_seconds };
    let mut view = View {
        phase: PhaseName::Drain,
        phases: vec![phase(PhaseName::Boot, 0.0), phase(PhaseName::Serve, 5.0), phase(PhaseName::Drain, 9e6)],
        name: Some("say \"hi\"\\\n\r\u{1b}[2J\u{202e} {a=\"b\"} 1".into()),
        version: Some("ü\u{0}".into()),
        steps: vec![
            step(StepName::Identity, 0.0),
            step(StepName::Pull, 1.0),
            step(StepName::Settling, 9e6),
            step(StepName::Settling, 9e6),
        ],
        retries: [(JobKind::RecordHeartbeat, 4), (JobKind::CompleteHook, 1)].into(),
        connections: Some(u32::MAX),
        probe_failures: u64::MAX,
        restarts: 2,
        lifecycle: LifecycleView {
            heartbeats: 9,
            hooks: vec![HookView { name: Some("launch".into()), ..HookView::default() }],
            ..LifecycleView::default()
        },
        targets: [TargetStage::InService, TargetStage::InService, TargetStage::AttachedByGroup]
            .map(|state| TargetView { state, ..TargetView::default() })
            .to_vec(),
        ..View::default()
    };
    for milliseconds in [0, 3, 800, 100_000] {
        view.probe_durations.observe(Duration::from_millis(milliseconds));
    }
    view
}

#[test]
fn promtool_finds_no_error_in_the_metrics_of_an_empty_and_of_a_full_life() {
    for view in [View::default(), everything()] {
        let page = render(&Published { view, agent_version: "0.1.0".into(), ..Published::default() });
        assert_eq!(promtool(&page), "", "{page}");
    }
}

#[test]
fn promtool_would_report_an_error() {
    assert!(
        promtool("# HELP berth_restarts Restarts.\n# TYPE berth_restarts counter\nberth_restarts 1\n")
            .contains("_total")
    );
    assert!(promtool("berth_ready{phase=\"a\"b\"} 1\n").contains("error"));
    assert!(promtool("berth_ready 1\n").contains("help"));
}
