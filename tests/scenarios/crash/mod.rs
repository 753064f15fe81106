//! The crash matrix: at every step of a boot, of a drain and of a release the agent is killed with SIGKILL and started again, with the
//! same config and with another; and at every step at which there is an app, the app is killed.
//!
//! The steps are learned from a life that is left alone (walk.rs), so a new event or effect is in the matrix by itself. A step
//! that a cell does not reach fails it. Of the releases, which have hundreds of cells, every fifteenth is one of a run;
//! `CRASH_CELLS=all` makes it all of them, and `CRASH_CELLS=VerdictWritten` those at that step.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use berth_kit::{Agent, Fault};
use tokio::runtime::{Builder, Runtime};

use stage::{Move, Source, Stage, There};
use walk::Walk;

mod clients;
mod stage;
mod walk;

/// Lanes at a time. They wait more than they work.
const AT_A_TIME: usize = 6;

/// What an adoption requests and does not wait for. It may come or not, and is no step of the matrix.
const SPARED: [&str; 6] =
    ["SecretsFetched", "RegistryLoggedIn", "> ResolveDigest", "DigestResolved", "> InspectImage", "ImageInspected"];

/// What comes once in a while, and how often in a release is chance.
const ROUTINE: &[&str] = &[
    "> FollowConfig",
    "ConfigUnchanged",
    "> ProbeApp",
    "ProbePassed",
    "> CountConnections",
    "ConnectionsCounted",
    "> CheckMetadataBlock",
    "MetadataBlockChecked",
    "> WatchMetadata",
    "MetadataSeen",
];

/// What comes several times in a release, each time for something else.
const AGAIN: &[&str] = &[
    "> ReadBoard",
    "BoardRead",
    "> FetchSecrets",
    "SecretsFetched",
    "> CreateContainer",
    "ContainerCreated",
    "> StartContainer",
    "ContainerStarted",
    "> RemoveContainer",
    "ContainerRemoved",
];

/// Of the cells of a release, those of a run: one of so many.
const SAMPLE: usize = 15;

/// What happens in a release.
const RELEASED: [Blow; 5] = [Blow::Agent, Blow::AgentAndConfig, Blow::AgentAndBefore, Blow::App, Blow::Other];

/// In one world one after the other.
const LANE: usize = 5;

/// The part of a life that is walked.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scene {
    /// From nothing to service.
    FirstBoot,
    /// An agent was killed while it served: its container is kept.
    Adoption,
    /// … and the config is another: its container is replaced.
    Replacement,
    /// The app serves.
    Serve,
    /// Auto Scaling terminates the instance.
    Drain,
    /// The document that the instance follows has another release.
    Release(Move),
}

/// What is killed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Blow {
    /// `kill -9` of the agent, and a start.
    Agent,
    /// The same, with another config.
    AgentAndConfig,
    /// The same, with the config that there was before.
    AgentAndBefore,
    /// `docker kill` of the app; of that which served first, if there are two.
    App,
    /// `docker kill` of the container that a release has put beside it.
    Other,
}

impl Scene {
    /// Whether the scene begins where it ends, so that one world is good for many of them.
    fn is_a_circle(self) -> bool {
        matches!(self, Self::Adoption | Self::Replacement | Self::Release(_))
    }

    /// Where the config is.
    fn source(self) -> Source {
        match self {
            Self::Release(how) => Source::Document(how),
            _ => Source::UserData,
        }
    }

    /// Whether the step comes in one life of the scene and not in another.
    fn is_chance(self, step: &str) -> bool {
        match step {
            _ if matches!(self, Self::Release(_)) => ROUTINE.contains(&step),
            // A boot may be over before the metadata is looked at again.
            "> WatchMetadata" | "MetadataSeen" => !matches!(self, Self::Serve | Self::Drain),
            // One that was due in the moment of the notice.
            "> ProbeApp" => self == Self::Drain,
            step => self == Self::Adoption && SPARED.contains(&step),
        }
    }

    /// The agent at the beginning of the scene. A circle begins with an app that serves.
    async fn begin(self, stage: &mut Stage) -> (Agent, Walk) {
        match self {
            // Long enough for a heartbeat.
            Self::FirstBoot => stage.world.fault("registry GET blob", Fault::Delay(Duration::from_secs(1))).times(1),
            Self::Replacement => stage.wish_another(),
            Self::Adoption | Self::Serve | Self::Drain | Self::Release(_) => {}
        }
        let (agent, mut walk) = stage.start_held().await;
        if matches!(self, Self::Release(_)) {
            // That of the release which it has adopted.
            walk.until(&["serve", "VerdictWritten"]).await;
            walk.count(AGAIN);
            stage.note_app().await;
            stage.wish_another();
        }
        if matches!(self, Self::Serve | Self::Drain) {
            walk.until(&["serve", "HookCompleted"]).await;
        }
        if self == Self::Drain {
            stage.world.autoscaling.terminate();
            walk.until(&["drain"]).await;
        }
        (agent, walk)
    }

