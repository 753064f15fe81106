//! The next agent replaces this one in the same process (`execve(2)`): for systemd the service does not stop, and the listener never closes. docs/decisions/0005-handover-in-place.md.

use std::convert::Infallible;
use std::env;
use std::ffi::{CString, NulError, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::unistd::execve;

/// The variables that pass a listener: those of `sd_listen_fds(3)`, and its number if it is not 3, as the crate listenfd reads it.
const PASSED: [&str; 4] = ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_FDS_FIRST_FD"];

/// The next agent cannot be started: this one ends, and systemd starts the service again.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// The listener cannot be passed.
    #[error("cannot pass the listener to the next agent")]
    Listener(#[source] io::Error),
    /// A word of the environment or of the command line cannot be passed.
    #[error("cannot pass the environment to the next agent")]
    Words(#[source] NulError),
    /// The binary does not start.
    #[error("cannot start {}", .0.display())]
    Start(PathBuf, #[source] io::Error),
}

/// Becomes the next agent, with the same arguments and the same environment. Returns only on an error.
///
/// `own` is the path of this agent's binary at its start. If the first argument is an absolute path, it is used instead: it may be a link that a package
/// moves to its next version.
pub fn become_next(own: &Path, listener: Option<impl AsFd>) -> Result<Infallible, HandoverError> {
    let mut environment: Vec<OsString> = Vec::new();
    for (mut name, value) in env::vars_os().filter(|(name, _)| PASSED.iter().all(|passed| name != passed)) {
        name.push("=");
        name.push(value);
        environment.push(name);
    }
    if let Some(listener) = &listener {
        let fd = listener.as_fd();
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty())).map_err(|errno| HandoverError::Listener(errno.into()))?;
        environment.push("LISTEN_FDS=1".into());
        environment.push(format!("LISTEN_PID={}", process::id()).into());
        environment.push(format!("LISTEN_FDS_FIRST_FD={}", fd.as_raw_fd()).into());
    }
    let arguments: Vec<OsString> = env::args_os().collect();
    let called = arguments.first().map(Path::new).filter(|path| path.is_absolute());
    let binary = called.unwrap_or(own).to_owned();

    let path = CString::new(binary.as_os_str().as_bytes()).map_err(HandoverError::Words)?;
    execve(&path, &words(arguments)?, &words(environment)?).map_err(|errno| HandoverError::Start(binary, errno.into()))
}

fn words(words: Vec<OsString>) -> Result<Vec<CString>, HandoverError> {
    words.into_iter().map(|word| CString::new(word.into_vec()).map_err(HandoverError::Words)).collect()
}
