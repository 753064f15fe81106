//! A fake agent for the commands' tests: the real socket, with the state that the test sets.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use berth_core::view::published::Published;
use berth_core::view::{PhaseName, Status, View};
use tokio::sync::{broadcast, mpsc, watch};

use crate::io::listen::socket::{Request, RunningSocket, Socket, SocketContext};

pub(super) struct FakeAgent {
    pub(super) published: watch::Sender<Arc<Published>>,
    pub(super) lines: broadcast::Sender<Arc<str>>,
    pub(super) requests: mpsc::Receiver<Request>,
    serving: RunningSocket,
}

impl FakeAgent {
    pub(super) fn start(run_dir: &Path) -> Self {
        let (published, state) = watch::channel(Arc::default());
        let (lines, _) = broadcast::channel(16);
        let (ask, requests) = mpsc::channel(1);
        #[expect(clippy::disallowed_methods, reason = "the agent's start is now")]
        let began = Instant::now();
        let context = SocketContext { published: state, began, lines: lines.downgrade(), requests: ask };
        Self { published, lines, requests, serving: Socket::bind(run_dir).unwrap().serve(context) }
    }

    pub(super) fn show(&self, phase: PhaseName, status: Status) {
        let view = View { phase, status, reason: "because".into(), ..View::default() };
        self.published.send_replace(Arc::new(Published { view, ..Published::default() }));
        self.send("{}");
    }

    /// No client may follow the events yet.
    pub(super) fn send(&self, line: &str) {
        let _ = self.lines.send(line.into());
    }

    /// Until a client follows the events.
    pub(super) async fn followed(&self) {
        while self.lines.receiver_count() == 0 {
            tokio::task::yield_now().await;
        }
    }

    /// As a process that ends normally.
    pub(super) async fn end(self) {
        drop(self.lines);
        self.serving.finish().await;
    }

    /// As a process that is killed: its socket file stays, and no process listens.
    pub(super) async fn die(self, run_dir: &Path) {
        self.end().await;
        drop(std::os::unix::net::UnixListener::bind(run_dir.join(crate::io::listen::socket::FILE)).unwrap());
    }
}