    /// The next step of the scene; none after the last.
    async fn next(self, walk: &mut Walk, stage: &Stage) -> Option<String> {
        let last: &[&str] = match self {
            Self::FirstBoot => &["serve", "HookCompleted"],
            Self::Adoption | Self::Replacement => &["serve", "GroupFound"],
            // A poll that began before the scene may end in it.
            Self::Serve => &["> ProbeApp", "ProbePassed", "> WatchMetadata", "MetadataSeen"],
            Self::Drain => &["> Exit"],
            // A lock is given back before or after the old container is gone.
            Self::Release(_) => &["release", "serve", "LockReleased"],
        };
        let step = loop {
            if walk.saw(last) {
                return None;
            }
            let step = walk.next().await;
            if !step.as_deref().is_some_and(|step| self.is_chance(step)) {
                break step;
            }
        };
        // The load balancer deregisters the instance after the first try.
        if self == Self::Drain && step.as_deref() == Some("HookNotActive CompleteHook") {
            stage.world.autoscaling.enter_wait();
        }
        step
    }

    /// The exit codes that a blow at this step may come to. An app that is killed at the beginning of a drain has cut its
    /// clients off; later on they may have been counted, and none was there.
    fn codes(self, at: &str, blow: Blow) -> &'static [i32] {
        match (self, blow) {
            (Self::Drain, Blow::App) if ["> ExtendStop", "StopExtended"].contains(&at) => &[5],
            (Self::Drain, Blow::App) => &[0, 5],
            _ => &[0],
        }
    }

    /// What must hold after the scene, whatever happened in it. The agent of a circle is killed.
    async fn ends_as_it_must(self, stage: &mut Stage, agent: Agent, blow: Option<Blow>, codes: &[i32]) {
        match self {
            Self::Release(_) => {
                stage.has_released(&agent, blow == Some(Blow::Other)).await;
                stage.serves(&agent).await;
                agent.kill9().await;
                stage.no_request_was_lost(matches!(blow, Some(Blow::App | Blow::Other)));
            }
            Self::Drain => {
                if stage.world.autoscaling.state().as_deref() == Some("Terminating") {
                    stage.world.autoscaling.enter_wait();
                }
                stage.is_gone(&agent, codes).await;
            }
            Self::FirstBoot | Self::Serve => {
                stage.serves(&agent).await;
                stage.leaves(agent).await;
            }
            Self::Adoption | Self::Replacement => {
                stage.serves(&agent).await;
                agent.kill9().await;
            }
        }
    }
}

/// The steps of a scene in which nothing happens, and what there is to hit at each of them.
async fn steps(scene: Scene) -> Vec<(String, There)> {
    let mut stage = scene_is_set(scene).await;
    let (agent, mut walk) = scene.begin(&mut stage).await;
    let mut steps = Vec::new();
    while let Some(step) = scene.next(&mut walk, &stage).await {
        steps.push((step, stage.there().await));
    }
    drop(walk);
    scene.ends_as_it_must(&mut stage, agent, None, &[0]).await;
    if scene.is_a_circle() {
        stage.leaves(stage.start().await).await;
    }
    steps
}

async fn scene_is_set(scene: Scene) -> Stage {
    let mut stage = Stage::set(scene.source()).await;
    if scene.is_a_circle() {
        stage.served().await;
    }
    stage
}

/// One cell: the blow at that step, and what must hold after it.
#[expect(clippy::disallowed_methods, reason = "how old a drain is, is the case")]
async fn cell(scene: Scene, at: &str, blow: Blow, stage: &mut Stage) {
    let (mut agent, mut walk) = scene.begin(stage).await;
    let began = Instant::now();
    loop {
        let step = scene.next(&mut walk, stage).await;
        let Some(step) = step else { panic!("the walk never came to it, but to {:?}", walk.seen) };
        if step == at {
            break;
        }
    }
    let mut kept = None;
    if blow == Blow::App || blow == Blow::Other {
        stage.kill_app(blow == Blow::Other).await;
    } else {
        agent.kill9().await;
        match blow {
            Blow::AgentAndConfig => stage.wish_another(),
            Blow::AgentAndBefore => stage.wish_before(),
            _ => {}
        }
        // What serves goes on in a release, until the new one takes its place.
        kept = stage.app().await.filter(|_| !matches!(scene, Scene::Release(_)));
        let killed = began.elapsed();
        agent = stage.start().await;
        // At the very end the drain is over, and no agent goes on with it.
        if scene == Scene::Drain && at != "> Exit" {
            if stage.world.autoscaling.state().as_deref() == Some("Terminating") {
                stage.world.autoscaling.enter_wait();
            }
            stage.goes_on_draining(&agent, killed).await;
        }
    }
    drop(walk);
    if let Some(kept) = kept.filter(|_| scene != Scene::Drain) {
        stage.is_ready(&agent).await;
        assert_eq!(stage.app().await, Some(kept), "a container that matches the config is kept");
    }
    scene.ends_as_it_must(stage, agent, Some(blow), scene.codes(at, blow)).await;
}

