//! An agent that is held at each line of its log, so that a test can do something at exactly that point of its life.
//!
//! Its stderr is a pipe with room for one write (`O_DIRECT` and one page, pipe(7)), and a line is looked at without being taken out
//! (tee(2)). The agent logs on its only thread, before it does what the line tells: so while a test looks at a line, the agent
//! can go on with that and come as far as the next line, and no further.

use std::io::Read as _;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, tee};
use tokio::sync::mpsc;

/// One page, the least that a pipe has: room for one packet.
const PAGE: usize = 4096;

/// The lines of one agent's log, one by one. Dropped, the agent goes on freely.
pub struct Held {
    lines: mpsc::UnboundedReceiver<String>,
    go: Sender<()>,
    looking: bool,
}

impl Held {
    /// What an agent gets for its stderr; every line also goes to `log`.
    pub(crate) fn pipe(log: Arc<Mutex<Vec<String>>>) -> (Self, Stdio) {
        let (pipe, agent_s) = pipe_with(PipeFlags::DIRECT | PipeFlags::CLOEXEC).expect("a pipe");
        let room = fcntl_setpipe_size(&pipe, PAGE).expect("a pipe of one page");
        assert_eq!(room, PAGE, "room for one line only");
        let (say, lines) = mpsc::unbounded_channel();
        let (go, gone_on) = channel();
        thread::spawn(move || watch(pipe, &log, &say, &gone_on));
        (Self { lines, go, looking: false }, Stdio::from(agent_s))
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

fn watch(pipe: OwnedFd, log: &Mutex<Vec<String>>, say: &mpsc::UnboundedSender<String>, go: &Receiver<()>) {
    let (seen, look) = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
    let (mut pipe, mut seen) = (std::fs::File::from(pipe), std::fs::File::from(seen));
    let (mut line, mut buffer) = (Vec::new(), [0; PAGE]);
    loop {
        let length = match tee(pipe.as_fd(), look.as_fd(), PAGE, SpliceFlags::empty()) {
            Ok(0) => return,
            Ok(length) => length,
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => panic!("cannot look at the agent's log: {error}"),
        };
        seen.read_exact(&mut buffer[..length]).expect("what was looked at");
        line.extend_from_slice(&buffer[..length]);
        // A line longer than a page comes in parts.
        if line.ends_with(b"\n") {
            let whole = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            log.lock().unwrap().push(whole.clone());
            // Nobody listens any more, or waits: then it is not held.
            if say.send(whole).is_ok() {
                let _ = go.recv();
            }
        }
        let taken = pipe.read(&mut buffer).expect("what was looked at");
        assert_eq!(taken, length, "one packet after the other");
    }
}
