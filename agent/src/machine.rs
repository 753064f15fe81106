//! The machine: which phase the instance is in, and who hands over to whom. It never fails, waits or does IO.
//!
//! ```text
//!            healthy               signal
//!   boot ───────────────▶ serve ───────────▶ drain ───▶ gone(0 | 5)
//!    │ │                    │                  ▲
//!    │ └──── signal ────────┼──────────────────┤
//!    │ failed               │ lost             │ signal
//!    ├──────────────────────┴──▶ failing ───▶ gone(2 | 3 | 4)
//!    └── on_failure=hold ──▶ hold ─────────────┘
//! ```
//! Events come in with the time, effects go out with tickets. Only the driver calls it (invariant 2).

use crate::boot::{self, Boot, Handover};
use crate::clock::Uptime;
use crate::config::OnFailure;
use crate::desk::Desk;
use crate::drain::{self, Drain};
use crate::effect::{Effect, Ticket};
use crate::event::Event;
use crate::exit::Outcome;
use crate::failing::{self, Failing};
use crate::hold::Hold;
use crate::serve::{self, Serve};
use crate::view::PhaseName;

mod show;

/// One life, from start to gone.
#[derive(Debug)]
pub struct Machine {
    phase: Phase,
    since: Uptime,
    desk: Desk,
}

#[derive(Debug)]
enum Phase {
    Boot(Box<Boot>),
    Serve(Box<Serve>),
    Drain(Box<Drain>),
    Failing(Box<Failing>),
    Hold(Box<Hold>),
    Gone,
}

/// Where an event leads.
enum Next {
    Stay,
    Serve,
    Drain(String),
    Fail(Outcome, String),
    Gone(Outcome),
}

impl Machine {
    /// A new life; `seed` decides every jitter in it.
    pub fn new(seed: u64, now: Uptime) -> Self {
        let mut desk = Desk::new(seed);
        let boot = Boot::begin(&mut desk, now);
        Self { phase: Phase::Boot(Box::new(boot)), since: now, desk }
    }

    /// The only way in.
    pub fn on(&mut self, event: &Event, now: Uptime) {
        let desk = &mut self.desk;
        let next = match (&mut self.phase, event) {
            (Phase::Boot(_) | Phase::Serve(_) | Phase::Hold(_), Event::Signalled(signal)) => {
                Next::Drain(signal.to_string())
            }
            (Phase::Boot(_) | Phase::Serve(_) | Phase::Hold(_), Event::DrainRequested(reason)) => {
                Next::Drain(reason.clone().unwrap_or_else(|| "asked for on the instance".to_owned()))
            }
            (Phase::Boot(boot), event) => match boot.on(event, desk, now) {
                boot::Next::Stay => Next::Stay,
                boot::Next::Serve => Next::Serve,
                boot::Next::Fail(outcome, reason) => Next::Fail(outcome, reason),
            },
            (Phase::Serve(serve), event) => match serve.on(event, desk, now) {
                serve::Next::Stay => Next::Stay,
                serve::Next::Fail(reason) => Next::Fail(Outcome::AppFailed, reason),
            },
            (Phase::Drain(drain), event) => match drain.on(event, desk, now) {
                drain::Next::Stay => Next::Stay,
                drain::Next::Gone(outcome) => Next::Gone(outcome),
            },
            (Phase::Failing(failing), event) => match failing.on(event, desk, now) {
                failing::Next::Stay => Next::Stay,
                failing::Next::Gone(outcome) => Next::Gone(outcome),
            },
            (Phase::Hold(hold), event) => {
                if hold.on(event, desk, now) {
                    Next::Fail(Outcome::BootFailed, hold.reason().to_owned())
                } else {
                    Next::Stay
                }
            }
            (Phase::Gone, _) => Next::Stay, // nothing can happen any more
        };
        self.go(next, now);
    }

    /// The next order for the driver.
    pub fn next_effect(&mut self) -> Option<(Ticket, Effect)> {
        self.desk.take()
    }

    /// When the machine wants to be woken; none if only an answer can move it.
    pub fn next_wake(&self) -> Option<Uptime> {
        match &self.phase {
            Phase::Boot(boot) => boot.wake(),
            Phase::Serve(serve) => serve.wake(),
            Phase::Drain(drain) => drain.wake(),
            Phase::Failing(failing) => failing.wake(),
            Phase::Hold(hold) => hold.wake(),
            Phase::Gone => None,
        }
    }

    /// The name of the phase.
    pub fn phase(&self) -> PhaseName {
        match &self.phase {
            Phase::Boot(_) => PhaseName::Boot,
            Phase::Serve(_) => PhaseName::Serve,
            Phase::Drain(_) => PhaseName::Drain,
            Phase::Failing(_) => PhaseName::Failing,
            Phase::Hold(_) => PhaseName::Hold,
            Phase::Gone => PhaseName::Gone,
        }
    }

    fn go(&mut self, next: Next, now: Uptime) {
        if matches!(next, Next::Stay) {
            return;
        }
        let desk = &mut self.desk;
        let phase = std::mem::replace(&mut self.phase, Phase::Gone);
        self.phase = match next {
            Next::Stay => phase,
            Next::Serve => serve_phase(phase, desk, now),
            Next::Drain(reason) => match leave(phase, desk) {
                Ok(past) => {
                    let drain = Drain::begin(reason, past, desk, now);
                    if drain.is_over() { gone(Outcome::Done, desk) } else { Phase::Drain(Box::new(drain)) }
                }
                Err(phase) => phase,
            },
            Next::Fail(outcome, reason) => {
                let held = matches!(phase, Phase::Hold(_));
                match leave(phase, desk) {
                    Ok(past) if !held && wants_hold(&past, outcome) => {
                        Phase::Hold(Box::new(Hold::begin(reason, past, desk, now)))
                    }
                    Ok(past) => Phase::Failing(Box::new(Failing::begin(outcome, reason, past, desk, now))),
                    Err(phase) => phase,
                }
            }
            Next::Gone(outcome) => gone(outcome, desk),
        };
        self.since = now;
    }
}

/// The boot's app is healthy: hand it over.
fn serve_phase(phase: Phase, desk: &mut Desk, now: Uptime) -> Phase {
    match leave(phase, desk) {
        Ok(mut past) => match past.app.take() {
            Some(app) => Phase::Serve(Box::new(Serve::begin(app, past, desk, now))),
            None => gone(Outcome::Bug, desk), // a boot says Serve only with an app in its hands
        },
        Err(phase) => phase,
    }
}

/// Ends a phase that can hand over; gives back one that cannot.
fn leave(phase: Phase, desk: &mut Desk) -> Result<Handover, Phase> {
    match phase {
        Phase::Boot(boot) => Ok(boot.leave(desk)),
        Phase::Serve(serve) => Ok(serve.leave()),
        Phase::Hold(hold) => Ok(hold.past),
        other => Err(other),
    }
}

fn wants_hold(past: &Handover, outcome: Outcome) -> bool {
    let policy = past.config.as_ref().map(|config| config.boot.on_failure);
    outcome == Outcome::BootFailed && policy == Some(OnFailure::Hold)
}

fn gone(outcome: Outcome, desk: &mut Desk) -> Phase {
    desk.order(Effect::Exit(outcome));
    Phase::Gone
}
