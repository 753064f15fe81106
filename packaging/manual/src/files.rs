//! Files and variables that pages of the manual name, each said once.

use crate::text::{Block, term};

/// A file or a variable, and what it is.
type Said = (&'static str, &'static str);

const CONFIG: Said = ("/etc/berth/berth.toml", "Defaults of the AMI for every key. See `berth.toml`(5).");
const SOCKET: Said = (
    "/run/berth/berth.sock",
    "The socket of the running agent, for root: `berth status` and the other commands ask it.",
);
const SECRETS: Said = (
    "/run/berth/secrets",
    "Secrets on their way into the container, on a tmpfs. Removed with the container that they were delivered to.",
);
const RECORD: Said = (
    "/var/lib/berth/last-life.json",
    "How the last life went and ended, for `berth status` and `berth timeline`. No boot reads it. It holds no secret.",
);
const CONSOLE: Said =
    ("/dev/console", "How a boot or a drain ended, and why, is written here too: EC2 shows it as the system log.");
const DOCKER: Said = ("/var/run/docker.sock", "The Docker Engine's socket, unless `DOCKER_HOST` names another.");
const UNIT: Said = ("/usr/lib/systemd/system/berth.service", "The unit. On Debian 12 and Ubuntu it is below `/lib`.");
const DRAIN_UNIT: Said = (
    "/usr/lib/systemd/system/berth-drain.service",
    "Drains at a shutdown, before the engine and the network stop. It has no process.",
);
const DROP_IN: Said = ("/etc/systemd/system/berth.service.d/", "Drop-ins, which win over the unit.");
const DOCUMENTATION: Said = ("/usr/share/doc/berth/", "The documentation, as Markdown.");

const LOG: Said = ("BERTH_LOG", "How much is logged: error, warn, info (default), debug or trace.");
const DOCKER_HOST: Said =
    ("DOCKER_HOST", "The Docker Engine's socket, `unix://…`. The default is `unix:///var/run/docker.sock`.");
const RUN_DIR: Said = ("RUNTIME_DIRECTORY", "Set by systemd: where the socket and the secrets are. `--run-dir` wins.");
const STATE_DIR: Said =
    ("STATE_DIRECTORY", "Set by systemd: where the record of the last life is. `--state-dir` wins.");
const NO_COLOR: Said = ("NO_COLOR", "No colour on a terminal.");
const REGION: Said = ("AWS_REGION, AWS_DEFAULT_REGION", "The region, instead of the instance's own.");
const KEYS: Said = (
    "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN",
    "Credentials, instead of those of the instance's role. Set both of the first two or neither.",
);
const PROFILE: Said = (
    "AWS_PROFILE, AWS_CONFIG_FILE, AWS_SHARED_CREDENTIALS_FILE",
    "Without keys in the environment: a profile of the AWS CLI, and where its two files are. The agent does not read them.",
);
const WEB_IDENTITY: Said = (
    "AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN, AWS_ROLE_SESSION_NAME",
    "Without a profile: the role of a web identity, as CI and Kubernetes set it. The agent does not read them.",
);
const CONTAINER: Said = (
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, AWS_CONTAINER_CREDENTIALS_FULL_URI, AWS_CONTAINER_AUTHORIZATION_TOKEN, \
     AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "Without a web identity: the container's role. The agent does not read them.",
);
const ENDPOINT: Said =
    ("AWS_ENDPOINT_URL", "One address for all AWS services, for tests. `AWS_ENDPOINT_URL_SERVICE` is for one of them.");
