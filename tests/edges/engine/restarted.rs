//! What stands in the packet filter outlives the engine. It is asked of an engine of the test's own, in a network namespace of its
//! own: the one that the tests share is restarted for nobody.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use berth::edge::engine::Engine;
use berth::edge::metadata_block::MetadataBlock;
use berth::effect::ContainerId;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::street::{Street, rules, sh};

const HOST: &str = "BERTH_TEST_HOST";
const CONTAINER: &str = "BERTH_TEST_CONTAINER";
const METADATA: &str = "BERTH_TEST_METADATA";
const RUN_DIR: &str = "BERTH_TEST_RUN_DIR";

/// A dockerd and all that is its own; gone when it is dropped.
struct OwnEngine {
    namespace: String,
    state: tempfile::TempDir,
    process: Child,
}

impl OwnEngine {
    fn start(namespace: &str) -> Self {
        let state = tempfile::Builder::new().prefix("berth-own-engine").tempdir().unwrap();
        std::fs::write(state.path().join("daemon.json"), "{}").unwrap();
        let process = dockerd(namespace, state.path());
        let engine = Self { namespace: namespace.to_owned(), state, process };
        engine.answers();
        engine
    }

    fn host(&self) -> String {
        format!("unix://{}/docker.sock", self.state.path().display())
    }

    fn docker(&self, line: &str) -> Result<String, String> {
        let ran = Command::new("sh").args(["-c", &format!("docker -H {} {line}", self.host())]).output().unwrap();
        if ran.status.success() {
            Ok(String::from_utf8_lossy(&ran.stdout).trim().to_owned())
        } else {
            Err(String::from_utf8_lossy(&ran.stderr).into_owned())
        }
    }

    fn answers(&self) {
        let asks = format!("timeout 60 sh -c 'until docker -H {} version > /dev/null 2>&1; do :; done'", self.host());
        let up = Command::new("sh").args(["-c", &asks]).status().is_ok_and(|status| status.success());
        assert!(up, "{}", std::fs::read_to_string(self.state.path().join("log")).unwrap_or_default());
    }

    fn restart(&mut self) {
        self.stop();
        self.process = dockerd(&self.namespace, self.state.path());
        self.answers();
    }

    fn stop(&mut self) {
        let _ = kill(Pid::from_raw(self.process.id().try_into().unwrap()), Signal::SIGTERM);
        let _ = self.process.wait();
    }
}

impl Drop for OwnEngine {
    fn drop(&mut self) {
        let _ = self.docker("rm -f app");
        self.stop();
        let mounts =
            "awk -v below=\"$0/\" 'index($2, below) == 1 { print $2 }' /proc/mounts | sort -r | xargs -r umount -l";
        let _ = Command::new("sh").args(["-c", mounts]).arg(self.state.path()).status();
    }
}

/// Only the network is its own: a container shall find its control groups where the machine has them.
fn dockerd(namespace: &str, state: &Path) -> Child {
    let at = |name: &str| state.join(name).into_os_string();
    let log = File::options().create(true).append(true).open(state.join("log")).unwrap();
    let mut dockerd = Command::new("nsenter");
    dockerd.arg(format!("--net=/run/netns/{namespace}")).arg("dockerd");
    for (flag, name) in [("--config-file", "daemon.json"), ("--data-root", "data"), ("--exec-root", "exec")] {
        dockerd.arg(flag).arg(at(name));
    }
    dockerd.arg("--pidfile").arg(at("pid")).arg("--host").arg(format!("unix://{}/docker.sock", state.display()));
    dockerd.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().expect("dockerd")
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
    let mut own = OwnEngine::start(&namespace);
    let image = tempfile::tempdir().unwrap();
    let root = image.path().display();
    sh(&format!(
        "mkdir {root}/bin && cp /bin/busybox {root}/bin && for one in sh nc sleep; do ln -s busybox {root}/bin/$one; done"
    ));
    sh(&format!("tar -C {root} -c . | docker -H {} import - app", own.host()));
    let id = own.docker("create --name app app sleep 600").unwrap();

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
        own.docker(&format!("exec app sh -c 'nc -w 3 {address} 80 < /dev/null'")).is_ok()
    };
    for restarted in [false, true] {
        if restarted {
            own.restart();
        }
        own.docker("start app").unwrap();
        assert!(reaches(&own, &street.neighbour), "restarted: {restarted}");
        assert!(!reaches(&own, &street.metadata), "restarted: {restarted}");
    }
}
