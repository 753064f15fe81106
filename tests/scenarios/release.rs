//! Releases in place: the document changes, and the next version takes the place of the one that serves.

use berth_core::message::release::ReleaseId;
use berth_kit::target_group::TargetGroup;
use berth_kit::{Agent, Image, World};
use serde_json::Value;

use crate::commands::{berth, err, out};
use crate::doctor::free_port;
use crate::steps::{own_address, until};
use crate::{BERTH, SOON};

const BUCKET: &str = "releases";
const DOCUMENT: &str = "web/document";
const BOARD: &str = "web/board";

/// Short waits, for a short test.
const QUICK: &str = r#"
    stop_timeout = "2s"
    drain = { settle = "1s", idle = "500ms", timeout = "20s" }
    lifecycle = { poll = "500ms" }
    probe = { interval = "500ms", start_timeout = "5s" }
    release = { healthy_for = "1s", bake = "3s" }
"#;

/// A world whose instance follows a document.
struct Fleet {
    world: World,
    /// What each document has beside its image.
    more: String,
}

impl Fleet {
    async fn start(more: &str) -> Self {
        let world = World::start().await;
        world.ami_defaults(QUICK);
        world.s3.create(BUCKET);
        Self { world, more: more.to_owned() }
    }

    /// The demo app with this tag and environment becomes the document's.
    fn publish(&self, tag: &str, env: &[(&str, &str)]) {
        let image = env.iter().fold(Image::demo_app(), |image, (name, value)| image.env(name, value));
        let image = self.world.push(tag, &image);
        let document = format!("berth image={} {}", image.by_tag(), self.more);
        self.world.s3.put(BUCKET, DOCUMENT, document, &[]);
    }

    async fn launch(&self) -> Agent {
        self.world
            .user_data(&format!("berth config=s3://{BUCKET}/{DOCUMENT} follow=1s release.board=s3://{BUCKET}/{BOARD}"));
        let agent = self.world.launch(BERTH.as_ref()).await;
        self.world.autoscaling.wait_for_state("InService", SOON).await;
        agent
    }

    /// The verdicts on the board of the release that is followed, `ok` or `bad`.
    fn verdicts(&self) -> Vec<String> {
        let followed = self.world.s3.object(BUCKET, DOCUMENT).unwrap();
        let release = ReleaseId::of(&followed).0;
        let below = format!("{BOARD}/{release}/");
        let keys = self.world.s3.keys(BUCKET);
        let verdicts = keys.iter().filter_map(|key| key.strip_prefix(&below)).filter(|key| !key.starts_with("begun/"));
        verdicts.map(|key| key.split('/').next().unwrap().to_owned()).collect()
    }

    /// The bad verdict on the board of the release that is followed.
    fn bad_verdict(&self) -> Value {
        let keys = self.world.s3.keys(BUCKET);
        let release = ReleaseId::of(&self.world.s3.object(BUCKET, DOCUMENT).unwrap()).0;
        let below = format!("{BOARD}/{release}/bad/");
        let key = keys.iter().find(|key| key.starts_with(&below)).expect("a bad verdict");
        serde_json::from_slice(&self.world.s3.object(BUCKET, key).unwrap()).unwrap()
    }

    async fn verdict(&self, expected: &str) {
        until(&format!("the verdict {expected}"), async || self.verdicts() == [expected]).await;
    }
}

async fn version(agent: &Agent) -> String {
    agent.status().await["version"].as_str().unwrap_or_default().to_owned()
}

async fn phase(agent: &Agent) -> String {
    agent.status().await["phase"].as_str().unwrap_or_default().to_owned()
}

/// An instance on which v2 has taken the place of v1.
async fn replaced(fleet: &Fleet) -> Agent {
    fleet.publish("v1", &[]);
    let agent = fleet.launch().await;
    fleet.verdict("ok").await;
    fleet.publish("v2", &[]);
    fleet.verdict("ok").await;
    until("serving", async || phase(&agent).await == "serve").await;
    assert_eq!(version(&agent).await, "v2");
    agent
}