/// Cells one after the other, in one world as long as they go well; those that do not.
fn lane(scene: Scene, blow: Blow, steps: &[String]) -> Vec<String> {
    let runtime = runtime();
    let (mut failed, mut stage) = (Vec::new(), None);
    for step in steps {
        let lived = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async {
                let mut stage = match stage.take() {
                    Some(stage) => stage,
                    None => scene_is_set(scene).await,
                };
                cell(scene, step, blow, &mut stage).await;
                stage
            })
        }));
        match lived {
            Ok(whole) => stage = Some(whole).filter(|_| scene.is_a_circle()),
            Err(reason) => {
                let text = reason.downcast_ref::<String>().map_or("", String::as_str);
                failed.push(format!("{scene:?} at {step}, hitting {blow:?}: {text}"));
            }
        }
    }
    failed
}

/// Every cell of a scene, some at a time.
#[expect(clippy::print_stdout, reason = "the steps, shown with --nocapture")]
fn matrix(scene: Scene, blows: &[Blow]) {
    let steps = runtime().block_on(steps(scene));
    let mut lanes = VecDeque::new();
    for (number, blow) in blows.iter().enumerate() {
        let is_hit = |there: &There| match blow {
            Blow::Agent => true,
            Blow::AgentAndConfig | Blow::AgentAndBefore if matches!(scene, Scene::Release(_)) => true,
            // Without a container nothing is left of the former config, and one that has stopped on the way out is left alone.
            Blow::AgentAndConfig | Blow::AgentAndBefore => there.app || there.containers && scene != Scene::Drain,
            Blow::App => there.app,
            Blow::Other => there.other,
        };
        let mut cells: Vec<_> = steps.iter().filter(|(_, there)| is_hit(there)).map(|(step, _)| step.clone()).collect();
        assert!(!cells.is_empty(), "nothing to kill for {blow:?} in {steps:?}");
        if let Scene::Release(how) = scene {
            match std::env::var("CRASH_CELLS").as_deref() {
                Ok("all") => {}
                Ok(wanted) => cells.retain(|step| step == wanted),
                Err(_) => {
                    let first = (how as usize + number * 3) % cells.len();
                    cells = cells.into_iter().skip(first).step_by(SAMPLE).collect();
                }
            }
        }
        println!("{scene:?} of {} steps, hitting {blow:?} at {}: {cells:?}", steps.len(), cells.len());
        let size = match scene {
            Scene::Release(_) => LANE,
            _ if scene.is_a_circle() => cells.len(),
            _ => 1,
        };
        lanes.extend(cells.chunks(size).map(|cells| (*blow, cells.to_vec())));
    }
    let (lanes, failed) = (Mutex::new(lanes), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let Some((blow, cells)) = lanes.lock().unwrap().pop_front() else { return };
            let of_lane = lane(scene, blow, &cells);
            failed.lock().unwrap().extend(of_lane);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} cells failed:\n{}", failed.len(), failed.join("\n\n"));
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_boot_survives_a_crash_at_every_step() {
    matrix(Scene::FirstBoot, &[Blow::Agent, Blow::AgentAndConfig, Blow::App]);
}

#[test]
fn an_adoption_survives_a_crash_at_every_step() {
    matrix(Scene::Adoption, &[Blow::Agent, Blow::AgentAndConfig, Blow::App]);
}

#[test]
fn a_replacement_survives_a_crash_at_every_step() {
    matrix(Scene::Replacement, &[Blow::Agent, Blow::AgentAndConfig, Blow::App]);
}

#[test]
fn a_serving_app_that_is_killed_comes_back() {
    matrix(Scene::Serve, &[Blow::App]);
}

#[test]
fn a_drain_survives_a_crash_at_every_step() {
    matrix(Scene::Drain, &[Blow::Agent, Blow::AgentAndConfig, Blow::App]);
}

#[test]
fn a_release_by_targets_survives_a_crash_at_every_step() {
    matrix(Scene::Release(Move::Targets), &RELEASED);
}

#[test]
fn a_release_by_readiness_survives_a_crash_at_every_step() {
    matrix(Scene::Release(Move::Readiness), &RELEASED);
}

#[test]
fn a_release_by_restart_survives_a_crash_at_every_step() {
    matrix(Scene::Release(Move::Restart), &RELEASED);
}
