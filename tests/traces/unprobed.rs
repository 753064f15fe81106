//! An app that nobody can ask (`health=none`): it is healthy once it has run for `probe.running_for`.

use std::time::Duration;

use berth_core::message::container::Exit;
use berth_core::message::container::HealthCheck;
use berth_core::message::event::Event;
use berth_core::message::job::JobKind;
use berth_core::message::outcome::Outcome;
use berth_core::view::{PhaseName, Status};

use crate::sim::{LINE, Sim, config, exited, ms, running, secs, survivor};

/// No port, and an image without HEALTHCHECK.
const WORKER: &str = "image=registry.test/worker:v1";

/// In this world its container is started 2.405 s after the agent.
const STARTED: Duration = Duration::from_millis(2405);

fn started_after(running_for: Duration) -> Event {
    let mut container = running();
    container.running_for = running_for;
    Event::ContainerStarted(Box::new(container))
}

fn exits(mut life: Sim, times: usize, after: Duration, code: i64) -> Sim {
    for _ in 0..times {
        life = life.answer(JobKind::WatchContainer, after, exited(code));
    }
    life
}

#[test]
fn a_worker_is_ready_five_seconds_after_its_start_and_not_before() {
    let before = Sim::new(WORKER).run(STARTED + ms(4999));
    assert_eq!((before.view().phase, before.view().status), (PhaseName::Boot, Status::Starting), "{}", before.trace());
    assert!(before.view().reason.contains("has not run for 5s yet (probe.running_for)"), "{}", before.view().reason);
    let after = before.run(STARTED + ms(5001));
    assert_eq!((after.view().status, after.completions.len()), (Status::Ok, 0), "{}", after.trace());
    assert_eq!(after.run(secs(20)).completions, ["completed CONTINUE"]);
}

#[test]
fn a_worker_that_exits_before_its_time_is_abandoned_whenever_it_exits() {
    for after in [ms(0), ms(300), secs(2), secs(4), ms(4990)] {
        let life = exits(Sim::new(WORKER), 20, after, 1).run(secs(200));
        assert_eq!(life.outcome(), Some(Outcome::BootFailed), "{after:?}\n{}", life.trace());
        assert_eq!(life.completions, ["completed ABANDON"], "{after:?}");
        assert_eq!(life.count(JobKind::StartContainer), 6, "restart.limit counts, {after:?}");
        assert!(life.trace().contains("exited with code 1 before it had run for 5s (probe.running_for)"));
    }
}

#[test]
fn a_worker_that_stays_up_at_its_third_start_is_served() {
    let life = exits(Sim::new(WORKER), 2, secs(4), 1).run(secs(60));
    assert_eq!((life.view().status, life.view().restarts), (Status::Ok, 2), "{}", life.trace());
    assert_eq!(life.completions, ["completed CONTINUE"]);
}

#[test]
fn nobody_asks_a_worker() {
    let life = Sim::new(WORKER).run(secs(600));
    assert_eq!((life.view().status, life.count(JobKind::ProbeApp)), (Status::Ok, 0));
    assert_eq!(life.view().probes, []);
}

#[test]
fn a_port_or_a_healthcheck_is_asked_and_not_waited_for() {
    let life = Sim::new("image=registry.test/api:v1 port=80").run(STARTED + secs(1));
    assert_eq!((life.view().status, life.count(JobKind::ProbeApp)), (Status::Ok, 1));
    let mut with_healthcheck = running();
    with_healthcheck.healthcheck =
        Some(HealthCheck { command: vec!["/probe".to_owned()], timeout: secs(30), start_period: Duration::ZERO });
    let life = Sim::new(WORKER)
        .answer(JobKind::StartContainer, ms(200), Event::ContainerStarted(Box::new(with_healthcheck)))
        .run(STARTED + secs(1));
    assert_eq!((life.view().status, life.count(JobKind::ProbeApp)), (Status::Ok, 1));
}

#[test]
fn zero_seconds_count_it_as_healthy_once_it_is_started() {
    let life = Sim::new("image=registry.test/worker:v1 probe.running_for=0s").run(STARTED + ms(10));
    assert_eq!((life.view().status, life.count(JobKind::ProbeApp)), (Status::Ok, 0), "{}", life.trace());
}

