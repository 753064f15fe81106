//! One poll of the metadata.

use std::time::Duration;

use berth::io::aws::imds::Imds;
use berth::io::http::Http;
use berth_core::message::error::ErrorClass;
use berth_core::message::identity::TargetState;
use berth_core::message::snapshot::{Interruption, Snapshot};
use berth_kit::clock::wall;
use berth_kit::{Fault, World};
use serde_json::json;

use crate::server::{Server, answer};

const SPOT: &str = "imds GET meta-data/spot/instance-action";
const STATE: &str = "imds GET meta-data/autoscaling/target-lifecycle-state";

fn imds(world: &World) -> Imds {
    Imds::at(&world.imds.endpoint().parse().unwrap(), Http::default())
}

fn quiet() -> Snapshot {
    Snapshot { target_state: Some(TargetState::InService), ..Snapshot::default() }
}

#[tokio::test]
async fn a_quiet_instance_shows_its_state_and_nothing_else() {
    let world = World::start().await;
    assert_eq!(imds(&world).snapshot().await.unwrap(), quiet());
    world.imds.target_state(None);
    world.imds.remove("meta-data/events/maintenance/scheduled");
    assert_eq!(imds(&world).snapshot().await.unwrap(), Snapshot::default());
}

#[tokio::test]
async fn everything_that_is_announced_is_seen_in_one_poll() {
    let world = World::start().await;
    world.imds.target_state(Some("Warmed:Frozen"));
    world.imds.spot_interruption("hibernate", wall() + Duration::from_secs(90));
    world.imds.rebalance_recommendation(wall());
    world.imds.scheduled_events(&json!([
        { "NotBefore": "21 Jan 2049 09:00:43 GMT", "Code": "system-reboot", "State": "active", "EventId": "instance-event-1" },
        { "NotBefore": "2 Jan 2049 09:00:43 GMT", "Code": "instance-stop", "State": "completed" },
    ]));
    let snapshot = imds(&world).snapshot().await.unwrap();
    assert_eq!(snapshot.target_state, Some(TargetState::Other("Warmed:Frozen".to_owned())));
    let Some(Interruption { action, ends_in }) = snapshot.spot else { panic!("no interruption") };
    assert_eq!(action, "hibernate");
    assert!((Duration::from_secs(80)..=Duration::from_secs(90)).contains(&ends_in), "{ends_in:?}");
    assert!(snapshot.rebalance);
    assert_eq!(snapshot.maintenance.as_deref(), Some("system-reboot at 21 Jan 2049 09:00:43 GMT"));
    world.imds.spot_interruption("terminate", wall() - Duration::from_secs(600));
    let spot = imds(&world).snapshot().await.unwrap().spot.unwrap();
    assert_eq!((spot.action.as_str(), spot.ends_in), ("terminate", Duration::ZERO));
}

#[tokio::test]
async fn a_thousand_polls_cost_one_token_and_one_connection() {
    let server = Server::start(|seen| if seen.method == "PUT" { answer(200, "t0ken") } else { answer(404, "") }).await;
    let imds = Imds::at(&server.base.parse().unwrap(), Http::default());
    for _ in 0..1000 {
        assert_eq!(imds.snapshot().await.unwrap(), Snapshot::default());
    }
    assert_eq!(server.asked().len(), 4001);
    assert_eq!(server.asked().iter().filter(|asked| asked.starts_with("PUT")).count(), 1);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn an_interruption_is_seen_although_the_state_is_not_and_the_other_way_round() {
    for fault in [Fault::Throttle, Fault::Status(503), Fault::ErrorPage(200), Fault::Cut] {
        let world = World::start().await;
        world.imds.spot_interruption("terminate", wall() + Duration::from_secs(90));
        world.fault(STATE, fault.clone()).times(1);
        let snapshot = imds(&world).snapshot().await.unwrap();
        assert!(snapshot.spot.is_some() && snapshot.target_state.is_none(), "{fault:?}: {snapshot:?}");
        world.imds.target_state(Some("Terminated"));
        world.fault(SPOT, fault.clone()).times(1);
        let snapshot = imds(&world).snapshot().await.unwrap();
        assert_eq!(snapshot.target_state, Some(TargetState::Terminated), "{fault:?}");
        assert_eq!(snapshot.spot, None);
    }
}

#[tokio::test]
async fn a_poll_that_saw_nothing_has_failed() {
    let world = World::start().await;
    let imds = imds(&world);
    world.fault(STATE, Fault::Throttle).times(1);
    let error = imds.snapshot().await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Transient);
    assert!(error.to_string().contains("429"), "{error}");
    world.imds.target_state(Some(""));
    let error = imds.snapshot().await.unwrap_err();
    assert_eq!(
        (error.class(), error.to_string().contains("no lifecycle state")),
        (ErrorClass::Transient, true),
        "{error}"
    );
    world.imds.target_state(None);
    world.fault(SPOT, Fault::ErrorPage(200)).times(1);
    let error = imds.snapshot().await.unwrap_err();
    assert!(
        error.to_string().contains("IMDS request for meta-data/spot/instance-action returned an error page"),
        "{error}"
    );
    world.fault("imds GET", Fault::AccessDenied).times(2);
    assert_eq!(imds.snapshot().await.unwrap_err().class(), ErrorClass::Misconfigured);
    assert_eq!(imds.snapshot().await.unwrap(), Snapshot::default());
}

#[tokio::test]
async fn advice_that_cannot_be_had_hides_nothing() {
    let world = World::start().await;
    world.imds.rebalance_recommendation(wall());
    world.imds.set("meta-data/events/maintenance/scheduled", "{\"Code\":\"system-reboot\"}");
    assert_eq!(imds(&world).snapshot().await.unwrap(), Snapshot { rebalance: true, ..quiet() });
    world.fault("imds GET meta-data/events/recommendations/rebalance", Fault::Status(500)).times(1);
    assert_eq!(imds(&world).snapshot().await.unwrap(), quiet());
    world.imds.set("meta-data/events/recommendations/rebalance", "soon");
    assert_eq!(imds(&world).snapshot().await.unwrap(), quiet());
}

#[tokio::test]
async fn a_token_that_was_revoked_is_renewed_within_the_poll() {
    let world = World::start().await;
    let imds = imds(&world);
    imds.snapshot().await.unwrap();
    world.imds.expire_tokens();
    assert_eq!(imds.snapshot().await.unwrap(), quiet());
    assert_eq!(world.journal.count("imds PUT token"), 2);
}
