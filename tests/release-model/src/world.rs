//! The bounds of a model, the flaws, and the steps that exist in a state.

use berth_core::message::release::ReleaseId;
use stateright::{Model, Property};

use crate::few::Few;
use crate::promises;
use crate::state::{
    Agent, Entry, Followed, History, Instance, Left, Life, Quality, Release, Set, Stage, State, Time, Word, Write,
};

/// What is explored.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Instances of the fleet at the beginning, which run release 0.
    pub instances: u8,
    /// Instances that may be launched meanwhile.
    pub launches: u8,
    /// Releases that exist at the beginning, the last one is followed. The first serves on the whole fleet.
    pub releases: Vec<Quality>,
    /// What may be published meanwhile.
    pub publishes: Vec<Quality>,
    /// `release.max_parallel` of each release; 1 if none.
    pub max_parallel: Vec<u8>,
    /// `release.failures`.
    pub failures: u32,
    /// Slots of a first wave at once; the other slots follow after this many seconds.
    pub first_wave: Option<(u16, Time)>,
    /// Whether the fleet reported on release 0. Else nothing is proven.
    pub is_proven: bool,
    /// The last tick.
    pub last: Time,
    /// Ticks of a second, as S3 shows time.
    pub grain: Time,
    /// The lease, in seconds.
    pub lease: Time,
    /// Whether leases are renewed.
    pub renews: bool,
    /// Ticks that a move of traffic takes at most.
    pub move_takes: Time,
    /// Ticks that a holder takes off its lease: the move, and what whole seconds hide.
    pub margin: Time,
    /// Whether an instance may stop in the middle of a move for longer than `move_takes`.
    pub pauses_in_moves: bool,
    /// After this tick nothing is disturbed any more, so that what was disturbed can end.
    pub calm: Time,
    /// Whether it is a step that a late write never lands: only where it matters how everything ends.
    pub drops: bool,
    /// How often each disturbance may happen.
    pub left: Left,
}

/// A flaw of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The board is read before the lock is asked for, and not again.
    BoardBeforeLock,
    /// The lock is given back before the verdict is written.
    UnlockBeforeVerdict,
    /// A lock is written without a nonce.
    SameContent,
    /// A lease of another instance is judged by the own wall clock, which is a lease ahead.
    OwnWallClock,
    /// The own bad verdict on the board is ignored: the disk has it.
    OwnVerdictIgnored,
    /// A boot takes what is followed.
    BootsUnproven,
    /// A holder moves traffic without a look at its lease.
    LeaseUnchecked,
    /// A holder counts its whole lease, as if S3 showed fractions of a second.
    NoMargin,
    /// A holder counts its lease from the answer instead of from the request.
    LeaseFromAnswer,
    /// A lock is given back by a DELETE without a condition.
    AnyLockDeleted,
    /// A mark is taken back by a DELETE without a condition.
    AnyMarkDeleted,
    /// A lock whose lease has run out is left alone.
    NoTakeOver,
    /// Nobody marks that it begins.
    NoMarks,
    /// The mark is left after the board is read.
    MarkAfterBoard,
    /// The verdict is not written to the disk before it is sent.
    VerdictNotNoted,
    /// Nothing is written to the disk before traffic is moved.
    MoveNotNoted,
    /// The followed document is not asked for again before traffic is moved.
    FollowedUnchecked,
    /// A boot goes back by what the followed object calls its previous release.
    FollowedPrevious,
    /// `resume` deletes the `halt` that is there, whichever it is.
    AnyHaltDeleted,
}

/// A fleet to explore.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// How much of it.
    pub bounds: Bounds,
    /// Which flaw it has.
    pub flaw: Option<Flaw>,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Time goes on.
    Tick,
    /// An instance is launched.
    Launch(Instance),
    /// It reads the followed document, to boot.
    ReadToBoot(Instance),
    /// It reads the board and starts what it boots.
    Boot(Instance),
    /// It reads the followed document.
    Follow(Instance),
    /// It reads a lock and sends a write.
    AskLock(Instance, u8),
    /// Its write of a lock takes effect, and it gets the answer.
    LockAnswered(Instance),
    /// It takes effect, and the answer is on its way.
    LockLanded(Instance),
    /// That answer arrives.
    LockHeard(Instance),
    /// It takes effect, and the answer is lost.
    LockLost(Instance),
    /// It is given up, and may land later.
    LockDelayed(Instance),
    /// It sends a renewal.
    Renew(Instance),
    /// The renewal takes effect, and it gets the answer.
    RenewAnswered(Instance),
    /// It takes effect, and the answer is lost.
    RenewLost(Instance),
    /// It is given up, and may land later.
    RenewDelayed(Instance),
    /// It leaves its mark.
    Mark(Instance),
    /// It reads the board.
    ReadBoard(Instance),
    /// It gives up, and the end of its mark is given up too and may land later.
    UnmarkDelayed(Instance),
    /// It looks at its lease, and moves traffic or gives up.
    Begin(Instance),
    /// Traffic is moved.
    Moved(Instance),
    /// The bake ends.
    Judge(Instance, Word),
    /// Traffic is on the old container again.
    WentBack(Instance),
    /// The verdict takes effect.
    WriteVerdict(Instance),
    /// The write of the verdict is given up and repeated, and may land later.
    VerdictDelayed(Instance),
    /// The lock is given back.
    Unlock(Instance),
    /// That is given up, and may land later.
    UnlockDelayed(Instance),
    /// A late write lands.
    Land(usize),
    /// A late write never does.
    Drop(usize),
    /// The agent crashes and is started again.
    Crash(Instance),
    /// The instance comes back with an empty disk.
    LoseDisk(Instance),
    /// The instance is gone without a notice.
    Terminate(Instance),
    /// The instance is gone, and had a notice.
    Leave(Instance),
    /// A release is published.
    Publish,
    /// The followed release is halted.
    Halt,
    /// `resume` reads.
    ReadToResume {
        /// Whether marks without a verdict are pardoned too: their instances are taken for lost.
        with_marks: bool,
    },
    /// `resume` writes.
    Resume,
    /// The release before is followed again.
    RollBack,
}

