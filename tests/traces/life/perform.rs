//! Each effect, performed on the models: what the edge does in a real life.

use std::sync::Arc;
use std::time::Duration;

use berth::effect::{Effect, ImageFacts, Job};
use berth::event::{Event, Hook, Membership};
use berth::fault::{Class, Fault};
use berth::identity::Identity;

use super::engine::Asker;
use super::plan::{ENGINE, GROUP, SERVICES, Twist};
use super::world::World;
use crate::sim::{DIGEST, identity};

impl World {
    /// One attempt; none if the answer comes later, from the engine.
    pub(crate) fn perform(&mut self, asker: Asker, effect: &Effect) -> Option<Event> {
        let job = effect.job()?;
        if let Some(reason) = self.is_away(job) {
            return Some(Event::Failed(job, Fault::new(Class::Transient, reason)));
        }
        let now = self.now;
        Some(match effect {
            Effect::Identify => {
                let target_state = self.sight().target_state;
                Event::Identified(Arc::new(Identity { target_state, ..identity() }))
            }
            Effect::ReadConfig => Event::ConfigRead(self.config.clone()),
            Effect::Listen(_) => Event::Listening,
            Effect::FetchSecrets(_) => Event::SecretsFetched,
            Effect::LoginRegistry(_) => Event::RegistryLoggedIn,
            Effect::PingEngine => Event::EngineAnswered,
            Effect::FindContainers { .. } => Event::ContainersFound(self.engine.find()),
            Effect::ResolveDigest(image) => Event::DigestResolved(image.at(DIGEST.to_owned())),
            Effect::InspectImage(_) => Event::ImageInspected(self.engine.has_image.then(ImageFacts::default)),
            Effect::PullImage { .. } => {
                self.engine.has_image = true;
                Event::ImagePulled
            }
            Effect::CreateContainer(creation) => self.engine.create(creation),
            Effect::StartContainer { id, .. } => self.engine.start(id, now),
            Effect::WatchContainer(id) => {
                self.engine.watch(asker, id);
                return None;
            }
            Effect::ProbeApp { app, .. } => {
                if self.engine.probe(&app.id, now) {
                    Event::ProbePassed
                } else {
                    Event::ProbeFailed("connection refused".to_owned())
                }
            }
            Effect::StopContainer { id, timeout } => {
                self.engine.stop(asker, id, *timeout, false, now);
                return None;
            }
            Effect::RemoveContainer { id, timeout } => {
                self.engine.stop(asker, id, *timeout, true, now);
                return None;
            }
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
            Effect::WatchMetadata => Event::MetadataSeen(self.sight()),
            Effect::CountConnections(_) => Event::ConnectionsCounted(self.balancer.connections()),
            Effect::ExtendStop(by) => {
                self.systemd.extend(*by, now);
                Event::StopExtended
            }
            Effect::CheckSecrets(_) => Event::SecretsChecked { changed: false },
            Effect::SignalApp { .. } => Event::AppSignalled,
            Effect::SayLastWords(_) => Event::LastWordsSaid,
            Effect::Cancel(_) | Effect::Exit(_) | Effect::HandOver | Effect::RefuseHandover(_) => return None,
        })
    }

    /// As the edge does: only what the config does not name is asked for.
    fn found(&self, group: &Option<String>, launch_hook: &Option<String>) -> Option<Membership> {
        let Some(name) = launch_hook else { return self.group.membership() };
        let launch_hook = Some(Hook { name: name.clone(), timeout: None });
        match group {
            Some(group) => Some(Membership { group: group.clone(), launch_hook, terminate_hook: None, state: None }),
            None => self.group.membership().map(|found| Membership { launch_hook, terminate_hook: None, ..found }),
        }
    }

    fn is_away(&self, job: Job) -> Option<&'static str> {
        let now = self.now;
        let spans = |of: fn(&Twist) -> Option<(Duration, Duration)>| {
            self.plan.twists.iter().filter_map(of).any(|(at, lasts)| (at..at + lasts).contains(&now))
        };
        let through_the_engine = ENGINE.contains(&job) && !matches!(job, Job::ProbeApp | Job::CountConnections);
        if through_the_engine && self.engine.is_away(now) {
            return Some("the engine is away");
        }
        let aws = |twist: &Twist| match twist {
            Twist::AwsAway { at, lasts } => Some((*at, *lasts)),
            _ => None,
        };
        if (GROUP.contains(&job) || SERVICES.contains(&job)) && spans(aws) {
            return Some("Rate exceeded");
        }
        let metadata = |twist: &Twist| match twist {
            Twist::MetadataAway { at, lasts } => Some((*at, *lasts)),
            _ => None,
        };
        (matches!(job, Job::Identify | Job::ReadConfig | Job::WatchMetadata) && spans(metadata))
            .then_some("the metadata does not answer")
    }
}
