//! One life in the search: what can happen next, and what must hold after it.

use std::fmt::Write as _;
use std::rc::Rc;
use std::sync::Arc;

use berth_config::Config;
use berth_core::message::error::{ErrorClass, JobError};
use berth_core::message::event::{Event, Signal};
use berth_core::message::group::HookResult;
use berth_core::message::job::{Job, JobKind};
use berth_core::message::outcome::Outcome;
use berth_core::phase::drain::Unfinished;
use berth_core::view::{DeadlineName, PhaseName, Status};

use super::agent::Agent;
use super::world::{Hooked, World, changes};
use crate::sim::secs;

/// Faults in one life.
const FAULTS: u8 = 3;

/// One thing that happens. A number is the nth job that is not answered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// The job is done.
    Done(u8),
    /// The metadata answers with news.
    News(u8, News),
    /// Nothing is left to be answered at this moment: time goes on.
    Wake,
    /// SIGTERM.
    Term,
    /// The agent is killed; whether the jobs on their way are done.
    Crash { done: bool },
    /// A fault.
    Fault(u8, Fault),
}

impl Choice {
    /// What happens, without what it happens to.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Done(_) | Self::Wake => "",
            Self::News(_, News::Spot) => "spot",
            Self::News(_, _) => "group",
            Self::Term => "term",
            Self::Crash { .. } => "crash",
            Self::Fault(_, Fault::Transient) => "transient",
            Self::Fault(_, Fault::Lasting) => "lasting",
            Self::Fault(_, Fault::Lost) => "lost",
            Self::Fault(_, Fault::Late) => "late",
            Self::Fault(_, Fault::NotYet) => "not yet",
        }
    }
}

/// What the surroundings may want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    Spot,
    Terminated,
    TakenFromPool,
}

/// What goes wrong with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A failure that passes.
    Transient,
    /// One that no other attempt changes.
    Lasting,
    /// It is done, and a failure that passes is answered.
    Lost,
    /// It is answered later, or never.
    Late,
    /// The hook is not active yet, although the group says that it waits.
    NotYet,
}

/// What may still happen in a life.
#[derive(Clone, Debug, PartialEq)]
struct Budget {
    faults: u8,
    spot: bool,
    term: bool,
    crash: bool,
    terminate: bool,
}

/// What a promise needs to know of the agent that runs.
#[derive(Clone, Debug, Default, PartialEq)]
struct Kept {
    /// The result that each hook was to be completed with, and whether the group took it.
    completed: [Option<(HookResult, bool)>; 2],
    /// Whether it knows which instance it is on: before that it touches nothing.
    knows_itself: bool,
    /// Whether a drain was resumed.
    resumed: bool,
}

/// What the search starts from.
pub(super) struct Root {
    pub(super) config: Arc<Config>,
    pub(super) fingerprint: String,
    pub(super) pool: bool,
    /// Whether a container of another config runs.
    pub(super) stray: bool,
}

/// A life so far.
#[derive(Clone)]
pub(super) struct Life {
    root: Rc<Root>,
    world: World,
    agent: Agent,
    budget: Budget,
    kept: Kept,
    /// What was reached, a bit of `SOMETIMES` each.
    pub(super) reached: u32,
    /// The promise that was broken.
    pub(super) broken: Option<String>,
    /// What happened, if somebody wants to know.
    pub(super) trace: Option<String>,
}

/// What must be reached by some life, else the search proves nothing.
pub(super) const SOMETIMES: [&str; 18] = [
    "boot",
    "serve",
    "drain",
    "warm",
    "failing",
    "hold",
    "gone",
    "ends with 0",
    "ends with 2",
    "ends with 3",
    "ends with 4",
    "ends with 5",
    "the launch hook continued",
    "the launch hook abandoned",
    "the termination hook completed",
    "a drain resumed by the next agent",
    "a container adopted",
    "the instance marked unhealthy",
];

