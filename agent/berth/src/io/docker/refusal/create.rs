//! Why a container was not created: the engine checks the config of the container.

use berth_core::message::error::ErrorClass;
use bollard::errors::Error as Bollard;

use super::answer::{DISK_FULL, of};
use super::key;
use crate::io::docker::error::EngineError;

/// Messages about the config. Their status may be 400, 404 or 500.
pub(super) const MISCONFIGURED: [&str; 4] =
    ["error looking up logging plugin", "unknown log opt", "invalid mount config", "bind source path does not exist"];

/// Classifies a refusal to create a container.
pub(in crate::io::docker) fn create(status: Option<u16>, prose: &str) -> ErrorClass {
    if MISCONFIGURED.iter().any(|words| prose.contains(words)) {
        return ErrorClass::Misconfigured;
    }
    if let Some((class, _)) = key::find(prose) {
        return class;
    }
    match status {
        _ if prose.contains(DISK_FULL) => ErrorClass::Broken,
        Some(400) => ErrorClass::Misconfigured,
        Some(404) => ErrorClass::Broken,
        _ => ErrorClass::Transient,
    }
}

/// The error of creating the container with this name.
pub(in crate::io::docker) fn of_create(name: &str, error: Bollard) -> EngineError {
    let mut error = of(format!("create the container {name}"), error, create);
    key::name_other_container(&mut error);
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_creation_is_classified_by_its_message() {
        let table: [(u16, &str, ErrorClass); 4] = [
            // An engine looks for 15 s before it says so.
            (500, "error looking up logging plugin nope: plugin \"nope\" not found", ErrorClass::Misconfigured),
            (400, "invalid signal: SIGNOPE", ErrorClass::Misconfigured),
            (404, "No such image: host/x@sha256:aa", ErrorClass::Broken),
            (500, "context deadline exceeded", ErrorClass::Transient),
        ];
        for (status, prose, class) in table {
            assert_eq!(create(Some(status), &prose.to_lowercase()), class, "{prose}");
        }
    }
}
