//! What these tests stand on: images of a static busybox, containers of unique names, and all of it gone at the end.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use berth::io::docker::{Engine, Mounted};
use berth::io::secret::Secret;
use berth::io::secret::deliver::Delivery;
use berth_config::{Config, ImageRef, Layers, SecretsAs};
use berth_core::message::container::Exit;
use berth_core::message::container::{ContainerId, Creation, RunningContainer};
use berth_core::message::identity::Identity;
use berth_core::targets::HostPorts;
use bollard::Docker;
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{CreateImageOptions, InspectContainerOptions, LogsOptions, PushImageOptions};
use futures_util::StreamExt;
use http::HeaderValue;

use berth_kit::docker_registry::DockerRegistry;
use berth_kit::engine::resolves_tags;

/// The engine that the tests have.
pub(crate) fn engine() -> Engine {
    Engine::new(Some(&format!("unix://{}", socket()))).unwrap()
}

/// The engine's socket: the one of `DOCKER_HOST`, else the usual one.
pub(super) fn socket() -> String {
    let host = berth_kit::engine::Engine::default().host();
    host.strip_prefix("unix://").expect("the engine is on this machine").to_owned()
}

/// A container that stays.
pub(super) const SLEEP: &str = "CMD [\"sleep\", \"600\"]";

/// One test's part of the engine.
pub(super) struct Bench {
    pub(super) engine: Engine,
    pub(super) docker: Docker,
    pub(super) registry: DockerRegistry,
    pub(super) delivery: Delivery,
    /// Its run directory, on tmpfs.
    _run_dir: tempfile::TempDir,
    /// Requests that remove what was made, the last first.
    cleanup: Vec<String>,
}

/// A file of an image, and its mode.
pub(super) type File<'a> = (&'a str, &'a [u8], u32);

impl Bench {
    pub(super) async fn new() -> Self {
        let docker = Docker::connect_with_unix(&socket(), 120, bollard::API_DEFAULT_VERSION).expect("a Docker Engine");
        let run_dir = tempfile::Builder::new().prefix("berth-run-").tempdir_in("/dev/shm").unwrap();
        Self {
            engine: engine(),
            docker,
            registry: DockerRegistry::open().await,
            delivery: Delivery::new(run_dir.path()),
            _run_dir: run_dir,
            cleanup: Vec::new(),
        }
    }

    /// An image with a static busybox and links for the applets that the tests use.
    pub(super) async fn busybox(&mut self, changes: &[&str]) -> ImageRef {
        self.image(&["sh", "sleep", "env", "cat", "id", "httpd", "nc", "wget", "tail", "touch"], &[], changes).await
    }

