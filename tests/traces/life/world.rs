//! The world of one life: an agent, and models of everything around it, on one clock. Time jumps to the next thing that happens.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use berth_config::Config;
use berth_core::message::error::{ErrorClass, JobError};
use berth_core::message::event::Event;
use berth_core::message::job::{Job, JobKind};
use berth_core::phase::drain::Unfinished;
use berth_core::release::NotedReleases;
use berth_core::targets::NotedTargets;
use berth_core::view::Status;

use super::agenda::Agenda;
use super::agent::Agent;
use super::balancer::Balancer;
use super::documents::Documents;
use super::engine::{self, Asker, Engine};
use super::excuses::Excuses;
use super::group::Group;
use super::liveness::{self, Progress};
use super::plan::{Plan, Roll};
use super::promises::{Broken, Seen};
use super::systemd::{self, State, Systemd};
use super::twist::{Fate, Twist};
use crate::sim::{config, secs};

/// A config and its fingerprint.
pub(crate) type Resolved = (Arc<Config>, String);

thread_local! {
    /// Configs that were resolved before, by their words: many lives have the same.
    static RESOLVED: RefCell<BTreeMap<Vec<String>, Resolved>> = const { RefCell::new(BTreeMap::new()) };
}

pub(crate) fn validated(words: &[String]) -> Resolved {
    RESOLVED.with_borrow_mut(|all| match all.get(words) {
        Some(found) => found.clone(),
        None => {
            let config = Arc::new(config(&words.join(" ")));
            let new = (config.clone(), config.fingerprint());
            all.insert(words.to_vec(), new.clone());
            new
        }
    })
}

/// A life that is not over this long after its end began is a broken promise.
const PATIENCE: Duration = Duration::from_secs(4 * 3600);

/// How long the engine or a service may go on with a request of an agent that is gone.
const ON_THE_WIRE: Duration = Duration::from_secs(3);

pub(crate) struct World {
    pub(crate) plan: Rc<Plan>,
    pub(crate) excuses: Excuses,
    pub(crate) config: Arc<Config>,
    /// The config's, worked out once.
    pub(crate) fingerprint: String,
    pub(crate) now: Duration,
    /// What is followed, if anything is.
    pub(crate) documents: Option<Documents>,
    pub(crate) engine: Engine,
    pub(crate) group: Group,
    pub(crate) balancer: Balancer,
    pub(crate) systemd: Systemd,
    pub(crate) agent: Option<Agent>,
    pub(crate) seen: Seen,
    pub(crate) broken: Option<Broken>,
    pub(crate) steps: u64,
    pub(crate) agents: u32,
    /// What is left of a drain for the next agent, and when it was written. A power-off loses it.
    pub(crate) left: Option<(Unfinished, Duration)>,
    /// What an agent noted of its targets, and when. A power-off loses it.
    pub(crate) noted: Option<(NotedTargets, Duration)>,
    /// What an agent noted of its releases, on a tmpfs.
    pub(crate) noted_releases: Option<NotedReleases>,
    pub(crate) agenda: Agenda<Due>,
    /// At each job, by its number.
    pub(crate) attempts: [u32; JobKind::ALL.len()],
    crowd: (Duration, u32),
    /// When the values of the secrets were last looked at.
    pub(crate) secrets_read: Duration,
    /// Whether the agent has values of secrets in its memory, and whether the tmpfs has those of the app.
    pub(crate) fetched: BTreeSet<String>,
    pub(crate) delivered: BTreeSet<String>,
    /// Logins at the registry so far.
    pub(crate) logins: u32,
    /// Until when the metadata is gone, once it is.
    pub(crate) metadata_gone: Option<Duration>,
    /// Events that agents took so far.
    pub(crate) events: u32,
    pub(crate) progress: Progress,
    trace: Option<String>,
    last_line: String,
}

/// What is planned.
pub(crate) enum Due {
    Act { asker: Asker, job: Box<Job>, fate: Fate, since: Duration },
    Answer(Asker, Event),
    Twist(Twist, bool),
    SpotEnds,
    Heals,
    CheckUp,
    End,
}

