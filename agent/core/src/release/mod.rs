//! Releases: which one serves, whether the document has a newer one, and when this instance may begin it.
//!
//! It only prepares and asks. What begins is the phase `release` (phase/release/).
//!
//! ```text
//!   follower ──another document──▶ next: wave ▶ image here ▶ gate (lock, board) ──open──▶ phase release
//!                                                                 ▲ verdict ─────────────────┘
//! ```

use std::sync::Arc;
use std::time::Duration;

use berth_config::{Config, PinnedImage};

use crate::clock::Uptime;
use crate::message::container::ContainerId;
use crate::message::error::JobError;
use crate::message::event::Event;
use crate::message::input::Input;
use crate::message::job::Job;
use crate::message::output::AppOutput;
use crate::message::release::{Release, ReleaseId, Verdict};
use crate::outbox::Outbox;

pub use capacity::DISK_FLOOR;
pub use gate::{Gate, LEASE};
pub use lost::lost_after;
pub use next::Next;
pub use noted::{NotedBefore, NotedReleases};
pub use preparation::Preparation;

use follower::Follower;
use images::Images;
use show::History;

mod call;
mod capacity;
pub mod choice;
mod follower;
mod gate;
mod images;
mod lost;
mod next;
mod noted;
mod preparation;
mod show;

/// Releases that were tried and failed here: so many are remembered.
const FAILED_KEPT: usize = 20;

/// The releases of this instance.
#[derive(Clone, Debug, Default)]
pub struct Releases {
    instance_id: String,
    /// What serves; none without `config=`.
    serving: Option<Release>,
    /// What the document has.
    wanted: Option<ReleaseId>,
    follower: Option<Follower>,
    /// What the document has instead.
    next: Option<Next>,
    /// Gates that still have to write a verdict or to give a lock back.
    closing: Vec<Gate>,
    failed: Vec<ReleaseId>,
    /// A document that cannot be released in place, and the keys that need a new instance.
    refused: Option<(ReleaseId, Vec<&'static str>)>,
    /// Releases with a verdict of this agent.
    judged: Vec<ReleaseId>,
    /// What served before, while what serves is on trial.
    before: Option<NotedBefore>,
    /// When what serves counts as good, until that is on the board.
    proven_at: Option<Uptime>,
    history: History,
    images: Images,
    /// When all that was due was last ordered.
    advanced: Uptime,
}

/// What serves.
#[derive(Clone, Copy, Debug)]
pub struct Serving<'a> {
    /// Its config.
    pub config: &'a Config,
    /// Its container.
    pub container: &'a ContainerId,
    /// Its image, if that is known.
    pub image: Option<&'a PinnedImage>,
}

impl Serving<'_> {
    fn measure(&self) -> Job {
        Job::MeasureCapacity { container: self.container.clone(), image: self.image.cloned() }
    }
}

/// How a release ended on this instance.
#[derive(Clone, Debug)]
pub struct ReleaseEnd {
    /// Good or bad.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// What the app wrote last, if it is bad.
    pub output: Option<AppOutput>,
    /// How long no container took requests; none if one always did.
    pub gap: Option<Duration>,
}

impl Releases {
    /// The boot has chosen this release; the document has that one.
    pub fn choose(&mut self, release: Release, wanted: ReleaseId, config: &Config, now: Uptime) {
        self.wanted = Some(wanted);
        self.serve(release, config, now);
    }

    /// Begins to follow the document.
    pub fn begin(&mut self, config: &Config, instance_id: &str, outbox: &mut Outbox, now: Uptime) {
        instance_id.clone_into(&mut self.instance_id);
        if let (Some(serving), Some(every), None) = (&self.serving, config.follow, &self.follower) {
            // Of an older release than the document's the revision is no answer: the document is read.
            let is_newest = self.wanted.as_ref() == Some(&serving.id);
            let revision = if is_newest { serving.revision.clone() } else { String::new() };
            self.follower = Some(Follower::new(every, revision, outbox, now));
        }
        if self.proven_at.is_some() {
            self.proven_at = Some(now + settled(config));
        }
    }

    /// Another release serves from now on.
    pub fn serve(&mut self, release: Release, config: &Config, now: Uptime) {
        let board = config.release.board.as_ref().filter(|_| config.follow.is_some());
        self.proven_at = board.filter(|_| !self.judged.contains(&release.id)).map(|_| now + settled(config));
        if self.serving.as_ref().is_some_and(|serving| serving.id != release.id) {
            self.before = None;
        }
        self.serving = Some(release);
    }

