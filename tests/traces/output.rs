//! What the app wrote last: read once for each exit and when it is given up, shown to the end, and never waited for but by the
//! final status, until a deadline.

use berth_core::message::error::ErrorClass;
use berth_core::message::event::{Event, Signal};
use berth_core::message::job::JobKind;
use berth_core::message::outcome::Outcome;
use berth_core::message::output::{AppOutput, Unavailable};
use berth_core::view::{PhaseName, Status};
use expect_test::{Expect, expect};

use crate::sim::{LINE, Sim, exited, ms, secs, wrote};

const TERM: Event = Event::Signalled(Signal::Term);

fn read(line: &str) -> Event {
    Event::OutputRead(wrote(line))
}

fn shown(life: &Sim) -> (Vec<String>, Option<Unavailable>) {
    let output = life.view().app_output.unwrap_or_else(|| panic!("nothing is shown:\n{}", life.trace()));
    (output.lines, output.unavailable)
}

/// The part of the trace that has to do with it.
fn check(life: &Sim, expected: Expect) {
    const WORDS: [&str; 6] =
        ["Output", "ContainerExited", "> StartContainer", "> StopContainer", "> CompleteHook", "> WriteFinalStatus"];
    let lines = life.trace().lines().filter(|line| WORDS.iter().any(|word| line.contains(word)));
    expected.assert_eq(&lines.map(|line| format!("{line}\n")).collect::<String>());
}

#[test]
fn it_is_read_once_for_each_exit_and_the_newest_is_shown() {
    let life = Sim::new(LINE)
        .answer(JobKind::WatchContainer, secs(5), exited(1))
        .answer(JobKind::WatchContainer, secs(5), exited(2))
        .answer(JobKind::ReadOutput, ms(20), read("the first"))
        .answer(JobKind::ReadOutput, ms(20), read("the second"))
        .run(secs(60));
    assert_eq!((life.view().status, life.view().restarts), (Status::Ok, 2), "{}", life.trace());
    assert_eq!((shown(&life), life.count(JobKind::ReadOutput)), ((vec!["the second".to_owned()], None), 2));
    let at = life.view().app_output.unwrap().at_seconds;
    assert!((7.0..20.0).contains(&at), "read after the second exit, at {at}");
}

#[test]
fn an_app_that_is_healthy_from_start_to_end_is_never_read() {
    let life = Sim::new(LINE).at(secs(30), TERM).run(secs(120));
    assert_eq!((life.outcome(), life.count(JobKind::ReadOutput)), (Some(Outcome::Done), 0), "{}", life.trace());
    assert_eq!(life.view().app_output, None);
}

#[test]
fn a_reading_that_hangs_delays_no_restart() {
    let quick = Sim::new(LINE).answer(JobKind::WatchContainer, secs(5), exited(1)).run(secs(60));
    let hanging =
        Sim::new(LINE).answer(JobKind::WatchContainer, secs(5), exited(1)).never(JobKind::ReadOutput).run(secs(60));
    let restart = |life: &Sim| life.trace().lines().rfind(|line| line.contains("> StartContainer")).map(str::to_owned);
    assert_eq!(restart(&hanging), restart(&quick));
    assert_eq!(shown(&hanging), (Vec::new(), Some(Unavailable::EngineFailed)), "{}", hanging.trace());
}

#[test]
fn an_exit_during_a_reading_begins_another() {
    let life = Sim::new(LINE)
        .answer(JobKind::WatchContainer, secs(5), exited(1))
        .answer(JobKind::WatchContainer, ms(300), exited(1))
        .answer(JobKind::ReadOutput, secs(4), read("late"))
        .answer(JobKind::ReadOutput, secs(3), read("of the second"))
        .run(secs(60));
    assert_eq!((shown(&life), life.count(JobKind::ReadOutput)), ((vec!["of the second".to_owned()], None), 2));
    assert_eq!(life.trace().matches(" OutputRead ").count(), 1, "{}", life.trace());
}

#[test]
fn an_engine_that_fails_is_not_asked_again() {
    let life = Sim::new(LINE)
        .answer(JobKind::WatchContainer, secs(5), exited(1))
        .fails(JobKind::ReadOutput, 1, ErrorClass::Transient, "the engine is away")
        .run(secs(60));
    assert_eq!((shown(&life), life.count(JobKind::ReadOutput)), ((Vec::new(), Some(Unavailable::EngineFailed)), 1));
}

