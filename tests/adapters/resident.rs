//! The memory of an agent that only waits: a process of its own with the driver, the machine and all adapters. It polls the
//! metadata and probes the app without the pauses that an agent makes: 3,000 polls are 100 minutes at the default pace.
//! `RESIDENT_POLLS=43200` makes it a day, as `make bench` does.
//!
//! No config allows such short pauses, so the test leads the machine into serve itself, with a config that is made by hand.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use berth::driver::{Channels, Records, drive};
use berth::io::host::metadata_block::MetadataBlock;
use berth::io::host::note::Note;
use berth::io::host::signals::Signals;
use berth::io::host::state_dir::Keeper;
use berth::io::secret::deliver::Delivery;
use berth_config::{Config, Layers, PinnedImage};
use berth_core::clock::Uptime;
use berth_core::machine::Machine;
use berth_core::message::container::{Address, ContainerId, FoundContainer, RunningContainer};
use berth_core::message::effect::Effect;
use berth_core::message::event::Event;
use berth_core::message::identity::Identity;
use berth_core::message::input::Input;
use berth_core::message::job::Job;
use berth_core::view::PhaseName;
use berth_core::view::published::Published;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, mpsc, watch};

/// Names the metadata service, in the process that is measured.
const MEASURED: &str = "BERTH_ADAPTERS_RESIDENT";
/// Another number of polls than `POLLS`.
const POLLS_WANTED: &str = "RESIDENT_POLLS";
/// Polls of the metadata before the second measurement.
const POLLS: usize = 3_000;
/// Before the first: a minute's polls at the default `lifecycle.poll` of 2 s.
const EARLY: usize = 30;
/// Polls for one probe: every 5 s and every 2 s.
const POLLS_PER_PROBE: f64 = 2.5;
/// KiB that may come and go: pages of the allocator, and of code that runs for the first time.
const SLACK: u64 = 256;
/// For all polls, on a machine that is busy.
const LONGEST: Duration = Duration::from_secs(1800);

/// A process that does not outlive the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[derive(Default)]
struct Counts {
    polls: AtomicUsize,
    probes: AtomicUsize,
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "the figures, shown with --nocapture")]
async fn the_agent_is_as_big_after_3_000_polls_as_after_30() {
    if let Ok(base) = std::env::var(MEASURED) {
        return live(&base).await;
    }
    let polls = std::env::var(POLLS_WANTED).map_or(POLLS, |text| text.parse().unwrap());
    let counts = Arc::<Counts>::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let counted = Arc::clone(&counts);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, Arc::clone(&counted)));
        }
    });
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--nocapture", "--exact", "resident::the_agent_is_as_big_after_3_000_polls_as_after_30"]);
    let mut measured = Killed(command.env(MEASURED, &base).stdout(Stdio::null()).spawn().unwrap());
    let mut after = async |polls: usize| {
        let probes = (polls as f64 / POLLS_PER_PROBE) as usize;
        while counts.polls.load(Ordering::Relaxed) < polls || counts.probes.load(Ordering::Relaxed) < probes {
            assert_eq!(measured.0.try_wait().unwrap(), None, "the agent ended");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        resident(measured.0.id())
    };
    let figures = tokio::time::timeout(LONGEST, async { (after(EARLY).await, after(polls).await) }).await;
    let (early, late) = figures.expect("the agent goes on polling");
    println!("| resident memory after {EARLY} polls of the metadata, after {polls} | {early} KiB | {late} KiB |");
    assert!(late <= early + SLACK, "{early} KiB after {EARLY} polls, {late} KiB after {polls}");
}

/// `VmRSS` of a process, KiB.
fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// A metadata service, and an app beside it, that remember nothing.
async fn answer(stream: TcpStream, counts: Arc<Counts>) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let (status, body) = match head.split_whitespace().nth(1).unwrap_or_default() {
            "/latest/api/token" => ("200 OK", "t0ken"),
            "/2021-07-15/meta-data/autoscaling/target-lifecycle-state" => {
                counts.polls.fetch_add(1, Ordering::Relaxed);
                ("200 OK", "InService")
            }
            "/health" => {
                counts.probes.fetch_add(1, Ordering::Relaxed);
                ("200 OK", "healthy")
            }
            _ => ("404 Not Found", ""),
        };
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The process that is measured: serves until it is killed.
#[expect(clippy::disallowed_methods, reason = "the agent's clock starts here")]
async fn live(base: &str) {
    let mut layers = Layers::new();
    layers.add_words(&["image=r.test/a:1".to_owned(), format!("health={base}/health")]);
    let mut config = layers.resolve().unwrap();
    config.lifecycle.poll = Duration::from_micros(200);
    config.probe.interval = Duration::from_millis(1);
    let machine = serving(config);
    let nowhere = Path::new("/nonexistent");
    let block = MetadataBlock::new(nowhere, base);
    let adapters = crate::whole::bare_adapters(base, "http://127.0.0.1:1", &Delivery::new(nowhere), block);
    let (published, _watched) = watch::channel(Arc::new(Published::default()));
    let ((_tell, reports), (_ask, requests)) = (mpsc::channel(64), mpsc::channel(64));
    let channels =
        Channels { signals: Signals::new().unwrap(), reports, requests, published, feed: broadcast::channel(256).0 };
    let records = Records {
        note: Note::new(nowhere, "drain.json"),
        targets: Note::new(nowhere, "targets.json"),
        releases: Note::new(nowhere, "releases.json"),
        life: Keeper::start(nowhere),
    };
    let end = drive(machine, Arc::new(adapters), channels, &records, Instant::now()).await;
    panic!("the agent ended: {end:?}");
}

/// A machine that serves an app which it found running.
fn serving(config: Config) -> Machine {
    let id = ContainerId("c0ffee".to_owned());
    let running = RunningContainer {
        id: id.clone(),
        address: Address::At([127, 0, 0, 1].into()),
        published: Vec::new(),
        healthcheck: None,
        shim: false,
        running_for: Duration::ZERO,
    };
    let found = FoundContainer {
        id,
        name: config.container_name(),
        fingerprint: Some(config.fingerprint()),
        image: Some(PinnedImage { repository: config.image.name(), digest: format!("sha256:{}", "0".repeat(64)) }),
        running: Some(running),
    };
    let identity = Identity {
        instance_id: "i-0123456789abcdef0".to_owned(),
        region: "us-east-2".to_owned(),
        availability_zone: "us-east-2a".to_owned(),
        account: "123456789012".to_owned(),
        target_state: None,
    };
    let (mut machine, config) = (Machine::new(1, Uptime::ZERO), Arc::new(config));
    for _ in 0..100 {
        if machine.phase() == PhaseName::Serve {
            return machine;
        }
        let Some(effect) = machine.next_effect() else {
            machine.on(&Event::Woke.into(), Uptime::ZERO);
            continue;
        };
        let Effect::Job(ticket, job) = effect else { continue };
        let event = match job {
            Job::Identify => Event::Identified(Arc::new(identity.clone())),
            Job::ReadConfig => Event::ConfigRead(config.clone(), None),
            Job::Listen(_) => Event::Listening,
            Job::PingEngine => Event::EngineAnswered,
            Job::FindContainers { .. } => Event::ContainersFound(vec![found.clone()]),
            Job::FindGroup { .. } => Event::GroupFound(None),
            Job::ProbeApp { .. } => Event::ProbePassed,
            _ => continue, // what an adopted app does not wait for
        };
        machine.on(&Input::Answer(ticket, event), Uptime::ZERO);
    }
    panic!("the machine does not serve: {:?}", machine.view());
}
