//! What the rest of the machine, the next agent and people learn of a target.

use std::time::Duration;

use crate::clock::{Moment, Uptime};
use crate::message::error::{ErrorClass, JobError};
use crate::message::target::TargetHealth;
use crate::step::Step;
use crate::view::TargetStage;

use super::super::noted::{NotedState, NotedTarget};
use super::Registration;
use super::stage::{Call, Delay, Stage};

impl Registration {
    /// One that an agent before this one left behind, so long ago.
    pub(in crate::targets) fn remember(noted: NotedTarget, ago: Duration, now: Uptime) -> Self {
        let NotedTarget { target, state } = noted;
        let new = Self::new(target, false);
        match state {
            NotedState::Registered { healthy: true } => Self { stage: Stage::In, ..new },
            NotedState::Registered { healthy: false } => Self { stage: Stage::Proving(Call::Next(now)), ..new },
            NotedState::Left { ago: before, delay } => {
                let left_at = Some(Moment::ago(before.saturating_add(ago), now));
                Self { stage: Stage::Left { asked: None }, left_at, delay: delay.map(Delay::Known), ..new }
            }
        }
    }

    /// What the next agent needs to know of it; none if it was never registered.
    pub(in crate::targets) fn noted(&self, now: Uptime) -> Option<NotedTarget> {
        let state = match &self.stage {
            Stage::Out { .. } | Stage::Checking(_) | Stage::Refused { is_registered: false } | Stage::Left { .. } => {
                NotedState::Left { ago: self.left_at?.age(now), delay: self.known_delay() }
            }
            Stage::In => NotedState::Registered { healthy: true },
            // A call may have been carried out although its answer is not here. Of one that was to be left, nobody asks how it is.
            Stage::Registering(_) | Stage::Proving(_) | Stage::Leaving(_) | Stage::Refused { is_registered: true } => {
                NotedState::Registered { healthy: false }
            }
        };
        Some(NotedTarget { target: self.target.clone(), state })
    }

    /// How often what the next agent needs to know has changed.
    pub(in crate::targets) fn changes(&self) -> u64 {
        self.changes
    }

    /// Whether the load balancer calls it healthy.
    pub(in crate::targets) fn is_in(&self) -> bool {
        matches!(self.stage, Stage::In)
    }

    /// Whether it is to be in and is not, for a reason that no time changes, or has had all its time.
    pub(in crate::targets) fn failure(&self, now: Uptime) -> Option<Reason<'_>> {
        let limit = self.wanted?;
        match &self.stage {
            Stage::In => None,
            Stage::Refused { .. } => self.error.as_ref().map(Reason::Refused),
            Stage::Proving(_) if self.proven_by.is_some_and(|until| until <= now) => Some(Reason::Late),
            _ if limit.at <= now => Some(Reason::Late),
            _ => None,
        }
    }

    /// Whether it is to be in.
    pub(in crate::targets) fn is_wanted(&self) -> bool {
        self.wanted.is_some()
    }

    /// Whether it is on its way out, and no failed call is the reason that it still is not: a call is made, or its turn comes.
    pub(in crate::targets) fn is_leaving(&self) -> bool {
        let in_line = self.error.as_ref().is_none_or(|error| error.class == ErrorClass::Throttled);
        matches!(self.stage, Stage::Leaving(_)) && in_line
    }

    /// When all nodes of the load balancer have learnt that it is deregistered, once a drain waits for that.
    pub(in crate::targets) fn settled_at(&self) -> Option<Uptime> {
        self.settled_at.filter(|_| matches!(self.stage, Stage::Left { .. }))
    }

    /// Whether the load balancer says that it sends nothing there any more.
    pub(in crate::targets) fn is_unused(&self) -> bool {
        match &self.stage {
            Stage::Left { .. } => self.health.as_ref().is_some_and(TargetHealth::is_unused),
            Stage::Out { .. } | Stage::Refused { is_registered: false } => true,
            _ => false,
        }
    }

    /// Whether it is registered, or may be.
    pub(in crate::targets) fn is_registered(&self) -> bool {
        self.stage.is_registered()
    }

    /// How long ago it was deregistered, and what is known of the delay.
    pub(in crate::targets) fn left_for(&self, now: Uptime) -> Option<(Duration, Option<Duration>)> {
        let at = self.left_at.filter(|_| !self.is_registered())?;
        Some((at.age(now), self.known_delay()))
    }

    pub(in crate::targets) fn health(&self) -> Option<&TargetHealth> {
        self.health.as_ref()
    }

    pub(in crate::targets) fn error(&self) -> Option<&JobError> {
        self.error.as_ref()
    }

    pub(in crate::targets) fn step(&self) -> &Step<()> {
        &self.step
    }

    pub(in crate::targets) fn stage_name(&self) -> TargetStage {
        self.stage.name()
    }
}

/// Why a target is not in.
#[derive(Clone, Copy, Debug)]
pub(in crate::targets) enum Reason<'a> {
    /// A call was refused for good.
    Refused(&'a JobError),
    /// It timed out.
    Late,
}
