//! What systemd is told (`sd_notify(3)`). Without `NOTIFY_SOCKET` nothing is told to nobody. A socket whose queue is full is
//! not waited for: a manager that hangs must not stop the loop.
//!
//! Never `STOPPING=1`: it arms the timeout of a stop that nobody asked for, and a drain back into the warm pool is none
//! (docs/decisions/0004-systemd-is-asked-for-time.md).

use std::env;
use std::fmt::Write;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use berth_core::view::published::Published;
use listenfd::ListenFd;
use sd_notify::NotifyState;
use sendfd::SendWithFd;
use tokio::sync::watch;
use tokio::time::sleep;

use berth_config::printable::one_line;

/// Until the queue of a busy manager is looked at again.
const AGAIN: Duration = Duration::from_millis(100);

/// systemd shows the status on one line of `systemctl status`.
const STATUS_BYTES: usize = 200;

/// What the readiness endpoint's listener is called in systemd's file descriptor store.
const LISTENER: &str = "listen";

/// The readiness endpoint's listener of the agent before this one: out of systemd's file descriptor store
/// (`sd_listen_fds(3)`), or handed over by that agent itself (handover.rs).
pub fn inherited_listener() -> Option<TcpListener> {
    let mut passed = ListenFd::from_env();
    let taken = (0..passed.len()).find_map(|at| passed.take_tcp_listener(at).transpose());
    taken?.inspect_err(|error| tracing::warn!(%error, "what was passed is no listener")).ok()
}

/// From here on systemd keeps this listener, and passes it to the next agent; a probe that comes while none lives waits in
/// its queue. To give the same listener again changes nothing.
pub fn keep_listener(listener: impl AsFd) {
    let state = [NotifyState::FdStore, NotifyState::FdName(LISTENER)];
    if let Err(error) = send(&state, &[listener.as_fd().as_raw_fd()]) {
        tracing::debug!(%error, "systemd does not keep the listener");
    }
}

/// systemd lets go of the listener, before its address is left.
pub fn forget_listener() {
    tell(&[NotifyState::FdStoreRemove, NotifyState::FdName(LISTENER)]);
}

/// What the agent does, one line.
pub fn status(line: &str) {
    // A line break would begin another assignment.
    tell(&[NotifyState::Status(&one_line(line, STATUS_BYTES))]);
}

/// The stop needs this much longer, counted from here; to be said again before it is over.
pub fn extend_timeout(by: Duration) {
    let microseconds = u32::try_from(by.as_micros()).unwrap_or(u32::MAX);
    tell(&[NotifyState::ExtendTimeoutUsec(microseconds)]);
}

/// How often the watchdog wants to be fed: half of `WatchdogSec=`, as sd_watchdog_enabled(3) advises. None without one.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2).filter(|half| !half.is_zero())
}

/// The agent's loop turns: for that loop alone to say.
pub fn feed_watchdog() {
    tell(&[NotifyState::Watchdog]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = send(state, &[]) {
        tracing::debug!(%error, "systemd was not told");
    }
}

/// One datagram, if there is room for it.
fn send(state: &[NotifyState<'_>], fds: &[RawFd]) -> io::Result<()> {
    let Some(path) = env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    let mut message = String::new();
    for one in state {
        let _ = writeln!(message, "{one}");
    }
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(&path)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect_addr(&address)?;
    socket.send_with_fd(message.as_bytes(), fds).map(drop)
}

/// Tells systemd that the agent runs, and then what it shows whenever that changes, for as long as it shows anything. Whether the
/// app is ready, `/ready` says.
pub async fn follow(mut published: watch::Receiver<Arc<Published>>) {
    // A unit that never becomes active is stopped, so this one is not dropped.
    while let Err(error) = send(&[NotifyState::Ready], &[])
        && error.kind() == io::ErrorKind::WouldBlock
    {
        sleep(AGAIN).await;
    }
    let mut told = String::new();
    while published.changed().await.is_ok() {
        let now = published.borrow_and_update().clone();
        let line = format!("{}: {}", now.view.status.word(), now.view.reason);
        if line != told {
            status(&line);
            told = line;
        }
    }
}
