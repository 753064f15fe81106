//! The keys for what the agent does: boot, restart, drain, lifecycle hooks, notices.

use std::time::Duration;

use crate::keys::key::KeyDefault::{Value as By, Words};
use crate::keys::key::{ForeignWord, Key, Section, at_least, choice, none, put, same, some};
use crate::value::pointer::Pointer;
use crate::value::scalar::count;
use crate::value::{Reason, Value, path};

const ROLE: &str = "the role of the instance profile is used; `berth policy` prints the policy that it needs";
const ONE_CONTAINER: &str = "one container runs on an instance";
const IN_GROUP: &str = "set it on the Auto Scaling group";
const IN_HOOK: &str = "set it on the lifecycle hook";
const IN_TEMPLATE: &str = "set it in the launch template";
const CAPACITY: &str = "the Auto Scaling group's capacity says how many instances there are";

/// The keys of the instance's life.
pub(super) static SECTION: Section = Section {
    title: "The instance's life",
    intro: "",
    keys: &[&[
        Key {
            name: "listen",
            about: "address and port of the readiness endpoint",
            default: By("0.0.0.0:9911"),
            examples: &["[::]:9911"],
            resolve: |c, v, _| put(&mut c.listen, listen(v)),
        },
        Key {
            name: "after",
            about: "list of paths on the host that must exist before the container is created, within `boot.timeout`; a path on a mount \
                 point of `/etc/fstab` or of a mount unit exists once that is mounted; see below",
            default: Words("none"),
            examples: &["/mnt/data"],
            resolve: |c, v, _| put(&mut c.after, v.each(path::host_path)),
        },
        Key {
            name: "boot.timeout",
            about: "the boot fails after this; at least 1s",
            default: By("10m"),
            examples: &["20m"],
            resolve: |c, v, _| put(&mut c.boot.timeout, boot_timeout(v)),
        },
        Key {
            name: "boot.on_failure",
            about: "`abandon`: complete the launch hook with ABANDON, or without a hook mark the instance unhealthy · `hold`: keep the \
                 instance for debugging, not ready",
            default: By("abandon"),
            examples: &["hold"],
            resolve: |c, v, _| put(&mut c.boot.on_failure, choice(v)),
        },
        Key {
            name: "restart.backoff",
            about: "wait before the first restart of an app that exited; doubles with each restart",
            default: By("1s"),
            examples: &["500ms"],
            resolve: |c, v, _| put(&mut c.restart.backoff, at_least(1, v)),
        },
        Key {
            name: "restart.backoff_max",
            about: "the longest wait",
            default: By("60s"),
            examples: &["5m"],
            resolve: |c, v, _| put(&mut c.restart.backoff_max, at_least(1, v)),
        },
        Key {
            name: "restart.limit",
            about: "restarts within `restart.window`; one more fails the boot, or marks a serving instance unhealthy; 0 allows none",
            default: By("5"),
            examples: &["10"],
            resolve: |c, v, _| put(&mut c.restart.limit, v.one().and_then(|text| count(0, text))),
        },
        Key {
            name: "restart.window",
            about: "the time in which restarts are counted",
            default: By("10m"),
            examples: &["1h"],
            resolve: |c, v, _| put(&mut c.restart.window, at_least(1, v)),
        },
        Key {
            name: "drain.settle",
            about: "keep serving this long after readiness turns 503",
            default: By("20s"),
            examples: &["35s"],
            resolve: |c, v, _| put(&mut c.drain.settle, at_least(0, v)),
        },
        Key {
            name: "drain.timeout",
            about: "wait at most this long for connections to end",
            default: By("300s"),
            examples: &["15m"],
            resolve: |c, v, _| put(&mut c.drain.timeout, at_least(0, v)),
        },
        Key {
            name: "drain.idle",
            about: "no connection for this long counts as ended",
            default: By("2s"),
            examples: &["5s"],
            resolve: |c, v, _| put(&mut c.drain.idle, at_least(0, v)),
        },
        Key {
            name: "drain.on_failure",
            about: "how a drain that was cut short completes the termination hook: `continue` · `abandon`: with ABANDON, so \
                 that a group with the retention trigger `TerminateHookAbandon=retain` keeps the instance",
            default: By("continue"),
            examples: &["abandon"],
            resolve: |c, v, _| put(&mut c.drain.on_failure, choice(v)),
        },
        Key {
            name: "stop_timeout",
            about: "duration from the stop signal to SIGKILL",
            default: By("30s"),
            examples: &["2m"],
            resolve: |c, v, _| put(&mut c.stop_timeout, at_least(0, v)),
        },
        Key {
            name: "lifecycle.poll",
            about: "how often the target lifecycle state is polled; at least 100ms",
            default: By("2s"),
            examples: &["5s"],
            resolve: |c, v, _| put(&mut c.lifecycle.poll, at_least(100, v)),
        },
        Key {
            name: "lifecycle.group",
            about: "the Auto Scaling group",
            default: Words("discovered"),
            examples: &["web"],
            resolve: |c, v, _| put(&mut c.lifecycle.group, some(v, group_name)),
        },
        Key {
            name: "lifecycle.launch_hook",
            about: "the launch hook",
            default: Words("discovered"),
            examples: &["launching"],
            resolve: |c, v, _| put(&mut c.lifecycle.launch_hook, some(v, hook_name)),
        },
        Key {
            name: "lifecycle.terminate_hook",
            about: "the termination hook",
            default: Words("discovered"),
            examples: &["terminating"],
            resolve: |c, v, _| put(&mut c.lifecycle.terminate_hook, some(v, hook_name)),
        },
        Key {
            name: "lifecycle.heartbeat",
            about: "between two heartbeats, 1s to 2h",
            default: Words("half the hook's timeout, 30s if that is unknown"),
            examples: &["30s"],
            resolve: |c, v, _| put(&mut c.lifecycle.heartbeat, heartbeat(v).map(Some)),
        },
        Key {
            name: "spot",
            about: "on a spot interruption: `drain` or `ignore`",
            default: By("drain"),
            examples: &["ignore"],
            resolve: |c, v, _| put(&mut c.spot, choice(v)),
        },
        Key {
            name: "rebalance",
            about: "on a rebalance recommendation: `drain` or `ignore`",
            default: By("ignore"),
            examples: &["drain"],
            resolve: |c, v, _| put(&mut c.rebalance, choice(v)),
        },
        Key {
            name: "maintenance",
            about: "on a scheduled event: `drain` or `ignore`",
            default: By("ignore"),
            examples: &["drain"],
            resolve: |c, v, _| put(&mut c.maintenance, choice(v)),
        },
        Key {
            name: "config",
            about: "where more keys are: `ssm:NAME`, `secretsmanager:NAME` or `s3://BUCKET/KEY`; a document with a config in one of the \
                 forms, without `config`",
            default: Words("none"),
            examples: &["ssm:/prod/berth", "s3://prod-berth/fleets/api"],
            resolve: |_, v, _| {
                v.one().and_then(Pointer::parse)?;
                Ok(())
            },
        },
    ]],
    foreign: &[FOREIGN],
};

