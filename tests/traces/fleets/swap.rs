//! A release on one instance, from the open gate to the verdict: what the phase `release` asks of the gate and of the document, in its
//! order, with containers that are good or bad.

use std::time::Duration;

use berth_core::message::container::ContainerId;
use berth_core::message::input::Input;
use berth_core::message::release::Verdict;
use berth_core::release::{ReleaseEnd, Serving};

use super::agent::Stage;
use super::board::Instance;
use super::counts::Row;
use super::plan::{Quality, Traffic, mishap};
use super::world::{Fleet, Happens};
use crate::sim::ms;

/// For the board to be written and read before traffic moves.
const CONFIRMATION: Duration = Duration::from_secs(120);

impl Fleet {
    /// It serves, with or without a release that it is at.
    pub(super) fn serve(&mut self, instance: Instance, input: &Input) {
        let now = self.uptime(instance);
        let agent = &mut self.instances[instance];
        let document = &self.plan.documents[agent.serving];
        agent.releases.attest(&document.config, document.quality != Quality::Bad, now);
        let may_begin = agent.stage == Stage::Serving;
        let container = ContainerId(String::new());
        let serving = Serving { config: &document.config, container: &container, image: None };
        agent.releases.follow(input, serving, may_begin, &mut agent.outbox, now);
        if let Some(next) = &mut agent.next {
            next.gate.on(input, &mut agent.outbox, now);
            next.gate.advance(&mut agent.outbox, now);
            self.follow(instance);
        } else if may_begin && let Some(next) = agent.releases.take_open(now) {
            agent.next = Some(Box::new(next));
            let most = if self.rng.u8(..8) == 0 { 80_000 } else { 25_000 };
            let until = self.now + ms(self.rng.u64(500..most));
            self.strike(instance);
            return self.set(instance, Stage::Proving(until));
        }
        self.step(instance);
    }

    /// Most of what happens to instances does so where it matters.
    fn strike(&mut self, instance: Instance) {
        if self.mishaps > 0 && self.rng.u8(..if self.plan.is_rough { 2 } else { 8 }) == 0 {
            self.mishaps -= 1;
            let mishap = mishap(&mut self.rng);
            let at = self.now + ms(self.rng.u64(0..if self.plan.is_rough { 20_000 } else { 50_000 }));
            self.plan(at, Happens::Mishap(instance, mishap));
        }
    }

    /// The document may have moved on meanwhile.
    fn follow(&mut self, instance: Instance) {
        let agent = &self.instances[instance];
        let Some(next) = &agent.next else { return };
        let wanted = agent.releases.wanted();
        if wanted.is_none_or(|wanted| *wanted == next.release.id) {
            return;
        }
        match &agent.before {
            None if agent.stage.is_untouched() => {
                self.counts.saw(Row::DocumentMoved);
                self.abandon(instance);
            }
            Some((_, before)) if Some(&before.id) == wanted && matches!(agent.stage, Stage::Baking(_)) => {
                self.counts.saw(Row::WentBack);
                self.go_back(instance, false);
            }
            _ => {} // it goes on to the end, and the next one follows
        }
    }

    /// From one stage of the release to the next.
    fn step(&mut self, instance: Instance) {
        let (time, now) = (self.now, self.uptime(instance));
        let agent = &mut self.instances[instance];
        let is_due = |until: Duration| until <= time;
        match agent.stage {
            Stage::Proving(until) if is_due(until) => {
                if self.is_bad(instance, 3) {
                    self.counts.saw(Row::FailedBefore);
                    return self.conclude(instance, Verdict::Bad);
                }
                let agent = &mut self.instances[instance];
                if let Some(next) = &mut agent.next {
                    next.gate.confirm(now);
                    next.gate.advance(&mut agent.outbox, now);
                }
                self.set(instance, Stage::Confirming { until: time + CONFIRMATION, is_looked_up: false });
            }
            Stage::Confirming { until, is_looked_up } => self.confirm(instance, until, is_looked_up),
            Stage::Joining(until) if is_due(until) => {
                if self.is_bad(instance, 4) {
                    self.counts.saw(Row::FailedInMove);
                    self.conclude(instance, Verdict::Bad);
                } else if self.may_move(instance) {
                    self.touches(instance);
                    self.exchange(instance);
                } else {
                    self.counts.saw(Row::LeaseOver);
                    self.abandon(instance);
                }
            }
            Stage::LettingGo(until) if is_due(until) => {
                if self.may_move(instance) {
                    self.move_now(instance);
                } else {
                    self.counts.saw(Row::LeaseOver);
                    self.abandon(instance);
                }
            }
            Stage::Moving(until) if is_due(until) => {
                if !self.may_move(instance) {
                    self.counts.saw(Row::LeaseOverInMove);
                }
                if self.is_bad(instance, 4) {
                    self.counts.saw(Row::FailedInMove);
                    let until = time + ms(self.rng.u64(1_000..20_000));
                    self.set(instance, Stage::Returning { until, is_bad: true });
                } else {
                    self.exchange(instance);
                }
            }
            Stage::Baking(until) if is_due(until) => {
                if self.is_bad(instance, 1) {
                    self.counts.saw(Row::FailedInBake);
                    self.go_back(instance, true);
                } else {
                    self.conclude(instance, Verdict::Ok);
                }
            }
            Stage::Returning { until, is_bad } if is_due(until) => {
                if self.plan.traffic == Traffic::Targets {
                    self.exchange_back(instance);
                }
                if is_bad {
                    return self.conclude(instance, Verdict::Bad);
                }
                let agent = &mut self.instances[instance];
                if let Some(mut next) = agent.next.take() {
                    next.gate.retract(now);
                    agent.releases.close(next.gate);
                }
                self.retire(instance);
            }
            Stage::Retiring(until) if is_due(until) => self.set(instance, Stage::Serving),
            _ => {} // it waits
        }
    }

