//! The walk: a life is gone through line by line of its log, each line one event or one effect, and something is done at one of them.
//!
//! The agent is held at each line (`berth_kit::Held`), so it has come no further than the next one when it is killed: at an event the
//! work is done and not yet reported, at an effect it is about to begin or goes on. Nothing here waits for a time.

use std::collections::BTreeMap;

use berth_kit::Held;
use serde_json::Value;

use crate::SOON;

/// A line of the driver's log: `> PullImage` begins, `ImagePulled` has happened, `serve` is entered.
fn step(line: &str) -> Option<(String, String)> {
    let line: Value = serde_json::from_str(line).ok()?;
    let (phase, message) = (line["phase"].as_str()?.to_owned(), line["message"].as_str()?);
    let mut words = message.split([' ', ':']);
    let step = match words.next()? {
        "phase" => phase.clone(),
        first @ (">" | "Failed" | "HookNotActive") => format!("{first} {}", words.next()?),
        first => first.to_owned(),
    };
    Some((phase, step))
}

/// How often these come is chance: no two lives have the same of them.
fn is_chance(phase: &str, step: &str) -> bool {
    match step {
        "Woke" | "> Cancel" | "ProbeFailed" | "PullProgressed" => true,
        // A drain may be over before the first, or before its answer.
        "> RecordHeartbeat"
        | "HeartbeatRecorded"
        | "HookNotActive RecordHeartbeat"
        | "> CheckMetadataBlock"
        | "MetadataBlockChecked" => phase == "drain",
        _ => false,
    }
}

/// A walk through one life.
pub(super) struct Walk {
    held: Held,
    /// The steps so far, each once, in their order.
    pub(super) seen: Vec<String>,
    /// What is another step each time that it comes, and how often it came.
    counted: BTreeMap<&'static str, usize>,
}

impl Walk {
    pub(super) fn new(held: Held) -> Self {
        Self { held, seen: Vec::new(), counted: BTreeMap::new() }
    }

    /// From here on the second of these is another step than the first.
    pub(super) fn count(&mut self, steps: &'static [&'static str]) {
        self.counted = steps.iter().map(|step| (*step, 0)).collect();
    }

    /// The next step that was not seen before; none once the agent has ended.
    pub(super) async fn next(&mut self) -> Option<String> {
        loop {
            let line = self.held.next(SOON).await?;
            let Some((phase, mut step)) = step(&line) else { continue };
            if let Some(count) = self.counted.get_mut(step.as_str()) {
                *count += 1;
                if *count > 1 {
                    step = format!("{step} {count}");
                }
            }
            if !is_chance(&phase, &step) && !self.seen.contains(&step) {
                self.seen.push(step.clone());
                return Some(step);
            }
        }
    }

    pub(super) fn saw(&self, steps: &[&str]) -> bool {
        steps.iter().all(|step| self.seen.iter().any(|seen| seen == step))
    }

    /// On to the last of these steps; from there on what was seen before is new again.
    pub(super) async fn until(&mut self, steps: &[&str]) {
        while !self.saw(steps) {
            self.next().await.expect("it comes so far");
        }
        self.seen.clear();
    }
}
