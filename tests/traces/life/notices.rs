//! Invariant 7: a notice reaches drain in one event; a second changes nothing but an earlier deadline; and nothing else leads there.

use berth_core::message::event::Event;
use berth_core::message::identity::TargetState;
use berth_core::view::PhaseName;

use super::agent::{Former, is_notice};
use super::world::World;

impl World {
    /// After every event.
    pub(crate) fn look_at_notices(&mut self, former: &Former, after: PhaseName, event: &Event) {
        if !is_notice(event) {
            return;
        }
        let (before, knows_policies) = (former.phase, self.agent.as_ref().is_some_and(|one| one.knows_policies));
        let news = match event {
            Event::Signalled(_) => Some("signal"),
            Event::DrainRequested(_) => Some("asked"),
            Event::MetadataSeen(snapshot) => match &snapshot.target_state {
                Some(TargetState::Terminated | TargetState::WarmedTerminated) => Some("terminated"),
                // The one of the first look may be what this boot comes out of: the group is asked.
                Some(state @ TargetState::RootVolume(_)) if self.seen.first_target.as_ref() != Some(state) => {
                    Some("replaced")
                }
                _ if snapshot.spot.is_some() && !self.plan.says("spot=ignore") => Some("spot"),
                _ if snapshot.rebalance && self.plan.says("rebalance=drain") => Some("rebalance"),
                _ if snapshot.maintenance.is_some() && self.plan.says("maintenance=drain") => Some("maintenance"),
                _ => None,
            },
            _ => None,
        };
        let living = [PhaseName::Boot, PhaseName::Serve, PhaseName::Hold, PhaseName::Warm].contains(&before);
        let back = match event {
            Event::MetadataSeen(snapshot) => snapshot.target_state.as_ref().is_some_and(TargetState::is_in_pool),
            _ => false,
        };
        let asked = matches!(event, Event::MetadataSeen(snapshot)
            if matches!(snapshot.target_state, Some(TargetState::RootVolume(_))));
        let leaves = living && after == PhaseName::Drain;
        // The policy for a notice is not known before the config.
        if leaves && news.is_none() && !back && !asked && knows_policies {
            self.breaks(7, format!("{} ends for no reason", before.word()));
        }
        if let Some(news) = news
            && self.seen.sights.insert(news)
        {
            let policy = matches!(news, "spot" | "rebalance" | "maintenance");
            // The first word of a group makes a refusal of before a failed boot at once.
            let fails = after == PhaseName::Failing && self.seen.hook_refused;
            if living && !leaves && !fails && (knows_policies || !policy) {
                self.breaks(7, format!("{news} leads from {} to {}", before.word(), after.word()));
            }
        }
        let deadlines = self.agent.as_ref().filter(|_| !former.deadlines.is_empty()).map(|one| one.machine.deadlines());
        for deadline in deadlines.filter(|_| after == PhaseName::Drain).unwrap_or_default() {
            let earlier = former.deadlines.iter().find(|one| one.name == deadline.name);
            if deadline.name != berth_core::view::DeadlineName::TerminationHook
                && earlier.is_some_and(|one| one.at_seconds + 0.001 < deadline.at_seconds)
            {
                self.breaks(7, format!("a second notice put {} off", deadline.name.label()));
            }
        }
    }
}
