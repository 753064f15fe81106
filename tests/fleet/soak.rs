//! The soak: constant load on four instances, each on an engine of its own, while one after the other is replaced and the others
//! lose their agents, their engines and their apps. Every request that fails is explained by a crash of the app that it was sent
//! to, or the test fails.
//!
//! `make test` makes a short one; `make soak` makes a million requests. SOAK_REQUESTS, SOAK_SEED and BERTH_BIN say how many, in
//! which order it happens, and with which binary.

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use berth_kit::world::own_address;
use berth_kit::{Agent, Systemd, World, client};
use futures_util::future::join_all;

use crate::blame::{Blamed, Disturbance, Kind, blame};
use crate::group::{How, Instance};
use crate::host::Host;
use crate::load::{BUSY, Load, Moment, Tally, moment};
use crate::load_balancer::{CHECKS, LoadBalancer, Reuse};
use crate::{ALONE, BERTH, DRAIN, SOON, report, until};

/// Instances that serve; one more boots while one leaves.
const SERVING: usize = 4;

/// Requests in `make test`.
const SHORT: usize = 20_000;

/// A soak that has not made its requests by then never will.
const LONGEST: Duration = Duration::from_secs(20 * 60);

/// `FileDescriptorStoreMax=` of berth.service.
const STORE: usize = 2;

/// How instances leave, each once in a while.
const WAYS: &[How] = &[How::Hook, How::Signal, How::Spot];

/// What else happens, each once in a while.
const MISHAPS: &[Kind] = &[
    Kind::AgentKilled,
    Kind::EngineStopped,
    Kind::EngineKilled,
    Kind::AppKilled,
    Kind::AppExited,
    Kind::HandedOver,
    // What must cost nothing comes more often than what does.
    Kind::AgentKilled,
];

/// An instance on a host of its own.
struct Machine {
    instance: Instance,
    systemd: Systemd,
    host: Host,
    began: Moment,
    /// Of its app. Past `restart.limit` the agent would give it up.
    crashes: usize,
    /// The agent's memory in KiB, when it first served.
    memory: u64,
}

struct Soak {
    balancer: LoadBalancer,
    berth: PathBuf,
    image: String,
    journal: RefCell<Vec<Disturbance>>,
    /// Memory of agents that served and have ended: at first, at last.
    memory: RefCell<Vec<(u64, u64)>>,
    /// Holds the image.
    _images: World,
}

/// All of some things in random order, again and again.
struct Deck<T: 'static> {
    all: &'static [T],
    left: Vec<T>,
    rng: fastrand::Rng,
    /// How often all of them have been dealt.
    rounds: usize,
}

impl<T: Copy> Deck<T> {
    fn new(all: &'static [T], seed: u64) -> Self {
        Self { all, left: Vec::new(), rng: fastrand::Rng::with_seed(seed), rounds: 0 }
    }

    fn deal(&mut self) -> T {
        if self.left.is_empty() {
            self.left = self.all.to_vec();
            self.rng.shuffle(&mut self.left);
        }
        let dealt = self.left.pop().expect("there are some");
        self.rounds += usize::from(self.left.is_empty());
        dealt
    }
}

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().filter(|text| !text.is_empty()).map(|text| text.parse().expect("a number"))
}

