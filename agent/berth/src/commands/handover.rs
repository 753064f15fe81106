//! `berth handover`: the installed binary replaces the running agent, and the app keeps running. The command ends when the next
//! agent has taken over, so a package's script can report whether it worked.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use berth_core::view::PhaseName;
use berth_core::view::published::Essentials;
use tokio::time::{sleep, timeout};

use crate::cli::Global;
use crate::io::listen::socket_client::{self, ClientError, Events};

/// Between two attempts to connect to the next agent.
const LOOK: Duration = Duration::from_millis(20);
/// For the next agent to find the app. It takes a fraction of a second, unless the metadata or the engine does not answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandoverResult {
    /// The next agent has the app.
    Complete {
        /// The version of the former agent.
        from: String,
        /// The version of the next.
        to: String,
        /// Its phase.
        phase: PhaseName,
    },
    /// It runs, but does not have the app yet; what it waits for.
    Late(String),
    /// It does not answer.
    Lost,
}

impl HandoverResult {
    /// One sentence for the operator.
    pub fn sentence(&self) -> String {
        match self {
            Self::Complete { from, to, phase } => {
                format!("handed over from berth {from} to berth {to}, in {}", phase.word())
            }
            Self::Late(reason) => format!("the next agent has not taken the app over yet: {reason}"),
            Self::Lost => {
                "the agent handed over, and the next one does not answer; see the log of berth.service".into()
            }
        }
    }
}

/// The whole command.
pub async fn main(global: &Global) -> ExitCode {
    match run(&global.run_dir(), PATIENCE).await {
        Ok(result @ HandoverResult::Complete { .. }) => {
            super::say(&format!("{}\n", super::plain(&result.sentence())));
            ExitCode::SUCCESS
        }
        Ok(result) => super::failed(super::NO, &super::plain(&result.sentence())),
        Err(error) => super::failed(super::NO, &super::chain(&error)),
    }
}

/// Requests the handover and waits for the next agent.
pub async fn run(run_dir: &Path, patience: Duration) -> Result<HandoverResult, ClientError> {
    // Opened before the request, so its end is seen.
    let mut events = Events::open(run_dir).await?;
    let former = socket_client::essentials(run_dir).await?;
    socket_client::handover(run_dir).await?;

    let mut last = None;
    let next = async {
        while events.next().await.is_some() {}
        loop {
            last = socket_client::essentials(run_dir).await.ok();
            if let Some(next) = last.as_ref().filter(|next| has_taken_over(former.phase, next)) {
                let (from, to) = (former.agent_version.clone(), next.agent_version.clone());
                return HandoverResult::Complete { from, to, phase: next.phase };
            }
            sleep(LOOK).await;
        }
    };
    let result = timeout(patience, next).await;
    Ok(result.unwrap_or_else(|_| last.map_or(HandoverResult::Lost, |next| HandoverResult::Late(next.reason))))
}

/// Every agent begins with its boot. The handover is complete after it, or at once if the former agent was in its boot as well.
fn has_taken_over(former: PhaseName, next: &Essentials) -> bool {
    former == PhaseName::Boot || next.phase != PhaseName::Boot
}

#[cfg(test)]
mod tests {
    use berth_core::view::Status;

    use super::*;
    use crate::commands::fake::FakeAgent;
    use crate::io::listen::socket::Request;

    const BOUND: Duration = Duration::from_secs(20);
    const SHORT: Duration = Duration::from_millis(300);

    fn agent(run_dir: &Path, phase: PhaseName) -> FakeAgent {
        let agent = FakeAgent::start(run_dir);
        agent.show(phase, Status::Starting);
        agent
    }

    /// Answers the request for a handover, and ends the agent if the answer is yes.
    async fn answers(mut agent: FakeAgent, result: Result<(), &'static str>) {
        let Some(Request::Handover { answer }) = agent.requests.recv().await else { panic!("no handover") };
        answer.send(result).unwrap();
        if result.is_ok() {
            agent.end().await;
        } else {
            agent.requests.recv().await;
        }
    }

    #[tokio::test]
    async fn it_is_over_when_the_next_agent_is_past_its_boot() {
        let run_dir = tempfile::tempdir().unwrap();
        let former = agent(run_dir.path(), PhaseName::Serve);
        let life = async {
            answers(former, Ok(())).await;
            let next = agent(run_dir.path(), PhaseName::Boot);
            // Whether the client has seen this boot or not, the handover is not complete.
            for _ in 0..1000 {
                tokio::task::yield_now().await;
            }
            next.show(PhaseName::Serve, Status::Ok);
            next
        };
        let (result, _next) = tokio::join!(run(run_dir.path(), BOUND), life);
        assert!(matches!(result, Ok(HandoverResult::Complete { phase: PhaseName::Serve, .. })), "{result:?}");
    }

    #[tokio::test]
    async fn a_boot_goes_on_as_a_boot() {
        let run_dir = tempfile::tempdir().unwrap();
        let former = agent(run_dir.path(), PhaseName::Boot);
        let life = async {
            answers(former, Ok(())).await;
            agent(run_dir.path(), PhaseName::Boot)
        };
        let (result, _next) = tokio::join!(run(run_dir.path(), BOUND), life);
        assert!(matches!(result, Ok(HandoverResult::Complete { phase: PhaseName::Boot, .. })), "{result:?}");
    }

    #[tokio::test]
    async fn a_next_agent_that_is_late_or_does_not_come_is_reported() {
        let run_dir = tempfile::tempdir().unwrap();
        let life = async |comes: bool| {
            answers(agent(run_dir.path(), PhaseName::Serve), Ok(())).await;
            comes.then(|| agent(run_dir.path(), PhaseName::Boot))
        };
        let (result, next) = tokio::join!(asked(run_dir.path()), life(true));
        assert_eq!(result, HandoverResult::Late("because".into()));
        drop(next);
        let (result, _) = tokio::join!(asked(run_dir.path()), life(false));
        assert_eq!(result, HandoverResult::Lost);
    }

    /// Runs the command once the agent's socket exists.
    async fn asked(run_dir: &Path) -> HandoverResult {
        while !run_dir.join(crate::io::listen::socket::FILE).exists() {
            tokio::task::yield_now().await;
        }
        run(run_dir, SHORT).await.unwrap()
    }

    #[tokio::test]
    async fn a_refusal_is_reported_and_without_an_agent_there_is_no_wait() {
        let run_dir = tempfile::tempdir().unwrap();
        assert!(matches!(run(run_dir.path(), BOUND).await, Err(ClientError::NotRunning(_))));
        let former = agent(run_dir.path(), PhaseName::Drain);
        let error = tokio::select! {
            error = run(run_dir.path(), BOUND) => error.unwrap_err(),
            () = answers(former, Err("not today")) => panic!("asked twice"),
        };
        assert_eq!(error.to_string(), "the agent answered /v1/handover with 409 Conflict: not today");
    }
}
