//! Why a request failed: what was done to the instance that it was sent to, while it was on its way.
//!
//! A crash of the app takes the requests with it that are there, and those that are sent there before the balancer knows.
//! Nothing else excuses a failure: neither an instance that leaves, nor an agent that is replaced, nor an agent or an engine that is away.
//!
//! HAProxy logs nothing of one kind of failure: a request that is not the first of its client, sent over a connection that the
//! app had closed; it closes the client's too, which must try again by itself. Such a request is blamed on the crash that went on at that
//! time, wherever; without one it is not explained.

use std::collections::BTreeMap;
use std::fmt;

use crate::group::How;
use crate::load::{self, Failure, Moment, Tally};
use crate::load_balancer::LogLine;

/// Between the moments at which client and balancer see the same end, in milliseconds, on a machine that is busy.
const NEAR: Moment = 2_000;

/// What may happen to an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// It leaves, and another one has taken its place before.
    Replaced(How),
    /// `kill -9` of the agent, which systemd starts again.
    AgentKilled,
    /// `berth handover`, as an upgrade has it.
    HandedOver,
    /// SIGTERM ends the engine, which is started again.
    EngineStopped,
    /// `kill -9` of the engine, which is started again.
    EngineKilled,
    /// `docker kill` of the app.
    AppKilled,
    /// The app exits.
    AppExited,
}

/// Something was done to an instance.
#[derive(Clone, Debug)]
pub(crate) struct Disturbance {
    /// What.
    pub(crate) kind: Kind,
    /// The instance's place at the balancer.
    pub(crate) target: String,
    /// When it began.
    pub(crate) from: Moment,
    /// When it was over. A crash is over when the balancer knows of it, or when the app answers again.
    pub(crate) to: Moment,
}

impl Kind {
    /// Whether the app is gone: nothing else explains a failure.
    pub(crate) fn is_crash(self) -> bool {
        matches!(self, Self::AppKilled | Self::AppExited)
    }
}

impl Disturbance {
    /// Whether it was going on while the request was.
    fn meets(&self, failure: &Failure, logged: Option<&LogLine>) -> bool {
        let there = logged.is_none_or(|logged| logged.target == self.target);
        there && failure.begun <= self.to && self.from <= failure.failed
    }
}

/// A failure, and what came of the search for its cause.
#[derive(Clone, Debug)]
pub(crate) struct Blamed {
    failure: Failure,
    logged: Option<LogLine>,
    /// The crash that excuses it.
    pub(crate) crash: Option<Kind>,
    /// Whatever else went on at the instance.
    beside: Vec<Kind>,
}

/// Looks for the cause of each failure.
pub(crate) fn blame(tally: &Tally, logged: &[LogLine], journal: &[Disturbance]) -> Vec<Blamed> {
    let mut by_client: BTreeMap<u16, Vec<&LogLine>> = BTreeMap::new();
    for one in logged {
        by_client.entry(one.client).or_default().push(one);
    }
    let of = |failure: &Failure| {
        // A port is used again, and a client's last request may have ended just now, and well.
        let is_it = |logged: &&&LogLine| {
            let near = logged.at.abs_diff(failure.failed) < NEAR && logged.at + 1 >= failure.begun;
            near && (failure.kind == load::Kind::WebSocket || !logged.end.ends_with("--"))
        };
        let ended = by_client.get(&failure.port)?.iter().filter(is_it);
        ended.min_by_key(|logged| logged.at.abs_diff(failure.failed)).map(|logged| (*logged).clone())
    };
    let one = |failure: &Failure| {
        let logged = of(failure);
        let met: Vec<_> = journal.iter().filter(|one| one.meets(failure, logged.as_ref())).collect();
        Blamed {
            failure: failure.clone(),
            crash: met.iter().find(|one| one.kind.is_crash()).map(|one| one.kind),
            beside: met.iter().filter(|one| !one.kind.is_crash()).map(|one| one.kind).collect(),
            logged,
        }
    };
    tally.failures.iter().map(one).collect()
}

impl fmt::Display for Blamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { kind, reason, begun, failed, .. } = &self.failure;
        let reason = reason.lines().next().unwrap_or_default();
        write!(f, "{begun} + {} ms, {kind:?}: {reason}; ", failed.saturating_sub(*begun))?;
        match &self.logged {
            Some(logged) => write!(f, "sent to {}, {}", logged.target, logged.end)?,
            None => write!(f, "the balancer logged nothing of it")?,
        }
        match self.crash {
            Some(kind) => write!(f, "; {kind:?}"),
            None => write!(f, "; NOT EXPLAINED, beside it: {:?}", self.beside),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Of one failed request from 1,000 to 1,500, which the balancer sent to t1.
    fn crash_of(journal: &[Disturbance]) -> Option<Kind> {
        let logged = LogLine { at: 1_499, client: 40_000, target: "t1".to_owned(), end: "503 sC".to_owned() };
        crash_logged(&[logged], journal)
    }

    fn crash_logged(logged: &[LogLine], journal: &[Disturbance]) -> Option<Kind> {
        let failure = Failure {
            at: Duration::ZERO,
            kind: load::Kind::Kept,
            reason: "HTTP/1.1 503 Service Unavailable".to_owned(),
            port: 40_000,
            begun: 1_000,
            failed: 1_500,
        };
        let tally = Tally { failures: vec![failure], ..Tally::default() };
        let earlier = LogLine { at: 1_000, client: 40_000, target: "t2".to_owned(), end: "200 --".to_owned() };
        blame(&tally, &[&[earlier], logged].concat(), journal).remove(0).crash
    }

    fn done(kind: Kind, target: &str, from: Moment, to: Moment) -> Disturbance {
        Disturbance { kind, target: target.to_owned(), from, to }
    }

    #[test]
    fn a_crash_explains_what_was_there_and_what_was_sent_there_before_the_balancer_knew() {
        assert_eq!(crash_of(&[done(Kind::AppKilled, "t1", 1_200, 1_800)]), Some(Kind::AppKilled));
        assert_eq!(crash_of(&[done(Kind::AppExited, "t1", 500, 1_100)]), Some(Kind::AppExited));
    }

    #[test]
    fn a_crash_of_another_instance_or_at_another_time_explains_nothing() {
        assert_eq!(crash_of(&[done(Kind::AppKilled, "t2", 900, 1_600)]), None, "another instance");
        assert_eq!(crash_of(&[done(Kind::AppKilled, "t1", 100, 999)]), None, "it was over");
        assert_eq!(crash_of(&[done(Kind::AppKilled, "t1", 1_501, 1_800)]), None, "it came later");
    }

    #[test]
    fn what_the_balancer_is_silent_about_needs_a_crash_at_the_same_time() {
        assert_eq!(crash_logged(&[], &[done(Kind::AppKilled, "t3", 1_200, 1_800)]), Some(Kind::AppKilled));
        assert_eq!(crash_logged(&[], &[done(Kind::AppKilled, "t3", 100, 999)]), None);
        assert_eq!(crash_logged(&[], &[done(Kind::AgentKilled, "t3", 900, 1_600)]), None);
    }

    #[test]
    fn nothing_but_a_crash_of_the_app_explains_a_failure() {
        let innocent = [Kind::AgentKilled, Kind::HandedOver, Kind::EngineStopped, Kind::EngineKilled];
        for kind in [Kind::Replaced(How::Hook)].into_iter().chain(innocent) {
            assert_eq!(crash_of(&[done(kind, "t1", 900, 1_600)]), None, "{kind:?}");
        }
    }
}
