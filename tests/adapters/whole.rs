//! All adapters over a world of the kit's, for effects that need more than one service.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use berth::io::aws::Aws;
use berth::io::aws::imds::Imds;
use berth::io::host::console::Console;
use berth::io::host::metadata_block::MetadataBlock;
use berth::io::http::Http;
use berth::io::listen::readiness::ReadinessEndpoint;
use berth::io::releases::KeptReleases;
use berth::io::secret::deliver::Delivery;
use berth::io::{Adapters, ConfigSources, Parts};
use berth_core::message::event::Event;
use berth_core::message::job::{Job, Ticket};
use berth_core::view::published::Published;
use berth_kit::World;
use tokio::sync::{mpsc, watch};

/// The adapters as a process of the agent has them, with an identity.
pub(crate) async fn adapters(world: &World, delivery: &Delivery) -> Adapters {
    let block = MetadataBlock::new(&world.run_dir(), &world.imds.endpoint());
    adapters_with(world, delivery, block).await
}

/// The same, which keeps containers from other addresses.
pub(crate) async fn adapters_with(world: &World, delivery: &Delivery, block: MetadataBlock) -> Adapters {
    let adapters = bare_adapters(&world.imds.endpoint(), &world.aws.endpoint(), delivery, block);
    let identified = adapters.perform(Ticket(1), Job::Identify).await;
    assert!(matches!(identified, Event::Identified(_)), "{identified}");
    adapters
}

/// Those of an instance with a config: the file of the world, its user-data, and the releases in its run directory.
pub(crate) async fn following(world: &World) -> Adapters {
    let (metadata, aws) = (world.imds.endpoint(), world.aws.endpoint());
    let (delivery, block) = (Delivery::new(&world.run_dir()), MetadataBlock::new(&world.run_dir(), &metadata));
    std::fs::create_dir_all(world.run_dir()).unwrap();
    world.ami_defaults("");
    let parts = Parts {
        sources: ConfigSources { file: world.config_file(), file_is_required: true, words: Vec::new() },
        releases: KeptReleases::new(&world.run_dir()),
        ..parts(&metadata, &aws, &delivery, block)
    };
    let adapters = Adapters::new(parts);
    let identified = adapters.perform(Ticket(1), Job::Identify).await;
    assert!(matches!(identified, Event::Identified(_)), "{identified}");
    adapters
}

/// One that was asked nothing yet.
pub(crate) fn bare_adapters(metadata: &str, aws: &str, delivery: &Delivery, block: MetadataBlock) -> Adapters {
    Adapters::new(parts(metadata, aws, delivery, block))
}

fn parts(metadata: &str, aws: &str, delivery: &Delivery, block: MetadataBlock) -> Parts {
    let http = Http::default();
    let imds = Imds::at(&metadata.parse().unwrap(), http.clone());
    let aws = aws.to_owned();
    let env = move |name: &str| (name == "AWS_ENDPOINT_URL").then(|| aws.clone());
    let (_, published) = watch::channel(Arc::new(Published::default()));
    Parts {
        aws: Aws::new(http, imds.clone(), &env),
        block,
        imds,
        engine: crate::engine::engine(),
        delivery: delivery.clone(),
        console: Console { path: PathBuf::from("/dev/null") },
        sources: ConfigSources { file: PathBuf::new(), file_is_required: false, words: Vec::new() },
        releases: KeptReleases::new(Path::new("/dev/shm/berth-tests-keep-none")),
        binary: Path::new(env!("CARGO_BIN_EXE_berth")).to_owned(),
        endpoint: ReadinessEndpoint::open(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), published),
        reports: mpsc::channel(64).0,
    }
}
