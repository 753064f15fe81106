//! Whose answer an answer is: two jobs of one kind at a time, answered in either order, and an answer that comes too late.

use std::sync::Arc;

use berth_config::Foreign;
use berth_core::app::{App, Recipe};
use berth_core::clock::Uptime;
use berth_core::hook::Hook;
use berth_core::machine::Machine;
use berth_core::message::container::{ContainerId, RunningContainer};
use berth_core::message::effect::Effect;
use berth_core::message::error::ErrorClass;
use berth_core::message::event::{Event, PullProgress};
use berth_core::message::group::{HookResult, Membership};
use berth_core::message::identity::TargetState;
use berth_core::message::input::Input;
use berth_core::message::job::{Job, JobKind, Ticket};
use berth_core::outbox::Outbox;
use berth_core::retry::FAR;
use berth_core::step::Step;
use berth_core::targets::HostPorts;

use crate::sim::{self, LINE, Sim, exited, failure, group, identity, ms, running, secs, target};
use berth_core::view::{HookState, StepName};

const NOW: Uptime = Uptime::ZERO;

/// The tickets of these jobs, in the order in which they were ordered; everything else is dropped.
fn ordered(outbox: &mut Outbox, kind: JobKind) -> Vec<Ticket> {
    std::iter::from_fn(|| outbox.take())
        .filter_map(|effect| match effect {
            Effect::Job(ticket, job) if job.kind() == kind => Some(ticket),
            _ => None,
        })
        .collect()
}

/// A hook that is found and to be completed.
fn completing(mut hook: Hook, outbox: &mut Outbox) -> Hook {
    let Event::GroupFound(membership) = group(secs(600), "Pending:Wait") else { panic!("a group") };
    let membership: Option<Membership> = membership;
    hook.begin(Some(&Arc::new(identity())), &sim::config(LINE).lifecycle, Some(membership), outbox, NOW);
    hook.complete(HookResult::Continue, outbox, NOW);
    hook
}

#[test]
fn two_hooks_that_are_completed_at_a_time_each_get_their_own_answer() {
    for first_is_first in [true, false] {
        let mut outbox = Outbox::new(1);
        let mut hooks = [Hook::launching(), Hook::terminating(true)].map(|hook| completing(hook, &mut outbox));
        let [launch, terminate] = ordered(&mut outbox, JobKind::CompleteHook)[..] else { panic!("two completions") };
        let done = Input::Answer(launch, Event::HookCompleted);
        let early = Input::Answer(terminate, Event::HookNotActive(JobKind::CompleteHook));
        let answers = if first_is_first { [&done, &early] } else { [&early, &done] };
        for answer in answers {
            hooks.iter_mut().for_each(|hook| hook.on(answer, &mut outbox, NOW));
        }
        let states = hooks.each_ref().map(|hook| hook.view().state);
        assert_eq!(states, [HookState::Completed, HookState::Completing], "launch first: {first_is_first}");
        let asked = ordered(&mut outbox, JobKind::DescribeInstance);
        assert_eq!(asked.len(), 1, "only the one that was too early asks why");
    }
}

/// An app whose container is being started.
fn starting(id: &str, outbox: &mut Outbox) -> App {
    let config = Arc::new(sim::config(LINE));
    let image = config.image.at(sim::DIGEST.to_owned());
    let recipe = Recipe { config, identity: Arc::new(identity()), image, ports: HostPorts::new() };
    App::start(recipe, ContainerId(id.to_owned()), outbox, NOW)
}

#[test]
fn two_apps_beside_each_other_each_get_their_own_answer() {
    for first_is_first in [true, false] {
        let mut outbox = Outbox::new(1);
        let mut apps = ["old", "new"].map(|id| starting(id, &mut outbox));
        let tickets = ordered(&mut outbox, JobKind::StartContainer);
        let mut started: Vec<Input> = ["old", "new"]
            .into_iter()
            .zip(&tickets)
            .map(|(id, ticket)| {
                let running = RunningContainer { id: ContainerId(id.to_owned()), ..running() };
                Input::Answer(*ticket, Event::ContainerStarted(Box::new(running)))
            })
            .collect();
        if !first_is_first {
            started.reverse();
        }
        for answer in &started {
            apps.iter_mut().for_each(|app| drop(app.on(answer, &mut outbox, NOW)));
        }
        let runs = apps.each_ref().map(|app| app.running().map(|running| running.id.0.as_str()));
        assert_eq!(runs, [Some("old"), Some("new")], "old first: {first_is_first}");

        // Each is watched by itself: the exit of one is none of the other's.
        let watched = ordered(&mut outbox, JobKind::WatchContainer);
        let new = watched[usize::from(first_is_first)];
        apps.iter_mut().for_each(|app| drop(app.on(&Input::Answer(new, exited(1)), &mut outbox, NOW)));
        assert_eq!(apps.each_ref().map(App::is_up), [true, false], "old first: {first_is_first}");
    }
}

