//! The progress stream of a pull (see script.rs): in one piece (`a`, `b`), in pieces of 3 bytes at least (`c`, `d`) or of 100 (`e`, `f`);
//! `b`, `d` and `f` are cut before the end.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use berth::io::docker::Engine;
use berth_config::PinnedImage;
use berth_core::message::error::JobError;
use berth_core::message::event::PullProgress;
use http::StatusCode;
use serde_json::Value;

use crate::answerer::{Delivery, answering, scripted};
use crate::check_shown;
use crate::script::Script;

/// Nothing here stands still.
const STALL: Duration = Duration::from_secs(10);

/// A pull is done only if its stream ended by itself and reported no error; the progress on the way adds up.
pub fn pull(bytes: &[u8]) {
    let script = Script::read(bytes);
    // The client reads a line that has not ended again with every piece, so there is a bound to their number.
    let small = 3.max(script.body.len() / 256);
    let delivery =
        Delivery { piece: [1 << 16, small, 100.max(small)][script.question / 2 % 3], cut: script.question % 2 == 1 };
    let (is_good, reports_error) = (script.status.is_success(), reports_error(&script.body));
    // Where HTTP has no body there is none to be cut.
    let cut = delivery.cut && script.status != StatusCode::NO_CONTENT;
    answering(
        move |_| scripted(&script, delivery),
        async |answerer| {
            let engine = Engine::new(Some(&answerer.engine)).unwrap();
            let image = PinnedImage { repository: "registry.example/app".into(), digest: format!("sha256:{:064}", 0) };
            let seen: Arc<Mutex<Vec<PullProgress>>> = Arc::default();
            let heard = seen.clone();
            let pulled = engine.pull(&image, None, STALL, |progress| heard.lock().unwrap().push(progress)).await;
            for progress in seen.lock().unwrap().iter() {
                assert!(progress.layers_done <= progress.layers, "{progress:?}");
            }
            match pulled {
                Ok(()) => assert!(
                    is_good && !cut && !reports_error,
                    "done, although good {is_good}, cut {cut}, error {reports_error}"
                ),
                Err(error) => check_shown(&JobError::from_error(error.class(), &error).reason),
            }
        },
    );
}

/// Whether a line of the stream says that the pull failed, as the engine does.
fn reports_error(body: &[u8]) -> bool {
    let of = |line: &[u8]| -> Option<bool> {
        let line: Value = serde_json::from_slice(line).ok()?;
        let message = line.get("errorDetail")?.get("message")?.as_str()?;
        Some(!message.is_empty())
    };
    body.split(|byte| *byte == b'\n').any(|line| of(line) == Some(true))
}
