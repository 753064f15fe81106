//! The outbox that every phase writes its orders on: effects with their tickets, in the order they were given.

use std::collections::VecDeque;
use std::time::Duration;

use crate::message::effect::{Effect, Ticket};
use crate::retry::{Backoff, THROTTLED};

/// Orders not yet taken by the driver, and the machine's only source of chance.
#[derive(Debug)]
pub struct Outbox {
    orders: VecDeque<(Ticket, Effect)>,
    next: u64,
    rng: fastrand::Rng,
}

impl Outbox {
    /// An empty outbox; `seed` decides every jitter of this life.
    pub fn new(seed: u64) -> Self {
        Self { orders: VecDeque::new(), next: 1, rng: fastrand::Rng::with_seed(seed) }
    }

    /// Puts an order on the outbox.
    pub fn emit(&mut self, effect: Effect) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        self.orders.push_back((ticket, effect));
        ticket
    }

    /// Takes the oldest order.
    pub fn take(&mut self) -> Option<(Ticket, Effect)> {
        self.orders.pop_front()
    }

    /// At most this long, at least four fifths of it: what was promised for an interval holds, and a fleet that began together
    /// does not stay together.
    pub fn spread(&mut self, interval: Duration) -> Duration {
        interval.mul_f64(0.8 + self.rng.f64() / 5.0)
    }

    /// Somewhere within this: for the first of many, so that what was begun together is spread from the first time on.
    pub fn some_of(&mut self, interval: Duration) -> Duration {
        interval.mul_f64(self.rng.f64())
    }

    /// The jittered wait after so many failed attempts.
    pub fn wait(&mut self, backoff: Backoff, attempts: u32) -> Duration {
        backoff.after(attempts, &mut self.rng)
    }

    /// The wait after so many attempts that failed because others asked too.
    pub fn stand_back(&mut self, attempts: u32) -> Duration {
        THROTTLED.within(attempts, &mut self.rng)
    }
}
