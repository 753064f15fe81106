//! A world: one instance, its metadata, its account, its group, a registry, on ports of their own. Many fit side by side.
//!
//! ```no_run
//! # async fn example(berth: &std::path::Path) {
//! use std::time::Duration;
//! let world = berth_kit::World::start().await;
//! let image = world.app_image();
//! world.secrets.put("prod/api", r#"{"KEY":"value"}"#);
//! world.user_data(&format!("berth image={} port=0:8080 secrets=prod/api", image.by_tag()));
//! let agent = world.launch(berth).await;
//! agent.ready_within(Duration::from_secs(30)).await;
//! world.journal.in_order(&["registry GET manifest", "autoscaling CompleteLifecycleAction CONTINUE"]);
//! # }
//! ```
//! The fakes run on a thread of the world's own, so a test may block. When the world is dropped, its agent is killed and its
//! containers, volumes and images are removed from the engine.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;
use tokio::runtime::{Builder as RuntimeBuilder, Handle};

use crate::agent::{Agent, Launch, Process};
use crate::autoscaling::AutoScaling;
use crate::aws::Aws;
use crate::credentials::{Credential, Credentials};
use crate::ecr::Ecr;
use crate::engine::Engine;
use crate::exchange::Exchanges;
use crate::faults::{Fault, Faults, Scripted};
use crate::group::{Hook, Transition};
use crate::iam::Iam;
use crate::image::Image;
use crate::imds::{Imds, Instance};
use crate::journal::Journal;
use crate::network::Outside;
use crate::parameter_store::ParameterStore;
use crate::registry::{Pushed, Registry};
use crate::s3::S3;
use crate::secrets_manager::SecretsManager;
use crate::server::{Reserved, Stop, begin_thread};
use crate::sts::Sts;
use crate::target_groups::TargetGroups;
use crate::text::random_hex;

/// The region of every world.
pub const REGION: &str = "us-east-2";
/// The availability zone of every world.
pub const ZONE: &str = "us-east-2a";
/// The account of every world.
pub const ACCOUNT: &str = "123456789012";

/// Where EC2 has its metadata service: "Use the Instance Metadata Service to access instance metadata" of its user guide.
pub const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
/// The same by IPv6.
pub const METADATA6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254);

/// The world that a test runs the agent in.
pub struct World {
    /// `i-` and 17 hex digits, this world's own.
    pub instance_id: String,
    /// `app-` and 8 hex digits, this world's own: the repository of [`World::app_image`], so also the app's default name.
    pub name: String,
    /// What every fake was asked.
    pub journal: Journal,
    /// What goes wrong.
    pub faults: Faults,
    /// What the instance's role may do.
    pub iam: Iam,
    /// The metadata service.
    pub imds: Arc<Imds>,
    /// The AWS endpoint.
    pub aws: Arc<Aws>,
    /// Secrets Manager.
    pub secrets: Arc<SecretsManager>,
    /// SSM Parameter Store.
    pub parameters: Arc<ParameterStore>,
    /// ECR.
    pub ecr: Arc<Ecr>,
    /// EC2 Auto Scaling.
    pub autoscaling: Arc<AutoScaling>,
    /// Elastic Load Balancing.
    pub target_groups: TargetGroups,
    /// S3.
    pub s3: S3,
    /// The registry.
    pub registry: Arc<Registry>,
    /// The real engine.
    pub engine: Engine,
    pub(crate) processes: Mutex<Vec<Arc<Process>>>,
    pub(crate) runtime: Handle,
    /// Where the metadata service is, if the world is in a network of its own.
    pub(crate) alone: Option<IpAddr>,
    credentials: Arc<Credentials>,
    run: TempDir,
    disk: TempDir,
    thread: Option<Stop>,
}

/// What is unusual about a world.
pub struct WorldBuilder {
    hooks: Option<Vec<Hook>>,
    pending: bool,
    imds_closed: bool,
    private_registry: bool,
    target_groups: TargetGroups,
    s3: S3,
    address: Ipv4Addr,
    alone: Option<(Outside, IpAddr)>,
}

impl WorldBuilder {
    /// The instance is in no Auto Scaling group.
    #[must_use]
    pub fn no_group(mut self) -> Self {
        self.hooks = None;
        self
    }

    /// The group has exactly these hooks; as a rule it has `launch` and `terminate`, with five minutes each.
    #[must_use]
    pub fn hooks(mut self, hooks: Vec<Hook>) -> Self {
        self.hooks = Some(hooks);
        self
    }

    /// The launch hook is not active until [`AutoScaling::enter_wait`].
    #[must_use]
    pub fn pending(mut self) -> Self {
        self.pending = true;
        self
    }

    /// The metadata service refuses connections until [`Imds::start_listening`].
    #[must_use]
    pub fn imds_closed(mut self) -> Self {
        self.imds_closed = true;
        self
    }

    /// The registry asks for the credentials that ECR hands out.
    #[must_use]
    pub fn private_registry(mut self) -> Self {
        self.private_registry = true;
        self
    }

