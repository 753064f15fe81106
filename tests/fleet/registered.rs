//! HAProxy's targets as a target group has them: requests go where the registration says, and nowhere else.
//!
//! A place of HAProxy's is `maint` while its target is `initial`, `ready` while it is `healthy`, and `drain` while it is `draining`,
//! `unhealthy` or in a zone that a zonal shift avoids: requests on their way go on, and there are no new ones.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Deref;

use berth_kit::target_group::Target;
use berth_kit::target_groups::{Registered, TargetGroups};
use tokio::task::JoinHandle;

use crate::load_balancer::{Admin, LoadBalancer, Reuse, Slot, slots};

/// What becomes of idle connections to a target that is `unused`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Idle {
    /// They are closed.
    Closed,
    /// They stay, until another target has the place.
    Kept,
}

/// A balancer that follows a target group. Dropped, it is killed.
pub(crate) struct Following {
    balancer: LoadBalancer,
    task: JoinHandle<()>,
}

impl Following {
    /// Starts one. The targets must be healthy to be sent a request.
    pub(crate) async fn start(groups: &TargetGroups, arn: &str, reuse: Reuse, idle: Idle) -> Self {
        let balancer = LoadBalancer::start_without_checks(reuse).await;
        let (admin, groups, arn) = (balancer.admin.clone(), groups.clone(), arn.to_owned());
        let task = tokio::spawn(async move {
            let mut places = Places { admin, idle, taken: BTreeMap::new(), free: slots().map(Slot).collect() };
            let mut changes = groups.changes();
            loop {
                places.follow(&groups.targets(&arn)).await;
                if changes.changed().await.is_err() {
                    return;
                }
            }
        });
        Self { balancer, task }
    }
}

impl Deref for Following {
    type Target = LoadBalancer;

    fn deref(&self) -> &LoadBalancer {
        &self.balancer
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The places of a balancer.
struct Places {
    admin: Admin,
    idle: Idle,
    /// Which target has which, and its state there.
    taken: BTreeMap<Target, (Slot, &'static str)>,
    /// The one that has been free for longest comes first.
    free: VecDeque<Slot>,
}

impl Places {
    /// Makes HAProxy's targets those of the target group.
    async fn follow(&mut self, targets: &[Registered]) {
        let is_gone = |target: &&Target| !targets.iter().any(|one| one.target == **target);
        let gone: Vec<Target> = self.taken.keys().filter(is_gone).cloned().collect();
        for target in gone {
            let (slot, _) = self.taken.remove(&target).expect("a target that had a place");
            let state = if self.idle == Idle::Kept { "drain" } else { "maint" };
            self.admin.state(&slot, state).await;
            self.free.push_back(slot);
        }
        for Registered { target, address, health, takes_requests } in targets {
            let wanted = match health.state {
                "initial" | "unused" => "maint",
                _ if *takes_requests => "ready",
                _ => "drain",
            };
            if !self.taken.contains_key(target) {
                let slot = self.free.pop_front().expect("a place for a target");
                self.admin.state(&slot, "maint").await;
                self.admin.address(&slot, *address).await;
                self.taken.insert(target.clone(), (slot, "maint"));
            }
            let (slot, state) = self.taken.get_mut(target).expect("it has a place");
            if *state != wanted {
                self.admin.state(slot, wanted).await;
                *state = wanted;
            }
        }
    }
}

mod tests {
    use std::net::{Ipv4Addr, SocketAddr};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
    use std::time::Duration;

    use berth_kit::client::{over_tcp, request};
    use berth_kit::target_group::TargetGroup;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::Semaphore;

    use super::*;
    use crate::until;

    const INSTANCE: &str = "i-0123456789abcdef0";

    /// A server whose answer is its port. `/ready` has a status of its own, and `/slow` is answered when it may.
    struct App {
        target: Target,
        shared: Arc<Shared>,
        task: JoinHandle<()>,
    }

    struct Shared {
        ready: AtomicU16,
        /// Requests, health checks apart.
        requests: AtomicUsize,
        slow: Semaphore,
        /// Connections that are open.
        open: AtomicUsize,
    }

    impl App {
        async fn start(ready: u16) -> Self {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let shared = Arc::new(Shared {
                ready: AtomicU16::new(ready),
                requests: AtomicUsize::new(0),
                slow: Semaphore::new(0),
                open: AtomicUsize::new(0),
            });
            let of_all = Arc::clone(&shared);
            let task = tokio::spawn(async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    let shared = Arc::clone(&of_all);
                    tokio::spawn(async move {
                        shared.open.fetch_add(1, Ordering::SeqCst);
                        let _ = serve(stream, port, &shared).await;
                        shared.open.fetch_sub(1, Ordering::SeqCst);
                    });
                }
            });
            Self { target: Target::new(INSTANCE, port), shared, task }
        }

        fn requests(&self) -> usize {
            self.shared.requests.load(Ordering::SeqCst)
        }

        fn open(&self) -> usize {
            self.shared.open.load(Ordering::SeqCst)
        }
    }

    impl Drop for App {
        fn drop(&mut self) {
            self.task.abort();
        }
    }

    async fn serve(mut stream: TcpStream, port: u16, shared: &Shared) -> std::io::Result<()> {
        loop {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                if stream.read_buf(&mut head).await? == 0 {
                    return Ok(());
                }
            }
            let is_check = head.starts_with(b"GET /ready ");
            let status = if is_check { shared.ready.load(Ordering::SeqCst) } else { 200 };
            shared.requests.fetch_add(usize::from(!is_check), Ordering::SeqCst);
            if head.starts_with(b"GET /slow ") {
                shared.slow.acquire().await.unwrap().forget();
            }
            let body = port.to_string();
            let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await?;
        }
    }

