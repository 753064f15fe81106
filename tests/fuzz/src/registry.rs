//! What comes of a registry, all of it through the engine (see script.rs): `a` a reference as people write it (the body), `b` the
//! answer to which digest a tag has, `c` what an image says of itself, `d` what a container says of itself.

use berth::io::aws::ecr;
use berth::io::docker::{Engine, EngineError};
use berth_config::{ImageRef, PinnedImage, RegistryAuth};
use berth_core::message::container::ContainerId;
use berth_core::message::error::JobError;

use crate::answerer::{Delivery, answering, scripted};
use crate::check_shown;
use crate::script::Script;

const QUESTIONS: usize = 4;

/// What is validated of a reference or of an answer reaches the engine as a digest, and reads the same when it is read again.
pub fn registry(bytes: &[u8]) {
    let script = Script::read(bytes);
    let question = script.question % QUESTIONS;
    if question == 0 {
        return reference(&String::from_utf8_lossy(&script.body));
    }
    answering(
        move |_| scripted(&script, Delivery::default()),
        async |answerer| {
            let engine = Engine::new(Some(&answerer.engine)).unwrap();
            let image = ImageRef::parse("registry.example:5000/team/app:v1").unwrap();
            let pinned = PinnedImage { repository: image.name(), digest: format!("sha256:{:064}", 0) };
            match question {
                1 => {
                    if let Some(pinned) = shown(engine.look_up(&image, None).await) {
                        check_digest(&pinned.digest);
                    }
                }
                2 => drop(shown(engine.inspect_image(&pinned).await)),
                _ => drop(shown(engine.name_of(&ContainerId("c".into())).await)),
            }
        },
    );
}

fn reference(text: &str) {
    let image = match ImageRef::parse(text) {
        Ok(image) => image,
        Err(reason) => return check_shown(&reason),
    };
    let shown = image.to_string();
    assert_eq!(ImageRef::parse(&shown).as_ref(), Ok(&image), "{text:?} is shown as {shown:?}");
    assert!(image.tag.is_some() || image.digest.is_some(), "{text:?} is not pinned");
    check_shown(&shown);
    if let Some(pinned) = image.pinned() {
        check_digest(&pinned.digest);
    }
    ecr::needs_token(&image.registry, &RegistryAuth::Auto);
}

#[track_caller]
fn check_digest(digest: &str) {
    let hex = digest.strip_prefix("sha256:").unwrap_or_default();
    let is_hex = hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    assert!(hex.len() == 64 && is_hex, "{digest:?} is no digest");
}

fn shown<T>(answer: Result<T, EngineError>) -> Option<T> {
    answer.map_err(|error| check_shown(&JobError::from_error(error.class(), &error).reason)).ok()
}
