//! Each job, performed once: which adapter does it, and which event answers it.
//!
//! The values of secrets and the registry's credentials stay in here; events carry only that they are there.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use berth_config::{ConfigErrors, ImdsAccess, Pointer};
use berth_core::message::error::{ErrorClass, JobError};
use berth_core::message::event::Event;
use berth_core::message::group::Membership;
use berth_core::message::job::{Job, JobKind, Ticket};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::io::app::output;
use crate::io::app::probe::probe;
use crate::io::aws::Aws;
use crate::io::aws::autoscaling::{self, HookAnswer};
use crate::io::aws::board::{self, Holder, Opinion};
use crate::io::aws::ecr::{self, RegistryCredentials};
use crate::io::aws::imds::Imds;
use crate::io::aws::load_balancing;
use crate::io::aws::membership::{self, AutoScalingGroup, ConfiguredNames};
use crate::io::aws::secrets;
use crate::io::aws::sts;
use crate::io::capacity;
use crate::io::config_sources::ConfigSources;
use crate::io::docker::Engine;
use crate::io::host::console::Console;
use crate::io::host::metadata_block::MetadataBlock;
use crate::io::host::paths::Paths;
use crate::io::host::systemd;
use crate::io::listen::readiness::ReadinessEndpoint;
use crate::io::releases::KeptReleases;
use crate::io::secret::Secret;
use crate::io::secret::deliver::Delivery;

mod block;
mod config;
mod secret_values;

/// All adapters, and the values that only they may hold.
pub struct Adapters {
    imds: Imds,
    aws: Aws,
    engine: Engine,
    delivery: Delivery,
    /// One at a time: two that set the same rule would set it twice.
    block: tokio::sync::Mutex<MetadataBlock>,
    console: Console,
    paths: Paths,
    sources: ConfigSources,
    releases: KeptReleases,
    /// berth's own binary, for the shim.
    binary: PathBuf,
    endpoint: tokio::sync::Mutex<ReadinessEndpoint>,
    reports: mpsc::Sender<(Ticket, Event)>,
    instance_id: Mutex<String>,
    /// From the fetch until they are delivered.
    /// By the name of their container: a release has two.
    secrets: Mutex<BTreeMap<String, BTreeMap<String, Secret>>>,
    login: Mutex<Option<Arc<RegistryCredentials>>>,
    /// The group, while its hooks are still to be looked up.
    group: Mutex<Option<AutoScalingGroup>>,
    /// What `config=` was when it was read last.
    pointer: Mutex<Option<Pointer>>,
    /// `aws:userid` with the instance's id, once it is known.
    user_id: Mutex<Option<String>>,
}

/// What the composition root hands to the adapters.
pub struct Parts {
    /// The instance metadata.
    pub imds: Imds,
    /// AWS's services.
    pub aws: Aws,
    /// The engine.
    pub engine: Engine,
    /// Where secrets are put.
    pub delivery: Delivery,
    /// Blocks containers from the instance metadata.
    pub block: MetadataBlock,
    /// Where the final status goes.
    pub console: Console,
    /// Where the config comes from.
    pub sources: ConfigSources,
    /// Where the documents of releases are kept.
    pub releases: KeptReleases,
    /// berth's own binary.
    pub binary: PathBuf,
    /// The readiness endpoint.
    pub endpoint: ReadinessEndpoint,
    /// Where running jobs report.
    pub reports: mpsc::Sender<(Ticket, Event)>,
}

impl Adapters {
    /// The adapters made of these parts.
    pub fn new(parts: Parts) -> Self {
        Self {
            imds: parts.imds,
            aws: parts.aws,
            engine: parts.engine,
            delivery: parts.delivery,
            block: tokio::sync::Mutex::new(parts.block),
            console: parts.console,
            paths: Paths::default(),
            sources: parts.sources,
            releases: parts.releases,
            binary: parts.binary,
            endpoint: tokio::sync::Mutex::new(parts.endpoint),
            reports: parts.reports,
            instance_id: Mutex::default(),
            secrets: Mutex::default(),
            login: Mutex::default(),
            group: Mutex::default(),
            pointer: Mutex::default(),
            user_id: Mutex::default(),
        }
    }

