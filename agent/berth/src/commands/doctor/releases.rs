//! The board of releases in place, and the group that must not take an instance out of service for a release. Nothing is written.

use berth_config::{Board, Config, TrafficMove};
use berth_core::message::error::JobError;
use berth_core::message::release::ReleaseId;

use super::report::{Finding, Verdict};
use super::within;
use crate::commands::policy::Policy;
use crate::io::aws::{Aws, autoscaling, board, publisher};

const NAME: &str = "board";

/// What is written to the board, by the statement that allows it.
const WRITES: [(&str, &str); 3] = [
    ("BerthBoardLocks", "taking a lock and giving it back"),
    ("BerthBoardOwn", "writing a mark and a verdict"),
    ("BerthBoardMark", "taking a mark back"),
];

/// What each question needs, and what its answer is compared with.
pub struct ReleaseQuestion<'a> {
    /// Asks.
    pub aws: &'a Aws,
    /// This instance.
    pub instance_id: &'a str,
    /// Its Auto Scaling group, if it has one.
    pub group: Option<&'a str>,
    /// The release that the document is.
    pub release: Option<&'a ReleaseId>,
    /// Its policy.
    pub policy: &'a Policy,
}

impl ReleaseQuestion<'_> {
    /// What a config with `follow` needs beside its document.
    pub async fn examine(&self, config: &Config) -> Vec<Finding> {
        if config.follow.is_none() {
            return Vec::new();
        }
        let mut checks = match (&config.release.board, self.release) {
            (Some(board), Some(release)) => self.board(board, release).await,
            _ => Vec::new(),
        };
        if config.traffic_move() == TrafficMove::Readiness {
            checks.extend(self.health_checks().await);
        }
        checks
    }

    /// The lists and the objects that an instance reads; what it writes is not tried.
    pub async fn board(&self, board: &Board, release: &ReleaseId) -> Vec<Finding> {
        let at = format!("s3://{}/{}", board.bucket, board.prefix);
        let no_answer = || super::no_answer(NAME, "s3");
        let state = match within(board::read(self.aws, board, release, self.instance_id)).await {
            None => return vec![no_answer()],
            // A boot reads it to choose a release.
            Some(Err(error)) => return vec![self.refused(&at, error.into())],
            Some(Ok(state)) => state,
        };
        let mut checks = vec![Finding::ok(NAME, format!("{at}: release {release}, {state}"))];
        let copy = async {
            // It is there if `berth release publish` wrote the document; without it nothing is missing that a boot needs.
            board::document(self.aws, board, release).await.map(drop).map_err(JobError::from)
        };
        let locks = async { publisher::locks(self.aws, board).await.map(drop).map_err(JobError::from) };
        let (copy, locks) = tokio::join!(within(copy), within(locks));
        for (what, read) in [("the copy of the document", copy), ("the locks", locks)] {
            match read {
                None => checks.push(no_answer()),
                // A boot goes on without; a release waits until it is allowed.
                Some(Err(error)) => {
                    checks.push(Finding { verdict: Verdict::Warn, ..self.refused(&format!("{at}, {what}"), error) });
                }
                Some(Ok(())) => {}
            }
        }
        checks.extend(WRITES.into_iter().map(|(sid, what)| {
            let found = format!("{what} is not tried: that would do it");
            let untried = Finding { verdict: Verdict::Untried, ..Finding::ok(NAME, found) };
            let advice = Some("see that the role's policy allows it:".to_owned());
            Finding { advice, ..untried }.allowing(self.policy.named(sid))
        }));
        checks
    }

    fn refused(&self, what: &str, error: JobError) -> Finding {
        let sid = match error.denied_action.as_deref() {
            Some("s3:ListBucket") => "BerthBoardList",
            _ => "BerthBoardRead",
        };
        Finding::refused(NAME, what, &error, self.policy.named(sid))
    }

    /// By `readiness` an instance answers 503 while it releases: to a group that goes by the load balancer it is unhealthy.
    async fn health_checks(&self) -> Option<Finding> {
        const NAME: &str = "health check";
        let group = self.group?;
        let danger =
            "answers 503 while it releases by `readiness`, and Auto Scaling replaces it if its HealthCheckType has ELB";
        let advice = "give the group the HealthCheckType EC2, or move traffic by `targets`";
        match within(autoscaling::health_check_type(self.aws, group)).await {
            Some(Ok(Some(kind))) if kind.split(',').any(|one| one.trim() == "ELB") => {
                Some(Finding::warn(NAME, format!("{group}: {kind}; an instance {danger}"), advice))
            }
            Some(Ok(Some(kind))) => Some(Finding::ok(NAME, format!("{group}: {kind}"))),
            // The agent does not need it, so its policy may not allow it.
            _ => Some(Finding {
                verdict: Verdict::Untried,
                advice: Some(advice.to_owned()),
                ..Finding::ok(NAME, format!("of {group} is not known: an instance {danger}"))
            }),
        }
    }
}
