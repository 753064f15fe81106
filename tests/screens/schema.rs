//! What the machine shows in many lives is what docs/schema says, by a validator of JSON Schema that is not ours.

use std::time::Duration;

use berth_core::clock::Uptime;
use berth_core::message::command::Command;
use berth_core::message::container::Exit;
use berth_core::message::effect::Effect;
use berth_core::message::error::{ErrorClass, JobError};
use berth_core::message::event::{Event, PullProgress, Signal};
use berth_core::message::group::{HookName, HookResult};
use berth_core::message::identity::TargetState;
use berth_core::message::job::{Job, JobKind, Ticket};
use berth_core::message::outcome::Outcome;
use berth_core::message::probe_failure::{ProbeFailure, ProbeFailureKind};
use berth_core::view::feed::{EffectLine, EventLine, FeedLine, LaggedLine};
use berth_core::view::last_life::{Ending, LastLife};
use berth_core::view::published::{Published, StatusReport};
use berth_core::view::timeline::{PowerOn, Timeline};
use berth_core::view::{PhaseName, View};
use berth_kit::schema;
use serde_json::{Value, json};

use crate::sim::{LINE, Sim, exited, failure, group, ms, secs, target};

const NOW: Uptime = Uptime(Duration::from_millis(1500));

/// An instance that follows a document.
const FOLLOWED: &str = "config=s3://bucket/web follow=15s release.board=s3://bucket/board";

/// The stories of lives that end in each way, looked at every few seconds.
fn views() -> Vec<View> {
    let denied = || failure(JobKind::ResolveDigest, ErrorClass::Denied, "AccessDeniedException");
    let hold = format!("{LINE} boot.on_failure=hold");
    let followed = |tag: &str| format!("image=registry.test/api:{tag} port=8080 health=/health {FOLLOWED}");
    let lives: [&dyn Fn() -> Sim; 8] = [
        &|| Sim::new(LINE).at(secs(60), Event::Signalled(Signal::Term)),
        &|| {
            Sim::new(LINE)
                .answer(JobKind::FindGroup, ms(10), group(secs(600), "Pending:Wait"))
                .sees(secs(60), target(TargetState::Terminated))
        },
        &|| Sim::new(LINE).answer(JobKind::ResolveDigest, ms(10), denied()).never(JobKind::WriteFinalStatus),
        &|| Sim::new(&hold).answer(JobKind::ResolveDigest, ms(10), denied()),
        &|| {
            Sim::new(LINE)
                .answer(JobKind::WatchContainer, secs(30), exited(137))
                .sick(secs(50), true)
                .holds(secs(60), 3)
        },
        &|| Sim::new(LINE).sees(secs(0), target(TargetState::WarmedRunning)),
        &|| Sim::new(LINE).at(secs(20), Event::DrainRequested(Some("why".into()))).holds(secs(0), 2),
        &|| {
            let (one, two) = (followed("v1"), followed("v2"));
            Sim::new(&one).publishes(secs(0), &one).publishes(secs(45), &two)
        },
    ];
    let moments = [0, 1, 3, 8, 40, 62, 70, 90, 130, 400, 900];
    lives.iter().flat_map(|life| moments.map(|at| life().run(secs(at)).view())).collect()
}

fn report(view: View) -> StatusReport {
    let published = Published {
        view,
        agent_version: "0.1.0".into(),
        started_at: "2026-11-21T03:38:41Z".into(),
        ..Published::default()
    };
    StatusReport::new(published, 1e6)
}

#[test]
fn what_the_machine_shows_in_many_lives_is_what_the_schemas_say() {
    let views = views();
    for phase in PhaseName::ALL {
        assert!(views.iter().any(|view| view.phase == *phase), "no life shows {phase:?}");
    }
    assert!(views.iter().any(|view| view.drain.is_some()) && views.iter().any(|view| view.failure.is_some()));
    assert!(views.iter().any(|view| view.app_exit.is_some()) && views.iter().any(|view| !view.probes.is_empty()));
    let reports: Vec<StatusReport> = views.into_iter().map(report).collect();
    let values = |of: &dyn Fn(&StatusReport) -> Value| reports.iter().map(of).collect::<Vec<_>>();
    schema::agree("status.json", &values(&|report| json!(report)));
    schema::agree("timeline.json", &values(&|report| json!(Timeline::of(report))));
    let power_on = PowerOn { at_seconds: -2.0, units: vec![("docker.service".into(), -1.0, None)] };
    schema::agree("timeline.json", &values(&|report| json!(Timeline::of(report).since(power_on.clone()))));
    let life = |report: &StatusReport| LastLife {
        report: report.clone(),
        last_life: Ending { written_at: "2026-11-21T03:40:04Z".into(), exit_code: Some(5), final_status: None },
    };
    schema::agree("last-life.json", &values(&|report| json!(life(report))));
    schema::agree("timeline.json", &values(&|report| json!(Timeline::of_last(&life(report)))));
}

