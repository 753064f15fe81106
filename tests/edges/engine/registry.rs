//! Debian's docker-registry on loopback: open, behind htpasswd, or with TLS.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use berth::edge::secret::Secret;
use tokio::net::TcpStream;

use super::bench::within;

/// A password whose credentials hold bytes on which the two base64 alphabets differ.
pub(super) const PASSWORD: &str = "???>>>~~~";

/// A registry that ends with the test.
pub(super) struct Registry {
    port: u16,
    process: Child,
    password: Option<&'static str>,
    /// Its config and its certificate.
    _files: tempfile::TempDir,
}

impl Registry {
    /// One that everybody may use.
    pub(super) async fn open() -> Self {
        Self::start(None, false).await
    }

    /// One that asks for the username `berth` and [`PASSWORD`].
    pub(super) async fn with_password() -> Self {
        Self::start(Some(PASSWORD), false).await
    }

    /// One with a certificate of its own making: the engine does not check those of loopback.
    pub(super) async fn with_tls() -> Self {
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
        let registry = Self { port, process, password, _files: files };
        within(async {
            while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        registry
    }

    /// Host and port, as an image reference has them.
    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What it asks for.
    pub(super) fn login(&self) -> Option<(&'static str, Secret)> {
        self.password.map(|password| ("berth", Secret::new(password)))
    }

    /// The same as the engine's header: a push must have one, even an empty one.
    pub(super) fn auth_header(&self) -> String {
        let auth = match self.password {
            Some(password) => format!(r#"{{"username":"berth","password":"{password}"}}"#),
            None => "{}".to_owned(),
        };
        URL_SAFE.encode(auth)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().expect("openssl, and htpasswd of apache2-utils");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
