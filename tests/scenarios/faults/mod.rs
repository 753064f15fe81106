//! Every failure that a boot may meet: what is reported while it lasts, and how it ends. The table of them is in
//! tests/README.md.
//!
//! What is reported is in the log, on the local socket, and on the screen of `berth status`; `/ready`, which anyone can ask, answers
//! one of its own sentences.

use std::time::Duration;

use berth_core::view::ReadyReason;
use berth_kit::{Agent, Engine, Fault, World};

use crate::commands::{berth, out};
use crate::{BERTH, SOON};

mod config;
mod container;
mod engine;
mod hold;
mod image;
pub(crate) mod output;
mod secrets;
mod services;

/// For what is slow by design: a stalled pull is cut after a minute.
const LATE: Duration = Duration::from_secs(120);

/// A boot that cannot succeed. The call to the group hangs until [`gives_up`] has looked.
pub(crate) async fn fails(world: &World, line: &str) -> Agent {
    let agent = world.launcher(BERTH.as_ref());
    doom(world, line);
    agent.start().await
}

fn doom(world: &World, line: &str) {
    world.user_data(line);
    world.fault("autoscaling CompleteLifecycleAction", Fault::Hang).always();
}

/// While the boot goes on: the step that waits, and these words.
async fn waits(world: &World, agent: &Agent, step: &str, words: &[&str]) {
    reported(world, agent, "starting", &format!("waiting for {step}"), words).await;
}

/// These words are reported wherever an error is reported, in a reason that begins so; and `/ready` does not have them.
async fn reported(world: &World, agent: &Agent, status: &str, begin: &str, words: &[&str]) {
    let says = |text: &str| words.iter().all(|word| text.contains(word));
    // As JSON, so its quotes are escaped.
    let log = || agent.log_text().replace("\\\"", "\"");
    let mut seen = (String::new(), String::new());
    let looks = async {
        loop {
            let ready = agent.http("/ready").await;
            let answer = ready.json();
            seen.0 = ready.text();
            let sentence = answer["reason"].as_str().unwrap_or_default();
            let closed = ReadyReason::ALL.iter().any(|reason| reason.sentence() == sentence);
            assert!(closed, "/ready answers {}", seen.0);
            let socket = agent.status().await;
            let reason = socket["reason"].as_str().unwrap_or_default();
            if ready.status == 503 && answer["status"] == status && reason.starts_with(begin) && says(reason) {
                seen.1 = out(&berth(world, &["status"]).await);
                let head = seen.1.split("\n\n").next().unwrap_or_default();
                if head.starts_with(&format!("{status} · ")) && head.contains(begin) && says(head) && says(&log()) {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let looked = tokio::time::timeout(LATE, looks).await;
    let (ready, screen) = seen;
    assert!(looked.is_ok(), "{begin:?} and {words:?} are not reported with {status}:\n{ready}\n{screen}\n{}", log());
}

/// These words are reported, and the boot ends with this code, the launch hook abandoned once, and the final status on the console.
pub(crate) async fn gives_up(world: &World, agent: &Agent, code: i32, words: &[&str]) {
    reported(world, agent, "failed", "", words).await;
    world.faults.clear();
    assert_eq!(agent.exit_within(SOON).await, code, "{}", agent.log_text());
    let console = world.console_text();
    assert!(words.iter().all(|word| console.contains(word)), "{words:?} are not on the console:\n{console}");
    assert_eq!(completions(world), ["launch ABANDON"]);
}

/// The boot succeeds anyway, and the launch hook is completed once.
async fn gets_over(world: &World, agent: &Agent) {
    agent.ready_within(LATE).await;
    world.autoscaling.wait_for_state("InService", SOON).await;
    assert_eq!(completions(world), ["launch CONTINUE"]);
}

/// What the group heard.
fn completions(world: &World) -> Vec<String> {
    world.autoscaling.completions().into_iter().map(|one| format!("{} {}", one.hook, one.result)).collect()
}

/// What is there of the world's container: `running`, `stopped` or `gone`.
async fn container(engine: &Engine, world: &World) -> &'static str {
    match engine.inspect(&world.container()).await {
        Some(container) if container["State"]["Running"] == true => "running",
        Some(_) => "stopped",
        None => "gone",
    }
}
