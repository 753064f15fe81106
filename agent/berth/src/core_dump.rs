//! Prevents core dumps of a process that holds secrets: a core file is a copy of its memory on disk.
//!
//! It takes two settings. A limit of 0 prevents a file, but where `core_pattern` is a pipe (systemd-coredump,
//! apport) the kernel ignores the limit (`core(5)`). A process that is not dumpable has no dump in either way
//! (`PR_SET_DUMPABLE`, `prctl(2)`), and only a process with CAP_SYS_PTRACE can read its memory. `execve` makes it dumpable again,
//! so every program that berth becomes or starts has the kernel's default.

use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

/// The limit of core files that the process was started with, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoreLimit {
    soft: rlim_t,
    hard: rlim_t,
}

/// Forbids core dumps of this process and of the programs that it starts.
///
/// # Errors
/// The kernel refused one setting; the other is set.
pub fn forbid() -> nix::Result<()> {
    let dumpable = prctl::set_dumpable(false);
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    dumpable
}

/// Forbids core dumps until `execve`; [`allow`] restores the limit for the next program.
///
/// # Errors
/// As for [`forbid`].
pub fn suspend() -> nix::Result<CoreLimit> {
    let dumpable = prctl::set_dumpable(false);
    let (soft, hard) = getrlimit(Resource::RLIMIT_CORE)?;
    setrlimit(Resource::RLIMIT_CORE, 0, hard)?;
    dumpable.map(|()| CoreLimit { soft, hard })
}

/// Restores the limit, right before `execve`. Until then this process stays not dumpable.
///
/// # Errors
/// The kernel refused the limit.
pub fn allow(limit: CoreLimit) -> nix::Result<()> {
    setrlimit(Resource::RLIMIT_CORE, limit.soft, limit.hard)
}
