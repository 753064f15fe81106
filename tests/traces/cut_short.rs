//! A drain, or a boot that is given up, that does not go as it should: what is removed anyway, and what is reported of it.

use berth_core::message::container::Exit;
use berth_core::message::error::ErrorClass;
use berth_core::message::event::{Event, Signal};
use berth_core::message::identity::TargetState;
use berth_core::message::job::JobKind;
use berth_core::message::outcome::Outcome;

use crate::sim::{LINE, Sim, config, exited, failure, ms, secs, survivor, target};

const TERM: Event = Event::Signalled(Signal::Term);

/// The final status, as the console has it.
fn final_status(life: &Sim) -> &str {
    let status = life.trace().lines().find_map(|line| line.split_once("> WriteFinalStatus "));
    status.map_or_else(|| panic!("no final status in\n{}", life.trace()), |(_, words)| words)
}

#[test]
fn a_stop_that_is_given_up_leaves_no_secret() {
    let hangs = Sim::new(LINE).never(JobKind::StopContainer).at(secs(30), TERM).run(secs(600));
    assert_eq!(
        (hangs.outcome(), hangs.count(JobKind::ForgetSecrets)),
        (Some(Outcome::DrainCut), 1),
        "{}",
        hangs.trace()
    );
    let refused =
        Sim::new(LINE).fails(JobKind::StopContainer, 1, ErrorClass::Broken, "no").at(secs(30), TERM).run(secs(600));
    assert_eq!((refused.outcome(), refused.count(JobKind::ForgetSecrets)), (Some(Outcome::DrainCut), 1));
    let now = Sim::new(LINE)
        .never(JobKind::StopContainer)
        .never(JobKind::StopContainer)
        .at(secs(30), TERM)
        .at(secs(31), TERM);
    let now = now.run(secs(600));
    assert_eq!((now.outcome(), now.count(JobKind::ForgetSecrets)), (Some(Outcome::DrainCut), 1), "{}", now.trace());
}

#[test]
fn an_engine_that_cannot_say_what_runs_leaves_no_secret() {
    let mut leaving = crate::sim::identity();
    leaving.target_state = Some(TargetState::Terminated);
    let life = Sim::new(LINE)
        .answer(JobKind::Identify, ms(10), Event::Identified(leaving.into()))
        .sees(secs(0), target(TargetState::Terminated))
        .fails_always(JobKind::FindContainers, "the engine is away")
        .run(secs(600));
    assert_eq!((life.outcome(), life.count(JobKind::ForgetSecrets)), (Some(Outcome::DrainCut), 1), "{}", life.trace());
}

#[test]
fn a_failed_boot_whose_app_cannot_be_stopped_leaves_no_secret() {
    let sick = || Sim::new("image=r.test/a:1 port=80 probe.start_timeout=3s").fails_probing(1000);
    let refused = sick().fails(JobKind::StopContainer, 1, ErrorClass::Transient, "the engine is gone").run(secs(600));
    assert_eq!((refused.outcome(), refused.count(JobKind::ForgetSecrets)), (Some(Outcome::BootFailed), 1));
    let hangs = sick().never(JobKind::StopContainer).run(secs(600));
    assert_eq!(
        (hangs.outcome(), hangs.count(JobKind::ForgetSecrets)),
        (Some(Outcome::BootFailed), 1),
        "{}",
        hangs.trace()
    );
}

#[test]
fn a_stop_that_succeeds_takes_the_secrets_away_itself() {
    let life = Sim::new(LINE).at(secs(30), TERM).run(secs(600));
    assert_eq!((life.outcome(), life.count(JobKind::ForgetSecrets)), (Some(Outcome::Done), 0));
}

