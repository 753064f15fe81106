//! A machine of tests/boot with cloud-init: its disk stays from boot to boot, and each boot is one of an instance with another id.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use berth_kit::engine::Engine;
use berth_kit::{World, client};
use nix::sched::{CloneFlags, setns};
use nix::time::{ClockId, clock_gettime};
use tokio::runtime::Builder;

use crate::hardware::HARDWARE;
use crate::{BOUND, command, network, root};

/// Where the bash writes down its steps, on a tmpfs.
pub(super) const STEPS: &str = "/run/bash-steps";
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(3);

/// The machine; gone when dropped.
pub(super) struct Machine {
    name: String,
}

/// Seconds of the clock that the machine's systemd reads, too.
pub(super) fn monotonic() -> f64 {
    Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap()).as_secs_f64()
}

/// Makes the machine's image, once, from Debian's packages: where there is a way to them.
pub(super) fn make_image(suite: &str) {
    command::run(root().join("tests/boot/image"), [image_of(suite)]).unwrap();
}

fn image_of(suite: &str) -> String {
    format!("{suite}-cloud-init")
}

impl Machine {
    /// As an AMI's builder makes it: switched on, berth's package installed, and the `aws` command that the bash calls.
    pub(super) async fn built(suite: &str, world: &World, berth: &Path) -> Self {
        let machine = Self { name: format!("berth-bench-{}", world.name) };
        let create = ["create", "--name", &machine.name, "--hostname", "bench"].map(str::to_owned);
        let hardware = HARDWARE.iter().map(|word| (*word).to_owned());
        docker(create.into_iter().chain(hardware).chain([format!("berth-test/machine:{}", image_of(suite))]));
        machine.switch_on();
        machine
            .until("docker.service is active", || machine.try_run("systemctl is-active docker.service").is_ok())
            .await;

        let packages = tempfile::tempdir().unwrap();
        let arguments = [berth.as_os_str(), std::env::consts::ARCH.as_ref(), packages.path().as_os_str()];
        let package = command::run(root().join("packaging/deb"), arguments).unwrap();
        machine.copy(Path::new(package.trim()), "/var/tmp/berth.deb");
        machine.run("dpkg --install /var/tmp/berth.deb");
        let aws = format!("[Service]\nEnvironment=AWS_ENDPOINT_URL={}\nRestartSec=60\n", world.aws.endpoint());
        machine.write("/etc/systemd/system/berth.service.d/world.conf", &aws);

        let aws = std::env::var("AWS_CLI").expect("AWS_CLI names the directory of the aws command: tests/install-aws");
        let modules = Path::new(&aws).with_file_name("lib").read_dir().unwrap().next().unwrap().unwrap().path();
        machine.copy(&modules.join("site-packages"), "/opt/aws");
        machine.run("python3 -m compileall -q /opt/aws >/dev/null || true");
        machine.write("/usr/local/bin/aws", "#!/bin/sh\nPYTHONPATH=/opt/aws exec python3 -m awscli \"$@\"\n");
        machine.run("chmod 755 /usr/local/bin/aws && mkdir -p /etc/cloud/cloud.cfg.d");
        let only = "datasource_list: [NoCloud]\nnetwork: {config: disabled}\n";
        machine.write("/etc/cloud/cloud.cfg.d/99-bench.cfg", only);
        machine
    }

    /// What its next boot finds: nothing of a container, no image if it is to be cold, these user-data for cloud-init if that is to run, and berth enabled or not,
    /// with this drop-in. Then the power is cut.
    pub(super) fn prepare(&self, instance: &str, user_data: &str, berth: Option<&str>, cold: bool, cloud_init: bool) {
        self.run("systemctl kill --signal=KILL berth.service 2>/dev/null; systemctl kill --signal=KILL cloud-final.service 2>/dev/null; true");
        self.run("docker ps --all --quiet | xargs --no-run-if-empty docker rm --force >/dev/null");
        if cold {
            self.run("docker image ls --all --quiet | sort --unique | xargs --no-run-if-empty docker image rm --force >/dev/null");
        }
        let disabled = "/etc/cloud/cloud-init.disabled";
        self.run(&if cloud_init { format!("rm --force {disabled}") } else { format!("touch {disabled}") });
        self.write("/var/lib/cloud/seed/nocloud/user-data", user_data);
        self.write("/var/lib/cloud/seed/nocloud/meta-data", &format!("instance-id: {instance}\n"));
        self.write("/etc/systemd/system/berth.service.d/order.conf", berth.unwrap_or_default());
        self.run(if berth.is_some() { "systemctl enable --quiet berth" } else { "systemctl disable --quiet berth" });
        self.run("sync");
        docker(["kill", &self.name]);
    }

