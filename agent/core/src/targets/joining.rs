//! Two containers of a release, each with its own ports: the other one's targets join those that are in, then one of the two leaves.

use std::collections::BTreeSet;
use std::time::Duration;

use berth_config::Config;

use super::registration::{Limit, Reason, Registration};
use super::{PortChoice, Targets, Wish, show, wanted};
use crate::clock::Uptime;
use crate::message::container::RunningContainer;
use crate::message::failure_reason::FailureReason;
use crate::outbox::Outbox;

/// For the registrations, beyond `target.timeout`: an account has few at once for all of its instances.
const REGISTRATION: Duration = Duration::from_secs(600);

/// The targets on some ports of the host: those of one container.
#[derive(Clone, Debug)]
pub struct Ports(BTreeSet<u16>);

impl Ports {
    /// Those of this container.
    pub fn of(running: &RunningContainer) -> Self {
        Self(running.published.iter().map(|(_, host)| host.port()).collect())
    }
}

impl Targets {
    /// The ports of another container are to be chosen.
    pub fn choose_again(&mut self) {
        self.choice = PortChoice::new();
    }

    /// Why no ports can be chosen, if no further attempt changes that.
    pub fn choice_failure(&mut self) -> Option<String> {
        self.refused.take().map(|error| error.to_string())
    }

    /// Registers the other container as well. `was_in` says that it is the one that was in before.
    pub fn join(
        &mut self,
        config: &Config,
        running: &RunningContainer,
        was_in: bool,
        outbox: &mut Outbox,
        now: Uptime,
    ) -> Result<(), String> {
        let attached = self.attached.get().map(|attached| attached.target_groups.clone()).unwrap_or_default();
        let joining = wanted(config, running, &attached)
            .map_err(|(port, target_group)| FailureReason::NotPublished { port, target_group }.to_string())?;
        let proving = config.target_timeout;
        // What was in before is given up for nothing that a load balancer does.
        let limit = match was_in {
            true => Limit::patient(now),
            false => Limit { at: now + REGISTRATION.saturating_add(proving), proving },
        };
        let chosen = self.chosen();
        for target in &joining {
            match self.find(target) {
                Some(one) if was_in => one.enter_again(limit, outbox, now),
                Some(one) => one.enter(limit, outbox, now),
                None => {
                    let mut one = Registration::new(target.clone(), chosen.contains(&target.port));
                    one.enter(limit, outbox, now);
                    self.registrations.push(one);
                }
            }
        }
        self.joining = Some(joining);
        self.advance(outbox, now);
        Ok(())
    }

    /// Whether the load balancer calls each target of the other container healthy.
    pub fn have_joined(&self) -> bool {
        let is_in = |target| self.registrations.iter().any(|one| one.target() == target && one.is_in());
        self.joining.as_ref().is_some_and(|joining| joining.iter().all(is_in))
    }

    /// Why the other container cannot join, if that is so.
    pub fn joining_failure(&self, config: &Config, now: Uptime) -> Option<String> {
        let joining = self.joining.as_ref()?;
        let mut joining = self.registrations.iter().filter(|one| joining.contains(one.target()));
        joining.find_map(|one| {
            let target = one.target().clone();
            Some(match one.failure(now)? {
                Reason::Refused(error) => {
                    FailureReason::TargetRefused { target, answer: error.to_string() }.to_string()
                }
                Reason::Late => {
                    let (proving, boot) = (config.target_timeout, config.target_timeout);
                    FailureReason::TargetNotHealthy { target, proving, boot, last: show::last_word(one) }.to_string()
                }
            })
        })
    }

    /// The other container takes the traffic alone: everything else leaves. Whether there was another.
    pub fn keep_joined(&mut self, outbox: &mut Outbox, now: Uptime) -> bool {
        let Some(joining) = self.joining.take() else { return false };
        for one in self.registrations.iter_mut().filter(|one| !joining.contains(one.target())) {
            one.leave(outbox, now);
        }
        self.wish = Wish::In(joining);
        self.changes += 1;
        self.advance(outbox, now);
        true
    }

    /// The other container is not to join after all.
    pub fn drop_joined(&mut self, outbox: &mut Outbox, now: Uptime) {
        let Some(joining) = self.joining.take() else { return };
        let kept = match &self.wish {
            Wish::In(kept) => kept.clone(),
            Wish::Out | Wish::Entering(_) | Wish::Impossible { .. } => Vec::new(),
        };
        let leaves = |one: &&mut Registration| joining.contains(one.target()) && !kept.contains(one.target());
        self.registrations.iter_mut().filter(leaves).for_each(|one| one.leave(outbox, now));
        self.advance(outbox, now);
    }

    /// Whether one of these is registered, or may be.
    pub fn are_registered(&self, ports: &Ports) -> bool {
        self.registrations.iter().any(|one| ports.has(one) && one.is_in())
    }

    /// Asks from here on whether the load balancer has let go of these.
    pub fn watch_ports(&mut self, ports: &Ports, settle: Duration, now: Uptime) {
        self.registrations.iter_mut().filter(|one| ports.has(one)).for_each(|one| one.watch(settle, now));
    }

    /// Their container is gone.
    pub fn stop_watching(&mut self, ports: &Ports, outbox: &mut Outbox) {
        self.registrations.iter_mut().filter(|one| ports.has(one)).for_each(|one| one.stop_watching(outbox));
    }

    /// Whether a load balancer may still send there: one of these is on its way out, or not all nodes have learnt that it left.
    pub fn hold_ports(&self, ports: &Ports, now: Uptime) -> bool {
        let mut own = self.registrations.iter().filter(|one| ports.has(one));
        own.any(|one| one.is_leaving() || one.settled_at().is_some_and(|at| now < at))
    }

    /// Whether the load balancer says that it uses none of these any more, of some that there were.
    pub fn are_ports_unused(&self, ports: &Ports) -> bool {
        let has_own = self.attached.get().is_some_and(|attached| !attached.target_groups.is_empty());
        let mut own = self.registrations.iter().filter(|one| ports.has(one)).peekable();
        !has_own && own.peek().is_some() && own.all(Registration::is_unused)
    }
}

impl Ports {
    fn has(&self, one: &Registration) -> bool {
        self.0.contains(&one.target().port)
    }
}
