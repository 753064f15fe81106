//! `/metrics`: the view as Prometheus text.
//!
//! Nothing is counted here, every number is in the view. Labels are the words that JSON has, too. `promtool check metrics` reads it in
//! tests/adapters/metrics.rs.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::view::published::Published;
use crate::view::{PhaseName, Status, StepView, View};

/// The content type of the text format, version 0.0.4.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything that is known, one family after the other.
pub fn render(published: &Published) -> String {
    let view = &published.view;
    let mut text = Text::default();

    text.family("berth_build_info", "gauge", "The version of the agent.");
    text.sample("berth_build_info", &[("version", &published.agent_version)], 1.0);
    if let Some(name) = &view.name {
        let version = view.version.as_deref().unwrap_or_default();
        text.family("berth_app_info", "gauge", "The app and the version of it that this instance runs.");
        text.sample("berth_app_info", &[("name", name), ("version", version)], 1.0);
    }
    text.family("berth_ready", "gauge", "1 while /ready answers 200.");
    text.sample("berth_ready", &[], f64::from(u8::from(view.status == Status::Ok)));
    text.family("berth_phase", "gauge", "1 for the phase that the instance is in.");
    for &phase in PhaseName::ALL {
        text.sample("berth_phase", &[("phase", phase.word())], f64::from(u8::from(view.phase == phase)));
    }

    steps(&mut text, view);
    retries(&mut text, view);
    probes(&mut text, view);

    text.family("berth_restarts_total", "counter", "Restarts of the app.");
    text.sample("berth_restarts_total", &[], f64::from(view.restarts));
    if let Some(block) = view.metadata_block {
        text.family("berth_imds_block", "gauge", "1 while imds=block holds, 0 while it cannot be checked or put back.");
        text.sample("berth_imds_block", &[], f64::from(u8::from(block.holds)));
        text.family(
            "berth_imds_block_restored_total",
            "counter",
            "Times that the app could reach the instance metadata although imds=block is set, until it was put back.",
        );
        text.sample("berth_imds_block_restored_total", &[], block.restored as f64);
    }
    if let Some(connections) = view.connections {
        text.family(
            "berth_connections",
            "gauge",
            "Connections that the clients of the app hold, while they are counted.",
        );
        text.sample("berth_connections", &[], f64::from(connections));
    }
    text.family("berth_heartbeats_total", "counter", "Heartbeats of lifecycle hooks that were recorded.");
    text.sample("berth_heartbeats_total", &[], f64::from(view.lifecycle.heartbeats));
    text.family("berth_hook_failed", "gauge", "1 once the lifecycle hook could not be completed.");
    text.sample("berth_hook_failed", &[], f64::from(u8::from(view.lifecycle.failed)));
    hooks(&mut text, view);
    targets(&mut text, view);
    releases(&mut text, view);
    text.family("berth_log_lines_dropped_total", "counter", "Lines of the log that standard error did not take.");
    text.sample("berth_log_lines_dropped_total", &[], published.log_lines_dropped as f64);
    text.0
}

/// How many hooks are in each state. Their names are AWS's, which anyone who reaches the port may not read.
fn hooks(text: &mut Text, view: &View) {
    let mut states: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    for hook in view.lifecycle.hooks.iter().filter(|hook| hook.name.is_some()) {
        *states.entry((hook.transition.word(), hook.state.word())).or_default() += 1;
    }
    if !states.is_empty() {
        text.family(
            "berth_lifecycle_hooks",
            "gauge",
            "Lifecycle hooks of this instance, by the state that they are in.",
        );
    }
    for ((transition, state), count) in states {
        text.sample("berth_lifecycle_hooks", &[("transition", transition), ("state", state)], f64::from(count));
    }
}

/// How many targets are in each state. Their target groups' names are AWS's as well.
fn targets(text: &mut Text, view: &View) {
    let mut states: BTreeMap<&str, u32> = BTreeMap::new();
    for target in &view.targets {
        *states.entry(target.state.word()).or_default() += 1;
    }
    if !states.is_empty() {
        text.family(
            "berth_targets",
            "gauge",
            "Targets of this instance in target groups, by the state that they are in.",
        );
    }
    for (state, count) in states {
        text.sample("berth_targets", &[("state", state)], f64::from(count));
    }
}

