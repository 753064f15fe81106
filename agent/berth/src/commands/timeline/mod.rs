//! `berth timeline`: where the time went from power-on to ready, and in the drain, as text, as JSON or as a picture. When no agent runs, it shows
//! the last life.

use std::path::Path;
use std::process::ExitCode;

use berth_core::view::timeline::Timeline;

use crate::cli::{Global, TimelineArgs};
use crate::io::host::{power_on, state_dir};
use crate::io::listen::socket_client::{self, ClientError};
use berth_config::printable::one_line;

mod axis;
pub mod bars;
mod svg;
mod text;

/// The longest note about the last life.
const LONGEST_NOTE: usize = 1000;

/// The whole command.
pub async fn main(global: &Global, args: &TimelineArgs) -> ExitCode {
    let timeline = match run(&global.run_dir()).await {
        Ok(timeline) => timeline,
        Err(error @ ClientError::NotRunning(_)) => match state_dir::read(&global.state_dir()) {
            Ok(Some(life)) => {
                super::note(&one_line(&format!("no agent runs; {}", life.sentence()), LONGEST_NOTE));
                Timeline::of_last(&life)
            }
            Ok(None) => return super::failed(super::NO, &super::chain(&error)),
            Err(invalid) => return super::failed(super::NO, &format!("{error}; {}", super::chain(&invalid))),
        },
        Err(error) => return super::failed(super::NO, &super::chain(&error)),
    };
    super::say(&draw(&timeline, args));
    ExitCode::SUCCESS
}

/// The timeline of the running agent; from power-on, if that started it.
pub async fn run(run_dir: &Path) -> Result<Timeline, ClientError> {
    let report = socket_client::status(run_dir).await?;
    let timeline = Timeline::of(&report);
    Ok(match power_on::read(report.now_seconds).await {
        Some(power_on) => timeline.since(power_on),
        None => timeline,
    })
}

/// The timeline in the format of the flags.
pub fn draw(timeline: &Timeline, args: &TimelineArgs) -> String {
    if args.svg {
        svg::draw(timeline)
    } else if args.json {
        // It has no map with keys that are not strings, so it always can be written.
        serde_json::to_string_pretty(timeline).unwrap_or_default() + "\n"
    } else {
        text::draw(timeline)
    }
}

#[cfg(test)]
mod tests;
