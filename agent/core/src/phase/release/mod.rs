//! Release: the next version takes the place of the one that serves. Until traffic moves, nothing that serves is touched.
//!
//! ```text
//!   targets     fetch ▶ ports ▶ create ▶ prove ▶ join (both registered) ▶ bake ▶ retire the old
//!   readiness   fetch ▶ create unpublished ▶ prove ▶ remove ▶ fetch ▶ create ▶ 503, let go ▶ stop the old ▶ start ▶ bake ▶ remove the old
//!   restart     fetch ▶ create ▶ stop the old ▶ start ▶ bake ▶ remove the old
//! ```
//! A failure before the move removes the new container. Within the bake traffic goes back: to the old container, which is still there
//! (`targets`: it is registered again and still runs; else it is started again). A notice to leave ends the release at any point: the
//! drain stops both containers (invariant 7). At most one of them takes new traffic, and what failed is not tried again (invariant 13).

use std::sync::Arc;
use std::time::Duration;

use berth_config::{Config, PinnedImage, TrafficMove};

use crate::app::{App, News};
use crate::clock::Uptime;
use crate::message::command::Command;
use crate::message::container::{ContainerId, ImageFacts};
use crate::message::input::Input;
use crate::message::job::Job;
use crate::message::outcome::Outcome;
use crate::message::release::{Release, Verdict};
use crate::outbox::Outbox;
use crate::phase::failing::Failure;
use crate::phase::past::Past;
use crate::phase::serve::{Serve, ServeNext};
use crate::release::Next;
use crate::step::Step;
use crate::targets::HostPorts;

use stage::{Fetch, Return, ReturnEnd, SwapStage};

mod back;
mod creating;
mod forward;
mod moving;
mod retire;
mod show;
mod stage;
mod verdict;

/// For the engine beyond the app's own times.
const ENGINE: Duration = Duration::from_secs(150);
/// For the board to be written and read before traffic moves. After that the lock is given back, and it begins again.
const CONFIRMATION: Duration = Duration::from_secs(120);

/// The next version takes the place of the one that serves.
#[derive(Clone, Debug)]
pub struct Swap {
    /// What serves.
    pub serve: Serve,
    cause: SwapCause,
    traffic: TrafficMove,
    /// Why it goes by `restart` although the config says otherwise.
    restarts_for: Option<String>,
    /// The config of the new container.
    config: Arc<Config>,
    image: PinnedImage,
    facts: Option<ImageFacts>,
    ports: HostPorts,
    stage: SwapStage,
    /// When it has to be at the next stage at the latest.
    until: Uptime,
    /// The container beside the one that serves: the new one, and after the move the old one.
    other: Option<App>,
    /// A new container that was created and is not started yet.
    created: Option<ContainerId>,
    /// What served before, once traffic has moved.
    before: Option<Before>,
    /// Since when the app is asked for the last time in its bake.
    last_look: Option<Uptime>,
    /// Since when no container takes requests, and until when none did.
    gap: Option<(Uptime, Option<Uptime>)>,
    /// Why the release is bad: the verdict waits for what the new container wrote last.
    bad: Option<String>,
}

/// Why a container is replaced.
#[derive(Clone, Debug)]
enum SwapCause {
    Release(Box<Next>),
    /// Its secrets were rotated.
    Secrets,
    /// An agent before this one was killed in a release: only the end of it is left.
    Rest,
}

#[derive(Clone, Debug)]
struct Before {
    config: Arc<Config>,
    image: Option<PinnedImage>,
    release: Option<Release>,
}

/// Where a release goes after an event.
#[derive(Debug)]
pub enum SwapNext {
    /// On with it.
    Stay,
    /// It is over, good or bad.
    Serve,
    /// What serves is no good, and an agent before this one moved traffic to it: a boot takes it back. Why.
    Back(String),
    /// The instance is given up, and why.
    Fail(Failure),
}

impl Swap {
    /// Begins: the gate of the release is open.
    pub fn begin(mut serve: Box<Serve>, next: Next, outbox: &mut Outbox, now: Uptime) -> Result<Self, Box<Serve>> {
        let Some((image, facts)) = next.preparation.ready().map(|(image, facts)| (image.clone(), facts.clone())) else {
            return Err(serve);
        };
        serve.begin_replacing(outbox, now);
        let (config, restarts_for) = (next.config.clone(), next.preparation.restarts_for().map(str::to_owned));
        let traffic = if restarts_for.is_some() { TrafficMove::Restart } else { config.traffic_move() };
        if let Some(reason) = &restarts_for {
            outbox.command(Command::Remark(format!("release {} goes by restart: {reason}", next.release.id)));
        }
        let cause = SwapCause::Release(Box::new(next));
        let mut swap = Self::new(*serve, cause, traffic, config, image, Some(facts));
        if traffic != TrafficMove::Targets {
            // Those of the old one, which it leaves: load balancers know them.
            swap.ports = swap.serve.app().ports().clone();
        }
        Ok(Self { restarts_for, ..swap }.started(outbox, now))
    }

