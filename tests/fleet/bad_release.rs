//! Bad releases under load: the app exits, never gets healthy, or turns unhealthy in the bake. No request fails, one instance has tried it, its
//! verdict is on the board, and the others have not begun.
#![expect(clippy::disallowed_methods, reason = "how long it takes, is the case")]

use std::time::{Duration, Instant};

use berth_kit::agent::post;
use berth_kit::target_groups::Registered;

use crate::by_release::{INSTANCES, LONGEST, RegisteredFleet};
use crate::load::{BUSY, Load};
use crate::{ALONE, report, until};

/// How the agents treat a release. The bake is long enough for something to happen in it.
const WORDS: &str = "release.healthy_for=1s release.bake=10s drain.settle=3s drain.idle=1s drain.timeout=12s stop_timeout=10s \
                     probe.interval=1s probe.unhealthy=3 probe.start_timeout=5s";

/// `follow` of the fleet, and the time for the image, the lock and the start of a container.
const BEGUN: Duration = Duration::from_secs(1 + 2);
/// `probe.start_timeout`
const START: Duration = Duration::from_secs(5);
/// `probe.interval` × `probe.unhealthy`
const PROBES: Duration = Duration::from_secs(3);
/// For the rollback to begin once it is known to be bad.
const AT_ONCE: Duration = Duration::from_secs(1);
/// For two cores that have other work: clients, a load balancer, three agents and an engine.
const BUSY_MACHINE: Duration = Duration::from_secs(10);

impl RegisteredFleet {
    /// How many containers each instance has created.
    fn created(&self) -> Vec<usize> {
        self.fleet.instances.iter().map(|one| one.agent.log_text().matches("> CreateContainer").count()).collect()
    }

    /// On how many instances a container was created since.
    fn touched_since(&self, before: &[usize]) -> usize {
        self.created().iter().zip(before).filter(|(now, before)| now > before).count()
    }

    /// Waits for that many bad verdicts. No instance calls it good.
    async fn is_bad(&self, verdicts: usize) {
        until("bad verdicts", async || {
            let (ok, bad) = self.fleet.verdicts();
            assert!(ok == 0, "it is good: {}", self.fleet.log());
            bad >= verdicts
        })
        .await;
    }

    /// Waits until all the others have read on the board that it is stopped.
    async fn others_stop(&self) {
        until("the others know of it", async || {
            let mut stopped = 0;
            for one in &self.fleet.instances {
                let status = one.agent.status().await;
                stopped += usize::from(status["releases"]["next"]["waits_for"] == "stopped");
            }
            stopped == INSTANCES - 1
        })
        .await;
        self.fleet.serve().await;
    }

    fn targets(&self, takes_requests: bool) -> Vec<Registered> {
        let mut targets = self.groups.targets(&self.arn);
        targets.retain(|target| target.takes_requests == takes_requests);
        targets
    }
}

#[tokio::test]
async fn a_version_that_exits_or_is_never_healthy_costs_no_request_and_one_instance() {
    let _alone = ALONE.lock().await;
    let mut all = RegisteredFleet::start(INSTANCES, "1s", WORDS).await;
    let load = Load::start(all.balancer.address, BUSY, LONGEST);
    until("the load is there", async || load.total() > 2_000).await;
    let serving = all.targets(true);
    for (flaw, limit) in [("env.EXIT_AT_START=3", BEGUN), ("env.START_DELAY_MS=600000", BEGUN + START)] {
        let before = all.created();
        let published = Instant::now();
        all.fleet.publish(flaw);
        all.is_bad(1).await;
        let took = published.elapsed();
        report(flaw, format!("the verdict is on the board {:.1} s after the document", took.as_secs_f64()));
        assert!(took < limit + AT_ONCE + BUSY_MACHINE, "{took:?}");
        all.others_stop().await;
        assert_eq!(all.touched_since(&before), 1, "{}", all.fleet.log());
        assert_eq!(all.targets(true), serving, "what serves is what served");
    }
    // The control: where three may begin at once, three do.
    let before = all.created();
    all.fleet.publish("env.START_DELAY_MS=600000 release.max_parallel=3");
    all.is_bad(INSTANCES).await;
    assert_eq!(all.touched_since(&before), INSTANCES);
    all.fleet.serve().await;
    let tally = load.finish();
    report("bad before the move", tally.to_string());
    assert!(tally.failures.is_empty(), "{tally}\nHAProxy:\n{}", all.balancer.log_text());
    assert_eq!(all.groups.reused(), [], "a port that is still draining was registered again");
}

#[tokio::test]
async fn a_version_that_turns_unhealthy_in_the_bake_costs_no_request_and_one_instance() {
    let _alone = ALONE.lock().await;
    let mut all = RegisteredFleet::start(INSTANCES, "1s", WORDS).await;
    let load = Load::start(all.balancer.address, BUSY, LONGEST);
    until("the load is there", async || load.total() > 2_000).await;
    let (before, serving) = (all.created(), all.targets(true));
    all.fleet.publish("");
    until("traffic has moved", async || {
        let (moved, left) = (all.targets(true), all.targets(false));
        let is_new = |one: &Registered| !serving.iter().any(|old| old.target == one.target);
        moved.iter().any(is_new) && left.iter().any(|one| serving.iter().any(|old| old.target == one.target))
    })
    .await;
    let new = all.targets(true).into_iter().find(|one| !serving.iter().any(|old| old.target == one.target));
    let new = new.expect("it has moved");
    assert_eq!(post(new.address, "/sick").await.status, 200);
    let sick = Instant::now();
    until("traffic is back", async || {
        let serves = all.targets(true);
        serving.iter().all(|old| serves.iter().any(|one| one.target == old.target))
    })
    .await;
    let back = sick.elapsed();
    all.is_bad(1).await;
    let (back, verdict) = (back, sick.elapsed());
    report(
        "unhealthy in the bake",
        format!(
            "traffic is back {:.1} s after the app turned unhealthy, the verdict on the board after {:.1} s",
            back.as_secs_f64(),
            verdict.as_secs_f64()
        ),
    );
    assert!(
        back < PROBES + AT_ONCE + BUSY_MACHINE && verdict < PROBES + AT_ONCE + BUSY_MACHINE,
        "{back:?} {verdict:?}"
    );
    all.others_stop().await;
    assert_eq!(all.touched_since(&before), 1, "{}", all.fleet.log());
    let tally = load.finish();
    report("bad in the bake", tally.to_string());
    assert!(tally.failures.is_empty(), "{tally}\nHAProxy:\n{}", all.balancer.log_text());
    assert!(tally.sent.len() == BUSY.len() && tally.sent.values().all(|sent| *sent > 10), "{tally}");
}
