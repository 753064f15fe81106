//! An agent that is killed in a drain: the next one goes on with the time that is left, and only where it should.

use berth_core::message::container::FoundContainer;
use berth_core::message::event::{Event, Signal};
use berth_core::message::identity::TargetState;
use berth_core::message::job::JobKind;
use berth_core::message::outcome::Outcome;
use berth_core::message::snapshot::{Interruption, Snapshot};
use berth_core::phase::drain::Unfinished;
use berth_core::view::{PhaseName, Status};

use crate::sim::{LINE, Sim, config, failure, group, identity, ms, secs, survivor, target};

const TERM: Event = Event::Signalled(Signal::Term);

fn asked() -> Event {
    Event::DrainRequested(Some("the disk".to_owned()))
}

/// The first agent of a life that drains from 30 s on.
fn first(line: &str, why: Event) -> Sim {
    let life = Sim::new(line).holds(secs(0), 1);
    match why {
        Event::MetadataSeen(snapshot) => life.sees_at(secs(30), snapshot),
        why => life.at(secs(30), why),
    }
}

/// The next agent, which finds the container running; a client stays connected.
fn next(line: &str, state: TargetState, left: Option<Unfinished>) -> Sim {
    unscripted(line, state, left).answer(
        JobKind::FindContainers,
        ms(5),
        Event::ContainersFound(vec![survivor(&config(line))]),
    )
}

/// The next agent, and what the engine lists is not scripted.
fn unscripted(line: &str, state: TargetState, left: Option<Unfinished>) -> Sim {
    Sim::new(line).after(left).holds(secs(0), 1).sees(secs(0), target(state.clone())).answer(
        JobKind::Identify,
        ms(10),
        Event::Identified(berth_core::message::identity::Identity { target_state: Some(state), ..identity() }.into()),
    )
}

/// When this happens first, in seconds.
#[track_caller]
fn when(life: &Sim, what: &str) -> f64 {
    let line = life.trace().lines().find(|line| line.contains(what));
    let line = line.unwrap_or_else(|| panic!("no {what} in\n{}", life.trace()));
    line.split_whitespace().next().unwrap().parse().unwrap()
}

const NINE: &str = "image=registry.test/api:v1 port=8080 drain.settle=3s drain.timeout=6s";

#[test]
fn ten_kills_make_a_drain_no_longer() {
    for why in [asked(), Event::MetadataSeen(target(TargetState::Terminated))] {
        let state = if why == asked() { TargetState::InService } else { TargetState::Terminated };
        let mut life = first(NINE, why).run(ms(30_500));
        let (mut passed, mut kills) = (ms(500), 0);
        while life.outcome().is_none() && life.view().phase == PhaseName::Drain && kills < 10 {
            // systemd starts the next after a while.
            let left = life.unfinished().expect("it drains").after(ms(200));
            life = next(NINE, state.clone(), Some(left)).run(ms(500));
            passed += ms(700);
            kills += 1;
        }
        assert_eq!(kills, 10, "9 s of serving on are not over: {passed:?}\n{}", life.trace());
        let left = life.unfinished().expect("it drains").after(ms(200));
        let life = next(NINE, state, Some(left)).run(secs(60));
        let took = passed.as_secs_f64() + 0.2 + when(&life, "> StopContainer");
        assert!((8.9..9.2).contains(&took), "{took} s\n{}", life.trace());
        assert_eq!(life.outcome(), Some(Outcome::DrainCut), "a client was cut, as without a kill");
    }
}

#[test]
fn a_drain_that_a_person_asked_for_goes_on_after_a_crash_and_never_says_ready() {
    let left = first(LINE, asked()).run(secs(35)).unfinished();
    let life = next(LINE, TargetState::InService, left).run(secs(10));
    assert_eq!((life.view().phase, life.view().status), (PhaseName::Drain, Status::Draining), "{}", life.trace());
    assert!(!life.trace().contains("serve"), "{}", life.trace());
    assert!(life.view().reason.starts_with("berth drain (the disk)"), "{}", life.view().reason);
    let life = life.holds(secs(16), 0).run(secs(600));
    assert_eq!(life.outcome(), Some(Outcome::Done), "{}", life.trace());
    let stop = when(&life, "> StopContainer");
    assert!((17.0..19.0).contains(&stop), "15 s of drain.settle were left: {stop}\n{}", life.trace());
    assert!(life.trace().contains("drained after 24 s (berth drain (the disk))"), "{}", life.trace());
}

