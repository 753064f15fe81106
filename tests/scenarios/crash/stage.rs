//! The stage of one cell: a world, an agent in it, and what must hold once another agent took its place.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use berth_core::message::release::ReleaseId;
use berth_kit::registry::Pushed;
use berth_kit::target_group::TargetGroup;
use berth_kit::text::sha256_hex;
use berth_kit::{Agent, Image, World, client, needs};
use futures_util::FutureExt as _;
use serde_json::Value;

use super::clients::{Balancer, Clients, Tally};
use super::walk::Walk;
use crate::metadata::{filter, rules};
use crate::steps::{own_address, until};
use crate::{BERTH, SOON};

/// Short waits, for a short test.
const QUICK: &str = r#"
    stop_timeout = "3s"
    drain = { settle = "300ms", idle = "100ms", timeout = "20s" }
    lifecycle = { poll = "200ms", heartbeat = "1s" }
    probe = { interval = "200ms" }
    restart = { backoff = "100ms" }
"#;

/// The same for a release.
const RELEASE: &str = r#"release = { healthy_for = "500ms", bake = "1s" }"#;

/// How long a target drains: longer than any request takes.
const DELAY: Duration = Duration::from_secs(3);

/// Until then a target takes no request: an agent that does not wait for it loses some.
const FIRST_CHECK: Duration = Duration::from_millis(500);

const BUCKET: &str = "releases";
const DOCUMENT: &str = "web";
const BOARD: &str = "board";

/// Where the config is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Source {
    /// In the user-data: another one is taken at the next start.
    UserData,
    /// In a document that the instance follows.
    Document(Move),
}

/// How traffic goes from one container to the next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Move {
    Targets,
    Readiness,
    Restart,
}

/// The configs, each unlike the one before in one thing only. A release has its number, too.
const WISHES: [Wish; 3] =
    [Wish { image: 0, color: "red" }, Wish { image: 0, color: "blue" }, Wish { image: 1, color: "blue" }];

impl Move {
    /// What the document says of it. By registration the port is chosen, else it is this one.
    fn keys(self, world: &World, app: SocketAddr) -> String {
        match self {
            Self::Targets => {
                let mut group = TargetGroup {
                    deregistration_delay: DELAY,
                    first_check_after: FIRST_CHECK,
                    ..TargetGroup::http("web", 80)
                };
                group.check.path = Some("/health".into());
                format!("port=0:8080 target_groups={}", world.target_groups.create(group))
            }
            Self::Readiness => format!("port={app}:8080 release.move=readiness"),
            Self::Restart => format!("port={app}:8080 release.move=restart"),
        }
    }
}

/// What the config says of the app.
#[derive(Clone, Copy, Debug)]
struct Wish {
    image: usize,
    color: &'static str,
}

/// What the engine has of this instance.
#[derive(Debug)]
pub(super) struct There {
    /// Whether it has containers.
    pub(super) containers: bool,
    /// Whether one of them runs; in a release, that which served before.
    pub(super) app: bool,
    /// Whether another one runs.
    pub(super) other: bool,
}

pub(super) struct Stage {
    pub(super) world: World,
    images: [Pushed; 2],
    source: Source,
    /// What the document has beside the image, if there is one.
    more: String,
    /// How many configs there were, which one is named, and which one serves: that is another one while a release goes on, and if it is bad.
    wishes: usize,
    named: usize,
    serving: usize,
    /// The container that served when a release began.
    first: Option<String>,
    /// Where clients reached the app that was killed.
    killed: Option<SocketAddr>,
    clients: Option<Clients>,
    /// Where the config says that the endpoint answers; no word of the command line says it.
    listen: SocketAddr,
    /// Every container so far.
    ids: Mutex<BTreeSet<String>>,
    /// Whether the packet filter is at hand.
    root: bool,
}

