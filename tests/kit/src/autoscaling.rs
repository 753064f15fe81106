//! EC2 Auto Scaling for this one instance: the group's calls on the wire, and what a test can let the group do.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use crate::clock::{self, iso8601};
use crate::form::Form;
use crate::group::{Completion, Hook, Member};
use crate::imds::Imds;
use crate::refusal::Refusal;
use crate::text::xml;

/// The Auto Scaling service. What the group does to the instance also shows in the instance's metadata.
pub struct AutoScaling {
    instance: String,
    zone: String,
    group: String,
    imds: Arc<Imds>,
    member: Mutex<Option<Member>>,
    /// The target groups that the group attaches, by their ARNs.
    attached: Mutex<Vec<String>>,
    health_check: Mutex<&'static str>,
    created: SystemTime,
    changes: watch::Sender<u64>,
}

impl AutoScaling {
    pub(crate) fn new(instance: &str, zone: &str, group: &str, imds: Arc<Imds>, hooks: Option<Vec<Hook>>) -> Self {
        if hooks.is_some() {
            imds.target_state(Some("InService"));
        }
        Self {
            instance: instance.into(),
            zone: zone.into(),
            group: group.into(),
            imds,
            member: Mutex::new(hooks.map(Member::new)),
            attached: Mutex::default(),
            health_check: Mutex::new("EC2"),
            created: clock::wall(),
            changes: watch::Sender::new(0),
        }
    }

    /// The ARN of the group.
    pub(crate) fn arn(&self) -> String {
        let (region, account) = (crate::world::REGION, crate::world::ACCOUNT);
        format!(
            "arn:aws:autoscaling:{region}:{account}:autoScalingGroup:0a1b2c3d-4e5f:autoScalingGroupName/{}",
            self.group
        )
    }

    /// The name of the group.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// The launch template turns `InstanceMetadataTags` on: the metadata name the group.
    pub fn show_in_tags(&self) {
        self.imds.tag("aws:autoscaling:groupName", &self.group);
    }

    /// The group attaches a target group: it registers its instances there by itself.
    pub fn attach(&self, target_group: &str) {
        self.attached.lock().unwrap().push(target_group.into());
    }

    /// The group's `HealthCheckType`, which is `EC2` as a rule.
    pub fn check_health_by(&self, kind: &'static str) {
        *self.health_check.lock().unwrap() = kind;
    }

    /// Lets the hooks of the transition that the instance is in become active: `Pending` → `Pending:Wait`, and so on.
    pub fn enter_wait(&self) {
        self.change(|member| member.begin_wait(clock::now()));
    }

    /// Auto Scaling terminates the instance: `Terminating`, and `Terminated` as target state. The load balancer may still be
    /// letting go of it: the hook is active only after [`AutoScaling::enter_wait`].
    pub fn terminate(&self) {
        self.change(|member| member.enter("Terminating"));
        self.imds.target_state(Some("Terminated"));
    }

    /// An instance refresh replaces the instance's root volume. Its hook is active only after [`AutoScaling::enter_wait`], and what
    /// follows is a reboot. The word in the metadata is not documented.
    pub fn replace_root_volume(&self, target_state: &str) {
        self.change(|member| member.enter("ReplacingRootVolume"));
        self.imds.target_state(Some(target_state));
    }

    /// The group has the retention trigger `TerminateHookAbandon=retain`.
    pub fn retain_on_abandon(&self) {
        self.change(|member| member.retains = true);
    }

    /// Puts the instance into any state, e.g. `Standby` with the target state `Standby`, or `Warmed:Pending` with
    /// `Warmed:Stopped`.
    pub fn put(&self, state: &str, target_state: Option<&str>) {
        self.change(|member| member.enter(state));
        self.imds.target_state(target_state);
    }

    /// Lets the next calls on an active hook be refused, as if it were not active yet.
    pub fn refuse_although_active(&self, times: usize) {
        self.change(|member| member.refusals = times);
    }

    /// Lets the timers of the active hooks run out: their default result comes.
    pub fn time_out(&self) {
        self.change(|member| member.time_out(clock::now()));
    }

    /// The lifecycle state; none outside any group.
    pub fn state(&self) -> Option<String> {
        self.look(|member| member.state().to_owned())
    }

    /// Every state gone through.
    pub fn states(&self) -> Vec<String> {
        self.look(|member| member.states.clone()).unwrap_or_default()
    }

