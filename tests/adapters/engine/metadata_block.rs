//! `imds=block` on a real engine: a stranger's address behind the host stands in for the metadata service, so that a container's packets
//! are forwarded to it as on an instance.

use std::path::PathBuf;
use std::sync::Arc;

use berth::io::Adapters;
use berth::io::host::metadata_block::MetadataBlock;
use berth_config::{Config, ImdsAccess};
use berth_core::message::container::{ContainerId, Creation};
use berth_core::message::error::ErrorClass;
use berth_core::message::event::{BlockRepair, Event};
use berth_core::message::job::{Job, JobKind, Ticket};
use berth_kit::World;
use bollard::models::{Ipam, IpamConfig, NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest};

use super::bench::{Bench, SLEEP, unique, words};
use super::test_network::{TestNetwork, delete, rules};
use crate::whole::adapters_with;

/// A container's life as the agent leads it, on an instance whose metadata service is in the net.
struct Life {
    world: World,
    bench: Bench,
    net: TestNetwork,
    adapters: Adapters,
    created: Vec<ContainerId>,
}

/// A rule that is left behind would hold others on the same bridge, whatever the test found out.
impl Drop for Life {
    fn drop(&mut self) {
        self.created.iter().flat_map(rules).for_each(|rule| delete(&rule));
    }
}

impl Life {
    /// None where the test is to be left out.
    async fn begin() -> Option<Self> {
        let net = TestNetwork::open()?;
        let world = World::start().await;
        let bench = Bench::new().await;
        let adapters = agent(&world, &bench, &net).await;
        Some(Self { world, bench, net, adapters, created: Vec::new() })
    }

    async fn create(&mut self, edit: impl FnOnce(&mut Config)) -> (Creation, ContainerId) {
        let image = self.bench.image(&["sh", "sleep", "nc", "ping", "ip", "env"], &[], &[SLEEP]).await;
        let creation = self.bench.creation(&image, edit).await;
        self.bench.and_remove(format!("DELETE /containers/{}?force=1&v=1", creation.config.container_name()));
        let created = self.adapters.perform(Ticket(1), Job::CreateContainer(Box::new(creation.clone()))).await;
        let Event::ContainerCreated(id) = created else { panic!("{created}") };
        self.created.push(id.clone());
        (creation, id)
    }

    async fn start(&self, creation: &Creation, id: &ContainerId) -> Event {
        let start = Job::StartContainer { id: id.clone(), config: Arc::clone(&creation.config) };
        self.adapters.perform(Ticket(1), start).await
    }

    /// Creates and starts one.
    async fn run(&mut self, edit: impl FnOnce(&mut Config)) -> ContainerId {
        let (creation, id) = self.create(edit).await;
        let started = self.start(&creation, &id).await;
        assert!(matches!(started, Event::ContainerStarted(_)), "{started}");
        id
    }

    async fn remove(&self, id: &ContainerId) {
        let remove = Job::RemoveContainer { id: id.clone(), timeout: std::time::Duration::ZERO };
        assert_eq!(self.adapters.perform(Ticket(1), remove).await, Event::ContainerRemoved);
        assert_eq!(rules(id), [""; 0]);
    }

    async fn exec(&self, id: &ContainerId, script: &str) -> bool {
        self.world.engine.exec(&id.0, &["sh", "-c", script]).await.0 == 0
    }

    /// Whether the container gets there, by TCP; on a busy machine that takes a while.
    async fn reaches(&self, id: &ContainerId, address: &str) -> bool {
        self.exec(id, &format!("nc -w 20 {address} 80 < /dev/null")).await
    }

    /// Whether nothing comes back from there.
    async fn is_kept_from(&self, id: &ContainerId, address: &str) -> bool {
        !self.exec(id, &format!("nc -w 3 {address} 80 < /dev/null")).await
    }

    /// What the next agent on this instance does first.
    async fn look_after(&self) {
        let next = agent(&self.world, &self.bench, &self.net).await;
        let find = Job::FindContainers { name: unique("none"), instance_id: super::bench::identity().instance_id };
        let found = next.perform(Ticket(1), find).await;
        assert!(matches!(found, Event::ContainersFound(_)), "{found}");
    }

    /// What the agent does every few seconds: what it put back.
    async fn check(&self) -> BlockRepair {
        let checked = self.adapters.perform(Ticket(1), Job::CheckMetadataBlock).await;
        let Event::MetadataBlockChecked(repair) = checked else { panic!("{checked}") };
        repair
    }

    /// The note of the blocked containers.
    fn notes(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.world.run_dir().join("imds"));
        entries.into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
    }
}

async fn agent(world: &World, bench: &Bench, net: &TestNetwork) -> Adapters {
    let block = MetadataBlock::new(&world.run_dir(), &format!("http://{}", net.metadata));
    adapters_with(world, &bench.delivery, block).await
}

fn block(config: &mut Config) {
    config.imds = ImdsAccess::Block;
}

