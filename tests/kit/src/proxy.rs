//! Debian's squid on loopback, as the proxy of a subnet that has no other way out: somebody else's CONNECT, absolute form and password.
//!
//! It resolves names by a list of its own, so that what is behind it can have a name that nobody else knows: the agent proxies no
//! address of loopback.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::certificate::Certificate;
use crate::world::own_address;

/// The user of a proxy that asks for a password.
pub const USERNAME: &str = "berth";
/// A password that a URL can only hold percent-encoded.
pub const PASSWORD: &str = "p@ss:w/rd%21";
/// The same in a URL.
pub const ENCODED: &str = "p%40ss%3Aw%2Frd%2521";
/// What no rule of the proxy allows.
pub const FORBIDDEN: &str = "forbidden.berth.test";

/// For a start or a line of the log: far longer than it takes.
const SOON: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_millis(20);

/// A proxy that ends with the test.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its certificate, if it speaks TLS.
    pub certificate: Option<Certificate>,
    process: Child,
    files: TempDir,
}

impl Proxy {
    /// One that everybody may use, and that knows these names.
    pub async fn open(names: &[(&str, SocketAddr)]) -> Self {
        Self::start(names, false, None).await
    }

    /// One that asks for [`USERNAME`] and [`PASSWORD`].
    pub async fn with_password(names: &[(&str, SocketAddr)]) -> Self {
        Self::start(names, true, None).await
    }

    /// One that asks for the password, on connections over TLS.
    pub async fn with_tls(names: &[(&str, SocketAddr)]) -> Self {
        Self::start(names, true, Some(Certificate::of("proxy.berth.test"))).await
    }

