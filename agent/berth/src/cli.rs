//! The commands, and the flags that several of them share.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::io::ConfigSources;

pub use args::{
    BakeArgs, CheckArgs, Condition, DoctorArgs, DrainArgs, ExecArgs, HandoverArgs, PolicyArgs, RunArgs, StatusArgs,
    TimelineArgs, WaitArgs,
};

pub use release::{FollowedArgs, HaltArgs, PublishArgs, ReleaseArgs, ReleaseCommand, RollbackArgs, WaitingArgs};

mod args;
mod help;
mod release;

/// The file with AMI-wide defaults.
const CONFIG: &str = "/etc/berth/berth.toml";

/// Boots, serves and drains one container on a plain EC2 instance.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
#[command(name = "berth", version, after_help = help::ENVIRONMENT)]
pub struct Cli {
    /// Flags before the command, which every command accepts there.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: CommandArgs,
}

/// `--config`
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct ConfigFile {
    /// File with AMI-wide defaults [default: /etc/berth/berth.toml, if it exists]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `--run-dir`
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct RunDir {
    /// Directory of the socket and the secrets, on a tmpfs [default: $RUNTIME_DIRECTORY, else /run/berth]
    #[arg(long, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,
}

/// `--state-dir`
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct StateDir {
    /// Directory of the persistent state [default: $STATE_DIRECTORY, else /var/lib/berth]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
}

/// The paths that the commands share. Before a command every flag is accepted; after it, those that the command uses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct Global {
    /// `--config`
    #[command(flatten)]
    pub config: ConfigFile,
    /// `--run-dir`
    #[command(flatten)]
    pub run_dir: RunDir,
    /// `--state-dir`
    #[command(flatten)]
    pub state_dir: StateDir,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum CommandArgs {
    /// Run the agent in the foreground: what berth.service starts
    #[command(after_help = help::RUN)]
    Run(RunArgs),
    /// Check a config or a whole user-data file offline, and print what would run
    #[command(after_help = help::CHECK)]
    Check(CheckArgs),
    /// Show the running agent, or how the last one ended, on one screen
    Status(StatusArgs),
    /// Show where the time of the boot and of the drain went
    #[command(after_help = help::TIMELINE)]
    Timeline(TimelineArgs),
    /// Take the instance out of traffic, stop the app and end the agent
    #[command(after_help = help::DRAIN)]
    Drain(DrainArgs),
    /// Run a command in the app's container, with the app's secret environment
    #[command(after_help = help::EXEC)]
    Exec(ExecArgs),
    /// Replace the running agent with the installed binary; the app keeps running
    #[command(after_help = help::HANDOVER)]
    Handover(HandoverArgs),
    /// Wait until the instance is ready or drained, for scripts
    #[command(after_help = help::WAIT)]
    Wait(WaitArgs),
    /// Prepare this host to become an AMI: check it, pull images, leave no state behind
    #[command(after_help = help::BAKE)]
    Bake(BakeArgs),
    /// Check whether this instance can boot, without side effects
    #[command(after_help = help::DOCTOR)]
    Doctor(DoctorArgs),
    /// Print the least-privilege IAM policy for a config
    #[command(after_help = help::POLICY)]
    Policy(PolicyArgs),
    /// Publish releases to a fleet that follows a document, watch, stop and roll them back
    #[command(after_help = help::RELEASE)]
    Release(Box<ReleaseArgs>),
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

impl Cli {
    /// The paths, by the flags before and after the command, and the command. A flag after the command takes precedence.
    pub fn into_parts(self) -> (Global, CommandArgs) {
        let after = self.command.flags();
        let paths = Global {
            config: ConfigFile { config: after.config.config.or(self.global.config.config) },
            run_dir: RunDir { run_dir: after.run_dir.run_dir.or(self.global.run_dir.run_dir) },
            state_dir: StateDir { state_dir: after.state_dir.state_dir.or(self.global.state_dir.state_dir) },
        };
        (paths, self.command)
    }
}

impl CommandArgs {
    /// The paths, by the flags after the command.
    fn flags(&self) -> Global {
        let nothing = Global::default();
        match self {
            Self::Run(RunArgs { at, .. }) | Self::Bake(BakeArgs { at, .. }) => at.clone(),
            Self::Check(CheckArgs { config, .. }) | Self::Policy(PolicyArgs { config, .. }) => {
                Global { config: config.clone(), ..nothing }
            }
            Self::Doctor(DoctorArgs { config, run_dir, .. }) => {
                Global { config: config.clone(), run_dir: run_dir.clone(), ..nothing }
            }
            Self::Status(StatusArgs { run_dir, state_dir, .. })
            | Self::Timeline(TimelineArgs { run_dir, state_dir, .. })
            | Self::Exec(ExecArgs { run_dir, state_dir, .. }) => {
                Global { run_dir: run_dir.clone(), state_dir: state_dir.clone(), ..nothing }
            }
            Self::Drain(DrainArgs { run_dir, .. })
            | Self::Handover(HandoverArgs { run_dir })
            | Self::Wait(WaitArgs { run_dir, .. }) => Global { run_dir: run_dir.clone(), ..nothing },
            Self::Release(_) | Self::Completions { .. } => nothing,
        }
    }
}

impl Global {
    /// The sources of the config, with these words of the command line. The file must exist only if `--config` names it.
    pub fn sources(&self, words: Vec<String>) -> ConfigSources {
        match &self.config.config {
            Some(file) => ConfigSources { file: file.clone(), file_is_required: true, words },
            None => ConfigSources { file: CONFIG.into(), file_is_required: false, words },
        }
    }

    /// The directory of the socket and the secrets.
    pub fn run_dir(&self) -> PathBuf {
        directory(self.run_dir.run_dir.as_deref(), std::env::var_os("RUNTIME_DIRECTORY"), "/run/berth")
    }

    /// The directory of the persistent state.
    pub fn state_dir(&self) -> PathBuf {
        directory(self.state_dir.state_dir.as_deref(), std::env::var_os("STATE_DIRECTORY"), "/var/lib/berth")
    }
}

/// systemd joins several directories with colons; ours is the first.
fn directory(flag: Option<&Path>, environment: Option<OsString>, fallback: &str) -> PathBuf {
    let first = || std::env::split_paths(&environment?).next().filter(|path| !path.as_os_str().is_empty());
    flag.map(Path::to_owned).or_else(first).unwrap_or_else(|| fallback.into())
}

#[cfg(test)]
mod tests;
