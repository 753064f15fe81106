//! What an input means: for the phase, and as a notice of what the instance's surroundings want.

use std::sync::Arc;

use berth_config::{Config, OnNotice};

use super::{Machine, MachineNext, Phase};
use crate::clock::Uptime;
use crate::message::command::Command;
use crate::message::event::Event;
use crate::message::identity::TargetState;
use crate::message::input::Input;
use crate::message::job::JobKind;
use crate::phase::boot::BootNext;
use crate::phase::drain::{Cause, DrainNext};
use crate::phase::failing::{FailingNext, Failure};
use crate::phase::release::SwapNext;
use crate::phase::serve::ServeNext;
use crate::view::ReadyReason;
use crate::watcher::Notice;

impl Machine {
    /// Counts what no step counts.
    pub(super) fn count(&mut self, event: &Event) {
        if let Event::Failed(
            job @ (JobKind::WatchMetadata
            | JobKind::RecordHeartbeat
            | JobKind::CountConnections
            | JobKind::CheckSecrets
            | JobKind::CheckMetadataBlock
            | JobKind::SignalApp
            | JobKind::DescribeTargets
            | JobKind::RegisterTarget
            | JobKind::DeregisterTarget
            | JobKind::DescribeDelay
            | JobKind::WatchContainer),
            _,
        ) = event
        {
            let count = self.retries.entry(*job).or_default();
            *count = count.saturating_add(1);
        }
        if let Event::Failed(job, error) = event
            && !error.is_transient()
        {
            let count = self.refused.entry(*job).or_default();
            *count = count.saturating_add(1);
        }
    }

    /// An instance that the metadata shows in a group may have a launch hook.
    pub(super) fn note_membership(&mut self, event: &Event) {
        if matches!(event, Event::MetadataSeen(snapshot) if snapshot.target_state.is_some()) {
            match &mut self.phase {
                Phase::Boot(boot) => boot.joins_group(),
                Phase::Serve(_) | Phase::Release(_) | Phase::Warm(_) | Phase::Failing(_) | Phase::Hold(_) => {
                    if let Some((past, _)) = self.past() {
                        past.hook.joins_group();
                    }
                }
                // What is still to be completed is no launch hook.
                Phase::Drain(_) | Phase::Gone => {}
            }
        }
    }

    /// What the input means for the phase.
    pub(super) fn react(&mut self, input: &Input, now: Uptime) -> MachineNext {
        let outbox = &mut self.outbox;
        match (&mut self.phase, input.event()) {
            (
                Phase::Boot(_) | Phase::Serve(_) | Phase::Release(_) | Phase::Hold(_) | Phase::Warm(_),
                Event::Signalled(_),
            ) => MachineNext::Drain(Cause::Signal),
            (
                Phase::Boot(_) | Phase::Serve(_) | Phase::Release(_) | Phase::Hold(_) | Phase::Warm(_),
                Event::DrainRequested(reason),
            ) => MachineNext::Drain(Cause::Asked(reason.clone().unwrap_or_else(|| "no reason given".to_owned()))),
            (
                Phase::Boot(_) | Phase::Serve(_) | Phase::Release(_) | Phase::Hold(_) | Phase::Warm(_),
                Event::HandoverRequested,
            ) => MachineNext::HandOver,
            (Phase::Drain(_), Event::HandoverRequested) => {
                outbox.command(Command::RefuseHandover(
                    "the instance drains: the installed binary starts with the next agent",
                ));
                MachineNext::Stay
            }
            (Phase::Failing(_) | Phase::Gone, Event::HandoverRequested) => {
                outbox.command(Command::RefuseHandover("the instance is given up, and this agent ends soon"));
                MachineNext::Stay
            }
            (Phase::Boot(boot), _) => match boot.on(input, outbox, now) {
                BootNext::Stay => MachineNext::Stay,
                BootNext::Serve => MachineNext::Serve,
                BootNext::Warm => MachineNext::Warm,
                BootNext::Occupied => MachineNext::Drain(Cause::BackToPool(
                    self.watcher.target_state().cloned().unwrap_or(TargetState::WarmedRunning),
                )),
                BootNext::Back(reason) => MachineNext::Back(reason),
                BootNext::Fail(failure) => MachineNext::Fail(failure),
            },
            (Phase::Serve(serve), _) => match serve.on(input, outbox, now) {
                ServeNext::Stay => MachineNext::Stay,
                ServeNext::Release(next) => MachineNext::Release(next),
                ServeNext::Renew => MachineNext::Renew,
                ServeNext::Fail(failure) => MachineNext::Fail(failure),
            },
            (Phase::Release(swap), _) => match swap.on(input, outbox, now) {
                SwapNext::Stay => MachineNext::Stay,
                SwapNext::Serve => MachineNext::ServeOn,
                SwapNext::Back(reason) => MachineNext::Back(reason),
                SwapNext::Fail(failure) => MachineNext::Fail(failure),
            },
            (Phase::Drain(drain), _) => match drain.on(input, outbox, now) {
                DrainNext::Stay => MachineNext::Stay,
                DrainNext::Gone(outcome) => MachineNext::Gone(outcome),
                // The group may have taken the instance from the pool again in the meantime.
                DrainNext::Warm if self.watcher.target_state() == Some(&TargetState::InService) => MachineNext::Boot,
                DrainNext::Warm => MachineNext::Warm,
            },
            (Phase::Failing(failing), _) => match failing.on(input, outbox, now) {
                FailingNext::Stay => MachineNext::Stay,
                FailingNext::Gone(outcome) => MachineNext::Gone(outcome),
            },
            (Phase::Hold(hold), _) => {
                if hold.on(input, outbox, now) {
                    MachineNext::Fail(hold.failure().clone())
                } else {
                    MachineNext::Stay
                }
            }
            (Phase::Warm(warm), _) => match warm.on(input, outbox, now) {
                Some(reason) => MachineNext::Fail(Failure::of_boot(ReadyReason::LaunchHookRefused, reason)),
                None => MachineNext::Stay,
            },
            (Phase::Gone, _) => MachineNext::Stay, // nothing can happen any more
        }
    }

