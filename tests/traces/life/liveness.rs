//! Liveness: after a random time of faults everything is healed, and the life must get on. Within its bound it serves, waits in the
//! pool with its hook completed, is held for a person, or is gone.
//!
//! | what is seen once it is healed | what must follow | within |
//! |---|---|---|
//! | no agent | the next one starts | `RestartSec=`, or the operating system's boot |
//! | boot | serve, warm, hold, or failing | the slowest answer that is still on its way, one wait of the backoff, a usual boot, the app's start |
//! | serve, not ready or its launch hook not completed | ready and completed | the same, and one wait of `restart.backoff_max`; with target groups the deregistration delay as well |
//! | warm, its launch hook not completed | completed | the slowest answer and one wait |
//! | any of these, and the group terminates the instance | drain | the same; 300 s more where the group has to be asked what its word means |
//! | failing | gone | `stop_timeout` and the time for the report to the group |
//! | drain | gone or warm | `drain.settle`, `drain.timeout`, twice `stop_timeout`, and the time for which a completion is tried |
//!
//! A boot that a deadline or a lasting refusal of the time before ends may fail. 160 s after the healing no fault excuses a promise of a
//! life that got on any more. Its app then crashes once, and in the end the group, or systemd, ends it: it must serve again, and leave in time.

use std::time::Duration;

use berth_core::message::error::{ErrorClass, JobError};
use berth_core::message::event::Event;
use berth_core::message::identity::TargetState;
use berth_core::message::job::JobKind;
use berth_core::view::{PhaseName, Status};

use super::agent::Agent;
use super::engine::Asker;
use super::group::Which;
use super::plan::{Plan, Roll};
use super::promises::LIVENESS;
use super::systemd::State;
use super::twist::Twist;
use super::world::{Due, World};
use crate::sim::{ms, secs};

/// From the healing to the moment at which a life that got on has no excuse any more, and its app crashes: longer than any answer that is
/// on its way, with the waits after it.
pub(crate) const CHECK_UP: Duration = Duration::from_secs(160);

/// From the healing to the end of the plan.
const END: Duration = Duration::from_secs(300);

/// The slowest answer: a pull without progress is cut after a minute, and a late answer takes 20 s more than a usual one.
const IN_FLIGHT: Duration = Duration::from_secs(65);

/// The longest wait before another attempt.
const WAIT: Duration = Duration::from_secs(21);

/// A boot in which nothing goes wrong takes less.
const USUAL: Duration = Duration::from_secs(20);

/// How a life gets on after the healing.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    healed: Option<Duration>,
    /// What is seen, since when, and by when something else must be.
    seen: Option<(Where, Duration)>,
    /// Whether it got on, and what was reached.
    pub(crate) reached: u8,
}

/// What a life can be seen at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Where {
    agent: Option<(u32, PhaseName)>,
    on: bool,
}

/// What a life can come to, each a bit of `Progress::reached`.
pub(crate) const ENDS: [&str; 5] = ["served", "in the pool", "held", "served after a crash", "gone"];
const SERVED: u8 = 0;
const POOLED: u8 = 1;
const HELD: u8 = 2;
const SERVED_AGAIN: u8 = 3;
const GONE: u8 = 4;

impl Progress {
    pub(crate) fn healed(&self) -> bool {
        self.healed.is_some()
    }

    /// The life is over.
    pub(crate) fn end(&mut self) {
        if self.healed() {
            self.reach(GONE);
        }
    }

    fn reach(&mut self, end: u8) {
        self.reached |= 1 << end;
    }
}

impl Plan {
    /// The plan of a seed, with more faults, all of them before one moment.
    pub(crate) fn healing(seed: u64) -> Self {
        let mut plan = Self::new(seed);
        let mut rng = plan.roll(Roll::Heals, 0);
        let heals = secs(rng.u64(5..200));
        plan.twists.extend((0..rng.usize(1..6)).map(|_| Twist::any(&mut rng, heals)));
        for twist in &mut plan.twists {
            twist.end_by(heals);
        }
        plan.heals = Some(heals);
        plan.end = heals + END;
        plan
    }
}

impl Twist {
    /// It is over at that moment at the latest.
    fn end_by(&mut self, heals: Duration) {
        let latest = heals - ms(1);
        let at = self.moment().map_or(Duration::ZERO, |at| {
            *at = ms(u64::try_from(at.as_millis() % latest.as_millis()).unwrap_or_default());
            *at
        });
        if let Some(lasts) = self.length() {
            *lasts = (*lasts).min(latest - at);
        }
    }
}

impl World {
    /// Nothing goes wrong from here on.
    pub(crate) fn heal(&mut self) {
        self.note("world", || "everything is healed".to_owned());
        self.progress.healed = Some(self.now);
        self.engine.heal(self.plan.shape.app_ready_in, self.now);
        if let Some(documents) = &mut self.documents {
            documents.heal();
        }
    }

    /// What hangs is given up by its adapter before everything is healed.
    pub(crate) fn end_hang(&mut self, asker: Asker, job: JobKind) {
        if let Some(heals) = self.plan.heals {
            let error = JobError::new(ErrorClass::Transient, "timed out");
            self.schedule(heals.max(self.now), Due::Answer(asker, Event::Failed(job, error)));
        }
    }

