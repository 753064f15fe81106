//! What `berth timeline` and its JSON show of a life: two axes, how each step ended, and what the whole waited for.

use berth_core::view::last_life::{Ending, LastLife};
use berth_core::view::published::{Published, StatusReport};
use berth_core::view::timeline::{Bar, BarState, Panel, ReleaseBar, Timeline};
use berth_core::view::{
    DeadlineName, DeadlineView, LastReleaseView, PhaseName, PhaseView, ReleasesView, StepName, StepView, View, WaitView,
};

fn step(name: StepName, began: f64, took: impl Into<Option<f64>>) -> StepView {
    StepView { name, began_seconds: began, took_seconds: took.into(), attempts: 1, ..StepView::default() }
}

fn wait(began: f64, took: impl Into<Option<f64>>) -> WaitView {
    WaitView { began_seconds: began, took_seconds: took.into() }
}

/// The view in the last of these phases.
fn view(phases: &[(PhaseName, f64)], steps: Vec<StepView>) -> View {
    let phases: Vec<_> = phases.iter().map(|(name, began)| PhaseView { name: *name, began_seconds: *began }).collect();
    View { phase: phases.last().map(|phase| phase.name).unwrap_or_default(), phases, steps, ..View::default() }
}

fn timeline(view: View, now: f64) -> Timeline {
    Timeline::of(&StatusReport::new(Published { view, ..Published::default() }, now))
}

/// The panels of a life, each with its axis and whether it goes on.
fn axes(timeline: &Timeline) -> Vec<(PhaseName, f64, f64, bool)> {
    timeline.panels.iter().map(|it| (it.name, it.began_seconds, it.until_seconds, it.running)).collect()
}

fn bars(panel: &Panel) -> Vec<(StepName, f64, f64, BarState)> {
    panel.steps.iter().map(|bar| (bar.name, bar.began_seconds, bar.until_seconds, bar.state)).collect()
}

fn bands(panel: &Panel) -> Vec<(PhaseName, f64, f64)> {
    panel.phases.iter().map(|band| (band.name, band.began_seconds, band.until_seconds)).collect()
}

/// The critical path of a boot with these steps.
fn path(steps: Vec<StepView>) -> Vec<StepName> {
    let timeline = timeline(view(&[(PhaseName::Boot, 0.0)], steps), 9.0);
    timeline.panels[0].steps.iter().filter(|bar| bar.critical).map(|bar| bar.name).collect()
}

#[test]
fn each_release_has_its_time_and_the_last_one_how_it_ended() {
    let release = [(PhaseName::Release, 100.0), (PhaseName::Serve, 143.0), (PhaseName::Release, 200.0)];
    let phases = [&[(PhaseName::Boot, 0.0), (PhaseName::Serve, 5.0)][..], &release].concat();
    // The launch hook is completed while it serves.
    let steps = vec![step(StepName::Healthy, 2.0, 3.0), step(StepName::Hook, 5.0, None)];
    let last =
        LastReleaseView { is_good: true, at_seconds: 140.0, gap_seconds: Some(2.5), ..LastReleaseView::default() };
    let releases = ReleasesView { last: Some(last.clone()), ..ReleasesView::default() };
    let timeline = timeline(View { releases: Some(releases), ..view(&phases, steps) }, 210.0);
    let bar =
        |began_seconds, until_seconds, running, ended| ReleaseBar { began_seconds, until_seconds, running, ended };
    assert_eq!(timeline.releases, [bar(100.0, 143.0, false, Some(last)), bar(200.0, 210.0, true, None)]);
    assert_eq!(axes(&timeline), [(PhaseName::Boot, 0.0, 210.0, true)]);
    assert_eq!(bars(&timeline.panels[0])[1], (StepName::Hook, 5.0, 210.0, BarState::Running));
}

