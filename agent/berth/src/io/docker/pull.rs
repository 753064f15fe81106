//! Pulls an image by digest, and notices a pull that makes no progress.
//!
//! The engine responds with 200 before it has begun; the result of the pull is in the stream that follows. The engine waits for ever for a registry
//! that accepts a connection and then sends nothing, so the stall is noticed here.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use berth_config::PinnedImage;
use berth_core::message::event::PullProgress;
use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptions;
use futures_util::StreamExt;
use tokio::time::sleep;

use super::engine::Engine;
use super::error::EngineError;
use super::login::{Login, log_in};
use super::refusal;

/// The client's own timeout, longer than any pull: `stall` is the one that counts.
const DAY: Duration = Duration::from_secs(86_400);

impl Engine {
    /// Pulls the image and reports every change to `on_progress`. Fails when there is no progress for `stall`. Dropping the future cancels the pull in
    /// the engine, which keeps the layers that are complete.
    pub async fn pull(
        &self,
        image: &PinnedImage,
        login: Option<Login<'_>>,
        stall: Duration,
        mut on_progress: impl FnMut(PullProgress),
    ) -> Result<(), EngineError> {
        let fail = |error| refusal::of(format!("pull {image}"), error, refusal::registry);
        let docker = log_in(self.within(DAY).map_err(fail)?, &image.repository, login)?;
        let options = CreateImageOptions {
            from_image: Some(image.repository.clone()),
            tag: Some(image.digest.clone()),
            platform: self.platform.as_ref().map(ToString::to_string).unwrap_or_default(),
            ..Default::default()
        };
        let mut lines = pin!(docker.create_image(Some(options), None, None));
        let mut tally = Tally::default();
        let mut reported = PullProgress::default();
        let mut quiet = pin!(sleep(stall));
        loop {
            let line = tokio::select! {
                line = lines.next() => line,
                // Unpacking is work on the host's own disk, which some engines do not report.
                () = &mut quiet, if !tally.is_unpacking() => {
                    return Err(EngineError::Stalled { image: image.to_string(), stall });
                }
            };
            let Some(line) = line else { return self.check_platform(image).await };
            if tally.take(line.map_err(fail)?) {
                quiet.set(sleep(stall));
                let progress = tally.progress();
                if progress != reported {
                    on_progress(progress.clone());
                    reported = progress;
                }
            }
        }
    }
}

/// The layers of one pull, as far as the stream reported.
#[derive(Default)]
struct Tally {
    layers: BTreeMap<String, LayerProgress>,
}

/// One layer.
#[derive(Clone, Default, PartialEq)]
struct LayerProgress {
    stage: LayerStage,
    /// Bytes downloaded.
    bytes: u64,
    /// Its size, once it is known.
    total: u64,
    /// The engine's counter in this stage.
    current: i64,
}

/// The stage of a layer, in order.
#[derive(Clone, Copy, Default, PartialEq, PartialOrd)]
enum LayerStage {
    #[default]
    Known,
    Downloading,
    Downloaded,
    Extracting,
    Complete,
}

