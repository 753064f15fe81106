//! What services say is not on the open endpoint: a word that is nowhere else is put into every service's errors and into
//! `berth drain --reason`. It is on the socket and in the log, so it arrived, and not in an answer that anyone can ask for.

use berth_kit::{Agent, Fault, Image, World};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

use crate::commands::berth;
use crate::steps::until;
use crate::{BERTH, SOON};

/// The word. It may stand in a path, in a name, in JSON and in XML.
const CANARY: &str = "canary-4f53cda18c2baa0c";

/// As a service of AWS, or a registry, that has too many callers: so the boot goes on and asks again.
fn throttled() -> Fault {
    let answer = serde_json::json!({
        "__type": "ThrottlingException",
        "message": format!("{CANARY} arn:aws:iam::123456789012:role/{CANARY}"),
        "errors": [{ "code": "TOOMANYREQUESTS", "message": CANARY }],
    });
    Fault::Says(400, answer.to_string())
}

/// As a service that refuses for good.
fn denied() -> Fault {
    let answer = serde_json::json!({
        "__type": "AccessDeniedException",
        "message": format!("{CANARY} is not authorized"),
        "errors": [{ "code": "DENIED", "message": CANARY }],
    });
    Fault::Says(403, answer.to_string())
}

/// Waits until the agent reports the word where an operator looks, then looks where anyone may look.
async fn is_kept_in(agent: &Agent, phase: &str) {
    agent.phase_within(phase, SOON).await;
    until("the word on the socket", async || agent.status().await["reason"].to_string().contains(CANARY)).await;
    agent.log_within(CANARY, SOON).await;
    stays_quiet(agent).await;
}

async fn stays_quiet(agent: &Agent) {
    for path in ["/ready", "/live", "/version", "/metrics", "/"] {
        let answer = agent.http(path).await;
        assert!(!answer.text().contains(CANARY), "{path} answers {}", answer.text());
    }
}

