//! What the agent itself decides: a boot that takes too long, an app that does not become healthy; and what `/ready` says of it.

use std::time::Duration;

use berth_core::message::container::Exit;
use berth_core::message::error::ErrorClass;
use berth_core::message::failure_reason::FailureReason;
use berth_core::message::probe_failure::ProbeFailureKind;
use berth_core::message::target::Target;
use berth_core::view::ReadyReason;

use super::{Advice, Row, Section, entry, rows};

/// The sentences of `/ready` that stand for something to do, and where that is said.
pub(super) fn reasons() -> Vec<(&'static str, Section)> {
    let find = |reason: ReadyReason| section(reason).map(|section| (reason.sentence(), section));
    ReadyReason::ALL.iter().copied().filter_map(find).collect()
}

fn section(reason: ReadyReason) -> Option<Section> {
    match reason {
        ReadyReason::ConfigUnavailable | ReadyReason::ConfigInvalid => Some(Section::Config),
        ReadyReason::WaitingForMetadata | ReadyReason::MetadataUnavailable => Some(Section::Metadata),
        ReadyReason::AccessDenied => Some(Section::Denied),
        ReadyReason::FetchingSecrets | ReadyReason::SecretsUnavailable => Some(Section::Secrets),
        ReadyReason::LoggingIn
        | ReadyReason::LookingUpImage
        | ReadyReason::PullingImage
        | ReadyReason::ImageUnavailable => Some(Section::Image),
        ReadyReason::WaitingForEngine | ReadyReason::EngineUnavailable => Some(Section::Engine),
        ReadyReason::WaitingForPaths | ReadyReason::ContainerNotCreated | ReadyReason::ContainerNotStarted => {
            Some(Section::Container)
        }
        ReadyReason::NotHealthyYet
        | ReadyReason::AppUnhealthy
        | ReadyReason::AppExited
        | ReadyReason::RestartLimitReached
        | ReadyReason::NeverHealthy
        | ReadyReason::NotHealthyInTime
        | ReadyReason::BootTimedOut => Some(Section::Health),
        ReadyReason::LaunchHookRefused => Some(Section::Group),
        ReadyReason::TargetNotHealthy | ReadyReason::TargetRefused => Some(Section::LoadBalancer),
        ReadyReason::ListenAddressUnavailable => Some(Section::Agent),
        // On the way, healthy, or asked to leave.
        ReadyReason::Starting
        | ReadyReason::ReadingConfig
        | ReadyReason::BindingListenAddress
        | ReadyReason::CheckingContainers
        | ReadyReason::CreatingContainer
        | ReadyReason::StartingApp
        | ReadyReason::Healthy
        | ReadyReason::RestartingForSecrets
        | ReadyReason::ReleaseMoves
        | ReadyReason::Standby
        | ReadyReason::Warm
        | ReadyReason::Terminating
        | ReadyReason::ReturningToWarmPool
        | ReadyReason::ReplacingRootVolume
        | ReadyReason::SpotInterruption
        | ReadyReason::RebalanceRecommended
        | ReadyReason::MaintenanceScheduled
        | ReadyReason::AgentStopping
        | ReadyReason::DrainRequested
        | ReadyReason::Exiting => None,
    }
}

fn last() -> String {
    "LAST PROBE".to_owned()
}

fn exit(code: i64, oom_killed: bool) -> Exit {
    Exit { code, oom_killed }
}

fn target() -> Target {
    let arn = "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/NAME/ID";
    Target { target_group: arn.to_owned(), port: 8080 }
}

const EXITED: Advice = entry(
    Section::Health,
    "The app ended by itself. Its exit code is in [exit-codes.md](exit-codes.md#the-apps-exit-codes) where it is not the app's own.",
    "read its last lines: they are in the log, on the console and in `berth status`.",
    &["berth status", "docker logs --tail 100 berth-NAME"],
);

