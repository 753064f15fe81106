//! The flags of `berth release`.

use std::path::PathBuf;
use std::time::Duration;

use berth_config::{Board, Layers, Pointer};
use berth_core::message::release::ReleaseId;
use clap::{Args, Subcommand};

use super::{args, help};

/// `berth release`
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct ReleaseArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ReleaseCommand,
}

/// What to do with the releases of a fleet.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum ReleaseCommand {
    /// Publish a document, or another image, as the next release
    #[command(after_help = help::PUBLISH)]
    Publish(PublishArgs),
    /// Show the current release: its verdicts, its locks, and the releases before it
    #[command(after_help = help::RELEASE_STATUS)]
    Status(FollowedArgs),
    /// Stop the current release: no other instance begins it
    #[command(after_help = help::HALT)]
    Halt(HaltArgs),
    /// Let a release go on that was halted, or stopped by bad verdicts
    #[command(after_help = help::RESUME)]
    Resume(FollowedArgs),
    /// Publish an earlier release again, for all instances at once
    #[command(after_help = help::ROLLBACK)]
    Rollback(RollbackArgs),
}

/// Which fleet: what its instances follow.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct FollowedArgs {
    /// The document that the instances follow, s3://BUCKET/KEY, as in their `config=`
    #[arg(value_parser = pointer)]
    pub pointer: Pointer,
    /// The board, s3://BUCKET/PREFIX, if the document does not have `release.board`
    #[arg(long, value_name = "BOARD", value_parser = board)]
    pub board: Option<Board>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `berth release publish`
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct PublishArgs {
    /// Which fleet.
    #[command(flatten)]
    pub followed: FollowedArgs,
    /// A file with the document, - for standard input; or an image, which replaces that of the current document
    #[arg(value_name = "FILE|IMAGE")]
    pub what: PathBuf,
    /// Text that is kept in a comment of the document
    #[arg(long, value_name = "TEXT")]
    pub notes: Option<String>,
    /// Publish although keys change that only a new instance takes
    #[arg(long)]
    pub force: bool,
    /// The fleet has no board: no copy is kept, so that nothing can be rolled back or waited for
    #[arg(long, conflicts_with_all = ["board", "wait"])]
    pub no_board: bool,
    /// Whether and for how long to wait.
    #[command(flatten)]
    pub waiting: WaitingArgs,
}

/// Until when a command waits for the instances.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct WaitingArgs {
    /// Wait until the instances call the release good
    #[arg(long)]
    pub wait: bool,
    /// With --wait: so many instances must call it good
    #[arg(long, value_name = "N", requires = "wait", conflicts_with = "group", value_parser = clap::value_parser!(u32).range(1..))]
    pub instances: Option<u32>,
    /// With --wait: every instance that is in service in this Auto Scaling group must call it good
    #[arg(long, value_name = "NAME", requires = "wait")]
    pub group: Option<String>,
    /// With --wait: give up after this: 90s, 5m, 1h30m
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = args::timeout, allow_hyphen_values = true)]
    pub timeout: Duration,
}

/// `berth release halt`
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct HaltArgs {
    /// Which fleet.
    #[command(flatten)]
    pub followed: FollowedArgs,
    /// Why: shown in `berth release status`
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// `berth release rollback`
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct RollbackArgs {
    /// Which fleet.
    #[command(flatten)]
    pub followed: FollowedArgs,
    /// The release to go back to [default: the newest earlier one that instances call good and that is not stopped]
    #[arg(long, value_name = "RELEASE", value_parser = release)]
    pub to: Option<ReleaseId>,
    /// Whether and for how long to wait.
    #[command(flatten)]
    pub waiting: WaitingArgs,
}

/// As `config=` reads it.
fn pointer(text: &str) -> Result<Pointer, String> {
    let mut layers = Layers::new();
    layers.add_words(&[format!("config={text}")]);
    match layers.pointer() {
        Some(pointer @ Pointer::S3 { .. }) => Ok(pointer),
        Some(_) => Err("is a parameter or a secret: `berth release` publishes to s3://BUCKET/KEY".to_owned()),
        None => Err(refusal(&layers, "is not s3://BUCKET/KEY")),
    }
}

/// As `release.board=` reads it.
fn board(text: &str) -> Result<Board, String> {
    let mut layers = Layers::new();
    layers.add_words(&[format!("release.board={text}")]);
    let (config, _) = layers.resolve_what_is_written(true);
    config.release.board.ok_or_else(|| refusal(&layers, "is not s3://BUCKET/PREFIX"))
}

fn refusal(layers: &Layers, otherwise: &str) -> String {
    let (_, errors) = layers.resolve_what_is_written(true);
    errors.iter().next().map_or_else(|| otherwise.to_owned(), |error| error.reason.replace('`', ""))
}

fn release(text: &str) -> Result<ReleaseId, String> {
    ReleaseId::parse(text).ok_or_else(|| "is not the id of a release, 16 hex digits".to_owned())
}
