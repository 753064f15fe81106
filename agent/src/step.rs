//! One step of the way: ordered once its inputs are there, tried again while its faults are transient, timed for people.
//!
//! ```text
//!   idle ──order──▶ running ──done──▶ done(T)
//!    ▲                 │
//!    └──── due ◀── waiting ◀──failed
//! ```

use crate::clock::Uptime;
use crate::desk::Desk;
use crate::effect::{Effect, Ticket};
use crate::fault::Fault;
use crate::retry::Backoff;
use crate::view::StepView;

/// A job with its result, attempts and times.
#[derive(Debug)]
pub struct Step<T> {
    name: &'static str,
    backoff: Backoff,
    state: State<T>,
    began: Option<Uptime>,
    ended: Option<Uptime>,
    attempts: u32,
    fault: Option<String>,
}

#[derive(Debug)]
enum State<T> {
    Idle,
    Running(Ticket),
    Waiting(Uptime),
    Done(T),
}

impl<T> Step<T> {
    /// A step that has not begun.
    pub fn new(name: &'static str, backoff: Backoff) -> Self {
        Self { name, backoff, state: State::Idle, began: None, ended: None, attempts: 0, fault: None }
    }

    /// Whether it may be ordered: not begun, or its wait is over.
    pub fn is_due(&self, now: Uptime) -> bool {
        match self.state {
            State::Idle => true,
            State::Waiting(until) => until <= now,
            State::Running(_) | State::Done(_) => false,
        }
    }

    /// Orders one attempt.
    pub fn order(&mut self, effect: Effect, desk: &mut Desk, now: Uptime) {
        self.began.get_or_insert(now);
        self.attempts += 1;
        self.state = State::Running(desk.order(effect));
    }

    /// It begins, by somebody else's order.
    pub fn mark(&mut self, now: Uptime) {
        self.began.get_or_insert(now);
    }

    /// It succeeded.
    pub fn done(&mut self, value: T, now: Uptime) {
        self.began.get_or_insert(now);
        self.ended = Some(now);
        self.fault = None;
        self.state = State::Done(value);
    }

    /// An attempt failed; the next comes after a wait.
    pub fn retry(&mut self, fault: &Fault, desk: &mut Desk, now: Uptime) {
        self.fault = Some(fault.reason.clone());
        self.state = State::Waiting(now + desk.wait(self.backoff, self.attempts));
    }

    /// It will not be tried again, and its fault stays for people to see.
    pub fn refuse(&mut self, fault: &Fault, now: Uptime) {
        self.fault = Some(fault.reason.clone());
        self.ended = Some(now);
    }

    /// Stops what runs and forgets a planned attempt; what is done stays done.
    pub fn cancel(&mut self, desk: &mut Desk) {
        if let State::Running(ticket) = self.state {
            desk.order(Effect::Cancel(ticket));
        }
        if !matches!(self.state, State::Done(_)) {
            self.state = State::Idle;
        }
    }

    /// Back to idle, whatever it was, keeping its times and attempts.
    pub fn reopen(&mut self) {
        self.state = State::Idle;
        self.ended = None;
    }

    /// The result.
    pub fn get(&self) -> Option<&T> {
        match &self.state {
            State::Done(value) => Some(value),
            State::Idle | State::Running(_) | State::Waiting(_) => None,
        }
    }

    /// Whether it succeeded.
    pub fn is_done(&self) -> bool {
        self.get().is_some()
    }

    /// Whether it began and has neither succeeded nor been given up.
    pub fn is_under_way(&self) -> bool {
        self.began.is_some() && self.ended.is_none()
    }

    /// When the wait before the next attempt ends.
    pub fn wake(&self) -> Option<Uptime> {
        match self.state {
            State::Waiting(until) => Some(until),
            State::Idle | State::Running(_) | State::Done(_) => None,
        }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The fault of its last failed attempt, none once it is done.
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// For people; none if it has not begun.
    pub fn view(&self) -> Option<StepView> {
        let began = self.began?;
        Some(StepView {
            name: self.name.to_owned(),
            began: began.0.as_secs_f64(),
            took: self.ended.map(|ended| ended.since(began).as_secs_f64()),
            attempts: self.attempts,
            fault: self.fault.clone(),
        })
    }
}
