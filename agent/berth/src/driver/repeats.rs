//! What comes up with the machine is asked many times a second until it answers. The log has one line for each different failure of it, and
//! leaves out the attempts that fail as the one before.

use std::collections::BTreeMap;

use berth_core::message::effect::Effect;
use berth_core::message::event::Event;
use berth_core::message::job::JobKind;

/// The jobs whose services start beside the agent.
const COMING_UP: [JobKind; 2] = [JobKind::Identify, JobKind::PingEngine];

/// How each of these jobs failed last, and how often in a row, if it did.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    failed: BTreeMap<JobKind, (String, u32)>,
}

impl Repeats {
    /// Whether the effect is another attempt of such a job.
    pub(super) fn is_repeated(&self, effect: &Effect) -> bool {
        matches!(effect, Effect::Job(_, job) if self.failed.contains_key(&JobKind::from(job)))
    }

    /// Whether the event is the failure that is in the log already.
    pub(super) fn hides(&self, event: &Event) -> bool {
        matches!(event, Event::Failed(job, error) if self.failed.get(job).is_some_and(|(reason, _)| *reason == error.reason))
    }

    /// How many attempts a job of this kind took, if its first one failed.
    pub(super) fn attempts(&self, job: JobKind) -> Option<u32> {
        self.failed.get(&job).map(|(_, failures)| failures + 1)
    }

    /// Notes the answer to a job of this kind.
    pub(super) fn take(&mut self, answers: Option<JobKind>, event: &Event) {
        let Some(kind) = answers.filter(|kind| COMING_UP.contains(kind)) else { return };
        match event {
            Event::Failed(_, error) => {
                let failures = self.attempts(kind).unwrap_or(1);
                self.failed.insert(kind, (error.reason.clone(), failures));
            }
            _ => drop(self.failed.remove(&kind)),
        }
    }
}

#[cfg(test)]
mod tests {
    use berth_core::message::error::{ErrorClass, JobError};
    use berth_core::message::job::{Job, Ticket};

    use super::*;

    fn failed(job: JobKind, reason: &str) -> Event {
        Event::Failed(job, JobError::new(ErrorClass::Transient, reason))
    }

    #[test]
    fn a_failure_is_shown_once_until_it_changes_or_the_service_has_answered() {
        let mut repeats = Repeats::default();
        let mut shown = |job: JobKind, event: Event| {
            let shown = !repeats.hides(&event);
            repeats.take(Some(job), &event);
            shown
        };
        let lines = ["no route", "no route", "refused", "refused", "no route"];
        let first = lines.map(|reason| shown(JobKind::Identify, failed(JobKind::Identify, reason)));
        assert_eq!(first, [true, false, true, false, true]);
        assert!(shown(JobKind::PingEngine, failed(JobKind::PingEngine, "no route")), "another service");
        assert!(shown(JobKind::PingEngine, Event::EngineAnswered));
        assert!(shown(JobKind::PingEngine, failed(JobKind::PingEngine, "no route")), "it answered in between");
    }

    #[test]
    fn only_further_attempts_of_what_comes_up_with_the_machine_are_left_out() {
        let mut repeats = Repeats::default();
        let attempt = |repeats: &Repeats, job: Job| repeats.is_repeated(&Effect::Job(Ticket(1), job));
        assert!(!attempt(&repeats, Job::Identify), "the first");
        for job in [JobKind::Identify, JobKind::ReadConfig] {
            repeats.take(Some(job), &failed(job, "no route"));
        }
        assert!(attempt(&repeats, Job::Identify) && !attempt(&repeats, Job::ReadConfig));
        assert_eq!([JobKind::Identify, JobKind::ReadConfig].map(|job| repeats.attempts(job)), [Some(2), None]);
        assert!(!repeats.hides(&failed(JobKind::ReadConfig, "no route")), "far away, asked rarely");
    }
}
