//! `platform`: which image of a multi-platform reference, as `docker run --platform` means it.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::value::Reason;

/// A Linux platform, normalized as containerd does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    architecture: String,
    variant: Option<String>,
}

impl Platform {
    /// `linux/arm64`, `linux/arm/v7`, `arm64`.
    pub(crate) fn parse(text: &str) -> Result<Self, Reason> {
        let parts: Vec<&str> = text.split('/').collect();
        let (architecture, variant) = match parts.as_slice() {
            ["linux", architecture, variant] => (*architecture, *variant),
            ["linux", architecture] | [architecture] => (*architecture, ""),
            [_, _] | [_, _, _] => {
                return Err("is not a Linux platform like `linux/arm64`: the engine runs Linux images only".into());
            }
            _ => return Err("is not a platform like `linux/arm64` or `linux/arm/v7`".into()),
        };
        Self::normalized(architecture, variant).ok_or_else(|| {
            "is not a platform that images are built for, like `linux/amd64`, `linux/arm64` or `linux/arm/v7`".into()
        })
    }

    /// The architecture as Go spells it: `arm64`.
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// `v7`, if the architecture has variants.
    pub fn variant(&self) -> Option<&str> {
        self.variant.as_deref()
    }

    /// Whether an image of that architecture and variant is for this platform. An image that has neither matches.
    pub fn is_of(&self, architecture: &str, variant: &str) -> bool {
        if architecture.is_empty() {
            return true;
        }
        let Some(image) = Self::normalized(architecture, variant) else { return architecture == self.architecture };
        let variant_of = |of: &Self| of.variant.clone().filter(|_| !variant.is_empty());
        image.architecture == self.architecture
            && variant_of(&image).is_none_or(|variant| self.variant.as_ref().is_none_or(|wanted| *wanted == variant))
    }

    /// containerd's normalization (platforms/database.go).
    fn normalized(architecture: &str, variant: &str) -> Option<Self> {
        let (architecture, variant) = match (architecture, variant) {
            ("x86_64" | "x86-64" | "amd64", "" | "v1") => ("amd64", None),
            ("x86_64" | "x86-64" | "amd64", variant @ ("v2" | "v3" | "v4")) => ("amd64", Some(variant)),
            ("aarch64" | "arm64", "" | "8" | "v8") => ("arm64", None),
            ("aarch64" | "arm64", variant @ "v9") => ("arm64", Some(variant)),
            ("armhf", "") => ("arm", Some("v7")),
            ("armel", "") => ("arm", Some("v6")),
            ("arm", "" | "7" | "v7") => ("arm", Some("v7")),
            ("arm", "5" | "v5") => ("arm", Some("v5")),
            ("arm", "6" | "v6") => ("arm", Some("v6")),
            ("arm", "8" | "v8") => ("arm", Some("v8")),
            ("i386" | "386", "") => ("386", None),
            (known @ ("ppc64le" | "s390x" | "riscv64" | "loong64" | "mips64le"), "") => (known, None),
            _ => return None,
        };
        Some(Self { architecture: architecture.to_owned(), variant: variant.map(str::to_owned) })
    }
}

/// In the form of `--platform`.
impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "linux/{}", self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

impl Serialize for Platform {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_is_normalized_as_containerd_does() {
        for (text, kept) in [
            ("linux/amd64", "linux/amd64"),
            ("x86_64", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("linux/arm64/v8", "linux/arm64"),
            ("aarch64", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/v6", "linux/arm/v6"),
            ("armhf", "linux/arm/v7"),
            ("linux/s390x", "linux/s390x"),
        ] {
            assert_eq!(Platform::parse(text).map(|platform| platform.to_string()), Ok(kept.to_owned()), "{text}");
        }
        for text in
            ["windows/amd64", "darwin/arm64", "linux", "linux/", "linux/vax", "a/b/c/d", "linux/arm64/v7", "", "/"]
        {
            assert!(Platform::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_image_is_compared_in_the_same_words() {
        let is = |platform: &str, architecture: &str, variant: &str| {
            Platform::parse(platform).unwrap().is_of(architecture, variant)
        };
        assert!(is("linux/arm64", "arm64", "v8") && is("linux/arm64", "arm64", "") && is("linux/arm64", "", ""));
        assert!(!is("linux/arm64", "amd64", "") && !is("linux/amd64", "vax", ""));
        assert!(is("linux/arm/v6", "arm", "v6") && is("linux/arm/v6", "arm", "") && !is("linux/arm/v6", "arm", "v7"));
    }
}
