//! The agent's process in the world: started, killed, its orders taken, its answers delivered.

use std::sync::Arc;
use std::time::Duration;

use berth_core::clock::Uptime;
use berth_core::machine::Machine;
use berth_core::message::command::Command;
use berth_core::message::container::ContainerId;
use berth_core::message::effect::Effect;
use berth_core::message::error::JobError;
use berth_core::message::event::Event;
use berth_core::message::input::Input;
use berth_core::message::job::{Job, JobKind, Ticket};
use berth_core::view::{DeadlineView, PhaseName, Status};

use super::engine::Asker;
use super::plan::{GROUP, RELEASES, Roll, SERVICES, TARGETS};
use super::table::{KILLED_AFTER, KILLED_BEFORE, SKEWED};
use super::twist::{Fate, Twist};
use super::world::{Due, World};
use crate::sim::ms;

/// The agent's process.
pub(crate) struct Agent {
    pub(crate) number: u32,
    pub(crate) machine: Machine,
    pub(crate) started: Duration,
    pub(crate) running: Vec<Ticket>,
    /// When its machine wants to be woken.
    pub(crate) wake: Option<Duration>,
    /// What `/ready` says.
    pub(crate) status: Status,
    pub(crate) signals: u32,
    pub(crate) knows_itself: bool,
    /// In this boot.
    pub(crate) knows_config: bool,
    /// In any.
    pub(crate) knows_policies: bool,
    /// Whether a service reported the time to it.
    pub(crate) knows_clock: bool,
    /// Whether the metadata gave it credentials.
    pub(crate) has_credentials: bool,
    /// The fingerprint of the config that it read last.
    pub(crate) wants: String,
    /// Whether it was left a note of the releases.
    pub(crate) knew_releases: bool,
    /// The changes of its targets that the note has.
    target_changes: Option<u64>,
    /// Killed once its orders have left.
    doomed: bool,
}

/// How the agent was before an event.
pub(crate) struct Former {
    pub(crate) phase: PhaseName,
    pub(crate) status: Status,
    /// What a drain waited for, if the event is a notice.
    pub(crate) deadlines: Vec<DeadlineView>,
}

impl World {
    /// The phase of the agent, if there is one.
    pub(crate) fn phase(&self) -> Option<PhaseName> {
        self.agent.as_ref().map(|one| one.machine.phase())
    }

    pub(crate) fn start(&mut self) {
        self.agents += 1;
        let left = self.left.clone().map(|(left, at)| left.after(self.now.saturating_sub(at)));
        let noted = self.noted.clone().map(|(noted, at)| (noted, self.now.saturating_sub(at)));
        let machine = Machine::new(self.plan.seed ^ u64::from(self.agents), Uptime::ZERO).after(left, Uptime::ZERO);
        let machine = machine.knowing(noted).continuing(self.noted_releases.clone());
        self.note("systemd", || "starts the agent".to_owned());
        self.agent = Some(Agent {
            number: self.agents,
            status: machine.status(),
            wake: machine.next_wake().map(|at| self.now + at.0),
            machine,
            started: self.now,
            running: Vec::new(),
            signals: 0,
            knows_itself: false,
            knows_config: false,
            knows_policies: false,
            knows_clock: false,
            has_credentials: false,
            wants: String::new(),
            knew_releases: self.noted_releases.is_some(),
            target_changes: None,
            doomed: false,
        });
        self.began();
    }

    pub(crate) fn kill(&mut self) {
        if self.agent.is_some() {
            self.note("world", || "the agent is killed".to_owned());
            self.ended(None);
        }
    }

    pub(crate) fn ended(&mut self, code: Option<u8>) {
        self.agent_ends(code);
        self.end_agent();
        self.systemd.ended(code, self.now);
    }

    pub(crate) fn end_agent(&mut self) {
        if let Some(agent) = self.agent.take() {
            self.engine.forget(agent.number);
            self.fetched.clear();
        }
    }

    pub(crate) fn listens(&self, (number, ticket): Asker) -> bool {
        self.agent.as_ref().is_some_and(|one| one.number == number && one.running.contains(&Ticket(ticket)))
    }

