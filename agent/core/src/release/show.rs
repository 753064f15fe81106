//! How releases are shown.

use super::{Next, ReleaseEnd, Releases};
use crate::clock::Uptime;
use crate::message::release::{ReleaseId, Verdict};
use crate::view::{GateStage, LastReleaseView, NextReleaseView, RefusedReleaseView, ReleasesView};

/// What was counted and how the last release ended, for people.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    pub(super) last: Option<LastReleaseView>,
    pub(super) succeeded: u32,
    pub(super) failed: u32,
}

impl History {
    pub(super) fn note(&mut self, release: Option<&ReleaseId>, end: &ReleaseEnd, now: Uptime) {
        let is_good = end.verdict == Verdict::Ok;
        let count = if is_good { &mut self.succeeded } else { &mut self.failed };
        *count = count.saturating_add(1);
        self.last = Some(LastReleaseView {
            release: release.map(ToString::to_string),
            is_good,
            reason: end.reason.clone(),
            at_seconds: now.0.as_secs_f64(),
            gap_seconds: end.gap.map(|gap| gap.as_secs_f64()),
            output: end.output.clone(),
        });
    }
}

impl Releases {
    /// As they are shown; none while nothing is followed. `under_way` is the release that goes on now.
    pub fn view(&self, under_way: Option<&Next>) -> Option<ReleasesView> {
        if self.serving.is_none() && self.history.last.is_none() {
            return None;
        }
        let refused = self.refused.as_ref().map(|(release, keys)| RefusedReleaseView {
            release: release.to_string(),
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        });
        Some(ReleasesView {
            serving: self.serving.as_ref().map(|serving| serving.id.to_string()),
            next: under_way.or(self.next.as_ref()).map(|next| self.next_view(next)),
            last: self.history.last.clone(),
            refused,
            follow_error: self.error().map(|error| error.reason.clone()),
            succeeded: self.history.succeeded,
            failed: self.history.failed,
        })
    }

    fn next_view(&self, next: &Next) -> NextReleaseView {
        let seen = next.gate.seen();
        let waits_for = match next.gate.stage(self.advanced) {
            GateStage::Wave => GateStage::Wave,
            _ if next.preparation.shortage().is_some() => GateStage::Capacity,
            GateStage::Lock if next.preparation.ready().is_none() => GateStage::Preparing,
            stage => stage,
        };
        NextReleaseView {
            release: next.release.id.to_string(),
            version: next.config.version(),
            waits_for,
            wave_at_seconds: next.gate.opens_at().0.as_secs_f64(),
            ok: seen.map(|seen| seen.ok),
            bad: seen.map(|seen| seen.bad),
            error: next
                .gate
                .error()
                .map(|error| error.reason.as_str())
                .or(next.preparation.shortage())
                .map(str::to_owned),
        }
    }
}
