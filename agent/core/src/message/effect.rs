//! Effects: what the machine wants done, by the adapters or by the driver.

use std::fmt;

use crate::message::command::Command;
use crate::message::job::{Job, Ticket};

/// One thing that the machine wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// By an adapter. Exactly one event answers it, unless it is cancelled.
    Job(Ticket, Job),
    /// By the driver itself.
    Command(Command),
}

impl Effect {
    /// Whether it comes so often that only a debugging log wants it.
    pub fn is_routine(&self) -> bool {
        matches!(self, Self::Job(_, job) if job.is_routine())
    }

    /// The ticket of a job.
    pub fn ticket(&self) -> Option<Ticket> {
        match self {
            Self::Job(ticket, _) => Some(*ticket),
            Self::Command(_) => None,
        }
    }
}

/// One line for the log.
impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Job(_, job) => job.fmt(f),
            Self::Command(command) => command.fmt(f),
        }
    }
}
