//! What was delivered, read back from the tmpfs.

use std::io;
use std::path::Path;

use super::{DeliverError, Given, UNFINISHED, list, read_file};
use crate::config::SecretsAs;
use crate::edge::secret::Secret;
use crate::shim;

/// The values in one directory, each with its name.
pub(super) fn read(directory: &Path, how: SecretsAs) -> Result<Option<Given>, DeliverError> {
    let names = match list(directory) {
        Err(DeliverError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        names => names?,
    };
    let mut given: Option<Given> = None;
    for name in names.iter().filter_map(|name| name.to_str()).filter(|name| *name != UNFINISHED) {
        let path = directory.join(name);
        let metadata = std::fs::metadata(&path).and_then(|metadata| metadata.modified());
        let since = metadata.map_err(|source| DeliverError::Io { doing: "look at", path, source })?;
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
        let metadata = std::fs::metadata(directory).and_then(|metadata| metadata.modified());
        let path = directory.to_owned();
        let since = metadata.map_err(|source| DeliverError::Io { doing: "look at", path, source })?;
        given = Some(Given { secrets: Vec::new(), since });
    }
    Ok(given)
}

/// `NAME=VALUE` between NULs.
fn variables(file: &[u8]) -> impl Iterator<Item = (String, Secret)> {
    shim::variables(file)
        .map(|(name, value)| (name.to_string_lossy().into_owned(), Secret::new(value.as_encoded_bytes())))
}