const IMDS: Said = (
    "AWS_EC2_METADATA_SERVICE_ENDPOINT, AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
    "Where the instance metadata is; the mode is IPv4 or IPv6.",
);
const PROXY: Said = (
    "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY",
    "The proxy for AWS, and what is reached without it; also in lower case. The keys `https_proxy` and `no_proxy` win. The instance metadata and \
     loopback are never proxied.",
);
const ROOTS: Said = (
    "AWS_CA_BUNDLE, SSL_CERT_FILE, SSL_CERT_DIR",
    "CA certificates, instead of those of the distribution; the first that is set counts, and the key `ca_bundle` before it.",
);
const VARIANTS: Said = (
    "AWS_USE_FIPS_ENDPOINT, AWS_USE_DUALSTACK_ENDPOINT",
    "`true` for AWS's FIPS or dual-stack endpoints. The keys `aws.fips` and `aws.dual_stack` win.",
);
const NOTIFY: Said =
    ("NOTIFY_SOCKET, WATCHDOG_USEC", "Set by systemd: where the agent reports that it is up, and that it is alive.");

/// What the page of a command names under FILES.
pub fn files_of(command: &str) -> Vec<Block> {
    let said: &[Said] = match command {
        "berth" => &[CONFIG, SOCKET, SECRETS, RECORD, DOCUMENTATION],
        "run" => &[CONFIG, SOCKET, SECRETS, RECORD, CONSOLE, DOCKER],
        "check" => &[CONFIG],
        "policy" => &[CONFIG],
        "bake" | "doctor" => &[CONFIG, DOCKER],
        "status" | "timeline" => &[SOCKET, RECORD],
        "exec" => &[SOCKET, DOCKER],
        "release publish" => &[DOCKER],
        "drain" | "wait" | "handover" => &[SOCKET],
        _ => &[],
    };
    blocks(said)
}

/// What the page of a command names under ENVIRONMENT.
pub fn environment_of(command: &str) -> Vec<Block> {
    let said: &[Said] = match command {
        "berth" => &[
            LOG,
            DOCKER_HOST,
            RUN_DIR,
            STATE_DIR,
            REGION,
            KEYS,
            ENDPOINT,
            VARIANTS,
            IMDS,
            PROXY,
            ROOTS,
            NOTIFY,
            NO_COLOR,
        ],
        "run" => &[LOG, DOCKER_HOST, RUN_DIR, STATE_DIR, REGION, KEYS, ENDPOINT, VARIANTS, IMDS, PROXY, ROOTS, NOTIFY],
        "bake" | "doctor" => &[
            DOCKER_HOST,
            REGION,
            KEYS,
            PROFILE,
            WEB_IDENTITY,
            CONTAINER,
            ENDPOINT,
            VARIANTS,
            IMDS,
            PROXY,
            ROOTS,
            NO_COLOR,
        ],
        "check" => &[NO_COLOR],
        "policy" => &[REGION, KEYS, PROFILE, WEB_IDENTITY, CONTAINER, ENDPOINT, VARIANTS, IMDS, PROXY, ROOTS],
        "release publish" => {
            &[DOCKER_HOST, REGION, KEYS, PROFILE, WEB_IDENTITY, CONTAINER, ENDPOINT, VARIANTS, IMDS, PROXY, ROOTS]
        }
        _ if command.starts_with("release") => {
            &[REGION, KEYS, PROFILE, WEB_IDENTITY, CONTAINER, ENDPOINT, VARIANTS, IMDS, PROXY, ROOTS]
        }
        "exec" => &[DOCKER_HOST, RUN_DIR],
        "status" | "timeline" => &[RUN_DIR, STATE_DIR],
        "drain" | "wait" | "handover" => &[RUN_DIR],
        _ => &[],
    };
    blocks(said)
}

/// What `berth.toml`(5) names under FILES.
pub fn of_keys() -> Vec<Block> {
    blocks(&[CONFIG, DOCUMENTATION])
}

/// What `berth.service`(8) names under FILES.
pub fn of_service() -> Vec<Block> {
    blocks(&[UNIT, DRAIN_UNIT, DROP_IN, CONFIG, SOCKET, SECRETS, RECORD, CONSOLE])
}

fn blocks(said: &[Said]) -> Vec<Block> {
    said.iter().map(|(name, about)| term(name, about)).collect()
}
