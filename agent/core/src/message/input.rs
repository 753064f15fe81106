//! What the driver hands to the machine: an event, and whose answer it is.

use crate::message::event::Event;
use crate::message::job::Ticket;

/// One thing that the machine reacts to.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The one answer to the job with this ticket.
    Answer(Ticket, Event),
    /// An event that is no answer, or that a running job reports before its answer.
    Event(Event),
}

impl Input {
    /// What happened, in answer to any job or to none.
    pub fn event(&self) -> &Event {
        match self {
            Self::Answer(_, event) | Self::Event(event) => event,
        }
    }

    /// The ticket of the job that is answered.
    pub fn ticket(&self) -> Option<Ticket> {
        match self {
            Self::Answer(ticket, _) => Some(*ticket),
            Self::Event(_) => None,
        }
    }

    /// What happened, if it answers the job with this ticket. Each part of the machine holds the tickets of its own jobs and looks
    /// at nothing else: of two jobs of one kind, each part gets its own answer.
    pub fn answer_to(&self, ticket: impl Into<Option<Ticket>>) -> Option<&Event> {
        match self {
            Self::Answer(own, event) if Some(*own) == ticket.into() => Some(event),
            Self::Answer(..) | Self::Event(_) => None,
        }
    }
}

impl From<Event> for Input {
    fn from(event: Event) -> Self {
        Self::Event(event)
    }
}
