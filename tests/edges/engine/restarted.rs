//! What stands in the packet filter outlives the engine. It is asked of an engine of the test's own, in a network namespace of its
//! own: the one that the tests share is restarted for nobody.

use std::path::Path;
use std::process::Command;

use berth::edge::engine::Engine;
use berth::edge::metadata_block::MetadataBlock;
use berth::effect::ContainerId;
use berth_kit::OwnEngine;

use super::street::{Street, rules, sh};

const HOST: &str = "BERTH_TEST_HOST";
const CONTAINER: &str = "BERTH_TEST_CONTAINER";
const METADATA: &str = "BERTH_TEST_METADATA";
const RUN_DIR: &str = "BERTH_TEST_RUN_DIR";

/// Runs a line of the engine's own client.
fn docker(own: &OwnEngine, line: &str) -> Result<String, String> {
    let ran = Command::new("sh").args(["-c", &format!("docker -H {} {line}", own.host())]).output().unwrap();
    if ran.status.success() {
        Ok(String::from_utf8_lossy(&ran.stdout).trim().to_owned())
    } else {
        Err(String::from_utf8_lossy(&ran.stderr).into_owned())
    }
}

/// What the agent does before it starts a container, in the network namespace that this process was started in.
async fn hold_what_the_environment_names(host: &str) {
    let told = |name: &str| std::env::var(name).unwrap();
    let id = ContainerId(told(CONTAINER));
    let block = MetadataBlock::new(Path::new(&told(RUN_DIR)), &format!("http://{}", told(METADATA)));
    let bridges = Engine::new(Some(host)).unwrap().bridges(&id).await.unwrap().expect("it was created");
    block.hold(&id, &bridges).await.unwrap();
    assert_eq!(rules(&id).len(), 3);
}

#[tokio::test]
async fn a_container_stays_blocked_when_the_engine_is_restarted() {
    // It runs itself in another network namespace for that part.
    if let Ok(host) = std::env::var(HOST) {
        return hold_what_the_environment_names(&host).await;
    }
    let Some(street) = Street::open_beside_an_engine() else { return };
    let namespace = street.instance.clone().unwrap();
    let mut own = OwnEngine::in_namespace(&namespace);
    own.start().await;
    let image = tempfile::tempdir().unwrap();
    let root = image.path().display();
    sh(&format!(
        "mkdir {root}/bin && cp /bin/busybox {root}/bin && for one in sh nc sleep; do ln -s busybox {root}/bin/$one; done"
    ));
    sh(&format!("tar -C {root} -c . | docker -H {} import - app", own.host()));
    let id = docker(&own, "create --name app app sleep 600").unwrap();

    let run_dir = tempfile::tempdir().unwrap();
    let own_namespace = format!("--net=/run/netns/{namespace}");
    let mut there = Command::new("nsenter");
    there.arg(own_namespace).arg(std::env::current_exe().unwrap());
    there.args(["--exact", "engine::restarted::a_container_stays_blocked_when_the_engine_is_restarted"]);
    there.env(HOST, own.host()).env(CONTAINER, &id).env(METADATA, &street.metadata).env(RUN_DIR, run_dir.path());
    let held = there.output().unwrap();
    let said = String::from_utf8_lossy(&held.stdout);
    assert!(held.status.success() && said.contains("1 passed"), "{said}");

    let reaches = |own: &OwnEngine, address: &str| {
        docker(own, &format!("exec app sh -c 'nc -w 3 {address} 80 < /dev/null'")).is_ok()
    };
    for restarted in [false, true] {
        if restarted {
            own.stop();
            own.start().await;
        }
        docker(&own, "start app").unwrap();
        assert!(reaches(&own, &street.neighbour), "restarted: {restarted}");
        assert!(!reaches(&own, &street.metadata), "restarted: {restarted}");
    }
    docker(&own, "rm -f app").unwrap();
}
