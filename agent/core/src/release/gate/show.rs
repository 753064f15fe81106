//! How the gate is shown.

use super::{AfterUnlock, Gate, Stage};
use crate::clock::Uptime;
use crate::message::error::JobError;
use crate::message::release::BoardState;
use crate::view::GateStage;

impl Gate {
    /// Where it stands, for people.
    pub fn stage(&self, now: Uptime) -> GateStage {
        match &self.stage {
            Stage::Waiting if !self.is_in_wave(now) => GateStage::Wave,
            Stage::Waiting => GateStage::Preparing,
            Stage::Reading(_) if self.is_stopped() => GateStage::Stopped,
            Stage::Reading(_) | Stage::Locking(_) => GateStage::Lock,
            Stage::Open | Stage::Marking(_) | Stage::Confirming(_) | Stage::Confirmed => GateStage::Open,
            Stage::Refused => GateStage::Stopped,
            Stage::Writing { .. } => GateStage::Verdict,
            Stage::Unlocking { then: AfterUnlock::TryAgain, .. } => GateStage::Stopped,
            Stage::Unmarking(_) | Stage::Unlocking { .. } | Stage::Over => GateStage::Over,
        }
    }

    fn is_stopped(&self) -> bool {
        self.seen.as_ref().is_some_and(|seen| !seen.may_begin(self.failures, self.locks))
    }

    /// What the board reported last.
    pub fn seen(&self) -> Option<&BoardState> {
        self.seen.as_ref()
    }

    /// Why the last call failed.
    pub fn error(&self) -> Option<&JobError> {
        self.error.as_ref()
    }

    /// When the wave of this instance begins.
    pub fn opens_at(&self) -> Uptime {
        self.opens_at
    }
}
