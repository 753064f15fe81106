//! How the targets are shown: in the status, as steps of the boot, and at the end.

use berth_config::TargetGroup;

use super::registration::Registration;
use super::{Targets, Wish};
use crate::view::{StepView, TargetView};

impl Targets {
    /// The steps that lead to the targets.
    pub fn steps(&self) -> impl Iterator<Item = StepView> + '_ {
        let lookups = [self.attached.view(), self.choice.step().view()];
        lookups.into_iter().flatten().chain(self.registrations.iter().filter_map(Registration::step_view))
    }

    /// Each target, and each target group that is left to the Auto Scaling group.
    pub fn view(&self) -> Vec<TargetView> {
        let attached = self.attached.get().into_iter().flat_map(|attached| &attached.target_groups);
        let attached = attached.map(|arn| TargetView::attached(arn.clone()));
        self.registrations.iter().map(Registration::view).chain(attached).collect()
    }

    /// What a serving instance still waits for, in one sentence.
    pub fn waits_for(&self) -> Option<String> {
        match &self.wish {
            Wish::Out | Wish::Impossible { .. } => None,
            // Only what is to be left is asked about.
            Wish::Entering(entry) if entry.config.target_groups.is_empty() => None,
            Wish::Entering(_) => Some("asking Auto Scaling which target groups it attaches by itself".to_owned()),
            Wish::In(wanted) => {
                let waiting = self.registrations.iter().filter(|one| wanted.contains(one.target()) && !one.is_in());
                let waiting: Vec<_> = waiting.map(|one| format!("{}: {}", one.target(), last_word(one))).collect();
                (!waiting.is_empty()).then(|| format!("waiting for the load balancer: {}", waiting.join(", ")))
            }
        }
    }

    /// The targets that could not be deregistered, and why, for the final status.
    pub fn stuck(&self) -> Option<String> {
        let stuck = self.registrations.iter().filter(|one| one.is_registered());
        let stuck: Vec<_> = stuck.map(|one| format!("{} ({})", one.target(), last_word(one))).collect();
        (!stuck.is_empty()).then(|| format!("not deregistered: {}", stuck.join(", ")))
    }
}

/// What was answered last.
pub(super) fn last_word(one: &Registration) -> String {
    match (one.error(), one.health()) {
        (Some(error), _) => error.reason.clone(),
        (None, Some(health)) => health.to_string(),
        (None, None) => one.stage_name().label(),
    }
}

impl Registration {
    /// The step from the first call to healthy. What the load balancer says meanwhile is its error.
    pub(super) fn step_view(&self) -> Option<StepView> {
        let mut view = self.step().view()?;
        if view.took_seconds.is_none() {
            view.error = self.error().map(|error| error.reason.clone()).or(self.health().map(ToString::to_string));
            view.error_class = self.error().map(|error| error.class);
        }
        Some(view)
    }

    fn view(&self) -> TargetView {
        let health = self.health();
        TargetView {
            target_group: self.target().target_group.clone(),
            name: TargetGroup::name_of(&self.target().target_group).to_owned(),
            port: Some(self.target().port),
            state: self.stage_name(),
            health: health.map(|health| health.state),
            health_reason: health.and_then(|health| health.reason.clone()),
            reason: self.error().map(|error| error.reason.clone()).or(health.map(ToString::to_string)),
        }
    }
}
