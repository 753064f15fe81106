//! The parts of values that were put together. The container does not get them, but they are removed from its output. They are kept beside the values, on
//! the tmpfs, since another agent than the one that delivered may read the output.

use std::collections::BTreeMap;
use std::path::Path;

use zeroize::Zeroizing;

use super::files::{DeliverError, read_file, write_file};
use crate::io::secret::Secret;

/// The file in the directory of a container: a JSON list of pairs of a name and a part.
pub(super) const FILE: &str = "parts";

/// Writes the parts of these values beside them.
pub(super) fn write(container: &Path, secrets: &BTreeMap<String, Secret>) -> Result<(), DeliverError> {
    let text = |part: &Secret| std::str::from_utf8(part.expose()).ok().map(|text| Zeroizing::new(text.to_owned()));
    let of = |(name, secret): (&String, &Secret)| {
        let parts: Vec<_> = secret.parts().iter().filter_map(text).collect();
        parts.into_iter().map(|part| (name.clone(), part)).collect::<Vec<_>>()
    };
    let pairs: Vec<(String, Zeroizing<String>)> = secrets.iter().flat_map(of).collect();
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, part)| (name.as_str(), part.as_str())).collect();
    if pairs.is_empty() && read_file(container, FILE)?.is_none() {
        return Ok(());
    }
    // Strings always have a JSON form.
    let json = Zeroizing::new(serde_json::to_vec(&pairs).unwrap_or_default());
    write_file(container, FILE, &json)
}

/// What [`write`] wrote; empty if there is no such file.
pub(super) fn read(directory: &Path, name: &str) -> Result<Vec<(String, Secret)>, DeliverError> {
    // The parser's error could quote a part.
    Ok(read_file(directory, name)?.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default())
}