    /// The app of a life that got on crashes, if nothing before counts against `restart.limit`.
    pub(crate) fn check_up(&mut self) {
        // A refusal of the time before is remembered, and counts once the hook waits.
        if self.gets_on() && self.phase() != Some(PhaseName::Hold) && !self.seen.hook_refused {
            self.excuses.heal();
        }
        // A version that crashes in its bake is a bad one.
        let is_ready = |agent: &Agent| {
            let serves = agent.status == Status::Ok && agent.machine.phase() == PhaseName::Serve;
            serves && agent.machine.view().restarts == 0
        };
        let serves = self.agent.as_ref().is_some_and(is_ready);
        if serves && !self.seen.has_crashed() {
            self.note("world", || "the app crashes".to_owned());
            self.progress.reach(SERVED);
            self.engine.crash(self.now);
        }
    }

    /// After everything that happens.
    pub(crate) fn look_at_progress(&mut self) {
        if !self.progress.healed() || self.broken.is_some() {
            return;
        }
        let agent = self.agent.as_ref().map(|one| (one.number, one.machine.phase()));
        let on = self.gets_on();
        let here = Where { agent, on };
        match self.progress.seen {
            Some((seen, by)) if seen == here => {
                if !on && self.now > by {
                    let phase = agent.map_or("no agent", |(_, phase)| phase.word());
                    self.breaks(LIVENESS, format!("healed, and still the same: {phase}"));
                }
            }
            _ => {
                self.progress.seen = Some((here, self.now + self.bound()));
                if on {
                    self.count_progress();
                }
            }
        }
    }

    fn count_progress(&mut self) {
        let reached = match self.phase() {
            Some(PhaseName::Serve | PhaseName::Release) if self.progress.reached & 1 << SERVED != 0 => SERVED_AGAIN,
            Some(PhaseName::Serve | PhaseName::Release) => SERVED,
            Some(PhaseName::Hold) => HELD,
            Some(PhaseName::Warm) => POOLED,
            _ => return,
        };
        self.progress.reach(reached);
    }

    /// Whether the agent has nothing left to do.
    fn gets_on(&self) -> bool {
        // A drain leaves the launch hook to the group, and so does a completion that was refused permanently: the hook then times out.
        let left = |since| self.seen.leaves(since) || self.seen.hook_refused || self.pool_is_unseen();
        let launches = self.group.waiting().is_some_and(|(which, since)| which == Which::Launch && !left(since));
        match &self.agent {
            None => !matches!(self.systemd.state, State::Starting(_)),
            Some(agent) => match agent.machine.phase() {
                PhaseName::Serve => {
                    matches!(agent.status, Status::Ok | Status::Standby) && !launches && !self.is_taken()
                }
                PhaseName::Warm => !launches && !self.is_taken(),
                PhaseName::Hold => !self.is_taken(),
                PhaseName::Gone => true,
                PhaseName::Boot | PhaseName::Release | PhaseName::Drain | PhaseName::Failing => false,
            },
        }
    }

    /// Whether the instance was in the pool without a word of it in the metadata. This agent serves, and the second launch hook times out.
    fn pool_is_unseen(&self) -> bool {
        let (Some(agent), Some((since, Some(taken)))) = (&self.agent, self.group.pooled) else { return false };
        agent.started < taken && self.seen.pool_shown.is_none_or(|shown| shown < since)
    }

    pub(crate) fn note_pool(&mut self, target: Option<&TargetState>) {
        if target.is_some_and(TargetState::is_in_pool) {
            self.seen.pool_shown = Some(self.now);
        }
    }

    /// Whether the group terminates the instance, or replaces only its root volume.
    fn is_taken(&self) -> bool {
        let target = self.group.target();
        self.group.is_replacing() || matches!(target, Some(TargetState::Terminated | TargetState::WarmedTerminated))
    }

    /// How long what is seen may last.
    fn bound(&self) -> Duration {
        let (shape, config) = (&self.plan.shape, &self.config);
        // A word that says too little is asked about a dozen times, and then every five minutes.
        let unclear = if self.group.is_replacing() { secs(300) } else { Duration::ZERO };
        // A target that was deregistered is registered again when its delay is over.
        let delay = if self.plan.registers() { shape.deregistration } else { Duration::ZERO };
        let app = shape.app_ready_in + config.probe.running_for + config.probe.interval * config.probe.healthy;
        let boot = IN_FLIGHT + WAIT + USUAL + app;
        match self.phase() {
            None => shape.os_boots_in.max(secs(1)) + ms(100),
            Some(PhaseName::Boot) => boot,
            Some(PhaseName::Serve) => boot + config.restart.backoff_max + unclear + delay,
            Some(PhaseName::Release) => self.release_limit(),
            Some(PhaseName::Failing) => config.stop_timeout + secs(130),
            Some(PhaseName::Drain) => self.drain_limit(),
            Some(PhaseName::Warm | PhaseName::Hold) => IN_FLIGHT + WAIT + secs(10) + unclear,
            Some(PhaseName::Gone) => Duration::MAX / 1000,
        }
    }
}
