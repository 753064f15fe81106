//! The plan of a life: the shape of its surroundings and the things that go wrong in it, all from one seed.
//!
//! Every later choice is made by [`Plan::roll`], which depends on the seed and on what is chosen, and not on what was chosen
//! before: so dropping one twist leaves the rest of the life as it was, and a plan can be made smaller.

use std::fmt;
use std::time::Duration;

use berth_core::message::error::ErrorClass;
use berth_core::message::identity::TargetState;
use berth_core::message::job::JobKind;

use super::documents::Published;
use super::table::BootFault;
use super::twist::{Fate, Twist};
use crate::sim::{DIGEST, ms, secs};
use crate::targets::WEB;

/// What one life is made of.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) words: Vec<String>,
    pub(crate) shape: Shape,
    pub(crate) twists: Vec<Twist>,
    /// When the instance is terminated, if nothing else ends the life before.
    pub(crate) end: Duration,
    /// When everything that went wrong is right again, in a life that must then get on (liveness.rs).
    pub(crate) heals: Option<Duration>,
}

/// The surroundings.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// Whether the instance is in a group.
    pub(crate) group: bool,
    /// The timeout of the launch hook, if there is one.
    pub(crate) launch_hook: Option<Duration>,
    /// The timeout of the termination hook, if there is one.
    pub(crate) terminate_hook: Option<Duration>,
    /// Whether the group has the retention trigger.
    pub(crate) retains: bool,
    /// The warm pool that the instance is launched into.
    pub(crate) pool: Option<TargetState>,
    /// Whether a load balancer stands before it.
    pub(crate) balancer: bool,
    /// Whether the Auto Scaling group attaches the target group, whatever the config says.
    pub(crate) attached: bool,
    /// Whether some of its clients stay for minutes.
    pub(crate) websockets: bool,
    /// From a hook's state to the moment that it can be completed: the wait state lags.
    pub(crate) activation: Duration,
    /// `deregistration_delay.timeout_seconds`
    pub(crate) deregistration: Duration,
    /// From the container's start to the first healthy answer.
    pub(crate) app_ready_in: Duration,
    /// From power-on to the agent.
    pub(crate) os_boots_in: Duration,
}

/// So many seeds in a row have a config of their own: to resolve one takes as long as a tenth of a life, so they come again.
const CONFIGS: u64 = 10_007;

/// What some configs wait for.
pub(crate) const AFTER: &str = "after=/mnt/data";

/// Jobs of the engine.
pub(crate) const ENGINE: [JobKind; 14] = [
    JobKind::PingEngine,
    JobKind::FindContainers,
    JobKind::ResolveDigest,
    JobKind::InspectImage,
    JobKind::PullImage,
    JobKind::CreateContainer,
    JobKind::StartContainer,
    JobKind::WatchContainer,
    JobKind::ProbeApp,
    JobKind::StopContainer,
    JobKind::RemoveContainer,
    JobKind::CountConnections,
    JobKind::SignalApp,
    JobKind::ReadOutput,
];

/// Jobs that ask the group.
pub(crate) const GROUP: [JobKind; 5] = [
    JobKind::FindGroup,
    JobKind::RecordHeartbeat,
    JobKind::CompleteHook,
    JobKind::DescribeInstance,
    JobKind::MarkUnhealthy,
];

/// Jobs that ask other services of AWS.
pub(crate) const SERVICES: [JobKind; 3] = [JobKind::FetchSecrets, JobKind::LoginRegistry, JobKind::CheckSecrets];

/// Jobs that ask the load balancer, or the group about it.
pub(crate) const TARGETS: [JobKind; 5] = [
    JobKind::DescribeGroup,
    JobKind::DescribeTargets,
    JobKind::RegisterTarget,
    JobKind::DeregisterTarget,
    JobKind::DescribeDelay,
];

/// Jobs that read the document again, or ask or write the board.
pub(crate) const RELEASES: [JobKind; 10] = [
    JobKind::FollowConfig,
    JobKind::ReadRelease,
    JobKind::ReadCopy,
    JobKind::ReadBoard,
    JobKind::TakeLock,
    JobKind::RenewLock,
    JobKind::ReleaseLock,
    JobKind::MarkBegun,
    JobKind::TakeBackMark,
    JobKind::WriteVerdict,
];

/// Jobs that ask neither the engine nor AWS.
pub(crate) const OTHERS: [JobKind; 6] = [
    JobKind::Identify,
    JobKind::ReadConfig,
    JobKind::Listen,
    JobKind::WatchMetadata,
    JobKind::ExtendStop,
    JobKind::WriteFinalStatus,
];

