//! One instance: the agent's own follower, choice and gate, and around them the least of the rest: a boot, a container that serves, and
//! what becomes of it.

use std::time::Duration;

use berth_core::clock::Uptime;
use berth_core::message::event::Event;
use berth_core::message::input::Input;
use berth_core::message::release::Release;
use berth_core::outbox::Outbox;
use berth_core::release::choice::{Choice, Chosen};
use berth_core::release::{Next, NotedReleases, Releases};

use super::Flaw;
use super::board::Instance;
use super::counts::Row;
use super::plan::{Mishap, Quality};
use super::promises::Boot;
use super::world::{Fleet, Happens};
use crate::sim::{ms, secs};

/// So many instances take the place of those that are gone.
const REPLACED: u32 = 6;

/// An instance, and the agent that runs on it.
pub(super) struct Agent {
    pub(super) id: String,
    pub(super) outbox: Outbox,
    pub(super) releases: Releases,
    choice: Option<Choice>,
    boot: Option<Boot>,
    pub(super) stage: Stage,
    /// The release that it is at.
    pub(super) next: Option<Box<Next>>,
    /// Which document serves, and which did before a move.
    pub(super) serving: usize,
    pub(super) before: Option<(usize, Release)>,
    /// What it left for the agent after it.
    noted: Option<NotedReleases>,
    /// The agents of this instance so far: what an earlier one asked is answered to nobody.
    pub(super) epoch: u32,
    /// When it is woken next, if that is planned.
    pub(super) wakes_at: Option<Duration>,
    pub(super) frozen_until: Duration,
    /// For so long its clock stood still.
    slept: Duration,
    pub(super) cut_until: Duration,
    /// When S3 had answered the board and the followed document that it read last.
    pub(super) read_at: Duration,
    pub(super) followed_at: Duration,
}

/// Where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// No agent runs.
    Down,
    /// It chooses what to run.
    Booting,
    /// Its container starts.
    Starting(Duration),
    Serving,
    /// The new container proves itself beside the old one.
    Proving(Duration),
    /// The board is to know of it.
    Confirming {
        until: Duration,
        is_looked_up: bool,
    },
    /// `targets`: both are registered.
    Joining(Duration),
    /// `readiness`: load balancers let go.
    LettingGo(Duration),
    /// The new container takes the place of the old one.
    Moving(Duration),
    Baking(Duration),
    /// Traffic goes back, since the release is bad, or not wanted any more.
    Returning {
        until: Duration,
        is_bad: bool,
    },
    /// The container that lost serves what it has.
    Retiring(Duration),
    /// A notice ended everything else.
    Leaving(Duration),
    Gone,
}

impl Stage {
    /// Whether the instance is out of its place for the release.
    pub(super) fn is_move(self) -> bool {
        matches!(self, Self::Joining(_) | Self::LettingGo(_) | Self::Moving(_))
    }

    /// Whether nothing was touched yet.
    pub(super) fn is_untouched(self) -> bool {
        matches!(self, Self::Proving(_) | Self::Confirming { .. } | Self::Joining(_) | Self::LettingGo(_))
    }

    fn until(self) -> Option<Duration> {
        match self {
            Self::Starting(until) | Self::Proving(until) | Self::Joining(until) | Self::LettingGo(until) => Some(until),
            Self::Moving(until) | Self::Baking(until) | Self::Retiring(until) | Self::Leaving(until) => Some(until),
            Self::Confirming { until, .. } | Self::Returning { until, .. } => Some(until),
            Self::Down | Self::Booting | Self::Serving | Self::Gone => None,
        }
    }
}

impl Agent {
    fn new(id: String, seed: u64) -> Self {
        Self {
            id,
            outbox: Outbox::new(seed),
            releases: Releases::default(),
            choice: None,
            boot: None,
            stage: Stage::Down,
            next: None,
            serving: 0,
            before: None,
            noted: None,
            epoch: 0,
            wakes_at: None,
            frozen_until: Duration::ZERO,
            slept: Duration::ZERO,
            cut_until: Duration::ZERO,
            read_at: Duration::ZERO,
            followed_at: Duration::ZERO,
        }
    }

    /// When it wants to be woken.
    pub(super) fn wake(&self) -> Option<Duration> {
        let releases = match self.stage {
            Stage::Down | Stage::Gone => return None,
            Stage::Booting => self.choice.as_ref().and_then(|choice| choice.step().wake()),
            _ => self.releases.wake(),
        };
        let next = self.next.as_ref().and_then(|next| next.gate.wake());
        releases.into_iter().chain(next).map(|at| at.0 + self.slept).chain(self.stage.until()).min()
    }
}

