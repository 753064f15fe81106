//! Keeping the app running: probes, restarts, an engine that goes away, secrets that rotate.

use berth_core::message::container::Exit;
use berth_core::message::error::ErrorClass;
use berth_core::message::event::Event;
use berth_core::message::identity::TargetState;
use berth_core::message::job::JobKind;
use berth_core::message::outcome::Outcome;
use berth_core::view::Status;

use crate::sim::{LINE, Sim, exited, failure, ms, refused, secs, target};

#[test]
fn readiness_follows_the_thresholds_both_ways() {
    let mut life = Sim::new("image=r.test/a:1 port=80 probe.unhealthy=3 probe.healthy=2")
        .answer(JobKind::ProbeApp, ms(10), Event::ProbePassed)
        .answer(JobKind::ProbeApp, ms(10), Event::ProbePassed);
    for _ in 0..3 {
        life = life.answer(JobKind::ProbeApp, ms(10), refused());
    }
    let before = life.run(ms(17_000));
    assert_eq!(before.view().status, Status::Ok, "two failures are not three\n{}", before.trace());
    let ill = before.run(ms(17_600));
    assert_eq!(ill.view().status, Status::Unhealthy);
    let still = ill.run(secs(23));
    assert_eq!(still.view().status, Status::Unhealthy, "one pass is not two");
    let well = still.run(secs(28));
    assert_eq!((well.view().status, well.count(JobKind::StopContainer)), (Status::Ok, 0));
}

#[test]
fn an_app_that_was_unhealthy_for_a_while_is_left_alone() {
    let mut life = Sim::new(LINE).answer(JobKind::ProbeApp, ms(10), Event::ProbePassed);
    for _ in 0..5 {
        life = life.answer(JobKind::ProbeApp, ms(10), refused());
    }
    let life = life.run(secs(120));
    assert_eq!((life.view().status, life.count(JobKind::StopContainer)), (Status::Ok, 0), "{}", life.trace());
}

#[test]
fn an_app_that_stays_unhealthy_is_restarted() {
    let mut life = Sim::new(LINE).answer(JobKind::ProbeApp, ms(10), Event::ProbePassed);
    for _ in 0..6 {
        life = life.answer(JobKind::ProbeApp, ms(10), refused());
    }
    let life = life.run(secs(120));
    assert_eq!((life.view().status, life.view().restarts), (Status::Ok, 1), "{}", life.trace());
    assert_eq!(life.count(JobKind::StopContainer), 1);
}

#[test]
fn an_app_that_never_gets_healthy_again_is_given_up_past_the_limit() {
    let life = Sim::new("image=r.test/a:1 port=80 restart.limit=2 probe.start_timeout=10s stop_timeout=1s")
        .answer(JobKind::ProbeApp, ms(10), Event::ProbePassed)
        .fails_probing(100_000)
        .run(secs(900));
    assert_eq!((life.outcome(), life.count(JobKind::MarkUnhealthy)), (Some(Outcome::AppFailed), 1), "{}", life.trace());
}

#[test]
fn an_engine_that_goes_away_and_comes_back_is_one_restart_however_many_starts_fail() {
    const AWAY: &str = "the engine is away";
    let life = Sim::new("image=r.test/a:1 port=80 restart.limit=1")
        .answer(JobKind::StartContainer, ms(200), Event::ContainerStarted(Box::new(crate::sim::running())))
        .answer(JobKind::WatchContainer, secs(10), failure(JobKind::WatchContainer, ErrorClass::Transient, AWAY))
        .fails(JobKind::WatchContainer, 20, ErrorClass::Transient, AWAY)
        .answer(JobKind::WatchContainer, ms(10), exited(137))
        .fails(JobKind::StartContainer, 5, ErrorClass::Transient, AWAY)
        .run(secs(300));
    assert_eq!((life.view().status, life.view().restarts), (Status::Ok, 1), "{}", life.trace());
    let attempts = (life.count(JobKind::WatchContainer), life.count(JobKind::StartContainer));
    assert_eq!(attempts, (1 + 20 + 1 + 1, 1 + 5 + 1), "every scripted failure was met\n{}", life.trace());
}

