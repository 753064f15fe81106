use berth_core::view::published::{Published, StatusReport};
use berth_core::view::timeline::{BarState, Panel, PowerOn};
use berth_core::view::{
    DeadlineName, DeadlineView, LastReleaseView, PhaseName, PhaseView, ReleasesView, Status, StepName, StepView, View,
    WaitView,
};
use expect_test::expect;

use super::*;
use crate::cli::{RunDir, StateDir};

fn step(name: StepName, began: f64, took: f64) -> StepView {
    StepView { name, began_seconds: began, took_seconds: Some(took), attempts: 1, ..StepView::default() }
}

fn wait(began: f64, took: f64) -> WaitView {
    WaitView { began_seconds: began, took_seconds: Some(took) }
}

fn phase(name: PhaseName, began: f64) -> PhaseView {
    PhaseView { name, began_seconds: began }
}

fn report(view: View, now: f64) -> StatusReport {
    let published = Published {
        view,
        agent_version: "0.1.0".into(),
        started_at: "2026-11-21T03:38:41Z".into(),
        ..Published::default()
    };
    StatusReport::new(published, now)
}

fn boot_steps() -> Vec<StepView> {
    vec![
        step(StepName::Identity, 0.002, 0.031),
        step(StepName::Config, 0.033, 0.012),
        step(StepName::Listen, 0.045, 0.001),
        StepView {
            attempts: 3,
            waits: vec![wait(0.245, 0.4), wait(0.845, 0.82)],
            ..step(StepName::Secrets, 0.045, 1.84)
        },
        step(StepName::Login, 0.045, 0.21),
        step(StepName::Engine, 0.045, 0.09),
        step(StepName::Containers, 0.135, 0.02),
        step(StepName::Digest, 0.255, 0.18),
        step(StepName::Image, 0.435, 0.012),
        step(StepName::Pull, 0.447, 6.1),
        step(StepName::Create, 6.547, 0.14),
        step(StepName::Start, 6.687, 0.32),
        step(StepName::Healthy, 7.007, 4.9),
        step(StepName::Group, 0.045, 0.33),
        step(StepName::Hook, 11.907, 0.24),
    ]
}

/// A whole life: a boot with a slow secret, two days of serving, and a drain that goes on.
fn life() -> StatusReport {
    let left = 180_000.0;
    let mut steps = boot_steps();
    steps.extend([
        StepView { waits: vec![wait(left, 20.0)], ..step(StepName::Settling, left, 20.0) },
        StepView { waits: vec![wait(left + 20.0, 71.5)], ..step(StepName::DrainingConnections, left + 20.0, 71.5) },
        step(StepName::Stopping, left + 91.5, 8.2),
        StepView {
            attempts: 3,
            took_seconds: None,
            error: Some("no active lifecycle action <yet> & \"soon\"".into()),
            waits: vec![wait(left + 100.2, 5.0), WaitView { began_seconds: left + 105.9, took_seconds: None }],
            ..step(StepName::Hook, left + 99.7, 0.0)
        },
    ]);
    let view = View {
        phase: PhaseName::Drain,
        status: Status::Draining,
        reason: "the group terminates this instance".into(),
        phases: vec![phase(PhaseName::Boot, 0.0), phase(PhaseName::Serve, 11.907), phase(PhaseName::Drain, left)],
        instance_id: Some("i-0123456789abcdef0".into()),
        name: Some("ap-api".into()),
        version: Some("a1b2c3d".into()),
        image: Some("123456789012.dkr.ecr.us-east-2.amazonaws.com/ap-api:a1b2c3d".into()),
        steps,
        deadlines: vec![
            DeadlineView { name: DeadlineName::TerminationHook, at_seconds: left + 150.0 },
            DeadlineView { name: DeadlineName::DrainTimeout, at_seconds: left + 320.0 },
        ],
        ..View::default()
    };
    report(view, left + 112.0)
}

