//! Who visits the app meanwhile, from outside the machine, on a thread of his own: the test may block.

use std::net::SocketAddr;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use berth_kit::client;
use tokio::runtime::Builder;

use crate::network::MACHINE;

/// Between two visits.
const PAUSE: Duration = Duration::from_millis(20);

/// One request to port 80 of the machine, on a connection of its own: the status, or why there is none.
fn get(path: &str) -> Result<u16, String> {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let answer = client::over_tcp(SocketAddr::from((MACHINE, 80)), client::request("GET", path));
    runtime.block_on(answer).map(|answer| answer.status).map_err(|error| error.to_string())
}

/// One long request.
pub(crate) struct Visitor(JoinHandle<Result<u16, String>>);

impl Visitor {
    /// Begins `GET path`.
    pub(crate) fn begin(path: &'static str) -> Self {
        Self(spawn(move || get(path)))
    }

    /// What was answered.
    pub(crate) fn answer(self) -> Result<u16, String> {
        self.0.join().unwrap()
    }
}

/// One request after the other.
pub(crate) struct Visitors {
    stop: Sender<()>,
    visits: JoinHandle<(usize, Vec<String>)>,
}

impl Visitors {
    /// Begins.
    pub(crate) fn begin() -> Self {
        let (stop, stopped) = channel();
        let visits = spawn(move || {
            let (mut asked, mut failed) = (0, Vec::new());
            while stopped.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
                asked += 1;
                match get("/") {
                    Ok(200) => {}
                    Ok(status) => failed.push(status.to_string()),
                    Err(error) => failed.push(error),
                }
            }
            (asked, failed)
        });
        Self { stop, visits }
    }

    /// How many requests there were, and why those that failed did.
    pub(crate) fn end(self) -> (usize, Vec<String>) {
        drop(self.stop);
        self.visits.join().unwrap()
    }
}
