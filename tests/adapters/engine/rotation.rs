//! Rotated secrets: looked for, compared with what the app was given, and brought to it.

use std::sync::Arc;
use std::time::Duration;

use berth::io::Adapters;
use berth::io::secret::deliver::Delivery;
use berth_config::{Config, SecretRef, SecretsAs};
use berth_core::message::container::{ContainerId, Creation};
use berth_core::message::error::ErrorClass;
use berth_core::message::event::Event;
use berth_core::message::job::{Job, JobKind, Ticket};
use berth_kit::{Fault, World};

use super::bench::{Bench, words};
use crate::whole::adapters;

/// Says what it sees, at its start and at every SIGHUP.
const FILES: &str = "say() { for n in a b; do echo $n=$(cat /run/secrets/$n 2>&1); done; echo printed; }; trap say HUP; say; \
                     while :; do sleep 0.05; done";
const ENV: &str = "say() { echo a=$a; echo b=$b; echo printed; }; trap say HUP; say; while :; do sleep 0.05; done";

struct Life {
    world: World,
    bench: Bench,
    creation: Creation,
    adapters: Adapters,
    id: ContainerId,
}

impl Life {
    /// An app that was started with a=1 and b=1.
    async fn begin(how: SecretsAs) -> Self {
        let world = World::start().await;
        put(&world, "1", "1");
        let mut bench = Bench::new().await;
        let image = bench.busybox(&[]).await;
        let secret = |name: &str| {
            let id = format!("prod/{name}");
            (name.to_owned(), SecretRef::Managed { id, json_key: None, version_stage: None, version_id: None }.into())
        };
        let script = if how == SecretsAs::Env { ENV } else { FILES };
        let edit = |config: &mut Config| {
            config.secrets_as = how;
            config.secret = [secret("a"), secret("b")].into();
            config.command = Some(words(&["sh", "-c", script]));
            config.stop_timeout = Duration::ZERO;
        };
        let creation = bench.creation(&image, edit).await;
        bench.and_remove(format!("DELETE /containers/{}?force=1&v=1", creation.config.container_name()));
        let adapters = adapters(&world, &bench.delivery).await;
        assert_eq!(
            adapters.perform(Ticket(1), Job::FetchSecrets(Arc::clone(&creation.config))).await,
            Event::SecretsFetched
        );
        let created = adapters.perform(Ticket(1), Job::CreateContainer(Box::new(creation.clone()))).await;
        let Event::ContainerCreated(id) = created else { panic!("{created}") };
        let life = Self { world, bench, creation, adapters, id };
        life.start().await;
        life.says(&["a=1", "b=1"]).await;
        life
    }

    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.creation.config)
    }

    async fn start(&self) {
        let started =
            self.adapters.perform(Ticket(1), Job::StartContainer { id: self.id.clone(), config: self.config() }).await;
        assert!(matches!(started, Event::ContainerStarted(_)), "{started}");
    }

    async fn check(&self) -> Event {
        self.adapters.perform(Ticket(1), Job::CheckSecrets(self.config())).await
    }

    async fn signal(&self, adapters: &Adapters) {
        let effect = Job::SignalApp { id: self.id.clone(), signal: "SIGHUP".to_owned(), config: self.config() };
        assert_eq!(adapters.perform(Ticket(1), effect).await, Event::AppSignalled);
    }

    /// Waits until it has printed these lines, as the last of all its output.
    async fn says(&self, lines: &[&str]) {
        let expected = format!("{}\nprinted\n", lines.join("\n"));
        let mut output = String::new();
        let wait = async {
            while !output.ends_with(&expected) {
                tokio::time::sleep(Duration::from_millis(20)).await;
                output = self.bench.output(&self.id).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(30), wait).await;
        assert!(in_time.is_ok(), "it says {output}");
    }

    /// How often it has printed what it sees.
    async fn says_often(&self, times: usize) {
        let wait = async {
            while self.bench.output(&self.id).await.matches("printed\n").count() < times {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), wait).await.expect("it says it within 30 s");
    }
}

fn put(world: &World, a: &str, b: &str) {
    world.secrets.put("prod/a", a);
    world.secrets.put("prod/b", b);
}

fn checked(changed: bool) -> Event {
    Event::SecretsChecked { changed }
}

#[tokio::test]
async fn a_rotated_value_reaches_the_app_as_a_file_with_the_signal_and_not_before() {
    let life = Life::begin(SecretsAs::Files).await;
    assert_eq!(life.check().await, checked(false));
    life.world.secrets.put("prod/b", "2");
    assert_eq!(life.check().await, checked(true));
    assert_eq!(life.check().await, checked(true), "the app has the old one still");
    life.says(&["a=1", "b=1"]).await;
    life.signal(&life.adapters).await;
    life.says(&["a=1", "b=2"]).await;
    assert_eq!(life.check().await, checked(false));
}

#[tokio::test]
async fn an_environment_is_new_only_at_the_next_start() {
    let life = Life::begin(SecretsAs::Env).await;
    put(&life.world, "2", "1");
    assert_eq!(life.check().await, checked(true));
    life.signal(&life.adapters).await;
    life.says_often(2).await;
    life.says(&["a=1", "b=1"]).await;
    assert_eq!(life.check().await, checked(false), "one signal is enough");
    let stop = Job::StopContainer { id: life.id.clone(), timeout: Duration::ZERO, for_good: false };
    assert_eq!(life.adapters.perform(Ticket(1), stop).await, Event::ContainerStopped);
    life.start().await;
    life.says(&["a=2", "b=1"]).await;
}

