//! No value of a secret is seen where it does not belong: every place is searched, and the search is shown to find what is
//! there.

use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use berth_kit::{Agent, Image, World};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::steps::until;
use crate::{BERTH, SOON};

/// Where the values may be: the files that only the container sees.
const DELIVERED: &str = "secrets on tmpfs";

/// What is seen of one boot, by place.
#[derive(Default)]
struct Seen(Vec<(String, Vec<u8>)>);

impl Seen {
    async fn of(world: &World, agent: &Agent, events: &Mutex<Vec<u8>>) -> Self {
        let mut seen = Self::default();
        let name = world.container();
        for (place, path) in [
            ("docker inspect", format!("/containers/{name}/json")),
            ("docker logs", format!("/containers/{name}/logs?stdout=1&stderr=1")),
            ("docker top", format!("/containers/{name}/top?ps_args=axww")),
            // The mounts are not part of it.
            ("docker export", format!("/containers/{name}/export")),
        ] {
            seen.put(place, world.engine.call("GET", &path, None).await.body);
        }
        for path in ["/ready", "/live", "/version", "/metrics"] {
            seen.put(path, agent.http(path).await.body);
        }
        seen.put("/v1/status", agent.local("GET", "/v1/status").await.unwrap().body);
        seen.put("/v1/events", events.lock().unwrap().clone());
        seen.put("the log", agent.log_text());
        seen.put("the console", world.console_text());
        seen.put("the journal", world.journal.text());
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            // A process may end meanwhile; what is no process has no such file.
            if let Ok(cmdline) = std::fs::read(entry.path().join("cmdline")) {
                seen.put("a command line", cmdline);
            }
        }
        seen.files("the state directory", &world.state_dir());
        for entry in std::fs::read_dir(world.run_dir()).unwrap().flatten() {
            let place = if entry.file_name() == "secrets" { DELIVERED } else { "the run directory" };
            seen.files(place, &entry.path());
        }
        seen
    }

    fn put(&mut self, place: &str, bytes: impl Into<Vec<u8>>) {
        self.0.push((place.to_owned(), bytes.into()));
    }

    /// A file, or all files below a directory.
    fn files(&mut self, place: &str, path: &Path) {
        if path.is_dir() {
            for entry in std::fs::read_dir(path).unwrap() {
                self.files(place, &entry.unwrap().path());
            }
        } else if path.is_file() {
            self.put(place, std::fs::read(path).unwrap());
        }
    }

    /// The places that hold the value, as it is or in base64.
    fn places_of(&self, value: &str) -> Vec<&str> {
        let encoded = [BASE64_STANDARD_NO_PAD.encode(value), BASE64_URL_SAFE_NO_PAD.encode(value)];
        let needles: Vec<&[u8]> = [value, &encoded[0], &encoded[1]].map(str::as_bytes).to_vec();
        let holds = |bytes: &[u8]| needles.iter().any(|needle| bytes.windows(needle.len()).any(|part| part == *needle));
        let mut places: Vec<&str> =
            self.0.iter().filter(|(_, bytes)| holds(bytes)).map(|(place, _)| place.as_str()).collect();
        places.dedup();
        places
    }
}

/// Everything that `/v1/events` sends after this.
async fn events(agent: &Agent) -> Arc<Mutex<Vec<u8>>> {
    until("the socket answers", async || agent.local("GET", "/v1/status").await.is_some()).await;
    let mut stream = UnixStream::connect(agent.socket()).await.unwrap();
    stream.write_all(b"GET /v1/events HTTP/1.1\r\nHost: berth\r\n\r\n").await.unwrap();
    let heard = Arc::<Mutex<Vec<u8>>>::default();
    let hears = Arc::clone(&heard);
    tokio::spawn(async move {
        let mut part = vec![0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut part).await {
            hears.lock().unwrap().extend_from_slice(&part[..length]);
        }
    });
    until("the events begin", async || !heard.lock().unwrap().is_empty()).await;
    heard
}

/// A value that is nowhere else.
fn value(name: &str) -> String {
    format!("{name}-{:032x}", fastrand::u128(..))
}