    /// The account has these target groups, which other worlds have too.
    #[must_use]
    pub fn target_groups(mut self, target_groups: &TargetGroups) -> Self {
        self.target_groups = target_groups.clone();
        self
    }

    /// The account has these buckets, which other worlds have too.
    #[must_use]
    pub fn s3(mut self, s3: &S3) -> Self {
        self.s3 = s3.clone();
        self
    }

    /// The fakes listen on this address of the calling thread's network, for an agent on a machine of its own, and the metadata
    /// service where EC2 has it. As a rule everything is on loopback, where the kit may start the agent.
    #[must_use]
    pub fn on(mut self, address: Ipv4Addr) -> Self {
        self.address = address;
        self
    }

    /// In a network of the test's own ([`crate::network`]): the metadata service is where EC2 has it, at this address, and no
    /// variable names it; AWS is on loopback, by the same version of IP. Only the registry stays where the engine is.
    #[must_use]
    pub fn alone(mut self, outside: &Outside, metadata: impl Into<IpAddr>) -> Self {
        self.alone = Some((outside.clone(), metadata.into()));
        self
    }

    /// Where the metadata service listens, and where AWS does.
    fn places(&self) -> (SocketAddr, SocketAddr) {
        match &self.alone {
            Some((_, metadata @ IpAddr::V4(_))) => ((*metadata, 80).into(), (Ipv4Addr::LOCALHOST, 0).into()),
            Some((_, metadata @ IpAddr::V6(_))) => ((*metadata, 80).into(), (Ipv6Addr::LOCALHOST, 0).into()),
            None if self.address.is_loopback() => ((self.address, 0).into(), (self.address, 0).into()),
            None => ((METADATA, 80).into(), (self.address, 0).into()),
        }
    }

    /// Lets the world begin.
    pub async fn start(self) -> World {
        let (runtime, thread) = begin_thread("world");
        let (journal, faults, credentials) = (Journal::new(), Faults::default(), Arc::new(Credentials::new()));
        let instance_id = format!("i-{}", random_hex(17));
        let name = format!("app-{}", random_hex(8));

        let instance = Instance { id: &instance_id, region: REGION, zone: ZONE, account: ACCOUNT };
        let (metadata, aws) = self.places();
        let metadata = Reserved::new(metadata);
        let imds =
            Imds::new(&instance, metadata, Arc::clone(&credentials), journal.clone(), faults.clone(), runtime.clone());
        let imds = Arc::new(imds);
        let group = format!("{name}-asg");
        let in_group = self.hooks.is_some();
        let autoscaling = Arc::new(AutoScaling::new(&instance_id, ZONE, &group, Arc::clone(&imds), self.hooks));
        if in_group && !self.pending {
            autoscaling.enter_wait();
        }
        if !self.imds_closed {
            imds.start_listening();
        }

        let (reserved, iam) = (Reserved::new(aws), Iam::default());
        let secrets = Arc::new(SecretsManager::new(REGION, ACCOUNT, iam.clone()));
        let parameters = ParameterStore::new(REGION, ACCOUNT, iam.clone(), Arc::clone(&secrets));
        let aws = Arc::new(Aws {
            address: reserved.address,
            regions: Mutex::new(BTreeSet::from([REGION.to_owned()])),
            credentials: Arc::clone(&credentials),
            journal: journal.clone(),
            exchanges: Exchanges::default(),
            faults: faults.clone(),
            iam: iam.clone(),
            ahead: AtomicI64::new(0),
            secrets,
            parameters: Arc::new(parameters),
            ecr: Arc::new(Ecr::new(REGION, ACCOUNT)),
            autoscaling: Arc::clone(&autoscaling),
            target_groups: self.target_groups.clone(),
            s3: self.s3.clone(),
            sts: Sts::new(ACCOUNT, &instance_id),
        });
        self.target_groups.run_instance(&instance_id, self.address);
        reserved.open(&runtime, Arc::clone(&aws));
        let open = || Registry::open(self.address, journal.clone(), faults.clone(), &runtime);
        let registry = match &self.alone {
            Some((outside, _)) => outside.enter(open),
            None => open(),
        };
        if self.private_registry {
            registry.require("AWS", &aws.ecr.password());
            registry.ask(iam.clone(), format!("arn:aws:ecr:{REGION}:{ACCOUNT}:repository/"));
        }

        World {
            secrets: Arc::clone(&aws.secrets),
            parameters: Arc::clone(&aws.parameters),
            ecr: Arc::clone(&aws.ecr),
            s3: self.s3,
            engine: Engine::default(),
            processes: Mutex::default(),
            // On tmpfs, as /run is on an instance, and short: the path of a unix socket has 108 bytes.
            run: tempfile::Builder::new().prefix("berth").tempdir_in("/dev/shm").expect("a directory in /dev/shm"),
            disk: tempfile::Builder::new().prefix("berth").tempdir().expect("a directory for temporary files"),
            thread: Some(thread),
            instance_id,
            name,
            journal,
            faults,
            iam,
            imds,
            aws,
            autoscaling,
            target_groups: self.target_groups,
            registry,
            runtime,
            alone: self.alone.map(|(_, metadata)| metadata),
            credentials,
        }
    }
}