#[test]
fn a_kill_before_the_instance_is_known_loses_nothing() {
    let left = first(NINE, asked()).run(secs(32)).unfinished().expect("it drains");
    let early = next(NINE, TargetState::InService, Some(left)).run(ms(5));
    assert_eq!(early.view().phase, PhaseName::Boot);
    let handed = early.unfinished().expect("it is handed on");
    assert_eq!(handed.age, ms(2005));
    let life = next(NINE, TargetState::InService, Some(handed)).run(secs(60));
    assert!((6.9..7.1).contains(&when(&life, "> StopContainer")), "{}", life.trace());
}

/// The note may have come with the image of another instance.
#[test]
fn a_signal_before_the_instance_is_known_begins_a_drain_of_its_own() {
    let left = first(NINE, asked()).run(secs(33)).unfinished();
    let left = left.map(|left| Unfinished { clean: false, ..left });
    let life = Sim::new(NINE).after(left).never(JobKind::Identify).at(secs(1), TERM).run(secs(60));
    assert_eq!(life.outcome(), Some(Outcome::Done), "{}", life.trace());
    assert!(life.words.starts_with("drained after 0 s (a signal)"), "{}", life.words);
}

#[test]
fn an_agent_that_is_started_again_after_a_signal_boots_and_serves() {
    let left = first(LINE, TERM).run(secs(35)).unfinished();
    let life = next(LINE, TargetState::InService, left).run(secs(10));
    assert_eq!(life.view().status, Status::Ok, "{}", life.trace());
    assert_eq!(life.unfinished(), None);

    let both = first(LINE, asked()).at(secs(33), TERM).run(secs(35)).unfinished();
    let life = next(LINE, TargetState::InService, both).run(secs(10));
    assert_eq!(life.view().status, Status::Ok, "{}", life.trace());
}

#[test]
fn what_is_left_of_a_drain_by_a_signal_still_counts_when_the_group_wants_the_instance_to_leave() {
    let left = first(NINE, TERM).run(secs(34)).unfinished();
    let life = next(NINE, TargetState::Terminated, left).run(secs(60));
    assert!((4.9..5.1).contains(&when(&life, "> StopContainer")), "{}", life.trace());
}

#[test]
fn a_drain_of_another_instance_is_none() {
    let left = first(LINE, asked()).run(secs(35)).unfinished();
    let left = left.map(|left| Unfinished { instance_id: "i-0fedcba9876543210".to_owned(), ..left });
    let life = next(LINE, TargetState::InService, left).run(secs(10));
    assert_eq!((life.view().status, life.unfinished()), (Status::Ok, None), "{}", life.trace());
}

#[test]
fn a_return_to_the_pool_goes_on_unless_the_group_wants_the_instance_in_service() {
    let back = Event::MetadataSeen(target(TargetState::WarmedStopped));
    let left = || first(NINE, back.clone()).run(secs(34)).unfinished();
    let pool = next(NINE, TargetState::WarmedStopped, left()).run(secs(60));
    assert!((4.9..5.1).contains(&when(&pool, "> StopContainer")), "{}", pool.trace());
    assert_eq!(pool.view().phase, PhaseName::Warm);
    let service = next(NINE, TargetState::InService, left()).run(secs(10));
    assert_eq!(service.view().status, Status::Ok, "{}", service.trace());
}

#[test]
fn a_spot_interruption_ends_when_it_was_announced_and_no_ready_comes_before() {
    let spot = |seconds| Snapshot {
        spot: Some(Interruption { action: "terminate".to_owned(), ends_in: secs(seconds) }),
        ..target(TargetState::InService)
    };
    let left = first(LINE, Event::MetadataSeen(spot(120))).run(secs(60)).unfinished();
    let life = next(LINE, TargetState::InService, left).sees(secs(0), spot(90)).run(secs(600));
    assert!(!life.trace().contains("serve"), "{}", life.trace());
    // 10 s before the end, less stop_timeout.
    assert!((49.0..51.0).contains(&when(&life, "> StopContainer")), "{}", life.trace());
}

#[test]
fn an_agent_that_comes_when_the_time_is_over_still_stops_the_app_before_it_completes_the_hook() {
    let left = || first(LINE, Event::MetadataSeen(target(TargetState::Terminated))).run(secs(40)).unfinished();
    let over = || left().map(|left| Unfinished { cut_in: Some(secs(0)), ..left });
    let late = || next(LINE, TargetState::Terminated, over());
    let orderly = |life: &Sim| life.trace().find("ContainerStopped") < life.trace().find("> CompleteHook");
    let life = late().run(secs(600));
    assert!(orderly(&life) && when(&life, "> CompleteHook") < 1.0, "{}", life.trace());
    let life = late().never(JobKind::ReadConfig).run(secs(600));
    assert!(orderly(&life) && when(&life, "> CompleteHook") < 1.0, "{}", life.trace());
    let life = unscripted(LINE, TargetState::Terminated, over()).never(JobKind::FindContainers).run(secs(600));
    assert!((5.0..5.5).contains(&when(&life, "> CompleteHook")), "an engine that does not answer: {}", life.trace());
    assert!(life.trace().contains("> Exit 5"), "{}", life.trace());
}

