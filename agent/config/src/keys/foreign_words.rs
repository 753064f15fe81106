//! The words of `docker run`, of compose, of ECS task definitions, and of launch templates and Auto Scaling groups: which key of
//! berth says the same, or that none does and what to do instead. A word is known in every spelling: `add-host`, `add_host`,
//! `addHost`, `AddHost`, `--add-host`.

use crate::keys::key::ForeignWord;
use crate::keys::table::SECTIONS;
use crate::value::text;

/// What a word means here.
pub(crate) struct Meaning {
    /// The key that says it, as it would be written here; none if there is none.
    pub(crate) key: Option<String>,
    /// How its value differs, or what to do without a key; may be empty if there is a key.
    pub(crate) advice: &'static str,
}

/// No word is longer by far; also bounds the work.
const LONGEST: usize = 100;

/// Nor does any lie deeper.
const DEEPEST: usize = 8;

/// What this word means here; what stands below a word of a table of keys is its NAME.
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
        // What stands below these is better known by its own name.
        let is_holder = |holder: &&str| is_same(holder, head);
        if tail.is_some() && ["services", "containerDefinitions", "userData"].iter().any(is_holder) {
            return None;
        }
        Some(meaning(row, tail))
    })
}

/// The same for a word that is one typo away.
pub(crate) fn find_near(written: &str) -> Option<Meaning> {
    const SHORTEST: usize = 6;
    if written.len() > LONGEST {
        return None;
    }
    let folded: String = folded(written).collect();
    let near = |word: &str| word.len() >= SHORTEST && strsim::osa_distance(&fold(word), &folded) == 1;
    row(near).map(|row| meaning(row, None))
}

/// Whether a document with this at its top is for a container, and for nothing else.
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
    SECTIONS.iter().flat_map(|section| section.foreign)
}

fn row(is_it: impl Fn(&str) -> bool) -> Option<&'static ForeignWord> {
    all().find(|row| row.words.split_whitespace().any(&is_it))
}

/// A path and what is above it, the longest first: `a.b.c`, `a.b`, `a`.
fn heads(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |head| head.rsplit_once('.').map(|(above, _)| above))
}

/// One spelling for all: `--add-host`, `add_host` and `addHost` are `addhost`.
pub(crate) fn fold(word: &str) -> String {
    folded(word).collect()
}

/// Whether two words differ in their spelling alone. A single letter is an option, and is not compared.
fn is_same(word: &str, written: &str) -> bool {
    !word.starts_with('-') && folded(word).eq(folded(written))
}

fn folded(word: &str) -> impl Iterator<Item = char> {
    let letters = word.trim_start_matches('-').chars().filter(|char| !"-_".contains(*char));
    letters.map(|char| char.to_ascii_lowercase())
}

#[cfg(test)]
mod tests;
