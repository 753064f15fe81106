//! As much of systemd as an agent that is replaced needs: the socket for `sd_notify(3)` with its file descriptor store, and
//! the start of the next agent with what is stored (`sd_listen_fds(3)`).

use std::fs::File;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use tempfile::TempDir;

/// `FileDescriptorStoreMax=` of a unit without a store.
pub const NO_STORE: usize = 0;

/// `LISTEN_PID` must be the agent's own pid, which is known only in its process; stdin is where `Command` can put a file
/// descriptor without a line of unsafe.
const PASS: &str = r#"export LISTEN_PID=$$; exec "$@" 3<&0 0</dev/null"#;

/// The end of the thread; no agent says so.
const END: &[u8] = b"X_END=1";

/// The service manager.
pub struct Systemd {
    directory: TempDir,
    store: Arc<Mutex<Vec<(String, OwnedFd)>>>,
    heard: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl Systemd {
    /// With a store of so many file descriptors.
    pub fn start(store_max: usize) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let socket = UnixDatagram::bind(directory.path().join("notify")).expect("a socket");
        let store = Arc::<Mutex<Vec<_>>>::default();
        let heard = Arc::<Mutex<Vec<_>>>::default();
        let (kept, noted) = (Arc::clone(&store), Arc::clone(&heard));
        let thread = std::thread::spawn(move || listen(&socket, store_max, &kept, &noted));
        Self { directory, store, heard, thread: Some(thread) }
    }

    /// The names of what is stored.
    pub fn stored(&self) -> Vec<String> {
        self.store.lock().unwrap().iter().map(|(name, _)| name.clone()).collect()
    }

    /// Every message so far, each of one or more lines `NAME=value`.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    pub(crate) fn notify_socket(&self) -> PathBuf {
        self.directory.path().join("notify")
    }

    /// The command as systemd starts it, and its stdin: with what is stored.
    ///
    /// # Panics
    /// If more than one file descriptor is stored.
    pub(crate) fn pass(&self, agent: Command) -> (Command, Stdio) {
        let store = self.store.lock().unwrap();
        let Some((name, fd)) = store.first() else { return (agent, Stdio::null()) };
        assert_eq!(store.len(), 1, "the agent has one listener");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", PASS, "sh"]).arg(agent.get_program()).args(agent.get_args()).env_clear();
        command.envs(agent.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", name).current_dir("/");
        (command, File::from(fd.try_clone().expect("a file descriptor")).into())
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        let sent = UnixDatagram::unbound().and_then(|socket| socket.send_to(END, self.notify_socket()));
        if let (Ok(_), Some(thread)) = (sent, self.thread.take()) {
            let _ = thread.join();
        }
    }
}

fn listen(socket: &UnixDatagram, store_max: usize, store: &Mutex<Vec<(String, OwnedFd)>>, noted: &Mutex<Vec<String>>) {
    loop {
        let (mut text, mut space) = ([0; 4096], [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))]);
        let mut passed = RecvAncillaryBuffer::new(&mut space);
        let heard =
            rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut text)], &mut passed, RecvFlags::CMSG_CLOEXEC);
        let text = String::from_utf8_lossy(&text[..heard.expect("a message").bytes]).into_owned();
        if text.as_bytes() == END {
            return;
        }
        noted.lock().unwrap().push(text.trim().to_owned());
        let says = |line: &str| text.lines().any(|one| one == line);
        let name = text.lines().find_map(|line| line.strip_prefix("FDNAME=")).unwrap_or("stored").to_owned();
        let mut store = store.lock().unwrap();
        if says("FDSTOREREMOVE=1") {
            store.retain(|(stored, _)| *stored != name);
        }
        for message in passed.drain() {
            let RecvAncillaryMessage::ScmRights(fds) = message else { continue };
            for fd in fds.filter(|_| says("FDSTORE=1")) {
                if store.len() < store_max && !store.iter().any(|(_, stored)| same(stored, &fd)) {
                    store.push((name.clone(), fd));
                }
            }
        }
    }
}

/// Whether both are one socket, which is stored once.
fn same(one: &OwnedFd, other: &OwnedFd) -> bool {
    use std::os::fd::AsRawFd as _;
    let socket = |fd: &OwnedFd| std::fs::read_link(Path::new("/proc/self/fd").join(fd.as_raw_fd().to_string()));
    socket(one).is_ok_and(|one| socket(other).is_ok_and(|other| one == other))
}
