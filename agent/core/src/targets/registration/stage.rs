//! The stages of a target, the call that some of them make, and their times.

use std::time::Duration;

use crate::clock::Uptime;
use crate::message::job::Ticket;
use crate::targets::ports::LONGEST_DELAY;
use crate::view::TargetStage;

/// Where a target stands.
#[derive(Clone, Debug)]
pub(super) enum Stage {
    /// Not registered by this agent; whether it is known to be free.
    Out { is_free: bool },
    /// Asked whether it is still draining from before.
    Checking(Call),
    /// The call is made, or is to be.
    Registering(Call),
    /// Registered, and not called healthy yet.
    Proving(Call),
    /// The load balancer calls it healthy.
    In,
    /// It is being deregistered.
    Leaving(Call),
    /// Deregistered.
    Left { asked: Option<Call> },
    /// A call was refused for good.
    Refused { is_registered: bool },
}

/// A call that is under way, or the next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Call {
    Asked { ticket: Ticket, until: Uptime },
    Next(Uptime),
}

/// What is known of the deregistration delay.
#[derive(Clone, Copy, Debug)]
pub(super) enum Delay {
    Asked,
    Known(Duration),
    Unknown,
}

/// By when a target has to be healthy.
#[derive(Clone, Copy, Debug)]
pub(in crate::targets) struct Limit {
    /// In any case.
    pub(in crate::targets) at: Uptime,
    /// `target.timeout`, counted from the registration.
    pub(in crate::targets) proving: Duration,
}

impl Limit {
    /// For what was in before: nothing that a load balancer does is a reason to give it up.
    pub(in crate::targets) fn patient(now: Uptime) -> Self {
        Self { at: now + LONGEST_DELAY, proving: LONGEST_DELAY }
    }
}

impl Stage {
    /// The call of this stage.
    pub(super) fn call(&self) -> Option<Call> {
        match self {
            Self::Checking(call) | Self::Registering(call) | Self::Leaving(call) | Self::Proving(call) => Some(*call),
            Self::Left { asked } => *asked,
            Self::Out { .. } | Self::In | Self::Refused { .. } => None,
        }
    }

    /// Replaces it.
    pub(super) fn set_call(&mut self, next: Call) {
        match self {
            Self::Checking(call) | Self::Registering(call) | Self::Leaving(call) | Self::Proving(call) => *call = next,
            Self::Left { asked } => *asked = Some(next),
            Self::Out { .. } | Self::In | Self::Refused { .. } => {}
        }
    }

    /// Whether the target is registered, or may be.
    pub(super) fn is_registered(&self) -> bool {
        !matches!(
            self,
            Self::Out { .. } | Self::Checking(_) | Self::Left { .. } | Self::Refused { is_registered: false }
        )
    }

    pub(super) fn name(&self) -> TargetStage {
        match self {
            Self::Out { .. } => TargetStage::Out,
            Self::Checking(_) => TargetStage::Checking,
            Self::Registering(_) => TargetStage::Registering,
            Self::Proving(_) => TargetStage::Registered,
            Self::In => TargetStage::InService,
            Self::Leaving(_) => TargetStage::Deregistering,
            Self::Left { .. } => TargetStage::Deregistered,
            Self::Refused { .. } => TargetStage::Refused,
        }
    }
}

impl Call {
    pub(super) fn due(self, now: Uptime) -> bool {
        matches!(self, Self::Next(at) if at <= now)
    }

    pub(super) fn late(self, now: Uptime) -> Option<Ticket> {
        match self {
            Self::Asked { ticket, until } if until <= now => Some(ticket),
            Self::Asked { .. } | Self::Next(_) => None,
        }
    }

    pub(super) fn wake(self) -> Uptime {
        let (Self::Asked { until: at, .. } | Self::Next(at)) = self;
        at
    }
}
