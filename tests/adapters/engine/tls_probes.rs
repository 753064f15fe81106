//! The probes over TLS, against OpenSSL: Python's server, and `openssl s_server`.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};

use berth::io::app::probe::probe;
use berth_config::{HttpProbe, ProbeMethod};
use berth_core::message::probe_failure::ProbeFailureKind as Kind;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use super::bench::{engine, within};
use super::probes::{LONG, at, http_probe};
use crate::client_hello::{Reader, SECP256R1, SECP384R1, TLS_1_2, TLS_1_3, X25519};
use crate::moto;

/// A server that ends with the test.
struct Server {
    child: Child,
    at: SocketAddr,
}

impl Server {
    /// Python's, with a certificate that it has signed itself.
    fn python(how: &str) -> Self {
        let certificate = tempfile::NamedTempFile::new().unwrap();
        let (child, port) = moto::serve("serve_tls.py", &[certificate.path(), how.as_ref()]);
        Self { child, at: (Ipv4Addr::LOCALHOST, port).into() }
    }

    /// OpenSSL's own, with these arguments and a certificate of a kind that was last made in the nineties: X.509 version 1, RSA.
    async fn openssl(arguments: &[&str]) -> Self {
        let key = tempfile::NamedTempFile::new().unwrap();
        let certificate = tempfile::NamedTempFile::new().unwrap();
        let (key_path, path) = (key.path().to_str().unwrap(), certificate.path().to_str().unwrap());
        let request = tempfile::NamedTempFile::new().unwrap();
        let request = request.path().to_str().unwrap();
        // Without a section of extensions it is of version 1.
        for arguments in [
            &["req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-keyout", key_path, "-out", request][..],
            &["x509", "-req", "-in", request, "-signkey", key_path, "-days", "1", "-out", path],
        ] {
            let made = Command::new("openssl").args(arguments).output().unwrap();
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        }
        let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let child = Command::new("openssl")
            .args(["s_server", "-accept", &free.to_string(), "-www", "-quiet", "-cert", path, "-key", key_path])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { child, at: free };
        within(async { while TcpStream::connect(free).await.is_err() {} }).await;
        server
    }