    /// The release that serves is on trial: how it ends is its verdict, and not that it serves. Traffic may go back to this.
    pub fn begin_trial(&mut self, before: Option<NotedBefore>) {
        (self.proven_at, self.before) = (None, before);
    }

    /// Whether what serves is on trial.
    pub fn are_on_trial(&self) -> bool {
        self.before.is_some()
    }

    /// What serves stays.
    pub fn end_trial(&mut self) {
        self.before = None;
    }

    /// What serves is no good: what the next boot is to know, to serve what served before.
    pub fn go_back(
        &mut self,
        config: &Config,
        instance_id: &str,
        reason: String,
        outbox: &mut Outbox,
        now: Uptime,
    ) -> Option<NotedReleases> {
        let before = self.before.take()?;
        let serving = self.serving.take()?;
        // Their answers would come while nobody takes them: the document is read again.
        if let Some(follower) = self.follower.take() {
            follower.cancel(outbox);
        }
        self.drop_next(outbox, now);
        let gate = Gate::new(config, &serving, instance_id, now);
        let end = ReleaseEnd { verdict: Verdict::Bad, reason, output: None, gap: None };
        self.conclude(gate, serving.id, end, now);
        Some(NotedReleases {
            instance_id: instance_id.to_owned(),
            serving: before.release,
            container: Some(before.container),
            failed: self.failed.clone(),
            pulled: self.images.pulled().to_vec(),
            before: None,
        })
    }

    /// What serves.
    pub fn serving(&self) -> Option<&Release> {
        self.serving.as_ref()
    }

    /// Asks at once whether the document still has what it had.
    pub fn look_now(&mut self, now: Uptime) {
        if let Some(follower) = &mut self.follower {
            follower.look_now(now);
        }
    }

    /// Whether that was answered.
    pub fn has_looked(&self) -> bool {
        self.follower.as_ref().is_none_or(Follower::has_looked)
    }

    /// What the document has.
    pub fn wanted(&self) -> Option<&ReleaseId> {
        self.wanted.as_ref()
    }

    /// Takes an input. `may_begin` says whether a release could begin now.
    pub fn follow(&mut self, input: &Input, serving: Serving<'_>, may_begin: bool, outbox: &mut Outbox, now: Uptime) {
        let changed = self.follower.as_mut().and_then(|follower| follower.on(input, outbox, now));
        if let Some((next, release)) = changed {
            self.read(next, release, serving.config, outbox, now);
        }
        if let Some(follower) = &mut self.follower {
            follower.advance(outbox, now);
        }
        if let Some(next) = &mut self.next {
            next.gate.on(input, outbox, now);
            let prepared = next.preparation.on(input, serving.config, outbox, now);
            if let Some(image) = next.preparation.pulled() {
                self.images.note(image);
            }
            if let Err(error) = prepared {
                self.fail_next(error.to_string(), outbox, now);
            }
        }
        self.on(input, outbox, now);
        self.images.on(input);
        self.images.advance(self.next.as_ref().and_then(|next| next.preparation.image()), outbox, now);
        self.advance(serving, may_begin, outbox, now);
        self.advanced = now;
    }

    /// Takes an answer to a verdict or to a lock that is given back: also on the way out.
    pub fn on(&mut self, input: &Input, outbox: &mut Outbox, now: Uptime) {
        for gate in &mut self.closing {
            gate.on(input, outbox, now);
            gate.advance(outbox, now);
        }
        self.closing.retain(|gate| !gate.is_over());
    }

    /// The document has changed.
    fn read(&mut self, next: Arc<Config>, release: Release, config: &Config, outbox: &mut Outbox, now: Uptime) {
        self.drop_next(outbox, now);
        // A verdict that cannot be written does not keep a newer release waiting.
        self.closing.iter_mut().for_each(|gate| gate.give_up_failing(outbox, now));
        (self.wanted, self.refused) = (Some(release.id.clone()), None);
        let serving = self.serving.as_ref();
        if serving.is_some_and(|serving| serving.id == release.id) || self.failed.contains(&release.id) {
            return;
        }
        let keys = config.needs_new_instance(&next);
        if !keys.is_empty() {
            self.refused = Some((release.id, keys));
            return;
        }
        let gate = Gate::new(&next, &release, &self.instance_id, now);
        let preparation = Preparation::new(next.clone(), now);
        self.next = Some(Next { config: next, release, gate, preparation, began: now });
    }

