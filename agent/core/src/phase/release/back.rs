//! Back: what a failure means at each stage, and the way back to the old container.

use berth_config::TrafficMove;

use super::{ENGINE, Return, ReturnEnd, Swap, SwapCause, SwapStage};
use crate::app::App;
use crate::clock::Uptime;
use crate::message::job::Job;
use crate::message::release::Verdict;
use crate::outbox::Outbox;
use crate::release::ReleaseEnd;
use crate::retry::FAR;
use crate::step::Step;
use crate::view::StepName;

impl Swap {
    /// Whether the old container is still there to go back to.
    pub(super) fn can_go_back(&self) -> bool {
        // Where the old one goes on running it has to; else it is started again.
        let is_there = |old: &App| self.traffic != TrafficMove::Targets || old.is_up();
        matches!(self.stage, SwapStage::Baking | SwapStage::LettingGo { back: Some(_), .. })
            && self.other.as_ref().is_some_and(is_there)
            && self.before.is_some()
    }

    /// The new container is a bad one.
    pub(super) fn fail(&mut self, reason: String, outbox: &mut Outbox, now: Uptime) {
        self.read_output(outbox, now);
        if self.is_untouched() {
            self.condemn(reason, now);
            return self.undo(outbox, now);
        }
        self.go_back(Return { reason, end: ReturnEnd::Bad }, outbox, now);
    }

    /// The release is not tried now, without a verdict. Nothing was touched.
    pub(super) fn abandon(&mut self, reason: &str, outbox: &mut Outbox, now: Uptime) {
        if !self.is_untouched() {
            return;
        }
        match std::mem::replace(&mut self.cause, SwapCause::Rest) {
            SwapCause::Release(next) => self.serve.past.releases.put_back(*next, outbox, now),
            SwapCause::Secrets => {
                let end = ReleaseEnd { verdict: Verdict::Bad, reason: reason.to_owned(), output: None, gap: None };
                self.serve.past.releases.note(&end, now);
            }
            SwapCause::Rest => {}
        }
        self.undo(outbox, now);
    }

    /// Takes away what was put beside the old container.
    fn undo(&mut self, outbox: &mut Outbox, now: Uptime) {
        match &mut self.stage {
            SwapStage::Fetching(fetch) => fetch.cancel(outbox),
            SwapStage::Creating(step) => step.cancel(outbox),
            SwapStage::Clearing(step) => step.cancel(outbox),
            SwapStage::LettingGo { connections, .. } => connections.cancel(outbox),
            _ => {} // nothing is under way
        }
        self.gap = None;
        self.serve.past.targets.drop_joined(outbox, now);
        self.retire(outbox, now);
    }

    /// The other container cannot be kept running.
    pub(super) fn lost_other(&mut self, reason: &str, outbox: &mut Outbox, now: Uptime) {
        match &self.stage {
            SwapStage::Proving { .. } | SwapStage::Joining | SwapStage::Arriving => {
                self.fail(reason.to_owned(), outbox, now)
            }
            // There is nothing to go back to.
            SwapStage::Returning(_) => {
                self.serve.past.targets.drop_joined(outbox, now);
                self.finish_return(false, outbox, now);
            }
            _ => {} // it is on its way out, or its end changes nothing
        }
    }

    /// Traffic goes back to the old container.
    pub(super) fn go_back(&mut self, back: Return, outbox: &mut Outbox, now: Uptime) {
        match &self.stage {
            SwapStage::Pausing | SwapStage::Arriving => self.revive(back, outbox, now),
            SwapStage::Baking if self.traffic == TrafficMove::Targets => self.begin_return(back, outbox, now),
            // What is healthy keeps the clients that it has.
            SwapStage::Baking if self.traffic != TrafficMove::Restart && back.end != ReturnEnd::Bad => {
                self.begin_letting_go(Some(back), now);
            }
            SwapStage::Baking | SwapStage::LettingGo { back: Some(_), .. } => self.give_back(back, outbox, now),
            _ => {} // it is on its way already
        }
    }

    /// The old one gets its ports again.
    pub(super) fn give_back(&mut self, back: Return, outbox: &mut Outbox, now: Uptime) {
        if let SwapStage::LettingGo { connections, .. } = &mut self.stage {
            connections.cancel(outbox);
        }
        self.gap = Some((now, None));
        self.exchange_back(outbox, now);
        self.revive(back, outbox, now);
    }