#[test]
fn an_engine_that_comes_back_with_the_container_running_costs_no_restart() {
    let life = Sim::new(LINE)
        .answer(
            JobKind::WatchContainer,
            secs(10),
            failure(JobKind::WatchContainer, ErrorClass::Transient, "the engine is away"),
        )
        .fails(JobKind::WatchContainer, 20, ErrorClass::Transient, "the engine is away")
        .run(secs(120));
    assert_eq!((life.view().status, life.view().restarts), (Status::Ok, 0), "{}", life.trace());
    assert_eq!(
        (life.count(JobKind::WatchContainer), life.count(JobKind::StartContainer)),
        (22, 1),
        "watched again, by its id"
    );
}

#[test]
fn an_app_that_the_kernel_killed_for_memory_is_reported_so_and_started_again() {
    let killed = Event::ContainerExited(Exit { code: 137, oom_killed: true });
    let life = Sim::new(LINE).answer(JobKind::WatchContainer, secs(10), killed).run(secs(13));
    assert!(life.trace().contains("was killed by the kernel, out of memory (code 137)"), "{}", life.trace());
    assert_eq!(life.run(secs(60)).view().status, Status::Ok);
}

#[test]
fn a_start_that_meets_an_absent_engine_does_not_count_as_a_crash() {
    let life = Sim::new("image=r.test/a:1 port=80 restart.limit=1")
        .answer(JobKind::StartContainer, ms(200), Event::ContainerStarted(Box::new(crate::sim::running())))
        .answer(JobKind::WatchContainer, secs(10), exited(1))
        .fails(JobKind::StartContainer, 30, ErrorClass::Transient, "the engine is away")
        .run(secs(200));
    assert_eq!(life.view().status, Status::Ok, "{}", life.trace());
}

#[test]
fn an_engine_that_was_away_before_the_app_was_healthy_makes_the_next_attempt_no_later() {
    const AWAY: &str = "the engine is away";
    let life = Sim::new("image=r.test/a:1 port=80")
        .answer(JobKind::StartContainer, ms(200), Event::ContainerStarted(Box::new(crate::sim::running())))
        .answer(JobKind::WatchContainer, secs(10), exited(1))
        .fails(JobKind::StartContainer, 10, ErrorClass::Transient, AWAY)
        .answer(JobKind::StartContainer, ms(200), Event::ContainerStarted(Box::new(crate::sim::running())))
        .answer(JobKind::WatchContainer, secs(60), exited(1))
        .fails(JobKind::StartContainer, 1, ErrorClass::Transient, AWAY)
        .run(secs(200));
    let time = |line: &str| line.split_whitespace().next().unwrap().parse::<f64>().unwrap();
    let lines: Vec<&str> = life.trace().lines().collect();
    let failed = lines.iter().rposition(|line| line.contains("Failed StartContainer")).unwrap();
    let next = lines[failed..].iter().find(|line| line.contains("> StartContainer")).unwrap();
    let wait = time(next) - time(lines[failed]);
    assert!(wait <= 0.101, "the first wait is 100 ms at most, and was {wait} s\n{}", life.trace());
}

#[test]
fn rotated_secrets_restart_the_app_once() {
    let line = "image=r.test/a:1 port=80 secrets=prod/api secrets_refresh=1h";
    let life = Sim::new(line)
        .answer(JobKind::CheckSecrets, ms(50), Event::SecretsChecked { changed: true })
        .run(secs(4 * 3600));
    assert_eq!(
        (life.view().status, life.count(JobKind::StopContainer), life.count(JobKind::StartContainer)),
        (Status::Ok, 1, 2)
    );
    assert!((3..=5).contains(&life.count(JobKind::CheckSecrets)), "{}", life.count(JobKind::CheckSecrets));
}

