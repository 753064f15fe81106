//! Hostile clients, all at one address at once: 2,000 that connect and send nothing, some that send it slowly, some whose
//! head never ends, some that speak something else, some that ask and never listen. A client whose other side vanished (half
//! open) is to a server one that says nothing.
//!
//! They run on a thread of their own, so that their work does not delay a measurement of the server. A client that is hung up on comes
//! again, some seconds later.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::sleep;

/// Clients that connect and send nothing.
pub const IDLE: usize = 2000;
/// Of each other kind.
const FEW: usize = 24;
/// Clients in all.
pub const ALL: usize = IDLE + FEW * Kind::LOUD.len();
/// Before a client that was hung up on comes again, half more or less.
const AGAIN: Duration = Duration::from_secs(4);
/// Between two bytes of the slow.
const SLOWLY: Duration = Duration::from_millis(200);
/// The endless head.
const HEAD: usize = 1 << 20;

/// What clients send that speak no HTTP/1.1: the first bytes of TLS, of HTTP/2, of a database's protocol, and none that mean anything.
const GARBAGE: [&[u8]; 4] = [
    b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
    b"\xff\xfe\r\n\r\n\0\0\0\0 GET / HTTP/9.9\r\n: \r\n\r\n",
];

/// The clients at work; gone when dropped.
pub struct Hostile {
    connected: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Hostile {
    /// All of them, at this address.
    ///
    /// # Panics
    /// If there is no thread for them.
    pub fn at(address: SocketAddr) -> Self {
        allow_descriptors();
        let connected = Arc::<AtomicUsize>::default();
        let (stop, stopped) = oneshot::channel();
        let count = connected.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let kinds = [(Kind::Idle, IDLE)].into_iter().chain(Kind::LOUD.map(|kind| (kind, FEW)));
                for (kind, number) in kinds {
                    for n in 0..number {
                        tokio::spawn(come_again(kind, n, address, count.clone()));
                    }
                }
                // The other side is dropped at the latest.
                let _ = stopped.await;
            });
        });
        Self { connected, stop: Some(stop), thread: Some(thread) }
    }

    /// Connections that they have made so far.
    pub fn connected(&self) -> usize {
        self.connected.load(Ordering::Relaxed)
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // What it panicked with was printed.
            let _ = thread.join();
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Idle,
    Slow,
    Endless,
    Garbage,
    Deaf,
}

impl Kind {
    const LOUD: [Self; 4] = [Self::Slow, Self::Endless, Self::Garbage, Self::Deaf];
}

async fn come_again(kind: Kind, n: usize, address: SocketAddr, connected: Arc<AtomicUsize>) {
    loop {
        if let Ok(mut stream) = TcpStream::connect(address).await {
            connected.fetch_add(1, Ordering::Relaxed);
            // To be hung up on is the end of every one of them.
            let _ = visit(kind, n, &mut stream).await;
        }
        sleep(AGAIN.mul_f64(0.5 + fastrand::f64())).await;
    }
}

async fn visit(kind: Kind, n: usize, stream: &mut TcpStream) -> std::io::Result<()> {
    match kind {
        Kind::Idle => {}
        Kind::Slow => {
            for byte in b"GET /ready HTTP/1.1\r\nHost: x\r\nX-Slow: ".iter().chain(std::iter::repeat(&b'a')) {
                stream.write_all(&[*byte]).await?;
                sleep(SLOWLY).await;
            }
        }
        Kind::Endless => {
            stream.write_all(b"GET /ready HTTP/1.1\r\nHost: x\r\nX-Long: ").await?;
            stream.write_all(&vec![b'a'; HEAD]).await?;
        }
        Kind::Garbage => stream.write_all(GARBAGE[n % GARBAGE.len()]).await?,
        Kind::Deaf => loop {
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await?;
        },
    }
    while stream.read(&mut [0; 512]).await? > 0 {}
    Ok(())
}

/// As many file descriptors as there are clients, and some: a shell gives a process 1,024.
fn allow_descriptors() {
    let pid = std::process::id().to_string();
    // Where that is not allowed there are fewer clients, and nobody is misled: `connected` counts them.
    let _ = Command::new("prlimit").args(["--nofile=8192:", "--pid", &pid]).stderr(Stdio::null()).status();
}