    /// The old one is registered again. It still runs, and what is still sent there is meant for it.
    fn begin_return(&mut self, back: Return, outbox: &mut Outbox, now: Uptime) {
        let old = self.other.as_ref().and_then(|old| old.running().cloned());
        let (Some(running), Some(before)) = (old, &self.before) else { return };
        // It was registered there before, so its ports are published.
        if !self.serve.is_standby() {
            let _ = self.serve.past.targets.join(&before.config, &running, true, outbox, now);
        }
        self.until = now + before.config.target_timeout;
        // It answers what is still sent there.
        self.serve.app_mut().stop_keeping();
        self.stage = SwapStage::Returning(back);
    }

    pub(super) fn advance_return(&mut self, outbox: &mut Outbox, now: Uptime) -> bool {
        let is_in = self.serve.past.targets.have_joined();
        if is_in || self.until <= now {
            if !self.serve.past.targets.keep_joined(outbox, now) {
                self.serve.past.targets.begin_return();
            }
            self.finish_return(true, outbox, now);
            return true;
        }
        false
    }

    fn finish_return(&mut self, is_back: bool, outbox: &mut Outbox, now: Uptime) {
        let SwapStage::Returning(back) = std::mem::replace(&mut self.stage, SwapStage::Done) else { return };
        if is_back {
            self.exchange_back(outbox, now);
        } else {
            self.other = None;
            self.serve.past.releases.end_trial();
            self.serve.app_mut().keep();
        }
        self.end(back, now);
        self.retire(outbox, now);
    }

    /// The verdict of a release that was taken back.
    fn end(&mut self, back: Return, now: Uptime) {
        if back.end == ReturnEnd::Bad {
            return self.condemn(back.reason, now);
        }
        if let SwapCause::Release(mut next) = std::mem::replace(&mut self.cause, SwapCause::Rest) {
            next.gate.retract(now);
            self.serve.past.releases.close(next.gate);
            if back.end == ReturnEnd::Unwanted {
                self.serve.past.releases.read_again();
            }
        }
    }

    /// What served before serves again, and the new one is beside it.
    fn exchange_back(&mut self, outbox: &mut Outbox, now: Uptime) {
        let (Some(old), Some(before)) = (self.other.take(), self.before.take()) else { return };
        let new = self.serve.exchange(old, before.config, before.image, before.release, outbox, now);
        self.serve.app_mut().serve_again(now);
        self.other = Some(new);
    }

    /// The new one is stopped, and leaves its ports to the old one, which starts again. It is removed when it is known what it wrote last.
    fn revive(&mut self, back: Return, outbox: &mut Outbox, now: Uptime) {
        self.serve.past.releases.wipe(outbox);
        let mut stop = Step::new(StepName::Clearing, FAR);
        let timeout = self.config.stop_timeout;
        match &mut self.other {
            Some(other) => {
                other.halt(outbox);
                stop.emit(Job::StopContainer { id: other.id().clone(), timeout, for_good: true }, outbox, now);
            }
            None => stop.done((), now),
        }
        self.until = now + timeout.saturating_add(ENGINE);
        self.stage = SwapStage::Reviving { stop, back };
    }

    pub(super) fn advance_revival(&mut self, outbox: &mut Outbox, now: Uptime) -> bool {
        let is_late = self.until <= now;
        match &mut self.stage {
            SwapStage::Reviving { stop, back } => {
                if stop.is_done() || is_late {
                    stop.cancel(outbox);
                    let back = back.clone();
                    self.serve.app_mut().resume(outbox, now);
                    let limit = self.serve.past.config.probe.start_limit(None);
                    self.until = now + limit;
                    self.stage = SwapStage::Recovering(back);
                    return true;
                }
                if stop.is_due(now)
                    && let Some(id) = self.other.as_ref().map(App::id).cloned()
                {
                    let timeout = self.config.stop_timeout;
                    stop.emit(Job::StopContainer { id, timeout, for_good: true }, outbox, now);
                }
                false
            }
            SwapStage::Recovering(back) => {
                if !self.serve.app().health().is_healthy() && !is_late {
                    return false;
                }
                let back = back.clone();
                self.register_in_place(outbox, now);
                if let Some((_, to)) = &mut self.gap {
                    to.get_or_insert(now);
                }
                self.end(back, now);
                self.remove_other(SwapStage::Removing, outbox, now);
                true
            }
            _ => false,
        }
    }
}
