//! An instance whose only way to AWS is a proxy, Debian's squid, which alone knows AWS's name here; and AWS behind a CA that no host trusts.

use std::io::{Seek as _, Write as _};
use std::net::SocketAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use berth_kit::agent::Launch;
use berth_kit::proxy::{ENCODED, PASSWORD, Proxy, TlsFront, USERNAME};
use berth_kit::{Agent, World};

use crate::commands::{err, out};
use crate::{BERTH, SOON};

const NAME: &str = "aws.berth.test";

/// An instance that needs every service, and AWS behind TLS under a name of its own.
struct Subnet {
    world: World,
    aws: TlsFront,
}

impl Subnet {
    async fn start() -> Self {
        let world = World::builder().private_registry().start().await;
        world.secrets.put("prod/api", r#"{"KEY":"value"}"#);
        let aws = TlsFront::start(NAME, behind(&world)).await;
        Self { world, aws }
    }

    /// What the instance runs.
    fn keys(&self) -> String {
        let image = self.world.app_image().by_tag();
        format!("image={image} port=0:8080 health=/health registry_auth=ecr secrets=prod/api drain.settle=0s")
    }

    fn bundle(&self) -> &str {
        self.aws.certificate.pem.to_str().unwrap()
    }

    /// The agent, with AWS by its name.
    fn launcher(&self) -> Launch<'_> {
        self.world.launcher(BERTH.as_ref()).env("AWS_ENDPOINT_URL", self.aws.url())
    }

    /// A tunnel to AWS, as the proxy's log has it.
    fn tunnel(&self, user: &str) -> String {
        format!("CONNECT {NAME}:{} 200 {user}", self.aws.address.port())
    }

    /// A whole life: ready, and away on SIGTERM.
    async fn lives(&self, agent: &Agent) {
        agent.ready_within(SOON).await;
        agent.signal("TERM");
        assert_eq!(agent.exit_within(SOON).await, 0, "{}", agent.log_text());
        for call in ["secretsmanager ", "ecr GetAuthorizationToken", "autoscaling CompleteLifecycleAction CONTINUE"] {
            assert!(self.world.journal.text().contains(call), "no {call} in {}", self.world.journal.text());
        }
    }
}

fn behind(world: &World) -> SocketAddr {
    world.aws.endpoint().strip_prefix("http://").unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_boot_through_the_proxy_of_the_environment() {
    let subnet = Subnet::start().await;
    let proxy = Proxy::open(&[subnet.aws.named()]).await;
    subnet.world.user_data(&format!("berth {}", subnet.keys()));
    let launcher = || subnet.launcher().env("AWS_CA_BUNDLE", subnet.bundle());
    let agent = launcher().env("HTTPS_PROXY", proxy.url()).env("HTTP_PROXY", proxy.url()).start().await;
    subnet.lives(&agent).await;
    // Nothing else was asked of it: neither the metadata nor the app.
    let tunnels = proxy.asked(|requests| requests.len() > 1).await;
    assert!(tunnels.iter().all(|request| *request == subnet.tunnel("-")), "{tunnels:#?}");

    // The control: the same without it, and nobody is reached.
    let asked = |world: &World| world.journal.text().matches("secretsmanager ").count();
    let (before, tunnels) = (asked(&subnet.world), proxy.requests().len());
    let agent = launcher().arg("boot.timeout=2s").start().await;
    agent.phase_within("failing", SOON).await;
    assert!(agent.log_text().contains(&format!("cannot reach {}", subnet.aws.url())), "{}", agent.log_text());
    assert_eq!((asked(&subnet.world), proxy.requests().len()), (before, tunnels));
}

#[tokio::test]
async fn a_boot_through_a_proxy_with_a_password_that_the_config_names_and_that_is_seen_nowhere() {
    let subnet = Subnet::start().await;
    let world = &subnet.world;
    let proxy = Proxy::with_password(&[subnet.aws.named()]).await;
    // Known before anything is asked for: by the AMI, and by the line.
    world.ami_defaults(&format!("ca_bundle = '{}'\n", subnet.bundle()));
    world.parameters.put("/berth/web", &format!("berth {}", subnet.keys()));
    let user_data = format!("berth config=ssm:/berth/web https_proxy={}", proxy.url_with_login());
    world.user_data(&user_data);
    let agent = subnet.launcher().start().await;
    agent.ready_within(SOON).await;
    let mut seen = vec![agent.status().await.to_string(), agent.http("/metrics").await.text()];
    for words in [&["check", "-"][..], &["check", "--json", "--all", "-"], &["status"], &["doctor"], &["timeline"]] {
        let output = berth(&subnet, words, &user_data).await;
        seen.extend([out(&output), err(&output)]);
    }
    let doctor = &seen[seen.len() - 4];
    let route = format!("{}, through the proxy {} (https_proxy)", subnet.aws.url(), proxy.url());
    assert!(doctor.contains(&route) && doctor.contains(" (ca_bundle), and not the host's"), "{doctor}");
    seen.push(world.engine.inspect(&world.container()).await.unwrap().to_string());
    subnet.lives(&agent).await;
    seen.extend([agent.log_text(), world.console_text(), world.journal.text()]);
    seen.extend(files(&world.state_dir()));
    let login = BASE64_STANDARD.encode(format!("{USERNAME}:{PASSWORD}"));
    for secret in [PASSWORD, ENCODED, &login] {
        assert_eq!(seen.iter().find(|text| text.contains(secret)), None, "{secret} is seen");
    }
    let tunnels = proxy.asked(|requests| requests.len() > 1).await;
    assert!(tunnels.iter().all(|request| *request == subnet.tunnel(USERNAME)), "{tunnels:#?}");
}

/// Runs a command in the subnet, with the user-data on standard input.
async fn berth(subnet: &Subnet, words: &[&str], user_data: &str) -> std::process::Output {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(user_data.as_bytes()).unwrap();
    file.rewind().unwrap();
    let mut command = tokio::process::Command::from(subnet.launcher().command());
    command.args(words).stdin(file).kill_on_drop(true);
    tokio::time::timeout(SOON, command.output()).await.expect("the command ends").unwrap()
}

fn files(directory: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let text = |entry: std::fs::DirEntry| {
        String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap_or_default()).into_owned()
    };
    entries.map(text).collect()
}

