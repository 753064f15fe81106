//! A running agent, shown live: its events, every change of `/ready`, the progress of the pull, its end.
#![expect(clippy::disallowed_methods, reason = "what is shown carries the time since the start of the agent")]
#![expect(clippy::indexing_slicing, reason = "a JSON value that is not there is null")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_kit::{Agent, client};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::events::Events;
use crate::screen::Screen;

/// How often `/ready` is asked, and an endpoint that does not listen yet is tried.
const TICK: Duration = Duration::from_millis(25);
/// The bar of a pull has so many characters.
const BAR: usize = 32;
/// Longer details are cut.
const DETAIL: usize = 90;

/// What was seen of an agent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Where the readiness endpoint answers.
    pub(crate) endpoint: Option<SocketAddr>,
    /// What `/ready` answered, one entry for each change.
    pub(crate) ready: Vec<u16>,
    /// How often the pull was seen to have gone on.
    pub(crate) progress: usize,
    /// The exit code.
    pub(crate) ended: Option<i32>,
}

impl Seen {
    /// Whether the last answer of `/ready` was 200.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.last() == Some(&200)
    }
}

/// An agent that is followed. Killed when dropped.
pub(crate) struct Following {
    /// The agent.
    pub(crate) agent: Arc<Agent>,
    seen: watch::Receiver<Seen>,
    task: tokio::task::JoinHandle<()>,
}

impl Following {
    /// Shows the agent on the screen, with a bar for the pull if `bar`, else with a line now and then.
    pub(crate) fn begin(agent: Agent, screen: &Screen, bar: bool) -> Self {
        let agent = Arc::new(agent);
        let (update, seen) = watch::channel(Seen::default());
        let show = Show { screen: screen.clone(), bar, began: Instant::now(), update };
        let task = tokio::spawn(show.whole_life(Arc::clone(&agent)));
        Self { agent, seen, task }
    }

    /// What was seen so far.
    pub(crate) fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Waits until it holds or the agent ended, at most for `bound`; whether it holds.
    pub(crate) async fn until(&self, bound: Duration, holds: impl Fn(&Seen) -> bool) -> bool {
        let mut seen = self.seen.clone();
        let _ = tokio::time::timeout(bound, seen.wait_for(|seen| holds(seen) || seen.ended.is_some())).await;
        holds(&self.seen.borrow())
    }

    /// Waits until the agent ended, at most for `bound`; its exit code.
    pub(crate) async fn end(&self, bound: Duration) -> Option<i32> {
        self.until(bound, |seen| seen.ended.is_some()).await;
        self.seen().ended
    }

    /// Its last output, for people: errors and warnings, and what is no line of its log.
    pub(crate) fn last_words(&self) -> String {
        last_words(&self.agent)
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        // It holds the agent, too.
        self.task.abort();
    }
}

struct Show {
    screen: Screen,
    bar: bool,
    began: Instant,
    update: watch::Sender<Seen>,
}

impl Show {
    async fn whole_life(self, agent: Arc<Agent>) {
        tokio::join!(self.events(&agent), self.readiness(&agent));
        self.screen.footer("");
        let code = agent.exit_within(Duration::from_secs(5)).await;
        self.line("", &format!("berth ended with exit code {code}"));
        let words = last_words(&agent);
        if code != 0 && !words.is_empty() {
            self.screen.line(&words);
        }
        self.update.send_modify(|seen| seen.ended = Some(code));
    }

