//! Debian's docker-registry on loopback: somebody else's registry, open, behind htpasswd, or with TLS. An engine pushes to it.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::runtime::Builder;

use crate::engine::Engine;
use crate::registry::Pushed;

/// A password whose credentials hold bytes on which the two base64 alphabets differ.
pub const PASSWORD: &str = "???>>>~~~";

/// A registry that ends with the test.
pub struct DockerRegistry {
    port: u16,
    process: Child,
    password: Option<&'static str>,
    /// The engine that pushed to it.
    engine: Mutex<Option<Engine>>,
    /// Its config and its certificate.
    _files: TempDir,
}

impl DockerRegistry {
    /// One that everybody may use.
    pub async fn open() -> Self {
        Self::start(None, false).await
    }

    /// One that asks for the username `berth` and [`PASSWORD`].
    pub async fn with_password() -> Self {
        Self::start(Some(PASSWORD), false).await
    }

    /// One with a certificate of its own making: the engine does not check those of loopback.
    pub async fn with_tls() -> Self {
        Self::start(None, true).await
    }

    async fn start(password: Option<&'static str>, tls: bool) -> Self {
        let files = tempfile::tempdir().unwrap();
        let path = |name: &str| files.path().join(name).display().to_string();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let mut config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage: {{inmemory: {{}}}}\nhttp:\n  addr: 127.0.0.1:{port}\n"
        );
        if tls {
            run(Command::new("openssl")
                .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
                .args([
                    "-nodes",
                    "-subj",
                    "/CN=127.0.0.1",
                    "-days",
                    "1",
                    "-keyout",
                    &path("key.pem"),
                    "-out",
                    &path("cert.pem"),
                ]));
            config += &format!("  tls: {{certificate: {}, key: {}}}\n", path("cert.pem"), path("key.pem"));
        }
        if let Some(password) = password {
            let line = run(Command::new("htpasswd").args(["-nbB", "-C", "4", "berth", password]));
            fs::write(path("htpasswd"), line).unwrap();
            config += &format!("auth: {{htpasswd: {{realm: berth, path: {}}}}}\n", path("htpasswd"));
        }
        fs::write(path("config.yml"), config).unwrap();
        let process = Command::new("docker-registry")
            .args(["serve", &path("config.yml")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry, of Debian's package of that name");
        let registry = Self { port, process, password, engine: Mutex::default(), _files: files };
        let listening = tokio::time::timeout(Duration::from_secs(60), async {
            while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        listening.await.expect("docker-registry listens within a minute");
        registry
    }

    /// Host and port, as an image reference has them.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The username and the password that it asks for.
    pub fn login(&self) -> Option<(&'static str, &'static str)> {
        self.password.map(|password| ("berth", password))
    }

    /// The same as the engine's header: a push must have one, even an empty one.
    pub fn auth_header(&self) -> String {
        let auth = self.login().map(|(username, password)| json!({ "username": username, "password": password }));
        BASE64_URL_SAFE.encode(auth.unwrap_or_else(|| json!({})).to_string())
    }

    /// Lets the engine push an image that it has, as `REPOSITORY:v1`, and forget again that it did. When the registry ends,
    /// the engine forgets what it pulled from it, too.
    ///
    /// # Panics
    /// If it cannot.
    pub async fn push(&self, engine: &Engine, image: &str, repository: &str) -> Pushed {
        *self.engine.lock().unwrap() = Some(engine.clone());
        let (repository, tag) = (format!("{}/{repository}", self.address()), "v1");
        let tagged = engine.call("POST", &format!("/images/{image}/tag?repo={repository}&tag={tag}"), None).await;
        assert_eq!(tagged.status, 201, "{image}: {}", tagged.text());
        let answer = engine.push(&repository, tag, &self.auth_header()).await;
        engine.forget(&self.address()).await;
        let lines: Vec<Value> = answer.text().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let digest = lines.iter().find_map(|line| line["aux"]["Digest"].as_str());
        let digest = digest.unwrap_or_else(|| panic!("{image} was not pushed: {}", answer.text())).to_owned();
        Pushed { repository, tag: tag.into(), digest }
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        if let Some(engine) = self.engine.get_mut().unwrap().take() {
            let host = self.address();
            // A thread of its own: the test's runtime may be the one that this drop runs on.
            let forgetting = thread::spawn(move || {
                let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
                let forget = async { tokio::time::timeout(Duration::from_secs(30), engine.forget(&host)).await };
                let _ = runtime.block_on(forget);
            });
            let _ = forgetting.join();
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().expect("openssl, and htpasswd of apache2-utils");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
