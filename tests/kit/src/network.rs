//! A network of a test's own: a network namespace with nothing but loopback, on which it has the addresses that the test names. Nobody
//! else can reach it or be reached from it, so a test may ask 169.254.169.254 there, and it is gone with the test, however that ends.

use std::fs::File;
use std::io::ErrorKind;
use std::net::{Ipv6Addr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, setns, unshare};
use tokio::runtime::Builder;

use crate::{clock, needs};

/// This thread's network namespace (network_namespaces(7)).
const NAMESPACE: &str = "/proc/thread-self/ns/net";
/// For the kernel to have an address ready, and how often it is looked at.
const PATIENCE: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(2);

/// The network that the test came from, where the engine is.
#[derive(Clone, Debug)]
pub struct Outside(Arc<OwnedFd>);

/// Runs a test in a network of its own, on a thread of its own: what it starts, and what it asks, is in there too. `words` are commands
/// of ip(8) that make the network.
///
/// # Panics
/// As the test does.
#[track_caller]
pub fn alone<T: AsyncFnOnce(Outside) + Send + 'static>(words: &[&str], test: T) {
    if !needs::root("has a network namespace of its own") {
        return;
    }
    let outside = Outside(Arc::new(namespace()));
    let words: Vec<String> = words.iter().map(|words| (*words).to_owned()).collect();
    let name = thread::current().name().unwrap_or("alone").to_owned();
    let runs = thread::Builder::new().name(name).spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace of its own");
        words.iter().for_each(|words| ip(words));
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(test(outside));
    });
    if let Err(panic) = runs.expect("a thread").join() {
        std::panic::resume_unwind(panic);
    }
}

/// Changes the network that this thread is in.
///
/// # Panics
/// If ip(8) refuses.
pub fn ip(words: &str) {
    let ran = Command::new("ip").args(words.split(' ')).output().expect("ip(8)");
    assert!(ran.status.success(), "ip {words}: {}", String::from_utf8_lossy(&ran.stderr));
    let words: Vec<&str> = words.split(' ').collect();
    match words[..] {
        ["link", "set", "lo", "up"] => wait_for(Ipv6Addr::LOCALHOST),
        ["address", "add", address, ..] => {
            if let Ok(address) = address.split('/').next().unwrap_or_default().parse() {
                wait_for(address);
            }
        }
        _ => {}
    }
}

/// Waits until an IPv6 address is this host's to the last: the kernel sets its routes one by one, some time after the address.
fn wait_for(address: Ipv6Addr) {
    let began = clock::now();
    // Nobody listens there, and only this host itself says so.
    while TcpStream::connect((address, 1)).is_err_and(|error| error.kind() != ErrorKind::ConnectionRefused) {
        assert!(clock::now() < began + PATIENCE, "{address} has no route");
        thread::park_timeout(TICK);
    }
}

impl Outside {
    /// Does it out there: a socket stays in the network that it was opened in.
    pub(crate) fn enter<T>(&self, act: impl FnOnce() -> T) -> T {
        let inside = namespace();
        setns(&*self.0, CloneFlags::CLONE_NEWNET).expect("the network that the test came from");
        let done = act();
        setns(inside.as_fd(), CloneFlags::CLONE_NEWNET).expect("the network of the test");
        done
    }
}

fn namespace() -> OwnedFd {
    File::open(NAMESPACE).expect(NAMESPACE).into()
}