#[test]
fn a_stop_that_was_under_way_gets_what_is_left_of_its_time() {
    let line = "image=registry.test/api:v1 port=8080 drain.settle=1s drain.timeout=1s stop_timeout=20s";
    let life = first(line, asked()).never(JobKind::StopContainer).run(secs(40));
    assert_eq!(life.count(JobKind::StopContainer), 1, "{}", life.trace());
    let life = next(line, TargetState::InService, life.unfinished()).run(secs(600));
    assert!(when(&life, "> StopContainer") < 0.1, "nobody is served any more: {}", life.trace());
    let stop = life.trace().lines().find(|line| line.contains("> StopContainer")).unwrap().to_owned();
    let timeout = stop.rsplit("within ").next().unwrap().trim_end_matches('s').parse::<f64>().unwrap();
    assert!((11.5..12.0).contains(&timeout), "{stop}");
}

#[test]
fn a_hook_that_was_tried_for_a_while_is_given_up_when_it_times_out() {
    let hook = |life: Sim| {
        let life = life.answer(JobKind::FindGroup, ms(100), group(secs(120), "Pending:Wait"));
        life.fails_always(JobKind::CompleteHook, "no route")
    };
    let line = format!("{LINE} drain.settle=1s");
    let first = Sim::new(&line).answer(JobKind::CompleteHook, ms(50), Event::HookCompleted);
    let first = hook(first).sees_at(secs(30), target(TargetState::Terminated)).run(secs(94));
    assert!(first.unfinished().unwrap().completing.is_some_and(|tried| tried > secs(55)), "{}", first.trace());
    let stopped = FoundContainer { running: None, ..survivor(&config(&line)) };
    let second = Sim::new(&line).after(first.unfinished()).sees(secs(0), target(TargetState::Terminated)).answer(
        JobKind::FindContainers,
        ms(5),
        Event::ContainersFound(vec![stopped]),
    );
    let second = hook(second).run(secs(600));
    let end = when(&second, "> Exit");
    assert!((50.0..70.0).contains(&end), "120 s in all: {end}\n{}", second.trace());
}

/// Without a known timeout it is asked for a minute after the longest that the drain may take, and no kill begins that minute again.
#[test]
fn a_group_that_left_an_agent_before_this_one_without_an_answer_is_not_waited_for_again() {
    let line = "image=registry.test/api:v1 port=8080 drain.settle=0s drain.timeout=0s stop_timeout=0s lifecycle.group=web \
                lifecycle.launch_hook=boot lifecycle.terminate_hook=leave";
    let away = |life: Sim| life.fails_always(JobKind::CompleteHook, "no route");
    let first = away(Sim::new(line).answer(JobKind::CompleteHook, ms(50), Event::HookCompleted));
    let first = first.sees_at(secs(30), target(TargetState::Terminated)).run(secs(75));
    assert!(first.unfinished().unwrap().completing.is_some_and(|tried| tried > secs(40)), "{}", first.trace());
    let second = away(Sim::new(line).after(first.unfinished()).sees(secs(0), target(TargetState::Terminated)));
    let second = second.run(secs(600));
    let end = when(&second, "> Exit");
    assert!((10.0..20.0).contains(&end), "60 s in all: {end}\n{}", second.trace());
}

#[test]
fn a_kill_makes_the_time_in_which_an_api_that_is_away_is_asked_no_shorter() {
    let line = "image=registry.test/api:v1 port=8080 lifecycle.group=web lifecycle.launch_hook=boot lifecycle.terminate_hook=leave";
    let away = |life: Sim| life.fails_always(JobKind::CompleteHook, "no route");
    for killed_at in [55, 100, 200] {
        let first = away(Sim::new(line).answer(JobKind::CompleteHook, ms(50), Event::HookCompleted));
        let first = first.sees_at(secs(30), target(TargetState::Terminated)).run(secs(killed_at));
        let tried = first.unfinished().unwrap().completing.unwrap();
        let stopped = vec![FoundContainer { running: None, ..survivor(&config(line)) }];
        let second = Sim::new(line).after(first.unfinished()).sees(secs(0), target(TargetState::Terminated)).answer(
            JobKind::FindContainers,
            ms(5),
            Event::ContainersFound(stopped),
        );
        let second = away(second).run(secs(900));
        // The drain began at 30 s, may take 350 s, and the API has 60 s more.
        let end = when(&second, "> WriteFinalStatus") + f64::from(u32::try_from(killed_at).unwrap());
        assert!((438.0..442.0).contains(&end), "killed at {killed_at}: {end}\n{}", second.trace());
        let asked = (440.0 - f64::from(u32::try_from(killed_at).unwrap()) + tried.as_secs_f64()).round();
        let shown = [asked - 1.0, asked, asked + 1.0].map(|seconds| format!("asked for {seconds} s"));
        assert!(shown.iter().any(|shown| second.trace().contains(shown)), "{shown:?}\n{}", second.trace());
    }
}

