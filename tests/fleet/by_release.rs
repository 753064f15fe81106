//! Releases in place: three instances take one version after the other under constant load, and no request is lost.
//!
//! `FLEET_SWAPS=200` makes so many replacements; without it there are a few.

use std::time::Duration;

use berth_core::message::release::ReleaseId;
use berth_kit::s3::S3;
use berth_kit::target_group::TargetGroup;
use berth_kit::target_groups::TargetGroups;
use berth_kit::world::own_address;
use berth_kit::{Agent, World};
use futures_util::future::join_all;

use crate::load::{BUSY, Load};
use crate::load_balancer::{CHECKS, LoadBalancer, Reuse};
use crate::registered::{Following, Idle};
use crate::{ALONE, BERTH, ENOUGH, SOON, report, until};

const BUCKET: &str = "releases";
const DOCUMENT: &str = "web";
pub(crate) const INSTANCES: usize = 3;

/// Longer than the longest request, which is a WebSocket of eight seconds.
const DELAY: Duration = Duration::from_secs(10);

/// A load that nobody ends ends by itself.
pub(crate) const LONGEST: Duration = Duration::from_secs(7200);

/// How the agents treat a release, and the drain of the old container: the balancer sees a 503 within one second and a half, and keeps idle
/// connections to it for longer than any request lasts.
pub(crate) const QUICK: &str = "release.healthy_for=1s release.bake=1s drain.settle=3s drain.idle=1s drain.timeout=12s stop_timeout=10s probe.interval=1s";

pub(crate) struct Instance {
    pub(crate) agent: Agent,
    /// The last to go: it removes what the agent made.
    pub(crate) world: World,
}

/// Instances that follow one document.
pub(crate) struct Fleet {
    s3: S3,
    pub(crate) instances: Vec<Instance>,
    image: String,
    /// What the document has beside the image.
    more: String,
    /// How often an instance looks at it.
    pub(crate) follow: &'static str,
    pub(crate) published: u32,
    /// Holds the image. It is dropped last.
    _images: World,
}

impl Fleet {
    pub(crate) async fn new(more: String) -> Self {
        let s3 = S3::default();
        s3.create(BUCKET);
        let images = World::builder().no_group().start().await;
        let image = images.app_image().by_digest();
        let mut fleet = Self { s3, instances: Vec::new(), image, more, follow: "1s", published: 0, _images: images };
        fleet.publish("");
        fleet
    }

    /// Another version of the document: one with another environment, and with these words.
    pub(crate) fn publish(&mut self, words: &str) {
        self.published += 1;
        let Self { image, more, published, .. } = self;
        let document = format!("berth image={image} health=/health env.RELEASE={published} {more} {words}");
        self.s3.put(BUCKET, DOCUMENT, document, &[]);
    }

    /// One more instance; `more` is what its own line has.
    pub(crate) async fn launch(&mut self, groups: &TargetGroups, more: &str, listen: std::net::IpAddr) {
        let world = World::builder().target_groups(groups).s3(&self.s3).start().await;
        world.user_data(&format!(
            "berth name={} lifecycle.poll=500ms config=s3://{BUCKET}/{DOCUMENT} follow={} release.board=s3://{BUCKET}/board {more}",
            world.name, self.follow
        ));
        let agent = world.launcher(BERTH.as_ref()).listen((listen, 0)).start().await;
        agent.ready_within(SOON).await;
        world.autoscaling.wait_for_state("InService", SOON).await;
        self.instances.push(Instance { agent, world });
    }

    /// How many instances have the document's release and say that it is good, and how many that it is bad.
    pub(crate) fn verdicts(&self) -> (usize, usize) {
        let followed = self.s3.object(BUCKET, DOCUMENT).expect("the document is there");
        let below = format!("board/{}/", ReleaseId::of(&followed));
        let keys = self.s3.keys(BUCKET);
        let of = |kind: &str| keys.iter().filter(|key| key.starts_with(&format!("{below}{kind}/"))).count();
        (of("ok"), of("bad"))
    }

    /// What all agents wrote.
    pub(crate) fn log(&self) -> String {
        self.instances.iter().map(|one| one.agent.log_text()).collect::<Vec<_>>().join("\n----\n")
    }