#[test]
fn the_group_s_answer_to_the_watcher_is_none_to_the_hook() {
    // The hook is not active yet, and the group is asked why. Meanwhile a word is seen that is asked about, too.
    let life = Sim::new(LINE)
        .answer(JobKind::CompleteHook, ms(50), Event::HookNotActive(JobKind::CompleteHook))
        .answer(JobKind::DescribeInstance, secs(10), Event::InstanceDescribed(Some("Pending:Wait".to_owned())))
        .answer(JobKind::DescribeInstance, ms(50), Event::InstanceDescribed(Some("InService".to_owned())))
        .sees(secs(3), target(TargetState::Other("Unheard".to_owned())))
        .run(secs(30));
    assert_eq!(life.completions, ["completed CONTINUE"], "{}", life.trace());
    let answers = life.trace().lines().filter(|line| line.contains("InstanceDescribed")).collect::<Vec<_>>();
    assert!(answers[0].ends_with("InService") && answers[1].ends_with("Pending:Wait"), "{answers:?}");
}

#[test]
fn an_answer_that_comes_too_late_is_dropped() {
    let mut machine = Machine::new(1, NOW);
    let Some(Effect::Job(ticket, Job::Identify)) = machine.next_effect() else { panic!("who is it?") };
    let answer = Input::Answer(ticket, Event::Identified(Arc::new(identity())));
    machine.on(&answer, NOW);
    let before = format!("{machine:?}");
    machine.on(&answer, NOW);
    for late in
        [Event::ConfigRead(Arc::new(sim::config(LINE)), None), failure(JobKind::Identify, ErrorClass::Denied, "no")]
    {
        machine.on(&Input::Answer(ticket, late), NOW);
    }
    assert_eq!(format!("{machine:?}"), before);
}

#[test]
fn a_report_counts_while_its_job_runs_and_no_longer() {
    let reported = |answered_first: bool| {
        let mut machine = Machine::new(1, NOW);
        let Some(Effect::Job(ticket, Job::Identify)) = machine.next_effect() else { panic!("who is it?") };
        machine.on(&Input::Answer(ticket, Event::Identified(Arc::new(identity()))), NOW);
        let read = |effect| if let Effect::Job(ticket, Job::ReadConfig) = effect { Some(ticket) } else { None };
        let ticket = std::iter::from_fn(|| machine.next_effect()).find_map(read).expect("the config is read");
        if answered_first {
            machine.on(&Input::Answer(ticket, failure(JobKind::ReadConfig, ErrorClass::Transient, "no")), NOW);
        }
        machine.on(&Input::Report(ticket, Event::UserDataIsForeign(Foreign::Script)), NOW);
        machine.view().user_data
    };
    assert_eq!((reported(false), reported(true)), (Some(Foreign::Script), None));
}

#[test]
fn how_far_a_pull_is_comes_from_the_job_that_pulls() {
    let progress = |layers_done| PullProgress { layers_done, layers: 3, bytes: 1, total: 2 };
    let mut step = Step::<()>::new(StepName::Pull, FAR);
    let mut outbox = Outbox::new(1);
    let report = |ticket| Input::Report(ticket, Event::PullProgressed(progress(1)));
    assert_eq!(step.report(&report(Ticket(1))), None, "it has not begun");
    step.emit(Job::PingEngine, &mut outbox, NOW);
    let Some(Effect::Job(ticket, _)) = outbox.take() else { panic!("a job") };
    assert_eq!(step.report(&report(ticket)), Some(&Event::PullProgressed(progress(1))));
    for other in [report(Ticket(ticket.0 + 1)), Input::Answer(ticket, Event::Woke), Input::Event(Event::Woke)] {
        assert_eq!(step.report(&other), None, "{other:?}");
    }
    let life = Sim::new(LINE).never(JobKind::PullImage).at(secs(2), Event::PullProgressed(progress(2))).run(secs(3));
    assert_eq!(life.view().pull.map(|pull| pull.layers_done), Some(2));
}
