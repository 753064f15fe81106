//! The words of `docker run`, of compose, of ECS task definitions, and of launch templates and Auto Scaling groups: which key of
//! berth says the same, or that none does and what to do instead. A word is known in every spelling: `add-host`, `add_host`,
//! `addHost`, `AddHost`, `--add-host`.

/// What a word means here.
pub(crate) struct Meaning {
    /// The key that says it, as it would be written here; none if there is none.
    pub(crate) key: Option<String>,
    /// How its value differs, or what to do without a key; may be empty if there is a key.
    pub(crate) advice: &'static str,
}

/// Words that mean the same.
struct Row {
    /// Separated by spaces; dots are tables. Of one letter only as options: `-p` and `-P` are two.
    words: &'static str,
    key: Option<&'static str>,
    advice: &'static str,
}

const fn key(words: &'static str, key: &'static str, advice: &'static str) -> Row {
    Row { words, key: Some(key), advice }
}

const fn none(words: &'static str, advice: &'static str) -> Row {
    Row { words, key: None, advice }
}

/// No word is longer by far; also bounds the work.
const LONGEST: usize = 100;

/// Nor does any lie deeper.
const DEEPEST: usize = 8;

const ONE_CONTAINER: &str = "one container runs on an instance";
const NO_TERMINAL: &str = "an agent runs the container, and no terminal is attached to it: leave it out";
const NETWORKING: &str = "join a network of the engine with `network=`; create it before, with `docker network create`";
const CPU: &str = "`cpus=` limits the CPU time";
const BLOCK_IO: &str = "limit the volume itself, in EBS";
const WINDOWS: &str = "it is for Windows containers, which berth does not run";
const KERNEL: &str = "the engine's default holds (`/etc/docker/daemon.json`)";
const VOLUME: &str = "`SOURCE:TARGET` or `SOURCE:TARGET:ro`";
const MOUNTED: &str = "mount it on the instance (`/etc/fstab`), and give its path in `volumes=` and in `after=`";
const NAMED: &str = "create the volume before, with `docker volume create`, and give its name in `volumes=`";
const IN_GROUP: &str = "set it on the Auto Scaling group";
const IN_HOOK: &str = "set it on the lifecycle hook";
const IN_TEMPLATE: &str = "set it in the launch template";
const ROLE: &str = "the role of the instance profile is used; `berth policy` prints the policy that it needs";
const REFRESH: &str = "the Auto Scaling group replaces instances, with an instance refresh";
const CAPACITY: &str = "the Auto Scaling group's capacity says how many instances there are";