impl Stage {
    pub(super) async fn set(source: Source) -> Self {
        let world = World::start().await;
        world.secrets.put("prod/api", r#"{"KEY":"value"}"#);
        world.s3.create(BUCKET);
        let (listen, app) = (own_address(), own_address());
        let (more, quick) = match source {
            Source::UserData => (String::new(), QUICK.to_owned()),
            Source::Document(how) => (how.keys(&world, app), format!("{QUICK}{RELEASE}")),
        };
        world.ami_defaults(&quick);
        let images = ["v1", "v2"].map(|tag| world.push(tag, &Image::demo_app()));
        let root = needs::root("sets the iptables rules of imds=block, without which the matrix is walked otherwise");
        let clients = match source {
            Source::Document(Move::Targets) => {
                let arn = more.rsplit('=').next().unwrap_or_default().to_owned();
                Some(Balancer::Registered(world.target_groups.clone(), arn))
            }
            Source::Document(_) => Some(Balancer::Ready { app, agent: listen }),
            Source::UserData => None,
        };
        let clients = clients.map(Clients::start);
        let (wishes, named, serving, first, killed, ids) = (0, 0, 0, None, None, Mutex::default());
        let stage =
            Self { world, images, source, more, wishes, named, serving, first, killed, clients, listen, ids, root };
        stage.write_config();
        stage
    }

    /// The next start, or the next look at the document, finds another config.
    pub(super) fn wish_another(&mut self) {
        self.wishes += 1;
        self.named = self.wishes;
        if self.source == Source::UserData {
            self.serving = self.named;
        }
        self.write_config();
    }

    /// The document is again what it was before.
    pub(super) fn wish_before(&mut self) {
        self.named = self.serving;
        self.write_config();
    }

    /// What serves.
    fn wish(&self) -> Wish {
        WISHES[self.serving % WISHES.len()]
    }

    fn write_config(&self) {
        let Wish { image, color } = WISHES[self.named % WISHES.len()];
        let (image, imds) = (self.images[image].by_tag(), if self.root { "block" } else { "allow" });
        let here = format!("imds={imds} listen={}", self.listen);
        let app = format!("image={image} health=/health secrets=prod/api env.COLOR={color}");
        if self.source == Source::UserData {
            return self.world.user_data(&format!("berth {app} port=0:8080 {here}"));
        }
        self.world.user_data(&format!(
            "berth config=s3://{BUCKET}/{DOCUMENT} follow=1s release.board=s3://{BUCKET}/{BOARD} {here}"
        ));
        let document = format!("berth {app} env.RELEASE={} {}", self.named, self.more);
        self.world.s3.put(BUCKET, DOCUMENT, document, &[]);
    }

    pub(super) async fn start(&self) -> Agent {
        self.world.launcher(BERTH.as_ref()).listen_as_configured().start().await
    }

    pub(super) async fn start_held(&self) -> (Agent, Walk) {
        let (agent, held) = self.world.launcher(BERTH.as_ref()).listen_as_configured().start_held().await;
        (agent, Walk::new(held))
    }

    /// `/ready` answers 200 where the config says.
    pub(super) async fn is_ready(&self, agent: &Agent) {
        let ready = async || {
            assert!(agent.runs(), "it ended: {}", agent.log_text());
            let answer = client::over_tcp(self.listen, client::request("GET", "/ready")).await;
            answer.is_ok_and(|answer| answer.status == 200)
        };
        until("ready", ready).await;
    }

    /// An agent has served, and was killed.
    pub(super) async fn served(&mut self) {
        let agent = self.start().await;
        self.is_ready(&agent).await;
        self.world.autoscaling.wait_for_state("InService", SOON).await;
        agent.kill9().await;
    }

    /// The containers of this instance, and whatever else bears the app's name, as the engine has them.
    async fn containers(&self) -> Vec<Value> {
        let all = self.world.engine.call("GET", "/containers/json?all=1", None).await.json();
        let ours = |one: &&Value| {
            one["Labels"]["berth.instance"] == self.world.instance_id.as_str()
                || one["Names"].to_string().contains(&self.world.name)
        };
        let ours: Vec<Value> = all.as_array().into_iter().flatten().filter(ours).cloned().collect();
        self.ids.lock().unwrap().extend(ours.iter().filter_map(|one| Some(one["Id"].as_str()?.to_owned())));
        ours
    }

    pub(super) async fn there(&self) -> There {
        let running = self.running().await;
        let is_first = |one: &&Value| self.first.as_ref().is_none_or(|first| one["Id"] == first.as_str());
        let first = running.iter().filter(is_first).count();
        There { containers: !self.containers().await.is_empty(), app: first > 0, other: running.len() > first }
    }

    /// Remembers which container serves: a release begins.
    pub(super) async fn note_app(&mut self) {
        let (app, _) = self.app().await.expect("an app that runs");
        (self.first, self.killed) = (app.as_str().map(str::to_owned), None);
        if let Some(clients) = &self.clients {
            clients.take();
        }
    }

    /// The app that runs as the config wishes: its container and since when it runs.
    pub(super) async fn app(&self) -> Option<(Value, Value)> {
        let app = self.running().await.pop()?;
        let app = self.world.engine.inspect(app["Id"].as_str()?).await?;
        self.is_wished(&app).then(|| (app["Id"].clone(), app["State"]["StartedAt"].clone()))
    }

    fn is_wished(&self, app: &Value) -> bool {
        let Wish { image, color } = self.wish();
        let image = app["Config"]["Labels"]["berth.image"].to_string().contains(&self.images[image].digest);
        let has = |variable: String| app["Config"]["Env"].as_array().is_some_and(|env| env.contains(&variable.into()));
        let release = self.source == Source::UserData || has(format!("RELEASE={}", self.serving));
        image && has(format!("COLOR={color}")) && release
    }

    async fn running(&self) -> Vec<Value> {
        self.containers().await.into_iter().filter(|one| one["State"] == "running").collect()
    }

    /// `docker kill` of the app, or of the one that a release has put beside it. In a release it may have ended right before.
    pub(super) async fn kill_app(&mut self, other: bool) {
        let first = self.first.clone();
        let is_meant = |one: &Value| first.as_ref().is_none_or(|first| (one["Id"] == first.as_str()) != other);
        let Some(app) = self.running().await.into_iter().find(is_meant) else {
            return assert!(first.is_some(), "no app that runs");
        };
        let id = app["Id"].as_str().unwrap();
        self.killed = app["Ports"][0]["PublicPort"].as_u64().map(|port| {
            let port = u16::try_from(port).expect("a port");
            (Ipv4Addr::LOCALHOST, port).into()
        });
        self.world.engine.call("POST", &format!("/containers/{id}/kill"), None).await;
        until("the app is dead", async || !self.running().await.iter().any(|one| one["Id"] == id)).await;
    }

    /// Calls that asked to complete this hook, and how they were answered.
    fn calls(&self, hook: &str) -> (usize, usize) {
        let count = |status| self.world.journal.count(&format!("autoscaling CompleteLifecycleAction {hook} {status}"));
        (count(200), count(400))
    }

    fn results(&self) -> Vec<String> {
        self.world.autoscaling.completions().into_iter().map(|one| format!("{} {}", one.hook, one.result)).collect()
    }

    /// The containers that have values on the tmpfs. A directory that was prepared for one, and has none, is no secret.
    fn secrets(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.world.run_dir().join("secrets")).into_iter().flatten();
        let holders = entries.map(|entry| entry.unwrap()).filter(|entry| has_file(&entry.path()));
        holders.map(|entry| entry.file_name().into_string().unwrap()).collect()
    }