#[test]
fn an_app_that_exits_before_load_balancers_saw_the_503_is_no_drain() {
    let life = Sim::new(LINE).answer(JobKind::WatchContainer, secs(35), exited(143)).at(secs(30), TERM).run(secs(600));
    assert_eq!((life.outcome(), life.count(JobKind::StopContainer)), (Some(Outcome::DrainCut), 1), "{}", life.trace());
    assert!(
        final_status(&life).starts_with("the drain was cut short after 8 s (a signal); the app exited with code 143"),
        "{}",
        life.trace()
    );
}

#[test]
fn an_app_that_exits_with_clients_is_no_drain_and_without_any_it_is() {
    let killed = || Event::ContainerExited(Exit { code: 137, oom_killed: true });
    let busy = Sim::new(LINE).holds(secs(0), 2).answer(JobKind::WatchContainer, secs(58), killed());
    let busy = busy.at(secs(30), TERM).run(secs(600));
    assert_eq!(busy.outcome(), Some(Outcome::DrainCut), "{}", busy.trace());
    assert!(final_status(&busy).contains("out of memory (code 137) before it was stopped"), "{}", busy.trace());

    let line = "image=registry.test/api:v1 port=8080 health=/health drain.idle=20s";
    let idle = Sim::new(line).answer(JobKind::WatchContainer, secs(58), exited(0)).at(secs(30), TERM).run(secs(600));
    assert_eq!(idle.outcome(), Some(Outcome::Done), "nobody was connected: {}", idle.trace());
    let words = final_status(&idle);
    assert!(words.starts_with("drained after") && words.contains("exited with code 0 before it was"), "{words}");
}

/// The engine stops, and with it the app; then it is started again.
#[test]
fn an_engine_that_dies_in_the_settle_time_takes_the_app_along_and_that_is_reported() {
    let life = Sim::new(LINE)
        .answer(
            JobKind::WatchContainer,
            secs(33),
            failure(JobKind::WatchContainer, ErrorClass::Transient, "connection closed"),
        )
        .fails(JobKind::WatchContainer, 2, ErrorClass::Transient, "no engine")
        .answer(JobKind::WatchContainer, ms(5), exited(137))
        .at(secs(30), TERM)
        .run(secs(600));
    assert_eq!(life.outcome(), Some(Outcome::DrainCut), "{}", life.trace());
    let words = final_status(&life);
    assert!(
        words.contains("the app exited with code 137 (SIGKILL") && words.contains("before it was stopped"),
        "{}",
        life.trace()
    );
}

/// A drain that comes while the boot removes a container of another config: the engine goes on with the removal.
#[test]
fn a_container_that_the_boot_was_removing_is_no_app_that_ended() {
    let found = || {
        let other = survivor(&config("image=registry.test/api:v0 port=8080 health=/health"));
        Event::ContainersFound(vec![other])
    };
    let life = Sim::new(LINE)
        .answer(JobKind::FindContainers, ms(5), found())
        .never(JobKind::RemoveContainer)
        .answer(JobKind::FindContainers, ms(5), found())
        .answer(JobKind::WatchContainer, ms(3), exited(137))
        .at(secs(1), Event::DrainRequested(None))
        .run(secs(600));
    assert_eq!(life.outcome(), Some(Outcome::Done), "{}", life.trace());
    assert!(final_status(&life).starts_with("drained after"), "{}", life.trace());
}

#[test]
fn after_a_container_that_could_not_be_created_a_drain_looks_for_no_other() {
    for (class, looks) in [(ErrorClass::Broken, 1), (ErrorClass::Transient, 2)] {
        let life = Sim::new(&format!("{LINE} boot.on_failure=hold"))
            .fails(JobKind::CreateContainer, 1, class, "no")
            .sees(secs(30), target(TargetState::Terminated))
            .run(secs(600));
        assert_eq!(life.outcome(), Some(Outcome::Done), "{}", life.trace());
        // After an answer that was lost, the container may be there.
        assert_eq!(life.count(JobKind::FindContainers), looks, "{class:?}: {}", life.trace());
    }
}
