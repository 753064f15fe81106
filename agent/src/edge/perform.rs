//! Each effect, performed once: which neighbour is asked, and which event the answer is.
//!
//! The values of secrets and the registry's credentials stay in here; events carry only that they are there.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::config::{Config, Faults, ImdsAccess, SecretsAs};
use crate::edge::autoscaling::{self, Answer};
use crate::edge::aws::{Aws, AwsError};
use crate::edge::console::{Console, ConsoleError};
use crate::edge::deliver::{DeliverError, Delivery};
use crate::edge::door::Door;
use crate::edge::ecr::{self, LoginError, RegistryCredentials};
use crate::edge::endpoint::BindError;
use crate::edge::engine::{Engine, EngineError, Mounted};
use crate::edge::imds::{Imds, ImdsError};
use crate::edge::membership::{self, Named, Place};
use crate::edge::metadata_block::{BlockError, MetadataBlock};
use crate::edge::probe::probe;
use crate::edge::secret::Secret;
use crate::edge::secrets::{self, SecretsError};
use crate::edge::sources::Sources;
use crate::edge::systemd;
use crate::effect::{ContainerId, Creation, Effect, FoundContainer, Job};
use crate::event::{Event, Membership};
use crate::fault::{Class, Fault};

/// All neighbours, and what only the edge may hold.
pub struct Edge {
    imds: Imds,
    aws: Aws,
    engine: Engine,
    delivery: Delivery,
    block: MetadataBlock,
    console: Console,
    sources: Sources,
    /// berth's own binary, for the shim.
    binary: PathBuf,
    endpoint: tokio::sync::Mutex<Door>,
    notices: mpsc::Sender<Event>,
    instance_id: Mutex<String>,
    secrets: Mutex<BTreeMap<String, Secret>>,
    login: Mutex<Option<Arc<RegistryCredentials>>>,
    /// The group, while its hooks are still to be told.
    place: Mutex<Option<Place>>,
}

/// What the composition root hands to the edge.
pub struct Parts {
    /// The instance metadata.
    pub imds: Imds,
    /// AWS's services.
    pub aws: Aws,
    /// The engine.
    pub engine: Engine,
    /// Where secrets are put.
    pub delivery: Delivery,
    /// Who is kept from the instance metadata.
    pub block: MetadataBlock,
    /// Where last words go.
    pub console: Console,
    /// Where the config comes from.
    pub sources: Sources,
    /// berth's own binary.
    pub binary: PathBuf,
    /// The readiness endpoint.
    pub endpoint: Door,
    /// Where running jobs tell how far they are.
    pub notices: mpsc::Sender<Event>,
}

macro_rules! faults_from {
    ($($error:ty),+ $(,)?) => {$(
        impl From<$error> for Fault {
            fn from(error: $error) -> Self {
                Self::from_error(error.class(), &error)
            }
        }
    )+};
}

faults_from!(ImdsError, AwsError, EngineError, DeliverError, BlockError, LoginError, SecretsError, BindError);

impl From<ConsoleError> for Fault {
    fn from(error: ConsoleError) -> Self {
        Self::from_error(Class::Broken, &error)
    }
}

impl Edge {
    /// The edge with these neighbours.
    pub fn new(parts: Parts) -> Self {
        Self {
            imds: parts.imds,
            aws: parts.aws,
            engine: parts.engine,
            delivery: parts.delivery,
            block: parts.block,
            console: parts.console,
            sources: parts.sources,
            binary: parts.binary,
            endpoint: tokio::sync::Mutex::new(parts.endpoint),
            notices: parts.notices,
            instance_id: Mutex::default(),
            secrets: Mutex::default(),
            login: Mutex::default(),
            place: Mutex::default(),
        }
    }

    /// Closes the readiness endpoint without leaving its address.
    pub async fn leave_endpoint(&self) -> Option<Arc<TcpListener>> {
        self.endpoint.lock().await.leave().await
    }

    /// One attempt at one effect.
    pub async fn perform(&self, effect: Effect) -> Event {
        let job = effect.job();
        match (self.attempt(effect).await, job) {
            (Ok(event), _) => event,
            (Err(fault), Some(job)) => Event::Failed(job, fault),
            (Err(_), None) => Event::Woke, // an effect without a job is the driver's own and never gets here
        }
    }