    /// `imds=block` holds for this container, in the packet filter and in the notes of the next agent, and for no other.
    fn is_kept_from_the_metadata(&self, id: &str) {
        if !self.root {
            return;
        }
        let notes = std::fs::read_dir(self.world.run_dir().join("imds")).expect("the notes");
        let notes: Vec<_> = notes.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(notes, [id]);
        let ids = self.ids.lock().unwrap().clone();
        let rules: Vec<_> = rules().into_iter().filter(|(_, rule)| ids.iter().any(|id| rule.contains(id))).collect();
        assert!(rules.len() == 2 && rules.iter().all(|(_, rule)| rule.contains(id)), "not twice of {id}: {rules:#?}");
    }

    /// It serves what the config says, once, and the hook was completed once.
    pub(super) async fn serves(&self, agent: &Agent) {
        let world = &self.world;
        until("one app runs", async || self.running().await.len() == 1).await;
        self.is_ready(agent).await;
        world.autoscaling.wait_for_state("InService", SOON).await;
        assert_eq!(agent.status().await["phase"], "serve");
        let all = self.containers().await;
        assert_eq!(all.len(), 1, "one container and no stray: {all:#?}");
        let app = world.engine.inspect(all[0]["Id"].as_str().unwrap()).await.expect("it is there");
        let name = app["Name"].as_str().and_then(|name| name.strip_prefix('/')).expect("a name").to_owned();
        let (one, two) = (world.container(), format!("{}-2", world.container()));
        assert!(name == one || self.source != Source::UserData && name == two, "{name}");
        assert!(self.is_wished(&app), "not {:?}: {app:#?}", self.wish());
        assert_eq!(agent.status().await["container"]["id"], app["Id"]);
        assert_eq!(agent.app("/env/KEY").await.text(), sha256_hex(b"value"));
        assert_eq!(agent.app("/env/COLOR").await.text(), sha256_hex(self.wish().color.as_bytes()));
        assert_eq!(self.secrets(), [name]);
        self.is_kept_from_the_metadata(app["Id"].as_str().unwrap());
        assert_eq!(self.results(), ["launch CONTINUE"]);
        assert_eq!(self.calls("launch"), (1, 0), "{}", world.journal.text());
    }

