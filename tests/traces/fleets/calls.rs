//! The calls of agents to S3: they hang, fail, land late, or are carried out although their answer is lost.

use std::time::Duration;

use berth_core::message::capacity::Capacity;
use berth_core::message::container::ImageFacts;
use berth_core::message::error::{ErrorClass, JobError};
use berth_core::message::event::Event;
use berth_core::message::input::Input;
use berth_core::message::job::{Job, JobKind, Ticket};
use berth_core::message::release::{HeldLock, Verdict};

use super::agent::Stage;
use super::board::{Instance, Seen, SeenKind};
use super::counts::Row;
use super::world::{Fleet, Happens};
use crate::sim::{ms, secs};

/// Those that are under way.
#[derive(Default)]
pub(super) struct Calls {
    calls: Vec<Option<Call>>,
    unused: Vec<u32>,
}

/// A call that is under way.
struct Call {
    instance: Instance,
    epoch: u32,
    ticket: Ticket,
    kind: JobKind,
    what: What,
    seen: Option<Seen>,
    /// When it was at S3, and what it brings back.
    looked: Duration,
    answer: Option<Event>,
}

/// What a job asks for.
#[derive(Clone, Copy, Debug)]
enum What {
    Follow(Option<usize>),
    Document(usize),
    Image,
    Capacity,
    Board(usize),
    Take { locks: u32, lease: u64 },
    Renew { number: u32, etag: u64 },
    GiveBack { number: u32, etag: u64 },
    Mark(usize),
    TakeBackMark(usize, u64),
    Judge(usize, Verdict),
}

impl Calls {
    fn put(&mut self, call: Call) -> u32 {
        match self.unused.pop() {
            Some(number) => {
                self.calls[number as usize] = Some(call);
                number
            }
            None => {
                self.calls.push(Some(call));
                self.calls.len() as u32 - 1
            }
        }
    }

    fn at(&mut self, number: u32) -> &mut Call {
        self.calls[number as usize].as_mut().expect("a call that is under way")
    }

    fn end(&mut self, number: u32) -> Call {
        self.unused.push(number);
        self.calls[number as usize].take().expect("a call that is under way")
    }
}

impl Fleet {
    fn latency(&mut self) -> Duration {
        match self.rng.u16(..2_048) {
            0 => ms(self.rng.u64(60_000..100_000)),
            1..=20 => ms(self.rng.u64(500..6_000)),
            _ => ms(self.rng.u64(3..60)),
        }
    }

    pub(super) fn order(&mut self, instance: Instance, ticket: Ticket, job: Job) {
        let kind = JobKind::from(&job);
        let etag = |etag: &str| etag.parse().expect("an ETag of this S3");
        let what = match &job {
            Job::FollowConfig { revision } => {
                What::Follow(self.plan.documents.iter().position(|document| document.id.0 == *revision))
            }
            Job::ReadRelease { release, .. } | Job::ReadCopy { release, .. } => What::Document(self.number(release)),
            Job::InspectImage(..) => What::Image,
            Job::MeasureCapacity { .. } => What::Capacity,
            Job::ReadBoard { release, .. } => What::Board(self.number(release)),
            Job::TakeLock { locks, lease, .. } => What::Take { locks: *locks, lease: lease.as_secs() },
            Job::RenewLock { lock, .. } => What::Renew { number: lock.number, etag: etag(&lock.etag) },
            Job::ReleaseLock { lock, .. } => What::GiveBack { number: lock.number, etag: etag(&lock.etag) },
            Job::MarkBegun { release, .. } => What::Mark(self.number(release)),
            Job::TakeBackMark { release, etag: of, .. } => What::TakeBackMark(self.number(release), etag(of)),
            Job::WriteVerdict { release, verdict, .. } => What::Judge(self.number(release), *verdict),
            other => panic!("no release orders {other}"),
        };
        let epoch = self.instances[instance].epoch;
        let call = Call { instance, epoch, ticket, kind, what, seen: None, looked: Duration::ZERO, answer: None };
        let number = self.calls.put(call);
        // A pull takes longer than a call.
        let wait = if matches!(what, What::Image) { ms(self.rng.u64(100..15_000)) } else { self.latency() };
        self.plan(self.now + wait, Happens::Arrives(number));
    }

    fn fails(&mut self, number: u32, after: Duration) {
        let class = if self.rng.u8(..8) == 0 { ErrorClass::Throttled } else { ErrorClass::Transient };
        let kind = self.calls.at(number).kind;
        self.answer(number, Event::Failed(kind, JobError::new(class, "503 SlowDown")), after);
    }

    /// The answer, now or later.
    fn answer(&mut self, number: u32, event: Event, after: Duration) {
        self.calls.at(number).answer = Some(event);
        if after.is_zero() {
            return self.answers(number);
        }
        self.plan(self.now + after, Happens::Answers(number));
    }

