//! The connections that clients hold to containers, counted until none is left.

use std::time::Duration;

use crate::clock::Uptime;
use crate::message::container::{ContainerId, RunningContainer};
use crate::message::event::Event;
use crate::message::input::Input;
use crate::message::job::{Job, Ticket};
use crate::outbox::Outbox;

/// Between two counts.
const COUNT_EVERY: Duration = Duration::from_millis(250);
/// For one count to be answered.
const COUNT_LIMIT: Duration = Duration::from_secs(5);

/// The connections of some containers, one counted after the other.
#[derive(Clone, Debug)]
pub struct Connections {
    containers: Vec<Counted>,
    /// Which of them is counted now, or next.
    turn: usize,
    poll: Poll,
    /// Since when none of them has any.
    quiet_since: Option<Uptime>,
}

#[derive(Clone, Debug)]
struct Counted {
    running: RunningContainer,
    last: Option<u32>,
}

#[derive(Clone, Debug)]
enum Poll {
    Asked { ticket: Ticket, since: Uptime },
    Next(Uptime),
}

impl Connections {
    /// Those of these containers, counted from now on.
    pub fn of(containers: impl IntoIterator<Item = RunningContainer>, now: Uptime) -> Self {
        let containers = containers.into_iter().map(|running| Counted { running, last: None }).collect();
        Self { containers, turn: 0, poll: Poll::Next(now), quiet_since: None }
    }

    /// Whether there is no container to count at.
    pub fn is_empty(&self) -> bool {
        self.containers.is_empty()
    }

    /// This container has stopped: nothing is counted at it any more.
    pub fn forget(&mut self, id: &ContainerId, outbox: &mut Outbox, now: Uptime) {
        let before = self.containers.len();
        self.containers.retain(|counted| counted.running.id != *id);
        if self.containers.len() < before {
            self.cancel(outbox);
            (self.turn, self.poll) = (0, Poll::Next(now));
        }
    }

    /// Takes an input; whether it is the answer to a count.
    pub fn on(&mut self, input: &Input, now: Uptime) -> bool {
        let Poll::Asked { ticket, .. } = self.poll else { return false };
        let Some(event) = input.answer_to(ticket) else { return false };
        // What cannot be counted is not known to be over.
        self.poll = Poll::Next(now + COUNT_EVERY);
        if let (Event::ConnectionsCounted(count), Some(counted)) = (event, self.containers.get_mut(self.turn)) {
            counted.last = Some(*count);
            let is_quiet = self.containers.iter().all(|counted| counted.last == Some(0));
            self.quiet_since = if is_quiet { self.quiet_since.or(Some(now)) } else { None };
        }
        self.turn = (self.turn + 1) % self.containers.len().max(1);
        true
    }

    /// Orders the next count.
    pub fn advance(&mut self, outbox: &mut Outbox, now: Uptime) {
        match self.poll {
            Poll::Asked { ticket, since } if since + COUNT_LIMIT <= now => {
                outbox.cancel(ticket);
                self.poll = Poll::Next(now + COUNT_EVERY);
            }
            Poll::Next(at) if at <= now => {
                if let Some(counted) = self.containers.get(self.turn) {
                    let ticket = outbox.emit(Job::CountConnections(Box::new(counted.running.clone())));
                    self.poll = Poll::Asked { ticket, since: now };
                }
            }
            Poll::Asked { .. } | Poll::Next(_) => {}
        }
    }

    /// Since when no client has a connection, as far as was counted.
    pub fn quiet_since(&self) -> Option<Uptime> {
        self.quiet_since
    }

    /// How many there are, of the containers that were counted; none before the first count.
    pub fn count(&self) -> Option<u32> {
        self.containers.iter().filter_map(|counted| counted.last).reduce(u32::saturating_add)
    }

    /// Gives up a count that is under way.
    pub fn cancel(&self, outbox: &mut Outbox) {
        if let Poll::Asked { ticket, .. } = self.poll {
            outbox.cancel(ticket);
        }
    }

    /// When it wants to be woken.
    pub fn wake(&self) -> Uptime {
        match self.poll {
            Poll::Next(at) => at,
            Poll::Asked { since, .. } => since + COUNT_LIMIT,
        }
    }
}