/// Every word, in the order of the table of keys; those without a key last.
static ROWS: &[Row] = &[
    key("container_name family", "name", "the container is then `berth-NAME`"),
    key("publish -p portMappings", "port", "`PORT`, `HOST:CONTAINER`, or with `/udp`"),
    key(
        "healthcheck health_cmd healthcheck.test healthcheck.command",
        "health",
        "`/path` for HTTP, `cmd:…` for a command, `docker` for the image's own",
    ),
    key("no_healthcheck healthcheck.disable", "health", "`health=none`"),
    key("health_interval healthcheck.interval", "probe.interval", ""),
    key("health_timeout healthcheck.timeout", "probe.timeout", ""),
    key("health_retries healthcheck.retries", "probe.unhealthy", ""),
    key(
        "health_start_period healthcheck.start_period startTimeout",
        "probe.start_timeout",
        "the time within which the app must become healthy",
    ),
    key("environment -e", "env.NAME", "one key for each variable"),
    key("valueFrom", "secret.NAME", "one key for each variable, with the reference as its value"),
    key("repositoryCredentials credentialsParameter", "registry_auth", "the name or ARN of the secret"),
    key("working_dir workingDirectory -w", "workdir", ""),
    key("-u", "user", ""),
    key("volume -v mount mountPoints bind host.sourcePath", "volumes", VOLUME),
    key("linuxParameters.tmpfs", "tmpfs", "`/PATH:size=64m`"),
    key("readonlyRootFilesystem", "read_only", ""),
    key("mem_limit -m memory_limit deploy.resources.limits.memory", "memory", "with a unit, `512m`"),
    key("memswap_limit linuxParameters.maxSwap", "memory_swap", "memory and swap together, `1g`"),
    key("cpu cpu_count deploy.resources.limits.cpus", "cpus", "in CPUs: 1024 CPU units of ECS are `1`"),
    key("deploy.resources.limits.pids", "pids_limit", ""),
    key("ulimit", "ulimits", "`nofile=SOFT:HARD`"),
    key("linuxParameters.capabilities.add capabilities.add", "cap_add", ""),
    key("linuxParameters.capabilities.drop capabilities.drop", "cap_drop", ""),
    key("dockerSecurityOptions", "security_opt", ""),
    key("sysctl systemControls", "sysctls", "`NAME=VALUE`"),
    key("device linuxParameters.devices", "devices", "`HOST:CONTAINER:rwm`"),
    key("deploy.resources.reservations.devices resourceRequirements", "gpus", "`all`, or a number"),
    key("net network_mode networks", "network", "one network"),
    key("disableNetworking", "network", "`network=none`"),
    key("-h", "hostname", ""),
    key("add_host", "extra_hosts", "`NAME:ADDRESS`"),
    key("dnsServers", "dns", ""),
    key("dnsSearchDomains", "dns_search", ""),
    key("ipcMode", "ipc", ""),
    key("pidMode", "pid", ""),
    key("runtimePlatform", "platform", "`linux/amd64` or `linux/arm64`"),
    key("linuxParameters.sharedMemorySize", "shm_size", "with a unit: MiB of ECS are `m`"),
    key("label -l dockerLabels deploy.labels", "labels", "`NAME=VALUE`"),
    key("linuxParameters.initProcessEnabled", "init", ""),
    key(
        "logging logConfiguration logging.driver logConfiguration.logDriver",
        "log_driver",
        "options are `log_opt.NAME`",
    ),
    key("logging.options logConfiguration.options", "log_opt.NAME", "one key for each option"),
    key(
        "restart restart_policy restartPolicy.restartAttemptPeriod deploy.restart_policy deploy.restart_policy.max_attempts",
        "restart.limit",
        "berth itself restarts the app, and this is how often within `restart.window`",
    ),
    key("deploy.restart_policy.delay", "restart.backoff", ""),
    key("deploy.restart_policy.window", "restart.window", ""),
    key("stop_grace_period", "stop_timeout", "with a unit, `30s`"),
    key("autoScalingGroupName auto_scaling_group asg_name", "lifecycle.group", "discovered if it is left out"),
    key(
        "lifecycleHookName lifecycleHookSpecificationList",
        "lifecycle.launch_hook",
        "or `lifecycle.terminate_hook`; both are discovered if they are left out",
    ),
    key(
        "capacityRebalance",
        "rebalance",
        "`drain` or `ignore`; that the group replaces the instance is set on the group",
    ),
    key("include extends", "config", "`ssm:NAME` or `secretsmanager:NAME` holds more keys"),
    key(
        "http_proxy all_proxy proxy proxy_url aws.https_proxy aws.http_proxy aws.proxy",
        "https_proxy",
        "AWS's endpoints are `https://`; the app gets its own in `env.HTTPS_PROXY=…`",
    ),
    key("proxy_exclude aws.no_proxy", "no_proxy", ""),
    key("aws_ca_bundle aws.ca_bundle ssl_cert_file", "ca_bundle", "the path of a PEM file on the host"),
    key("use_fips_endpoint aws_use_fips_endpoint aws.use_fips_endpoint", "aws.fips", ""),
    key("use_dualstack_endpoint aws_use_dualstack_endpoint aws.use_dualstack_endpoint", "aws.dual_stack", ""),
    // docker run and compose, without a key.
    none("expose", "a port that other hosts do not connect to needs no key; `port=` publishes one"),
    none("publish_all -P", "name the ports in `port=`; `0:8080` lets the engine choose the host's port"),
    none("health_start_interval healthcheck.start_interval", "an app that starts is probed every 100 ms"),
    none(
        "env_file environmentFiles",
        "write each variable as `env.NAME=…`, or keep them all in one document that `config=` points to",
    ),
    none("label_file", "write the labels in `labels=`"),
    none("volumes_from", "give each path in `volumes=`"),
    none("volume_driver dockerVolumeConfiguration", NAMED),
    none("efsVolumeConfiguration s3filesVolumeConfiguration", MOUNTED),
    none(
        "configs",
        "put the file into the image, or on the instance and into `volumes=`; `secrets_as=files` delivers secrets as files",
    ),
    none(
        "memory_reservation mem_reservation deploy.resources.reservations.memory deploy.resources.reservations.cpus",
        "one container runs on an instance, so nothing is reserved: `memory=` and `cpus=` are limits",
    ),
    none("mem_swappiness memory_swappiness linuxParameters.swappiness", "set `vm.swappiness` on the instance"),
    none("kernel_memory oom_kill_disable oom_score_adj", "`memory=` is the limit; the kernel kills what is above it"),
    none("cpu_shares -c cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpuset cpuset_cpus cpuset_mems", CPU),
    none(
        "blkio_weight blkio_weight_device blkio_config device_read_bps device_read_iops device_write_bps device_write_iops",
        BLOCK_IO,
    ),
    none("device_cgroup_rule device_cgroup_rules", "give the device in `devices=`, with its permissions"),
    none("deploy.resources.reservations.generic_resources deploy.resources.reservations", "`gpus=` gives GPUs"),
    none("deploy.resources.limits deploy.resources", "`memory=` and `cpus=` are limits"),
    none("network_alias net_alias link links external_links link_local_ip ip ip6 mac_address", NETWORKING),
    none("dns_opt dns_option", "set it in the engine: `dns-opts` in `/etc/docker/daemon.json`"),
    none("domainname", "write the whole name in `hostname=`"),
    none(
        "cgroupns cgroup cgroup_parent userns userns_mode uts storage_opt disable_content_trust use_api_socket",
        KERNEL,
    ),
    none("annotation annotations", "`labels=` puts labels on the container"),
    none("firelensConfiguration", "send to a log router that runs elsewhere, with `log_driver=fluentd`"),
    none("logConfiguration.secretOptions", "a log driver takes plain options only"),
    none(
        "attach -a detach -d detach_keys interactive -i stdin_open tty -t pseudoTerminal sig_proxy cidfile help quiet -q",
        NO_TERMINAL,
    ),
    none("rm", "berth removes the container when it is replaced: leave it out"),
    none("pull pull_policy pull_refresh_after", "an image is pulled unless the instance has its digest"),
    none("versionConsistency", "a tag is resolved to a digest at each boot; `image=…@sha256:…` is always the same"),
    none(
        "restartPolicy.ignoredExitCodes deploy.restart_policy.condition",
        "an app that exits is restarted, whatever its exit code",
    ),
    none(
        "cpu_percent io_maxbandwidth io_maxiops isolation credential_spec credentialSpecs fsxWindowsFileServerVolumeConfiguration",
        WINDOWS,
    ),
    none("build", "build the image before and push it: `image=` names it"),
    none("depends_on essential container_dependencies", ONE_CONTAINER),
    none(
        "services containerDefinitions",
        "one container runs on an instance: its keys are top-level keys, `image`, `port`, …",
    ),
    none("scale deploy.replicas deploy.mode deploy.placement deploy.endpoint_mode placementConstraints", CAPACITY),
    none("deploy.update_config deploy.rollback_config", REFRESH),
    none("deploy profiles develop", "leave it out: the AMI and the launch template say what runs where"),
    none("models provider", "an app that needs another service is given its address, in `env.NAME=…`"),
    none(
        "post_start pre_stop",
        "do it in the image's entrypoint; the app gets `stop_signal` and has `stop_timeout` to end",
    ),
    none("version", "leave it out: the version that runs is the image's tag or digest"),
    // A task definition, without a key.
    none("taskRoleArn executionRoleArn", ROLE),
    none(
        "requiresCompatibilities ephemeralStorage enableFaultInjection inferenceAccelerators",
        "the instance type and the AMI say it: leave it out",
    ),
    none("proxyConfiguration", "run the proxy on the instance, in the AMI"),
    none("configuredAtLaunch", "volumes are the instance's: add them to the launch template"),
    // Launch templates and Auto Scaling groups.
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
    none(
        "targetGroupARNs loadBalancers loadBalancerNames trafficSources",
        "attach it to the Auto Scaling group; the load balancer's health check asks `/ready`",
    ),
    none("heartbeatTimeout", "set it on the lifecycle hook; berth extends it, every `lifecycle.heartbeat`"),
    none("lifecycleTransition defaultResult notificationMetadata notificationTargetARN roleARN", IN_HOOK),
];

