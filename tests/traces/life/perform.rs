//! Each job, performed on the models: what the adapters do in a real life.

use std::sync::Arc;
use std::time::Duration;

use berth_core::message::capacity::Capacity;
use berth_core::message::container::{ContainerId, ImageFacts};
use berth_core::message::error::{ErrorClass, JobError};
use berth_core::message::event::{BlockRepair, Event};
use berth_core::message::group::{LifecycleHook, Membership};
use berth_core::message::identity::Identity;
use berth_core::message::job::{Job, JobKind};
use berth_core::message::target::GroupFacts;

use super::engine::Asker;
use super::plan::{ENGINE, GROUP, RELEASES, SERVICES, TARGETS};
use super::table::BootFault;
use super::twist::Twist;
use super::world::World;
use crate::sim::{DIGEST, identity, refused};
use crate::targets::WEB;

/// What a service says that has too many callers.
const THROTTLED: &str = "Rate exceeded";

impl World {
    /// One attempt; none if the answer comes later, from the engine.
    pub(crate) fn perform(&mut self, asker: Asker, job: &Job, since: Duration) -> Option<Event> {
        let kind = job.kind();
        let is_local = self.documents.as_ref().is_some_and(|documents| documents.keeps(job));
        if let Some(reason) = self.is_away(kind, since).filter(|reason| !(is_local && *reason == THROTTLED)) {
            let class = if reason == THROTTLED { ErrorClass::Throttled } else { ErrorClass::Transient };
            return Some(Event::Failed(kind, JobError::new(class, reason)));
        }
        let now = self.now;
        let plan = self.plan.clone();
        if let Some(answer) = self.documents.as_mut().and_then(|documents| documents.answer(job, &plan, now)) {
            return Some(answer);
        }
        Some(match job {
            Job::Identify => {
                let target_state = self.snapshot().target_state;
                Event::Identified(Arc::new(Identity { target_state, ..identity() }))
            }
            // Without a document nothing asks the board.
            Job::ReadConfig
            | Job::FollowConfig { .. }
            | Job::ReadRelease { .. }
            | Job::ReadCopy { .. }
            | Job::ReadBoard { .. }
            | Job::TakeLock { .. }
            | Job::RenewLock { .. }
            | Job::ReleaseLock { .. }
            | Job::MarkBegun { .. }
            | Job::TakeBackMark { .. }
            | Job::WriteVerdict { .. } => Event::ConfigRead(self.config.clone(), None),
            Job::Listen(_) => Event::Listening,
            Job::FetchSecrets(config) => {
                self.secrets_read = now;
                // The values of a fetch that was cancelled go with it.
                if self.listens(asker) {
                    self.fetched.insert(config.container_name());
                }
                Event::SecretsFetched
            }
            Job::LoginRegistry(_) => Event::RegistryLoggedIn,
            Job::PingEngine => Event::EngineAnswered,
            Job::FindContainers { .. } => Event::ContainersFound(self.engine.find(now)),
            Job::ResolveDigest(image, _) => Event::DigestResolved(image.at(DIGEST.to_owned())),
            Job::InspectImage(..) => Event::ImageInspected(self.engine.has_image.then(ImageFacts::default)),
            Job::CheckPaths(_) => Event::PathsFound,
            Job::PullImage { .. } => {
                self.engine.has_image = true;
                Event::ImagePulled
            }
            Job::RemoveImage(_) => Event::ImageRemoved(true),
            Job::MeasureCapacity { .. } => Event::CapacityMeasured(Capacity::default()),
            Job::CreateContainer(creation) => {
                let same = Arc::ptr_eq(&creation.config, &self.config);
                let fingerprint = if same { self.fingerprint.clone() } else { creation.config.fingerprint() };
                let document = self.documents.as_ref().and_then(|documents| documents.made(&fingerprint));
                let flaw = document.and_then(|document| document.flaw);
                self.engine.create(creation, fingerprint, flaw)
            }
            Job::StartContainer { config, .. }
                if config.has_secrets() && !self.delivered.contains(&config.container_name()) =>
            {
                Event::SecretsMissing
            }
            Job::StartContainer { id, .. } => self.engine.start(id, now),
            Job::WatchContainer(id) => {
                self.engine.watch(asker, id);
                return None;
            }
            Job::ProbeApp { app, .. } => {
                if self.engine.probe(&app.id, now) {
                    Event::ProbePassed
                } else {
                    refused()
                }
            }
            Job::StopContainer { id, timeout, for_good } => {
                if *for_good {
                    self.forget_secrets(id);
                }
                self.engine.stop(asker, id, *timeout, false, now);
                return None;
            }
            Job::RemoveContainer { id, timeout } => {
                self.forget_secrets(id);
                self.engine.stop(asker, id, *timeout, true, now);
                return None;
            }
            Job::ForgetSecrets => Event::SecretsForgotten,
            Job::FindGroup { group, launch_hook, .. } => Event::GroupFound(self.found(group, launch_hook)),
            Job::RecordHeartbeat(hook) => match self.group.heartbeat(&hook.hook, now) {
                true => Event::HeartbeatRecorded,
                false => Event::HookNotActive(JobKind::RecordHeartbeat),
            },
            Job::CompleteHook { hook, result } => match self.group.complete(&hook.hook, *result, now) {
                true => {
                    self.note("group", || format!("{hook} completed {}", result.word()));
                    Event::HookCompleted
                }
                false => Event::HookNotActive(JobKind::CompleteHook),
            },
            Job::DescribeInstance => Event::InstanceDescribed(self.group.described()),
            Job::MarkUnhealthy => {
                self.group.mark_unhealthy(now);
                Event::MarkedUnhealthy
            }
            Job::DescribeGroup(_) => {
                let target_groups = self.plan.shape.attached.then(|| WEB.to_owned()).into_iter().collect();
                Event::GroupDescribed(GroupFacts { target_groups, launching: 1, before: 0 })
            }
            Job::FindPorts => Event::PortsFound(self.engine.ports()),
            Job::DescribeTargets { ports, .. } => {
                let health = |port: &u16| (*port, self.balancer.health(*port, now));
                Event::TargetsDescribed(ports.iter().map(health).collect())
            }
            Job::RegisterTarget(target) => {
                // Traffic that goes back finds the container that it left.
                let another = |since: Duration| {
                    let mut there = self.engine.containers.iter().filter(|one| one.port() == Some(target.port));
                    there.any(|one| one.began > Some(since))
                };
                if self.balancer.register(target.port, now).is_some_and(another) {
                    self.breaks(14, format!("{target} is registered again within its deregistration delay"));
                }
                Event::TargetRegistered
            }
            Job::DeregisterTarget(target) => {
                self.balancer.deregister(target.port, now);
                Event::TargetDeregistered
            }
            Job::DescribeDelay(_) => Event::DelayDescribed(self.plan.shape.deregistration),
            Job::WatchMetadata => Event::MetadataSeen(self.snapshot()),
            Job::CountConnections(running) => {
                let ports: Vec<u16> = running.published.iter().map(|(_, address)| address.port()).collect();
                Event::ConnectionsCounted(self.balancer.connections(&ports))
            }
            Job::ExtendStop(by) => {
                self.systemd.extend(*by, now);
                Event::StopExtended
            }
            Job::CheckSecrets(config) => {
                let since = std::mem::replace(&mut self.secrets_read, now);
                let newer = |twist: &Twist| matches!(twist, Twist::Rotation(at) if (since..now).contains(at));
                let changed = self.plan.has(newer);
                if self.listens(asker) {
                    self.fetched.clear();
                    self.fetched.extend(changed.then(|| config.container_name()));
                }
                Event::SecretsChecked { changed }
            }
            Job::WipeSecrets => {
                self.fetched.clear();
                Event::SecretsWiped
            }
            Job::CheckMetadataBlock => Event::MetadataBlockChecked(BlockRepair::default()),
            Job::SignalApp { .. } => Event::AppSignalled,
            Job::ReadOutput { id, .. } => Event::OutputRead(self.engine.output(id)),
            Job::WriteFinalStatus { .. } => Event::FinalStatusWritten,
        })
    }

