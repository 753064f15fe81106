//! Keeping the app running: probes, restarts, an engine that goes away, secrets that rotate.

use std::net::SocketAddr;
use std::time::Duration;

use berth_core::message::container::{Exit, RunningContainer};
use berth_core::message::error::ErrorClass;
use berth_core::message::event::{Event, Signal};
use berth_core::message::identity::TargetState;
use berth_core::message::job::JobKind;
use berth_core::message::outcome::Outcome;
use berth_core::view::{PortView, ReadyReason, Status};

use crate::sim::{LINE, Sim, exited, failure, ms, refused, running, secs, target};

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
    let life = before.run(ms(17_600));
    let ill = life.view();
    assert_eq!((ill.status, ill.ready_reason), (Status::Unhealthy, ReadyReason::AppUnhealthy));
    let still = life.run(secs(23));
    assert_eq!(still.view().status, Status::Unhealthy, "one pass is not two");
    assert_eq!(still.view().reason, ill.reason, "and the reason stays what made it unhealthy");
    let well = still.run(secs(28));
    assert_eq!((well.view().status, well.count(JobKind::StopContainer)), (Status::Ok, 0));
    assert_eq!((well.view().reason.as_str(), well.view().ready_reason), ("the app is healthy", ReadyReason::Healthy));
}

#[test]
fn every_probe_is_counted_and_those_that_failed_also_apart() {
    let life = Sim::new(LINE).answer(JobKind::WatchContainer, secs(10), exited(1)).fails_probing(3).run(secs(60));
    let (view, probes) = (life.view(), life.count(JobKind::ProbeApp) as u64);
    assert_eq!((view.probe_durations.count, view.probe_failures), (probes, 3), "also before the restart");
    assert!((view.probe_durations.sum_seconds - 0.01 * probes as f64).abs() < 0.001, "each took 10 ms: {view:?}");
}

#[test]
fn how_the_app_exited_last_is_shown_while_it_runs_again() {
    let life = Sim::new(LINE).answer(JobKind::WatchContainer, secs(5), exited(1));
    let life = life.answer(JobKind::WatchContainer, secs(5), exited(137)).run(secs(60));
    let exit = life.view().app_exit.unwrap();
    assert_eq!((life.view().status, exit.code, exit.signal), (Status::Ok, 137, Some(9)), "{}", life.trace());
}

