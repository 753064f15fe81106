//! One step: ordered once its inputs are there, tried again while its errors are transient, and timed.
//!
//! ```text
//!   idle ──order──▶ running ──done──▶ done(T)
//!    ▲                 │
//!    └──── due ◀── waiting ◀──failed
//! ```
//! Its waits are shown apart from its work.

use crate::clock::Uptime;
use crate::message::error::{ErrorClass, JobError};
use crate::message::event::Event;
use crate::message::input::Input;
use crate::message::job::{Job, Ticket};
use crate::outbox::Outbox;
use crate::retry::Backoff;
use crate::view::{StepName, StepState, StepView, WaitView};

/// Waits that are kept for `berth timeline`. Beyond that the two oldest become one.
const WAITS_KEPT: usize = 64;

/// A job with its result, attempts and times.
#[derive(Clone, Debug)]
pub struct Step<T> {
    name: StepName,
    backoff: Backoff,
    state: Progress<T>,
    began: Option<Uptime>,
    ended: Option<Uptime>,
    /// The first, and those that followed a failure: what goes on after a success is none.
    attempts: u32,
    /// Whether the last attempt failed.
    failed: bool,
    error: Option<JobError>,
    /// From when to when nothing ran; only the last may be going on.
    waits: Vec<(Uptime, Option<Uptime>)>,
}

#[derive(Clone, Debug)]
enum Progress<T> {
    Idle,
    Running(Ticket),
    Waiting(Uptime),
    Done(T),
}

impl<T> Step<T> {
    /// A step that has not begun.
    pub fn new(name: StepName, backoff: Backoff) -> Self {
        Self {
            name,
            backoff,
            state: Progress::Idle,
            began: None,
            ended: None,
            attempts: 0,
            failed: false,
            error: None,
            waits: Vec::new(),
        }
    }

