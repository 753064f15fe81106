//! What the app wrote last, read from a real engine: by every log driver, on a terminal, in floods, and never with a secret in it.

use std::net::UdpSocket;
use std::time::Duration;

use berth::io::app::output;
use berth::io::docker::{Engine, EngineError};
use berth_config::{Config, SecretRef, SecretsAs};
use berth_core::message::container::{ContainerId, Creation};
use berth_core::message::output::{AppOutput, BYTES, LINES, Unavailable};
use berth_kit::OwnEngine;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::CreateContainerOptions;

use super::bench::{Bench, Secrets, call, secrets, unique, within, words};
use super::test_network::sh;

const HELLO: &str = "echo out; echo err >&2; echo bye; exit 3";

/// A value that JSON, URLs and base64 write otherwise.
const VALUE: &str = "pa\"ss/wörd+%41\nsecond line";

impl Bench {
    /// A container that runs this in a shell.
    async fn shell(&mut self, script: &str, edit: impl FnOnce(&mut Config)) -> Creation {
        let image = self.image(&["sh", "sleep", "seq", "dd", "tr", "cat", "printf", "kill"], &[], &[]).await;
        self.creation(&image, |config| {
            config.command = Some(words(&["sh", "-c", script]));
            edit(config);
        })
        .await
    }

    async fn read(&self, id: &ContainerId, creation: &Creation) -> AppOutput {
        within(output::read(&self.engine, &self.delivery, id, &creation.config)).await.unwrap()
    }

    /// Runs it to its end, and reads what it wrote.
    async fn last_output(&mut self, creation: &Creation, secrets: Option<&Secrets>) -> AppOutput {
        let running = self.run(creation, secrets).await;
        within(self.engine.watch(&running.id)).await.unwrap();
        self.read(&running.id, creation).await
    }
}

/// As if the config named these secrets; `how` they are delivered.
fn with_secrets(how: SecretsAs) -> impl FnOnce(&mut Config) {
    move |config| {
        let (id, json_key, version_stage, version_id) = ("prod/api".to_owned(), None, None, None);
        config.secrets = vec![SecretRef::Managed { id, json_key, version_stage, version_id }];
        config.secrets_as = how;
    }
}

#[tokio::test]
async fn every_driver_that_can_be_read_is_read() {
    let mut bench = Bench::new().await;
    for driver in ["json-file", "local"] {
        let creation = bench.shell(HELLO, |config| config.log_driver = driver.to_owned()).await;
        let output = bench.last_output(&creation, None).await;
        let mut lines = output.lines.clone();
        // Two streams have no common order.
        lines.sort();
        assert_eq!((lines, output.truncated), (words(&["bye", "err", "out"]), false), "{driver}: {output:?}");
        assert_eq!((output.log_driver.as_deref(), output.unavailable), (Some(driver), None));
    }
}

