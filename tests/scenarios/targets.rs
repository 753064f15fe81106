//! Target groups: the instance registers itself with a load balancer, and leaves it.

use std::time::Duration;

use berth_kit::target_group::{Health, TargetGroup};
use berth_kit::{Agent, Fault, World};
use tokio::net::TcpStream;

use crate::doctor::free_port;
use crate::steps::until;
use crate::{BERTH, SOON};

/// Short waits, for a short test. The line may override them.
const QUICK: &str = r#"
    stop_timeout = "2s"
    drain = { settle = "1s", idle = "500ms", timeout = "40s" }
    lifecycle = { poll = "500ms" }
"#;

const REGISTER: &str = "elasticloadbalancing RegisterTargets";
const DEREGISTER: &str = "elasticloadbalancing DeregisterTargets";
const HEALTH: &str = "elasticloadbalancing DescribeTargetHealth";
const COMPLETE: &str = "autoscaling CompleteLifecycleAction CONTINUE";

/// A target group whose balancer asks the app itself, with a short deregistration delay.
fn group() -> TargetGroup {
    let mut group = TargetGroup { deregistration_delay: Duration::from_secs(3), ..TargetGroup::http("web", 80) };
    group.check.path = Some("/health".into());
    group
}

/// A world with a target group; its ARN.
async fn world_with(group: TargetGroup) -> (World, String) {
    let world = World::start().await;
    let arn = world.target_groups.create(group);
    world.ami_defaults(QUICK);
    (world, arn)
}

async fn launch(world: &World, arn: &str, more: &str) -> Agent {
    let image = world.app_image();
    world.user_data(&format!("berth image={} port=0:8080 health=/health target_groups={arn} {more}", image.by_tag()));
    world.launch(BERTH.as_ref()).await
}

/// One that the load balancer calls healthy, and whose launch is over.
async fn serving(group: TargetGroup, more: &str) -> (World, String, Agent) {
    let (world, arn) = world_with(group).await;
    let agent = launch(&world, &arn, more).await;
    world.autoscaling.wait_for_state("InService", SOON).await;
    (world, arn, agent)
}

/// The ports that are registered, each with its state.
fn targets(world: &World, arn: &str) -> Vec<(u16, &'static str)> {
    world.target_groups.targets(arn).iter().map(|one| (one.target.port, one.health.state)).collect()
}

#[tokio::test]
async fn the_launch_hook_is_completed_once_the_load_balancer_calls_the_target_healthy() {
    let starting = Health::of("initial", "Elb.InitialHealthChecking", "Initial health checks in progress");
    let (world, arn) = world_with(TargetGroup { scripted: Some(starting), ..group() }).await;
    let agent = launch(&world, &arn, "").await;
    world.journal.wait_for_count(HEALTH, 2, SOON).await;
    assert_eq!(agent.http("/ready").await.status, 200, "the load balancer's health check may ask it");
    let status = agent.status().await;
    assert_eq!(status["targets"][0]["state"], "registered");
    let reason = status["reason"].as_str().unwrap();
    assert!(reason.contains("initial (Elb.InitialHealthChecking)"), "{reason}");
    assert_eq!(world.autoscaling.completions(), [], "{}", world.journal.text());

    world.target_groups.configure(&arn, |group| group.scripted = None);
    world.autoscaling.wait_for_state("InService", SOON).await;
    world.journal.in_order(&[REGISTER, HEALTH, COMPLETE]);
    let [(port, "healthy")] = targets(&world, &arn)[..] else { panic!("{:?}", targets(&world, &arn)) };
    assert!((20_000..30_000).contains(&port), "{port}");
    assert_eq!(agent.app_address().await.port(), port);
    assert_eq!(world.journal.count(REGISTER), 1, "{}", world.journal.text());
}

