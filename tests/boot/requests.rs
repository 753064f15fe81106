//! Requests to the machine from outside, on a thread of their own, since the test may block.

use std::net::SocketAddr;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use berth_kit::client;
use tokio::runtime::Builder;

use crate::network::MACHINE;

/// Where the app's port is published.
pub(crate) const APP: u16 = 80;
/// Where the agent's endpoint is.
pub(crate) const ENDPOINT: u16 = 9911;
/// Between two requests.
const PAUSE: Duration = Duration::from_millis(20);

/// One request on a connection of its own: the status, or why there is none.
fn get(port: u16, path: &str) -> Result<u16, String> {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let answer = client::over_tcp(SocketAddr::from((MACHINE, port)), client::request("GET", path));
    runtime.block_on(answer).map(|answer| answer.status).map_err(|error| error.to_string())
}

/// One long request.
pub(crate) struct LongRequest(JoinHandle<Result<u16, String>>);

impl LongRequest {
    /// Begins `GET path` of the app.
    pub(crate) fn begin(path: &'static str) -> Self {
        Self(spawn(move || get(APP, path)))
    }

    /// What was answered.
    pub(crate) fn answer(self) -> Result<u16, String> {
        self.0.join().unwrap()
    }
}

/// One request after the other, as of clients or of a load balancer.
pub(crate) struct Requests {
    stop: Sender<()>,
    requests: JoinHandle<(usize, Vec<String>)>,
}

impl Requests {
    /// Begins `GET path` on this port.
    pub(crate) fn begin(port: u16, path: &'static str) -> Self {
        let (stop, stopped) = channel();
        let requests = spawn(move || {
            let (mut asked, mut failed) = (0, Vec::new());
            while stopped.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
                asked += 1;
                match get(port, path) {
                    Ok(200) => {}
                    Ok(status) => failed.push(status.to_string()),
                    Err(error) => failed.push(error),
                }
            }
            (asked, failed)
        });
        Self { stop, requests }
    }

    /// How many requests there were, and why those that failed did.
    pub(crate) fn end(self) -> (usize, Vec<String>) {
        drop(self.stop);
        self.requests.join().unwrap()
    }
}
