//! The document that `config=` points to, as its source has it now, and the release that it is: in S3, a parameter or a secret.

use std::time::Duration;

use berth_config::Pointer;
use berth_core::message::error::JobError;
use berth_core::message::release::{Release, ReleaseId};
use bytes::Bytes;

use super::s3::{self, About, ObjectName};
use super::secrets::{self, Versioned};
use crate::io::aws::client::Aws;

/// A document, and the release that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// A config, in any of the forms of user-data.
    pub bytes: Bytes,
    /// Which, and since when.
    pub release: Release,
}

impl Document {
    /// A document as it was read.
    pub(in crate::io) fn new(bytes: Bytes, revision: String, age: Duration, about: About) -> Self {
        let release = Release {
            id: ReleaseId::of(&bytes),
            revision,
            age,
            previous: about.previous,
            is_rollback: about.is_rollback,
        };
        Self { bytes, release }
    }
}

impl From<s3::Object> for Document {
    fn from(object: s3::Object) -> Self {
        Self::new(object.body, object.etag, object.age, object.about)
    }
}

/// What the pointer points to, by one call; none if it is still this revision.
pub async fn read(aws: &Aws, pointer: &Pointer, unless: Option<&str>) -> Result<Option<Document>, JobError> {
    if let Pointer::S3 { bucket, key } = pointer {
        let at = ObjectName { bucket: bucket.clone(), key: key.clone() };
        return Ok(s3::get(aws, &at, unless).await?.map(Document::from));
    }
    // A parameter or a secret, which has no conditional read, and does not say which release it replaces.
    let Some(reference) = pointer.secret_ref() else { return Ok(None) };
    let Versioned { value, version, age } = secrets::fetch_versioned(aws, &reference).await?;
    let bytes = Bytes::copy_from_slice(value.expose());
    // Without a version, the content is one.
    let revision = version.unwrap_or_else(|| ReleaseId::of(&bytes).0);
    Ok((unless != Some(&revision)).then(|| Document::new(bytes, revision, age, About::default())))
}
