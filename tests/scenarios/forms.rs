//! One line in each of its forms: by tag and by digest, secrets as environment and as files, health asked in every way.

use berth_kit::agent::post;
use berth_kit::group::Completion;
use berth_kit::text::sha256_hex;
use berth_kit::{Agent, Image, World, client};

use crate::steps::{container, own_address, ready_answers, until};
use crate::{BERTH, SOON};

/// Names and values of `prod/api`, and of the parameter `/prod/one`.
const API: [(&str, &str); 2] = [("API_KEY", "äpi key with = and spaces"), ("DB_PASSWORD", "line\nline")];
const ONE: &str = "one-parameter";

/// What is seen of the app's health once its own `/health` says 503.
enum WhenSick {
    /// `/ready` answers 503, and the socket has this reason.
    Reported(&'static str),
    /// Nobody asks there: the probes go on passing.
    Unseen,
    /// Nobody asks at all.
    NeverAsked,
}

/// One line of user-data.
struct Form {
    /// The words about ports and health.
    words: String,
    image: Image,
    by: By,
    secrets_as: &'static str,
    when_sick: WhenSick,
}

#[derive(Clone, Copy, PartialEq)]
enum By {
    Tag,
    Digest,
}

impl Form {
    fn new(words: &str, by: By, secrets_as: &'static str, when_sick: WhenSick) -> Self {
        Self { words: words.into(), image: Image::demo_app(), by, secrets_as, when_sick }
    }

    fn image(self, change: impl FnOnce(Image) -> Image) -> Self {
        Self { image: change(self.image), ..self }
    }

    async fn boots(self) {
        let world = World::start().await;
        let pushed = world.push("v1", &self.image);
        put_secrets(&world);
        let image = if self.by == By::Tag { pushed.by_tag() } else { pushed.by_digest() };
        world.user_data(&format!(
            "berth image={image} {} secrets=prod/api secret.ONE=ssm:/prod/one secrets_as={} probe.interval=100ms \
             probe.unhealthy=1",
            self.words, self.secrets_as
        ));
        let agent = world.launch(BERTH.as_ref()).await;
        agent.ready_within(SOON).await;
        // Without a probe it is ready once it runs, which is before it listens.
        let (app, health) = (agent.app_address().await, || client::request("GET", "/health"));
        until("the app healthy", async || {
            client::over_tcp(app, health()).await.is_ok_and(|answer| answer.status == 200)
        })
        .await;
        secrets_arrived(&agent, self.secrets_as).await;
        completed_once(&world).await;

        let made = container(&world).await;
        assert_eq!(made["Config"]["Image"], pushed.by_digest());
        assert_eq!(made["Config"]["Labels"]["berth.image"], pushed.by_digest());
        assert_eq!(made["HostConfig"]["RestartPolicy"]["Name"], "no");
        self.asks(&agent).await;
    }