impl Life {
    pub(super) fn new(root: Rc<Root>) -> Self {
        let mut life = Self {
            world: World::new(root.pool, root.stray),
            root,
            agent: Agent::new(None),
            budget: Budget { faults: FAULTS, spot: true, term: true, crash: true, terminate: true },
            kept: Kept::default(),
            reached: 0,
            broken: None,
            trace: None,
        };
        life.look(PhaseName::Boot);
        life
    }

    pub(super) fn phase(&self) -> PhaseName {
        self.agent.phase()
    }

    /// The job that a fault is one of.
    pub(super) fn job(&self, choice: Choice) -> Option<JobKind> {
        let Choice::Fault(nth, _) = choice else { return None };
        Some(self.agent.pending.get(usize::from(nth))?.job.kind())
    }

    pub(super) fn is_over(&self) -> bool {
        self.agent.outcome.is_some() || self.broken.is_some()
    }

    /// The state, as far as it decides anything.
    pub(super) fn digest(&self, text: &mut String) -> u64 {
        text.clear();
        let _ = write!(text, "{} {:?} {:?} {:?}", self.root.fingerprint, self.world, self.budget, self.kept);
        self.agent.digest(text)
    }

    /// Everything that can happen now; whether it is a disturbance.
    pub(super) fn choices(&self, into: &mut Vec<(Choice, bool)>) {
        into.clear();
        if self.is_over() {
            return;
        }
        let faults = self.budget.faults > 0;
        let mut quiet = true;
        for (nth, pending) in self.agent.pending.iter().enumerate() {
            let Ok(at) = u8::try_from(nth) else { return };
            let mut fault = |fault| {
                if faults {
                    into.push((Choice::Fault(at, fault), true));
                }
            };
            fault(Fault::Transient);
            if let Job::WatchContainer(id) = pending.job.as_ref()
                && self.world.is_running(id)
            {
                // It ends when the app does: by itself, that is a fault.
                fault(Fault::Lasting);
                continue;
            }
            fault(Fault::Lasting);
            quiet &= pending.late;
            if changes(pending.job.as_ref()) {
                fault(Fault::Lost);
            }
            if !pending.late {
                fault(Fault::Late);
            }
            if matches!(*pending.job, Job::CompleteHook { .. }) {
                fault(Fault::NotYet);
            }
            into.push((Choice::Done(at), false));
            if matches!(*pending.job, Job::WatchMetadata) {
                let mut news = |news, may| {
                    if may {
                        into.push((Choice::News(at, news), news != News::TakenFromPool));
                    }
                };
                news(News::Spot, self.budget.spot);
                news(News::Terminated, self.budget.terminate && !self.world.taken);
                // A group takes only an instance that is prepared, after the pool's own launch hook.
                let is_prepared = self.world.pool && self.world.launch != Hooked::Waits;
                news(News::TakenFromPool, is_prepared && !self.world.taken);
            }
        }
        if quiet && self.agent.wakes_in().is_some() {
            into.push((Choice::Wake, false));
        }
        if self.budget.term {
            into.push((Choice::Term, true));
        }
        if self.budget.crash {
            into.push((Choice::Crash { done: false }, true));
            if self.agent.pending.iter().any(|one| changes(&one.job)) {
                into.push((Choice::Crash { done: true }, true));
            }
        }
    }

    /// It happens, and the promises are looked at.
    pub(super) fn take(&mut self, choice: Choice) {
        let before = self.agent.phase();
        self.note(|life| {
            let job = |nth: u8| life.agent.pending.get(usize::from(nth)).map(|one| one.job.to_string());
            match choice {
                Choice::Done(nth) | Choice::News(nth, _) | Choice::Fault(nth, _) => {
                    format!("{choice:?}: {}", job(nth).unwrap_or_default())
                }
                other => format!("{other:?}"),
            }
        });
        match choice {
            Choice::Done(nth) => self.done(nth.into()),
            Choice::News(nth, news) => {
                match news {
                    News::Spot => {
                        self.budget.spot = false;
                        self.world.announce_spot();
                    }
                    News::Terminated => {
                        self.budget.terminate = false;
                        self.world.terminate();
                    }
                    // With a launch hook of its own.
                    News::TakenFromPool => {
                        self.kept.completed[0] = None;
                        self.world.take_from_pool();
                    }
                }
                self.done(nth.into());
                if news != News::TakenFromPool {
                    self.leaves(before);
                }
            }
            Choice::Wake => self.agent.wake(),
            Choice::Term => {
                self.budget.term = false;
                self.agent.tell(Event::Signalled(Signal::Term));
                self.leaves(before);
            }
            Choice::Crash { done } => return self.crash(done),
            Choice::Fault(nth, fault) => self.fault(nth.into(), fault),
        }
        self.look(before);
    }

