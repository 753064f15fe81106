//! `berth doctor` on an instance that follows a document: what it reads of the board, nothing written, and the group's health checks.

use berth_core::message::release::ReleaseId;
use berth_kit::World;
use serde_json::{Value, json};

use crate::commands::berth;
use crate::doctor::{examined, free_port, instance, line, named, not_ok};

const BUCKET: &str = "releases";

/// An instance that follows a document in S3, which its publisher copied to the board, and its own policy.
async fn following() -> (World, ReleaseId) {
    let world = instance().await;
    world.s3.create(BUCKET);
    let document = format!("berth {}", line(&world).replace("port=0:", &format!("port={}:", free_port())));
    let release = ReleaseId::of(document.as_bytes());
    world.s3.put(BUCKET, &format!("board/{release}/document"), document.clone(), &[]);
    world.s3.put(BUCKET, &format!("board/{release}/begun/AROA:i-1"), "{}", &[]);
    world.s3.put(BUCKET, "board/locks/0", "{}", &[]);
    world.s3.put(BUCKET, "document", document, &[]);
    world.user_data(&format!("berth config=s3://{BUCKET}/document follow=15s release.board=s3://{BUCKET}/board"));
    (world, release)
}

async fn policy(world: &World) -> Value {
    serde_json::from_slice(&berth(world, &["policy"]).await.stdout).unwrap()
}

#[tokio::test]
async fn the_board_is_read_and_nothing_is_written() {
    let (world, release) = following().await;
    world.iam.enforce(&policy(&world).await);
    let keys = world.s3.keys(BUCKET);
    let report = examined(&world, 0).await;
    assert_eq!(not_ok(&report), Vec::<String>::new(), "{report:#}");
    assert_eq!(named(&report, "pointer")[0]["found"], "s3://releases/document");
    let board = named(&report, "board");
    let found = format!("s3://releases/board: release {release}, 0 ok, 0 bad, 1 without a verdict");
    assert_eq!((&board[0]["verdict"], &board[0]["found"]), (&json!("ok"), &json!(found)));
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let untried: Vec<_> =
        board[1..].iter().map(|check| (word(&check["verdict"]), word(&check["statement"]["Sid"]))).collect();
    let sids = ["BerthBoardLocks", "BerthBoardOwn", "BerthBoardMark"];
    assert_eq!(untried, sids.map(|sid| ("untried".to_owned(), sid.to_owned())));
    assert_eq!(world.s3.keys(BUCKET), keys);
    for effect in ["PutObject", "DeleteObject"] {
        assert_eq!(world.journal.count(effect), 0, "{}", world.journal.text());
    }
}

#[tokio::test]
async fn each_right_that_is_missing_is_named_with_its_statement() {
    let (world, release) = following().await;
    let whole = policy(&world).await;
    let without = |sid: &str| {
        let mut policy = whole.clone();
        policy["Statement"].as_array_mut().unwrap().retain(|statement| statement["Sid"] != sid);
        policy
    };
    for (sid, name, expected, code, what) in [
        ("BerthDocument", "pointer", vec!["pointer fail"], 3, "s3:GetObject"),
        ("BerthBoardList", "board", vec!["board fail"], 3, "s3:ListBucket"),
        ("BerthBoardRead", "board", vec!["board warn", "board warn"], 0, "the copy of the document"),
    ] {
        world.iam.enforce(&without(sid));
        let report = examined(&world, code).await;
        assert_eq!(not_ok(&report), expected, "{sid}: {report:#}");
        let checks = named(&report, name);
        let check = checks.iter().find(|check| check["verdict"] != "ok").unwrap();
        assert!(check["found"].as_str().unwrap().contains(what), "{sid}: {check}");
        assert_eq!(check["statement"]["Sid"], sid, "{check}");
    }
    world.iam.enforce(&whole);
    // A document that anything else wrote has no copy on the board.
    world.s3.delete(BUCKET, &format!("board/{release}/document"));
    world.s3.delete(BUCKET, "board/locks/0");
    assert_eq!(not_ok(&examined(&world, 0).await), Vec::<String>::new());
    world.s3.delete(BUCKET, "document");
    let report = examined(&world, 3).await;
    let pointer = named(&report, "pointer")[0];
    assert_eq!(pointer["verdict"], "fail", "{pointer}");
}

#[tokio::test]
async fn a_group_that_replaces_instances_that_release_by_readiness_is_a_warning() {
    let (world, _) = following().await;
    let health = async || named(&examined(&world, 0).await, "health check")[0].clone();
    let group = world.autoscaling.group().to_owned();
    assert_eq!(health().await["found"], format!("{group}: EC2"));
    world.autoscaling.check_health_by("EC2,ELB");
    let check = health().await;
    assert_eq!(check["verdict"], "warn", "{check}");
    assert!(
        check["found"].as_str().unwrap().starts_with(&format!("{group}: EC2,ELB; an instance answers 503")),
        "{check}"
    );
    // The agent does not need the call, so its policy does not allow it.
    world.iam.enforce(&policy(&world).await);
    let check = health().await;
    assert_eq!(check["verdict"], "untried", "{check}");
    assert!(check["found"].as_str().unwrap().contains("is not known"), "{check}");
}
