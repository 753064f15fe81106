//! The host ports that berth chooses (`port=0:8080` with `target_groups`).
//!
//! A load balancer may send to a port until the deregistration delay is over. Another app that the engine gives this port meanwhile gets
//! requests that were never meant for it (amazon-ecs-agent#500, aws containers-roadmap#347). So a port is chosen that no other container
//! has, and that was not registered a short while ago.
//!
//! Each instance has a small set of ports of its own, so that one question finds what is registered of them; the release decides with
//! which of them the search begins.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use berth_config::{Config, Port};
use sha2::{Digest, Sha256};

use crate::clock::Uptime;
use crate::message::container::RunningContainer;
use crate::message::error::{ErrorClass, JobError};
use crate::message::event::Event;
use crate::message::input::Input;
use crate::message::job::Job;
use crate::message::target::{Target, TargetHealth};
use crate::outbox::Outbox;
use crate::retry::NEAR;
use crate::step::Step;
use crate::view::StepName;

/// The first port that berth chooses. The ports from 20000 on are below the kernel's own (`ip_local_port_range`, from 32768).
const FIRST: u16 = 20_000;
/// How many there are.
const COUNT: u16 = 10_000;
/// How many of them one instance uses. `DescribeTargetHealth` takes them all at once.
const OWN: usize = 32;
/// A port stays unused for so long beyond the deregistration delay: a load balancer's nodes learn of its end one after the other.
const MARGIN: Duration = Duration::from_secs(60);
/// The longest deregistration delay (API reference, ModifyTargetGroupAttributes), for one that is not known.
pub(super) const LONGEST_DELAY: Duration = Duration::from_secs(3_600);

/// The host port of each port in the container that berth chose.
pub type HostPorts = BTreeMap<u16, u16>;

/// The host ports of a container that runs, of those that the config leaves open.
pub fn ports_of(config: &Config, running: &RunningContainer) -> HostPorts {
    let open = config.ports.iter().filter(|port| config.chooses_ports() && port.is_open());
    open.filter_map(|port| Some((port.container, running.host_port(port.container)?))).collect()
}

/// The search for ports.
#[derive(Clone, Debug)]
pub(super) struct PortChoice {
    step: Step<HostPorts>,
    /// Host ports that something on the host uses.
    taken: Option<BTreeSet<u16>>,
    /// Target groups that are still to be asked; the first of them is being asked.
    to_ask: Vec<String>,
    /// Ports that some target group still knows.
    known: BTreeSet<u16>,
}

impl PortChoice {
    pub(super) fn new() -> Self {
        Self { step: Step::new(StepName::Ports, NEAR), taken: None, to_ask: Vec::new(), known: BTreeSet::new() }
    }

    pub(super) fn step(&self) -> &Step<HostPorts> {
        &self.step
    }

    pub(super) fn cancel(&mut self, outbox: &mut Outbox) {
        self.step.cancel(outbox);
    }

    /// Takes an answer. What is registered although nothing is known of it is left over from before a reboot.
    pub(super) fn on(&mut self, input: &Input, outbox: &mut Outbox, now: Uptime) -> Result<Vec<Target>, JobError> {
        match self.step.answer(input) {
            Some(Event::PortsFound(taken)) => {
                self.taken = Some(taken.clone());
                self.step.go_on();
            }
            Some(Event::TargetsDescribed(described)) => {
                self.step.go_on();
                let is_free = |health: &TargetHealth| !health.is_registered() && health.is_unused();
                self.known.extend(described.iter().filter(|(_, health)| !is_free(health)).map(|(port, _)| *port));
                let group = if self.to_ask.is_empty() { None } else { Some(self.to_ask.remove(0)) };
                let registered = described.iter().filter(|(_, health)| health.is_registered());
                let left_over = |(port, _): &(u16, _)| Some(Target { target_group: group.clone()?, port: *port });
                return Ok(registered.filter_map(left_over).collect());
            }
            Some(Event::Failed(_, error)) if error.is_transient() => self.step.retry(error, outbox, now),
            Some(Event::Failed(_, error)) => {
                self.step.refuse(error, now);
                return Err(error.clone());
            }
            _ => {} // no answer to it
        }
        Ok(Vec::new())
    }

