//! The clients: constant load on a thread of its own, every request counted, every failure noted with its time and reason.
//!
//! No client tries anything twice. Whatever is not the whole answer with status 200 is a failure: also a connection that ends
//! between two requests, which nobody but a balancer at its own time-outs may do, and a WebSocket that ends before its client ends it.
#![expect(clippy::disallowed_methods, reason = "clients live in real time")]

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, UNIX_EPOCH};

use berth_kit::WebSocket;
use berth_kit::clock::wall;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// For one answer, or one WebSocket; none lasts longer than eight seconds.
const ANSWER: Duration = Duration::from_secs(20);
/// A client on a kept connection makes a new one after so many requests, as they all do one day.
const KEPT: usize = 200;

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Requests on a connection that is kept.
    Kept,
    /// Each request on a connection of its own.
    New,
    /// Requests that the app takes two to five seconds for.
    Slow,
    /// WebSockets of three to eight seconds, with a message to and fro every quarter.
    WebSocket,
}

/// How many clients of each kind there are, and how long one waits from the beginning of a request to that of the next.
pub(crate) type Clients = &'static [(Kind, usize, Duration)];

/// 2,800 requests a second in all, where there are cores for it.
pub(crate) const BUSY: Clients = &[
    (Kind::Kept, 12, Duration::from_millis(5)),
    (Kind::New, 4, Duration::from_millis(10)),
    (Kind::Slow, 12, Duration::from_millis(5)),
    (Kind::WebSocket, 12, Duration::from_millis(5)),
];

/// Most of the time no target has a request, nor a connection where these are not kept.
pub(crate) const QUIET: Clients = &[(Kind::New, 1, Duration::from_millis(20))];

/// What came of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Requests that were begun, by kind. A WebSocket is one.
    pub(crate) sent: BTreeMap<Kind, usize>,
    /// Those that failed.
    pub(crate) failures: Vec<Failure>,
    /// How long it took.
    pub(crate) took: Duration,
}

/// A request that was lost.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// After the clients began.
    pub(crate) at: Duration,
    /// Of which kind of client.
    pub(crate) kind: Kind,
    /// What the client saw.
    pub(crate) reason: String,
    /// The client's port, by which the balancer knows the request; 0 if it was not connected.
    pub(crate) port: u16,
    /// When it was begun.
    pub(crate) begun: Moment,
    /// When it had failed.
    pub(crate) failed: Moment,
}

/// Milliseconds since 1970: the clock that clients, balancer and disturbances share.
pub(crate) type Moment = u64;

/// This moment.
pub(crate) fn moment() -> Moment {
    let since = wall().duration_since(UNIX_EPOCH).expect("after 1970");
    Moment::try_from(since.as_millis()).expect("before the end of time")
}

impl Tally {
    /// All requests.
    pub(crate) fn total(&self) -> usize {
        self.sent.values().sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (total, failed, took) = (self.total(), self.failures.len(), self.took.as_secs_f64());
        write!(f, "{total} requests ({:?}), {failed} failed, {took:.1} s", self.sent)?;
        for Failure { at, kind, reason, .. } in self.failures.iter().take(40) {
            write!(f, "\n{:>8.3} {kind:?}: {reason}", at.as_secs_f64())?;
        }
        Ok(())
    }
}

/// Clients at work. Dropped, they go on until their time is over.
pub(crate) struct Load {
    tally: Arc<Mutex<Tally>>,
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Load {
    /// Lets the clients begin. They end by themselves after `longest`, should nobody end them.
    pub(crate) fn start(target: SocketAddr, clients: Clients, longest: Duration) -> Self {
        let (tally, stop) = (Arc::<Mutex<Tally>>::default(), watch::Sender::new(false));
        let (counted, stopped) = (Arc::clone(&tally), stop.subscribe());
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(all(target, clients, longest, &counted, &stopped));
        };
        let thread = thread::Builder::new().name("clients".into()).spawn(work).expect("a thread");
        Self { tally, stop, thread }
    }

    /// Requests so far.
    pub(crate) fn total(&self) -> usize {
        self.tally.lock().unwrap().total()
    }

    /// Failures so far.
    pub(crate) fn failed(&self) -> usize {
        self.tally.lock().unwrap().failures.len()
    }

    /// Begins nothing more, waits for what was begun: what came of it.
    pub(crate) fn finish(self) -> Tally {
        self.stop.send_replace(true);
        self.thread.join().expect("the clients note their failures");
        let tally = self.tally.lock().unwrap();
        tally.clone()
    }
}

async fn all(
    target: SocketAddr,
    wanted: Clients,
    longest: Duration,
    tally: &Arc<Mutex<Tally>>,
    stopped: &watch::Receiver<bool>,
) {
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for &(kind, count, every) in wanted {
        for _ in 0..count {
            let (tally, stopped) = (Arc::clone(tally), stopped.clone());
            let client = Client { target, kind, every, longest, began, tally, stopped };
            clients.spawn(client.work());
        }
    }
    clients.join_all().await;
    tally.lock().unwrap().took = began.elapsed();
}