impl Tally {
    /// Takes one line of the stream; returns whether a layer has changed.
    fn take(&mut self, line: CreateImageInfo) -> bool {
        let (Some(id), Some(status)) = (line.id, line.status) else { return false };
        let stage = match status.as_str() {
            "Pulling fs layer" | "Waiting" => LayerStage::Known,
            "Downloading" => LayerStage::Downloading,
            "Verifying Checksum" | "Download complete" => LayerStage::Downloaded,
            "Extracting" => LayerStage::Extracting,
            "Pull complete" | "Already exists" => LayerStage::Complete,
            // `Retrying in 5 seconds` is a countdown and no progress; other lines are about no layer.
            _ => return false,
        };
        let before = self.layers.get(&id).cloned();
        let mut layer = before.clone().unwrap_or_default();
        let detail = line.progress_detail.unwrap_or_default();
        layer.stage = stage;
        layer.current = detail.current.unwrap_or(0);
        match stage {
            LayerStage::Downloading => {
                layer.bytes = detail.current.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0);
                layer.total = detail.total.and_then(|total| u64::try_from(total).ok()).unwrap_or(layer.total);
            }
            LayerStage::Known => {}
            _ => layer.bytes = layer.total,
        }
        let moved = before.as_ref() != Some(&layer);
        self.layers.insert(id, layer);
        moved
    }

    /// Whether only the host's own disk is at work: no layer is being downloaded, and some are not unpacked. After the last layer the engine may still
    /// wait for the image's config.
    fn is_unpacking(&self) -> bool {
        self.layers.values().all(|layer| layer.stage >= LayerStage::Downloaded)
            && self.layers.values().any(|layer| layer.stage < LayerStage::Complete)
    }

    fn progress(&self) -> PullProgress {
        PullProgress {
            layers_done: self.layers.values().filter(|layer| layer.stage == LayerStage::Complete).count(),
            layers: self.layers.len(),
            bytes: self.layers.values().map(|layer| layer.bytes).fold(0, u64::saturating_add),
            total: self.layers.values().map(|layer| layer.total).fold(0, u64::saturating_add),
        }
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::ProgressDetail;

    use super::*;

    fn line(id: &str, status: &str, counted: Option<(i64, i64)>) -> CreateImageInfo {
        CreateImageInfo {
            id: Some(id.to_owned()),
            status: Some(status.to_owned()),
            progress_detail: counted
                .map(|(current, total)| ProgressDetail { current: Some(current), total: Some(total) }),
            ..Default::default()
        }
    }

    #[test]
    fn progress_is_summed_over_the_layers() {
        let mut tally = Tally::default();
        assert!(!tally.take(line("v1", "Pulling from team/api", None)), "the image is no layer");
        for id in ["a", "b", "c"] {
            assert!(tally.take(line(id, "Pulling fs layer", None)));
        }
        tally.take(line("a", "Downloading", Some((10, 100))));
        tally.take(line("b", "Downloading", Some((5, 50))));
        tally.take(line("b", "Download complete", None));
        tally.take(line("c", "Already exists", None));
        assert_eq!(tally.progress(), PullProgress { layers_done: 1, layers: 3, bytes: 60, total: 150 });
        tally.take(line("a", "Extracting", Some((1, 100))));
        assert_eq!(tally.progress().bytes, 150, "what is unpacked is not counted as downloaded again");
    }

    #[test]
    fn sizes_that_no_registry_has_are_no_overflow() {
        let mut tally = Tally::default();
        for id in ["a", "b", "c"] {
            tally.take(line(id, "Downloading", Some((i64::MAX, i64::MAX))));
        }
        assert_eq!(tally.progress().bytes, u64::MAX);
        assert_eq!(tally.progress().total, u64::MAX);
    }

    #[test]
    fn a_line_that_repeats_itself_and_a_countdown_are_no_progress() {
        let mut tally = Tally::default();
        assert!(tally.take(line("a", "Downloading", Some((10, 100)))));
        assert!(!tally.take(line("a", "Downloading", Some((10, 100)))));
        assert!(!tally.take(line("a", "Retrying in 5 seconds", None)));
        assert!(!tally.take(line("a", "Retrying in 4 seconds", None)));
        assert!(tally.take(line("a", "Downloading", Some((11, 100)))));
    }

    #[test]
    fn silence_is_allowed_while_layers_are_unpacked_and_only_then() {
        let mut tally = Tally::default();
        assert!(!tally.is_unpacking(), "nothing is known of any layer");
        tally.take(line("a", "Downloading", Some((10, 100))));
        tally.take(line("b", "Download complete", None));
        assert!(!tally.is_unpacking(), "one is on its way");
        tally.take(line("a", "Download complete", None));
        assert!(tally.is_unpacking());
        tally.take(line("b", "Pull complete", None));
        tally.take(line("a", "Extracting", Some((1, 100))));
        assert!(tally.is_unpacking());
        tally.take(line("a", "Pull complete", None));
        assert!(!tally.is_unpacking(), "the config may be on its way");
    }
}