rows! { boots, FailureReason, |_| None;
    FailureReason::NotHealthyInTime { .. }, FailureReason::NotHealthyInTime { limit: Duration::from_secs(120), last: last() } => entry(
        Section::Health,
        "The app ran for `probe.start_timeout` and no probe passed. What the last probe saw is behind the colon.",
        "`health` must name what the app answers to: its port, its path, without a login. If the app is only slow, give it more \
         `probe.start_timeout` (and `boot.timeout`). With `boot.on_failure=hold` the instance stays for a look:",
        &["berth status", "docker logs --tail 100 berth-NAME"],
    );
    FailureReason::BootTimedOut { .. }, FailureReason::BootTimedOut { limit: Duration::from_secs(600), last: "LAST STEP".to_owned() } => entry(
        Section::Health,
        "The boot took longer than `boot.timeout`. What it waited for, and the last error of that, are behind the colon.",
        "search this page for that error. `berth timeline` shows where the time went; a slow pull wants a smaller image, `berth bake`, or \
         a longer `boot.timeout`.",
        &["berth timeline"],
    );
    FailureReason::NoHealthcheck, FailureReason::NoHealthcheck => entry(
        Section::Health,
        "`health=docker` runs the HEALTHCHECK of the image, and there is none.",
        "add one to the image, or choose another `health`.",
        &["docker image inspect --format '{{.Config.Healthcheck}}' IMAGE"],
    );
    FailureReason::NeverHealthy { .. }, FailureReason::NeverHealthy { failure: "PROBE".to_owned() } => entry(
        Section::Health,
        "The probe failed in a way that no later one changes: see the kinds below.",
        "change `health`, or what it asks.",
        &["berth check --all"],
    );
    FailureReason::NotStarted { .. }, FailureReason::NotStarted { answer: "MESSAGE".to_owned() } => entry(
        Section::Container,
        "The container exists and the engine does not start it. MESSAGE is the engine's answer.",
        "search this page for it.",
        &[],
    );
    FailureReason::Exited { exit: Exit { oom_killed: true, .. } }, FailureReason::Exited { exit: exit(137, true) } => entry(
        Section::Health,
        "The app used more memory than `memory` allows, and the kernel killed it.",
        "raise `memory`, or tell the app how much it has (`-XX:MaxRAMPercentage`, `NODE_OPTIONS=--max-old-space-size`).",
        &["docker stats --no-stream"],
    );
    FailureReason::Exited { exit: Exit { code: 126 | 127, .. } }, FailureReason::Exited { exit: exit(127, false) } => entry(
        Section::Health,
        "The program of the app, or the interpreter that its first line names, is not in the image or cannot be executed. At the first \
         start this fails the boot at once.",
        "correct `command` or `entrypoint`, and the architecture of the image.",
        &["docker image inspect --format '{{.Architecture}} {{.Config.Entrypoint}} {{.Config.Cmd}}' IMAGE"],
    );
    FailureReason::Exited { .. }, FailureReason::Exited { exit: exit(1, false) } => EXITED;
    FailureReason::ExitedTooSoon { .. }, FailureReason::ExitedTooSoon { exit: exit(1, false), running_for: Duration::from_secs(5) } => EXITED;
    FailureReason::TargetNotHealthy { .. }, FailureReason::TargetNotHealthy {
        target: target(),
        proving: Duration::from_secs(300),
        boot: Duration::from_secs(600),
        last: "LAST ANSWER".to_owned(),
    } => entry(
        Section::LoadBalancer,
        "The instance is registered and the app is healthy, and the load balancer does not say so. What it said last is behind the colon, \
         with AWS's code: [what each means](target-groups.md#what-the-load-balancer-says).",
        "most often it is the security group of the instance (`Target.Timeout`), or the path and the port of the target group's health \
         check (`Target.ResponseCodeMismatch`).",
        &["berth status", "aws elbv2 describe-target-health --target-group-arn ARN"],
    );
    FailureReason::TargetRefused { .. }, FailureReason::TargetRefused { target: target(), answer: "ANSWER".to_owned() } => entry(
        Section::LoadBalancer,
        "AWS refuses to register the instance, or to say how its target is. ANSWER is its answer.",
        "if the role may not do it, add the statement `BerthTargets` that `berth policy` prints; else check the ARN in `target_groups`.",
        &["berth doctor", "berth policy"],
    );
    FailureReason::PortsRefused { .. }, FailureReason::PortsRefused { answer: "ANSWER".to_owned() } => entry(
        Section::LoadBalancer,
        "berth chooses the host port and may not ask the load balancer which ports it still uses, or the engine which are taken.",
        "add the statement `BerthTargets` that `berth policy` prints, or give `port` a host port.",
        &["berth doctor", "berth policy"],
    );
    FailureReason::NotPublished { .. }, FailureReason::NotPublished { port: 8080, target_group: "NAME".to_owned() } => entry(
        Section::LoadBalancer,
        "The container runs, and the engine has not published the port that its target needs, or on loopback only.",
        "publish it in `port`.",
        &["docker port berth-NAME"],
    );
    FailureReason::AttachedWithOpenPort { .. }, FailureReason::AttachedWithOpenPort { target_group: "NAME".to_owned() } => entry(
        Section::LoadBalancer,
        "A target group that is attached to the Auto Scaling group has its instances registered on the target group's own port. With a host port \
         that berth chooses nothing listens there.",
        "detach the target group from the Auto Scaling group, so that berth registers the instance, or write `port=8080` or `port=80:8080`.",
        &["aws autoscaling describe-traffic-sources --auto-scaling-group-name ap-api"],
    );
    FailureReason::GroupNotDescribed { .. }, FailureReason::GroupNotDescribed { last: "LAST ERROR".to_owned() } => entry(
        Section::LoadBalancer,
        "The group could not be asked which target groups it attaches by itself, until `boot.timeout`. The last error is behind the colon.",
        "search this page for it.",
        &[],
    );
    FailureReason::TooManyRestarts { .. }, FailureReason::TooManyRestarts {
        reason: "the app exited with code 1".to_owned(),
        restarts: 5,
        window: Duration::from_secs(600),
    } => EXITED;
}

