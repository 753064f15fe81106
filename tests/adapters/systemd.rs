//! What systemd hears on its socket. The process's environment names the socket, so a second process of the same test speaks to it.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::pin::pin;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth::driver::{Channels, Records, drive};
use berth::io::host::metadata_block::MetadataBlock;
use berth::io::host::note::Note;
use berth::io::host::signals::Signals;
use berth::io::host::state_dir::Keeper;
use berth::io::host::systemd;
use berth::io::secret::deliver::Delivery;
use berth_core::clock::Uptime;
use berth_core::machine::Machine;
use berth_core::message::event::Event;
use berth_core::message::job::{Job, Ticket};
use berth_core::view::published::Published;
use berth_kit::World;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::timeout;

use crate::whole::adapters;

/// Set in the process that speaks.
const SPEAKER: &str = "BERTH_ADAPTERS_SPEAKER";

#[tokio::test]
async fn systemd_hears_how_much_longer_the_stop_takes() {
    let world = World::start().await;
    if std::env::var_os(SPEAKER).is_some() {
        let adapters = adapters(&world, &Delivery::new(&world.run_dir())).await;
        for by in [Duration::from_millis(30_500), Duration::from_secs(2 * 3600)] {
            assert_eq!(adapters.perform(Ticket(1), Job::ExtendStop(by)).await, Event::StopExtended);
        }
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let speaker = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "systemd::systemd_hears_how_much_longer_the_stop_takes"])
        .env("NOTIFY_SOCKET", &path)
        .env(SPEAKER, "1")
        .output()
        .unwrap();
    ran_one_test(&speaker);
    let heard = || {
        let mut message = [0; 256];
        let length = socket.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    };
    assert_eq!(heard(), "EXTEND_TIMEOUT_USEC=30500000\n");
    assert_eq!(heard(), "EXTEND_TIMEOUT_USEC=4294967295\n", "the most that fits: it is sent again in time");
}

/// Runs this test once more, in a process to which systemd is the socket at `path`. False in that process.
#[expect(clippy::disallowed_methods, reason = "a bound")]
fn speaks(test: &str, path: &Path) -> bool {
    if std::env::var_os(SPEAKER).is_some() {
        return false;
    }
    let mut speaker = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("systemd::{test}"), "--nocapture"])
        .env("NOTIFY_SOCKET", path)
        .env("WATCHDOG_USEC", (2 * FED_EVERY.as_micros()).to_string())
        .env(SPEAKER, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while speaker.try_wait().unwrap().is_none() {
        if began.elapsed() > Duration::from_secs(60) {
            speaker.kill().unwrap();
        }
        std::thread::yield_now();
    }
    ran_one_test(&speaker.wait_with_output().unwrap());
    true
}

/// A name that no test has would succeed too, and test nothing.
#[track_caller]
fn ran_one_test(speaker: &Output) {
    let printed = String::from_utf8_lossy(&speaker.stdout);
    assert!(speaker.status.success() && printed.contains("1 passed"), "{}: {printed}", speaker.status);
}

/// How often the watchdog wants to be fed in these tests.
const FED_EVERY: Duration = Duration::from_millis(50);

/// How often the watchdog was fed since the last call.
fn fed(socket: &UnixDatagram) -> usize {
    let mut fed = 0;
    let mut message = [0; 1024];
    loop {
        match socket.recv(&mut message) {
            Ok(length) => fed += usize::from(message[..length].starts_with(b"WATCHDOG=1")),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return fed,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the agent's clock starts here")]
async fn the_watchdog_is_fed_by_the_driver_s_loop_alone() {
    let directory = tempfile::tempdir().unwrap();
    if speaks("the_watchdog_is_fed_by_the_driver_s_loop_alone", &directory.path().join("notify")) {
        return;
    }
    let path = std::env::var_os("NOTIFY_SOCKET").unwrap();
    std::fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_nonblocking(true).unwrap();

    let nowhere = Path::new("/nonexistent");
    let block = MetadataBlock::new(nowhere, "http://127.0.0.1:1");
    let adapters =
        crate::whole::bare_adapters("http://127.0.0.1:1", "http://127.0.0.1:1", &Delivery::new(nowhere), block);
    let (published, watched) = watch::channel(Arc::new(Published::default()));
    let ((_tell, reports), (_ask, requests)) = (mpsc::channel(64), mpsc::channel(64));
    let channels =
        Channels { signals: Signals::new().unwrap(), reports, requests, published, feed: broadcast::channel(256).0 };
    tokio::spawn(systemd::follow(watched));
    let records = Records {
        note: Note::new(directory.path(), "drain.json"),
        targets: Note::new(directory.path(), "targets.json"),
        releases: Note::new(directory.path(), "releases.json"),
        life: Keeper::start(directory.path()),
    };
    let mut driver = pin!(drive(Machine::new(1, Uptime::ZERO), Arc::new(adapters), channels, &records, Instant::now()));

    // The driver turns, even if nothing happens.
    let mut times = 0;
    for _ in 0..40 {
        assert!(timeout(FED_EVERY, driver.as_mut()).await.is_err(), "the driver goes on");
        // Read in between, because the queue holds ten datagrams.
        times += fed(&socket);
    }
    assert!((10..=50).contains(&times), "{times} in 40 intervals");

    // The driver stands still, while everything else goes on.
    tokio::time::sleep(FED_EVERY * 20).await;
    assert_eq!(fed(&socket), 0);

    // The driver turns again.
    let again = Instant::now();
    while fed(&socket) == 0 {
        assert!(again.elapsed() < Duration::from_secs(30), "the watchdog is not fed again");
        assert!(timeout(FED_EVERY, driver.as_mut()).await.is_err(), "the driver goes on");
    }
}

#[tokio::test]
async fn a_manager_that_does_not_listen_stops_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let deaf = UnixDatagram::bind(&path).unwrap();
    if speaks("a_manager_that_does_not_listen_stops_nobody", &path) {
        drop(deaf);
        return;
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for _ in 0..2000 {
        systemd::status("serving");
        systemd::feed_watchdog();
        systemd::keep_listener(&listener);
        systemd::extend_timeout(Duration::from_secs(1));
    }
}
