//! An Auto Scaling group that replaces its instances one by one: surge 1, unavailable 0.

use std::net::SocketAddr;
use std::time::{Duration, UNIX_EPOCH};

use berth_kit::clock::wall;
use berth_kit::world::own_address;
use berth_kit::{Agent, World};

use crate::load_balancer::{CHECKS, LoadBalancer, Reuse, Slot};
use crate::{BERTH, SOON, until};

/// Seconds.
const HALF_A_DAY: f64 = 43_200.0;

/// How an instance learns that it must leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum How {
    /// Auto Scaling terminates it, with a termination hook.
    Hook,
    /// SIGTERM, of which the group knows nothing.
    Signal,
    /// Both at once, as when a person shuts an instance down that Auto Scaling terminates.
    SignalAndHook,
    /// A spot interruption; the group hears of it too, somewhat later, and has its hook.
    Spot,
}

/// The instances, and what is in front of them.
pub(crate) struct Group {
    /// In front of them.
    pub(crate) balancer: LoadBalancer,
    serving: Vec<Instance>,
    /// Those that ended. Their containers are removed with them, which is no work for a moment in which requests are counted.
    gone: Vec<Instance>,
    words: &'static str,
    image: String,
    /// Holds the image. It is dropped last, since every container of the image goes with it.
    _images: World,
}

/// One instance behind the balancer.
pub(crate) struct Instance {
    /// Its agent.
    pub(crate) agent: Agent,
    /// Its place at the balancer.
    pub(crate) slot: Slot,
    end: Option<End>,
    /// What is around it. The last to go: it removes what the agent made.
    pub(crate) world: World,
}

struct End {
    /// When `/ready` had become 503, in seconds of the day.
    unready: f64,
    /// When the balancer had stopped sending requests.
    down: f64,
    code: i32,
}

impl Group {
    /// Three instances, ready and registered. `words` are those of the config that differ from test to test.
    pub(crate) async fn start(words: &'static str) -> Self {
        Self::behind(LoadBalancer::start(Reuse::Shared, CHECKS).await, words).await
    }

    /// The same behind this balancer.
    pub(crate) async fn behind(balancer: LoadBalancer, words: &'static str) -> Self {
        let images = World::builder().no_group().start().await;
        let image = images.app_image().by_digest();
        let mut group = Self { balancer, serving: Vec::new(), gone: Vec::new(), words, image, _images: images };
        for _ in 0..3 {
            group.launch().await;
        }
        group
    }

    /// For each instance: a new one first, then the old one goes, in order.
    pub(crate) async fn replace_all(&mut self, how: How) {
        for _ in 0..self.serving.len() {
            self.replace_oldest(how).await;
        }
    }

    /// A new one first, then the one that was there first goes, in order.
    pub(crate) async fn replace_oldest(&mut self, how: How) {
        self.launch().await;
        self.terminate_oldest(how).await;
        self.gone.last().expect("one is gone").left_in_order(how).await;
    }

    /// One more: booted, ready, its launch hook completed, and only then registered.
    pub(crate) async fn launch(&mut self) {
        let world = World::start().await;
        let app = own_address();
        world.user_data(&format!(
            "berth image={} name={} port={app}:8080 health=/health lifecycle.poll=500ms {}",
            self.image, world.name, self.words
        ));
        let agent = world.launcher(BERTH.as_ref()).listen((app.ip(), 0)).start().await;
        self.serving.push(Instance::register(world, agent, app, &self.balancer).await);
    }

    /// The one that was there first leaves: the exit code of its agent.
    pub(crate) async fn terminate_oldest(&mut self, how: How) -> i32 {
        let mut old = self.serving.remove(0);
        let code = old.leave(how, &self.balancer).await;
        self.gone.push(old);
        code
    }
}

impl Group {
    /// For how many seconds the app of the last instance that left still ran after the balancer had stopped sending requests. Negative if it
    /// stopped before that.
    pub(crate) async fn seconds_between_down_and_stop(&self) -> f64 {
        let gone = self.gone.last().expect("one is gone");
        let down = gone.end.as_ref().expect("it ended").down;
        // Past midnight a day is over; no drain takes half of one.
        (gone.stopped().await - down + HALF_A_DAY).rem_euclid(2.0 * HALF_A_DAY) - HALF_A_DAY
    }
}

