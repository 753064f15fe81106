//! What an engine says of its API and of itself, as its headers have it.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;

use berth::io::docker::Engine;
use berth_core::message::error::ErrorClass;

use super::bench::engine;

/// An engine that answers everything with these headers.
fn engine_with(headers: &'static str) -> (tempfile::TempDir, Engine) {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("docker.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.read(&mut [0; 1024]);
            let _ = write!(stream, "HTTP/1.1 200 OK\r\n{headers}Content-Length: 2\r\n\r\n{{}}");
        }
    });
    let engine = Engine::new(Some(&format!("unix://{}", socket.display()))).unwrap();
    (directory, engine)
}

#[tokio::test]
async fn an_engine_with_an_older_api_is_refused_with_what_to_do() {
    for headers in ["Api-Version: 1.40\r\n", "Api-Version: 1.9\r\n", "Api-Version: 0.99\r\n"] {
        let (_directory, old) = engine_with(headers);
        let errors = [old.ping().await.unwrap_err(), old.about().await.unwrap_err()];
        for error in errors {
            assert_eq!(error.class(), ErrorClass::Broken);
            let text = error.to_string();
            assert!(text.contains(" has API ") && text.contains("Docker Engine 20.10"), "{text}");
        }
    }
    for headers in ["Api-Version: 1.41\r\n", "Api-Version: 1.100\r\n", "Api-Version: 2.0\r\n", "Api-Version: x\r\n", ""]
    {
        let (_directory, new) = engine_with(headers);
        new.ping().await.unwrap();
        assert!(!new.about().await.unwrap().is_podman);
    }
    let (_directory, podman) = engine_with("Api-Version: 1.41\r\nServer: Libpod/5.4.2 (linux)\r\n");
    assert!(podman.about().await.unwrap().is_podman);
}

#[tokio::test]
async fn the_engine_under_test_is_new_enough_and_known_for_what_it_is() {
    engine().ping().await.unwrap();
    let about = engine().about().await.unwrap();
    assert_eq!(about.is_podman, std::env::var("BERTH_ENGINE").as_deref() == Ok("podman"), "{about:?}");
}
