//! The sentence for a call to Auto Scaling that was refused for good: the answer, and what would allow it.

use crate::message::error::{ErrorClass, JobError};
use crate::message::identity::Identity;

/// The sentence for people. `action` is the call as IAM names it, none if the answer names it; one without a group has no
/// resource of its own.
pub fn explain(error: &JobError, action: Option<&str>, identity: Option<&Identity>, group: Option<&str>) -> String {
    if error.class != ErrorClass::Denied {
        return error.reason.clone();
    }
    let what = action.unwrap_or("it");
    let resource = identity.filter(|_| action.is_some()).map(|identity| identity.group_arn(group.unwrap_or("*")));
    let on = resource.map(|arn| format!(" on {arn}")).unwrap_or_default();
    format!("{}; the instance's role must allow {what}{on}: `berth policy` prints the statement", error.reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(region: &str) -> Identity {
        Identity {
            instance_id: "i-0123456789abcdef0".to_owned(),
            region: region.to_owned(),
            availability_zone: format!("{region}a"),
            account: "123456789012".to_owned(),
            target_state: None,
        }
    }

    #[test]
    fn a_call_that_is_not_allowed_names_the_resource_in_its_partition() {
        let denied =
            JobError::new(ErrorClass::Denied, "autoscaling:SetInstanceHealth is not allowed (AccessDenied): no");
        let text = |region: &str, group| {
            explain(&denied, Some("autoscaling:SetInstanceHealth"), Some(&identity(region)), group)
        };
        assert_eq!(
            text("us-east-2", Some("web")),
            "autoscaling:SetInstanceHealth is not allowed (AccessDenied): no; the instance's role must allow \
             autoscaling:SetInstanceHealth on \
             arn:aws:autoscaling:us-east-2:123456789012:autoScalingGroup:*:autoScalingGroupName/web: `berth policy` prints the \
             statement"
        );
        assert!(
            text("cn-north-1", None).contains("arn:aws-cn:autoscaling:cn-north-1:"),
            "{}",
            text("cn-north-1", None)
        );
        assert!(explain(&denied, None, None, None).contains("must allow it: `berth policy`"));
    }

    #[test]
    fn a_refusal_that_no_permission_lifts_is_reported_as_it_is() {
        let broken = JobError::new(ErrorClass::Broken, "AutoScalingGroup name not found");
        assert_eq!(explain(&broken, Some("autoscaling:CompleteLifecycleAction"), None, None), broken.reason);
    }
}
