//! Images that somebody else made, from a registry that somebody else made: nginx, redis and postgres of Debian's packages.
//!
//! `tests/images` makes them, as `make test` does.

use std::process::Command;

use berth_kit::docker_registry::DockerRegistry;
use berth_kit::registry::Pushed;
use berth_kit::{Agent, World};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::steps::container;
use crate::{BERTH, SOON};

/// Boots one line in a world of its own.
async fn boot(image: &Pushed, words: &str) -> (World, Agent) {
    let world = World::start().await;
    world.ami_defaults("drain = { settle = \"100ms\", idle = \"100ms\" }");
    world.secrets.put("prod/db", &format!(r#"{{"password":"{PASSWORD}"}}"#));
    let volumes = words.replace("VOLUME", &format!("{}-data", world.name));
    world.user_data(&format!("berth image={} name={} {volumes}", image.by_tag(), world.name));
    let agent = world.launch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    world.autoscaling.wait_for_state("InService", SOON).await;
    assert_eq!(container(&world).await["Config"]["Image"], image.by_digest());
    (world, agent)
}

/// The password of the database, as its secret has it.
const PASSWORD: &str = "correct horse battery staple";

/// One registry for all: the images have one layer in common, which takes the engine a while to pack.
#[tokio::test]
async fn nginx_redis_and_postgres_boot_from_one_line_each() {
    let engine = berth_kit::engine::Engine::default();
    let registry = DockerRegistry::open().await;
    let mut pushed = Vec::new();
    for app in ["nginx", "redis", "postgres"] {
        let image = format!("berth-test/{app}:1");
        assert!(
            engine.image(&image).await.is_some(),
            "{image} is not in the engine: run tests/images, as make test does"
        );
        pushed.push(registry.push(&engine, &image, app).await);
    }
    nginx(&pushed[0]).await;
    nginx_on_a_read_only_root(&pushed[0]).await;
    nginx_that_speaks_tls(&pushed[0]).await;
    redis_as_its_own_user(&pushed[1]).await;
    postgres_with_a_volume_and_a_file_secret(&pushed[2]).await;
}

async fn nginx(image: &Pushed) {
    let (_world, agent) = boot(image, "port=0:80 health=/").await;
    let page = agent.app("/").await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("Welcome to nginx"), "{}", page.text());
}

async fn nginx_on_a_read_only_root(image: &Pushed) {
    let line = "port=0:80 health=/ read_only=true tmpfs=/run,/tmp stop_signal=SIGQUIT secret.API_KEY=prod/db#password";
    let (world, agent) = boot(image, line).await;
    assert_eq!(agent.app("/").await.status, 200);
    let written = world.engine.exec(&world.container(), &["touch", "/var/www/html/x"]).await;
    assert!(written.0 != 0 && written.1.contains("Read-only file system"), "{written:?}");
    agent.signal("TERM");
    assert_eq!(agent.exit_within(SOON).await, 0);
    assert_eq!(container(&world).await["State"]["ExitCode"], 0, "its graceful stop");
}

/// With a certificate that it has signed itself, and an answer for one name alone.
async fn nginx_that_speaks_tls(image: &Pushed) {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=app.example.com"])
        .args(["-keyout", &at("key.pem"), "-out", &at("cert.pem")])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let tls = "listen 8443 ssl; ssl_certificate /etc/tls/cert.pem; ssl_certificate_key /etc/tls/key.pem;";
    let servers = format!(
        "server {{ {tls} server_name app.example.com; return 204; }} server {{ {tls} server_name other; return 421; }}"
    );
    std::fs::write(at("tls.conf"), format!("events {{}} http {{ {servers} }}")).unwrap();

    let line = format!(
        "port=0:8443 volumes={}:/etc/tls:ro command='-c /etc/tls/tls.conf -g \"daemon off;\"' health=https:8443/",
        directory.path().display()
    );
    let (world, agent) = boot(image, &format!("{line} probe.host=app.example.com probe.expect=204")).await;
    agent.signal("TERM");
    assert_eq!(agent.exit_within(SOON).await, 0);

    world.user_data(&format!("berth image={} name={} {line} probe.host=other", image.by_tag(), world.name));
    let agent = world.relaunch(BERTH.as_ref()).await;
    agent.log_within("/ answers 421, expected 200-399", SOON).await;
    agent.kill9().await;
}

async fn redis_as_its_own_user(image: &Pushed) {
    let (world, agent) = boot(image, "port=0:6379").await;
    let mut client = TcpStream::connect(agent.app_address().await).await.unwrap();
    client.write_all(b"PING\r\nQUIT\r\n").await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "+PONG\r\n+OK\r\n");
    assert_eq!(world.engine.exec(&world.container(), &["id", "-un"]).await, (0, "redis\n".into()));
}

async fn postgres_with_a_volume_and_a_file_secret(image: &Pushed) {
    let line = "port=0:5432 volumes=VOLUME:/var/lib/postgresql/data secret.POSTGRES_PASSWORD=prod/db#password \
                secrets_as=files stop_signal=SIGINT";
    let (world, agent) = boot(image, line).await;
    let made = psql(&world, PASSWORD, "create table kept as select 42 as answer").await;
    assert_eq!(made, (0, "SELECT 1\n".into()));
    let refused = psql(&world, "a guess", "select 1").await;
    assert!(refused.0 != 0 && refused.1.contains("password authentication failed"), "{refused:?}");
    let first = container(&world).await;
    agent.signal("TERM");
    assert_eq!(agent.exit_within(SOON).await, 0);

    // Another container, the same volume.
    let agent = world.relaunch(BERTH.as_ref()).await;
    agent.ready_within(SOON).await;
    assert_ne!(container(&world).await["Id"], first["Id"]);
    assert_eq!(psql(&world, PASSWORD, "select answer from kept").await, (0, "42\n".into()));
}

/// Logs in over TCP.
async fn psql(world: &World, password: &str, statement: &str) -> (i64, String) {
    let password = format!("PGPASSWORD={password}");
    let command = ["env", &password, "psql", "-h", "127.0.0.1", "-U", "postgres", "-At", "-c", statement];
    world.engine.exec(&world.container(), &command).await
}
