//! The targets of this instance: it registers itself with the target groups of its config, and deregisters when it leaves.
//!
//! ```text
//!   boot:   group's own target groups ─▶ host ports (only those that the config leaves open)
//!   serve:  app healthy ─▶ register each ─▶ the load balancer calls each healthy ─▶ launch hook
//!   drain:  503 and deregister at once ─▶ asked after `drain.settle` whether they are unused
//! ```
//! A target group that the Auto Scaling group attaches itself is left to it. What an agent before this one left is remembered: what is
//! registered and not wanted any more is deregistered, and no port is registered again within the deregistration delay (invariant 14).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use berth_config::{Config, PinnedImage};

use crate::clock::Uptime;
use crate::hook::Hook;
use crate::message::container::RunningContainer;
use crate::message::error::JobError;
use crate::message::event::Event;
use crate::message::identity::Identity;
use crate::message::input::Input;
use crate::message::job::Job;
use crate::message::target::Target;
use crate::outbox::Outbox;
use crate::retry::FAR;
use crate::step::Step;
use crate::view::StepName;

pub use joining::Ports;
pub use noted::{NotedState, NotedTarget, NotedTargets};
pub use ports::{HostPorts, ports_of};

use line::Line;
use ports::{LONGEST_DELAY, Owner, PortChoice, is_spent};
use registration::{Limit, Registration};

mod failure;
mod joining;
mod line;
mod noted;
mod ports;
mod registration;
mod show;

/// An instance that was in traffic asks its group for so long which target groups it attaches. Then it goes on as if there were none: an
/// outage of the control plane takes no app out of service.
const GROUP_PATIENCE: Duration = Duration::from_secs(60);

/// The targets of this instance.
#[derive(Clone, Debug)]
pub struct Targets {
    registrations: Vec<Registration>,
    /// Which target groups the group attaches itself, and where this instance stands in the line.
    attached: Step<Attached>,
    choice: PortChoice,
    wish: Wish,
    /// The targets of the other container of a release, while both are in.
    joining: Option<Vec<Target>>,
    /// Whether the next that enters may have left a short while ago.
    returns: bool,
    /// A port choice that was refused for good.
    refused: Option<JobError>,
    /// Whether all were in once since the boot began, so that it is over; the next agent learns of it.
    were_in: bool,
    /// What the next agent needs to know beside the registrations: how often it has changed.
    changes: u64,
}

#[derive(Clone, Debug)]
struct Attached {
    /// Whether the group answered. One that may not be asked has none, as far as is known.
    is_known: bool,
    target_groups: BTreeSet<String>,
    line: Option<Line>,
}

#[derive(Clone, Debug)]
enum Wish {
    /// Out of every target group.
    Out,
    /// In, but which target groups are the group's own is not known yet.
    Entering(Entry),
    /// In these.
    In(Vec<Target>),
    /// In, and it cannot be: a port of the container is not published.
    Impossible { container: u16, target_group: String },
}

#[derive(Clone, Debug)]
struct Entry {
    config: Arc<Config>,
    running: Box<RunningContainer>,
    limit: Limit,
    /// When it is not waited for any longer which target groups are the group's own; none in a boot, which fails at its limit.
    go_on: Option<Uptime>,
}

impl Default for Targets {
    fn default() -> Self {
        Self {
            registrations: Vec::new(),
            attached: Step::new(StepName::Attachments, FAR),
            choice: PortChoice::new(),
            wish: Wish::Out,
            joining: None,
            returns: false,
            refused: None,
            were_in: false,
            changes: 0,
        }
    }
}

impl Targets {
    /// Takes what an agent before this one left, so long ago.
    pub fn remember(&mut self, noted: NotedTargets, ago: Duration, now: Uptime) {
        self.were_in |= noted.were_in;
        for one in noted.targets {
            if self.find(&one.target).is_none() {
                self.registrations.push(Registration::remember(one, ago, now));
            }
        }
    }