/// What this word means here; what stands below a word of a table of keys is its NAME.
pub(crate) fn find(written: &str) -> Option<Meaning> {
    if written.len() > LONGEST || written.matches('.').count() > DEEPEST {
        return None;
    }
    if written.len() == 2 && written.starts_with('-') {
        return row(|word| word == written).map(|row| row.meaning(None));
    }
    heads(written).find_map(|head| {
        let row = row(|word| is_same(word, head))?;
        let tail = written.get(head.len() + 1..);
        // What stands below these is better known by its own name.
        let is_holder = |holder: &&str| is_same(holder, head);
        if tail.is_some() && ["services", "containerDefinitions", "userData"].iter().any(is_holder) {
            return None;
        }
        Some(row.meaning(tail))
    })
}

/// The same for a word that is one typo away.
pub(crate) fn find_near(written: &str) -> Option<Meaning> {
    const SHORTEST: usize = 6;
    if written.len() > LONGEST {
        return None;
    }
    let folded: String = folded(written).collect();
    let near = |word: &str| word.len() >= SHORTEST && strsim::osa_distance(&fold(word), &folded) == 1;
    row(near).map(|row| row.meaning(None))
}

/// Whether a document with this at its top is for a container, and for nothing else.
pub(crate) fn is_certain(written: &str) -> bool {
    ["healthcheck", "containerDefinitions", "portMappings"].iter().any(|certain| is_same(certain, written))
}