#[test]
fn boot_and_drain_each_have_an_axis_of_their_own() {
    let steps = vec![
        step(StepName::Healthy, 2.0, 3.0),
        step(StepName::Config, 0.5, 1.5),
        step(StepName::Hook, 5.0, 1.0),
        step(StepName::Settling, 100.0, 20.0),
        step(StepName::Stopping, 120.0, 5.0),
    ];
    let phases = [(PhaseName::Boot, 0.0), (PhaseName::Serve, 5.0), (PhaseName::Drain, 100.0)];
    let timeline = timeline(view(&phases, steps), 130.0);
    assert_eq!(axes(&timeline), [(PhaseName::Boot, 0.0, 6.0, false), (PhaseName::Drain, 100.0, 130.0, true)]);
    assert_eq!(timeline.ready_seconds, Some(5.0));
    let [boot, drain] = &timeline.panels[..] else { panic!("{timeline:?}") };
    let done = |name, from, to| (name, from, to, BarState::Done);
    assert_eq!(
        bars(boot),
        [done(StepName::Config, 0.5, 2.0), done(StepName::Healthy, 2.0, 5.0), done(StepName::Hook, 5.0, 6.0)]
    );
    assert_eq!(bars(drain), [done(StepName::Settling, 100.0, 120.0), done(StepName::Stopping, 120.0, 125.0)]);
    assert_eq!(bands(boot), [(PhaseName::Boot, 0.0, 5.0), (PhaseName::Serve, 5.0, 6.0)]);
    assert_eq!(bands(drain), [(PhaseName::Drain, 100.0, 130.0)]);
}

#[test]
fn a_deadline_stands_on_the_axis_that_goes_on() {
    let deadlines =
        [(DeadlineName::BootTimeout, 90.0), (DeadlineName::DrainSettle, 100.0), (DeadlineName::Hold, 1e300)];
    let deadlines = deadlines.map(|(name, at_seconds)| DeadlineView { name, at_seconds }).to_vec();
    let phases = [(PhaseName::Boot, 0.0), (PhaseName::Drain, 100.0)];
    let leaves = timeline(View { deadlines, ..view(&phases, Vec::new()) }, 130.0);
    assert_eq!(leaves.panels[0].deadlines, []);
    // One that no clock reaches is drawn at the end of what can be drawn.
    assert_eq!(leaves.panels[1].deadlines, [DeadlineView { name: DeadlineName::Hold, at_seconds: 1e9 }]);
}

#[test]
fn what_goes_on_reaches_to_now() {
    let (boot, serve) = ([(PhaseName::Boot, 1.0)], [(PhaseName::Boot, 1.0), (PhaseName::Serve, 2.0)]);
    let (config, hook) = (step(StepName::Config, 1.5, 0.5), step(StepName::Hook, 2.0, None));
    let pulls = timeline(view(&boot, vec![config.clone(), step(StepName::Pull, 2.0, None)]), 5.0);
    assert_eq!(axes(&pulls), [(PhaseName::Boot, 1.0, 5.0, true)]);
    assert_eq!(bars(&pulls.panels[0])[1], (StepName::Pull, 2.0, 5.0, BarState::Running));
    assert_eq!(pulls.ready_seconds, None);
    let between_two_steps = timeline(view(&boot, vec![config.clone()]), 5.0);
    assert_eq!(axes(&between_two_steps), [(PhaseName::Boot, 1.0, 5.0, true)]);
    let completes_its_hook = timeline(view(&serve, vec![config.clone(), hook]), 5.0);
    assert_eq!(axes(&completes_its_hook), [(PhaseName::Boot, 1.0, 5.0, true)]);
    let serves = timeline(view(&serve, vec![config]), 3600.0);
    assert_eq!(axes(&serves), [(PhaseName::Boot, 1.0, 2.0, false)], "an hour of serving does not stretch the boot");
}

#[test]
fn a_step_that_its_phase_cut_off_ends_there() {
    let steps = vec![
        step(StepName::Config, 0.0, 1.0),
        step(StepName::Pull, 1.0, None),
        step(StepName::MarkUnhealthy, 9.0, None),
    ];
    let phases = [(PhaseName::Boot, 0.0), (PhaseName::Failing, 9.0), (PhaseName::Gone, 12.0)];
    let failed = timeline(view(&phases, steps.clone()), 900.0);
    assert_eq!(axes(&failed), [(PhaseName::Boot, 0.0, 9.0, false), (PhaseName::Failing, 9.0, 12.0, false)]);
    assert_eq!(bars(&failed.panels[0])[1], (StepName::Pull, 1.0, 9.0, BarState::CutOff));
    assert_eq!(bars(&failed.panels[1]), [(StepName::MarkUnhealthy, 9.0, 12.0, BarState::CutOff)]);
    let warm = timeline(view(&[(PhaseName::Boot, 0.0), (PhaseName::Warm, 7.0)], steps[..2].to_vec()), 900.0);
    assert_eq!(axes(&warm), [(PhaseName::Boot, 0.0, 7.0, false)]);
}