    /// Orders the next question, or chooses. `spent` are the ports that are not to be used for other reasons.
    pub(super) fn advance(
        &mut self,
        owner: &Owner<'_>,
        groups: &[String],
        spent: &BTreeSet<u16>,
        outbox: &mut Outbox,
        now: Uptime,
    ) {
        if !self.step.is_due(now) {
            return;
        }
        let own = owner.ports();
        let Some(taken) = &self.taken else {
            (self.to_ask, self.known) = (groups.to_vec(), BTreeSet::new());
            return self.step.emit(Job::FindPorts, outbox, now);
        };
        if let Some(target_group) = self.to_ask.first().cloned() {
            return self.step.emit(Job::DescribeTargets { target_group, ports: own }, outbox, now);
        }
        // Those that this config names are not bound yet.
        let named = owner.config.ports.iter().map(|port| port.host).chain([owner.config.listen.port()]);
        let used: BTreeSet<u16> = taken.iter().chain(&self.known).chain(spent).copied().chain(named).collect();
        let mut free = own.into_iter().filter(|port| !used.contains(port));
        let open = owner.config.ports.iter().filter(|port| Port::is_open(port));
        let chosen: Option<HostPorts> = open.map(|port| Some((port.container, free.next()?))).collect();
        match chosen {
            Some(ports) => self.step.done(ports, now),
            None => {
                let why =
                    format!("each of the {OWN} host ports that this instance may choose is in use, or still draining");
                self.taken = None;
                self.step.retry(&JobError::new(ErrorClass::Transient, why), outbox, now);
            }
        }
    }
}

/// Whose ports they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner<'a> {
    /// The config: which ports are open.
    pub(super) config: &'a Config,
    /// This instance.
    pub(super) instance_id: &'a str,
    /// The digest of the image.
    pub(super) release: &'a str,
}

impl Owner<'_> {
    /// The ports of this instance, in the order in which this release tries them.
    fn ports(&self) -> Vec<u16> {
        let mut own = Vec::with_capacity(OWN);
        let mut round = 0_u64;
        while own.len() < OWN {
            let offset = u16::try_from(hash(self.instance_id, round) % u64::from(COUNT)).unwrap_or_default();
            let port = FIRST + offset;
            if !own.contains(&port) {
                own.push(port);
            }
            round += 1;
        }
        let first = hash(self.release, 0) % u64::try_from(OWN).unwrap_or(1);
        own.rotate_left(usize::try_from(first).unwrap_or_default());
        own
    }
}

/// Whether a port that was deregistered so long ago may be used again.
pub(super) fn is_spent(ago: Duration, delay: Option<Duration>) -> bool {
    ago < delay.unwrap_or(LONGEST_DELAY).saturating_add(MARGIN)
}

/// The same in every version of berth: the next agent finds the ports of this one.
fn hash(text: &str, round: u64) -> u64 {
    let digest = Sha256::new().chain_update(text).chain_update(round.to_le_bytes()).finalize();
    digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(instance_id: &str, release: &str) -> Vec<u16> {
        Owner { config: &Config::defaults(), instance_id, release }.ports()
    }

    #[test]
    fn an_instance_has_ports_of_its_own_and_a_release_its_first() {
        let own = ports("i-0123456789abcdef0", "sha256:1");
        assert_eq!(own.iter().collect::<BTreeSet<_>>().len(), OWN);
        assert!(own.iter().all(|port| (20_000..30_000).contains(port)), "{own:?}");
        assert_eq!(own, ports("i-0123456789abcdef0", "sha256:1"), "the next agent finds them again");
        let other = ports("i-0123456789abcdef0", "sha256:2");
        assert_ne!(own[0], other[0]);
        assert_eq!(own.iter().collect::<BTreeSet<_>>(), other.iter().collect::<BTreeSet<_>>());
        assert_ne!(own.iter().collect::<BTreeSet<_>>(), ports("i-0123456789abcdef1", "sha256:1").iter().collect());
    }

    #[test]
    fn instances_and_releases_are_spread() {
        let firsts: BTreeSet<_> = (0..1_000).map(|n| ports(&format!("i-{n:017x}"), "sha256:1")[0]).collect();
        assert!(firsts.len() > 900, "{}", firsts.len());
        let firsts: BTreeSet<_> = (0..200).map(|n| ports("i-1", &format!("sha256:{n:064x}"))[0]).collect();
        assert!(firsts.len() > OWN * 3 / 4, "{}", firsts.len());
    }

    #[test]
    fn a_port_is_spent_until_a_minute_after_the_deregistration_delay() {
        let secs = Duration::from_secs;
        assert!(is_spent(secs(89), Some(secs(30))) && !is_spent(secs(90), Some(secs(30))));
        assert!(is_spent(secs(3_659), None) && !is_spent(secs(3_660), None));
        assert!(!is_spent(Duration::MAX, Some(Duration::MAX)));
    }
}
