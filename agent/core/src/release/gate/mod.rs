//! The gate of a release: when this instance may begin it, and what it writes about it (docs/decisions/0022).
//!
//! ```text
//!   waiting ─▶ reading ─not stopped─▶ locking ─taken─▶ reading again ─not stopped─▶ open ─▶ marking ─▶ confirming ─▶ confirmed
//!   (wave)        ▲ └── stopped, or every lock is taken: later ──┘ │                                     │            │ (the move)
//!                 └──────────── stopped: the lock is given back ───┘                          refused ◀──┘   writing ─▶ unlocking ─▶ over
//! ```
//! The mark says that this instance begins. It is written before the board is read for the last time, so that of holders that die before
//! their verdict only so many can follow each other.
//!
//! While it holds a lock it renews the lease. Without a board it is open once its wave has begun.

use std::time::Duration;

use berth_config::{Board, Config};

use super::Event;
use super::call::Call;
use crate::clock::Uptime;
use crate::message::error::{ErrorClass, JobError};
use crate::message::input::Input;
use crate::message::output::AppOutput;
use crate::message::release::{BoardState, HeldLock, Release, ReleaseId, Verdict};
use crate::outbox::Outbox;
use crate::retry::FAR;

mod orders;
mod show;

/// For how long a lock is held without being renewed, by the clock of S3.
pub const LEASE: Duration = Duration::from_secs(60);
/// So long before its end this instance takes it for over, counted from when it sent the write: S3's times have whole seconds, and what
/// was decided within the lease may be carried out a little later.
const MARGIN: Duration = Duration::from_secs(15);
/// Between two renewals.
const RENEW_EVERY: Duration = Duration::from_secs(20);
/// After a renewal that failed.
const RENEW_AGAIN: Duration = Duration::from_secs(3);
/// The least time between two attempts to begin, and between two after an error that no time changes.
const POLL: Duration = Duration::from_secs(5);
/// So often a mark is tried to be taken back.
const UNMARK_ATTEMPTS: u32 = 5;
const REFUSED: Duration = Duration::from_secs(60);

/// The gate of one release.
#[derive(Clone, Debug)]
pub struct Gate {
    board: Option<Board>,
    release: ReleaseId,
    failures: u32,
    locks: u32,
    /// Between two attempts to begin.
    poll: Duration,
    opens_at: Uptime,
    stage: Stage,
    held: Option<Held>,
    /// The ETag of the mark, once it is written.
    mark: Option<String>,
    /// Whether a mark of this instance was there before this agent wrote one; none until the board was read.
    had_begun: Option<bool>,
    attempts: u32,
    seen: Option<BoardState>,
    error: Option<JobError>,
}

#[derive(Clone, Debug)]
struct Held {
    lock: HeldLock,
    /// When the lease is over for this instance.
    until: Uptime,
    renewal: Call,
}

#[derive(Clone, Debug)]
enum Stage {
    Waiting,
    Reading(Call),
    Locking(Call),
    Open,
    /// The mark that this instance begins is being written.
    Marking(Call),
    /// With the mark on the board, it is read once more.
    Confirming(Call),
    Confirmed,
    /// It was stopped after this instance had begun to prepare.
    Refused,
    /// Nothing was touched: the mark is taken back.
    Unmarking(Call),
    Writing {
        verdict: Verdict,
        reason: String,
        output: Option<Box<AppOutput>>,
        call: Call,
    },
    Unlocking {
        lock: HeldLock,
        call: Call,
        then: AfterUnlock,
    },
    Over,
}

/// What follows when a lock is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AfterUnlock {
    TryAgain,
    Over,
}

impl Gate {
    /// The gate of this release, for this instance.
    pub fn new(config: &Config, release: &Release, instance_id: &str, now: Uptime) -> Self {
        let slot = release.id.slot(instance_id);
        let waves = config.release.waves.iter();
        let wave = waves.filter(|wave| slot < wave.slots).map(|wave| wave.after).min();
        let wait = if release.is_rollback { Duration::ZERO } else { wave.unwrap_or_default() };
        Self {
            board: config.release.board.clone(),
            release: release.id.clone(),
            failures: config.release.failures,
            locks: config.release.max_parallel,
            poll: config.follow.unwrap_or(POLL).max(POLL),
            opens_at: now + wait.saturating_sub(release.age),
            stage: Stage::Waiting,
            held: None,
            mark: None,
            had_begun: None,
            attempts: 0,
            seen: None,
            error: None,
        }
    }

    /// The same before it asked for anything.
    pub fn afresh(&self) -> Self {
        let (stage, held, mark, seen, error) = (Stage::Waiting, None, None, None, None);
        Self { stage, held, mark, attempts: 0, seen, error, ..self.clone() }
    }

