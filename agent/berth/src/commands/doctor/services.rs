//! The calls to AWS and to the registry that a boot makes, each made once and without side effects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use berth_config::{Config, RegistryAuth, SecretRef, SecretValue, TargetGroup};
use berth_core::message::error::{ErrorClass, JobError};
use berth_core::message::partition::registry_region;

use super::report::{Finding, Verdict};
use super::within;
use crate::commands::humanize::span;
use crate::commands::policy::Policy;
use crate::io::aws::ecr::RegistryCredentials;
use crate::io::aws::membership::{self, ConfiguredNames};
use crate::io::aws::{Aws, AwsError, CredentialsError, Origin, Service, Signer};
use crate::io::docker::Engine;
use crate::io::http::HttpError;
use crate::io::{aws::autoscaling, aws::ecr, aws::secrets};

/// Seconds. Services refuse signatures that differ from their clock by more.
const SKEW_ALLOWED: i64 = 300;
/// Seconds. A synchronised clock differs by less.
const SKEW_OF_A_GOOD_CLOCK: i64 = 30;

/// The credentials: their source, the role, and the time left.
#[expect(clippy::disallowed_methods, reason = "credentials end by the wall clock")]
pub fn signer(signer: Result<Signer, Arc<CredentialsError>>) -> Finding {
    match signer {
        Ok(Signer { from: Origin::Environment, .. }) => Finding::ok("credentials", "from the environment"),
        Ok(Signer { from: Origin::Chain(from), .. }) => Finding::ok("credentials", format!("from {from}")),
        Ok(Signer { from: Origin::Role(role), until }) => {
            let left = until.map(|until| until.duration_since(SystemTime::now()).unwrap_or_default());
            match left {
                Some(Duration::ZERO) => Finding::warn(
                    "credentials",
                    format!("of the role {role}, expired"),
                    "new ones come from the instance metadata; check this host's clock",
                ),
                Some(left) => {
                    Finding::ok("credentials", format!("of the role {role}, for {}", span(left.as_secs_f64())))
                }
                None => Finding::ok("credentials", format!("of the role {role}")),
            }
        }
        Err(error) => {
            let job_error = JobError::from_error(error.class(), &*error);
            let advice = match (&*error, job_error.class) {
                (CredentialsError::Nowhere(_), _) => "set AWS_PROFILE, or run this on an instance that has a role",
                (CredentialsError::NoProfile { .. }, _) => "correct AWS_PROFILE, or `source_profile` in the files",
                (CredentialsError::Unsupported { .. }, _) => "that command is part of version 2 of the AWS CLI",
                (CredentialsError::Chain { .. }, _) => "make `aws sts get-caller-identity` work first",
                (_, ErrorClass::Transient | ErrorClass::Throttled) => {
                    "they come from the instance metadata: fix `metadata` first"
                }
                _ => "attach an instance profile whose role has the policy of `berth policy`",
            };
            Finding::fail("credentials", job_error.reason, advice)
        }
    }
}

/// Whether a service answers, and how far its clock is ahead.
pub async fn reach(aws: &Aws, service: Service, region: Option<&str>) -> (Finding, Option<i64>) {
    let reached = aws.reach(service, region);
    let failed = |error: &AwsError| {
        let name = service.signing_name();
        let AwsError::Unreachable { source, .. } = error else {
            let error = JobError::from_error(error.class(), error);
            return Finding::fail("endpoint", error.reason, "check the region and the endpoint: AWS has no such one");
        };
        let error = JobError::from_error(source.class(), &**source);
        let advice = match &**source {
            HttpError::Proxy { .. } => {
                format!(
                    "correct `https_proxy` or HTTPS_PROXY, whichever is set, or reach it without the proxy: the VPC endpoint of {name}, and its name in `no_proxy`"
                )
            }
            HttpError::Tls { .. } | HttpError::Trust(_) => {
                "put the CA that signed it into the host's CAs, or name a file that has it in `ca_bundle`; check the clock".to_owned()
            }
            _ => format!(
                "open port 443 to it (route, security group, network ACL), or add the VPC endpoint of {name} and its private DNS name"
            ),
        };
        Finding::fail("endpoint", error.reason, advice)
    };
    match within(reached).await {
        Some(Ok(reached)) => {
            let route = aws.http().route(&reached.endpoint);
            (Finding::ok("endpoint", format!("{}, {route}", reached.endpoint)), reached.ahead)
        }
        Some(Err(error)) => (failed(&error), None),
        None => (super::no_answer("endpoint", service.signing_name()), None),
    }
}

