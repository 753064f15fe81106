//! The seccomp profile of a file. The engine takes its text and not its name, so the client reads the file, as the docker command does.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::libc;
use serde_json::Value;

use super::error::EngineError;

/// Bytes of a profile; Docker's own has some 15 KB.
const MOST: u64 = 1024 * 1024;

/// The profile as compact JSON.
pub(super) fn profile(path: &Path) -> Result<String, EngineError> {
    let refused = |reason: String| EngineError::SeccompProfile { path: path.display().to_string(), reason };
    let text = read(path).map_err(|error| refused(error.to_string()))?;
    let profile: Value = serde_json::from_str(&text).map_err(|error| refused(format!("it is not JSON: {error}")))?;
    if !profile.is_object() {
        return Err(refused("it is not a JSON object".to_owned()));
    }
    Ok(profile.to_string())
}

fn read(path: &Path) -> io::Result<String> {
    // Nonblocking, so that a pipe in its place does not block the reader.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut text = String::new();
    file.take(MOST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MOST {
        return Err(io::Error::other("it is longer than 1 MiB"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use berth_core::message::error::ErrorClass;

    use super::*;

    #[test]
    fn a_profile_is_a_file_of_json() {
        let directory = tempfile::tempdir().unwrap();
        let checked = |text: &[u8]| {
            let path = directory.path().join("profile.json");
            std::fs::write(&path, text).unwrap();
            profile(&path).map_err(|error| (error.to_string(), error.class()))
        };
        assert_eq!(
            checked(b"{ \"defaultAction\": \"SCMP_ACT_ALLOW\" }\n"),
            Ok(r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#.to_owned())
        );
        for (text, expected) in [
            (&b"{"[..], "it is not JSON"),
            (b"[]", "it is not a JSON object"),
            (b"\xff", "valid UTF-8"),
            (&b" ".repeat(1024 * 1024 + 1), "longer than 1 MiB"),
        ] {
            let (reason, class) = checked(text).unwrap_err();
            assert!(reason.contains(expected) && reason.contains("profile.json"), "{reason}");
            assert_eq!(class, ErrorClass::Misconfigured);
        }
        for path in [directory.path().join("nowhere"), directory.path().to_owned()] {
            assert_eq!(profile(&path).unwrap_err().class(), ErrorClass::Misconfigured);
        }
    }
}
