//! Image references as Docker writes them, and the pinned form that alone reaches the engine (invariant 4).

use std::fmt;

use serde::{Deserialize, Serialize};

/// An image reference that is pinned: it has a tag other than `latest`, or a digest, or both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImageRef {
    /// The registry's host and port as written, `docker.io` when none was.
    pub registry: String,
    /// The path below the host: `ap-api`, `library/nginx`.
    pub repository: String,
    /// The tag.
    pub tag: Option<String>,
    /// The digest, `sha256:` and 64 hex digits.
    pub digest: Option<String>,
}

/// An image by digest: the only form in which an image reaches the engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedImage {
    /// Host and path: `123456789012.dkr.ecr.us-east-2.amazonaws.com/ap-api`.
    pub repository: String,
    /// `sha256:` and 64 hex digits.
    pub digest: String,
}

impl ImageRef {
    /// Host and path, without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The image by digest, if this reference says one.
    pub fn pinned(&self) -> Option<PinnedImage> {
        self.digest.clone().map(|digest| self.at(digest))
    }

    /// The image of this repository with that digest.
    pub fn at(&self, digest: String) -> PinnedImage {
        PinnedImage { repository: self.name(), digest }
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl PinnedImage {
    /// The first twelve hex digits, as people quote a digest.
    pub fn short(&self) -> &str {
        let hex = self.digest.strip_prefix("sha256:").unwrap_or(&self.digest);
        hex.get(..12).unwrap_or(hex)
    }
}

impl fmt::Display for PinnedImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.repository, self.digest)
    }
}
