//! What clients say to the readiness endpoint: bytes on a connection, and then no more.

use std::sync::Arc;

use berth::io::listen::endpoint;
use berth_core::view::published::Published;
use berth_core::view::{Status, View};

use crate::client::{answers, count, say};

/// Any input gets nothing or whole answers; none is a 200 of `/ready` before the app is ready, and none repeats
/// what the client sent.
pub fn endpoint(bytes: &[u8]) {
    let view = View { status: Status::Starting, image: Some("registry.example/app:v7".into()), ..View::default() };
    let published = Arc::new(Published { view, agent_version: "0.1.0".into(), ..Published::default() });
    let answer = move |request| {
        let published = published.clone();
        async move { endpoint::answer(&request, &published) }
    };
    let heard = say(bytes, endpoint::LIMITS, answer, async {});
    let answers = answers(&heard, count(bytes, b"HEAD") > 0);
    // The shortest request is `GET / HTTP/1.1`, a line end, and an empty line.
    assert!(answers.len() <= bytes.len() / 16 + 1, "{} answers to {} bytes", answers.len(), bytes.len());
    for (status, body) in answers {
        let body = String::from_utf8(body).expect("an answer in UTF-8");
        assert!([200, 400, 404, 405, 414, 431, 503].contains(&status), "{status} {body}");
        assert!(status != 200 || !body.contains("\"phase\""), "ready before it is: {body}");
        assert!(!body.contains("hunter"), "{status} repeats what was sent: {body}");
    }
}