/// This host's clock compared with a service's.
pub fn clock(ahead: i64) -> Finding {
    let how = if ahead > 0 { "behind" } else { "ahead of" };
    let found = format!("{} {how} AWS", span(ahead.unsigned_abs() as f64));
    match ahead.abs() {
        0..SKEW_OF_A_GOOD_CLOCK => Finding::ok("clock", "agrees with AWS"),
        SKEW_OF_A_GOOD_CLOCK..SKEW_ALLOWED => {
            Finding::warn("clock", found, "start chronyd or systemd-timesyncd; Amazon's time is at 169.254.169.123")
        }
        _ => Finding::warn(
            "clock",
            found,
            "the agent signs by AWS's time, but the engine and the app do not: signatures are refused from 5 min on. Start chronyd \
             or systemd-timesyncd; Amazon's time is at 169.254.169.123",
        ),
    }
}

/// The services that this config calls, other than Auto Scaling, which every config calls. Target groups are asked in their own regions.
pub fn services(config: &Config) -> Vec<(Service, Option<&str>)> {
    let all = || config.secrets.iter().chain(config.secret.values().flat_map(SecretValue::references));
    let managed = all().any(|reference| matches!(reference, SecretRef::Managed { .. }));
    let parameters = all().any(|reference| matches!(reference, SecretRef::Parameter { .. }));
    let host = &config.image.registry;
    let from_ecr = ecr::needs_token(host, &config.registry_auth);
    let needed = [
        (Service::SecretsManager, managed.then_some(None)),
        (Service::Ssm, parameters.then_some(None)),
        (Service::Ecr, from_ecr.then(|| registry_region(host))),
    ];
    let balancing: BTreeSet<_> = config.target_groups.iter().map(TargetGroup::region).collect();
    let needed = needed.into_iter().filter_map(|(service, region)| Some((service, region?)));
    needed.chain(balancing.into_iter().map(|region| (Service::LoadBalancing, region))).collect()
}

/// Every secret, fetched as at a boot and not shown.
pub async fn secrets(aws: &Aws, config: &Config, policy: &Policy) -> Vec<Finding> {
    let whole = config.secrets.iter().map(|reference| (reference, true));
    let single = config.secret.values().filter_map(|value| match value {
        SecretValue::Reference(reference) => Some((reference, false)),
        SecretValue::Template(_) => None,
    });
    let looked =
        whole.chain(single).map(async |(reference, is_whole)| secret(aws, config, reference, is_whole, policy).await);
    let templates = config.secret.iter().filter(|(_, value)| matches!(value, SecretValue::Template(_)));
    let filled_in = templates.map(async |(name, _)| template(aws, config, name, policy).await);
    let (mut checks, filled_in) =
        futures_util::join!(futures_util::future::join_all(looked), futures_util::future::join_all(filled_in));
    checks.extend(filled_in);
    // Several names may refer to one secret.
    checks.dedup();
    // Only all of them together show whether the environment is too large for a process.
    if checks.iter().all(|check| check.verdict != Verdict::Fail)
        && let Some(Err(error)) = within(secrets::fetch(aws, config)).await
    {
        checks.push(refused_secret(error, policy));
    }
    if secrets::is_batched(config)
        && let Some(Err(error)) = within(secrets::try_batches(aws, config)).await
        && error.class() == ErrorClass::Denied
    {
        let error = JobError::from_error(error.class(), &error);
        let statement = policy.allowing("secretsmanager:BatchGetSecretValue");
        let check = Finding::refused("secrets", "", &error, statement);
        let advice =
            "they are fetched one by one, which takes longer; to fetch them in batches, allow it in the role's policy:";
        checks.push(Finding { verdict: Verdict::Warn, advice: Some(advice.to_owned()), ..check });
    }
    checks
}

