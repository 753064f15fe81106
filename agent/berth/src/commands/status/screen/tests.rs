use berth_core::message::job::JobKind;
use berth_core::message::output::AppOutput;
use berth_core::message::probe_failure::ProbeFailureKind;
use berth_core::view::last_life::Ending;
use berth_core::view::last_life::LastLife;
use berth_core::view::published::Published;
use berth_core::view::{
    ContainerView, DeadlineName, DeadlineView, HookState, HookView, LastReleaseView, LifecycleView, PhaseName,
    PhaseView, PortView, ProbeView, Status, StepName, StepView,
};
use expect_test::expect;

use super::*;

pub(super) fn step(name: StepName, began_seconds: f64, took_seconds: Option<f64>) -> StepView {
    StepView { name, began_seconds, took_seconds, attempts: 1, ..StepView::default() }
}

pub(super) fn report(view: View, now: f64) -> StatusReport {
    let published = Published {
        view,
        listen: "0.0.0.0:9911".parse().ok(),
        agent_version: "0.1.0".into(),
        started_at: "2026-11-21T03:38:41Z".into(),
        log_lines_dropped: 0,
    };
    StatusReport::new(published, now)
}

#[test]
fn an_agent_that_just_began_has_little_to_show() {
    expect![[r#"
        starting · boot for 4 ms
        booting

          endpoint   0.0.0.0:9911
          agent      0.1.0 since 2026-11-21T03:38:41Z
    "#]]
    .assert_eq(&screen(&report(View { reason: "booting".into(), ..View::default() }, 0.004), Viewport::default()));
}

#[test]
fn the_last_life_begins_with_how_it_ended_and_goes_on_as_a_running_one() {
    let view = View {
        phase: PhaseName::Gone,
        reason: "a signal: over".into(),
        instance_id: Some("i-0123456789abcdef0".into()),
        phases: [(PhaseName::Boot, 0.0), (PhaseName::Drain, 60.0), (PhaseName::Gone, 83.0)]
            .map(|(name, began_seconds)| PhaseView { name, began_seconds })
            .to_vec(),
        steps: vec![step(StepName::Settling, 60.0, Some(20.0)), step(StepName::Stopping, 80.0, Some(3.0))],
        ..View::default()
    };
    let last_life = Ending {
        written_at: "2026-11-21T03:40:04Z".into(),
        exit_code: Some(0),
        final_status: Some("drained after 23 s (a signal)\u{1b}[2J; termination hook: in no group".into()),
    };
    let mut life = LastLife { report: report(view, 83.0), last_life };
    expect![[r#"
        the last agent ended at 2026-11-21T03:40:04Z with exit code 0 (drained)
        drained after 23 s (a signal)\u{1b}[2J; termination hook: in no group

          instance   i-0123456789abcdef0
          endpoint   0.0.0.0:9911
          agent      0.1.0 since 2026-11-21T03:38:41Z

          drain 23.0 s
          settling   ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━       20.0 s
          stopping                                  ━━━━━   3.0 s
    "#]]
    .assert_eq(&last(&life, false, Viewport::default()));
    (life.last_life.exit_code, life.last_life.final_status) = (None, None);
    let killed = last(&life, false, Viewport::default());
    expect![[r#"
        the last agent left no final status: it was killed, or the instance was stopped; when it last wrote its record, at 2026-11-21T03:40:04Z, it was in gone
        a signal: over"#]].assert_eq(&killed.lines().take(2).collect::<Vec<_>>().join("\n"));
    life.report.published.view.refused.insert(JobKind::CheckSecrets, 5);
    assert!(last(&life, false, Viewport::default()).contains("\n  refused    CheckSecrets 5 ×\n"));
    life.last_life.final_status = Some("the config is invalid: a\nb: c".into());
    let several = last(&life, false, Viewport::default());
    assert_eq!(several.lines().skip(1).take(2).collect::<Vec<_>>(), ["the config is invalid: a", "b: c"]);
    assert_eq!(LastLife::from_json(last(&life, true, Viewport::default()).as_bytes()).unwrap(), life);
}

#[test]
fn a_pull_on_the_way_shows_how_far_it_is() {
    let view = View {
        reason: "pulling the image".into(),
        instance_id: Some("i-0123456789abcdef0".into()),
        availability_zone: Some("us-east-2a".into()),
        image: Some("123456789012.dkr.ecr.us-east-2.amazonaws.com/ap-api:a1b2c3d".into()),
        steps: vec![
            step(StepName::Identity, 0.0, Some(0.03)),
            step(StepName::Config, 0.03, Some(0.001)),
            StepView {
                attempts: 3,
                error: Some("ThrottlingException: Rate\u{1b}[2J exceeded".into()),
                ..step(StepName::Secrets, 0.04, Some(1.9))
            },
            step(StepName::Engine, 0.04, Some(0.4)),
            step(StepName::Pull, 0.6, None),
        ],
        pull: Some(PullView { layers_done: 3, layers_total: 7, bytes_pulled: 61_000_000, bytes_total: 182_400_000 }),
        lifecycle: LifecycleView {
            group: Some("ap-api".into()),
            target_state: Some("InService".into()),
            hooks: vec![HookView {
                name: Some("launch".into()),
                state: HookState::WaitingForApp,
                heartbeats: 1,
                ..HookView::default()
            }],
            ..LifecycleView::default()
        },
        deadlines: vec![DeadlineView { name: DeadlineName::BootTimeout, at_seconds: 600.0 }],
        ..View::default()
    };
    expect![[r#"
        starting · boot for 4.2 s
        pulling the image

          image      123456789012.dkr.ecr.us-east-2.amazonaws.com/ap-api:a1b2c3d
          instance   i-0123456789abcdef0 in us-east-2a
          endpoint   0.0.0.0:9911
          agent      0.1.0 since 2026-11-21T03:38:41Z

          boot 4.2 s
          identity   ━                                      30 ms
          config     ━                                       1 ms
          secrets    ━━━━━━━━━━━━━━━━━                      1.9 s  failed, 3 attempts, ThrottlingException: Rate\u{1b}[2J exceeded
          engine     ━━━━                                  400 ms
          pull            ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌   3.6 s

          pulled     ████████████░░░░░░░░░░░░░░░░░░░░░░░░  33 %  61.0 MB of 182.4 MB, 3 of 7 layers
          hook       ap-api / launch, waiting for the app, 1 heartbeat, target state InService
          deadline   boot.timeout ends in 9 min 55 s
    "#]].assert_eq(&screen(&report(view, 4.2), Viewport::default()));
}

#[test]
fn what_the_app_wrote_last_stands_at_the_end() {
    let lines = ["listening on 8080".to_owned(), "panic: no route\u{1b}[2J".to_owned()].into();
    let app_output = Some(AppOutput { at_seconds: 10.0, lines, truncated: true, ..AppOutput::default() });
    let view = View { reason: "the app exited with code 1".into(), app_output, ..View::default() };
    expect![[r#"
        starting · boot for 13.0 s
        the app exited with code 1

          endpoint   0.0.0.0:9911
          agent      0.1.0 since 2026-11-21T03:38:41Z

          the app's last output, 3.0 s ago, earlier output left out
            listening on 8080
            panic: no route\u{1b}[2J
    "#]]
    .assert_eq(&screen(&report(view.clone(), 13.0), Viewport::default()));

    let lines = (0..40).map(|n| format!("line {n}")).collect();
    let app_output = Some(AppOutput { at_seconds: 10.0, lines, ..AppOutput::default() });
    let recovered = screen(&report(View { status: Status::Ok, app_output, ..view }, 13.0), Viewport::default());
    assert!(
        recovered.contains("the app's last output, 3.0 s ago, 30 lines before in --json\n    line 30\n"),
        "{recovered}"
    );
}

#[test]
fn a_serving_instance_shows_its_probes() {
    let probe = |at, error: Option<&str>| ProbeView {
        at_seconds: at,
        took_seconds: 0.002,
        kind: error.map(|_| ProbeFailureKind::Status),
        error: error.map(Into::into),
    };
    let view = View {
        phase: PhaseName::Serve,
        status: Status::Unhealthy,
        reason: "3 probes failed".into(),
        phase_since_seconds: 12.5,
        container: Some(ContainerView {
            id: "4f5e6d7c8b9a00112233".into(),
            name: "berth-ap-api".into(),
            adopted: true,
            ports: vec![PortView { container_port: 8080, host_address: "0.0.0.0:80".parse().unwrap() }],
        }),
        restarts: 2,
        steps: vec![step(StepName::Identity, 0.0, Some(0.0))],
        probes: vec![probe(7000.0, None), probe(7005.0, Some("HTTP 500"))],
        ..View::default()
    };
    expect![[r#"
        unhealthy · serve for 1 h 56 min
        3 probes failed

          container  berth-ap-api (4f5e6d7c8b9a), adopted, restarted 2 times
          ports      8080 -> 0.0.0.0:80
          endpoint   0.0.0.0:9911
          agent      0.1.0 since 2026-11-21T03:38:41Z

          boot 0 ms
          identity   ━                                       0 ms

          probes     ●○ last failed in 2 ms, 2.0 s ago: HTTP 500
    "#]]
    .assert_eq(&screen(&report(view, 7007.0), Viewport::default()));
}

#[test]
fn a_release_that_was_rolled_back_shows_what_its_app_wrote() {
    let lines = (1..=7).map(|n| format!("line {n}")).collect();
    let last = LastReleaseView {
        release: Some("2be772dcb1b6c108".into()),
        reason: "the app exited with code 3".into(),
        at_seconds: 60.0,
        output: Some(AppOutput { lines, ..AppOutput::default() }),
        ..LastReleaseView::default()
    };
    let releases =
        ReleasesView { serving: Some("dacdce0ce644da9e".into()), last: Some(last), ..ReleasesView::default() };
    let view = View { releases: Some(releases), ..View::default() };
    expect![[r#"
        starting · boot for 1 min 12 s

          endpoint   0.0.0.0:9911
          agent      0.1.0 since 2026-11-21T03:38:41Z
          release    dacdce0ce644da9e
          last       2be772dcb1b6c108 rolled back, 12.0 s ago: the app exited with code 3
          it wrote   line 3
          it wrote   line 4
          it wrote   line 5
          it wrote   line 6
          it wrote   line 7
    "#]]
    .assert_eq(&screen(&report(view, 72.0), Viewport::default()));
}