impl Plan {
    /// The plan of a seed.
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed ^ 0x6265_7274_6800);
        let group = rng.u8(..10) > 0;
        let hook =
            |rng: &mut fastrand::Rng| (group && rng.u8(..4) > 0).then(|| secs([30, 60, 120, 600][rng.usize(..4)]));
        let pools = [TargetState::WarmedRunning, TargetState::WarmedStopped, TargetState::WarmedHibernated];
        let shape = Shape {
            group,
            launch_hook: hook(&mut rng),
            terminate_hook: hook(&mut rng),
            pool: (group && rng.u8(..6) == 0).then(|| pools[rng.usize(..3)].clone()),
            retains: rng.u8(..4) == 0,
            balancer: rng.u8(..4) > 0,
            attached: true,
            websockets: rng.u8(..4) == 0,
            activation: ms(rng.u64(..6000)),
            deregistration: secs([0, 30, 300][rng.usize(..3)]),
            app_ready_in: ms(rng.u64(..8000)),
            os_boots_in: secs(rng.u64(..12)),
        };
        // A stretch in which nothing happens shows little after its first minute.
        let end = secs(if rng.u8(..4) > 0 { rng.u64(20..100) } else { rng.u64(100..400) });
        let twists = (0..[0, 1, 1, 2, 2, 3, 4, 5, 7][rng.usize(..9)]).map(|_| Twist::any(&mut rng, end)).collect();
        let words = words(&mut fastrand::Rng::with_seed(seed % CONFIGS));
        let mut plan = Self { seed, words, shape, twists, end, heals: None };
        // Drawn apart, so that the rest of each seed's plan is what it was.
        let mut paths = plan.roll(Roll::Paths, 0);
        if plan.says(AFTER) && paths.u8(..3) == 0 {
            let lasts = ms([500, 5_000, 40_000, 100_000][paths.usize(..4)] + paths.u64(..500));
            plan.twists.push(Twist::BootFault(BootFault::PathsLate(lasts)));
        }
        // A worker has no clients.
        plan.shape.balancer &= !plan.is_worker();
        if plan.registers() {
            plan.shape.balancer = true;
            // With a port that berth chooses that is a failed boot.
            let may_be = plan.shape.group && plan.says("port=8080") && !plan.follows();
            plan.shape.attached = may_be && plan.roll(Roll::Targets, 0).u8(..6) == 0;
        }
        if plan.follows() {
            plan.release();
        }
        plan
    }

    /// Releases, and what disturbs them.
    fn release(&mut self) {
        let mut rng = self.roll(Roll::Releases, 0);
        // What the document has is changed by publishing another.
        self.twists.retain(|twist| !matches!(twist, Twist::Changed(_)));
        self.end += secs(rng.u64(40..160));
        let mut at = self.shape.os_boots_in + ms(rng.u64(..30_000));
        for _ in 0..rng.usize(1..=3) {
            self.twists.push(Twist::Publish { at, what: Published::any(&mut rng) });
            at += ms(rng.u64(..90_000));
        }
        for _ in 0..[0, 0, 1, 1, 2][rng.usize(..5)] {
            self.twists.push(Twist::in_a_release(&mut rng, at));
        }
    }

    /// A number for this choice, the same whatever else was chosen.
    pub(crate) fn roll(&self, of: Roll, nth: u64) -> fastrand::Rng {
        let mixed = (of as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ nth.wrapping_mul(0xC2B2_AE3D_27D4_EB4F);
        fastrand::Rng::with_seed(self.seed ^ mixed)
    }

    /// How the nth attempt at a job ends.
    pub(crate) fn fate(&self, job: JobKind, nth: u32) -> Fate {
        let fate = |twist: &Twist| match twist {
            Twist::Fate(of, at, fate) if *of == job && *at == nth => Some(*fate),
            Twist::Denied(of) if *of == job => Some(Fate::Fails(ErrorClass::Denied)),
            _ => None,
        };
        self.twists.iter().find_map(fate).unwrap_or(Fate::Well)
    }

    /// Whether the config has this word.
    pub(crate) fn says(&self, word: &str) -> bool {
        self.words.iter().any(|one| one == word)
    }

    /// Whether the config has target groups.
    pub(crate) fn registers(&self) -> bool {
        self.words.iter().any(|word| word.starts_with("target_groups="))
    }

    /// Whether it follows a document.
    pub(crate) fn follows(&self) -> bool {
        self.words.iter().any(|word| word.starts_with("config="))
    }

    /// Whether rotated secrets replace the container by another one beside it.
    pub(crate) fn rotates_beside(&self) -> bool {
        self.registers() && self.says("port=0:8080") && self.says("secrets_refresh=20s")
    }

    /// Whether the app has no probe: it is healthy once it has run for `probe.running_for`.
    pub(crate) fn is_worker(&self) -> bool {
        !self.says("health=/health")
    }

    /// Whether any twist is so.
    pub(crate) fn has(&self, is: impl Fn(&Twist) -> bool) -> bool {
        self.twists.iter().any(is)
    }

    /// Whether anything goes wrong with one of these jobs.
    pub(crate) fn troubles(&self, jobs: &[JobKind]) -> bool {
        self.has(|twist| match twist {
            Twist::Fate(job, _, _) | Twist::Denied(job) => jobs.contains(job),
            _ => false,
        })
    }
}

