//! `berth wait`: for scripts that continue when the instance is ready, or when the agent has ended (drained.rs).

use std::cell::RefCell;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use berth_core::message::outcome::Outcome;
use berth_core::view::published::StatusReport;
use berth_core::view::{PhaseName, Status};
use tokio::time::{sleep, timeout};

use crate::cli::{Condition, Global, WaitArgs};
use crate::commands::drained;
use crate::io::listen::socket_client::{self, ClientError, Events};

/// Between two attempts to connect to an agent that does not run yet.
const LOOK: Duration = Duration::from_millis(100);
/// The status is requested again after this, even without an event: an event may be sent just before its view is published.
const AGAIN: Duration = Duration::from_secs(1);

/// How the waiting ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitResult {
    /// `/ready` answers 200.
    Ready,
    /// The boot failed; the reason.
    BootFailed(String),
    /// The instance drains; the reason.
    Draining(String),
    /// It timed out; what was seen last.
    TimedOut(String),
}

impl WaitResult {
    /// The exit code: 3 for a failed boot, as the agent's own, and 1 if the condition is not met.
    pub fn code(&self) -> u8 {
        match self {
            Self::Ready => Outcome::Done.code(),
            Self::BootFailed(_) => Outcome::BootFailed.code(),
            Self::Draining(_) | Self::TimedOut(_) => super::NO,
        }
    }

    /// One sentence, for the log of the script.
    pub fn sentence(&self) -> String {
        match self {
            Self::Ready => "ready".into(),
            Self::BootFailed(reason) => format!("the boot failed: {}", super::plain(reason)),
            Self::Draining(reason) => format!("the instance is being drained: {}", super::plain(reason)),
            Self::TimedOut(last) => format!("not ready in time: {}", super::plain(last)),
        }
    }
}

/// The whole command.
pub async fn main(global: &Global, args: &WaitArgs) -> ExitCode {
    let (run_dir, patience) = (global.run_dir(), args.timeout);
    let (code, sentence) = match args.condition {
        Condition::Ready => match ready(&run_dir, patience).await {
            Ok(result) => (result.code(), result.sentence()),
            Err(error) => (super::NO, super::plain(&super::chain(&error))),
        },
        Condition::Drained => match drained::drained(&run_dir, patience).await {
            Ok(ended) => (ended.code(), ended.sentence()),
            Err(error) => (super::NO, super::plain(&super::chain(&error))),
        },
    };
    if code == Outcome::Done.code() { ExitCode::SUCCESS } else { super::failed(code, &sentence) }
}

/// Waits until the instance is ready, cannot become ready, or the timeout. It also waits for an agent that does not run yet.
pub async fn ready(run_dir: &Path, patience: Duration) -> Result<WaitResult, ClientError> {
    let last = RefCell::new("the agent did not answer".to_owned());
    match timeout(patience, watch(run_dir, &last)).await {
        Ok(ended) => ended,
        Err(_) => Ok(WaitResult::TimedOut(last.into_inner())),
    }
}

/// `last` is what was seen last.
async fn watch(run_dir: &Path, last: &RefCell<String>) -> Result<WaitResult, ClientError> {
    loop {
        match follow(run_dir, last).await {
            Ok(result) => return Ok(result),
            // The agent may be starting, or a handover replaces it, or it is stopped or busy for a while.
            Err(error @ (ClientError::NotRunning(_) | ClientError::NoResponse(..) | ClientError::TimedOut(_))) => {
                last.replace(error.to_string());
            }
            Err(error) => return Err(error),
        }
        sleep(LOOK).await;
    }
}

/// Requests the status now and at every event.
async fn follow(run_dir: &Path, last: &RefCell<String>) -> Result<WaitResult, ClientError> {
    let mut events = Events::open(run_dir).await?;
    loop {
        let report = socket_client::status(run_dir).await?;
        if let Some(result) = judge(&report) {
            return Ok(result);
        }
        let view = &report.published.view;
        last.replace(format!("{}, {}", view.phase.word(), view.reason));
        if let Ok(None) = timeout(AGAIN, events.next()).await {
            return Err(ClientError::NotRunning(run_dir.to_owned()));
        }
    }
}

