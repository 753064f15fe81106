//! The board of a fleet: locks, verdicts, and what is read of them.

use std::time::Duration;

use berth::io::aws::board::{self, Holder, Opinion};
use berth::io::aws::s3::{About, Condition, ObjectName};
use berth::io::aws::{Aws, s3, sts};
use berth_config::Board;
use berth_core::message::output::AppOutput;
use berth_core::message::release::{BoardState, HeldLock, ReleaseId, Verdict};
use serde_json::Value;

use crate::services::{Services, on_moto_and_kit};

on_moto_and_kit!(
    a_lock_is_held_by_one_instance_until_it_gives_it_back,
    a_lock_whose_lease_has_run_out_is_taken_over_and_its_holder_hears_of_it,
    an_instance_takes_its_own_lock_again_and_never_two,
    an_answer_that_was_lost_loses_no_lock,
    a_verdict_is_written_once,
    a_board_is_read_by_its_names,
);

/// Longer than a test takes.
const LONG: Duration = Duration::from_secs(3600);

fn holder(instance_id: &str, lease: Duration) -> Holder {
    Holder { instance_id: instance_id.to_owned(), release: ReleaseId::of(b"berth image=x:1"), lease }
}

async fn board_of(services: &impl Services) -> (Aws, Board) {
    (services.aws().await, Board { bucket: services.bucket().await, prefix: "prod/api".to_owned() })
}

async fn content(aws: &Aws, board: &Board, name: &str) -> Value {
    let at = ObjectName { bucket: board.bucket.clone(), key: format!("{}/{name}", board.prefix) };
    serde_json::from_slice(&s3::get(aws, &at, None).await.unwrap().unwrap().body).unwrap()
}

async fn put(aws: &Aws, board: &Board, name: &str) {
    let at = ObjectName { bucket: board.bucket.clone(), key: format!("{}/{name}", board.prefix) };
    s3::put(aws, &at, Vec::new(), Condition::None, &About::default()).await.unwrap().unwrap();
}

async fn a_lock_is_held_by_one_instance_until_it_gives_it_back(services: &impl Services) {
    let (aws, board) = board_of(services).await;
    let (one, other) = (holder("i-1", LONG), holder("i-2", LONG));
    let lock = board::take(&aws, &board, &one, 1).await.unwrap().unwrap();
    assert_eq!(board::take(&aws, &board, &other, 1).await.unwrap(), None);
    let written = content(&aws, &board, "locks/0").await;
    assert_eq!((&written["holder"], &written["release"]), (&"i-1".into(), &one.release.0.clone().into()));
    assert_eq!(written["lease_ms"], 3_600_000);
    let renewed = board::renew(&aws, &board, &one, &lock).await.unwrap().unwrap();
    assert_ne!(renewed.etag, lock.etag, "each write has a nonce");
    assert_eq!(board::take(&aws, &board, &other, 1).await.unwrap(), None);
    // A second one is free.
    let second = board::take(&aws, &board, &other, 2).await.unwrap().unwrap();
    assert_eq!(second.number, 1);
    board::give_back(&aws, &board, &renewed, "i-1").await.unwrap();
    board::give_back(&aws, &board, &renewed, "i-1").await.unwrap();
    assert_eq!(board::take(&aws, &board, &holder("i-3", LONG), 1).await.unwrap().map(|lock| lock.number), Some(0));
}

async fn a_lock_whose_lease_has_run_out_is_taken_over_and_its_holder_hears_of_it(services: &impl Services) {
    let (aws, board) = board_of(services).await;
    let (one, other) = (holder("i-1", Duration::from_secs(3)), holder("i-2", LONG));
    let lock = board::take(&aws, &board, &one, 1).await.unwrap().unwrap();
    assert_eq!(board::take(&aws, &board, &other, 1).await.unwrap(), None, "not before the lease has run out");
    let taken = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            if let Some(lock) = board::take(&aws, &board, &other, 1).await.unwrap() {
                return lock;
            }
        }
    });
    let taken = taken.await.expect("the lease runs out");
    assert_eq!(board::renew(&aws, &board, &one, &lock).await.unwrap(), None);
    board::give_back(&aws, &board, &lock, "i-1").await.unwrap();
    assert_eq!(content(&aws, &board, "locks/0").await["holder"], "i-2", "a lost lock is left alone");
    assert!(board::renew(&aws, &board, &other, &taken).await.unwrap().is_some());
}