#[tokio::test]
async fn a_target_that_the_load_balancer_never_calls_healthy_is_a_failed_boot_with_its_reason() {
    let mut wrong = group();
    wrong.check.path = Some("/nope".into());
    let (world, arn) = world_with(wrong).await;
    let agent = launch(&world, &arn, "target.timeout=5s").await;
    assert_eq!(agent.exit_within(SOON).await, 3, "{}", agent.log_text());
    let console = world.console_text();
    let words = "healthy in time (target.timeout 5s, boot.timeout 600s): unhealthy (Target.ResponseCodeMismatch)";
    for words in [words, "Health checks failed with these codes: [404]", "launch hook: completed ABANDON"] {
        assert!(console.contains(words), "{words}:\n{console}");
    }
    let states: Vec<_> = targets(&world, &arn).iter().map(|(_, state)| *state).collect();
    assert!(states.iter().all(|state| *state == "draining"), "{states:?}");
}

#[tokio::test]
async fn a_registration_that_the_role_may_not_make_is_a_failed_boot_that_names_the_action() {
    for call in [REGISTER, HEALTH] {
        let (world, arn) = world_with(group()).await;
        world.fault(call, Fault::AccessDenied).always();
        let agent = launch(&world, &arn, "").await;
        assert_eq!(agent.exit_within(SOON).await, 3, "{}", agent.log_text());
        let action = call.replace(' ', ":");
        let console = world.console_text();
        assert!(console.contains(&action) && console.contains("`berth policy`"), "{action}:\n{console}");
    }
}

#[tokio::test]
async fn a_throttled_registration_is_made_again() {
    let (world, arn) = world_with(group()).await;
    world.fault(REGISTER, Fault::Throttle).times(2);
    let _agent = launch(&world, &arn, "").await;
    world.autoscaling.wait_for_state("InService", SOON).await;
    assert_eq!(world.journal.count(REGISTER), 3, "{}", world.journal.text());
}

/// A load balancer keeps idle connections to a target that it no longer uses. Without its word they cost the whole `drain.timeout`, and
/// the drain counts as cut short.
#[tokio::test]
async fn a_drain_ends_when_the_load_balancer_has_let_go_although_connections_are_open() {
    let (world, arn, agent) = serving(group(), "").await;
    let _kept = TcpStream::connect(agent.app_address().await).await.unwrap();
    world.autoscaling.terminate();
    world.journal.wait_for(DEREGISTER, SOON).await;
    assert_eq!(agent.http("/ready").await.status, 503);
    world.target_groups.wait_for_states(&arn, &[], SOON).await;
    world.autoscaling.enter_wait();
    // settle 1 s, delay 3 s; the drain.timeout of 40 s would come after 41.
    assert_eq!(agent.exit_within(Duration::from_secs(20)).await, 0, "{}", agent.log_text());

    // The control: nobody says that it has let go.
    let (world, arn, agent) = serving(group(), "drain.timeout=6s").await;
    let _kept = TcpStream::connect(agent.app_address().await).await.unwrap();
    world.fault(HEALTH, Fault::AccessDenied).always();
    world.autoscaling.terminate();
    world.target_groups.wait_for_states(&arn, &["draining"], SOON).await;
    world.autoscaling.enter_wait();
    assert_eq!(agent.exit_within(SOON).await, 5, "{}", agent.log_text());
}

#[tokio::test]
async fn a_deregistration_that_fails_holds_nothing_up_and_is_reported_at_the_end() {
    let (world, arn, agent) = serving(group(), "").await;
    world.fault(DEREGISTER, Fault::AccessDenied).always();
    agent.signal("TERM");
    assert_eq!(agent.exit_within(SOON).await, 0, "{}", agent.log_text());
    let console = world.console_text();
    let port = targets(&world, &arn)[0].0;
    assert!(
        console.contains(&format!("not deregistered: web:{port} (elasticloadbalancing:DeregisterTargets")),
        "{console}"
    );
}