    /// `Healthy` or `Unhealthy`; none outside any group.
    pub fn health(&self) -> Option<String> {
        self.look(|member| member.health.clone())
    }

    /// The hooks completed so far.
    pub fn completions(&self) -> Vec<Completion> {
        self.look(|member| member.completions.clone()).unwrap_or_default()
    }

    /// Heartbeats recorded so far.
    pub fn heartbeats(&self) -> usize {
        self.look(|member| member.heartbeats).unwrap_or_default()
    }

    /// Waits for a lifecycle state, at most for `bound`.
    ///
    /// # Panics
    /// If it does not come in time.
    pub async fn wait_for_state(&self, state: &str, bound: Duration) {
        let mut changes = self.changes.subscribe();
        let reached = tokio::time::timeout(bound, async {
            while self.state().as_deref() != Some(state) {
                changes.changed().await.unwrap();
            }
        });
        assert!(reached.await.is_ok(), "the instance is {:?}, not {state}, after {bound:?}", self.states());
    }

    fn look<T>(&self, how: impl FnOnce(&Member) -> T) -> Option<T> {
        let mut member = self.member.lock().unwrap();
        let member = member.as_mut()?;
        member.expire(clock::now());
        Some(how(member))
    }

    fn change<T>(&self, how: impl FnOnce(&mut Member) -> T) -> T {
        let result = how(self.member.lock().unwrap().as_mut().expect("a world with a group"));
        self.changes.send_modify(|changes| *changes += 1);
        result
    }

    /// What a call is about, for the journal.
    pub(crate) fn names(form: &Form) -> String {
        let keys = ["LifecycleActionResult", "HealthStatus", "LifecycleHookName", "AutoScalingGroupName", "InstanceId"];
        let mut words: Vec<&str> = keys.iter().filter_map(|key| form.get(key)).collect();
        words.extend(form.list("AutoScalingGroupNames"));
        words.extend(form.list("InstanceIds"));
        words.join(" ")
    }

    /// The inside of the `…Result` element; none if the operation has no such element.
    pub(crate) fn call(&self, operation: &str, form: &Form) -> Result<Option<String>, Refusal> {
        match operation {
            "DescribeAutoScalingInstances" => Ok(Some(self.describe_instances(form))),
            "DescribeAutoScalingGroups" => Ok(Some(self.describe_groups(form))),
            "DescribeLifecycleHooks" => {
                self.check_group(form)?;
                Ok(Some(self.describe_hooks()))
            }
            "CompleteLifecycleAction" => {
                let result = required(form, "LifecycleActionResult")?;
                if !["CONTINUE", "ABANDON"].contains(&result) {
                    let message = "Lifecycle action result must be CONTINUE or ABANDON";
                    return Err(Refusal::new("ValidationError", message));
                }
                self.on_hook(form, |member, hook| member.complete(hook, result, clock::now()).is_ok())
            }
            "RecordLifecycleActionHeartbeat" => {
                self.on_hook(form, |member, hook| member.heartbeat(hook, clock::now()).is_ok())
            }
            "SetInstanceHealth" => {
                let (id, health) = (required(form, "InstanceId")?, required(form, "HealthStatus")?);
                if !["Healthy", "Unhealthy"].contains(&health) {
                    return Err(Refusal::new(
                        "ValidationError",
                        "Valid instance health states are: [Healthy, Unhealthy].",
                    ));
                }
                if id != self.instance || self.member.lock().unwrap().is_none() {
                    let message = format!("Instance Id not found - No managed instance found for instance ID: {id}");
                    return Err(Refusal::new("ValidationError", message));
                }
                self.change(|member| member.health = health.into());
                Ok(None)
            }
            _ => Err(Refusal::new("InvalidAction", format!("Could not find operation {operation}"))),
        }
    }

    fn on_hook(&self, form: &Form, how: impl FnOnce(&mut Member, &str) -> bool) -> Result<Option<String>, Refusal> {
        let hook = required(form, "LifecycleHookName")?;
        self.check_group(form)?;
        let id = required(form, "InstanceId")?;
        if id == self.instance && self.change(|member| how(member, hook)) {
            return Ok(Some(String::new()));
        }
        let message = format!("No active Lifecycle Action found with instance ID {id}");
        Err(Refusal::new("ValidationError", message))
    }

