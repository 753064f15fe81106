//! The signals of the process, as events.
//!
//! Only SIGTERM and SIGINT have a meaning. Every other signal that would end the process by default, and that may be sent by mistake (`kill -HUP` to
//! reload, a script's SIGUSR1), is caught and named in the log: an agent that dies of it could not drain. Signals that report a bug, or that must end
//! the process at once, keep their effect: SIGKILL, SIGQUIT, SIGABRT, SIGSYS, SIGTRAP, and the exceptions of the processor. The signals are caught
//! and not ignored, so that no child process inherits that.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use nix::libc::{self, c_int};
use nix::sys::signal::{SigSet, Signal as Posix};
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

use berth_core::message::event::Signal;

/// The signals that end a process by default and report no bug, without the real-time signals.
const HARMLESS: [c_int; 11] = [
    libc::SIGHUP,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGVTALRM,
    libc::SIGPROF,
    libc::SIGIO,
    libc::SIGPWR,
    libc::SIGSTKFLT,
    libc::SIGXCPU,
    libc::SIGXFSZ,
];

/// Every signal that is caught.
#[derive(Debug)]
pub struct Signals {
    /// The signals that drain.
    pub drain: DrainSignals,
    /// The signals without a meaning.
    pub harmless: Harmless,
}

/// SIGTERM and SIGINT, in the order in which they are received.
#[derive(Debug)]
pub struct DrainSignals {
    term: Stream,
    interrupt: Stream,
}

/// The other signals.
#[derive(Debug)]
pub struct Harmless(Vec<(c_int, Stream)>);

impl Signals {
    /// Catches these signals, and delivers those that were held back. Needs a runtime.
    pub fn new() -> io::Result<Self> {
        let listen = |number| Ok((number, signal(SignalKind::from_raw(number))?));
        let harmless = HARMLESS.into_iter().chain(libc::SIGRTMIN()..=libc::SIGRTMAX()).map(listen);
        let harmless = Harmless(harmless.collect::<io::Result<_>>()?);
        let drain =
            DrainSignals { term: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? };
        SigSet::all().thread_unblock()?;
        Ok(Self { drain, harmless })
    }

    /// Blocks every signal until the next agent catches it, in this same process: a signal in between would end the process, or be lost.
    pub fn hold_back() -> io::Result<()> {
        Ok(SigSet::all().thread_block()?)
    }
}

/// The names of the signals that end a process by default and are only named in the log, for the manual.
pub fn ignored() -> Vec<&'static str> {
    HARMLESS.into_iter().filter_map(|number| Posix::try_from(number).ok()).map(Posix::as_str).collect()
}

impl DrainSignals {
    /// The next signal. Cancel-safe; pends for ever if no signal can be received any more.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            Some(()) = self.term.recv() => Signal::Term,
            Some(()) = self.interrupt.recv() => Signal::Interrupt,
            else => std::future::pending().await,
        }
    }
}

impl Harmless {
    /// The name of the next signal. Cancel-safe.
    pub async fn next(&mut self) -> String {
        poll_fn(|cx| {
            let mut came = self
                .0
                .iter_mut()
                .filter_map(|(number, stream)| (stream.poll_recv(cx) == Poll::Ready(Some(()))).then_some(*number));
            came.next().map_or(Poll::Pending, |number| Poll::Ready(name(number)))
        })
        .await
    }
}

fn name(number: c_int) -> String {
    match Posix::try_from(number) {
        Ok(signal) => signal.as_str().to_owned(),
        Err(_) => format!("real-time signal {number}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nix::sys::signal::raise;
    use tokio::time::timeout;

    use super::*;

    const BOUND: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn two_signals_become_events_and_the_others_are_named() {
        let mut signals = Signals::new().unwrap();
        for (sent, expected) in [(Posix::SIGTERM, Signal::Term), (Posix::SIGINT, Signal::Interrupt)] {
            raise(sent).unwrap();
            assert_eq!(timeout(BOUND, signals.drain.next()).await.unwrap(), expected);
        }
        for number in HARMLESS {
            let sent = Posix::try_from(number).unwrap();
            raise(sent).unwrap();
            assert_eq!(timeout(BOUND, signals.harmless.next()).await.unwrap(), sent.as_str());
        }
    }
}
