//! The metadata service speaks version 2 and nothing else.

use std::time::{Duration, UNIX_EPOCH};

use berth_kit::World;
use berth_kit::client::{Answer, over_tcp, request};
use bytes::Bytes;

pub(crate) async fn ask(world: &World, method: &str, path: &str, headers: &[(&'static str, &str)]) -> Answer {
    let mut request = request(method, path);
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let address = world.imds.endpoint().strip_prefix("http://").unwrap().parse().unwrap();
    over_tcp(address, request).await.unwrap()
}

pub(crate) async fn token(world: &World) -> String {
    let answer = ask(world, "PUT", "/latest/api/token", &[("x-aws-ec2-metadata-token-ttl-seconds", "21600")]).await;
    assert_eq!(answer.status, 200);
    answer.text()
}

async fn get(world: &World, path: &str) -> Answer {
    let token = token(world).await;
    ask(world, "GET", path, &[("x-aws-ec2-metadata-token", &token)]).await
}

#[tokio::test]
async fn an_item_needs_a_token_that_is_still_good() {
    let world = World::start().await;
    let path = "/latest/meta-data/instance-id";
    assert_eq!(ask(&world, "GET", path, &[]).await.status, 401);
    assert_eq!(ask(&world, "GET", path, &[("x-aws-ec2-metadata-token", "made-up")]).await.status, 401);
    let token = token(&world).await;
    let good = [("x-aws-ec2-metadata-token", token.as_str())];
    assert_eq!(ask(&world, "GET", path, &good).await.text(), world.instance_id);
    world.imds.expire_tokens();
    assert_eq!(ask(&world, "GET", path, &good).await.status, 401);
    world.journal.in_order(&["imds GET 401", "imds PUT token 200", "imds GET meta-data/instance-id 200", "imds 401"]);
}

#[tokio::test]
async fn a_token_needs_a_lifetime_and_no_proxy() {
    let world = World::start().await;
    let ttl = "x-aws-ec2-metadata-token-ttl-seconds";
    for (path, headers, status) in [
        ("/latest/api/token", vec![], 400),
        ("/latest/api/token", vec![(ttl, "0")], 400),
        ("/latest/api/token", vec![(ttl, "21601")], 400),
        ("/latest/api/token", vec![(ttl, "60"), ("x-forwarded-for", "10.0.0.1")], 403),
        ("/2021-03-23/api/token", vec![(ttl, "60")], 403),
        ("/2021-07-15/api/token", vec![(ttl, "60")], 403),
        ("/latest/api/token", vec![(ttl, "60")], 200),
    ] {
        assert_eq!(ask(&world, "PUT", path, &headers).await.status, status, "{path} {headers:?}");
    }
}

#[tokio::test]
async fn what_is_absent_is_a_404_with_a_page() {
    let world = World::start().await;
    for path in ["user-data", "meta-data/spot/instance-action", "meta-data/iam/security-credentials/other"] {
        let answer = get(&world, &format!("/latest/{path}")).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.text().contains("<html"), "{path}");
    }
    world.user_data("berth image=x:1");
    world.imds.spot_interruption("terminate", UNIX_EPOCH + Duration::from_secs(1_505_722_920));
    assert_eq!(get(&world, "/latest/user-data").await.text(), "berth image=x:1");
    let notice = get(&world, "/latest/meta-data/spot/instance-action").await.json();
    assert_eq!(notice["time"], "2017-09-18T08:22:00Z");
}

#[tokio::test]
async fn listings_name_what_is_below() {
    let world = World::start().await;
    assert_eq!(get(&world, "/latest/meta-data/iam/security-credentials/").await.text(), "berth-instance-role");
    assert_eq!(
        get(&world, "/latest/meta-data/placement/").await.text(),
        "availability-zone\navailability-zone-id\nregion"
    );
    assert_eq!(get(&world, "/latest/meta-data/tags/instance").await.status, 404, "off unless turned on");
    world.autoscaling.show_in_tags();
    assert_eq!(get(&world, "/latest/meta-data/tags/instance").await.text(), "aws:autoscaling:groupName");
}

#[tokio::test]
async fn the_target_state_follows_the_group() {
    let path = "/latest/meta-data/autoscaling/target-lifecycle-state";
    let world = World::start().await;
    assert_eq!(get(&world, path).await.text(), "InService");
    world.autoscaling.terminate();
    assert_eq!(get(&world, path).await.text(), "Terminated");
    let alone = World::builder().no_group().start().await;
    assert_eq!(get(&alone, path).await.status, 404);
}

#[tokio::test]
async fn a_network_that_comes_up_late_or_goes_away_refuses_connections_meanwhile() {
    let world = World::builder().imds_closed().start().await;
    let address = world.imds.endpoint().strip_prefix("http://").unwrap().parse().unwrap();
    let refused = over_tcp(address, request("GET", "/")).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    world.imds.start_listening();
    token(&world).await;
    world.imds.stop_listening();
    let closed = async || over_tcp(address, request("GET", "/")).await.is_err();
    let waits = async {
        while !closed().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), waits).await.unwrap();
    world.imds.start_listening();
    token(&world).await;
}

#[tokio::test]
async fn credentials_rotate() {
    let world = World::start().await;
    let path = "/latest/meta-data/iam/security-credentials/berth-instance-role";
    let one = get(&world, path).await.json();
    assert_eq!(one["Code"], "Success");
    world.imds.rotate_credentials(Duration::from_secs(600));
    let two = get(&world, path).await.json();
    assert_ne!(one["AccessKeyId"], two["AccessKeyId"]);
    assert!(world.credential_values().contains(&two["Token"].as_str().unwrap().to_owned()));
    let journal = world.journal.text();
    assert!(!world.credential_values().iter().any(|value| journal.contains(value)));
}

#[tokio::test]
async fn user_data_is_bytes() {
    let world = World::start().await;
    world.imds.user_data([0x1f, 0x8b, 0xff, 0x00]);
    assert_eq!(get(&world, "/latest/user-data").await.body, Bytes::from_static(&[0x1f, 0x8b, 0xff, 0x00]));
}

#[tokio::test]
async fn a_version_has_what_was_there_when_it_was_released() {
    let world = World::start().await;
    let state = "meta-data/autoscaling/target-lifecycle-state";
    let document = "dynamic/instance-identity/document";
    for (path, status) in [
        (format!("/latest/{state}"), 200),
        (format!("/2021-07-15/{state}"), 200),
        (format!("/2021-03-23/{state}"), 404),
        (format!("/2021-03-23/{document}"), 200),
        ("/2021-07-15/user-data".to_owned(), 404),
        (format!("/2021-07-16/{document}"), 404),
        (document.to_owned(), 404),
    ] {
        assert_eq!(get(&world, &format!("/{}", path.trim_start_matches('/'))).await.status, status, "{path}");
    }
    assert!(get(&world, "/").await.text().lines().eq([
        "1.0",
        "2009-04-04",
        "2016-09-02",
        "2018-09-24",
        "2020-10-27",
        "2021-03-23",
        "2021-07-15",
        "latest"
    ]));
    world.imds.know_latest_only();
    assert_eq!(get(&world, "/").await.text(), "latest");
    assert_eq!(get(&world, &format!("/2021-07-15/{document}")).await.status, 404);
    assert_eq!(get(&world, &format!("/latest/{document}")).await.status, 200);
}
