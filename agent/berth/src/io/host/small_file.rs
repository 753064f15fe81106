//! Small files that are complete or do not exist: written under another name and renamed, read up to a limit, and always regular files.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::libc;

/// The suffix of a file until it is complete.
const UNFINISHED: &str = ".unfinished";

/// Whether a file must survive a loss of power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durable {
    /// On a disk: flushed, and its directory after it.
    Yes,
    /// In memory.
    No,
}

/// Replaces a file by one that is readable by root only.
pub fn replace(path: &Path, bytes: &[u8], durable: Durable) -> io::Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(UNFINISHED);
    let written = write(Path::new(&aside), bytes, durable).and_then(|()| std::fs::rename(&aside, path));
    if let Err(error) = written {
        let _ = std::fs::remove_file(&aside);
        return Err(error);
    }
    match path.parent() {
        Some(directory) if durable == Durable::Yes => File::open(directory)?.sync_all(),
        _ => Ok(()),
    }
}

fn write(path: &Path, bytes: &[u8], durable: Durable) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    if durable == Durable::Yes { file.sync_all() } else { Ok(()) }
}

/// The bytes of a file, none if it does not exist. It is an error if it is not a regular file, or longer than `most`.
pub fn read(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    // Nonblocking, so that a pipe in its place does not block the reader.
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    if about.len() > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("longer than {most} bytes")));
    }
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Removes a file, and what an unfinished write left; returns whether one existed.
pub fn remove(path: &Path) -> io::Result<bool> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(UNFINISHED);
    let mut was_there = false;
    for file in [path.as_os_str(), &aside] {
        match std::fs::remove_file(file) {
            Ok(()) => was_there = true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(was_there)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_only_root_reads_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        assert_eq!(read(&path, 10).unwrap(), None);
        for (bytes, durable) in [(&b"one"[..], Durable::Yes), (b"two", Durable::No)] {
            replace(&path, bytes, durable).unwrap();
            assert_eq!(read(&path, 10).unwrap().unwrap(), bytes);
        }
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        assert!(remove(&path).unwrap() && !remove(&path).unwrap());
    }

    #[test]
    fn a_write_that_fails_leaves_what_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        replace(&path, b"one", Durable::Yes).unwrap();
        std::fs::create_dir(directory.path().join("file.unfinished")).unwrap();
        replace(&path, b"two", Durable::Yes).unwrap_err();
        assert_eq!(read(&path, 10).unwrap().unwrap(), b"one");
    }

    #[test]
    fn what_is_no_small_file_is_refused_and_nobody_waits_for_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        replace(&path("long"), b"0123456789", Durable::No).unwrap();
        assert_eq!(read(&path("long"), 9).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        mkfifo(&path("pipe"), Mode::from_bits_truncate(0o600)).unwrap();
        read(&path("pipe"), 9).unwrap_err();
        std::fs::create_dir(path("directory")).unwrap();
        read(&path("directory"), 9).unwrap_err();
        std::os::unix::fs::symlink(path("long"), path("link")).unwrap();
        read(&path("link"), 99).unwrap_err();
    }
}