    /// Whether the wave of this instance has begun.
    pub fn is_in_wave(&self, now: Uptime) -> bool {
        self.opens_at <= now
    }

    /// Asks whether it may begin: all that touches nothing is done.
    pub fn ask(&mut self, now: Uptime) {
        if matches!(self.stage, Stage::Waiting) && self.is_in_wave(now) {
            self.stage = if self.board.is_some() { Stage::Reading(Call::Next(now)) } else { Stage::Open };
        }
    }

    /// Whether this instance may begin, or go on before traffic moves.
    pub fn is_open(&self, now: Uptime) -> bool {
        match &self.stage {
            Stage::Open | Stage::Marking(_) | Stage::Confirming(_) | Stage::Confirmed => {
                self.board.is_none() || self.held.as_ref().is_some_and(|held| now < held.until)
            }
            _ => false,
        }
    }

    /// Whether it was open, and the lease of its lock ran out before it began.
    pub fn has_lost_lock(&self, now: Uptime) -> bool {
        matches!(self.stage, Stage::Open) && !self.is_open(now)
    }

    /// Everything is ready to move traffic: the board is to know of it, and is read once more.
    pub fn confirm(&mut self, now: Uptime) {
        if matches!(self.stage, Stage::Open) {
            self.stage = if self.board.is_some() { Stage::Marking(Call::Next(now)) } else { Stage::Confirmed };
        }
    }

    /// Whether traffic may move.
    pub fn is_confirmed(&self, now: Uptime) -> bool {
        matches!(self.stage, Stage::Confirmed) && self.is_open(now)
    }

    /// Whether it was stopped meanwhile.
    pub fn is_refused(&self) -> bool {
        matches!(self.stage, Stage::Refused)
    }

    /// Whether nothing is left to do.
    pub fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// Whether this instance has written before that the release is bad.
    pub fn was_bad_here(&self) -> bool {
        self.seen.as_ref().is_some_and(|seen| seen.own == Some(Verdict::Bad))
    }

    /// Takes an input.
    pub fn on(&mut self, input: &Input, outbox: &mut Outbox, now: Uptime) {
        self.on_renewal(input, now);
        let call = match &self.stage {
            Stage::Reading(call) | Stage::Locking(call) | Stage::Marking(call) | Stage::Confirming(call) => *call,
            Stage::Unmarking(call) | Stage::Writing { call, .. } | Stage::Unlocking { call, .. } => *call,
            Stage::Waiting | Stage::Open | Stage::Confirmed | Stage::Refused | Stage::Over => return,
        };
        let Some((event, since)) = call.answer(input) else { return };
        if let Event::Failed(_, error) = event {
            return self.failed(error, outbox, now);
        }
        (self.attempts, self.error) = (0, None);
        match event {
            Event::BoardRead(state) if matches!(self.stage, Stage::Confirming(_)) => {
                let may_begin = state.may_begin(self.failures, self.locks);
                self.seen = Some(state.clone());
                self.stage = if may_begin { Stage::Confirmed } else { Stage::Refused };
            }
            Event::BoardRead(state) => self.read(state.clone(), outbox, now),
            Event::Marked(etag) => {
                self.mark = Some(etag.clone());
                self.stage = Stage::Confirming(Call::Next(now));
            }
            Event::Unmarked => {
                self.mark = None;
                self.unlock(AfterUnlock::Over, now);
            }
            Event::LockTaken(lock) => {
                self.hold(lock.clone(), since, now);
                // Only what is read from here on says whether it may begin: who had the lock before wrote its verdict first.
                self.stage = Stage::Reading(Call::Next(now));
            }
            Event::LocksBusy => self.later(outbox, now),
            Event::VerdictWritten => self.unlock(AfterUnlock::Over, now),
            Event::LockReleased => self.unlocked(outbox, now),
            _ => {} // no answer to a call of its own
        }
    }

    fn hold(&mut self, lock: HeldLock, since: Uptime, now: Uptime) {
        let until = since + LEASE.saturating_sub(MARGIN);
        self.held = Some(Held { lock, until, renewal: Call::Next(now + RENEW_EVERY) });
    }

    fn read(&mut self, state: BoardState, outbox: &mut Outbox, now: Uptime) {
        self.had_begun.get_or_insert(state.has_begun);
        let is_stopped = !state.may_begin(self.failures, self.locks);
        self.seen = Some(state);
        match (is_stopped, &self.held) {
            (true, Some(_)) => self.unlock(AfterUnlock::TryAgain, now),
            (true, None) => self.later(outbox, now),
            (false, Some(held)) if now < held.until => self.stage = Stage::Open,
            (false, _) => self.stage = Stage::Locking(Call::Next(now)),
        }
    }

