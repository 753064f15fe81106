//! What systemd is told (`sd_notify(3)`). Without `NOTIFY_SOCKET` nothing is told to nobody.
//!
//! Never `STOPPING=1`: it arms the timeout of a stop that nobody asked for, and a drain back into the warm pool is none
//! (docs/decisions/0004-systemd-is-asked-for-time.md).

use std::net::TcpListener;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::sync::watch;

use crate::edge::console::one_line;
use crate::published::Published;

/// Between two feedings of a watchdog that is not there.
const IDLE: Duration = Duration::from_secs(3600);

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
    if let Err(error) = sd_notify::notify_with_fds(&state, &[listener.as_fd()]) {
        tracing::debug!(%error, "systemd does not keep the listener");
    }
}

/// systemd lets go of the listener, before its address is left.
pub fn forget_listener() {
    tell(&[NotifyState::FdStoreRemove, NotifyState::FdName(LISTENER)]);
}

/// The agent runs; whether the app is ready, `/ready` says.
pub fn ready() {
    tell(&[NotifyState::Ready]);
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

/// The agent's loop turns.
pub fn feed_watchdog() {
    tell(&[NotifyState::Watchdog]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd was not told");
    }
}

/// Tells systemd what the agent shows, for as long as it shows anything: the status when it changes, the watchdog on time.
pub async fn follow(mut published: watch::Receiver<Arc<Published>>) {
    let mut told = String::new();
    let mut fed = tokio::time::interval(watchdog_interval().unwrap_or(IDLE));
    loop {
        tokio::select! {
            changed = published.changed() => {
                if changed.is_err() {
                    return;
                }
                let now = published.borrow_and_update().clone();
                let line = format!("{}: {}", now.view.status.word(), now.view.reason);
                if line != told {
                    status(&line);
                    told = line;
                }
            }
            _ = fed.tick() => feed_watchdog(),
        }
    }
}
