//! How an agent ends, by its last event: `berth drain --wait` and `berth wait drained` follow its events to the end.
//!
//! No agent counts as drained: a script that drains and then waits may come after the end. An agent that ends without its last event
//! was killed. systemd starts it again and the next agent continues the drain, so the wait goes on for a few seconds.

use std::path::Path;
use std::time::Duration;

use berth_core::message::outcome::Outcome;
use berth_core::view::feed::ExitLine;
use tokio::time::{sleep, timeout};

use crate::io::listen::socket;
use crate::io::listen::socket_client::{self, ClientError, Events};

/// Between two attempts to connect to an agent that was killed.
const LOOK: Duration = Duration::from_millis(100);
/// For an agent that was killed to come back: systemd starts it again after one second.
const COMES_BACK: Duration = Duration::from_secs(5);
/// From the agent's last event to the end of its process.
const FAREWELL: Duration = Duration::from_secs(3);

/// How the waiting ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DrainResult {
    /// No agent runs.
    NotRunning,
    /// The agent ended with this exit code.
    ExitCode(u8),
    /// The agent is gone and sent no exit code.
    NoExitCode,
    /// It timed out; what was seen last.
    TimedOut(String),
}

impl DrainResult {
    /// The exit code: the agent's own, or 1 if the condition is not met.
    pub fn code(&self) -> u8 {
        match self {
            Self::NotRunning => Outcome::Done.code(),
            Self::ExitCode(code) => *code,
            Self::NoExitCode | Self::TimedOut(_) => super::NO,
        }
    }

    /// One sentence, for the log of the script.
    pub fn sentence(&self) -> String {
        let outcome = |code| Outcome::ALL.into_iter().find(|outcome| outcome.code() == code);
        match self {
            Self::NotRunning => "no agent runs".into(),
            Self::ExitCode(code) => match outcome(*code) {
                Some(Outcome::Done) => "drained".into(),
                Some(Outcome::DrainCut) => "the drain was cut short (see `berth status`)".into(),
                Some(Outcome::BootFailed) => "the agent ended: the boot had failed".into(),
                Some(Outcome::AppFailed) => "the agent ended: the app could not be kept running".into(),
                Some(Outcome::Usage | Outcome::Bug) | None => format!("the agent ended with exit code {code}"),
            },
            Self::NoExitCode => "the agent is gone and sent no exit code".into(),
            Self::TimedOut(last) => format!("not drained in time: {}", super::plain(last)),
        }
    }
}

/// Waits until the agent has ended, or until the timeout.
pub async fn drained(run_dir: &Path, patience: Duration) -> Result<DrainResult, ClientError> {
    match timeout(patience, begin(run_dir)).await {
        Ok(ended) => ended,
        Err(_) => {
            let last = match socket_client::status(run_dir).await {
                Ok(report) => format!("{}, {}", report.published.view.phase.word(), report.published.view.reason),
                Err(error) => super::chain(&error),
            };
            Ok(DrainResult::TimedOut(last))
        }
    }
}

async fn begin(run_dir: &Path) -> Result<DrainResult, ClientError> {
    match Events::open(run_dir).await {
        Ok(events) => follow(run_dir, events).await,
        // An agent that ends normally removes its socket.
        Err(ClientError::NotRunning(_)) if !run_dir.join(socket::FILE).exists() => Ok(DrainResult::NotRunning),
        Err(ClientError::NotRunning(_) | ClientError::NoResponse(..)) => match come_back(run_dir).await? {
            Some(events) => follow(run_dir, events).await,
            None => Ok(DrainResult::NoExitCode),
        },
        Err(error) => Err(error),
    }
}

/// Follows the agent, and the agents that continue its drain, to the end.
pub async fn follow(run_dir: &Path, mut events: Events) -> Result<DrainResult, ClientError> {
    loop {
        while let Some(line) = events.next().await {
            if let Some(code) = ExitLine::exit_code(&line) {
                let _ = timeout(FAREWELL, async { while events.next().await.is_some() {} }).await;
                return Ok(DrainResult::ExitCode(code));
            }
        }
        match come_back(run_dir).await? {
            Some(next) => events = next,
            None => return Ok(DrainResult::NoExitCode),
        }
    }
}

