//! This machine's architecture, in the words of Go, which images and the engine use.

/// `amd64` or `arm64`
pub(super) const HERE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };

/// Whether this machine runs what is built for that architecture. An engine that reports none is trusted.
pub(super) fn runs_here(built_for: &str) -> bool {
    // A 64-bit kernel runs the 32-bit programs of its own kind as well.
    let also = if HERE == "amd64" { "386" } else { "arm" };
    built_for.is_empty() || built_for == HERE || built_for == also
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_runs_on_its_own_kind_of_machine() {
        let other = if HERE == "amd64" { "arm64" } else { "amd64" };
        assert!(runs_here(HERE) && runs_here(""));
        assert!(!runs_here(other) && !runs_here("s390x"));
        assert_eq!((runs_here("386"), runs_here("arm")), (HERE == "amd64", HERE == "arm64"));
    }
}
