//! What systemd hears on its socket. The variable that names it is read from the process's environment, so a second process
//! of this very test says it.

use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

use berth::edge::deliver::Delivery;
use berth::effect::Effect;
use berth::event::Event;
use berth_kit::World;

use crate::whole::edge;

/// Set in the process that speaks.
const SPEAKER: &str = "BERTH_EDGES_EXTENDS_STOP";

#[tokio::test]
async fn systemd_hears_how_much_longer_the_stop_takes() {
    let world = World::start().await;
    if std::env::var_os(SPEAKER).is_some() {
        let edge = edge(&world, &Delivery::new(&world.run_dir())).await;
        for by in [Duration::from_millis(30_500), Duration::from_secs(2 * 3600)] {
            assert_eq!(edge.perform(Effect::ExtendStop(by)).await, Event::StopExtended);
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
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(speaker.success());
    let heard = || {
        let mut message = [0; 256];
        let length = socket.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    };
    assert_eq!(heard(), "EXTEND_TIMEOUT_USEC=30500000\n");
    assert_eq!(heard(), "EXTEND_TIMEOUT_USEC=4294967295\n", "the most that fits: it is said again in time");
}