    /// How often it was tried.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// What happened, if it answers the job of this step.
    pub fn answer<'i>(&self, input: &'i Input) -> Option<&'i Event> {
        match self.state {
            Progress::Running(ticket) => input.answer_to(ticket),
            Progress::Idle | Progress::Waiting(_) | Progress::Done(_) => None,
        }
    }

    /// What the running job of this step reports.
    pub fn report<'i>(&self, input: &'i Input) -> Option<&'i Event> {
        match self.state {
            Progress::Running(ticket) => input.report_of(ticket),
            Progress::Idle | Progress::Waiting(_) | Progress::Done(_) => None,
        }
    }

    /// Whether it may be ordered: not begun, or its wait is over.
    pub fn is_due(&self, now: Uptime) -> bool {
        match self.state {
            Progress::Idle => true,
            Progress::Waiting(until) => until <= now,
            Progress::Running(_) | Progress::Done(_) => false,
        }
    }

    /// Orders one attempt, or the next part of one.
    pub fn emit(&mut self, effect: Job, outbox: &mut Outbox, now: Uptime) {
        self.began.get_or_insert(now);
        self.resume(now);
        self.attempts += u32::from(self.attempts == 0 || std::mem::take(&mut self.failed));
        self.state = Progress::Running(outbox.emit(effect));
    }

    /// It begins; another part of the machine emits its jobs.
    pub fn mark(&mut self, now: Uptime) {
        self.began.get_or_insert(now);
    }

    /// It goes on, or begins, with nothing running: until an order or its end, it waits.
    pub fn pause(&mut self, now: Uptime) {
        self.began.get_or_insert(now);
        if matches!(self.waits.last(), Some((_, None))) {
            return;
        }
        if self.waits.len() >= WAITS_KEPT {
            let oldest = self.waits.remove(0);
            if let Some(second) = self.waits.first_mut() {
                second.0 = oldest.0;
            }
        }
        self.waits.push((now, None));
    }

    /// It succeeded.
    pub fn done(&mut self, value: T, now: Uptime) {
        self.began.get_or_insert(now);
        self.resume(now);
        self.ended = Some(now);
        self.error = None;
        self.state = Progress::Done(value);
    }

    /// An attempt failed; the next comes after a wait.
    pub fn retry(&mut self, error: &JobError, outbox: &mut Outbox, now: Uptime) {
        self.error = Some(error.clone());
        self.failed = true;
        self.pause(now);
        let wait = match error.class {
            ErrorClass::Throttled => outbox.stand_back(self.attempts),
            _ => outbox.wait(self.backoff, self.attempts),
        };
        self.state = Progress::Waiting(now + wait);
    }

    /// It will not be tried again, and its error stays for people to see.
    pub fn refuse(&mut self, error: &JobError, now: Uptime) {
        self.resume(now);
        self.error = Some(error.clone());
        self.ended = Some(now);
    }

    /// Stops what runs and forgets a planned attempt; what is done stays done.
    pub fn cancel(&mut self, outbox: &mut Outbox) {
        if let Progress::Running(ticket) = self.state {
            outbox.cancel(ticket);
        }
        if !matches!(self.state, Progress::Done(_)) {
            self.state = Progress::Idle;
        }
    }

    /// A part of the attempt succeeded, and the next is ordered within the same step.
    pub fn go_on(&mut self) {
        self.state = Progress::Idle;
    }

    /// The attempt came to nothing without an error, and is made again.
    pub fn again(&mut self) {
        self.failed = true;
        self.state = Progress::Idle;
    }

    /// What is done is done again, since something else made it necessary: its times are those of the last time, and nothing is
    /// counted as an attempt or as a wait.
    pub fn reopen(&mut self) {
        self.state = Progress::Idle;
        (self.began, self.ended) = (None, None);
        self.waits.clear();
    }

    /// Another result of a step that is done, without any time spent in it.
    pub fn replace(&mut self, value: T) {
        if self.is_done() {
            self.state = Progress::Done(value);
        }
    }

    /// The result.
    pub fn get(&self) -> Option<&T> {
        match &self.state {
            Progress::Done(value) => Some(value),
            Progress::Idle | Progress::Running(_) | Progress::Waiting(_) => None,
        }
    }

    /// Whether it succeeded.
    pub fn is_done(&self) -> bool {
        self.get().is_some()
    }

    /// Whether it began, however it went.
    pub fn has_begun(&self) -> bool {
        self.began.is_some()
    }

    /// Whether it began and has neither succeeded nor been given up.
    pub fn is_under_way(&self) -> bool {
        self.began.is_some() && self.ended.is_none()
    }

    /// When the wait before the next attempt ends.
    pub fn wake(&self) -> Option<Uptime> {
        match self.state {
            Progress::Waiting(until) => Some(until),
            Progress::Idle | Progress::Running(_) | Progress::Done(_) => None,
        }
    }

    /// Its name.
    pub fn name(&self) -> StepName {
        self.name
    }

    /// The error of its last failed attempt, none once it is done.
    pub fn error(&self) -> Option<&str> {
        self.error.as_ref().map(|error| error.reason.as_str())
    }

    /// For people; none if it has not begun.
    pub fn view(&self) -> Option<StepView> {
        let began = self.began?;
        Some(StepView {
            name: self.name,
            state: self.shown_state(),
            began_seconds: began.0.as_secs_f64(),
            took_seconds: self.ended.map(|ended| ended.since(began).as_secs_f64()),
            attempts: self.attempts,
            error: self.error.as_ref().map(|error| error.reason.clone()),
            error_class: self.error.as_ref().map(|error| error.class),
            waits: self.waits.iter().map(|(from, to)| wait_view(*from, *to)).collect(),
        })
    }

    fn shown_state(&self) -> StepState {
        match (self.ended, &self.error) {
            (Some(_), Some(_)) => StepState::Failed,
            (Some(_), None) => StepState::Done,
            (None, _) if matches!(self.waits.last(), Some((_, None))) => StepState::Waiting,
            (None, _) => StepState::Running,
        }
    }

    /// The wait that goes on, if one does, is over: another part of the machine has emitted a job of it.
    pub fn resume(&mut self, now: Uptime) {
        if let Some((_, ended)) = self.waits.last_mut() {
            ended.get_or_insert(now);
        }
    }
}