/// A boot that goes on: the secrets are asked for again and again.
fn booting() -> StatusReport {
    let mut steps = boot_steps();
    steps.truncate(10);
    steps[3] = StepView {
        took_seconds: None,
        attempts: 4,
        error: Some("ThrottlingException: Rate exceeded".into()),
        waits: vec![wait(0.245, 0.4), wait(0.845, 0.9), WaitView { began_seconds: 2.1, took_seconds: None }],
        ..steps[3].clone()
    };
    steps[9].took_seconds = None;
    let view = View {
        reason: "pulling the image".into(),
        phases: vec![phase(PhaseName::Boot, 0.0)],
        name: Some("ap-api".into()),
        steps,
        deadlines: vec![DeadlineView { name: DeadlineName::BootTimeout, at_seconds: 600.0 }],
        ..View::default()
    };
    report(view, 4.2)
}

fn json(timeline: &Timeline) -> String {
    let args = TimelineArgs { json: true, svg: false, run_dir: RunDir::default(), state_dir: StateDir::default() };
    draw(timeline, &args)
}

fn timeline(view: View, now: f64) -> Timeline {
    Timeline::of(&report(view, now))
}

#[test]
fn boot_and_drain_each_have_an_axis_of_their_own() {
    expect![[r#"
        ap-api a1b2c3d on i-0123456789abcdef0, ready after 11.9 s
        123456789012.dkr.ecr.us-east-2.amazonaws.com/ap-api:a1b2c3d

          boot 12.1 s
                     ╷0      ╷2 s    ╷4 s    ╷6 s    ╷8 s    ╷10 s  ╷12 s
          identity   ━                                                  31 ms
          config     ━                                                  12 ms
          listen     ─                                                   1 ms
          secrets    ─······                                            1.8 s  3 attempts, 1.2 s waiting
          login      ━                                                 210 ms
          engine     ─                                                  90 ms
          group      ─                                                 330 ms
          containers  ─                                                 20 ms
          digest      ━                                                180 ms
          image        ━                                                12 ms
          pull         ━━━━━━━━━━━━━━━━━━━━━━━━                         6.1 s
          create                               ━                       140 ms
          start                                ━━                      320 ms
          healthy                                ━━━━━━━━━━━━━━━━━━━    4.9 s
          hook                                                      ━  240 ms

          drain 1 min 52 s, going on
                               ╷0        ╷30 s     ╷1 min     ╷1 min 30 s
          settling             ·······                                 20.0 s
          draining connections        ························        1 min 11 s
          stopping                                            ━━━       8.2 s
          hook                                                   ····  12.3 s  3 attempts, 11.1 s waiting, no active lifecycle action <yet> & "soon"
          termination hook ends after 2 min 30 s
          drain.timeout ends after 5 min 20 s

          ━ critical path   ─ off it   · waiting   ╌ going on, or cut off
    "#]].assert_eq(&text::draw(&Timeline::of(&life())));
}

#[test]
fn the_releases_of_a_life_are_listed_with_their_times_and_how_the_last_one_ended() {
    let phases = [
        phase(PhaseName::Boot, 0.0),
        phase(PhaseName::Serve, 5.0),
        phase(PhaseName::Release, 7_500.0),
        phase(PhaseName::Serve, 7_543.2),
        phase(PhaseName::Release, 10_000.0),
        phase(PhaseName::Serve, 10_061.0),
        phase(PhaseName::Release, 11_000.0),
    ];
    let ended = |is_good, gap_seconds| LastReleaseView {
        release: Some("2be772dcb1b6c108".into()),
        is_good,
        reason: "it exited with 1\u{1b}[2J".into(),
        at_seconds: 10_050.0,
        gap_seconds,
        output: None,
    };
    let draw = |last: LastReleaseView| {
        let releases = ReleasesView { last: Some(last), ..ReleasesView::default() };
        let steps = vec![step(StepName::Config, 0.0, 5.0)];
        let view = View {
            phase: PhaseName::Release,
            phases: phases.to_vec(),
            steps,
            releases: Some(releases),
            ..View::default()
        };
        let text = text::draw(&Timeline::of(&report(view, 11_004.5)));
        text.split_once("\n  releases\n").unwrap().1.split_once("\n\n").unwrap().0.replace("  after", "after") + "\n"
    };
    expect![[r#"
          after 2 h 5 min       43.2 s
          after 2 h 46 min   1 min 1 s  release 2be772dcb1b6c108 is bad: it exited with 1\u{1b}[2J, no container took requests for 2.1 s
          after 3 h 3 min        4.5 s  going on
    "#]]
    .assert_eq(&draw(ended(false, Some(2.14))));
    assert!(draw(ended(true, None)).contains("  release 2be772dcb1b6c108 is good\n"), "{}", draw(ended(true, None)));
}

#[test]
fn what_goes_on_reaches_to_now() {
    expect![[r#"
        ap-api, not ready after 4.2 s

          boot 4.2 s, going on
                     ╷0         ╷1 s        ╷2 s       ╷3 s        ╷4 s
          identity   ━                                                  31 ms
          config     ━                                                  12 ms
          listen      ─                                                  1 ms
          secrets     ╌╌····╌╌╌··········╌╌╌╌························   4.2 s  4 attempts, 3.4 s waiting, ThrottlingException: Rate exceeded
          login       ━━                                               210 ms
          engine      ─                                                 90 ms
          containers   ─                                                20 ms
          digest        ━━                                             180 ms
          image           ━                                             12 ms
          pull            ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌   3.8 s
          boot.timeout ends after 10 min 0 s

          ━ critical path   ─ off it   · waiting   ╌ going on, or cut off
    "#]].assert_eq(&text::draw(&Timeline::of(&booting())));
}

/// A machine that was switched on 3.4 s before the agent.
fn power_on() -> PowerOn {
    let unit = |name: &str, began, active| (name.to_owned(), began, active);
    PowerOn {
        at_seconds: -3.4,
        units: vec![
            unit("docker.service", 0.2, Some(2.9)),
            unit("kernel", -3.4, Some(-1.2)),
            unit("systemd-networkd.service", -0.6, Some(-0.5)),
            unit("network-online.target", -3.4, Some(0.1)),
            unit("cloud-final.service", 3.0, None),
            unit("containerd.service", 99.0, Some(99.5)),
        ],
    }
}

#[test]
fn from_power_on_the_boot_has_what_came_up_beside_the_agent_on_the_same_axis() {
    let timeline = Timeline::of(&booting()).since(power_on());
    expect![[r#"
        ap-api, not ready after 4.2 s

          boot 7.6 s, going on
                                ╷0        ╷2 s     ╷4 s      ╷6 s
          kernel                ───────────                             2.2 s
          network-online.target ·················                       3.5 s
          systemd-networkd                    ─                        100 ms
          docker                                  ─────────────         2.7 s
          cloud-final                                          ╌╌╌╌╌╌   1.2 s
          identity                               ━                      31 ms
          config                                 ━                      12 ms
          listen                                 ─                       1 ms
          secrets                                ╌··╌····╌╌··········   4.2 s  4 attempts, 3.4 s waiting, ThrottlingException: Rate exceeded
          login                                  ━                     210 ms
          engine                                 ─                      90 ms
          containers                             ─                      20 ms
          digest                                  ━                    180 ms
          image                                    ━                    12 ms
          pull                                     ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌   3.8 s
          boot.timeout ends after 10 min 3 s

          ━ critical path   ─ off it   · waiting   ╌ going on, or cut off
    "#]].assert_eq(&text::draw(&timeline));
    let json: serde_json::Value = serde_json::from_str(&json(&timeline)).unwrap();
    assert_eq!((&json["power_on_seconds"], &json["panels"][0]["began_seconds"]), (&(-3.4).into(), &(-3.4).into()));
    assert_eq!(json["panels"][0]["units"][0]["name"], "kernel");
    let svg = svg::draw(&timeline);
    let words: String = well_formed(&svg).descendants().filter_map(|node| node.text()).collect();
    for shown in ["kernel", "network-online.target", "docker", "beside berth"] {
        assert!(words.contains(shown), "{shown}");
    }
    assert!(!words.contains("containerd"), "it began after the boot: another start");
    assert!(text::draw(&Timeline::of(&life()).since(power_on())).contains("ready after 11.9 s, 15.3 s after power-on"));
}

#[test]
fn a_power_on_that_cannot_be_is_left_out() {
    let without = Timeline::of(&booting());
    for at_seconds in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1e300, 7.0] {
        assert_eq!(Timeline::of(&booting()).since(PowerOn { at_seconds, ..power_on() }), without, "{at_seconds}");
    }
    let strange = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -5.0, 0.0, 1e-12, 1e300];
    let units = strange.iter().flat_map(|began| strange.map(|active| ("x".to_owned(), *began, Some(active)))).collect();
    let timeline = Timeline::of(&booting()).since(PowerOn { units, ..power_on() });
    let svg = svg::draw(&timeline);
    well_formed(&svg);
    assert!(!svg.contains("NaN") && !svg.contains("inf\""), "{svg}");
    assert!(text::draw(&timeline).lines().all(|line| line.chars().count() < 200));
}

#[test]
fn a_life_without_a_step_says_so() {
    expect![[r#"
        not ready after 500 ms

          boot 500 ms, going on
          no step has begun
    "#]]
    .assert_eq(&text::draw(&timeline(View::default(), 0.5)));
}

#[test]
fn the_critical_path_is_what_the_boot_waited_for() {
    let timeline = Timeline::of(&life());
    let chain = |panel: &Panel| -> Vec<&str> {
        panel.steps.iter().filter(|step| step.critical).map(|step| step.name.word()).collect()
    };
    let boot = ["identity", "config", "login", "digest", "image", "pull", "create", "start", "healthy", "hook"];
    assert_eq!(chain(&timeline.panels[0]), boot);
    assert_eq!(chain(&timeline.panels[1]), ["settling", "draining_connections", "stopping", "hook"]);
}

#[test]
fn a_step_that_waits_for_another_lets_the_chain_through() {
    let steps = vec![
        step(StepName::Digest, 0.0, 1.0),
        StepView { waits: vec![wait(1.5, 6.0)], ..step(StepName::Image, 1.0, 7.0) },
        step(StepName::Pull, 1.5, 6.0),
        step(StepName::Login, 0.0, 1.4),
        step(StepName::Engine, 0.5, 0.5),
        StepView { waits: vec![wait(8.25, 0.5)], ..step(StepName::Create, 8.0, 1.0) },
    ];
    let timeline = timeline(View { steps, ..View::default() }, 9.0);
    let chain: Vec<_> =
        timeline.panels[0].steps.iter().filter(|step| step.critical).map(|step| step.name.word()).collect();
    assert_eq!(chain, ["digest", "image", "pull", "create"]);
}

#[test]
fn a_step_that_its_phase_cut_off_ends_there_and_not_today() {
    let steps =
        vec![step(StepName::Config, 0.0, 1.0), StepView { took_seconds: None, ..step(StepName::Pull, 1.0, 0.0) }];
    let phases = vec![phase(PhaseName::Boot, 0.0), phase(PhaseName::Drain, 9.0), phase(PhaseName::Gone, 12.0)];
    let timeline = timeline(View { phase: PhaseName::Gone, steps, phases, ..View::default() }, 900.0);
    let pull = &timeline.panels[0].steps[1];
    assert_eq!((pull.state, pull.until_seconds), (BarState::CutOff, 9.0));
    assert_eq!((timeline.panels[0].until_seconds, timeline.panels[0].running), (9.0, false));
    assert_eq!((timeline.panels[1].until_seconds, timeline.panels[1].running), (12.0, false));
}

#[test]
fn an_hour_of_serving_does_not_stretch_the_boot() {
    let phases = vec![phase(PhaseName::Boot, 0.0), phase(PhaseName::Serve, 2.0)];
    let view =
        View { phase: PhaseName::Serve, steps: vec![step(StepName::Healthy, 0.0, 2.0)], phases, ..View::default() };
    let timeline = timeline(view, 3600.0);
    assert_eq!((timeline.panels.len(), timeline.panels[0].until_seconds), (1, 2.0));
}

#[test]
fn json_has_the_moments_and_the_critical_path() {
    let json: serde_json::Value = serde_json::from_str(&json(&Timeline::of(&life()))).unwrap();
    assert_eq!((&json["schema_version"], &json["ready_seconds"]), (&1.into(), &11.907.into()));
    let login = &json["panels"][0]["steps"][4];
    assert_eq!((&login["name"], &login["critical"], &login["state"]), (&"login".into(), &true.into(), &"done".into()));
    assert_eq!(json["panels"][1]["steps"][3]["state"], "running");
    assert_eq!(json["panels"][1]["deadlines"][0]["name"], "termination_hook");
}

fn well_formed(svg: &str) -> roxmltree::Document<'_> {
    roxmltree::Document::parse(svg).unwrap_or_else(|error| panic!("{error}\n{svg}"))
}

#[test]
fn the_picture_is_well_formed_and_has_everything() {
    for report in [life(), booting(), report(View::default(), 0.0)] {
        let svg = svg::draw(&Timeline::of(&report));
        let words: String = well_formed(&svg).descendants().filter_map(|node| node.text()).collect();
        for step in &report.published.view.steps {
            assert!(words.contains(&step.name.label()), "{:?}", step.name);
        }
        for deadline in &report.published.view.deadlines {
            assert!(words.contains(deadline.name.label()), "{:?}", deadline.name);
        }
    }
}

#[test]
fn no_text_from_elsewhere_leaves_its_place() {
    let evil = "</text><script>alert(1)</script>\"' onload=\"x\" &amp; ]]> --> \u{0}\u{1b}[2J\u{7}\u{fffe}\u{ffff}\u{85}\u{2028}\r\n é💥";
    let view = View {
        reason: evil.into(),
        name: Some(evil.into()),
        version: Some(evil.into()),
        image: Some(evil.into()),
        instance_id: Some(evil.into()),
        steps: vec![StepView { error: Some(evil.into()), ..step(StepName::Pull, 0.0, 1.0) }],
        deadlines: vec![DeadlineView { name: DeadlineName::BootTimeout, at_seconds: 1.2 }],
        ..View::default()
    };
    let timeline = timeline(view, 1.0);
    let svg = svg::draw(&timeline);
    let document = well_formed(&svg);
    let elements: std::collections::BTreeSet<_> =
        document.descendants().filter(|node| node.is_element()).map(|node| node.tag_name().name()).collect();
    let drawn = ["defs", "g", "path", "pattern", "rect", "style", "svg", "text", "title"];
    assert_eq!(elements.into_iter().collect::<Vec<_>>(), drawn);
    let handlers = document.descendants().flat_map(|node| node.attributes()).filter(|one| one.name().starts_with("on"));
    assert_eq!(handlers.count(), 0);
    assert!(!svg.contains("http") || svg.matches("http").count() == 1, "only the namespace is an address");

    let text = text::draw(&timeline);
    assert!(!text.chars().any(|character| character.is_control() && character != '\n'), "{text:?}");
    assert_eq!(text.lines().count(), 9, "{text}");
    serde_json::from_str::<serde_json::Value>(&json(&timeline)).unwrap();
}

#[test]
fn numbers_that_cannot_be_are_drawn_anyway() {
    let strange = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -5.0, 0.0, 1e-12, 1e300];
    for began in strange {
        for took in strange {
            let steps = vec![
                StepView { waits: vec![wait(took, began)], ..step(StepName::Pull, began, took) },
                step(StepName::Image, took, began),
            ];
            let phases =
                vec![phase(PhaseName::Boot, took), phase(PhaseName::Drain, began), phase(PhaseName::Gone, took)];
            let deadlines = vec![DeadlineView { name: DeadlineName::BootTimeout, at_seconds: took }];
            let timeline = timeline(View { steps, phases, deadlines, ..View::default() }, began);
            let svg = svg::draw(&timeline);
            well_formed(&svg);
            assert!(!svg.contains("NaN") && !svg.contains("inf\""), "{began} {took}\n{svg}");
            assert!(text::draw(&timeline).lines().all(|line| line.chars().count() < 200));
        }
    }
}

#[test]
fn thousands_of_steps_are_a_long_picture_and_no_more() {
    let steps: Vec<_> = (0..3000u32).map(|at| step(StepName::Pull, f64::from(at), 1.0)).collect();
    let timeline = timeline(View { steps, ..View::default() }, 3000.0);
    assert!(timeline.panels[0].steps.iter().all(|step| step.critical));
    assert!(svg::draw(&timeline).len() < 3000 * 1000);
    assert!(text::draw(&timeline).len() < 3000 * 300);
}
