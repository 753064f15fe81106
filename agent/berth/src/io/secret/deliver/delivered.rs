//! The values that a container was given, read back from the tmpfs: the present ones, and the former ones. An app that got new values by a signal may
//! still write the former ones, and a process keeps its environment until its end.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use berth_config::SecretsAs;

use super::files::{DeliverError, Existing, UNFINISHED, list, make_directory, read_file, remove};
use super::parts;
use crate::io::secret::Secret;
use crate::shim;

/// The directory of the former deliveries, each in one of its own that is named by its number.
const FORMER: &str = "former";
/// Former deliveries that are kept: the first, which may be a process's environment, and the newest.
const KEPT: usize = 8;

/// The values that a container was delivered.
pub struct Delivered {
    /// By name.
    pub secrets: Vec<(String, Secret)>,
    /// Since when the container had no others.
    pub since: SystemTime,
}

/// Keeps the present delivery, before it is replaced.
pub(super) fn keep(container: &Path, mounted: &Path) -> Result<(), DeliverError> {
    let former = container.join(FORMER);
    make_directory(&former, 0o700, Existing::Corrected)?;
    let numbers = numbers(&former)?;
    if let [_, second, ..] = numbers[..]
        && numbers.len() >= KEPT
    {
        remove(former.join(second.to_string()))?;
        remove_file(former.join(parts_of(second)))?;
    }
    let number = numbers.last().copied().unwrap_or_default() + 1;
    let kept = former.join(number.to_string());
    make_directory(&kept, 0o700, Existing::Corrected)?;
    // First, so that no value exists without its parts.
    let parts = container.join(parts::FILE);
    if parts.exists() {
        link(&parts, former.join(parts_of(number)))?;
    }
    for name in list(mounted)? {
        link(&mounted.join(&name), kept.join(&name))?;
    }
    Ok(())
}

/// The file of the parts of a former delivery; no directory has such a name.
fn parts_of(number: u32) -> String {
    format!("{number}.{}", parts::FILE)
}

/// A hard link: the next delivery replaces the name, and not the file.
fn link(file: &Path, path: PathBuf) -> Result<(), DeliverError> {
    std::fs::hard_link(file, &path).map_err(|source| DeliverError::Io { doing: "link", path, source })
}

fn remove_file(path: PathBuf) -> Result<(), DeliverError> {
    match std::fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(DeliverError::Io { doing: "remove", path, source })
        }
        _ => Ok(()),
    }
}

/// All values that the container was given.
pub(super) fn read(container: &Path, mounted: &Path, how: SecretsAs) -> Result<Option<Delivered>, DeliverError> {
    let Some(mut delivered) = read_one(mounted, how)? else { return Ok(None) };
    delivered.secrets.extend(parts::read(container, parts::FILE)?);
    let former = container.join(FORMER);
    let mut next = None;
    for number in numbers(&former)?.into_iter().rev() {
        let Some(one) = read_one(&former.join(number.to_string()), how)? else { continue };
        delivered.secrets.extend(one.secrets);
        delivered.secrets.extend(parts::read(&former, &parts_of(number))?);
        // The deliveries between two that are kept are not known.
        if next.is_none_or(|next| next == number + 1) {
            delivered.since = delivered.since.min(one.since);
            next = Some(number);
        }
    }
    Ok(Some(delivered))
}

