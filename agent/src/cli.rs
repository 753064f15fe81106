//! The commands and flags, nothing else.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::logging::LogFormat;

/// The defaults of the AMI.
const CONFIG: &str = "/etc/berth/berth.toml";

const ENVIRONMENT: &str = "\
Environment:
  BERTH_LOG           how much is logged: error, warn, info (default), debug or trace
  DOCKER_HOST         the Docker Engine's socket, unix://… (default unix:///var/run/docker.sock)
  RUNTIME_DIRECTORY, STATE_DIRECTORY
                      set by systemd; --run-dir and --state-dir win
  AWS_REGION, AWS_ENDPOINT_URL, AWS_EC2_METADATA_SERVICE_ENDPOINT, …
                      as in the AWS SDKs

Exit codes: 0 done, 1 condition not met, 2 usage or config error, 3 boot failed, 4 the app cannot be kept
running, 5 drain cut short, 70 a bug.";

const RUN: &str = "\
The whole config may be one line of the instance's user-data:
  berth image=123456789012.dkr.ecr.us-east-2.amazonaws.com/ap-api:a1b2c3d port=8080 health=/health secrets=prod/api

Examples:
  berth run
  berth run boot.on_failure=hold env.LOG_LEVEL=debug
  BERTH_LOG=debug berth run --log-format text";

const CHECK: &str = "\
Examples:
  berth check user-data.sh
  terraform output -raw user_data | berth check -
  berth check --config ami.toml user-data.sh
  berth check --json /etc/berth/berth.toml

The AMI's defaults are layered below FILE only with --config. Errors and warnings are on standard error; warnings change nothing. On
errors --json prints nothing on standard output. Exit codes: 0 it would run; 2 it would not, with every error.";

const TIMELINE: &str = "\
A bar is a step; all bars of the boot share one axis, those of the drain another. The longest chain is the critical path, the steps
that the whole waited for: to be faster, shorten a step on it.

Examples:
  berth timeline
  berth timeline --svg >timeline.svg
  berth timeline --json | jq '.panels[].steps[] | select(.critical) | .name'";

const WAIT: &str = "\
Examples:
  berth wait ready
  berth wait ready --timeout 5m && echo serving
  berth drain && berth wait drained --timeout 6m

Exit codes of ready: 0 ready, 1 not ready in time or draining, 3 the boot failed.
Exit codes of drained: 0 the agent is gone or was not there, 1 not in time, or gone without reporting how; else the agent's own: 5 the
drain was cut short, by its deadline, a second SIGTERM, or an app that ended too early or could not be stopped.";

const BAKE: &str = "\
Pulls by digest, logged in as a boot would be, with the builder's own role or the keys of the environment. The layers stay in the
AMI, so that a boot pulls only what is new. Do not run `docker image prune` afterwards: these images have no tag.

Examples:
  berth bake
  berth bake --image 123456789012.dkr.ecr.us-east-2.amazonaws.com/ap-api:a1b2c3d --image debian:12.8-slim

Exit codes: 0 it is ready; 2 the config or a reference is invalid; 3 the host is not ready, or an image could not be pulled.";

const DOCTOR: &str = "\
Looks at the metadata, the credentials, the config, each call of AWS that a boot makes, the registry, the engine, disk, clock and ports.
Secrets are fetched and not shown. What AWS denies is reported with the statement that the role's policy needs.

Exit codes: 0 it can boot, warnings or not; 2 the config is invalid; 3 it could not boot.";

const POLICY: &str = "\
Without FILE, on an instance: the policy for the config that `berth run` would read there. What `config=` points to is read only
then. Parts of an ARN that nobody names are *: give --region and --account for a narrower policy. With FILE, the AMI's defaults are layered
below it only with --config.

Examples:
  berth policy user-data.sh --region us-east-2 --account 123456789012 >policy.json
  terraform output -raw user_data | berth policy -";

const DRAIN: &str = "\
/ready answers 503 at once; the app is stopped when its connections have ended. SIGTERM to the agent does the same.

