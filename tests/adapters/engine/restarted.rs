//! What stands in the packet filter outlives the engine. It is asked of an engine of the test's own, in a network namespace of its
//! own: the one that the tests share is restarted for nobody.

use std::path::Path;
use std::process::{Command, Stdio};

use berth::io::docker::Engine;
use berth::io::host::metadata_block::MetadataBlock;
use berth::io::secret::deliver::Delivery;
use berth_core::message::container::ContainerId;
use berth_core::message::job::{Job, Ticket};
use berth_kit::OwnEngine;
use serde_json::json;

use super::test_network::{TestNetwork, rules, sh};
use crate::whole::bare_adapters;

pub(super) const HOST: &str = "BERTH_TEST_HOST";
pub(super) const CONTAINER: &str = "BERTH_TEST_CONTAINER";
pub(super) const METADATA: &str = "BERTH_TEST_METADATA";
pub(super) const RUN_DIR: &str = "BERTH_TEST_RUN_DIR";

/// Runs a line of the engine's own client.
pub(super) fn docker(own: &OwnEngine, line: &str) -> Result<String, String> {
    let ran = Command::new("sh").args(["-c", &format!("docker -H {} {line}", own.host())]).output().unwrap();
    if ran.status.success() {
        Ok(String::from_utf8_lossy(&ran.stdout).trim().to_owned())
    } else {
        Err(String::from_utf8_lossy(&ran.stderr).into_owned())
    }
}

/// An image with what the tests run.
pub(super) fn import_app(own: &OwnEngine) {
    let image = tempfile::tempdir().unwrap();
    let root = image.path().display();
    sh(&format!(
        "mkdir {root}/bin && cp /bin/busybox {root}/bin && for one in sh nc sleep; do ln -s busybox {root}/bin/$one; done"
    ));
    sh(&format!("tar -C {root} -c . | docker -H {} import - app", own.host()));
}

/// Runs the agent's part of a test in the engine's network namespace: what it printed.
fn run_part(test: &str, net: &TestNetwork, own: &OwnEngine, id: &str, run_dir: &Path) -> String {
    run_part_with(&[], &format!("restarted::{test}"), net, own, id, run_dir)
}

/// The same of a test of another module, with these variables more.
pub(super) fn run_part_with(
    variables: &[(&str, &str)],
    test: &str,
    net: &TestNetwork,
    own: &OwnEngine,
    id: &str,
    run_dir: &Path,
) -> String {
    let namespace = net.instance.as_ref().unwrap();
    let mut there = Command::new("/usr/bin/nsenter");
    there.arg(format!("--net=/run/netns/{namespace}"));
    there.arg("env").args(variables.iter().map(|(name, value)| format!("{name}={value}")));
    there.arg(std::env::current_exe().unwrap()).args(["--nocapture", "--exact", &format!("engine::{test}")]);
    there.env(HOST, own.host()).env(CONTAINER, id).env(METADATA, &net.metadata).env(RUN_DIR, run_dir);
    let ran = there.env("DOCKER_HOST", own.host()).output().unwrap();
    let printed = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success() && printed.contains("1 passed"), "{printed}{}", String::from_utf8_lossy(&ran.stderr));
    printed
}

/// What the agent does every few seconds, in the network namespace that this process was started in.
#[expect(clippy::print_stdout, reason = "the test that started it reads what it found")]
async fn check_what_the_environment_names() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let run_dir = variable(RUN_DIR);
    let block = MetadataBlock::new(Path::new(&run_dir), &format!("http://{}", variable(METADATA)));
    let adapters =
        bare_adapters("http://127.0.0.1:1", "http://127.0.0.1:1", &Delivery::new(Path::new(&run_dir)), block);
    println!("CHECKED {}", adapters.perform(Ticket(1), Job::CheckMetadataBlock).await);
}

/// What the agent does before it starts a container, in the network namespace that this process was started in.
async fn hold_what_the_environment_names(host: &str) {
    let variable = |name: &str| std::env::var(name).unwrap();
    let id = ContainerId(variable(CONTAINER));
    let block = MetadataBlock::new(Path::new(&variable(RUN_DIR)), &format!("http://{}", variable(METADATA)));
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
    let Some(net) = TestNetwork::open_beside_an_engine() else { return };
    let mut own = OwnEngine::in_namespace(net.instance.as_ref().unwrap());
    own.start().await;
    import_app(&own);
    let id = docker(&own, "create --name app app sleep 600").unwrap();

    let run_dir = tempfile::tempdir().unwrap();
    run_part("a_container_stays_blocked_when_the_engine_is_restarted", &net, &own, &id, run_dir.path());

    let reaches = |own: &OwnEngine, address: &str| {
        docker(own, &format!("exec app sh -c 'nc -w 3 {address} 80 < /dev/null'")).is_ok()
    };
    for restarted in [false, true] {
        if restarted {
            own.stop();
            own.start().await;
        }
        docker(&own, "start app").unwrap();
        assert!(reaches(&own, &net.other), "restarted: {restarted}");
        assert!(!reaches(&own, &net.metadata), "restarted: {restarted}");
    }
    docker(&own, "rm -f app").unwrap();
}

#[tokio::test]
async fn a_flushed_filter_is_put_back_also_while_the_engine_is_away() {
    // It runs itself in another network namespace for that part, first to hold and then to look after it.
    if let Ok(host) = std::env::var(HOST) {
        let is_held = Path::new(&std::env::var(RUN_DIR).unwrap()).join("imds").exists();
        return if is_held {
            check_what_the_environment_names().await
        } else {
            hold_what_the_environment_names(&host).await
        };
    }
    let Some(net) = TestNetwork::open_beside_an_engine() else { return };
    let mut own = OwnEngine::in_namespace(net.instance.as_ref().unwrap());
    own.settings(&json!({ "live-restore": true }));
    own.start().await;
    import_app(&own);
    let id = docker(&own, "create --name app app sleep 600").unwrap();
    let run_dir = tempfile::tempdir().unwrap();
    let part = |own: &OwnEngine| {
        run_part("a_flushed_filter_is_put_back_also_while_the_engine_is_away", &net, own, &id, run_dir.path())
    };
    part(&own);
    docker(&own, "start app").unwrap();
    let process = docker(&own, "inspect -f '{{.State.Pid}}' app").unwrap();
    let reaches = |address: &str| {
        let asks = format!("nsenter -t {process} -n busybox nc -w 3 {address} 80 < /dev/null");
        Command::new("sh").args(["-c", &asks]).stderr(Stdio::null()).status().unwrap().success()
    };
    for is_away in [false, true] {
        if is_away {
            own.stop();
        }
        assert!(reaches(&net.other) && !reaches(&net.metadata), "away: {is_away}");
        let there = format!("nsenter --net=/run/netns/{}", net.instance.as_ref().unwrap());
        sh(&format!("{there} iptables -w 5 -t raw -F PREROUTING && {there} ip6tables -w 5 -t raw -F PREROUTING"));
        assert!(reaches(&net.metadata), "away: {is_away}");
        let printed = part(&own);
        assert!(printed.contains("CHECKED rules were missing on docker0 and are set"), "away: {is_away}: {printed}");
        assert!(reaches(&net.other) && !reaches(&net.metadata), "away: {is_away}");
    }
    own.start().await;
    assert!(part(&own).contains("CHECKED imds=block holds"));
    docker(&own, "rm -f app").unwrap();
}