    /// berth has pulled this image.
    pub fn note_pulled(&mut self, image: &PinnedImage) {
        self.images.note(image);
    }

    /// A release has ended well: of the images that berth pulled, what serves is kept, and what served before.
    pub fn keep_images(&mut self, serving: &PinnedImage, before: &PinnedImage) {
        self.images.keep(&[serving, before]);
    }

    /// The release went back without a verdict: what the document has is read again.
    pub fn read_again(&mut self) {
        let is_other = self.wanted.as_ref() != self.serving.as_ref().map(|serving| &serving.id);
        if let Some(follower) = self.follower.as_mut().filter(|_| is_other) {
            follower.forget();
        }
    }

    /// What was fetched is not needed any more, and is wiped: what comes next logs in again.
    pub fn wipe(&mut self, outbox: &mut Outbox) {
        outbox.emit(Job::WipeSecrets);
        if let Some(next) = &mut self.next {
            next.preparation.forget_login(outbox);
        }
    }

    /// What this gate still has to write or to give back.
    pub fn close(&mut self, gate: Gate) {
        self.closing.push(gate);
    }

    /// The end of a replacement that is no release.
    pub fn note(&mut self, end: &ReleaseEnd, now: Uptime) {
        self.history.note(None, end, now);
    }

    /// The end of a release here, good or bad.
    pub fn conclude(&mut self, mut gate: Gate, id: ReleaseId, end: ReleaseEnd, now: Uptime) {
        self.history.note(Some(&id), &end, now);
        let ReleaseEnd { verdict, reason, output, .. } = end;
        let is_good = verdict == Verdict::Ok;
        gate.conclude(verdict, reason, output, now);
        self.closing.push(gate);
        self.judge(id.clone());
        if is_good || self.serving.as_ref().is_some_and(|serving| serving.id == id) {
            self.proven_at = None;
        }
        if !is_good {
            self.remember_failed(id);
        }
    }

    fn judge(&mut self, id: ReleaseId) {
        if self.judged.len() >= FAILED_KEPT {
            self.judged.remove(0);
        }
        self.judged.push(id);
    }

    fn remember_failed(&mut self, id: ReleaseId) {
        if self.failed.len() >= FAILED_KEPT {
            self.failed.remove(0);
        }
        self.failed.push(id);
    }

    /// What serves is healthy: after a while that is written to the board, if no release has written it.
    pub fn attest(&mut self, config: &Config, is_healthy: bool, now: Uptime) {
        let (Some(release), Some(at)) = (&self.serving, self.proven_at) else { return };
        if !is_healthy {
            self.proven_at = Some(at.max(now + settled(config)));
        } else if at <= now {
            let mut gate = Gate::new(config, release, &self.instance_id, now);
            gate.conclude(Verdict::Ok, "it was booted, and serves".to_owned(), None, now);
            let id = release.id.clone();
            self.closing.push(gate);
            self.judge(id);
            self.proven_at = None;
        }
    }

    /// The instance leaves: no release begins, and what it holds is given back.
    pub fn leave(&mut self, outbox: &mut Outbox, now: Uptime) {
        if let Some(follower) = self.follower.take() {
            follower.cancel(outbox);
        }
        self.proven_at = None;
        self.images.cancel(outbox);
        self.drop_next(outbox, now);
    }

    /// When it wants to be woken.
    pub fn wake(&self) -> Option<Uptime> {
        let follower = self.follower.as_ref().map(Follower::wake);
        let next = self.next.as_ref().and_then(|next| next.wake(self.advanced, self.images.are_leaving()));
        let closing = self.closing.iter().filter_map(Gate::wake).min();
        [follower, next, closing, self.images.wake(), self.proven_at].into_iter().flatten().min()
    }

    /// Why the document cannot be read, or is refused.
    pub fn error(&self) -> Option<&JobError> {
        self.follower.as_ref().and_then(Follower::error)
    }
}

/// For how long an app has served when its release counts as good.
fn settled(config: &Config) -> Duration {
    config.release.healthy_for.saturating_add(config.release.bake)
}
