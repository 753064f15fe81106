//! What every release must keep: invariant 13, and that a release that nothing disturbs arrives.

use std::time::Duration;

use berth_config::TrafficMove;
use berth_core::message::container::ContainerId;
use berth_core::message::job::Job;
use berth_core::message::release::Verdict;
use berth_core::release::NotedReleases;
use berth_core::view::{PhaseName, Status};

use super::documents::{Document, Published};
use super::engine::Flaw;
use super::plan::RELEASES;
use super::promises::{Broken, serves};
use super::table::{BAD, BY_READINESS, BY_RESTART, BY_TARGETS, GOOD, LEFT, RENEWED, WENT_BACK};
use super::twist::Twist;
use super::world::World;
use crate::sim::secs;

fn is_rollback(twist: &Twist) -> bool {
    matches!(twist, Twist::Publish { what: Published::Back, .. })
}

impl World {
    /// Whether what goes wrong with the app may excuse a promise.
    pub(crate) fn app_is_excused(&self) -> bool {
        self.excuses.app || self.seen.stuck
    }

    /// What the agent would note now.
    fn noted_now(&self) -> Option<NotedReleases> {
        let now = self.agent.as_ref().and_then(|agent| agent.machine.noted_releases());
        now.or_else(|| self.noted_releases.clone())
    }

    /// What serves, as the agent has it.
    fn serving(&self) -> Option<&Document> {
        self.documents.as_ref()?.of(&self.noted_now()?.serving)
    }

    /// The fingerprint of what is to run here.
    pub(crate) fn wants(&self) -> Option<&str> {
        match &self.documents {
            None => Some(&self.fingerprint),
            Some(_) => self.serving().and_then(|one| one.config.as_ref()).map(|(_, fingerprint)| fingerprint.as_str()),
        }
    }

    /// Whether requests are meant for this container, as the agent has it.
    pub(crate) fn is_serving(&self, id: &ContainerId) -> bool {
        self.noted_now().is_some_and(|noted| noted.container.as_ref() == Some(id))
    }

    /// Whether a container may be started while others run: in a release one beside the one that serves, on a port of its own.
    pub(crate) fn may_start(&self, id: &ContainerId, phase: PhaseName) -> bool {
        let port = self.engine.container(id).and_then(|one| one.port());
        let mut others = self.engine.running().filter(|one| one.id != *id).peekable();
        if others.peek().is_none() {
            return true;
        }
        // One that was found beside what serves leaves when the boot is over.
        let may_be_two = phase == PhaseName::Release
            || (phase == PhaseName::Boot && (self.noted_releases.is_some() || self.plan.rotates_beside()));
        let (mut count, mut is_free) = (0, true);
        for other in others {
            count += 1;
            is_free &= port.is_none() || other.port() != port;
        }
        may_be_two && count == 1 && is_free
    }

    /// Whether the output of this container may be read while `/ready` is 200: the other one of a release, or one that failed.
    pub(crate) fn may_be_read(&self, id: &ContainerId, phase: PhaseName) -> bool {
        let one = self.engine.container(id);
        let has_failed = one.is_none_or(|one| one.flaw.is_some() || !self.engine.answers(one, self.now));
        phase == PhaseName::Release && (has_failed || !self.is_serving(id))
    }

