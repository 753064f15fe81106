//! What the app wrote last: in the log, in `berth status`, on the console, and nowhere with the value of a secret in it.

use berth_kit::{Agent, OwnEngine, World, client};
use serde_json::Value;

use super::{completions, fails};
use crate::commands::{berth, out};
use crate::{BERTH, SOON};

/// What JSON and URLs write otherwise.
const VALUE: &str = "hun\"ter/2 hünter";

/// Null while there is no agent yet.
async fn report(world: &World) -> Value {
    serde_json::from_str(&out(&berth(world, &["status", "--json"]).await)).unwrap_or_default()
}

/// Once the lines are read.
pub(crate) async fn read(world: &World) -> Value {
    let looks = async {
        loop {
            let report = report(world).await;
            if report["app_output"].is_object() {
                return report;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, looks).await.expect("the app's lines are read")
}

/// The value is nowhere, in no form.
fn is_secret(value: &str, places: &[&str]) {
    let json = serde_json::to_string(value).unwrap();
    for place in places {
        for form in [value, json.trim_matches('"'), &json.trim_matches('"').replace('\\', "\\\\")] {
            assert!(!place.contains(form), "{form} is in {place}");
        }
    }
}

async fn endpoint(agent: &Agent) -> String {
    let mut text = String::new();
    for path in ["/ready", "/version", "/metrics"] {
        text.push_str(&agent.http(path).await.text());
    }
    text
}

#[tokio::test]
async fn an_app_that_exits_at_once_shows_its_last_lines_without_the_values_of_its_secrets() {
    let world = World::start().await;
    let secret = serde_json::json!({ "PASSWORD": VALUE, "PIN": "123" }).to_string();
    world.secrets.put("prod/api", &secret);
    let line = format!(
        "berth image={} port=0:8080 secrets=prod/api restart.limit=0 env.EXIT_AT_START=7 env.SAY_AT_START=PASSWORD,PIN",
        world.app_image().by_tag()
    );
    let agent = fails(&world, &line).await;
    let report = read(&world).await;
    let mut lines: Vec<_> =
        report["app_output"]["lines"].as_array().unwrap().iter().map(|line| line.to_string()).collect();
    lines.sort();
    let shown = ["demo-app: EXIT_AT_START=7", "demo-app: PASSWORD=[secret PASSWORD]", "demo-app: PIN=123"];
    assert_eq!(lines, shown.map(|line| format!("\"{line}\"")), "{report}");
    assert_eq!(report["app_output"]["unavailable"], Value::Null);

    let screen = out(&berth(&world, &["status"]).await);
    let endpoint = endpoint(&agent).await;
    for line in shown {
        assert!(screen.contains(&format!("    {line}\n")), "{screen}");
        assert!(agent.log_text().contains(&format!("\"message\":\"app: {line}\"")), "{}", agent.log_text());
        assert!(!endpoint.contains(line), "{endpoint}");
    }
    world.faults.clear();
    assert_eq!(agent.exit_within(SOON).await, 3, "{}", agent.log_text());
    let console = world.console_text();
    assert!(shown.iter().all(|line| console.contains(&format!("berth: app: {line}\n"))), "{console}");
    assert!(console.lines().next().is_some_and(|line| line.contains("exited with code 7")), "{console}");
    assert_eq!(completions(&world), ["launch ABANDON"]);
    is_secret(VALUE, &[&screen, &report.to_string(), &endpoint, &console, &agent.log_text()]);
}

#[tokio::test]
async fn an_app_that_never_gets_healthy_shows_its_last_lines() {
    let world = World::start().await;
    let image = world.app_image().by_tag();
    let line = format!("berth image={image} port=0:8080 health=/no-such-page probe.start_timeout=3s stop_timeout=1s");
    let agent = fails(&world, &line).await;
    let report = read(&world).await;
    assert_eq!(report["app_output"]["lines"], serde_json::json!(["demo-app: listening on port 8080"]), "{report}");
    assert_eq!(report["phase"], "failing");
    world.faults.clear();
    assert_eq!(agent.exit_within(SOON).await, 3, "{}", agent.log_text());
    let console = world.console_text();
    assert!(console.contains("berth: app: demo-app: listening on port 8080\n"), "{console}");
}

#[tokio::test]
async fn an_app_that_recovers_shows_why_it_exited() {
    let world = World::start().await;
    world.user_data(&format!("berth image={} port=0:8080 restart.backoff=100ms", world.app_image().by_tag()));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    assert_eq!(report(&world).await["app_output"], Value::Null, "a healthy app is not read");
    let _ = client::over_tcp(agent.app_address().await, client::request("GET", "/exit?code=9")).await;
    let report = read(&world).await;
    let lines = report["app_output"]["lines"].as_array().unwrap();
    assert!(lines.contains(&"demo-app: asked to exit with 9".into()), "{report}");
    agent.ready_within(SOON).await;
    let screen = out(&berth(&world, &["status"]).await);
    assert!(screen.starts_with("ok · serve") && screen.contains("    demo-app: asked to exit with 9\n"), "{screen}");
}

#[tokio::test]
async fn an_app_without_a_log_says_so() {
    let world = World::start().await;
    let image = world.app_image().by_tag();
    let line = format!("berth image={image} port=0:8080 restart.limit=0 env.EXIT_AT_START=7 log_driver=none");
    let agent = fails(&world, &line).await;
    assert_eq!(read(&world).await["app_output"]["unavailable"], "not_logged");
    world.faults.clear();
    assert_eq!(agent.exit_within(SOON).await, 3);
    let sentence = "app: (the app's output is not available: log_driver=none keeps none)";
    assert!(world.console_text().contains(sentence) && agent.log_text().contains(sentence), "{}", world.console_text());
}

/// `log_driver=engine`: driver and rotation are the daemon's, and its output is read as any other's.
#[tokio::test]
async fn an_app_that_logs_by_the_engine_s_own_driver_shows_its_last_lines() {
    for (driver, options) in [("local", serde_json::json!({ "max-size": "1m" })), ("json-file", serde_json::json!({}))]
    {
        let Some(mut own) = OwnEngine::new() else { return };
        own.settings(&serde_json::json!({ "log-driver": driver, "log-opts": options }));
        own.start().await;
        let world = World::start().await;
        world.secrets.put("prod/api", &serde_json::json!({ "PASSWORD": VALUE }).to_string());
        let image = world.app_image().by_tag();
        world.user_data(&format!(
            "berth image={image} port=0:8080 secrets=prod/api restart.limit=0 env.EXIT_AT_START=7 env.SAY_AT_START=PASSWORD \
             log_driver=engine"
        ));
        let agent = world.launcher(BERTH.as_ref()).env("DOCKER_HOST", own.host()).start().await;
        assert_eq!(agent.exit_within(SOON).await, 3, "{}", agent.log_text());
        let console = world.console_text();
        assert!(console.contains("berth: app: demo-app: PASSWORD=[secret PASSWORD]\n"), "{console}");
        is_secret(VALUE, &[&console, &agent.log_text()]);
        let container = own.engine().inspect(&world.container()).await.expect("it is left for a look");
        assert_eq!(container["HostConfig"]["LogConfig"], serde_json::json!({ "Type": driver, "Config": options }));
        own.engine().remove(&world.container()).await;
    }
}
