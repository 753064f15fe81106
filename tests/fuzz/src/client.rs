//! A client that says anything to a server of the agent's, over a pipe in memory, and reads its answers strictly.

use std::io;
use std::net::IpAddr;
use std::sync::Mutex;
use std::task::{Context, Poll};
use std::time::Duration;

use berth::io::listen::http_server::{Body, Limits, Listener, Server};
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, Join, duplex, join};
use tokio::runtime::Builder;
use tokio::time::timeout;

/// For a conversation to end once the client has sent everything. A bound, and no measure.
const BOUND: Duration = Duration::from_secs(10);

/// What the server reads from, and what it writes to.
type Stream = Join<DuplexStream, DuplexStream>;

/// One connection, and never another.
struct Once(Mutex<Option<Stream>>);

impl Listener for Once {
    type Stream = Stream;
    fn poll_accept(&self, _: &mut Context<'_>) -> Poll<io::Result<(Stream, Option<IpAddr>)>> {
        self.0.lock().unwrap().take().map_or(Poll::Pending, |stream| Poll::Ready(Ok((stream, None))))
    }
}

/// Says `bytes`, then that there is no more, and hears everything until the server hangs up. `beside` is the rest of the agent.
pub(crate) fn say<A, F>(
    bytes: &[u8],
    limits: Limits,
    answer: A,
    beside: impl Future<Output = ()> + Send + 'static,
) -> Vec<u8>
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    // How much is on the way at once.
    let buffer = [1 << 16, 1000, 61, 7][bytes.len() % 4];
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        // As the kernel's buffers hold an answer; hyper does not wait to get rid of one when the client speaks nonsense.
        let ((mut questions, reading), (mut answers, writing)) = (duplex(buffer), duplex(1 << 20));
        tokio::spawn(beside);
        let server = Server::start(Once(Mutex::new(Some(join(reading, writing)))), limits, answer);
        let speak = async {
            // The server may hang up before it has heard everything.
            let _ = questions.write_all(bytes).await;
            let _ = questions.shutdown().await;
        };
        let mut heard = Vec::new();
        let hear = async { answers.read_to_end(&mut heard).await };
        let conversation = async { tokio::join!(speak, hear) };
        assert!(timeout(BOUND, conversation).await.is_ok(), "the conversation does not end");
        server.close().await;
        heard
    })
}

/// The answers, each its status and its body. Panics if what was heard is anything else than whole HTTP/1 answers, one after
/// another; `asks_head` allows bodies that are announced and do not come.
pub(crate) fn answers(mut heard: &[u8], asks_head: bool) -> Vec<(u16, Vec<u8>)> {
    let mut answers = Vec::new();
    while !heard.is_empty() {
        let end = heard.windows(4).position(|window| window == b"\r\n\r\n").expect("a head that ends");
        let head = std::str::from_utf8(&heard[..end]).expect("a head in ASCII");
        heard = &heard[end + 4..];
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap();
        let status = first.strip_prefix("HTTP/1.1 ").or_else(|| first.strip_prefix("HTTP/1.0 "));
        let status: u16 = status.and_then(|rest| rest.get(..3)?.parse().ok()).unwrap_or_else(|| panic!("{first:?}"));
        let (mut length, mut chunked) = (None, false);
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("{line:?} is no header"));
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = Some(value.parse::<usize>().expect("a length")),
                "transfer-encoding" => chunked = value == "chunked",
                _ => {}
            }
        }
        let body = if status < 200 || (asks_head && (heard.is_empty() || heard.starts_with(b"HTTP/1."))) {
            Vec::new()
        } else if chunked {
            let mut body = Vec::new();
            loop {
                let end = heard.windows(2).position(|window| window == b"\r\n").expect("a chunk's head");
                let size =
                    usize::from_str_radix(std::str::from_utf8(&heard[..end]).unwrap(), 16).expect("a chunk's size");
                let (chunk, rest) = heard[end + 2..].split_at(size);
                body.extend_from_slice(chunk);
                heard = rest.strip_prefix(b"\r\n").expect("a chunk's end");
                if size == 0 {
                    break;
                }
            }
            body
        } else {
            // Without a length it goes on until the end, which is how HTTP/1.0 is answered with a stream.
            let (body, rest) = heard.split_at(length.unwrap_or(heard.len()));
            heard = rest;
            body.to_vec()
        };
        answers.push((status, body));
    }
    answers
}

/// How often `word` is in `bytes`.
pub(crate) fn count(bytes: &[u8], word: &[u8]) -> usize {
    bytes.windows(word.len()).filter(|window| *window == word).count()
}
