//! Writes the log to standard error without ever waiting: a pipe without a reader, a stopped terminal or a journal that hangs must not stop the one
//! loop (invariant 15).
//!
//! A line is written at once if the kernel takes it at once. In the usual case it is written before anything follows from it, and an agent that is
//! killed right after a line has not lost it. Otherwise the line is queued, and a thread that may wait writes it; the thread is started when it is
//! first needed. When the queue is full, lines are dropped, and counted.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow};
use nix::unistd::write;
use socket2::SockRef;

/// More than the lines of a boot and a drain. A line of any length is accepted while the queue is empty.
const QUEUE_BYTES: usize = 64 * 1024;
/// For the queued lines at the end of the process.
pub const LAST: Duration = Duration::from_secs(1);

static STDERR: OnceLock<Option<LineWriter>> = OnceLock::new();

/// A file descriptor for lines that is never waited for. Clones write to the same one.
#[derive(Clone, Debug)]
pub struct LineWriter(Arc<LogQueue>);

#[derive(Debug)]
struct LogQueue {
    fd: OwnedFd,
    at_once: AtOnce,
    queue: Mutex<Queue>,
    /// A line was queued.
    queued: Condvar,
    /// Nothing is queued any more.
    drained: Condvar,
    dropped: AtomicU64,
    unreported: AtomicU64,
}

/// How a line is written without waiting.
#[derive(Debug)]
enum AtOnce {
    /// A pipe or a terminal, opened a second time: its flags do not affect other processes that share the first descriptor.
    Reopened(File),
    /// journald's socket: each call has the flag not to wait.
    Socket,
    /// A regular file, whose disk can hang, or one that cannot be opened again.
    Never,
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Whether the thread is writing a line.
    writing: bool,
    has_thread: bool,
}

/// The process's standard error; none if it is closed.
pub fn stderr() -> Option<&'static LineWriter> {
    let open = || io::stderr().as_fd().try_clone_to_owned().ok().map(LineWriter::new);
    STDERR.get_or_init(open).as_ref()
}

/// Lines that were dropped since the process began.
pub fn dropped() -> u64 {
    STDERR.get().and_then(Option::as_ref).map_or(0, LineWriter::dropped)
}

/// The lines that were dropped since the last call; zero until the queue is empty.
pub fn unreported() -> u64 {
    STDERR.get().and_then(Option::as_ref).map_or(0, LineWriter::unreported)
}

/// Waits until everything is written, at most for `bound`; returns whether it is.
pub fn flush(bound: Duration) -> bool {
    STDERR.get().and_then(Option::as_ref).is_none_or(|writer| writer.flush_within(bound))
}

impl LineWriter {
    /// Writes to this descriptor.
    pub fn new(fd: OwnedFd) -> Self {
        let at_once = AtOnce::of(&fd);
        Self(Arc::new(LogQueue {
            fd,
            at_once,
            queue: Mutex::default(),
            queued: Condvar::new(),
            drained: Condvar::new(),
            dropped: AtomicU64::new(0),
            unreported: AtomicU64::new(0),
        }))
    }

    /// Takes one line, with its end.
    pub fn put(&self, line: &[u8]) {
        let mut queue = self.0.lock();
        let taken = if queue.is_idle() { self.0.at_once.write(&self.0.fd, line) } else { Ok(0) };
        let rest = match taken {
            Ok(taken) => line.get(taken..).unwrap_or_default(),
            // There is no reader any more.
            Err(_) => return self.0.drop_line(),
        };
        if rest.is_empty() {
            return;
        }
        if !queue.lines.is_empty() && queue.bytes + rest.len() > QUEUE_BYTES {
            return self.0.drop_line();
        }
        queue.bytes += rest.len();
        queue.lines.push_back(rest.to_vec());
        if !queue.has_thread {
            queue.has_thread = self.start_thread();
        }
        self.0.queued.notify_one();
    }

    /// Lines that were dropped.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// The dropped lines since the last call; zero until the queue is empty.
    pub fn unreported(&self) -> u64 {
        if self.0.lock().is_idle() { self.0.unreported.swap(0, Ordering::Relaxed) } else { 0 }
    }

    /// Waits until everything is written, at most for `bound`; returns whether it is.
    pub fn flush_within(&self, bound: Duration) -> bool {
        let waited = self.0.drained.wait_timeout_while(self.0.lock(), bound, |queue| !queue.is_idle());
        waited.unwrap_or_else(PoisonError::into_inner).0.is_idle()
    }

    /// If it fails, the next line tries again.
    fn start_thread(&self) -> bool {
        let shared = self.0.clone();
        // The loop handles the signals: one that is blocked for the next agent must not be delivered here.
        let former = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK);
        let started = thread::Builder::new().name("log".to_owned()).stack_size(64 * 1024).spawn(move || shared.drain());
        if let Ok(former) = former {
            let _ = former.thread_set_mask();
        }
        started.is_ok()
    }
}

impl Write for &LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl LogQueue {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn drop_line(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        self.unreported.fetch_add(1, Ordering::Relaxed);
    }

    /// Writes the queued lines, and waits for as long as that takes.
    fn drain(&self) {
        let mut queue = self.lock();
        loop {
            let Some(line) = queue.lines.pop_front() else {
                self.drained.notify_all();
                queue = self.queued.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            queue.writing = true;
            drop(queue);
            let written = self.write_all(&line);
            queue = self.lock();
            queue.writing = false;
            queue.bytes -= line.len();
            if written.is_err() {
                self.drop_line();
            }
        }
    }

    fn write_all(&self, mut rest: &[u8]) -> io::Result<()> {
        while !rest.is_empty() {
            match write(&self.fd, rest).map_err(io::Error::from) {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Another process made the shared descriptor nonblocking.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let _ = poll(&mut [PollFd::new(self.fd.as_fd(), PollFlags::POLLOUT)], PollTimeout::NONE);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl AtOnce {
    fn of(fd: &OwnedFd) -> Self {
        let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
        let Ok(kind) = std::fs::metadata(&path).map(|metadata| metadata.file_type()) else { return Self::Never };
        if kind.is_socket() {
            return Self::Socket;
        }
        if kind.is_fifo() || kind.is_char_device() {
            let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
            let reopened = OpenOptions::new().append(true).custom_flags(flags).open(path);
            return reopened.map_or(Self::Never, Self::Reopened);
        }
        Self::Never
    }

    /// Writes what fits; returns how many bytes were written.
    fn write(&self, fd: &OwnedFd, line: &[u8]) -> io::Result<usize> {
        let mut taken = 0;
        while let Some(rest) = line.get(taken..).filter(|rest| !rest.is_empty()) {
            let written = match self {
                Self::Reopened(file) => (&mut &*file).write(rest),
                Self::Socket => SockRef::from(fd).send_with_flags(rest, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL),
                Self::Never => break,
            };
            match written {
                Ok(0) => break,
                Ok(written) => taken += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(taken)
    }
}

impl Queue {
    fn is_idle(&self) -> bool {
        self.lines.is_empty() && !self.writing
    }
}

#[cfg(test)]
mod tests;
