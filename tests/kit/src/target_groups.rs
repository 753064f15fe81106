//! Elastic Load Balancing (`elasticloadbalancingv2`): the target groups of an account, and what a test can let them do.
//!
//! Health is real: the targets are asked over HTTP, where [`TargetGroups::run_instance`] says that their instance is. Several
//! worlds may share the same target groups, each of them an instance ([`crate::world::WorldBuilder::target_groups`]):
//!
//! ```no_run
//! # async fn example() {
//! use berth_kit::World;
//! use berth_kit::target_group::TargetGroup;
//! let world = World::start().await;
//! let arn = world.target_groups.create(TargetGroup::http("api", 8080));
//! world.user_data(&format!("berth image=… port=0:8080 target_groups={arn}"));
//! # }
//! ```

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::clock;
use crate::form::Form;
use crate::refusal::Refusal;
use crate::target_group::{Health, Reuse, Target, TargetGroup};
use crate::text::random_hex;
use crate::token_bucket::TokenBucket;
use crate::world::{ACCOUNT, REGION};

use members::Members;

mod checks;
mod members;
mod wire;

/// The target groups of an account. Clones are the same.
#[derive(Clone)]
pub struct TargetGroups {
    account: Arc<Account>,
    checks: Arc<checks::Thread>,
}

/// A target that is registered, or still draining.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Which.
    pub target: Target,
    /// Where requests to it go.
    pub address: SocketAddr,
    /// What the load balancer says of it.
    pub health: Health,
    /// Whether new requests are sent to it: not during a zonal shift, although it is healthy.
    pub takes_requests: bool,
}

struct Account {
    state: Mutex<State>,
    changes: watch::Sender<u64>,
}

struct State {
    /// By their ARNs.
    groups: BTreeMap<String, Members>,
    /// Where they are, and whether they run.
    instances: BTreeMap<String, (IpAddr, bool)>,
    /// `RegisterTargets` and `DeregisterTargets` together.
    writes: TokenBucket,
    /// `Describe*`
    reads: TokenBucket,
}

impl Default for TargetGroups {
    fn default() -> Self {
        let state = State {
            groups: BTreeMap::new(),
            instances: BTreeMap::new(),
            // The defaults of aws-load-balancer-controller; AWS publishes the second ("Request throttling for the ELB API").
            writes: TokenBucket::new(20, 4),
            reads: TokenBucket::new(40, 10),
        };
        let account = Account { state: Mutex::new(state), changes: watch::Sender::new(0) };
        Self { account: Arc::new(account), checks: Arc::default() }
    }
}

impl TargetGroups {
    /// Creates a target group; its ARN.
    pub fn create(&self, group: TargetGroup) -> String {
        let arn =
            format!("arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/{}/{}", group.name, random_hex(16));
        self.account.change(|state| state.groups.insert(arn.clone(), Members::new(group)));
        arn
    }

    /// Changes a target group: its listener, its delay, the health that is scripted, …
    pub fn configure(&self, arn: &str, how: impl FnOnce(&mut TargetGroup)) {
        self.account.change(|state| how(&mut state.group(arn).settings));
    }

    /// An instance runs, and its ports are at this address. An instance that a test launches runs on loopback already.
    pub fn run_instance(&self, id: &str, address: impl Into<IpAddr>) {
        self.account.change(|state| state.instances.insert(id.into(), (address.into(), true)));
    }

    /// An instance stops or terminates: it cannot be registered any more.
    pub fn stop_instance(&self, id: &str) {
        self.account.change(|state| state.instances.get_mut(id).expect("an instance that runs").1 = false);
    }

    /// An operator registers a target. It costs no token of a bucket.
    ///
    /// # Panics
    /// If it is refused.
    pub fn register(&self, arn: &str, target: &Target) {
        self.add(arn, vec![target.clone()], clock::now()).expect("a target that can be registered");
    }

    /// An operator deregisters a target.
    pub fn deregister(&self, arn: &str, target: &Target) {
        self.remove(arn, std::slice::from_ref(target), clock::now());
    }

    /// The deregistration delays of this group that have begun are over.
    pub fn end_draining(&self, arn: &str) {
        self.account.change(|state| state.group(arn).end_draining(clock::now()));
    }

