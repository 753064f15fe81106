//! The signals of the process, as events.

use std::io;

use nix::sys::signal::{SigSet, Signal as Posix};
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

use crate::event::Signal;

/// SIGTERM and SIGINT, one after the other as they come.
#[derive(Debug)]
pub struct Signals {
    term: Stream,
    interrupt: Stream,
}

impl Signals {
    /// From here on these signals no longer end the process by themselves, and one that was held back comes. Needs a runtime.
    pub fn new() -> io::Result<Self> {
        let signals = Self { term: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? };
        both().thread_unblock()?;
        Ok(signals)
    }

    /// Holds them back until the next agent listens, in this very process: a signal in between would end it, or be lost.
    pub fn hold_back() -> io::Result<()> {
        Ok(both().thread_block()?)
    }

    /// The next signal. Cancel-safe; pends for ever where no signal can come any more.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            Some(()) = self.term.recv() => Signal::Term,
            Some(()) = self.interrupt.recv() => Signal::Interrupt,
            else => std::future::pending().await,
        }
    }
}

fn both() -> SigSet {
    SigSet::from_iter([Posix::SIGTERM, Posix::SIGINT])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nix::sys::signal::raise;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn both_signals_become_events() {
        let mut signals = Signals::new().unwrap();
        for (sent, expected) in [(Posix::SIGTERM, Signal::Term), (Posix::SIGINT, Signal::Interrupt)] {
            raise(sent).unwrap();
            assert_eq!(timeout(Duration::from_secs(20), signals.next()).await.unwrap(), expected);
        }
    }
}