/// The numbers of the former deliveries, the oldest first.
fn numbers(former: &Path) -> Result<Vec<u32>, DeliverError> {
    let names = match list(former) {
        Err(DeliverError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Vec::new(),
        names => names?,
    };
    let mut numbers: Vec<u32> = names.iter().filter_map(|name| name.to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// The values in one directory, each with its name.
fn read_one(directory: &Path, how: SecretsAs) -> Result<Option<Delivered>, DeliverError> {
    let names = match list(directory) {
        Err(DeliverError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        names => names?,
    };
    let changed = |path: &Path| {
        let metadata = std::fs::metadata(path).and_then(|metadata| metadata.modified());
        metadata.map_err(|source| DeliverError::Io { doing: "look at", path: path.to_owned(), source })
    };
    let mut delivered: Option<Delivered> = None;
    for name in names.iter().filter_map(|name| name.to_str()).filter(|name| *name != UNFINISHED) {
        let since = changed(&directory.join(name))?;
        let Some(bytes) = read_file(directory, name)? else { continue };
        let delivered = delivered.get_or_insert_with(|| Delivered { secrets: Vec::new(), since });
        delivered.since = delivered.since.min(since);
        match how {
            SecretsAs::Env => delivered.secrets.extend(variables(&bytes)),
            SecretsAs::Files => delivered.secrets.push((name.to_owned(), Secret::new(&**bytes))),
        }
    }
    // If the values are files, an empty directory is a delivery of no value.
    if delivered.is_none() && how == SecretsAs::Files {
        delivered = Some(Delivered { secrets: Vec::new(), since: changed(directory)? });
    }
    Ok(delivered)
}

/// `NAME=VALUE` between NULs.
fn variables(file: &[u8]) -> impl Iterator<Item = (String, Secret)> {
    shim::variables(file)
        .map(|(name, value)| (name.to_string_lossy().into_owned(), Secret::new(value.as_encoded_bytes())))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::io::secret::deliver::Delivery;

    const NAME: &str = "berth-api";

    fn put(delivery: &Delivery, how: SecretsAs, values: &[(&str, &str)]) {
        let secrets = values.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value)));
        delivery.write(NAME, how, &secrets.collect::<BTreeMap<_, _>>()).unwrap();
    }

    fn delivered(delivery: &Delivery, how: SecretsAs) -> Vec<String> {
        let delivered = delivery.values(NAME, how).unwrap().expect("values are in place").secrets;
        delivered.iter().map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value.expose()))).collect()
    }

    fn on_tmpfs() -> (tempfile::TempDir, Delivery) {
        let directory = tempfile::Builder::new().prefix("berth-run-").tempdir_in("/dev/shm").unwrap();
        let delivery = Delivery::new(directory.path());
        (directory, delivery)
    }

    #[test]
    fn what_was_in_place_is_known_until_the_container_is_forgotten() {
        for how in [SecretsAs::Env, SecretsAs::Files] {
            let (directory, delivery) = on_tmpfs();
            assert!(delivery.values(NAME, how).unwrap().is_none());
            put(&delivery, how, &[("A", "one"), ("B", "x\n=y")]);
            put(&delivery, how, &[("A", "one"), ("B", "x\n=y")]);
            let mut all = delivered(&delivery, how);
            all.sort();
            assert_eq!(all, ["A=one", "B=x\n=y"], "the same again is no other delivery");
            let first = delivery.values(NAME, how).unwrap().unwrap().since;
            put(&delivery, how, &[("A", "two")]);
            let mut all = delivered(&delivery, how);
            all.sort();
            assert_eq!(all, ["A=one", "A=two", "B=x\n=y"]);
            assert_eq!(delivery.values(NAME, how).unwrap().unwrap().since, first);
            delivery.forget(NAME).unwrap();
            assert!(delivery.values(NAME, how).unwrap().is_none());
            drop(directory);
        }
    }

    #[test]
    fn parts_of_a_value_are_known_as_long_as_the_value() {
        for how in [SecretsAs::Env, SecretsAs::Files] {
            let (directory, delivery) = on_tmpfs();
            let put_url = |password: &str| {
                let parts = ["app", password].map(Secret::new).into();
                let url = Secret::of_parts(format!("app:{password}@db"), parts);
                delivery.write(NAME, how, &BTreeMap::from([("URL".to_owned(), url)])).unwrap();
            };
            put_url("one");
            assert_eq!(delivered(&delivery, how), ["URL=app:one@db", "URL=app", "URL=one"]);
            for password in ["one", "two", "three"] {
                put_url(password);
            }
            let all = delivered(&delivery, how);
            for password in ["one", "two", "three"] {
                assert!(all.contains(&format!("URL={password}")), "{all:?}");
            }
            put(&delivery, how, &[("URL", "plain")]);
            assert_eq!(delivered(&delivery, how).first().map(String::as_str), Some("URL=plain"));
            assert!(delivered(&delivery, how).contains(&"URL=two".to_owned()));
            let mounted = delivery.mounted(NAME, how);
            assert_eq!(list(&mounted).unwrap().len(), 1, "the container gets no part");
            delivery.forget(NAME).unwrap();
            drop(directory);
        }
    }

    #[test]
    fn of_many_the_first_and_the_newest_are_kept_and_their_time_is_that_of_the_newest() {
        let (directory, delivery) = on_tmpfs();
        for number in 0..20 {
            put(&delivery, SecretsAs::Env, &[("A", &format!("value {number}"))]);
        }
        let all = delivered(&delivery, SecretsAs::Env);
        let expected = [19, 18, 17, 16, 15, 14, 13, 12, 0].map(|number| format!("A=value {number}"));
        assert_eq!(all, expected);
        let since = delivery.values(NAME, SecretsAs::Env).unwrap().unwrap().since;
        let of = |number: u32| {
            let path = directory.path().join("secrets").join(NAME).join(FORMER).join(number.to_string()).join("env");
            std::fs::metadata(path).unwrap().modified().unwrap()
        };
        assert_eq!(
            (since, numbers(&directory.path().join("secrets").join(NAME).join(FORMER)).unwrap()[1]),
            (of(13), 13)
        );
    }
}
