//! `berth handover`: the agent makes room for the binary that is installed, and the app runs on. It ends when the next agent
//! has taken over, so that a package's script can say whether it worked.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use berth_core::view::PhaseName;
use berth_core::view::published::Essentials;
use tokio::time::{sleep, timeout};

use crate::cli::Global;
use crate::io::listen::socket_client::{self, ClientError, Events};

/// How often the next agent is looked for.
const LOOK: Duration = Duration::from_millis(20);
/// For the next agent to find the app again. It takes a fraction of a second, unless the metadata or the engine is away.
const PATIENCE: Duration = Duration::from_secs(30);

/// How it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The next agent is where the one before it was.
    Over {
        /// The version of the former agent.
        from: String,
        /// The version of the next.
        to: String,
        /// Its phase.
        phase: PhaseName,
    },
    /// It runs, but has not found the app yet; what it waits for.
    Late(String),
    /// It does not answer.
    Lost,
}

impl Taken {
    /// One sentence for whoever asked.
    pub fn sentence(&self) -> String {
        match self {
            Self::Over { from, to, phase } => {
                format!("handed over from berth {from} to berth {to}, in {}", phase.word())
            }
            Self::Late(reason) => format!("the next agent has not taken the app over yet: {reason}"),
            Self::Lost => "the agent made room, and no other answers; see its log".into(),
        }
    }
}

/// The whole command.
pub async fn main(global: &Global) -> ExitCode {
    match run(&global.run_dir(), PATIENCE).await {
        Ok(taken @ Taken::Over { .. }) => {
            super::say(&format!("{}\n", taken.sentence()));
            ExitCode::SUCCESS
        }
        Ok(taken) => super::failed(super::NO, &taken.sentence()),
        Err(error) => super::failed(super::NO, &super::chain(&error)),
    }
}

/// Ask, and wait for the next agent.
pub async fn run(run_dir: &Path, patience: Duration) -> Result<Taken, ClientError> {
    // Before it is asked, so that its end is heard.
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
                return Taken::Over { from, to, phase: next.phase };
            }
            sleep(LOOK).await;
        }
    };
    let taken = timeout(patience, next).await;
    Ok(taken.unwrap_or_else(|_| last.map_or(Taken::Lost, |next| Taken::Late(next.reason))))
}

/// It began where every agent begins; to be over, the boot has to be over, unless the former agent was in it, too.
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

    /// Says this to the handover that it is asked for, and ends if that is yes.
    async fn answers(mut agent: FakeAgent, said: Result<(), &'static str>) {
        let Some(Request::Handover { answer }) = agent.requests.recv().await else { panic!("no handover") };
        answer.send(said).unwrap();
        if said.is_ok() {
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
            // It has been looked at, or will be: either way it is not over yet.
            for _ in 0..1000 {
                tokio::task::yield_now().await;
            }
            next.show(PhaseName::Serve, Status::Ok);
            next
        };
        let (taken, _next) = tokio::join!(run(run_dir.path(), BOUND), life);
        assert!(matches!(taken, Ok(Taken::Over { phase: PhaseName::Serve, .. })), "{taken:?}");
    }

    #[tokio::test]
    async fn a_boot_goes_on_as_a_boot() {
        let run_dir = tempfile::tempdir().unwrap();
        let former = agent(run_dir.path(), PhaseName::Boot);
        let life = async {
            answers(former, Ok(())).await;
            agent(run_dir.path(), PhaseName::Boot)
        };
        let (taken, _next) = tokio::join!(run(run_dir.path(), BOUND), life);
        assert!(matches!(taken, Ok(Taken::Over { phase: PhaseName::Boot, .. })), "{taken:?}");
    }

    #[tokio::test]
    async fn a_next_agent_that_is_late_or_does_not_come_is_told() {
        let run_dir = tempfile::tempdir().unwrap();
        let life = async |comes: bool| {
            answers(agent(run_dir.path(), PhaseName::Serve), Ok(())).await;
            comes.then(|| agent(run_dir.path(), PhaseName::Boot))
        };
        let (taken, next) = tokio::join!(asked(run_dir.path()), life(true));
        assert_eq!(taken, Taken::Late("because".into()));
        drop(next);
        let (taken, _) = tokio::join!(asked(run_dir.path()), life(false));
        assert_eq!(taken, Taken::Lost);
    }

    /// Once there is an agent to ask.
    async fn asked(run_dir: &Path) -> Taken {
        while !run_dir.join(crate::io::listen::socket::FILE).exists() {
            tokio::task::yield_now().await;
        }
        run(run_dir, SHORT).await.unwrap()
    }

    #[tokio::test]
    async fn a_refusal_is_told_and_nobody_is_not_waited_for() {
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