Examples:
  berth drain --reason 'replacing the disk'
  berth drain --wait && shutdown now

Exit codes: 0 the agent will drain (--wait: has drained), 1 no agent runs; with --wait the agent's own: 5 the drain was cut short,
by its deadline, a second SIGTERM, or an app that ended too early or could not be stopped.";

const EXEC: &str = "\
As `docker exec`, and the command also gets the secrets that the app gets as environment; no shell is between. Without -t a signal, such
as Ctrl-C, is sent on to the command; a second one ends berth and leaves it. With -t Ctrl-C is a key like any other, and a command whose
terminal is closed gets SIGHUP.

Examples:
  berth exec -it -- bin/rails console
  berth exec -- ./manage.py migrate
  berth exec -i -- psql <dump.sql
  berth exec --user root -- env

Exit codes: the command's, 128 + N if signal N ended it; 127 no such program in the image, 126 it cannot be executed, 125 the engine
failed. Before the command is started: 1 no agent or no running container, 2 usage error.";

const HANDOVER: &str = "\
The installed binary takes the agent's place in the same process; the app runs on, its clients and the load balancer notice
nothing. A package does it after an upgrade. `systemctl restart berth` would drain instead.

Example:
  berth handover && berth wait ready

Exit codes: 0 the next agent has the app, 1 no agent runs, it is on its way out, or the next one did not take over in 30 s.";

/// Boots, serves and drains one container on a plain EC2 instance.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
#[command(name = "berth", version, after_help = ENVIRONMENT)]
pub struct Cli {
    /// Flags that every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that every command takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct Global {
    /// File with AMI-wide defaults [default: /etc/berth/berth.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the socket and the secrets are; must be on a tmpfs [default: $RUNTIME_DIRECTORY, else /run/berth]
    #[arg(long, global = true, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,
    /// Where the persistent state is [default: $STATE_DIRECTORY, else /var/lib/berth]
    #[arg(long, global = true, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// The agent, in the foreground: what berth.service starts
    #[command(after_help = RUN)]
    Run(Run),
    /// Read a config or a whole user-data file, offline, and print what would run
    #[command(after_help = CHECK)]
    Check(Check),
    /// Show the running agent in one screen
    Status(Status),
    /// Show where the time of the boot and of the drain went
    #[command(after_help = TIMELINE)]
    Timeline(Timeline),
    /// Take the instance out of traffic, stop the app and end the agent
    #[command(after_help = DRAIN)]
    Drain(Drain),
    /// Run a command in the app's container, with the app's secret environment
    #[command(after_help = EXEC)]
    Exec(Exec),
    /// Replace the running agent by the installed binary, and leave the app alone
    #[command(after_help = HANDOVER)]
    Handover,
    /// Wait until the instance is in a state, for scripts
    #[command(after_help = WAIT)]
    Wait(Wait),
    /// Make this host ready to be an AMI: check it, pull images, see that nothing misleads the next boot
    #[command(after_help = BAKE)]
    Bake(Bake),
    /// Whether this instance can boot: everything that a boot needs, tried without a side effect
    #[command(after_help = DOCTOR)]
    Doctor(Doctor),
    /// Print the IAM policy that the instance's role needs for a config, and nothing more
    #[command(after_help = POLICY)]
    Policy(Policy),
    /// Print the completions for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
}

/// `berth run`
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Run {
    /// Config keys that win over the user-data and the AMI's defaults
    #[arg(value_name = "KEY=VALUE")]
    pub words: Vec<String>,
    /// How a line of the log looks [default: text on a terminal, json under systemd]
    #[arg(long, value_enum, value_name = "FORMAT", hide_possible_values = false)]
    pub log_format: Option<LogFormat>,
    /// Where last words go
    #[arg(long, value_name = "PATH", default_value = "/dev/console", hide = true)]
    pub console: PathBuf,
}

/// `berth check`
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Check {
    /// The file, read as user-data on top of --config if that is given, a name that ends in .toml as defaults; - is standard input
    #[arg(default_value = "-")]
    pub file: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Print the keys that have their default, too
    #[arg(long)]
    pub all: bool,
}