    fn check_group(&self, form: &Form) -> Result<(), Refusal> {
        let group = required(form, "AutoScalingGroupName")?;
        if group == self.group && self.member.lock().unwrap().is_some() {
            return Ok(());
        }
        let message = format!("AutoScalingGroup name not found - AutoScalingGroup '{group}' not found");
        Err(Refusal::new("ValidationError", message))
    }

    fn describe_instances(&self, form: &Form) -> String {
        let asked = form.list("InstanceIds");
        // An unknown id is left out without a word.
        let known = asked.is_empty() || asked.contains(&self.instance.as_str());
        let member = self.look(|member| {
            format!(
                "<member><InstanceId>{}</InstanceId><AutoScalingGroupName>{}</AutoScalingGroupName>\
                 <AvailabilityZone>{}</AvailabilityZone><LifecycleState>{}</LifecycleState>\
                 <HealthStatus>{}</HealthStatus><ProtectedFromScaleIn>false</ProtectedFromScaleIn></member>",
                self.instance,
                xml(&self.group),
                self.zone,
                member.state(),
                member.health.to_uppercase()
            )
        });
        format!("<AutoScalingInstances>{}</AutoScalingInstances>", member.filter(|_| known).unwrap_or_default())
    }

    fn describe_groups(&self, form: &Form) -> String {
        let asked = form.list("AutoScalingGroupNames");
        // An unknown name is left out without a word.
        let known = asked.is_empty() || asked.contains(&self.group.as_str());
        let group = self.look(|member| {
            let attached = self.attached.lock().unwrap();
            let arns: String = attached.iter().map(|arn| format!("<member>{}</member>", xml(arn))).collect();
            let source =
                |arn: &String| format!("<member><Identifier>{}</Identifier><Type>elbv2</Type></member>", xml(arn));
            let sources: String = attached.iter().map(source).collect();
            let instance = format!(
                "<member><InstanceId>{}</InstanceId><AvailabilityZone>{}</AvailabilityZone><LifecycleState>{}</LifecycleState>\
                 <HealthStatus>{}</HealthStatus><ProtectedFromScaleIn>false</ProtectedFromScaleIn></member>",
                self.instance,
                self.zone,
                member.state(),
                member.health
            );
            let with_instances = form.get("IncludeInstances") != Some("false");
            format!(
                "<member><AutoScalingGroupName>{}</AutoScalingGroupName><AutoScalingGroupARN>{}</AutoScalingGroupARN>\
                 <MinSize>1</MinSize><MaxSize>2</MaxSize><DesiredCapacity>1</DesiredCapacity><DefaultCooldown>300</DefaultCooldown>\
                 <AvailabilityZones><member>{}</member></AvailabilityZones><TargetGroupARNs>{arns}</TargetGroupARNs>\
                 <HealthCheckType>{}</HealthCheckType><Instances>{}</Instances><CreatedTime>{}</CreatedTime>\
                 <TrafficSources>{sources}</TrafficSources></member>",
                xml(&self.group),
                xml(&self.arn()),
                self.zone,
                *self.health_check.lock().unwrap(),
                Some(instance).filter(|_| with_instances).unwrap_or_default(),
                iso8601(self.created)
            )
        });
        format!("<AutoScalingGroups>{}</AutoScalingGroups>", group.filter(|_| known).unwrap_or_default())
    }

    fn describe_hooks(&self) -> String {
        let hooks = self.look(|member| {
            member.hooks.iter().fold(String::new(), |text, hook| {
                let timeout = hook.heartbeat_timeout.as_secs();
                text + &format!(
                    "<member><LifecycleHookName>{}</LifecycleHookName><AutoScalingGroupName>{}</AutoScalingGroupName>\
                     <LifecycleTransition>{}</LifecycleTransition><HeartbeatTimeout>{timeout}</HeartbeatTimeout>\
                     <GlobalTimeout>{}</GlobalTimeout><DefaultResult>{}</DefaultResult></member>",
                    xml(&hook.name),
                    xml(&self.group),
                    hook.transition.word(),
                    (timeout * 100).min(172_800),
                    hook.default_result
                )
            })
        });
        format!("<LifecycleHooks>{}</LifecycleHooks>", hooks.unwrap_or_default())
    }
}

fn required<'a>(form: &'a Form, key: &str) -> Result<&'a str, Refusal> {
    form.get(key).filter(|value| !value.is_empty()).ok_or_else(|| {
        let message = format!(
            "1 validation error detected: Value null at '{key}' failed to satisfy constraint: Member must not be null"
        );
        Refusal::new("ValidationError", message)
    })
}
