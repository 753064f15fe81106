//! The instance metadata, and the credentials of the instance's role.

use berth::io::aws::CredentialsError;
use berth::io::aws::imds::ImdsError;
use berth::io::http::HttpError;
use http::StatusCode;

use super::Advice::{Passes, Source};
use super::{Section, entry, rows};

fn item() -> String {
    "ITEM".to_owned()
}

rows! { imds, ImdsError, |error| Some(error.class());
    ImdsError::Endpoint { .. }, ImdsError::Endpoint {
        variable: "AWS_EC2_METADATA_SERVICE_ENDPOINT",
        value: "VALUE".to_owned(),
        expected: "an address like http://169.254.169.254",
    } => entry(
        Section::Metadata,
        "A variable in the environment of the agent names a metadata service that cannot be one.",
        "remove the variable from the drop-ins of the unit; on EC2 none is needed.",
        &["systemctl cat berth", "systemctl show berth --property Environment"],
    );
    ImdsError::Unreachable { .. }, ImdsError::Unreachable {
        item: item(),
        source: HttpError::Timeout { to: "http://ADDRESS".to_owned(), after: std::time::Duration::from_secs(2) },
    } => Source;
    ImdsError::NeitherAddress { .. }, ImdsError::NeitherAddress {
        item: item(),
        ipv4: "cannot connect to http://169.254.169.254: Network is unreachable (os error 101)".to_owned(),
        source: Box::new(HttpError::Timeout { to: "http://ADDRESS".to_owned(), after: std::time::Duration::from_secs(2) }),
    } => Source;
    ImdsError::Off { .. }, ImdsError::Off { item: item() } => entry(
        Section::Metadata,
        "The metadata service of this instance is switched off (`HttpEndpoint=disabled`).",
        "enable it in the launch template (`MetadataOptions`), and for this instance with the command of the message.",
        &["aws ec2 describe-instances --instance-ids i-0123456789abcdef0 --query 'Reservations[].Instances[].MetadataOptions'"],
    );
    ImdsError::Status { status, .. } if *status == StatusCode::BAD_REQUEST, ImdsError::Status {
        item: item(),
        status: StatusCode::BAD_REQUEST,
    } => entry(
        Section::Metadata,
        "What answers at the metadata address does not take the request: it is not the metadata service of EC2, or a proxy is in between.",
        "remove `AWS_EC2_METADATA_SERVICE_ENDPOINT` and proxies for 169.254.169.254, and ask by hand:",
        &["curl -si -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token"],
    );
    ImdsError::Status { .. }, ImdsError::Status { item: item(), status: StatusCode::SERVICE_UNAVAILABLE } => Passes;
    ImdsError::Missing { .. }, ImdsError::Missing { item: item() } => entry(
        Section::Metadata,
        "Every EC2 instance has this item, and this one has not: it is no EC2 instance, or the address is another service's.",
        "run berth on EC2; elsewhere only `berth check` and `berth policy FILE` work.",
        &[],
    );
    ImdsError::Unusable { .. }, ImdsError::Unusable { item: item(), what: "an error page" } => Passes;
    ImdsError::NoRole, ImdsError::NoRole => entry(
        Section::Metadata,
        "The instance has no instance profile, or the profile has no role. Without one, no call to AWS can be signed.",
        "set `IamInstanceProfile` in the launch template. For this instance:",
        &["aws ec2 associate-iam-instance-profile --instance-id i-0123456789abcdef0 --iam-instance-profile Name=ap-api"],
    );
    ImdsError::RoleFailed { .. }, ImdsError::RoleFailed {
        role: "ROLE".to_owned(),
        code: "AssumeRoleUnauthorizedAccess".to_owned(),
    } => entry(
        Section::Metadata,
        "EC2 may not assume the role: its trust policy does not name `ec2.amazonaws.com`, or the role was deleted and made again under \
         the same name.",
        "correct the trust policy; after a new role of the same name, also replace the instance profile's association.",
        &["aws iam get-role --role-name ap-api --query Role.AssumeRolePolicyDocument"],
    );
}

rows! { credentials, CredentialsError, |error| Some(error.class());
    CredentialsError::HalfSet, CredentialsError::HalfSet => entry(
        Section::Metadata,
        "Half of a pair of keys is in the environment of the agent.",
        "on an instance set neither: the role's credentials are taken. Look into the drop-ins of the unit:",
        &["systemctl cat berth"],
    );
    CredentialsError::NotText { .. }, CredentialsError::NotText { from: "the environment" } => entry(
        Section::Metadata,
        "The access key id or the session token holds a line end or another character that no request can carry.",
        "on an instance set none: the role's credentials are taken. Look into the drop-ins of the unit:",
        &["systemctl cat berth"],
    );
    CredentialsError::Nowhere(_), CredentialsError::Nowhere(ImdsError::NoRole) => entry(
        Section::Metadata,
        "`berth bake`, `berth policy` and, elsewhere than on an instance, `berth doctor` take credentials as the AWS CLI does, and found none. \
         The agent itself reads only its environment and the instance's role.",
        "name a profile, or run it on an instance that has a role:",
        &["AWS_PROFILE=builder berth bake"],
    );
    CredentialsError::NoProfile { .. }, CredentialsError::NoProfile { name: "NAME".to_owned() } => entry(
        Section::Metadata,
        "`AWS_PROFILE`, or the `source_profile` of another profile, names a profile that does not exist.",
        "correct the name, or add the profile; the AWS CLI has to know it, too:",
        &["aws sts get-caller-identity --profile NAME"],
    );
    CredentialsError::Unsupported { .. }, CredentialsError::Unsupported { profile: "NAME".to_owned(), how: "SSO" } => entry(
        Section::Metadata,
        "berth reads keys, roles, web identities and container roles from a profile. IAM Identity Center (SSO), `credential_process` and \
         `aws login` are left to the AWS CLI (version 2), which can export what it has.",
        "export the credentials, then run the command again:",
        &["eval \"$(aws configure export-credentials --profile NAME --format env)\""],
    );
    CredentialsError::Chain { .. }, CredentialsError::Chain {
        from: "a profile",
        why: "REASON".to_owned(),
    } => entry(
        Section::Metadata,
        "`berth bake`, `berth policy` and, elsewhere than on an instance, `berth doctor` take credentials as the AWS CLI does. The source that \
         is named is configured, and gave none. The agent itself reads only its environment and the instance's role.",
        "make this work first; it shows the same error:",
        &["aws sts get-caller-identity"],
    );
    CredentialsError::Role(_), CredentialsError::Role(ImdsError::NoRole) => Source;
}