async fn only_the_app_sees_its_secrets(secrets_as: &str) {
    // The metadata answers only when the events are listened to.
    let world = World::builder().private_registry().imds_closed().start().await;
    let [one, two, parameter] = ["one", "two", "parameter"].map(value);
    let [plain, hidden, word] = ["plain", "hidden", "--word"].map(value);
    world.secrets.put("prod/api", &serde_json::json!({ "ONE": one, "TWO": two }).to_string());
    world.parameters.put_secure("/prod/three", &parameter);
    let image = world.push("v1", &Image::demo_app().cmd(&[&word]));
    world.user_data(&format!(
        "berth image={} port=0:8080 health=/health registry_auth=ecr secrets=prod/api secret.THREE=ssm:/prod/three \
         secrets_as={secrets_as} env.PLAIN={plain} env.ENCODED={}",
        image.by_tag(),
        BASE64_STANDARD.encode(&hidden)
    ));
    let agent = world.launch(BERTH.as_ref()).await;
    let events = events(&agent).await;
    world.imds.start_listening();
    agent.ready_within(SOON).await;
    world.autoscaling.wait_for_state("InService", SOON).await;
    world.journal.in_order(&["ecr GetAuthorizationToken 200", "registry GET blob 200"]);

    let seen = Seen::of(&world, &agent, &events).await;
    for value in [&one, &two, &parameter] {
        assert_eq!(seen.places_of(value), [DELIVERED]);
    }
    let password = world.ecr.password();
    for value in [password.clone(), format!("AWS:{password}")].into_iter().chain(world.credential_values()) {
        assert_eq!(seen.places_of(&value), [""; 0]);
    }

    // The same search finds what is there.
    assert_eq!(seen.places_of(&plain), ["docker inspect"]);
    assert_eq!(seen.places_of(&word), ["docker inspect", "docker top", "a command line"]);
    assert_eq!(seen.places_of(&hidden), ["docker inspect"]);
    for (text, places) in [
        ("secrets_fetched", ["/v1/events"].as_slice()),
        ("SecretsFetched", ["the log"].as_slice()),
        ("demo-app: listening", ["docker logs", "docker export"].as_slice()),
        ("secretsmanager GetSecretValue", ["the journal"].as_slice()),
    ] {
        for place in places {
            assert!(seen.places_of(text).contains(place), "{text:?} in {place}");
        }
    }
}

#[tokio::test]
async fn secrets_in_the_environment_are_seen_by_the_app_alone() {
    only_the_app_sees_its_secrets("env").await;
}

#[tokio::test]
async fn secrets_in_files_are_seen_by_the_app_alone() {
    only_the_app_sees_its_secrets("files").await;
}

#[tokio::test]
async fn a_key_that_a_secret_has_not_fails_the_boot_at_once_and_shows_no_value() {
    let world = World::start().await;
    let image = world.app_image();
    let held = value("held");
    world.secrets.put("prod/api", &serde_json::json!({ "PASSWORD": held }).to_string());
    world.user_data(&format!("berth image={} port=0:8080 secret.DB=prod/api#password", image.by_tag()));
    let agent = world.launch(BERTH.as_ref()).await;
    assert_eq!(agent.exit_within(SOON).await, 3);
    let reason = "prod/api#password: the secret has no key \"password\"";
    assert!(agent.log_text().contains(&reason.replace('"', "\\\"")), "{}", agent.log_text());
    assert!(world.console_text().contains(reason), "{}", world.console_text());
    assert_eq!(world.journal.count("secretsmanager"), 1, "{}", world.journal.text());
    assert_eq!(world.journal.count("autoscaling CompleteLifecycleAction ABANDON 200"), 1, "{}", world.journal.text());
    assert!(!agent.log_text().contains(&held) && !world.console_text().contains(&held));

    // Held, the instance reports the same on the socket, and a fixed sentence on the open endpoint.
    let agent = world.launcher(BERTH.as_ref()).arg("boot.on_failure=hold").start().await;
    agent.phase_within("hold", SOON).await;
    let answer = agent.http("/ready").await;
    assert_eq!((answer.status, answer.json()["reason"].as_str()), (503, Some("the secrets cannot be fetched")));
    assert_eq!(agent.status().await["reason"], reason);
    for answer in [answer, agent.http("/version").await, agent.http("/metrics").await] {
        assert!(!answer.text().contains(&held));
    }
    assert!(!agent.status().await.to_string().contains(&held) && !agent.log_text().contains(&held));
}
