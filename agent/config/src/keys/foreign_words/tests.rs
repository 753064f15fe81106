//! Every word of the documents that define them has an answer.

use super::*;
use crate::keys::{self, Key};

/// `docker run --help`, Docker 28.2.
const DOCKER_RUN: &str = "add-host annotation -a attach blkio-weight blkio-weight-device cap-add cap-drop cgroup-parent cgroupns \
    cidfile cpu-count cpu-percent cpu-period cpu-quota cpu-rt-period cpu-rt-runtime -c cpu-shares cpus cpuset-cpus cpuset-mems -d \
    detach detach-keys device device-cgroup-rule device-read-bps device-read-iops device-write-bps device-write-iops \
    disable-content-trust dns dns-option dns-search domainname entrypoint -e env env-file expose gpus group-add health-cmd \
    health-interval health-retries health-start-interval health-start-period health-timeout help -h hostname init -i interactive \
    io-maxbandwidth io-maxiops ip ip6 ipc isolation kernel-memory -l label label-file link link-local-ip log-driver log-opt \
    mac-address -m memory memory-reservation memory-swap memory-swappiness mount name net network network-alias net-alias no-healthcheck \
    oom-kill-disable oom-score-adj pid pids-limit platform privileged -p publish -P publish-all pull -q quiet read-only restart rm \
    runtime security-opt shm-size sig-proxy stop-signal stop-timeout storage-opt sysctl tmpfs -t tty ulimit \
    use-api-socket -u user userns uts -v volume volume-driver volumes-from -w workdir";

/// The properties of `service` in the compose specification's schema, with those of its tables that a config would hold.
const COMPOSE: &str = "annotations attach blkio_config blkio_config.weight build build.context build.dockerfile build.args cap_add \
    cap_drop cgroup cgroup_parent command configs container_name cpu_count cpu_percent cpu_period cpu_quota cpu_rt_period \
    cpu_rt_runtime cpu_shares cpus cpuset credential_spec credential_spec.file depends_on depends_on.db deploy \
    deploy.endpoint_mode deploy.labels deploy.mode deploy.placement deploy.placement.constraints deploy.replicas deploy.resources \
    deploy.resources.limits deploy.resources.limits.cpus deploy.resources.limits.memory deploy.resources.limits.pids \
    deploy.resources.reservations deploy.resources.reservations.cpus deploy.resources.reservations.devices \
    deploy.resources.reservations.generic_resources deploy.resources.reservations.memory deploy.restart_policy \
    deploy.restart_policy.condition deploy.restart_policy.delay deploy.restart_policy.max_attempts deploy.restart_policy.window \
    deploy.rollback_config deploy.rollback_config.order deploy.update_config deploy.update_config.parallelism develop \
    develop.watch device_cgroup_rules devices dns dns_opt dns_search domainname entrypoint env_file environment \
    environment.LOG_LEVEL expose extends extends.file extends.service external_links extra_hosts gpus group_add healthcheck \
    healthcheck.disable healthcheck.interval healthcheck.retries healthcheck.start_interval healthcheck.start_period \
    healthcheck.test healthcheck.timeout hostname image init ipc isolation label_file labels links logging logging.driver \
    logging.options logging.options.max-size mac_address mem_limit mem_reservation mem_swappiness memswap_limit models \
    network_mode networks networks.default oom_kill_disable oom_score_adj pid pids_limit platform ports post_start pre_stop privileged \
    profiles provider provider.type pull_policy pull_refresh_after read_only restart runtime scale secrets \
    security_opt shm_size stdin_open stop_grace_period stop_signal storage_opt sysctls tmpfs tty ulimits use_api_socket user userns_mode uts \
    volumes volumes_from working_dir version name include services";