    /// The verdicts of this release on the board.
    fn verdicts(&self, release: &str) -> (usize, usize) {
        let keys = self.world.s3.keys(BUCKET);
        let count =
            |verdict| keys.iter().filter(|key| key.starts_with(&format!("{BOARD}/{release}/{verdict}/"))).count();
        (count("ok"), count("bad"))
    }

    /// The release that the document names is over: it serves and its verdict is good; or, if it may be bad, its verdict is bad and the one
    /// before it serves.
    pub(super) async fn has_released(&mut self, agent: &Agent, may_be_bad: bool) {
        let document = self.world.s3.object(BUCKET, DOCUMENT).expect("the document");
        let release = ReleaseId::of(&document).0;
        let has_verdict = async || {
            assert!(agent.runs(), "it ended: {}", agent.log_text());
            self.verdicts(&release) != (0, 0)
        };
        logged(agent, until("a verdict", has_verdict)).await;
        let is_good = match self.verdicts(&release) {
            (1, 0) => true,
            (0, 1) if may_be_bad => false,
            verdicts => panic!("{verdicts:?} of {release} are ok and bad: {}", agent.log_text()),
        };
        if is_good {
            self.serving = self.named;
        }
        let is_over = async || {
            assert!(agent.runs(), "it ended: {}", agent.log_text());
            let status = agent.status().await;
            let serves = !is_good || status["releases"]["serving"] == release.as_str();
            serves && status["releases"]["next"].is_null() && status["phase"] == "serve"
        };
        logged(agent, until("the release is over", is_over)).await;
        assert_eq!(self.containers().await.len(), 1, "{}", agent.log_text());
    }

    /// What came of the requests since the release began. One that an app was killed for is lost, and by `restart` there is a gap; every other
    /// one is answered.
    pub(super) fn no_request_was_lost(&mut self, killed: bool) {
        let Some(clients) = &self.clients else { return };
        let Tally { sent, lost } = clients.take();
        assert!(sent > 0, "no request was sent");
        let is_excused = |target: Option<SocketAddr>| match self.source {
            Source::Document(Move::Targets) => killed && (target.is_none() || self.killed == target),
            Source::Document(Move::Readiness) => killed,
            _ => true,
        };
        let lost: Vec<_> = lost.into_iter().filter(|one| !is_excused(one.target)).collect();
        assert!(lost.is_empty(), "of {sent} requests: {lost:#?}");
    }

    /// Auto Scaling terminates the instance, and it drains.
    pub(super) async fn leaves(&self, agent: Agent) {
        self.world.autoscaling.terminate();
        self.world.autoscaling.enter_wait();
        self.is_gone(&agent, &[0]).await;
    }

