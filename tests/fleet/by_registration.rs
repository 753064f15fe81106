//! Instances that register themselves, on host ports that berth chooses: they are replaced behind a balancer that sends requests where the
//! registration says and nowhere else.

use std::collections::VecDeque;
use std::time::Duration;

use berth_kit::target_group::TargetGroup;
use berth_kit::target_groups::TargetGroups;
use berth_kit::world::own_address;
use berth_kit::{Agent, Fault, World};
use futures_util::future::join_all;

use crate::load::{BUSY, Kind, Load};
use crate::load_balancer::Reuse;
use crate::registered::{Following, Idle};
use crate::{ALONE, BERTH, DRAIN, ENOUGH, NO_DRAIN, SOON, report, until};

/// Longer than the longest request, which is a WebSocket of eight seconds.
const DELAY: Duration = Duration::from_secs(10);

/// A load that nobody ends ends by itself.
const LONGEST: Duration = Duration::from_secs(600);

/// So many are replaced at a time, and so often.
const AT_ONCE: usize = 3;
const ROUNDS: usize = 7;

struct Instance {
    agent: Agent,
    /// The last to go: it removes what the agent made.
    world: World,
}

struct Registered {
    balancer: Following,
    groups: TargetGroups,
    arn: String,
    serving: VecDeque<Instance>,
    gone: Vec<Instance>,
    words: &'static str,
    image: String,
    /// Holds the image. It is dropped last.
    _images: World,
}

impl Registered {
    async fn start(words: &'static str) -> Self {
        let groups = TargetGroups::default();
        let mut group = TargetGroup { deregistration_delay: DELAY, ..TargetGroup::http("api", 80) };
        group.check.path = Some("/health".into());
        let arn = groups.create(group);
        let balancer = Following::start(&groups, &arn, Reuse::Shared, Idle::Kept).await;
        let images = World::builder().no_group().start().await;
        let image = images.app_image().by_digest();
        let (serving, gone) = (VecDeque::new(), Vec::new());
        let mut fleet = Self { balancer, groups, arn, serving, gone, words, image, _images: images };
        fleet.launch(AT_ONCE).await;
        fleet
    }

    /// So many more, each in traffic when its launch hook is completed.
    async fn launch(&mut self, count: usize) {
        let launch = async || {
            let world = World::builder().target_groups(&self.groups).start().await;
            world.user_data(&format!(
                "berth image={} name={} port=0:8080 health=/health target_groups={} lifecycle.poll=500ms {}",
                self.image, world.name, self.arn, self.words
            ));
            let agent = world.launcher(BERTH.as_ref()).listen((own_address().ip(), 0)).start().await;
            world.autoscaling.wait_for_state("InService", SOON).await;
            Instance { agent, world }
        };
        let launched = join_all((0..count).map(|_| launch())).await;
        self.serving.extend(launched);
    }

    /// Those that were there first leave: the exit codes of their agents.
    async fn terminate(&mut self, count: usize) -> Vec<i32> {
        let old: Vec<Instance> = self.serving.drain(..count).collect();
        let codes = join_all(old.iter().map(|one| one.leave())).await;
        self.gone.extend(old);
        codes
    }
}

impl Instance {
    /// The group terminates it. It attaches no target group, so it waits for no load balancer.
    async fn leave(&self) -> i32 {
        self.world.autoscaling.terminate();
        self.world.autoscaling.enter_wait();
        self.agent.exit_within(SOON).await
    }
}

#[tokio::test]
async fn twenty_instances_are_replaced_by_their_own_registration_and_no_request_is_lost() {
    let _alone = ALONE.lock().await;
    let mut fleet = Registered::start(DRAIN).await;
    let load = Load::start(fleet.balancer.address, BUSY, LONGEST);
    until("the load is there", async || load.total() > 2_000).await;
    for _ in 0..ROUNDS {
        fleet.launch(AT_ONCE).await;
        let codes = fleet.terminate(AT_ONCE).await;
        assert_eq!(codes, [0; AT_ONCE], "{}", fleet.gone.last().expect("one is gone").agent.log_text());
    }
    report("registration", format!("{} are replaced after {} requests", ROUNDS * AT_ONCE, load.total()));
    until("enough requests", async || load.total() > ENOUGH).await;
    let tally = load.finish();
    report("registration", tally.to_string());
    assert!(tally.failures.is_empty(), "{tally}\nHAProxy:\n{}", fleet.balancer.log_text());
    assert!(tally.sent.len() == BUSY.len() && tally.sent.values().all(|sent| *sent > 10), "{tally}");
    assert_eq!(fleet.groups.reused(), [], "a port that is still draining was registered again");
    for Instance { world, .. } in fleet.serving.iter().chain(&fleet.gone) {
        assert_eq!(world.journal.count("elasticloadbalancing RegisterTargets"), 1, "{}", world.journal.text());
    }
}

/// The control: nothing is deregistered, and the app is stopped when the notice comes.
#[tokio::test]
async fn an_app_that_stops_before_it_is_deregistered_loses_requests_of_every_kind() {
    let _alone = ALONE.lock().await;
    let mut fleet = Registered::start(NO_DRAIN).await;
    let load = Load::start(fleet.balancer.address, BUSY, LONGEST);
    until("the load is there", async || load.total() > 2_000).await;
    assert_eq!(load.failed(), 0, "no request fails before");
    fleet.launch(1).await;
    fleet.serving[0].world.fault("elasticloadbalancing DeregisterTargets", Fault::AccessDenied).always();
    assert_eq!(fleet.terminate(1).await, [5], "the drain was cut short");
    let tally = load.finish();
    report("registration, control", tally.to_string());
    for kind in [Kind::Kept, Kind::New, Kind::Slow, Kind::WebSocket] {
        let failed = tally.failures.iter().filter(|failure| failure.kind == kind).count();
        assert!(failed > 0, "no failure of {kind:?}: {tally}");
    }
}
