//! Steps that several stories share.

use std::net::SocketAddr;
use std::time::Duration;

use berth_kit::{Agent, World};
use serde_json::Value;

use crate::SOON;

/// An address on loopback with the port 8080 that nobody else has: for a host port that must be known beforehand.
pub(crate) fn own_address() -> SocketAddr {
    // In 127/8 every address is this machine's, and there are enough of them for every world to draw one.
    let mut bytes = [0; 2];
    fastrand::fill(&mut bytes);
    SocketAddr::from(([127, 77, bytes[0], bytes[1]], 8080))
}

/// Waits until something holds, at most a minute.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(SOON, wait).await.is_ok(), "not {what} within {SOON:?}");
}

/// The world's container, as the engine shows it.
pub(crate) async fn container(world: &World) -> Value {
    world.engine.inspect(&world.container()).await.expect("the container is there")
}

/// Waits until `/ready` answers so; the whole answer.
pub(crate) async fn ready_answers(agent: &Agent, status: u16) -> Value {
    until(&format!("/ready {status}"), async || agent.http("/ready").await.status == status).await;
    agent.http("/ready").await.json()
}