#[test]
fn rotated_secrets_can_be_a_signal_instead() {
    let line = "image=r.test/a:1 port=80 secrets=prod/api secrets_refresh=1h,signal:HUP";
    let life = Sim::new(line)
        .answer(JobKind::CheckSecrets, ms(50), Event::SecretsChecked { changed: true })
        .run(secs(4 * 3600));
    assert_eq!((life.count(JobKind::SignalApp), life.count(JobKind::StopContainer)), (1, 0));
}

#[test]
fn a_value_that_cannot_be_fetched_changes_nothing() {
    let line = "image=r.test/a:1 port=80 secrets=prod/api secrets_refresh=1h";
    let life = Sim::new(line).fails(JobKind::CheckSecrets, 3, ErrorClass::Denied, "not any more").run(secs(4 * 3600));
    assert_eq!((life.view().status, life.count(JobKind::StopContainer)), (Status::Ok, 0));
}

#[test]
fn a_fleet_does_not_restart_together() {
    let line = "image=r.test/a:1 port=80 secrets=prod/api secrets_refresh=1h";
    let mut moments: Vec<u64> = (0..50)
        .map(|seed| {
            let life = Sim::seeded(line, seed)
                .answer(JobKind::CheckSecrets, ms(50), Event::SecretsChecked { changed: true })
                .run(secs(2 * 3600));
            let stop = life.trace().lines().find(|line| line.contains("StopContainer")).unwrap_or_default().to_owned();
            stop.split('.').next().and_then(|at| at.parse().ok()).unwrap_or(0)
        })
        .collect();
    moments.sort_unstable();
    let busiest = moments.windows(6).filter(|six| six[5] - six[0] < 60).count();
    assert_eq!(busiest, 0, "six of fifty within a minute: {moments:?}");
}

#[test]
fn an_idle_hour_asks_the_metadata_and_the_app_and_nobody_else() {
    let quiet = Sim::new(LINE).run(secs(60));
    let settled = quiet.ordered.len();
    let hour = quiet.run(secs(3660));
    let others: Vec<JobKind> = hour
        .ordered
        .iter()
        .skip(settled)
        .copied()
        .filter(|job| !matches!(job, JobKind::WatchMetadata | JobKind::ProbeApp))
        .collect();
    assert_eq!(others, []);
    assert!(hour.count(JobKind::WatchMetadata) > 1600, "{}", hour.count(JobKind::WatchMetadata));
}

/// What is kept for people must not grow with time: weeks are many days. The numbers in it do, by some digits, and the first exit of the app comes later than a minute.
#[test]
fn after_a_day_what_the_machine_keeps_is_as_big_as_after_a_minute() {
    let kept = |life: &Sim| (serde_json::to_string(&life.view()).unwrap().len(), life.view().steps.len());
    let quiet = || Sim::new(LINE);
    // A day in which the app exits, the metadata stumbles and the group changes its mind, every hour.
    let restless = || {
        let mut life = Sim::new(LINE);
        for hour in 1..24 {
            let at = secs(hour * 3600);
            life = life
                .answer(JobKind::WatchContainer, secs(3600), exited(1))
                .sees(at, target(TargetState::Standby))
                .sees(at + secs(600), target(TargetState::InService))
                .sick(at + secs(1200), true)
                .sick(at + secs(1230), false);
        }
        life
    };
    for (what, life) in [("quiet", &quiet as &dyn Fn() -> Sim), ("restless", &restless)] {
        let ((minute, steps), (day, later)) = (kept(&life().run(secs(180))), kept(&life().run(secs(24 * 3600))));
        assert!(
            day < minute + 400 && later == steps,
            "{what}: {minute} bytes, {steps} steps; {day} bytes, {later} steps"
        );
    }
    assert!(restless().run(secs(24 * 3600)).view().restarts > 20);
}
