//! What berth's HTTP client offers in its first message of TLS, as OpenSSL reads it, and what an OpenSSL that has ML-KEM agrees on.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use berth::io::http::Http;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use crate::moto;

const LONG: Duration = Duration::from_secs(20);

/// Codes of key exchange groups (IANA, "TLS Supported Groups").
const X25519MLKEM768: u16 = 4588;
/// The same.
pub(crate) const X25519: u16 = 29;
/// The same.
pub(crate) const SECP256R1: u16 = 23;
/// The same.
pub(crate) const SECP384R1: u16 = 24;
/// Versions on the wire (RFC 8446, section 4.2.1).
pub(crate) const TLS_1_3: u16 = 0x0304;
/// The same.
pub(crate) const TLS_1_2: u16 = 0x0303;

/// `openssl s_server`, which prints what the first client says and, having no certificate, refuses it.
pub(crate) struct Reader {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// Where it listens.
    pub(crate) at: SocketAddr,
}

impl Reader {
    pub(crate) async fn start() -> Self {
        let mut child = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-nocert", "-trace", "-naccept", "1"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let listening = async {
            loop {
                let mut line = String::new();
                assert_ne!(stdout.read_line(&mut line).await.unwrap(), 0, "openssl s_server ended");
                if let Some(at) = line.strip_prefix("ACCEPT ") {
                    return at.trim().parse().unwrap();
                }
            }
        };
        let at = tokio::time::timeout(LONG, listening).await.unwrap();
        Self { child, stdout, at }
    }

    /// The hello of the client, which has been refused.
    pub(crate) async fn read(mut self) -> ClientHello {
        let mut text = String::new();
        tokio::time::timeout(LONG, self.stdout.read_to_string(&mut text)).await.unwrap().unwrap();
        self.child.wait().await.unwrap();
        ClientHello(text)
    }
}

/// As `openssl s_server -trace` prints it.
pub(crate) struct ClientHello(String);

impl ClientHello {
    /// The lines of that extension.
    pub(crate) fn extension(&self, name: &str) -> Option<&str> {
        let (_, rest) = self.0.split_once(&format!("extension_type={name}("))?;
        let end = rest.find("extension_type=").or_else(|| rest.find("Sent Record")).unwrap_or(rest.len());
        Some(&rest[..end])
    }

    /// The numbers that stand in parentheses at the end of its lines.
    pub(crate) fn codes(&self, name: &str) -> Vec<u16> {
        let lines = self.extension(name).unwrap_or_else(|| panic!("no {name} in {}", self.0)).lines();
        lines.filter_map(|line| line.trim().strip_suffix(')')?.rsplit_once('(')?.1.parse().ok()).collect()
    }
}

/// Set in a process that is the client of a test: the URL that it asks for.
const URL: &str = "BERTH_TEST_URL";

/// Runs this very test in a process that trusts `certificate`, where it is only the client: the body, or the error. Nothing here may
/// set its own environment.
async fn client(test: &str, url: &str, certificate: &Path) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("client_hello::{test}"), "--nocapture"])
        .env_remove("SSL_CERT_DIR")
        .env("SSL_CERT_FILE", certificate)
        .env(URL, url)
        .output();
    let output = tokio::time::timeout(LONG, output).await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let (_, printed) = text.split_once("printed: ").unwrap();
    printed.lines().next().unwrap().to_owned()
}

/// In such a process: asks and prints.
async fn ask(url: &str) {
    let request = Request::get(url).body(Full::<Bytes>::default()).unwrap();
    let printed = match Http::default().send(request, LONG, 1000).await {
        Ok(answer) => String::from_utf8_lossy(answer.body()).into_owned(),
        Err(error) => error.to_string(),
    };
    writeln!(std::io::stdout(), "printed: {printed}").unwrap();
}

/// A certificate that somebody has signed.
fn some_certificate() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x"])
        .args(["-keyout", "/dev/null", "-out"])
        .arg(file.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    file
}

#[tokio::test]
async fn the_hybrid_key_exchange_is_offered_first_beside_tls_1_2_and_the_name() {
    if let Ok(url) = std::env::var(URL) {
        return ask(&url).await;
    }
    const SELF: &str = "the_hybrid_key_exchange_is_offered_first_beside_tls_1_2_and_the_name";
    let certificate = some_certificate();
    for (host, name) in [("localhost", Some("localhost")), ("127.0.0.1", None)] {
        let reader = Reader::start().await;
        let url = format!("https://{host}:{}", reader.at.port());
        let printed = client(SELF, &url, certificate.path()).await;
        assert!(printed.contains(host), "{printed}");
        let hello = reader.read().await;
        assert_eq!(hello.codes("supported_groups"), [X25519MLKEM768, X25519, SECP256R1, SECP384R1]);
        // A share of X25519 is sent, too: a server that has nothing better needs no second round trip.
        assert_eq!(hello.codes("key_share"), [X25519MLKEM768, X25519]);
        assert_eq!(hello.codes("supported_versions"), [TLS_1_3, TLS_1_2]);
        assert_eq!(hello.extension("application_layer_protocol_negotiation"), None, "HTTP/1.1 is what no ALPN means");
        // An address is no name (RFC 6066, section 3).
        assert_eq!(hello.extension("server_name").is_some(), name.is_some());
        assert!(hello.extension("server_name").unwrap_or_default().contains(name.unwrap_or_default()));
    }
}

#[tokio::test]
async fn openssl_agrees_on_the_hybrid_and_on_less_where_it_has_less() {
    if let Ok(url) = std::env::var(URL) {
        return ask(&url).await;
    }
    const SELF: &str = "openssl_agrees_on_the_hybrid_and_on_less_where_it_has_less";
    for (less, agreed) in [
        ("", "X25519MLKEM768 TLSv1.3 localhost -"),
        // By another round trip: no share for it was sent.
        ("p256", "secp256r1 TLSv1.3 localhost -"),
        ("tls1_2", "x25519 TLSv1.2 localhost -"),
    ] {
        let certificate = tempfile::NamedTempFile::new().unwrap();
        let (mut server, port) = moto::serve("serve_openssl.py", &[certificate.path(), less.as_ref()]);
        assert_eq!(client(SELF, &format!("https://localhost:{port}"), certificate.path()).await, agreed);
        server.kill().unwrap();
        server.wait().unwrap();
    }
}
