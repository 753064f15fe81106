//! Fleet: three instances of the shipped binary behind a real HAProxy, replaced one by one under constant load, and no
//! request is lost. Read group.rs for what happens to them, load.rs for what their clients do, load_balancer.rs for what is
//! between the two, registered.rs for a balancer that sends requests where target groups say.

#![cfg(test)]

use std::time::Duration;

use group::{Group, How};
use load::{BUSY, Kind, Load, QUIET, Tally};
use load_balancer::{LoadBalancer, Reuse};
use tokio::sync::Mutex;

mod bad_release;
mod blame;
mod by_registration;
mod by_release;
mod group;
mod host;
mod load;
mod load_balancer;
mod registered;
mod release_times;
mod soak;

/// The shipped binary.
const BERTH: &str = env!("CARGO_BIN_EXE_berth");

/// For a boot or a drain to end: far longer than it takes, on a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(120);

/// A load that nobody ends ends by itself.
const LONGEST: Duration = Duration::from_secs(240);

/// Requests that each of these runs makes, at least.
const ENOUGH: usize = 50_000;

/// A drain as it is by default, with shorter times: the balancer sees a 503 within one second and a half.
const DRAIN: &str = "drain.settle=3s drain.idle=1s stop_timeout=10s";

/// No drain at all: the app is stopped when the notice comes.
const NO_DRAIN: &str = "drain.settle=0s drain.timeout=0s";

/// One after the other: the load is measured, and there are two cores.
static ALONE: Mutex<()> = Mutex::const_new(());

#[tokio::test]
async fn a_group_replaces_all_three_through_its_hooks_and_no_request_is_lost() {
    no_request_is_lost(How::Hook).await;
}

#[tokio::test]
async fn sigterm_ends_all_three_and_no_request_is_lost() {
    no_request_is_lost(How::Signal).await;
}

#[tokio::test]
async fn spot_takes_all_three_away_and_no_request_is_lost() {
    no_request_is_lost(How::Spot).await;
}

#[tokio::test]
async fn sigterm_and_the_group_at_once_end_one_and_no_request_is_lost() {
    let _alone = ALONE.lock().await;
    let mut group = Group::start(DRAIN).await;
    let load = Load::start(group.balancer.address, BUSY, LONGEST);
    until("the load is there", async || load.total() > 2_000).await;
    group.replace_oldest(How::SignalAndHook).await;
    let tally = load.finish();
    report("SignalAndHook", tally.to_string());
    assert!(tally.failures.is_empty(), "{tally}\nHAProxy:\n{}", group.balancer.log_text());
}

#[tokio::test]
async fn without_a_drain_requests_of_every_kind_are_lost() {
    let _alone = ALONE.lock().await;
    let mut group = Group::start(NO_DRAIN).await;
    let load = Load::start(group.balancer.address, BUSY, LONGEST);
    until("the load is there", async || load.total() > 2_000).await;
    assert_eq!(load.failed(), 0, "no request fails before");
    group.launch().await;
    assert_eq!(group.terminate_oldest(How::Hook).await, 5, "the drain was cut short");
    let tally = load.finish();
    report("control", tally.to_string());
    for kind in [Kind::Kept, Kind::New, Kind::Slow, Kind::WebSocket] {
        let failed = tally.failures.iter().filter(|failure| failure.kind == kind).count();
        assert!(failed > 0, "no failure of {kind:?}: {tally}");
    }
}

/// Here no connection keeps the app running while the balancer still sends it requests; only `drain.settle` does. The balancer looks every two
/// seconds and wants two failures, so it stops sending two to four seconds after the 503: well before the 10 s are over, and well after an
/// app without them has stopped.
#[tokio::test]
async fn an_instance_with_few_requests_loses_none_because_it_settles() {
    let _alone = ALONE.lock().await;
    let (tally, gap, log) = few_requests("drain.settle=10s drain.idle=0s").await;
    assert!(gap > 0.0, "the app stopped {:.1} s before the balancer knew", -gap);
    assert!(tally.failures.is_empty(), "{tally}\nHAProxy:\n{log}");

    // Without it, on a busy machine, the app may stop so late that nothing is sent to it any more: that is no control.
    for _ in 0..5 {
        let (tally, gap, log) = few_requests("drain.settle=0s drain.idle=0s").await;
        if gap < -1.0 {
            assert!(!tally.failures.is_empty(), "no request in {:.1} s: {tally}\nHAProxy:\n{log}", -gap);
            return;
        }
    }
    panic!("without drain.settle the app never stops a second before the balancer knows");
}

/// One instance of three leaves, with a request every 20 ms: what came of the requests, the seconds from the balancer's last request to the app's
/// stop, and HAProxy's log.
async fn few_requests(words: &'static str) -> (Tally, f64, String) {
    let mut group = Group::behind(LoadBalancer::start(Reuse::Never, Duration::from_secs(2)).await, words).await;
    let load = Load::start(group.balancer.address, QUIET, LONGEST);
    until("the load is there", async || load.total() > 20).await;
    assert_eq!(group.terminate_oldest(How::Hook).await, 0);
    let (tally, gap) = (load.finish(), group.seconds_between_down_and_stop().await);
    report(words, format!("the app stopped {gap:.1} s after the balancer knew, {tally}"));
    (tally, gap, group.balancer.log_text())
}

async fn no_request_is_lost(how: How) {
    let _alone = ALONE.lock().await;
    let mut group = Group::start(DRAIN).await;
    let load = Load::start(group.balancer.address, BUSY, LONGEST);
    until("the load is there", async || load.total() > 2_000).await;
    group.replace_all(how).await;
    report(&format!("{how:?}"), format!("all three are replaced after {} requests", load.total()));
    until("enough requests", async || load.total() > ENOUGH).await;
    let tally = load.finish();
    report(&format!("{how:?}"), tally.to_string());
    assert!(tally.failures.is_empty(), "{tally}\nHAProxy:\n{}", group.balancer.log_text());
    assert!(tally.sent.len() == BUSY.len() && tally.sent.values().all(|sent| *sent > 10), "{tally}");
}

#[expect(clippy::print_stderr, reason = "the figures, shown with --nocapture")]
pub(crate) fn report(what: &str, figures: String) {
    eprintln!("fleet: {what}: {figures}");
}

/// Waits until something holds, at most for as long as that.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(SOON, wait).await.is_ok(), "not: {what}, within {SOON:?}");
}