    /// Closes the readiness endpoint without leaving its address.
    pub async fn leave_endpoint(&self) -> Option<Arc<TcpListener>> {
        self.endpoint.lock().await.leave().await
    }

    /// One attempt at one job.
    pub async fn perform(&self, ticket: Ticket, job: Job) -> Event {
        let kind = job.kind();
        self.attempt(ticket, job).await.unwrap_or_else(|error| Event::Failed(kind, error))
    }

    async fn attempt(&self, ticket: Ticket, job: Job) -> Result<Event, JobError> {
        Ok(match job {
            Job::Identify => self.identify().await?,
            Job::ReadConfig => self.read_config(ticket).await?,
            Job::FollowConfig { revision } => self.follow_config(ticket, &revision).await?,
            Job::ReadRelease { board, release } => self.read_release(ticket, board.as_ref(), &release).await?,
            Job::ReadCopy { board, release } => self.read_copy(ticket, &board, &release).await?,
            Job::ReadBoard { board, release } => {
                Event::BoardRead(board::read(&self.aws, &board, &release, &self.instance_id()).await?)
            }
            Job::TakeLock { board, release, locks, lease } => {
                let holder = Holder { instance_id: self.instance_id(), release, lease };
                board::take(&self.aws, &board, &holder, locks).await?.map_or(Event::LocksBusy, Event::LockTaken)
            }
            Job::RenewLock { board, release, lock, lease } => {
                let holder = Holder { instance_id: self.instance_id(), release, lease };
                board::renew(&self.aws, &board, &holder, &lock).await?.map_or(Event::LockLost, Event::LockTaken)
            }
            Job::ReleaseLock { board, lock } => {
                board::give_back(&self.aws, &board, &lock, &self.instance_id()).await?;
                Event::LockReleased
            }
            Job::MarkBegun { board, release } => {
                let user_id = self.user_id().await?;
                Event::Marked(board::mark_begun(&self.aws, &board, &release, &user_id).await?)
            }
            Job::TakeBackMark { board, release, etag } => {
                let user_id = self.user_id().await?;
                board::take_back_mark(&self.aws, &board, &release, &user_id, &etag).await?;
                Event::Unmarked
            }
            Job::WriteVerdict { board, release, verdict, reason, output } => {
                let user_id = self.user_id().await?;
                let (reason, output) = (&reason, output.as_ref());
                board::write_verdict(&self.aws, &board, &release, &user_id, Opinion { verdict, reason, output })
                    .await?;
                Event::VerdictWritten
            }
            Job::Listen(address) => {
                self.endpoint.lock().await.move_to(address).await?;
                Event::Listening
            }
            Job::FetchSecrets(config) => {
                let values = secrets::fetch(&self.aws, &config).await?;
                let remarks = secrets::remarks(&config, &values);
                hold(&self.secrets).insert(config.container_name(), values);
                for remark in remarks {
                    let _ = self.reports.send((ticket, Event::ConfigWarned(remark))).await;
                }
                Event::SecretsFetched
            }
            Job::LoginRegistry(config) => {
                let login = ecr::log_in(&self.aws, &config.image.registry, &config.registry_auth).await?;
                *hold(&self.login) = login.map(Arc::new);
                Event::RegistryLoggedIn
            }
            Job::PingEngine => {
                self.engine.ping().await?;
                Event::EngineAnswered
            }
            Job::FindContainers { name, instance_id } => {
                let found = self.engine.find_containers(&name, &instance_id).await?;
                self.review_blocks(&found).await?;
                Event::ContainersFound(found)
            }
            Job::ResolveDigest(image, platform) => {
                let (engine, login) = (self.engine.with_platform(platform.as_ref()), self.login());
                Event::DigestResolved(
                    engine.resolve_digest(&image, login.as_deref().map(RegistryCredentials::as_login)).await?,
                )
            }
            Job::CheckPaths(paths) => {
                self.paths.look(&paths).await?;
                Event::PathsFound
            }
            Job::InspectImage(image, platform) => {
                Event::ImageInspected(self.engine.with_platform(platform.as_ref()).inspect_image(&image).await?)
            }
            Job::PullImage { image, platform, stall } => {
                let login = self.login();
                // Progress that finds the queue full is dropped: a later one replaces it.
                let report = |progress| drop(self.reports.try_send((ticket, Event::PullProgressed(progress))));
                let engine = self.engine.with_platform(platform.as_ref());
                engine.pull(&image, login.as_deref().map(RegistryCredentials::as_login), stall, report).await?;
                Event::ImagePulled
            }
            Job::RemoveImage(image) => Event::ImageRemoved(self.engine.remove_image(&image).await?),
            Job::MeasureCapacity { container, image } => {
                Event::CapacityMeasured(capacity::measure(&self.engine, &container, image.as_ref()).await?)
            }
            Job::CreateContainer(creation) => Event::ContainerCreated(self.create(&creation).await?),
            Job::StartContainer { id, config } => {
                if config.has_secrets() && !self.deliver(&config)? {
                    return Ok(Event::SecretsMissing);
                }
                if config.imds == ImdsAccess::Block {
                    self.block_metadata(&id, &*self.block.lock().await).await?;
                }
                Event::ContainerStarted(Box::new(self.engine.start(&id, &config.ports).await?))
            }
            Job::WatchContainer(id) => Event::ContainerExited(self.engine.watch(&id).await?),
            Job::ProbeApp { app, how, port, http, timeout } => {
                match probe(&self.engine, &app, &how, port, &http, timeout).await {
                    Ok(()) => Event::ProbePassed,
                    Err(failure) => Event::ProbeFailed(failure),
                }
            }
            Job::StopContainer { id, timeout, for_good } => {
                self.engine.stop(&id, timeout).await?;
                if for_good && let Some(name) = self.engine.name_of(&id).await? {
                    self.delivery.forget(&name)?;
                }
                Event::ContainerStopped
            }
            Job::RemoveContainer { id, timeout } => {
                self.engine.stop(&id, timeout).await?;
                // Its secrets first: once the container is gone, an agent that is started after a crash knows of none.
                if let Some(name) = self.engine.name_of(&id).await? {
                    self.delivery.forget(&name)?;
                }
                self.engine.remove(&id).await?;
                self.block.lock().await.lift(&id).await?;
                Event::ContainerRemoved
            }
            Job::ForgetSecrets => {
                self.delivery.forget_all()?;
                Event::SecretsForgotten
            }
            Job::FindGroup { group, launch_hook, terminate_hook } => {
                let named = ConfiguredNames { group, launch_hook, terminate_hook };
                Event::GroupFound(self.membership(named).await?)
            }
            Job::RecordHeartbeat(hook) => match autoscaling::heartbeat(&self.aws, &hook, &self.instance_id()).await? {
                HookAnswer::Done => Event::HeartbeatRecorded,
                HookAnswer::NotActive => Event::HookNotActive(JobKind::RecordHeartbeat),
            },
            Job::CompleteHook { hook, result } => {
                match autoscaling::complete(&self.aws, &hook, &self.instance_id(), result).await? {
                    HookAnswer::Done => Event::HookCompleted,
                    HookAnswer::NotActive => Event::HookNotActive(JobKind::CompleteHook),
                }
            }
            Job::DescribeInstance => {
                let found = autoscaling::describe_instance(&self.aws, &self.instance_id()).await?;
                Event::InstanceDescribed(found.map(|instance| instance.lifecycle_state))
            }
            Job::MarkUnhealthy => {
                autoscaling::set_unhealthy(&self.aws, &self.instance_id()).await?;
                Event::MarkedUnhealthy
            }
            Job::DescribeGroup(group) => {
                Event::GroupDescribed(autoscaling::describe_group(&self.aws, &group, &self.instance_id()).await?)
            }
            Job::FindPorts => Event::PortsFound(self.engine.ports_in_use().await?),
            Job::DescribeTargets { target_group, ports } => Event::TargetsDescribed(
                load_balancing::health(&self.aws, &target_group, &self.instance_id(), &ports).await?,
            ),
            Job::RegisterTarget(target) => {
                load_balancing::register(&self.aws, &target, &self.instance_id()).await?;
                Event::TargetRegistered
            }
            Job::DeregisterTarget(target) => {
                load_balancing::deregister(&self.aws, &target, &self.instance_id()).await?;
                Event::TargetDeregistered
            }
            Job::DescribeDelay(target_group) => {
                Event::DelayDescribed(load_balancing::delay(&self.aws, &target_group).await?)
            }
            Job::ReadOutput { id, config } => {
                Event::OutputRead(output::read(&self.engine, &self.delivery, &id, &config).await?)
            }
            Job::WriteFinalStatus { line, output } => {
                self.console.say(&line, &output).await?;
                Event::FinalStatusWritten
            }
            Job::WatchMetadata => Event::MetadataSeen(self.imds.snapshot().await?),
            Job::CountConnections(app) => Event::ConnectionsCounted(self.engine.connections(&app.id).await?),
            Job::ExtendStop(by) => {
                systemd::extend_timeout(by);
                Event::StopExtended
            }
            Job::CheckSecrets(config) => Event::SecretsChecked { changed: self.check_secrets(&config).await? },
            Job::CheckMetadataBlock => Event::MetadataBlockChecked(self.check_block().await?),
            Job::WipeSecrets => {
                hold(&self.secrets).clear();
                *hold(&self.login) = None;
                Event::SecretsWiped
            }
            Job::SignalApp { id, signal, config } => {
                // Files change while the app runs. An environment changes only at the next start.
                if config.has_secrets() {
                    self.deliver(&config)?;
                }
                self.engine.signal(&id, &signal).await?;
                Event::AppSignalled
            }
        })
    }