    async fn attempt(&self, effect: Effect) -> Result<Event, Fault> {
        Ok(match effect {
            Effect::Identify => self.identify().await?,
            Effect::ReadConfig => {
                let layers = self.sources.read(&self.imds, &self.aws).await?;
                Event::ConfigRead(Arc::new(layers.believe().map_err(misconfigured)?))
            }
            Effect::Listen(address) => {
                self.endpoint.lock().await.move_to(address).await?;
                Event::Listening
            }
            Effect::FetchSecrets(config) => {
                let values = secrets::fetch(&self.aws, &config).await?;
                *hold(&self.secrets) = values;
                Event::SecretsFetched
            }
            Effect::LoginRegistry(config) => {
                let login = ecr::log_in(&self.aws, &config.image.registry, &config.registry_auth).await?;
                *hold(&self.login) = login.map(Arc::new);
                Event::RegistryLoggedIn
            }
            Effect::PingEngine => {
                self.engine.ping().await?;
                Event::EngineAnswered
            }
            Effect::FindContainers { name, instance_id } => {
                let found = self.engine.find_containers(&name, &instance_id).await?;
                self.look_after_blocks(&found).await?;
                Event::ContainersFound(found)
            }
            Effect::ResolveDigest(image) => {
                let login = self.login();
                Event::DigestResolved(
                    self.engine.resolve_digest(&image, login.as_deref().map(RegistryCredentials::as_login)).await?,
                )
            }
            Effect::InspectImage(image) => Event::ImageInspected(self.engine.inspect_image(&image).await?),
            Effect::PullImage { image, stall } => {
                let login = self.login();
                // A notice that finds the queue full is one of many; the next tells more.
                let tell = |progress| drop(self.notices.try_send(Event::PullProgressed(progress)));
                self.engine.pull(&image, login.as_deref().map(RegistryCredentials::as_login), stall, tell).await?;
                Event::ImagePulled
            }
            Effect::CreateContainer(creation) => Event::ContainerCreated(self.create(&creation).await?),
            Effect::StartContainer { id, config } => {
                if config.has_secrets() {
                    self.delivery.write(&config.container_name(), config.secrets_as, &hold(&self.secrets))?;
                }
                if config.imds == ImdsAccess::Block {
                    self.keep_from_metadata(&id).await?;
                }
                Event::ContainerStarted(Box::new(self.engine.start(&id, &config.ports).await?))
            }
            Effect::WatchContainer(id) => Event::ContainerExited(self.engine.watch(&id).await?),
            Effect::ProbeApp { app, how, port, timeout } => {
                match probe(&self.engine, &app, &how, port, timeout).await {
                    Ok(()) => Event::ProbePassed,
                    Err(failure) => Event::ProbeFailed(failure),
                }
            }
            Effect::StopContainer { id, timeout } => {
                self.engine.stop(&id, timeout).await?;
                if let Some(name) = self.engine.name_of(&id).await? {
                    self.delivery.forget(&name)?;
                }
                Event::ContainerStopped
            }
            Effect::RemoveContainer { id, timeout } => {
                self.engine.stop(&id, timeout).await?;
                if let Some(name) = self.engine.remove(&id).await? {
                    self.delivery.forget(&name)?;
                }
                self.block.lift(&id).await?;
                Event::ContainerRemoved
            }
            Effect::FindGroup { group, launch_hook, terminate_hook } => {
                let named = Named { group, launch_hook, terminate_hook };
                Event::GroupFound(self.membership(named).await?)
            }
            Effect::RecordHeartbeat(hook) => {
                match autoscaling::heartbeat(&self.aws, &hook, &self.instance_id()).await? {
                    Answer::Done => Event::HeartbeatRecorded,
                    Answer::NotActive => Event::HookNotActive(Job::RecordHeartbeat),
                }
            }
            Effect::CompleteHook { hook, result } => {
                match autoscaling::complete(&self.aws, &hook, &self.instance_id(), result).await? {
                    Answer::Done => Event::HookCompleted,
                    Answer::NotActive => Event::HookNotActive(Job::CompleteHook),
                }
            }
            Effect::DescribeInstance => {
                let found = autoscaling::describe_instance(&self.aws, &self.instance_id()).await?;
                Event::InstanceDescribed(found.map(|instance| instance.lifecycle_state))
            }
            Effect::MarkUnhealthy => {
                autoscaling::set_unhealthy(&self.aws, &self.instance_id()).await?;
                Event::MarkedUnhealthy
            }
            Effect::SayLastWords(words) => {
                self.console.say(&words).await?;
                Event::LastWordsSaid
            }
            Effect::WatchMetadata => Event::MetadataSeen(self.imds.sight().await?),
            Effect::CountConnections(app) => Event::ConnectionsCounted(self.engine.connections(&app.id).await?),
            Effect::ExtendStop(by) => {
                systemd::extend_timeout(by);
                Event::StopExtended
            }
            Effect::CheckSecrets(config) => Event::SecretsChecked { changed: self.check_secrets(&config).await? },
            Effect::SignalApp { id, signal, config } => {
                self.deliver_again(&config)?;
                self.engine.signal(&id, &signal).await?;
                Event::AppSignalled
            }
            // the driver's own
            Effect::Cancel(_) | Effect::Exit(_) | Effect::HandOver | Effect::RefuseHandover(_) => Event::Woke,
        })
    }