/// How the releases ended here, and whether one waits.
fn releases(text: &mut Text, view: &View) {
    let Some(releases) = &view.releases else { return };
    text.family("berth_releases_total", "counter", "Releases that ended here since the agent started, by their end.");
    text.sample("berth_releases_total", &[("end", "good")], f64::from(releases.succeeded));
    text.sample("berth_releases_total", &[("end", "rolled_back")], f64::from(releases.failed));
    text.family("berth_release_refused", "gauge", "1 while the followed document cannot be released in place.");
    text.sample("berth_release_refused", &[], f64::from(u8::from(releases.refused.is_some())));
    text.family("berth_release_follow_failed", "gauge", "1 if the followed document could not be read, or is invalid.");
    text.sample("berth_release_follow_failed", &[], f64::from(u8::from(releases.follow_error.is_some())));
    text.family(
        "berth_release_waits",
        "gauge",
        "1 for what the next release waits for; no sample while there is none.",
    );
    if let Some(next) = &releases.next {
        text.sample("berth_release_waits", &[("for", next.waits_for.word())], 1.0);
    }
    if let Some(gap) = releases.last.as_ref().and_then(|last| last.gap_seconds) {
        text.family("berth_release_gap_seconds", "gauge", "How long no container took requests in the last release.");
        text.sample("berth_release_gap_seconds", &[], gap);
    }
}

/// How long the finished steps took, in the boot and on the way out.
fn steps(text: &mut Text, view: &View) {
    let leaving = view.left_at();
    let (boot, drain): (Vec<&StepView>, Vec<&StepView>) =
        view.steps.iter().partition(|step| leaving.is_none_or(|at| step.began_seconds < at));
    for (name, help, steps) in [
        ("berth_boot_step_seconds", "How long a finished step of the boot took.", boot),
        ("berth_drain_step_seconds", "How long a finished step of the drain, or of winding up a failure, took.", drain),
    ] {
        // A name twice would make the whole page invalid; the last one stands.
        let took: BTreeMap<&str, f64> =
            steps.into_iter().filter_map(|step| Some((step.name.word(), step.took_seconds?))).collect();
        if !took.is_empty() {
            text.family(name, "gauge", help);
        }
        for (step, took) in took {
            text.sample(name, &[("step", step)], took);
        }
    }
}

/// Attempts after the first, of steps and of what belongs to none.
fn retries(text: &mut Text, view: &View) {
    let steps = view.steps.iter().map(|step| (step.name.word(), step.attempts.saturating_sub(1)));
    let others = view.retries.iter().map(|(job, count)| (job.word(), *count));
    let mut retries: BTreeMap<&str, u64> = BTreeMap::new();
    for (call, count) in steps.chain(others) {
        *retries.entry(call).or_default() += u64::from(count);
    }
    if !retries.is_empty() {
        text.family("berth_retries_total", "counter", "Attempts at a step or a call after its first.");
    }
    for (call, count) in retries {
        text.sample("berth_retries_total", &[("call", call)], count as f64);
    }
    if !view.refused.is_empty() {
        text.family("berth_refused_total", "counter", "Answers to a call that no further attempt can change.");
    }
    for (job, count) in &view.refused {
        text.sample("berth_refused_total", &[("call", job.word())], f64::from(*count));
    }
}

/// Every probe since the agent started.
fn probes(text: &mut Text, view: &View) {
    let (name, probes) = ("berth_probe_duration_seconds", &view.probe_durations);
    text.family(name, "histogram", "How long a probe of the app took, whether it passed or failed.");
    for (bound, count) in probes.cumulated() {
        text.sample("berth_probe_duration_seconds_bucket", &[("le", &bound.to_string())], count as f64);
    }
    text.sample("berth_probe_duration_seconds_bucket", &[("le", "+Inf")], probes.count as f64);
    text.sample("berth_probe_duration_seconds_sum", &[], probes.sum_seconds);
    text.sample("berth_probe_duration_seconds_count", &[], probes.count as f64);
    text.family("berth_probe_failures_total", "counter", "Probes of the app that failed.");
    text.sample("berth_probe_failures_total", &[], view.probe_failures as f64);
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (at, (label, value)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"{}\"", if at == 0 { '{' } else { ',' }, escaped(value));
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}

