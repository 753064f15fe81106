//! The world of one life: an agent, and models of everything around it, on one clock. Time jumps to the next thing that happens.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use berth::clock::Uptime;
use berth::config::Config;
use berth::effect::{ContainerId, Effect, Job, Ticket};
use berth::event::{Event, Signal};
use berth::machine::Machine;
use berth::notice::{Interruption, Sight};
use berth::view::{PhaseName, View};

use super::balancer::Balancer;
use super::engine::{self, Asker, Engine};
use super::group::{self, Group};
use super::plan::{Fate, Plan, Roll, Twist};
use super::promises::{Broken, Seen};
use super::systemd::{self, State, Systemd};
use crate::sim::{config, ms, secs};

/// A life that is not over this long after its end began is a broken promise.
const PATIENCE: Duration = Duration::from_secs(4 * 3600);

/// What the engine or a service may still do for somebody who does not listen any more.
const ON_THE_WIRE: Duration = Duration::from_secs(3);

pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) config: Arc<Config>,
    pub(crate) now: Duration,
    pub(crate) engine: Engine,
    pub(crate) group: Group,
    pub(crate) balancer: Balancer,
    pub(crate) systemd: Systemd,
    pub(crate) agent: Option<Agent>,
    pub(crate) seen: Seen,
    pub(crate) broken: Option<Broken>,
    pub(crate) steps: u64,
    agents: u32,
    agenda: BTreeMap<(Duration, u64), Due>,
    sequence: u64,
    attempts: BTreeMap<Job, u32>,
    crowd: (Duration, u32),
    trace: Option<String>,
}

/// The agent's process.
pub(crate) struct Agent {
    pub(crate) number: u32,
    pub(crate) machine: Machine,
    pub(crate) started: Duration,
    pub(crate) running: BTreeMap<Ticket, Job>,
    pub(crate) view: View,
    pub(crate) signals: u32,
}

enum Due {
    Act { asker: Asker, effect: Box<Effect>, fate: Fate, since: Duration },
    Answer(Asker, Event),
    Twist(Twist, bool),
    SpotEnds,
    End,
}

impl World {
    pub(crate) fn new(plan: &Plan, traced: bool) -> Self {
        let mut world = Self {
            config: Arc::new(config(&plan.words.join(" "))),
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
            agenda: BTreeMap::new(),
            sequence: 0,
            attempts: BTreeMap::new(),
            crowd: (Duration::ZERO, 0),
            trace: traced.then(String::new),
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
            self.balancer.advance(self.now, false, self.engine.serves(self.now));
        }
        if self.broken.is_none() {
            self.broken = self.judge();
        }
        self
    }

    /// What happened, a line each.
    pub(crate) fn trace(&self) -> &str {
        self.trace.as_deref().unwrap_or_default()
    }

    fn is_over(&self) -> bool {
        self.agent.is_none() && matches!(self.systemd.state, State::Dead | State::Off) && !self.group.sleeps()
    }

    fn schedule(&mut self, at: Duration, due: Due) {
        self.sequence += 1;
        self.agenda.insert((at, self.sequence), due);
    }

