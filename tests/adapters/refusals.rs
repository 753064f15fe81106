//! How each call classifies what comes back instead of its result: the table `refusals.md`, played by sockets of the test's own.
//!
//! The answers are bytes and not the kit's, since a proxy, a login page and a closed connection keep to no protocol of AWS. Many rows are
//! played at the same time: the calls that get no answer wait for the client's timeout of ten seconds, most of them together.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Debug;

use berth::io::aws::autoscaling::{self, HookAnswer};
use berth::io::aws::s3::{self, About, Condition, ObjectName, S3Error};
use berth::io::aws::{Aws, AwsError, load_balancing, sts};
use berth::io::{aws::ecr, aws::secrets};
use berth_config::{SecretRef, SecretValue, SecretsAs};
use berth_core::message::error::{ErrorClass, JobError};
use berth_core::message::group::{HookName, HookResult};
use berth_core::message::target::Target;
use futures_util::{StreamExt as _, future, stream};

use crate::moto::client_of;
use wire::{Protocol, Wire};

mod wire;

const TABLE: &str = include_str!("refusals.md");
/// How many refusals are played at once. More on a busy machine would run into the client's timeout.
const AT_ONCE: usize = 200;
/// What a message never quotes: the value of a secret, and a page.
const NEVER_QUOTED: [&str; 3] = ["hunter2", "<", "html"];
/// What the table must have of each service.
const KINDS: [&str; 14] = [
    "throttled",
    "429 without an error code",
    "access denied",
    "not found",
    "expired credentials",
    "wrong clock",
    "5xx",
    "redirect",
    "403 without an error code",
    "200 that is not AWS's",
    "connection closed mid-response",
    "connection refused",
    "timeout",
    "response over 4 MiB",
];

/// One call of the agent, by its operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Call {
    GetSecretValue,
    BatchGetSecretValue,
    GetParameters,
    GetAuthorizationToken,
    DescribeAutoScalingInstances,
    DescribeLifecycleHooks,
    CompleteLifecycleAction,
    RecordLifecycleActionHeartbeat,
    SetInstanceHealth,
    DescribeAutoScalingGroups,
    RegisterTargets,
    DeregisterTargets,
    DescribeTargetHealth,
    DescribeTargetGroupAttributes,
    GetObject,
    PutObject,
    DeleteObject,
    ListBucket,
    GetCallerIdentity,
}

impl Call {
    const ALL: [Self; 19] = [
        Self::GetSecretValue,
        Self::BatchGetSecretValue,
        Self::GetParameters,
        Self::GetAuthorizationToken,
        Self::DescribeAutoScalingInstances,
        Self::DescribeLifecycleHooks,
        Self::CompleteLifecycleAction,
        Self::RecordLifecycleActionHeartbeat,
        Self::SetInstanceHealth,
        Self::DescribeAutoScalingGroups,
        Self::RegisterTargets,
        Self::DeregisterTargets,
        Self::DescribeTargetHealth,
        Self::DescribeTargetGroupAttributes,
        Self::GetObject,
        Self::PutObject,
        Self::DeleteObject,
        Self::ListBucket,
        Self::GetCallerIdentity,
    ];