    /// Where the readiness endpoint answers.
    pub fn listening(&self) -> Option<SocketAddr> {
        self.endpoint.try_lock().ok()?.local_addr()
    }

    async fn identify(&self) -> Result<Event, JobError> {
        let identity = self.imds.identity().await?;
        self.aws.locate(&identity);
        hold(&self.instance_id).clone_from(&identity.instance_id);
        Ok(Event::Identified(Arc::new(identity)))
    }

    /// The group and its hooks. The group is kept until its hooks are known: in a throttled fleet, a repeated first call would use up
    /// most of the quota.
    async fn membership(&self, mut named: ConfiguredNames) -> Result<Option<Membership>, JobError> {
        let known = hold(&self.group).take();
        if named.group.is_none() && known.is_none() {
            // If the metadata has no group, Auto Scaling is asked.
            named.group = self.imds.group().await.ok().flatten();
        }
        let group = match known {
            Some(group) => Some(group),
            None => membership::find_group(&self.aws, &self.instance_id(), &named).await?,
        };
        let Some(group) = group else { return Ok(None) };
        let found = membership::hooks(&self.aws, group.clone(), named).await;
        if found.as_ref().is_err_and(JobError::is_transient) {
            *hold(&self.group) = Some(group);
        }
        found.map(Some)
    }

    /// `aws:userid`, which ends in the instance's id for the role of an instance. With other credentials, which several instances may have, the id is
    /// put behind it.
    async fn user_id(&self) -> Result<String, JobError> {
        let known = hold(&self.user_id).clone();
        if let Some(known) = known {
            return Ok(known);
        }
        let (mut user_id, own) = (sts::user_id(&self.aws).await?, format!(":{}", self.instance_id()));
        if !user_id.ends_with(&own) {
            user_id.push_str(&own);
        }
        *hold(&self.user_id) = Some(user_id.clone());
        Ok(user_id)
    }

    fn instance_id(&self) -> String {
        hold(&self.instance_id).clone()
    }

    fn login(&self) -> Option<Arc<RegistryCredentials>> {
        hold(&self.login).clone()
    }
}

fn misconfigured(errors: ConfigErrors) -> JobError {
    JobError::new(ErrorClass::Misconfigured, errors.to_string())
}

/// Locks. No lock is held across an await, and a poisoned one still holds whole values.
fn hold<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
