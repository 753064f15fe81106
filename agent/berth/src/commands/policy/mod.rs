//! `berth policy [FILE|-]`: the least-privilege IAM policy for a config.
//!
//! The actions are the adapters' own operations, so a call and its permission have one name. The policy has a statement if an agent
//! with this config may make its call: in a boot, in a drain, after a failed boot, or when the app cannot be kept running.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use berth_config::{Config, Layers, RegistryAuth, SecretRef, SecretValue};
use berth_core::message::error::JobError;
use berth_core::message::outcome::Outcome;
use serde::Serialize;

use crate::cli::{Global, PolicyArgs};
use crate::commands::check;
use crate::io::aws::Operation;
use crate::io::aws::{autoscaling, ecr, load_balancing, parameter_store, secrets, secrets_manager};
use crate::io::config_sources;

use arn::ArnBuilder;
pub use arn::ArnScope;
use releases::Reader;

mod arn;
mod releases;

/// A policy document.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Policy {
    version: &'static str,
    /// What is allowed.
    pub statement: Vec<Statement>,
}

/// Some actions on some resources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Statement {
    sid: &'static str,
    effect: &'static str,
    action: Vec<String>,
    resource: Vec<String>,
    /// Under which conditions, by operator and key.
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<BTreeMap<&'static str, BTreeMap<&'static str, Vec<String>>>>,
}

/// The whole command.
pub async fn main(global: &Global, args: &PolicyArgs) -> ExitCode {
    let read = match &args.file {
        Some(file) => {
            let sources = global.sources(Vec::new());
            check::offline(&sources, file)
                .inspect(|layers| check::note_layers(&sources, layers))
                .map(|layers| (layers, ArnScope::default(), false))
        }
        None => on_the_instance(global).await,
    };
    let (layers, mut scope, pointer_is_read) = match read {
        Ok(read) => read,
        Err(reason) => return super::failed(Outcome::Usage, &reason),
    };
    scope.region = args.region.clone().or(scope.region);
    scope.account = args.account.clone().or(scope.account);
    let validated = if pointer_is_read { layers.resolve() } else { check::resolve_offline(&layers) };
    match validated {
        Err(errors) => super::failed(Outcome::Usage, &errors.to_string()),
        Ok(config) => {
            let policy = if args.publisher {
                Policy::of_publisher(&layers, &config, &scope)
            } else {
                Policy::of(&layers, &config, &scope)
            };
            super::say(&policy.to_json());
            for note in notes(&layers, &config, pointer_is_read) {
                super::note(&note);
            }
            ExitCode::SUCCESS
        }
    }
}

/// What `berth run` would read here. A `config=` that cannot be read yet is no error: this command makes the policy that allows it.
async fn on_the_instance(global: &Global) -> Result<(Layers, ArnScope, bool), String> {
    let elsewhere =
        |error: JobError| format!("{error}: outside of an EC2 instance name a FILE, or - for standard input");
    let (imds, aws) = super::aws_anywhere().await.map_err(|error| super::chain(&error))?;
    let identity = imds.identity().await.map_err(|error| elsewhere(error.into()))?;
    aws.locate(&identity);
    let mut layers = global.sources(Vec::new()).read_unpointed(&imds).await.map_err(|error| error.reason)?;
    let followed = config_sources::follow(&mut layers, &aws).await;
    let scope = ArnScope { region: aws.region(), account: Some(identity.account) };
    Ok((layers, scope, followed.is_ok()))
}

/// Remarks on what is missing in the policy.
fn notes(layers: &Layers, config: &Config, pointer_is_read: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(pointer) = layers.pointer_name().filter(|_| !pointer_is_read) {
        notes.push(format!(
            "{pointer} was not read: what it adds to the config is missing here; run this on an instance that may read it"
        ));
    }
    if !references(layers, config).is_empty() {
        notes.push(
            "a secret or parameter that is encrypted with a key of your own also needs kms:Decrypt on that key; with the \
             AWS managed keys nothing is missing"
                .to_owned(),
        );
    }
    notes
}

