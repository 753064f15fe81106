//! What a failed call becomes: an [`EngineError`] with its class and the engine's own message on one line.

use std::error::Error;
use std::io;

use berth_config::printable;
use berth_core::message::error::{ErrorClass, find};
use bollard::errors::Error as Bollard;
use http::StatusCode;
use serde::Deserialize;

use super::{image, key};
use crate::io::docker::error::EngineError;

/// Bytes of the engine's message that are kept; a registry's error page can be a whole document.
const MAX_MESSAGE: usize = 600;

/// What is written when a disk of the host is full.
pub(super) const DISK_FULL: &str = "no space left on device";

/// Classifies a refusal by its HTTP status, if there was one, and its message in lower case.
pub(in crate::io::docker) type Classify = fn(Option<u16>, &str) -> ErrorClass;

/// The error of a call that failed.
pub(in crate::io::docker) fn of(doing: String, error: Bollard, classify: Classify) -> EngineError {
    match error {
        Bollard::DockerResponseServerError { status_code, message } => {
            let class = classify(Some(status_code), &message.to_lowercase());
            EngineError::Refused { doing, message: explained(&message), class }
        }
        Bollard::DockerStreamError { error } => {
            let class = classify(None, &error.to_lowercase());
            EngineError::Refused { doing, message: explained(&error), class }
        }
        Bollard::HyperResponseError { err } => EngineError::Closed { doing, source: Box::new(err) },
        // A body that ends early, as bollard hands it on.
        Bollard::IOError { err } if err.kind() == io::ErrorKind::Other => {
            EngineError::Closed { doing, source: Box::new(err) }
        }
        // Its text repeats its source's.
        Bollard::HyperLegacyError { err } => no_answer(doing, Box::new(err)),
        other => no_answer(doing, Box::new(other)),
    }
}

/// The error of a call that was not answered.
pub(in crate::io::docker) fn no_answer(doing: String, source: Box<dyn Error + Send + Sync>) -> EngineError {
    let class = if is_permission(&*source) { ErrorClass::Denied } else { ErrorClass::Transient };
    EngineError::NoAnswer { doing, class, source }
}

/// Whether the socket is there, and this user may not connect to it.
fn is_permission(error: &(dyn Error + 'static)) -> bool {
    find::<io::Error>(error).is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

/// A refusal as bollard would return it, where berth calls the engine without it: the API's `ErrorResponse`, else the body as text.
pub(in crate::io::docker) fn response(status: StatusCode, body: &[u8]) -> Bollard {
    #[derive(Deserialize)]
    struct ErrorResponse {
        message: String,
    }
    let message = match serde_json::from_slice::<ErrorResponse>(body) {
        Ok(refusal) => refusal.message,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    Bollard::DockerResponseServerError { status_code: status.as_u16(), message }
}

/// Whether the engine has no such object.
pub(in crate::io::docker) fn is_not_found(error: &Bollard) -> bool {
    matches!(error, Bollard::DockerResponseServerError { status_code: 404, .. })
}

/// Whether the engine's API has no such path. A 404 about an object has a sentence of its own.
pub(in crate::io::docker) fn is_no_such_path(error: &Bollard) -> bool {
    matches!(error, Bollard::DockerResponseServerError { status_code: 404, message }
        if message.trim().eq_ignore_ascii_case("not found"))
}

/// Whether the state of the object does not allow the call.
pub(in crate::io::docker) fn is_conflict(error: &Bollard) -> bool {
    matches!(error, Bollard::DockerResponseServerError { status_code: 409, .. })
}

/// Whether a disk of this host was full.
pub(in crate::io::docker) fn is_disk_full(error: &EngineError) -> bool {
    matches!(error, EngineError::Refused { message, .. } if message.to_lowercase().contains(DISK_FULL))
}

/// Classifies calls that only the engine itself can refuse.
pub(in crate::io::docker) fn plain(status: Option<u16>, _: &str) -> ErrorClass {
    match status {
        Some(400) => ErrorClass::Misconfigured,
        Some(403) => ErrorClass::Denied,
        Some(404) => ErrorClass::Broken,
        _ => ErrorClass::Transient,
    }
}

/// The message, and what to do about it where the image or a key of the config is the reason.
fn explained(prose: &str) -> String {
    let line = printable::message(prose, MAX_MESSAGE);
    let prose = prose.to_lowercase();
    // Which container does not exist, only the caller knows.
    let of_key = || key::find(&prose).filter(|(class, _)| *class != ErrorClass::Transient).map(|(_, advice)| advice);
    match image::advice(&prose).or_else(of_key) {
        Some(advice) => format!("{line}; {advice}"),
        None => line,
    }
}