    pub(super) fn arrives(&mut self, number: u32) {
        let now = self.now;
        let call = self.calls.at(number);
        call.looked = now;
        let (instance, what) = (call.instance, call.what);
        if self.instances[instance].cut_until > now {
            let after = ms(self.rng.u64(1_000..10_000));
            return self.fails(number, after);
        }
        match self.rng.u16(..1_024) {
            0 | 1 => {
                self.counts.saw(Row::Hung);
                // What the agent waits for without a limit of its own, the adapter gives up.
                if self.rng.bool() || self.instances[instance].stage == Stage::Booting || matches!(what, What::Image) {
                    return self.fails(number, secs(50));
                }
                drop(self.calls.end(number));
                return;
            }
            2..=17 => return self.fails(number, Duration::ZERO),
            _ => {} // it is carried out
        }
        let event = match what {
            What::Follow(revision) if revision == Some(self.followed.release) => Event::ConfigUnchanged,
            What::Follow(_) => {
                let config = self.plan.documents[self.followed.release].config.clone();
                Event::ConfigRead(config, Some(Box::new(self.followed_release())))
            }
            What::Document(release) => {
                let document = &self.plan.documents[release];
                let previous = document.previous.map(|previous| self.plan.documents[previous].id.clone());
                let release = document.release(self.now, previous, false);
                Event::ConfigRead(document.config.clone(), Some(Box::new(release)))
            }
            What::Image => Event::ImageInspected(Some(ImageFacts::default())),
            What::Capacity => Event::CapacityMeasured(Capacity::default()),
            What::Board(release) => Event::BoardRead(self.board.read(release, instance)),
            What::Take { locks, .. } => {
                let Some(seen) = self.board.look(locks, instance, now.as_secs()) else {
                    return self.answer(number, Event::LocksBusy, Duration::ZERO);
                };
                self.calls.at(number).seen = Some(seen);
                let wait = self.latency();
                return self.plan(now + wait, Happens::Writes(number));
            }
            _ => return self.writes(number),
        };
        // What was read may be old when it comes.
        let after = if self.rng.u8(..16) == 0 { self.latency() } else { Duration::ZERO };
        self.answer(number, event, after);
    }

    pub(super) fn writes(&mut self, number: u32) {
        let (now, second) = (self.now, self.now.as_secs());
        let Call { instance, epoch, ticket, what, seen, .. } = *self.calls.at(number);
        let agent = &self.instances[instance];
        let is_there = agent.epoch == epoch && agent.frozen_until <= now && agent.outbox.is_open(ticket);
        let is_cut = agent.cut_until > now;
        if !is_there {
            self.counts.saw(Row::LandedLate);
        }
        if is_cut && self.rng.bool() {
            return self.fails(number, ms(5_000));
        }
        let held = |number: u32, etag: Option<u64>, not: Event| match etag {
            Some(etag) => Event::LockTaken(HeldLock { number, etag: etag.to_string() }),
            None => not,
        };
        let event = match what {
            What::Take { lease, .. } => {
                let seen = seen.expect("a look before the write");
                let etag = self.board.take(seen, instance, second, lease);
                self.counts.saw(match (etag, seen.kind) {
                    (None, _) => Row::RaceLost,
                    (_, SeenKind::Own) => Row::OwnLockAgain,
                    (_, SeenKind::RunOut) => Row::TakenOver,
                    (_, SeenKind::Free) => Row::LockTaken,
                });
                held(seen.number, etag, Event::LocksBusy)
            }
            What::Renew { number, etag } => {
                let etag = self.board.renew(number, etag, instance, is_there, second);
                if etag.is_none() {
                    self.counts.saw(Row::LockLost);
                }
                held(number, etag, Event::LockLost)
            }
            What::GiveBack { number, etag } => {
                self.board.give_back(number, etag, instance, is_there);
                Event::LockReleased
            }
            What::Mark(release) => {
                let etag = self.board.mark(release, instance, second);
                Event::Marked(etag.to_string())
            }
            What::TakeBackMark(release, etag) => {
                self.board.take_back_mark(release, instance, etag);
                self.counts.saw(Row::MarkTakenBack);
                Event::Unmarked
            }
            What::Judge(release, verdict) => {
                self.board.judge(release, instance, verdict);
                self.board_changed(release);
                Event::VerdictWritten
            }
            What::Follow(_) | What::Document(_) | What::Image | What::Capacity | What::Board(_) => return,
        };
        self.note(|| format!("{instance} {what:?} -> {event:?}{}", if is_there { "" } else { ", late" }));
        // The answer may be lost although it was carried out.
        match self.rng.u16(..512) {
            _ if is_cut => self.fails(number, ms(5_000)),
            0 => drop(self.calls.end(number)),
            1..=10 => {
                self.counts.saw(Row::AnswerLost);
                self.fails(number, Duration::ZERO);
            }
            _ => self.answer(number, event, Duration::ZERO),
        }
    }

    pub(super) fn answers(&mut self, number: u32) {
        let Call { instance, epoch, .. } = *self.calls.at(number);
        let agent = &self.instances[instance];
        if agent.epoch == epoch && agent.frozen_until > self.now && agent.stage != Stage::Gone {
            let at = agent.frozen_until;
            return self.plan(at, Happens::Answers(number));
        }
        let call = self.calls.end(number);
        let agent = &mut self.instances[instance];
        let Some(event) = call.answer.filter(|_| agent.epoch == epoch) else { return };
        match call.what {
            // An answer that comes too late is none.
            _ if !agent.outbox.is_open(call.ticket) => return,
            What::Board(_) => agent.read_at = call.looked,
            What::Follow(_) => agent.followed_at = call.looked,
            _ => {} // what it writes is nothing that it reads
        }
        self.input(instance, &Input::Answer(call.ticket, event));
    }
}