/// The state of an instance in the pool, where a drain that an operator asked for began, announces no termination.
#[test]
fn a_drain_that_was_asked_for_in_the_pool_tries_a_hook_that_nothing_announced_for_a_minute() {
    let pooled = |life: Sim| {
        let state = TargetState::WarmedRunning;
        let identity = berth_core::message::identity::Identity { target_state: Some(state.clone()), ..identity() };
        let mut life = life
            .sees(secs(0), target(state))
            .answer(JobKind::Identify, ms(10), Event::Identified(identity.into()))
            .answer(JobKind::FindGroup, ms(100), group(secs(600), "Warmed:Pending:Wait"));
        for _ in 0..200 {
            let waits = Event::InstanceDescribed(Some("Warmed:Pending:Wait".to_owned()));
            life = life.answer(JobKind::CompleteHook, ms(50), Event::HookNotActive(JobKind::CompleteHook)).answer(
                JobKind::DescribeInstance,
                ms(50),
                waits,
            );
        }
        life
    };
    let first = pooled(Sim::new(LINE)).at(secs(30), asked()).run(secs(35));
    let left = first.unfinished();
    assert!(left.is_some(), "{}", first.trace());
    let second = pooled(Sim::new(LINE)).after(left).run(secs(600));
    let end = when(&second, "> Exit");
    assert!((50.0..62.0).contains(&end), "60 s in all: {end}\n{}", second.trace());
}

#[test]
fn what_was_cut_short_stays_so_and_what_went_well_too() {
    let failed = first(NINE, asked()).answer(
        JobKind::StopContainer,
        ms(5),
        failure(JobKind::StopContainer, berth_core::message::error::ErrorClass::Broken, "no"),
    );
    let failed = failed.never(JobKind::CompleteHook).never(JobKind::CompleteHook).run(secs(45));
    let life = next(NINE, TargetState::InService, failed.unfinished()).run(secs(600));
    assert_eq!(life.outcome(), Some(Outcome::DrainCut), "{}", life.trace());
    let well = Sim::new(LINE).at(secs(30), asked()).run(secs(35)).unfinished();
    let life = next(LINE, TargetState::InService, well).holds(secs(0), 0).run(secs(600));
    assert_eq!(life.outcome(), Some(Outcome::Done), "{}", life.trace());
}

#[test]
fn an_app_that_exits_after_a_crash_of_the_agent_is_seen() {
    let left = first(LINE, asked()).run(secs(32)).unfinished();
    let life = next(LINE, TargetState::InService, left);
    let life = life.answer(JobKind::WatchContainer, secs(5), crate::sim::exited(1)).run(secs(600));
    assert_eq!(life.outcome(), Some(Outcome::DrainCut), "{}", life.trace());
    assert!(when(&life, "> Exit") < 7.0, "nobody waits for a dead app: {}", life.trace());
}

#[test]
fn a_drain_that_is_over_leaves_nothing_for_the_next_agent() {
    let life = first(NINE, asked()).run(secs(600));
    assert!(life.outcome().is_some() && life.unfinished().is_none());
    assert_eq!(Sim::new(NINE).run(secs(20)).unfinished(), None);
    assert_eq!(Sim::new(NINE).never(JobKind::Identify).at(ms(5), TERM).run(secs(1)).unfinished(), None);
}

#[test]
fn an_app_that_was_asked_to_stop_does_not_serve_on_after_a_kill() {
    let killed = Sim::new(LINE).never(JobKind::StopContainer).at(secs(30), asked()).run(secs(55));
    assert_eq!(killed.count(JobKind::StopContainer), 1, "{}", killed.trace());
    // A client that stays connected would hold the drain up until drain.timeout.
    let life = next(LINE, TargetState::InService, killed.unfinished()).run(secs(600));
    assert!(when(&life, "> StopContainer") < 1.0, "{}", life.trace());
}
