//! The flags of each command.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{ConfigFile, Global, RunDir, StateDir};
use crate::logging::LogFormat;

/// `berth run`
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct RunArgs {
    /// Config keys; they take precedence over the user-data and the AMI-wide defaults
    #[arg(value_name = "KEY=VALUE")]
    pub words: Vec<String>,
    /// Format of the log [default: text on a terminal, json under systemd]
    #[arg(long, value_enum, value_name = "FORMAT", hide_possible_values = false)]
    pub log_format: Option<LogFormat>,
    /// Where the final status goes
    #[arg(long, value_name = "PATH", default_value = "/dev/console", hide = true)]
    pub console: PathBuf,
    /// The paths.
    #[command(flatten)]
    pub at: Global,
}

/// `berth check`
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct CheckArgs {
    /// The file, read as user-data, or as AMI-wide defaults if its name ends in .toml; - is standard input
    #[arg(default_value = "-")]
    pub file: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Also print the keys that have their default
    #[arg(long)]
    pub all: bool,
    /// `--config`
    #[command(flatten)]
    pub config: ConfigFile,
}

/// `berth status`
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct StatusArgs {
    /// Print the answer of /v1/status, which is JSON
    #[arg(long)]
    pub json: bool,
    /// Show it again at every event, until the agent ends or Ctrl-C; appended when standard output is not a terminal
    #[arg(long)]
    pub watch: bool,
    /// `--run-dir`
    #[command(flatten)]
    pub run_dir: RunDir,
    /// `--state-dir`
    #[command(flatten)]
    pub state_dir: StateDir,
}

/// `berth timeline`
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct TimelineArgs {
    /// Print JSON; times are in seconds
    #[arg(long, conflicts_with = "svg")]
    pub json: bool,
    /// Print an SVG picture
    #[arg(long)]
    pub svg: bool,
    /// `--run-dir`
    #[command(flatten)]
    pub run_dir: RunDir,
    /// `--state-dir`
    #[command(flatten)]
    pub state_dir: StateDir,
}

/// `berth drain`
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct DrainArgs {
    /// Why: shown in `berth status`, the log and on the console
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Wait until the agent has ended
    #[arg(long)]
    pub wait: bool,
    /// `--run-dir`
    #[command(flatten)]
    pub run_dir: RunDir,
}

/// `berth handover`
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct HandoverArgs {
    /// `--run-dir`
    #[command(flatten)]
    pub run_dir: RunDir,
}

/// `berth exec`
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct ExecArgs {
    /// Send standard input to the command
    #[arg(short, long)]
    pub interactive: bool,
    /// Give the command a terminal
    #[arg(short = 't', long = "tty")]
    pub terminal: bool,
    /// Run it as this user, NAME or UID, or USER:GROUP [default: the container's user]
    #[arg(short, long, value_name = "USER")]
    pub user: Option<String>,
    /// The program and its arguments
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true)]
    pub command: Vec<String>,
    /// `--run-dir`
    #[command(flatten)]
    pub run_dir: RunDir,
    /// `--state-dir`
    #[command(flatten)]
    pub state_dir: StateDir,
}

/// `berth bake`
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct BakeArgs {
    /// An image to pull, besides the one of --config; may be given more than once
    #[arg(long = "image", value_name = "REF")]
    pub images: Vec<String>,
    /// The paths.
    #[command(flatten)]
    pub at: Global,
}

/// `berth doctor`
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// `--config`
    #[command(flatten)]
    pub config: ConfigFile,
    /// `--run-dir`
    #[command(flatten)]
    pub run_dir: RunDir,
}

/// `berth policy`
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct PolicyArgs {
    /// A config or a whole user-data file, read offline; - is standard input
    pub file: Option<PathBuf>,
    /// The policy of a publisher of releases instead
    #[arg(long)]
    pub publisher: bool,
    /// The region that the instances are in
    #[arg(long, value_parser = region)]
    pub region: Option<String>,
    /// The account that the instances are in, twelve digits
    #[arg(long, value_name = "ID", value_parser = account)]
    pub account: Option<String>,
    /// `--config`
    #[command(flatten)]
    pub config: ConfigFile,
}

/// `berth wait`
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct WaitArgs {
    /// What to wait for
    #[arg(value_enum)]
    pub condition: Condition,
    /// Give up after this: 90s, 5m, 1h30m
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = timeout, allow_hyphen_values = true)]
    pub timeout: Duration,
    /// `--run-dir`
    #[command(flatten)]
    pub run_dir: RunDir,
}

/// What can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Condition {
    /// /ready answers 200
    Ready,
    /// The agent has ended
    Drained,
}

fn region(text: &str) -> Result<String, String> {
    let is_one = text.contains('-') && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    is_one.then(|| text.to_owned()).ok_or_else(|| "must be a region, such as us-east-2".into())
}

fn account(text: &str) -> Result<String, String> {
    let is_one = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    is_one.then(|| text.to_owned()).ok_or_else(|| "must be twelve digits".into())
}

/// A duration as in the config: `90s`, `1h30m`, at most a week.
pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    berth_config::duration(text).map_err(|reason| reason.replace('`', ""))
}
