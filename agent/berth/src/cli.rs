//! The commands and flags, nothing else.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::io::ConfigSources;
use crate::logging::LogFormat;

mod help;

/// The defaults of the AMI.
const CONFIG: &str = "/etc/berth/berth.toml";

/// Boots, serves and drains one container on a plain EC2 instance.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
#[command(name = "berth", version, after_help = help::ENVIRONMENT)]
pub struct Cli {
    /// Flags in front of the command, which every command takes there.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
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

/// Where things are. In front of a command every flag is taken; behind it, those that the command uses.
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
pub enum Command {
    /// Run the agent in the foreground: what berth.service starts
    #[command(after_help = help::RUN)]
    Run(Run),
    /// Check a config or a whole user-data file offline, and print what would run
    #[command(after_help = help::CHECK)]
    Check(Check),
    /// Show the running agent, or how the last one ended, on one screen
    Status(Status),
    /// Show where the time of the boot and of the drain went
    #[command(after_help = help::TIMELINE)]
    Timeline(Timeline),
    /// Take the instance out of traffic, stop the app and end the agent
    #[command(after_help = help::DRAIN)]
    Drain(Drain),
    /// Run a command in the app's container, with the app's secret environment
    #[command(after_help = help::EXEC)]
    Exec(Exec),
    /// Replace the running agent by the installed binary; the app keeps running
    #[command(after_help = help::HANDOVER)]
    Handover(Handover),
    /// Wait until the instance is ready or drained, for scripts
    #[command(after_help = help::WAIT)]
    Wait(Wait),
    /// Prepare this host to become an AMI: check it, pull images, leave no state behind
    #[command(after_help = help::BAKE)]
    Bake(Bake),
    /// Check whether this instance can boot, without side effects
    #[command(after_help = help::DOCTOR)]
    Doctor(Doctor),
    /// Print the least-privilege IAM policy for a config
    #[command(after_help = help::POLICY)]
    Policy(Policy),
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// `berth run`
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Run {
    /// Config keys; they take precedence over the user-data and the AMI-wide defaults
    #[arg(value_name = "KEY=VALUE")]
    pub words: Vec<String>,
    /// Format of the log [default: text on a terminal, json under systemd]
    #[arg(long, value_enum, value_name = "FORMAT", hide_possible_values = false)]
    pub log_format: Option<LogFormat>,
    /// Where the final status goes
    #[arg(long, value_name = "PATH", default_value = "/dev/console", hide = true)]
    pub console: PathBuf,
    /// Where things are.
    #[command(flatten)]
    pub at: Global,
}

/// `berth check`
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Check {
    /// The file, read as user-data, or as AMI-wide defaults if its name ends in .toml; - is standard input
    #[arg(default_value = "-")]
    pub file: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Print the keys that have their default, too
    #[arg(long)]
    pub all: bool,
    /// `--config`
    #[command(flatten)]
    pub config: ConfigFile,
}

/// `berth status`
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Status {
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
pub struct Timeline {
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
pub struct Drain {
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
pub struct Handover {
    /// `--run-dir`
    #[command(flatten)]
    pub run_dir: RunDir,
}

/// `berth exec`
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Exec {
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
pub struct Bake {
    /// An image to pull, besides the one of --config; may be given more than once
    #[arg(long = "image", value_name = "REF")]
    pub images: Vec<String>,
    /// Where things are.
    #[command(flatten)]
    pub at: Global,
}

/// `berth doctor`
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Doctor {
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
pub struct Policy {
    /// A config or a whole user-data file, read offline; - is standard input
    pub file: Option<PathBuf>,
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
pub struct Wait {
    /// What to wait for
    #[arg(value_enum)]
    pub condition: Condition,
    /// Give up after this: 90s, 5m, 1h30m
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = timeout)]
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

impl Cli {
    /// Where things are, by the flags on both sides of the command, and what to do. Those behind it take precedence.
    pub fn into_parts(self) -> (Global, Command) {
        let behind = self.command.flags();
        let at = Global {
            config: ConfigFile { config: behind.config.config.or(self.global.config.config) },
            run_dir: RunDir { run_dir: behind.run_dir.run_dir.or(self.global.run_dir.run_dir) },
            state_dir: StateDir { state_dir: behind.state_dir.state_dir.or(self.global.state_dir.state_dir) },
        };
        (at, self.command)
    }
}

impl Command {
    /// Where things are, by the flags behind the command.
    fn flags(&self) -> Global {
        let nothing = Global::default();
        match self {
            Self::Run(Run { at, .. }) | Self::Bake(Bake { at, .. }) => at.clone(),
            Self::Check(Check { config, .. }) | Self::Policy(Policy { config, .. }) => {
                Global { config: config.clone(), ..nothing }
            }
            Self::Doctor(Doctor { config, run_dir, .. }) => {
                Global { config: config.clone(), run_dir: run_dir.clone(), ..nothing }
            }
            Self::Status(Status { run_dir, state_dir, .. })
            | Self::Timeline(Timeline { run_dir, state_dir, .. })
            | Self::Exec(Exec { run_dir, state_dir, .. }) => {
                Global { run_dir: run_dir.clone(), state_dir: state_dir.clone(), ..nothing }
            }
            Self::Drain(Drain { run_dir, .. })
            | Self::Handover(Handover { run_dir })
            | Self::Wait(Wait { run_dir, .. }) => Global { run_dir: run_dir.clone(), ..nothing },
            Self::Completions { .. } => nothing,
        }
    }
}

impl Global {
    /// Where the config is read from, with these words of the command line. A file must be there only if it was named.
    pub fn sources(&self, words: Vec<String>) -> ConfigSources {
        match &self.config.config {
            Some(file) => ConfigSources { file: file.clone(), file_is_required: true, words },
            None => ConfigSources { file: CONFIG.into(), file_is_required: false, words },
        }
    }

    /// Where the socket and the secrets are.
    pub fn run_dir(&self) -> PathBuf {
        directory(self.run_dir.run_dir.as_deref(), std::env::var_os("RUNTIME_DIRECTORY"), "/run/berth")
    }

    /// Where the persistent state is.
    pub fn state_dir(&self) -> PathBuf {
        directory(self.state_dir.state_dir.as_deref(), std::env::var_os("STATE_DIRECTORY"), "/var/lib/berth")
    }
}

/// systemd joins several directories with colons; ours is the first.
fn directory(flag: Option<&Path>, environment: Option<OsString>, fallback: &str) -> PathBuf {
    let first = || std::env::split_paths(&environment?).next().filter(|path| !path.as_os_str().is_empty());
    flag.map(Path::to_owned).or_else(first).unwrap_or_else(|| fallback.into())
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
fn timeout(text: &str) -> Result<Duration, String> {
    berth_config::duration(text).map_err(|reason| reason.replace('`', ""))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(words: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(words.split_whitespace())
    }

    #[test]
    fn the_commands_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn run_takes_keys_and_flags_on_either_side() {
        let (at, command) =
            parse("berth --run-dir /r --config /a run image=x:1 port=80 --config /c").unwrap().into_parts();
        let sources = at.sources(Vec::new());
        assert_eq!((sources.file, sources.file_is_required), (PathBuf::from("/c"), true));
        assert_eq!(at.run_dir(), PathBuf::from("/r"));
        let Command::Run(run) = command else { panic!("{command:?}") };
        assert_eq!(run.words, ["image=x:1", "port=80"]);
        assert_eq!(run.console, PathBuf::from("/dev/console"));
        let sources = Global::default().sources(Vec::new());
        assert_eq!((sources.file, sources.file_is_required), (PathBuf::from(CONFIG), false));
    }

    #[test]
    fn a_flag_is_shown_and_taken_only_where_it_means_something() {
        const ALL: [&str; 3] = ["--config", "--run-dir", "--state-dir"];
        for (command, used) in [
            ("run", "--config --run-dir --state-dir"),
            ("check -", "--config"),
            ("status", "--run-dir --state-dir"),
            ("timeline", "--run-dir --state-dir"),
            ("drain", "--run-dir"),
            ("handover", "--run-dir"),
            ("exec", "--run-dir --state-dir"),
            ("wait ready", "--run-dir"),
            ("bake", "--config --run-dir --state-dir"),
            ("doctor", "--config --run-dir"),
            ("policy", "--config"),
            ("completions bash", ""),
        ] {
            let help = parse(&format!("berth {command} --help")).unwrap_err().to_string();
            for flag in ALL {
                let is_used = used.split(' ').any(|one| one == flag);
                assert_eq!(help.contains(&format!("{flag} <")), is_used, "{command} {flag}\n{help}");
                // Behind these flags stands what is run.
                let rest = if command == "exec" { " true" } else { "" };
                assert_eq!(parse(&format!("berth {command} {flag} /x{rest}")).is_ok(), is_used, "{command} {flag}");
                // In front of the command a script may give them all.
                assert!(parse(&format!("berth {flag} /x {command}{rest}")).is_ok(), "{flag} {command}");
            }
            let command = command.replace("exec", "exec true");
            let (at, _) =
                parse(&format!("berth --config /c --run-dir /r --state-dir /s {command}")).unwrap().into_parts();
            assert_eq!((at.run_dir(), at.state_dir()), ("/r".into(), "/s".into()), "{command}");
        }
    }

    #[test]
    fn a_wrong_flag_or_command_is_answered_with_the_nearest() {
        for (wrong, meant) in [
            ("berth chek", "check"),
            ("berth statsu", "status"),
            ("berth check --jsn", "--json"),
            ("berth wait redy", "ready"),
            ("berth run --log-fromat json", "--log-format"),
            ("berth status --confg /x", "--"),
        ] {
            let shown = parse(wrong).unwrap_err();
            assert!(shown.exit_code() == 2 && shown.to_string().contains(&format!("'{meant}")), "{wrong}: {shown}");
        }
        assert!(Cli::command().get_subcommands().all(|command| command.get_all_aliases().next().is_none()));
    }

    #[test]
    fn help_is_a_command_too() {
        for words in ["berth help", "berth help status", "berth --help", "berth status --help", "berth help help"] {
            let shown = parse(words).unwrap_err();
            assert_eq!((shown.kind(), shown.exit_code()), (clap::error::ErrorKind::DisplayHelp, 0), "{words}");
        }
        let shown = parse("berth help status").unwrap_err().to_string();
        assert!(shown.contains("Usage: berth status"), "{shown}");
        assert_eq!(parse("berth help nonsense").unwrap_err().exit_code(), 2);
    }

    #[test]
    fn what_follows_the_program_of_exec_is_its_own() {
        let exec = |words: &str| match parse(words).unwrap().command {
            Command::Exec(exec) => (exec.interactive, exec.terminal, exec.user, exec.command.join(" ")),
            other => panic!("{other:?}"),
        };
        assert_eq!(exec("berth exec -- env"), (false, false, None, "env".into()));
        assert_eq!(exec("berth exec -it sh -c id --user x -i"), (true, true, None, "sh -c id --user x -i".into()));
        assert_eq!(
            exec("berth exec --user 0:0 -i -- -strange --run-dir /r"),
            (true, false, Some("0:0".into()), "-strange --run-dir /r".into())
        );
        for refused in ["berth exec", "berth exec -t", "berth exec --", "berth exec --detach -- env"] {
            assert_eq!(parse(refused).unwrap_err().exit_code(), 2, "{refused}");
        }
    }

    #[test]
    fn wait_offers_what_it_can_wait_for() {
        let Command::Wait(wait) = parse("berth wait ready --timeout 90s").unwrap().command else { panic!() };
        assert_eq!((wait.condition, wait.timeout), (Condition::Ready, Duration::from_secs(90)));
        for refused in [
            "berth wait",
            "berth wait gone",
            "berth drain because",
            "berth wait ready --timeout 5",
            "berth policy --account 1234",
            "berth policy --region Ohio",
            "berth wait ready --timeout 9999999999999999999h",
            "berth wait ready --timeout 169h",
            "berth",
        ] {
            assert_eq!(parse(refused).unwrap_err().exit_code(), 2, "{refused}");
        }
    }

    #[test]
    fn a_directory_is_the_flag_then_systemds_first_then_the_usual() {
        let fallback = |flag: Option<&str>, environment: Option<&str>| {
            directory(flag.map(Path::new), environment.map(Into::into), "/run/berth")
        };
        assert_eq!(fallback(Some("/flag"), Some("/a:/b")), PathBuf::from("/flag"));
        assert_eq!(fallback(None, Some("/a:/b")), PathBuf::from("/a"));
        assert_eq!(fallback(None, Some("")), PathBuf::from("/run/berth"));
        assert_eq!(fallback(None, None), PathBuf::from("/run/berth"));
    }
}
