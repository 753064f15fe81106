//! A scripted fault meets the first matching calls, and no others.

use std::time::{Duration, Instant};

use berth_kit::client::{over_tcp, request};
use berth_kit::{Fault, World};

use crate::imds::{ask, token};

#[tokio::test]
async fn a_fault_is_used_up_by_the_calls_it_meets() {
    let world = World::start().await;
    let token = token(&world).await;
    let get = async |path: &str| ask(&world, "GET", path, &[("x-aws-ec2-metadata-token", &token)]).await;
    world.fault("imds GET meta-data/instance-id", Fault::Status(503)).times(2);
    assert_eq!(get("/latest/meta-data/placement/region").await.status, 200);
    let statuses = [
        get("/latest/meta-data/instance-id").await.status,
        get("/latest/meta-data/instance-id").await.status,
        get("/latest/meta-data/instance-id").await.status,
    ];
    assert_eq!(statuses, [503, 503, 200]);
}

#[tokio::test]
async fn the_metadata_faults_have_its_shapes() {
    let world = World::start().await;
    let token = token(&world).await;
    for (fault, status) in [
        (Fault::Throttle, 429),
        (Fault::ExpiredToken, 401),
        (Fault::AccessDenied, 403),
        (Fault::ErrorPage(200), 200),
        (Fault::ErrorPage(404), 404),
    ] {
        world.fault("imds GET", fault.clone());
        let headers = [("x-aws-ec2-metadata-token", token.as_str())];
        let answer = ask(&world, "GET", "/latest/meta-data/instance-id", &headers).await;
        assert_eq!(answer.status, status, "{fault:?}");
        assert!(answer.text().contains("<html"), "{fault:?}");
    }
}

#[tokio::test]
async fn a_cut_answer_is_an_error_of_the_connection() {
    let world = World::start().await;
    world.fault("imds PUT token", Fault::Cut);
    let address = world.imds.endpoint().strip_prefix("http://").unwrap().parse().unwrap();
    let mut put = request("PUT", "/latest/api/token");
    put.headers_mut().insert("x-aws-ec2-metadata-token-ttl-seconds", "60".parse().unwrap());
    over_tcp(address, put).await.unwrap_err();
    world.journal.in_order(&["imds PUT token 200 !Cut"]);
}

#[tokio::test]
async fn a_hanging_or_stalled_call_is_not_answered_while_others_are() {
    let world = World::start().await;
    for fault in [Fault::Hang, Fault::Stall] {
        world.fault("imds PUT token", fault.clone());
        let hanging = token(&world);
        assert!(tokio::time::timeout(Duration::from_millis(200), hanging).await.is_err(), "{fault:?}");
        tokio::time::timeout(Duration::from_secs(5), token(&world)).await.unwrap();
    }
}

#[tokio::test]
async fn a_hanging_call_is_answered_when_the_script_ends() {
    let world = World::start().await;
    world.fault("imds PUT token", Fault::Hang).always();
    let mut hanging = std::pin::pin!(token(&world));
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut hanging).await.is_err());
    world.faults.clear();
    tokio::time::timeout(Duration::from_secs(5), hanging).await.unwrap();
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the clock of the test itself")]
async fn a_delayed_call_is_answered_later() {
    let world = World::start().await;
    world.fault("imds PUT token", Fault::Delay(Duration::from_secs(60)));
    assert!(tokio::time::timeout(Duration::from_millis(100), token(&world)).await.is_err());
    let delay = Duration::from_millis(200);
    world.fault("imds PUT token", Fault::Delay(delay));
    let asked = Instant::now();
    token(&world).await;
    assert!(asked.elapsed() >= delay, "{:?}", asked.elapsed());
}