#[tokio::test]
async fn an_agent_that_is_killed_is_followed_by_one_that_registers_nothing_again() {
    let (world, arn, agent) = serving(group(), "").await;
    let before = targets(&world, &arn);
    agent.kill9().await;
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    until("in service", async || agent.status().await["targets"][0]["state"] == "in_service").await;
    assert_eq!(targets(&world, &arn), before);
    assert_eq!(world.journal.count(REGISTER), 1, "{}", world.journal.text());
}

#[tokio::test]
async fn a_target_whose_app_is_gone_is_deregistered_and_the_next_has_another_port() {
    let (world, arn, agent) = serving(group(), "").await;
    let first = targets(&world, &arn)[0].0;
    agent.kill9().await;
    world.engine.remove(&world.container()).await;
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    let healthy = async || targets(&world, &arn).iter().any(|(port, state)| *port != first && *state == "healthy");
    until("another port is healthy", healthy).await;
    world.journal.in_order(&[&format!("{DEREGISTER} web {}:{first}", world.instance_id), REGISTER]);
    assert_eq!(world.target_groups.reused(), []);
}

/// The note is on a tmpfs: after a reboot the load balancer is asked.
#[tokio::test]
async fn a_port_is_not_chosen_again_within_the_delay_with_the_note_and_without_it() {
    for rebooted in [false, true] {
        let long = TargetGroup { deregistration_delay: Duration::from_secs(60), ..group() };
        let (world, arn, agent) = serving(long, "").await;
        let first = targets(&world, &arn)[0].0;
        agent.signal("TERM");
        assert_eq!(agent.exit_within(SOON).await, 0, "{}", agent.log_text());
        let note = world.run_dir().join("targets.json");
        assert!(note.exists());
        if rebooted {
            std::fs::remove_file(note).unwrap();
        }
        let agent = world.launch(BERTH.as_ref()).await;
        agent.ready_within(SOON).await;
        let healthy = async || targets(&world, &arn).iter().any(|(port, state)| *port != first && *state == "healthy");
        until("another port is healthy", healthy).await;
        assert_eq!(world.target_groups.reused(), []);
    }
}

#[tokio::test]
async fn standby_leaves_and_a_return_registers_once_the_delay_is_over() {
    let (world, arn, agent) = serving(group(), "").await;
    world.autoscaling.put("Standby", Some("Standby"));
    world.journal.wait_for(DEREGISTER, SOON).await;
    until("standby", async || agent.http("/ready").await.json()["status"] == "standby").await;
    world.autoscaling.put("InService", Some("InService"));
    world.journal.wait_for_count(REGISTER, 2, SOON).await;
    until("in service", async || agent.status().await["targets"][0]["state"] == "in_service").await;
    assert_eq!(world.target_groups.reused(), [], "{}", world.journal.text());
    assert_eq!(targets(&world, &arn).len(), 1);
}

#[tokio::test]
async fn a_target_group_that_the_group_attaches_is_left_to_it() {
    let (world, arn) = world_with(group()).await;
    world.autoscaling.attach(&arn);
    let image = world.app_image();
    let port = free_port();
    world.user_data(&format!("berth image={} port={port}:8080 health=/health target_groups={arn}", image.by_tag()));
    let agent = world.launch(BERTH.as_ref()).await;
    world.autoscaling.wait_for_state("InService", SOON).await;
    assert_eq!(world.journal.count(REGISTER), 0, "{}", world.journal.text());
    assert_eq!(agent.status().await["targets"][0]["state"], "attached_by_group");

    // It registers every instance on one port, and this one would have another.
    let (world, arn) = world_with(group()).await;
    world.autoscaling.attach(&arn);
    let agent = launch(&world, &arn, "").await;
    assert_eq!(agent.exit_within(SOON).await, 3, "{}", agent.log_text());
    let console = world.console_text();
    assert!(console.contains("detach it from the group, or give `port` a host port"), "{console}");
}
