//! Clients of the app while agents and containers come and go: requests go where a load balancer sends them, one after the other, and each
//! that is not answered with 200 is lost.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use berth_kit::client::{over_tcp, request};
use berth_kit::target_groups::TargetGroups;
use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// Between two requests of one client.
const PACE: Duration = Duration::from_millis(10);
/// For an answer of the app, which takes a fifth of a second at most.
const ANSWER: Duration = Duration::from_secs(10);
/// For `/ready`, and for what it answers to be true: less than `drain.settle`.
const FRESH: Duration = Duration::from_millis(150);

/// What each client asks for: at once, and for a while.
const PATHS: [&str; 2] = ["/", "/slow?ms=200"];

/// What says where a request goes.
#[derive(Clone)]
pub(super) enum Balancer {
    /// To a target of this group that takes requests.
    Registered(TargetGroups, String),
    /// To the app, while the agent answers that it is ready.
    Ready { app: SocketAddr, agent: SocketAddr },
}

/// Where a request goes.
enum Choice {
    To(SocketAddr),
    /// Other instances have it.
    NotNow,
    /// The load balancer answers 503.
    Nowhere,
}

/// A request that was not answered.
#[derive(Clone, Debug)]
pub(super) struct Lost {
    /// None if there was nowhere to send it.
    pub(super) target: Option<SocketAddr>,
    #[expect(dead_code, reason = "shown")]
    what: String,
}

/// How many requests there were, and which were lost.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) sent: usize,
    pub(super) lost: Vec<Lost>,
}

/// Clients at work. Dropped, they end.
pub(super) struct Clients {
    tally: Arc<Mutex<Tally>>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Clients {
    pub(super) fn start(balancer: Balancer) -> Self {
        let (tally, stop) = (Arc::<Mutex<Tally>>::default(), watch::Sender::new(false));
        let (counted, stopped) = (Arc::clone(&tally), stop.subscribe());
        let thread = std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            let work = PATHS.map(|path| work(path, balancer.clone(), Arc::clone(&counted), stopped.clone()));
            runtime.block_on(async {
                let [at_once, slowly] = work;
                tokio::join!(at_once, slowly);
            });
        });
        Self { tally, stop, thread: Some(thread) }
    }

    /// What came of the requests since this was asked for last.
    pub(super) fn take(&self) -> Tally {
        std::mem::take(&mut *self.tally.lock().unwrap())
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn work(path: &'static str, balancer: Balancer, tally: Arc<Mutex<Tally>>, stopped: watch::Receiver<bool>) {
    let mut turn = 0_usize;
    while !*stopped.borrow() {
        sleep(PACE).await;
        turn += 1;
        let target = match balancer.choose(turn).await {
            Choice::To(target) => target,
            Choice::NotNow => continue,
            Choice::Nowhere => {
                let mut tally = tally.lock().unwrap();
                tally.sent += 1;
                tally.lost.push(Lost { target: None, what: format!("{path}: no target takes requests") });
                continue;
            }
        };
        tally.lock().unwrap().sent += 1;
        let lost = match timeout(ANSWER, over_tcp(target, request("GET", path))).await {
            Ok(Ok(answer)) if answer.status == 200 => continue,
            Ok(Ok(answer)) => answer.status.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {ANSWER:?}"),
        };
        tally.lock().unwrap().lost.push(Lost { target: Some(target), what: format!("{path}: {lost}") });
    }
}

impl Balancer {
    #[expect(clippy::disallowed_methods, reason = "an answer that is old is none")]
    async fn choose(&self, turn: usize) -> Choice {
        match self {
            Self::Registered(groups, arn) => {
                let mut targets = groups.targets(arn);
                targets.retain(|target| target.takes_requests);
                targets.get(turn % targets.len().max(1)).map_or(Choice::Nowhere, |target| Choice::To(target.address))
            }
            Self::Ready { app, agent } => {
                let asked = Instant::now();
                match timeout(FRESH, over_tcp(*agent, request("GET", "/ready"))).await {
                    Ok(Ok(answer)) if answer.status == 200 && asked.elapsed() < FRESH => Choice::To(*app),
                    // The rest of the fleet has it.
                    _ => Choice::NotNow,
                }
            }
        }
    }
}
