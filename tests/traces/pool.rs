//! Warm pools, standby and detaching: states in which the instance lives and takes no traffic, or carries on.

use berth_core::message::error::ErrorClass;
use berth_core::message::event::{Event, Signal};
use berth_core::message::identity::TargetState;
use berth_core::message::job::JobKind;
use berth_core::message::outcome::Outcome;
use berth_core::message::snapshot::{Interruption, Snapshot};
use berth_core::view::{PhaseName, Status};

use crate::sim::{LINE, Sim, config, group, identity, ms, secs, survivor, target};

fn warmed(line: &str, state: TargetState) -> Sim {
    pooled(line, state, "Warmed:Pending:Wait")
}

/// An instance that is, as the group says, in this lifecycle state.
fn pooled(line: &str, state: TargetState, lifecycle: &str) -> Sim {
    let mut entering = identity();
    entering.target_state = Some(state.clone());
    Sim::new(line)
        .answer(JobKind::Identify, ms(10), Event::Identified(entering.into()))
        .answer(JobKind::FindGroup, ms(100), group(secs(600), lifecycle))
        .sees(secs(0), target(state))
}

#[test]
fn in_the_pool_everything_is_prepared_and_nothing_runs() {
    for state in [TargetState::WarmedStopped, TargetState::WarmedRunning, TargetState::WarmedHibernated] {
        let life = warmed("image=r.test/a:1 port=80 secrets=prod/api", state.clone()).run(secs(60));
        assert_eq!((life.view().phase, life.view().status), (PhaseName::Warm, Status::Warm), "{state}");
        assert_eq!(life.completions, ["completed CONTINUE"]);
        assert_eq!(life.count(JobKind::PullImage), 1);
        for job in [JobKind::FetchSecrets, JobKind::CreateContainer, JobKind::StartContainer] {
            assert_eq!(life.count(job), 0, "{job:?}");
        }
    }
}

#[test]
fn another_state_of_the_pool_changes_nothing_for_an_instance_in_it() {
    let life = warmed(LINE, TargetState::WarmedStopped).sees(secs(60), target(TargetState::WarmedRunning));
    let life = life.run(secs(300));
    let phases: Vec<PhaseName> = life.view().phases.iter().map(|phase| phase.name).collect();
    assert_eq!(phases, [PhaseName::Boot, PhaseName::Warm], "{}", life.trace());
    assert_eq!(life.completed, ["web/boot"], "no termination hook is active");
}

#[test]
fn in_the_pool_a_completion_that_failed_is_tried_again_however_rarely_the_metadata_are_polled() {
    let life = warmed(&format!("{LINE} lifecycle.poll=1h"), TargetState::WarmedStopped)
        .fails(JobKind::CompleteHook, 2, ErrorClass::Transient, "503")
        .run(secs(30));
    assert_eq!((life.view().phase, &life.completed[..]), (PhaseName::Warm, &["web/boot".to_owned()][..]));
}

#[test]
fn taken_from_the_pool_it_boots_and_completes_the_second_launch_hook() {
    for state in [TargetState::WarmedStopped, TargetState::WarmedRunning, TargetState::WarmedHibernated] {
        let life = warmed(LINE, state.clone())
            .sees(secs(100), target(TargetState::InService))
            .answer(JobKind::FindGroup, ms(100), group(secs(600), "Pending:Wait"))
            .run(secs(200));
        assert_eq!(life.view().status, Status::Ok, "{state}\n{}", life.trace());
        assert_eq!(life.completions.len(), 2);
        assert_eq!(life.count(JobKind::PullImage), 1, "the image was there");
    }
}

#[test]
fn a_boot_that_is_held_in_the_pool_keeps_the_second_launch_hook_from_running_out() {
    let life = pooled(&format!("{LINE} boot.on_failure=hold"), TargetState::WarmedRunning, "Warmed:Running")
        .fails(JobKind::PullImage, 1, ErrorClass::Broken, "manifest unknown")
        .run(secs(90));
    assert_eq!((life.view().phase, life.count(JobKind::RecordHeartbeat)), (PhaseName::Hold, 0), "{}", life.trace());
    let life = life
        .sees(secs(100), target(TargetState::InService))
        .answer(JobKind::FindGroup, ms(100), group(secs(60), "Pending:Wait"))
        .run(secs(220));
    assert_eq!((life.view().phase, life.completions.len()), (PhaseName::Hold, 0), "{}", life.trace());
    assert!(life.count(JobKind::RecordHeartbeat) >= 4, "{}", life.trace());
}

#[test]
fn a_stopped_pool_instance_leaves_at_once() {
    let life = warmed(LINE, TargetState::WarmedStopped).at(secs(60), Event::Signalled(Signal::Term)).run(secs(200));
    assert_eq!((life.outcome(), life.count(JobKind::StopContainer)), (Some(Outcome::Done), 0));
}

#[test]
fn taken_back_into_the_pool_it_drains_completes_the_termination_hook_and_waits() {
    let life = Sim::new(LINE).sees(secs(30), target(TargetState::WarmedRunning)).run(secs(200));
    assert_eq!((life.view().phase, life.outcome()), (PhaseName::Warm, None), "{}", life.trace());
    assert_eq!((life.completions.len(), life.count(JobKind::StopContainer)), (2, 1));
}