    /// What the next agent on this instance needs to know.
    pub fn noted(&self, instance_id: String, now: Uptime) -> NotedTargets {
        let is_spent = |one: &NotedTarget| match one.state {
            NotedState::Registered { .. } => true,
            NotedState::Left { ago, delay } => is_spent(ago, delay),
        };
        let targets = self.registrations.iter().filter_map(|one| one.noted(now)).filter(is_spent).collect();
        NotedTargets { instance_id, targets, were_in: self.were_in }
    }

    /// How often that has changed, but for the time that passed.
    pub fn changes(&self) -> u64 {
        self.registrations.iter().map(Registration::changes).sum::<u64>() + self.changes
    }

    /// A boot looks for ports again. What is registered stays known.
    pub fn begin_boot(&mut self) {
        self.choice = PortChoice::new();
        self.refused = None;
        self.were_in = false;
    }

    /// The next container that enters may be one that left: what is still sent to its port is meant for it.
    pub fn begin_return(&mut self) {
        (self.returns, self.were_in, self.wish, self.joining) = (true, true, Wish::Out, None);
    }

    /// Takes an input.
    pub fn on(&mut self, input: &Input, outbox: &mut Outbox, now: Uptime) {
        match self.attached.answer(input) {
            Some(Event::GroupDescribed(facts)) => {
                let attached = Attached {
                    is_known: true,
                    target_groups: facts.target_groups.iter().cloned().collect(),
                    line: Some(Line::new(facts, now)),
                };
                self.attached.done(attached, now);
            }
            Some(Event::Failed(_, error)) if error.is_transient() => self.attached.retry(error, outbox, now),
            Some(Event::Failed(_, error)) => {
                // It only keeps a target from being registered twice, which does no harm.
                self.attached.done(Attached { is_known: false, target_groups: BTreeSet::new(), line: None }, now);
                self.attached.refuse(error, now);
            }
            _ => {} // no answer to it
        }
        match self.choice.on(input, outbox, now) {
            Ok(left_over) => {
                for target in left_over {
                    if self.find(&target).is_none() {
                        self.registrations.push(Registration::registered(target));
                    }
                }
            }
            Err(error) => self.refused = Some(error),
        }
        let line = self.attached.get().and_then(|attached| attached.line);
        for one in &mut self.registrations {
            one.on(input, line.as_ref(), outbox, now);
        }
    }

    /// Asks Auto Scaling which target groups it attaches by itself, once the group is known.
    pub fn look(&mut self, config: &Config, hook: &Hook, outbox: &mut Outbox, now: Uptime) {
        let has_none = config.target_groups.is_empty() && self.registrations.is_empty();
        if has_none || !self.attached.is_due(now) {
            return;
        }
        match hook.group() {
            Some(group) => self.attached.emit(Job::DescribeGroup(group.to_owned()), outbox, now),
            None if hook.is_over() => {
                self.attached.done(Attached { is_known: true, target_groups: BTreeSet::new(), line: None }, now);
            }
            None => {}
        }
    }

    /// Chooses the host ports that the config leaves open: the ports once they are chosen, none of them if the config leaves none open.
    pub fn choose(
        &mut self,
        config: &Config,
        identity: &Identity,
        image: &PinnedImage,
        outbox: &mut Outbox,
        now: Uptime,
    ) -> Option<HostPorts> {
        if !config.chooses_ports() {
            return Some(HostPorts::new());
        }
        if let (None, Some(attached)) = (self.choice.step().get(), self.attached.get()) {
            let own = |arn: &&String| !attached.target_groups.contains(*arn);
            let arns = config.target_groups.iter().map(|group| &group.arn).filter(own).cloned();
            let groups: Vec<_> = arns.collect::<BTreeSet<_>>().into_iter().collect();
            let spent = self.spent(now);
            let owner = Owner { config, instance_id: &identity.instance_id, release: &image.digest };
            self.choice.advance(&owner, &groups, &spent, outbox, now);
        }
        self.choice.step().get().cloned()
    }

    /// Ports that are registered, or were a short while ago.
    fn spent(&self, now: Uptime) -> BTreeSet<u16> {
        let is_used = |one: &&Registration| match one.left_for(now) {
            Some((ago, delay)) => is_spent(ago, delay),
            None => one.is_registered(),
        };
        self.registrations.iter().filter(is_used).map(|one| one.target().port).collect()
    }

