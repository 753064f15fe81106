//! What clients say to the local socket: bytes on a connection, and then no more.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use berth::io::listen::socket::{self, Request, SocketContext};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::yield_now;

use crate::client::{answers, count, say};

/// The longest reason that fits into a request.
const LONGEST: usize = 4096;

/// Any input gets nothing or whole answers, and the agent drains only when it was asked to: once for each request.
#[expect(clippy::disallowed_methods, reason = "when the agent started")]
pub fn socket(bytes: &[u8]) {
    let (_published, published) = watch::channel(Arc::default());
    let (lines, _) = broadcast::channel(4);
    let (asked, mut requests) = mpsc::channel(64);
    let context = SocketContext { published, began: Instant::now(), lines: lines.downgrade(), requests: asked };
    let taken: Arc<Mutex<Vec<Option<String>>>> = Arc::default();
    let drains = taken.clone();
    let answer = move |request| socket::answer(request, context.clone());
    let driver = async move {
        // A client that follows the events gets one, and then the end.
        for _ in 0..8 {
            yield_now().await;
        }
        let _ = lines.send("{\"event\":1}".into());
        drop(lines);
        while let Some(request) = requests.recv().await {
            match request {
                Request::Drain { reason } => drains.lock().unwrap().push(reason),
                Request::Handover { answer } => drop(answer.send(Err("there is nobody to hand over to"))),
            }
        }
    };
    let heard = say(bytes, socket::LIMITS, answer, driver);
    let taken = taken.lock().unwrap();
    assert!(taken.len() <= count(bytes, b"/v1/drain"), "{} drains", taken.len());
    assert!(taken.is_empty() || count(bytes, b"POST") > 0, "a drain without a POST");
    assert!(taken.iter().flatten().all(|reason| reason.len() <= LONGEST && !reason.trim().is_empty()), "{taken:?}");
    for (status, body) in answers(&heard, count(bytes, b"HEAD") > 0) {
        assert!([100, 200, 202, 400, 404, 405, 409, 413, 414, 431, 503].contains(&status), "{status}");
        String::from_utf8(body).expect("an answer in UTF-8");
    }
}
