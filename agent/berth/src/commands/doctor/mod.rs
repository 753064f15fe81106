//! `berth doctor`: can this instance boot? It checks what a boot needs, once and without side effects.
//!
//! ```text
//!   metadata ▶ credentials, Auto Scaling's endpoint (clock) ▶ config ▶ the host ▶ services, concurrently
//! ```
//! The agent's adapters make the agent's calls. A call that has a side effect is not made, and is shown as untried.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use berth_config::{Config, ConfigErrors, ImdsAccess, Layers};
use berth_core::message::error::{ErrorClass, JobError};
use berth_core::message::identity::Identity;
use berth_core::message::outcome::Outcome;
use berth_core::message::release::ReleaseId;
use tokio::time::timeout;

use crate::cli::{DoctorArgs, Global};
use crate::commands::check;
use crate::commands::paint::Paint;
use crate::commands::policy::{ArnScope, Policy};
use crate::io::aws::imds::Imds;
use crate::io::aws::{Aws, Service};
use crate::io::config_sources;
use crate::io::docker::{Engine, EngineError};

use releases::ReleaseQuestion;
use report::{DoctorReport, Finding, Verdict};
use target_groups::Question;

pub mod host;
pub mod network;
pub mod releases;
pub mod report;
pub mod services;
pub mod target_groups;

/// For one check. A boot has ten minutes; a person waits for this command.
const PATIENCE: Duration = Duration::from_secs(8);

/// What to do about a config with errors.
const CORRECT: &str = "correct it; `berth check FILE` reports the same errors";

/// The whole command.
pub async fn main(global: &Global, args: &DoctorArgs) -> ExitCode {
    let checks = examine(global).await;
    let config_is_invalid = checks.iter().any(|check| check.name == "config" && check.verdict == Verdict::Fail);
    let report = DoctorReport::new(checks);
    if args.json {
        super::say(&(serde_json::to_string_pretty(&report).unwrap_or_default() + "\n"));
    } else {
        super::say(&report.to_text("this instance can boot", "this instance cannot boot", Paint::stdout()));
    }
    match report.ok {
        true => Outcome::Done.into(),
        false if config_is_invalid => Outcome::Usage.into(),
        false => Outcome::BootFailed.into(),
    }
}

/// The answer; none after [`PATIENCE`].
pub async fn within<T>(answer: impl Future<Output = T>) -> Option<T> {
    timeout(PATIENCE, answer).await.ok()
}

fn no_answer(name: &'static str, service: &str) -> Finding {
    let found = format!("{service} did not answer within {} s", PATIENCE.as_secs());
    Finding::fail(name, found, "check the route, the security group, the proxy and the VPC endpoint")
}

async fn examine(global: &Global) -> Vec<Finding> {
    let engine = Engine::new(std::env::var("DOCKER_HOST").ok().as_deref());
    let mut checks: Vec<Finding> = host::root().into_iter().collect();
    let (imds, mut aws) = match super::aws() {
        Ok(both) => both,
        Err(error) => {
            checks.push(Finding::fail("environment", super::chain(&error), "correct the environment, or leave it out"));
            checks.extend(examine_host(global, &engine, None, None, "").await);
            return checks;
        }
    };
    let layers = within(global.sources(Vec::new()).read_unpointed(&imds)).await;
    // The network settings apply from the first call on. The config check reports invalid ones.
    if let Some(Ok(layers)) = &layers {
        let _ = config_sources::configure(layers, &aws);
    }
    checks.push(host::roots(aws.http()));
    let identity = identify(&imds, &aws, &mut checks).await;
    // On an instance the agent's own credentials are checked; elsewhere those of the AWS CLI.
    if identity.is_none()
        && let Ok((_, anywhere)) = super::aws_anywhere().await
    {
        aws = anywhere;
    }
    let (signer, (endpoint, ahead)) =
        tokio::join!(within(aws.signer()), services::reach(&aws, Service::AutoScaling, None));
    checks.push(signer.map_or_else(|| no_answer("credentials", "the source of the credentials"), services::signer));
    checks.push(endpoint);
    checks.extend(ahead.map(services::clock));

    let scope = ArnScope { region: aws.region(), account: identity.as_ref().map(|identity| identity.account.clone()) };
    let id = identity.map(|identity| identity.instance_id).unwrap_or_default();
    let config = configure(layers, &aws, &scope, &mut checks).await;
    let host = examine_host(global, &engine, Some(&aws), config.as_ref().map(|(config, ..)| config), &id).await;
    if let Some((config, policy, release)) = &config {
        if imds.is_ipv6_only() {
            checks.extend(network::unreachable(config));
        }
        // An engine that does not answer has a finding already.
        let answers = host.iter().any(|check| check.name == "engine" && check.verdict == Verdict::Ok);
        let engine = engine.as_ref().ok().filter(|_| answers);
        checks.extend(examine_services(&aws, engine, config, policy, release.as_ref(), &id).await);
    }
    checks.extend(host);
    checks
}

