//! An agent that is held at each line of its log, so that a test can do something at exactly that point of its life.
//!
//! Its stderr is a pipe for which the kernel sends it SIGSTOP whenever something was written (`O_ASYNC`, `F_SETOWN` and `F_SETSIG` of the
//! end that is read, fcntl(2)). The agent writes a line on its only thread, before it does what the line says, and a write that
//! raised the signal does not return before the process goes on. So while a test looks at a line, the agent can go on with
//! that and come as far as the next line, and no further. The agent has no part in it, and never waits for its log.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::pipe::{PipeFlags, fcntl_getpipe_size, pipe_with};
use tokio::sync::mpsc;

/// For the kernel to stop a process: it has been sent the signal already, or is about to.
const STOPPED: Duration = Duration::from_secs(20);

/// Makes the pipe that is its standard input what it has to be, and becomes the agent. In Perl, which every Debian has: the
/// standard library cannot set it, and the process that is to be stopped must set it, before its first line.
const BECOME: &str = "use Fcntl; fcntl(STDIN, 10, 19) && fcntl(STDIN, 8, $$ + 0) && fcntl(STDIN, F_SETFL, O_ASYNC) or die $!; \
                      open(STDIN, '<', '/dev/null'); exec { $ARGV[0] } @ARGV; die $!";

/// The lines of one agent's log, one by one. Dropped, the agent goes on freely.
pub struct Held {
    lines: mpsc::UnboundedReceiver<String>,
    go: Sender<()>,
    looking: bool,
}

/// Both ends of the pipe: the agent is started with one as its stdin, which it does not keep, and the other as its stderr.
pub(crate) struct Pipe {
    /// For [`Held::hold`].
    pub(crate) seen: OwnedFd,
    /// For the agent.
    pub(crate) stdin: Stdio,
    /// For the agent.
    pub(crate) stderr: Stdio,
}

impl Pipe {
    pub(crate) fn new() -> Self {
        let (seen, written) = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
        let stdin = Stdio::from(seen.try_clone().expect("a descriptor"));
        Self { seen, stdin, stderr: Stdio::from(written) }
    }

    /// The command that becomes this one, held.
    pub(crate) fn holding(command: &Command) -> Command {
        let mut held = Command::new("/usr/bin/perl");
        held.arg("-e").arg(BECOME).arg(command.get_program()).args(command.get_args());
        let environment = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
        held.env_clear().envs(environment);
        if let Some(directory) = command.get_current_dir() {
            held.current_dir(directory);
        }
        held
    }
}

impl Held {
    /// Holds the process that was started so; every line also goes to `log`.
    pub(crate) fn hold(pid: Pid, seen: OwnedFd, log: Arc<Mutex<Vec<String>>>) -> Self {
        let (say, lines) = mpsc::unbounded_channel();
        let (go, gone_on) = channel();
        thread::spawn(move || watch(pid, seen, &log, &say, &gone_on));
        Self { lines, go, looking: false }
    }

    /// Lets the agent go on to its next line; none once it has ended.
    ///
    /// # Panics
    /// If there is none within `bound`.
    pub async fn next(&mut self, bound: Duration) -> Option<String> {
        if self.looking {
            // Nobody takes it once the agent has ended.
            let _ = self.go.send(());
        }
        let line = tokio::time::timeout(bound, self.lines.recv()).await;
        self.looking = true;
        line.unwrap_or_else(|_| panic!("no line of the log within {bound:?}"))
    }
}

fn watch(pid: Pid, seen: OwnedFd, log: &Mutex<Vec<String>>, say: &mpsc::UnboundedSender<String>, go: &Receiver<()>) {
    // What one write brought is read at once: it is stopped after each.
    let mut buffer = vec![0; fcntl_getpipe_size(&seen).expect("a pipe")];
    let (mut seen, mut line) = (File::from(seen), Vec::new());
    loop {
        let length = match seen.read(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => panic!("a pipe cannot be read: {error}"),
        };
        if length == 0 {
            return;
        }
        line.extend_from_slice(&buffer[..length]);
        let is_held = is_stopped(pid);
        let _ = kill(pid, Signal::SIGCONT);
        // Of a process that has ended the last part may lack its end.
        if line.ends_with(b"\n") || !is_held {
            for whole in String::from_utf8_lossy(&line).lines() {
                log.lock().unwrap().push(whole.to_owned());
                // Nobody listens any more, or waits: then it is not held.
                if say.send(whole.to_owned()).is_ok() && is_held {
                    let _ = go.recv();
                }
            }
            line.clear();
        }
        // What it wrote before its end is still there. A child may keep the pipe open: it is not waited for.
        if !is_held {
            fcntl_setfl(&seen, OFlags::NONBLOCK).expect("a pipe");
        }
    }
}

/// Waits until the process is stopped; not if it has ended.
#[expect(clippy::disallowed_methods, reason = "a bound")]
fn is_stopped(pid: Pid) -> bool {
    let stat = format!("/proc/{pid}/stat");
    let began = std::time::Instant::now();
    loop {
        let text = std::fs::read_to_string(&stat).unwrap_or_default();
        match text.rsplit(") ").next().and_then(|rest| rest.chars().next()) {
            Some('T') => return true,
            None | Some('Z' | 'X') => return false,
            _ => assert!(began.elapsed() < STOPPED, "it is not stopped: {text}"),
        }
        thread::yield_now();
    }
}