impl World {
    pub(crate) fn new(plan: &Rc<Plan>, traced: bool) -> Self {
        let documents = Documents::new(plan);
        let followed = documents.as_ref().and_then(|documents| documents.current()?.config.clone());
        let (config, fingerprint) = followed.unwrap_or_else(|| validated(&plan.words));
        let mut world = Self {
            excuses: Excuses::of(plan),
            config,
            fingerprint,
            documents,
            now: Duration::ZERO,
            engine: Engine::new(plan),
            group: Group::new(plan),
            balancer: Balancer::new(plan),
            systemd: Systemd::new(plan.shape.os_boots_in),
            agent: None,
            seen: Seen::default(),
            broken: None,
            steps: 0,
            agents: 0,
            left: None,
            noted: None,
            noted_releases: None,
            agenda: Agenda::new(),
            attempts: [0; JobKind::ALL.len()],
            crowd: (Duration::ZERO, 0),
            trace: traced.then(String::new),
            last_line: String::new(),
            secrets_read: Duration::ZERO,
            fetched: BTreeSet::new(),
            delivered: BTreeSet::new(),
            logins: 0,
            metadata_gone: None,
            events: 0,
            progress: Progress::default(),
            plan: plan.clone(),
        };
        for twist in &plan.twists {
            if let Some(at) = twist.at() {
                world.schedule(at, Due::Twist(twist.clone(), true));
            }
            if let Twist::Standby { at, lasts } = twist {
                world.schedule(*at + *lasts, Due::Twist(twist.clone(), false));
            }
            if let Twist::Spot(at) = twist {
                world.schedule(*at + secs(120), Due::SpotEnds);
            }
        }
        if let Some(heals) = plan.heals {
            world.schedule(heals, Due::Heals);
            world.schedule(heals + liveness::CHECK_UP, Due::CheckUp);
        }
        world.schedule(plan.end, Due::End);
        world
    }

    /// Lives to the end, or to the first broken promise.
    pub(crate) fn run(mut self) -> Self {
        while self.broken.is_none() && !self.is_over() {
            if !self.step() {
                self.broken = Some(Broken { promise: 6, what: "nothing will ever happen any more".to_owned() });
            } else if self.now > self.plan.end + PATIENCE {
                self.broken = Some(Broken { promise: 6, what: "the life goes on for hours".to_owned() });
            }
        }
        let end = self.now;
        while self.broken.is_none() && self.balancer.due().is_some_and(|at| at < end + secs(20)) {
            self.now = self.balancer.due().unwrap_or(end);
            self.balancer.advance(self.now, false, |port| self.engine.answers_on(port, self.now));
        }
        if self.broken.is_none() {
            self.broken = self.judge();
        }
        self.progress.end();
        self
    }

    /// What happened, a line each.
    pub(crate) fn trace(&self) -> &str {
        self.trace.as_deref().unwrap_or_default()
    }

    fn is_over(&self) -> bool {
        self.agent.is_none() && matches!(self.systemd.state, State::Dead | State::Off) && !self.group.sleeps()
    }

    pub(crate) fn schedule(&mut self, at: Duration, due: Due) {
        self.agenda.plan(at, due);
    }

    /// Writes what happens into the trace, repeated lines once.
    pub(crate) fn note(&mut self, who: &str, what: impl FnOnce() -> String) {
        let Some(trace) = &mut self.trace else { return };
        let line = format!("{who:8} {}", what().trim_end());
        if line != self.last_line {
            let _ = writeln!(trace, "{:<9.3}{line}", self.now.as_secs_f64());
            self.last_line = line;
        }
    }