    /// No container of an agent before this one runs on: what was registered on a port that this one does not take again is left.
    pub fn abandon(&mut self, config: &Config, outbox: &mut Outbox, now: Uptime) {
        let fixed: BTreeSet<u16> = config.ports.iter().map(|port| port.host).filter(|port| *port != 0).collect();
        let is_host = config.network.as_deref() == Some("host");
        (self.were_in, self.returns) = (false, false);
        for one in &mut self.registrations {
            if is_host || fixed.contains(&one.target().port) {
                one.doubt(now);
            } else {
                one.leave(outbox, now);
            }
        }
    }

    /// The app is healthy, and is to get traffic. `boot_until` is when the boot has to be over, if it is not: only in a boot is an instance
    /// given up that the load balancer does not call healthy soon.
    pub fn enter(&mut self, config: &Arc<Config>, running: &RunningContainer, boot_until: Option<Uptime>, now: Uptime) {
        let has_none = config.target_groups.is_empty() && self.registrations.is_empty();
        if has_none || !matches!(self.wish, Wish::Out) {
            return;
        }
        let proving = config.target_timeout;
        let (at, go_on) = match boot_until.filter(|_| !self.were_in) {
            Some(until) => (until, None),
            None => (now + LONGEST_DELAY.saturating_add(proving), Some(now + GROUP_PATIENCE)),
        };
        let (config, running, limit) = (config.clone(), Box::new(running.clone()), Limit { at, proving });
        self.wish = Wish::Entering(Entry { config, running, limit, go_on });
    }

    /// The instance is to get no traffic: what is registered is deregistered at once.
    pub fn leave(&mut self, outbox: &mut Outbox, now: Uptime) {
        (self.wish, self.joining) = (Wish::Out, None);
        self.choice.cancel(outbox);
        self.attached.cancel(outbox);
        self.registrations.iter_mut().for_each(|one| one.leave(outbox, now));
        // Before anything else that leaving means.
        self.advance(outbox, now);
    }

    /// Asks from here on whether the load balancer has let go.
    pub fn watch(&mut self, settle: Duration, now: Uptime) {
        self.registrations.iter_mut().for_each(|one| one.watch(settle, now));
    }

    /// Does what is due.
    pub fn advance(&mut self, outbox: &mut Outbox, now: Uptime) {
        if let Wish::Entering(entry) = &self.wish {
            let is_late = entry.go_on.is_some_and(|at| at <= now) && !entry.config.target_groups.is_empty();
            let own = self.attached.get().map(|attached| attached.target_groups.clone());
            if let Some(own) = own.or(is_late.then(BTreeSet::new)) {
                self.enter_groups(&entry.clone(), &own, outbox, now);
            }
        }
        if !self.were_in && self.are_in() {
            (self.were_in, self.changes) = (true, self.changes + 1);
        }
        let line = self.attached.get().and_then(|attached| attached.line);
        self.registrations.iter_mut().for_each(|one| one.advance(line.as_ref(), outbox, now));
        self.forget(|one| !one.is_wanted() && one.left_for(now).is_some_and(|(ago, _)| ago >= LONGEST_DELAY * 2));
    }

    fn forget(&mut self, is_over: impl Fn(&Registration) -> bool) {
        let before = self.registrations.len();
        self.registrations.retain(|one| !is_over(one));
        self.changes += u64::try_from(before - self.registrations.len()).unwrap_or_default();
    }