    /// Where the readiness endpoint answers.
    pub fn listening(&self) -> Option<SocketAddr> {
        self.endpoint.try_lock().ok()?.local_addr()
    }

    async fn identify(&self) -> Result<Event, Fault> {
        let identity = self.imds.identity().await?;
        self.aws.locate(&identity);
        hold(&self.instance_id).clone_from(&identity.instance_id);
        Ok(Event::Identified(Arc::new(identity)))
    }

    async fn create(&self, creation: &Creation) -> Result<ContainerId, Fault> {
        let config = &creation.config;
        if !config.has_secrets() {
            return Ok(self.engine.create(creation, Mounted::Nothing).await?);
        }
        let directory = self.delivery.prepare(&config.container_name(), config.secrets_as)?;
        let mounted = match config.secrets_as {
            SecretsAs::Env => Mounted::Env { binary: &self.binary, directory: &directory },
            SecretsAs::Files => Mounted::Files { directory: &directory },
        };
        Ok(self.engine.create(creation, mounted).await?)
    }

    /// Before a start there is nobody in the container yet, so nobody has a moment to ask the metadata in.
    async fn keep_from_metadata(&self, id: &ContainerId) -> Result<(), Fault> {
        // One that is gone has nobody to keep; starting it will say so.
        if let Some(bridges) = self.engine.bridges(id).await? {
            self.block.hold(id, &bridges).await?;
        }
        Ok(())
    }

    /// What an earlier agent held is held on for a container that runs, since it may be adopted, and let go of for one that is gone.
    async fn look_after_blocks(&self, found: &[FoundContainer]) -> Result<(), Fault> {
        for id in self.block.held()? {
            match found.iter().find(|container| container.id == id) {
                Some(container) if container.running.is_some() => self.keep_from_metadata(&id).await?,
                // It has nobody in it, and its start will look again.
                Some(_) => {}
                None => self.block.lift(&id).await?,
            }
        }
        Ok(())
    }

    /// Fetches the secrets again; whether any differs from what is delivered. That, and not what this process fetched before, is
    /// what the app has: it may have been started by an earlier process, and may have exited and started since.
    async fn check_secrets(&self, config: &Config) -> Result<bool, Fault> {
        let values = secrets::fetch(&self.aws, config).await?;
        let delivered = self.delivery.holds(&config.container_name(), config.secrets_as, &values)?;
        *hold(&self.secrets) = values;
        // Without a delivery there is nothing to compare with: these are the first.
        Ok(delivered == Some(false))
    }

    /// Puts the values fetched last in place for an app that runs. Files change under it; an environment stays what it was at
    /// the start, and only the next one is another.
    fn deliver_again(&self, config: &Config) -> Result<(), Fault> {
        let values = hold(&self.secrets);
        // None were fetched in this process: those in place are the app's.
        if config.has_secrets() && !values.is_empty() {
            self.delivery.write(&config.container_name(), config.secrets_as, &values)?;
        }
        Ok(())
    }

    /// What a fleet that is throttled was told once, it does not ask for again: else most of the answers that there are would be
    /// to the first of two calls, and wasted.
    async fn membership(&self, mut named: Named) -> Result<Option<Membership>, Fault> {
        let told = hold(&self.place).take();
        if named.group.is_none() && told.is_none() {
            // Whatever keeps it from being there, the group can be asked for.
            named.group = self.imds.group().await.ok().flatten();
        }
        let place = match told {
            Some(place) => Some(place),
            None => membership::place(&self.aws, &self.instance_id(), &named).await?,
        };
        let Some(place) = place else { return Ok(None) };
        let found = membership::hooks(&self.aws, place.clone(), named).await;
        if found.as_ref().is_err_and(Fault::is_transient) {
            *hold(&self.place) = Some(place);
        }
        found.map(Some)
    }

    fn instance_id(&self) -> String {
        hold(&self.instance_id).clone()
    }

    fn login(&self) -> Option<Arc<RegistryCredentials>> {
        hold(&self.login).clone()
    }
}

fn misconfigured(faults: Faults) -> Fault {
    Fault::new(Class::Misconfigured, faults.to_string())
}

/// A lock is only held for a moment and never across an await; a poisoned one still holds whole values.
fn hold<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
