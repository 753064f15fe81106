//! Each effect, performed on the models: whin the adapters does in a real life.

use std::sync::Arc;
use std::time::Duration;

use berth_core::message::effect::{Effect, ImageFacts, Job};
use berth_core::message::error::{ErrorClass, JobError};
use berth_core::message::event::{BlockRepair, Event, Hook, Membership};
use berth_core::message::identity::Identity;

use super::engine::Asker;
use super::plan::{ENGINE, GROUP, SERVICES};
use super::table::Ill;
use super::twist::Twist;
use super::world::World;
use crate::sim::{DIGEST, identity, refused};

/// What a service says that has too many callers.
const THROTTLED: &str = "Rate exceeded";

impl World {
    /// One attempt; none if the answer comes later, from the engine.
    pub(crate) fn perform(&mut self, asker: Asker, effect: &Effect, since: Duration) -> Option<Event> {
        let job = effect.job()?;
        if let Some(reason) = self.is_away(job, since) {
            let class = if reason == THROTTLED { ErrorClass::Throttled } else { ErrorClass::Transient };
            return Some(Event::Failed(job, JobError::new(class, reason)));
        }
        let now = self.now;
        Some(match effect {
            Effect::Identify => {
                let target_state = self.snapshot().target_state;
                Event::Identified(Arc::new(Identity { target_state, ..identity() }))
            }
            Effect::ReadConfig => Event::ConfigRead(self.config.clone()),
            Effect::Listen(_) => Event::Listening,
            Effect::FetchSecrets(_) => {
                self.secrets_read = now;
                // The values of a fetch that was cancelled go with it.
                self.fetched |= self.listens(asker);
                Event::SecretsFetched
            }
            Effect::LoginRegistry(_) => Event::RegistryLoggedIn,
            Effect::PingEngine => Event::EngineAnswered,
            Effect::FindContainers { .. } => Event::ContainersFound(self.engine.find(now)),
            Effect::ResolveDigest(image, _) => Event::DigestResolved(image.at(DIGEST.to_owned())),
            Effect::InspectImage(..) => Event::ImageInspected(self.engine.has_image.then(ImageFacts::default)),
            Effect::CheckPaths(_) => Event::PathsFound,
            Effect::PullImage { .. } => {
                self.engine.has_image = true;
                Event::ImagePulled
            }
            Effect::CreateContainer(creation) => {
                let same = Arc::ptr_eq(&creation.config, &self.config);
                let fingerprint = if same { self.fingerprint.clone() } else { creation.config.fingerprint() };
                self.engine.create(creation, fingerprint)
            }
            Effect::StartContainer { config, .. } if config.has_secrets() && !self.delivered => Event::SecretsMissing,
            Effect::StartContainer { id, .. } => self.engine.start(id, now),
            Effect::WatchContainer(id) => {
                self.engine.watch(asker, id);
                return None;
            }
            Effect::ProbeApp { app, .. } => {
                if self.engine.probe(&app.id, now) {
                    Event::ProbePassed
                } else {
                    refused()
                }
            }
            Effect::StopContainer { id, timeout, for_good } => {
                self.delivered &= !for_good;
                self.engine.stop(asker, id, *timeout, false, now);
                return None;
            }
            Effect::RemoveContainer { id, timeout } => {
                self.delivered = false;
                self.engine.stop(asker, id, *timeout, true, now);
                return None;
            }
            Effect::ForgetSecrets => Event::SecretsForgotten,
            Effect::FindGroup { group, launch_hook, .. } => Event::GroupFound(self.found(group, launch_hook)),
            Effect::RecordHeartbeat(hook) => match self.group.heartbeat(&hook.hook, now) {
                true => Event::HeartbeatRecorded,
                false => Event::HookNotActive(Job::RecordHeartbeat),
            },
            Effect::CompleteHook { hook, result } => match self.group.complete(&hook.hook, *result, now) {
                true => {
                    self.note("group", || format!("{hook} completed {}", result.word()));
                    Event::HookCompleted
                }
                false => Event::HookNotActive(Job::CompleteHook),
            },
            Effect::DescribeInstance => Event::InstanceDescribed(self.group.described()),
            Effect::MarkUnhealthy => {
                self.group.mark_unhealthy(now);
                Event::MarkedUnhealthy
            }
            Effect::WatchMetadata => Event::MetadataSeen(self.snapshot()),
            Effect::CountConnections(_) => Event::ConnectionsCounted(self.balancer.connections()),
            Effect::ExtendStop(by) => {
                self.systemd.extend(*by, now);
                Event::StopExtended
            }
            Effect::CheckSecrets(_) => {
                let since = std::mem::replace(&mut self.secrets_read, now);
                let newer = |twist: &Twist| matches!(twist, Twist::Rotation(at) if (since..now).contains(at));
                let changed = self.plan.has(newer);
                if self.listens(asker) {
                    self.fetched = changed;
                }
                Event::SecretsChecked { changed }
            }
            Effect::WipeSecrets => {
                self.fetched = false;
                Event::SecretsWiped
            }
            Effect::CheckMetadataBlock => Event::MetadataBlockChecked(BlockRepair::default()),
            Effect::SignalApp { .. } => Event::AppSignalled,
            Effect::ReadOutput { id, .. } => Event::OutputRead(self.engine.output(id)),
            Effect::SayLastWords { .. } => Event::LastWordsSaid,
            Effect::Cancel(_) | Effect::Exit(_) | Effect::HandOver | Effect::RefuseHandover(_) => return None,
        })
    }

    /// As the adapters does: only what the config does not name is asked for.
    fn found(&self, group: &Option<String>, launch_hook: &Option<String>) -> Option<Membership> {
        let Some(name) = launch_hook else { return self.group.membership() };
        let launch_hook = Some(Hook { name: name.clone(), timeout: None });
        match group {
            Some(group) => Some(Membership { group: group.clone(), launch_hook, terminate_hook: None, state: None }),
            None => self.group.membership().map(|found| Membership { launch_hook, terminate_hook: None, ..found }),
        }
    }

    fn is_away(&mut self, job: Job, since: Duration) -> Option<&'static str> {
        let asks_engine = ENGINE.contains(&job) && !matches!(job, Job::ProbeApp | Job::CountConnections);
        if asks_engine && self.engine.is_away(since, self.now) {
            self.meet(|ill| matches!(ill, Ill::EngineLate(_)));
            return Some("the engine is away");
        }
        let away = |twist: &Twist| twist.span().is_some_and(|(from, to)| (from..to).contains(&self.now));
        self.plan.twists.iter().filter(|twist| away(twist)).find_map(|twist| match twist {
            Twist::AwsAway { .. } => (GROUP.contains(&job) || SERVICES.contains(&job)).then_some(THROTTLED),
            Twist::MetadataAway { .. } => {
                let asked = matches!(job, Job::Identify | Job::ReadConfig | Job::WatchMetadata);
                asked.then_some("the metadata does not answer")
            }
            _ => None,
        })
    }
}
