//! A drain that takes longer than the group and systemd would wait: both are asked for more time all along.

use std::time::Duration;

use berth_kit::group::{Completion, Hook, Transition};
use berth_kit::systemd::NO_STORE;
use berth_kit::{Systemd, World, client};

use crate::steps::until;
use crate::{BERTH, SOON};

/// How a drain ended whose last client waited a minute for its answer.
struct End {
    /// The exit code.
    code: i32,
    /// The status that the client got.
    answer: u16,
    /// What became of the termination hook.
    hook: Completion,
    /// What systemd heard.
    heard: Vec<String>,
}

/// The group ends this instance's termination hook 30 s after the last heartbeat.
async fn with_a_request_of_a_minute(more: &str) -> End {
    let hook = |name: &str, transition, seconds| Hook {
        name: name.into(),
        transition,
        heartbeat_timeout: Duration::from_secs(seconds),
        default_result: "ABANDON".into(),
    };
    let hooks = vec![hook("launch", Transition::Launching, 300), hook("terminate", Transition::Terminating, 30)];
    let world = World::builder().hooks(hooks).start().await;
    let image = world.app_image();
    world.user_data(&format!(
        "berth image={} port=0:8080 health=/health drain.settle=1s lifecycle.poll=500ms {more}",
        image.by_tag()
    ));
    let systemd = Systemd::start(NO_STORE);
    let agent = world.launcher(BERTH.as_ref()).under(&systemd).start().await;
    agent.ready_within(SOON).await;
    world.autoscaling.wait_for_state("InService", SOON).await;

    let address = agent.app_address().await;
    let slow = tokio::spawn(async move { client::over_tcp(address, client::request("GET", "/slow?ms=60000")).await });
    world.autoscaling.terminate();
    world.autoscaling.enter_wait();
    agent.log_within("ConnectionsCounted 1", SOON).await;
    let answer = tokio::time::timeout(SOON + SOON, slow).await.expect("an answer").unwrap().unwrap().status;
    let code = agent.exit_within(SOON).await;
    until("the hook is over", async || world.autoscaling.completions().len() == 2).await;
    End { code, answer, hook: world.autoscaling.completions().remove(1), heard: systemd.heard() }
}

#[tokio::test]
async fn a_request_of_a_minute_outlives_a_hook_of_30_s_by_its_heartbeats() {
    let (kept, mute) =
        tokio::join!(with_a_request_of_a_minute(""), with_a_request_of_a_minute("lifecycle.heartbeat=2h"));
    let ends = |result: &str, by_timeout| Completion { hook: "terminate".into(), result: result.into(), by_timeout };
    assert_eq!((kept.answer, kept.code, kept.hook), (200, 0, ends("CONTINUE", false)));
    assert_eq!(mute.hook, ends("ABANDON", true), "without heartbeats the group goes on without the instance");

    let asked = kept.heard.iter().filter(|message| *message == "EXTEND_TIMEOUT_USEC=30000000").count();
    assert!(asked >= 6, "once every 10 s: {:?}", kept.heard);
    assert!(kept.heard.iter().any(|message| message.starts_with("STATUS=draining")), "{:?}", kept.heard);
    assert!(kept.heard.iter().all(|message| !message.starts_with("STOPPING")), "{:?}", kept.heard);
}