    pub(crate) fn note(&mut self, who: &str, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let _ = writeln!(trace, "{:<9.3}{who:8} {}", self.now.as_secs_f64(), what().trim_end());
        }
    }

    /// One thing that happens, whichever comes first; false if nothing will.
    fn step(&mut self) -> bool {
        self.take_orders();
        if self.is_over() {
            return true;
        }
        let agenda = self.agenda.keys().next().map(|(at, _)| *at);
        let wake = self.agent.as_ref().and_then(|one| one.machine.next_wake().map(|at| one.started + at.0));
        let dues = [agenda, self.systemd.due(), self.engine.due(), self.group.due(), self.balancer.due(), wake];
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
                        engine::News::Ended { stopped } => {
                            self.note("engine", || format!("the app ends{}", if stopped { ", stopped" } else { "" }));
                            self.app_ended(stopped);
                        }
                    }
                }
            }
            3 => {
                let let_go = self.balancer.has_let_go(self.now);
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
                let ready = self.agent.as_ref().is_some_and(|one| one.view.status == berth::view::Status::Ok);
                let failed = self.balancer.failed.len();
                self.balancer.advance(self.now, ready, self.engine.serves(self.now));
                if self.balancer.failed.len() > failed {
                    self.note("client", || "a request failed".to_owned());
                }
            }
            _ => self.deliver(&Event::Woke),
        }
        true
    }

    fn do_next(&mut self) {
        let Some((_, due)) = self.agenda.pop_first() else { return };
        match due {
            Due::Act { asker, effect, fate, since } => {
                let listens = self.listens(asker);
                let mut wire = self.plan.roll(Roll::Wire, asker.1 + u64::from(asker.0) * 1_000_003);
                if !listens && (self.now - since > ON_THE_WIRE || wire.bool()) {
                    return;
                }
                let job = effect.job();
                if let Effect::StopContainer { id, .. } | Effect::RemoveContainer { id, .. } = effect.as_ref() {
                    self.finish_start(id);
                }
                let answer = self.perform(asker, &effect);
                match (fate, answer, job) {
                    (Fate::Lost, _, Some(job)) => {
                        let fault = berth::fault::Fault::new(berth::fault::Class::Transient, "the answer was lost");
                        self.schedule(self.now + secs(5), Due::Answer(asker, Event::Failed(job, fault)));
                    }
                    (_, Some(event), _) => self.answer(asker, &event),
                    (_, None, _) => {} // the engine answers when it is done
                }
            }
            Due::Answer(asker, event) => self.answer(asker, &event),
            Due::Twist(twist, begins) => self.twist(&twist, begins),
            Due::SpotEnds => {
                self.seen.spot_ended = true;
                let news = self.group.taken(self.now);
                self.hear(news);
            }
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

    /// The engine does one thing at a time with a container: a stop waits for the start that is on its way.
    fn finish_start(&mut self, of: &ContainerId) {
        let starts = |due: &Due| matches!(due, Due::Act { effect, .. } if matches!(effect.as_ref(), Effect::StartContainer { id, .. } if id == of));
        let Some(key) = self.agenda.iter().find(|(_, due)| starts(due)).map(|(key, _)| *key) else { return };
        self.agenda.remove(&key);
        self.engine.start(of, self.now);
    }

    fn listens(&self, (number, ticket): Asker) -> bool {
        self.agent.as_ref().is_some_and(|one| one.number == number && one.running.contains_key(&Ticket(ticket)))
    }

    fn answer(&mut self, asker: Asker, event: &Event) {
        if self.listens(asker)
            && let Some(agent) = &mut self.agent
        {
            agent.running.remove(&Ticket(asker.1));
            self.deliver(event);
        }
    }

    /// The machine takes an event, and the promises are looked at.
    fn deliver(&mut self, event: &Event) {
        let Some(agent) = &mut self.agent else { return };
        let (before, view) = (agent.machine.phase(), std::mem::take(&mut agent.view));
        if !event.is_routine() {
            let word = before.word();
            self.note(word, || format!("{} {event}", event.name()));
        }
        let Some(agent) = &mut self.agent else { return };
        agent.machine.on(event, Uptime(self.now.saturating_sub(agent.started)));
        agent.view = agent.machine.view();
        self.look(before, &view, event);
    }

    fn take_orders(&mut self) {
        while let Some(agent) = &mut self.agent {
            let Some((ticket, effect)) = agent.machine.next_effect() else { return };
            let (number, phase) = (agent.number, agent.machine.phase().word());
            let routine = [Job::ProbeApp, Job::WatchMetadata, Job::CountConnections, Job::ExtendStop];
            if !effect.job().is_some_and(|job| routine.contains(&job)) {
                self.note(phase, || format!("> {effect}"));
            }
            match effect {
                Effect::Exit(outcome) => {
                    self.seen.code = Some(outcome.code());
                    self.ended(Some(outcome.code()));
                }
                Effect::Cancel(other) => {
                    if let Some(agent) = &mut self.agent {
                        agent.running.remove(&other);
                    }
                }
                effect => self.order(number, ticket, effect),
            }
        }
    }

    fn order(&mut self, number: u32, ticket: Ticket, effect: Effect) {
        let Some(job) = effect.job() else { return };
        self.ordered(&effect);
        let nth = self.attempts.entry(job).or_default();
        let fate = self.plan.fate(job, *nth);
        let mut roll = self.plan.roll(Roll::Delay, (job as u64) << 32 | u64::from(*nth));
        *nth += 1;
        if let Some(agent) = &mut self.agent {
            agent.running.insert(ticket, job);
        }
        let asker = (number, ticket.0);
        let at = self.now + usual(job).mul_f64(0.5 + roll.f64());
        let since = self.now;
        match fate {
            Fate::Hangs => self.note("world", || format!("{job:?} hangs")),
            Fate::Fails(class) => {
                let fault = berth::fault::Fault::new(class, "so planned");
                self.schedule(at, Due::Answer(asker, Event::Failed(job, fault)));
            }
            Fate::Slow(by) => self.schedule(at + by, Due::Act { asker, effect: Box::new(effect), fate, since }),
            Fate::Well | Fate::Lost => self.schedule(at, Due::Act { asker, effect: Box::new(effect), fate, since }),
        }
    }

    fn twist(&mut self, twist: &Twist, begins: bool) {
        self.note("world", || format!("{twist:?}{}", if begins { "" } else { " ends" }));
        let news = match twist {
            Twist::Kill(_) => {
                self.kill();
                None
            }
            Twist::Term(_) => {
                if !self.stop() && matches!(self.systemd.state, State::Stopping(_)) {
                    self.signal();
                }
                None
            }
            Twist::Asked(_) => {
                self.deliver(&Event::DrainRequested(None));
                None
            }
            Twist::Terminate(_) => {
                self.group.terminate(self.now);
                None
            }
            Twist::Return(_) => {
                self.group.take_back(self.now);
                None
            }
            Twist::Standby { .. } => self.group.stand_by(begins),
            Twist::Detach(_) => self.group.detach(),
            _ => None, // the models know
        };
        if let Some(news) = news {
            self.hear(news);
        }
    }

    fn hear(&mut self, news: group::News) {
        if news != group::News::Deregister {
            self.note("group", || format!("{news:?}"));
        }
        match news {
            group::News::Register => self.balancer.register(self.now),
            group::News::Deregister => self.balancer.deregister(self.now),
            group::News::ShutDown => drop(self.stop()),
            group::News::PowerOff => {
                self.seen.powered_off |= self.agent.is_some();
                self.end_agent();
                self.engine.power_off();
                self.balancer.app_ended(self.now);
                self.systemd.power_off();
            }
            group::News::PowerOn => self.systemd.power_on(self.now + self.plan.shape.os_boots_in),
        }
    }

    /// Stops the service, as `systemctl stop` and a shutdown do; whether the agent got the signal by that.
    fn stop(&mut self) -> bool {
        let signals = self.systemd.stop(self.now);
        if signals {
            self.signal();
        }
        signals
    }

    fn signal(&mut self) {
        if let Some(agent) = &mut self.agent {
            agent.signals += 1;
        }
        self.deliver(&Event::Signalled(Signal::Term));
    }

    fn start(&mut self) {
        self.agents += 1;
        let machine = Machine::new(self.plan.seed ^ u64::from(self.agents), Uptime::ZERO);
        let (view, started) = (machine.view(), self.now);
        self.note("systemd", || "starts the agent".to_owned());
        self.agent = Some(Agent { number: self.agents, machine, started, running: BTreeMap::new(), view, signals: 0 });
        self.began();
    }

    fn kill(&mut self) {
        if self.agent.is_some() {
            self.note("world", || "the agent is killed".to_owned());
            self.ended(None);
        }
    }

    fn ended(&mut self, code: Option<u8>) {
        self.agent_ends(code);
        self.end_agent();
        self.systemd.ended(code, self.now);
    }

    fn end_agent(&mut self) {
        if let Some(agent) = self.agent.take() {
            self.engine.forget(agent.number);
        }
    }

    /// What the metadata says at this moment.
    pub(crate) fn sight(&self) -> Sight {
        let vanished = self.plan.has(|twist| match twist {
            Twist::StateVanishes { at, lasts } => (*at..*at + *lasts).contains(&self.now),
            _ => false,
        });
        let spot = self.plan.twists.iter().find_map(|twist| match twist {
            Twist::Spot(at) if *at <= self.now => {
                let ends_in = (*at + secs(120)).saturating_sub(self.now);
                Some(Interruption { action: "terminate".to_owned(), ends_in })
            }
            _ => None,
        });
        let rebalance = self.plan.has(|twist| matches!(twist, Twist::Rebalance(at) if *at <= self.now));
        let target_state = if vanished { None } else { self.group.target() };
        Sight { target_state, spot, rebalance, maintenance: None }
    }
}

impl Twist {
    /// When it happens by itself, if it is nobody's answer.
    fn at(&self) -> Option<Duration> {
        match self {
            Self::Kill(at)
            | Self::Term(at)
            | Self::Asked(at)
            | Self::Terminate(at)
            | Self::Return(at)
            | Self::Detach(at)
            | Self::Spot(at)
            | Self::Rebalance(at)
            | Self::Standby { at, .. } => Some(*at),
            _ => None,
        }
    }
}

/// How long a job takes on an ordinary day.
fn usual(job: Job) -> Duration {
    ms(match job {
        Job::Listen | Job::CountConnections | Job::ExtendStop | Job::SayLastWords | Job::SignalApp => 1,
        Job::PullImage => 2000,
        Job::StartContainer => 200,
        Job::FetchSecrets | Job::LoginRegistry | Job::FindGroup | Job::CheckSecrets => 100,
        Job::CreateContainer | Job::ResolveDigest | Job::CompleteHook | Job::RecordHeartbeat => 50,
        Job::DescribeInstance | Job::MarkUnhealthy => 50,
        _ => 5,
    })
}

impl World {
    /// The phase of the agent, if there is one.
    pub(crate) fn phase(&self) -> Option<PhaseName> {
        self.agent.as_ref().map(|one| one.machine.phase())
    }
}
