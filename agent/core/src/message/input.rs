//! What the driver hands to the machine: an event, and the job that it belongs to.

use crate::message::event::Event;
use crate::message::job::Ticket;

/// One thing that the machine reacts to.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The one answer to the job with this ticket.
    Answer(Ticket, Event),
    /// What the running job with this ticket reports before its answer.
    Report(Ticket, Event),
    /// An event that belongs to no job.
    Event(Event),
}

impl Input {
    /// What happened, whatever job it belongs to.
    pub fn event(&self) -> &Event {
        match self {
            Self::Answer(_, event) | Self::Report(_, event) | Self::Event(event) => event,
        }
    }

    /// What happened, if it answers the job with this ticket. Each part of the machine holds the tickets of its own jobs and looks
    /// at nothing else: of two jobs of one kind, each part gets its own answer.
    pub fn answer_to(&self, ticket: impl Into<Option<Ticket>>) -> Option<&Event> {
        match self {
            Self::Answer(own, event) if Some(*own) == ticket.into() => Some(event),
            Self::Answer(..) | Self::Report(..) | Self::Event(_) => None,
        }
    }

    /// What the running job with this ticket reports.
    pub fn report_of(&self, ticket: Ticket) -> Option<&Event> {
        match self {
            Self::Report(own, event) if *own == ticket => Some(event),
            Self::Answer(..) | Self::Report(..) | Self::Event(_) => None,
        }
    }
}

impl From<Event> for Input {
    fn from(event: Event) -> Self {
        Self::Event(event)
    }
}