#[test]
fn an_app_that_never_gets_healthy_is_read_before_it_is_stopped() {
    let life = Sim::new("image=r.test/a:1 port=80 probe.start_timeout=3s stop_timeout=1s").fails_probing(1000);
    let life = life.run(secs(60));
    check(
        &life,
        expect![[r#"
            2.205    boot    > StartContainer c0ffee
            5.205    failing > ReadOutput c0ffee
            5.205    failing > StopContainer c0ffee within 1s
            5.205    failing > CompleteHook web/boot ABANDON
            5.210    failing OutputRead 1 line
            5.705    failing > WriteFinalStatus the boot failed: the app was not healthy within 3s (probe.start_timeout): connection refused; launch hook: completed ABANDON
        "#]],
    );
    assert_eq!(life.outcome(), Some(Outcome::BootFailed));
    assert_eq!(shown(&life).0, ["demo: it does not work"], "also when it is over: {:?}", life.view().phase);
}

#[test]
fn an_app_that_stays_unhealthy_is_read_before_it_is_restarted() {
    let life = Sim::new(LINE).answer(JobKind::ProbeApp, ms(10), Event::ProbePassed).fails_probing(6).run(secs(120));
    check(
        &life,
        expect![[r#"
            2.205    boot    > StartContainer c0ffee
            2.415    serve   > CompleteHook web/boot CONTINUE
            32.475   serve   > ReadOutput c0ffee
            32.475   serve   > StopContainer c0ffee within 30s, to start it again
            32.480   serve   OutputRead 1 line
            33.811   serve   > StartContainer c0ffee
        "#]],
    );
    assert_eq!(life.view().status, Status::Ok);
}

#[test]
fn a_boot_that_is_held_shows_it() {
    let line = "image=r.test/a:1 port=80 probe.start_timeout=3s boot.on_failure=hold";
    let life = Sim::new(line).fails_probing(1000).run(secs(60));
    assert_eq!((life.view().phase, shown(&life).0), (PhaseName::Hold, vec!["demo: it does not work".to_owned()]));
    assert_eq!(life.count(JobKind::ReadOutput), 1);
}

#[test]
fn the_final_status_waits_for_it_and_the_hook_does_not() {
    let line = "image=r.test/a:1 port=80 restart.limit=0";
    let life = Sim::new(line).answer(JobKind::WatchContainer, ms(10), exited(1)).fails_probing(100);
    let life = life.answer(JobKind::ReadOutput, secs(2), read("why it exited")).run(secs(60));
    check(
        &life,
        expect![[r#"
            2.205    boot    > StartContainer c0ffee
            2.415    boot    ContainerExited exited with code 1
            2.415    failing > ReadOutput c0ffee
            2.415    failing > StopContainer c0ffee within 30s
            2.415    failing > CompleteHook web/boot ABANDON
            4.415    failing OutputRead 1 line
            4.415    failing > WriteFinalStatus the boot failed: the app exited with code 1, after 0 restarts within 600s; launch hook: completed ABANDON
        "#]],
    );
    assert_eq!(life.console, ["why it exited"]);
}

#[test]
fn a_reading_that_hangs_delays_the_exit_by_its_deadline() {
    let line = "image=r.test/a:1 port=80 restart.limit=0";
    let life = Sim::new(line).answer(JobKind::WatchContainer, ms(10), exited(1)).fails_probing(100);
    let life = life.never(JobKind::ReadOutput).run(secs(60));
    check(
        &life,
        expect![[r#"
            2.205    boot    > StartContainer c0ffee
            2.415    boot    ContainerExited exited with code 1
            2.415    failing > ReadOutput c0ffee
            2.415    failing > StopContainer c0ffee within 30s
            2.415    failing > CompleteHook web/boot ABANDON
            7.415    failing > WriteFinalStatus the boot failed: the app exited with code 1, after 0 restarts within 600s; launch hook: completed ABANDON
        "#]],
    );
    let why = AppOutput::none(Unavailable::EngineFailed);
    assert_eq!(
        (life.outcome(), &life.console[..]),
        (Some(Outcome::BootFailed), &[why.for_people()[0].to_string()][..])
    );
}

#[test]
fn a_signal_does_not_wait_for_it() {
    let line = "image=r.test/a:1 port=80 restart.limit=0";
    let life = Sim::new(line).answer(JobKind::WatchContainer, ms(10), exited(1)).fails_probing(100);
    let life = life.never(JobKind::ReadOutput).at(secs(3), TERM).run(secs(60));
    assert!(life.trace().contains("3.000    failing > WriteFinalStatus"), "{}", life.trace());
}

#[test]
fn an_app_that_exits_in_a_drain_is_read_and_one_that_the_drain_stops_is_not() {
    let exits = Sim::new(LINE).at(secs(10), TERM).answer(JobKind::WatchContainer, secs(10), exited(1)).run(secs(120));
    check(
        &exits,
        expect![[r#"
            2.205    boot    > StartContainer c0ffee
            2.415    serve   > CompleteHook web/boot CONTINUE
            12.405   drain   ContainerExited exited with code 1
            12.405   drain   > ReadOutput c0ffee
            12.405   drain   > StopContainer c0ffee within 30s
            12.410   drain   OutputRead 1 line
            12.905   drain   > CompleteHook web/leave CONTINUE
            12.955   drain   > WriteFinalStatus the drain was cut short after 3 s (a signal); the app exited with code 1 before it was stopped; termination hook: completed CONTINUE
        "#]],
    );
    assert_eq!(exits.console, ["demo: it does not work"]);
    let stopped =
        Sim::new(LINE).at(secs(10), TERM).answer(JobKind::WatchContainer, secs(30), exited(143)).run(secs(120));
    assert_eq!((stopped.count(JobKind::ReadOutput), stopped.console.len()), (0, 0), "{}", stopped.trace());
}

#[test]
fn an_unhealthy_app_in_a_drain_is_neither_read_nor_stopped_before_its_time() {
    let line = "image=r.test/a:1 port=80 health=/ probe.start_timeout=20s drain.settle=40s drain.timeout=10s";
    let life = Sim::new(line)
        .answer(JobKind::ProbeApp, ms(10), Event::ProbePassed)
        .answer(JobKind::WatchContainer, secs(5), exited(1))
        .fails_probing(10_000)
        .at(secs(12), TERM)
        .run(secs(200));
    assert_eq!((life.count(JobKind::ReadOutput), life.count(JobKind::StopContainer)), (1, 1), "{}", life.trace());
}