/// What a probe saw, by its kind; `berth status --json` has the same words as `kind`.
pub(super) fn probes() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut kind = Some(ProbeFailureKind::NotRunning);
    while let Some(this) = kind {
        let (text, next) = probe(this);
        let class = this.lasting_after().map(|_| ErrorClass::Misconfigured);
        rows.push(Row { text: text.0.to_owned(), also: &[], class, has_source: false, advice: text.1 });
        kind = next;
    }
    rows
}

/// The sentence and what to do; then the next kind.
fn probe(kind: ProbeFailureKind) -> ((&'static str, Advice), Option<ProbeFailureKind>) {
    use ProbeFailureKind as Kind;
    let entry = |means, todo, commands| entry(Section::Health, means, todo, commands);
    match kind {
        Kind::NotRunning => (
            (
                "the container does not run, or is on no network",
                entry(
                    "The app has exited, or somebody disconnected the container.",
                    "see how it exited.",
                    &["berth status", "docker ps --all"],
                ),
            ),
            Some(Kind::Refused),
        ),
        Kind::Refused => (
            (
                "ADDRESS: connection refused",
                entry(
                    "The app runs and does not listen there: on another port, only on `127.0.0.1` inside of the container, or not yet.",
                    "listen on `0.0.0.0` (or `[::]`), on the container's side of `port`.",
                    &["docker exec berth-NAME ss -lnt    # if the image has it"],
                ),
            ),
            Some(Kind::TimedOut),
        ),
        Kind::TimedOut => (
            (
                "no answer within 2 s",
                entry(
                    "The app took longer than `probe.timeout`: it is still starting, has too little CPU, or its health path waits for a database.",
                    "make the health path cheap, or raise `probe.timeout`.",
                    &["docker stats --no-stream", "curl -m 10 -w '%{time_total}\\n' http://ADDRESS/health"],
                ),
            ),
            Some(Kind::Unreachable),
        ),
        Kind::Unreachable => (
            (
                "ADDRESS: host unreachable",
                entry(
                    "The host cannot reach the network of the container: a firewall of the host, or a network that was removed.",
                    "look at the packet filter and the networks.",
                    &["iptables -S", "docker network ls"],
                ),
            ),
            Some(Kind::Tls),
        ),
        Kind::Tls => (
            (
                "TLS handshake with ADDRESS failed: REASON",
                entry(
                    "`health=https://…` asks with TLS, and what listens there does not speak it, or wants a certificate of the client or \
                     another name. The certificate itself is not checked, as load balancers do not.",
                    "use `http`, the right port, or `probe.host` for the name.",
                    &["openssl s_client -connect ADDRESS </dev/null"],
                ),
            ),
            Some(Kind::NotHttp),
        ),
        Kind::NotHttp => (
            (
                "ADDRESS speaks no HTTP: REASON",
                entry(
                    "Something listens there, and what it answers is not HTTP: another protocol, TLS, or another port of the app.",
                    "set `health` to what is there: `tcp`, another port, or a path with TLS.",
                    &["curl -v http://ADDRESS/"],
                ),
            ),
            Some(Kind::Status),
        ),
        Kind::Status => (
            (
                "PATH answers 404",
                entry(
                    "The app answers, and with a status that does not count as healthy. 200 to 399 do, unless the config says otherwise.",
                    "correct the path of `health`; 401 and 403 mean that it wants a login, 400 often that it wants another `Host` header. ADDRESS is `127.0.0.1` and the host port of `port`.",
                    &["curl -si http://ADDRESS/PATH"],
                ),
            ),
            Some(Kind::CommandFailed),
        ),
        Kind::CommandFailed => (
            (
                "PROGRAM exits with 1",
                entry(
                    "The command of `health=cmd:`, or of the HEALTHCHECK, says that the app is not healthy.",
                    "run it by hand:",
                    &["docker exec berth-NAME PROGRAM; echo $?"],
                ),
            ),
            Some(Kind::CommandNotFound),
        ),
        Kind::CommandNotFound => (
            (
                "PROGRAM exits with 127: it, or a program that it runs, is not in the container or not executable",
                entry(
                    "The image does not have the program that the probe runs, often `curl` or a shell.",
                    "use `health=/path` or `health=tcp`, which need nothing in the image, or add the program.",
                    &[],
                ),
            ),
            Some(Kind::Engine),
        ),
        Kind::Engine => (
            (
                "PROGRAM: cannot run a command in the container: MESSAGE",
                entry(
                    "The engine could not run the command of the probe.",
                    "search this page for MESSAGE.",
                    &["journalctl -u docker --boot --lines 50"],
                ),
            ),
            Some(Kind::NoHealthcheck),
        ),
        Kind::NoHealthcheck => (
            (
                "the image has no HEALTHCHECK",
                entry(
                    "`health=docker` runs the HEALTHCHECK of the image, and there is none.",
                    "add one to the image, or choose another `health`.",
                    &[],
                ),
            ),
            Some(Kind::NoPort),
        ),
        Kind::NoPort => (
            (
                "the config has no TCP port to probe",
                entry(
                    "`health` asks the first TCP port of `port`, and there is none.",
                    "set `port`, or `health=tcp:PORT`, `health=cmd:…` or `health=none`.",
                    &[],
                ),
            ),
            Some(Kind::NoAddress),
        ),
        Kind::NoAddress => (
            (
                "the container has no address of its own; probe it with health=cmd:…",
                entry(
                    "With this `network` the container has no address that the host could ask.",
                    "use `health=cmd:…`, which runs inside of the container.",
                    &[],
                ),
            ),
            Some(Kind::InvalidTarget),
        ),
        Kind::InvalidTarget => (
            (
                "ADDRESS is neither an IP address nor localhost",
                entry(
                    "`health=http://…` names something that the probe cannot ask: it looks no name up.",
                    "write an IP address or `localhost`; `berth check` finds this before an instance boots.",
                    &["berth check user-data.sh"],
                ),
            ),
            None,
        ),
    }
}
