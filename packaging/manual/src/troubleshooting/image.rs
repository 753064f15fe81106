//! The registry: the login, and what the engine answers about an image.

use berth::io::aws::AwsError;
use berth::io::aws::ecr::LoginError;
use berth::io::aws::secrets::SecretsError;
use berth::io::docker::FailedCall;

use super::Advice::{Passes, Source, Transparent};
use super::codes::SECRET;
use super::engine::{DISK_FULL, Known, known};
use super::{Row, Section, entry, rows};

rows! { login, LoginError, |error| Some(error.class());
    LoginError::Aws(_), LoginError::Aws(AwsError::NoRegion { operation: SECRET }) => Transparent;
    LoginError::NotAToken, LoginError::NotAToken => Passes;
    LoginError::Secret(_), LoginError::Secret(SecretsError { errors: Vec::new() }) => Source;
    LoginError::NotALogin { .. }, LoginError::NotALogin { secret: secret() } => entry(
        Section::Image,
        "`registry_auth` names a secret that is no JSON object with a username and a password.",
        "store it in this form:",
        &["aws secretsmanager put-secret-value --secret-id prod/registry --secret-string '{\"username\":\"…\",\"password\":\"…\"}'"],
    );
}

fn secret() -> berth_config::SecretRef {
    berth_config::SecretRef::Managed {
        id: "prod/registry".to_owned(),
        json_key: None,
        version_stage: None,
        version_id: None,
    }
}

/// What a registry, or the engine in its place, says in the end.
pub(super) fn pull() -> Vec<Row> {
    let mut rows = known(RESOLVE, FailedCall::Registry, "resolve HOST/REPOSITORY:TAG");
    rows.extend(known(PULL, FailedCall::Registry, "pull IMAGE"));
    rows
}

const NOT_THERE: super::Advice = entry(
    Section::Image,
    "The registry has no such repository, or the repository has no such tag or digest. ECR answers so for a deleted or expired image, too.",
    "push the image, or correct the name. Check what is there:",
    &["aws ecr describe-images --repository-name ap-api --image-ids imageTag=a1b2c3d"],
);

const NO_ACCESS: super::Advice = entry(
    Section::Image,
    "The registry wants a login, or the login may not pull this repository. For ECR: the role lacks `ecr:BatchGetImage` and \
     `ecr:GetDownloadUrlForLayer` on the repository, or the policy of a repository in another account does not allow this one. Docker Hub \
     and others say so for a repository that does not exist, too.",
    "for ECR add the statements of `berth policy`; for another registry store its login in a secret and name it with `registry_auth`.",
    &["berth doctor", "aws ecr get-repository-policy --repository-name ap-api"],
);

const UNREADABLE: super::Advice = entry(
    Section::Image,
    "The bytes of the image arrived whole (their digests are right), and the engine cannot unpack them or does not know their form. Every \
     other pull brings the same bytes, so the boot fails at once. The end of the message says what to do.",
    "rebuild and push the image, as the end of the message says.",
    &["docker buildx imagetools inspect IMAGE"],
);

/// Of a tag, which is looked up before anything is pulled.
static RESOLVE: &[Known] = &[Known { prose: &["manifest unknown"], example: "manifest unknown", advice: NOT_THERE }];