impl Row {
    fn meaning(&self, tail: Option<&str>) -> Meaning {
        let key = self.key.map(|key| match (key.strip_suffix("NAME"), tail) {
            (Some(table), Some(tail)) if !tail.is_empty() => format!("{table}{}", crate::value::text::shown(tail)),
            _ => key.to_owned(),
        });
        Meaning { key, advice: self.advice }
    }
}

fn row(is_it: impl Fn(&str) -> bool) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.words.split_whitespace().any(&is_it))
}

/// A path and what is above it, the longest first: `a.b.c`, `a.b`, `a`.
fn heads(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |head| head.rsplit_once('.').map(|(above, _)| above))
}

/// One spelling for all: `--add-host`, `add_host` and `addHost` are `addhost`.
pub(crate) fn fold(word: &str) -> String {
    folded(word).collect()
}

/// Whether two words differ in their spelling alone. A single letter is an option, and is not compared.
fn is_same(word: &str, written: &str) -> bool {
    !word.starts_with('-') && folded(word).eq(folded(written))
}

fn folded(word: &str) -> impl Iterator<Item = char> {
    let letters = word.trim_start_matches('-').chars().filter(|char| !"-_".contains(*char));
    letters.map(|char| char.to_ascii_lowercase())
}

#[cfg(test)]
mod tests;