    pub(crate) fn answer(&mut self, asker: Asker, event: Event) {
        if self.listens(asker)
            && let Some(agent) = &mut self.agent
        {
            agent.running.retain(|one| *one != Ticket(asker.1));
            self.deliver(Input::Answer(Ticket(asker.1), event));
        }
    }

    /// The machine takes an event, and the promises are looked at.
    pub(crate) fn deliver(&mut self, input: Input) {
        let event = input.event();
        let Some(phase) = self.phase() else { return };
        if !event.is_routine() {
            self.note(phase.word(), || format!("{} {event}", event.name()));
        }
        let Some(agent) = &mut self.agent else { return };
        let drains = phase == PhaseName::Drain && is_notice(event);
        let deadlines = if drains { agent.machine.deadlines() } else { Vec::new() };
        let former = Former { phase, status: agent.status, deadlines };
        agent.machine.on(&input, Uptime(self.now.saturating_sub(agent.started)));
        agent.status = agent.machine.status();
        agent.wake = agent.machine.next_wake().map(|at| agent.started + at.0);
        if agent.machine.phase() == PhaseName::Boot && phase != PhaseName::Boot {
            (agent.knows_itself, agent.knows_config) = (false, false);
        }
        agent.knows_itself |= matches!(event, Event::Identified(_));
        agent.knows_config |= matches!(event, Event::ConfigRead(..)) && self.documents.is_none();
        agent.knows_policies |= agent.knows_config;
        if let (Event::ConfigRead(config, _), None) = (event, &self.documents) {
            let same = Arc::ptr_eq(config, &self.config);
            agent.wants = if same { self.fingerprint.clone() } else { config.fingerprint() };
        }
        agent.knows_clock |= matches!(event, Event::Failed(_, error) if error.reason == SKEWED);
        self.look(&former, event);
        self.bring_faults(event);
        self.events += 1;
        let killed = |twist: &Twist| match twist {
            Twist::KillAt { event, ordered } if *event == self.events && !self.progress.healed() => Some(*ordered),
            _ => None,
        };
        match self.plan.twists.iter().find_map(killed) {
            Some(true) => {
                if let Some(agent) = &mut self.agent {
                    agent.doomed = true;
                }
            }
            Some(false) => {
                self.met(KILLED_BEFORE);
                self.kill();
            }
            None => {}
        }
        // Written before any order of this event leaves.
        if let Some(agent) = &mut self.agent
            && agent.machine.phase() != PhaseName::Gone
        {
            let age = Uptime(self.now.saturating_sub(agent.started));
            let left = agent.machine.unfinished(age);
            self.left = left.map(|left| (left, self.now));
            let changes = agent.machine.target_changes();
            if changes.is_some() && changes != agent.target_changes {
                let noted = agent.machine.noted_targets(age);
                agent.target_changes = changes;
                self.noted = noted.map(|noted| (noted, self.now)).or(self.noted.take());
            }
            if self.documents.is_some() {
                self.noted_releases = agent.machine.noted_releases().or(self.noted_releases.take());
            }
        }
    }

    pub(crate) fn take_orders(&mut self) {
        while let Some(agent) = &mut self.agent {
            let Some(effect) = agent.machine.next_effect() else {
                if agent.doomed {
                    self.met(KILLED_AFTER);
                    self.kill();
                }
                return;
            };
            let (number, phase) = (agent.number, agent.machine.phase().word());
            if !effect.is_routine() && !matches!(effect, Effect::Command(Command::Cancel(_))) {
                self.note(phase, || format!("> {effect}"));
            }
            match effect {
                Effect::Command(Command::Exit(outcome)) => {
                    self.left = None;
                    self.seen.code = Some(outcome.code());
                    self.ended(Some(outcome.code()));
                }
                Effect::Command(Command::Cancel(other)) => {
                    if let Some(agent) = &mut self.agent {
                        agent.running.retain(|one| *one != other);
                    }
                }
                Effect::Command(Command::HandOver) => {
                    self.end_agent();
                    self.start();
                }
                Effect::Command(Command::RefuseHandover(_) | Command::Remark(_)) => {}
                Effect::Job(ticket, job) => self.order(number, ticket, job),
            }
        }
    }