#[tokio::test]
async fn a_password_that_the_proxy_refuses_ends_the_boot_at_once_and_is_reported_as_the_proxy_s() {
    let subnet = Subnet::start().await;
    let proxy = Proxy::with_password(&[subnet.aws.named()]).await;
    let login = format!("http://{USERNAME}:hunter2@{}", proxy.address);
    let keys = subnet.keys();
    subnet.world.user_data(&format!("berth {keys} https_proxy={login} ca_bundle={}", subnet.bundle()));
    let agent = subnet.launcher().start().await;
    assert_eq!(agent.exit_within(SOON).await, 3, "{}", agent.log_text());
    let host = format!("{NAME}:{}", subnet.aws.address.port());
    let message = format!("the proxy {} refused CONNECT {host} with 407 Proxy Authentication Required", proxy.url());
    for text in [agent.log_text(), subnet.world.console_text()] {
        assert!(text.contains(&message) && !text.contains("hunter2"), "{text}");
    }
    assert!(!subnet.world.journal.text().contains("secretsmanager "), "{}", subnet.world.journal.text());
}

#[tokio::test]
async fn what_config_points_to_changes_the_way_from_there_on() {
    let subnet = Subnet::start().await;
    let [first, second] = [Proxy::open(&[subnet.aws.named()]).await, Proxy::open(&[subnet.aws.named()]).await];
    let world = &subnet.world;
    world.ami_defaults(&format!("https_proxy = '{}'\nca_bundle = '{}'\n", first.url(), subnet.bundle()));
    world.parameters.put("/berth/web", &format!("berth {} https_proxy={}", subnet.keys(), second.url()));
    world.user_data("berth config=ssm:/berth/web");
    let agent = subnet.launcher().start().await;
    subnet.lives(&agent).await;
    // The pointer's one call, and nothing after it.
    first.asked(|requests| requests == [subnet.tunnel("-")]).await;
    second.asked(|requests| requests.len() > 1).await;
}

#[tokio::test]
async fn a_way_that_is_invalid_is_refused_before_anything_is_asked_for() {
    let subnet = Subnet::start().await;
    let world = &subnet.world;
    world.user_data("berth config=ssm:/berth/web https_proxy=proxy:3128 no_proxy=*.internal");
    let agent = world.launch(BERTH.as_ref()).await;
    assert_eq!(agent.exit_within(SOON).await, 2, "{}", agent.log_text());
    let log = agent.log_text();
    assert!(
        log.contains("`https_proxy`: is not the URL of a proxy") && log.contains("`no_proxy`: begins with `*.`"),
        "{log}"
    );
    assert!(!world.journal.text().contains("ssm "), "{}", world.journal.text());

    let agent = world.launcher(BERTH.as_ref()).env("HTTPS_PROXY", "socks5://u:hunter2@proxy:1080").start().await;
    assert_eq!(agent.exit_within(SOON).await, 2, "{}", agent.log_text());
    let log = agent.log_text();
    assert!(log.contains("HTTPS_PROXY is the URL of a SOCKS proxy") && !log.contains("hunter2"), "{log}");
}

#[tokio::test]
async fn a_boot_with_a_ca_bundle_and_none_without_it() {
    let subnet = Subnet::start().await;
    let world = &subnet.world;
    let aws = TlsFront::without_name(behind(world)).await;
    world.user_data(&format!("berth {}", subnet.keys()));
    let launcher = || world.launcher(BERTH.as_ref()).env("AWS_ENDPOINT_URL", aws.url());
    let agent = launcher().env("AWS_CA_BUNDLE", aws.certificate.pem.as_os_str()).start().await;
    subnet.lives(&agent).await;

    let refused = async |launcher: Launch<'_>, message: &str| {
        let agent = launcher.start().await;
        assert_eq!(agent.exit_within(SOON).await, 3, "{}", agent.log_text());
        assert!(agent.log_text().contains(message), "{message} in {}", agent.log_text());
    };
    // The host's CAs do not know it, nor does a bundle of another.
    refused(launcher(), &format!("TLS handshake with {} failed", aws.url())).await;
    refused(launcher().env("AWS_CA_BUNDLE", subnet.bundle()), &format!("TLS handshake with {} failed", aws.url()))
        .await;
    let unreadable = aws.certificate.pem.with_file_name("missing.pem");
    let message = format!("cannot read the CA bundle {} (ca_bundle)", unreadable.display());
    refused(launcher().arg(format!("ca_bundle={}", unreadable.display())), &message).await;
}
