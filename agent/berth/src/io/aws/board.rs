//! The board of a fleet in a bucket of S3: what instances write about releases, and the locks that let few of them begin at once
//! (docs/decisions/0022).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use berth_config::Board;
use berth_core::message::error::{ErrorClass, JobError};
use berth_core::message::output::AppOutput;
use berth_core::message::release::{BoardState, HeldLock, ReleaseId, Verdict};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use super::s3::{self, About, Condition, Object, ObjectName, S3Error};
use crate::io::aws::client::Aws;

/// Locks that are read at the same time.
const AT_ONCE: usize = 8;

/// A lock, as its object holds it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Lock {
    /// The instance that holds it.
    pub(super) holder: String,
    /// For which release.
    pub(super) release: ReleaseId,
    /// For how long since its last write.
    pub(super) lease_ms: u64,
    /// Another one in every write: the ETag is a hash of the content, and must change although the rest does not.
    nonce: String,
}

/// Who takes a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The instance.
    pub instance_id: String,
    /// For which release.
    pub release: ReleaseId,
    /// For how long it is held since it was written.
    pub lease: Duration,
}

/// What an instance has to say of a release.
#[derive(Clone, Copy, Debug)]
pub struct Opinion<'o> {
    /// What.
    pub verdict: Verdict,
    /// Why.
    pub reason: &'o str,
    /// What the app wrote last.
    pub output: Option<&'o AppOutput>,
}

/// A verdict, as its object holds it.
#[derive(Debug, Serialize)]
struct Written<'w> {
    reason: &'w str,
    time: String,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    last_lines: &'w [String],
}

/// The mark of an instance that begins, as its object holds it.
#[derive(Debug, Serialize)]
struct Mark {
    time: String,
    /// Another one in every write, as in a lock.
    nonce: String,
}

/// The copy of a release's document; none if its publisher wrote none.
pub async fn document(aws: &Aws, board: &Board, release: &ReleaseId) -> Result<Option<Object>, S3Error> {
    s3::find(aws, &object(board, &format!("{release}/document"))).await
}

/// What the board has about a release: one list.
pub async fn read(aws: &Aws, board: &Board, release: &ReleaseId, instance_id: &str) -> Result<BoardState, S3Error> {
    let keys = s3::list(aws, &object(board, &format!("{release}/"))).await?;
    Ok(state_of(keys.iter().map(String::as_str), instance_id))
}

/// What the names below a release say. Each instance counts once, by what follows the colon of its `aws:userid`: the role may have been
/// replaced. A bad verdict beats a good one.
fn state_of<'k>(keys: impl Iterator<Item = &'k str>, instance_id: &str) -> BoardState {
    let (mut verdicts, mut begun) = (BTreeMap::new(), BTreeSet::new());
    let mut state = BoardState::default();
    for key in keys {
        let instance = |user: &'k str| user.rsplit(':').next().unwrap_or(user);
        match key.split_once('/') {
            Some(("ok", user)) => drop(verdicts.entry(instance(user)).or_insert(Verdict::Ok)),
            Some(("bad", user)) => drop(verdicts.insert(instance(user), Verdict::Bad)),
            Some(("begun", user)) => drop(begun.insert(instance(user))),
            Some(_) => {}
            None if key == "halt" => state.is_halted = true,
            None => {
                let pardoned = key.strip_prefix("resume-").and_then(|count| count.parse().ok());
                state.pardoned = state.pardoned.max(pardoned.unwrap_or_default());
            }
        }
    }
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    state.bad = count(verdicts.values().filter(|verdict| **verdict == Verdict::Bad).count());
    state.ok = count(verdicts.len()).saturating_sub(state.bad);
    state.own = verdicts.get(instance_id).copied();
    state.has_begun = begun.contains(instance_id) && state.own.is_none();
    let is_unsettled = |instance: &&&str| **instance != instance_id && !verdicts.contains_key(**instance);
    state.unsettled = count(begun.iter().filter(is_unsettled).count());
    state
}

/// Writes that this instance begins a release; the ETag of that.
pub async fn mark_begun(aws: &Aws, board: &Board, release: &ReleaseId, user_id: &str) -> Result<String, JobError> {
    let mark = Mark { time: time(aws), nonce: nonce()? };
    let at = object(board, &format!("{release}/begun/{user_id}"));
    let etag = s3::put(aws, &at, json(&mark)?, Condition::None, &About::default()).await?;
    etag.ok_or_else(|| JobError::new(ErrorClass::Transient, format!("{at} was not written")))
}

