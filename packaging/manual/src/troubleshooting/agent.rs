//! The agent as a process: its config file, its directories, its endpoint, and the commands that ask it.

use std::io;

use berth::io::config_sources::FileError;
use berth::io::host::console::ConsoleError;
use berth::io::host::note::NoteError;
use berth::io::host::state_dir::StateError;
use berth::io::listen::endpoint::BindError;
use berth::io::listen::handover::HandoverError;
use berth::io::listen::socket::SocketError;
use berth::io::listen::socket_client::ClientError;
use berth_core::view::last_life::RecordError;
use http::StatusCode;

use super::Advice::Passes;
use super::{Advice, Section, entry, rows};

fn refused() -> io::Error {
    io::Error::from_raw_os_error(13)
}

rows! { config, FileError, |error| Some(error.class());
    FileError { .. }, FileError { file: "FILE".into(), source: refused() } => entry(
        Section::Config,
        "The file of `--config`, or `/etc/berth/berth.toml`, cannot be read. An error in the config itself has its place and what \
         to write, such as ``user-data line 2 column 8: `helth`: unknown key, did you mean `health`?``; all are explained in \
         [configuration.md](configuration.md#errors-and-warnings).",
        "correct the path or the mode. For errors in the config itself, check what the launch template holds, then roll out a corrected version:",
        &["aws ec2 describe-launch-template-versions --launch-template-name ap-api --versions '$Latest' --query 'LaunchTemplateVersions[0].LaunchTemplateData.UserData' --output text | base64 -d | berth check -"],
    );
}

rows! { listen, BindError, |error| Some(error.class());
    BindError { source, .. } if source.kind() == io::ErrorKind::AddrInUse, BindError {
        address: ([0, 0, 0, 0], 9911).into(),
        source: io::Error::from_raw_os_error(98),
    } => Passes;
    BindError { .. }, BindError { address: ([192, 0, 2, 1], 9911).into(), source: io::Error::from_raw_os_error(99) } => entry(
        Section::Agent,
        "`listen` names an address that is not one of this host, or a port below 1024 that the agent may not take.",
        "write `0.0.0.0:PORT` or `[::]:PORT`; the target group's health check must ask the same port.",
        &["ip -brief address", "ss -lntp"],
    );
}

rows! { socket, SocketError, |error| Some(error.class());
    SocketError::InUse(_), SocketError::InUse("DIRECTORY".into()) => entry(
        Section::Agent,
        "An agent runs already, mostly that of `berth.service`.",
        "ask that one; for an upgrade use `berth handover`.",
        &["berth status", "systemctl status berth"],
    );
    SocketError::Directory(..), SocketError::Directory("DIRECTORY".into(), refused()) => entry(
        Section::Agent,
        "The run directory cannot be made or written to.",
        "run the agent as root, as `berth.service` does, or give it a `--run-dir` of its own below `/run`.",
        &["ls -ld /run/berth"],
    );
    SocketError::Listen(..), SocketError::Listen("FILE".into(), refused()) => entry(
        Section::Agent,
        "The socket cannot be made in the run directory; its path may be longer than 107 bytes.",
        "give the agent a short `--run-dir` below `/run`.",
        &["ls -l /run/berth"],
    );
}

rows! { commands, ClientError, |_| None;
    ClientError::NotRunning(_), ClientError::NotRunning("DIRECTORY".into()) => entry(
        Section::Agent,
        "No agent runs. `berth status` and `berth timeline` show how the last one ended.",
        "see why it ended; the exit codes that systemd does not restart after are 0, 2, 3, 4 and 5.",
        &["systemctl status berth", "journalctl -u berth --boot --lines 50"],
    );
    ClientError::Denied(_), ClientError::Denied("FILE".into()) => entry(
        Section::Agent,
        "The socket of the agent is for root only.",
        "use `sudo`.",
        &["sudo berth status"],
    );
    ClientError::Connect(..), ClientError::Connect("FILE".into(), refused()) => entry(
        Section::Agent,
        "The socket is there and cannot be used.",
        "see whether `--run-dir` is that of the agent, and whether it runs.",
        &["systemctl status berth"],
    );
    ClientError::NoResponse(..), ClientError::NoResponse("/v1/status", "REASON".into()) => entry(
        Section::Agent,
        "The agent ended while it was asked, or was handed over.",
        "ask again.",
        &["berth status"],
    );
    ClientError::TimedOut(_), ClientError::TimedOut("/v1/status") => entry(
        Section::Agent,
        "The agent is there and its loop does not turn. systemd kills and restarts it after `WatchdogSec=30`; the app runs on.",
        "save its log and report it.",
        &["journalctl -u berth --boot --output json >berth.log"],
    );
    ClientError::Refused(..), ClientError::Refused("/v1/handover", StatusCode::CONFLICT, "REASON".to_owned()) => entry(
        Section::Agent,
        "The agent does not do what it was asked for; REASON says why. A handover is refused while the instance drains or is given up.",
        "wait until it has ended, or do what REASON says.",
        &["berth status"],
    );
    ClientError::InvalidResponse(..), ClientError::InvalidResponse("/v1/status", strange()) => entry(
        Section::Agent,
        "The command and the running agent are of different versions: the package was upgraded without a handover.",
        "hand the agent over.",
        &["berth handover"],
    );
}

