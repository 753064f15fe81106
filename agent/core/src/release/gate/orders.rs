//! The calls of the gate: each is ordered when it is due.

use super::{Gate, LEASE, Stage};
use crate::clock::Uptime;
use crate::message::job::Job;
use crate::outbox::Outbox;

impl Gate {
    /// Orders what is due.
    pub fn advance(&mut self, outbox: &mut Outbox, now: Uptime) {
        let (Some(board), release) = (self.board.clone(), self.release.clone()) else { return };
        if let Some(held) = &mut self.held {
            if held.until <= now {
                held.renewal.cancel(outbox);
                self.held = None;
            } else {
                let renew = || Job::RenewLock {
                    board: board.clone(),
                    release: release.clone(),
                    lock: held.lock.clone(),
                    lease: LEASE,
                };
                held.renewal.advance(renew, outbox, now);
            }
        }
        let locks = self.locks;
        match &mut self.stage {
            Stage::Reading(call) | Stage::Confirming(call) => {
                call.advance(|| Job::ReadBoard { board, release }, outbox, now);
            }
            Stage::Marking(call) => call.advance(|| Job::MarkBegun { board, release }, outbox, now),
            Stage::Unmarking(call) => {
                let etag = self.mark.clone().unwrap_or_default();
                call.advance(|| Job::TakeBackMark { board, release, etag }, outbox, now);
            }
            Stage::Locking(call) => call.advance(|| Job::TakeLock { board, release, locks, lease: LEASE }, outbox, now),
            Stage::Writing { verdict, reason, output, call } => {
                let (verdict, reason, output) = (*verdict, reason.clone(), output.as_deref().cloned());
                call.advance(|| Job::WriteVerdict { board, release, verdict, reason, output }, outbox, now);
            }
            Stage::Unlocking { lock, call, .. } => {
                let lock = lock.clone();
                call.advance(|| Job::ReleaseLock { board, lock }, outbox, now);
            }
            Stage::Waiting | Stage::Open | Stage::Confirmed | Stage::Refused | Stage::Over => {}
        }
    }

    /// When it wants to be woken.
    pub fn wake(&self) -> Option<Uptime> {
        let call = match &self.stage {
            Stage::Waiting => Some(self.opens_at),
            Stage::Reading(call) | Stage::Locking(call) | Stage::Marking(call) | Stage::Confirming(call) => {
                Some(call.wake())
            }
            Stage::Unmarking(call) | Stage::Writing { call, .. } | Stage::Unlocking { call, .. } => Some(call.wake()),
            Stage::Open | Stage::Confirmed | Stage::Refused | Stage::Over => None,
        };
        let held = self.held.as_ref().map(|held| held.until.min(held.renewal.wake()));
        call.into_iter().chain(held).min()
    }
}