async fn come_back(run_dir: &Path) -> Result<Option<Events>, ClientError> {
    let look = async {
        loop {
            match Events::open(run_dir).await {
                Ok(events) => return Ok(Some(events)),
                Err(ClientError::NotRunning(_) | ClientError::NoResponse(..) | ClientError::Refused(..)) => {
                    sleep(LOOK).await
                }
                Err(error) => return Err(error),
            }
        }
    };
    timeout(COMES_BACK, look).await.unwrap_or(Ok(None))
}

#[cfg(test)]
mod tests {
    use berth_core::clock::Uptime;
    use berth_core::message::command::Command;
    use berth_core::message::effect::Effect;
    use berth_core::message::job::{Job, Ticket};
    use berth_core::view::feed::EffectLine;
    use berth_core::view::{PhaseName, Status};

    use super::*;
    use crate::commands::fake::FakeAgent;

    const BOUND: Duration = Duration::from_secs(20);

    /// The line of an effect, as the driver sends it.
    fn line(effect: Effect) -> String {
        serde_json::to_string(&EffectLine::new(PhaseName::Drain, &effect, Uptime::ZERO)).unwrap()
    }

    fn exit(outcome: Outcome) -> String {
        line(Effect::Command(Command::Exit(outcome)))
    }

    #[tokio::test]
    async fn the_end_has_the_agents_own_code_and_comes_after_its_process() {
        for (outcome, code, sentence) in [
            (Outcome::Done, 0, "drained"),
            (Outcome::DrainCut, 5, "the drain was cut short (see `berth status`)"),
            (Outcome::AppFailed, 4, "the agent ended: the app could not be kept running"),
        ] {
            let run_dir = tempfile::tempdir().unwrap();
            let agent = FakeAgent::start(run_dir.path());
            agent.show(PhaseName::Serve, Status::Ok);
            let life = async {
                agent.followed().await;
                agent.send(&line(Effect::Job(Ticket(7), Job::Identify)));
                agent.send(&exit(outcome));
                // Usually long enough for the client to read the line; otherwise the test still passes.
                for _ in 0..1000 {
                    tokio::task::yield_now().await;
                }
                agent.end().await;
            };
            let wait = async {
                let ended = drained(run_dir.path(), BOUND).await;
                (ended.unwrap(), run_dir.path().join(socket::FILE).exists())
            };
            let ((ended, is_there), ()) = tokio::join!(wait, life);
            assert_eq!((ended.code(), ended.sentence().as_str()), (code, sentence));
            assert!(!is_there);
        }
    }

    #[tokio::test]
    async fn an_agent_that_is_not_there_has_left() {
        let run_dir = tempfile::tempdir().unwrap();
        let ended = drained(run_dir.path(), BOUND).await.unwrap();
        assert_eq!((ended.code(), ended), (0, DrainResult::NotRunning));
    }

    #[tokio::test]
    async fn an_agent_that_was_killed_is_followed_when_it_comes_back() {
        let run_dir = tempfile::tempdir().unwrap();
        let first = FakeAgent::start(run_dir.path());
        let life = async {
            first.followed().await;
            first.die(run_dir.path()).await;
            let second = FakeAgent::start(run_dir.path());
            second.followed().await;
            second.send(&exit(Outcome::DrainCut));
            second.end().await;
        };
        let (ended, ()) = tokio::join!(drained(run_dir.path(), BOUND), life);
        assert_eq!(ended.unwrap(), DrainResult::ExitCode(5));
    }

    #[tokio::test]
    async fn an_agent_that_was_killed_for_good_is_no_success() {
        let run_dir = tempfile::tempdir().unwrap();
        FakeAgent::start(run_dir.path()).die(run_dir.path()).await;
        let ended = drained(run_dir.path(), BOUND).await.unwrap();
        assert_eq!((ended.code(), ended), (1, DrainResult::NoExitCode));
    }

    #[tokio::test]
    async fn the_time_ends_with_what_was_seen_last() {
        let run_dir = tempfile::tempdir().unwrap();
        let agent = FakeAgent::start(run_dir.path());
        agent.show(PhaseName::Serve, Status::Ok);
        let ended = drained(run_dir.path(), Duration::from_millis(300)).await.unwrap();
        assert_eq!((ended.code(), ended.sentence().as_str()), (1, "not drained in time: serve, because"));
    }
}