struct Client {
    target: SocketAddr,
    kind: Kind,
    every: Duration,
    longest: Duration,
    began: Instant,
    tally: Arc<Mutex<Tally>>,
    stopped: watch::Receiver<bool>,
}

impl Client {
    async fn work(self) {
        let mut pace = interval(self.every);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut kept: Option<(BufReader<TcpStream>, usize)> = None;
        loop {
            pace.tick().await;
            if *self.stopped.borrow() || self.began.elapsed() > self.longest {
                return;
            }
            *self.tally.lock().unwrap().sent.entry(self.kind).or_default() += 1;
            let (connection, uses) = kept.take().map_or((None, 0), |(connection, uses)| (Some(connection), uses));
            let (begun, mut port) = (moment(), 0);
            match timeout(ANSWER, self.once(connection, &mut port)).await {
                Ok(Ok(Some(connection))) if self.kind == Kind::Kept && uses < KEPT => {
                    kept = Some((connection, uses + 1));
                }
                Ok(Ok(_)) => {}
                Ok(Err(reason)) => self.fail(reason, begun, port),
                Err(_) => self.fail(format!("not over within {ANSWER:?}"), begun, port),
            }
        }
    }

    fn fail(&self, reason: String, begun: Moment, port: u16) {
        let failure = Failure { at: self.began.elapsed(), kind: self.kind, reason, port, begun, failed: moment() };
        self.tally.lock().unwrap().failures.push(failure);
    }

    /// The connection, if it can be kept; `port` becomes the client's.
    async fn once(
        &self,
        kept: Option<BufReader<TcpStream>>,
        port: &mut u16,
    ) -> Result<Option<BufReader<TcpStream>>, String> {
        let mut connection = match kept {
            Some(connection) => connection,
            None => {
                let stream = TcpStream::connect(self.target).await.map_err(|error| format!("connect: {error}"))?;
                stream.set_nodelay(true).map_err(text)?;
                BufReader::new(stream)
            }
        };
        *port = connection.get_ref().local_addr().map_err(text)?.port();
        if self.kind == Kind::WebSocket {
            web_socket(connection.into_inner(), Duration::from_millis(fastrand::u64(3_000..8_000))).await?;
            return Ok(None);
        }
        match self.kind {
            Kind::New => ask(&mut connection, "/", "close").await?,
            Kind::Slow => {
                ask(&mut connection, &format!("/slow?ms={}", fastrand::u32(2_000..5_000)), "keep-alive").await?;
            }
            Kind::Kept | Kind::WebSocket => ask(&mut connection, "/", "keep-alive").await?,
        }
        Ok(Some(connection))
    }
}

fn text(error: std::io::Error) -> String {
    error.to_string()
}

/// One request, and its whole answer.
async fn ask(connection: &mut BufReader<TcpStream>, path: &str, keep: &str) -> Result<(), String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: fleet\r\nConnection: {keep}\r\n\r\n");
    connection.write_all(request.as_bytes()).await.map_err(text)?;
    let (status, headers) = head(connection).await?;
    let length = headers.get("content-length").and_then(|length| length.parse().ok());
    let mut body = vec![0; length.ok_or_else(|| format!("{status} without a length"))?];
    connection.read_exact(&mut body).await.map_err(|error| format!("{status}, the body: {error}"))?;
    if status.contains(" 200 ") { Ok(()) } else { Err(status) }
}

/// The status line and the headers of an answer.
async fn head(connection: &mut BufReader<TcpStream>) -> Result<(String, BTreeMap<String, String>), String> {
    let (mut status, mut headers) = (None, BTreeMap::new());
    loop {
        let mut line = String::new();
        let read = connection.read_line(&mut line).await.map_err(text)?;
        let line = line.trim_end();
        match (read, &status) {
            (0, _) => return Err("the connection ended without an answer".to_owned()),
            (_, None) => status = Some(line.to_owned()),
            (_, Some(status)) if line.is_empty() => return Ok((status.clone(), headers)),
            (_, Some(_)) => {
                let (name, value) = line.split_once(':').ok_or_else(|| format!("not a header: {line}"))?;
                headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
            }
        }
    }
}

/// A WebSocket that its client ends after some time: until then every message comes back.
async fn web_socket(stream: TcpStream, long: Duration) -> Result<(), String> {
    let mut socket = WebSocket::over(stream).await.map_err(text)?;
    let opened = Instant::now();
    let after = |error: std::io::Error| format!("after {:.1} s: {error}", opened.elapsed().as_secs_f64());
    let mut pace = interval(Duration::from_millis(250));
    while opened.elapsed() < long {
        pace.tick().await;
        socket.echo("over and over").await.map_err(after)?;
    }
    socket.close().await.map_err(after)
}