    fn forget_secrets(&mut self, id: &ContainerId) {
        if let Some(one) = self.engine.container(id) {
            self.delivered.remove(&one.name);
        }
    }

    /// Like the adapters: only what the config does not name is looked up.
    fn found(&self, group: &Option<String>, launch_hook: &Option<String>) -> Option<Membership> {
        let Some(name) = launch_hook else { return self.group.membership() };
        let launch_hook = Some(LifecycleHook { name: name.clone(), timeout: None });
        match group {
            Some(group) => Some(Membership {
                group: group.clone(),
                launch_hook,
                terminate_hook: None,
                state: None,
                ..Membership::default()
            }),
            None => self.group.membership().map(|found| Membership { launch_hook, terminate_hook: None, ..found }),
        }
    }

    fn is_away(&mut self, job: JobKind, since: Duration) -> Option<&'static str> {
        let asks_engine = ENGINE.contains(&job) && !matches!(job, JobKind::ProbeApp | JobKind::CountConnections);
        if asks_engine && self.engine.is_away(since, self.now) {
            self.meet(|fault| matches!(fault, BootFault::EngineLate(_)));
            return Some("the engine is away");
        }
        let away = |twist: &Twist| twist.span().is_some_and(|(from, to)| (from..to).contains(&self.now));
        self.plan.twists.iter().filter(|twist| away(twist)).find_map(|twist| match twist {
            Twist::AwsAway { .. } => {
                let aws = [&GROUP[..], &SERVICES, &TARGETS, &RELEASES].iter().any(|jobs| jobs.contains(&job));
                let document = job == JobKind::ReadConfig && self.documents.is_some();
                (aws || document).then_some(THROTTLED)
            }
            Twist::MetadataAway { .. } => {
                let asked = matches!(job, JobKind::Identify | JobKind::ReadConfig | JobKind::WatchMetadata);
                asked.then_some("the metadata does not answer")
            }
            _ => None,
        })
    }
}