impl Fleet {
    /// An instance that serves this release, from before the world begins.
    pub(super) fn adopt(&mut self, release: usize) {
        let instance = self.add();
        let noted = NotedReleases {
            instance_id: self.instances[instance].id.clone(),
            serving: self.plan.documents[release].id.clone(),
            container: None,
            failed: Vec::new(),
            pulled: Vec::new(),
            before: None,
        };
        self.instances[instance].noted = Some(noted);
        self.instances[instance].serving = release;
        let at = ms(self.rng.u64(0..5_000));
        self.plan(at, Happens::Starts(instance, 0));
    }

    fn add(&mut self) -> Instance {
        let instance = self.instances.len();
        let seed = self.rng.u64(..);
        self.instances.push(Agent::new(format!("i-{instance:017x}"), seed));
        instance
    }

    /// A new instance is launched.
    pub(super) fn launch(&mut self) {
        let instance = self.add();
        let at = self.now + ms(self.rng.u64(1_000..40_000));
        self.plan(at, Happens::Starts(instance, 0));
    }

    /// The agent starts. It has read the document.
    pub(super) fn start(&mut self, instance: Instance) {
        let now = self.uptime(instance);
        let config = self.plan.documents[self.followed.release].config.clone();
        let newest = Chosen { config, release: self.followed_release() };
        let agent = &mut self.instances[instance];
        let choice = Choice::begin(newest, agent.noted.as_ref(), now);
        if let Some(noted) = &agent.noted {
            agent.releases.remember(noted);
        }
        agent.choice = Some(choice);
        agent.boot = agent.noted.is_none().then_some(Boot { began: self.now, followed: self.followed });
        self.set(instance, Stage::Booting);
        self.input(instance, &Input::Event(Event::Woke));
    }

    /// The time as its agent has it: CLOCK_BOOTTIME goes on while the process stands still.
    pub(super) fn uptime(&self, instance: Instance) -> Uptime {
        Uptime(self.now.saturating_sub(self.instances[instance].slept))
    }

    /// What every agent does with an input.
    pub(super) fn on(&mut self, instance: Instance, input: &Input) {
        let now = self.uptime(instance);
        match self.instances[instance].stage {
            Stage::Down | Stage::Gone => {}
            Stage::Booting => self.choose(instance, input),
            Stage::Starting(until) if until <= self.now => self.started(instance),
            Stage::Starting(_) => {}
            Stage::Leaving(until) => {
                let agent = &mut self.instances[instance];
                agent.releases.on(input, &mut agent.outbox, now);
                if until <= self.now {
                    self.go(instance);
                }
            }
            _ => self.serve(instance, input),
        }
    }

    fn choose(&mut self, instance: Instance, input: &Input) {
        let now = self.uptime(instance);
        let agent = &mut self.instances[instance];
        let Some(choice) = &mut agent.choice else { return };
        choice.on(input, &mut agent.outbox, now).expect("no call of a choice is refused");
        choice.advance(&mut agent.outbox, now);
        let Some(Chosen { config, release }) = choice.chosen().cloned() else { return };
        let newest = choice.newest().clone();
        agent.choice = None;
        let boot = agent.boot.take();
        let number = self.plan.documents.iter().position(|document| document.id == release.id).unwrap_or_default();
        if let Some(boot) = boot {
            self.booted(instance, number, boot);
        }
        let wait = if boot.is_some() { ms(self.rng.u64(4_000..60_000)) } else { ms(self.rng.u64(100..3_000)) };
        let agent = &mut self.instances[instance];
        agent.serving = number;
        agent.releases.choose(release, newest, &config, now);
        self.set(instance, Stage::Starting(self.now + wait));
    }

    /// Its container is healthy, or not.
    fn started(&mut self, instance: Instance) {
        let now = self.uptime(instance);
        let agent = &mut self.instances[instance];
        let document = &self.plan.documents[agent.serving];
        if document.quality == Quality::Bad {
            self.counts.saw(Row::BootedBad);
            return self.give_up(instance);
        }
        agent.releases.begin(&document.config, &agent.id, &mut agent.outbox, now);
        agent.noted = agent.releases.noted(&agent.id, None);
        self.set(instance, Stage::Serving);
    }