    /// Who answers a request: a port, or a status of the balancer's own.
    async fn answer(address: SocketAddr, path: &str) -> u16 {
        let answer = over_tcp(address, request("GET", path)).await.unwrap();
        if answer.status == 200 { answer.text().parse().unwrap() } else { answer.status }
    }

    fn group() -> (TargetGroups, String) {
        let groups = TargetGroups::default();
        groups.run_instance(INSTANCE, Ipv4Addr::LOCALHOST);
        let mut group = TargetGroup { deregistration_delay: Duration::from_secs(3600), ..TargetGroup::http("api", 80) };
        group.check.interval = Duration::from_millis(20);
        let arn = groups.create(group);
        (groups, arn)
    }

    async fn is_in(balancer: &Following, port: u16, state: &str) {
        until(state, async || {
            let rows = balancer.admin.command("show stat").await;
            let found = balancer.admin.command("show servers state fleet").await;
            let line = found.lines().find(|line| line.contains(&format!(" {port} ")));
            let slot = line.and_then(|line| line.split(' ').nth(3)).unwrap_or("none").to_owned();
            rows.lines().any(|row| row.starts_with(&format!("fleet,{slot},")) && row.contains(&format!(",{state},")))
        })
        .await;
    }

    #[tokio::test]
    async fn requests_go_to_the_targets_that_are_registered_and_healthy() {
        let (groups, arn) = group();
        let balancer = Following::start(&groups, &arn, Reuse::Shared, Idle::Closed).await;
        let (one, two, three) = (App::start(200).await, App::start(503).await, App::start(200).await);
        assert_eq!(answer(balancer.address, "/").await, 503, "nothing is registered");
        groups.register(&arn, &one.target);
        until("the first answers", async || answer(balancer.address, "/").await == one.target.port).await;
        groups.register(&arn, &two.target);
        is_in(&balancer, two.target.port, "DRAIN").await;
        for _ in 0..20 {
            assert_eq!(answer(balancer.address, "/").await, one.target.port, "the second is unhealthy");
        }
        two.shared.ready.store(200, Ordering::SeqCst);
        until("the second answers", async || answer(balancer.address, "/").await == two.target.port).await;

        groups.deregister(&arn, &one.target);
        is_in(&balancer, one.target.port, "DRAIN").await;
        let before = one.requests();
        for _ in 0..50 {
            assert_eq!(answer(balancer.address, "/").await, two.target.port);
        }
        assert_eq!(one.requests(), before, "a target that drains gets no request");
        groups.end_draining(&arn);
        is_in(&balancer, one.target.port, "MAINT").await;
        groups.register(&arn, &three.target);
        until("the third answers", async || answer(balancer.address, "/").await == three.target.port).await;
        assert_eq!(one.requests(), before);
        groups.configure(&arn, |group| group.zonal_shift = true);
        until("a zonal shift", async || answer(balancer.address, "/").await == 503).await;
        assert!(groups.targets(&arn).iter().all(|one| one.health.state == "healthy"));
    }

    #[tokio::test]
    async fn a_request_on_its_way_is_answered_by_a_target_that_drains() {
        let (groups, arn) = group();
        let balancer = Following::start(&groups, &arn, Reuse::Shared, Idle::Closed).await;
        let (old, new) = (App::start(200).await, App::start(200).await);
        groups.register(&arn, &old.target);
        until("it answers", async || answer(balancer.address, "/").await == old.target.port).await;
        let before = old.requests();
        let slow = tokio::spawn(answer(balancer.address, "/slow"));
        until("it is on its way", async || old.requests() > before).await;
        groups.register(&arn, &new.target);
        until("the new one answers", async || answer(balancer.address, "/").await == new.target.port).await;
        groups.deregister(&arn, &old.target);
        is_in(&balancer, old.target.port, "DRAIN").await;
        assert_eq!(answer(balancer.address, "/").await, new.target.port);
        assert!(!slow.is_finished());
        old.shared.slow.add_permits(1);
        assert_eq!(slow.await.unwrap(), old.target.port);
    }

    #[tokio::test]
    async fn an_idle_connection_ends_with_the_deregistration_or_is_kept() {
        for idle in [Idle::Closed, Idle::Kept] {
            let (groups, arn) = group();
            let balancer = Following::start(&groups, &arn, Reuse::Shared, idle).await;
            let (old, new) = (App::start(200).await, App::start(200).await);
            groups.register(&arn, &old.target);
            until("it answers", async || answer(balancer.address, "/").await == old.target.port).await;
            groups.deregister(&arn, &old.target);
            is_in(&balancer, old.target.port, "DRAIN").await;
            until("the checks are over", async || old.open() == 1).await;
            groups.end_draining(&arn);
            // Places are followed in one go: when the next target has its own, the old one's is given back.
            groups.register(&arn, &new.target);
            until("the new one answers", async || answer(balancer.address, "/").await == new.target.port).await;
            match idle {
                Idle::Closed => until("it is closed", async || old.open() == 0).await,
                Idle::Kept => assert_eq!(old.open(), 1),
            }
        }
    }
}