static PULL: &[Known] = &[
    Known {
        prose: &["manifest unknown", "name unknown", "not found"],
        example: "manifest for HOST/REPOSITORY:TAG not found: manifest unknown: Requested image not found",
        advice: NOT_THERE,
    },
    Known { prose: &["does not exist"], example: "repository HOST/REPOSITORY does not exist", advice: NOT_THERE },
    Known {
        prose: &["no basic auth credentials"],
        example: "Head \"https://HOST/v2/REPOSITORY/manifests/TAG\": no basic auth credentials",
        advice: NO_ACCESS,
    },
    Known {
        prose: &["denied"],
        example: "pull access denied for REPOSITORY, repository does not exist or may require 'docker login': denied: MESSAGE",
        advice: NO_ACCESS,
    },
    Known {
        prose: &["unauthorized", "authentication required"],
        example: "unauthorized: authentication required",
        advice: NO_ACCESS,
    },
    Known {
        prose: &["authorization failed", "insufficient_scope"],
        example: "insufficient_scope: authorization failed",
        advice: NO_ACCESS,
    },
    Known {
        prose: &["forbidden"],
        example: "unexpected status from HEAD request to https://HOST/v2/REPOSITORY/manifests/TAG: 403 Forbidden",
        advice: NO_ACCESS,
    },
    Known {
        prose: &["no matching manifest"],
        example: "no matching manifest for linux/arm64/v8 in the manifest list entries",
        advice: entry(
            Section::Image,
            "The image is not built for this kind of machine. `arm64` is Graviton, `amd64` is Intel and AMD.",
            "build it for both, or choose another instance type.",
            &["docker buildx build --platform linux/amd64,linux/arm64 --push -t IMAGE ."],
        ),
    },
    Known {
        prose: &["server gave http response to https client"],
        example: "Get \"https://HOST/v2/\": http: server gave HTTP response to HTTPS client",
        advice: entry(
            Section::Image,
            "The registry speaks plain HTTP, and the engine insists on TLS.",
            "give the registry a certificate, or name its host in `insecure-registries` of `/etc/docker/daemon.json` in the AMI.",
            &[],
        ),
    },
    Known {
        prose: &["invalid reference format"],
        example: "invalid reference format",
        advice: entry(
            Section::Image,
            "The engine does not take the name of the image, which berth took.",
            "write `image` as `HOST/REPOSITORY:TAG`, in lower case up to the tag.",
            &["berth check --all user-data.sh"],
        ),
    },
    Known {
        prose: &["no space left on device"],
        example: "write /var/lib/docker/…: no space left on device",
        advice: DISK_FULL,
    },
    Known {
        prose: &["archive/tar: invalid tar header", "failed to register layer", "error processing tar file"],
        example: "failed to register layer: Error processing tar file(exit status 1): archive/tar: invalid tar header",
        advice: entry(
            Section::Image,
            "The layers are compressed with zstd, which Docker Engine reads since 23.0.",
            "update the engine in the AMI, or build the image with gzip.",
            &["docker version --format '{{.Server.Version}}'"],
        ),
    },
    Known {
        prose: &["image_archived"],
        example: "IMAGE_ARCHIVED: MESSAGE",
        advice: entry(
            Section::Image,
            "ECR moved the image to its archive storage class, from which nothing is pulled.",
            "restore it, and correct the lifecycle policy of the repository.",
            &[
                "aws ecr update-image-storage-class --repository-name ap-api --image-id imageTag=a1b2c3d --target-storage-class STANDARD",
            ],
        ),
    },
    Known {
        prose: &["schema 1", "manifest.v1+prettyjws", "unsupported schema version"],
        example: "unsupported schema version 1: schema 1 is not supported any more",
        advice: entry(
            Section::Image,
            "The image was pushed in a form that engines no longer read.",
            "pull it with an old engine and push it again with a current one, or build it again.",
            &[],
        ),
    },
    Known {
        prose: &["max depth exceeded"],
        example: "failed to register layer: max depth exceeded",
        advice: UNREADABLE,
    },
    Known {
        prose: &["layers from manifest don't match image configuration", "invalid rootfs in image configuration"],
        example: "layers from manifest don't match image configuration",
        advice: UNREADABLE,
    },
    Known {
        prose: &[
            "failed to extract layer",
            "wrong diff id",
            "mismatched image rootfs",
            "number of layers and diffids don't match",
            "does not match config's diffid",
        ],
        example: "failed to extract layer sha256:…: wrong diff id calculated on extraction \"sha256:…\"",
        advice: UNREADABLE,
    },
    Known {
        prose: &[
            "encountered remote",
            "no processor for media-type",
            "unsupported media type",
            "unsupported manifest",
            "unsupported docker v2s2 media type",
        ],
        example: "Encountered remote \"application/vnd.…\"(unknown) when fetching",
        advice: UNREADABLE,
    },
    Known {
        prose: &[
            "invalid character",
            "unexpected end of json input",
            "json: cannot unmarshal",
            "unmarshal image config",
        ],
        example: "invalid character 'x' looking for beginning of value",
        advice: UNREADABLE,
    },
];

/// What the agent looks for, as far as there is an entry for it.
pub(super) fn known_prose() -> Vec<&'static str> {
    PULL.iter().flat_map(|known| known.prose).copied().collect()
}
