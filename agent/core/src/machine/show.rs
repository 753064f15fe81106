//! How each phase is seen from outside: the view that the endpoint, the socket and `berth status` show.

use std::sync::Arc;

use berth_config::{Config, PinnedImage};

use super::{Machine, Phase};
use crate::app::App;
use crate::hook::Hook;
use crate::message::identity::Identity;
use crate::phase::failing::Failure;
use crate::phase::past::Past;
use crate::view::{DeadlineView, HookState, HookView, LifecycleView, ReadyReason, Status, View};

impl Machine {
    /// What `/ready` says.
    pub fn status(&self) -> Status {
        match &self.phase {
            Phase::Boot(_) => Status::Starting,
            Phase::Serve(serve) => serve.status(),
            Phase::Release(swap) => swap.status(),
            Phase::Warm(_) => Status::Warm,
            Phase::Drain(_) | Phase::Gone => Status::Draining,
            Phase::Failing(_) | Phase::Hold(_) => Status::Failed,
        }
    }

    /// What is waited for, and until when.
    pub fn deadlines(&self) -> Vec<DeadlineView> {
        match &self.phase {
            Phase::Boot(boot) => boot.deadlines(),
            Phase::Drain(drain) => drain.deadlines(),
            Phase::Failing(failing) => failing.deadlines(),
            Phase::Hold(hold) => hold.deadlines(),
            Phase::Serve(_) | Phase::Release(_) | Phase::Warm(_) | Phase::Gone => Vec::new(),
        }
    }

    /// What can be seen from outside.
    pub fn view(&self) -> View {
        let mut view = View {
            phase: self.phase(),
            phase_since_seconds: self.since.0.as_secs_f64(),
            status: self.status(),
            deadlines: self.deadlines(),
            ..View::default()
        };
        match &self.phase {
            Phase::Boot(boot) => {
                view.reason = boot.reason();
                view.ready_reason = boot.ready_reason();
                view.steps = boot.steps();
                view.pull = boot.pull_view();
                view.targets = boot.targets().view();
                show_names(&mut view, boot.identity(), boot.config(), boot.image());
                show_app(&mut view, boot.app());
                view.lifecycle = lifecycle(&[boot.hook()]);
            }
            Phase::Serve(serve) => {
                view.reason = serve.reason();
                view.ready_reason = serve.ready_reason();
                show_past(&mut view, &serve.past);
                show_app(&mut view, Some(serve.app()));
                if serve.waits_for_load_balancer() {
                    let waiting = view.lifecycle.hooks.iter_mut().filter(|hook| hook.state == HookState::WaitingForApp);
                    waiting.for_each(|hook| hook.state = HookState::WaitingForLoadBalancer);
                }
            }
            Phase::Release(swap) => {
                view.reason = swap.reason();
                view.ready_reason = swap.ready_reason();
                show_past(&mut view, &swap.serve.past);
                show_app(&mut view, Some(swap.serve.app()));
                view.releases = swap.serve.past.releases.view(swap.under_way());
            }
            Phase::Drain(drain) => {
                view.reason = drain.reason();
                view.ready_reason = drain.ready_reason();
                show_past(&mut view, &drain.past);
                view.steps.extend(drain.steps());
                view.connections = drain.connections();
                view.drain = Some(drain.view());
                view.lifecycle = lifecycle(&[&drain.past.hook, drain.hook()]);
            }
            Phase::Warm(warm) => {
                view.ready_reason = ReadyReason::Warm;
                view.reason = view.ready_reason.sentence().to_owned();
                show_past(&mut view, &warm.past);
                view.container = None;
            }
            Phase::Failing(failing) => {
                show_failure(&mut view, failing.failure());
                show_past(&mut view, &failing.past);
            }
            Phase::Hold(hold) => {
                show_failure(&mut view, hold.failure());
                show_past(&mut view, &hold.past);
            }
            Phase::Gone => {
                let View { phase, phase_since_seconds, status, deadlines, .. } = view;
                let last = self.last.as_deref().cloned().unwrap_or_default();
                let ready_reason = ReadyReason::Exiting;
                view = View { phase, phase_since_seconds, status, deadlines, ready_reason, ..last };
            }
        }
        // In the order they began. Those that began at the same moment stay as they are.
        view.steps.sort_by(|one, other| one.began_seconds.total_cmp(&other.began_seconds));
        view.phases.clone_from(&self.phases);
        view.retries.clone_from(&self.retries);
        view.user_data = self.foreign;
        view.refused.clone_from(&self.refused);
        view.metadata_block = self.guard.view();
        view.lifecycle.target_state = self.watcher.target_state().map(ToString::to_string);
        view
    }
}

/// The hooks so far; the last one is that of the transition under way.
fn lifecycle(hooks: &[&Hook]) -> LifecycleView {
    let hook = hooks.last();
    let mut views: Vec<HookView> = hooks.iter().map(|hook| hook.view()).collect();
    let unnamed: Vec<HookView> = hooks
        .iter()
        .rev()
        .map(|hook| hook.unnamed().collect())
        .find(|names: &Vec<_>| !names.is_empty())
        .unwrap_or_default();
    // The names say it; one without a name would say it again.
    views.retain(|hook| hook.state != HookState::NotNamed || unnamed.is_empty());
    views.extend(unnamed);
    LifecycleView {
        group: hook.and_then(|hook| hook.group()).map(str::to_owned),
        target_state: None,
        failed: hook.is_some_and(|hook| hook.has_failed()),
        // One counter for all of them: it never falls.
        heartbeats: views.iter().map(|hook| hook.heartbeats).sum(),
        hooks: views,
    }
}

fn show_failure(view: &mut View, failure: &Failure) {
    view.failure = Some(failure.view());
    view.reason.clone_from(&failure.reason);
    view.ready_reason = failure.ready;
}

fn show_past(view: &mut View, past: &Past) {
    view.steps = past.steps.clone();
    view.steps.extend(past.listen.view());
    view.steps.extend(past.hook.steps());
    view.steps.extend(past.targets.steps());
    view.targets = past.targets.view();
    view.releases = past.releases.view(None);
    view.pull = past.pull;
    show_names(view, past.identity.as_ref(), past.is_configured.then_some(&past.config), past.image.as_ref());
    show_app(view, past.app.as_ref());
    view.lifecycle = lifecycle(&[&past.hook]);
}

fn show_names(
    view: &mut View,
    identity: Option<&Arc<Identity>>,
    config: Option<&Arc<Config>>,
    image: Option<&PinnedImage>,
) {
    if let Some(identity) = identity {
        view.instance_id = Some(identity.instance_id.clone());
        view.availability_zone = Some(identity.availability_zone.clone());
    }
    if let Some(config) = config {
        view.name = Some(config.name.clone());
        view.image = Some(config.image.to_string());
        view.version = Some(config.version());
    }
    view.digest = image.map(|image| image.digest.clone());
}

fn show_app(view: &mut View, app: Option<&App>) {
    if let Some(app) = app {
        view.container = Some(app.view());
        view.probes = app.health().last();
        view.restarts = app.restarts();
        view.app_exit = app.last_exit();
        view.app_output = app.output().cloned();
        view.probe_durations = app.health().seconds().clone();
        view.probe_failures = app.health().failed();
    }
}
