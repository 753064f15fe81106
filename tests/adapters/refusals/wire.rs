//! An address that answers every request in one way, byte for byte: the column "answer" of `refusals.md`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;

const PAGE: &str = "<!doctype html><html><head><title>Sign in</title></head><body>403 Forbidden: hunter2</body></html>";
/// More than any client of the agent reads.
const TOO_LONG: usize = 5 * 1024 * 1024;

/// How a service writes an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// JSON 1.1
    Json,
    /// Query, with its answers in XML
    Query,
    /// S3, with its errors in XML
    Rest,
}

/// What happens on a connection.
#[derive(Clone, Debug)]
enum Way {
    /// This is sent, and the connection is closed.
    Say(Vec<u8>),
    /// This is sent, and then nothing, for as long as the client waits.
    SayAndWait(Vec<u8>),
    /// This is sent, and then one byte every 100 ms.
    Trickle(Vec<u8>),
    /// It is closed as soon as the request begins to arrive: what was not read makes the kernel reset it.
    Reset,
}

/// The address.
pub(super) struct Wire {
    pub(super) base: String,
    asked: Arc<AtomicUsize>,
    task: Option<JoinHandle<()>>,
    /// Bound and not listening: a connection to it is refused.
    _closed: Option<TcpSocket>,
}

impl Wire {
    pub(super) async fn serve(words: &str, protocol: Protocol) -> Self {
        let asked = Arc::new(AtomicUsize::new(0));
        if words == "refused" {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
            let base = format!("http://{}", socket.local_addr().unwrap());
            return Self { base, asked, task: None, _closed: Some(socket) };
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (way, count) = (Way::of(words, protocol), asked.clone());
        let task = tokio::spawn(async move {
            // Dropped with this task, and its connections with it.
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(answer(stream, way.clone(), count.clone()));
            }
        });
        Self { base, asked, task: Some(task), _closed: None }
    }

    /// Requests so far.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Writes what the way says. The client may be gone at any time, so no write has to succeed.
async fn answer(mut stream: TcpStream, way: Way, asked: Arc<AtomicUsize>) {
    if let Way::Reset = way {
        let _ = stream.readable().await;
        asked.fetch_add(1, Ordering::SeqCst);
        return;
    }
    if read_request(&mut stream).await.is_none() {
        return;
    }
    asked.fetch_add(1, Ordering::SeqCst);
    match way {
        Way::Say(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Way::SayAndWait(bytes) => {
            let _ = stream.write_all(&bytes).await;
            std::future::pending().await
        }
        Way::Trickle(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let mut often = tokio::time::interval(Duration::from_millis(100));
            while stream.write_all(b" ").await.is_ok() {
                often.tick().await;
            }
        }
        Way::Reset => {}
    }
}

/// Reads the whole request; none if the client leaves before it is whole.
async fn read_request(stream: &mut TcpStream) -> Option<()> {
    let (mut request, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut chunk).await.ok().filter(|count| *count > 0)?;
        request.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
        let Some((head, _)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
        if request.len() >= head.len() + 4 + length {
            return Some(());
        }
    }
}

impl Way {
    fn of(words: &str, protocol: Protocol) -> Self {
        let (words, via) = match words.strip_suffix(" through a proxy") {
            Some(words) => (words, &b"via: 1.1 caf\xe9\r\n"[..]),
            None => (words, &b""[..]),
        };
        let (words, date) = match words.split_once(" dated ") {
            Some((words, "now")) => (words, now()),
            Some((words, date)) => (words, date.to_owned()),
            None => (words, now()),
        };
        let (status, body) = match words {
            "silence" => return Self::SayAndWait(Vec::new()),
            "closed" => return Self::Say(Vec::new()),
            "reset" => return Self::Reset,
            words => words.split_once(' ').expect("a status and a body"),
        };
        let coded = |code: &str, message: Option<&str>| Answer::of(protocol, code, message);
        let begun = |length: usize, bytes: &str| Answer::text(bytes).to_bytes(status, &date, via, length);
        let answer = match body {
            "empty" => Answer::text(""),
            "page" => Answer::text(PAGE),
            "cut" => return Self::Say(begun(2, "{")),
            "stalled" => return Self::SayAndWait(begun(2, "{")),
            "trickling" => return Self::Trickle(begun(TOO_LONG, "{")),
            "too long" if status == "200" => Answer::text("x".repeat(TOO_LONG)),
            "too long" => coded("AccessDeniedException", Some(&"x".repeat(TOO_LONG))),
            "long message" => coded("LongException", Some(&"aa\n".repeat(10_000))),
            body if body.starts_with(['{', '[', '<', '"']) => Answer::text(body),
            body => match body.split_once(": ") {
                Some((code, message)) => coded(code, Some(message)),
                None => coded(body, None),
            },
        };
        let length = answer.body.len();
        Self::Say(answer.to_bytes(status, &date, via, length))
    }
}

/// The body of an answer, and the header that may hold its error code.
struct Answer {
    error_type: Option<String>,
    body: String,
}

impl Answer {
    fn text(body: impl Into<String>) -> Self {
        Self { error_type: None, body: body.into() }
    }

    /// An error in the shape of the protocol.
    fn of(protocol: Protocol, code: &str, message: Option<&str>) -> Self {
        if let Some(code) = code.strip_prefix("header ") {
            return Self { error_type: Some(code.into()), body: json!({ "message": message }).to_string() };
        }
        Self::text(match (protocol, message) {
            (Protocol::Json, Some(message)) => json!({ "__type": code, "message": message }).to_string(),
            (Protocol::Json, None) => json!({ "__type": code }).to_string(),
            (Protocol::Rest, message) => {
                let message = message.map(|text| format!("<Message>{text}</Message>")).unwrap_or_default();
                format!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code>{message}<RequestId>e1</RequestId></Error>"
                )
            }
            (Protocol::Query, message) => {
                let message = message.map(|text| format!("<Message>{text}</Message>")).unwrap_or_default();
                format!(
                    "<ErrorResponse xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\"><Error><Type>Sender</Type>\
                     <Code>{code}</Code>{message}</Error><RequestId>e1</RequestId></ErrorResponse>"
                )
            }
        })
    }

    fn to_bytes(&self, status: &str, date: &str, via: &[u8], length: usize) -> Vec<u8> {
        let error_type = self.error_type.iter().map(|code| format!("x-amzn-ErrorType: {code}\r\n")).collect::<String>();
        let redirected = if status.starts_with('3') { "location: /login\r\n" } else { "" };
        let head = format!(
            "HTTP/1.1 {status} Whatever\r\ndate: {date}\r\n{error_type}{redirected}content-length: {length}\r\n"
        );
        [head.as_bytes(), via, b"\r\n", self.body.as_bytes()].concat()
    }
}

#[expect(clippy::disallowed_methods, reason = "a Date header holds the time")]
fn now() -> String {
    DateTime::from(SystemTime::now()).fmt(Format::HttpDate).unwrap()
}
