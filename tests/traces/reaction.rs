//! How soon the agent reacts. Each bound holds whenever within its rounds of asking the thing happens, and with every jitter;
//! `make bench` shows what the shipped binary needs.

use std::time::Duration;

use berth_core::message::event::Event;
use berth_core::message::identity::TargetState;
use berth_core::message::job::JobKind;
use berth_core::view::Status;

use crate::sim::{LINE, Sim, group, ms, secs, target};

/// Whenever within this time it happens, `step` by `step`, each time in another life.
fn moments(within: Duration, step: Duration) -> impl Iterator<Item = (Duration, u64)> {
    (0..).map(move |n: u32| (step * n, u64::from(n))).take_while(move |(at, _)| *at < within)
}

#[test]
fn from_the_metadata_changing_to_503_it_takes_lifecycle_poll_and_100_ms_at_most() {
    for (late, seed) in moments(secs(4), ms(13)) {
        let changed = secs(30) + late;
        let life = Sim::seeded(LINE, seed).sees(changed, target(TargetState::Terminated)).run(changed);
        assert_eq!(life.view().status, Status::Ok, "not before");
        let life = life.run(changed + secs(2) + ms(100));
        assert_eq!(life.view().status, Status::Draining, "changed at {changed:?}, seed {seed}\n{}", life.trace());
    }
}

/// The first wait is the default's, since nobody knows the config yet; from the moment that it is known its `lifecycle.poll` holds.
#[test]
fn a_termination_in_the_first_second_is_a_503_within_the_config_s_poll_and_100_ms() {
    for (poll, line) in [(ms(1000), "lifecycle.poll=1s"), (ms(100), "lifecycle.poll=100ms")] {
        let line = format!("image=r.test/a:1 port=80 {line}");
        for (late, seed) in moments(ms(2600), ms(13)) {
            // The config is known after 15 ms.
            let changed = ms(15) + late;
            let life = Sim::seeded(&line, seed).sees(changed, target(TargetState::Terminated));
            let life = life.run(changed + poll + ms(100));
            assert_eq!(life.view().status, Status::Draining, "changed at {changed:?}, {poll:?}\n{}", life.trace());
        }
    }
}

#[test]
fn from_the_last_connection_closing_to_the_completed_hook_it_takes_drain_idle_and_1_s_at_most() {
    for (late, seed) in moments(secs(2), ms(13)) {
        let closed = secs(80) + late;
        let life = Sim::seeded(LINE, seed)
            .answer(JobKind::StopContainer, ms(10), Event::ContainerStopped)
            .sees(secs(30), target(TargetState::Terminated))
            .holds(secs(0), 1)
            .holds(closed, 0)
            .run(closed + secs(2));
        assert_eq!(life.count(JobKind::StopContainer), 0, "drain.idle is not over");
        let life = life.run(closed + secs(2) + secs(1));
        assert_eq!(life.completed, ["web/boot", "web/leave"], "closed at {closed:?}, seed {seed}\n{}", life.trace());
    }
}

#[test]
fn from_the_app_answering_to_ready_it_takes_the_interval_of_its_probes_and_50_ms_at_most() {
    // While it starts that is 100 ms, whatever the config says.
    for (late, seed) in moments(secs(1), ms(7)) {
        let well = ms(2600) + late;
        let life = Sim::seeded(LINE, seed).sick(secs(0), true).sick(well, false).run(well);
        assert_eq!(life.view().status, Status::Starting, "not before");
        let life = life.run(well + ms(100) + ms(50));
        assert_eq!(life.view().status, Status::Ok, "well at {well:?}\n{}", life.trace());
    }
    // One that was well before is asked every `probe.interval`.
    for (late, seed) in moments(secs(10), ms(43)) {
        let well = secs(32) + late;
        let life = Sim::seeded(LINE, seed).sick(secs(15), true).sick(well, false).run(well);
        assert_eq!(life.view().status, Status::Unhealthy, "not before");
        let life = life.run(well + secs(5) + ms(50));
        assert_eq!((life.view().status, life.view().restarts), (Status::Ok, 0), "well at {well:?}\n{}", life.trace());
    }
}

#[test]
fn an_app_that_is_quick_is_seen_soon_and_a_slow_one_is_not_asked_to_death() {
    let started = when(&Sim::new(LINE).run(secs(30)), "ContainerStarted");
    // A probe takes 10 ms here: one that came too early, and the one that passes.
    for (late, seed) in moments(ms(800), ms(3)) {
        let well = started + late;
        let life =
            Sim::seeded(LINE, seed).sick(secs(0), true).sick(well, false).run(well + (late / 8).max(ms(10)) + ms(22));
        assert_eq!(life.view().status, Status::Ok, "well {late:?} after its start\n{}", life.trace());
    }
    let slow = |until| Sim::new(LINE).sick(secs(0), true).run(started + until).count(JobKind::ProbeApp);
    assert!(slow(secs(1)) <= 30, "{} in the first second", slow(secs(1)));
    let later = slow(secs(21)) - slow(secs(1));
    assert!((180..=200).contains(&later), "{later} in the 20 s after it");
}

/// When the first line of the life that holds the word was.
fn when(life: &Sim, word: &str) -> Duration {
    let line = life.trace().lines().find(|line| line.contains(word)).unwrap_or_default();
    Duration::from_secs_f64(line.split_whitespace().next().unwrap_or_default().parse().unwrap())
}

/// A request of a minute, and a termination hook that the group ends 30 s after the last heartbeat.
fn a_long_request(line: &str) -> Sim {
    Sim::new(line)
        .answer(JobKind::FindGroup, ms(100), group(secs(30), "Pending:Wait"))
        .holds(secs(0), 1)
        .holds(secs(90), 0)
        .sees(secs(30), target(TargetState::Terminated))
        .run(secs(600))
}

/// The longest that the hook was left alone, from the group's making it active to its completion.
fn longest_silence(life: &Sim) -> f64 {
    let moments =
        life.trace().lines().filter(|line| line.contains("HeartbeatRecorded") || line.contains("HookCompleted"));
    let moments = moments.map(|line| line.split_whitespace().next().unwrap().parse::<f64>().unwrap());
    let moments: Vec<f64> = [30.0].into_iter().chain(moments.filter(|at| *at > 30.0)).collect();
    moments.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max)
}

#[test]
fn a_request_of_a_minute_outlives_a_hook_of_30_s_by_its_heartbeats() {
    let life = a_long_request(LINE);
    assert_eq!(life.completed, ["web/boot", "web/leave"], "{}", life.trace());
    assert!(when(&life, "StopContainer") > secs(90), "the request is over first\n{}", life.trace());
    assert!(longest_silence(&life) < 20.0, "{} s\n{}", longest_silence(&life), life.trace());
    let mute = a_long_request(&format!("{LINE} lifecycle.heartbeat=2h"));
    assert!(longest_silence(&mute) > 60.0, "without heartbeats: {} s", longest_silence(&mute));
}
