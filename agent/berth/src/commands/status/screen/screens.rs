//! The screen on a terminal of 80×24, phase by phase: it fits, and nothing that explains a failure is left out.

use berth_core::message::output::AppOutput;
use berth_core::message::probe_failure::ProbeFailureKind;
use berth_core::message::target::TargetHealthState;
use berth_core::view::last_life::Ending;
use berth_core::view::{
    ContainerView, HookResultName, HookState, LifecycleView, PhaseName, PhaseView, ProbeView, StepName, StepView,
    TargetStage, TargetView, TransitionName,
};
use expect_test::expect;

use super::tests::{report, step};
use super::*;

/// The usual size of a terminal.
const TERMINAL: Viewport = Viewport { columns: Some(80), rows: Some(24), bounded: true };

fn error(name: StepName, began: f64, error: &str) -> StepView {
    StepView { attempts: 4, error: Some(error.into()), ..step(name, began, None) }
}

fn deadline(name: DeadlineName, at_seconds: f64) -> DeadlineView {
    DeadlineView { name, at_seconds }
}

/// An instance in a group, after a boot of 12 s.
fn instance(phases: &[(PhaseName, f64)]) -> View {
    let names = [
        StepName::Identity,
        StepName::Config,
        StepName::Listen,
        StepName::Secrets,
        StepName::Login,
        StepName::Engine,
        StepName::Group,
        StepName::Containers,
        StepName::Digest,
        StepName::Image,
    ];
    let steps = names.iter().enumerate().map(|(at, name)| step(*name, at as f64 / 10.0, Some(0.1)));
    let (phase, phase_since_seconds) = *phases.last().unwrap();
    View {
        phase,
        phase_since_seconds,
        phases: phases.iter().map(|(name, began)| PhaseView { name: *name, began_seconds: *began }).collect(),
        name: Some("ap-api".into()),
        image: Some("123456789012.dkr.ecr.us-east-2.amazonaws.com/ap-api:a1b2c3d".into()),
        digest: Some("sha256:43b39eba7b364162adc35011bd155271b788050583ef729bdf73676a5b67f857".into()),
        instance_id: Some("i-0123456789abcdef0".into()),
        availability_zone: Some("us-east-2a".into()),
        container: Some(ContainerView {
            id: "4f5e6d7c8b9a00112233".into(),
            name: "berth-ap-api".into(),
            adopted: false,
            ports: vec![PortView { container_port: 8080, host_address: "0.0.0.0:8080".parse().unwrap() }],
        }),
        steps: steps
            .chain([
                step(StepName::Pull, 1.0, Some(8.0)),
                step(StepName::Create, 9.0, Some(1.0)),
                step(StepName::Healthy, 10.0, Some(2.0)),
            ])
            .collect(),
        lifecycle: LifecycleView {
            group: Some("ap-api".into()),
            target_state: Some("InService".into()),
            hooks: vec![HookView {
                name: Some("launch".into()),
                state: HookState::Completed,
                result: Some(HookResultName::Continue),
                ..HookView::default()
            }],
            ..LifecycleView::default()
        },
        ..View::default()
    }
}

fn hook(view: &mut View, state: HookState, heartbeats: u32, reason: Option<&str>) {
    let hook = &mut view.lifecycle.hooks[0];
    *hook =
        HookView { state, heartbeats, reason: reason.map(Into::into), name: hook.name.take(), ..HookView::default() };
}

fn wrote(lines: usize) -> Option<AppOutput> {
    let lines = (1..=lines).map(|n| {
        format!("Error: connect ECONNREFUSED 10.0.3.{n}:5432, and what else a stack trace of Node says in one line")
    });
    Some(AppOutput { at_seconds: 5.0, lines: lines.collect(), ..AppOutput::default() })
}

const DENIED: &str = "GetSecretValue prod/api in us-east-2 (account 123456789012): AccessDeniedException: User: \
    arn:aws:sts::123456789012:assumed-role/ap-api-instance-role-with-a-long-name/i-0123456789abcdef0 is not authorized to perform: \
    secretsmanager:GetSecretValue on resource: prod/api because no identity-based policy allows the secretsmanager:GetSecretValue action";

