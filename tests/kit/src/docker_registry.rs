//! Debian's docker-registry on loopback: somebody else's registry, open, behind htpasswd, or with TLS. An engine pushes to it,
//! or a test uploads what the kit built.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use bytes::Bytes;
use http::{Request, header};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Builder;

use crate::client::{Answer, over_tcp};
use crate::engine::Engine;
use crate::image::{Built, MANIFEST};
use crate::registry::Pushed;

/// The user of a registry that asks for a password.
pub const USERNAME: &str = "berth";
/// A password whose credentials hold bytes on which the two base64 alphabets differ.
pub const PASSWORD: &str = "???>>>~~~";

/// A registry that ends with the test.
pub struct DockerRegistry {
    process: Process,
    has_password: bool,
    is_tls: bool,
    /// The engine that pushed to it.
    engine: Mutex<Option<Engine>>,
    /// Its configs, its certificate and what it holds.
    files: TempDir,
}

/// A docker-registry that listens.
struct Process {
    child: Child,
    port: u16,
}

impl DockerRegistry {
    /// One that everybody may use.
    pub async fn open() -> Self {
        Self::start(tempfile::tempdir().unwrap(), "", false, false).await
    }

    /// One that asks for [`USERNAME`] and [`PASSWORD`].
    pub async fn with_password() -> Self {
        let files = tempfile::tempdir().unwrap();
        let path = files.path().join("htpasswd");
        fs::write(&path, run(Command::new("htpasswd").args(["-nbB", "-C", "4", USERNAME, PASSWORD]))).unwrap();
        let auth = format!("auth: {{htpasswd: {{realm: berth, path: {}}}}}\n", path.display());
        Self::start(files, &auth, true, false).await
    }

    /// One with a certificate of its own making: the engine does not check those of loopback.
    pub async fn with_tls() -> Self {
        let files = tempfile::tempdir().unwrap();
        let (key, certificate) = (files.path().join("key.pem"), files.path().join("cert.pem"));
        let make = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=127.0.0.1 -days 1";
        run(Command::new("openssl").args(make.split(' ')).arg("-keyout").arg(&key).arg("-out").arg(&certificate));
        let tls = format!("  tls: {{certificate: {}, key: {}}}\n", certificate.display(), key.display());
        Self::start(files, &tls, false, true).await
    }

    async fn start(files: TempDir, more: &str, has_password: bool, is_tls: bool) -> Self {
        let process = Process::start(files.path(), more).await;
        Self { process, has_password, is_tls, engine: Mutex::default(), files }
    }

    /// Host and port, as an image reference has them.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.process.port)
    }

    /// The login as the engine's header: a push must have one, even an empty one.
    fn auth_header(&self) -> String {
        let login = self.has_password.then(|| json!({ "username": USERNAME, "password": PASSWORD }));
        BASE64_URL_SAFE.encode(login.unwrap_or_else(|| json!({})).to_string())
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
        // The containerd image store has it in a sentence only: `v1: digest: sha256:… size: 531`.
        let in_words =
            |line: &Value| line["status"].as_str()?.split_once("digest: ")?.1.split(' ').next().map(str::to_owned);
        let digest =
            lines.iter().find_map(|line| line["aux"]["Digest"].as_str().map(str::to_owned).or_else(|| in_words(line)));
        let digest = digest.unwrap_or_else(|| panic!("{image} was not pushed: {}", answer.text()));
        Pushed { repository, tag: tag.into(), digest }
    }

    /// Uploads an image that the kit built, past any engine.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn hold(&self, repository: &str, tag: &str, image: &Built) {
        // Over TLS only an engine is a client; what another process stores, this one has.
        let plain = if self.is_tls { Some(Process::start(self.files.path(), "").await) } else { None };
        let port = plain.as_ref().map_or(self.process.port, |process| process.port);
        let path = format!("/v2/{repository}");
        for (digest, blob) in &image.blobs {
            let begun = upload(port, "POST", &format!("{path}/blobs/uploads/"), "", Bytes::new()).await;
            let location = begun.headers[header::LOCATION].to_str().unwrap();
            upload(port, "PUT", &format!("{location}&digest={digest}"), "application/octet-stream", blob.clone()).await;
        }
        let stored = upload(port, "PUT", &format!("{path}/manifests/{tag}"), MANIFEST, image.manifest.clone()).await;
        assert_eq!(stored.headers["docker-content-digest"], image.digest.as_str());
    }
}

impl Process {
    async fn start(files: &Path, more: &str) -> Self {
        // Somebody may take a port between our look at it and the registry's: then the registry ends at once.
        for _ in 0..10 {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
            let config = files.join(format!("{port}.yml"));
            let (store, http) = (files.join("store"), format!("http:\n  addr: 127.0.0.1:{port}\n"));
            let storage = format!("storage: {{filesystem: {{rootdirectory: {}}}}}\n", store.display());
            let log = "log: {level: error, accesslog: {disabled: true}}\n";
            fs::write(&config, format!("version: 0.1\n{log}{storage}{http}{more}")).unwrap();
            let child = Command::new("docker-registry")
                .arg("serve")
                .arg(&config)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("docker-registry, of Debian's package of that name");
            let mut process = Self { child, port };
            let listening = tokio::time::timeout(Duration::from_secs(60), process.listens());
            if listening.await.expect("docker-registry listens within a minute") {
                return process;
            }
        }
        panic!("docker-registry does not start");
    }

    /// Waits until it does, or is gone.
    async fn listens(&mut self) -> bool {
        loop {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            // A connection says only that somebody listens there.
            if listens_on(self.child.id(), self.port) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Whether this process has the socket that listens on the port of loopback, by proc_pid_net(5) and proc_pid_fd(5).
fn listens_on(process: u32, port: u16) -> bool {
    let address = format!("0100007F:{port:04X}");
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let mut rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    // Local address, remote address, state: 0A listens; the inode is the tenth.
    let row = rows.find(|row| row.get(1) == Some(&address.as_str()) && row.get(3) == Some(&"0A"));
    let Some(socket) = row.and_then(|row| Some(format!("socket:[{}]", row.get(9)?))) else { return false };
    // The process may be gone.
    let Ok(open) = fs::read_dir(format!("/proc/{process}/fd")) else { return false };
    open.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|to| to == Path::new(&socket)))
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
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
    }
}

/// The `Authorization` header of [`USERNAME`] with a password.
pub fn basic(password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{USERNAME}:{password}")))
}

/// `to`: a path, or the address with the path, as a `Location` has it.
async fn upload(port: u16, method: &str, to: &str, content_type: &str, body: Bytes) -> Answer {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let request = Request::builder().method(method).uri(to).header(header::CONTENT_TYPE, content_type);
    let request = request.header(header::HOST, address.to_string()).header(header::AUTHORIZATION, basic(PASSWORD));
    let sending = over_tcp(address, request.body(body).unwrap());
    let answer = tokio::time::timeout(Duration::from_secs(20), sending).await.expect("an answer in time").unwrap();
    assert!((200..300).contains(&answer.status), "{method} {to}: {} {}", answer.status, answer.text());
    answer
}

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().expect("openssl, and htpasswd of apache2-utils");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_another_process_listens_on_is_not_the_registry_s() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut other = Command::new("sleep").arg("60").spawn().unwrap();
        assert!(!listens_on(other.id(), port));
        assert!(listens_on(std::process::id(), port));
        drop(listener);
        assert!(!listens_on(std::process::id(), port));
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