    fn service(self) -> &'static str {
        match self {
            Self::GetSecretValue | Self::BatchGetSecretValue => "secretsmanager",
            Self::GetParameters => "ssm",
            Self::GetAuthorizationToken => "ecr",
            Self::RegisterTargets
            | Self::DeregisterTargets
            | Self::DescribeTargetHealth
            | Self::DescribeTargetGroupAttributes => "elasticloadbalancing",
            Self::GetObject | Self::PutObject | Self::DeleteObject | Self::ListBucket => "s3",
            Self::GetCallerIdentity => "sts",
            _ => "autoscaling",
        }
    }

    fn protocol(self) -> Protocol {
        match self.service() {
            "autoscaling" | "elasticloadbalancing" | "sts" => Protocol::Query,
            "s3" => Protocol::Rest,
            _ => Protocol::Json,
        }
    }

    fn is_in(self, calls: &str) -> bool {
        match calls {
            "all" => true,
            "json" => self.protocol() == Protocol::Json,
            "query" => self.protocol() == Protocol::Query,
            "rest" => self.protocol() == Protocol::Rest,
            "all but DeleteObject" => self != Self::DeleteObject,
            one => format!("{self:?}") == one,
        }
    }

    /// Makes the call as the agent makes it.
    pub(crate) async fn make(self, aws: &Aws) -> Outcome {
        let hook = HookName { group: "web".into(), hook: "launch".into() };
        let group = |error: AwsError| failed(error.class(), &error);
        let done = |answer| match answer {
            HookAnswer::Done => Outcome::Other("done"),
            HookAnswer::NotActive => Outcome::Other("not active"),
        };
        match self {
            Self::GetSecretValue => fetch(aws, [managed("prod/api")]).await,
            Self::BatchGetSecretValue => fetch(aws, [managed("prod/a"), managed("prod/b")]).await,
            Self::GetParameters => {
                fetch(aws, [SecretRef::Parameter { name: "/prod/key".into(), json_key: None }]).await
            }
            Self::GetAuthorizationToken => {
                let login = ecr::login(aws, "123456789012.dkr.ecr.us-east-2.amazonaws.com").await;
                login.map_or_else(|error| failed(error.class(), &error), |_| Outcome::Other("a login"))
            }
            Self::DescribeAutoScalingInstances => {
                let instance = autoscaling::describe_instance(aws, "i-0123").await;
                instance
                    .map_or_else(group, |group| Outcome::Other(if group.is_some() { "a group" } else { "no group" }))
            }
            Self::DescribeLifecycleHooks => {
                autoscaling::hooks(aws, "web").await.map_or_else(group, |_| Outcome::Other("hooks"))
            }
            Self::CompleteLifecycleAction => {
                autoscaling::complete(aws, &hook, "i-0123", HookResult::Continue).await.map_or_else(group, done)
            }
            Self::RecordLifecycleActionHeartbeat => {
                autoscaling::heartbeat(aws, &hook, "i-0123").await.map_or_else(group, done)
            }
            Self::SetInstanceHealth => {
                autoscaling::set_unhealthy(aws, "i-0123").await.map_or_else(group, |()| Outcome::Other("done"))
            }
            Self::DescribeAutoScalingGroups => {
                let found = autoscaling::describe_group(aws, "web", "i-0123").await;
                found.map_or_else(group, |_| Outcome::Other("facts"))
            }
            Self::RegisterTargets => load_balancing::register(aws, &target(), "i-0123")
                .await
                .map_or_else(Outcome::Failed, |()| Outcome::Other("done")),
            Self::DeregisterTargets => load_balancing::deregister(aws, &target(), "i-0123")
                .await
                .map_or_else(group, |()| Outcome::Other("done")),
            Self::DescribeTargetHealth => {
                let health = load_balancing::health(aws, TARGET_GROUP, "i-0123", &[8080]).await;
                health.map_or_else(group, |_| Outcome::Other("targets"))
            }
            Self::DescribeTargetGroupAttributes => {
                load_balancing::delay(aws, TARGET_GROUP).await.map_or_else(group, |_| Outcome::Other("a delay"))
            }
            Self::GetObject => {
                let object = s3::get(aws, &object(), None).await;
                object.map_or_else(s3_failed, |found| {
                    Outcome::Other(if found.is_some() { "an object" } else { "the same" })
                })
            }
            Self::PutObject => {
                let written = s3::put(aws, &object(), Vec::new(), Condition::Absent, &About::default()).await;
                written.map_or_else(s3_failed, |etag| Outcome::Other(if etag.is_some() { "done" } else { "lost" }))
            }
            Self::DeleteObject => {
                let deleted = s3::delete(aws, &object(), Condition::None).await;
                deleted.map_or_else(s3_failed, |was_there| Outcome::Other(if was_there { "done" } else { "lost" }))
            }
            Self::ListBucket => s3::list(aws, &object()).await.map_or_else(s3_failed, |_| Outcome::Other("keys")),
            Self::GetCallerIdentity => {
                sts::user_id(aws).await.map_or_else(Outcome::Failed, |_| Outcome::Other("an identity"))
            }
        }
    }
}

/// How a call ended.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Failed(JobError),
    /// Anything else, in the table's words.
    Other(&'static str),
}

const TARGET_GROUP: &str = "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/web/73e2d6bc24d8a067";

fn target() -> Target {
    Target { target_group: TARGET_GROUP.into(), port: 8080 }
}

fn object() -> ObjectName {
    ObjectName { bucket: "bucket".into(), key: "key".into() }
}

/// Takes the object's name off the message.
fn s3_failed(error: S3Error) -> Outcome {
    failed(error.source.class(), &error.source)
}

fn failed(class: ErrorClass, error: &(dyn Error + 'static)) -> Outcome {
    Outcome::Failed(JobError::from_error(class, error))
}

fn managed(id: &str) -> SecretRef {
    SecretRef::Managed { id: id.into(), json_key: None, version_stage: None, version_id: None }
}

/// Fetches these secrets, and takes their names off the message.
async fn fetch(aws: &Aws, references: impl IntoIterator<Item = SecretRef>) -> Outcome {
    let named: BTreeMap<_, _> =
        references.into_iter().zip('A'..).map(|(one, name)| (name.to_string(), SecretValue::from(one))).collect();
    let Err(error) = secrets::fetch_named(aws, &[], &named, SecretsAs::Env).await else {
        return Outcome::Other("values");
    };
    let error = JobError::from_error(error.class(), &error);
    let names = ["prod/api: ", "prod/a, prod/b: ", "prod/a: ", "prod/b: ", "ssm:/prod/key: "];
    let reason = names.iter().find_map(|names| error.reason.strip_prefix(names)).expect(&error.reason).to_owned();
    Outcome::Failed(JobError { reason, ..error })
}

/// A line of the table.
#[derive(Debug)]
struct Row {
    kind: &'static str,
    calls: &'static str,
    wire: &'static str,
    class: &'static str,
    message: &'static str,
}

fn rows() -> Vec<Row> {
    let cells = |line: &'static str| {
        let cells: Vec<_> = line.strip_prefix("| ")?.trim_end_matches('|').split(" | ").map(str::trim).collect();
        let [kind, calls, wire, class, message] = cells.try_into().unwrap_or_else(|_| panic!("five cells: {line}"));
        Some(Row { kind, calls, wire: wire.strip_prefix('`')?.strip_suffix('`')?, class, message })
    };
    TABLE.lines().filter_map(cells).collect()
}