#[test]
fn taken_from_the_pool_while_it_still_drains_into_it_it_boots_again() {
    let life = Sim::new(LINE)
        .holds(secs(0), 0)
        .sees(secs(60), target(TargetState::WarmedRunning))
        .sees(secs(70), target(TargetState::InService))
        .run(secs(300));
    assert_eq!(life.view().status, Status::Ok, "{}", life.trace());
    // The launch, the way back into the pool, and the launch again.
    assert_eq!(life.completed.len(), 3, "{}", life.trace());
}

#[test]
fn an_agent_killed_on_the_way_back_into_the_pool_lets_the_app_s_clients_end() {
    let life = warmed(LINE, TargetState::WarmedRunning)
        .answer(JobKind::FindContainers, ms(5), Event::ContainersFound(vec![survivor(&config(LINE))]))
        .answer(JobKind::FindContainers, ms(5), Event::ContainersFound(vec![survivor(&config(LINE))]))
        .holds(secs(0), 1)
        .holds(secs(40), 0)
        .run(secs(200));
    assert_eq!((life.view().phase, life.count(JobKind::RemoveContainer)), (PhaseName::Warm, 0), "{}", life.trace());
    let stop = life.trace().lines().find(|line| line.contains("StopContainer")).unwrap_or_default();
    assert!(stop.starts_with("42."), "{stop}");
    assert_eq!(life.completed, ["web/leave"]);
}

#[test]
fn an_agent_started_again_in_the_pool_and_taken_from_it_while_it_boots_completes_the_second_launch_hook() {
    let mut entering = identity();
    entering.target_state = Some(TargetState::WarmedRunning);
    let life = Sim::new(LINE)
        .answer(JobKind::Identify, ms(10), Event::Identified(entering.into()))
        .answer(JobKind::FindGroup, ms(100), group(secs(600), "Warmed:Running"))
        .answer(JobKind::PullImage, secs(60), Event::ImagePulled)
        .sees(secs(0), target(TargetState::WarmedRunning))
        .sees(secs(30), target(TargetState::InService))
        .run(secs(200));
    assert_eq!((life.view().status, life.completions.len()), (Status::Ok, 1), "{}", life.trace());
}

#[test]
fn a_boot_on_standby_that_is_put_in_service_looks_for_no_second_launch_hook() {
    let life = Sim::new(LINE)
        .answer(JobKind::FindGroup, ms(100), group(secs(600), "Standby"))
        .answer(JobKind::PullImage, secs(60), Event::ImagePulled)
        .sees(secs(10), target(TargetState::Standby))
        .sees(secs(30), target(TargetState::InService))
        .run(secs(200));
    assert_eq!((life.view().status, life.count(JobKind::FindGroup)), (Status::Ok, 1), "{}", life.trace());
    assert_eq!(life.count(JobKind::CompleteHook), 0, "{}", life.trace());
}

#[test]
fn an_instance_taken_from_the_pool_before_its_launch_hook_is_over_keeps_that_hook() {
    let life = warmed(LINE, TargetState::WarmedStopped)
        .answer(JobKind::PullImage, secs(60), Event::ImagePulled)
        .sees(secs(30), target(TargetState::InService))
        .run(secs(200));
    assert_eq!((life.view().status, life.count(JobKind::FindGroup)), (Status::Ok, 1), "{}", life.trace());
    assert_eq!(life.completed, ["web/boot"], "{}", life.trace());
}

#[test]
fn spot_during_the_way_back_into_the_pool_ends_the_life() {
    let spot = Some(Interruption { action: "terminate".to_owned(), ends_in: secs(120) });
    let life = Sim::new(LINE)
        .sees(secs(30), target(TargetState::WarmedRunning))
        .sees(secs(40), Snapshot { spot, ..target(TargetState::WarmedRunning) })
        .run(secs(200));
    assert_eq!(life.outcome(), Some(Outcome::Done), "{}", life.trace());
}

#[test]
fn standby_is_503_with_the_app_running_and_back_on_return() {
    let life = Sim::new(LINE)
        .sees(secs(30), target(TargetState::Standby))
        .sees(secs(60), target(TargetState::InService))
        .run(secs(40));
    assert_eq!((life.view().phase, life.view().status), (PhaseName::Serve, Status::Standby));
    assert_eq!(life.count(JobKind::StopContainer), 0);
    let life = life.run(secs(70));
    assert_eq!(life.view().status, Status::Ok);
}

#[test]
fn detached_and_unknown_states_carry_on() {
    let life = Sim::new(LINE)
        .sees(secs(30), target(TargetState::Detached))
        .sees(secs(60), target(TargetState::Other("Sideways".to_owned())))
        .run(secs(100));
    assert_eq!(life.view().status, Status::Ok);
}

#[test]
fn the_same_state_a_thousand_times_is_one_notice() {
    let life = Sim::new(LINE).sees(secs(30), target(TargetState::Standby)).run(secs(3000));
    assert!(life.count(JobKind::WatchMetadata) > 1000, "{}", life.count(JobKind::WatchMetadata));
    assert_eq!(life.view().status, Status::Standby);
    assert_eq!(
        life.count(JobKind::CompleteHook) + life.count(JobKind::DescribeInstance),
        1,
        "the launch hook, long ago"
    );
}

#[test]
fn a_spot_notice_that_the_config_ignores_is_ignored_on_the_way_out_of_the_pool_too() {
    let spot = Some(Interruption { action: "terminate".to_owned(), ends_in: secs(120) });
    let life = warmed("image=r.test/a:1 port=80 spot=ignore", TargetState::WarmedRunning)
        .sees(secs(60), Snapshot { spot, ..target(TargetState::InService) })
        .run(secs(120));
    assert_eq!(life.view().status, Status::Ok, "{}", life.trace());
}