    fn done(&mut self, nth: usize) {
        let Some(pending) = self.agent.pending.get(nth) else { return };
        let job = pending.job.clone();
        let event = self.world.answer(&job, &self.root.config, &self.root.fingerprint);
        if let (Job::CompleteHook { hook, .. }, Event::HookCompleted) = (job.as_ref(), &event)
            && let Some((_, taken)) = &mut self.kept.completed[usize::from(hook.hook != "boot")]
        {
            *taken = true;
        }
        if event == Event::MarkedUnhealthy {
            self.reach("the instance marked unhealthy");
        }
        self.kept.knows_itself |= matches!(event, Event::Identified(_));
        self.agent.answer(nth, event);
    }

    fn fault(&mut self, nth: usize, fault: Fault) {
        self.budget.faults -= 1;
        let Some(pending) = self.agent.pending.get_mut(nth) else { return };
        let kind = pending.job.kind();
        let failed = |class| Event::Failed(kind, JobError::new(class, "a fault"));
        match fault {
            Fault::Late => pending.late = true,
            Fault::Transient => self.agent.answer(nth, failed(ErrorClass::Transient)),
            Fault::Lasting => match pending.job.clone().as_ref() {
                Job::WatchContainer(id) if self.world.is_running(id) => {
                    self.world.exit(&id.clone());
                    self.done(nth);
                }
                Job::ReadConfig => self.agent.answer(nth, failed(ErrorClass::Misconfigured)),
                Job::ProbeApp { .. } => self.agent.answer(nth, crate::sim::refused()),
                _ => self.agent.answer(nth, failed(ErrorClass::Denied)),
            },
            Fault::Lost => {
                let job = pending.job.clone();
                self.world.answer(&job, &self.root.config, &self.root.fingerprint);
                self.agent.answer(nth, failed(ErrorClass::Transient));
            }
            Fault::NotYet => self.agent.answer(nth, Event::HookNotActive(JobKind::CompleteHook)),
        }
    }

    /// systemd starts the next agent a second later.
    fn crash(&mut self, done: bool) {
        self.budget.crash = false;
        let left: Option<Unfinished> = self.agent.unfinished();
        for pending in self.agent.pending.iter().filter(|one| done && changes(&one.job)) {
            self.world.answer(&pending.job, &self.root.config, &self.root.fingerprint);
        }
        self.kept = Kept { resumed: left.is_some(), ..Kept::default() };
        self.agent = Agent::new(left.map(|left| left.after(secs(1))));
        self.look(PhaseName::Boot);
    }

    fn note(&mut self, what: impl Fn(&Self) -> String) {
        if self.trace.is_some() {
            let line =
                format!("{:<8.3}{:8} {}\n", self.agent.now().as_secs_f64(), self.agent.phase().word(), what(self));
            if let Some(trace) = &mut self.trace {
                trace.push_str(&line);
            }
        }
    }

    fn reach(&mut self, what: &str) {
        if let Some(at) = SOMETIMES.iter().position(|one| *one == what) {
            self.reached |= 1 << at;
        }
    }

    fn breaks(&mut self, what: impl Into<String>) {
        if self.broken.is_none() {
            self.broken = Some(what.into());
        }
    }

    /// 7: a notice reaches drain in one event, from anywhere but the way out.
    fn leaves(&mut self, before: PhaseName) {
        let after = self.agent.phase();
        if !matches!(after, PhaseName::Drain | PhaseName::Failing | PhaseName::Gone) {
            self.breaks(format!("invariant 7: a notice leads from {} to {}", before.word(), after.word()));
        }
    }