#[tokio::test]
async fn in_a_soak_only_a_crash_of_the_app_costs_requests() {
    let _alone = ALONE.lock().await;
    let Some(mut spare) = Host::start().await else { return };
    let wanted = from_env("SOAK_REQUESTS").map_or(SHORT, |wanted| wanted.try_into().expect("a number"));
    let seed = from_env("SOAK_SEED").unwrap_or(1);
    let (mut ways, mut mishaps) = (Deck::new(WAYS, seed), Deck::new(MISHAPS, seed));

    let soak = Soak::start().await;
    let first = (0..SERVING).map(async |_| soak.launch(Host::start().await.expect("one more")).await);
    let mut serving = join_all(first).await;

    let load = Load::start(soak.balancer.address, BUSY, LONGEST + SOON);
    let began = moment();
    let is_over = || load.total() >= wanted || moment() - began > LONGEST.as_millis() as Moment;
    // The first is never replaced, and its agent and its app are never killed: its memory is reported at the end.
    while !is_over() || ways.rounds == 0 || mishaps.rounds == 0 {
        let (old, how, left) = (serving.remove(1), ways.deal(), Cell::new(false));
        let replacing = async {
            let new = soak.launch(spare).await;
            let host = soak.replace(old, how).await;
            left.set(true);
            (new, host)
        };
        let disturbing = async {
            while !left.get() {
                let kind = mishaps.deal();
                let spared = usize::from(!matches!(kind, Kind::EngineStopped | Kind::EngineKilled));
                let victims = spared..serving.len();
                let victim = if kind.is_crash() {
                    victims.min_by_key(|victim| serving[*victim].crashes).expect("there are some")
                } else {
                    mishaps.rng.usize(victims)
                };
                soak.disturb(&mut serving[victim], kind).await;
            }
        };
        let ((new, host), ()) = tokio::join!(replacing, disturbing);
        spare = host;
        serving.push(new);
    }
    let tally = load.finish();
    for machine in &serving {
        soak.memory.borrow_mut().push((machine.memory, resident(&machine.instance.agent)));
    }
    let clients = tally.failures.iter().map(|failure| failure.port).collect();
    let blamed = blame(&tally, &soak.balancer.log_lines_of(&clients), &soak.journal.borrow());
    report("soak", soak.table(seed, &tally, &blamed, &serving[0]));
    clean_up(serving, spare).await;
    let unexplained: Vec<_> = blamed.iter().filter(|one| one.crash.is_none()).map(Blamed::to_string).collect();
    assert!(unexplained.is_empty(), "{} not explained:\n{}", unexplained.len(), unexplained.join("\n"));
    assert!(tally.total() >= wanted, "{} requests in {LONGEST:?}", tally.total());
    assert!(tally.took < LONGEST + SOON, "it took {:?}", tally.took);
}

impl Soak {
    async fn start() -> Self {
        let images = World::builder().no_group().start().await;
        let image = images.app_image().by_digest();
        let berth = std::env::var_os("BERTH_BIN").map_or(BERTH.into(), PathBuf::from);
        let balancer = LoadBalancer::start(Reuse::Shared, CHECKS).await;
        Self { balancer, berth, image, journal: RefCell::default(), memory: RefCell::default(), _images: images }
    }

    /// One more: booted, ready, its launch hook completed, and only then registered.
    async fn launch(&self, host: Host) -> Machine {
        let mut world = World::start().await;
        world.engine = host.engine();
        world.user_data(&format!(
            "berth image={} name={} port=0:8080 health=/health lifecycle.poll=500ms listen={}:9911 {DRAIN}",
            self.image,
            world.name,
            own_address().ip()
        ));
        let systemd = Systemd::start(STORE);
        let agent = self.boot(&world, &systemd).await;
        let instance = Instance::register(world, agent, host.app(), &self.balancer).await;
        let memory = resident(&instance.agent);
        Machine { instance, systemd, host, began: moment(), crashes: 0, memory }
    }

    /// As systemd starts it.
    async fn boot(&self, world: &World, systemd: &Systemd) -> Agent {
        world.launcher(&self.berth).under(systemd).env("BERTH_LOG", "info").start().await
    }

    /// It leaves in order; its host is free again.
    async fn replace(&self, machine: Machine, how: How) -> Host {
        let Machine { mut instance, host, memory, .. } = machine;
        let (from, last) = (moment(), resident(&instance.agent));
        instance.leave(how, &self.balancer).await;
        instance.left_in_order(how).await;
        self.note(Kind::Replaced(how), &instance, from);
        self.memory.borrow_mut().push((memory, last));
        // It waits for the engine to remove what there is.
        tokio::task::spawn_blocking(move || drop(instance)).await.expect("the host is cleaned up");
        host
    }

