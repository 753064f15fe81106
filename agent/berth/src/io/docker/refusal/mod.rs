//! What a refusal of the engine means. Its API has few statuses and much prose, so the prose is matched, and only in this folder. The words come from the
//! sources of Moby, containerd, runc, Podman and of registries; `tests/adapters/engine` provokes them on a real engine.
//!
//! `answer` makes the error · `create`, `start` and `registry` classify what each call may be refused for · `image` the image's bytes are the
//! reason · `key` a key of the config is.

use std::slice;

use bollard::errors::Error as Bollard;

use super::error::EngineError;

pub(super) use answer::{is_conflict, is_disk_full, is_no_such_path, is_not_found, no_answer, of, plain, response};
pub(super) use create::of_create;
pub(super) use registry::registry;
pub use start::is_no_such_user;
pub(super) use start::{of_start, start};

mod answer;
mod create;
mod image;
mod key;
mod registry;
mod start;

/// Which call was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailedCall {
    /// One that asks a registry: to resolve a tag, to pull.
    Registry,
    /// The creation of a container.
    Create,
    /// The start of a container.
    Start,
}

/// What makes a refusal final: pieces of its message in lower case, all of which must be in it. For the documentation and its test.
pub fn final_prose() -> Vec<(FailedCall, &'static [&'static str])> {
    let lists: [(FailedCall, &'static [&'static str]); 9] = [
        (FailedCall::Registry, &image::IMAGE),
        (FailedCall::Registry, &image::CONFIG),
        (FailedCall::Registry, &registry::MISCONFIGURED),
        (FailedCall::Registry, &registry::DENIED),
        (FailedCall::Registry, &registry::BROKEN),
        (FailedCall::Create, &create::MISCONFIGURED),
        (FailedCall::Create, &[answer::DISK_FULL]),
        (FailedCall::Start, &start::MISCONFIGURED),
        (FailedCall::Start, &start::BROKEN),
    ];
    let single =
        lists.into_iter().flat_map(|(call, prose)| prose.iter().map(move |prose| (call, slice::from_ref(prose))));
    // Some engines refuse a key at the creation, others at the start.
    single.chain(key::final_pieces().map(|words| (FailedCall::Start, words))).collect()
}

/// The error that this message of the engine becomes. For the documentation and its test.
pub fn refused(call: FailedCall, doing: &str, prose: &str) -> EngineError {
    let error = Bollard::DockerResponseServerError { status_code: 500, message: prose.to_owned() };
    let classify = match call {
        FailedCall::Registry => registry,
        FailedCall::Create => create::create,
        FailedCall::Start => start,
    };
    of(doing.to_owned(), error, classify)
}