    /// After every event.
    pub(crate) fn look_at_releases(&mut self, before: PhaseName, after: PhaseName) {
        if before == after {
            return;
        }
        match (before, after) {
            (PhaseName::Serve, PhaseName::Release) if self.documents.is_none() => self.met(RENEWED),
            (PhaseName::Serve, PhaseName::Release) => self.met(match self.config.traffic_move() {
                TrafficMove::Targets => BY_TARGETS,
                TrafficMove::Readiness | TrafficMove::Auto => BY_READINESS,
                TrafficMove::Restart => BY_RESTART,
            }),
            (PhaseName::Release, PhaseName::Drain) => self.met(LEFT),
            (PhaseName::Release | PhaseName::Boot, PhaseName::Boot) => self.met(WENT_BACK),
            _ => {} // no release
        }
        if self.documents.is_none() {
            return;
        }
        let serves_bad = serves(after) && self.serving().is_some_and(|one| one.flaw.is_some());
        let leaves_bad =
            before == PhaseName::Release && !serves(after) && self.engine.running().any(|one| one.flaw.is_some());
        self.seen.stuck |= serves_bad || leaves_bad;
        if before == PhaseName::Boot && serves(after) && !self.app_is_excused() && !self.excuses.engine {
            let id = self.noted_now().and_then(|noted| noted.container);
            let container = id.and_then(|id| self.engine.container(&id));
            if container.map(|one| &*one.fingerprint) != self.wants() {
                self.breaks(10, "an app of another release is served");
            }
        }
        if before == PhaseName::Boot && serves(after) && self.is_unproven() {
            self.breaks(13, "a new instance serves a release that nobody has proven");
        }
    }

    /// Whether a boot took a release without an `ok`, and the one that the fleet had before is there.
    fn is_unproven(&self) -> bool {
        let (Some(agent), Some(documents), Some(serving)) = (&self.agent, &self.documents, self.serving()) else {
            return false;
        };
        let excused =
            |twist: &Twist| matches!(twist, Twist::Halted { .. } | Twist::Publish { what: Published::Back, .. });
        let excused = self.plan.has(excused) || self.plan.troubles(&RELEASES);
        !agent.knew_releases && !excused && !documents.is_proven(&serving.id)
    }

    /// What a release may take.
    pub(crate) fn release_limit(&self) -> Duration {
        let config = &self.config;
        let (times, engine) = (&config.drain, secs(150));
        let before = config.boot.timeout * 3 + config.release.healthy_for * 2 + engine * 2 + secs(120);
        let moving = config.target_timeout + times.settle + times.timeout + config.stop_timeout + engine;
        let after = config.release.bake + config.target_timeout + config.stop_timeout + engine + config.boot.timeout;
        before + moving + after + times.settle + times.timeout + config.stop_timeout + engine + secs(60)
    }

    /// When the agent orders something.
    pub(crate) fn look_at_release_order(&mut self, ordered: &Job, phase: PhaseName, status: Status) {
        if phase == PhaseName::Release {
            self.look_at_the_move(ordered, status);
        }
        let Some(documents) = &self.documents else { return };
        let trouble = self.app_is_excused() || self.excuses.engine || self.excuses.services || self.excuses.aws;
        match ordered {
            Job::CreateContainer(creation) => {
                let Some(one) = documents.made(&creation.config.fingerprint()) else { return };
                let is_bad = documents.verdicts.get(&one.id) == Some(&Verdict::Bad);
                let is_serving = self.noted_now().is_some_and(|noted| noted.serving == one.id);
                // A boot has no other where the operator went back to it.
                let is_only = phase == PhaseName::Boot && self.plan.has(is_rollback);
                if is_bad && !is_serving && !is_only {
                    self.breaks(13, "a release that failed here is tried again");
                }
            }
            Job::WriteVerdict { release, verdict, reason, .. } => {
                self.met(if *verdict == Verdict::Ok { GOOD } else { BAD });
                let Some(documents) = &self.documents else { return };
                let Some(one) = documents.of(release) else { return };
                let (flaw, is_bad) = (one.flaw, one.is_bad);
                let config = &self.config.release;
                // What fails later may be called good.
                let early = match flaw {
                    Some(Flaw::NeverHealthy) => true,
                    Some(Flaw::Exits(after) | Flaw::Sickens(after)) => after < config.healthy_for,
                    None => false,
                };
                if *verdict == Verdict::Ok && early {
                    self.breaks(13, "a version that is no good is called good");
                }
                if *verdict == Verdict::Bad && !is_bad && !trouble {
                    let reason = format!("a version that is good is called bad: {reason}");
                    self.breaks(13, reason);
                }
            }
            _ => {}
        }
    }