/// `ContainerDefinition`, `RegisterTaskDefinition` and `Volume` of the ECS API.
const ECS: &str = "name image repositoryCredentials repositoryCredentials.credentialsParameter cpu memory memoryReservation links \
    portMappings portMappings.containerPort portMappings.hostPort portMappings.protocol essential restartPolicy \
    restartPolicy.enabled restartPolicy.ignoredExitCodes restartPolicy.restartAttemptPeriod entryPoint command environment \
    environmentFiles mountPoints mountPoints.containerPath volumesFrom linuxParameters.capabilities.add \
    linuxParameters.capabilities.drop linuxParameters.devices linuxParameters.initProcessEnabled linuxParameters.sharedMemorySize \
    linuxParameters.tmpfs linuxParameters.maxSwap linuxParameters.swappiness secrets secrets.valueFrom dependsOn startTimeout \
    stopTimeout versionConsistency hostname user workingDirectory disableNetworking privileged readonlyRootFilesystem \
    dnsServers dnsSearchDomains dockerSecurityOptions systemControls extraHosts interactive pseudoTerminal dockerLabels dockerLabels.team ulimits \
    logConfiguration logConfiguration.logDriver logConfiguration.options logConfiguration.options.awslogs-group \
    logConfiguration.secretOptions healthCheck healthCheck.command healthCheck.interval healthCheck.timeout healthCheck.retries \
    healthCheck.startPeriod resourceRequirements firelensConfiguration firelensConfiguration.type credentialSpecs \
    family taskRoleArn executionRoleArn networkMode containerDefinitions volumes placementConstraints requiresCompatibilities tags \
    proxyConfiguration inferenceAccelerators ephemeralStorage enableFaultInjection pidMode ipcMode runtimePlatform runtimePlatform.cpuArchitecture host.sourcePath \
    dockerVolumeConfiguration dockerVolumeConfiguration.driver efsVolumeConfiguration efsVolumeConfiguration.fileSystemId \
    s3filesVolumeConfiguration fsxWindowsFileServerVolumeConfiguration configuredAtLaunch valueFrom";

/// Variables and settings of the AWS SDKs ("AWS SDKs and Tools Reference Guide"), of curl, and of what engines and agents call a proxy.
const NETWORK: &str = "HTTP_PROXY ALL_PROXY proxy proxy_url aws.https_proxy aws.http_proxy aws.proxy proxy_exclude aws.no_proxy \
    AWS_CA_BUNDLE aws.ca_bundle SSL_CERT_FILE use_fips_endpoint AWS_USE_FIPS_ENDPOINT aws.use_fips_endpoint \
    use_dualstack_endpoint AWS_USE_DUALSTACK_ENDPOINT aws.use_dualstack_endpoint";

/// `RequestLaunchTemplateData` and its metadata options of EC2, `CreateAutoScalingGroup` and `PutLifecycleHook`.
const GROUP: &str = "KernelId EbsOptimized IamInstanceProfile IamInstanceProfile.Arn BlockDeviceMappings NetworkInterfaces ImageId \
    InstanceType KeyName Monitoring Placement RamDiskId DisableApiTermination InstanceInitiatedShutdownBehavior UserData \
    TagSpecifications ElasticGpuSpecifications ElasticInferenceAccelerators SecurityGroupIds SecurityGroups InstanceMarketOptions \
    CreditSpecification CpuOptions CapacityReservationSpecification LicenseSpecifications HibernationOptions MetadataOptions \
    EnclaveOptions InstanceRequirements PrivateDnsNameOptions MaintenanceOptions DisableApiStop Operator NetworkPerformanceOptions \
    SecondaryInterfaces HttpTokens HttpPutResponseHopLimit HttpEndpoint HttpProtocolIpv6 InstanceMetadataTags AutoScalingGroupName \
    LaunchConfigurationName LaunchTemplate MixedInstancesPolicy InstanceId MinSize MaxSize DesiredCapacity DefaultCooldown \
    AvailabilityZones AvailabilityZoneIds LoadBalancerNames TargetGroupARNs HealthCheckType HealthCheckGracePeriod PlacementGroup \
    VPCZoneIdentifier TerminationPolicies NewInstancesProtectedFromScaleIn CapacityRebalance LifecycleHookSpecificationList \
    DeletionProtection Tags ServiceLinkedRoleARN MaxInstanceLifetime Context DesiredCapacityType DefaultInstanceWarmup \
    TrafficSources InstanceMaintenancePolicy AvailabilityZoneDistribution AvailabilityZoneImpairmentPolicy \
    SkipZonalShiftValidation InstanceLifecyclePolicy LifecycleHookName LifecycleTransition RoleARN NotificationTargetARN \
    NotificationMetadata HeartbeatTimeout DefaultResult";