/// Words of other programs.
static FOREIGN: &[ForeignWord] = &[
    same(
        "restart restart_policy restartPolicy.restartAttemptPeriod deploy.restart_policy deploy.restart_policy.max_attempts",
        "restart.limit",
        "berth itself restarts the app, and this is how often within `restart.window`",
    ),
    same("deploy.restart_policy.delay", "restart.backoff", ""),
    same("deploy.restart_policy.window", "restart.window", ""),
    same("stop_grace_period", "stop_timeout", "with a unit, `30s`"),
    same("autoScalingGroupName auto_scaling_group asg_name", "lifecycle.group", "discovered if it is left out"),
    same(
        "lifecycleHookName lifecycleHookSpecificationList",
        "lifecycle.launch_hook",
        "or `lifecycle.terminate_hook`; both are discovered if they are left out",
    ),
    same(
        "capacityRebalance",
        "rebalance",
        "`drain` or `ignore`; that the group replaces the instance is set on the group",
    ),
    same("include extends", "config", "`ssm:NAME`, `secretsmanager:NAME` or `s3://BUCKET/KEY` holds more keys"),
    none("build", "build the image before and push it: `image=` names it"),
    none("depends_on essential container_dependencies", ONE_CONTAINER),
    none(
        "services containerDefinitions",
        "one container runs on an instance: its keys are top-level keys, `image`, `port`, …",
    ),
    none("scale deploy.replicas deploy.mode deploy.placement deploy.endpoint_mode placementConstraints", CAPACITY),
    none("deploy profiles develop", "remove it: the AMI and the launch template say what runs where"),
    none("models provider", "an app that needs another service is given its address, in `env.NAME=…`"),
    none(
        "post_start pre_stop",
        "do it in the image's entrypoint; the app gets `stop_signal` and has `stop_timeout` to end",
    ),
    none("version", "remove it: the version that runs is the image's tag or digest"),
    none("taskRoleArn executionRoleArn", ROLE),
    none(
        "requiresCompatibilities ephemeralStorage enableFaultInjection inferenceAccelerators",
        "the instance type and the AMI say it: remove it",
    ),
    none("proxyConfiguration", "run the proxy on the instance, in the AMI"),
    none("configuredAtLaunch", "volumes are the instance's: add them to the launch template"),
    none("imageId", "the AMI is the launch template's; `image=` is the container's image"),
    none("userData", "the config is the user-data: write its keys here"),
    none(
        "metadataOptions httpTokens httpPutResponseHopLimit httpEndpoint httpProtocolIpv6 instanceMetadataTags",
        "set it in the launch template; `imds=block` keeps the container from the metadata",
    ),
    none(
        "instanceType keyName securityGroups securityGroupIds iamInstanceProfile blockDeviceMappings networkInterfaces \
         tagSpecifications instanceMarketOptions monitoring placement ebsOptimized kernelId ramDiskId \
         disableApiTermination disableApiStop instanceInitiatedShutdownBehavior elasticGpuSpecifications \
         elasticInferenceAccelerators creditSpecification cpuOptions capacityReservationSpecification \
         licenseSpecifications hibernationOptions enclaveOptions instanceRequirements privateDnsNameOptions \
         maintenanceOptions operator networkPerformanceOptions secondaryInterfaces",
        IN_TEMPLATE,
    ),
    none(
        "launchTemplate launchConfigurationName mixedInstancesPolicy instanceId minSize maxSize desiredCapacity \
         defaultCooldown availabilityZones availabilityZoneIds healthCheckType healthCheckGracePeriod placementGroup \
         vpcZoneIdentifier terminationPolicies newInstancesProtectedFromScaleIn deletionProtection tags \
         serviceLinkedRoleARN maxInstanceLifetime context desiredCapacityType defaultInstanceWarmup \
         instanceMaintenancePolicy availabilityZoneDistribution availabilityZoneImpairmentPolicy \
         skipZonalShiftValidation instanceLifecyclePolicy",
        IN_GROUP,
    ),
    none("heartbeatTimeout", "set it on the lifecycle hook; berth extends it, every `lifecycle.heartbeat`"),
    none("lifecycleTransition defaultResult notificationMetadata notificationTargetARN roleARN", IN_HOOK),
];

