//! The Auto Scaling group and its lifecycle hooks.

use berth::io::aws::membership::SeveralLaunchHooks;
use berth::io::aws::{AwsError, Operation, Service};
use http::StatusCode;

use super::{Row, Section, entry, rows};

const COMPLETE: Operation = Service::AutoScaling.operation("CompleteLifecycleAction");

/// What Auto Scaling answers to the completion of a hook when it never will be otherwise.
pub(super) fn hooks() -> Vec<Row> {
    let denied =
        AwsError::Denied { operation: COMPLETE, code: "AccessDenied".to_owned(), message: "MESSAGE".to_owned() };
    let gone = AwsError::Failed {
        operation: COMPLETE,
        status: StatusCode::BAD_REQUEST,
        code: "ValidationError".to_owned(),
        message: "No active Lifecycle Action found with instance ID i-0123456789abcdef0".to_owned(),
    };
    let row = |error: AwsError, advice| Row::new(Some(error.class()), &error, advice);
    vec![
        row(
            denied,
            entry(
                Section::Group,
                "The role may not complete the hook. A launch hook that is never completed ends every new instance at the hook's timeout, so \
                 the boot fails.",
                "add the statement `BerthGroup` that `berth policy` prints, on this group.",
                &["berth policy"],
            ),
        ),
        row(
            gone,
            entry(
                Section::Group,
                "The hook is not active: it has timed out, somebody else completed it, or `lifecycle.launch_hook` names another hook.",
                "see what the group did, and whether the hook's timeout is longer than a boot takes.",
                &[
                    "aws autoscaling describe-lifecycle-hooks --auto-scaling-group-name ap-api",
                    "aws autoscaling describe-scaling-activities --auto-scaling-group-name ap-api --max-items 5",
                ],
            ),
        ),
    ]
}

rows! { membership, SeveralLaunchHooks, |error| Some(error.class());
    SeveralLaunchHooks { .. }, SeveralLaunchHooks {
        group: "GROUP".to_owned(),
        first: "HOOK".to_owned(),
        second: "HOOK".to_owned(),
    } => entry(
        Section::Group,
        "The group has a launch hook for somebody else, too, and berth cannot tell which is its own.",
        "name berth's with `lifecycle.launch_hook`.",
        &["aws autoscaling describe-lifecycle-hooks --auto-scaling-group-name ap-api"],
    );
}