    /// The promises that one state, or one step, can break.
    fn look(&mut self, before: PhaseName) {
        for job in self.agent.take_orders() {
            self.note(|_| format!("  > {job}"));
            self.ordered(&job);
        }
        let (phase, status) = (self.agent.phase(), self.agent.status());
        self.reach(phase.word());
        if phase == PhaseName::Drain && before == PhaseName::Boot && self.kept.resumed {
            self.reach("a drain resumed by the next agent");
        }
        if status == Status::Ok && phase != PhaseName::Serve {
            self.breaks(format!("invariant 3: ready in {}", phase.word()));
        }
        if self.world.runs() > 1 {
            self.breaks("invariant 10: two containers run");
        }
        match self.agent.wakes_in() {
            None if phase != PhaseName::Gone => self.breaks(format!("invariant 6: no deadline in {}", phase.word())),
            _ => {}
        }
        if let Some(name) = self.agent.overdue().filter(|name| *name != DeadlineName::SpotInterruption) {
            self.breaks(format!("invariant 6: {} is over, and nothing follows", name.label()));
        }
        // What came before the config is not limited by it.
        if let Some(name) = self.agent.far().filter(|_| phase != PhaseName::Boot) {
            self.breaks(format!("invariant 6: {} is in minutes", name.label()));
        }
        if let Some(outcome) = self.agent.outcome {
            self.ends(outcome);
        }
    }

    fn ordered(&mut self, job: &Job) {
        match job {
            Job::CompleteHook { hook, result } => {
                let launch = hook.hook == "boot";
                match self.kept.completed[usize::from(!launch)] {
                    Some((_, true)) => self.breaks(format!("invariant 8: {hook} is completed again")),
                    Some((other, _)) if other != *result => {
                        self.breaks(format!("invariant 8: {hook} is completed with two results"));
                    }
                    _ => self.kept.completed[usize::from(!launch)] = Some((*result, false)),
                }
                let healthy = self.world.containers.iter().any(|one| one.runs && one.passed);
                let pool = self.agent.phase() == PhaseName::Warm;
                // One that passed and exited since is still one that was healthy.
                if launch && *result == HookResult::Continue && !healthy && !pool && self.budget.faults == FAULTS {
                    self.breaks("invariant 8: the launch hook is completed without a healthy app");
                }
                if !launch && self.world.runs() > 0 && self.budget.faults == FAULTS && self.budget.spot {
                    self.breaks("invariant 8: the termination hook is completed before the app has stopped");
                }
            }
            Job::StartContainer { id, .. } => {
                let other = self.world.runs() > usize::from(self.world.is_running(id));
                if other {
                    self.breaks("invariant 10: an app is started beside another");
                }
            }
            Job::WatchContainer(_) if self.agent.phase() == PhaseName::Boot => {
                let started = self.agent.pending.iter().any(|one| matches!(*one.job, Job::StartContainer { .. }));
                if !started && !self.budget.crash {
                    self.reach("a container adopted");
                }
            }
            _ => {}
        }
    }

    fn ends(&mut self, outcome: Outcome) {
        match outcome.code() {
            70 => return self.breaks("a bug: exit code 70"),
            code => self.reach(&format!("ends with {code}")),
        }
        match self.world.launch {
            Hooked::Completed(HookResult::Continue) => self.reach("the launch hook continued"),
            Hooked::Completed(HookResult::Abandon) => self.reach("the launch hook abandoned"),
            _ => {}
        }
        if matches!(self.world.leave, Hooked::Completed(_)) {
            self.reach("the termination hook completed");
        }
        let calm = self.budget.faults == FAULTS && self.budget.crash && self.kept.knows_itself;
        if outcome == Outcome::Done && calm {
            if self.world.runs() > 0 {
                self.breaks("exit code 0, and a container runs on");
            }
            if self.world.leave == Hooked::Waits && self.kept.completed[1].is_none() {
                self.breaks("exit code 0, and the termination hook waits");
            }
        }
    }
}
