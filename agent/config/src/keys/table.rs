//! Every key, in the order of the documentation.

use crate::keys::key::{Key, Section};
use crate::keys::{app, aws, container, life, release, secrets, target_groups};

/// The sections.
pub(crate) static SECTIONS: [&Section; 7] = [
    &app::SECTION,
    &secrets::SECTION,
    &container::SECTION,
    &life::SECTION,
    &target_groups::SECTION,
    &release::SECTION,
    &aws::SECTION,
];

/// Every key.
pub(crate) fn all() -> impl Iterator<Item = &'static Key> {
    SECTIONS.iter().flat_map(|section| section.keys.iter().copied().flatten())
}

impl Key {
    /// The key with this name, and the NAME if the key is a table.
    pub(crate) fn find(written: &str) -> Option<(&'static Self, &str)> {
        all().find_map(|key| match key.name.strip_suffix("NAME") {
            Some(table) => written.strip_prefix(table).filter(|name| !name.is_empty()).map(|name| (key, name)),
            None => (key.name == written).then_some((key, "")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_in_the_table_is_found_once() {
        for key in all() {
            let (found, _) = Key::find(key.name).unwrap();
            assert_eq!(found.name, key.name);
        }
    }
}