    /// Begins for secrets that were rotated: the same version, with the new values.
    pub fn renew(mut serve: Box<Serve>, outbox: &mut Outbox, now: Uptime) -> Result<Self, Box<Serve>> {
        let Some(image) = serve.past.image.clone() else { return Err(serve) };
        serve.begin_replacing(outbox, now);
        let (config, traffic) = (serve.past.config.clone(), TrafficMove::Targets);
        Ok(Self::new(*serve, SwapCause::Secrets, traffic, config, image, None).started(outbox, now))
    }

    /// Goes on with what an agent before this one left: the bake, while what serves is on trial, and another container, which takes no new
    /// traffic any more.
    pub fn rest(mut serve: Serve, other: Option<App>, outbox: &mut Outbox, now: Uptime) -> Self {
        serve.begin_replacing(outbox, now);
        let config = serve.past.config.clone();
        let image = serve
            .past
            .image
            .clone()
            .unwrap_or_else(|| PinnedImage { repository: String::new(), digest: String::new() });
        let mut swap = Self::new(serve, SwapCause::Rest, TrafficMove::Auto, config, image, None);
        swap.other = other;
        if swap.serve.past.releases.are_on_trial() {
            swap.until = now + swap.config.release.bake;
            swap.stage = SwapStage::Baking;
        } else {
            swap.retire(outbox, now);
        }
        swap
    }

    fn new(
        serve: Serve,
        cause: SwapCause,
        traffic: TrafficMove,
        config: Arc<Config>,
        image: PinnedImage,
        facts: Option<ImageFacts>,
    ) -> Self {
        Self {
            serve,
            cause,
            traffic,
            restarts_for: None,
            config,
            image,
            facts,
            ports: HostPorts::new(),
            stage: SwapStage::Done,
            until: Uptime::ZERO,
            other: None,
            created: None,
            before: None,
            last_look: None,
            gap: None,
            bad: None,
        }
    }

    /// Takes an input.
    pub fn on(&mut self, input: &Input, outbox: &mut Outbox, now: Uptime) -> SwapNext {
        if let ServeNext::Fail(failure) = self.serve.on(input, outbox, now) {
            // A hook that can never be completed, or a load balancer, says nothing of the release.
            if failure.outcome != Outcome::AppFailed {
                return SwapNext::Fail(failure);
            }
            // On the way back the old one serves.
            let goes_back =
                matches!(self.stage, SwapStage::Returning(_)) && self.other.as_ref().is_some_and(App::is_up);
            if self.is_resumed() {
                return SwapNext::Back(failure.reason);
            }
            if !goes_back && !self.can_go_back() {
                return SwapNext::Fail(failure);
            }
            self.fail(failure.reason, outbox, now);
        }
        if let SwapCause::Release(next) = &mut self.cause {
            next.gate.on(input, outbox, now);
            next.gate.advance(outbox, now);
        }
        if let Some(other) = &mut self.other
            && let News::Lost(reason) = other.on(input, outbox, now)
        {
            self.lost_other(&reason, outbox, now);
        }
        self.take(input, outbox, now);
        self.follow(outbox, now);
        if self.is_resumed() && self.serve.app().stays_unhealthy(now) {
            return SwapNext::Back(self.serve.app().reason().to_owned());
        }
        self.settle_verdict(now);
        self.advance(outbox, now);
        if matches!(self.stage, SwapStage::Done) { SwapNext::Serve } else { SwapNext::Stay }
    }

    /// Whether the bake is one that an agent before this one began.
    fn is_resumed(&self) -> bool {
        matches!((&self.cause, &self.stage), (SwapCause::Rest, SwapStage::Baking)) && self.before.is_none()
    }

    /// The document may have moved on meanwhile.
    fn follow(&mut self, outbox: &mut Outbox, now: Uptime) {
        let SwapCause::Release(next) = &self.cause else { return };
        let wanted = self.serve.past.releases.wanted();
        if wanted.is_none_or(|wanted| *wanted == next.release.id) {
            return;
        }
        match &self.before {
            None if matches!(self.stage, SwapStage::Pausing | SwapStage::Arriving) => {
                let reason = "the document has another release".to_owned();
                self.go_back(Return { reason, end: ReturnEnd::Unwanted }, outbox, now);
            }
            None => self.abandon("the document has another release", outbox, now),
            Some(before) if before.release.as_ref().map(|release| &release.id) == wanted => {
                if matches!(self.stage, SwapStage::Baking) {
                    let reason = "the document went back to the release before".to_owned();
                    self.go_back(Return { reason, end: ReturnEnd::Unwanted }, outbox, now);
                }
            }
            Some(_) => {} // it goes on to the end, and the next one follows
        }
    }

    /// Whether the lock is still held.
    fn may_move(&self, now: Uptime) -> bool {
        match &self.cause {
            SwapCause::Release(next) => next.gate.is_open(now),
            SwapCause::Secrets | SwapCause::Rest => true,
        }
    }