    pub(super) fn set(&mut self, instance: Instance, stage: Stage) {
        self.changed = self.now;
        let agent = &mut self.instances[instance];
        let before = std::mem::replace(&mut agent.stage, stage);
        let serving = agent.serving;
        self.note(|| format!("{instance} serves {serving}: {stage:?}"));
        if before.is_move() && !stage.is_move() {
            self.promises.ends_move(instance);
        }
    }

    /// The instance is gone.
    fn go(&mut self, instance: Instance) {
        let agent = &mut self.instances[instance];
        (agent.next, agent.before) = (None, None);
        agent.epoch += 1;
        self.set(instance, Stage::Gone);
    }

    /// The instance is given up, and the group launches another one.
    fn give_up(&mut self, instance: Instance) {
        self.go(instance);
        if self.replaced < REPLACED {
            self.replaced += 1;
            self.launch();
        }
    }

    /// Something happens to an instance.
    pub(super) fn mishap(&mut self, instance: Instance, mishap: Mishap) {
        self.note(|| format!("{instance} {mishap:?}"));
        let agent = &mut self.instances[instance];
        let stage = agent.stage;
        if matches!(stage, Stage::Down | Stage::Gone) {
            return;
        }
        let is_in_release = agent.next.is_some();
        let mut saw = |row: Row| {
            if is_in_release {
                self.counts.saw(row);
            }
        };
        match mishap {
            Mishap::Freeze(seconds) => {
                saw(Row::Frozen);
                let until = self.now + secs(seconds.into());
                if self.flaw == Some(Flaw::ClockStandsStill) {
                    agent.slept += until.saturating_sub(agent.frozen_until.max(self.now));
                }
                agent.frozen_until = agent.frozen_until.max(until);
            }
            Mishap::Cut(seconds) => {
                saw(Row::Cut);
                agent.cut_until = self.now + secs(seconds.into());
            }
            Mishap::Vanish => {
                saw(Row::Vanished);
                self.give_up(instance);
            }
            Mishap::Leave => {
                saw(Row::Left);
                self.leave(instance);
            }
            Mishap::Reboot => {
                self.counts.saw(Row::Rebooted);
                self.crash(instance, true);
            }
            Mishap::Crash => {
                self.counts.saw(match stage {
                    Stage::Baking(_) => Row::CrashedInBake,
                    Stage::Moving(_) => Row::CrashedInMove,
                    _ if stage.is_untouched() => Row::CrashedBefore,
                    _ => Row::CrashedServing,
                });
                self.crash(instance, false);
            }
        }
    }

    /// The agent is killed. The one after it finds what it noted, unless the instance is started again as well.
    fn crash(&mut self, instance: Instance, is_reboot: bool) {
        if is_reboot {
            self.forgets(instance);
        }
        let seed = self.rng.u64(..);
        let agent = &mut self.instances[instance];
        if is_reboot {
            agent.noted = None;
        } else if !matches!(agent.stage, Stage::Booting | Stage::Starting(_) | Stage::Leaving(_)) {
            agent.noted = agent.releases.noted(&agent.id, None);
        }
        (agent.outbox, agent.releases) = (Outbox::new(seed), Releases::default());
        (agent.choice, agent.next, agent.before, agent.wakes_at) = (None, None, None, None);
        agent.frozen_until = Duration::ZERO;
        agent.epoch += 1;
        let epoch = agent.epoch;
        self.set(instance, Stage::Down);
        let wait = if is_reboot { ms(self.rng.u64(20_000..120_000)) } else { ms(self.rng.u64(200..90_000)) };
        self.plan(self.now + wait, Happens::Starts(instance, epoch));
    }

    /// A notice ends what it is at: both containers stop.
    fn leave(&mut self, instance: Instance) {
        let now = self.uptime(instance);
        let agent = &mut self.instances[instance];
        if matches!(agent.stage, Stage::Booting | Stage::Starting(_)) {
            return self.go(instance);
        }
        if let Some(mut next) = agent.next.take() {
            if agent.stage.is_untouched() {
                next.gate.give_up(&mut agent.outbox, now);
            } else {
                next.gate.retract(now);
                next.gate.advance(&mut agent.outbox, now);
            }
            agent.releases.close(next.gate);
        }
        agent.releases.leave(&mut agent.outbox, now);
        let until = self.now + ms(self.rng.u64(5_000..60_000));
        self.set(instance, Stage::Leaving(until));
        self.input(instance, &Input::Event(Event::Woke));
    }
}
