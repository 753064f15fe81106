//! `berth release …`, the binary itself, on moto's S3: what is published, what the board has after it, and who loses a race.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use berth::io::aws::board::{self, Holder, Opinion};
use berth::io::aws::document::Document;
use berth::io::aws::s3::{self, ObjectName};
use berth::io::aws::{Aws, autoscaling};
use berth_config::Board;
use berth_core::message::output::AppOutput;
use berth_core::message::release::{ReleaseId, Verdict};
use serde_json::Value;

use crate::moto::{Moto, base};
use crate::services::Services as _;

mod digests;

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const OTHER: &str = "sha256:fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";

/// A fleet: a bucket with a document and a board.
struct Fleet {
    aws: Aws,
    bucket: String,
    directory: tempfile::TempDir,
}

/// How a command ended.
#[derive(Debug)]
struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ended {
    fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    #[track_caller]
    fn json(&self, code: i32) -> Value {
        assert_eq!((self.code, self.stderr.as_str()), (code, ""), "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    #[track_caller]
    fn refused(&self, code: i32, why: &str) {
        assert!(self.code == code && self.stdout.is_empty() && self.stderr.contains(why), "{why}: {self:?}");
    }
}

impl Fleet {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { aws: Moto.aws().await, bucket: Moto.bucket().await, directory }
    }

    fn pointer(&self) -> String {
        format!("s3://{}/prod/api", self.bucket)
    }

    fn board(&self) -> Board {
        Board { bucket: self.bucket.clone(), prefix: "boards/api".to_owned() }
    }

    /// The document with this image and more words.
    fn line(&self, image: &str, more: &str) -> String {
        format!("berth image={image}@{DIGEST} port=8080 release.board=s3://{}/boards/api {more}\n", self.bucket)
    }

    fn engine(&self) -> PathBuf {
        self.directory.path().join("engine.sock")
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn spawn(&self, words: &[&str], stdin: &str) -> Child {
        let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_berth")));
        command.env_clear().arg("release").arg(words[0]).arg(self.pointer()).args(&words[1..]);
        command.env("AWS_ENDPOINT_URL", base()).env("AWS_REGION", "us-east-2").env("HOME", self.directory.path());
        command.env("AWS_ACCESS_KEY_ID", "EXAMPLE").env("AWS_SECRET_ACCESS_KEY", "EXAMPLE");
        // No engine unless a test puts one there, and no metadata service.
        command.env("DOCKER_HOST", format!("unix://{}", self.engine().display()));
        command.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        child
    }

    fn run(&self, words: &[&str]) -> Ended {
        Ended::of(self.spawn(words, "").wait_with_output().unwrap())
    }

    fn publish(&self, text: &str, more: &[&str]) -> ReleaseId {
        let file = self.file("document", text);
        let json = self.run(&[&["publish", &file, "--json"], more].concat()).json(0);
        ReleaseId::parse(json["release"].as_str().unwrap()).unwrap()
    }

    async fn object(&self, key: &str) -> Document {
        let at = ObjectName { bucket: self.bucket.clone(), key: key.to_owned() };
        s3::get(&self.aws, &at, None).await.unwrap().unwrap().into()
    }

    async fn current(&self) -> Document {
        self.object("prod/api").await
    }

    async fn copy(&self, id: &ReleaseId) -> Document {
        self.object(&format!("boards/api/{id}/document")).await
    }

    async fn judge(&self, id: &ReleaseId, instance: &str, verdict: Verdict, reason: &str) {
        let output = AppOutput { lines: vec!["panic: no database".to_owned()], ..AppOutput::default() };
        let output = (verdict == Verdict::Bad).then_some(&output);
        let user = format!("AROAEXAMPLE:{instance}");
        let opinion = Opinion { verdict, reason, output };
        board::write_verdict(&self.aws, &self.board(), id, &user, opinion).await.unwrap();
    }

    async fn good(&self, id: &ReleaseId) {
        self.judge(id, "i-1", Verdict::Ok, "healthy").await;
    }

    async fn bad(&self, id: &ReleaseId) {
        self.judge(id, "i-2", Verdict::Bad, "it exited with 1").await;
    }
}

fn text(document: &Document) -> &str {
    std::str::from_utf8(&document.bytes).unwrap()
}

#[tokio::test]
async fn a_release_is_a_document_and_its_copy_and_each_names_the_one_before() {
    let fleet = Fleet::start().await;
    let first = fleet.publish(&fleet.line("x:1", "env.A=b"), &["--notes", "the first"]);
    let current = fleet.current().await;
    assert_eq!((&current.release.id, &current.release.previous), (&first, &None));
    assert!(
        text(&current).starts_with("# published 20") && text(&current).contains("Z: the first\nberth image=x:1@sha256")
    );
    assert_eq!(fleet.copy(&first).await.bytes, current.bytes);

    // Another image: everything else stays as it is written.
    let image = format!("r.example/x:2@{OTHER}");
    let ended = fleet.run(&["publish", &image]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{ended:?}");
    let current = fleet.current().await;
    let second = current.release.id.clone();
    assert!(
        ended.stdout.contains(&second.0)
            && ended.stdout.contains(&first.0)
            && ended.stdout.contains("2, r.example/x:2")
    );
    assert_eq!(current.release.previous, Some(first.clone()));
    let line = text(&current).lines().nth(1).unwrap().to_owned();
    assert_eq!(format!("{line}\n"), fleet.line("x:1", "env.A=b").replace(&format!("x:1@{DIGEST}"), &image));
    assert_eq!(text(&current).lines().count(), 2, "the comment took the place of the one before");
    let copy = fleet.copy(&second).await;
    assert_eq!((copy.bytes, copy.release.previous), (current.bytes, Some(first)));
}

#[tokio::test]
async fn of_two_who_publish_at_once_one_is_refused_with_what_is_there() {
    let fleet = Fleet::start().await;
    // One may read what the other wrote: then nobody has lost.
    for round in 0..20 {
        let line = fleet.line(&format!("x:{round}"), "");
        let both = ["one", "two"].map(|notes| fleet.spawn(&["publish", "-", "--notes", notes], &line));
        let ended = both.map(|child| Ended::of(child.wait_with_output().unwrap()));
        let current = fleet.current().await;
        let won = ended.iter().filter(|ended| ended.code == 0).count();
        assert!(won > 0, "{ended:?}");
        if let Some(lost) = ended.iter().find(|ended| ended.code == 1) {
            let other = ended.iter().find(|ended| ended.code == 0).unwrap();
            assert!(other.stdout.contains(&current.release.id.0), "{ended:?}");
            return lost.refused(1, &format!("it is release {} now", current.release.id));
        }
    }
    panic!("nobody lost in 20 rounds");
}

#[tokio::test]
async fn what_no_instance_would_take_is_not_published() {
    let fleet = Fleet::start().await;
    let publish = |text: &str, more: &[&str]| {
        let file = fleet.file("api.toml", text);
        fleet.run(&[&["publish", &file], more].concat())
    };
    publish("image = 'x'\nprot = 80\n", &[]).refused(2, "line 3 column 1: `prot`: unknown key, did you mean `port`?");
    publish(&format!("image = 'x:1@{DIGEST}'\n"), &[]).refused(2, "no `release.board`, and no --board is given");
    publish("image = 'x:1'\n", &["--no-board"]).refused(1, "docker.io/library/x@sha256:…");
    fleet.run(&["publish", "x:1"]).refused(1, "does not exist: publish the first release");
    fleet.run(&["publish", "none.toml"]).refused(2, "No such file");
    fleet.run(&["publish", "-", "--wait"]).refused(2, "--instances N or --group NAME");
    fleet.run(&["publish", "-"]).refused(2, "stdin: has no config");
    fleet.run(&["publish", "-", "--wait", "--group", "none"]).refused(2, "no Auto Scaling group \"none\" in us-east-2");
    let json = fleet.run(&["publish", "-", "--json"]).json(2);
    assert_eq!(json["ok"], false);
    fleet.run(&["status"]).refused(1, "does not exist");
    let at = ObjectName { bucket: fleet.bucket.clone(), key: String::new() };
    assert!(s3::list(&fleet.aws, &at).await.unwrap().is_empty(), "nothing was written");

    // What the user-data may have is not missing, and TOML gets the line that it needs in S3.
    let board = format!("s3://{}/boards/api", fleet.bucket);
    let toml = format!("image = 'x:1@{DIGEST}'\n");
    let ended = publish(&toml, &["--board", &board, "--notes", "a\nb"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{ended:?}");
    let current = fleet.current().await;
    assert!(
        text(&current).starts_with("#berth\n# published 20") && text(&current).ends_with(&format!("Z: a b\n{toml}"))
    );
    let listens = format!("{toml}listen = '0.0.0.0:80'\n");
    publish(&listens, &["--board", &board]).refused(2, "`listen` would change, which only new instances take");
    assert_eq!(publish(&listens, &["--board", &board, "--force"]).code, 0);
    fleet.run(&["publish", "x:9", "--board", &board]).refused(1, "cannot be resolved to a digest");
}

#[tokio::test]
async fn a_json_document_that_failed_is_not_published_again() {
    let fleet = Fleet::start().await;
    let json = |tag: &str| {
        format!("{{\"image\":\"x:{tag}@{DIGEST}\",\"release\":{{\"board\":\"s3://{}/boards/api\"}}}}", fleet.bucket)
    };
    let first = fleet.publish(&json("1"), &[]);
    assert_eq!(first, ReleaseId::of(json("1").as_bytes()), "it is published as it is");
    let again = fleet.run(&["publish", &fleet.file("same", &json("1")), "--json"]).json(0);
    assert_eq!((&again["published"], &again["release"]), (&false.into(), &first.0.clone().into()));
    let second = fleet.publish(&json("2"), &[]);
    fleet.bad(&second).await;
    // The first one was good, and may come again.
    assert_eq!(fleet.publish(&json("1"), &[]), first);
    assert_eq!(fleet.current().await.release.previous, Some(second.clone()));
    let failed = fleet.run(&["publish", &fleet.file("failed", &json("2"))]);
    failed.refused(1, &format!("as release {second}, and failed (0 ok, 1 bad)"));
    // Its image is replaced in place.
    let ended = fleet.run(&["publish", &format!("x:3@{OTHER}"), "--notes", "kept nowhere"]);
    assert!(ended.code == 0 && ended.stderr.contains("--notes is not kept"), "{ended:?}");
    assert_eq!(text(&fleet.current().await), json("3").replace(DIGEST, OTHER));
}

#[tokio::test]
async fn a_release_is_halted_and_resumed_with_the_verdicts_that_it_has() {
    let fleet = Fleet::start().await;
    let id = fleet.publish(&fleet.line("x:1", ""), &[]);
    let state = async || board::read(&fleet.aws, &fleet.board(), &id, "i-9").await.unwrap();
    let halted = fleet.run(&["halt", "--reason", "errors at checkout", "--json"]).json(0);
    assert_eq!((&halted["release"], &halted["halted"]), (&id.0.clone().into(), &true.into()));
    assert!(state().await.is_halted);
    let status = fleet.run(&["status", "--json"]).json(1);
    assert_eq!((&status["ok"], &status["halt"]["reason"]), (&false.into(), &"errors at checkout".into()));
    fleet.bad(&id).await;
    let resumed = fleet.run(&["resume"]);
    assert_eq!((resumed.code, resumed.stderr.as_str()), (0, ""), "{resumed:?}");
    assert!(resumed.stdout.contains("was halted and goes on; its bad verdict is pardoned"), "{resumed:?}");
    assert_eq!((state().await.is_stopped(1), state().await.pardoned), (false, 1));
    assert_eq!(fleet.run(&["status", "--json"]).json(0)["pardoned"], 1);
    fleet.judge(&id, "i-3", Verdict::Bad, "it exited with 2").await;
    assert!(fleet.run(&["status"]).stdout.contains("stopped: 1 bad after it was resumed with 1"));
    assert_eq!(fleet.run(&["resume", "--json"]).json(0)["pardoned"], 2);
}

#[tokio::test]
async fn a_rollback_goes_to_the_newest_release_that_is_good() {
    let fleet = Fleet::start().await;
    let mut ids = Vec::new();
    for number in 1..=4 {
        ids.push(fleet.publish(&fleet.line(&format!("x:{number}"), ""), &[]));
        if number == 1 {
            fleet.run(&["rollback"]).refused(1, "none is known before it");
        }
    }
    let [first, second, third, fourth] = &ids[..] else { panic!() };
    fleet.run(&["rollback"]).refused(1, "none of those before it is good and not stopped");
    for good in [first, second, fourth] {
        fleet.good(good).await;
    }
    fleet.bad(fourth).await;
    let ended = fleet.run(&["rollback", "--json"]).json(0);
    assert_eq!((&ended["release"], &ended["previous"]), (&second.0.clone().into(), &fourth.0.clone().into()));
    let current = fleet.current().await;
    assert_eq!(current.bytes, fleet.copy(second).await.bytes);
    assert_eq!((current.release.previous.as_ref(), current.release.is_rollback), (Some(fourth), true));
    // The copy still names the one that it replaced first.
    assert_eq!(fleet.copy(second).await.release.previous.as_ref(), Some(first));
    // Back once more: past the bad one and past itself.
    let ended = fleet.run(&["rollback"]);
    assert!(
        ended.code == 0 && ended.stdout.contains(&format!("from release {second} to release {first} (1)")),
        "{ended:?}"
    );
    fleet.run(&["rollback", "--to", &first.0]).refused(1, "already");
    fleet
        .run(&["rollback", "--to", "0123456789abcdef"])
        .refused(1, "the board has no document of release 0123456789abcdef");
    let ended = fleet.run(&["rollback", "--to", &third.0]);
    assert!(ended.code == 0 && ended.stderr.contains("no instance has called release"), "{ended:?}");
    assert_eq!(fleet.current().await.release.id, *third);
    let status = fleet.run(&["status", "--json"]).json(0);
    assert_eq!(status["rollback"], true);
    let before: Vec<&str> =
        status["before"].as_array().unwrap().iter().filter_map(|one| one["release"].as_str()).collect();
    assert_eq!(before, [&*first.0], "its own copy has no other one before it");
}

#[tokio::test]
async fn the_status_has_verdicts_locks_and_what_was_before() {
    let fleet = Fleet::start().await;
    let first = fleet.publish(&fleet.line("x:1", ""), &["--notes", "the first"]);
    let second = fleet.publish(&fleet.line("x:2", "release.failures=2"), &["--notes", "larger pool"]);
    fleet.good(&first).await;
    fleet.good(&second).await;
    fleet.bad(&second).await;
    let lease = std::time::Duration::from_secs(3600);
    let holder = Holder { instance_id: "i-7".to_owned(), release: second.clone(), lease };
    board::take(&fleet.aws, &fleet.board(), &holder, 1).await.unwrap().unwrap();
    let ended = fleet.run(&["status"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{ended:?}");
    for part in [
        format!("release   {second}, published "),
        "version   2, docker.io/library/x:2@sha256:".to_owned(),
        "notes     larger pool\n".to_owned(),
        "state     goes on\n".to_owned(),
        "verdicts  1 ok, 1 bad\n".to_owned(),
        "i-2: it exited with 1\n".to_owned(),
        "| panic: no database\n".to_owned(),
        format!("lock      0: i-7 for release {second}, 3"),
        format!("before    {first}  1  1 ok, 0 bad  the first\n"),
    ] {
        assert!(ended.stdout.contains(&part), "{part}: {ended:?}");
    }
}

#[tokio::test]
async fn instances_that_began_and_wrote_no_verdict_are_shown_and_stop_a_release() {
    let fleet = Fleet::start().await;
    let id = fleet.publish(&fleet.line("x:1", "release.failures=1"), &[]);
    let begin = async |instance: &str| {
        let user = format!("AROAEXAMPLE:{instance}");
        board::mark_begun(&fleet.aws, &fleet.board(), &id, &user).await.unwrap();
    };
    begin("i-1").await;
    let json = fleet.run(&["status", "--json"]).json(0);
    assert_eq!((&json["stopped"], &json["begun"][0]["instance"]), (&false.into(), &"i-1".into()), "{json:#}");
    let age = json["begun"][0]["seconds_old"].as_u64().unwrap();
    assert!(age < 60 && json["begun"][0]["lost"] == false, "{json:#}");

    begin("i-2").await;
    let ended = fleet.run(&["status"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (1, ""), "{ended:?}");
    for part in [
        "state     stopped: 0 bad and 2 without a verdict, and release.failures + release.max_parallel is 2\n",
        "verdicts  0 ok, 0 bad, 2 without a verdict\n",
        "begun     i-1: ",
        "begun     i-2: ",
        &format!("then `berth release resume {}` lets it go on\n", fleet.pointer()),
    ] {
        assert!(ended.stdout.contains(part), "{part}: {ended:?}");
    }
    // They may still report.
    let ended = fleet.run(&["resume"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (1, ""), "{ended:?}");
    assert!(
        ended.stdout.contains(&format!("release {id} was not halted, and does not go on yet; no bad")),
        "{ended:?}"
    );
    assert!(ended.stdout.contains("is 2: they are lost "), "{ended:?}");
    // What the gate of another instance says.
    let state = board::read(&fleet.aws, &fleet.board(), &id, "i-9").await.unwrap();
    assert!(!state.may_begin(1, 1), "{state:?}");
    fleet.good(&id).await;
    let json = fleet.run(&["status", "--json"]).json(0);
    assert_eq!((&json["unsettled_count"], &json["ok_count"]), (&1.into(), &1.into()), "{json:#}");
}

#[tokio::test]
async fn a_rollback_waits_for_the_instances_that_left() {
    let fleet = Fleet::start().await;
    let first = fleet.publish(&fleet.line("x:1", ""), &[]);
    let begin = async |id: &ReleaseId, instance: &str| {
        let user = format!("AROAEXAMPLE:{instance}");
        board::mark_begun(&fleet.aws, &fleet.board(), id, &user).await.unwrap();
    };
    let (lease, second) = (std::time::Duration::from_secs(3600), fleet.publish(&fleet.line("x:2", ""), &[]));
    for instance in ["i-1", "i-2"] {
        begin(&first, instance).await;
        fleet.judge(&first, instance, Verdict::Ok, "it serves").await;
    }
    // One of them went on to the next release.
    begin(&second, "i-2").await;
    fleet.judge(&second, "i-2", Verdict::Ok, "it serves").await;
    fleet.run(&["rollback", "--wait"]).refused(2, "--instances N or --group NAME");
    // S3 has whole seconds: a mark of the first time is older than the rollback.
    fleet.is_old(&format!("boards/api/{first}/begun/AROAEXAMPLE:i-2")).await;
    let waits = ["rollback", "--wait", "--instances", "2", "--json", "--timeout"];
    let json = fleet.run(&[&waits[..], &["2s"]].concat()).json(1);
    let wait = &json["wait"];
    assert_eq!(
        (&json["release"], &wait["ended"], &wait["good"]),
        (&first.0.clone().into(), &"timeout".into(), &1.into())
    );
    assert!(wait["reason"].as_str().unwrap().contains("1 of 2 good, 1 not back yet"), "{json:#}");

    // The same again, and now it comes back: it has a lock until it has kept the release through the bake.
    let json = fleet.run(&["rollback", "--to", &second.0, "--json"]).json(0);
    assert_eq!(json["previous"], first.0.as_str());
    let child = fleet.spawn(&[&waits[..], &["60s", "--to", &first.0]].concat(), "");
    let published = tokio::time::timeout(std::time::Duration::from_secs(30), async {
        while fleet.current_id().await.as_ref() != Some(&first) {
            tokio::task::yield_now().await;
        }
    });
    published.await.expect("it is published");
    let holder = Holder { instance_id: "i-2".to_owned(), release: first.clone(), lease };
    let lock = board::take(&fleet.aws, &fleet.board(), &holder, 1).await.unwrap().unwrap();
    fleet.is_old("prod/api").await;
    begin(&first, "i-2").await;
    board::give_back(&fleet.aws, &fleet.board(), &lock, "i-2").await.unwrap();
    let ended = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap()).await.unwrap();
    let json = Ended::of(ended).json(0);
    assert_eq!((&json["wait"]["ended"], &json["wait"]["good"]), (&"good".into(), &2.into()), "{json:#}");
}

#[tokio::test]
async fn a_wait_ends_when_the_instances_have_judged() {
    let fleet = Fleet::start().await;
    let membership = Moto.join_group().await;
    let in_service = autoscaling::in_service(&fleet.aws, &membership.group).await.unwrap().unwrap();
    assert_eq!(in_service, std::slice::from_ref(&membership.instance_id));
    assert_eq!(autoscaling::in_service(&fleet.aws, "none").await.unwrap(), None);

    let wait = async |image: &str, more: &[&str], then: &[(&str, Verdict)]| {
        let file = fleet.file("document", &fleet.line(image, ""));
        let before = fleet.current_id().await;
        let child = fleet.spawn(&[&["publish", &file, "--wait", "--json"], more].concat(), "");
        let published = tokio::time::timeout(std::time::Duration::from_secs(30), async {
            loop {
                match fleet.current_id().await {
                    Some(id) if Some(&id) != before.as_ref() => break id,
                    _ => tokio::task::yield_now().await,
                }
            }
        });
        let id = published.await.expect("it is published");
        for (instance, verdict) in then {
            fleet.judge(&id, instance, *verdict, "because").await;
        }
        Ended::of(tokio::task::spawn_blocking(|| child.wait_with_output().unwrap()).await.unwrap())
    };
    let good = [("i-1", Verdict::Ok), ("i-2", Verdict::Ok)];
    let json = wait("x:1", &["--instances", "2"], &good).await.json(0);
    assert_eq!((&json["wait"]["ended"], &json["wait"]["good"]), (&"good".into(), &2.into()));
    let json = wait("x:2", &["--instances", "2"], &[("i-1", Verdict::Ok), ("i-2", Verdict::Bad)]).await.json(1);
    assert_eq!((&json["ok"], &json["wait"]["ended"]), (&false.into(), &"stopped".into()));
    let json = wait("x:3", &["--instances", "2", "--timeout", "1s"], &[("i-1", Verdict::Ok)]).await.json(1);
    assert_eq!(json["wait"]["ended"], "timeout");
    let own = [("i-other", Verdict::Ok), (&*membership.instance_id, Verdict::Ok)];
    let json = wait("x:4", &["--group", &membership.group], &own).await.json(0);
    assert_eq!((&json["wait"]["ended"], &json["wait"]["good"]), (&"good".into(), &2.into()));
}

impl Fleet {
    /// Until an object is so old that what is written next is younger, in the whole seconds of S3.
    async fn is_old(&self, key: &str) {
        let old = tokio::time::timeout(std::time::Duration::from_secs(30), async {
            while self.object(key).await.release.age < std::time::Duration::from_secs(2) {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        });
        old.await.expect("it gets older");
    }

    async fn current_id(&self) -> Option<ReleaseId> {
        let at = ObjectName { bucket: self.bucket.clone(), key: "prod/api".to_owned() };
        let object = s3::get(&self.aws, &at, None).await.ok().flatten();
        object.map(|object| ReleaseId::of(&object.body))
    }
}
