//! `berth status`: the running agent in one screen.
//!
//! When no agent runs, the last one: from its record in the state directory (edge/state_dir.rs), which is the same and how it ended.
//! Drawn from `/v1/status` alone, so it shows nothing that the socket does not. What came from elsewhere (a reason, a
//! fault) is cut to one line without control characters: no registry's error page steers a terminal.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use crate::cli::{Global, Status};
use crate::commands::figures::{bytes, span};
use crate::commands::status_watch;
use crate::commands::timeline::{Timeline, bars};
use crate::edge::console::one_line;
use crate::edge::socket_client::{self, ClientError};
use crate::edge::state_dir;
use crate::last_life::LastLife;
use crate::published::Report;
use crate::view::{PullView, Status as ViewStatus, View};

/// The bars are this wide; with the labels the screen stays within 80 columns.
const BAR: usize = 36;
/// The longest text from elsewhere in a row.
const TEXT: usize = 160;
/// The longest line of a reason, which begins with what was tried, with an image's whole name in it, and ends with why it failed.
const REASON: usize = 1000;
/// So many of the app's last lines are shown once it is healthy again.
const RECOVERED: usize = 10;

/// The whole command.
pub async fn main(global: &Global, args: &Status) -> ExitCode {
    let shown = if args.watch {
        status_watch::main(&global.run_dir(), args.json).await
    } else {
        run(&global.run_dir(), args.json).await.map(|text| super::say(&text))
    };
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        Err(ClientError::NotRunning(run_dir)) => {
            super::note(&ClientError::NotRunning(run_dir).to_string());
            match state_dir::read(&global.state_dir()) {
                Ok(Some(life)) => super::say(&last(&life, args.json)),
                Ok(None) => {}
                Err(error) => super::note(&super::chain(&error)),
            }
            super::NO.into()
        }
        Err(error) => super::failed(super::NO, &super::chain(&error)),
    }
}

/// The last life: how it ended, when and why, and what it showed at that moment.
pub fn last(life: &LastLife, json: bool) -> String {
    if json {
        // It has no map with keys that are not strings, so it always can be written.
        return serde_json::to_string(life).unwrap_or_default() + "\n";
    }
    let mut screen = Screen::default();
    screen.line(&life.sentence());
    screen.line(life.last_life.final_status.as_ref().unwrap_or(&life.report.published.view.reason));
    screen.body(&life.report);
    screen.text
}

/// The screen, or the JSON that the agent answered.
pub async fn run(run_dir: &Path, json: bool) -> Result<String, ClientError> {
    if json {
        let answer = socket_client::get(run_dir, "/v1/status").await?;
        return Ok(String::from_utf8_lossy(&answer).into_owned());
    }
    Ok(screen(&socket_client::status(run_dir).await?))
}

/// The agent in one screen.
pub fn screen(report: &Report) -> String {
    let (view, now) = (&report.published.view, report.now);
    let mut screen = Screen::default();
    screen.line(&format!("{} · {} for {}", view.status.word(), view.phase.word(), span(now - view.phase_since)));
    for line in view.reason.lines() {
        screen.line(line);
    }
    screen.body(report);
    screen.text
}

fn facts(screen: &mut Screen, report: &Report) {
    let (published, view) = (&report.published, &report.published.view);
    screen.row("image", view.image.as_deref().unwrap_or_default());
    screen.row("digest", view.digest.as_deref().unwrap_or_default());
    if let Some(container) = &view.container {
        let id = container.id.get(..12).unwrap_or(&container.id);
        let adopted = if container.adopted { ", adopted" } else { "" };
        let restarts = match view.restarts {
            0 => String::new(),
            1 => ", restarted once".into(),
            times => format!(", restarted {times} times"),
        };
        screen.row("container", &format!("{} ({id}){adopted}{restarts}", container.name));
        screen.row("ports", &container.ports.join(", "));
    }
    let instance = [view.instance_id.as_deref(), view.availability_zone.as_deref()];
    screen.row("instance", &instance.into_iter().flatten().collect::<Vec<_>>().join(" in "));
    let foreign = view.user_data.map(|foreign| format!("{foreign}, holds no config"));
    screen.row("user-data", foreign.as_deref().unwrap_or_default());
    screen.row("endpoint", &published.listen.map(|listen| listen.to_string()).unwrap_or_default());
    screen.row("agent", &format!("{} since {}", published.agent_version, published.started_at));
}

