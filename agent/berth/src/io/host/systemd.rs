//! The notifications for systemd (`sd_notify(3)`). Without `NOTIFY_SOCKET` none is sent. A socket whose queue is full is not waited for: a manager
//! that hangs must not stop the loop.
//!
//! `STOPPING=1` is never sent: it starts the timeout of a stop that was not requested, and a drain back into the warm pool is not a stop
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

/// Between two attempts at the full queue of a busy manager.
const AGAIN: Duration = Duration::from_millis(100);

/// systemd shows the status on one line of `systemctl status`.
const STATUS_BYTES: usize = 200;

/// The name of the readiness endpoint's listener in systemd's file descriptor store.
const LISTENER: &str = "listen";

/// The readiness endpoint's listener of the previous agent, from systemd's file descriptor store (`sd_listen_fds(3)`) or from that agent itself
/// (handover.rs).
pub fn inherited_listener() -> Option<TcpListener> {
    let mut passed = ListenFd::from_env();
    let taken = (0..passed.len()).find_map(|at| passed.take_tcp_listener(at).transpose());
    taken?.inspect_err(|error| tracing::warn!(%error, "the file descriptor that was passed is not a TCP listener")).ok()
}

/// Gives this listener to systemd, which passes it to the next agent; a probe while no agent runs waits in its queue. Giving the same listener again
/// changes nothing.
pub fn keep_listener(listener: impl AsFd) {
    let state = [NotifyState::FdStore, NotifyState::FdName(LISTENER)];
    if let Err(error) = send(&state, &[listener.as_fd().as_raw_fd()]) {
        tracing::debug!(%error, "cannot pass the listener to systemd");
    }
}

/// Removes the listener from systemd's store, before its address is left.
pub fn forget_listener() {
    tell(&[NotifyState::FdStoreRemove, NotifyState::FdName(LISTENER)]);
}

/// Sends the agent's status, one line.
pub fn status(line: &str) {
    // A line break would begin another assignment.
    tell(&[NotifyState::Status(&one_line(line, STATUS_BYTES))]);
}

/// Extends the timeout of the stop to this long from now. To be repeated before it ends.
pub fn extend_timeout(by: Duration) {
    let microseconds = u32::try_from(by.as_micros()).unwrap_or(u32::MAX);
    tell(&[NotifyState::ExtendTimeoutUsec(microseconds)]);
}

/// The interval in which the watchdog is fed: half of `WatchdogSec=`, as sd_watchdog_enabled(3) advises. None without one.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2).filter(|half| !half.is_zero())
}

/// Feeds the watchdog. Only the agent's loop calls this.
pub fn feed_watchdog() {
    tell(&[NotifyState::Watchdog]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = send(state, &[]) {
        tracing::debug!(%error, "cannot notify systemd");
    }
}

/// One datagram, if there is space for it.
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

/// Notifies systemd that the agent runs, and of every change of its status after that. Whether the app is ready is shown by `/ready` only.
pub async fn follow(mut published: watch::Receiver<Arc<Published>>) {
    // Repeated until it is sent: a unit that never becomes active is stopped.
    while let Err(error) = send(&[NotifyState::Ready], &[])
        && error.kind() == io::ErrorKind::WouldBlock
    {
        sleep(AGAIN).await;
    }
    let mut sent = String::new();
    while published.changed().await.is_ok() {
        let now = published.borrow_and_update().clone();
        let line = format!("{}: {}", now.view.status.word(), now.view.reason);
        if line != sent {
            status(&line);
            sent = line;
        }
    }
}
