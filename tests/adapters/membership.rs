//! Which group and which hooks: what the config names is validated, the rest is asked for.

use std::time::Duration;

use berth::io::secret::deliver::Delivery;
use berth_core::message::error::ErrorClass;
use berth_core::message::event::Event;
use berth_core::message::group::{LifecycleHook, Membership};
use berth_core::message::job::{Job, JobKind, Ticket};
use berth_kit::group::{self, Transition};
use berth_kit::{Fault, World};

use crate::whole::adapters;

const DESCRIBE_INSTANCES: &str = "autoscaling DescribeAutoScalingInstances";
const DESCRIBE_HOOKS: &str = "autoscaling DescribeLifecycleHooks";

fn hook(name: &str, transition: Transition) -> group::Hook {
    group::Hook {
        name: name.into(),
        transition,
        heartbeat_timeout: Duration::from_secs(90),
        default_result: "ABANDON".into(),
    }
}

async fn with(hooks: &[(&str, Transition)]) -> World {
    World::builder().hooks(hooks.iter().map(|(name, transition)| hook(name, *transition)).collect()).start().await
}

async fn find(world: &World, names: [Option<&str>; 3]) -> Event {
    let adapters = adapters(world, &Delivery::new(&world.run_dir())).await;
    adapters.perform(Ticket(1), find_group(names)).await
}

fn find_group(names: [Option<&str>; 3]) -> Job {
    let [group, launch_hook, terminate_hook] = names.map(|name| name.map(str::to_owned));
    Job::FindGroup { group, launch_hook, terminate_hook }
}

async fn found(world: &World, names: [Option<&str>; 3]) -> Membership {
    match find(world, names).await {
        Event::GroupFound(Some(membership)) => membership,
        event => panic!("{}: {event}", event.name()),
    }
}

fn of_the_group(name: &str) -> Option<LifecycleHook> {
    Some(LifecycleHook { name: name.into(), timeout: Some(Duration::from_secs(90)) })
}

fn only_named(name: &str) -> Option<LifecycleHook> {
    Some(LifecycleHook { name: name.into(), timeout: None })
}

#[tokio::test]
async fn both_hooks_are_found_with_two_calls() {
    let world = with(&[("boot", Transition::Launching), ("drain", Transition::Terminating)]).await;
    let membership = found(&world, [None; 3]).await;
    assert_eq!(membership.group, world.autoscaling.group());
    assert_eq!(membership.launch_hook, of_the_group("boot"));
    assert_eq!(membership.terminate_hook, of_the_group("drain"));
    assert_eq!(membership.state.as_deref(), Some("Pending:Wait"));
    assert_eq!((world.journal.count(DESCRIBE_INSTANCES), world.journal.count(DESCRIBE_HOOKS)), (1, 1));
}

#[tokio::test]
async fn a_config_that_names_everything_costs_no_call() {
    let world = World::start().await;
    let membership = found(&world, [Some("web"), Some("up"), Some("down")]).await;
    assert_eq!((membership.group.as_str(), membership.state), ("web", None));
    assert_eq!((membership.launch_hook, membership.terminate_hook), (only_named("up"), only_named("down")));
    assert_eq!(world.journal.count("autoscaling"), 0);
}

#[tokio::test]
async fn a_named_hook_gets_its_timeout_from_the_list_that_was_asked_for_the_other() {
    let world =
        with(&[("a", Transition::Terminating), ("b", Transition::Terminating), ("up", Transition::Launching)]).await;
    let membership = found(&world, [None, None, Some("b")]).await;
    assert_eq!((membership.launch_hook, membership.terminate_hook), (of_the_group("up"), of_the_group("b")));
    let membership = found(&world, [None, Some("up"), None]).await;
    assert_eq!(
        (membership.launch_hook, membership.terminate_hook),
        (of_the_group("up"), None),
        "two, and none is named"
    );
    assert_eq!(membership.unnamed_terminate_hooks, ["a", "b"]);
}

#[tokio::test]
async fn several_launch_hooks_without_a_name_are_an_error_and_several_termination_hooks_are_not() {
    let world =
        with(&[("a", Transition::Launching), ("b", Transition::Launching), ("down", Transition::Terminating)]).await;
    let Event::Failed(JobKind::FindGroup, error) = find(&world, [None; 3]).await else { panic!("one was chosen") };
    assert_eq!(error.class, ErrorClass::Misconfigured);
    assert!(error.reason.contains("several launch hooks (a, b, …)"), "{error}");
    let membership = found(&world, [None, Some("b"), None]).await;
    assert_eq!((membership.launch_hook, membership.terminate_hook), (of_the_group("b"), of_the_group("down")));

    let world =
        with(&[("up", Transition::Launching), ("a", Transition::Terminating), ("b", Transition::Terminating)]).await;
    let membership = found(&world, [None; 3]).await;
    assert_eq!((membership.launch_hook, membership.terminate_hook), (of_the_group("up"), None));
}

#[tokio::test]
async fn a_named_launch_hook_needs_no_leave_to_list_the_hooks() {
    let world = World::start().await;
    world.fault(DESCRIBE_HOOKS, Fault::AccessDenied).always();
    let membership = found(&world, [None, Some("launch"), None]).await;
    assert_eq!((membership.launch_hook, membership.terminate_hook), (only_named("launch"), None));
    let Event::Failed(JobKind::FindGroup, error) = find(&world, [None; 3]).await else {
        panic!("it may not list them")
    };
    assert_eq!(error.class, ErrorClass::Denied);
    world.faults.clear();
    world.fault(DESCRIBE_HOOKS, Fault::Throttle).times(1);
    let Event::Failed(JobKind::FindGroup, error) = find(&world, [None, Some("launch"), None]).await else {
        panic!("another attempt may find the termination hook")
    };
    assert_eq!(error.class, ErrorClass::Throttled);
}

#[tokio::test]
async fn a_group_that_is_known_is_not_requested_again_when_its_hooks_are_throttled() {
    let world = with(&[("boot", Transition::Launching)]).await;
    let adapters = adapters(&world, &Delivery::new(&world.run_dir())).await;
    world.fault(DESCRIBE_HOOKS, Fault::Throttle).times(2);
    for _ in 0..2 {
        let Event::Failed(JobKind::FindGroup, error) = adapters.perform(Ticket(1), find_group([None; 3])).await else {
            panic!("throttled")
        };
        assert_eq!(error.class, ErrorClass::Throttled);
    }
    let Event::GroupFound(Some(found)) = adapters.perform(Ticket(1), find_group([None; 3])).await else {
        panic!("not found")
    };
    assert_eq!((found.launch_hook, found.state.as_deref()), (of_the_group("boot"), Some("Pending:Wait")));
    assert_eq!((world.journal.count(DESCRIBE_INSTANCES), world.journal.count(DESCRIBE_HOOKS)), (1, 3));
    // What was found may be another the next time, as when the instance is called from its pool.
    adapters.perform(Ticket(1), find_group([None; 3])).await;
    assert_eq!(world.journal.count(DESCRIBE_INSTANCES), 2);
}

#[tokio::test]
async fn outside_any_group_there_is_nothing_to_find() {
    let world = World::builder().no_group().start().await;
    assert_eq!(find(&world, [None; 3]).await, Event::GroupFound(None));
    assert_eq!(find(&world, [None, Some("up"), Some("down")]).await, Event::GroupFound(None));
}
