//! `berth drain`: asks the running agent to drain, and with --wait waits for its end.

use std::path::Path;
use std::process::ExitCode;

use crate::cli::{DrainArgs, Global};
use crate::commands::drained::{self, DrainResult};
use crate::io::listen::socket_client::{self, ClientError, Events};

/// The whole command.
pub async fn main(global: &Global, args: &DrainArgs) -> ExitCode {
    match run(&global.run_dir(), args).await {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(ended)) if ended.code() == 0 => ExitCode::SUCCESS,
        Ok(Some(ended)) => super::failed(ended.code(), &ended.sentence()),
        Err(error) => super::failed(super::NO, &super::plain(&super::chain(&error))),
    }
}

/// Requests the drain; with --wait, how the agent ended.
pub async fn run(run_dir: &Path, args: &DrainArgs) -> Result<Option<DrainResult>, ClientError> {
    // Opened before the request, so an agent that ends at once is seen.
    let events = if args.wait { Some(Events::open(run_dir).await?) } else { None };
    socket_client::drain(run_dir, args.reason.as_deref()).await?;
    match events {
        Some(events) => drained::follow(run_dir, events).await.map(Some),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::RunDir;
    use crate::commands::fake::FakeAgent;
    use crate::io::listen::socket::Request;

    fn args(reason: Option<&str>, wait: bool) -> DrainArgs {
        DrainArgs { reason: reason.map(Into::into), wait, run_dir: RunDir::default() }
    }

    #[tokio::test]
    async fn a_drain_without_waiting_ends_when_the_agent_has_heard() {
        let run_dir = tempfile::tempdir().unwrap();
        assert!(matches!(run(run_dir.path(), &args(None, false)).await, Err(ClientError::NotRunning(_))));
        let mut agent = FakeAgent::start(run_dir.path());
        assert_eq!(run(run_dir.path(), &args(Some("deploy 7"), false)).await.unwrap(), None);
        let Some(Request::Drain { reason }) = agent.requests.recv().await else { panic!("no drain") };
        assert_eq!(reason.as_deref(), Some("deploy 7"));
    }

    #[tokio::test]
    async fn an_end_that_comes_at_once_is_heard() {
        let run_dir = tempfile::tempdir().unwrap();
        let mut agent = FakeAgent::start(run_dir.path());
        let life = async {
            agent.requests.recv().await.unwrap();
            agent.send("{\"effect\":\"exit\",\"exit_code\":5}");
            agent.end().await;
        };
        let args = args(None, true);
        let (ended, ()) = tokio::join!(run(run_dir.path(), &args), life);
        assert_eq!(ended.unwrap(), Some(DrainResult::ExitCode(5)));
    }
}