/// Lines as the page shows them.
pub(crate) fn examples() -> Vec<String> {
    let answers = Some((Ticket(7), JobKind::PullImage, Duration::from_millis(1250)));
    let throttled = Event::Failed(
        JobKind::PullImage,
        JobError::new(ErrorClass::Throttled, "pull ap-api:a1b2c3d: too many requests"),
    );
    let lines = [
        FeedLine::Event(Box::new(EventLine::new(PhaseName::Boot, answers, &throttled, NOW))),
        FeedLine::Event(Box::new(EventLine::new(PhaseName::Serve, None, &Event::Signalled(Signal::Term), NOW))),
        FeedLine::Effect(Box::new(EffectLine::new(
            PhaseName::Drain,
            &Effect::Command(Command::Exit(Outcome::Done)),
            NOW,
        ))),
    ];
    lines.iter().map(|line| serde_json::to_string(line).unwrap()).collect()
}

#[test]
fn every_line_of_the_feed_is_what_the_schema_says() {
    let answers = |job| Some((Ticket(7), job, Duration::from_millis(20)));
    let event = |answers, event: &Event| {
        json!(FeedLine::Event(Box::new(EventLine::new(PhaseName::Serve, answers, event, NOW))))
    };
    let failed =
        |job: &JobKind| event(answers(*job), &Event::Failed(*job, JobError::new(ErrorClass::Throttled, "why")));
    let mut lines: Vec<Value> = JobKind::ALL.iter().map(failed).collect();
    for one in [
        Event::ProbeFailed(ProbeFailure::new(ProbeFailureKind::Status, "HTTP 500")),
        Event::ContainerExited(Exit { code: 137, oom_killed: true }),
        Event::PullProgressed(PullProgress { layers_done: 1, layers: 2, bytes: 3, total: 4 }),
        Event::ConnectionsCounted(7),
        Event::Signalled(Signal::Interrupt),
    ] {
        lines.push(event(None, &one));
    }
    let hook = HookName { group: "g".into(), hook: "h".into() };
    for one in [
        Effect::Job(Ticket(7), Job::PingEngine),
        Effect::Job(Ticket(8), Job::CompleteHook { hook, result: HookResult::Abandon }),
        Effect::Command(Command::Cancel(Ticket(7))),
        Effect::Command(Command::Exit(Outcome::DrainCut)),
        Effect::Command(Command::HandOver),
        Effect::Command(Command::RefuseHandover("why")),
        Effect::Command(Command::Remark("why".into())),
    ] {
        lines.push(json!(FeedLine::Effect(Box::new(EffectLine::new(PhaseName::Drain, &one, NOW)))));
    }
    lines.push(json!(FeedLine::Lagged(LaggedLine::new(3))));
    schema::agree("events.json", &lines);
}

#[test]
fn the_validator_finds_what_is_wrong() {
    let right = json!(report(View::default()));
    for (path, wrong) in [
        ("/schema_version", json!("1")),
        ("/phase", json!("booting")),
        ("/phase_since_seconds", json!("1.5 s")),
        ("/lifecycle/hooks", json!([{ "state": "completed CONTINUE" }])),
        ("/container", json!({ "id": "x" })),
    ] {
        let mut report = right.clone();
        *report.pointer_mut(path).unwrap() = wrong;
        assert!(!schema::differences("status.json", &[report]).is_empty(), "{path}");
    }
    let (mut more, mut less) = (right.clone(), right.clone());
    more["lifecycle"]["surprise"] = json!(1);
    less.as_object_mut().unwrap().remove("now_seconds");
    assert!(!schema::differences("status.json", &[more]).is_empty(), "a field that the schema does not have");
    assert!(!schema::differences("status.json", &[less]).is_empty(), "a field that is not there");
    assert_eq!(schema::differences("status.json", &[right]), [""; 0]);
}
