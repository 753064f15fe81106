//! `secret.NAME` put together of several: what the app gets, when a part rotates, and what is shown of it.

use berth_kit::World;
use berth_kit::text::sha256_hex;
use serde_json::{Value, json};

use crate::commands::{berth, err, out};
use crate::faults::fails;
use crate::faults::output::read;
use crate::steps::until;
use crate::{BERTH, SOON};

const TEMPLATE: &str = "postgres://${prod/db#user}:${prod/db#password}@db/app?key=${ssm:/prod/key}&to=$${x}";

fn put(world: &World, password: &str) {
    world.secrets.put("prod/db", &json!({ "user": "the-app", "password": password }).to_string());
    world.parameters.put_secure("/prod/key", "key-of-the-app");
}

fn whole(password: &str) -> String {
    format!("postgres://the-app:{password}@db/app?key=key-of-the-app&to=${{x}}")
}

#[tokio::test]
async fn the_app_gets_the_whole_and_a_part_that_rotates_makes_another() {
    for (words, path) in [("", "/env/DATABASE_URL"), ("secrets_as=files", "/file?path=/run/secrets/DATABASE_URL")] {
        let world = World::start().await;
        put(&world, "first-password");
        let image = world.app_image().by_tag();
        world.user_data(&format!(
            "#cloud-config\n#berth image={image} port=0:8080 health=/health secret.DATABASE_URL='{TEMPLATE}' secrets_refresh=2s {words}\n"
        ));
        let agent = world.launch(BERTH.as_ref()).await;
        agent.ready_within(SOON).await;
        assert_eq!(world.journal.count("secretsmanager"), 1, "{}", world.journal.text());
        assert_eq!(agent.app(path).await.text().trim(), sha256_hex(whole("first-password").as_bytes()));

        put(&world, "second-password");
        until("restarted", async || agent.status().await["restarts"] == 1).await;
        until("ready", async || agent.http("/ready").await.status == 200).await;
        assert_eq!(agent.app(path).await.text().trim(), sha256_hex(whole("second-password").as_bytes()));
        let log = agent.log_text();
        assert!(!log.contains("second-password") && !log.contains("percent-encoded"), "{log}");
    }
}

#[tokio::test]
async fn an_app_that_shows_a_part_alone_is_shown_without_it() {
    let world = World::start().await;
    put(&world, "hunter/2 hünter");
    let image = world.app_image().by_tag();
    // What an app makes of the address: its password.
    let line = format!(
        "berth image={image} port=0:8080 secret.DATABASE_URL='{TEMPLATE}' restart.limit=0 env.EXIT_AT_START=7 \
         env.SAY_AT_START=DATABASE_URL,USED env.USED='with hunter/2 hünter and key-of-the-app'"
    );
    let agent = fails(&world, &line).await;
    let report = read(&world).await;
    let lines = report["app_output"]["lines"].as_array().unwrap();
    for line in [
        "demo-app: DATABASE_URL=[secret DATABASE_URL]",
        "demo-app: USED=with [secret DATABASE_URL] and [secret DATABASE_URL]",
    ] {
        assert!(lines.contains(&line.into()), "{report}");
    }
    // The password has what no URL has.
    let warned = "`secret.DATABASE_URL at character 28`: the value of prod/db#password holds a character";
    assert_eq!(agent.log_text().matches(warned).count(), 1, "{}", agent.log_text());
    world.faults.clear();
    assert_eq!(agent.exit_within(SOON).await, 3);
    for text in [agent.log_text(), world.console_text(), report.to_string()] {
        assert!(!text.contains("hunter/2") && !text.contains("key-of-the-app"), "{text}");
    }
}

#[tokio::test]
async fn a_template_is_checked_and_tried_before_a_boot() {
    let world = World::start().await;
    world.ami_defaults("listen = \"127.0.0.1:0\"");
    put(&world, "first@password");
    let image = world.app_image().by_tag();
    world.user_data(&format!("berth image={image} port=0:8080 secret.DATABASE_URL='{TEMPLATE}'"));
    let file = world.state_dir().with_file_name("user-data");
    std::fs::write(&file, format!("berth image={image} secret.DATABASE_URL='{TEMPLATE}'")).unwrap();
    let checked = berth(&world, &["check", file.to_str().unwrap()]).await;
    assert_eq!(checked.status.code(), Some(0), "{}", err(&checked));
    assert!(out(&checked).contains(&format!("DATABASE_URL from {TEMPLATE}, in the environment")), "{}", out(&checked));

    let examined = async || -> Vec<Value> {
        let examined = berth(&world, &["doctor", "--json"]).await;
        assert!(!out(&examined).contains("first@password"), "{}", out(&examined));
        let report: Value = serde_json::from_slice(&examined.stdout).unwrap();
        report["checks"].as_array().unwrap().iter().filter(|check| check["name"] == "secret").cloned().collect()
    };
    let checks = examined().await;
    assert_eq!(checks.len(), 1, "{checks:?}");
    assert_eq!(checks[0]["found"], "secret.DATABASE_URL of prod/db#user, prod/db#password, ssm:/prod/key");
    assert_eq!(checks[0]["verdict"], "warn");
    assert!(
        checks[0]["advice"].as_str().unwrap().contains("the value of prod/db#password holds a character"),
        "{checks:?}"
    );

    put(&world, "first-password");
    assert_eq!(examined().await[0]["verdict"], "ok");

    world.parameters.deny("/prod/key");
    let checks = examined().await;
    assert_eq!(
        (&checks[0]["verdict"], &checks[0]["statement"]["Sid"]),
        (&"fail".into(), &"BerthParameters".into()),
        "{checks:?}"
    );
    assert!(
        checks[0]["found"].as_str().unwrap().starts_with("ssm:/prod/key (secret.DATABASE_URL at character "),
        "{checks:?}"
    );
}
