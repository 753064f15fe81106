//! `sandbox demo`: one boot from the launch to a clean stop, shown live, and an error if anything is not as announced.
#![expect(clippy::indexing_slicing, reason = "a JSON value that is not there is null")]

use std::time::Duration;

use berth_kit::text::sha256_hex;
use berth_kit::{client, group::Completion};

use crate::follow::Following;
use crate::screen::Screen;
use crate::stage::{KEYS, SECRET, Stage};

/// For the boot; it takes about ten seconds.
const BOOT: Duration = Duration::from_secs(90);
/// For what comes at once.
const SOON: Duration = Duration::from_secs(15);

/// Shows the whole boot.
pub(crate) async fn run(screen: &Screen) -> Result<(), String> {
    let hold = hold()?;
    let stage = Stage::set(screen).await?;
    let following = Following::begin(stage.launcher().start().await, screen, true);
    let shown = story(&stage, &following, screen, hold).await;
    screen.footer("");
    let words = following.last_words();
    if shown.is_err() && following.seen().ended.is_none() && !words.is_empty() {
        screen.line(&words);
    }
    shown?;
    let (engine, container, image) = (stage.world.engine.clone(), stage.world.container(), stage.image.by_digest());
    drop(following);
    drop(stage);
    held(engine.inspect(&container).await.is_none(), &format!("the container {container} was left behind"))?;
    held(engine.image(&image).await.is_none(), &format!("the image {image} was left behind"))?;
    screen.line("\nAll as announced; the container, the image and the directories are removed again.");
    Ok(())
}

async fn story(stage: &Stage, following: &Following, screen: &Screen, hold: u64) -> Result<(), String> {
    let world = &stage.world;
    following.until(SOON, |seen| seen.endpoint.is_some()).await;
    let endpoint = following.seen().endpoint.ok_or("berth opened no readiness endpoint")?;
    screen.line(&format!("\n{}", stage.second_terminal(endpoint)));
    screen.line("");

    let ready = following.until(BOOT, |seen| seen.is_ready()).await;
    let seen = following.seen();
    held(ready, "the boot did not end with 200 from /ready")?;
    held(seen.ready == [503, 200], &format!("/ready went {:?}, not from 503 to 200", seen.ready))?;
    held(seen.progress > 3, "the pull was not seen to go on")?;

    let done = |what: &str| screen.line(&format!("     ✓  {what}"));
    let app = async |path: &str| {
        let answer = client::over_tcp(stage.app, client::request("GET", path)).await;
        answer.map_err(|error| format!("the app does not answer {path}: {error}"))
    };
    let hello = app("/").await?;
    held(hello.status == 200, &format!("the app answered {}", hello.status))?;
    done(&format!("the app at http://{}/ says: {}", stage.app, hello.text().trim()));
    for (key, value) in KEYS.iter().zip(&stage.values) {
        let known = app(&format!("/env/{key}")).await?.text();
        held(known == sha256_hex(value.as_bytes()), &format!("{key} of {SECRET} is not in the app's environment"))?;
    }
    done(&format!(
        "{} are in the app's environment: the SHA-256 that it returns for each is right",
        KEYS.join(" and ")
    ));
    no_secret_shows(stage, following).await?;
    done("docker inspect and the log were searched for both values: neither is there");
    world.autoscaling.wait_for_state("InService", SOON).await;
    completed_once(&world.autoscaling.completions())?;
    done("the launch hook was completed once, with CONTINUE; the group says InService");

    screen.line("");
    count_down(screen, following, hold).await?;

    screen.line("SIGTERM");
    following.agent.signal("TERM");
    let code = following.end(SOON + SOON).await.ok_or("berth did not end after SIGTERM")?;
    held(code == 0, &format!("berth ended with exit code {code} after SIGTERM"))?;
    let container = world.engine.inspect(&world.container()).await.unwrap_or_default();
    held(container["State"]["Running"] != true, "the container still runs")?;
    held(client::over_tcp(stage.app, client::request("GET", "/")).await.is_err(), "the app still answers")?;
    done("the container is stopped, berth is gone, exit code 0");
    Ok(())
}

fn held(condition: bool, otherwise: &str) -> Result<(), String> {
    if condition { Ok(()) } else { Err(otherwise.to_owned()) }
}

async fn no_secret_shows(stage: &Stage, following: &Following) -> Result<(), String> {
    let name = stage.world.container();
    let inspected = stage.world.engine.inspect(&name).await.ok_or_else(|| format!("there is no container {name}"))?;
    let places = [("docker inspect", inspected.to_string()), ("the log", following.agent.log_text())];
    for (place, text) in places {
        held(!text.is_empty(), &format!("{place} is empty"))?;
        for (key, value) in KEYS.iter().zip(&stage.values) {
            held(!text.contains(value.as_str()), &format!("{place} shows {key}"))?;
        }
    }
    Ok(())
}

fn completed_once(completions: &[Completion]) -> Result<(), String> {
    match completions {
        [one] if one.result == "CONTINUE" && !one.by_timeout => Ok(()),
        other => Err(format!("the launch hook was not completed once with CONTINUE, but: {other:?}")),
    }
}

/// Seconds that the app serves before it is stopped, for a second terminal.
fn hold() -> Result<u64, String> {
    let Ok(text) = std::env::var("DEMO_HOLD") else { return Ok(10) };
    text.parse().map_err(|_| format!("DEMO_HOLD is a number of seconds, not {text:?}"))
}

async fn count_down(screen: &Screen, following: &Following, hold: u64) -> Result<(), String> {
    screen.line(&format!("Serving for {hold} s, so that a second terminal may look (DEMO_HOLD=60 for longer)."));
    for left in (1..=hold).rev() {
        screen.footer(&format!("  stops in {left} s"));
        let changed = following.until(Duration::from_secs(1), |seen| !seen.is_ready()).await;
        held(!changed && following.seen().ended.is_none(), "it did not stay ready")?;
    }
    screen.footer("");
    Ok(())
}
