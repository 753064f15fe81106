//! What systemd is told (`sd_notify(3)`). Without `NOTIFY_SOCKET` nothing is told to nobody.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::watch;

use crate::edge::console::one_line;
use crate::published::Published;
use crate::view::Status;

/// Between two feedings of a watchdog that is not there.
const IDLE: Duration = Duration::from_secs(3600);

/// systemd shows the status on one line of `systemctl status`.
const STATUS_BYTES: usize = 200;

/// The agent runs; whether the app is ready, `/ready` says.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// What the agent does, one line.
pub fn status(line: &str) {
    // A line break would begin another assignment.
    tell(&[NotifyState::Status(&one_line(line, STATUS_BYTES))]);
}

/// The agent is on its way out.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
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
                if now.view.status == Status::Draining && !told.starts_with(Status::Draining.word()) {
                    stopping();
                }
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
