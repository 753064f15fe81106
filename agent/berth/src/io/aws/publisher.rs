//! The board as a publisher reads and writes it: documents of releases, halts and pardons, verdicts and locks (docs/decisions/0022).

use std::collections::BTreeSet;
use std::time::Duration;

use berth_config::Board;
use berth_core::message::error::{ErrorClass, JobError};
use berth_core::message::release::{BoardState, ReleaseId, Verdict};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use super::board::{json, lock_of, object, time};
use super::s3::{self, About, Condition, S3Error};
use crate::io::aws::client::Aws;

/// Objects that are read at the same time.
const AT_ONCE: usize = 8;

/// What the board has about one release, by the users that wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdicts {
    /// Who called it good, by `aws:userid`.
    pub ok: Vec<String>,
    /// Who called it bad.
    pub bad: Vec<String>,
    /// Who began it and has written no verdict.
    pub begun: Vec<String>,
    /// Whether an operator halted it.
    pub is_halted: bool,
    /// Bad verdicts that were known when it was resumed.
    pub pardoned: u32,
}

/// A verdict as it was written. A part that cannot be read is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WrittenVerdict {
    /// Why.
    pub reason: String,
    /// When.
    pub time: String,
    /// What the app wrote last.
    pub last_lines: Vec<String>,
}

/// A halt as it was written. A part that cannot be read is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Halt {
    /// Why.
    pub reason: String,
    /// By whom, as `aws:userid`.
    pub by: String,
    /// When.
    pub time: String,
}

/// A mark: this instance has begun a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Who wrote it, by `aws:userid`.
    pub user: String,
    /// How long ago, by the clock of S3.
    pub age: Duration,
}

/// A lock that somebody holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockView {
    /// Its key below `locks/`.
    pub number: String,
    /// The instance; none if the lock cannot be read.
    pub holder: Option<String>,
    /// For which release.
    pub release: Option<ReleaseId>,
    /// How much of its lease is left.
    pub left: Duration,
}

impl Verdicts {
    /// The same by numbers.
    pub fn state(&self) -> BoardState {
        let count = |users: &[String]| u32::try_from(users.len()).unwrap_or(u32::MAX);
        BoardState {
            ok: count(&self.ok),
            bad: count(&self.bad),
            unsettled: count(&self.begun),
            own: None,
            has_begun: false,
            is_halted: self.is_halted,
            pardoned: self.pardoned,
        }
    }

    fn of(keys: &[String]) -> Self {
        let mut all = Self::default();
        for key in keys {
            match key.split_once('/') {
                Some(("ok", user)) => all.ok.push(user.to_owned()),
                Some(("bad", user)) => all.bad.push(user.to_owned()),
                Some(("begun", user)) => all.begun.push(user.to_owned()),
                Some(_) => {}
                None if key == "halt" => all.is_halted = true,
                None => {
                    let pardoned = key.strip_prefix("resume-").and_then(|count| count.parse().ok());
                    all.pardoned = all.pardoned.max(pardoned.unwrap_or_default());
                }
            }
        }
        // Each instance counts once, and a bad verdict beats a good one.
        let instance = |user: &str| user.rsplit(':').next().unwrap_or_default().to_owned();
        let of = |users: &[String]| users.iter().map(|user| instance(user)).collect::<BTreeSet<_>>();
        let bad = of(&all.bad);
        all.ok.retain(|user| !bad.contains(&instance(user)));
        let ok = of(&all.ok);
        all.begun.retain(|user| !bad.contains(&instance(user)) && !ok.contains(&instance(user)));
        all
    }
}

/// The time by the clock of the services, as RFC 3339.
pub fn now(aws: &Aws) -> String {
    time(aws)
}

/// What the board has about a release: one list.
pub async fn verdicts(aws: &Aws, board: &Board, release: &ReleaseId) -> Result<Verdicts, S3Error> {
    let keys = s3::list(aws, &object(board, &format!("{release}/"))).await?;
    Ok(Verdicts::of(&keys))
}

/// Writes the copy of a document that never changes. The same copy from before is as good.
pub async fn copy(
    aws: &Aws,
    board: &Board,
    release: &ReleaseId,
    document: &[u8],
    previous: Option<&ReleaseId>,
) -> Result<(), JobError> {
    let at = object(board, &format!("{release}/document"));
    let about = About { previous: previous.cloned(), is_rollback: false };
    if s3::put(aws, &at, document.to_vec(), Condition::Absent, &about).await?.is_some() {
        return Ok(());
    }
    match s3::get(aws, &at, None).await?.is_some_and(|found| found.body == document) {
        true => Ok(()),
        false => Err(JobError::new(
            ErrorClass::Broken,
            format!("{at} exists and is another document, though its name is the hash of this one: remove that object"),
        )),
    }
}

/// These verdicts of a release as they were written, in this order; one that is gone meanwhile is left out.
pub async fn written(
    aws: &Aws,
    board: &Board,
    release: &ReleaseId,
    verdict: Verdict,
    users: &[String],
) -> Result<Vec<(String, WrittenVerdict)>, S3Error> {
    let mut all = Vec::new();
    for some in users.chunks(AT_ONCE) {
        let read = some.iter().map(async |user| {
            let at = object(board, &format!("{release}/{}/{user}", verdict.word()));
            (user, body(aws, &at).await)
        });
        for (user, read) in join_all(read).await {
            let parsed = read?.map(|body| serde_json::from_slice(&body).unwrap_or_default());
            all.extend(parsed.map(|verdict| (user.clone(), verdict)));
        }
    }
    Ok(all)
}

