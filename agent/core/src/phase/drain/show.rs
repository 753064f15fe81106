//! How a drain is shown: why it began, what it waits for, and until when.

use super::{Drain, Stage};
use crate::clock::Uptime;
use crate::hook::Hook;
use crate::view::{
    DeadlineName, DeadlineView, DrainStage, DrainView, ReadyReason, StepName, StepState, StepView, WaitView,
};

impl Drain {
    /// Why the drain began, and what it waits for.
    pub fn reason(&self) -> String {
        let stage = match &self.stage {
            Stage::ReadingConfig { .. } => "reading the config".to_owned(),
            Stage::Discovering { .. } => "looking for what runs".to_owned(),
            Stage::Settling { .. } => "still serving until load balancers have seen the 503".to_owned(),
            Stage::DrainingConnections { .. } if self.past.targets.are_leaving() => {
                "waiting for the load balancer to deregister the target".to_owned()
            }
            Stage::DrainingConnections { .. } => match self.connections {
                Some(1) => "waiting for 1 connection to end".to_owned(),
                Some(count) => format!("waiting for {count} connections to end"),
                None => "waiting for connections to end".to_owned(),
            },
            Stage::Stopping { .. } => "stopping the app".to_owned(),
            Stage::CompletingHook => format!("termination hook: {}", self.hook.view()),
            Stage::FinalStatus { .. } => "over".to_owned(),
        };
        format!("{}: {stage}", self.cause)
    }

    /// Why, as `/ready` says it.
    pub fn ready_reason(&self) -> ReadyReason {
        self.cause.ready_reason()
    }

    /// The hook of the termination, for people.
    pub fn hook(&self) -> &Hook {
        &self.hook
    }

    /// Connections of clients, as last counted.
    pub fn connections(&self) -> Option<u32> {
        self.connections
    }

    /// The drain, as it is shown.
    pub fn view(&self) -> DrainView {
        let seconds = |at: Uptime| at.0.as_secs_f64();
        DrainView {
            cause: self.cause.name(),
            cause_detail: self.cause.detail(),
            stage: match &self.stage {
                Stage::ReadingConfig { .. } => DrainStage::ReadingConfig,
                Stage::Discovering { .. } => DrainStage::Discovering,
                Stage::Settling { .. } => DrainStage::Settling,
                Stage::DrainingConnections { .. } => DrainStage::DrainingConnections,
                Stage::Stopping { .. } => DrainStage::Stopping,
                Stage::CompletingHook => DrainStage::CompletingHook,
                Stage::FinalStatus { .. } => DrainStage::FinalStatus,
            },
            began_seconds: seconds(self.entered) - self.began.age(self.entered).as_secs_f64(),
            cut_seconds: self.cut.map(seconds),
            cut_short: !self.clean,
        }
    }

    /// The stages so far, as steps.
    pub fn steps(&self) -> Vec<StepView> {
        let ends = self.stages.iter().skip(1).map(|(_, began)| Some(*began)).chain([self.ended]);
        let stages = self.stages.iter().zip(ends);
        stages
            .map(|((name, began), ended)| {
                let took_seconds = ended.map(|ended| ended.since(*began).as_secs_f64());
                let began_seconds = began.0.as_secs_f64();
                let is_wait = matches!(name, StepName::Settling | StepName::DrainingConnections);
                let state = match took_seconds {
                    Some(_) => StepState::Done,
                    None if is_wait => StepState::Waiting,
                    None => StepState::Running,
                };
                let waits = is_wait.then_some(WaitView { began_seconds, took_seconds }).into_iter().collect();
                StepView { name: *name, state, began_seconds, took_seconds, attempts: 1, waits, ..StepView::default() }
            })
            .chain(self.hook.steps())
            .collect()
    }

    /// Until when what is waited for.
    pub fn deadlines(&self) -> Vec<DeadlineView> {
        let view = |name, at: Uptime| DeadlineView { name, at_seconds: at.0.as_secs_f64() };
        let stage = match &self.stage {
            Stage::ReadingConfig { until, .. } => Some(view(DeadlineName::ReadingConfig, *until)),
            Stage::Discovering { until, .. } => Some(view(DeadlineName::Discovering, *until)),
            Stage::Settling { until } => Some(view(DeadlineName::DrainSettle, *until)),
            Stage::DrainingConnections { until, .. } => Some(view(DeadlineName::DrainTimeout, *until)),
            Stage::Stopping { until, .. } => Some(view(DeadlineName::StopTimeout, *until)),
            Stage::CompletingHook => {
                let limit = self.hook.limit(self.entered);
                Some(view(DeadlineName::TerminationHook, self.hook.gives_up_at().map_or(limit, |at| at.min(limit))))
            }
            Stage::FinalStatus { .. } => None,
        };
        stage.into_iter().chain(self.cut.map(|cut| view(DeadlineName::SpotInterruption, cut))).collect()
    }
}