    /// It goes on with the drain of the agent before it, which began at least so long ago, and answers where the config says.
    pub(super) async fn goes_on_draining(&self, agent: &Agent, began: Duration) {
        agent.exit_within(SOON).await;
        let log = agent.log_text();
        let found = log.lines().find(|line| line.contains("was killed in a drain")).unwrap_or_else(|| panic!("{log}"));
        let age = serde_json::from_str::<Value>(found).unwrap()["age"].as_f64().unwrap();
        assert!(age >= began.as_secs_f64(), "it began {began:?} ago: {found}");
        let moved = log.find(&format!("> Listen {}", self.listen)).unwrap_or_else(|| panic!("{log}"));
        assert!(log[moved..].contains("Listening"), "{log}");
    }

    /// It ended drained, or as well as it can when the app is killed: the app stopped, then the hook completed, once.
    pub(super) async fn is_gone(&self, agent: &Agent, codes: &[i32]) {
        let code = agent.exit_within(SOON).await;
        assert!(codes.contains(&code), "exit code {code}, and not one of {codes:?}: {}", agent.log_text());
        let cut_short = self.world.console_text().contains("cut short");
        assert_eq!(code == 5, cut_short, "{}", self.world.console_text());
        // As the config has it; an agent that takes a stop up has what is left of that.
        let taken_up = agent.log_text().contains("was killed in a drain");
        for line in agent.log_text().lines().filter(|line| line.contains("> StopContainer")) {
            let (_, within) = line.split_once(" within ").expect("a time");
            let less = ["2.", "1.", "0ns"].iter().any(|begin| within.starts_with(begin)) || within.contains("ms\"");
            assert!(within.starts_with("3s\"") || (taken_up && less), "{line}");
        }
        let all = self.containers().await;
        assert!(all.len() <= 1 && self.running().await.is_empty(), "{all:#?}");
        assert_eq!(self.results(), ["launch CONTINUE", "terminate CONTINUE"]);
        assert_eq!(self.calls("launch"), (1, 0), "{}", self.world.journal.text());
        assert_eq!(self.calls("terminate").0, 1, "{}", self.world.journal.text());
        assert_eq!(self.secrets(), Vec::<String>::new());
        if let Some(app) = all.first() {
            let app = self.world.engine.inspect(app["Id"].as_str().unwrap()).await.expect("it is there");
            self.completed_after(&app["State"]["FinishedAt"]);
        }
    }

    /// The termination hook was completed after this moment of the engine's clock, which is this machine's.
    #[expect(clippy::disallowed_methods, reason = "the engine reports moments of wall time")]
    fn completed_after(&self, stopped: &Value) {
        let entries = self.world.journal.entries();
        let called = entries.iter().rev().find(|entry| {
            entry.operation == "CompleteLifecycleAction"
                && entry.detail.contains("terminate")
                && entry.status == Some(200)
        });
        let age = self.world.journal.age(called.expect("it was completed"));
        let called = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap() - age;
        let of_day =
            Duration::from_secs(called.as_secs() % 86_400) + Duration::from_nanos(called.subsec_nanos().into());
        let stopped = crate::restart::of_day(stopped);
        // Midnight may lie between.
        let after = (of_day.as_secs_f64() - stopped).rem_euclid(86_400.0);
        assert!(after < 43_200.0, "the hook was completed {:.3} s before the app stopped", 86_400.0 - after);
    }
}

/// Whether there is a file in the directory, or in one below it.
fn has_file(directory: &Path) -> bool {
    let entries = std::fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.into_iter().any(|path| if path.is_dir() { has_file(&path) } else { true })
}

/// Waits for it, and adds what the agent wrote if that fails.
async fn logged(agent: &Agent, wait: impl Future<Output = ()>) {
    if let Err(reason) = AssertUnwindSafe(wait).catch_unwind().await {
        let text = reason.downcast_ref::<String>().map_or("", String::as_str);
        panic!("{text}: {}", agent.log_text());
    }
}

impl Drop for Stage {
    /// The kernel keeps the rules of a container that the world removes.
    fn drop(&mut self) {
        let ids = std::mem::take(self.ids.get_mut().unwrap());
        let rules = if self.root { rules() } else { Vec::new() };
        for (command, rule) in rules.iter().filter(|(_, rule)| ids.iter().any(|id| rule.contains(id))) {
            filter(command, &format!("-D {rule}"));
        }
    }
}
