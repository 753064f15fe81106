//! The one HTTP client.

use std::net::TcpListener;
use std::time::Duration;

use berth::edge::http::{Http, HttpError};
use berth::fault::Class;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;

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
    assert_eq!(error.class(), Class::Broken);
}

#[tokio::test]
async fn a_server_that_hangs_is_left_after_the_time() {
    let server = Server::start(|_| Reply::Hang).await;
    let url = format!("{}/secret/path?query", server.base);
    let error = Http::default().send(get(&url), Duration::from_millis(20), 5).await.unwrap_err();
    assert_eq!(error.class(), Class::Transient);
    assert_eq!(error.to_string(), format!("{} did not answer within 20ms", server.base));
}

#[tokio::test]
async fn a_refused_connection_says_so() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = Http::default().send(get(&format!("http://127.0.0.1:{port}")), LONG, 5).await.unwrap_err();
    assert_eq!(error.class(), Class::Transient);
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(source, "Connection refused (os error 111)");
}

#[tokio::test]
async fn an_empty_host_file_of_certificates_is_told_with_what_to_do() {
    // Run again in a process whose environment names a file without certificates: nothing here may set its own.
    let this = std::env::current_exe().unwrap();
    let empty = tempfile::NamedTempFile::new().unwrap();
    let output = std::process::Command::new(this)
        .args(["--exact", "http::child_without_roots", "--ignored", "--nocapture"])
        .env("SSL_CERT_FILE", empty.path())
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test]
#[ignore = "a child of an_empty_host_file_of_certificates_is_told_with_what_to_do"]
async fn child_without_roots() {
    let error = Http::default().send(get("https://127.0.0.1:1"), LONG, 5).await.unwrap_err();
    assert!(error.to_string().contains("install the package ca-certificates"), "{error}");
    assert_eq!(error.class(), Class::Misconfigured);
}
