//! A host of the soak's own: a Docker Engine that keeps its containers while it is restarted (`live-restore`).
//!
//! Every process on this machine reaches the container at its address on the bridge. It is the only one there, so that an app that is
//! started again is found where it was.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use berth_kit::OwnEngine;
use berth_kit::engine::Engine;
use serde_json::json;

/// An engine; dropped, all of it is gone, its containers first.
pub(crate) struct Host(OwnEngine);

impl Host {
    /// Starts one; none where a test is to be left out without one.
    pub(crate) async fn start() -> Option<Self> {
        let mut own = OwnEngine::new()?;
        // With a proxy for each port it would lose them whenever it is restarted.
        own.settings(&json!({ "live-restore": true, "userland-proxy": false, "ip-forward": false }));
        own.start().await;
        Some(Self(own))
    }

    /// Its engine.
    pub(crate) fn engine(&self) -> Engine {
        self.0.engine()
    }

    /// Where the app answers on port 8080.
    pub(crate) fn app(&self) -> SocketAddr {
        (self.0.first_address().expect("it has a bridge"), 8080).into()
    }

    /// Stops the engine and starts it again. What it runs goes on.
    pub(crate) async fn restart(&mut self) {
        self.0.stop();
        self.0.start().await;
    }

    /// Kills the engine and starts it again. What it runs goes on.
    pub(crate) async fn crash(&mut self) {
        self.0.kill9().await;
        self.0.start().await;
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Whatever runs outlives the engine, so it must be removed through it.
        let clean = "until docker version; do :; done; docker ps -aq | xargs -r docker rm -f";
        let mut removes = Command::new("timeout");
        removes.args(["30", "sh", "-c", clean]).env("DOCKER_HOST", self.0.host());
        let _ = removes.stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}