#[test]
fn a_step_shows_how_much_of_it_was_waiting() {
    let secrets = StepView {
        attempts: 3,
        error: Some("throttled".into()),
        waits: vec![wait(2.0, 3.0), wait(6.0, 0.0), wait(8.0, None), wait(20.0, 1.0)],
        ..step(StepName::Secrets, 1.0, 11.0)
    };
    let steps = vec![secrets, step(StepName::Login, 1.0, 2.0)];
    let timeline = timeline(view(&[(PhaseName::Boot, 0.0)], steps), 30.0);
    let bar = &timeline.panels[0].steps[0];
    assert_eq!((bar.state, bar.until_seconds, bar.attempts), (BarState::Failed, 12.0, 3));
    let waits: Vec<_> = bar.waits.iter().map(|span| (span.began_seconds, span.until_seconds)).collect();
    assert_eq!(waits, [(2.0, 5.0), (8.0, 12.0)]);
    assert!((bar.waited_seconds - 7.0).abs() < 1e-9, "{bar:?}");
    let login = timeline.panels[0].steps.iter().find(|bar| bar.name == StepName::Login).unwrap();
    assert_eq!(serde_json::to_string(&login.waited_seconds).unwrap(), "0.0", "and not -0.0");
}

#[test]
fn only_a_step_that_was_done_at_once_is_uneventful() {
    let bar = |step| -> Bar { timeline(view(&[(PhaseName::Boot, 0.0)], vec![step]), 9.0).panels[0].steps[0].clone() };
    let done = step(StepName::Digest, 0.0, 1.0);
    assert!(bar(done.clone()).is_uneventful());
    assert!(!bar(StepView { attempts: 2, ..done.clone() }).is_uneventful());
    assert!(!bar(StepView { error: Some("not found".into()), ..done.clone() }).is_uneventful());
    assert!(!bar(StepView { took_seconds: None, ..done }).is_uneventful());
}

#[test]
fn the_critical_path_is_what_the_boot_waited_for() {
    use StepName::{Config, Digest, Engine, Group, Listen, Login, Pull, Secrets};
    let path = path(vec![
        step(Config, 0.0, 1.0),
        // Begins with the next on the path and is over in less than a millisecond: that did not wait for it.
        step(Listen, 1.0, 0.0008),
        step(Group, 0.5, 7.0),
        step(Secrets, 0.75, 1.25),
        // Two clocks: it ends a moment after what follows it began.
        step(Login, 1.0, 2.0005),
        step(Engine, 1.0, 1.5),
        step(Digest, 3.0, 1.0),
        step(Pull, 4.0, 4.0),
    ]);
    assert_eq!(path, [Config, Login, Digest, Pull]);
}

#[test]
fn work_is_on_the_critical_path_and_not_the_step_that_waits_for_it() {
    use StepName::{Create, Digest, Engine, Image, Login, Pull};
    let path = path(vec![
        step(Digest, 0.0, 1.0),
        StepView { waits: vec![wait(1.5, 6.0)], ..step(Image, 1.0, 6.5) },
        step(Pull, 1.5, 6.0),
        step(Login, 0.0, 1.4),
        // Ends together with the digest and began later.
        step(Engine, 0.5, 0.5),
        StepView { waits: vec![wait(7.5, 0.5)], ..step(Create, 7.5, 1.0) },
    ]);
    assert_eq!(path, [Digest, Image, Pull, Create]);
}

#[test]
fn nothing_waited_for_a_step_that_took_no_time() {
    use StepName::{Config, Listen, Pull};
    assert_eq!(path(vec![step(Config, 0.0, 2.0), step(Listen, 2.5, 0.0), step(Pull, 3.0, 2.0)]), [Config, Pull]);
}

#[test]
fn moments_that_cannot_be_are_drawn_anyway() {
    let steps = vec![step(StepName::Config, f64::NAN, -1.0), step(StepName::Pull, -5.0, 1e300)];
    let timeline = timeline(view(&[(PhaseName::Boot, f64::NEG_INFINITY)], steps), f64::INFINITY);
    assert_eq!(axes(&timeline), [(PhaseName::Boot, 0.0, 1e9, true)]);
    let done = BarState::Done;
    assert_eq!(bars(&timeline.panels[0]), [(StepName::Config, 0.0, 0.0, done), (StepName::Pull, 0.0, 1e9, done)]);
}

#[test]
fn a_life_that_is_over_says_how_it_ended() {
    let ending = Ending { exit_code: Some(5), ..Ending::default() };
    let life = LastLife { last_life: ending.clone(), ..LastLife::default() };
    assert_eq!(Timeline::of_last(&life).last_life, Some(ending));
    assert_eq!(Timeline::of(&life.report).last_life, None);
}