/// The steps of the boot, or of the way out once it has begun.
fn steps(screen: &mut Screen, report: &Report) {
    let timeline = Timeline::of(report);
    if let Some(panel) = timeline.panels.last().filter(|panel| !panel.steps.is_empty()) {
        let _ = writeln!(screen.text, "\n  {} {}", panel.name.word(), span(panel.until - panel.began));
        for step in &panel.steps {
            let _ = writeln!(screen.text, "{}", bars::row(panel, step, BAR, bars::Weight::Even));
        }
        screen.text.push('\n');
    }
}

fn pulled(pull: &PullView) -> String {
    let share = if pull.total == 0 { 0.0 } else { (pull.bytes as f64 / pull.total as f64).clamp(0.0, 1.0) };
    let full = (share * BAR as f64) as usize;
    format!(
        "{}{} {:3.0} %  {} of {}, {} of {} layers",
        "█".repeat(full),
        "░".repeat(BAR - full),
        share * 100.0,
        bytes(pull.bytes),
        bytes(pull.total),
        pull.layers_done,
        pull.layers
    )
}

fn probes(view: &View, now: f64) -> String {
    let Some(last) = view.probes.last() else { return String::new() };
    let marks: String = view.probes.iter().map(|probe| if probe.fault.is_none() { '●' } else { '○' }).collect();
    let said = match &last.fault {
        None => "passed".into(),
        Some(fault) => format!("failed, {fault},"),
    };
    format!("{marks} last {said} in {}, {} ago", span(last.took), span(now - last.at))
}

fn hook(view: &View) -> String {
    let lifecycle = &view.lifecycle;
    let names: Vec<_> = [&lifecycle.group, &lifecycle.hook].into_iter().flatten().map(String::as_str).collect();
    let mut words: Vec<String> =
        [names.join(" / "), lifecycle.state.clone()].into_iter().filter(|word| !word.is_empty()).collect();
    match lifecycle.heartbeats {
        0 => {}
        1 => words.push("1 heartbeat".into()),
        many => words.push(format!("{many} heartbeats")),
    }
    if let Some(target) = &lifecycle.target_state {
        words.push(format!("target state {target}"));
    }
    words.join(", ")
}

/// What the app wrote last, as far as it says why it is not healthy; of one that recovered the end is enough.
fn output(screen: &mut Screen, view: &View, now: f64) {
    let Some(output) = &view.app_output else { return };
    let lines = output.for_people();
    let shown = if view.status == ViewStatus::Ok { lines.len().min(RECOVERED) } else { lines.len() };
    let more = match (output.truncated, lines.len() - shown) {
        (_, more @ 1..) => format!(", {more} lines before in --json"),
        (true, _) => ", earlier output left out".to_owned(),
        (false, _) => String::new(),
    };
    let _ = writeln!(screen.text, "\n  the app's last output, {} ago{more}", span(now - output.at));
    for line in lines.iter().skip(lines.len() - shown) {
        let _ = writeln!(screen.text, "    {}", one_line(line, REASON));
    }
}

#[derive(Default)]
struct Screen {
    text: String,
}

impl Screen {
    /// All but the first lines.
    fn body(&mut self, report: &Report) {
        let (view, now) = (&report.published.view, report.now);
        self.text.push('\n');
        facts(self, report);
        steps(self, report);
        if let Some(pull) = &view.pull {
            self.row("pulled", &pulled(pull));
        }
        self.row("probes", &probes(view, now));
        self.row("hook", &hook(view));
        for deadline in &view.deadlines {
            self.row("until", &format!("{} in {}", deadline.name, span(deadline.at - now)));
        }
        output(self, view, now);
    }

    fn line(&mut self, text: &str) {
        let _ = writeln!(self.text, "{}", one_line(text, REASON));
    }