    /// Others in the account have used up both buckets: `RegisterTargets` and `DeregisterTargets` are refilled at 4 calls a second to 20,
    /// `Describe*` at 10 to 40.
    pub fn empty_buckets(&self) {
        self.account.change(|state| [&mut state.writes, &mut state.reads].map(|bucket| bucket.empty(clock::now())));
    }

    /// What the load balancer says of a target.
    pub fn health(&self, arn: &str, target: &Target) -> Health {
        self.account.state().health(arn, target)
    }

    /// What is registered or still draining.
    pub fn targets(&self, arn: &str) -> Vec<Registered> {
        let state = self.account.state();
        let targets = state.groups[arn].targets(clock::now()).into_iter();
        let is_shifted = state.groups[arn].settings.zonal_shift;
        let registered = |target: Target| {
            let (address, health) = (state.instances[&target.id].0, state.health(arn, &target));
            let takes_requests = ["healthy", "unavailable"].contains(&health.state) && !is_shifted;
            Registered { address: (address, target.port).into(), target, health, takes_requests }
        };
        targets.map(registered).collect()
    }

    /// How long ago a target became healthy for the first time, to be compared with [`crate::Journal::age`].
    pub fn healthy_for(&self, arn: &str, target: &Target) -> Option<Duration> {
        let since = self.account.state().groups[arn].first_healthy(target)?;
        Some(clock::now().saturating_duration_since(since))
    }

    /// Every target that was registered again within its deregistration delay; invariant 14 says that there is none.
    pub fn reused(&self) -> Vec<Reuse> {
        self.account.state().groups.values().flat_map(|group| group.reused.clone()).collect()
    }

    /// Waits until exactly these states are those of the group's targets, in their order, at most for `bound`.
    ///
    /// # Panics
    /// If they are not in time.
    pub async fn wait_for_states(&self, arn: &str, states: &[&str], bound: Duration) -> Vec<Registered> {
        let mut changes = self.changes();
        let reached = tokio::time::timeout(bound, async {
            loop {
                let targets = self.targets(arn);
                if targets.iter().map(|one| one.health.state).eq(states.iter().copied()) {
                    return targets;
                }
                changes.changed().await.unwrap();
            }
        });
        match reached.await {
            Ok(targets) => targets,
            Err(_) => panic!("not {states:?} within {bound:?}: {:#?}", self.targets(arn)),
        }
    }

    /// Changes whenever what the load balancer says may have.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.account.changes.subscribe()
    }

    /// Lets a new registration be checked.
    fn registered(&self, arn: &str, target: Target, since: Instant) {
        self.checks.spawn(checks::run(Arc::clone(&self.account), arn.to_owned(), target, since));
    }

    /// Notifies of the end of a deregistration delay.
    fn deregistered(&self, delay: Duration) {
        let account = Arc::clone(&self.account);
        self.checks.spawn(async move {
            tokio::time::sleep(delay).await;
            account.change(|_| ());
        });
    }
}

impl Account {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn change<T>(&self, how: impl FnOnce(&mut State) -> T) -> T {
        let result = how(&mut self.state());
        self.changes.send_modify(|changes| *changes += 1);
        result
    }
}

impl State {
    fn group(&mut self, arn: &str) -> &mut Members {
        self.groups.get_mut(arn).expect("the ARN of a target group that was created")
    }

    fn is_running(&self, id: &str) -> bool {
        self.instances.get(id).is_some_and(|(_, runs)| *runs)
    }

    fn health(&self, arn: &str, target: &Target) -> Health {
        self.groups[arn].health(target, self.is_running(&target.id), clock::now())
    }
}

/// The answers.
impl TargetGroups {
    /// The resource that a call is about, for IAM; `*` of a call that has none.
    pub(crate) fn resource(operation: &str, form: &Form) -> String {
        let of_group = ["RegisterTargets", "DeregisterTargets"].contains(&operation);
        form.get("TargetGroupArn").filter(|_| of_group).unwrap_or("*").to_owned()
    }