    /// An image of a busybox with these links to it in /bin, of these files and with these Dockerfile lines; pushed, so that it has
    /// a digest.
    pub(super) async fn image(&mut self, applets: &[&str], files: &[File<'_>], changes: &[&str]) -> ImageRef {
        let mut tar = tar::Builder::new(Vec::new());
        if !applets.is_empty() {
            let busybox = std::fs::read("/bin/busybox").expect("busybox-static");
            append(&mut tar, ("bin/busybox", &busybox, 0o755));
        }
        for applet in applets {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            tar.append_link(&mut header, format!("bin/{applet}"), "busybox").unwrap();
        }
        for file in files {
            append(&mut tar, *file);
        }
        let repository = unique("berth-adapters");
        let tag = "v1";
        let name = format!("{}/{repository}", self.registry.address());
        let options = CreateImageOptions {
            from_src: Some("-".to_owned()),
            repo: Some(name.clone()),
            tag: Some(tag.to_owned()),
            changes: changes.iter().map(|line| (*line).to_owned()).collect(),
            ..Default::default()
        };
        let body = bollard::body_full(tar.into_inner().unwrap().into());
        let mut made = Box::pin(self.docker.create_image(Some(options), Some(body), None));
        while let Some(line) = made.next().await {
            line.expect("the image is imported");
        }
        self.cleanup.push(format!("DELETE /images/{name}:{tag}?force=1"));
        let push = PushImageOptions { tag: Some(tag.to_owned()), ..Default::default() };
        // A push must have the header, even with nothing in it: `{}`.
        let docker = self.docker.clone().with_request_modifier(|mut request| {
            request.headers_mut().insert("X-Registry-Auth", HeaderValue::from_static("e30="));
            request
        });
        let mut pushed = Box::pin(docker.push_image(&name, Some(push), None));
        while let Some(line) = pushed.next().await {
            line.expect("the image is pushed");
        }
        ImageRef { registry: self.registry.address(), repository, tag: Some(tag.to_owned()), digest: None }
    }

    /// Everything that the machine would know before it creates a container of that image.
    pub(super) async fn creation(&mut self, image: &ImageRef, edit: impl FnOnce(&mut Config)) -> Creation {
        let pinned = match resolves_tags() {
            true => self.engine.resolve_digest(image, None).await.unwrap(),
            // The digest that the push reported.
            false => image.at(self.pushed_digest(image).await),
        };
        let facts = self.engine.inspect_image(&pinned).await.unwrap().expect("the engine has the image");
        let mut config = config(image);
        edit(&mut config);
        Creation {
            config: Arc::new(config),
            identity: Arc::new(identity()),
            image: pinned,
            facts,
            ports: HostPorts::new(),
        }
    }

    async fn pushed_digest(&self, image: &ImageRef) -> String {
        let known = self.docker.inspect_image(&image.to_string()).await.unwrap().repo_digests.unwrap_or_default();
        known.first().and_then(|known| known.split_once('@')).expect("a digest").1.to_owned()
    }

    /// Creates the container, with what its secrets need.
    pub(super) async fn create(&mut self, creation: &Creation, secrets: Option<&Secrets>) -> ContainerId {
        let name = creation.config.container_name();
        self.cleanup.push(format!("DELETE /containers/{name}?force=1&v=1"));
        let how = creation.config.secrets_as;
        let directory = secrets.map(|_| self.delivery.prepare(&name, how).unwrap());
        let mounted = match (&directory, how) {
            (None, _) => Mounted::Nothing,
            (Some(directory), SecretsAs::Env) => {
                Mounted::Env { binary: Path::new(env!("CARGO_BIN_EXE_berth")), directory }
            }
            (Some(directory), SecretsAs::Files) => Mounted::Files { directory },
        };
        self.engine.create(creation, mounted).await.unwrap()
    }

    /// Creates and starts it.
    pub(super) async fn run(&mut self, creation: &Creation, secrets: Option<&Secrets>) -> RunningContainer {
        let id = self.create(creation, secrets).await;
        if let Some(secrets) = secrets {
            self.delivery.write(&creation.config.container_name(), creation.config.secrets_as, secrets).unwrap();
        }
        self.engine.start(&id, &creation.config.ports).await.unwrap()
    }

    /// Runs it to its end: how it ended, and what it printed.
    pub(super) async fn run_to_end(&mut self, creation: &Creation, secrets: Option<&Secrets>) -> (Exit, String) {
        let running = self.run(creation, secrets).await;
        let exit = within(self.engine.watch(&running.id)).await.unwrap();
        (exit, self.output(&running.id).await)
    }

    /// What it printed so far.
    pub(super) async fn output(&self, id: &ContainerId) -> String {
        let options = LogsOptions { stdout: true, stderr: true, ..Default::default() };
        let mut lines = Box::pin(self.docker.logs(&id.0, Some(options)));
        let mut output = String::new();
        while let Some(line) = lines.next().await {
            output.push_str(&line.unwrap().to_string());
        }
        output
    }

    /// Waits until it printed this.
    pub(super) async fn says(&self, id: &ContainerId, words: &str) {
        within(async {
            while !self.output(id).await.contains(words) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }

    pub(super) async fn inspect(&self, id: &ContainerId) -> ContainerInspectResponse {
        self.docker.inspect_container(&id.0, None::<InspectContainerOptions>).await.unwrap()
    }

    /// Takes this away at the end too.
    pub(super) fn and_remove(&mut self, request: String) {
        self.cleanup.push(request);
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for request in self.cleanup.iter().rev() {
            call(request);
        }
    }
}

/// Secrets by name.
pub(super) type Secrets = BTreeMap<String, Secret>;

pub(super) fn secrets(pairs: &[(&str, &str)]) -> Secrets {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value))).collect()
}

pub(super) fn words(line: &[&str]) -> Vec<String> {
    line.iter().map(|word| (*word).to_owned()).collect()
}

/// A name that no other test, run or worktree has.
pub(super) fn unique(stem: &str) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("{stem}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Bounds a wait.
pub(super) async fn within<T>(wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("it happens within a minute")
}

/// One request to the engine without a runtime, as a destructor can make it. Returns the whole answer.
pub(super) fn call(request: &str) -> String {
    let mut answer = String::new();
    if let Ok(mut engine) = UnixStream::connect(socket()) {
        let _ = write!(engine, "{request} HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n\r\n");
        let _ = engine.read_to_string(&mut answer);
    }
    answer
}

fn append(tar: &mut tar::Builder<Vec<u8>>, (path, content, mode): File<'_>) {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(mode);
    tar.append_data(&mut header, path, content).unwrap();
}

/// The instance that these containers belong to.
pub(super) fn identity() -> Identity {
    Identity {
        instance_id: format!("i-adapters{}", std::process::id()),
        region: "us-east-2".to_owned(),
        availability_zone: "us-east-2a".to_owned(),
        account: "123456789012".to_owned(),
        target_state: None,
    }
}

/// What is validated if nothing is written but the image and a unique name.
fn config(image: &ImageRef) -> Config {
    let mut layers = Layers::new();
    layers.add_words(&[format!("image={image}"), format!("name={}", unique("adapters"))]);
    layers.resolve().unwrap()
}