impl Instance {
    /// Booted: once it is ready and its launch hook is completed, it is registered.
    pub(crate) async fn register(world: World, agent: Agent, app: SocketAddr, balancer: &LoadBalancer) -> Self {
        agent.ready_within(SOON).await;
        world.autoscaling.wait_for_state("InService", SOON).await;
        let slot = balancer.register(app, agent.endpoint().await).await;
        Self { agent, slot, end: None, world }
    }

    /// It leaves: the exit code of its agent.
    pub(crate) async fn leave(&mut self, how: How, balancer: &LoadBalancer) -> i32 {
        let Self { world, agent, slot, .. } = self;
        match how {
            How::Hook => world.autoscaling.terminate(),
            How::Signal => agent.signal("TERM"),
            How::SignalAndHook => {
                agent.signal("TERM");
                world.autoscaling.terminate();
            }
            How::Spot => world.imds.spot_interruption("terminate", wall() + Duration::from_secs(60)),
        }
        until("/ready 503", async || agent.http("/ready").await.status == 503).await;
        let unready = now();
        // Only now does the termination hook begin: the group waits for the deregistration first.
        balancer.sees_down(slot).await;
        let down = now();
        match how {
            How::Hook | How::SignalAndHook => world.autoscaling.enter_wait(),
            How::Signal => {}
            How::Spot => {
                world.autoscaling.terminate();
                world.autoscaling.enter_wait();
            }
        }
        balancer.deregister(slot).await;
        let code = agent.exit_within(SOON).await;
        self.end = Some(End { unready, down, code });
        code
    }

    /// When the app stopped, in seconds of the day.
    async fn stopped(&self) -> f64 {
        let state = &self.world.engine.inspect(&self.world.container()).await.expect("the container is there")["State"];
        moment(state["FinishedAt"].as_str().expect("a moment"))
    }

    /// Asserts that the 503 came first, then the stop of the app, then the hook; each once, and in time.
    pub(crate) async fn left_in_order(&self, how: How) {
        let Self { world, agent, end, .. } = self;
        let End { unready, code, .. } = end.as_ref().expect("it ended");
        assert_eq!(*code, 0, "{}", agent.log_text());
        let state = &world.engine.inspect(&world.container()).await.expect("the container is there")["State"];
        let by_sigterm = 128 + 15;
        assert_eq!((&state["Running"], &state["ExitCode"]), (&false.into(), &by_sigterm.into()));
        let stopped = self.stopped().await;
        assert_earlier("503", *unready, "the app's stop", stopped);

        let completions = world.autoscaling.completions();
        let completed = completions.iter().map(|one| (one.hook.as_str(), one.result.as_str(), one.by_timeout));
        let (launch, terminate) = (("launch", "CONTINUE", false), ("terminate", "CONTINUE", false));
        let wanted = if how == How::Signal { vec![launch] } else { vec![launch, terminate] };
        assert_eq!(completed.collect::<Vec<_>>(), wanted, "{}", world.journal.text());
        for (hook, ..) in wanted {
            let completed = format!("autoscaling CompleteLifecycleAction CONTINUE {hook} 200");
            assert_eq!(world.journal.count(&completed), 1, "{}", world.journal.text());
            if hook == "terminate" {
                let asked = now() - world.journal.age(&world.journal.wait_for(&completed, SOON).await).as_secs_f64();
                assert_earlier("the app's stop", stopped, "the hook", asked);
            }
        }
    }
}

/// Seconds of the day.
fn now() -> f64 {
    of_day(wall().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64())
}

#[track_caller]
fn assert_earlier(first: &str, at: f64, second: &str, then: f64) {
    // Past midnight a day is over; no drain takes half of one.
    let between = of_day(then - at);
    assert!(between < HALF_A_DAY, "{second} came {:.3} s before {first}", 86_400.0 - between);
}

/// Seconds of the day.
fn of_day(seconds: f64) -> f64 {
    seconds.rem_euclid(2.0 * HALF_A_DAY)
}

/// Seconds of the day, of a moment as the engine writes it: `2026-11-21T03:38:41.123456789Z`.
fn moment(text: &str) -> f64 {
    let (_, time) = text.split_once('T').expect("a moment");
    let figures = time.trim_end_matches('Z').split(':').map(|part| part.parse::<f64>().expect("a figure"));
    figures.fold(0.0, |sum, figure| sum * 60.0 + figure)
}