#[test]
fn an_adopted_worker_is_ready_when_it_has_run_for_long_enough_over_both_agents() {
    let adopted = |ran: Duration| {
        let mut found = survivor(&config(WORKER));
        if let Some(running) = &mut found.running {
            running.running_for = ran;
        }
        Sim::new(WORKER).answer(JobKind::FindContainers, ms(5), Event::ContainersFound(vec![found]))
    };
    assert_eq!(adopted(secs(3600)).run(ms(30)).view().status, Status::Ok);
    assert_eq!(adopted(secs(2)).run(ms(3000)).view().status, Status::Starting);
    assert_eq!(adopted(secs(2)).run(ms(3050)).view().status, Status::Ok);
}

/// The engine's times are the wall clock's, and a boot is when that is set.
#[test]
fn a_clock_that_jumps_between_start_and_look_makes_no_worker_healthy_early() {
    let life = Sim::new(WORKER).answer(JobKind::StartContainer, ms(200), started_after(secs(86_400)));
    let life = life.run(STARTED + ms(4700));
    assert_eq!(life.view().status, Status::Starting, "{}", life.trace());
    assert_eq!(life.run(STARTED + ms(4810)).view().status, Status::Ok);
}

#[test]
fn the_time_that_a_worker_must_run_is_not_taken_from_its_start_timeout() {
    let line = "image=registry.test/worker:v1 probe.running_for=3m probe.start_timeout=30s";
    let life = Sim::new(line).run(STARTED + secs(181));
    assert_eq!(life.view().status, Status::Ok, "{}", life.trace());
}

#[test]
fn a_worker_that_exits_while_it_serves_is_unready_until_it_has_run_for_its_time_again() {
    let life = Sim::new(WORKER).answer(JobKind::WatchContainer, secs(20), exited(1));
    let down = life.run(STARTED + ms(20_001));
    assert_eq!(down.view().status, Status::Unhealthy);
    let started = |life: &Sim| life.count(JobKind::StartContainer) == 2 && life.view().container.is_some();
    let up = down.run(STARTED + ms(25_000));
    assert!(started(&up) && up.view().status == Status::Unhealthy, "{}", up.trace());
    let well = up.run(STARTED + ms(27_000));
    assert_eq!((well.view().status, well.view().restarts), (Status::Ok, 1), "{}", well.trace());
}

#[test]
fn a_program_that_cannot_run_at_the_first_start_ends_the_boot_at_once() {
    for (code, meaning) in [(126, "cannot be executed"), (127, "is not in the image")] {
        for line in [WORKER, LINE] {
            let life = exits(Sim::new(line), 1, ms(0), code).fails_probing(10).run(secs(60));
            assert_eq!((life.outcome(), life.count(JobKind::StartContainer)), (Some(Outcome::BootFailed), 1));
            assert_eq!(life.completions, ["completed ABANDON"]);
            assert!(life.trace().contains(&format!("exited with code {code} (")) && life.trace().contains(meaning));
        }
    }
}

#[test]
fn the_same_codes_later_are_exits_like_others() {
    let life = exits(Sim::new(WORKER), 1, secs(30), 127).run(secs(90));
    assert_eq!((life.view().status, life.view().restarts), (Status::Ok, 1), "an app that ran may say 127 too");
    let life = exits(exits(Sim::new(WORKER), 1, secs(1), 1), 1, secs(1), 126).run(secs(90));
    assert_eq!((life.view().status, life.view().restarts), (Status::Ok, 2), "its program ran at the first start");
}

#[test]
fn memory_that_ran_out_and_a_kill_are_different_exits() {
    let of = |code, oom_killed| Exit { code, oom_killed }.to_string();
    assert_eq!(of(137, true), "was killed by the kernel, out of memory (code 137)");
    assert!(of(137, false).starts_with("exited with code 137 (SIGKILL: "));
    assert!(of(139, false).starts_with("exited with code 139 (SIGSEGV: "));
    assert!(of(143, false).starts_with("exited with code 143 (SIGTERM: "));
    assert_eq!(of(3, false), "exited with code 3");
}
