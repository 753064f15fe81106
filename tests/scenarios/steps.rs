//! Steps that several stories share.

use std::time::Duration;

pub(crate) use berth_kit::world::own_address;
use berth_kit::{Agent, World};
use serde_json::Value;

use crate::SOON;

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
