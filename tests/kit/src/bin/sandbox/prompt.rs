//! `sandbox`: commands from a terminal or a pipe. A terminal shows each mistake; the first mistake of a pipe ends the sandbox.

use std::io::{self, BufRead as _, IsTerminal as _};
use std::thread;
use std::time::Duration;

use berth_kit::client;
use tokio::sync::mpsc;

use crate::command::{Command, HELP};
use crate::follow::Following;
use crate::screen::Screen;
use crate::stage::Stage;

const PROMPT: &str = "sandbox> ";
/// For `wait`, and for a launch to open its endpoint.
const PATIENCE: Duration = Duration::from_secs(120);

/// Reads and obeys until `quit` or the end of the input.
pub(crate) async fn run(screen: &Screen) -> Result<(), String> {
    let by_hand = io::stdin().is_terminal();
    let mut prompt = Prompt { stage: Stage::set(screen).await?, following: None, screen: screen.clone() };
    screen.line("`launch` starts berth, `help` lists the commands.\n");
    let mut lines = read_lines();
    loop {
        if by_hand {
            screen.footer(PROMPT);
        }
        let Some(line) = lines.recv().await else { break };
        if by_hand {
            screen.entered();
            screen.footer("");
        } else {
            screen.line(&format!("{PROMPT}{line}"));
        }
        let done = match Command::read(&line) {
            Ok(Command::Quit) => break,
            Ok(command) => prompt.obey(command).await,
            Err(mistake) => Err(mistake),
        };
        match done {
            Err(sentence) if by_hand => screen.line(&sentence),
            other => other?,
        }
    }
    screen.footer("");
    Ok(())
}

/// On a thread of its own: nothing can interrupt a read from a terminal.
fn read_lines() -> mpsc::Receiver<String> {
    let (send, lines) = mpsc::channel(1);
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if send.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

struct Prompt {
    // Before the stage: an agent goes before its world does.
    following: Option<Following>,
    stage: Stage,
    screen: Screen,
}

impl Prompt {
    async fn obey(&mut self, command: Command) -> Result<(), String> {
        let world = &self.stage.world;
        match command {
            Command::Launch(words) => return self.launch(words).await,
            Command::WaitReady => {
                let ready = self.launched()?.until(PATIENCE, |seen| seen.is_ready()).await;
                return ready.then_some(()).ok_or_else(|| "it did not become ready".into());
            }
            Command::WaitEnd => {
                let end = self.launched()?.end(PATIENCE).await;
                return end.map(|_| ()).ok_or_else(|| "it did not end within two minutes".into());
            }
            Command::Status => {
                let output = world.launcher(&self.stage.berth).command().arg("status").output();
                let output = output.map_err(|error| format!("cannot run berth status: {error}"))?;
                self.screen.line(&String::from_utf8_lossy(&[output.stdout, output.stderr].concat()));
            }
            Command::Ready => {
                let endpoint = self.running()?.seen().endpoint.ok_or("there is no readiness endpoint yet")?;
                let answer = client::over_tcp(endpoint, client::request("GET", "/ready")).await;
                let answer = answer.map_err(|error| format!("http://{endpoint}/ready does not answer: {error}"))?;
                self.screen.line(&format!("{} {}", answer.status, answer.text()));
            }
            Command::Journal => self.screen.line(&world.journal.text()),
            Command::Fault { pattern, fault, times } => world.fault(&pattern, fault).times(times),
            Command::ClearFaults => world.faults.clear(),
            Command::Secret { name, value } => {
                world.secrets.put(&name, &value);
            }
            Command::ShowUserData => self.screen.line(&self.stage.user_data),
            Command::UserData(text) => {
                let text = match text.strip_prefix('@') {
                    None => text,
                    Some(path) => std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?,
                };
                self.stage.world.user_data(&text);
                self.stage.user_data = text;
            }
            Command::Signal(name) => self.running()?.agent.signal(&name),
            Command::Kill => {
                let following = self.running()?;
                following.agent.kill9().await;
                following.end(PATIENCE).await;
            }
            Command::Help => self.screen.line(HELP),
            Command::Nothing | Command::Quit => {}
        }
        Ok(())
    }

    async fn launch(&mut self, words: Vec<String>) -> Result<(), String> {
        if self.running().is_ok() {
            return Err("berth runs already: `signal TERM` or `kill` first".into());
        }
        let launcher = words.into_iter().fold(self.stage.launcher(), |launcher, word| launcher.arg(word));
        let following = Following::begin(launcher.start().await, &self.screen, false);
        let following = self.following.insert(following);
        following.until(PATIENCE, |seen| seen.endpoint.is_some()).await;
        let endpoint = following.seen().endpoint.ok_or("that was no launch; what berth says of it is above")?;
        self.screen.line(&self.stage.second_terminal(endpoint));
        Ok(())
    }

    /// The agent that was launched last.
    fn launched(&self) -> Result<&Following, String> {
        self.following.as_ref().ok_or_else(|| "nothing was launched yet: `launch`".into())
    }

    fn running(&self) -> Result<&Following, String> {
        let running = self.following.as_ref().filter(|following| following.agent.runs());
        running.ok_or_else(|| "berth does not run: `launch`".into())
    }
}