    async fn ask(&self, path: &str, http: &HttpProbe) -> Result<(), (Kind, String)> {
        let how = ProbeMethod::Port { tls: true, port: self.at.port(), path: path.to_owned() };
        ask(&how, http).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn ask(how: &ProbeMethod, http: &HttpProbe) -> Result<(), (Kind, String)> {
    let answer = probe(&engine(), &at(Ipv4Addr::LOCALHOST.into()), how, None, http, LONG).await;
    answer.map_err(|failure| (failure.kind, failure.reason))
}

#[tokio::test]
async fn a_certificate_of_the_app_s_own_is_taken_as_a_load_balancer_takes_it() {
    for how in ["", "expired"] {
        let server = Server::python(how);
        assert_eq!(server.ask("/health", &HttpProbe::default()).await, Ok(()), "{how}");
        let url = ProbeMethod::Url(format!("https://{}/health", server.at));
        assert_eq!(ask(&url, &HttpProbe::default()).await, Ok(()), "{how}");
        let failed = server.ask("/status/503", &HttpProbe::default()).await;
        assert_eq!(failed, Err((Kind::Status, "/status/503 answers 503, expected 200-399".to_owned())));
        assert_eq!(server.ask("/status/503", &http_probe("probe.expect=503")).await, Ok(()));
    }
}

#[tokio::test]
async fn the_name_of_the_config_is_in_the_handshake_and_in_the_host_header() {
    let server = Server::python("");
    for (words, sni, host) in [
        ("", "", server.at.to_string().as_str()),
        ("probe.host=app.example.com", "app.example.com", "app.example.com"),
        ("probe.host=app.example.com:8443", "app.example.com", "app.example.com:8443"),
        ("probe.host=10.0.0.1", "", "10.0.0.1"),
    ] {
        let path = format!("/seen?sni={sni}&host={host}");
        assert_eq!(server.ask(&path, &http_probe(words)).await, Ok(()), "{words}");
    }
    let url = format!("https://localhost:{0}/seen?sni=localhost&host=localhost:{0}", server.at.port());
    assert_eq!(ask(&ProbeMethod::Url(url), &HttpProbe::default()).await, Ok(()));
    let other = server.ask("/seen?sni=other&host=other", &http_probe("probe.host=app.example.com")).await;
    assert_eq!(other.unwrap_err().0, Kind::Status, "the server does look");
}

/// A longer one comes in two packets, which a few old servers cannot read.
#[tokio::test]
async fn a_probe_offers_classical_key_exchanges_only_in_one_short_message() {
    let reader = Reader::start().await;
    let url = ProbeMethod::Url(format!("https://{}/health", reader.at));
    assert_eq!(ask(&url, &HttpProbe::default()).await.unwrap_err().0, Kind::Tls);
    let hello = reader.read().await;
    assert_eq!(hello.codes("supported_groups"), [X25519, SECP256R1, SECP384R1]);
    assert_eq!(hello.codes("key_share"), [X25519]);
    assert_eq!(hello.codes("supported_versions"), [TLS_1_3, TLS_1_2]);
    let protocol = hello.extension("application_layer_protocol_negotiation").unwrap();
    assert_eq!(protocol.lines().nth(1).map(str::trim), Some("http/1.1"), "{protocol}");
}

#[tokio::test]
async fn servers_of_either_version_of_tls_and_with_the_oldest_certificates_are_asked() {
    for version in ["-tls1_2", "-tls1_3"] {
        let server = Server::openssl(&[version]).await;
        assert_eq!(server.ask("/", &HttpProbe::default()).await, Ok(()), "{version}");
    }
}

#[tokio::test]
async fn a_handshake_that_fails_names_the_address_and_the_reason() {
    let tls = |at: SocketAddr, why: &str| Err((Kind::Tls, format!("TLS handshake with {at} failed: {why}")));
    let plain = HttpProbe::default();

    let old = Server::openssl(&["-tls1_2", "-cipher", "AES128-SHA"]).await;
    assert_eq!(old.ask("/", &plain).await, tls(old.at, "received fatal alert: HandshakeFailure"));

    let mutual = Server::python("mutual");
    assert_eq!(mutual.ask("/", &plain).await, tls(mutual.at, "received fatal alert: CertificateRequired"));

    for (answer, why) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            "the answer is not TLS; for an app that listens with plain HTTP write `health=/path` or `health=http:PORT/path`",
        ),
        (b"", "unexpected end of file"),
    ] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await;
        });
        let how = ProbeMethod::Port { tls: true, port: at.port(), path: "/".to_owned() };
        assert_eq!(ask(&how, &plain).await, tls(at, why));
    }

    // The other way round.
    let server = Server::python("");
    let how = ProbeMethod::Port { tls: false, port: server.at.port(), path: "/".to_owned() };
    let (kind, reason) = ask(&how, &plain).await.unwrap_err();
    assert_eq!(kind, Kind::NotHttp);
    assert!(reason.ends_with("write `health=https:PORT/path`"), "{reason}");
}

#[tokio::test]
async fn a_server_that_never_answers_a_handshake_costs_no_more_than_the_timeout() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let how = ProbeMethod::Port { tls: true, port: listener.local_addr().unwrap().port(), path: "/".to_owned() };
    let app = at(Ipv4Addr::LOCALHOST.into());
    let timeout = std::time::Duration::from_millis(50);
    let failure = probe(&engine(), &app, &how, None, &HttpProbe::default(), timeout).await.unwrap_err();
    assert_eq!((failure.kind, failure.reason.as_str()), (Kind::TimedOut, "no answer within 0.05 s"));
}