fn wait_view(from: Uptime, to: Option<Uptime>) -> WaitView {
    WaitView { began_seconds: from.0.as_secs_f64(), took_seconds: to.map(|to| to.since(from).as_secs_f64()) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::retry::NEAR;

    fn at(seconds: u64) -> Uptime {
        Uptime(Duration::from_secs(seconds))
    }

    fn waits(step: &Step<()>) -> Vec<(f64, Option<f64>)> {
        step.view().unwrap().waits.iter().map(|wait| (wait.began_seconds, wait.took_seconds)).collect()
    }

    #[test]
    fn the_time_between_a_failure_and_the_next_attempt_is_a_wait() {
        let (mut step, mut outbox) = (Step::new(StepName::Login, NEAR), Outbox::new(1));
        let error = JobError::new(ErrorClass::Transient, "later");
        step.emit(Job::PingEngine, &mut outbox, at(1));
        step.retry(&error, &mut outbox, at(3));
        assert_eq!(waits(&step), [(3.0, None)]);
        step.emit(Job::PingEngine, &mut outbox, at(7));
        assert_eq!(waits(&step), [(3.0, Some(4.0))]);
        step.done((), at(9));
        assert_eq!(waits(&step), [(3.0, Some(4.0))], "the second attempt was work");
    }

    #[test]
    fn a_step_that_only_waits_is_one_wait_from_its_begin_to_its_end() {
        let mut step = Step::new(StepName::Settling, NEAR);
        step.pause(at(2));
        step.pause(at(5));
        step.done((), at(22));
        assert_eq!(waits(&step), [(2.0, Some(20.0))]);
        assert_eq!(step.view().unwrap().took_seconds, Some(20.0));

        let mut given_up = Step::<()>::new(StepName::Hook, NEAR);
        given_up.pause(at(2));
        given_up.refuse(&JobError::new(ErrorClass::Denied, "no"), at(3));
        assert_eq!(waits(&given_up), [(2.0, Some(1.0))]);
    }

    #[test]
    fn a_step_that_is_taken_up_again_is_neither_a_retry_nor_a_wait() {
        let (mut step, mut outbox) = (Step::new(StepName::Containers, NEAR), Outbox::new(1));
        step.emit(Job::PingEngine, &mut outbox, at(1));
        step.done((), at(2));
        step.reopen();
        step.emit(Job::PingEngine, &mut outbox, at(9));
        step.done((), at(10));
        let view = step.view().unwrap();
        assert_eq!((view.attempts, view.began_seconds, view.took_seconds, waits(&step)), (1, 9.0, Some(1.0), vec![]));
    }

    #[test]
    fn only_what_follows_a_failure_is_another_attempt() {
        let (mut step, mut outbox) = (Step::<()>::new(StepName::Pull, NEAR), Outbox::new(1));
        let attempts = |step: &Step<()>| step.view().unwrap().attempts;
        step.emit(Job::PingEngine, &mut outbox, at(1));
        step.go_on();
        step.emit(Job::PingEngine, &mut outbox, at(2));
        assert_eq!(attempts(&step), 1, "the second part of the first");
        step.retry(&JobError::new(ErrorClass::Transient, "later"), &mut outbox, at(3));
        assert_eq!(attempts(&step), 1);
        step.emit(Job::PingEngine, &mut outbox, at(4));
        assert_eq!(attempts(&step), 2);
        step.again();
        step.emit(Job::PingEngine, &mut outbox, at(5));
        assert_eq!(attempts(&step), 3);
    }

    #[test]
    fn a_step_that_is_tried_for_ever_keeps_a_bounded_number_of_waits() {
        let (mut step, mut outbox) = (Step::<()>::new(StepName::Hook, NEAR), Outbox::new(1));
        for second in (0..2000).step_by(2) {
            step.pause(at(second));
            step.emit(Job::PingEngine, &mut outbox, at(second + 1));
        }
        let waits = waits(&step);
        assert_eq!((waits.len(), waits[0].0), (WAITS_KEPT, 0.0));
        assert_eq!(waits[WAITS_KEPT - 1], (1998.0, Some(1.0)));
    }
}