/// Takes the mark back, if it is still this one.
pub async fn take_back_mark(
    aws: &Aws,
    board: &Board,
    release: &ReleaseId,
    user_id: &str,
    etag: &str,
) -> Result<(), JobError> {
    let at = object(board, &format!("{release}/begun/{user_id}"));
    s3::delete(aws, &at, Condition::Unchanged(etag)).await?;
    Ok(())
}

/// Takes a lock: one of this instance's own from before a crash or from a write whose answer was lost, else a free one, else one whose lease has run
/// out. None if others hold every lock.
pub async fn take(aws: &Aws, board: &Board, holder: &Holder, locks: u32) -> Result<Option<HeldLock>, JobError> {
    // Every lock is looked at before one is taken, so that an instance never holds two. One that is not there is seen in the list: a policy
    // whose ListBucket has a condition makes S3 answer a GET of it with 403.
    let there = s3::list(aws, &object(board, "locks/")).await?;
    let is_there = |number: &u32| there.iter().any(|name| *name == number.to_string());
    let (taken, free): (Vec<u32>, Vec<u32>) =
        rotated(locks, holder.release.slot(&holder.instance_id)).into_iter().partition(is_there);
    let mut candidates: Vec<_> = free.into_iter().map(|number| (Available::Free, number)).collect();
    for numbers in taken.chunks(AT_ONCE) {
        let states = numbers.iter().map(async |number| (*number, holder.look(aws, board, *number).await));
        for (number, state) in join_all(states).await {
            candidates.extend(state?.map(|state| (state, number)));
        }
    }
    candidates.sort_by_key(|(state, _)| state.order());
    for (state, number) in candidates {
        if let Some(lock) = holder.write(aws, board, number, state.condition()).await? {
            return Ok(Some(lock));
        }
    }
    Ok(None)
}

/// Begins the lease of a lock again; none if it is another instance's by now.
pub async fn renew(aws: &Aws, board: &Board, holder: &Holder, lock: &HeldLock) -> Result<Option<HeldLock>, JobError> {
    let renewed = holder.write(aws, board, lock.number, Condition::Unchanged(&lock.etag)).await?;
    if renewed.is_some() {
        return Ok(renewed);
    }
    // It may be a write of this instance's own whose answer was lost. Its lease has run for some time: it begins again by another write.
    match holder.look(aws, board, lock.number).await? {
        Some(own @ Available::Own(_)) => Ok(holder.write(aws, board, lock.number, own.condition()).await?),
        _ => Ok(None),
    }
}

/// Gives a lock back, if it is still this instance's.
pub async fn give_back(aws: &Aws, board: &Board, lock: &HeldLock, instance_id: &str) -> Result<(), JobError> {
    let at = lock_object(board, lock.number);
    if s3::delete(aws, &at, Condition::Unchanged(&lock.etag)).await? {
        return Ok(());
    }
    // The same: the last write may be this instance's own.
    if let Some((etag, Some(Lock { holder, .. }), _)) = lock_of(aws, &at).await?
        && holder == instance_id
    {
        s3::delete(aws, &at, Condition::Unchanged(&etag)).await?;
    }
    Ok(())
}

/// Writes a verdict, unless this instance has written the same before. `user_id` is `aws:userid`, and ends in the instance's id.
pub async fn write_verdict(
    aws: &Aws,
    board: &Board,
    release: &ReleaseId,
    user_id: &str,
    opinion: Opinion<'_>,
) -> Result<(), JobError> {
    let at = object(board, &format!("{release}/{}/{user_id}", opinion.verdict.word()));
    let last_lines = opinion.output.map_or(&[][..], |output| &output.lines);
    let written = Written { reason: opinion.reason, time: time(aws), last_lines };
    s3::put(aws, &at, json(&written)?, Condition::Absent, &About::default()).await?;
    Ok(())
}

impl Holder {
    /// Whether a lock may be taken; none if another instance holds it.
    async fn look(&self, aws: &Aws, board: &Board, number: u32) -> Result<Option<Available>, JobError> {
        let Some((etag, lock, age)) = lock_of(aws, &lock_object(board, number)).await? else {
            return Ok(Some(Available::Free));
        };
        // What is no lock of this version must not stay for ever: it runs out like one of this instance.
        let lease = lock.as_ref().map_or(self.lease, |lock| Duration::from_millis(lock.lease_ms));
        Ok(if lock.is_some_and(|lock| lock.holder == self.instance_id) {
            Some(Available::Own(etag))
        } else if age >= lease {
            Some(Available::RunOut(etag))
        } else {
            None
        })
    }