    /// Nothing is taken from what serves before another does.
    fn look_at_the_move(&mut self, ordered: &Job, status: Status) {
        let registers = self.plan.registers();
        if self.config.traffic_move() == TrafficMove::Restart {
            return;
        }
        match ordered {
            Job::DeregisterTarget(target) if !self.app_is_excused() && !self.excuses.engine && !self.excuses.aws => {
                let mut there = self.engine.containers.iter().filter(|one| one.port() == Some(target.port));
                let is_bad = there.any(|one| one.flaw.is_some());
                if status == Status::Ok && !is_bad && !self.balancer.has_another(target.port) {
                    self.breaks(13, format!("port {} leaves before another one is in", target.port));
                }
            }
            Job::StopContainer { id, .. } | Job::RemoveContainer { id, .. } => {
                let Some(one) = self.engine.container(id).filter(|one| one.started.is_some()) else { return };
                let Some(port) = one.port() else { return };
                let has_traffic =
                    if registers { self.balancer.registered().any(|of| of == port) } else { status == Status::Ok };
                let is_bad = one.flaw.is_some();
                if has_traffic && !is_bad && !self.app_is_excused() && !self.excuses.aws && !self.excuses.services {
                    self.breaks(13, format!("{} is stopped while it has traffic", id.0));
                }
            }
            _ => {}
        }
    }

    /// A request failed that was meant for this port.
    pub(crate) fn request_failed(&mut self, port: u16, is_flawed: bool) {
        // On the way back to a container that was stopped there is none for a moment.
        let has_bad = self.plan.has(|twist| matches!(twist, Twist::Publish { what: Published::Bad(_), .. }));
        let gap = match self.config.traffic_move() {
            TrafficMove::Restart => true,
            TrafficMove::Readiness | TrafficMove::Auto => has_bad,
            TrafficMove::Targets => false,
        };
        // What cannot be replaced beside the other is restarted for its secrets.
        let rotates = |twist: &Twist| matches!(twist, Twist::Rotation(_));
        let gap = gap || (!self.plan.rotates_beside() && self.plan.has(rotates));
        let trouble = self.app_is_excused() || self.excuses.engine || self.excuses.aws || self.excuses.services;
        if self.phase() == Some(PhaseName::Release) && !is_flawed && !gap && !trouble && !self.excuses.long {
            self.breaks(100, format!("a request to port {port} fails in a release"));
        }
    }

    /// A life with releases and nothing else ends with the right one.
    pub(crate) fn judge_releases(&self) -> Option<Broken> {
        let documents = self.documents.as_ref()?;
        let published = |twist: &Twist| match twist {
            Twist::Publish { at, what } => Some((*at, *what)),
            _ => None,
        };
        let alone = self.plan.twists.iter().all(|twist| published(twist).is_some() || *twist == Twist::Baked);
        let (last, what) = self.plan.twists.iter().filter_map(published).max_by_key(|(at, _)| *at)?;
        // Each of those before it may still go on.
        let enough = last + secs(330) < self.plan.end;
        if !alone || !enough || self.excuses.long || self.plan.shape.pool.is_some() || self.plan.heals.is_some() {
            return None;
        }
        let serving = self.serving()?;
        let current = documents.current()?;
        let is_right = match what {
            Published::Good => serving.id == current.id,
            // What fails after the bake stays.
            Published::Bad(Flaw::Exits(after) | Flaw::Sickens(after)) => {
                after >= self.config.release.bake || serving.id != current.id
            }
            Published::Bad(Flaw::NeverHealthy) | Published::Invalid => serving.id != current.id,
            Published::Back => current.flaw.is_some() || current.config.is_none() || serving.id == current.id,
        };
        let what = format!("{what:?} was published last, and the release {} serves at the end", serving.id);
        (!is_right).then_some(Broken { promise: 13, what })
    }
}