#[tokio::test]
async fn a_blocked_container_has_no_moment_with_the_metadata_and_everything_else() {
    let Some(mut life) = Life::begin().await else { return };
    let first_act = format!("nc -w 3 {} 80 < /dev/null && echo open || echo closed; sleep 600", life.net.metadata);
    let acts = |config: &mut Config| config.command = Some(words(&["sh", "-c", &first_act]));
    let free = life.run(acts).await;
    life.bench.says(&free, "open").await;
    assert_eq!(rules(&free), [""; 0]);
    assert_eq!(life.notes(), Vec::<PathBuf>::new(), "nobody looks at the packet filter for a container that may");
    life.remove(&free).await;

    let id = life
        .run(|config| {
            acts(config);
            block(config);
        })
        .await;
    life.bench.says(&id, "closed").await;
    let (metadata, other) = (life.net.metadata.clone(), life.net.other.clone());
    assert!(life.reaches(&id, &other).await);
    assert!(life.exec(&id, &format!("ping -c 1 -w 10 {other}")).await);
    assert!(!life.exec(&id, &format!("ping -c 1 -w 2 {metadata}")).await, "no protocol at all");
    assert!(std::net::TcpStream::connect((metadata.as_str(), 80)).is_ok(), "the host goes on as ever");
    assert!(life.exec(&id, "[ \"$AWS_EC2_METADATA_DISABLED\" = true ]").await);

    let standing = rules(&id);
    for address in ["169.254.169.254/32", &format!("{metadata}/32"), "fd00:ec2::254/128"] {
        let of_it = standing.iter().filter(|rule| rule.contains(&format!("-d {address} -i docker0"))).count();
        assert_eq!(of_it, 1, "{address} in {standing:?}");
    }
    assert_eq!(standing.len(), 3, "{standing:?}");
    life.remove(&id).await;
    assert_eq!(life.notes(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn no_process_in_the_container_gets_around_it_by_another_address() {
    let Some(mut life) = Life::begin().await else { return };
    let id = life
        .run(|config| {
            block(config);
            config.cap_add = words(&["NET_ADMIN"]);
        })
        .await;
    // An address that nobody has been given yet: the engine counts up from the first one.
    let (third, fourth) = (fastrand::u8(200..), fastrand::u8(1..255));
    let other = format!(
        "set -- $(ip route show default); address=${{3%.*.*}}.{third}.{fourth}/16; ip link set eth0 down && \
         ip link set eth0 address 02:42:be:47:{third:02x}:{fourth:02x} && ip link set eth0 up && ip addr flush dev eth0 && \
         ip addr add $address dev eth0 && ip route add default via $3"
    );
    assert!(life.exec(&id, &other).await);
    let (metadata, other) = (life.net.metadata.clone(), life.net.other.clone());
    assert!(life.reaches(&id, &other).await);
    assert!(life.is_kept_from(&id, &metadata).await);
    life.remove(&id).await;
}

#[tokio::test]
async fn on_a_network_of_its_own_it_holds_for_both_versions_of_ip() {
    let Some(mut life) = Life::begin().await else { return };
    let name = unique("berth-adapters-six");
    let subnet = life.net.network6.clone();
    let request = NetworkCreateRequest {
        name: name.clone(),
        enable_ipv6: Some(true),
        ipam: Some(Ipam {
            config: Some(vec![IpamConfig { subnet: Some(subnet), ..Default::default() }]),
            ..Default::default()
        }),
        ..Default::default()
    };
    life.bench.docker.create_network(request).await.unwrap();
    life.bench.and_remove(format!("DELETE /networks/{name}"));
    let network = Some(name);

    let free = life.run(|config| config.network.clone_from(&network)).await;
    let TestNetwork { metadata, metadata6, other, other6, .. } = &life.net;
    let (of_metadata, others) = ([metadata.clone(), metadata6.clone()], [other.clone(), other6.clone()]);
    for address in of_metadata.iter().chain(&others) {
        assert!(life.reaches(&free, address).await, "{address}");
    }
    life.remove(&free).await;

    for endpoint in [0, 1] {
        let block_of =
            MetadataBlock::new(&life.world.run_dir(), &format!("http://{}", bracketed(&of_metadata[endpoint])));
        life.adapters = adapters_with(&life.world, &life.bench.delivery, block_of).await;
        let id = life
            .run(|config| {
                block(config);
                config.network.clone_from(&network);
            })
            .await;
        assert!(life.is_kept_from(&id, &of_metadata[endpoint]).await, "{}", of_metadata[endpoint]);
        for address in others.iter().chain([&of_metadata[1 - endpoint]]) {
            assert!(life.reaches(&id, address).await, "{address}");
        }
        life.remove(&id).await;
    }
}

/// The address as a URL has it.
fn bracketed(address: &str) -> String {
    if address.contains(':') { format!("[{address}]") } else { address.to_owned() }
}

#[tokio::test]
async fn the_next_agent_finds_every_rule_once_and_sets_what_is_missing() {
    let Some(mut life) = Life::begin().await else { return };
    let id = life.run(block).await;
    let before = rules(&id);
    life.look_after().await;
    assert_eq!(rules(&id), before, "no rule twice");

    let gone = before.iter().find(|rule| rule.contains(&life.net.metadata)).unwrap();
    delete(gone);
    let metadata = life.net.metadata.clone();
    assert!(life.reaches(&id, &metadata).await);
    life.look_after().await;
    assert!(life.is_kept_from(&id, &metadata).await);
    assert_eq!(rules(&id).len(), before.len());
    life.remove(&id).await;
}

#[tokio::test]
async fn rules_without_their_container_are_gone_with_the_next_agent() {
    let Some(mut life) = Life::begin().await else { return };
    let id = life.run(block).await;
    life.world.engine.remove(&id.0).await;
    assert_eq!(rules(&id).len(), 3);
    life.look_after().await;
    assert_eq!(rules(&id), [""; 0]);
    assert_eq!(life.notes(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_container_that_was_stopped_is_held_when_it_is_started_again() {
    let Some(mut life) = Life::begin().await else { return };
    let (creation, id) = life.create(block).await;
    assert!(matches!(life.start(&creation, &id).await, Event::ContainerStarted(_)));
    let stop = Job::StopContainer { id: id.clone(), timeout: std::time::Duration::ZERO, for_good: true };
    assert_eq!(life.adapters.perform(Ticket(1), stop).await, Event::ContainerStopped);
    let standing = rules(&id);
    assert_eq!(standing.len(), 3, "a start by hand starts it blocked");
    standing.iter().for_each(|rule| delete(rule));
    assert!(matches!(life.start(&creation, &id).await, Event::ContainerStarted(_)));
    assert_eq!(rules(&id).len(), 3);
    let metadata = life.net.metadata.clone();
    assert!(life.is_kept_from(&id, &metadata).await);
    life.remove(&id).await;
}

#[tokio::test]
async fn rules_that_somebody_removes_while_the_app_runs_are_set_again_once() {
    let Some(mut life) = Life::begin().await else { return };
    assert!(life.check().await.is_nothing(), "nobody is held");
    let (id, metadata) = (life.run(block).await, life.net.metadata.clone());
    assert!(life.check().await.is_nothing());
    rules(&id).iter().for_each(|rule| delete(rule));
    assert!(life.reaches(&id, &metadata).await);
    // Two at once, and a start beside them, set no rule twice.
    let (one, other) = tokio::join!(life.check(), life.check());
    assert_eq!(one.bridges.union(&other.bridges).collect::<Vec<_>>(), ["docker0"]);
    assert!(one.is_nothing() || other.is_nothing());
    assert!(life.is_kept_from(&id, &metadata).await);
    assert_eq!(rules(&id).len(), 3);
    assert!(life.check().await.is_nothing());

    life.world.engine.remove(&id.0).await;
    assert!(life.check().await.is_nothing());
    assert_eq!(rules(&id), [""; 0], "a container that is gone is not blocked");
    assert_eq!(life.notes(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_container_that_somebody_connects_to_another_network_is_blocked_there_too() {
    let Some(mut life) = Life::begin().await else { return };
    let (id, metadata, other) = (life.run(block).await, life.net.metadata.clone(), life.net.other.clone());
    let network = unique("berth-adapters-second");
    let request = NetworkCreateRequest { name: network.clone(), ..Default::default() };
    let bridge = format!("br-{}", &life.bench.docker.create_network(request).await.unwrap().id[..12]);
    life.bench.and_remove(format!("DELETE /networks/{network}"));
    // The engine leads its packets through whatever is left.
    let connect = NetworkConnectRequest { container: id.0.clone(), ..Default::default() };
    life.bench.docker.connect_network(&network, connect).await.unwrap();
    let disconnect = NetworkDisconnectRequest { container: id.0.clone(), force: Some(true) };
    life.bench.docker.disconnect_network("bridge", disconnect).await.unwrap();
    assert!(life.reaches(&id, &metadata).await);
    assert!(life.check().await.bridges.iter().eq([&bridge]));
    assert!(life.is_kept_from(&id, &metadata).await);
    assert!(life.reaches(&id, &other).await);
    assert_eq!(rules(&id).iter().filter(|rule| rule.contains(&bridge)).count(), 3);
    life.remove(&id).await;
}

#[tokio::test]
async fn where_nothing_could_hold_it_a_container_is_not_started() {
    let Some(mut life) = Life::begin().await else { return };
    let holder = life.run(|_| {}).await;
    for (network, says) in [("host".to_owned(), "\"host\""), (format!("container:{}", holder.0), "another container's")]
    {
        let (creation, id) = life
            .create(|config| {
                block(config);
                config.network = Some(network);
            })
            .await;
        let refused = life.start(&creation, &id).await;
        let Event::Failed(JobKind::StartContainer, error) = refused else { panic!("{refused}") };
        assert_eq!(error.class, ErrorClass::Misconfigured, "{error}");
        assert!(error.reason.contains("cannot enforce imds=block") && error.reason.contains(says), "{error}");
        assert_eq!(life.bench.inspect(&id).await.state.unwrap().running, Some(false));
    }
    let without = life
        .run(|config| {
            block(config);
            config.network = Some("none".to_owned());
        })
        .await;
    assert_eq!(rules(&without), [""; 0], "it has no way to anybody");
}
