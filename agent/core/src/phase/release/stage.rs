//! The stages of a release, in their order, and what each of them holds.

use crate::clock::Uptime;
use crate::connections::Connections;
use crate::outbox::Outbox;
use crate::step::Step;
use crate::targets::Ports;

use super::creating::Creating;

/// Where a release is.
#[derive(Clone, Debug)]
pub(super) enum SwapStage {
    /// Secrets, and the paths of `after`.
    Fetching(Box<Fetch>),
    /// Host ports.
    Choosing,
    Creating(Box<Creating>),
    /// It runs beside the old one.
    Proving {
        since: Option<Uptime>,
        /// Whether it is asked for the last time.
        is_asked: bool,
    },
    /// What has proven itself unpublished is removed.
    Clearing(Step<()>),
    /// The board is to know of it before traffic moves.
    Confirming {
        /// Whether the document was asked for after that.
        is_looked_up: bool,
    },
    /// The load balancer is to call it healthy.
    Joining,
    /// `/ready` is 503 until load balancers have let go.
    LettingGo {
        connections: Connections,
        settled: Uptime,
        /// Why traffic goes back to the old one, if it does.
        back: Option<Return>,
    },
    /// The old one is being stopped.
    Pausing,
    /// The new one starts on the ports of the old one.
    Arriving,
    Baking,
    /// The old one is registered again.
    Returning(Return),
    /// The new one leaves the ports to the old one.
    Reviving {
        stop: Step<()>,
        back: Return,
    },
    /// The old one starts again.
    Recovering(Return),
    /// What takes no new traffic any more serves what it has.
    Retiring {
        ports: Ports,
        connections: Connections,
    },
    Removing(Step<()>),
    Done,
}

/// What the container is created with.
#[derive(Clone, Debug)]
pub(super) struct Fetch {
    pub(super) secrets: Step<()>,
    pub(super) paths: Step<()>,
    /// What the image says of itself, if that is not known.
    pub(super) image: Step<()>,
}

/// Why traffic goes back.
#[derive(Clone, Debug)]
pub(super) struct Return {
    pub(super) reason: String,
    /// What that is for the release.
    pub(super) end: ReturnEnd,
}

impl Fetch {
    pub(super) fn steps(&mut self) -> [&mut Step<()>; 3] {
        [&mut self.secrets, &mut self.paths, &mut self.image]
    }

    pub(super) fn is_done(&self) -> bool {
        [&self.secrets, &self.paths, &self.image].into_iter().all(Step::is_done)
    }

    pub(super) fn cancel(&mut self, outbox: &mut Outbox) {
        self.steps().into_iter().for_each(|step| step.cancel(outbox));
    }
}

/// What it is for a release that traffic goes back from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReturnEnd {
    /// It is bad.
    Bad,
    /// The document has another one. It begins again if it is there again.
    Unwanted,
    /// It has no part in it, and another attempt would cost as much: it gets no verdict, and is not tried again.
    GivenUp,
}