    /// Something happens to an instance, and is over when it is as it was.
    async fn disturb(&self, machine: &mut Machine, kind: Kind) {
        machine.crashes += usize::from(kind.is_crash());
        let Machine { instance, systemd, host, .. } = machine;
        let container = instance.world.container();
        let former = started(&instance.world, &container).await;
        let from = moment();
        let app = host.app();
        match kind {
            Kind::AgentKilled => {
                instance.agent.kill9().await;
                // systemd waits for a second; by then the balancer has missed it.
                until("the balancer misses the agent", async || self.balancer.misses(&instance.slot).await).await;
                instance.agent = self.boot(&instance.world, systemd).await;
            }
            Kind::HandedOver => {
                let mut command = tokio::process::Command::from(instance.world.launcher(&self.berth).command());
                let handed = command.arg("handover").kill_on_drop(true).output().await.expect("berth");
                assert!(handed.status.success(), "{}", String::from_utf8_lossy(&handed.stderr));
            }
            Kind::EngineStopped => host.restart().await,
            Kind::EngineKilled => host.crash().await,
            Kind::AppKilled => {
                let killed = instance.world.engine.call("POST", &format!("/containers/{container}/kill"), None).await;
                assert_eq!(killed.status, 204, "{}", killed.text());
            }
            Kind::AppExited => {
                // It says no more.
                let _ = client::over_tcp(app, client::request("GET", "/exit?code=3")).await;
            }
            Kind::Replaced(_) => unreachable!("another one takes its place"),
        }
        if kind.is_crash() {
            until("it is noticed, or over", async || {
                self.balancer.is_down(&instance.slot).await || is_healthy(app).await
            })
            .await;
            self.note(kind, instance, from);
            until("the app was started again", async || started(&instance.world, &container).await != former).await;
        } else {
            self.note(kind, instance, from);
            assert_eq!(started(&instance.world, &container).await, former, "{kind:?}: the app ran on");
        }
        instance.agent.ready_within(SOON).await;
        self.balancer.sees_up(&instance.slot).await;
    }

    fn note(&self, kind: Kind, instance: &Instance, from: Moment) {
        let target = instance.slot.0.clone();
        self.journal.borrow_mut().push(Disturbance { kind, target, from, to: moment() });
    }

    fn table(&self, seed: u64, tally: &Tally, blamed: &[Blamed], veteran: &Machine) -> String {
        let journal = self.journal.borrow();
        let (seconds, total) = (tally.took.as_secs_f64(), tally.total());
        let mut table = format!("seed {seed}\n");
        let mut row = |name: &str, figures: String| {
            let _ = writeln!(table, "  {name:<24}{figures}");
        };
        row("duration", format!("{seconds:.0} s"));
        row("requests", format!("{total}, {:.0} a second: {:?}", total as f64 / seconds, tally.sent));
        row("failed", blamed.len().to_string());
        for kind in [Kind::AppKilled, Kind::AppExited] {
            let failed = blamed.iter().filter(|one| one.crash == Some(kind)).count();
            row(&format!("  by {kind:?}"), failed.to_string());
        }
        row("  not explained", blamed.iter().filter(|one| one.crash.is_none()).count().to_string());
        row("disturbances", journal.len().to_string());
        let mut kinds: Vec<Kind> = WAYS.iter().map(|how| Kind::Replaced(*how)).chain(MISHAPS.iter().copied()).collect();
        kinds.sort();
        kinds.dedup();
        for kind in kinds {
            row(&format!("  {kind:?}"), journal.iter().filter(|one| one.kind == kind).count().to_string());
        }
        let memory = self.memory.borrow();
        let range = |of: Vec<u64>| {
            let mib = |kib: Option<&u64>| kib.map_or(0.0, |kib| *kib as f64 / 1024.0);
            format!("{:.1} to {:.1} MiB", mib(of.iter().min()), mib(of.iter().max()))
        };
        let (first, last) = memory.iter().copied().unzip();
        row("agents, RSS at first", range(first));
        row("agents, RSS at last", range(last));
        let now = resident(&veteran.instance.agent);
        let age = (moment() - veteran.began) / 1000;
        row("the oldest agent's RSS", format!("{} KiB at first, {now} KiB after {age} s", veteran.memory));
        table
    }
}

/// Side by side, and not one after the other as when the test fails.
async fn clean_up(machines: Vec<Machine>, spare: Host) {
    let mut cleaning = tokio::task::JoinSet::new();
    for machine in machines {
        cleaning.spawn_blocking(move || drop(machine));
    }
    cleaning.spawn_blocking(move || drop(spare));
    cleaning.join_all().await;
}

/// When the container was started, by the engine.
async fn started(world: &World, container: &str) -> String {
    let inspected = world.engine.inspect(container).await.expect("the container is there");
    inspected["State"]["StartedAt"].to_string()
}

async fn is_healthy(app: std::net::SocketAddr) -> bool {
    let asked = client::over_tcp(app, client::request("GET", "/health"));
    let answer = tokio::time::timeout(Duration::from_millis(200), asked).await;
    matches!(answer, Ok(Ok(answer)) if answer.status == 200)
}

/// A process's resident set, in KiB.
fn resident(agent: &Agent) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