/// How this call differs from the row; none if it does not.
async fn play(row: &Row, call: Call) -> Option<String> {
    let wire = Wire::serve(row.wire, call.protocol()).await;
    let outcome = call.make(&client_of(&wire.base)).await;
    let (class, message) = match &outcome {
        Outcome::Failed(error) => (format!("{:?}", error.class).to_lowercase(), error.reason.as_str()),
        Outcome::Other(word) => (word.to_string(), ""),
    };
    // After a denied batch, and for what a batch leaves out, each secret is fetched by itself.
    let fell_back = call == Call::BatchGetSecretValue
        && (row.class == "denied" && !row.wire.starts_with("200") || row.wire == "200 {}");
    let speaks = if fell_back { Call::GetSecretValue } else { call };
    let expected = row.message.replace("CALL", &format!("{}:{speaks:?}", call.service())).replace("HOST", &wire.base);
    let times = if fell_back { 3 } else { 1 };
    let mut wrong = Vec::new();
    if class != row.class {
        wrong.push(format!("is {class}, not {}", row.class));
    }
    if !fits(&expected, message) {
        wrong.push(format!("reads {message:?},\n      not {expected:?}"));
    }
    if NEVER_QUOTED.iter().any(|word| message.contains(word)) || message.len() > 500 || message.contains('\n') {
        wrong.push(format!("reads {message:?}, which quotes too much"));
    }
    // One attempt: the machine decides on the next. A redirection is not followed.
    if row.wire != "refused" && wire.asked() != times {
        wrong.push(format!("is asked {} times, not {times}", wire.asked()));
    }
    (!wrong.is_empty()).then(|| format!("{}: {call:?}: {}\n    {}", row.kind, row.wire, wrong.join("\n    ")))
}

/// Whether the text is this, with something in place of each `…`.
fn fits(expected: &str, text: &str) -> bool {
    let mut parts = expected.split('…');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let (mut last, mut is_open) = ("", false);
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
        (last, is_open) = (part, true);
    }
    rest.is_empty() || is_open && last.is_empty()
}

#[tokio::test]
async fn every_refusal_has_its_class_and_its_message() {
    let rows = rows();
    let played = rows
        .iter()
        .flat_map(|row| Call::ALL.into_iter().filter(|call| call.is_in(row.calls)).map(move |call| play(row, call)));
    let wrong: Vec<String> = stream::iter(played).buffer_unordered(AT_ONCE).filter_map(future::ready).collect().await;
    assert!(wrong.is_empty(), "{} refusals are not as refusals.md says:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_kind_of_refusal_is_there_for_every_service() {
    let rows = rows();
    let services_of = |kind: &str| -> BTreeSet<_> {
        let of_kind = rows.iter().filter(|row| row.kind == kind);
        of_kind.flat_map(|row| Call::ALL.into_iter().filter(|call| call.is_in(row.calls))).map(Call::service).collect()
    };
    for kind in KINDS {
        // Everybody has an identity.
        let expected = if kind == "not found" { 6 } else { 7 };
        assert_eq!(services_of(kind).len(), expected, "{kind}: only {:?}", services_of(kind));
    }
    let unknown: Vec<_> = rows.iter().filter(|row| !Call::ALL.into_iter().any(|call| call.is_in(row.calls))).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert_eq!(rows.len(), TABLE.lines().filter(|line| line.starts_with("| ")).count() - 1, "all but the heading");
}

/// docs/operations.md has a row for each class, with its kinds.
#[test]
fn the_documentation_says_what_is_retried() {
    let page = include_str!("../../docs/operations.md");
    for class in ["throttled", "transient", "denied", "broken"] {
        let of_class: BTreeSet<_> = rows().iter().filter(|row| row.class == class).map(|row| row.kind).collect();
        let row = format!("| {class} | {} | ", Vec::from_iter(of_class).join(", "));
        assert!(page.contains(&row), "docs/operations.md lacks\n{row}");
    }
}

#[test]
fn what_stands_around_an_ellipsis_is_compared() {
    for (expected, text, is_one) in [
        ("one", "one", true),
        ("one", "one two", false),
        ("one…", "one two", true),
        ("one … three", "one two three", true),
        ("one … three", "one two three four", false),
        ("two…", "one two", false),
        ("", "", true),
        ("", "one", false),
    ] {
        assert_eq!(fits(expected, text), is_one, "{expected} {text}");
    }
}
