//! The outbox: the effects of every phase, in the order in which they were emitted, and the jobs that are not answered yet.

use std::collections::VecDeque;
use std::time::Duration;

use crate::message::command::Command;
use crate::message::effect::Effect;
use crate::message::job::{Job, Ticket};
use crate::retry::{Backoff, THROTTLED};

/// Effects that the driver has not taken yet, and the machine's only source of randomness.
#[derive(Clone, Debug)]
pub struct Outbox {
    effects: VecDeque<Effect>,
    /// Jobs without an answer that were not cancelled.
    open: Vec<Ticket>,
    next: u64,
    rng: fastrand::Rng,
}

impl Outbox {
    /// An empty outbox. `seed` decides every jitter of this life.
    pub fn new(seed: u64) -> Self {
        Self { effects: VecDeque::new(), open: Vec::new(), next: 1, rng: fastrand::Rng::with_seed(seed) }
    }

    /// Orders a job. Its answer comes with this ticket.
    pub fn emit(&mut self, job: Job) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        self.open.push(ticket);
        self.effects.push_back(Effect::Job(ticket, job));
        ticket
    }

    /// Orders something of the driver itself.
    pub fn command(&mut self, command: Command) {
        self.effects.push_back(Effect::Command(command));
    }

    /// Cancels a job, unless it is answered.
    pub fn cancel(&mut self, ticket: Ticket) {
        if self.close(ticket) {
            self.command(Command::Cancel(ticket));
        }
    }

    /// Takes the ticket out of the open ones. `false` if it was answered or cancelled before: such an answer comes too late.
    pub fn close(&mut self, ticket: Ticket) -> bool {
        let found = self.open.iter().position(|open| *open == ticket);
        found.map(|at| self.open.swap_remove(at)).is_some()
    }

    /// Whether the job with this ticket is neither answered nor cancelled.
    pub fn is_open(&self, ticket: Ticket) -> bool {
        self.open.contains(&ticket)
    }

    /// Takes the oldest effect.
    pub fn take(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// At most this long, and at least four fifths of it: what was promised for an interval holds, and instances that started at the
    /// same time drift apart.
    pub fn spread(&mut self, interval: Duration) -> Duration {
        interval.mul_f64(0.8 + self.rng.f64() / 5.0)
    }

    /// This long, give or take this part of it.
    pub fn about(&mut self, interval: Duration, part: f64) -> Duration {
        interval.mul_f64(1.0 - part + 2.0 * part * self.rng.f64())
    }

    /// Anywhere within this: for the first of many, so that instances that started at the same time differ from the first on.
    pub fn some_of(&mut self, interval: Duration) -> Duration {
        interval.mul_f64(self.rng.f64())
    }

    /// The jittered wait after so many failed attempts.
    pub fn wait(&mut self, backoff: Backoff, attempts: u32) -> Duration {
        backoff.after(attempts, &mut self.rng)
    }

    /// The wait after so many attempts that were throttled.
    pub fn stand_back(&mut self, attempts: u32) -> Duration {
        THROTTLED.within(attempts, &mut self.rng)
    }
}
