//! Power-on: the agent starts beside the network and the engine, and neither is waited for longer than it takes.

use berth_core::message::error::ErrorClass;
use berth_core::message::event::Event;
use berth_core::message::job::JobKind;
use berth_core::view::Status;

use crate::sim::{Sim, secs};

const LINE: &str =
    "image=123456789012.dkr.ecr.us-east-2.amazonaws.com/api:v1 port=8080 health=/health secrets=prod/api";

/// When a line with these words was first written, in seconds.
fn when(life: &Sim, words: &str) -> f64 {
    let line = life.trace().lines().find(|line| line.contains(words));
    let line = line.unwrap_or_else(|| panic!("no {words} in\n{}", life.trace()));
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn metadata_that_come_within_seconds_are_seen_within_50_ms() {
    // Each attempt fails after 10 ms, as without a route.
    for failures in [1, 10, 60] {
        let life = Sim::new(LINE).fails(JobKind::Identify, failures, ErrorClass::Transient, "no route").run(secs(60));
        let (identified, most) =
            (when(&life, " Identified "), 0.01 + f64::from(u8::try_from(failures).unwrap()) * 0.06);
        assert!(identified <= most + 0.01, "{failures} failures: {identified} > {most}\n{}", life.trace());
        assert_eq!(life.view().status, Status::Ok);
    }
}

#[test]
fn metadata_that_stay_away_are_asked_once_a_second_at_most() {
    let life = Sim::new(LINE).fails_always(JobKind::Identify, "no route").run(secs(300));
    let asked = life.count(JobKind::Identify);
    assert!((350..800).contains(&asked), "{asked}");
}

/// An engine that is started by the first connection to its socket answers the ping once it is up.
#[test]
fn an_engine_that_comes_late_is_asked_once_and_delays_nothing_else() {
    let life = Sim::new(LINE).answer(JobKind::PingEngine, secs(20), Event::EngineAnswered).run(secs(60));
    for ready in ["SecretsFetched", "RegistryLoggedIn", "GroupFound"] {
        assert!(when(&life, ready) < 2.0, "{ready}\n{}", life.trace());
    }
    let (answered, created) = (when(&life, "EngineAnswered"), when(&life, "> CreateContainer"));
    assert!(answered > 20.0 && created > answered, "{}", life.trace());
    assert_eq!(life.count(JobKind::PingEngine), 1, "{}", life.trace());
    assert_eq!(life.view().status, Status::Ok);
}

/// Without systemd's socket there is nothing to connect to until the engine is up.
#[test]
fn an_engine_without_a_socket_is_asked_again_soon() {
    let life = Sim::new(LINE).fails(JobKind::PingEngine, 3, ErrorClass::Transient, "no such file").run(secs(60));
    assert!(when(&life, "EngineAnswered") < 1.0, "{}", life.trace());
    assert!(when(&life, "SecretsFetched") < 1.0, "{}", life.trace());
}