    async fn readiness(&self, agent: &Agent) {
        let mut last = (0, String::new());
        while agent.runs() {
            let endpoint = self.update.borrow().endpoint;
            match endpoint {
                None => {
                    let listen = agent.status().await["listen"].as_str().and_then(|text| text.parse().ok());
                    self.update.send_modify(|seen| seen.endpoint = listen);
                }
                Some(address) => {
                    if let Ok(answer) = client::over_tcp(address, client::request("GET", "/ready")).await {
                        let ready = answer.json();
                        let status = ready["status"].as_str().unwrap_or("?").to_owned();
                        if last != (answer.status, status.clone()) {
                            let reason = ready["reason"].as_str().unwrap_or("");
                            self.line("/ready", format!("{} {status}: {reason}", answer.status).trim_end_matches(": "));
                            self.update.send_modify(|seen| seen.ready.push(answer.status));
                            last = (answer.status, status);
                        }
                    }
                }
            }
            sleep(TICK).await;
        }
    }

    async fn events(&self, agent: &Agent) {
        let mut events = loop {
            match Events::open(agent.socket()).await {
                Some(events) => break events,
                None if !agent.runs() => return,
                None => sleep(TICK / 5).await,
            }
        };
        let (mut probe, mut quarter) = (String::new(), 0);
        while let Some(line) = events.next().await {
            let Some(event) = line["event"].as_str() else { continue };
            let (phase, detail) = (line["phase"].as_str().unwrap_or(""), line["detail"].as_str().unwrap_or(""));
            let shown = cut(format!("{event} {detail}").trim_end());
            match event {
                "pull_progressed" => {
                    let status = agent.status().await;
                    self.update.send_modify(|seen| seen.progress += 1);
                    self.pull(&status["pull"], &mut quarter);
                    continue;
                }
                // Asked every 100 ms: only what is new is worth a line.
                "probe_passed" | "probe_failed" if probe == shown => continue,
                "probe_passed" | "probe_failed" => probe.clone_from(&shown),
                "image_pulled" if self.bar => self.screen.footer(""),
                _ => {}
            }
            let took = match line["took_seconds"].as_f64() {
                Some(took) if took >= 0.5 => format!(" (took {took:.1} s)"),
                _ => String::new(),
            };
            self.line(phase, &format!("{shown}{took}"));
        }
    }

    fn pull(&self, pull: &Value, quarter: &mut u64) {
        let figure = |name: &str| pull[name].as_u64().unwrap_or(0);
        let (bytes, total) = (figure("bytes_pulled"), figure("bytes_total"));
        let percent = (bytes * 100).checked_div(total).unwrap_or(0).min(100);
        let megabytes = format!("{:.1} of {:.1} MB", bytes as f64 / 1e6, total as f64 / 1e6);
        let layers = format!("{} of {} layers", figure("layers_done"), figure("layers_total"));
        if self.bar && self.screen.is_live() {
            let full = usize::try_from(percent).unwrap_or(0) * BAR / 100;
            let bar = format!("{}{}", "█".repeat(full), "░".repeat(BAR - full));
            self.screen.footer(&format!("  pull  {bar} {percent:>3} %  {megabytes}, {layers}"));
        } else if percent / 25 > *quarter {
            *quarter = percent / 25;
            self.line("pull", &format!("{percent} %, {megabytes}, {layers}"));
        }
    }

    fn line(&self, what: &str, text: &str) {
        self.screen.line(&format!("{:>8.2} s  {what:<7} {text}", self.began.elapsed().as_secs_f64()));
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(DETAIL) {
        Some((end, _)) if !text.starts_with("failed") => format!("{}…", text.get(..end).unwrap_or(text)),
        _ => text.to_owned(),
    }
}

fn last_words(agent: &Agent) -> String {
    let log = agent.log_text();
    let words = log.lines().filter_map(|line| match serde_json::from_str::<Value>(line) {
        Ok(entry) if ["ERROR", "WARN"].iter().any(|level| entry["level"] == **level) => {
            Some(entry["message"].as_str()?.to_owned())
        }
        Ok(_) => None,
        Err(_) => Some(line.to_owned()),
    });
    let words: Vec<String> =
        words.flat_map(|text| text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>()).collect();
    words.get(words.len().saturating_sub(12)..).unwrap_or_default().join("\n")
}
