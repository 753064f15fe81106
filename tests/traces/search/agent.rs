//! The agent's process in the search: the machine, and what it waits for. Everything that the search knows of the machine's interface.

use std::fmt::Write as _;
use std::rc::Rc;
use std::time::Duration;

use berth_core::clock::Uptime;
use berth_core::machine::Machine;
use berth_core::message::command::Command;
use berth_core::message::effect::Effect;
use berth_core::message::event::Event;
use berth_core::message::input::Input;
use berth_core::message::job::{Job, Ticket};
use berth_core::message::outcome::Outcome;
use berth_core::phase::drain::Unfinished;
use berth_core::view::{DeadlineName, PhaseName, Status};

use super::digest::digest;

/// Longer than anything that the configs of the search say.
const FAR: Duration = Duration::from_secs(300);

/// One process.
#[derive(Clone)]
pub(super) struct Agent {
    machine: Machine,
    now: Uptime,
    pub(super) pending: Vec<Pending>,
    pub(super) outcome: Option<Outcome>,
}

/// A job that was ordered and not answered.
#[derive(Clone)]
pub(super) struct Pending {
    ticket: Ticket,
    pub(super) job: Rc<Job>,
    /// Whether time may go on before it is answered, if it ever is.
    pub(super) late: bool,
}

impl Agent {
    pub(super) fn new(former: Option<Unfinished>) -> Self {
        let machine = Machine::new(1, Uptime::ZERO).after(former, Uptime::ZERO);
        Self { machine, now: Uptime::ZERO, pending: Vec::new(), outcome: None }
    }

    /// Takes what the machine ordered; the new jobs.
    pub(super) fn take_orders(&mut self) -> Vec<Rc<Job>> {
        let mut jobs = Vec::new();
        while let Some(effect) = self.machine.next_effect() {
            match effect {
                Effect::Command(Command::Cancel(other)) => self.pending.retain(|one| one.ticket != other),
                Effect::Command(Command::Exit(outcome)) => self.outcome = Some(outcome),
                Effect::Command(Command::HandOver | Command::RefuseHandover(_) | Command::Remark(_)) => {}
                Effect::Job(ticket, job) => {
                    let job = Rc::new(job);
                    jobs.push(job.clone());
                    self.pending.push(Pending { ticket, job, late: false });
                }
            }
        }
        jobs
    }

    /// A job is answered.
    pub(super) fn answer(&mut self, nth: usize, event: Event) {
        if nth < self.pending.len() {
            let ticket = self.pending.remove(nth).ticket;
            self.machine.on(&Input::Answer(ticket, event), self.now);
        }
    }

    /// Something happens by itself.
    pub(super) fn tell(&mut self, event: Event) {
        self.machine.on(&Input::Event(event), self.now);
    }

    /// Time goes on to the moment that the machine wants to be woken at.
    pub(super) fn wake(&mut self) {
        if let Some(at) = self.machine.next_wake() {
            self.now = self.now.max(at);
            self.tell(Event::Woke);
        }
    }

    /// From now to the next wake-up; none if there is none.
    pub(super) fn wakes_in(&self) -> Option<Duration> {
        self.machine.next_wake().map(|at| at.since(self.now))
    }

    /// Whether a deadline is over, and nothing followed.
    pub(super) fn overdue(&self) -> Option<DeadlineName> {
        let now = self.now.0.as_secs_f64();
        self.machine.deadlines().into_iter().find(|one| one.at_seconds + 0.001 < now).map(|one| one.name)
    }

    /// A deadline further away than anything but a hook, or a person, is waited for.
    pub(super) fn far(&self) -> Option<DeadlineName> {
        let far = self.now.0.as_secs_f64() + FAR.as_secs_f64();
        let may_be_far = |name| matches!(name, DeadlineName::TerminationHook | DeadlineName::Hold);
        let deadlines = self.machine.deadlines().into_iter();
        deadlines.filter(|one| !may_be_far(one.name)).find(|one| one.at_seconds > far).map(|one| one.name)
    }

    /// What is left of its drain.
    pub(super) fn unfinished(&self) -> Option<Unfinished> {
        self.machine.unfinished(self.now)
    }

    pub(super) fn phase(&self) -> PhaseName {
        self.machine.phase()
    }

    pub(super) fn status(&self) -> Status {
        self.machine.status()
    }

    /// When it is.
    pub(super) fn now(&self) -> Duration {
        self.now.0
    }

    /// The digest of its state and of what else the state is made of.
    pub(super) fn digest(&self, text: &mut String) -> u64 {
        for one in &self.pending {
            let _ = write!(text, "{}{};", one.job, one.late);
        }
        let _ = write!(text, "{:?}", self.machine);
        digest(text, self.now, &|ticket| self.pending.iter().any(|one| one.ticket.0 == ticket))
    }
}