async fn identify(imds: &Imds, aws: &Aws, checks: &mut Vec<Finding>) -> Option<Identity> {
    match within(imds.identity()).await {
        Some(Ok(identity)) => {
            aws.locate(&identity);
            let Identity { instance_id, availability_zone, account, .. } = &identity;
            let mut found = format!("{instance_id} in {availability_zone}, account {account}");
            if imds.schema() == "latest" {
                found.push_str("; schema `latest`, so this is not EC2's metadata service");
            }
            checks.push(Finding::ok("metadata", found));
            checks.extend(network::ipv6_only(imds));
            Some(identity)
        }
        failed => {
            let found = failed.map_or("no answer".to_owned(), |result| match result {
                Err(error) => super::chain(&error),
                Ok(_) => String::new(), // matched above
            });
            let advice = format!(
                "check that this is an EC2 instance and that its metadata service ({}) is enabled; in a container with its own network \
                 the hop limit must be 2, on the host 1 is enough",
                imds.asked()
            );
            checks.push(Finding::fail("metadata", found, advice));
            None
        }
    }
}

/// The config as `berth run` would resolve it, its policy, and the release that the document is.
async fn configure(
    layers: Option<Result<Layers, JobError>>,
    aws: &Aws,
    scope: &ArnScope,
    checks: &mut Vec<Finding>,
) -> Option<(Config, Policy, Option<ReleaseId>)> {
    let mut layers = match layers {
        Some(Ok(layers)) => layers,
        Some(Err(error)) if error.class == ErrorClass::Misconfigured => {
            checks.push(Finding::fail("config", error.reason, "correct --config"));
            return None;
        }
        // The metadata answers other requests.
        Some(Err(error)) if scope.account.is_some() => {
            checks.push(Finding::fail(
                "config",
                error.reason,
                "check what the instance metadata returns for `user-data`",
            ));
            return None;
        }
        None if scope.account.is_some() => {
            checks.push(no_answer("config", "the instance metadata"));
            return None;
        }
        // The finding `metadata` says why.
        _ => {
            let found = "not read: without the metadata there is no user-data";
            checks.push(Finding { verdict: Verdict::Untried, ..Finding::ok("config", found) });
            return None;
        }
    };
    if let Err(error) = config_sources::configure(&layers, aws) {
        checks.push(Finding::fail("config", error.reason, CORRECT));
        return None;
    }
    let mut release = None;
    if let Some(pointer) = layers.pointer() {
        match within(config_sources::follow(&mut layers, aws)).await {
            None => checks.push(no_answer("pointer", &pointer.to_string())),
            Some(Ok(document)) => {
                release = document.map(|document| document.release.id);
                checks.push(Finding::ok("pointer", pointer.to_string()));
            }
            Some(Err(error)) => {
                checks.push(refused_pointer(&layers, &error, scope));
                return None;
            }
        }
    }
    match layers.resolve() {
        Err(errors) => {
            checks.push(Finding::fail("config", errors.to_string(), CORRECT));
            None
        }
        Ok(config) => {
            checks.push(Finding::ok("config", format!("{} as {}", config.image, config.container_name())));
            checks.extend(layers.warnings(&config).iter().map(|warning| {
                Finding::warn(
                    "config",
                    warning.to_string(),
                    format!("{}: {}", warning.code.name(), warning.code.about()),
                )
            }));
            let policy = Policy::of(&layers, &config, scope);
            Some((config, policy, release))
        }
    }
}