    /// What the event says of the surroundings.
    pub(super) fn watch(&mut self, input: &Input, now: Uptime) -> Vec<Notice> {
        let mut notices = match input.event() {
            Event::Identified(identity) => self.watcher.begin(identity.target_state.as_ref(), now),
            Event::UserDataIsForeign(foreign) => {
                self.foreign = Some(*foreign);
                Vec::new()
            }
            _ => self.watcher.on(input, &mut self.outbox, now),
        };
        // With another config what was noticed before may mean something else.
        if let Some(config) = self.phase_config().filter(|config| !Arc::ptr_eq(config, &self.config)).cloned() {
            self.watcher.set_interval(config.lifecycle.poll, &mut self.outbox, now);
            self.guard.configure(config.imds, &mut self.outbox, now);
            self.config = config;
            notices.extend(self.watcher.standing());
        }
        notices
    }

    /// The config that was read for what this phase does.
    fn phase_config(&self) -> Option<&Arc<Config>> {
        match &self.phase {
            Phase::Boot(boot) => boot.config(),
            phase => phase.past().filter(|past| past.is_configured).map(|past| &past.config),
        }
    }

    /// What a notice means for the phase.
    pub(super) fn hear(&mut self, notice: &Notice, now: Uptime) -> MachineNext {
        let cause = match notice {
            Notice::Target(TargetState::Terminated | TargetState::WarmedTerminated) => Some(Cause::Terminated),
            Notice::Target(state) if state.is_in_pool() => Some(Cause::BackToPool(state.clone())),
            Notice::Target(TargetState::RootVolume(word)) => Some(Cause::RootVolume(word.clone())),
            Notice::Spot(interruption) if self.config.spot == OnNotice::Drain => {
                Some(Cause::Spot(interruption.ends_in))
            }
            Notice::Rebalance if self.config.rebalance == OnNotice::Drain => Some(Cause::Rebalance(notice.to_string())),
            Notice::Maintenance(_) if self.config.maintenance == OnNotice::Drain => {
                Some(Cause::Maintenance(notice.to_string()))
            }
            // A detached instance carries on, and so does one with a state that this version does not know.
            Notice::Target(_) | Notice::Spot(_) | Notice::Rebalance | Notice::Maintenance(_) => None,
        };
        let Notice::Target(state) = notice else { return self.leave_for(cause, now) };
        match (&mut self.phase, state) {
            (Phase::Serve(serve), TargetState::InService | TargetState::Standby) => {
                serve.set_standby(*state == TargetState::Standby, &mut self.outbox, now);
                MachineNext::Stay
            }
            (Phase::Release(swap), TargetState::InService | TargetState::Standby) => {
                swap.set_standby(*state == TargetState::Standby, &mut self.outbox, now);
                MachineNext::Stay
            }
            (Phase::Warm(_), TargetState::InService) => MachineNext::Boot,
            (Phase::Boot(boot), TargetState::InService) => {
                boot.enter_service(&mut self.outbox, now);
                MachineNext::Stay
            }
            (Phase::Hold(hold), TargetState::InService) => {
                hold.enter_service(&mut self.outbox, now);
                MachineNext::Stay
            }
            (Phase::Boot(boot), _) if matches!(cause, Some(Cause::BackToPool(_))) && boot.app().is_none() => {
                boot.prepare();
                MachineNext::Stay
            }
            (Phase::Warm(_), _) if matches!(cause, Some(Cause::BackToPool(_))) => MachineNext::Stay,
            _ => self.leave_for(cause, now),
        }
    }

    pub(super) fn leave_for(&mut self, cause: Option<Cause>, now: Uptime) -> MachineNext {
        match (&mut self.phase, cause) {
            (_, None) => MachineNext::Stay,
            (Phase::Drain(drain), Some(cause)) => {
                drain.hear(&cause, &mut self.outbox, now);
                MachineNext::Stay
            }
            (Phase::Failing(_) | Phase::Gone, Some(_)) => MachineNext::Stay, // on the way out already
            (_, Some(cause)) => MachineNext::Drain(cause),
        }
    }
}
