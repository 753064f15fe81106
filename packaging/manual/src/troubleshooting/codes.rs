//! Error codes of AWS that are known to be met, by what to do about them.

use berth::io::aws::{AwsError, DENIED, Operation, Service};
use http::StatusCode;

use super::{Advice, Row, Section, entry};

/// The call of the examples.
pub(super) const SECRET: Operation = Service::SecretsManager.operation("GetSecretValue");

/// Codes with the same meaning.
struct Group {
    operation: Operation,
    codes: &'static [&'static str],
    message: &'static str,
    advice: Advice,
}

/// The role lacks a permission.
pub(super) const fn not_allowed() -> Advice {
    entry(
        Section::Denied,
        "The instance's role may not make this call on this resource. The message of AWS names the principal, the action and the ARN, and \
         whether a policy denies it or none allows it.",
        "add the statement that `berth policy` prints. An explicit deny (a permissions boundary, a service control policy, the policy of a \
         VPC endpoint) must be lifted where it is written. A new policy takes some seconds to be in force.",
        &["berth doctor", "berth policy"],
    )
}

const fn group(operation: Operation, codes: &'static [&'static str], message: &'static str, advice: Advice) -> Group {
    Group { operation, codes, message, advice }
}

static GROUPS: &[Group] = &[
    group(
        Service::Ecr.operation("GetAuthorizationToken"),
        &["AccessDenied", "NotAuthorized", "UnauthorizedOperation"],
        "MESSAGE",
        not_allowed(),
    ),
    group(
        SECRET,
        &["AccessDeniedException"],
        "Access to KMS is not allowed",
        entry(
            Section::Denied,
            "The role may read the secret, and not use the KMS key that it is encrypted with. Only keys of your own need that; the key's own \
             policy must allow it, too.",
            "allow the role `kms:Decrypt` on the key, in the role's policy and in the key's.",
            &["aws secretsmanager describe-secret --secret-id prod/api --query KmsKeyId"],
        ),
    ),
    group(
        SECRET,
        &["AuthFailure", "InvalidClientTokenId", "UnrecognizedClientException"],
        "MESSAGE",
        entry(
            Section::Denied,
            "The keys are not known to this region's AWS: they were deleted, they are of another partition (`aws-cn`, `aws-us-gov`), or the \
             account has not enabled the region.",
            "remove keys from the environment of the agent, so that it takes the role's; see whose the keys are with the same environment:",
            &["systemctl show berth --property Environment", "aws sts get-caller-identity"],
        ),
    ),
    group(
        SECRET,
        &[
            "IncompleteSignature",
            "IncompleteSignatureException",
            "InvalidSignature",
            "InvalidSignatureException",
            "MissingAuthenticationToken",
            "MissingAuthenticationTokenException",
            "RequestExpired",
            "SignatureDoesNotMatch",
        ],
        "MESSAGE",
        entry(
            Section::Denied,
            "The signature did not arrive as it was sent: the secret key of the environment is wrong, or something in between (a proxy, an \
             `AWS_ENDPOINT_URL` of another service) changed the request. A clock that is wrong is not the reason: berth signs by AWS's time.",
            "remove keys, endpoints and proxies from the environment of the agent.",
            &["systemctl show berth --property Environment"],
        ),
    ),
    group(
        SECRET,
        &["OptInRequired"],
        "MESSAGE",
        entry(
            Section::Denied,
            "The account has not enabled the service, or the region.",
            "enable the region for the account, or use another one.",
            &["aws account list-regions --region-opt-status-contains DISABLED"],
        ),
    ),
    group(
        SECRET,
        &["ResourceNotFoundException"],
        "Secrets Manager can't find the specified secret.",
        entry(
            Section::Secrets,
            "There is no secret of this name in the instance's region and account, or it has no version with this stage or id.",
            "correct the name. A secret of another account or region is named by its whole ARN.",
            &["aws secretsmanager list-secrets --query 'SecretList[].Name'"],
        ),
    ),
    group(
        SECRET,
        &["InvalidRequestException"],
        "You can't perform this operation on the secret because it was marked for deletion.",
        entry(
            Section::Secrets,
            "The secret is scheduled for deletion.",
            "restore it, or name another one.",
            &["aws secretsmanager restore-secret --secret-id prod/api"],
        ),
    ),
    group(
        SECRET,
        &["DecryptionFailure"],
        "Secrets Manager can't decrypt the protected secret text using the provided KMS key.",
        entry(
            Section::Secrets,
            "The KMS key of the secret is disabled, scheduled for deletion, or gone.",
            "enable the key, or store the secret again under another one.",
            &["aws kms describe-key --key-id KEY --query KeyMetadata.KeyState"],
        ),
    ),
    group(
        Service::Ssm.operation("GetParameters"),
        &["InvalidKeyId"],
        "MESSAGE",
        entry(
            Section::Secrets,
            "The KMS key of a SecureString parameter is disabled, scheduled for deletion, or gone.",
            "enable the key, or store the parameter again under another one.",
            &["aws ssm describe-parameters --parameter-filters Key=Name,Values=/prod/key --query 'Parameters[].KeyId'"],
        ),
    ),
    group(
        Service::S3.operation("GetObject"),
        &["NoSuchKey"],
        "The specified key does not exist.",
        entry(
            Section::Releases,
            "`config=s3://…` names an object that does not exist, or the document of an earlier release was deleted from the board.",
            "correct the name, or publish the config. An object below the board must not be deleted while instances may go back to its release.",
            &["aws s3 ls s3://BUCKET/KEY"],
        ),
    ),
    group(
        Service::S3.operation("GetObject"),
        &["NoSuchBucket"],
        "The specified bucket does not exist",
        entry(
            Section::Releases,
            "There is no such bucket in this partition of AWS, of any account.",
            "correct the name in `config=s3://…` or `release.board`.",
            &["aws s3 ls"],
        ),
    ),
    group(
        Service::S3.operation("GetObject"),
        &["PermanentRedirect", "AuthorizationHeaderMalformed"],
        "the bucket is in REGION: it must be in the region of the instance",
        entry(
            Section::Releases,
            "The bucket is in another region. berth asks S3 in the region of the instance alone, so that a release does not depend on another one.",
            "use a bucket in the region of the instance; replication can copy the documents, but not the locks of a board.",
            &["aws s3api get-bucket-location --bucket BUCKET"],
        ),
    ),
    group(
        Service::AutoScaling.operation("DescribeLifecycleHooks"),
        &["ValidationError"],
        "AutoScalingGroup name not found - …",
        entry(
            Section::Group,
            "`lifecycle.group` names a group that is not in the instance's region and account.",
            "correct the name, or leave it out: berth finds the group of the instance.",
            &["aws autoscaling describe-auto-scaling-instances --instance-ids i-0123456789abcdef0"],
        ),
    ),
    group(
        Service::LoadBalancing.operation("RegisterTargets"),
        &["TargetGroupNotFound"],
        "One or more target groups not found",
        entry(
            Section::LoadBalancer,
            "`target_groups` names a target group that does not exist, or no longer.",
            "correct the ARN.",
            &["aws elbv2 describe-target-groups --query 'TargetGroups[].TargetGroupArn'"],
        ),
    ),
];

pub(super) fn codes() -> Vec<Row> {
    let row = |group: &Group, code: &str| {
        let (operation, code, message) = (group.operation, code.to_owned(), group.message.to_owned());
        let error = match DENIED.contains(&code.as_str()) {
            true => AwsError::Denied { operation, code, message },
            false => AwsError::Failed { operation, status: status_of(&code), code, message },
        };
        Row::new(Some(error.class()), &error, group.advice)
    };
    let first = |group: &Group| {
        let (first, also) = group.codes.split_first()?;
        Some(Row { also, ..row(group, first) })
    };
    GROUPS.iter().filter_map(first).collect()
}

/// The status that comes with a code: 400, but for S3.
fn status_of(code: &str) -> StatusCode {
    match code {
        "NoSuchBucket" | "NoSuchKey" => StatusCode::NOT_FOUND,
        "PermanentRedirect" => StatusCode::MOVED_PERMANENTLY,
        _ => StatusCode::BAD_REQUEST,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_that_denies_has_an_entry() {
        let said: BTreeSet<&str> = GROUPS.iter().flat_map(|group| group.codes).copied().collect();
        let missing: Vec<_> = DENIED.iter().filter(|code| !said.contains(**code)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