    /// Power on, and a card in the network.
    pub(super) fn switch_on(&self) {
        docker(["start", &self.name]);
        network::plug_in(&self.pid()).unwrap();
    }

    /// When its PID 1 became systemd, and when its engine was up.
    pub(super) fn moments(&self) -> [f64; 2] {
        let moments = [("UserspaceTimestampMonotonic", ""), ("ActiveEnterTimestampMonotonic", "docker.service")];
        moments.map(|(property, unit)| {
            let shown = self.run(&format!("systemctl show --value --property={property} {unit}"));
            shown.trim().parse::<f64>().unwrap() / 1e6
        })
    }

    /// Its engine, as a process on it reaches it.
    pub(super) fn engine(&self) -> PathBuf {
        Path::new("/proc").join(self.pid()).join("root/run/docker.sock")
    }

    /// Waits until that engine answers.
    pub(super) async fn engine_is_up(&self) -> Engine {
        let (socket, began) = (self.engine(), Instant::now());
        while !client::over_unix(&socket, client::request("GET", "/_ping"))
            .await
            .is_ok_and(|answer| answer.status == 200)
        {
            assert!(began.elapsed() < BOUND, "no engine at {}", socket.display());
            tokio::time::sleep(PAUSE).await;
        }
        Engine::at(socket)
    }

    /// When an address in its network first answers 200, asked on a thread there.
    pub(super) fn first_200(&self, address: SocketAddr, path: &'static str) -> JoinHandle<f64> {
        let namespace = File::open(format!("/proc/{}/ns/net", self.pid())).unwrap();
        spawn(move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(crate::answers(address, path, 200));
            monotonic()
        })
    }

    /// When the bash began a step, by what it wrote down.
    pub(super) fn step(&self, name: &str) -> f64 {
        let steps = self.run(&format!("cat {STEPS}"));
        let wall = steps.lines().find_map(|line| line.strip_suffix(&format!(" {name}"))).unwrap();
        let since = clock_gettime(ClockId::CLOCK_REALTIME).unwrap();
        monotonic() - (Duration::from(since).as_secs_f64() - wall.parse::<f64>().unwrap())
    }

    /// Runs a command line on it: what it printed.
    pub(super) fn run(&self, line: &str) -> String {
        self.try_run(line).unwrap_or_else(|error| panic!("{error}"))
    }

    fn try_run(&self, line: &str) -> Result<String, String> {
        command::run("docker", ["exec", &self.name, "sh", "-c", line])
    }

    /// Waits until something holds.
    pub(super) async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let began = Instant::now();
        while !holds() {
            assert!(began.elapsed() < BOUND, "not: {what}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn pid(&self) -> String {
        docker(["inspect", "--format", "{{.State.Pid}}", &self.name]).trim().to_owned()
    }

    fn write(&self, path: &str, text: &str) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        self.copy(file.path(), path);
        self.run(&format!("chmod 644 {path}"));
    }

    fn copy(&self, from: &Path, to: &str) {
        self.run(&format!("mkdir -p $(dirname {to})"));
        docker(["cp", &from.display().to_string(), &format!("{}:{to}", self.name)]);
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = command::run("docker", ["rm", "--force", "--volumes", &self.name]);
    }
}

fn docker<W: AsRef<std::ffi::OsStr>>(words: impl IntoIterator<Item = W>) -> String {
    command::run("docker", words).unwrap_or_else(|error| panic!("{error}"))
}
