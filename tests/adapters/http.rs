//! The one HTTP client.

use std::net::TcpListener;
use std::time::Duration;

use berth::io::http::{Http, HttpError};
use berth_core::message::error::ErrorClass;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use crate::moto;
use crate::server::{Reply, Server, answer};

const LONG: Duration = Duration::from_secs(20);

fn get(url: &str) -> Request<Full<Bytes>> {
    Request::get(url).body(Full::default()).unwrap()
}

#[tokio::test]
async fn requests_to_one_host_share_a_connection() {
    let server = Server::start(|_| answer(200, "hello")).await;
    let http = Http::default();
    for _ in 0..3 {
        assert_eq!(http.clone().send(get(&server.base), LONG, 5).await.unwrap().body(), "hello");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_not_read_to_its_end() {
    let server = Server::start(|_| answer(200, "hello")).await;
    let error = Http::default().send(get(&server.base), LONG, 4).await.unwrap_err();
    assert!(matches!(error, HttpError::TooLarge { limit: 4, .. }), "{error:?}");
    assert_eq!(error.class(), ErrorClass::Transient);
}

#[tokio::test]
async fn a_server_that_hangs_is_left_after_the_time() {
    let server = Server::start(|_| Reply::Hang).await;
    let url = format!("{}/secret/path?query", server.base);
    let error = Http::default().send(get(&url), Duration::from_millis(20), 5).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Transient);
    assert_eq!(error.to_string(), format!("{} did not answer within 20ms", server.base));
}

#[tokio::test]
async fn a_refused_connection_says_so() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = Http::default().send(get(&format!("http://127.0.0.1:{port}")), LONG, 5).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Transient);
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(source, "Connection refused (os error 111)");
}

/// Set in a process that is one part of a test, and which part: nothing here may set its own environment.
const PART: &str = "BERTH_TEST_PART";

/// Runs a part of a test in a process whose environment has these; there the test does only that part.
fn run_part(test: &str, part: &str, environment: &[(&str, &std::ffi::OsStr)]) {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("http::{test}"), "--nocapture"])
        .env_remove("SSL_CERT_DIR")
        .env(PART, part)
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn a_host_without_certificates_is_shown_what_to_do() {
    if std::env::var(PART).is_err() {
        let empty = tempfile::NamedTempFile::new().unwrap();
        let environment = [("SSL_CERT_FILE", empty.path().as_os_str())];
        return run_part("a_host_without_certificates_is_shown_what_to_do", "without", &environment);
    }
    let error = Http::default().send(get("https://127.0.0.1:1"), LONG, 5).await.unwrap_err();
    assert!(error.to_string().contains("install the package ca-certificates"), "{error}");
    assert_eq!(error.class(), ErrorClass::Misconfigured);
}

#[tokio::test]
async fn only_a_certificate_that_the_host_trusts_is_talked_to() {
    match std::env::var(PART).as_deref() {
        Ok("trusts") => return trusts(&port()).await,
        Ok(_) => return does_not_trust(&port()).await,
        Err(_) => {}
    }
    let (trusted, other) = (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
    let (mut server, port) = moto::serve("serve_tls.py", &[trusted.path()]);
    let (mut another, _) = moto::serve("serve_tls.py", &[other.path()]);
    let port = port.to_string();
    for (part, roots) in [("trusts", &trusted), ("does not", &other)] {
        let environment = [("SSL_CERT_FILE", roots.path().as_os_str()), ("PORT", port.as_ref())];
        run_part("only_a_certificate_that_the_host_trusts_is_talked_to", part, &environment);
    }
    for child in [&mut server, &mut another] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

fn port() -> String {
    std::env::var("PORT").unwrap()
}

async fn trusts(port: &str) {
    let http = Http::default();
    for host in ["127.0.0.1", "localhost"] {
        let answer = http.send(get(&format!("https://{host}:{port}")), LONG, 5).await.unwrap();
        assert_eq!(answer.body(), "hello");
    }
    // The certificate is not for this name.
    let error = http.send(get(&format!("https://x.localhost:{port}")), LONG, 5).await.unwrap_err();
    assert!(matches!(error, HttpError::Tls { .. }), "{error:?}");
}

async fn does_not_trust(port: &str) {
    let error = Http::default().send(get(&format!("https://127.0.0.1:{port}")), LONG, 5).await.unwrap_err();
    assert!(matches!(error, HttpError::Tls { .. }), "{error:?}");
    assert_eq!(error.class(), ErrorClass::Misconfigured);
}
