//! What people see of a drain: why it began, what it waits for, and until when.

use super::{Drain, Stage};
use crate::clock::Uptime;
use crate::hook::Hook;
use crate::view::{DeadlineView, ReadyReason, SPOT, StepView, WaitView};

impl Drain {
    /// Why the drain began, and what it waits for.
    pub fn reason(&self) -> String {
        let stage = match &self.stage {
            Stage::Reading { .. } => "reading the config".to_owned(),
            Stage::Looking { .. } => "looking for what runs".to_owned(),
            Stage::Settling { .. } => "still serving until load balancers have seen the 503".to_owned(),
            Stage::Emptying { .. } => match self.connections {
                Some(1) => "waiting for 1 connection to end".to_owned(),
                Some(count) => format!("waiting for {count} connections to end"),
                None => "waiting for connections to end".to_owned(),
            },
            Stage::Stopping { .. } => "stopping the app".to_owned(),
            Stage::Telling => format!("termination hook: {}", self.hook.view().state),
            Stage::LastWords { .. } => "over".to_owned(),
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

    /// The stages so far, for people.
    pub fn steps(&self) -> Vec<StepView> {
        let ends = self.stages.iter().skip(1).map(|(_, began)| Some(*began)).chain([self.ended]);
        let stages = self.stages.iter().zip(ends);
        stages
            .map(|((name, began), ended)| {
                let took = ended.map(|ended| ended.since(*began).as_secs_f64());
                let began = began.0.as_secs_f64();
                let waits = matches!(*name, "settling" | "emptying").then_some(WaitView { began, took });
                let (name, waits) = ((*name).to_owned(), waits.into_iter().collect());
                StepView { name, began, took, attempts: 1, error: None, waits }
            })
            .chain(self.hook.steps())
            .collect()
    }

    /// Until when what is waited for.
    pub fn deadlines(&self) -> Vec<DeadlineView> {
        let view = |name: &str, at: Uptime| DeadlineView { name: name.to_owned(), at: at.0.as_secs_f64() };
        let stage = match &self.stage {
            Stage::Reading { until, .. } => Some(view("reading", *until)),
            Stage::Looking { until, .. } => Some(view("looking", *until)),
            Stage::Settling { until } => Some(view("drain.settle", *until)),
            Stage::Emptying { until, .. } => Some(view("drain.timeout", *until)),
            Stage::Stopping { until, .. } => Some(view("stop_timeout", *until)),
            Stage::Telling => {
                let limit = self.hook.limit(self.entered);
                Some(view("termination hook", self.hook.gives_up_at().map_or(limit, |at| at.min(limit))))
            }
            Stage::LastWords { .. } => None,
        };
        stage.into_iter().chain(self.cut.map(|cut| view(SPOT, cut))).collect()
    }
}
