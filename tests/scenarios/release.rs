//! Releases in place: the document changes, and the next version takes the place of the one that serves.

use berth_core::message::release::ReleaseId;
use berth_kit::target_group::TargetGroup;
use berth_kit::{Agent, Image, World};

use crate::commands::{berth, err};
use crate::doctor::free_port;
use crate::steps::until;
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

#[tokio::test]
async fn by_readiness_the_next_version_takes_the_port() {
    let port = free_port();
    let fleet = Fleet::start(&format!("port={port}:8080 health=/health")).await;
    fleet.publish("v1", &[]);
    let agent = fleet.launch().await;
    fleet.verdict("ok").await;
    fleet.publish("v2", &[]);
    fleet.verdict("ok").await;
    until("serving", async || phase(&agent).await == "serve").await;
    assert_eq!(version(&agent).await, "v2");
    assert_eq!(agent.http("/ready").await.status, 200);
    assert_eq!(agent.app_address().await.port(), port);
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
    }
    assert_eq!(fleet.world.journal.count("DeregisterTargets"), 0);
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
            let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
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