/// How others release a version: `deploymentConfiguration` of `CreateService` of ECS, the preferences of `StartInstanceRefresh`, CodeDeploy's
/// `CreateDeploymentConfig`, `update` of a Nomad job, Kamal's `boot`, Podman's and Watchtower's settings.
const RELEASE: &str = "deploymentConfiguration deploymentConfiguration.deploymentCircuitBreaker \
    deploymentConfiguration.deploymentCircuitBreaker.enable deploymentCircuitBreaker deploymentCircuitBreaker.rollback maximumPercent \
    minimumHealthyPercent deploymentConfiguration.maximumPercent deploymentConfiguration.minimumHealthyPercent \
    deploymentConfiguration.bakeTimeInMinutes bakeTimeInMinutes deploymentConfiguration.strategy deploymentConfiguration.alarms \
    canaryConfiguration canaryConfiguration.canaryPercent linearConfiguration.stepPercent deploymentController deploymentController.type \
    instanceRefresh InstanceWarmup MinHealthyPercentage MaxHealthyPercentage CheckpointPercentages CheckpointDelay AutoRollback \
    AlarmSpecification BakeTime minimumHealthyHosts update.max_parallel update.stagger update.canary update.min_healthy_time \
    update.healthy_deadline update.progress_deadline update.auto_revert update.auto_promote min_healthy_time healthy_deadline \
    progress_deadline canary auto_revert auto_promote max_parallel boot.limit boot.wait readiness_delay deploy_timeout drain_timeout \
    deploy.update_config.delay deploy.update_config.failure_action deploy.update_config.monitor \
    deploy.update_config.max_failure_ratio deploy.update_config.order update_config.order auto_update AutoUpdate poll_interval";

fn words() -> impl Iterator<Item = &'static str> {
    [DOCKER_RUN, COMPOSE, ECS, GROUP, NETWORK, RELEASE].into_iter().flat_map(str::split_whitespace)
}

/// A word in every spelling.
fn spellings(word: &str) -> Vec<String> {
    if word.starts_with('-') {
        return vec![word.to_owned()];
    }
    let mut parts: Vec<Vec<String>> = Vec::new();
    for segment in word.split('.') {
        let mut humps: Vec<String> = vec![String::new()];
        for char in segment.chars() {
            let is_hump =
                char.is_ascii_uppercase() && humps.last().is_some_and(|hump| !hump.ends_with(char::is_uppercase));
            if "-_".contains(char) || is_hump {
                humps.push(String::new());
            }
            humps.last_mut().unwrap().extend(Some(char.to_ascii_lowercase()).filter(|char| !"-_".contains(*char)));
        }
        parts.push(humps.into_iter().filter(|hump| !hump.is_empty()).collect());
    }
    let capital = |hump: &String| hump[..1].to_uppercase() + &hump[1..];
    let joined = |of: &dyn Fn(&Vec<String>) -> String| parts.iter().map(of).collect::<Vec<_>>().join(".");
    let pascal = joined(&|humps| humps.iter().map(capital).collect());
    let camel = joined(&|humps| humps[0].clone() + &humps[1..].iter().map(capital).collect::<String>());
    let kebab = joined(&|humps| humps.join("-"));
    vec![word.to_owned(), joined(&|humps| humps.join("_")), camel, pascal, format!("--{kebab}"), kebab]
}

#[test]
fn every_word_of_docker_compose_ecs_and_the_group_gets_an_answer_in_every_spelling() {
    assert!(words().count() > 350);
    let mut silent = Vec::new();
    for word in words() {
        for spelling in spellings(word).into_iter().filter(|spelling| Key::find(spelling).is_none()) {
            let unknown = Key::unknown(&spelling);
            let is_answered = unknown.meant.is_some()
                || unknown.reason.contains("and berth has no equivalent: ")
                || unknown.reason.starts_with("needs a name: ");
            if !is_answered {
                silent.push(format!("{spelling}: {}", unknown.reason));
            }
        }
    }
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}