    /// One thing that happens, whichever comes first; false if nothing will.
    fn step(&mut self) -> bool {
        self.take_orders();
        if self.is_over() {
            return true;
        }
        let wake = self.agent.as_ref().and_then(|one| one.wake);
        let dues =
            [self.agenda.due(), self.systemd.due(), self.engine.due(), self.group.due(), self.balancer.due(), wake];
        let Some((which, at)) =
            dues.into_iter().enumerate().filter_map(|(which, at)| Some((which, at?))).min_by_key(|(_, at)| *at)
        else {
            return false;
        };
        self.now = self.now.max(at);
        self.steps += 1;
        self.crowd = if self.crowd.0 == self.now { (self.now, self.crowd.1 + 1) } else { (self.now, 0) };
        if self.crowd.1 > 2000 {
            self.broken = Some(Broken { promise: 6, what: "thousands of steps without any time passing".to_owned() });
        }
        match which {
            0 => self.do_next(),
            1 => match self.systemd.advance(self.now) {
                Some(systemd::News::Start) => self.start(),
                Some(systemd::News::Kill) => {
                    self.seen.killed_by_systemd = true;
                    self.kill();
                }
                None => {}
            },
            2 => {
                for news in self.engine.advance(self.now) {
                    match news {
                        engine::News::Answer(asker, event) => self.schedule(self.now, Due::Answer(asker, event)),
                        engine::News::Ended(one) => {
                            let how = if one.stopping { ", stopped" } else { "" };
                            self.note("engine", || format!("the app in {} ends{how}", one.id.0));
                            self.app_ended(&one);
                        }
                    }
                }
            }
            3 => {
                let let_go = !self.plan.shape.attached || self.balancer.has_let_go(self.now);
                let (before, over) = (self.group.state, self.group.ended.len());
                let news = self.group.advance(self.now, let_go);
                if self.group.state != before {
                    let after = self.group.state;
                    self.note("group", || format!("{before} -> {after}"));
                }
                if self.group.ended.len() > over {
                    self.hook_ran_out();
                }
                for news in news {
                    self.hear(news);
                }
            }
            4 => {
                let ready = self.agent.as_ref().is_some_and(|one| one.status == Status::Ok);
                let failed = self.balancer.failed.len();
                self.balancer.advance(self.now, ready, |port| self.engine.answers_on(port, self.now));
                if self.balancer.failed.len() > failed {
                    self.note("client", || "a request failed".to_owned());
                    if let Some((_, port)) = self.balancer.failed.last().copied() {
                        let is_flawed = self.engine.bad_ports.contains(&port);
                        self.request_failed(port, is_flawed);
                    }
                }
            }
            _ => self.deliver(Event::Woke.into()),
        }
        self.look_at_progress();
        true
    }

    fn do_next(&mut self) {
        let Some(due) = self.agenda.next() else { return };
        match due {
            Due::Act { asker, job, fate, since } => {
                let listens = self.listens(asker);
                let mut wire = self.plan.roll(Roll::Wire, asker.1 + u64::from(asker.0) * 1_000_003);
                if !listens && (self.now - since > ON_THE_WIRE || wire.bool()) {
                    return;
                }
                if let Job::StopContainer { id, .. } | Job::RemoveContainer { id, .. } = job.as_ref() {
                    self.finish_start(id);
                }
                let answer = self.perform(asker, &job, since);
                match (fate, answer) {
                    (Fate::Lost, _) => {
                        let error = JobError::new(ErrorClass::Transient, "the answer was lost");
                        self.schedule(self.now + secs(5), Due::Answer(asker, Event::Failed(job.kind(), error)));
                    }
                    (_, Some(event)) => self.answer(asker, event),
                    (_, None) => {} // the engine answers when it is done
                }
            }
            Due::Answer(asker, event) => self.answer(asker, event),
            Due::Twist(twist, begins) => self.twist(&twist, begins),
            Due::SpotEnds => {
                self.seen.spot_ended = true;
                let news = self.group.taken(self.now);
                self.hear(news);
            }
            Due::Heals => self.heal(),
            Due::CheckUp => self.check_up(),
            Due::End => {
                self.note("world", || "the end of the plan".to_owned());
                if self.group.described().is_some() {
                    self.group.terminate(self.now);
                } else {
                    self.stop();
                }
            }
        }
    }
}