    /// What a call is about, for the journal: the name of the group, and each target as `ID` or `ID:PORT`.
    pub(crate) fn names(form: &Form) -> String {
        let group = form.get("TargetGroupArn").and_then(|arn| arn.rsplit('/').nth(1)).map(str::to_owned);
        let target = |key: String| {
            let port = form.get(&format!("{key}.Port")).map(|port| format!(":{port}"));
            Some(format!("{}{}", form.get(&format!("{key}.Id"))?, port.unwrap_or_default()))
        };
        let targets = (1..).map_while(|number| target(format!("Targets.member.{number}")));
        group.into_iter().chain(targets).collect::<Vec<_>>().join(" ")
    }

    /// The inside of the `…Result` element.
    pub(crate) fn call(&self, operation: &str, form: &Form) -> Result<String, Refusal> {
        let is_write = match operation {
            "RegisterTargets" | "DeregisterTargets" => true,
            "DescribeTargetHealth" | "DescribeTargetGroups" | "DescribeTargetGroupAttributes" => false,
            _ => return Err(Refusal::new("InvalidAction", format!("Could not find operation {operation}"))),
        };
        let now = clock::now();
        let answered = self.account.change(|state| {
            let bucket = if is_write { &mut state.writes } else { &mut state.reads };
            bucket.take(now)
        });
        if !answered {
            // As it is documented. `Throttling`, which clients report, is what a scripted fault answers.
            return Err(Refusal::new("ThrottlingException", "Rate exceeded"));
        }
        if operation == "DescribeTargetGroups" {
            return wire::groups(&self.account.state(), form);
        }
        let arn = wire::required(form, "TargetGroupArn")?;
        if !arn.starts_with("arn:") {
            return Err(Refusal::new("ValidationError", format!("'{arn}' is not a valid target group ARN")));
        }
        let port = match self.account.state().groups.get(arn) {
            Some(group) => group.settings.port,
            None => return Err(not_found()),
        };
        if operation == "DescribeTargetGroupAttributes" {
            return Ok(wire::attributes(&self.account.state(), arn));
        }
        let targets = wire::targets(form, port)?;
        if targets.is_empty() && is_write {
            return wire::required(form, "Targets").map(str::to_owned);
        }
        match operation {
            "RegisterTargets" => self.add(arn, targets, now)?,
            "DeregisterTargets" => self.remove(arn, &targets, now),
            _ => return Ok(wire::health(&self.account.state(), arn, targets, form, now)),
        }
        Ok(String::new())
    }

    fn add(&self, arn: &str, targets: Vec<Target>, now: Instant) -> Result<(), Refusal> {
        let new = self.account.change(|state| {
            let quoted = |target: &&Target| format!("'{}'", target.id);
            let strangers: Vec<_> = targets.iter().filter(|one| !state.instances.contains_key(&one.id)).collect();
            if let Some(one) = strangers.first() {
                let message = format!("The following targets are not in the target group VPC: {}", quoted(one));
                return Err(Refusal::new("InvalidTarget", message));
            }
            let stopped = targets.iter().filter(|one| !state.is_running(&one.id)).map(|one| quoted(&one));
            let stopped = stopped.collect::<Vec<_>>().join(", ");
            if !stopped.is_empty() {
                let message =
                    format!("The following targets are not in a running state and cannot be registered: {stopped}");
                return Err(Refusal::new("InvalidTarget", message));
            }
            let group = state.group(arn);
            if !group.has_room(&targets, now) {
                let message = "The maximum number of targets in the target group has been reached";
                return Err(Refusal::new("TooManyTargets", message));
            }
            Ok(targets.into_iter().filter(|target| group.register(target, now)).collect::<Vec<_>>())
        })?;
        new.into_iter().for_each(|target| self.registered(arn, target, now));
        Ok(())
    }

    fn remove(&self, arn: &str, targets: &[Target], now: Instant) {
        let delay = self.account.change(|state| {
            let group = state.group(arn);
            let left = targets.iter().filter(|target| group.deregister(target, now)).count();
            (left > 0).then_some(group.settings.deregistration_delay)
        });
        delay.into_iter().for_each(|delay| self.deregistered(delay));
    }
}

fn not_found() -> Refusal {
    Refusal::new("TargetGroupNotFound", "One or more target groups not found")
}
