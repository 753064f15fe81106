//! The stage of one cell: a world, an agent in it, and what must hold once another agent took its place.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use berth_kit::registry::Pushed;
use berth_kit::text::sha256_hex;
use berth_kit::{Agent, Image, World, client, needs};
use serde_json::Value;

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

/// The configs, each unlike the one before in one thing only.
const WISHES: [Wish; 3] =
    [Wish { image: 0, color: "red" }, Wish { image: 0, color: "blue" }, Wish { image: 1, color: "blue" }];

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
    /// Whether one of them runs.
    pub(super) app: bool,
}

pub(super) struct Stage {
    pub(super) world: World,
    images: [Pushed; 2],
    wishes: usize,
    /// Where the config says that the endpoint answers; no word of the command line says it.
    listen: SocketAddr,
    /// Every container so far.
    ids: Mutex<BTreeSet<String>>,
    /// Whether the packet filter is at hand.
    root: bool,
}

impl Stage {
    pub(super) async fn set() -> Self {
        let world = World::start().await;
        world.secrets.put("prod/api", r#"{"KEY":"value"}"#);
        world.ami_defaults(QUICK);
        let images = ["v1", "v2"].map(|tag| world.push(tag, &Image::demo_app()));
        let root = needs::root("sets the iptables rules of imds=block, without which the matrix is walked otherwise");
        let (listen, ids) = (own_address(), Mutex::default());
        let stage = Self { world, images, wishes: 0, listen, ids, root };
        stage.write_user_data();
        stage
    }

    /// The next start finds another config.
    pub(super) fn wish_another(&mut self) {
        self.wishes += 1;
        self.write_user_data();
    }

    fn wish(&self) -> Wish {
        WISHES[self.wishes % WISHES.len()]
    }

    fn write_user_data(&self) {
        let Wish { image, color } = self.wish();
        let (image, imds) = (self.images[image].by_tag(), if self.root { "block" } else { "allow" });
        self.world.user_data(&format!(
            "berth image={image} port=0:8080 health=/health secrets=prod/api env.COLOR={color} imds={imds} listen={}",
            self.listen
        ));
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
    pub(super) async fn served(&self) {
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
        There { containers: !self.containers().await.is_empty(), app: !self.running().await.is_empty() }
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
        image && app["Config"]["Env"].to_string().contains(&format!("COLOR={color}"))
    }

    async fn running(&self) -> Vec<Value> {
        self.containers().await.into_iter().filter(|one| one["State"] == "running").collect()
    }

    /// `docker kill` of the app.
    pub(super) async fn kill_app(&self) {
        let app = self.running().await.pop().expect("an app that runs");
        let id = app["Id"].as_str().unwrap();
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

    fn secrets(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.world.run_dir().join("secrets")).into_iter().flatten();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
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
        assert_eq!(app["Name"], format!("/{}", world.container()));
        assert!(self.is_wished(&app), "not {:?}: {app:#?}", self.wish());
        assert_eq!(agent.status().await["container"]["id"], app["Id"]);
        assert_eq!(agent.app("/env/KEY").await.text(), sha256_hex(b"value"));
        assert_eq!(agent.app("/env/COLOR").await.text(), sha256_hex(self.wish().color.as_bytes()));
        assert_eq!(self.secrets(), [world.container()]);
        self.is_kept_from_the_metadata(app["Id"].as_str().unwrap());
        assert_eq!(self.results(), ["launch CONTINUE"]);
        assert_eq!(self.calls("launch"), (1, 0), "{}", world.journal.text());
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