#[test]
fn what_berth_calls_it_is_a_key() {
    for row in all() {
        assert!(!row.advice.is_empty() || row.key.is_some(), "{}", row.words);
        for key in row.key.iter() {
            assert!(keys::all().any(|known| known.name == *key), "{key} for {}", row.words);
        }
        // The advice only names keys that exist.
        for piece in row.advice.split('`').skip(1).step_by(2) {
            let name = piece.split(['=', ':']).next().unwrap();
            let is_key = piece.contains('=') && name.bytes().all(|b| b.is_ascii_lowercase() || b"._".contains(&b));
            let is_value = ["nofile"].contains(&name);
            assert!(!is_key || is_value || Key::find(name).is_some(), "`{piece}` for {}", row.words);
        }
    }
}

#[test]
fn no_word_is_listed_twice_or_hides_a_key() {
    let mut seen = std::collections::BTreeSet::new();
    for word in all().flat_map(|row| row.words.split_whitespace()) {
        let folded = if word.starts_with('-') { word.to_owned() } else { fold(word) };
        assert!(seen.insert(folded.clone()), "{word} is there twice");
        assert!(!keys::all().any(|key| fold(key.name) == folded), "{word} is a key");
    }
}

#[test]
fn a_word_of_others_is_answered_with_the_key_that_says_it() {
    for (written, reported) in [
        (
            "healthcheck",
            "unknown key: berth calls it `health`; `/path` for HTTP, `cmd:…` for a command, `docker` for the image's own",
        ),
        ("environment", "unknown key: berth calls it `env.NAME`; one key for each variable"),
        ("environment.LOG_LEVEL", "unknown key: berth calls it `env.LOG_LEVEL`; one key for each variable"),
        ("enviroment", "unknown key: berth calls it `env.NAME`; one key for each variable"),
        ("--add-host", "unknown key: berth calls it `extra_hosts`; `NAME:ADDRESS`"),
        ("addHost", "unknown key: berth calls it `extra_hosts`; `NAME:ADDRESS`"),
        ("-p", "unknown key: berth calls it `port`; `PORT`, `HOST:CONTAINER`, or with `/udp`"),
        (
            "-P",
            "unknown key, and berth has no equivalent: name the ports in `port=`; `0:8080` lets the engine choose the host's port",
        ),
        ("stopTimeout", "unknown key, did you mean `stop_timeout`?"),
        ("--read-only", "unknown key, did you mean `read_only`?"),
        ("HTTPS_PROXY", "unknown key, did you mean `https_proxy`?"),
        ("NO_PROXY", "unknown key, did you mean `no_proxy`?"),
        (
            "http_proxy",
            "unknown key: berth calls it `https_proxy`; AWS's endpoints are `https://`; the app gets its own in `env.HTTPS_PROXY=…`",
        ),
        ("AWS_CA_BUNDLE", "unknown key: berth calls it `ca_bundle`; the path of a PEM file on the host"),
        ("aws.use_fips_endpoint", "unknown key: berth calls it `aws.fips`"),
        ("aws.use_dualstack_endpoint", "unknown key: berth calls it `aws.dual_stack`"),
        ("aws.dualstack", "unknown key, did you mean `aws.dual_stack`?"),
        ("log-opt.max-size", "unknown key, did you mean `log_opt.max-size`?"),
        (
            "logConfiguration.options.awslogs-group",
            "unknown key: berth calls it `log_opt.awslogs-group`; one key for each option",
        ),
        ("deploy.resources.limits.memory", "unknown key: berth calls it `memory`; with a unit, `512m`"),
        (
            "restart",
            "unknown key: berth calls it `restart.limit`; berth itself restarts the app, and this is how often within `restart.window`",
        ),
        ("update.min_healthy_time", "unknown key: berth calls it `release.healthy_for`; with a unit, `10s`"),
        (
            "minimumHealthyPercent",
            "unknown key: berth calls it `release.max_parallel`; a number of instances that release at once; \
             `release.waves=` takes percentages of the fleet",
        ),
        (
            "boot.limit",
            "unknown key: berth calls it `release.max_parallel`; instances that release at once; it needs `release.board`",
        ),
        ("dependsOn", "unknown key, and berth has no equivalent: one container runs on an instance"),
        ("services.web.image", "unknown key: write `image` at the top level"),
        ("services.web.environment.A", "unknown key: write `env.A` at the top level"),
        ("Containers.HealthCheck.Interval", "unknown key: write `probe.interval` at the top level"),
    ] {
        assert_eq!(Key::unknown(written).reason, reported, "{written}");
    }
}