    /// One labelled row, if there is anything to say.
    fn row(&mut self, label: &str, text: &str) {
        if !text.is_empty() {
            let _ = writeln!(self.text, "  {label:<10} {}", one_line(text, TEXT));
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::last_life::Ending;
    use crate::output::AppOutput;
    use crate::published::Published;
    use crate::view::{ContainerView, DeadlineView, LifecycleView, PhaseName, ProbeView, Status, StepView};

    fn step(name: &str, began: f64, took: Option<f64>) -> StepView {
        StepView { name: name.into(), began, took, attempts: 1, ..StepView::default() }
    }

    fn report(view: View, now: f64) -> Report {
        let published = Published {
            view,
            listen: "0.0.0.0:9911".parse().ok(),
            agent_version: "0.1.0".into(),
            started_at: "2026-11-21T03:38:41Z".into(),
            log_lines_dropped: 0,
        };
        Report { published, now }
    }

    #[test]
    fn an_agent_that_just_began_has_little_to_show() {
        expect![[r#"
            starting · boot for 4 ms
            booting

              endpoint   0.0.0.0:9911
              agent      0.1.0 since 2026-11-21T03:38:41Z
        "#]]
        .assert_eq(&screen(&report(View { reason: "booting".into(), ..View::default() }, 0.004)));
    }

    #[test]
    fn the_last_life_begins_with_how_it_ended_and_goes_on_as_a_running_one() {
        let view = View {
            phase: PhaseName::Gone,
            reason: "a signal: over".into(),
            instance_id: Some("i-0123456789abcdef0".into()),
            phases: [(PhaseName::Boot, 0.0), (PhaseName::Drain, 60.0), (PhaseName::Gone, 83.0)]
                .map(|(name, began)| crate::view::PhaseView { name, began })
                .to_vec(),
            steps: vec![step("settling", 60.0, Some(20.0)), step("stopping", 80.0, Some(3.0))],
            ..View::default()
        };
        let last_life = Ending {
            format: 1,
            written_at: "2026-11-21T03:40:04Z".into(),
            exit_code: Some(0),
            final_status: Some("drained after 23 s (a signal)\u{1b}[2J; termination hook: in no group".into()),
        };
        let mut life = LastLife { report: report(view, 83.0), last_life };
        expect![[r#"
            the last one ended at 2026-11-21T03:40:04Z with exit code 0 (drained)
            drained after 23 s (a signal)\u{1b}[2J; termination hook: in no group

              instance   i-0123456789abcdef0
              endpoint   0.0.0.0:9911
              agent      0.1.0 since 2026-11-21T03:38:41Z

              drain 23.0 s
              settling   ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━       20.0 s
              stopping                                  ━━━━━   3.0 s

        "#]]
        .assert_eq(&last(&life, false));
        (life.last_life.exit_code, life.last_life.final_status) = (None, None);
        let killed = last(&life, false);
        expect![[r#"
            the last one left no final status: it was killed, or the instance was stopped; its last known phase is gone, since 2026-11-21T03:40:04Z
            a signal: over"#]].assert_eq(&killed.lines().take(2).collect::<Vec<_>>().join("\n"));
        assert_eq!(LastLife::from_json(last(&life, true).as_bytes()).unwrap(), life);
    }

    #[test]
    fn a_pull_on_the_way_shows_how_far_it_is() {
        let view = View {
            reason: "pulling the image".into(),
            instance_id: Some("i-0123456789abcdef0".into()),
            availability_zone: Some("us-east-2a".into()),
            image: Some("123456789012.dkr.ecr.us-east-2.amazonaws.com/ap-api:a1b2c3d".into()),
            steps: vec![
                step("identity", 0.0, Some(0.03)),
                step("config", 0.03, Some(0.001)),
                StepView {
                    attempts: 3,
                    fault: Some("ThrottlingException: Rate\u{1b}[2J exceeded".into()),
                    ..step("secrets", 0.04, Some(1.9))
                },
                step("engine", 0.04, Some(0.4)),
                step("pull", 0.6, None),
            ],
            pull: Some(PullView { layers_done: 3, layers: 7, bytes: 61_000_000, total: 182_400_000 }),
            lifecycle: LifecycleView {
                group: Some("ap-api".into()),
                hook: Some("launch".into()),
                state: "waiting for the app".into(),
                failed: false,
                heartbeats: 1,
                target_state: Some("InService".into()),
            },
            deadlines: vec![DeadlineView { name: "the boot is given up".into(), at: 600.0 }],
            ..View::default()
        };
        expect![[r#"
            starting · boot for 4.2 s
            pulling the image

              image      123456789012.dkr.ecr.us-east-2.amazonaws.com/ap-api:a1b2c3d
              instance   i-0123456789abcdef0 in us-east-2a
              endpoint   0.0.0.0:9911
              agent      0.1.0 since 2026-11-21T03:38:41Z

              boot 4.2 s
              identity   ━                                      30 ms
              config     ━                                       1 ms
              secrets    ━━━━━━━━━━━━━━━━━                      1.9 s  failed, 3 attempts, ThrottlingException: Rate\u{1b}[2J exceeded
              engine     ━━━━                                  400 ms
              pull            ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌   3.6 s

              pulled     ████████████░░░░░░░░░░░░░░░░░░░░░░░░  33 %  61.0 MB of 182.4 MB, 3 of 7 layers
              hook       ap-api / launch, waiting for the app, 1 heartbeat, target state InService
              until      the boot is given up in 9 min 55 s
        "#]].assert_eq(&screen(&report(view, 4.2)));
    }

    #[test]
    fn what_the_app_wrote_last_stands_at_the_end() {
        let lines = ["listening on 8080".to_owned(), "panic: no route\u{1b}[2J".to_owned()].into();
        let app_output = Some(AppOutput { at: 10.0, lines, truncated: true, ..AppOutput::default() });
        let view = View { reason: "the app exited with code 1".into(), app_output, ..View::default() };
        expect![[r#"
            starting · boot for 13.0 s
            the app exited with code 1

              endpoint   0.0.0.0:9911
              agent      0.1.0 since 2026-11-21T03:38:41Z

              the app's last output, 3.0 s ago, earlier output left out
                listening on 8080
                panic: no route\u{1b}[2J
        "#]]
        .assert_eq(&screen(&report(view.clone(), 13.0)));

        let lines = (0..40).map(|n| format!("line {n}")).collect();
        let app_output = Some(AppOutput { at: 10.0, lines, ..AppOutput::default() });
        let recovered = screen(&report(View { status: ViewStatus::Ok, app_output, ..view }, 13.0));
        assert!(
            recovered.contains("the app's last output, 3.0 s ago, 30 lines before in --json\n    line 30\n"),
            "{recovered}"
        );
    }

    #[test]
    fn a_serving_instance_shows_its_probes() {
        let probe = |at, fault: Option<&str>| ProbeView { at, took: 0.002, fault: fault.map(Into::into), kind: None };
        let view = View {
            phase: PhaseName::Serve,
            status: Status::Unhealthy,
            reason: "3 probes failed".into(),
            phase_since: 12.5,
            container: Some(ContainerView {
                id: "4f5e6d7c8b9a00112233".into(),
                name: "berth-ap-api".into(),
                adopted: true,
                ports: vec!["8080 -> 0.0.0.0:80".into()],
            }),
            restarts: 2,
            steps: vec![step("identity", 0.0, Some(0.0))],
            probes: vec![probe(7000.0, None), probe(7005.0, Some("HTTP 500"))],
            ..View::default()
        };
        expect![[r#"
            unhealthy · serve for 1 h 56 min
            3 probes failed

              container  berth-ap-api (4f5e6d7c8b9a), adopted, restarted 2 times
              ports      8080 -> 0.0.0.0:80
              endpoint   0.0.0.0:9911
              agent      0.1.0 since 2026-11-21T03:38:41Z

              boot 0 ms
              identity   ━                                       0 ms

              probes     ●○ last failed, HTTP 500, in 2 ms, 2.0 s ago
        "#]]
        .assert_eq(&screen(&report(view, 7007.0)));
    }
}