    /// All have the document's release.
    pub(crate) async fn released(&self) {
        let log = || self.log();
        // One after the other: each lets go of WebSockets first.
        for count in 1..=self.instances.len() {
            let enough = async || loop {
                let (ok, bad) = self.verdicts();
                assert_eq!(bad, 0, "{}", log());
                if ok >= count {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            };
            let in_time = tokio::time::timeout(SOON, enough()).await;
            assert!(in_time.is_ok(), "not {count} have the release within {SOON:?}\n{}", log());
        }
        self.serve().await;
    }

    /// No release goes on.
    pub(crate) async fn serve(&self) {
        join_all(self.instances.iter().map(async |one| {
            until("it serves", async || one.agent.status().await["phase"] == "serve").await;
        }))
        .await;
    }

    /// Releases until there were enough replacements and requests.
    async fn release_under(&mut self, load: &Load, what: &str) {
        let swaps = std::env::var("FLEET_SWAPS").ok().and_then(|swaps| swaps.parse().ok()).unwrap_or(2 * INSTANCES);
        for _ in 0..swaps.div_ceil(INSTANCES) {
            self.publish("");
            self.released().await;
        }
        report(what, format!("{} replacements after {} requests", swaps.div_ceil(INSTANCES) * INSTANCES, load.total()));
        until("enough requests", async || load.total() > ENOUGH).await;
    }
}

/// A fleet of so many instances that register themselves, the target group, and what follows that.
pub(crate) struct RegisteredFleet {
    pub(crate) fleet: Fleet,
    pub(crate) groups: TargetGroups,
    pub(crate) arn: String,
    pub(crate) balancer: Following,
}

impl RegisteredFleet {
    pub(crate) async fn start(instances: usize, follow: &'static str, words: &str) -> Self {
        let groups = TargetGroups::default();
        let mut group = TargetGroup { deregistration_delay: DELAY, ..TargetGroup::http("api", 80) };
        group.check.path = Some("/health".into());
        let arn = groups.create(group);
        let balancer = Following::start(&groups, &arn, Reuse::Shared, Idle::Kept).await;
        let mut fleet = Fleet::new(format!("port=0:8080 target_groups={arn} {words}")).await;
        fleet.follow = follow;
        for _ in 0..instances {
            fleet.launch(&groups, "", own_address().ip()).await;
        }
        fleet.released().await;
        Self { fleet, groups, arn, balancer }
    }
}

#[tokio::test]
async fn releases_by_targets_lose_no_request() {
    let _alone = ALONE.lock().await;
    let RegisteredFleet { mut fleet, groups, balancer, .. } = RegisteredFleet::start(INSTANCES, "1s", QUICK).await;
    let load = Load::start(balancer.address, BUSY, LONGEST);
    until("the load is there", async || load.total() > 2_000).await;
    fleet.release_under(&load, "releases by targets").await;
    let tally = load.finish();
    report("releases by targets", tally.to_string());
    assert!(tally.failures.is_empty(), "{tally}\nHAProxy:\n{}", balancer.log_text());
    assert!(tally.sent.len() == BUSY.len() && tally.sent.values().all(|sent| *sent > 10), "{tally}");
    assert_eq!(groups.reused(), [], "a port that is still draining was registered again");
}

#[tokio::test]
async fn releases_by_readiness_lose_no_request() {
    let _alone = ALONE.lock().await;
    let balancer = LoadBalancer::start(Reuse::Shared, CHECKS).await;
    let groups = TargetGroups::default();
    let mut fleet = Fleet::new(QUICK.to_owned()).await;
    for _ in 0..INSTANCES {
        let app = own_address();
        fleet.launch(&groups, &format!("port={app}:8080"), app.ip()).await;
        let agent = &fleet.instances.last().expect("it was launched").agent;
        balancer.register(app, agent.endpoint().await).await;
    }
    fleet.released().await;
    let load = Load::start(balancer.address, BUSY, LONGEST);
    until("the load is there", async || load.total() > 2_000).await;
    fleet.release_under(&load, "releases by readiness").await;
    let tally = load.finish();
    report("releases by readiness", tally.to_string());
    assert!(tally.failures.is_empty(), "{tally}\nHAProxy:\n{}", balancer.log_text());
    assert!(tally.sent.len() == BUSY.len() && tally.sent.values().all(|sent| *sent > 10), "{tally}");
}