/// `berth status`
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Status {
    /// Print what /v1/status answers
    #[arg(long)]
    pub json: bool,
    /// Again at every event, until the agent ends or Ctrl-C; appended when standard output is no terminal
    #[arg(long)]
    pub watch: bool,
}

/// `berth timeline`
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Timeline {
    /// Print JSON; moments and spans are in seconds
    #[arg(long, conflicts_with = "svg")]
    pub json: bool,
    /// Print a picture, for a browser or a wiki
    #[arg(long)]
    pub svg: bool,
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
}

/// `berth bake`
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Bake {
    /// An image to pull, besides the one of --config; may be given again
    #[arg(long = "image", value_name = "REF")]
    pub images: Vec<String>,
}

/// `berth doctor`
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Doctor {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `berth policy`
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Policy {
    /// A config or a whole user-data, read offline on top of --config if that is given; - is standard input
    pub file: Option<PathBuf>,
    /// The region that the instances are in
    #[arg(long, value_parser = region)]
    pub region: Option<String>,
    /// The account that the instances are in, twelve digits
    #[arg(long, value_name = "ID", value_parser = account)]
    pub account: Option<String>,
}

/// `berth wait`
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Wait {
    /// What to wait for
    #[arg(value_enum)]
    pub condition: Condition,
    /// Give up after this: 90s, 5m, 1h
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration)]
    pub timeout: Duration,
}

/// What can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Condition {
    /// /ready answers 200
    Ready,
    /// The agent has ended
    Drained,
}

impl Global {
    /// The file with the AMI's defaults, and whether somebody named it: only then must it be there.
    pub fn config_file(&self) -> (PathBuf, bool) {
        match &self.config {
            Some(path) => (path.clone(), true),
            None => (CONFIG.into(), false),
        }
    }

    /// Where the socket and the secrets are.
    pub fn run_dir(&self) -> PathBuf {
        directory(self.run_dir.as_deref(), std::env::var_os("RUNTIME_DIRECTORY"), "/run/berth")
    }

    /// Where the persistent state is.
    pub fn state_dir(&self) -> PathBuf {
        directory(self.state_dir.as_deref(), std::env::var_os("STATE_DIRECTORY"), "/var/lib/berth")
    }
}

/// systemd joins several directories with colons; ours is the first.
fn directory(flag: Option<&Path>, environment: Option<OsString>, fallback: &str) -> PathBuf {
    let first = || std::env::split_paths(&environment?).next().filter(|path| !path.as_os_str().is_empty());
    flag.map(Path::to_owned).or_else(first).unwrap_or_else(|| fallback.into())
}

fn region(text: &str) -> Result<String, String> {
    let is_one = text.contains('-') && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    is_one.then(|| text.to_owned()).ok_or_else(|| "a region: us-east-2".into())
}

fn account(text: &str) -> Result<String, String> {
    let is_one = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    is_one.then(|| text.to_owned()).ok_or_else(|| "twelve digits".into())
}

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err("a number and a unit: 90s, 5m, 1h".into()),
    };
    let number: u64 = number.parse().map_err(|_| "a number and a unit: 90s, 5m, 1h".to_owned())?;
    number.checked_mul(factor).map(Duration::from_secs).ok_or_else(|| "longer than time itself".into())
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
    fn run_takes_keys_and_global_flags_on_either_side() {
        let cli = parse("berth --run-dir /r run image=x:1 port=80 --config /c").unwrap();
        assert_eq!(cli.global.config_file(), (PathBuf::from("/c"), true));
        assert_eq!(cli.global.run_dir(), PathBuf::from("/r"));
        let Command::Run(run) = cli.command else { panic!("{cli:?}") };
        assert_eq!(run.words, ["image=x:1", "port=80"]);
        assert_eq!(run.console, PathBuf::from("/dev/console"));
        assert_eq!(Global::default().config_file(), (PathBuf::from(CONFIG), false));
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
