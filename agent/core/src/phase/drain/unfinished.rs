//! A drain whose agent was killed in it: what the next agent needs to know to go on with the time that is left.
//!
//! The deadlines follow from the moment that the drain began and from the config, so the moments are kept and no deadline is.
//! Spans of time are handed over, counted back from the moment of writing: each agent has a clock of its own.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Cause, Drain};
use crate::clock::{Moment, Uptime};
use crate::message::identity::TargetState;

/// What is left behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfinished {
    /// Whose drain it is: another instance's is none.
    pub instance_id: String,
    /// Why it began.
    pub cause: Cause,
    /// Signals of the process so far.
    pub signals: u32,
    /// Since it began.
    pub age: Duration,
    /// Since the first stop signal to the app, if there was one.
    pub stopping: Option<Duration>,
    /// Since the hook was first to be completed, if it was.
    pub completing: Option<Duration>,
    /// Until the app must have stopped, if spot ends the instance.
    pub cut_in: Option<Duration>,
    /// Whether nothing was cut short.
    pub clean: bool,
}

impl Unfinished {
    /// The same, so much later.
    pub fn after(self, passed: Duration) -> Self {
        let later = |span: Duration| span.saturating_add(passed);
        Self {
            age: later(self.age),
            stopping: self.stopping.map(later),
            completing: self.completing.map(later),
            cut_in: self.cut_in.map(|left| left.saturating_sub(passed)),
            ..self
        }
    }

    /// Whether the next agent drains because of it, given what the metadata say at its start.
    ///
    /// After a signal it does not: systemd starts nothing that it stops, so somebody started the agent again and wants it to
    /// serve. A return to the pool is over when the group wants the instance in service.
    pub fn goes_on(&self, target: Option<&TargetState>) -> bool {
        match &self.cause {
            _ if self.signals > 0 => false,
            Cause::Signal => false,
            Cause::BackToPool(_) => target != Some(&TargetState::InService),
            Cause::Asked(_)
            | Cause::Terminated
            | Cause::RootVolume(_)
            | Cause::Spot(_)
            | Cause::Rebalance(_)
            | Cause::Maintenance(_) => true,
        }
    }
}

impl Drain {
    /// What the next agent needs to know if this one is killed here; none if it does not know itself.
    pub fn unfinished(&self, now: Uptime) -> Option<Unfinished> {
        let span = |moment: Option<Moment>| moment.map(|moment| moment.age(now));
        Some(Unfinished {
            instance_id: self.past.identity.as_ref()?.instance_id.clone(),
            cause: self.cause.clone(),
            signals: self.signals,
            age: self.began.age(now),
            stopping: span(self.stopping),
            completing: span(self.completing),
            cut_in: self.cut.map(|cut| cut.since(now)),
            clean: self.clean,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(cause: Cause, signals: u32) -> Unfinished {
        Unfinished {
            instance_id: "i-1".into(),
            cause,
            signals,
            age: Duration::from_secs(5),
            stopping: None,
            completing: None,
            cut_in: Some(Duration::from_secs(3)),
            clean: true,
        }
    }

    #[test]
    fn time_passes_between_two_agents() {
        let later = of(Cause::Terminated, 0).after(Duration::from_secs(4));
        assert_eq!((later.age, later.cut_in, later.stopping), (Duration::from_secs(9), Some(Duration::ZERO), None));
        let tried = Unfinished {
            stopping: Some(Duration::from_secs(2)),
            completing: Some(Duration::from_secs(1)),
            ..of(Cause::Terminated, 0)
        };
        let later = tried.after(Duration::from_secs(4));
        assert_eq!((later.stopping, later.completing), (Some(Duration::from_secs(6)), Some(Duration::from_secs(5))));
        assert_eq!(later.after(Duration::MAX).age, Duration::MAX);
    }

    #[test]
    fn a_drain_goes_on_unless_somebody_started_the_agent_again_or_the_group_changed_its_mind() {
        let service = Some(&TargetState::InService);
        for cause in [
            Cause::Asked("the disk".into()),
            Cause::Terminated,
            Cause::Spot(Duration::from_secs(120)),
            Cause::Rebalance("rebalance recommendation".into()),
        ] {
            assert!(of(cause.clone(), 0).goes_on(service) && of(cause.clone(), 0).goes_on(None), "{cause}");
            assert!(!of(cause.clone(), 1).goes_on(service), "{cause}, then systemctl stop and systemctl start");
        }
        assert!(!of(Cause::Signal, 1).goes_on(service));
        let pool = || of(Cause::BackToPool(TargetState::WarmedStopped), 0);
        assert!(pool().goes_on(Some(&TargetState::WarmedStopped)) && pool().goes_on(None) && !pool().goes_on(service));
    }
}