fn refused_pointer(layers: &Layers, error: &JobError, scope: &ArnScope) -> Finding {
    let validated: Result<Config, ConfigErrors> = check::resolve_offline(layers);
    let policy = validated.ok().map(|config| Policy::of(layers, &config, scope));
    let allowing = |action| policy.as_ref().and_then(|policy| policy.allowing(action));
    let action = match layers.pointer() {
        Some(berth_config::Pointer::Ssm(_)) => "ssm:GetParameters",
        Some(berth_config::Pointer::S3 { .. }) => "s3:GetObject",
        _ => "secretsmanager:GetSecretValue",
    };
    let finding = Finding::refused("pointer", "config", error, allowing(action));
    match layers.pointer() {
        Some(pointer @ berth_config::Pointer::S3 { .. }) if error.class == ErrorClass::Broken => {
            Finding { advice: Some(format!("publish it: `berth release publish {pointer} FILE`")), ..finding }
        }
        _ => finding,
    }
}

async fn examine_services(
    aws: &Aws,
    engine: Option<&Engine>,
    config: &Config,
    policy: &Policy,
    release: Option<&ReleaseId>,
    instance_id: &str,
) -> Vec<Finding> {
    let endpoints = services::services(config)
        .into_iter()
        .map(async |(service, region)| services::reach(aws, service, region).await.0);
    let image = async {
        match engine {
            Some(engine) => services::image(aws, engine, config, policy).await,
            None => Vec::new(),
        }
    };
    // Which target groups the instance registers itself with depends on its group.
    let group = async {
        let (group, name) = services::group(aws, instance_id, config, policy).await;
        let question = Question { aws, instance_id, group: name.as_deref(), policy };
        let releases = ReleaseQuestion { aws, instance_id, group: name.as_deref(), release, policy };
        [group, question.examine(config).await, releases.examine(config).await].concat()
    };
    let (endpoints, secrets, image, group) =
        tokio::join!(futures_util::future::join_all(endpoints), services::secrets(aws, config, policy), image, group,);
    [endpoints, secrets, image, group].concat()
}

async fn examine_host(
    global: &Global,
    engine: &Result<Engine, EngineError>,
    aws: Option<&Aws>,
    config: Option<&Config>,
    instance_id: &str,
) -> Vec<Finding> {
    let run_dir = global.run_dir();
    let ((engine_check, about), (agent_check, agent)) = tokio::join!(host::engine(engine), host::agent(&run_dir));
    let mut checks = vec![engine_check];
    checks.extend(about.as_ref().map(|about| host::disk(&about.docker_root_dir)));
    if let (Some(about), Some(aws), Some(config)) = (&about, aws, config) {
        checks.extend(host::proxies(about, aws.http(), &config.image.registry));
    }
    checks.push(agent_check);
    checks.extend(host::drain_unit());
    if let Some(config) = config {
        if config.has_secrets() {
            checks.push(host::run_dir(&run_dir));
        }
        if config.imds == ImdsAccess::Block {
            checks.extend(within(host::filter()).await);
        }
        checks.extend(host::paths(config).await);
        checks.push(host::listen(config, agent.as_ref()));
        checks.extend(host::ports(config, &published(engine, config, instance_id).await));
    }
    checks
}

/// The addresses that the app's own container publishes.
async fn published(engine: &Result<Engine, EngineError>, config: &Config, instance_id: &str) -> Vec<SocketAddr> {
    let Ok(engine) = engine else { return Vec::new() };
    let found = engine.find_containers(&config.container_name(), instance_id).await.unwrap_or_default();
    let running = found.into_iter().filter_map(|container| container.running);
    running.flat_map(|container| container.published).map(|(_, host)| host).collect()
}
