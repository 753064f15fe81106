//! `/metrics`: the view as Prometheus text.
//!
//! A few lines by hand: nothing here is counted, every number is already in the view.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::published::Published;
use crate::view::{PhaseName, Status};

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
    for phase in PhaseName::ALL {
        text.sample("berth_phase", &[("phase", phase.word())], f64::from(u8::from(view.phase == phase)));
    }

    // A name twice would make the whole page invalid; the last one stands.
    let steps: BTreeMap<&str, _> = view.steps.iter().map(|step| (step.name.as_str(), step)).collect();
    text.family("berth_boot_step_seconds", "gauge", "How long a finished step of the boot took.");
    for (name, step) in &steps {
        if let Some(took) = step.took {
            text.sample("berth_boot_step_seconds", &[("step", name)], took);
        }
    }
    text.family("berth_retries_total", "counter", "Attempts at a step after its first.");
    for (name, step) in &steps {
        text.sample("berth_retries_total", &[("step", name)], f64::from(step.attempts.saturating_sub(1)));
    }
    text.family("berth_restarts_total", "counter", "Restarts of the app.");
    text.sample("berth_restarts_total", &[], f64::from(view.restarts));
    text.family("berth_heartbeats_total", "counter", "Heartbeats of the lifecycle hook that were recorded.");
    text.sample("berth_heartbeats_total", &[], f64::from(view.lifecycle.heartbeats));
    text.0
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
    use crate::view::{StepView, View};

    #[test]
    fn a_boot_on_the_way_shows_its_steps() {
        let step = |name: &str, took, attempts| StepView {
            name: name.into(),
            began: 0.0,
            took,
            attempts,
            ..StepView::default()
        };
        let view = View {
            name: Some("say \"hi\"\\\n".into()),
            steps: vec![step("identity", Some(0.25), 3), step("pull", None, 1)],
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
            berth_phase{phase="drain"} 0
            berth_phase{phase="failing"} 0
            berth_phase{phase="hold"} 0
            berth_phase{phase="gone"} 0
            # HELP berth_boot_step_seconds How long a finished step of the boot took.
            # TYPE berth_boot_step_seconds gauge
            berth_boot_step_seconds{step="identity"} 0.25
            # HELP berth_retries_total Attempts at a step after its first.
            # TYPE berth_retries_total counter
            berth_retries_total{step="identity"} 2
            berth_retries_total{step="pull"} 0
            # HELP berth_restarts_total Restarts of the app.
            # TYPE berth_restarts_total counter
            berth_restarts_total 0
            # HELP berth_heartbeats_total Heartbeats of the lifecycle hook that were recorded.
            # TYPE berth_heartbeats_total counter
            berth_heartbeats_total 0
        "##]]
        .assert_eq(&render(&published));
    }

    #[test]
    fn a_step_that_came_twice_is_one_sample() {
        let step = StepView { name: "start".into(), began: 0.0, took: Some(1.0), attempts: 1, ..StepView::default() };
        let view = View { steps: vec![step.clone(), StepView { took: Some(2.0), ..step }], ..View::default() };
        let text = render(&Published { view, ..Published::default() });
        assert_eq!(text.matches("berth_boot_step_seconds{step=\"start\"}").count(), 1);
        assert!(text.contains("berth_boot_step_seconds{step=\"start\"} 2\n"));
    }
}