fn judge(report: &StatusReport) -> Option<WaitResult> {
    let view = &report.published.view;
    match (view.status, view.phase) {
        (Status::Ok, _) => Some(WaitResult::Ready),
        (Status::Failed, _) | (_, PhaseName::Failing | PhaseName::Hold) => {
            Some(WaitResult::BootFailed(view.reason.clone()))
        }
        (Status::Draining, _) | (_, PhaseName::Drain | PhaseName::Gone) => {
            Some(WaitResult::Draining(view.reason.clone()))
        }
        (
            Status::Starting | Status::Unhealthy | Status::Standby | Status::Warm,
            PhaseName::Boot | PhaseName::Serve | PhaseName::Release | PhaseName::Warm,
        ) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use berth_core::view::View;
    use berth_core::view::published::Published;

    use super::*;
    use crate::commands::fake::FakeAgent;

    const BOUND: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn an_agent_that_is_not_up_yet_is_waited_for() {
        let run_dir = tempfile::tempdir().unwrap();
        let life = async {
            let agent = FakeAgent::start(run_dir.path());
            agent.show(PhaseName::Boot, Status::Starting);
            // The status has been requested once the events are followed.
            while agent.lines.receiver_count() == 0 {
                tokio::task::yield_now().await;
            }
            agent.show(PhaseName::Serve, Status::Ok);
            agent
        };
        let (result, _agent) = tokio::join!(ready(run_dir.path(), BOUND), life);
        assert_eq!(result.unwrap(), WaitResult::Ready);
    }

    #[tokio::test]
    async fn an_agent_that_does_not_answer_for_a_while_is_waited_for() {
        let run_dir = tempfile::tempdir().unwrap();
        let path = run_dir.path().join(crate::io::listen::socket::FILE);
        // As a stopped process: it accepts no connection, and the kernel queues them.
        let stopped = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let last = RefCell::new(String::new());
        let life = async {
            while !last.borrow().starts_with("the agent did not answer") {
                tokio::task::yield_now().await;
            }
            drop(stopped);
            std::fs::remove_file(&path).unwrap();
            let agent = FakeAgent::start(run_dir.path());
            agent.show(PhaseName::Serve, Status::Ok);
            agent
        };
        let (result, _agent) = tokio::join!(timeout(BOUND, watch(run_dir.path(), &last)), life);
        assert_eq!(result.expect("it is asked again").unwrap(), WaitResult::Ready);
    }

    #[tokio::test]
    async fn a_view_that_comes_without_an_event_is_seen() {
        let run_dir = tempfile::tempdir().unwrap();
        let agent = FakeAgent::start(run_dir.path());
        agent.show(PhaseName::Boot, Status::Starting);
        let last = RefCell::default();
        let life = async {
            // The first status has been read; the next view comes without an event.
            while *last.borrow() != "boot, because" {
                tokio::task::yield_now().await;
            }
            let view = View { status: Status::Ok, ..View::default() };
            agent.published.send_replace(Arc::new(Published { view, ..Published::default() }));
        };
        let (result, ()) = tokio::join!(timeout(BOUND, watch(run_dir.path(), &last)), life);
        assert_eq!(result.expect("the view is seen").unwrap(), WaitResult::Ready);
    }

    #[tokio::test]
    async fn a_failed_boot_and_a_drain_have_their_own_codes() {
        let run_dir = tempfile::tempdir().unwrap();
        let agent = FakeAgent::start(run_dir.path());
        for (phase, status, code) in [
            (PhaseName::Serve, Status::Ok, 0),
            (PhaseName::Failing, Status::Failed, 3),
            (PhaseName::Hold, Status::Failed, 3),
            (PhaseName::Drain, Status::Draining, 1),
            (PhaseName::Gone, Status::Draining, 1),
        ] {
            agent.show(phase, status);
            assert_eq!(ready(run_dir.path(), BOUND).await.unwrap().code(), code, "{phase:?}");
        }
    }

    #[tokio::test]
    async fn the_time_ends_with_what_was_seen_last() {
        let run_dir = tempfile::tempdir().unwrap();
        let result = ready(run_dir.path(), Duration::from_millis(1)).await.unwrap();
        assert!(result.sentence().starts_with("not ready in time: no berth agent is running "), "{result:?}");
        assert_eq!(result.code(), 1);

        let agent = FakeAgent::start(run_dir.path());
        agent.show(PhaseName::Boot, Status::Starting);
        let result = ready(run_dir.path(), Duration::from_millis(300)).await.unwrap();
        assert_eq!(result, WaitResult::TimedOut("boot, because".into()));
    }
}