pub(crate) fn boot_timeout(value: &Value) -> Result<Duration, Reason> {
    at_least(1000, value)
}

pub(crate) fn listen(value: &Value) -> Result<std::net::SocketAddr, Reason> {
    value.one()?.parse().map_err(|_| "is not an address with a port like `0.0.0.0:9911` or `[::]:9911`".into())
}

/// At most 255 characters (API reference, CreateAutoScalingGroup), without control characters.
fn group_name(text: &str) -> Result<String, Reason> {
    let good = text.chars().count() <= 255 && !text.chars().any(char::is_control);
    if good { Ok(text.to_owned()) } else { Err("is not the name of an Auto Scaling group".into()) }
}

/// `[A-Za-z0-9\-_\/]+`, at most 255 (API reference, PutLifecycleHook).
fn hook_name(text: &str) -> Result<String, Reason> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_/".contains(&byte);
    let good = text.len() <= 255 && text.bytes().all(allowed);
    if good {
        Ok(text.to_owned())
    } else {
        Err("is not a lifecycle hook name: at most 255 letters, digits and `-_/`".into())
    }
}

/// The longest heartbeat timeout of a hook is two hours (API reference, PutLifecycleHook).
fn heartbeat(value: &Value) -> Result<Duration, Reason> {
    let every = at_least(1000, value)?;
    if every > Duration::from_secs(7200) {
        Err("is longer than `2h`, the longest heartbeat timeout of a hook".into())
    } else {
        Ok(every)
    }
}
