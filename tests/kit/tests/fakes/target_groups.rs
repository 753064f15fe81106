//! The load balancer asks the targets themselves.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use berth_kit::target_group::{Health, Target, TargetGroup};
use berth_kit::target_groups::TargetGroups;
use berth_kit::{World, oracle};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::runtime::Builder as RuntimeBuilder;
use tokio::sync::oneshot;

const SOON: Duration = Duration::from_secs(20);

/// An app on loopback that answers `/ready` with this status, 0 for not at all. It has a thread of its own: boto3 is waited for on the
/// test's.
struct App {
    port: u16,
    status: Arc<AtomicU16>,
    asked: Arc<AtomicUsize>,
    thread: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl App {
    fn start(status: u16) -> Self {
        let runtime = RuntimeBuilder::new_current_thread().enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let (port, status) = (listener.local_addr().unwrap().port(), Arc::new(AtomicU16::new(status)));
        let (now, asked) = (Arc::clone(&status), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&asked);
        let serve = async move {
            let (listener, mut silent) = (TcpListener::from_std(listener).unwrap(), Vec::new());
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let mut request = [0; 4096];
                let length = stream.read(&mut request).await.unwrap_or_default();
                let is_ready = request[..length].starts_with(b"GET /ready HTTP/1.1\r\n");
                match (now.load(Ordering::SeqCst), is_ready) {
                    (0, _) => silent.push(stream),
                    (status, _) => {
                        let status = if is_ready { status } else { 404 };
                        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                        let _ = stream.write_all(answer.as_bytes()).await;
                    }
                }
            }
        };
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! { () = serve => {} _ = stopped => {} }
            });
        });
        Self { port, status, asked, thread: Some((stop, thread)) }
    }

    fn answers(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let (stop, thread) = self.thread.take().unwrap();
        let _ = stop.send(());
        let _ = thread.join();
    }
}

fn change(world: &World, operation: &str, arn: &str, port: u16) {
    let of = json!({ "TargetGroupArn": arn, "Targets": [{ "Id": world.instance_id, "Port": port }] });
    let answer = oracle::call(world, &[json!(["elbv2", operation, of, {}])])["calls"][0].clone();
    assert_eq!(answer["status"], 200, "{answer}");
}

fn fast() -> TargetGroup {
    let mut group = TargetGroup { deregistration_delay: Duration::from_millis(500), ..TargetGroup::http("api", 1) };
    (group.check.interval, group.check.timeout) = (Duration::from_millis(20), Duration::from_millis(500));
    group
}

#[tokio::test]
async fn a_target_is_what_it_answers() {
    let (world, app) = (World::start().await, App::start(503));
    let groups = &world.target_groups;
    let arn = groups.create(fast());
    change(&world, "RegisterTargets", &arn, app.port);
    let target = Target::new(&world.instance_id, app.port);
    let is = async |wanted: &str| groups.wait_for_states(&arn, &[wanted], SOON).await.remove(0);
    assert_eq!(is("unhealthy").await.health, Health::code(503));
    assert_eq!(groups.healthy_for(&arn, &target), None);
    app.answers(200);
    let healthy = is("healthy").await;
    assert_eq!(healthy.address, (Ipv4Addr::LOCALHOST, app.port).into());
    assert!(groups.healthy_for(&arn, &target).unwrap() < SOON);
    app.answers(0);
    assert_eq!(is("unhealthy").await.health, Health::timeout());
    app.answers(200);
    is("healthy").await;
    drop(app);
    assert_eq!(is("unhealthy").await.health, Health::failed());
}

#[tokio::test]
async fn a_target_that_drains_is_asked_no_more_and_the_end_of_the_delay_is_notified() {
    let (world, app) = (World::start().await, App::start(200));
    let groups = &world.target_groups;
    let arn = groups.create(fast());
    change(&world, "RegisterTargets", &arn, app.port);
    groups.wait_for_states(&arn, &["healthy"], SOON).await;
    change(&world, "DeregisterTargets", &arn, app.port);
    groups.wait_for_states(&arn, &[], SOON).await;
    let asked = app.asked();
    let other = App::start(200);
    change(&world, "RegisterTargets", &arn, other.port);
    groups.wait_for_states(&arn, &["healthy"], SOON).await;
    assert_eq!(app.asked(), asked);
}

#[tokio::test]
async fn a_slow_balancer_asks_only_after_its_time_and_elsewhere_if_it_is_said_so() {
    let (world, app, agent) = (World::start().await, App::start(503), App::start(200));
    let groups = &world.target_groups;
    let mut slow = TargetGroup { first_check_after: Duration::from_secs(3), ..fast() };
    slow.check.port = Some(agent.port);
    let arn = groups.create(slow);
    let target = Target::new(&world.instance_id, app.port);
    groups.register(&arn, &target);
    let health = groups.health(&arn, &target);
    assert_eq!((health.state, health.reason, agent.asked()), ("initial", Some("Elb.RegistrationInProgress"), 0));
    groups.wait_for_states(&arn, &["healthy"], SOON).await;
    assert_eq!(app.asked(), 0);
}

#[tokio::test]
async fn two_instances_are_in_one_target_group() {
    let groups = TargetGroups::default();
    let arn = groups.create(fast());
    let start = async || World::builder().target_groups(&groups).start().await;
    let (one, other, app, own) = (start().await, start().await, App::start(200), App::start(200));
    change(&one, "RegisterTargets", &arn, app.port);
    change(&other, "RegisterTargets", &arn, own.port);
    let registered = groups.wait_for_states(&arn, &["healthy", "healthy"], SOON).await;
    let mut ids: Vec<&str> = registered.iter().map(|one| one.target.id.as_str()).collect();
    let mut wanted = [one.instance_id.as_str(), &other.instance_id];
    ids.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(ids, wanted);
    drop(one);
    drop(other);
    groups.wait_for_states(&arn, &["healthy", "healthy"], SOON).await;
}