    async fn start(names: &[(&str, SocketAddr)], password: bool, certificate: Option<Certificate>) -> Self {
        let files = tempfile::Builder::new().prefix("berth-proxy").tempdir().expect("a directory");
        // Root's squid writes as a user of its own.
        fs::set_permissions(files.path(), fs::Permissions::from_mode(0o777)).expect("its own directory");
        let address = own_address();
        let path = |name: &str| files.path().join(name);
        let hosts: String = names.iter().map(|(name, at)| format!("{} {name}\n", at.ip())).collect();
        fs::write(path("hosts"), hosts).expect("a file");
        let listens = match &certificate {
            None => format!("http_port {address}"),
            Some(Certificate { both, .. }) => format!("https_port {address} tls-cert={}", both.display()),
        };
        let directory = files.path().display();
        let mut config = format!(
            "{listens}
            pid_filename none
            coredump_dir {directory}
            cache deny all
            cache_mem 4 MB
            logformat berth %rm %ru %>Hs %un
            access_log stdio:{directory}/access.log berth
            cache_log {directory}/cache.log
            hosts_file {directory}/hosts
            # Nobody answers there.
            dns_nameservers {}
            dns_timeout 1 second
            shutdown_lifetime 0 seconds
            pinger_enable off
            max_filedescriptors 256
            acl forbidden dstdomain {FORBIDDEN}
            http_access deny forbidden
            ",
            address.ip()
        );
        if password {
            let passwords = Command::new("htpasswd").args(["-nbm", USERNAME, PASSWORD]).output();
            fs::write(path("passwords"), passwords.expect("htpasswd, of apache2-utils").stdout).expect("a file");
            // Writing to a String cannot fail.
            let _ = writeln!(
                config,
                "auth_param basic program /usr/lib/squid/basic_ncsa_auth {directory}/passwords
                auth_param basic children 1 startup=1
                acl known proxy_auth REQUIRED
                http_access deny !known"
            );
        }
        config.push_str("http_access allow all\n");
        let config: String = config.lines().map(|line| format!("{}\n", line.trim_start())).collect();
        fs::write(path("squid.conf"), config).expect("a file");
        let process = Command::new("squid")
            .env("PATH", "/usr/sbin:/usr/local/sbin:/usr/bin:/bin")
            .arg("-N")
            .arg("-f")
            .arg(path("squid.conf"))
            .current_dir(files.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("squid, of the Debian package of that name: run `tests/install world`");
        let mut proxy = Self { address, certificate, process, files };
        proxy.listens().await;
        proxy
    }

    async fn listens(&mut self) {
        let log = self.files.path().join("cache.log");
        let up = tokio::time::timeout(SOON, async {
            while TcpStream::connect(self.address).await.is_err() {
                let ended = self.process.try_wait().expect("a child");
                assert!(ended.is_none(), "squid ended: {}", fs::read_to_string(&log).unwrap_or_default());
                tokio::time::sleep(TICK).await;
            }
        });
        assert!(up.await.is_ok(), "squid does not listen: {}", fs::read_to_string(&log).unwrap_or_default());
    }

    /// Its URL, without a login.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its URL with the login that it asks for.
    pub fn url_with_login(&self) -> String {
        format!("http://{USERNAME}:{ENCODED}@{}", self.address)
    }

    /// What it was asked for, each as `METHOD URL STATUS USER`; a tunnel is there once it is closed.
    pub fn requests(&self) -> Vec<String> {
        let log = fs::read_to_string(self.files.path().join("access.log")).unwrap_or_default();
        // The look whether it listens is one, too.
        log.lines().filter(|line| !line.starts_with("- ")).map(str::to_owned).collect()
    }

    /// Waits until what it was asked for is as it should be.
    ///
    /// # Panics
    /// If it is not within half a minute.
    pub async fn asked(&self, is_it: impl Fn(&[String]) -> bool) -> Vec<String> {
        let asked = tokio::time::timeout(SOON, async {
            loop {
                let requests = self.requests();
                if is_it(&requests) {
                    return requests;
                }
                tokio::time::sleep(TICK).await;
            }
        });
        asked.await.unwrap_or_else(|_| panic!("the proxy was asked for {:#?}", self.requests()))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// HAProxy on loopback, that ends TLS for a name in front of a server that speaks none.
pub struct TlsFront {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its certificate, which no host trusts.
    pub certificate: Certificate,
    name: String,
    process: Child,
    _files: TempDir,
}

impl TlsFront {
    /// In front of this address, for this name.
    ///
    /// # Panics
    /// If it cannot be started.
    pub async fn start(name: &str, behind: SocketAddr) -> Self {
        Self::at(own_address(), name, behind).await
    }

    /// In front of this address, for its own address: nobody needs to know a name.
    ///
    /// # Panics
    /// If it cannot be started.
    pub async fn without_name(behind: SocketAddr) -> Self {
        let address = own_address();
        Self::at(address, &address.ip().to_string(), behind).await
    }

    async fn at(address: SocketAddr, name: &str, behind: SocketAddr) -> Self {
        let certificate = Certificate::of(name);
        let files = tempfile::Builder::new().prefix("berth-tls").tempdir().expect("a directory");
        let config: PathBuf = files.path().join("haproxy.cfg");
        let text = format!(
            "defaults\n  mode tcp\n  timeout connect 10s\n  timeout client 60s\n  timeout server 60s\n\
             listen tls\n  bind {address} ssl crt {}\n  server behind {behind}\n",
            certificate.both.display()
        );
        fs::write(&config, text).expect("a file");
        let process = Command::new("haproxy")
            .env("PATH", "/usr/sbin:/usr/local/sbin:/usr/bin:/bin")
            .args(["-db", "-f"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("haproxy, of the Debian package of that name: run `tests/install world`");
        let mut front = Self { address, certificate, name: name.to_owned(), process, _files: files };
        let up = tokio::time::timeout(SOON, async {
            while TcpStream::connect(address).await.is_err() {
                assert!(front.process.try_wait().expect("a child").is_none(), "HAProxy ended");
                tokio::time::sleep(TICK).await;
            }
        });
        assert!(up.await.is_ok(), "HAProxy does not listen");
        front
    }

    /// Its URL, by its name.
    pub fn url(&self) -> String {
        format!("https://{}:{}", self.name, self.address.port())
    }

    /// Its name, and where that is.
    pub fn named(&self) -> (&str, SocketAddr) {
        (&self.name, self.address)
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
