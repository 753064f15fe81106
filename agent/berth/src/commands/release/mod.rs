//! `berth release …`: for deployments, from a laptop or CI. It reads and writes two places in S3, the document that a fleet follows
//! and its board (docs/decisions/0022), and no instance.

use std::process::ExitCode;
use std::time::Duration;

use berth_config::{Board, Pointer};
use berth_core::message::error::{ErrorClass, JobError};
use berth_core::message::outcome::Outcome;
use berth_core::message::release::Release;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::cli::{FollowedArgs, ReleaseArgs, ReleaseCommand};
use crate::commands::doctor::within;
use crate::io::aws::Aws;
use crate::io::aws::document::Document;
use crate::io::aws::s3::{self, About, Condition, ObjectName};

mod document;
mod halt;
mod history;
mod limits;
mod publish;
mod resolve;
mod resume;
mod rollback;
mod source;
mod status;
mod wait;

/// Between the attempts at a call whose failure may pass by itself, in milliseconds.
const AGAIN: [u64; 4] = [200, 500, 1_000, 2_000];

/// Why a command did not do what it was to do.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Failure {
    /// Its exit code.
    code: u8,
    /// What to print.
    reason: String,
}

/// What a command did.
#[derive(Clone, Debug, PartialEq)]
struct Report {
    /// Whether its condition is met.
    is_met: bool,
    text: String,
    json: Value,
}

/// The fleet that a command is about.
struct Fleet {
    aws: Aws,
    pointer: Pointer,
    at: ObjectName,
    /// What `--board` says.
    board: Option<Board>,
    /// The document that the fleet follows now, if there is one.
    current: Option<Document>,
}

/// What became of a write to the document that a fleet follows.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Written {
    /// It is there.
    Done,
    /// Somebody else wrote it first; what is there now.
    Lost(Option<Release>),
}

/// The whole command.
pub async fn main(args: &ReleaseArgs) -> ExitCode {
    let (done, is_json) = match &args.command {
        ReleaseCommand::Publish(publish) => (publish::run(publish).await, publish.followed.json),
        ReleaseCommand::Status(followed) => (status::run(followed).await, followed.json),
        ReleaseCommand::Halt(halt) => (halt::run(halt).await, halt.followed.json),
        ReleaseCommand::Resume(followed) => (resume::run(followed).await, followed.json),
        ReleaseCommand::Rollback(rollback) => (rollback::run(rollback).await, rollback.followed.json),
    };
    match done {
        Ok(report) => {
            super::say(&if is_json { printed(&report.json) } else { report.text });
            if report.is_met { ExitCode::SUCCESS } else { super::NO.into() }
        }
        Err(failure) if is_json => {
            super::say(&printed(&json!({ "ok": false, "error": failure.reason })));
            failure.code.into()
        }
        Err(failure) => super::failed(failure.code, &failure.reason),
    }
}

fn printed(value: &Value) -> String {
    format!("{value:#}\n")
}

impl Failure {
    /// The condition is not met.
    fn unmet(reason: impl Into<String>) -> Self {
        Self { code: super::NO, reason: reason.into() }
    }

    /// The usage or the config is invalid.
    fn usage(reason: impl Into<String>) -> Self {
        Self { code: Outcome::Usage.code(), reason: reason.into() }
    }
}

impl From<JobError> for Failure {
    fn from(error: JobError) -> Self {
        let code = if error.class == ErrorClass::Misconfigured { Outcome::Usage.code() } else { super::NO };
        Self { code, reason: super::plain(&error.reason) }
    }
}

impl Fleet {
    /// Reads the document that the fleet follows.
    async fn read(args: &FollowedArgs) -> Result<Self, Failure> {
        let Pointer::S3 { bucket, key } = &args.pointer else {
            return Err(Failure::usage(format!("{} is not s3://BUCKET/KEY", args.pointer)));
        };
        let at = ObjectName { bucket: bucket.clone(), key: key.clone() };
        let (imds, aws) = super::aws_anywhere().await.map_err(|error| Failure::usage(super::chain(&error)))?;
        if aws.region().is_none()
            && let Some(Ok(identity)) = within(imds.identity()).await
        {
            aws.locate(&identity);
        }
        let current = read_document(&aws, &at).await?;
        Ok(Self { aws, pointer: args.pointer.clone(), at, board: args.board.clone(), current })
    }

    /// The document, for a command that is about the current release.
    fn current(&self) -> Result<&Document, Failure> {
        self.current.as_ref().ok_or_else(|| {
            Failure::unmet(format!(
                "{} does not exist: publish the first release with `berth release publish {} FILE`",
                self.pointer, self.pointer
            ))
        })
    }

    /// The board, by `--board`, else by the current document.
    fn board(&self) -> Result<Board, Failure> {
        let config = source::read(&self.pointer, self.board.as_ref(), None, &self.current()?.bytes).config;
        config.release.board.ok_or_else(|| {
            Failure::usage(format!(
                "{} has no `release.board`, and no --board is given: if the user-data has it, give --board s3://BUCKET/PREFIX",
                self.pointer
            ))
        })
    }

    /// Writes the document that the fleet follows, if it is still the one that was read.
    async fn write(&self, document: &[u8], about: &About) -> Result<Written, Failure> {
        let condition = match &self.current {
            Some(current) => Condition::Unchanged(&current.release.revision),
            None => Condition::Absent,
        };
        let put = patiently(async || s3::put(&self.aws, &self.at, document.to_vec(), condition, about).await).await?;
        if put.is_some() {
            return Ok(Written::Done);
        }
        let there = read_document(&self.aws, &self.at).await?;
        // A write of this command whose answer was lost.
        let is_ours = |there: &Document| {
            let release = &there.release;
            there.bytes == document && release.previous == about.previous && release.is_rollback == about.is_rollback
        };
        Ok(match there {
            Some(there) if is_ours(&there) => Written::Done,
            there => Written::Lost(there.map(|there| there.release)),
        })
    }

    /// The failure of a write that somebody else was faster with.
    fn lost(&self, there: Option<Release>) -> Failure {
        let now = match there {
            Some(release) => format!("it is release {} now", release.id),
            None => "it does not exist any more".to_owned(),
        };
        Failure::unmet(format!(
            "{} was not written: somebody else changed it since this command read it, and {now}; nothing is published: look at \
             `berth release status {}` and try again",
            self.pointer, self.pointer
        ))
    }
}

/// The document at a place; none if there is none.
async fn read_document(aws: &Aws, at: &ObjectName) -> Result<Option<Document>, Failure> {
    let read = patiently(async || match s3::get(aws, at, None).await {
        Err(error) if error.is_missing() => Ok(None),
        read => read,
    });
    Ok(read.await?.map(Document::from))
}

/// The instance of a user `ROLEID:INSTANCE`.
fn instance(user: &str) -> &str {
    user.rsplit(':').next().unwrap_or(user)
}

/// A call, again while its failure may pass by itself.
async fn patiently<T, E: Into<JobError>>(call: impl AsyncFn() -> Result<T, E>) -> Result<T, JobError> {
    for delay in AGAIN {
        match call().await.map_err(Into::into) {
            Err(error) if error.is_transient() => sleep(Duration::from_millis(fastrand::u64(delay / 2..=delay))).await,
            done => return done,
        }
    }
    call().await.map_err(Into::into)
}