    fn on_renewal(&mut self, input: &Input, now: Uptime) {
        let Some(held) = &mut self.held else { return };
        let Some((event, since)) = held.renewal.answer(input) else { return };
        match event {
            Event::LockTaken(lock) => {
                let lock = lock.clone();
                self.hold(lock, since, now);
            }
            Event::LockLost => self.held = None,
            _ => held.renewal = Call::Next(now + RENEW_AGAIN),
        }
    }

    fn failed(&mut self, error: &JobError, outbox: &mut Outbox, now: Uptime) {
        self.attempts = self.attempts.saturating_add(1);
        self.error = Some(error.clone());
        let wait = match error.class {
            ErrorClass::Throttled => outbox.stand_back(self.attempts),
            class if class.is_transient() => outbox.wait(FAR, self.attempts),
            _ => outbox.about(REFUSED, 0.2),
        };
        let next = Call::Next(now + wait);
        match &mut self.stage {
            Stage::Reading(call) | Stage::Locking(call) | Stage::Marking(call) | Stage::Confirming(call) => {
                *call = next
            }
            Stage::Writing { call, .. } => *call = next,
            // A mark that stays counts as one more that may be bad.
            Stage::Unmarking(_) if self.attempts >= UNMARK_ATTEMPTS => self.unlock(AfterUnlock::Over, now),
            Stage::Unmarking(call) => *call = next,
            // The lease ends by itself.
            Stage::Unlocking { .. } => self.unlocked(outbox, now),
            Stage::Waiting | Stage::Open | Stage::Confirmed | Stage::Refused | Stage::Over => {}
        }
    }

    /// It may not begin yet.
    fn later(&mut self, outbox: &mut Outbox, now: Uptime) {
        self.stage = Stage::Reading(Call::Next(now + outbox.spread(self.poll)));
    }

    fn unlock(&mut self, then: AfterUnlock, now: Uptime) {
        self.stage = match (self.held.take(), then) {
            (Some(held), then) => Stage::Unlocking { lock: held.lock, call: Call::Next(now), then },
            (None, AfterUnlock::Over) => Stage::Over,
            (None, AfterUnlock::TryAgain) => Stage::Reading(Call::Next(now + self.poll)),
        };
    }

    fn unlocked(&mut self, outbox: &mut Outbox, now: Uptime) {
        match self.stage {
            Stage::Unlocking { then: AfterUnlock::TryAgain, .. } => self.later(outbox, now),
            _ => self.stage = Stage::Over,
        }
    }

    /// The end of the release here: the verdict, then the lock is given back. Not before: the next holder has to see the verdict.
    pub fn conclude(&mut self, verdict: Verdict, reason: String, output: Option<AppOutput>, now: Uptime) {
        let output = output.map(Box::new);
        self.stage = match self.board {
            Some(_) => Stage::Writing { verdict, reason, output, call: Call::Next(now) },
            None => Stage::Over,
        };
    }

    /// Whether it has asked for its turn, and may hold a lock.
    pub fn has_asked(&self) -> bool {
        !matches!(self.stage, Stage::Waiting)
    }

    /// Gives up a verdict that could not be written so far.
    pub fn give_up_failing(&mut self, outbox: &mut Outbox, now: Uptime) {
        if let Stage::Writing { call, .. } = &self.stage
            && self.attempts > 0
        {
            call.cancel(outbox);
            self.unlock(AfterUnlock::Over, now);
        }
    }

    /// The end of the release here without a verdict, after something was touched.
    pub fn retract(&mut self, now: Uptime) {
        self.unlock(AfterUnlock::Over, now);
    }

    /// The release is not tried, or not any more, without a verdict, and this agent touched nothing: the mark is taken back, then the lock.
    /// An agent before it may have been killed in the move: the mark that it left stays, since nobody knows what it touched.
    pub fn give_up(&mut self, outbox: &mut Outbox, now: Uptime) {
        match &mut self.stage {
            Stage::Unlocking { then, .. } => *then = AfterUnlock::Over,
            Stage::Unmarking(_) => {}
            stage => {
                if let Stage::Reading(call) | Stage::Locking(call) | Stage::Marking(call) | Stage::Confirming(call) =
                    stage
                {
                    call.cancel(outbox);
                }
                if let Stage::Writing { call, .. } = stage {
                    call.cancel(outbox);
                }
                if self.mark.is_some() && self.had_begun != Some(true) {
                    self.stage = Stage::Unmarking(Call::Next(now));
                } else {
                    self.unlock(AfterUnlock::Over, now);
                }
            }
        }
        self.advance(outbox, now);
    }
}