async fn secret(aws: &Aws, config: &Config, reference: &SecretRef, is_whole: bool, policy: &Policy) -> Finding {
    let action = match reference {
        SecretRef::Managed { .. } => "secretsmanager:GetSecretValue",
        SecretRef::Parameter { .. } => "ssm:GetParameters",
    };
    let fetched = async {
        if is_whole {
            let all = [reference.clone()];
            let values = secrets::fetch_named(aws, &all, &BTreeMap::new(), config.secrets_as).await?;
            return Ok(format!("{reference}: {} keys", values.len()));
        }
        secrets::fetch_one(aws, reference).await.map(|_| reference.to_string())
    };
    match within(fetched).await {
        None => super::no_answer("secret", action),
        Some(Ok(found)) => Finding::ok("secret", found),
        Some(Err(error)) => refused_secret(error, policy),
    }
}

/// `secret.NAME` that is a template of several secrets.
async fn template(aws: &Aws, config: &Config, name: &str, policy: &Policy) -> Finding {
    let one = config.secret.get_key_value(name).into_iter();
    let one: BTreeMap<_, _> = one.map(|(name, value)| (name.clone(), value.clone())).collect();
    let references: Vec<_> = one.values().flat_map(SecretValue::references).map(ToString::to_string).collect();
    let found = format!("secret.{name} of {}", references.join(", "));
    match within(secrets::fetch_named(aws, &[], &one, config.secrets_as)).await {
        None => super::no_answer("secret", &references.join(", ")),
        Some(Err(error)) => refused_secret(error, policy),
        Some(Ok(values)) => match secrets::remarks(config, &values).into_iter().next() {
            None => Finding::ok("secret", found),
            Some(remark) => Finding::warn("secret", found, remark),
        },
    }
}

fn refused_secret(error: secrets::SecretsError, policy: &Policy) -> Finding {
    let error = JobError::from(error);
    let statement = error.denied_action.as_deref().and_then(|action| policy.allowing(action));
    Finding::refused("secret", "", &error, statement)
}

/// The login, and whether the registry has the image.
pub async fn image(aws: &Aws, engine: &Engine, config: &Config, policy: &Policy) -> Vec<Finding> {
    let host = &config.image.registry;
    let engine = &engine.with_platform(config.platform.as_ref());
    let mut checks = Vec::new();
    let login = match log_in(aws, config, policy).await {
        Ok(login) => login,
        Err(mut check) => {
            if is_here(engine, config).await {
                check.verdict = Verdict::Warn;
            }
            return vec![check];
        }
    };
    let who = login.as_ref().map_or("anonymous", |login| login.username.as_str());
    checks.push(Finding::ok("login", format!("to {host} as {who}")));
    checks.push(match within(engine.look_up(&config.image, login.as_ref().map(RegistryCredentials::as_login))).await {
        None => super::no_answer("image", host),
        Some(Ok(pinned)) => {
            let here = matches!(engine.inspect_image(&pinned).await, Ok(Some(_)));
            Finding::ok("image", format!("{pinned}{}", if here { ", here already" } else { "" }))
        }
        Some(Err(error)) => {
            let mut check = refused_image(&JobError::from(error), policy);
            if is_here(engine, config).await {
                check.verdict = Verdict::Warn;
            }
            check
        }
    });
    checks
}

/// The login for a pull of the image, or a finding.
pub async fn log_in(aws: &Aws, config: &Config, policy: &Policy) -> Result<Option<RegistryCredentials>, Finding> {
    let host = &config.image.registry;
    let action = match config.registry_auth {
        RegistryAuth::Secret(SecretRef::Managed { .. }) => "secretsmanager:GetSecretValue",
        RegistryAuth::Secret(SecretRef::Parameter { .. }) => "ssm:GetParameters",
        _ => "ecr:GetAuthorizationToken",
    };
    match within(ecr::log_in(aws, host, &config.registry_auth)).await {
        None => Err(super::no_answer("login", host)),
        Some(Ok(login)) => Ok(login),
        Some(Err(error)) => Err(Finding::refused("login", host, &JobError::from(error), policy.allowing(action))),
    }
}