impl Fleet {
    /// The fleet as the protocol has it.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, flaw: None }
    }

    /// The same with a flaw.
    pub fn with(bounds: Bounds, flaw: Flaw) -> Self {
        Self { bounds, flaw: Some(flaw) }
    }

    /// Whether the wave of this instance has come, by the clock of S3 alone.
    pub fn wave_has_come(&self, state: &State, instance: Instance) -> bool {
        let Some((slots, after)) = self.bounds.first_wave else { return true };
        let Followed { release, modified, is_rollback, .. } = state.followed;
        let slot = ReleaseId(format!("{release:016x}")).slot(&format!("i-{instance:017x}"));
        is_rollback || slot < slots || self.date(state).saturating_sub(modified) >= after
    }

    /// Whether anything may still be disturbed.
    pub fn is_calm(&self, state: &State) -> bool {
        state.now > self.bounds.calm
    }

    fn entry(&self, release: usize, quality: Quality) -> Entry {
        let is_first = release == 0 && self.bounds.is_proven;
        Entry {
            previous: release.checked_sub(1).and_then(|previous| Release::try_from(previous).ok()),
            ok: if is_first { Set::below(self.bounds.instances) } else { Set::default() },
            ..Entry::new(quality, self.bounds.max_parallel.get(release).copied().unwrap_or(1))
        }
    }

    /// Time goes on unless that would make a move longer than it may be.
    fn may_tick(&self, state: &State) -> bool {
        let is_timely = |agent: &Agent| match agent.step {
            Stage::Moves { since, .. } if agent.life == Life::Alive && !self.bounds.pauses_in_moves => {
                state.now < since + self.bounds.move_takes
            }
            _ => true,
        };
        state.now < self.bounds.last && state.fleet.iter().all(is_timely)
    }

    fn steps_of_a_publisher(&self, state: &State, steps: &mut Vec<Step>) {
        if state.resuming.is_some() {
            steps.push(Step::Resume);
        } else if state.left.resumes > 0 {
            steps.extend([false, true].map(|with_marks| Step::ReadToResume { with_marks }));
        }
        if self.is_calm(state) {
            return;
        }
        let left = state.left;
        let may = [(left.publications, Step::Publish), (left.halts, Step::Halt), (left.rollbacks, Step::RollBack)];
        steps.extend(may.iter().filter(|(left, _)| *left > 0).map(|(_, step)| *step));
    }
}

impl Model for Fleet {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let bounds = &self.bounds;
        let entries = bounds.releases.iter().enumerate().map(|(at, quality)| self.entry(at, *quality));
        let board = Few::of(self.entry(0, Quality::Good), entries);
        let newest = Release::try_from(board.len().saturating_sub(1)).unwrap_or(0);
        let agent = |instance| Agent {
            life: if instance < bounds.instances { Life::Alive } else { Life::Unborn },
            running: (instance < bounds.instances).then_some(0),
            ..Agent::unborn()
        };
        let count = bounds.instances + bounds.launches;
        let most = (0..board.len() + bounds.publishes.len())
            .map(|release| bounds.max_parallel.get(release).copied().unwrap_or(1))
            .max()
            .unwrap_or(1);
        vec![State {
            now: 0,
            followed: Followed { release: newest, modified: 0, previous: newest.checked_sub(1), is_rollback: false },
            locks: Few::of(None, (0..most).map(|_| None)),
            next_etag: 1,
            fleet: Few::of(Agent::unborn(), (0..count).map(agent)),
            late: Few::none(Write::Unmark { instance: 0, release: 0 }),
            resuming: None,
            left: Left { publications: u8::try_from(bounds.publishes.len()).unwrap_or(0), ..bounds.left },
            history: History::default(),
            board,
        }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        if self.may_tick(state) {
            steps.push(Step::Tick);
        }
        for (instance, agent) in (0..).zip(state.fleet.iter()) {
            self.steps_of(state, instance, agent, steps);
        }
        for at in 0..state.late.len() {
            if self.bounds.drops {
                steps.push(Step::Drop(at));
            }
            if !self.is_calm(state) {
                steps.push(Step::Land(at));
            }
        }
        self.steps_of_a_publisher(state, steps);
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        let mut state = *last;
        let left = &mut state.left;
        match step {
            Step::Tick => state.now += 1,
            Step::Publish => {
                let at = self.bounds.publishes.len().checked_sub(usize::from(left.publications))?;
                left.publications -= 1;
                self.publish(&mut state, *self.bounds.publishes.get(at)?);
            }
            Step::Halt => {
                left.halts -= 1;
                self.halt(&mut state)?;
            }
            Step::ReadToResume { with_marks } => self.read_to_resume(&mut state, with_marks)?,
            Step::Resume => self.resume(&mut state)?,
            Step::RollBack => {
                left.rollbacks -= 1;
                self.roll_back(&mut state)?;
            }
            Step::Land(at) => {
                let write = state.late.remove(at)?;
                self.effect(&mut state, write);
            }
            Step::Drop(at) => {
                state.late.remove(at);
            }
            _ => self.instance_step(&mut state, step)?,
        }
        state.late.sort();
        if self.flaw != Some(Flaw::SameContent) {
            state.number_etags();
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        promises::all()
    }
}