    /// Whether the new container turns out bad at this point: one of so many that are.
    fn is_bad(&mut self, instance: Instance, of: u8) -> bool {
        let Some(next) = &self.instances[instance].next else { return false };
        match self.plan.documents[self.number(&next.release.id)].quality {
            Quality::Good => false,
            Quality::Doubtful => of == 1 && self.rng.u8(..10) == 0,
            Quality::Bad => self.rng.u8(..of) == 0,
        }
    }

    /// Whether the agent takes its lock for held.
    pub(super) fn may_move(&self, instance: Instance) -> bool {
        let now = self.uptime(instance);
        self.instances[instance].next.as_ref().is_some_and(|next| next.gate.is_open(now))
    }

    /// The mark is on its way, or the board is read once more; then the document.
    fn confirm(&mut self, instance: Instance, until: Duration, is_looked_up: bool) {
        let now = self.uptime(instance);
        let may_move = self.may_move(instance);
        let agent = &mut self.instances[instance];
        let Some(next) = &agent.next else { return };
        let (is_refused, is_late) = (next.gate.is_refused(), until <= self.now);
        if is_refused || is_late || !may_move {
            self.counts.saw(match (is_refused, is_late) {
                (true, _) => Row::Refused,
                (false, true) => Row::Late,
                (false, false) => Row::LeaseOver,
            });
            return self.abandon(instance);
        }
        if !next.gate.is_confirmed(now) {
            return;
        }
        if !is_looked_up {
            agent.releases.look_now(now);
            agent.stage = Stage::Confirming { until, is_looked_up: true };
        }
        if !agent.releases.has_looked() {
            return;
        }
        self.begins(instance);
        self.strike(instance);
        let until = self.now + ms(self.rng.u64(100..25_000));
        match self.plan.traffic {
            Traffic::Targets => self.set(instance, Stage::Joining(until)),
            Traffic::Readiness => self.set(instance, Stage::LettingGo(until)),
            Traffic::Restart => self.move_now(instance),
        }
    }

    fn move_now(&mut self, instance: Instance) {
        self.touches(instance);
        let until = self.now + ms(self.rng.u64(100..15_000));
        self.set(instance, Stage::Moving(until));
    }

    /// Traffic has moved: the new container serves.
    fn exchange(&mut self, instance: Instance) {
        let now = self.uptime(instance);
        let agent = &mut self.instances[instance];
        let (Some(next), Some(serving)) = (&agent.next, agent.releases.serving().cloned()) else { return };
        agent.before = Some((agent.serving, serving));
        let (release, config) = (next.release.clone(), next.config.clone());
        let bake = config.release.bake;
        agent.releases.serve(release.clone(), &config, now);
        let number = self.number(&release.id);
        self.instances[instance].serving = number;
        // A bad one shows within the bake.
        let is_bad = self.plan.documents[number].quality == Quality::Bad;
        let bake = if is_bad { bake.mul_f64(self.rng.f64()) } else { bake };
        self.set(instance, Stage::Baking(self.now + bake));
    }

    /// Traffic goes back to the old container.
    fn go_back(&mut self, instance: Instance, is_bad: bool) {
        if self.plan.traffic != Traffic::Targets {
            self.exchange_back(instance);
        }
        let until = self.now + ms(self.rng.u64(1_000..20_000));
        self.set(instance, Stage::Returning { until, is_bad });
    }

    fn exchange_back(&mut self, instance: Instance) {
        let now = self.uptime(instance);
        let agent = &mut self.instances[instance];
        let Some((number, release)) = agent.before.take() else { return };
        agent.releases.serve(release, &self.plan.documents[number].config, now);
        agent.serving = number;
    }

    /// The release is not tried now, without a verdict.
    fn abandon(&mut self, instance: Instance) {
        let now = self.uptime(instance);
        let agent = &mut self.instances[instance];
        if let Some(next) = agent.next.take() {
            agent.releases.put_back(*next, &mut agent.outbox, now);
        }
        self.retire(instance);
    }

    fn conclude(&mut self, instance: Instance, verdict: Verdict) {
        let now = self.uptime(instance);
        let agent = &mut self.instances[instance];
        let Some(next) = agent.next.take() else { return };
        let id = next.release.id.clone();
        let end = ReleaseEnd { verdict, reason: String::new(), output: None, gap: None };
        agent.releases.conclude(next.gate, next.release.id, end, now);
        if verdict == Verdict::Bad {
            let number = self.number(&id);
            self.promises.rolled_back(number, instance);
        }
        self.retire(instance);
    }

    fn retire(&mut self, instance: Instance) {
        self.instances[instance].before = None;
        let most = if self.rng.u8(..8) == 0 { 20_000 } else { 2_000 };
        let until = self.now + ms(self.rng.u64(100..most));
        self.set(instance, Stage::Retiring(until));
    }
}
