//! The readiness endpoint behind a real HAProxy that puts a PROXY protocol header in front of its health checks and requests.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use berth::io::listen::endpoint::{Endpoint, RunningEndpoint};
use berth_core::view::published::Published;
use berth_core::view::{Status, View};
use berth_kit::{client, world::own_address};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::watch;

/// For HAProxy to begin and to ask.
const BOUND: Duration = Duration::from_secs(30);

fn published(status: Status) -> Arc<Published> {
    Arc::new(Published { view: View { status, ..View::default() }, ..Published::default() })
}

/// A running HAProxy. Dropped, it is killed.
struct HaProxy {
    address: SocketAddr,
    process: Child,
    directory: TempDir,
}

impl HaProxy {
    fn start(target: SocketAddr, send: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (address, admin) = (own_address(), directory.path().join("admin.sock"));
        let config = format!(
            "global\n stats socket {admin} mode 600 level admin\ndefaults\n mode http\n timeout connect 5s\n \
             timeout client 60s\n timeout server 60s\n timeout check 5s\nfrontend clients\n bind {address}\n \
             default_backend one\nbackend one\n option httpchk GET /ready\n http-check expect status 200\n \
             server target {target} check inter 100ms fall 1 rise 1 {send}\n",
            admin = admin.display()
        );
        let file = directory.path().join("haproxy.cfg");
        fs::write(&file, config).unwrap();
        let process = Command::new("haproxy")
            .env("PATH", "/usr/sbin:/usr/local/sbin:/usr/bin:/bin")
            .arg("-db")
            .arg("-f")
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("haproxy, of the Debian package of that name: run `tests/install world`");
        Self { address, process, directory }
    }

    /// How its last health check ended: `L7OK/200`.
    async fn check(&self) -> Option<String> {
        let mut socket = UnixStream::connect(self.directory.path().join("admin.sock")).await.ok()?;
        socket.write_all(b"show stat\n").await.ok()?;
        let mut table = String::new();
        socket.read_to_string(&mut table).await.ok()?;
        let mut lines = table.lines();
        let names: Vec<&str> = lines.next()?.trim_start_matches("# ").split(',').collect();
        let row: Vec<&str> = lines.find(|line| line.starts_with("one,target,"))?.split(',').collect();
        let cell = |name| names.iter().position(|one| *one == name).and_then(|at| row.get(at).copied());
        Some(format!("{}/{}", cell("check_status")?, cell("check_code")?))
    }

    async fn checks_with(&self, result: &str) {
        let mut last = None;
        let seen = async {
            while last.as_deref() != Some(result) {
                last = self.check().await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        assert!(tokio::time::timeout(BOUND, seen).await.is_ok(), "{last:?} and not {result}");
    }
}

impl Drop for HaProxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn endpoint() -> (RunningEndpoint, watch::Sender<Arc<Published>>) {
    let (sender, receiver) = watch::channel(published(Status::Starting));
    (Endpoint::bind("127.0.0.1:0".parse().unwrap()).unwrap().serve(receiver), sender)
}

#[tokio::test]
async fn haproxy_s_health_checks_and_requests_are_answered_with_any_header_it_sends() {
    for send in [
        "",
        "check-send-proxy",
        "send-proxy check-send-proxy",
        "send-proxy-v2 check-send-proxy",
        "send-proxy-v2 proxy-v2-options unique-id,authority check-send-proxy",
    ] {
        let (serving, state) = endpoint();
        let haproxy = HaProxy::start(serving.local_addr(), send);
        haproxy.checks_with("L7STS/503").await;
        state.send_replace(published(Status::Ok));
        haproxy.checks_with("L7OK/200").await;
        let answer = client::over_tcp(haproxy.address, client::request("GET", "/ready")).await.unwrap();
        assert_eq!(answer.status, 200, "{send}: {}", answer.text());
    }
}
