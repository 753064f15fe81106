//! What people see of a boot: what it waits for, how far it is, and until when.

use super::Boot;
use crate::view::{DeadlineName, DeadlineView, PullView, ReadyReason, StepView};

impl Boot {
    /// What is being waited for, in one sentence.
    pub fn reason(&self) -> String {
        if let Some(app) = &self.app {
            return app.reason().to_owned();
        }
        if let Some(failure) = &self.held {
            return failure.reason.clone();
        }
        let waiting: Vec<String> = self
            .steps
            .views()
            .into_iter()
            .chain(self.targets.steps())
            .filter(|step| step.took_seconds.is_none())
            .map(|step| match step.error {
                Some(error) => format!("{} ({error})", step.name.label()),
                None => step.name.label(),
            })
            .collect();
        if waiting.is_empty() { "starting".to_owned() } else { format!("waiting for {}", waiting.join(", ")) }
    }

    /// The same, as `/ready` says it: one step of those under way, first of all one that is tried again.
    pub fn ready_reason(&self) -> ReadyReason {
        match (&self.app, &self.held) {
            (Some(app), _) => app.ready_reason(),
            (None, Some(failure)) => failure.ready,
            (None, None) => match self.steps.ready_reason() {
                // All that is left before the creation is the choice of its ports.
                ReadyReason::Starting if self.steps.containers.is_done() => ReadyReason::CreatingContainer,
                reason => reason,
            },
        }
    }

    /// The steps that began.
    pub fn steps(&self) -> Vec<StepView> {
        self.steps.views().into_iter().chain(self.hook.steps()).chain(self.targets.steps()).collect()
    }

    /// How far the pull is.
    pub fn pull_view(&self) -> Option<PullView> {
        self.progress.as_ref().map(Into::into)
    }

    /// What is waited for, and until when.
    pub fn deadlines(&self) -> Vec<DeadlineView> {
        let boot = DeadlineView { name: DeadlineName::BootTimeout, at_seconds: self.deadline.0.as_secs_f64() };
        let start = self
            .start_deadline()
            .map(|(_, at)| DeadlineView { name: DeadlineName::ProbeStartTimeout, at_seconds: at.0.as_secs_f64() });
        [Some(boot), start].into_iter().flatten().collect()
    }
}