#[tokio::test]
async fn a_value_that_was_rotated_away_is_not_shown_in_what_the_app_wrote() {
    for how in [SecretsAs::Env, SecretsAs::Files] {
        let life = Life::begin(how).await;
        for (value, often) in [("first-value", 2), ("second-value", 3)] {
            put(&life.world, value, "1");
            assert_eq!(life.check().await, checked(true));
            life.signal(&life.adapters).await;
            // Two signals at once would be handled as one, or into each other.
            life.says_often(often).await;
        }
        if how == SecretsAs::Files {
            life.says(&["a=second-value", "b=1"]).await;
        }
        let effect = Job::ReadOutput { id: life.id.clone(), config: life.config() };
        let Event::OutputRead(output) = life.adapters.perform(Ticket(1), effect).await else {
            panic!("it is not read")
        };
        let shown = output.lines.join("\n");
        assert!(shown.starts_with("a=1\nb=1\nprinted") && !shown.contains("-value"), "{how:?}: {shown}");
        assert!(how == SecretsAs::Env || shown.contains("a=[secret a]\n"), "{shown}");
    }
}

#[tokio::test]
async fn a_value_that_cannot_be_fetched_changes_nothing() {
    let life = Life::begin(SecretsAs::Files).await;
    put(&life.world, "2", "2");
    life.world.fault("secretsmanager", Fault::Throttle).always();
    let Event::Failed(JobKind::CheckSecrets, error) = life.check().await else { panic!("it was fetched") };
    assert_eq!(error.class, ErrorClass::Throttled);
    life.world.faults.clear();
    life.signal(&life.adapters).await;
    life.says_often(2).await;
    life.says(&["a=1", "b=1"]).await;
    life.world.secrets.deny("prod/b");
    assert!(matches!(life.check().await, Event::Failed(JobKind::CheckSecrets, _)));
    life.signal(&life.adapters).await;
    life.says_often(3).await;
    life.says(&["a=1", "b=1"]).await;
}

#[tokio::test]
async fn the_next_process_knows_what_the_app_has() {
    for how in [SecretsAs::Files, SecretsAs::Env] {
        let life = Life::begin(how).await;
        let check = Job::CheckSecrets(life.config());
        let next = adapters(&life.world, &life.bench.delivery).await;
        life.signal(&next).await;
        assert_eq!(next.perform(Ticket(1), check.clone()).await, checked(false), "what was not fetched is not removed");
        put(&life.world, "1", "rotated while nobody looked");
        // A boot fetches before it finds the container that it adopts.
        let next = adapters(&life.world, &life.bench.delivery).await;
        next.perform(Ticket(1), Job::FetchSecrets(life.config())).await;
        assert_eq!(next.perform(Ticket(1), check.clone()).await, checked(true), "{how:?}");
        let next = adapters(&life.world, &life.bench.delivery).await;
        assert_eq!(next.perform(Ticket(1), check).await, checked(true), "{how:?}");
    }
}

async fn stop(life: &Life, for_good: bool) {
    let stop = Job::StopContainer { id: life.id.clone(), timeout: Duration::ZERO, for_good };
    assert_eq!(life.adapters.perform(Ticket(1), stop).await, Event::ContainerStopped);
}

#[tokio::test]
async fn another_start_takes_the_values_that_are_in_place_and_asks_no_service() {
    for how in [SecretsAs::Files, SecretsAs::Env] {
        let life = Life::begin(how).await;
        life.world.fault("secretsmanager", Fault::Status(503)).always();
        stop(&life, false).await;
        life.start().await;
        life.says_often(2).await;
        life.says(&["a=1", "b=1"]).await;
    }
}

#[tokio::test]
async fn without_values_in_memory_or_in_place_nothing_is_started_before_a_fetch() {
    for how in [SecretsAs::Files, SecretsAs::Env] {
        let life = Life::begin(how).await;
        let start = Job::StartContainer { id: life.id.clone(), config: life.config() };
        stop(&life, true).await;
        assert_eq!(life.adapters.perform(Ticket(1), start.clone()).await, Event::SecretsMissing, "{how:?}: deleted");
        // A fetch whose values are wiped before the start is none.
        assert_eq!(life.adapters.perform(Ticket(1), Job::FetchSecrets(life.config())).await, Event::SecretsFetched);
        assert_eq!(life.adapters.perform(Ticket(1), Job::WipeSecrets).await, Event::SecretsWiped);
        life.bench.delivery.prepare(&life.config().container_name(), how).unwrap();
        assert_eq!(life.adapters.perform(Ticket(1), start).await, Event::SecretsMissing, "{how:?}: only prepared");
        assert_eq!(life.adapters.perform(Ticket(1), Job::FetchSecrets(life.config())).await, Event::SecretsFetched);
        life.start().await;
        life.says_often(2).await;
        life.says(&["a=1", "b=1"]).await;
    }
}

#[tokio::test]
async fn without_a_delivery_the_first_values_are_no_change() {
    let world = World::start().await;
    put(&world, "1", "1");
    let life = Life::begin(SecretsAs::Files).await;
    let adapters = adapters(&world, &Delivery::new(&world.run_dir())).await;
    assert_eq!(adapters.perform(Ticket(1), Job::CheckSecrets(life.config())).await, checked(false));
}