/// What a roll is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Roll {
    Delay,
    Wire,
    Client,
    Group,
    Paths,
    Heals,
    Targets,
    Releases,
}

fn words(rng: &mut fastrand::Rng) -> Vec<String> {
    let mut words = vec!["image=registry.test/api:v1", "stop_timeout=10s"];
    words.extend(
        [&["port=8080", "health=/health"][..], &[], &["probe.running_for=12s"]][[0, 0, 0, 0, 1, 2][rng.usize(..6)]],
    );
    let mut maybe = |odds: u8, more: &[&'static str]| {
        if rng.u8(..odds) == 0 {
            words.extend_from_slice(more);
        }
    };
    maybe(4, &["lifecycle.group=web", "lifecycle.launch_hook=boot", "lifecycle.terminate_hook=leave"]);
    maybe(8, &["boot.on_failure=hold"]);
    maybe(3, &["boot.timeout=90s"]);
    maybe(3, &["probe.start_timeout=30s"]);
    maybe(3, &["restart.limit=2"]);
    maybe(3, &["drain.settle=15s"]);
    maybe(2, &["lifecycle.poll=5s"]);
    maybe(2, &["probe.interval=10s"]);
    maybe(8, &["spot=ignore"]);
    maybe(4, &["rebalance=drain"]);
    maybe(2, &["maintenance=drain"]);
    maybe(6, &["drain.on_failure=abandon"]);
    words.extend(
        [
            &[][..],
            &[],
            &["secrets=prod/api"],
            &["secrets=prod/api", "secrets_refresh=20s"],
            &["secrets=prod/api", "secrets_refresh=20s,signal:HUP"],
        ][rng.usize(..5)],
    );
    words.extend([&[][..], &[], &["drain.timeout=40s"], &["drain.timeout=600s"]][rng.usize(..4)]);
    let mut words: Vec<String> = words.into_iter().map(str::to_owned).collect();
    if let Some(image) = words.first_mut().filter(|_| rng.u8(..5) == 0) {
        *image = format!("image=registry.test/api@{DIGEST}");
    }
    // Drawn from what is drawn already, so that each seed's plan is what it was.
    let drawn = words.len();
    if drawn.is_multiple_of(5) {
        words.push("imds=block".to_owned());
    }
    if drawn.is_multiple_of(3) {
        words.push(AFTER.to_owned());
    }
    if words.iter().any(|word| word == "health=/health") && rng.u8(..3) == 0 {
        words.push(format!("target_groups={WEB}"));
        if rng.u8(..3) == 0 {
            words.push("target.timeout=60s".to_owned());
        }
        if let Some(port) = words.iter_mut().find(|word| *word == "port=8080").filter(|_| rng.bool()) {
            "port=0:8080".clone_into(port);
        }
    }
    if words.iter().any(|word| word == "health=/health") && rng.u8(..3) == 0 {
        // One word, so that a smaller plan has all of it or nothing.
        let mut follow = "config=s3://bucket/web release.board=s3://bucket/board".to_owned();
        follow += [" follow=5s", " follow=15s"][rng.usize(..2)];
        if rng.u8(..3) > 0 {
            follow += " release.healthy_for=2s release.bake=8s";
        }
        let registers = words.iter().any(|word| word.starts_with("target_groups="));
        // Each target is a port that berth chooses, or traffic cannot move by them.
        if registers && !words.iter().any(|word| word == "port=0:8080") || rng.u8(..4) == 0 {
            follow += " release.move=restart";
        }
        words.push(follow);
    }
    words
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  config  {}", self.words.join(" "))?;
        writeln!(f, "  world   {:?}", self.shape)?;
        for twist in &self.twists {
            writeln!(f, "  twist   {twist:?}")?;
        }
        if let Some(heals) = self.heals {
            writeln!(f, "  heals   {heals:?}")?;
        }
        writeln!(f, "  end     {:?}", self.end)
    }
}