async fn an_instance_takes_its_own_lock_again_and_never_two(services: &impl Services) {
    let (aws, board) = board_of(services).await;
    let one = holder("i-1", LONG);
    let before = board::take(&aws, &board, &one, 3).await.unwrap().unwrap();
    // After a crash: it knows nothing of it.
    let after = board::take(&aws, &board, &one, 3).await.unwrap().unwrap();
    assert_eq!((after.number, after.etag == before.etag), (before.number, false));
    let numbers = async || {
        let locks = ObjectName { bucket: board.bucket.clone(), key: "prod/api/locks/".to_owned() };
        s3::list(&aws, &locks).await.unwrap()
    };
    assert_eq!(numbers().await, [before.number.to_string()]);
    // One that nobody can read does not stay for ever, and is left alone until then.
    board::give_back(&aws, &board, &after, "i-1").await.unwrap();
    put(&aws, &board, "locks/0").await;
    assert_eq!(board::take(&aws, &board, &one, 1).await.unwrap(), None);
    assert!(board::take(&aws, &board, &holder("i-1", Duration::ZERO), 1).await.unwrap().is_some());
}

/// A write whose answer did not arrive: the instance knows the ETag before it only.
async fn an_answer_that_was_lost_loses_no_lock(services: &impl Services) {
    let (aws, board) = board_of(services).await;
    let one = holder("i-1", LONG);
    let known = board::take(&aws, &board, &one, 1).await.unwrap().unwrap();
    let unknown = board::renew(&aws, &board, &one, &known).await.unwrap().unwrap();
    let again = board::renew(&aws, &board, &one, &known).await.unwrap().unwrap();
    assert!(again.etag != unknown.etag && again.etag != known.etag, "its lease began again");
    board::give_back(&aws, &board, &known, "i-1").await.unwrap();
    assert_eq!(board::renew(&aws, &board, &one, &again).await.unwrap(), None, "it was given back");
    let gone = HeldLock { number: 7, etag: known.etag };
    assert_eq!(board::renew(&aws, &board, &one, &gone).await.unwrap(), None, "it never was");
}

async fn a_verdict_is_written_once(services: &impl Services) {
    let (aws, board) = board_of(services).await;
    let (release, id) = (ReleaseId::of(b"berth image=x:1"), "i-0123456789abcdef0");
    let user = format!("AROAEXAMPLE:{id}");
    let output = AppOutput { lines: vec!["panic: no database".to_owned()], ..AppOutput::default() };
    let opinion = |reason| Opinion { verdict: Verdict::Bad, reason, output: Some(&output) };
    board::write_verdict(&aws, &board, &release, &user, opinion("it exited with 1")).await.unwrap();
    board::write_verdict(&aws, &board, &release, &user, opinion("another reason")).await.unwrap();
    let written = content(&aws, &board, &format!("{release}/bad/{user}")).await;
    assert_eq!(
        (&written["reason"], &written["last_lines"][0]),
        (&"it exited with 1".into(), &"panic: no database".into())
    );
    let time = written["time"].as_str().unwrap();
    assert!(time.len() == 20 && time.starts_with("20") && time.ends_with('Z'), "{time}");
    let good = Opinion { verdict: Verdict::Ok, reason: "healthy", output: None };
    board::write_verdict(&aws, &board, &release, "AROAEXAMPLE:i-2", good).await.unwrap();
    assert_eq!(content(&aws, &board, &format!("{release}/ok/AROAEXAMPLE:i-2")).await.get("last_lines"), None);
    let state = board::read(&aws, &board, &release, id).await.unwrap();
    assert_eq!(state, BoardState { ok: 1, bad: 1, own: Some(Verdict::Bad), ..BoardState::default() });
    assert!(!sts::user_id(&aws).await.unwrap().is_empty());
}

async fn a_board_is_read_by_its_names(services: &impl Services) {
    let (aws, board) = board_of(services).await;
    let release = ReleaseId::of(b"berth image=x:1");
    let state = async |id: &str| board::read(&aws, &board, &release, id).await.unwrap();
    assert_eq!(state("i-1").await, BoardState::default());
    for name in [
        "document",
        "ok/A:i-1",
        "ok/A:i-11",
        "bad/A:i-2",
        "bad/A:i-3",
        "resume-1",
        "resume-2",
        "resume-x",
        "other/A:i-1",
    ] {
        put(&aws, &board, &format!("{release}/{name}")).await;
    }
    put(&aws, &board, "0123456789abcdef/bad/A:i-1").await;
    let two = BoardState { ok: 2, bad: 2, own: Some(Verdict::Ok), pardoned: 2, ..BoardState::default() };
    assert_eq!(state("i-1").await, two);
    assert_eq!(state("i-9").await, BoardState { own: None, ..two.clone() });
    put(&aws, &board, &format!("{release}/halt")).await;
    put(&aws, &board, &format!("{release}/bad/A:i-1")).await;
    assert_eq!(state("i-1").await, BoardState { ok: 1, bad: 3, own: Some(Verdict::Bad), is_halted: true, ..two });
}
