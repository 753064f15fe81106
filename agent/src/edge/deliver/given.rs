//! What a container was given, read back from the tmpfs: the values in place, and those that were in place before. An app that got
//! others by a signal may still write the former ones, and one whose environment they are has them until its end.

use std::io;
use std::path::Path;

use super::{DeliverError, Existing, Given, UNFINISHED, list, make_directory, read_file};
use crate::config::SecretsAs;
use crate::edge::secret::Secret;
use crate::shim;

/// The directory of the former deliveries, each in one of its own that is named by its number.
const FORMER: &str = "former";
/// So many former deliveries are kept: the first, which an environment may be made of, and the newest.
const KEPT: usize = 8;

/// Keeps what is in place, before something else is.
pub(super) fn keep(container: &Path, mounted: &Path) -> Result<(), DeliverError> {
    let former = container.join(FORMER);
    make_directory(&former, 0o700, Existing::Corrected)?;
    let numbers = numbers(&former)?;
    if let [_, second, ..] = numbers[..]
        && numbers.len() >= KEPT
    {
        let path = former.join(second.to_string());
        std::fs::remove_dir_all(&path).map_err(|source| DeliverError::Io { doing: "remove", path, source })?;
    }
    let kept = former.join((numbers.last().copied().unwrap_or_default() + 1).to_string());
    make_directory(&kept, 0o700, Existing::Corrected)?;
    for name in list(mounted)? {
        let path = kept.join(&name);
        // What is put in place next has the name, and not the file.
        std::fs::hard_link(mounted.join(&name), &path).map_err(|source| DeliverError::Io {
            doing: "link",
            path,
            source,
        })?;
    }
    Ok(())
}

/// Everything that the container was given.
pub(super) fn read(container: &Path, mounted: &Path, how: SecretsAs) -> Result<Option<Given>, DeliverError> {
    let Some(mut given) = read_one(mounted, how)? else { return Ok(None) };
    let former = container.join(FORMER);
    let mut next = None;
    for number in numbers(&former)?.into_iter().rev() {
        let Some(one) = read_one(&former.join(number.to_string()), how)? else { continue };
        given.secrets.extend(one.secrets);
        // What came between two that are kept is not known.
        if next.is_none_or(|next| next == number + 1) {
            given.since = given.since.min(one.since);
            next = Some(number);
        }
    }
    Ok(Some(given))
}

/// Of the former deliveries, the oldest first.
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
fn read_one(directory: &Path, how: SecretsAs) -> Result<Option<Given>, DeliverError> {
    let names = match list(directory) {
        Err(DeliverError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        names => names?,
    };
    let changed = |path: &Path| {
        let metadata = std::fs::metadata(path).and_then(|metadata| metadata.modified());
        metadata.map_err(|source| DeliverError::Io { doing: "look at", path: path.to_owned(), source })
    };
    let mut given: Option<Given> = None;
    for name in names.iter().filter_map(|name| name.to_str()).filter(|name| *name != UNFINISHED) {
        let since = changed(&directory.join(name))?;
        let Some(bytes) = read_file(directory, name)? else { continue };
        let given = given.get_or_insert_with(|| Given { secrets: Vec::new(), since });
        given.since = given.since.min(since);
        match how {
            SecretsAs::Env => given.secrets.extend(variables(&bytes)),
            SecretsAs::Files => given.secrets.push((name.to_owned(), Secret::new(&**bytes))),
        }
    }
    // No file at all is a delivery of no value, if the values are files.
    if given.is_none() && how == SecretsAs::Files {
        given = Some(Given { secrets: Vec::new(), since: changed(directory)? });
    }
    Ok(given)
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
    use crate::edge::deliver::Delivery;

    const NAME: &str = "berth-api";

    fn put(delivery: &Delivery, how: SecretsAs, values: &[(&str, &str)]) {
        let secrets = values.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value)));
        delivery.write(NAME, how, &secrets.collect::<BTreeMap<_, _>>()).unwrap();
    }

    fn given(delivery: &Delivery, how: SecretsAs) -> Vec<String> {
        let given = delivery.values(NAME, how).unwrap().expect("values are in place").secrets;
        given.iter().map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value.expose()))).collect()
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
            let mut all = given(&delivery, how);
            all.sort();
            assert_eq!(all, ["A=one", "B=x\n=y"], "the same again is no other delivery");
            let first = delivery.values(NAME, how).unwrap().unwrap().since;
            put(&delivery, how, &[("A", "two")]);
            let mut all = given(&delivery, how);
            all.sort();
            assert_eq!(all, ["A=one", "A=two", "B=x\n=y"]);
            assert_eq!(delivery.values(NAME, how).unwrap().unwrap().since, first);
            delivery.forget(NAME).unwrap();
            assert!(delivery.values(NAME, how).unwrap().is_none());
            drop(directory);
        }
    }

    #[test]
    fn of_many_the_first_and_the_newest_are_kept_and_their_time_is_that_of_the_newest() {
        let (directory, delivery) = on_tmpfs();
        for number in 0..20 {
            put(&delivery, SecretsAs::Env, &[("A", &format!("value {number}"))]);
        }
        let all = given(&delivery, SecretsAs::Env);
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