    fn enter_groups(&mut self, entry: &Entry, attached: &BTreeSet<String>, outbox: &mut Outbox, now: Uptime) {
        let Entry { config, running, limit, .. } = entry;
        let wanted = match wanted(config, running, attached) {
            Ok(wanted) => wanted,
            Err((container, target_group)) => {
                self.wish = Wish::Impossible { container, target_group };
                return;
            }
        };
        let chosen = self.chosen();
        let returns = std::mem::take(&mut self.returns);
        let limit = if returns { &Limit::patient(now) } else { limit };
        // What was registered here, and is the group's now, or may be, is not deregistered.
        let is_group_s = |one: &Registration| attached.contains(&one.target().target_group);
        self.registrations.iter_mut().filter(|one| is_group_s(one)).for_each(|one| one.halt(outbox));
        self.forget(is_group_s);
        let is_known = self.attached.get().is_some_and(|attached| attached.is_known);
        for one in self.registrations.iter_mut().filter(|one| is_known && !wanted.contains(one.target())) {
            one.leave(outbox, now);
        }
        for target in &wanted {
            match self.find(target) {
                Some(one) if returns => one.enter_again(*limit, outbox, now),
                Some(one) => one.enter(*limit, outbox, now),
                None => {
                    let mut one = Registration::new(target.clone(), chosen.contains(&target.port));
                    one.enter(*limit, outbox, now);
                    self.registrations.push(one);
                }
            }
        }
        self.wish = Wish::In(wanted);
    }

    /// The host ports that were chosen last.
    fn chosen(&self) -> BTreeSet<u16> {
        self.choice.step().get().into_iter().flat_map(|ports| ports.values()).copied().collect()
    }

    fn find(&mut self, target: &Target) -> Option<&mut Registration> {
        self.registrations.iter_mut().find(|one| one.target() == target)
    }

    /// Whether the load balancer calls each target healthy that is to be.
    pub fn are_in(&self) -> bool {
        match &self.wish {
            Wish::In(wanted) => {
                let is_in =
                    |target: &Target| self.registrations.iter().any(|one| one.target() == target && one.is_in());
                wanted.iter().all(is_in)
            }
            Wish::Out | Wish::Entering(_) | Wish::Impossible { .. } => false,
        }
    }

    /// Whether a target is on its way out, and no failed call is the reason that it still is not: a stop would cut requests.
    pub fn are_leaving(&self) -> bool {
        self.registrations.iter().any(Registration::is_leaving)
    }

    /// When all nodes of the load balancers have learnt of the deregistrations, if a drain waits for that.
    pub fn settled_at(&self) -> Option<Uptime> {
        self.registrations.iter().filter_map(Registration::settled_at).max()
    }

    /// Whether the load balancer says that it uses none of the targets any more, of some that there were.
    pub fn are_unused(&self) -> bool {
        let has_own = self.attached.get().is_some_and(|attached| !attached.target_groups.is_empty());
        let were_left = self.registrations.iter().any(|one| one.health().is_some());
        !has_own && were_left && self.registrations.iter().all(Registration::is_unused)
    }

    /// When it wants to be woken. A wait that is over already is one for somebody else: `advanced` is when all was ordered last.
    pub fn wake(&self) -> Option<Uptime> {
        let steps = [self.attached.wake(), self.choice.step().wake()];
        let entering = match &self.wish {
            Wish::Entering(entry) if !entry.config.target_groups.is_empty() => {
                Some(entry.go_on.unwrap_or(entry.limit.at))
            }
            Wish::Out | Wish::Entering(_) | Wish::In(_) | Wish::Impossible { .. } => None,
        };
        let own = self.registrations.iter().filter_map(Registration::wake);
        steps.into_iter().chain([entering]).flatten().chain(own).min()
    }
}

/// The targets of a container, but for those of target groups that the group attaches; else the port in the container that is not published,
/// and the target group that needs it.
fn wanted(
    config: &Config,
    running: &RunningContainer,
    attached: &BTreeSet<String>,
) -> Result<Vec<Target>, (u16, String)> {
    let mut wanted = Vec::new();
    for group in config.target_groups.iter().filter(|group| !attached.contains(&group.arn)) {
        let container = config.target_port(group).unwrap_or_default();
        let host = match config.network.as_deref() {
            Some("host") => Some(container),
            _ => running.host_port(container),
        };
        let port = host.ok_or_else(|| (container, group.name().to_owned()))?;
        wanted.push(Target { target_group: group.arn.clone(), port });
    }
    Ok(wanted)
}