#[tokio::test]
async fn by_readiness_the_next_version_takes_the_port() {
    let port = free_port();
    let fleet = Fleet::start(&format!("port={port}:8080 health=/health")).await;
    let agent = replaced(&fleet).await;
    assert_eq!(agent.http("/ready").await.status, 200);
    assert_eq!(agent.app_address().await.port(), port);
}

#[tokio::test]
async fn without_memory_for_two_containers_a_release_goes_by_restart() {
    let port = free_port();
    let fleet = Fleet::start(&format!("port={port}:8080 health=/health memory=900g")).await;
    let agent = replaced(&fleet).await;
    let last = agent.status().await["releases"]["last"].clone();
    let reason = last["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("by restart") && reason.ends_with("may use 966.3 GB"), "{reason}");
    assert!(last["gap_seconds"].as_f64() > Some(0.0), "{last}");
}

#[tokio::test]
async fn of_three_versions_two_images_are_left() {
    let port = free_port();
    let fleet = Fleet::start(&format!("port={port}:8080 health=/health release.move=restart")).await;
    let images = async || fleet.world.engine.images_of(&fleet.world.registry.host()).await.len();
    fleet.publish("v1", &[("VERSION", "1")]);
    let agent = fleet.launch().await;
    fleet.verdict("ok").await;
    for (tag, version, left) in [("v2", "2", 2), ("v3", "3", 2), ("v4", "4", 2)] {
        fleet.publish(tag, &[("VERSION", version)]);
        fleet.verdict("ok").await;
        until("serving", async || phase(&agent).await == "serve").await;
        until("the images that are left", async || images().await == left).await;
    }
    let running = agent.status().await;
    assert_eq!(running["version"], "v4");
}

/// A target group whose balancer asks the app, and a fleet that registers with it.
async fn registered() -> (Fleet, String) {
    let mut fleet = Fleet::start("").await;
    let mut group =
        TargetGroup { deregistration_delay: std::time::Duration::from_secs(3), ..TargetGroup::http("web", 80) };
    group.check.path = Some("/health".into());
    let arn = fleet.world.target_groups.create(group);
    fleet.more = format!("port=0:8080 health=/health target_groups={arn}");
    (fleet, arn)
}

#[tokio::test]
async fn by_targets_the_next_version_is_in_before_the_other_leaves() {
    let (fleet, arn) = registered().await;
    fleet.publish("v1", &[]);
    let agent = fleet.launch().await;
    let before = agent.app_address().await.port();
    fleet.verdict("ok").await;
    fleet.publish("v2", &[]);
    fleet.verdict("ok").await;
    until("serving", async || phase(&agent).await == "serve").await;
    assert_eq!(version(&agent).await, "v2");
    assert_ne!(agent.app_address().await.port(), before);
    fleet.world.journal.in_order(&["RegisterTargets", "RegisterTargets", "DeregisterTargets"]);
    assert!(!fleet.world.target_groups.targets(&arn).is_empty());
}

#[tokio::test]
async fn a_version_that_is_no_good_changes_nothing() {
    let (fleet, _) = registered().await;
    fleet.publish("v1", &[]);
    let agent = fleet.launch().await;
    fleet.verdict("ok").await;
    let before = agent.app_address().await;
    for (tag, env) in [("v2", ("EXIT_AT_START", "3")), ("v3", ("START_DELAY_MS", "600000"))] {
        fleet.publish(tag, &[env]);
        fleet.verdict("bad").await;
        until("serving", async || phase(&agent).await == "serve").await;
        assert_eq!(version(&agent).await, "v1");
        assert_eq!(agent.app_address().await, before);
        assert_eq!(agent.http("/ready").await.status, 200);
        if tag == "v2" {
            let (on_board, shown) = (fleet.bad_verdict(), agent.status().await["releases"]["last"].clone());
            let line = "demo-app: EXIT_AT_START=3";
            assert_eq!((&on_board["last_lines"][0], &shown["output"]["lines"][0]), (&line.into(), &line.into()));
        }
    }
    assert_eq!(fleet.world.journal.count("DeregisterTargets"), 0);
}

/// Two instances that follow one document, which the commands publish.
struct Deployment {
    worlds: [World; 2],
    agents: Vec<Agent>,
}

/// The words of a command, and of the document that it publishes.
const FOLLOWED: &str = "s3://releases/web/document";
const LOCK: &str = "web/board/locks/0";

impl Deployment {
    async fn start() -> Self {
        let one = World::start().await;
        one.s3.create(BUCKET);
        let two = World::builder().s3(&one.s3).start().await;
        Self { worlds: [one, two], agents: Vec::new() }
    }

    /// Pushes an image.
    fn image(&self, tag: &str, env: &[(&str, &str)]) -> String {
        let image = env.iter().fold(Image::demo_app(), |image, (name, value)| image.env(name, value));
        self.worlds[0].push(tag, &image).by_tag()
    }

    /// The file of a document with this image.
    fn document(&self, image: &str) -> String {
        let file = self.worlds[0].state_dir().with_file_name("document");
        let text =
            format!("berth image={image} health=/health release.move=restart release.board=s3://{BUCKET}/{BOARD}");
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    }

    async fn launch(&mut self) {
        for world in &self.worlds {
            world.ami_defaults(QUICK);
            world.user_data(&format!(
                "berth config={FOLLOWED} follow=1s name={} port={}:8080",
                world.name,
                own_address()
            ));
            self.agents.push(world.launch(BERTH.as_ref()).await);
        }
    }

    /// `berth release …`: what it printed with `--json`.
    async fn command(&self, code: i32, words: &[&str]) -> Value {
        let words = [&["release", words[0], FOLLOWED], &words[1..], &["--json"]].concat();
        let ended = berth(&self.worlds[0], &words).await;
        assert_eq!(ended.status.code(), Some(code), "{words:?}: {}{}", out(&ended), err(&ended));
        serde_json::from_str(&out(&ended)).unwrap()
    }

    /// Both serve this version, and nothing goes on.
    async fn serve(&self, wanted: &str) {
        for agent in &self.agents {
            let serves = async || {
                let status = agent.status().await;
                let is_over = status["phase"] == "serve" && status["releases"]["next"].is_null();
                status["version"] == wanted && is_over && agent.http("/ready").await.status == 200
            };
            until(&format!("{wanted} serves"), serves).await;
        }
    }

    async fn wait_for(&self, what: &str) {
        for agent in &self.agents {
            let waits = async || agent.status().await["releases"]["next"]["waits_for"] == what;
            until(&format!("it waits: {what}"), waits).await;
        }
    }
}

#[tokio::test]
async fn the_commands_publish_watch_halt_resume_and_roll_back_a_fleet_of_two() {
    let mut fleet = Deployment::start().await;
    let [v1, v2, v3] = ["v1", "v2", "v3"].map(|tag| fleet.image(tag, &[]));
    let bad = fleet.image("bad", &[("EXIT_AT_START", "3")]);
    let both = ["--wait", "--instances", "2", "--timeout", "1m"];
    let first = fleet.command(0, &["publish", &fleet.document(&v1)]).await;
    fleet.launch().await;
    let all_good = async || fleet.command(0, &["status"]).await["ok_count"] == 2;
    until("both call it good", all_good).await;
    fleet.serve("v1").await;

    // Another image in the same document. It ends when both have it.
    let second = fleet.command(0, &[&["publish", v2.as_str()], &both[..]].concat()).await;
    assert_eq!((&second["previous"], &second["wait"]["ended"]), (&first["release"], &"good".into()), "{second}");
    fleet.serve("v2").await;

    // Halted before one of them has the lock: none begins it, also not once the lock is free.
    let s3 = &fleet.worlds[0].s3;
    s3.put(BUCKET, LOCK, r#"{"holder":"i-2","release":"0","lease_ms":600000,"nonce":"x"}"#, &[]);
    let third = fleet.command(0, &["publish", &fleet.document(&v3)]).await;
    fleet.wait_for("lock").await;
    fleet.command(0, &["halt", "--reason", "look first"]).await;
    s3.delete(BUCKET, LOCK);
    fleet.wait_for("stopped").await;
    let halted = fleet.command(1, &["status"]).await;
    assert_eq!(halted["release"], third["release"], "{halted}");
    for agent in &fleet.agents {
        assert_eq!(version(agent).await, "v2");
    }
    fleet.command(0, &["resume"]).await;
    fleet.serve("v3").await;

    // A bad one stops itself, and the command that waits for it fails.
    let fourth = fleet.command(1, &[&["publish", bad.as_str()], &both[..]].concat()).await;
    assert_eq!(fourth["wait"]["ended"], "stopped", "{fourth}");
    fleet.command(1, &["status"]).await;
    for agent in &fleet.agents {
        let serves_on = async || version(agent).await == "v3" && agent.http("/ready").await.status == 200;
        until("v3 serves on", serves_on).await;
    }

    // Back to what they run, and then to what they ran before.
    let back = fleet.command(0, &["rollback"]).await;
    assert_eq!(back["release"], third["release"], "{back}");
    fleet.serve("v3").await;
    fleet.command(0, &["status"]).await;
    let two = second["release"].as_str().unwrap();
    fleet.command(0, &["rollback", "--to", two]).await;
    fleet.serve("v2").await;
    fleet.command(1, &["rollback", "--to", two]).await;
    fleet.command(2, &["publish", &fleet.document("not/an image")]).await;
}

#[tokio::test]
async fn instances_that_are_lost_end_a_wait_and_stop_the_release_until_it_is_resumed() {
    let fleet = Fleet::start("").await;
    let world = &fleet.world;
    let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let line = format!("berth image=nginx:1.27@{digest} port=8080 release.board=s3://{BUCKET}/{BOARD}");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), line).unwrap();
    let (pointer, file) = (format!("s3://{BUCKET}/{DOCUMENT}"), file.path().to_str().unwrap());
    let release = |words: &[&str]| {
        let words: Vec<String> =
            ["release", words[0], &pointer].iter().chain(&words[1..]).map(|word| (*word).into()).collect();
        async move {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let output = berth(world, &words).await;
            let json: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            (output.status.code(), json, err(&output))
        }
    };
    let marked = async {
        until("published", async || world.s3.keys(BUCKET).iter().any(|key| key == DOCUMENT)).await;
        let id = ReleaseId::of(&world.s3.object(BUCKET, DOCUMENT).unwrap());
        for instance in ["i-1", "i-2"] {
            let mark = format!("{BOARD}/{id}/begun/AROA:{instance}");
            world.s3.put(BUCKET, &mark, "{}", &[]);
            world.s3.age(BUCKET, &mark, std::time::Duration::from_secs(3_600));
        }
    };
    let wait = release(&["publish", file, "--wait", "--instances", "2", "--timeout", "50s", "--json"]);
    let ((code, json, err), ()) = tokio::join!(wait, marked);
    assert_eq!(
        (code, &json["wait"]["ended"], &json["wait"]["unsettled"]),
        (Some(1), &"stopped".into(), &2.into()),
        "{err}"
    );
    let reason = json["wait"]["reason"].as_str().unwrap();
    assert!(reason.contains("are taken for lost: i-1, i-2; look at"), "{reason}");

    let (code, json, err) = release(&["status", "--json"]).await;
    assert_eq!(
        (code, &json["begun"][1]["instance"], &json["begun"][1]["lost"]),
        (Some(1), &"i-2".into(), &true.into()),
        "{err}"
    );
    assert!(json["advice"].as_str().unwrap().starts_with("no instance begins it any more"), "{json:#}");
    let (code, json, err) = release(&["resume", "--json"]).await;
    assert_eq!(
        (code, &json["pardoned"], &json["lost"]),
        (Some(0), &2.into(), &serde_json::json!(["AROA:i-1", "AROA:i-2"])),
        "{err}"
    );
    let (code, json, err) = release(&["status", "--json"]).await;
    assert_eq!((code, &json["unsettled_count"], &json["bad_count"]), (Some(0), &0.into(), &2.into()), "{err}");
}
