//! From one phase to the next: one ends and leaves its past, the other begins with it.

use std::sync::Arc;

use berth_config::{Config, OnFailure};

use super::{Machine, MachineNext, PHASES_KEPT, Phase};
use crate::clock::Uptime;
use crate::message::command::Command;
use crate::message::identity::TargetState;
use crate::message::job::Job;
use crate::message::outcome::Outcome;
use crate::outbox::Outbox;
use crate::phase::boot::Boot;
use crate::phase::drain::{Drain, Unfinished};
use crate::phase::failing::Failing;
use crate::phase::hold::Hold;
use crate::phase::past::Past;
use crate::phase::release::Swap;
use crate::phase::serve::Serve;
use crate::phase::warm::Warm;
use crate::view::{PhaseName, PhaseView};

impl Machine {
    pub(super) fn go(&mut self, next: MachineNext, now: Uptime) {
        if matches!(next, MachineNext::Stay) {
            return;
        }
        let former = self.former.take().filter(|_| self.is_identified());
        let former = former.map(|(former, at)| former.after(now.since(at)));
        if matches!(next, MachineNext::Gone(_)) {
            self.last = Some(Box::new(self.view()));
        }
        let standby = self.watcher.target_state() == Some(&TargetState::Standby);
        let outbox = &mut self.outbox;
        let phase = std::mem::replace(&mut self.phase, Phase::Gone);
        let held = matches!(phase, Phase::Hold(_));
        let fetches = match &phase {
            Phase::Boot(boot) => boot.config().is_some(),
            Phase::Serve(_) | Phase::Release(_) => true,
            Phase::Drain(_) | Phase::Warm(_) | Phase::Failing(_) | Phase::Hold(_) | Phase::Gone => false,
        };
        self.since = now;
        let leaves = !matches!(next, MachineNext::Release(_) | MachineNext::Renew | MachineNext::ServeOn);
        self.phase = match (next, phase) {
            (MachineNext::Release(next), Phase::Serve(serve)) => match Swap::begin(serve, *next, outbox, now) {
                Ok(swap) => Phase::Release(Box::new(swap)),
                Err(serve) => Phase::Serve(serve),
            },
            (MachineNext::Renew, Phase::Serve(serve)) => match Swap::renew(serve, outbox, now) {
                Ok(swap) => Phase::Release(Box::new(swap)),
                Err(serve) => Phase::Serve(serve),
            },
            (MachineNext::ServeOn, Phase::Release(swap)) => Phase::Serve(Box::new(swap.into_serve())),
            (next, phase) => Self::change(next, phase, (&self.config, former, standby, held), outbox, now),
        };
        // Fetched values that no start took: an adopted app has its own, and nothing is started on the way out. An image is here or
        // not needed. What starts an app again fetches again.
        if fetches && leaves && !matches!(self.phase, Phase::Gone) {
            self.outbox.emit(Job::WipeSecrets);
        }
        // Weeks in a warm pool are no reason to grow.
        if self.phases.len() == PHASES_KEPT {
            // Nor are releases: the oldest one goes, with the serving after it, and the boot stays.
            let is_release =
                |two: &[PhaseView]| two.iter().map(|phase| phase.name).eq([PhaseName::Release, PhaseName::Serve]);
            match self.phases.windows(2).position(is_release) {
                Some(at) => drop(self.phases.drain(at..at + 2)),
                None => drop(self.phases.remove(0)),
            }
        }
        self.phases.push(PhaseView { name: self.phase(), began_seconds: now.0.as_secs_f64() });
    }

    /// The next phase, with what this one leaves.
    fn change(
        next: MachineNext,
        phase: Phase,
        (config, former, standby, held): (&Arc<Config>, Option<Unfinished>, bool, bool),
        outbox: &mut Outbox,
        now: Uptime,
    ) -> Phase {
        match (next, leave(phase, outbox, now)) {
            // Asked for before, or in a phase that has no such end.
            (MachineNext::Stay | MachineNext::Release(_) | MachineNext::Renew | MachineNext::ServeOn, _) => Phase::Gone,
            (MachineNext::Gone(outcome), _) => gone(outcome, outbox),
            (MachineNext::HandOver, _) => {
                outbox.command(Command::HandOver);
                Phase::Gone
            }
            (_, Err(phase)) => phase,
            (MachineNext::Boot, Ok(past)) => {
                Phase::Boot(Box::new(Boot::begin(config.clone(), past.targets, past.releases, outbox, now)))
            }
            (MachineNext::Back(reason), Ok(past)) => Phase::Boot(Box::new(go_back(past, reason, outbox, now))),
            (MachineNext::Warm, Ok(past)) => Phase::Warm(Box::new(Warm::begin(past, outbox, now))),
            (MachineNext::Serve, Ok(mut past)) => match past.app.take() {
                Some(app) => {
                    let beside = past.beside.take();
                    let serve = Serve::begin(app, past, standby, outbox, now);
                    if beside.is_some() || serve.past.releases.are_on_trial() {
                        Phase::Release(Box::new(Swap::rest(serve, beside, outbox, now)))
                    } else {
                        Phase::Serve(Box::new(serve))
                    }
                }
                None => gone(Outcome::Bug, outbox), // a boot says Serve only with an app in its hands
            },
            (MachineNext::Drain(cause), Ok(past)) => {
                Phase::Drain(Box::new(Drain::begin(cause, past, former, outbox, now)))
            }
            (MachineNext::Fail(failure), Ok(past)) => {
                if !held && wants_hold(&past, failure.outcome) {
                    Phase::Hold(Box::new(Hold::begin(failure, past, outbox, now)))
                } else {
                    Phase::Failing(Box::new(Failing::begin(failure, past, outbox, now)))
                }
            }
        }
    }
}

/// Ends a phase that can hand over; gives back one that cannot.
fn leave(phase: Phase, outbox: &mut Outbox, now: Uptime) -> Result<Past, Phase> {
    match phase {
        Phase::Boot(boot) => Ok(boot.leave(outbox)),
        Phase::Serve(serve) => Ok(serve.leave(outbox)),
        Phase::Release(swap) => Ok(swap.leave(outbox, now)),
        Phase::Hold(hold) => Ok(hold.past),
        Phase::Warm(warm) => Ok(warm.past),
        Phase::Drain(drain) => Ok(drain.past),
        other @ (Phase::Failing(_) | Phase::Gone) => Err(other),
    }
}

/// A boot of what served before.
fn go_back(mut past: Past, reason: String, outbox: &mut Outbox, now: Uptime) -> Boot {
    for mut app in [past.app.take(), past.beside.take()].into_iter().flatten() {
        app.halt(outbox);
    }
    let instance_id = past.identity.as_ref().map(|identity| identity.instance_id.clone()).unwrap_or_default();
    let noted = past.releases.go_back(&past.config, &instance_id, reason, outbox, now);
    let identity = past.identity.clone();
    let mut boot = Boot::begin(past.config, past.targets, past.releases, outbox, now);
    if let Some(identity) = identity {
        boot.know(identity, outbox, now);
    }
    if let Some(noted) = noted {
        boot.return_to(noted);
    }
    boot
}

fn wants_hold(past: &Past, outcome: Outcome) -> bool {
    outcome == Outcome::BootFailed && past.config.boot.on_failure == OnFailure::Hold
}

fn gone(outcome: Outcome, outbox: &mut Outbox) -> Phase {
    outbox.command(Command::Exit(outcome));
    Phase::Gone
}