/// A boot with these words, in which calls like this one are answered so.
async fn boot(calls: &str, fault: Fault, words: &str, phase: &str) {
    let world = World::start().await;
    world.secrets.put("prod/api", r#"{"KEY":"value"}"#);
    world.parameters.put("/prod/one", "1");
    world.fault(calls, fault).always();
    world.user_data(&format!("berth image={} port=0:8080 {words}", world.app_image().by_tag()));
    let agent = world.launch(BERTH.as_ref()).await;
    is_kept_in(&agent, phase).await;
}

#[tokio::test]
async fn what_the_services_of_aws_say_is_not_on_the_open_endpoint() {
    tokio::join!(
        boot("secretsmanager", throttled(), "secrets=prod/api", "boot"),
        boot("secretsmanager", denied(), "secrets=prod/api boot.on_failure=hold", "hold"),
        boot("ssm", throttled(), "secret.ONE=ssm:/prod/one", "boot"),
        boot("ecr", throttled(), "registry_auth=ecr", "boot"),
        boot("ecr", denied(), "registry_auth=ecr boot.on_failure=hold", "hold"),
    );
}

#[tokio::test]
async fn what_a_registry_says_is_not_on_the_open_endpoint() {
    tokio::join!(
        boot("registry GET manifest", denied(), "boot.on_failure=hold", "hold"),
        boot("registry", throttled(), "", "boot"),
    );
}

#[tokio::test]
async fn what_the_metadata_and_the_group_say_is_not_on_the_open_endpoint() {
    // An answer of the metadata is never quoted, so it is not on the socket either.
    let metadata = async {
        let world = World::start().await;
        world.fault("imds GET", Fault::Says(503, CANARY.into())).always();
        let agent = world.launch(BERTH.as_ref()).await;
        until("asked again", async || agent.status().await["steps"][0]["attempts"].as_u64() > Some(1)).await;
        stays_quiet(&agent).await;
    };
    let group = async {
        let world = World::start().await;
        let error = format!(
            "<ErrorResponse><Error><Code>ValidationError</Code><Message>{CANARY}</Message></Error></ErrorResponse>"
        );
        world.fault("autoscaling", Fault::Says(400, error)).always();
        world.user_data(&format!("berth image={} port=0:8080 boot.on_failure=hold", world.app_image().by_tag()));
        let agent = world.launch(BERTH.as_ref()).await;
        is_kept_in(&agent, "hold").await;
    };
    tokio::join!(metadata, group);
}

/// An engine that answers everything with an error of its own.
async fn hostile_engine(socket: UnixListener) {
    let body = serde_json::json!({ "message": format!("{CANARY}: /var/lib/{CANARY}") }).to_string();
    let answer = format!(
        "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    while let Ok((mut stream, _)) = socket.accept().await {
        let answer = answer.clone();
        tokio::spawn(async move {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        });
    }
}

#[tokio::test]
async fn what_the_engine_says_is_not_on_the_open_endpoint() {
    let answers = async {
        let world = World::start().await;
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("engine.sock");
        tokio::spawn(hostile_engine(UnixListener::bind(&socket).unwrap()));
        world.user_data(&format!("berth image={} port=0:8080", world.app_image().by_tag()));
        let host = format!("unix://{}", socket.display());
        let agent = world.launcher(BERTH.as_ref()).env("DOCKER_HOST", host).start().await;
        is_kept_in(&agent, "boot").await;
    };
    let start = async {
        let world = World::start().await;
        let image = world.push("v1", &Image::demo_app().user(CANARY));
        world.user_data(&format!("berth image={} port=0:8080 boot.on_failure=hold", image.by_tag()));
        let agent = world.launch(BERTH.as_ref()).await;
        is_kept_in(&agent, "hold").await;
    };
    tokio::join!(answers, start);
}

#[tokio::test]
async fn what_the_app_writes_is_not_on_the_open_endpoint() {
    let world = World::start().await;
    // The init process in the container writes that there is no such program, and exits.
    let image = world.push("v1", &Image::demo_app().entrypoint(&[&format!("/{CANARY}")]));
    world.user_data(&format!(
        "berth image={} port=0:8080 boot.on_failure=hold restart.limit=1 restart.backoff=10ms",
        image.by_tag()
    ));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.phase_within("hold", SOON).await;
    let written = world.engine.logs(&world.container()).await;
    assert!(written.contains(CANARY), "{written}");
    stays_quiet(&agent).await;
}

#[tokio::test]
async fn what_a_probe_meets_is_not_on_the_open_endpoint() {
    let probe = async |health: String, phase| {
        let world = World::start().await;
        let image = world.app_image().by_tag();
        let end = if phase == "hold" { "probe.start_timeout=8s boot.on_failure=hold" } else { "" };
        world.user_data(&format!("berth image={image} port=0:8080 'health={health}' {end}"));
        let agent = world.launch(BERTH.as_ref()).await;
        is_kept_in(&agent, phase).await;
    };
    tokio::join!(
        probe(format!("/{CANARY}"), "boot"),
        probe(format!("/{CANARY}"), "hold"),
        probe(format!("cmd:/{CANARY}"), "boot"),
    );
}

#[tokio::test]
async fn why_an_operator_drains_is_not_on_the_open_endpoint() {
    let world = World::start().await;
    world.user_data(&format!("berth image={} port=0:8080 drain.settle=10m", world.app_image().by_tag()));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    stays_quiet(&agent).await;
    assert_eq!(berth(&world, &["drain", "--reason", &format!("for {CANARY}")]).await.status.code(), Some(0));
    is_kept_in(&agent, "drain").await;
    let answer = agent.http("/ready").await.json();
    assert_eq!(
        (answer["status"].as_str(), answer["reason"].as_str()),
        (Some("draining"), Some("a drain was requested on the instance"))
    );
}