/// A label's value with the three escapes that the format has.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::message::job::JobKind;
    use crate::view::{
        GateStage, HookState, HookView, LastReleaseView, NextReleaseView, PhaseView, ReleasesView, StepName,
        TargetStage, TargetView, TransitionName,
    };

    #[test]
    fn a_boot_on_the_way_shows_its_steps() {
        let step = |name, took_seconds, attempts| StepView { name, took_seconds, attempts, ..StepView::default() };
        let view = View {
            name: Some("say \"hi\"\\\n".into()),
            steps: vec![step(StepName::Identity, Some(0.25), 3), step(StepName::Pull, None, 1)],
            ..View::default()
        };
        let published = Published { view, agent_version: "0.1.0".into(), ..Published::default() };
        expect![[r##"
            # HELP berth_build_info The version of the agent.
            # TYPE berth_build_info gauge
            berth_build_info{version="0.1.0"} 1
            # HELP berth_app_info The app and the version of it that this instance runs.
            # TYPE berth_app_info gauge
            berth_app_info{name="say \"hi\"\\\n",version=""} 1
            # HELP berth_ready 1 while /ready answers 200.
            # TYPE berth_ready gauge
            berth_ready 0
            # HELP berth_phase 1 for the phase that the instance is in.
            # TYPE berth_phase gauge
            berth_phase{phase="boot"} 1
            berth_phase{phase="serve"} 0
            berth_phase{phase="release"} 0
            berth_phase{phase="drain"} 0
            berth_phase{phase="warm"} 0
            berth_phase{phase="failing"} 0
            berth_phase{phase="hold"} 0
            berth_phase{phase="gone"} 0
            # HELP berth_boot_step_seconds How long a finished step of the boot took.
            # TYPE berth_boot_step_seconds gauge
            berth_boot_step_seconds{step="identity"} 0.25
            # HELP berth_retries_total Attempts at a step or a call after its first.
            # TYPE berth_retries_total counter
            berth_retries_total{call="identity"} 2
            berth_retries_total{call="pull"} 0
            # HELP berth_probe_duration_seconds How long a probe of the app took, whether it passed or failed.
            # TYPE berth_probe_duration_seconds histogram
            berth_probe_duration_seconds_bucket{le="0.001"} 0
            berth_probe_duration_seconds_bucket{le="0.0025"} 0
            berth_probe_duration_seconds_bucket{le="0.005"} 0
            berth_probe_duration_seconds_bucket{le="0.01"} 0
            berth_probe_duration_seconds_bucket{le="0.025"} 0
            berth_probe_duration_seconds_bucket{le="0.05"} 0
            berth_probe_duration_seconds_bucket{le="0.1"} 0
            berth_probe_duration_seconds_bucket{le="0.25"} 0
            berth_probe_duration_seconds_bucket{le="0.5"} 0
            berth_probe_duration_seconds_bucket{le="1"} 0
            berth_probe_duration_seconds_bucket{le="2.5"} 0
            berth_probe_duration_seconds_bucket{le="5"} 0
            berth_probe_duration_seconds_bucket{le="+Inf"} 0
            berth_probe_duration_seconds_sum 0
            berth_probe_duration_seconds_count 0
            # HELP berth_probe_failures_total Probes of the app that failed.
            # TYPE berth_probe_failures_total counter
            berth_probe_failures_total 0
            # HELP berth_restarts_total Restarts of the app.
            # TYPE berth_restarts_total counter
            berth_restarts_total 0
            # HELP berth_heartbeats_total Heartbeats of lifecycle hooks that were recorded.
            # TYPE berth_heartbeats_total counter
            berth_heartbeats_total 0
            # HELP berth_hook_failed 1 once the lifecycle hook could not be completed.
            # TYPE berth_hook_failed gauge
            berth_hook_failed 0
            # HELP berth_log_lines_dropped_total Lines of the log that standard error did not take.
            # TYPE berth_log_lines_dropped_total counter
            berth_log_lines_dropped_total 0
        "##]]
        .assert_eq(&render(&published));
    }

    #[test]
    fn a_step_that_came_twice_is_one_sample_and_all_its_retries() {
        let step = StepView { name: StepName::Start, took_seconds: Some(1.0), attempts: 3, ..StepView::default() };
        let view = View {
            steps: vec![
                step.clone(),
                StepView { took_seconds: Some(2.0), ..step.clone() },
                StepView { took_seconds: None, ..step },
            ],
            retries: [(JobKind::StartContainer, 5), (JobKind::RecordHeartbeat, u32::MAX)].into(),
            ..View::default()
        };
        let text = render(&Published { view, ..Published::default() });
        assert_eq!(text.matches("berth_boot_step_seconds{step=\"start\"}").count(), 1);
        assert!(text.contains("berth_boot_step_seconds{step=\"start\"} 2\n"), "{text}");
        assert!(text.contains("berth_retries_total{call=\"start\"} 6\n"), "{text}");
        assert!(text.contains("berth_retries_total{call=\"start_container\"} 5\n"), "{text}");
        assert!(text.contains("berth_retries_total{call=\"record_heartbeat\"} 4294967295\n"), "{text}");
    }

    #[test]
    fn a_refusal_and_a_hook_that_could_not_be_completed_are_seen_from_outside() {
        let mut view =
            View { refused: [(JobKind::CompleteHook, 1), (JobKind::RecordHeartbeat, 3)].into(), ..View::default() };
        view.lifecycle.failed = true;
        let hook = |name: &str, transition, state| HookView {
            name: Some(name.into()),
            transition,
            state,
            ..HookView::default()
        };
        view.lifecycle.hooks = vec![
            hook("launch", TransitionName::Launch, HookState::Completed),
            hook("one", TransitionName::Termination, HookState::Refused),
            hook("other", TransitionName::Termination, HookState::Completing),
            hook("third", TransitionName::Termination, HookState::Completing),
        ];
        let text = render(&Published { view, ..Published::default() });
        for sample in [
            "berth_refused_total{call=\"complete_hook\"} 1",
            "berth_refused_total{call=\"record_heartbeat\"} 3",
            "berth_hook_failed 1",
            "berth_lifecycle_hooks{transition=\"launch\",state=\"completed\"} 1",
            "berth_lifecycle_hooks{transition=\"termination\",state=\"refused\"} 1",
            "berth_lifecycle_hooks{transition=\"termination\",state=\"completing\"} 2",
        ] {
            assert!(text.lines().any(|line| line == sample), "{sample}\n{text}");
        }
    }

    #[test]
    fn releases_are_counted_by_their_end() {
        let next = NextReleaseView { waits_for: GateStage::Lock, ..NextReleaseView::default() };
        let last = LastReleaseView { gap_seconds: Some(1.5), ..LastReleaseView::default() };
        let releases =
            ReleasesView { next: Some(next), last: Some(last), succeeded: 2, failed: 1, ..ReleasesView::default() };
        let view = View { releases: Some(releases), ..View::default() };
        let text = render(&Published { view, ..Published::default() });
        let samples: Vec<&str> = text.lines().filter(|line| line.starts_with("berth_release")).collect();
        assert_eq!(
            samples,
            [
                "berth_releases_total{end=\"good\"} 2",
                "berth_releases_total{end=\"rolled_back\"} 1",
                "berth_release_refused 0",
                "berth_release_follow_failed 0",
                "berth_release_waits{for=\"lock\"} 1",
                "berth_release_gap_seconds 1.5",
            ]
        );
        assert!(!render(&Published::default()).contains("berth_release"));
    }

    #[test]
    fn targets_are_counted_by_state_and_their_target_groups_are_not_named() {
        let target = |arn: &str, state| TargetView { state, ..TargetView::attached(arn.to_owned()) };
        let targets = vec![
            target("arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/hunter/1", TargetStage::InService),
            target("arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/hunter2/2", TargetStage::InService),
            target(
                "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/hunter3/3",
                TargetStage::AttachedByGroup,
            ),
        ];
        let text = render(&Published { view: View { targets, ..View::default() }, ..Published::default() });
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("berth_targets")).collect();
        assert_eq!(
            lines,
            ["berth_targets{state=\"attached_by_group\"} 1", "berth_targets{state=\"in_service\"} 2"],
            "{text}"
        );
        assert!(!text.contains("hunter"), "{text}");
        assert!(!render(&Published::default()).contains("berth_targets"), "a family without a sample is left out");
    }

    #[test]
    fn the_steps_of_the_drain_are_apart_from_those_of_the_boot() {
        let step =
            |name, began_seconds, took_seconds| StepView { name, began_seconds, took_seconds, ..StepView::default() };
        let phase = |name, began_seconds| PhaseView { name, began_seconds };
        let view = View {
            phases: vec![phase(PhaseName::Boot, 0.0), phase(PhaseName::Serve, 5.0), phase(PhaseName::Drain, 900.0)],
            // The launch hook is completed while serving.
            steps: vec![
                step(StepName::Hook, 5.0, Some(0.25)),
                step(StepName::Settling, 900.0, Some(20.0)),
                step(StepName::Hook, 920.0, Some(0.5)),
            ],
            connections: Some(7),
            ..View::default()
        };
        let text = render(&Published { view, ..Published::default() });
        let lines: Vec<&str> =
            text.lines().filter(|line| line.contains("{step=") || line.starts_with("berth_conn")).collect();
        assert_eq!(
            lines,
            [
                "berth_boot_step_seconds{step=\"hook\"} 0.25",
                "berth_drain_step_seconds{step=\"hook\"} 0.5",
                "berth_drain_step_seconds{step=\"settling\"} 20",
                "berth_connections 7",
            ]
        );
    }
}
