//! Debian's docker-registry on loopback: open, behind htpasswd, or with TLS.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use berth::edge::http::Http;
use berth_kit::image::{Built, MANIFEST};
use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::Full;
use tokio::net::TcpStream;

use super::bench::within;

/// Who may use a registry that asks for a password.
pub(super) const USERNAME: &str = "berth";
/// A password whose credentials hold bytes on which the two base64 alphabets differ.
pub(super) const PASSWORD: &str = "???>>>~~~";

/// A registry that ends with the test.
pub(super) struct Registry {
    process: Process,
    is_tls: bool,
    /// Its configs, its certificate and what it holds.
    files: tempfile::TempDir,
}

/// A docker-registry that listens.
struct Process {
    child: Child,
    port: u16,
}

impl Registry {
    /// One that everybody may use.
    pub(super) async fn open() -> Self {
        let files = tempfile::tempdir().unwrap();
        Self { process: Process::start(files.path(), "").await, is_tls: false, files }
    }

    /// One that asks for [`USERNAME`] and [`PASSWORD`].
    pub(super) async fn with_password() -> Self {
        let files = tempfile::tempdir().unwrap();
        let path = files.path().join("htpasswd");
        fs::write(&path, run(Command::new("htpasswd").args(["-nbB", "-C", "4", USERNAME, PASSWORD]))).unwrap();
        let auth = format!("auth: {{htpasswd: {{realm: berth, path: {}}}}}\n", path.display());
        Self { process: Process::start(files.path(), &auth).await, is_tls: false, files }
    }

    /// One with a certificate of its own making: the engine does not check those of loopback.
    pub(super) async fn with_tls() -> Self {
        let files = tempfile::tempdir().unwrap();
        let (key, certificate) = (files.path().join("key.pem"), files.path().join("cert.pem"));
        let make = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=127.0.0.1 -days 1";
        run(Command::new("openssl").args(make.split(' ')).arg("-keyout").arg(&key).arg("-out").arg(&certificate));
        let tls = format!("  tls: {{certificate: {}, key: {}}}\n", certificate.display(), key.display());
        Self { process: Process::start(files.path(), &tls).await, is_tls: true, files }
    }

    /// Host and port, as an image reference has them.
    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.process.port)
    }

    /// Uploads an image that the kit built, past the engine.
    pub(super) async fn hold(&self, repository: &str, tag: &str, image: &Built) {
        // Over TLS only the engine is a client; what another process stores, this one has.
        let plain = if self.is_tls { Some(Process::start(self.files.path(), "").await) } else { None };
        let port = plain.as_ref().map_or(self.process.port, |process| process.port);
        let repository = format!("http://127.0.0.1:{port}/v2/{repository}");
        for (digest, blob) in &image.blobs {
            let begun = put("POST", &format!("{repository}/blobs/uploads/"), "", Bytes::new()).await;
            let location = begun.headers()[header::LOCATION].to_str().unwrap();
            put("PUT", &format!("{location}&digest={digest}"), "application/octet-stream", blob.clone()).await;
        }
        let stored = put("PUT", &format!("{repository}/manifests/{tag}"), MANIFEST, image.manifest.clone()).await;
        assert_eq!(stored.headers()["docker-content-digest"], image.digest.as_str());
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
            if within(process.listens()).await {
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
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.is_ok() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The `Authorization` header of [`USERNAME`] with a password.
pub(super) fn basic(password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{USERNAME}:{password}")))
}

async fn put(method: &str, url: &str, content_type: &str, body: Bytes) -> Response<Bytes> {
    let request = Request::builder().method(method).uri(url).header(header::CONTENT_TYPE, content_type);
    let request = request.header(header::AUTHORIZATION, basic(PASSWORD)).body(Full::new(body)).unwrap();
    let answer = Http::default().send(request, Duration::from_secs(20), 1 << 20).await.unwrap();
    assert!(answer.status().is_success(), "{method} {url}: {answer:?}");
    answer
}

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().expect("openssl, and htpasswd of apache2-utils");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