    /// Writes a lock of this instance; none if the condition does not hold.
    async fn write(
        &self,
        aws: &Aws,
        board: &Board,
        number: u32,
        condition: Condition<'_>,
    ) -> Result<Option<HeldLock>, JobError> {
        let lock = Lock {
            holder: self.instance_id.clone(),
            release: self.release.clone(),
            lease_ms: u64::try_from(self.lease.as_millis()).unwrap_or(u64::MAX),
            nonce: nonce()?,
        };
        let etag = s3::put(aws, &lock_object(board, number), json(&lock)?, condition, &About::default()).await?;
        Ok(etag.map(|etag| HeldLock { number, etag }))
    }
}

/// A lock that may be taken.
#[derive(Debug, PartialEq, Eq)]
enum Available {
    /// This instance holds it, with this ETag.
    Own(String),
    /// Nobody holds it.
    Free,
    /// Its lease has run out.
    RunOut(String),
}

impl Available {
    /// Under which a write takes it.
    fn condition(&self) -> Condition<'_> {
        match self {
            Self::Own(etag) | Self::RunOut(etag) => Condition::Unchanged(etag),
            Self::Free => Condition::Absent,
        }
    }

    fn order(&self) -> u8 {
        match self {
            Self::Own(_) => 0,
            Self::Free => 1,
            Self::RunOut(_) => 2,
        }
    }
}

/// A lock's ETag, what it says if that can be read, and its age; none if there is no such object.
pub(super) async fn lock_of(aws: &Aws, at: &ObjectName) -> Result<Option<(String, Option<Lock>, Duration)>, S3Error> {
    let found = s3::find(aws, at).await?;
    Ok(found.map(|object| (object.etag, serde_json::from_slice(&object.body).ok(), object.age)))
}

pub(super) fn json(value: &impl Serialize) -> Result<Vec<u8>, JobError> {
    serde_json::to_vec(value).map_err(|error| JobError::from_error(ErrorClass::Broken, &error))
}

/// `2026-11-21T03:34:32Z`, by the clock of the services.
pub(super) fn time(aws: &Aws) -> String {
    DateTime::from_secs(aws.now().secs()).fmt(Format::DateTime).unwrap_or_default()
}

fn nonce() -> Result<String, JobError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| JobError::new(ErrorClass::Transient, format!("no random bytes: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The numbers of all locks, from another one on for every instance, so that they do not all try the same one first.
fn rotated(locks: u32, slot: u16) -> Vec<u32> {
    let mut numbers: Vec<u32> = (0..locks).collect();
    let by = usize::from(slot).checked_rem(numbers.len()).unwrap_or_default();
    numbers.rotate_left(by);
    numbers
}

fn lock_object(board: &Board, number: u32) -> ObjectName {
    object(board, &format!("locks/{number}"))
}

/// An object of the board, by what follows its prefix.
pub(super) fn object(board: &Board, name: &str) -> ObjectName {
    let slash = if board.prefix.is_empty() { "" } else { "/" };
    ObjectName { bucket: board.bucket.clone(), key: format!("{}{slash}{name}", board.prefix) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_a_board_follow_its_prefix() {
        let board = |prefix: &str| Board { bucket: "b".into(), prefix: prefix.into() };
        assert_eq!(object(&board("prod/api"), "locks/0").to_string(), "s3://b/prod/api/locks/0");
        assert_eq!(object(&board(""), "locks/0").to_string(), "s3://b/locks/0");
    }

    #[test]
    fn each_instance_counts_once_and_a_bad_verdict_beats_a_good_one() {
        let of = |keys: &[&str]| state_of(keys.iter().copied(), "i-1");
        assert_eq!(of(&[]), BoardState::default());
        let state = of(&[
            "document",
            "begun/A:i-1",
            "begun/A:i-2",
            "begun/A:i-3",
            "ok/A:i-2",
            "ok/B:i-2",
            "bad/A:i-4",
            "ok/A:i-4",
        ]);
        assert_eq!(state, BoardState { ok: 1, bad: 1, unsettled: 1, has_begun: true, ..BoardState::default() });
        // What has its verdict is begun and over.
        assert!(!of(&["begun/A:i-1", "bad/A:i-1"]).has_begun && !of(&["begun/A:i-2"]).has_begun);
        let state = of(&["halt", "resume-2", "resume-10", "resume-x", "bad/A:i-1"]);
        let expected =
            BoardState { bad: 1, own: Some(Verdict::Bad), is_halted: true, pardoned: 10, ..BoardState::default() };
        assert_eq!(state, expected);
    }

    #[test]
    fn each_instance_begins_at_another_lock() {
        assert_eq!(rotated(3, 4), [1, 2, 0]);
        assert_eq!(rotated(1, 2047), [0]);
        assert!(rotated(0, 7).is_empty());
    }
}
