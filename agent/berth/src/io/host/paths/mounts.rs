//! Mount points: those in the host's configuration, and those where a file system is mounted.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The directories of administrators and generators for units (systemd.unit(5)). Units of packages, in `/usr/lib`, exist whether they are used or not.
const UNITS: [&str; 6] = [
    "etc/systemd/system",
    "run/systemd/system",
    "run/systemd/transient",
    "run/systemd/generator.early",
    "run/systemd/generator",
    "run/systemd/generator.late",
];

/// The mounts in the namespace of this process.
const MOUNTED: &str = "/proc/self/mountinfo";

/// The mount points of this host. The files are read each time: they change while a host boots.
#[derive(Clone, Debug)]
pub(super) struct Mounts {
    root: PathBuf,
}

impl Mounts {
    pub(super) fn below(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The mount point at or above this path that is configured and not mounted, and the file that configures it.
    pub(super) fn uncovered(&self, path: &Path) -> Option<(PathBuf, PathBuf)> {
        let mut named = self.named();
        named.retain(|(at, _)| path.starts_with(at));
        if named.is_empty() {
            return None;
        }
        let mounted = mounted(&fs::read(MOUNTED).unwrap_or_default());
        named.into_iter().find(|(at, _)| !mounted.contains(at))
    }

    /// Every configured mount point, except `/`.
    fn named(&self) -> Vec<(PathBuf, PathBuf)> {
        let fstab = self.root.join("etc/fstab");
        let of_fstab = in_fstab(&fs::read(&fstab).unwrap_or_default()).into_iter().map(|at| (at, fstab.clone()));
        let of_units = UNITS.iter().flat_map(|directory| units(&self.root.join(directory)));
        let all = of_fstab.chain(of_units).filter(|(at, _)| at.is_absolute() && at.parent().is_some());
        // The configured path may hold a link.
        all.map(|(at, named_by)| (fs::canonicalize(&at).unwrap_or(at), named_by)).collect()
    }
}

/// The mount units of a directory, without masked ones: a link to `/dev/null`, or an empty file.
fn units(directory: &Path) -> Vec<(PathBuf, PathBuf)> {
    let unit = |entry: fs::DirEntry| {
        let at = of_unit(entry.file_name().to_str()?)?;
        let is_masked = fs::metadata(entry.path()).is_ok_and(|about| !about.is_file() || about.len() == 0);
        (!is_masked).then(|| (at, entry.path()))
    };
    fs::read_dir(directory).into_iter().flatten().flatten().filter_map(unit).collect()
}

/// The path that a mount unit's name stands for: `mnt-data.mount` is `/mnt/data` (systemd.unit(5), string escaping).
fn of_unit(name: &str) -> Option<PathBuf> {
    let escaped = name.strip_suffix(".mount")?;
    let mut path = vec![b'/'];
    let mut rest = escaped.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'-', _) => path.push(b'/'),
            (b'\\', [b'x', high, low, after @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                path.push(digit(high)? * 16 + digit(low)?);
                rest = after;
            }
            (byte, _) => path.push(*byte),
        }
    }
    Some(PathBuf::from(OsString::from_vec(path)))
}

/// The second field of each line (fstab(5)).
fn in_fstab(text: &[u8]) -> Vec<PathBuf> {
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii_start().starts_with(b"#"));
    lines.filter_map(|line| field(line, 1)).collect()
}

/// The paths where a file system is mounted (proc_pid_mountinfo(5)); an automount before its first access is not.
fn mounted(text: &[u8]) -> Vec<PathBuf> {
    let mut mounted = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        let mut words = line.split(|byte| *byte == b' ').skip_while(|word| *word != b"-");
        if words.nth(1).is_some_and(|kind| kind != b"autofs") {
            mounted.extend(field(line, 4));
        }
    }
    mounted
}

/// The nth field of a line, without its octal escapes.
fn field(line: &[u8], nth: usize) -> Option<PathBuf> {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let escaped = line.split(is_space).filter(|word| !word.is_empty()).nth(nth)?;
    let mut path = Vec::new();
    let mut rest = escaped;
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                path.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                rest = after;
            }
            (byte, _) => path.push(*byte),
        }
    }
    Some(PathBuf::from(OsString::from_vec(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(list: &[PathBuf]) -> Vec<&str> {
        list.iter().map(|path| path.to_str().unwrap()).collect()
    }

    #[test]
    fn the_name_of_a_unit_is_a_path() {
        for (name, path) in [
            ("mnt-data.mount", "/mnt/data"),
            ("mnt-my\\x2ddata.mount", "/mnt/my-data"),
            ("srv-a\\x20b.mount", "/srv/a b"),
            ("-.mount", "//"),
        ] {
            assert_eq!(of_unit(name), Some(PathBuf::from(path)), "{name}");
        }
        for name in ["mnt-data.automount", "x.service", "a\\xzz.mount"] {
            assert_eq!(of_unit(name), None, "{name}");
        }
    }

    #[test]
    fn fstab_names_mount_points_in_its_second_field() {
        let text = b"# /dev/sda /old\nUUID=1 / ext4 defaults 0 1\n\n/dev/sdb\t/mnt/my\\040data\txfs nofail 0 2\nswap none swap sw\nalone\n";
        assert_eq!(paths(&in_fstab(text)), ["/", "/mnt/my data", "none"]);
    }

    #[test]
    fn what_waits_for_its_first_access_is_not_mounted() {
        let text = b"22 1 259:1 / / rw shared:1 - ext4 /dev/root rw\n\
                     40 22 0:35 / /mnt/lazy rw shared:20 - autofs systemd-1 rw,fd=50\n\
                     41 22 0:36 / /mnt/shared rw shared:21 - autofs systemd-1 rw,fd=51\n\
                     42 41 0:37 / /mnt/shared rw shared:22 - nfs4 server:/ rw\n\
                     43 22 259:2 / /mnt/a\\040b rw - xfs /dev/sdb rw\nnonsense\n";
        assert_eq!(paths(&mounted(text)), ["/", "/mnt/shared", "/mnt/a b"]);
    }

    #[test]
    fn only_what_the_configuration_names_must_be_mounted() {
        let root = tempfile::tempdir().unwrap();
        let (etc, units) = (root.path().join("etc"), root.path().join("etc/systemd/system"));
        fs::create_dir_all(&units).unwrap();
        let mounts = Mounts::below(root.path());
        assert_eq!(mounts.uncovered(Path::new("/mnt/data")), None, "nothing names it");

        fs::write(
            etc.join("fstab"),
            "/dev/sdb /mnt/data xfs nofail 0 2\nproc /proc proc defaults 0 0\n/dev/root / ext4\n",
        )
        .unwrap();
        let found = |path: &str| mounts.uncovered(Path::new(path)).map(|(at, _)| at.display().to_string());
        assert_eq!(found("/mnt/data").as_deref(), Some("/mnt/data"));
        assert_eq!(found("/mnt/data/db/file").as_deref(), Some("/mnt/data"), "it lies on it");
        assert_eq!(
            (found("/mnt"), found("/mnt/database"), found("/proc/self"), found("/srv")),
            (None, None, None, None)
        );

        fs::write(units.join("srv-app.mount"), "[Mount]\nWhat=/dev/sdc\nWhere=/srv/app\n").unwrap();
        fs::write(units.join("srv-empty.mount"), "").unwrap();
        std::os::unix::fs::symlink("/dev/null", units.join("srv-masked.mount")).unwrap();
        assert_eq!(found("/srv/app").as_deref(), Some("/srv/app"));
        assert_eq!((found("/srv/empty"), found("/srv/masked")), (None, None), "masked");
    }
}