    /// All that touches nothing is done: the board learns that this instance begins, and is read once more.
    fn confirm(&mut self, now: Uptime) {
        if let SwapCause::Release(next) = &mut self.cause {
            next.gate.confirm(now);
        }
        self.until = now + CONFIRMATION;
        self.stage = SwapStage::Confirming { is_looked_up: false };
    }

    /// Whether traffic may move now. The last look at the document comes after the mark.
    fn is_confirmed(&mut self, now: Uptime) -> bool {
        let SwapCause::Release(next) = &self.cause else { return true };
        let SwapStage::Confirming { is_looked_up } = &mut self.stage else { return false };
        if !next.gate.is_confirmed(now) {
            return false;
        }
        if !std::mem::replace(is_looked_up, true) {
            self.serve.past.releases.look_now(now);
        }
        self.serve.past.releases.has_looked()
    }

    /// Whether the release has begun to touch what serves.
    fn is_untouched(&self) -> bool {
        self.before.is_none()
            && matches!(
                self.stage,
                SwapStage::Fetching(_)
                    | SwapStage::Choosing
                    | SwapStage::Creating(_)
                    | SwapStage::Proving { .. }
                    | SwapStage::Clearing(_)
                    | SwapStage::Confirming { .. }
                    | SwapStage::Joining
                    | SwapStage::LettingGo { .. }
            )
    }

    /// The group put the instance on standby, or took it back.
    pub fn set_standby(&mut self, standby: bool, outbox: &mut Outbox, now: Uptime) {
        if standby && self.is_untouched() {
            self.abandon("the group put the instance on standby", outbox, now);
        }
        self.serve.set_standby(standby, outbox, now);
        self.advance(outbox, now);
    }

    /// When it wants to be woken.
    pub fn wake(&self) -> Option<Uptime> {
        let gate = match &self.cause {
            SwapCause::Release(next) => next.gate.wake(),
            SwapCause::Secrets | SwapCause::Rest => None,
        };
        let other = self.other.as_ref().and_then(App::wake);
        let stage = match &self.stage {
            SwapStage::Fetching(fetch) => {
                let Fetch { secrets, paths, image } = fetch.as_ref();
                [secrets, paths, image].into_iter().filter_map(Step::wake).min()
            }
            SwapStage::Creating(step) => step.wake(),
            SwapStage::Clearing(step) | SwapStage::Removing(step) | SwapStage::Reviving { stop: step, .. } => {
                step.wake()
            }
            SwapStage::Proving { since, is_asked } => {
                since.filter(|_| !is_asked).map(|since| since + self.config.release.healthy_for)
            }
            SwapStage::LettingGo { connections, settled, .. } => Some(connections.wake().max(*settled)),
            SwapStage::Retiring { connections, .. } => Some(connections.wake()),
            SwapStage::Choosing
            | SwapStage::Confirming { .. }
            | SwapStage::Joining
            | SwapStage::Pausing
            | SwapStage::Arriving
            | SwapStage::Baking
            | SwapStage::Returning(_)
            | SwapStage::Recovering(_)
            | SwapStage::Done => None,
        };
        [self.serve.wake(), gate, other, stage, Some(self.until)].into_iter().flatten().min()
    }

    /// Ends the phase without a notice: the release is over.
    pub fn into_serve(mut self) -> Serve {
        self.serve.end_replacing();
        self.serve
    }

    /// Hands over to the next phase, at any point: both containers.
    pub fn leave(mut self, outbox: &mut Outbox, now: Uptime) -> Past {
        match &mut self.stage {
            SwapStage::Fetching(fetch) => fetch.cancel(outbox),
            SwapStage::Creating(step) => step.cancel(outbox),
            SwapStage::Clearing(step) | SwapStage::Removing(step) | SwapStage::Reviving { stop: step, .. } => {
                step.cancel(outbox);
            }
            SwapStage::LettingGo { connections, .. } | SwapStage::Retiring { connections, .. } => {
                connections.cancel(outbox)
            }
            _ => {} // nothing is under way
        }
        let is_creating = matches!(self.stage, SwapStage::Creating(_));
        outbox.emit(Job::WipeSecrets);
        // Nobody waits any more for what it wrote.
        if let Some(reason) = self.bad.take() {
            self.conclude(Verdict::Bad, reason, now);
        }
        let is_untouched = self.is_untouched();
        if let SwapCause::Release(mut next) = self.cause {
            // Once traffic moves, the mark stays: this instance has run the release, and writes no verdict any more.
            if is_untouched {
                next.gate.give_up(outbox, now);
            } else {
                next.gate.retract(now);
                next.gate.advance(outbox, now);
            }
            self.serve.past.releases.close(next.gate);
        }
        let mut past = self.serve.leave(outbox);
        past.beside = self.other;
        past.looked &= (self.created.is_none() || past.beside.is_some()) && !is_creating;
        past
    }
}