#[test]
fn the_ports_on_the_host_are_shown_while_the_app_runs() {
    let host = SocketAddr::from(([127, 0, 0, 1], 32768));
    let published = Event::ContainerStarted(Box::new(RunningContainer { published: vec![(8080, host)], ..running() }));
    let life = Sim::new(LINE).answer(JobKind::StartContainer, ms(200), published);
    let life = life.answer(JobKind::WatchContainer, secs(10), exited(1)).run(secs(10));
    let ports = |life: &Sim| life.view().container.unwrap().ports;
    assert_eq!(ports(&life), [PortView { container_port: 8080, host_address: host }]);
    assert_eq!(ports(&life.run(ms(12_500))), [], "it exited, and nobody answers there");
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
fn a_stop_that_fails_delays_no_restart() {
    let life = Sim::new(LINE).answer(JobKind::ProbeApp, ms(10), Event::ProbePassed).fails_probing(6);
    let life = life.fails(JobKind::StopContainer, 1, ErrorClass::Broken, "no").run(secs(60));
    assert_eq!((life.view().status, life.view().restarts), (Status::Ok, 1), "{}", life.trace());
}

#[test]
fn a_start_that_never_ends_is_given_up_and_made_again() {
    let life = Sim::new(LINE)
        .answer(JobKind::StartContainer, ms(200), Event::ContainerStarted(Box::new(running())))
        .answer(JobKind::WatchContainer, secs(10), exited(1))
        .never(JobKind::StartContainer)
        .run(secs(200));
    assert_eq!((life.view().status, life.view().restarts), (Status::Ok, 2), "{}", life.trace());
}

#[test]
fn an_exit_counts_within_the_window_and_no_longer() {
    let second = |at| {
        let life = Sim::new("image=r.test/a:1 port=80 restart.limit=1 restart.window=10s");
        life.at(secs(20), exited(1)).at(at, exited(1)).run(secs(60))
    };
    let within = second(ms(29_999));
    assert_eq!(within.outcome(), Some(Outcome::AppFailed), "{}", within.trace());
    let after = second(secs(30));
    assert_eq!((after.view().status, after.view().restarts), (Status::Ok, 2), "{}", after.trace());
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
        .answer(JobKind::StartContainer, ms(200), Event::ContainerStarted(Box::new(running())))
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
fn an_engine_that_stays_away_is_asked_for_the_container_every_second_or_so() {
    let life = Sim::new(LINE).fails_always(JobKind::WatchContainer, "the engine is away").run(secs(62));
    let asked = life.count(JobKind::WatchContainer);
    assert!((60..=130).contains(&asked), "{asked} times in a minute");
    assert_eq!((life.view().status, life.view().restarts), (Status::Ok, 0), "{}", life.trace());
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
        .answer(JobKind::StartContainer, ms(200), Event::ContainerStarted(Box::new(running())))
        .answer(JobKind::WatchContainer, secs(10), exited(1))
        .fails(JobKind::StartContainer, 30, ErrorClass::Transient, "the engine is away")
        .run(secs(200));
    assert_eq!(life.view().status, Status::Ok, "{}", life.trace());
}

#[test]
fn an_engine_that_was_away_before_the_app_was_healthy_makes_the_next_attempt_no_later() {
    const AWAY: &str = "the engine is away";
    let life = Sim::new("image=r.test/a:1 port=80")
        .answer(JobKind::StartContainer, ms(200), Event::ContainerStarted(Box::new(running())))
        .answer(JobKind::WatchContainer, secs(10), exited(1))
        .fails(JobKind::StartContainer, 10, ErrorClass::Transient, AWAY)
        .answer(JobKind::StartContainer, ms(200), Event::ContainerStarted(Box::new(running())))
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
    assert_eq!(life.view().restarts, 1, "it is shown as a restart");
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
fn a_check_of_the_secrets_that_is_never_answered_is_given_up_and_its_values_are_wiped() {
    let line = "image=r.test/a:1 port=80 secrets=prod/api secrets_refresh=1h";
    let boot = Sim::new(line).run(secs(60)).count(JobKind::WipeSecrets);
    let life = Sim::new(line).never(JobKind::CheckSecrets).run(secs(4 * 3600));
    assert_eq!(life.count(JobKind::WipeSecrets), boot + 1, "{}", life.trace());
    assert!((3..=5).contains(&life.count(JobKind::CheckSecrets)), "the next checks follow: {}", life.trace());
}

#[test]
fn secrets_are_checked_in_time_although_nothing_else_happens() {
    let line = "image=r.test/a:1 secrets=prod/api secrets_refresh=5m lifecycle.poll=1h";
    let life = Sim::new(line).run(secs(4 * 3600));
    assert!((47..=61).contains(&life.count(JobKind::CheckSecrets)), "{}", life.count(JobKind::CheckSecrets));
}

#[test]
fn a_check_of_the_secrets_that_is_under_way_ends_with_the_serving() {
    let line = "image=r.test/a:1 port=80 secrets=prod/api secrets_refresh=1h";
    let begun = Sim::new(line).never(JobKind::CheckSecrets).run(secs(3600));
    let at = begun.trace().lines().rfind(|line| line.contains("> CheckSecrets")).expect("the first within the hour");
    let at: f64 = at.split_whitespace().next().unwrap().parse().unwrap();
    let cancelled = |signal: Duration| {
        let life = Sim::new(line).never(JobKind::CheckSecrets).at(signal, Event::Signalled(Signal::Term));
        life.run(signal + ms(1)).trace().matches("> Cancel").count()
    };
    let at = Duration::from_secs_f64(at);
    assert_eq!(cancelled(at + secs(1)), cancelled(at - secs(1)) + 1);
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
