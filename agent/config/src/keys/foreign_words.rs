//! Words of `docker run`, Compose, ECS, launch templates, Auto Scaling groups and tools that deploy, and the key of berth with the
//! same meaning, or what to do instead. Every spelling is known: `add-host`, `add_host`,
//! `addHost`, `AddHost`, `--add-host`.

use crate::keys::key::ForeignWord;
use crate::keys::table::SECTIONS;
use crate::value::text;

/// The meaning of a word for berth.
pub(crate) struct Meaning {
    /// The key as it would be written; none if there is none.
    pub(crate) key: Option<String>,
    /// How the value differs, or what to do without a key; may be empty if there is a key.
    pub(crate) advice: &'static str,
}

/// Far longer than every word; limits the work.
const LONGEST: usize = 100;

/// Deeper than every word.
const DEEPEST: usize = 8;

/// The meaning of this word. The part below a word for a table of keys is the NAME.
pub(crate) fn find(written: &str) -> Option<Meaning> {
    if written.len() > LONGEST || written.matches('.').count() > DEEPEST {
        return None;
    }
    if written.len() == 2 && written.starts_with('-') {
        return row(|word| word == written).map(|row| meaning(row, None));
    }
    heads(written).find_map(|head| {
        let row = row(|word| is_same(word, head))?;
        let tail = written.get(head.len() + 1..);
        // The keys below these are found by their own names.
        let is_holder = |holder: &&str| is_same(holder, head);
        if tail.is_some() && ["services", "containerDefinitions", "userData"].iter().any(is_holder) {
            return None;
        }
        Some(meaning(row, tail))
    })
}

/// The meaning of a word with one typo.
pub(crate) fn find_near(written: &str) -> Option<Meaning> {
    const SHORTEST: usize = 6;
    if written.len() > LONGEST {
        return None;
    }
    let folded: String = folded(written).collect();
    let near = |word: &str| word.len() >= SHORTEST && strsim::osa_distance(&fold(word), &folded) == 1;
    row(near).map(|row| meaning(row, None))
}

/// Whether a document with this key at its top is certainly for a container.
pub(crate) fn is_certain(written: &str) -> bool {
    ["healthcheck", "containerDefinitions", "portMappings"].iter().any(|certain| is_same(certain, written))
}

fn meaning(word: &ForeignWord, tail: Option<&str>) -> Meaning {
    let key = word.key.map(|key| match (key.strip_suffix("NAME"), tail) {
        (Some(table), Some(tail)) if !tail.is_empty() => format!("{table}{}", text::shown(tail)),
        _ => key.to_owned(),
    });
    Meaning { key, advice: word.advice }
}

fn all() -> impl Iterator<Item = &'static ForeignWord> {
    SECTIONS.iter().flat_map(|section| section.foreign.iter().copied().flatten())
}

fn row(is_it: impl Fn(&str) -> bool) -> Option<&'static ForeignWord> {
    all().find(|row| row.words.split_whitespace().any(&is_it))
}

/// A dotted path and its parents, the longest first: `a.b.c`, `a.b`, `a`.
fn heads(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |head| head.rsplit_once('.').map(|(above, _)| above))
}

/// One spelling for all: `--add-host`, `add_host` and `addHost` are `addhost`.
pub(crate) fn fold(word: &str) -> String {
    folded(word).collect()
}

/// Whether two words differ only in spelling. Options of a single letter are not compared.
fn is_same(word: &str, written: &str) -> bool {
    !word.starts_with('-') && folded(word).eq(folded(written))
}

fn folded(word: &str) -> impl Iterator<Item = char> {
    let letters = word.trim_start_matches('-').chars().filter(|char| !"-_".contains(*char));
    letters.map(|char| char.to_ascii_lowercase())
}

#[cfg(test)]
mod tests;