const NOT_KEPT: Advice = entry(
    Section::Agent,
    "The record of the last life is not kept; nothing else depends on it.",
    "make room, or the directory writable; see `StateDirectory=` of the unit.",
    &["df -h /var/lib/berth", "ls -ld /var/lib/berth"],
);

const NOT_READ: Advice = entry(
    Section::Agent,
    "The record of the last life was not written by this version of berth.",
    "nothing: the next life replaces it.",
    &[],
);

rows! { records, StateError, |_| None;
    StateError::Directory(..), StateError::Directory("DIRECTORY".into(), refused()) => NOT_KEPT;
    StateError::Io(..), StateError::Io("FILE".into(), "write", io::Error::from_raw_os_error(28)) => NOT_KEPT;
    StateError::Record(..), StateError::Record("FILE".into(), RecordError::OtherSchema(Some(9))) => NOT_READ;
    StateError::Encode(..), StateError::Encode("FILE".into(), strange()) => NOT_KEPT;
}

const NO_NOTE: Advice = entry(
    Section::Agent,
    "What is left of a drain is not kept: an agent that is killed in this drain begins it again.",
    "give the run directory a tmpfs, and room on it.",
    &["findmnt --target /run/berth", "df -h /run"],
);

rows! { notes, NoteError, |_| None;
    NoteError::OnDisk(..), NoteError::OnDisk("FILE".into()) => NO_NOTE;
    NoteError::Io(..), NoteError::Io("FILE".into(), "replace", io::Error::from_raw_os_error(28)) => NO_NOTE;
    NoteError::Invalid(..), NoteError::Invalid("FILE".into(), strange()) => NO_NOTE;
}

const NO_CONSOLE: Advice = entry(
    Section::Agent,
    "How the boot or the drain ended is not on the system console; it is in the log and in the record of the last life.",
    "see whether the unit still gives the console (`DeviceAllow=`, `BindPaths=`).",
    &["systemctl cat berth"],
);

rows! { console, ConsoleError, |_| None;
    ConsoleError::Open(..), ConsoleError::Open("/dev/console".into(), refused()) => NO_CONSOLE;
    ConsoleError::Write(..), ConsoleError::Write("/dev/console".into(), io::Error::from_raw_os_error(5)) => NO_CONSOLE;
    ConsoleError::Stuck(_), ConsoleError::Stuck("/dev/console".into()) => NO_CONSOLE;
}

const NO_NEXT: Advice = entry(
    Section::Agent,
    "The installed binary did not take over. The agent ends with code 70, systemd starts it again, and the app runs on.",
    "see whether the binary runs at all; install the package again.",
    &["/usr/bin/berth --version", "systemctl status berth"],
);

rows! { handovers, HandoverError, |_| None;
    HandoverError::Start(..), HandoverError::Start("FILE".into(), io::Error::from_raw_os_error(2)) => NO_NEXT;
    HandoverError::Listener(_), HandoverError::Listener(io::Error::from_raw_os_error(9)) => NO_NEXT;
    HandoverError::Words(_), HandoverError::Words(nul()) => NO_NEXT;
}

fn nul() -> std::ffi::NulError {
    std::ffi::CString::new("a\0b").unwrap_err()
}

/// An error of the parser, which nothing but the parser makes.
fn strange() -> serde_json::Error {
    serde::de::Error::custom("REASON")
}
