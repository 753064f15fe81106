//! What the instance's role may do: a policy document, evaluated as IAM does, for what berth's own policies are made of.
//!
//! Without a document everything is allowed. Either way it is noted which actions were needed, so that a test can say that a
//! policy has neither too few nor too many.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// The role's permissions. Clones are the same role.
#[derive(Clone, Default)]
pub struct Iam {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// None is no limit.
    allowed: Option<Vec<Grant>>,
    needed: BTreeSet<String>,
    denied: BTreeSet<String>,
}

/// One action on one resource.
struct Grant {
    action: String,
    resource: String,
    /// The patterns of a condition `StringLike` on `s3:prefix`, if there is one.
    prefixes: Option<Vec<String>>,
}

impl Iam {
    /// Allows only what this document says after this.
    ///
    /// # Panics
    /// If it is no policy, or has anything in it that is not understood here.
    pub fn enforce(&self, document: &Value) {
        let statements = document["Statement"].as_array().expect("a list of statements");
        assert_eq!(document["Version"], "2012-10-17");
        let mut allowed = Vec::new();
        for statement in statements {
            let keys: Vec<_> = statement.as_object().expect("an object").keys().collect();
            let known = ["Sid", "Effect", "Action", "Resource", "Condition"];
            assert!(keys.iter().all(|key| known.contains(&key.as_str())), "not understood: {statement}");
            assert_eq!(statement["Effect"], "Allow");
            let prefixes = statement.get("Condition").map(|condition| {
                let prefixes = &condition["StringLike"]["s3:prefix"];
                let only = serde_json::json!({ "StringLike": { "s3:prefix": prefixes } });
                assert!(*condition == only && !prefixes.is_null(), "not understood: {statement}");
                texts(prefixes).map(str::to_owned).collect::<Vec<_>>()
            });
            for action in texts(&statement["Action"]) {
                allowed.extend(texts(&statement["Resource"]).map(|resource| Grant {
                    action: action.to_lowercase(),
                    resource: resource.to_owned(),
                    prefixes: prefixes.clone(),
                }));
            }
        }
        self.state.lock().unwrap().allowed = Some(allowed);
    }

    /// The actions that were needed so far, allowed or not.
    pub fn needed(&self) -> BTreeSet<String> {
        self.state.lock().unwrap().needed.clone()
    }

    /// The actions that were denied so far.
    pub fn denied(&self) -> BTreeSet<String> {
        self.state.lock().unwrap().denied.clone()
    }

    /// Whether the role may; `*` is the resource of actions that have none.
    pub(crate) fn allows(&self, action: &str, resource: &str) -> bool {
        self.allows_below(action, resource, None)
    }

    /// Whether the role may by a request that has this `s3:prefix`. Without one in the request, a condition on it does not hold.
    pub(crate) fn allows_below(&self, action: &str, resource: &str, prefix: Option<&str>) -> bool {
        let mut state = self.state.lock().unwrap();
        state.needed.insert(action.to_owned());
        let holds = |patterns: &Vec<String>| {
            prefix.is_some_and(|prefix| patterns.iter().any(|pattern| glob(pattern.as_bytes(), prefix.as_bytes())))
        };
        let allows = |grant: &Grant| {
            glob(grant.action.as_bytes(), action.to_lowercase().as_bytes())
                && covers(&grant.resource, resource)
                && grant.prefixes.as_ref().is_none_or(holds)
        };
        let allowed = state.allowed.as_ref().is_none_or(|all| all.iter().any(allows));
        if !allowed {
            state.denied.insert(action.to_owned());
        }
        allowed
    }
}

/// A list, or a single text that stands for a list of one.
fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    list.iter().map(|text| text.as_str().expect("a text"))
}

/// Part by part, since a `*` in one part of an ARN does not reach into the next.
fn covers(pattern: &str, resource: &str) -> bool {
    let parts = |arn: &str| arn.splitn(6, ':').map(|part| part.as_bytes().to_vec()).collect::<Vec<_>>();
    let (patterns, parts) = (parts(pattern), parts(resource));
    pattern == "*" || patterns.len() == parts.len() && patterns.iter().zip(&parts).all(|(one, other)| glob(one, other))
}

fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => glob(rest, text) || !text.is_empty() && glob(pattern, &text[1..]),
        ([b'?', rest @ ..], [_, tail @ ..]) => glob(rest, tail),
        ([one, rest @ ..], [other, tail @ ..]) => one == other && glob(rest, tail),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_resource_is_covered_part_by_part() {
        let secret = "arn:aws:secretsmanager:us-east-2:123456789012:secret:prod/api-AbCdEf";
        for (pattern, is_covered) in [
            ("*", true),
            (secret, true),
            ("arn:aws:secretsmanager:*:*:secret:prod/api-??????", true),
            ("arn:aws:secretsmanager:*:*:secret:prod/api", false),
            ("arn:aws:secretsmanager:*:*:secret:prod/api-?????", false),
            ("arn:aws:secretsmanager:eu-west-1:*:secret:prod/api-??????", false),
            ("arn:aws:*:secret:prod/api-??????", false),
        ] {
            assert_eq!(covers(pattern, secret), is_covered, "{pattern}");
        }
        assert!(!covers("arn:aws:ecr:*:*:repository/x", "*"), "an action without resources needs `*` itself");
        let group = "arn:aws:autoscaling:us-east-2:123456789012:autoScalingGroup:a-b:autoScalingGroupName/api";
        assert!(covers("arn:aws:autoscaling:us-east-2:*:autoScalingGroup:*:autoScalingGroupName/api", group));
    }

    #[test]
    fn a_condition_on_the_prefix_holds_for_a_list_below_it_alone() {
        let iam = Iam::default();
        let condition = json!({ "StringLike": { "s3:prefix": ["board/*"] } });
        let statement = json!({ "Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::b", "Condition": condition });
        iam.enforce(&json!({ "Version": "2012-10-17", "Statement": [statement] }));
        let allows = |prefix| iam.allows_below("s3:ListBucket", "arn:aws:s3:::b", prefix);
        assert!(allows(Some("board/x/")) && allows(Some("board/")));
        assert!(!allows(Some("boards/")) && !allows(Some("")) && !allows(None));
    }

    #[test]
    fn only_what_a_statement_says_is_allowed_and_all_of_it_is_noted() {
        let iam = Iam::default();
        assert!(iam.allows("ssm:GetParameters", "arn:aws:ssm:r:a:parameter/x"), "no document, no limit");
        let statement = json!({ "Effect": "Allow", "Action": ["ssm:GetParameters"], "Resource": ["*"] });
        iam.enforce(&json!({ "Version": "2012-10-17", "Statement": [statement] }));
        assert!(iam.allows("ssm:GetParameters", "arn:aws:ssm:r:a:parameter/x"));
        let statement = json!({ "Effect": "Allow", "Action": "ssm:GetParameters", "Resource": "*" });
        iam.enforce(&json!({ "Version": "2012-10-17", "Statement": [statement] }));
        assert!(iam.allows("ssm:GetParameters", "arn:aws:ssm:r:a:parameter/x"), "a list of one may be a text");
        assert!(!iam.allows("ssm:GetParameter", "arn:aws:ssm:r:a:parameter/x"));
        assert_eq!(iam.needed().len(), 2);
        assert_eq!(iam.denied().into_iter().collect::<Vec<_>>(), ["ssm:GetParameter"]);
    }
}