    fn order(&mut self, number: u32, ticket: Ticket, ordered: Job) {
        let job = ordered.kind();
        self.ordered(&ordered);
        let Some(nth) = self.attempts.get_mut(job as usize) else { return };
        let nth = std::mem::replace(nth, *nth + 1);
        let fate = if self.progress.healed() { Fate::Well } else { self.plan.fate(job, nth) };
        let mut roll = self.plan.roll(Roll::Delay, (job as u64) << 32 | u64::from(nth));
        if let Some(agent) = &mut self.agent {
            agent.running.push(ticket);
            // Of the releases that were read, this one was chosen.
            agent.knows_config |= job == JobKind::Listen;
            agent.knows_policies |= job == JobKind::Listen;
        }
        // The adapters do this before they call the engine: what was fetched is then on the tmpfs only.
        if let Job::StartContainer { config, .. } | Job::SignalApp { config, .. } = &ordered
            && config.has_secrets()
        {
            self.delivered.extend(self.fetched.take(&config.container_name()));
        }
        let asker = (number, ticket.0);
        let takes = usual(job).mul_f64(0.5 + roll.f64());
        let (since, at) = (self.now, self.now + takes);
        if let Some((after, error)) = self.refusal(job, nth) {
            return self.schedule(self.now + after.unwrap_or(takes), Due::Answer(asker, Event::Failed(job, error)));
        }
        let aws = [&GROUP[..], &SERVICES, &TARGETS, &RELEASES].iter().any(|jobs| jobs.contains(&job));
        if let Some(agent) = &mut self.agent {
            agent.has_credentials |= aws;
        }
        self.restart_engine(job, nth, takes);
        match fate {
            Fate::Hangs => {
                self.note("world", || format!("{job:?} hangs"));
                self.end_hang(asker, job);
            }
            Fate::Fails(class) => {
                let error = JobError::new(class, "so planned");
                self.schedule(at, Due::Answer(asker, Event::Failed(job, error)));
            }
            Fate::Slow(by) => self.schedule(at + by, Due::Act { asker, job: Box::new(ordered), fate, since }),
            Fate::Well | Fate::Lost => self.schedule(at, Due::Act { asker, job: Box::new(ordered), fate, since }),
        }
    }

    /// The engine does one thing at a time with a container: a stop waits for the start that is on its way.
    pub(crate) fn finish_start(&mut self, of: &ContainerId) {
        let starts = |due: &Due| match due {
            Due::Act { job, .. } => matches!(job.as_ref(), Job::StartContainer { id, .. } if id == of),
            _ => false,
        };
        if self.agenda.take(starts).is_some() {
            self.engine.start(of, self.now);
        }
    }
}

/// Whether it says what the surroundings want.
pub(crate) fn is_notice(event: &Event) -> bool {
    matches!(event, Event::Signalled(_) | Event::DrainRequested(_) | Event::MetadataSeen(_))
}

/// How long a job takes on an ordinary day.
fn usual(job: JobKind) -> Duration {
    ms(match job {
        JobKind::Listen
        | JobKind::CheckPaths
        | JobKind::CountConnections
        | JobKind::ExtendStop
        | JobKind::WriteFinalStatus
        | JobKind::SignalApp
        | JobKind::WipeSecrets => 1,
        JobKind::PullImage => 2000,
        JobKind::StartContainer => 200,
        JobKind::FetchSecrets | JobKind::LoginRegistry | JobKind::FindGroup | JobKind::CheckSecrets => 100,
        JobKind::CreateContainer | JobKind::ResolveDigest | JobKind::CompleteHook | JobKind::RecordHeartbeat => 50,
        JobKind::DescribeInstance | JobKind::MarkUnhealthy => 50,
        JobKind::DescribeGroup
        | JobKind::DescribeTargets
        | JobKind::RegisterTarget
        | JobKind::DeregisterTarget
        | JobKind::DescribeDelay => 50,
        job if RELEASES.contains(&job) => 20,
        _ => 5,
    })
}
