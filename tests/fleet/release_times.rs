//! How long a release takes, what `restart` costs, and that an agent does not grow by releases.
//!
//! `FLEET_RSS_SWAPS=100` makes so many replacements before the memory is measured for the second time, and `FLEET_TIMED=3` so many releases that
//! are timed; without them there are a few, and one.
#![expect(clippy::disallowed_methods, reason = "how long it takes, is the case")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use berth_kit::client::{over_tcp, request};
use berth_kit::target_groups::TargetGroups;
use berth_kit::text::sha256_hex;
use berth_kit::world::own_address;
use futures_util::future::join_all;

use crate::by_release::{Fleet, INSTANCES, LONGEST, QUICK, RegisteredFleet};
use crate::load::{Load, QUIET};
use crate::{ALONE, SOON, report, until};

/// `follow`, `release.healthy_for` and `release.bake` of the fleet that is timed.
const FOLLOW: Duration = Duration::from_secs(5);
const HEALTHY_FOR: Duration = Duration::from_secs(2);
const BAKE: Duration = Duration::from_secs(2);
const TIMED: &str = "release.healthy_for=2s release.bake=2s drain.settle=3s drain.idle=1s drain.timeout=12s \
                     stop_timeout=10s probe.interval=1s";

/// For the board, the engine and the load balancer, between the stages of a release.
const BETWEEN: Duration = Duration::from_secs(1);
/// Until berth has asked the load balancer whether the new container is healthy: it asks after 3 to 7 s.
const MOVE: Duration = Duration::from_secs(7);
/// For a fleet of three, one after the other.
const MEDIAN: Duration = Duration::from_secs(20);
/// For two cores that have other work.
const BUSY_MACHINE: Duration = Duration::from_secs(10);

/// Replacements between the two looks at the memory.
const SWAPS: usize = 4;
/// KiB that may come and go: pages of the allocator, and of code that runs for the first time.
const SLACK: u64 = 1_024;

/// The number that this variable of the environment has.
fn wanted(name: &str) -> Option<usize> {
    std::env::var(name).ok()?.parse().ok()
}

/// Whether the app at this address has that release.
async fn has_release(app: SocketAddr, release: u32) -> bool {
    let answer = over_tcp(app, request("GET", "/env/RELEASE")).await;
    answer.is_ok_and(|answer| answer.text() == sha256_hex(release.to_string().as_bytes()))
}

#[tokio::test]
async fn from_the_document_to_the_first_answer_of_the_new_version() {
    let _alone = ALONE.lock().await;
    let mut all = RegisteredFleet::start(INSTANCES, "5s", TIMED).await;
    let mut times = Vec::new();
    for _ in 0..wanted("FLEET_TIMED").unwrap_or(1) {
        let published = Instant::now();
        all.fleet.publish("");
        let release = all.fleet.published;
        let first_answers = all.fleet.instances.iter().map(async |one| {
            until("the new version answers", async || {
                let mut targets = all.groups.targets(&all.arn);
                targets.retain(|target| target.takes_requests && target.target.id == one.world.instance_id);
                let answers = join_all(targets.iter().map(|target| has_release(target.address, release))).await;
                answers.contains(&true)
            })
            .await;
            published.elapsed()
        });
        let mut round = join_all(first_answers).await;
        round.sort();
        report(
            "from the document to the first answer",
            format!("{:.1?} s", round.iter().map(Duration::as_secs_f64).collect::<Vec<_>>()),
        );
        // What follows it looks a little sooner than `follow` has it, never later. The image is here.
        let bound = FOLLOW + HEALTHY_FOR + BETWEEN;
        assert!(round[0] < bound + BUSY_MACHINE, "{round:?}");
        // The next one looks whether there is a lock once in `follow`, and a little later than that at most.
        let next = bound + MOVE + BAKE + FOLLOW / 5;
        assert!(round.windows(2).all(|pair| pair[1] - pair[0] < next + BUSY_MACHINE), "{round:?}");
        times.extend(round);
        all.fleet.released().await;
    }
    times.sort();
    let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
    report(
        "from the document to the first answer",
        format!("median {:.1} s, at most {:.1} s, of {}", median.as_secs_f64(), most.as_secs_f64(), times.len()),
    );
    assert!(median < MEDIAN + BUSY_MACHINE, "{times:?}");
}

#[tokio::test]
async fn a_restart_has_the_gap_that_the_status_shows() {
    let _alone = ALONE.lock().await;
    let (groups, app) = (TargetGroups::default(), own_address());
    let mut fleet = Fleet::new(format!("release.move=restart {QUICK}")).await;
    fleet.launch(&groups, &format!("port={app}:8080"), app.ip()).await;
    fleet.released().await;
    for _ in 0..2 {
        let load = Load::start(app, QUIET, LONGEST);
        until("the load is there", async || load.total() > 20).await;
        assert_eq!(load.failed(), 0, "no request fails before");
        fleet.publish("");
        fleet.released().await;
        let (sent, tally) = (load.total(), load.finish());
        let shown = fleet.instances[0].agent.status().await["releases"]["last"]["gap_seconds"].as_f64();
        let shown = shown.unwrap_or_else(|| panic!("no gap is shown: {}", fleet.log()));
        let (first, last) = (tally.failures.first().expect("a gap"), tally.failures.last().expect("a gap"));
        let (from, to) = (first.begun, last.failed);
        let seen = Duration::from_millis(to - from).as_secs_f64();
        report(
            "restart",
            format!(
                "the status shows a gap of {shown:.2} s, clients saw {seen:.2} s: {} of {sent} requests failed",
                tally.failures.len()
            ),
        );
        // It begins before the app is stopped, and ends when a probe has found the next one healthy.
        assert!(seen < shown + BETWEEN.as_secs_f64(), "{shown} {tally}");
        assert!(shown < SOON.as_secs_f64(), "{shown}");
    }
}

/// `VmRSS` and `Pss` of a process, KiB.
fn memory(process: i32) -> (u64, u64) {
    let figure = |file: &str, name: &str| {
        let text = std::fs::read_to_string(format!("/proc/{process}/{file}")).expect("a process that runs");
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a figure");
        line.split_whitespace().next().and_then(|figure| figure.parse().ok()).expect("a figure")
    };
    (figure("status", "VmRSS:"), figure("smaps_rollup", "Pss:"))
}

#[tokio::test]
async fn an_agent_is_as_big_after_many_releases_as_after_one() {
    let _alone = ALONE.lock().await;
    let swaps = wanted("FLEET_RSS_SWAPS").unwrap_or(SWAPS);
    let words = "release.healthy_for=500ms release.bake=500ms drain.settle=300ms drain.idle=100ms drain.timeout=5s \
                 stop_timeout=2s probe.interval=200ms";
    let mut all = RegisteredFleet::start(1, "1s", words).await;
    let mut swap = async || {
        all.fleet.publish("");
        all.fleet.released().await;
        memory(all.fleet.instances[0].agent.pid())
    };
    let (early, early_pss) = swap().await;
    let mut highest = early;
    for _ in 1..swaps {
        highest = highest.max(swap().await.0);
    }
    let (late, late_pss) = swap().await;
    report(
        "memory",
        format!(
            "VmRSS {early} KiB after one replacement, {late} KiB after {}, {highest} KiB at most; Pss {early_pss} and {late_pss} KiB",
            swaps + 1
        ),
    );
    assert!(late <= early + SLACK, "{early} KiB after one replacement, {late} KiB after {}", swaps + 1);
}
