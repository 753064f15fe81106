//! systemd: starts the agent, starts it again after what the table of exit codes says, stops it, and kills what does not stop.

use std::time::Duration;

use crate::sim::secs;

/// `RestartSec=`
const RESTART: Duration = Duration::from_secs(1);

/// `TimeoutStopSec=`
const STOP: Duration = Duration::from_secs(380);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Off,
    Starting(Duration),
    Running,
    /// SIGTERM was sent; SIGKILL follows.
    Stopping(Duration),
    Dead,
}

/// What it does to the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    Start,
    Kill,
}

#[derive(Debug)]
pub(crate) struct Systemd {
    pub(crate) state: State,
}

impl Systemd {
    pub(crate) fn new(boots_in: Duration) -> Self {
        Self { state: State::Starting(boots_in) }
    }

    /// The machine is switched on again.
    pub(crate) fn power_on(&mut self, at: Duration) {
        self.state = State::Starting(at);
    }

    pub(crate) fn power_off(&mut self) {
        self.state = State::Off;
    }

    /// Whether the agent gets a SIGTERM by this.
    pub(crate) fn stop(&mut self, now: Duration) -> bool {
        match self.state {
            State::Running => {
                self.state = State::Stopping(now + STOP);
                true
            }
            State::Stopping(_) | State::Off | State::Dead => false,
            State::Starting(_) => {
                self.state = State::Dead;
                false
            }
        }
    }

    /// `EXTEND_TIMEOUT_USEC=`: never brings the end nearer.
    pub(crate) fn extend(&mut self, by: Duration, now: Duration) {
        if let State::Stopping(until) = &mut self.state {
            *until = (*until).max(now + by);
        }
    }

    /// The agent's process ended, with a code or by a signal.
    pub(crate) fn ended(&mut self, code: Option<u8>, now: Duration) {
        let again = code.is_none_or(|code| code == 70) && self.state == State::Running;
        self.state = if again { State::Starting(now + RESTART) } else { State::Dead };
    }

    pub(crate) fn due(&self) -> Option<Duration> {
        match self.state {
            State::Starting(at) | State::Stopping(at) => Some(at),
            State::Off | State::Running | State::Dead => None,
        }
    }

    pub(crate) fn advance(&mut self, now: Duration) -> Option<News> {
        match self.state {
            State::Starting(at) if at <= now => {
                self.state = State::Running;
                Some(News::Start)
            }
            State::Stopping(at) if at <= now => {
                self.state = State::Stopping(now + secs(3600));
                Some(News::Kill)
            }
            _ => None,
        }
    }
}
