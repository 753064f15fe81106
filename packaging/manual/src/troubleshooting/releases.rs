//! Releases: the documents that are followed, and the bucket that holds them.

use std::io;

use berth::io::aws::s3::S3Error;
use berth::io::aws::{AwsError, Service};
use berth::io::releases::{KeptError, ReleaseError};
use berth_core::message::release::ReleaseId;
use http::StatusCode;

use super::{Advice, Section, entry, rows};

fn release(words: &str) -> ReleaseId {
    ReleaseId(words.to_owned())
}

rows! { objects, S3Error, |error| Some(error.class());
    S3Error { .. }, S3Error {
        at: "s3://BUCKET/KEY".to_owned(),
        source: AwsError::Failed {
            operation: Service::S3.operation("GetObject"),
            status: StatusCode::NOT_FOUND,
            code: "NoSuchKey".to_owned(),
            message: "MESSAGE".to_owned(),
        },
    } => Advice::Source;
}

rows! { releases, ReleaseError, |error| Some(error.class());
    ReleaseError::NotKept(_), ReleaseError::NotKept(release("RELEASE")) => entry(
        Section::Releases,
        "The instance would go back to a release that it has not read lately, and there is no board that has its document.",
        "publish that config again, or set `release.board`, which has the document of every release.",
        &["berth status"],
    );
    ReleaseError::NotOnBoard(_), ReleaseError::NotOnBoard(release("RELEASE")) => entry(
        Section::Releases,
        "The document was written to its place by something other than `berth release publish`, or the board was emptied. A boot that looks for an older \
         release takes what it has found so far.",
        "publish the next config with `berth release publish`: from then on each release has its copy.",
        &["aws s3 ls s3://BUCKET/PREFIX/RELEASE/"],
    );
    ReleaseError::Another { .. }, ReleaseError::Another { wanted: release("RELEASE"), found: release("OTHER") } => entry(
        Section::Releases,
        "Something other than `berth release publish` wrote to the board: a release is named by the hash of its document.",
        "see who may write below the prefix of the board, and publish the config again.",
        &["aws s3api head-object --bucket BUCKET --key PREFIX/RELEASE/document"],
    );
    ReleaseError::NoPointer, ReleaseError::NoPointer => entry(
        Section::Releases,
        "The file with AMI-wide defaults was changed on the instance, and does not say any more where the config is.",
        "restore `config` in the file, or start the agent again.",
        &["berth check"],
    );
}

const NOT_KEPT: Advice = entry(
    Section::Releases,
    "The document of the release is not kept on this instance: to go back to it, the board is asked for it.",
    "give the run directory a tmpfs, and room on it.",
    &["findmnt --target /run/berth", "df -h /run"],
);

rows! { kept, KeptError, |_| None;
    KeptError::OnDisk(_), KeptError::OnDisk("FILE".into()) => NOT_KEPT;
    KeptError::Io(..), KeptError::Io("FILE".into(), "write", io::Error::from_raw_os_error(28)) => NOT_KEPT;
    KeptError::Invalid(_), KeptError::Invalid("FILE".into()) => NOT_KEPT;
}