impl Policy {
    /// The permissions that this config needs.
    pub fn of(layers: &Layers, config: &Config, scope: &ArnScope) -> Self {
        let references = references(layers, config);
        let arn = ArnBuilder::new(config, &references, scope);
        let mut statement = Vec::new();
        let mut allow = |sid, action: &[Operation], resource: Vec<String>| {
            if !resource.is_empty() {
                let action = action.iter().map(ToString::to_string).collect();
                statement.push(Statement { sid, effect: "Allow", action, resource, condition: None });
            }
        };
        let any = || vec!["*".to_owned()];
        let only_if = |needed: bool| if needed { any() } else { Vec::new() };

        let managed = references.iter().filter_map(|reference| arn.secret(reference)).collect();
        allow("BerthSecrets", &[secrets_manager::GET], distinct(managed));
        // The action takes no resources; the statement above limits what it returns.
        allow("BerthSecretsAtOnce", &[secrets_manager::BATCH], only_if(secrets::is_batched(config)));
        let parameters = references.iter().filter_map(|reference| arn.parameter(reference)).collect();
        allow("BerthParameters", &[parameter_store::GET], distinct(parameters));

        let image = Some(&config.image).filter(|image| !image.repository.is_empty());
        let from_ecr = image.filter(|image| ecr::needs_token(&image.registry, &config.registry_auth));
        allow("BerthRegistryLogin", &[ecr::TOKEN], only_if(from_ecr.is_some()));
        allow("BerthImage", &ecr::PULL, from_ecr.map(|image| arn.repository(image)).into_iter().collect());

        let lifecycle = &config.lifecycle;
        // The instance is described when a hook is not active, also with configured names.
        let mut lookups = vec![autoscaling::DESCRIBE_INSTANCES];
        if lifecycle.launch_hook.is_none() || lifecycle.terminate_hook.is_none() {
            lookups.push(autoscaling::DESCRIBE_HOOKS);
        }
        let target_groups: BTreeSet<_> = config.target_groups.iter().map(|group| group.arn.clone()).collect();
        let in_target_groups = only_if(!target_groups.is_empty());
        if !target_groups.is_empty() {
            lookups.push(autoscaling::DESCRIBE_GROUPS);
        }
        allow("BerthGroupLookup", &lookups, any());
        let group_actions = [autoscaling::COMPLETE, autoscaling::HEARTBEAT, autoscaling::SET_HEALTH];
        allow("BerthGroup", &group_actions, vec![arn.group(lifecycle.group.as_deref())]);

        allow("BerthTargets", &[load_balancing::REGISTER, load_balancing::DEREGISTER], distinct(target_groups));
        // These two take no resources.
        let health = [load_balancing::DESCRIBE_HEALTH, load_balancing::DESCRIBE_ATTRIBUTES];
        allow("BerthTargetHealth", &health, in_target_groups);

        statement.extend(logs(config, &arn));
        statement.extend(releases::statements(Reader::Instance, layers, config, &arn));
        Self { version: "2012-10-17", statement }
    }

    /// The permissions of a publisher of this config's document.
    pub fn of_publisher(layers: &Layers, config: &Config, scope: &ArnScope) -> Self {
        let arn = ArnBuilder::new(config, &[], scope);
        Self { version: "2012-10-17", statement: releases::statements(Reader::Publisher, layers, config, &arn) }
    }

    /// The policy document as JSON.
    pub fn to_json(&self) -> String {
        json(self)
    }

    /// The statement with this `Sid`.
    pub fn named(&self, sid: &str) -> Option<&Statement> {
        self.statement.iter().find(|statement| statement.sid == sid)
    }

    /// The statement that allows an action, as IAM names it.
    pub fn allowing(&self, action: &str) -> Option<&Statement> {
        self.statement.iter().find(|statement| statement.action.iter().any(|one| one == action))
    }
}

impl Statement {
    /// The statement as JSON.
    pub fn to_json(&self) -> String {
        json(self)
    }
}

fn json(value: &impl Serialize) -> String {
    // Strings and lists of strings always serialise.
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

/// The engine's log driver calls CloudWatch Logs itself, with the instance's role.
fn logs(config: &Config, arn: &ArnBuilder) -> Option<Statement> {
    let group = config.log_opt.get("awslogs-group").filter(|_| config.log_driver == "awslogs")?;
    let creates = config.log_opt.get("awslogs-create-group").is_some_and(|value| value == "true");
    let region = config.log_opt.get("awslogs-region").map(String::as_str);
    let actions = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:CreateLogGroup"];
    let resource = arn.of("logs", region, None, &format!("log-group:{group}:*"));
    Some(Statement {
        sid: "BerthAppLogs",
        effect: "Allow",
        action: actions.iter().take(if creates { 3 } else { 2 }).map(|&action| action.to_owned()).collect(),
        resource: vec![resource],
        condition: None,
    })
}

/// Every secret and parameter that is read: the app's, the registry's, the config's own.
fn references(layers: &Layers, config: &Config) -> Vec<SecretRef> {
    let login = match &config.registry_auth {
        RegistryAuth::Secret(secret) => Some(secret),
        _ => None,
    };
    let all =
        config.secrets.iter().chain(config.secret.values().flat_map(SecretValue::references)).chain(login).cloned();
    all.chain(layers.pointer().and_then(|pointer| pointer.secret_ref())).collect()
}

fn distinct(arns: BTreeSet<String>) -> Vec<String> {
    arns.into_iter().collect()
}

#[cfg(test)]
mod tests;