/// The journal's daemon is of the test's own, as is the engine that logs to it: the machine may have none.
#[tokio::test]
async fn journald_is_read() {
    let Some(mut own) = OwnEngine::new() else { return };
    if !own.with_journal() {
        return;
    }
    own.start().await;
    let root = tempfile::tempdir().unwrap();
    let (root, host) = (root.path().display(), own.host());
    sh(&format!("mkdir {root}/bin && cp /bin/busybox {root}/bin && ln -s busybox {root}/bin/sh"));
    sh(&format!("tar -C {root} -c . | docker -H {host} import - app"));
    sh(&format!(
        "docker -H {host} run --network none --log-driver journald --name app app sh -c '{HELLO}' || [ $? = 3 ]"
    ));
    let engine = Engine::new(Some(&host)).unwrap();
    // The journal is written behind the engine's back.
    let text = within(async {
        loop {
            let (driver, tail) = engine.tail(&ContainerId("app".to_owned()), LINES, None).await.unwrap();
            let text = String::from_utf8_lossy(&tail.unwrap().text).into_owned();
            if text.lines().count() == 3 {
                return format!("{} {text}", driver.unwrap());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let text = text.await;
    assert!(
        text.starts_with("journald ") && ["out\n", "err\n", "bye\n"].iter().all(|line| text.contains(line)),
        "{text}"
    );
    sh(&format!("docker -H {host} rm -f app"));
}

#[tokio::test]
async fn a_driver_that_cannot_be_read_is_read_from_the_engine_s_cache() {
    let mut bench = Bench::new().await;
    // What the driver fails to send, the engine does not cache either.
    let listener = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = format!("udp://{}", listener.local_addr().unwrap());
    let to_listener = |config: &mut Config| {
        config.log_driver = "gelf".to_owned();
        config.log_opt.clear();
        config.log_opt.insert("gelf-address".to_owned(), address.clone());
    };
    let creation = bench.shell(HELLO, to_listener).await;
    let output = bench.last_output(&creation, None).await;
    assert!(output.lines.contains(&"bye".to_owned()) && output.lines.len() == 3, "{output:?}");

    let uncached = |config: &mut Config| {
        to_listener(config);
        config.log_opt.insert("cache-disabled".to_owned(), "true".to_owned());
    };
    let creation = bench.shell(HELLO, uncached).await;
    let output = bench.last_output(&creation, None).await;
    assert_eq!(output.unavailable, Some(Unavailable::DriverNotReadable), "{output:?}");
    assert!(output.for_people()[0].contains("cannot read the log driver gelf"), "{output:?}");

    let creation = bench
        .shell(HELLO, |config| {
            config.log_driver = "none".to_owned();
            config.log_opt.clear();
        })
        .await;
    let output = bench.last_output(&creation, None).await;
    assert_eq!((output.unavailable, output.lines.len()), (Some(Unavailable::NotLogged), 0));
}

#[tokio::test]
async fn a_container_that_somebody_removed_has_none() {
    let mut bench = Bench::new().await;
    let creation = bench.shell(HELLO, |_| ()).await;
    let running = bench.run(&creation, None).await;
    call(&format!("DELETE /containers/{}?force=1&v=1", running.id.0));
    let output = bench.read(&running.id, &creation).await;
    assert_eq!(output.unavailable, Some(Unavailable::ContainerRemoved));
}

#[tokio::test]
async fn an_engine_that_is_away_is_an_error() {
    let bench = Bench::new().await;
    let away = Engine::new(Some("unix:///nowhere/docker.sock")).unwrap();
    let asked = away.tail(&ContainerId("c0ffee".to_owned()), LINES, None).await;
    assert!(matches!(asked, Err(EngineError::NoAnswer { .. })));
    drop(bench);
}

#[tokio::test]
async fn an_app_that_wrote_nothing_has_no_lines() {
    let mut bench = Bench::new().await;
    let creation = bench.shell("exit 1", |_| ()).await;
    let output = bench.last_output(&creation, None).await;
    assert_eq!((output.lines.len(), output.truncated, output.unavailable), (0, false, None), "{output:?}");
}

#[tokio::test]
async fn a_flood_is_answered_within_bounds() {
    let mut bench = Bench::new().await;
    let one_line = "dd if=/dev/zero bs=64k count=160 2>/dev/null | tr '\\000' x; printf THE-END";
    let lines = "for n in $(seq 20000); do echo $n of many and many lines of this length; done; echo THE-END";
    for (script, driver) in [(one_line, "json-file"), (one_line, "local"), (lines, "json-file"), (lines, "local")] {
        let creation = bench.shell(script, |config| config.log_driver = driver.to_owned()).await;
        let running = bench.run(&creation, None).await;
        within(bench.engine.watch(&running.id)).await.unwrap();
        // It ends in an error past its three seconds.
        let output = bench.read(&running.id, &creation).await;
        let bytes: usize = output.lines.iter().map(String::len).sum();
        assert!(output.truncated && output.lines.len() <= LINES && bytes <= BYTES, "{driver}: {output:?}");
        let last = output.lines.last().expect("lines");
        assert!(last.ends_with("THE-END") || (script == one_line && last.ends_with('…')), "{driver}: {last}");
    }
}

#[tokio::test]
async fn output_of_a_terminal_is_read_too() {
    let mut bench = Bench::new().await;
    let creation = bench.shell("true", |_| ()).await;
    let name = unique("adapters-tty");
    bench.and_remove(format!("DELETE /containers/{name}?force=1&v=1"));
    let script = "printf '\\001\\000bin\\n\\033[31mred\\033[0m\\tend\\n'; printf 'no newline'";
    let body = ContainerCreateBody {
        image: Some(creation.image.to_string()),
        cmd: Some(words(&["sh", "-c", script])),
        tty: Some(true),
        ..Default::default()
    };
    let options = CreateContainerOptions { name: Some(name.clone()), ..Default::default() };
    let id = ContainerId(bench.docker.create_container(Some(options), body).await.unwrap().id);
    bench.engine.start(&id, &[]).await.unwrap();
    within(bench.engine.watch(&id)).await.unwrap();
    let output = bench.read(&id, &creation).await;
    assert_eq!(output.lines, ["\\u{1}\\u{0}bin", "red    end", "no newline"]);
}

#[tokio::test]
async fn no_value_of_a_secret_is_shown_in_any_of_its_forms() {
    let mut bench = Bench::new().await;
    let given = secrets(&[("TOKEN", VALUE), ("SHORT", "abc"), ("DB_URL", "postgres://app:s3cr3t%40@db/app")]);
    for how in [SecretsAs::Env, SecretsAs::Files] {
        let read = match how {
            SecretsAs::Env => "",
            SecretsAs::Files => "TOKEN=$(cat /run/secrets/TOKEN) SHORT=$(cat /run/secrets/SHORT); ",
        };
        let script = format!(
            "{read}echo raw \"$TOKEN\"; echo short $SHORT; echo 'pw s3cr3t@'; echo 'json {}'; echo 'url {}'; exit 1",
            serde_json::to_string(VALUE).unwrap(),
            VALUE.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>(),
        );
        let creation = bench.shell(&script, with_secrets(how)).await;
        let output = bench.last_output(&creation, Some(&given)).await;
        let shown =
            ["raw [secret TOKEN]", "short abc", "pw [secret DB_URL]", "json \"[secret TOKEN]\"", "url [secret TOKEN]"];
        assert_eq!(output.lines, shown, "{how:?}");
    }
}

#[tokio::test]
async fn without_the_values_nothing_is_shown() {
    let mut bench = Bench::new().await;
    let creation = bench.shell("echo $TOKEN", with_secrets(SecretsAs::Env)).await;
    let given = secrets(&[("TOKEN", VALUE)]);
    let running = bench.run(&creation, Some(&given)).await;
    within(bench.engine.watch(&running.id)).await.unwrap();
    bench.delivery.forget(&creation.config.container_name()).unwrap();
    let output = bench.read(&running.id, &creation).await;
    assert_eq!((output.unavailable, output.lines.len()), (Some(Unavailable::SecretsUnknown), 0));
}

/// A stop takes the values off the tmpfs; the log stays.
#[tokio::test]
async fn what_was_written_with_values_that_are_not_known_any_more_is_not_shown() {
    let mut bench = Bench::new().await;
    let creation = bench.shell("echo $TOKEN; exit 1", with_secrets(SecretsAs::Env)).await;
    let first = bench.last_output(&creation, Some(&secrets(&[("TOKEN", "value-of-the-first")]))).await;
    assert_eq!(first.lines, ["[secret TOKEN]"]);
    let (name, how) = (creation.config.container_name(), creation.config.secrets_as);
    let id = ContainerId(bench.inspect(&ContainerId(name.clone())).await.id.unwrap());
    let again = async |value: &str| {
        bench.delivery.write(&name, how, &secrets(&[("TOKEN", value)])).unwrap();
        bench.engine.start(&id, &[]).await.unwrap();
        within(bench.engine.watch(&id)).await.unwrap();
        bench.read(&id, &creation).await
    };
    assert_eq!(again("value-of-the-second").await.lines, ["[secret TOKEN]"; 2], "both values are on the tmpfs");
    bench.delivery.forget(&name).unwrap();
    bench.delivery.prepare(&name, how).unwrap();
    let third = again("value-of-the-third").await;
    assert_eq!(
        (third.lines, third.truncated),
        (words(&["[secret TOKEN]"]), true),
        "there is more, and that is reported"
    );
}
