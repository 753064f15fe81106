//! Image references as Docker writes them, and images by digest, the only form that reaches the engine (invariant 4).

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::value::Reason;

/// An image reference that is pinned: it has a tag other than `latest`, or a digest, or both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImageRef {
    /// The registry's host and port as written, else `docker.io`.
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
    /// Reads a reference as Docker does (distribution/reference), where `nginx:1.27` is `docker.io/library/nginx:1.27`,
    /// and refuses what is not pinned.
    pub fn parse(text: &str) -> Result<Self, Cow<'static, str>> {
        if text.contains("://") {
            return Err("is a URL: remove `https://`".into());
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(parse_digest(digest)?)),
            None => (text, None),
        };
        let (rest, tag) = match rest.rsplit_once(':') {
            Some((rest, tag)) if !tag.contains('/') => (rest, Some(parse_tag(tag)?)),
            _ => (rest, None),
        };
        let (registry, repository) = match rest.split_once('/') {
            Some((host, path)) if is_host(host) => (parse_host(host)?, path.to_owned()),
            _ => ("docker.io".to_owned(), rest.to_owned()),
        };
        let repository = match registry.as_str() {
            "docker.io" if !repository.contains('/') => format!("library/{repository}"),
            _ => repository,
        };
        check_repository(&repository)?;
        match (&tag, &digest) {
            (None, None) => Err("is not pinned: add a tag or, better, a digest (`…@sha256:…`)".into()),
            (Some(tag), None) if tag == "latest" => {
                Err("is not pinned: the image behind `latest` changes; use a version tag or a digest (`…@sha256:…`)"
                    .into())
            }
            _ => Ok(Self { registry, repository, tag, digest }),
        }
    }

    /// Host and path, without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The image by digest, if this reference has one.
    pub fn pinned(&self) -> Option<PinnedImage> {
        self.digest.clone().map(|digest| self.at(digest))
    }

    /// The image of this repository with that digest.
    pub fn at(&self, digest: String) -> PinnedImage {
        PinnedImage { repository: self.name(), digest }
    }

    /// The image of this repository with a digest from outside; none if that is not `sha256:` and 64 hex digits.
    pub fn with_digest(&self, digest: &str) -> Option<PinnedImage> {
        parse_digest(digest).ok().map(|digest| self.at(digest))
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

/// Whether the part before the first `/` is a registry's host and not a part of the path, by Docker's rule.
fn is_host(part: &str) -> bool {
    part == "localhost" || part.contains(['.', ':']) || part.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn parse_host(text: &str) -> Result<String, Reason> {
    const EXPECTED: &str = "does not begin with a registry host";
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or(EXPECTED)?;
            address.parse::<std::net::Ipv6Addr>().map_err(|_| EXPECTED)?;
            let port = if port.is_empty() { None } else { Some(port.strip_prefix(':').ok_or(EXPECTED)?) };
            ("ipv6", port)
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    if !host.split('.').all(label) || !port.is_none_or(digits) {
        return Err(EXPECTED.into());
    }
    // The engine has two names for Docker Hub.
    Ok(if text == "index.docker.io" { "docker.io".to_owned() } else { text.to_owned() })
}

fn check_repository(path: &str) -> Result<(), Reason> {
    if path.len() > 255 {
        return Err("has a name longer than 255 characters".into());
    }
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("has uppercase letters in its name, which no registry allows".into());
    }
    let component = |part: &str| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        part.bytes().next().is_some_and(plain)
            && part.bytes().next_back().is_some_and(plain)
            && part
                .split(|char: char| char.is_ascii_lowercase() || char.is_ascii_digit())
                .all(|between| matches!(between, "" | "." | "_" | "__") || between.bytes().all(|byte| byte == b'-'))
    };
    if path.split('/').all(component) { Ok(()) } else { Err("is not an image reference".into()) }
}

fn parse_tag(tag: &str) -> Result<String, Reason> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let good = (1..=128).contains(&tag.len()) && tag.bytes().all(allowed) && !tag.starts_with(['.', '-']);
    if good { Ok(tag.to_owned()) } else { Err("has a tag that is not at most 128 letters, digits and `_.-`".into()) }
}

