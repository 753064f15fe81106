//! What people see of a boot: what it waits for, how far it is, and until when.

use super::Boot;
use crate::view::{DeadlineView, PullView, StepView};

impl Boot {
    /// What is being waited for, in one sentence.
    pub fn reason(&self) -> String {
        if let Some(app) = &self.app {
            return app.reason().to_owned();
        }
        if let Some(fault) = &self.held {
            return fault.reason.clone();
        }
        let waiting: Vec<String> = self
            .steps
            .views()
            .into_iter()
            .filter(|step| step.took.is_none())
            .map(|step| match step.fault {
                Some(fault) => format!("{} ({fault})", step.name),
                None => step.name,
            })
            .collect();
        if waiting.is_empty() { "starting".to_owned() } else { format!("waiting for {}", waiting.join(", ")) }
    }

    /// The steps that began, in the order they began.
    pub fn steps(&self) -> Vec<StepView> {
        let mut steps: Vec<StepView> = self.steps.views().into_iter().chain(self.hook.steps()).collect();
        steps.sort_by(|one, other| one.began.total_cmp(&other.began));
        steps
    }

    /// How far the pull is.
    pub fn pull_view(&self) -> Option<PullView> {
        let p = self.progress.as_ref()?;
        Some(PullView { layers_done: p.layers_done, layers: p.layers, bytes: p.bytes, total: p.total })
    }

    /// What is waited for, and until when.
    pub fn deadlines(&self) -> Vec<DeadlineView> {
        let boot = DeadlineView { name: "boot.timeout".to_owned(), at: self.deadline.0.as_secs_f64() };
        let start = self
            .start_deadline()
            .map(|(_, at)| DeadlineView { name: "probe.start_timeout".to_owned(), at: at.0.as_secs_f64() });
        [Some(boot), start].into_iter().flatten().collect()
    }
}