#[test]
fn a_boot_that_does_not_get_on_shows_why_at_80_by_24() {
    let mut view = View { reason: format!("waiting for secrets ({DENIED})"), ..instance(&[(PhaseName::Boot, 0.0)]) };
    view.container = None;
    view.steps.truncate(9);
    view.steps[3] = error(StepName::Secrets, 0.3, DENIED);
    view.steps.push(step(StepName::Pull, 0.9, None));
    view.pull = Some(PullView { layers_done: 3, layers_total: 7, bytes_pulled: 61_000_000, bytes_total: 182_400_000 });
    hook(&mut view, HookState::WaitingForApp, 1, None);
    view.deadlines = vec![deadline(DeadlineName::BootTimeout, 600.0)];
    expect![[r#"
        starting · boot for 1 min 1 s
        waiting for secrets (GetSecretValue prod/api in us-east-2 (account
        123456789012): AccessDeniedException: User:
        arn:aws:sts::123456789012:assumed-role/ap-api-instance-role-with-a-long-name/i-0
        123456789abcdef0 is not authorized to perform: secretsmanager:GetSecretValue on
        resource: prod/api because no identity-based policy allows the
        secretsmanager:GetSecretValue action)

          image      123456789012.dkr.ecr.us-east-2.amazonaws.com/ap-api:a1b2c3d
          instance   i-0123456789abcdef0 in us-east-2a

          boot 1 min 1 s
          done       identity, config, listen, login, engine, group, containers, digest
          secrets    ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌ 1 min 0 s  4 attempts
          pull        ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌ 1 min 0 s

          pulled     ████████████░░░░░░░░░░░░░░░░░░░░░░░░  33 %  61.0 MB of 182.4 MB, 3
                     of 7 layers
          hook       ap-api / launch, waiting for the app, 1 heartbeat, target state
                     InService
          deadline   boot.timeout ends in 8 min 59 s
    "#]]
    .assert_eq(&screen(&report(view, 61.0), TERMINAL));
}

#[test]
fn a_boot_that_failed_and_is_held_shows_why_and_what_the_app_wrote_at_80_by_24() {
    let mut view = instance(&[(PhaseName::Boot, 0.0), (PhaseName::Hold, 130.0)]);
    view.status = Status::Failed;
    view.reason = "the app did not become healthy within probe.start_timeout (120 s): GET http://172.17.0.2:8080/health: connection refused".into();
    view.steps.pop();
    view.steps.push(StepView {
        error: Some("GET /health on port 8080: connection refused".into()),
        ..step(StepName::Healthy, 10.0, Some(120.0))
    });
    hook(&mut view, HookState::Held, 2, Some("the boot failed"));
    view.deadlines = vec![deadline(DeadlineName::Hold, 172_800.0)];
    view.app_output = wrote(40);
    expect![[r#"
        failed · hold for 47 min 50 s
        the app did not become healthy within probe.start_timeout (120 s): GET
        http://172.17.0.2:8080/health: connection refused
          boot 2 min 10 s
          healthy       ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 2 min 0 s
                     failed, GET /health on port 8080: connection refused
          hook       ap-api / launch, kept from expiring; the boot failed, 2 heartbeats,
                     target state InService
          deadline   hold ends in 47 h 10 min
          the app's last output, 49 min 55 s ago, 33 lines before in --json
            Error: connect ECONNREFUSED 10.0.3.34:5432, and what else a stack trace of
            Node says in one line
            Error: connect ECONNREFUSED 10.0.3.35:5432, and what else a stack trace of
            Node says in one line
            Error: connect ECONNREFUSED 10.0.3.36:5432, and what else a stack trace of
            Node says in one line
            Error: connect ECONNREFUSED 10.0.3.37:5432, and what else a stack trace of
            Node says in one line
            Error: connect ECONNREFUSED 10.0.3.38:5432, and what else a stack trace of
            Node says in one line
            Error: connect ECONNREFUSED 10.0.3.39:5432, and what else a stack trace of
            Node says in one line
            Error: connect ECONNREFUSED 10.0.3.40:5432, and what else a stack trace of
            Node says in one line
    "#]]
    .assert_eq(&screen(&report(view, 3000.0), TERMINAL));
}

#[test]
fn an_app_that_is_not_healthy_shows_its_last_lines_at_80_by_24() {
    let mut view = instance(&[(PhaseName::Boot, 0.0), (PhaseName::Serve, 12.0)]);
    view.status = Status::Unhealthy;
    view.reason = "3 probes failed in a row: GET http://172.17.0.2:8080/health: HTTP 500".into();
    view.probes = (0..20)
        .map(|n| ProbeView {
            at_seconds: 5.0 * f64::from(n),
            took_seconds: 0.002,
            error: (n > 16).then(|| "HTTP 500".into()),
            kind: (n > 16).then_some(ProbeFailureKind::Status),
        })
        .collect();
    view.app_output = wrote(6);
    expect![[r#"
        unhealthy · serve for 1 min 25 s
        3 probes failed in a row: GET http://172.17.0.2:8080/health: HTTP 500
          image      123456789012.dkr.ecr.us-east-2.amazonaws.com/ap-api:a1b2c3d
          container  berth-ap-api (4f5e6d7c8b9a)
          instance   i-0123456789abcdef0 in us-east-2a
          boot 12.0 s
          done       identity, config, listen, secrets, login, engine, group,
                     containers, digest, image, pull 8.0 s, create 1.0 s, healthy 2.0 s
          probes     ●●●●●●●●●●●●●●●●●○○○ last failed in 2 ms, 2.0 s ago: HTTP 500
          hook       ap-api / launch, completed CONTINUE, target state InService
          the app's last output, 1 min 32 s ago
            Error: connect ECONNREFUSED 10.0.3.1:5432, and what else a stack trace of
            Node says in one line
            Error: connect ECONNREFUSED 10.0.3.2:5432, and what else a stack trace of
            Node says in one line
            Error: connect ECONNREFUSED 10.0.3.3:5432, and what else a stack trace of
            Node says in one line
            Error: connect ECONNREFUSED 10.0.3.4:5432, and what else a stack trace of
            Node says in one line
            Error: connect ECONNREFUSED 10.0.3.5:5432, and what else a stack trace of
            Node says in one line
            Error: connect ECONNREFUSED 10.0.3.6:5432, and what else a stack trace of
            Node says in one line
    "#]]
    .assert_eq(&screen(&report(view, 97.0), TERMINAL));
}

fn target(name: &str, port: Option<u16>, state: TargetStage) -> TargetView {
    TargetView { name: name.into(), port, state, ..TargetView::default() }
}

const TIMEOUT: &str = "unhealthy (Target.Timeout): the health check gets no answer: the instance's security group must allow the load \
    balancer's on the port of the health check: Request timed out";

#[test]
fn a_target_that_the_load_balancer_does_not_call_healthy_says_why_at_80_by_24() {
    let mut view = instance(&[(PhaseName::Boot, 0.0), (PhaseName::Serve, 12.0)]);
    view.status = Status::Ok;
    view.reason = format!("waiting for the load balancer: web:20417: {TIMEOUT}");
    view.steps.push(StepView { error: Some(TIMEOUT.into()), ..step(StepName::Target, 12.0, None) });
    view.targets = vec![
        TargetView {
            health: Some(TargetHealthState::Unhealthy),
            reason: Some(TIMEOUT.into()),
            ..target("web", Some(20_417), TargetStage::Registered)
        },
        TargetView {
            health: Some(TargetHealthState::Healthy),
            reason: Some("healthy".into()),
            ..target("admin", Some(9000), TargetStage::InService)
        },
        target("metrics", None, TargetStage::AttachedByGroup),
    ];
    hook(&mut view, HookState::WaitingForLoadBalancer, 1, None);
    expect![[r#"
        ok · serve for 1 min 25 s
        waiting for the load balancer: web:20417: unhealthy (Target.Timeout): the health
        check gets no answer: the instance's security group must allow the load
        balancer's on the port of the health check: Request timed out

          image      123456789012.dkr.ecr.us-east-2.amazonaws.com/ap-api:a1b2c3d
          digest     sha256:43b39eba7b364162adc35011bd155271b788050583ef729bdf73676a5b67
                     f857
          container  berth-ap-api (4f5e6d7c8b9a)
          ports      8080 -> 0.0.0.0:8080
          instance   i-0123456789abcdef0 in us-east-2a
          endpoint   0.0.0.0:9911
          agent      0.1.0 since 2026-11-21T03:38:41Z

          boot 1 min 37 s
          done       identity, config, listen, secrets, login, engine, group,
                     containers, digest, image, pull 8.0 s, create 1.0 s, healthy 2.0 s
          target         ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌ 1 min 25 s

          hook       ap-api / launch, waiting for the load balancer, 1 heartbeat, target
                     state InService
          target     web:20417, registered
          target     admin:9000, in service: healthy
          target     metrics, attached by group
    "#]]
    .assert_eq(&screen(&report(view.clone(), 97.0), TERMINAL));
    let file = screen(&report(view, 97.0), Viewport::default());
    assert!(file.contains(&format!("  target     web:20417, registered: {TIMEOUT}\n")), "{file}");
}

#[test]
fn a_target_that_the_load_balancer_drains_is_shown_at_80_by_24() {
    let mut view = instance(&[(PhaseName::Boot, 0.0), (PhaseName::Serve, 12.0), (PhaseName::Drain, 4000.0)]);
    view.status = Status::Draining;
    view.reason = "Auto Scaling is terminating the instance: waiting for 1 connection to end".into();
    view.targets = vec![TargetView {
        health: Some(TargetHealthState::Draining),
        reason: Some("draining (Target.DeregistrationInProgress): Target deregistration is in progress".into()),
        ..target("web", Some(20_417), TargetStage::Deregistered)
    }];
    let shown = screen(&report(view, 4050.0), TERMINAL);
    let row = "target web:20417, deregistered: draining (Target.DeregistrationInProgress): Target deregistration is in progress";
    assert!(dense(&shown).contains(&dense(row)) && shown.lines().count() <= 24, "{shown}");
}

#[test]
fn a_drain_that_is_cut_by_spot_shows_until_when_at_80_by_24() {
    let mut view = instance(&[(PhaseName::Boot, 0.0), (PhaseName::Serve, 12.0), (PhaseName::Drain, 4000.0)]);
    view.status = Status::Draining;
    view.reason = "spot interruption in 120 s: waiting for 1 connection to end".into();
    view.connections = Some(1);
    view.steps.extend([
        step(StepName::Settling, 4000.0, Some(20.0)),
        step(StepName::DrainingConnections, 4020.0, None),
        error(
            StepName::LookUpGroupAgain,
            4000.0,
            "DescribeLifecycleHooks for ap-api in us-east-2: Throttling: Rate exceeded",
        ),
    ]);
    hook(&mut view, HookState::NotActiveYet, 0, None);
    view.lifecycle.hooks[0].transition = TransitionName::Termination;
    view.lifecycle.hooks[0].name = Some("terminate".into());
    view.deadlines =
        vec![deadline(DeadlineName::DrainTimeout, 4320.0), deadline(DeadlineName::SpotInterruption, 4110.0)];
    expect![[r#"
        draining · drain for 50.0 s
        spot interruption in 120 s: waiting for 1 connection to end

          image      123456789012.dkr.ecr.us-east-2.amazonaws.com/ap-api:a1b2c3d
          digest     sha256:43b39eba7b364162adc35011bd155271b788050583ef729bdf73676a5b67
                     f857
          container  berth-ap-api (4f5e6d7c8b9a)
          ports      8080 -> 0.0.0.0:8080
          instance   i-0123456789abcdef0 in us-east-2a
          endpoint   0.0.0.0:9911
          agent      0.1.0 since 2026-11-21T03:38:41Z

          drain 50.0 s
          settling             ━━━━━━━━━━                  20.0 s
          look up group again  ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌  50.0 s
                               4 attempts, DescribeLifecycleHooks for ap-api in
                               us-east-2: Throttling: Rate exceeded
          draining connections           ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌  30.0 s

          hook       ap-api / terminate, not active yet, target state InService
          deadline   drain.timeout ends in 4 min 30 s
          deadline   spot interruption in 1 min 0 s
    "#]]
    .assert_eq(&screen(&report(view, 4050.0), TERMINAL));
}

#[test]
fn one_that_serves_stands_by_or_waits_in_the_pool_fits_with_every_fact_at_80_by_24() {
    let mut view = instance(&[(PhaseName::Boot, 0.0), (PhaseName::Serve, 12.0)]);
    view.probes = vec![ProbeView { at_seconds: 95.0, took_seconds: 0.002, error: None, kind: None }];
    for (status, reason) in [(Status::Ok, "healthy"), (Status::Standby, "in standby")] {
        (view.status, view.reason) = (status, reason.into());
        let shown = screen(&report(view.clone(), 97.0), TERMINAL);
        assert!(
            shown.lines().count() <= 24 && shown.contains("sha256:43b3") && shown.contains("0.0.0.0:9911"),
            "{shown}"
        );
    }
    expect![[r#"
        standby · serve for 1 min 25 s
        in standby

          image      123456789012.dkr.ecr.us-east-2.amazonaws.com/ap-api:a1b2c3d
          digest     sha256:43b39eba7b364162adc35011bd155271b788050583ef729bdf73676a5b67
                     f857
          container  berth-ap-api (4f5e6d7c8b9a)
          ports      8080 -> 0.0.0.0:8080
          instance   i-0123456789abcdef0 in us-east-2a
          endpoint   0.0.0.0:9911
          agent      0.1.0 since 2026-11-21T03:38:41Z

          boot 12.0 s
          done       identity, config, listen, secrets, login, engine, group,
                     containers, digest, image, pull 8.0 s, create 1.0 s, healthy 2.0 s

          probes     ● last passed in 2 ms, 2.0 s ago
          hook       ap-api / launch, completed CONTINUE, target state InService
    "#]]
    .assert_eq(&screen(&report(view, 97.0), TERMINAL));

    let mut view = instance(&[(PhaseName::Boot, 0.0), (PhaseName::Warm, 10.0)]);
    (view.status, view.reason, view.container) = (Status::Warm, "in the group's warm pool".into(), None);
    view.lifecycle.target_state = Some("Warmed:Running".into());
    expect![[r#"
        warm · warm for 1 min 27 s
        in the group's warm pool

          image      123456789012.dkr.ecr.us-east-2.amazonaws.com/ap-api:a1b2c3d
          digest     sha256:43b39eba7b364162adc35011bd155271b788050583ef729bdf73676a5b67
                     f857
          instance   i-0123456789abcdef0 in us-east-2a
          endpoint   0.0.0.0:9911
          agent      0.1.0 since 2026-11-21T03:38:41Z

          boot 12.0 s
          done       identity, config, listen, secrets, login, engine, group,
                     containers, digest, image, pull 8.0 s, create 1.0 s, healthy 2.0 s

          hook       ap-api / launch, completed CONTINUE, target state Warmed:Running
    "#]]
    .assert_eq(&screen(&report(view, 97.0), TERMINAL));
}

#[test]
fn a_config_with_more_errors_than_rows_says_that_there_are_more() {
    let reason = (1..=40).map(|n| format!("line {n}, column 1: `kez{n}`: unknown key")).collect::<Vec<_>>().join("\n");
    let view = View { reason, status: Status::Failed, phase: PhaseName::Failing, ..View::default() };
    let shown = screen(&report(view.clone(), 1.0), TERMINAL);
    assert_eq!(shown.lines().count(), 24);
    assert_eq!(shown.lines().last(), Some("… the rest does not fit here: `berth status`"));
    let scrolls = screen(&report(view, 1.0), Viewport { bounded: false, ..TERMINAL });
    assert!(scrolls.contains("kez40") && !scrolls.contains('…'), "{scrolls}");
}

/// Text without the breaks and spaces that a layout changes.
fn dense(text: &str) -> String {
    text.split_whitespace().collect()
}

proptest::proptest! {
    // Each case lays out many screens.
    #![proptest_config(proptest::test_runner::Config::with_cases(48))]

    #[test]
    fn what_explains_is_whole_at_80_by_24_in_every_phase(
        phase in proptest::sample::select(PhaseName::ALL),
        reason in "[ -~]{0,260}",
        step_error in "[ -~]{1,160}",
        probe_error in "[ -~]{1,120}",
        state in "[ -~]{1,80}",
        health in "[ -~]{1,80}",
        lines in 0..41_usize,
    ) {
        let mut view = instance(&[(PhaseName::Boot, 0.0), (phase, 12.0)]);
        (view.status, view.reason) = (Status::Unhealthy, reason.clone());
        view.steps.push(error(StepName::TerminationHook, 13.0, &step_error));
        view.probes = vec![ProbeView {
            at_seconds: 14.0,
            took_seconds: 0.1,
            error: Some(probe_error.clone()),
            kind: Some(ProbeFailureKind::Status),
        }];
        hook(&mut view, HookState::Refused, 0, Some(&state));
        view.targets = vec![TargetView { reason: Some(health.clone()), ..target("web", Some(80), TargetStage::Registered) }];
        view.deadlines = vec![deadline(DeadlineName::ProbeStartTimeout, 100.0)];
        view.app_output = wrote(lines);
        let shown = screen(&report(view, 20.0), TERMINAL);
        proptest::prop_assert!(shown.lines().count() <= 24 && !shown.contains('…'), "{}", shown);
        for line in shown.lines() {
            proptest::prop_assert!(line.chars().count() <= 80, "{}", line);
        }
        for whole in [&*reason, &step_error, &probe_error, &state, &health, "probe.start_timeout", "termination hook"] {
            proptest::prop_assert!(dense(&shown).contains(&dense(whole)), "{} in\n{}", whole, shown);
        }
        if lines > 0 {
            proptest::prop_assert!(shown.contains("the app's last output"), "{}", shown);
        }
    }

    #[test]
    fn nothing_from_elsewhere_steers_a_terminal(evil in "[\\x00-\\x1f\\x7f-\\x9fa-z\\u{202e}]{1,80}") {
        let mut view = instance(&[(PhaseName::Boot, 0.0)]);
        view.reason = evil.clone();
        view.steps.push(error(StepName::Pull, 13.0, &evil));
        hook(&mut view, HookState::Refused, 0, Some(&evil));
        view.lifecycle.group = Some(evil.clone());
        view.lifecycle.target_state = Some(evil.clone());
        view.image = Some(evil.clone());
        view.targets = vec![TargetView { reason: Some(evil.clone()), ..target(&evil, Some(80), TargetStage::Registered) }];
        view.app_output = Some(AppOutput { lines: vec![evil.clone()], ..AppOutput::default() });
        let mut report = report(view, 20.0);
        report.published.started_at = evil.clone();
        let ending = Ending { written_at: evil.clone(), final_status: Some(evil.clone()), exit_code: Some(0) };
        let life = LastLife { report: report.clone(), last_life: ending };
        let timeline = crate::commands::timeline::draw(&Timeline::of_last(&life), &crate::cli::TimelineArgs {
            json: false,
            svg: false,
            run_dir: crate::cli::RunDir::default(),
            state_dir: crate::cli::StateDir::default(),
        });
        for shown in [screen(&report, TERMINAL), last(&life, false, Viewport::default()), timeline] {
            let steers = shown.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}');
            proptest::prop_assert!(!steers, "{:?}", shown);
        }
    }
}