    /// Makes the app when_sick: only a form that asks its `/health` notices.
    async fn asks(&self, agent: &Agent) {
        assert_eq!(post(agent.app_address().await, "/sick").await.status, 200);
        let probes = async || agent.status().await["probes"].as_array().cloned().unwrap_or_default();
        match self.when_sick {
            WhenSick::Reported(reason) => {
                let answer = ready_answers(agent, 503).await;
                let sentence = "the app fails its health check";
                assert_eq!((answer["status"].as_str(), answer["reason"].as_str()), (Some("unhealthy"), Some(sentence)));
                assert_eq!(agent.status().await["reason"], reason);
            }
            WhenSick::Unseen => {
                let seen = agent.status().await["now_seconds"].as_f64();
                until("a probe that passes", async || {
                    probes().await.iter().any(|probe| probe["kind"].is_null() && probe["at_seconds"].as_f64() > seen)
                })
                .await;
                ready_answers(agent, 200).await;
            }
            WhenSick::NeverAsked => {
                ready_answers(agent, 200).await;
                assert_eq!(probes().await.len(), 0);
            }
        }
    }
}

fn put_secrets(world: &World) {
    let object: serde_json::Map<_, _> = API.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    world.secrets.put("prod/api", &serde_json::Value::Object(object).to_string());
    world.parameters.put("/prod/one", ONE);
}

async fn secrets_arrived(agent: &Agent, secrets_as: &str) {
    for (name, value) in API.iter().chain(&[("ONE", ONE)]) {
        let (there, elsewhere) = (format!("/env/{name}"), format!("/file?path=/run/secrets/{name}"));
        let (there, elsewhere) = if secrets_as == "env" { (there, elsewhere) } else { (elsewhere, there) };
        assert_eq!(agent.app(&there).await.text(), sha256_hex(value.as_bytes()), "{there}");
        assert_eq!(agent.app(&elsewhere).await.status, 404, "{elsewhere}");
    }
}

async fn completed_once(world: &World) {
    world.autoscaling.wait_for_state("InService", SOON).await;
    let once = Completion { hook: "launch".into(), result: "CONTINUE".into(), by_timeout: false };
    assert_eq!(world.autoscaling.completions(), [once]);
    assert_eq!(
        world.journal.count("autoscaling CompleteLifecycleAction CONTINUE launch"),
        1,
        "{}",
        world.journal.text()
    );
}

#[tokio::test]
async fn health_is_asked_over_the_network() {
    let published = own_address();
    for form in [
        Form::new(
            "port=0:8080 health=/health",
            By::Tag,
            "env",
            WhenSick::Reported("/health answers 503, expected 200-399"),
        ),
        Form::new(
            &format!("port={published}:8080 health=http://{published}/health"),
            By::Digest,
            "files",
            WhenSick::Reported("/health answers 503, expected 200-399"),
        ),
        Form::new("port=0:8080 health=tcp", By::Tag, "files", WhenSick::Unseen),
        // Nobody listens on the first port.
        Form::new("ports=0:9090,0:8080 health=tcp:8080", By::Digest, "env", WhenSick::Unseen),
    ] {
        form.boots().await;
    }
}

#[tokio::test]
async fn health_is_asked_in_the_container_or_not_at_all() {
    let probes = |image: Image| image.healthcheck(&["/app", "probe"]);
    for form in [
        Form::new("port=0:8080 health='cmd:/app probe'", By::Tag, "env", WhenSick::Reported("/app exits with 1")),
        Form::new("port=0:8080 health=docker", By::Digest, "files", WhenSick::Reported("/app exits with 1"))
            .image(probes),
        Form::new("port=0:8080 health=none probe.running_for=0s", By::Tag, "files", WhenSick::NeverAsked).image(probes),
        // What is the default depends on the image.
        Form::new("port=0:8080", By::Digest, "env", WhenSick::Reported("/app exits with 1")).image(probes),
        Form::new("port=0:8080", By::Tag, "env", WhenSick::Unseen),
    ] {
        form.boots().await;
    }
}

#[tokio::test]
async fn an_image_that_is_here_is_not_pulled_again() {
    for by in [By::Tag, By::Digest] {
        let world = World::start().await;
        let app = Image::demo_app();
        // The one that no other image has.
        let layer = app.build().layers.pop().unwrap();
        let pushed = world.push("v1", &app);
        let image = if by == By::Tag { pushed.by_tag() } else { pushed.by_digest() };
        world.ami_defaults("drain = { settle = \"100ms\", idle = \"100ms\" }");
        world.user_data(&format!("berth image={image} port=0:8080 health=/health"));
        let agent = world.launch(BERTH.as_ref()).await;
        agent.ready_within(SOON).await;
        let first = container(&world).await;
        agent.signal("TERM");
        assert_eq!(agent.exit_within(SOON).await, 0);
        let asked = world.journal.count("registry");

        let agent = world.relaunch(BERTH.as_ref()).await;
        agent.ready_within(SOON).await;
        assert_ne!(container(&world).await["Id"], first["Id"]);
        // For a tag the registry is asked which digest it has; the engine's answer to that takes manifest and config.
        assert_eq!(world.journal.count(&format!("registry GET blob {layer}")), 1, "{}", world.journal.text());
        if by == By::Digest {
            assert_eq!(world.journal.count("registry"), asked, "{}", world.journal.text());
        }
        completed_once(&world).await;
    }
}

#[tokio::test]
async fn a_scratch_image_with_a_user_and_a_read_only_root_gets_its_secrets() {
    for secrets_as in ["env", "files"] {
        let world = World::start().await;
        let image = Image::demo_app().user("1000:1000").cmd(&["--serve", "two words"]);
        let pushed = world.push("v1", &image);
        put_secrets(&world);
        world.user_data(&format!(
            "berth image={} port=0:8080 health=/health secrets=prod/api secret.ONE=ssm:/prod/one \
             secrets_as={secrets_as} read_only=true cap_drop=ALL",
            pushed.by_tag()
        ));
        let agent = world.launch(BERTH.as_ref()).await;
        agent.ready_within(SOON).await;
        secrets_arrived(&agent, secrets_as).await;
        assert_eq!(agent.app("/uid").await.text(), "1000");
        assert_eq!(agent.app("/args").await.text(), "/app\n--serve\ntwo words");
        assert_eq!(container(&world).await["HostConfig"]["ReadonlyRootfs"], true);
    }
}