impl World {
    /// An instance in a group with hooks, waiting in `Pending:Wait`, everything well.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// A world with something unusual.
    pub fn builder() -> WorldBuilder {
        let hook = |name: &str, transition| Hook {
            name: name.into(),
            transition,
            heartbeat_timeout: Duration::from_secs(300),
            default_result: "ABANDON".into(),
        };
        WorldBuilder {
            hooks: Some(vec![hook("launch", Transition::Launching), hook("terminate", Transition::Terminating)]),
            pending: false,
            imds_closed: false,
            private_registry: false,
            target_groups: TargetGroups::default(),
            s3: S3::default(),
            address: Ipv4Addr::LOCALHOST,
            alone: None,
        }
    }

    /// Scripts a fault, see [`Faults::add`].
    pub fn fault(&self, pattern: &str, fault: Fault) -> Scripted {
        self.faults.add(pattern, fault)
    }

    /// The instance's user-data.
    pub fn user_data(&self, text: &str) {
        self.imds.user_data(text);
    }

    /// Pushes a demo app of this world's own as `127.0.0.1:PORT/app-…:v1`.
    pub fn app_image(&self) -> Pushed {
        self.push("v1", &Image::demo_app())
    }

    /// Pushes an image to this world's own repository.
    pub fn push(&self, tag: &str, image: &Image) -> Pushed {
        self.registry.push(&self.name, tag, &image.build())
    }

    /// The name that the container has by default.
    pub fn container(&self) -> String {
        format!("berth-{}", self.name)
    }

    /// What the AMI says: the content of `/etc/berth/berth.toml`.
    pub fn ami_defaults(&self, toml: &str) {
        std::fs::write(self.config_file(), toml).expect("a file in the world's directory");
    }

    /// Starts the agent as its unit does.
    pub async fn launch(&self, berth: &Path) -> Agent {
        self.launcher(berth).start().await
    }

    /// Starts the agent in an unusual way.
    pub fn launcher(&self, berth: &Path) -> Launch<'_> {
        Launch::new(self, berth)
    }

    /// Starts the agent once more, with the directories of the one before, as after a crash.
    pub async fn relaunch(&self, berth: &Path) -> Agent {
        self.launch(berth).await
    }

    /// The agent's `--run-dir`, on tmpfs.
    pub fn run_dir(&self) -> PathBuf {
        self.run.path().join("run")
    }

    /// The agent's `--state-dir`, on disk.
    pub fn state_dir(&self) -> PathBuf {
        self.disk.path().join("state")
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.disk.path().join("home")
    }

    /// What the agent wrote to the system console, a file here.
    pub fn console_text(&self) -> String {
        std::fs::read_to_string(self.console_file()).unwrap_or_default()
    }

    pub(crate) fn console_file(&self) -> PathBuf {
        self.disk.path().join("console")
    }

    /// The file with AMI-wide defaults.
    pub fn config_file(&self) -> PathBuf {
        self.disk.path().join("berth.toml")
    }

    /// The role's credentials as they are now: access key id, secret access key, session token. Elsewhere than on the instance they
    /// are good too.
    pub fn keys(&self) -> [String; 3] {
        let Credential { access_key, secret_key, token, .. } = self.credentials.current();
        [access_key, secret_key, token]
    }

    /// The role's secret keys and tokens, which must be seen nowhere.
    pub fn credential_values(&self) -> Vec<String> {
        self.credentials.secret_values()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let processes = self.processes.lock().unwrap();
        let exits: Vec<_> = processes.iter().map(|process| process.exit()).collect();
        processes.iter().for_each(|process| process.kill());
        drop(processes);
        let engine = self.engine.clone();
        let (label, name, host) =
            (format!("berth.instance={}", self.instance_id), self.name.clone(), self.registry.host());
        // A thread of its own: the test's runtime may be the one that this drop runs on.
        let cleaning = thread::spawn(move || {
            let runtime = RuntimeBuilder::new_current_thread().enable_all().build().expect("a runtime");
            // Nothing more is created once the agents are gone.
            let clean = async {
                for mut exit in exits {
                    let _ = exit.wait_for(Option::is_some).await;
                }
                engine.clean(&label, &name, &host).await;
            };
            let cleaned = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(30), clean).await });
            cleaned.expect("the engine is cleaned within 30 s");
        });
        let cleaned = cleaning.join();
        if let Some((stop, thread)) = self.thread.take() {
            let _ = stop.send(());
            let _ = thread.join();
        }
        if cleaned.is_err() && !thread::panicking() {
            panic!("the world could not be cleaned up");
        }
    }
}

/// An address on loopback with the port 8080 that nobody else has: for a host port that must be known beforehand.
pub fn own_address() -> SocketAddr {
    // In 127/8 every address is this machine's, and there are enough of them for every world to draw one: with 64,000 of them two of a
    // few hundred worlds had the same.
    let [one, two, three, _] = fastrand::u32(..).to_le_bytes();
    SocketAddr::from(([127, 64 + one % 64, two, three], 8080))
}