/// The halt of a release, if there is one.
pub async fn halted(aws: &Aws, board: &Board, release: &ReleaseId) -> Result<Option<Halt>, S3Error> {
    let read = body(aws, &object(board, &format!("{release}/halt"))).await?;
    Ok(read.map(|body| serde_json::from_slice(&body).unwrap_or_default()))
}

/// Halts a release: no other instance begins it.
pub async fn halt(aws: &Aws, board: &Board, release: &ReleaseId, reason: &str, by: &str) -> Result<(), JobError> {
    let halt = Halt { reason: reason.to_owned(), by: by.to_owned(), time: time(aws) };
    let at = object(board, &format!("{release}/halt"));
    s3::put(aws, &at, json(&halt)?, Condition::None, &About::default()).await?;
    Ok(())
}

/// The marks of these users, the oldest first; one that is gone meanwhile is left out.
pub async fn marks(aws: &Aws, board: &Board, release: &ReleaseId, users: &[String]) -> Result<Vec<Mark>, S3Error> {
    let mut marks = Vec::new();
    for some in users.chunks(AT_ONCE) {
        let read = some.iter().map(async |user| {
            let at = object(board, &format!("{release}/begun/{user}"));
            (user, s3::get(aws, &at, None).await)
        });
        for (user, read) in join_all(read).await {
            match read {
                Ok(mark) => marks.extend(mark.map(|mark| Mark { user: user.clone(), age: mark.age })),
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(error),
            }
        }
    }
    marks.sort_by(|one, other| other.age.cmp(&one.age).then_with(|| one.user.cmp(&other.user)));
    Ok(marks)
}

/// Writes a bad verdict in the place of an instance that is lost.
pub async fn write_lost(aws: &Aws, board: &Board, release: &ReleaseId, user: &str) -> Result<(), JobError> {
    let reason = "it began the release and has written no verdict: `berth release resume` took it for lost".to_owned();
    let verdict = WrittenVerdict { reason, time: time(aws), last_lines: Vec::new() };
    let at = object(board, &format!("{release}/bad/{user}"));
    s3::put(aws, &at, json(&verdict)?, Condition::Absent, &About::default()).await?;
    Ok(())
}

/// Lets a release go on: so many bad verdicts are known and do not stop it, and the halt with this ETag is taken back. Whether it is: one
/// that was written since then stays.
pub async fn resume(
    aws: &Aws,
    board: &Board,
    release: &ReleaseId,
    bad: u32,
    halt: Option<&str>,
) -> Result<bool, JobError> {
    let at = object(board, &format!("{release}/resume-{bad}"));
    s3::put(aws, &at, Vec::new(), Condition::None, &About::default()).await?;
    match halt {
        Some(etag) => {
            Ok(s3::delete(aws, &object(board, &format!("{release}/halt")), Condition::Unchanged(etag)).await?)
        }
        None => Ok(true),
    }
}

/// The ETag of a release's halt, if there is one.
pub async fn halt_etag(aws: &Aws, board: &Board, release: &ReleaseId) -> Result<Option<String>, S3Error> {
    let found = s3::find(aws, &object(board, &format!("{release}/halt"))).await?;
    Ok(found.map(|object| object.etag))
}

/// Every lock that there is.
pub async fn locks(aws: &Aws, board: &Board) -> Result<Vec<LockView>, S3Error> {
    let numbers = s3::list(aws, &object(board, "locks/")).await?;
    let mut all = Vec::new();
    for some in numbers.chunks(AT_ONCE) {
        let read =
            some.iter().map(async |number| (number, lock_of(aws, &object(board, &format!("locks/{number}"))).await));
        for (number, read) in join_all(read).await {
            let Some((_, lock, age)) = read? else { continue };
            let lease = lock.as_ref().map_or(Duration::ZERO, |lock| Duration::from_millis(lock.lease_ms));
            let (holder, release) = lock.map(|lock| (lock.holder, lock.release)).unzip();
            all.push(LockView { number: number.clone(), holder, release, left: lease.saturating_sub(age) });
        }
    }
    Ok(all)
}

async fn body(aws: &Aws, at: &s3::ObjectName) -> Result<Option<bytes::Bytes>, S3Error> {
    Ok(s3::find(aws, at).await?.map(|object| object.body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_a_release_say_who_judged_it_how() {
        let keys = ["document", "ok/A:i-1", "bad/A:i-2", "resume-1", "resume-12", "resume-x", "halt", "other/x"];
        let all = Verdicts::of(&keys.map(str::to_owned));
        assert_eq!((all.ok.as_slice(), all.bad.as_slice()), (&["A:i-1".to_owned()][..], &["A:i-2".to_owned()][..]));
        let state = BoardState { ok: 1, bad: 1, is_halted: true, pardoned: 12, ..BoardState::default() };
        assert_eq!(all.state(), state);
    }
}