/// The finding for an image that the registry refuses.
pub fn refused_image(error: &JobError, policy: &Policy) -> Finding {
    let mut check = Finding::refused("image", "", error, policy.allowing("ecr:BatchGetImage"));
    match error.class {
        ErrorClass::Denied if check.statement.is_none() => {
            check.advice = Some(
                "check that the repository exists, and set `registry_auth` to a login that may pull from it".into(),
            );
        }
        ErrorClass::Broken => check.advice = Some("push the image, or correct its name".into()),
        _ => {}
    }
    check
}

/// Whether the engine has the image that the config names by digest. Then a boot does not need the registry.
async fn is_here(engine: &Engine, config: &Config) -> bool {
    match config.image.pinned() {
        Some(pinned) => matches!(engine.inspect_image(&pinned).await, Ok(Some(_))),
        None => false,
    }
}

/// The group, its hooks, and the completion of a hook, which is not tried; and the group's name, if it is found.
pub async fn group(aws: &Aws, instance_id: &str, config: &Config, policy: &Policy) -> (Vec<Finding>, Option<String>) {
    let lifecycle = config.lifecycle.clone();
    let is_named = lifecycle.group.is_some() && lifecycle.launch_hook.is_some() && lifecycle.terminate_hook.is_some();
    let Some(found) = within(async {
        if is_named {
            // The names are known, but a boot describes the instance when a hook is not active.
            autoscaling::describe_instance(aws, instance_id).await.map_err(JobError::from)?;
        }
        let named = ConfiguredNames {
            group: lifecycle.group,
            launch_hook: lifecycle.launch_hook,
            terminate_hook: lifecycle.terminate_hook,
        };
        membership::find(aws, instance_id, named).await
    })
    .await
    else {
        return (vec![super::no_answer("group", "autoscaling")], None);
    };
    let name = found.as_ref().ok().and_then(|found| Some(found.as_ref()?.group.clone()));
    let group = match found {
        Ok(None) => {
            let found = "in no Auto Scaling group, so there is no hook to complete";
            return (vec![Finding::ok("group", found)], None);
        }
        Ok(Some(found)) => {
            let name = |hook: Option<berth_core::message::group::LifecycleHook>| {
                hook.map_or("none".to_owned(), |hook| hook.name)
            };
            let (launch, terminate) = (name(found.launch_hook), name(found.terminate_hook));
            Finding::ok("group", format!("{}, launch hook {launch}, termination hook {terminate}", found.group))
        }
        Err(error) => {
            Finding::refused("group", "", &error, policy.allowing("autoscaling:DescribeAutoScalingInstances"))
        }
    };
    let statement = policy.allowing("autoscaling:CompleteLifecycleAction");
    let untried = Finding {
        verdict: Verdict::Untried,
        advice: Some("see that the role's policy allows it:".to_owned()),
        ..Finding::ok(
            "hook",
            "completing it, heartbeats and marking the instance unhealthy are not tried: that would do them",
        )
    };
    (vec![group, untried.allowing(statement)], name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_right_a_little_off_or_off_by_more_than_signatures_stand() {
        let clocks = [0, -29, 30, 299, -300, 600].map(clock);
        let shown: Vec<_> = clocks.iter().map(|check| (check.verdict, check.found.as_str())).collect();
        assert_eq!(
            shown,
            [
                (Verdict::Ok, "agrees with AWS"),
                (Verdict::Ok, "agrees with AWS"),
                (Verdict::Warn, "30.0 s behind AWS"),
                (Verdict::Warn, "4 min 59 s behind AWS"),
                (Verdict::Warn, "5 min 0 s ahead of AWS"),
                (Verdict::Warn, "10 min 0 s behind AWS"),
            ]
        );
        assert!(clocks[5].advice.as_ref().unwrap().contains("from 5 min on"));
    }
}
