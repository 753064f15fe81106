//! Commands: what the machine wants the driver itself to do. They have no ticket and no answer.

use std::fmt;

use crate::message::job::Ticket;
use crate::message::outcome::Outcome;

/// One command for the driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Stop working on the job with this ticket. It has no answer.
    Cancel(Ticket),
    /// Exit.
    Exit(Outcome),
    /// Let the next agent take over. It finds the container as it is.
    HandOver,
    /// Answer a request for a handover: there is none, and why.
    RefuseHandover(&'static str),
    /// Log what was decided, and why, where neither an event nor a job shows it.
    Remark(String),
}

/// One line for the log.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancel(ticket) => write!(f, "Cancel {}", ticket.0),
            Self::Exit(outcome) => write!(f, "Exit {}", outcome.code()),
            Self::HandOver => f.write_str("HandOver"),
            Self::RefuseHandover(why) => write!(f, "RefuseHandover {why}"),
            Self::Remark(what) => write!(f, "Remark {what}"),
        }
    }
}
