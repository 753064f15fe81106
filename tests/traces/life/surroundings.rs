//! What happens around the agent: the plan's twists, the group's wishes, the machine's power, and what the metadata shows of it.

use std::sync::Arc;

use berth_core::message::event::{Event, Signal};
use berth_core::message::identity::TargetState;
use berth_core::message::snapshot::{Interruption, Snapshot};

use super::balancer::PORT;
use super::group;
use super::systemd::State;
use super::twist::{Odd, Twist};
use super::world::World;
use crate::sim::{config, secs};

impl World {
    pub(crate) fn twist(&mut self, twist: &Twist, begins: bool) {
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
                self.deliver(Event::DrainRequested(None).into());
                None
            }
            Twist::Handover(_) => {
                self.deliver(Event::HandoverRequested.into());
                None
            }
            Twist::Terminate(_) => {
                self.group.terminate(self.now);
                None
            }
            Twist::Replace { known, .. } => {
                self.group.replace(if *known { "ReplacingRootVolume" } else { "RootVolumeReplaced" }, self.now);
                None
            }
            Twist::Return(_) => {
                self.group.take_back(self.now);
                None
            }
            Twist::Changed(_) => {
                self.config = Arc::new(config(&format!("{} env.CHANGED=1", self.plan.words.join(" "))));
                self.fingerprint = self.config.fingerprint();
                None
            }
            Twist::Publish { what, .. } => {
                if let Some(documents) = &mut self.documents {
                    documents.publish(*what, &self.plan, self.now);
                }
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

    pub(crate) fn hear(&mut self, news: group::News) {
        if news != group::News::Deregister {
            self.note("group", || format!("{news:?}"));
        }
        match news {
            group::News::Register if self.plan.shape.attached => {
                self.balancer.register(PORT, self.now);
            }
            group::News::Deregister if self.plan.shape.attached => self.balancer.deregister(PORT, self.now),
            group::News::Register | group::News::Deregister => {}
            group::News::ShutDown => drop(self.stop()),
            group::News::PowerOff => {
                self.seen.powered_off |= self.agent.is_some();
                self.end_agent();
                // The notes and what was kept of the documents are on a tmpfs.
                (self.left, self.noted, self.noted_releases) = (None, None, None);
                if let Some(documents) = &mut self.documents {
                    documents.lose_kept();
                }
                self.seen.drain_is_over();
                self.engine.power_off();
                self.balancer.all_ended(self.now);
                self.systemd.power_off();
            }
            group::News::NewDisk => {
                self.engine.forget_all();
                self.noted_releases = None;
            }
            group::News::PowerOn => self.systemd.power_on(self.now + self.plan.shape.os_boots_in),
        }
    }

    /// Stops the service, as `systemctl stop` and a shutdown do; whether the agent got the signal by that.
    pub(crate) fn stop(&mut self) -> bool {
        let signals = self.systemd.stop(self.now);
        if signals {
            self.signal();
        }
        signals
    }

    pub(crate) fn signal(&mut self) {
        if let Some(agent) = &mut self.agent {
            agent.signals += 1;
        }
        self.deliver(Event::Signalled(Signal::Term).into());
    }

    /// What the metadata says at this moment.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot { target_state: self.group.target(), ..Snapshot::default() };
        for twist in &self.plan.twists {
            match twist {
                Twist::StateOdd { at, lasts, how } if (*at..*at + *lasts).contains(&self.now) => match how {
                    Odd::Flapping if self.now.as_secs().is_multiple_of(2) => {}
                    Odd::Absent | Odd::Flapping => snapshot.target_state = None,
                    Odd::Empty => snapshot.target_state = Some(TargetState::Other(String::new())),
                    Odd::Strange => snapshot.target_state = Some(TargetState::Other("Rebooting".to_owned())),
                },
                Twist::Spot(at) if *at <= self.now => {
                    let ends_in = (*at + secs(120)).saturating_sub(self.now);
                    // The metadata never take back a notice: the instance goes at the earliest.
                    if snapshot.spot.as_ref().is_none_or(|spot| ends_in < spot.ends_in) {
                        snapshot.spot = Some(Interruption { action: "terminate".to_owned(), ends_in });
                    }
                }
                Twist::Rebalance(at) => snapshot.rebalance |= *at <= self.now,
                Twist::Maintenance(at) if *at <= self.now => {
                    snapshot.maintenance = Some("system-reboot on a day".to_owned());
                }
                _ => {}
            }
        }
        snapshot
    }
}