fn parse_digest(digest: &str) -> Result<String, Reason> {
    let hex = digest.strip_prefix("sha256:").unwrap_or_default();
    let good = hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'));
    if good {
        Ok(digest.to_owned())
    } else {
        Err("has a digest that is not `sha256:` and 64 lowercase hex digits".into())
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

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn check(text: &str, expected: &str) {
        let text = text.replace("DIGEST", DIGEST);
        let reported = ImageRef::parse(&text).map_or_else(|reason| reason.to_string(), |image| image.to_string());
        assert_eq!(reported.replace(DIGEST, "DIGEST"), expected, "{text}");
    }

    #[test]
    fn references_are_docker_s() {
        check("nginx:1.27", "docker.io/library/nginx:1.27");
        check("nginx@DIGEST", "docker.io/library/nginx@DIGEST");
        check("nginx:1.27@DIGEST", "docker.io/library/nginx:1.27@DIGEST");
        check("nginx:latest@DIGEST", "docker.io/library/nginx:latest@DIGEST");
        check("grafana/loki:3.0", "docker.io/grafana/loki:3.0");
        check("docker.io/nginx:1", "docker.io/library/nginx:1");
        check("index.docker.io/nginx:1", "docker.io/library/nginx:1");
        check("localhost/x:1", "localhost/x:1");
        check("localhost:5000/x:1", "localhost:5000/x:1");
        check("[::1]:5000/x/y:1", "[::1]:5000/x/y:1");
        check("registry.example.com/a/b/c:v1", "registry.example.com/a/b/c:v1");
        check(
            "123456789012.dkr.ecr.us-east-2.amazonaws.com/ap-api:a1b2c3d",
            "123456789012.dkr.ecr.us-east-2.amazonaws.com/ap-api:a1b2c3d",
        );
        check("a__b--c/d.e_f:1", "docker.io/a__b--c/d.e_f:1");
    }

    #[test]
    fn an_image_is_pinned_by_a_whole_digest_and_by_nothing_else() {
        let image = ImageRef::parse("registry.example/app:v1").unwrap();
        assert_eq!(image.with_digest(DIGEST).unwrap().to_string(), format!("registry.example/app@{DIGEST}"));
        for digest in ["", "sha256:", "sha256:aa", "sha256:../../x?y", &DIGEST.to_uppercase(), &format!("{DIGEST}0")] {
            assert_eq!(image.with_digest(digest), None, "{digest}");
        }
    }

    #[test]
    fn what_is_not_pinned_is_refused() {
        const UNPINNED: &str = "is not pinned: add a tag or, better, a digest (`…@sha256:…`)";
        check("nginx", UNPINNED);
        check("localhost:5000/x", UNPINNED);
        check(
            "nginx:latest",
            "is not pinned: the image behind `latest` changes; use a version tag or a digest (`…@sha256:…`)",
        );
    }

    #[test]
    fn an_invalid_reference_is_reported() {
        check("https://x.io/y:1", "is a URL: remove `https://`");
        check("Nginx:1", "has uppercase letters in its name, which no registry allows");
        check("x.io/Y:1", "has uppercase letters in its name, which no registry allows");
        check("x@sha256:123", "has a digest that is not `sha256:` and 64 lowercase hex digits");
        check("x@md5:123", "has a digest that is not `sha256:` and 64 lowercase hex digits");
        check("x:.a", "has a tag that is not at most 128 letters, digits and `_.-`");
        check("x:", "has a tag that is not at most 128 letters, digits and `_.-`");
        check("x:a b", "has a tag that is not at most 128 letters, digits and `_.-`");
        check("-x.io/y:1", "does not begin with a registry host");
        check("x.io:http/y:1", "does not begin with a registry host");
        check("[::1]x/y:1", "does not begin with a registry host");
        check("[::1]\n{/y:1", "does not begin with a registry host");
        check("[::1]:/y:1", "does not begin with a registry host");
        check("x.io:99999/y:1", "does not begin with a registry host");
        for text in ["", ":1", "/x:1", "x//y:1", "x/:1", "_x:1", "x_:1", "a___b:1", "a..b:1", "x y:1", "ä:1"] {
            assert!(ImageRef::parse(text).is_err(), "{text}");
        }
    }
}
