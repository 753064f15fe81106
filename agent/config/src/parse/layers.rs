//! The layers of a config: the keys that each sets. A later layer wins, key by key.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::detect;
use crate::detect::foreign::Foreign;
use crate::detect::found::{ConfigForm, Detected, FoundConfig, Refusal};
use crate::error::code::Code;
use crate::error::{ConfigErrors, Location, Position};
use crate::keys::foreign_words;
use crate::keys::key_docs;
use crate::keys::{Key, life};
use crate::parse::document::{self, Defect, DefectKind, Document};
use crate::value::Value;
use crate::value::line::{self, Word};
use crate::value::pointer::Pointer;

/// The longest user-data of EC2, before base64 (EC2 user guide, "Instance user data").
const LONGEST_USER_DATA: usize = 16 << 10;

/// A source of keys; a later one wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// `/etc/berth/berth.toml`: the file with AMI-wide defaults.
    Defaults,
    /// What `config=` points to.
    Pointer,
    /// The user-data.
    UserData,
    /// The words of the command line.
    CommandLine,
}

/// One key as written.
#[derive(Clone)]
pub(crate) struct Written {
    pub(crate) value: Value,
    pub(crate) location: Location,
    pub(crate) layer: Layer,
    /// The number of the key over all layers, in the order in which they were added.
    pub(crate) order: usize,
}

/// Every key, in every layer. Add the sources in any order, then call [`Layers::resolve`].
#[derive(Clone, Default)]
pub struct Layers {
    pub(crate) keys: BTreeMap<String, Written>,
    pub(crate) errors: ConfigErrors,
    /// How many keys were added so far.
    count: usize,
    /// Whether a source could not be parsed, so that its keys are unknown.
    pub(crate) broken: bool,
    /// The kind of user-data, if it has no config.
    pub(crate) foreign: Option<Foreign>,
    /// Every source that has a config, by its name in errors.
    sources: Vec<(Layer, Arc<str>)>,
    /// Those of them that have no key, without the defaults.
    pub(crate) empty: Vec<Arc<str>>,
    /// User-data that is longer than EC2 allows.
    pub(crate) too_long: Option<Arc<str>>,
}

impl Layers {
    /// Without any key.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file of defaults, TOML or a JSON object; `name` is its name in errors.
    pub fn add_file(&mut self, name: &str, bytes: &[u8]) {
        match detect::in_file(bytes) {
            Ok(form) => self.add(Layer::Defaults, name, FoundConfig { part: None, form }),
            Err(refusal) => self.refuse(name, vec![refusal]),
        }
    }

    /// Adds the user-data, as the metadata service returned it. User-data without a config is no error; a near miss is.
    pub fn add_user_data(&mut self, bytes: &[u8]) {
        self.add_user_data_from("user-data", bytes);
    }

    /// Adds user-data with this name in errors.
    pub fn add_user_data_from(&mut self, name: &str, bytes: &[u8]) {
        if bytes.len() > LONGEST_USER_DATA {
            self.too_long = Some(name.into());
        }
        match detect::in_user_data(bytes) {
            Detected::Config(found) => self.add(Layer::UserData, name, found),
            Detected::Refused(refusals) => self.refuse(name, refusals),
            Detected::Foreign(foreign) => self.foreign = Some(foreign),
        }
    }

    /// The kind of user-data, if it was added and has no config.
    pub fn foreign(&self) -> Option<Foreign> {
        self.foreign
    }

    /// Adds the document that the pointer points to. It must have a config, without `config=`.
    pub fn add_pointed(&mut self, pointer: &Pointer, bytes: &[u8]) {
        let name = pointer.to_string();
        match detect::in_user_data(bytes) {
            Detected::Config(found) => self.add(Layer::Pointer, &name, found),
            Detected::Refused(refusals) => self.refuse(&name, refusals),
            Detected::Foreign(_) => {
                self.refuse(&name, vec![Refusal { part: None, at: Position::Within, reason: detect::NOTHING.into() }]);
            }
        }
    }

    /// Adds `key=value` words of a command line, after the shell removed quotes.
    pub fn add_words(&mut self, words: &[String]) {
        if words.is_empty() {
            return;
        }
        self.sources.push((Layer::CommandLine, "command line".into()));
        let mut source = Source::new(self, Layer::CommandLine, "command line".into());
        for (word, n) in words.iter().zip(1..) {
            source.add_word(Position::Word(n), word);
        }
    }

    /// What the layers so far point to. None if the pointer is invalid, which [`Layers::resolve`] reports.
    pub fn pointer(&self) -> Option<Pointer> {
        let written = self.keys.get("config").filter(|written| written.layer != Layer::Pointer)?;
        Pointer::parse(written.value.one().ok()?).ok()
    }

    /// Whether these layers point to a document that was not added.
    pub(crate) fn awaits_document(&self) -> bool {
        self.pointer().is_some() && !self.sources.iter().any(|(layer, _)| *layer == Layer::Pointer)
    }

    /// `boot.timeout`, if it is set so far and valid.
    pub fn boot_timeout(&self) -> Option<Duration> {
        life::boot_timeout(&self.keys.get("boot.timeout")?.value).ok()
    }

    /// `listen`, if it is set so far and valid.
    pub fn listen(&self) -> Option<SocketAddr> {
        life::listen(&self.keys.get("listen")?.value).ok()
    }

    /// The errors before validation: syntax, unknown keys, keys given twice.
    pub fn errors_so_far(&self) -> &ConfigErrors {
        &self.errors
    }

    /// The sources that have a config, the one with the least priority first.
    pub fn sources(&self) -> Vec<&str> {
        let mut sources: Vec<_> = self.sources.iter().collect();
        sources.sort_by_key(|(layer, _)| *layer);
        sources.into_iter().map(|(_, name)| name.as_ref()).collect()
    }

    fn add(&mut self, layer: Layer, name: &str, FoundConfig { part, form }: FoundConfig) {
        let label = label(name, part);
        self.sources.push((layer, Arc::clone(&label)));
        let before = (self.count, self.errors.len());
        self.read(layer, Arc::clone(&label), form);
        // The file of defaults that the packages install has only comments.
        if layer != Layer::Defaults && before == (self.count, self.errors.len()) {
            self.empty.push(label);
        }
    }

    fn read(&mut self, layer: Layer, label: Arc<str>, form: ConfigForm) {
        let mut source = Source::new(self, layer, label);
        match form {
            ConfigForm::Line { words, line, indent } => source.add_line(&words, line, indent),
            ConfigForm::Toml(text) => source.add_document(document::toml(&text)),
            ConfigForm::Json(text) => source.add_document(document::json(&text)),
        }
    }

    /// Adds the errors of a source whose keys are unknown.
    fn refuse(&mut self, name: &str, refusals: Vec<Refusal>) {
        for Refusal { part, at, reason } in refusals {
            self.errors.add(Code::NotAConfig, Some(Location { source: label(name, part), at }), None, || reason);
        }
        self.broken = true;
    }
}

/// The name in errors of a source, or of a part of it.
fn label(name: &str, part: Option<usize>) -> Arc<str> {
    part.map_or(name.to_owned(), |part| format!("{name} part {part}")).into()
}

/// How many of the words after this one are its `=` and its value, written with spaces: `image = x`, `image =x`, `image= x`.
fn spaced(word: &Word, after: &[Word]) -> usize {
    let text = |n: usize| after.get(n).map_or("", |word| word.text.as_str());
    let is_value = |n: usize| !text(n).is_empty() && !text(n).contains('=');
    let key = word.text.trim_end_matches('=');
    match (Key::find(key).is_some(), word.text.len() - key.len()) {
        (true, 0) if text(0) == "=" => 1 + usize::from(is_value(1)),
        (true, 0) if text(0).starts_with('=') => 1,
        (true, 1) if is_value(0) => 1,
        _ => 0,
    }
}

/// The error of a word without `=`. It shows nothing of the word but the name of a key.
fn without_sign(word: &str) -> Cow<'static, str> {
    let bare = word.trim_start_matches('-');
    let key = |text: &str| Key::find(text).is_some().then(|| text.to_owned());
    let (name, has_colon) = word.split_once(':').map_or((word, false), |(name, _)| (name, true));
    if let Some(key) = key(name).filter(|_| has_colon) {
        return format!("takes `=`, not `:`: write `{key}=…`").into();
    }
    if let Some(key) = key(bare) {
        return match bare == word {
            true => format!("has no value: write `{key}=…`").into(),
            false => format!("is written `{key}=…`, without `--`").into(),
        };
    }
    if let Some(meaning) = foreign_words::find(name).filter(|_| has_colon || bare != word) {
        return match meaning.key {
            Some(key) => format!("this word has no `=`; berth calls it `{key}`: write `{key}=…`").into(),
            None => format!("is unknown, and berth has no equivalent: {}", meaning.advice).into(),
        };
    }
    if word.starts_with('#') {
        return "a comment cannot follow the config on its line: remove it".into();
    }
    "this word has no `=`: every word is `key=value`; quote a value with spaces".into()
}

/// Adds one source to the layers.
struct Source<'a> {
    layers: &'a mut Layers,
    layer: Layer,
    label: Arc<str>,
}

impl<'a> Source<'a> {
    fn new(layers: &'a mut Layers, layer: Layer, label: Arc<str>) -> Self {
        Self { layers, layer, label }
    }

    fn error(&mut self, code: Code, at: Position, key: Option<&str>, reason: impl Into<Cow<'static, str>>) {
        let location = Location { source: Arc::clone(&self.label), at };
        self.layers.errors.add(code, Some(location), key, || reason);
    }

    fn unknown(&mut self, at: Position, key: &str) {
        self.layers.errors.add_unknown(Location { source: Arc::clone(&self.label), at }, key);
    }

    fn add_line(&mut self, words: &str, line: usize, indent: usize) {
        match line::words(words) {
            Ok(words) => self.add_line_words(&words, |word| Position::Line(line, indent + word.column)),
            Err(bad) => {
                self.error(Code::Syntax, Position::Line(line, indent + bad.column), None, bad.reason);
                self.layers.broken = true;
            }
        }
    }

    fn add_line_words(&mut self, words: &[Word], at: impl Fn(&Word) -> Position) {
        let mut rest = words;
        while let [word, after @ ..] = rest {
            rest = match spaced(word, after) {
                0 => {
                    self.add_word(at(word), &word.text);
                    after
                }
                taken => {
                    let key = word.text.trim_end_matches('=');
                    self.error(Code::Syntax, at(word), Some(key), "must have no space around `=`: `key=value`");
                    self.layers.broken = true;
                    after.get(taken..).unwrap_or_default()
                }
            };
        }
    }

    /// A word without `=` is never shown: it may be a secret that lost its key.
    fn add_word(&mut self, at: Position, word: &str) {
        match word.split_once('=') {
            Some((key, value)) => self.add_key(at, key.to_owned(), Value::Text(value.to_owned())),
            None => self.error(Code::NoEquals, at, None, without_sign(word)),
        }
    }

    fn add_document(&mut self, document: Document) {
        for (at, key, value) in document.keys {
            self.add_key(at, key, value);
        }
        for Defect { at, kind } in document.defects {
            self.add_defect(at, kind);
        }
    }

    fn add_defect(&mut self, at: Position, kind: DefectKind) {
        let (key, reason): (String, Cow<'static, str>) = match kind {
            DefectKind::Syntax(reason) => {
                self.layers.broken = true;
                return self.error(Code::Syntax, at, None, reason);
            }
            // An empty table of a known name sets nothing.
            DefectKind::EmptyTable(key) if Key::is_table(&key) => return,
            DefectKind::EmptyTable(key) => (key, "is an empty table".into()),
            DefectKind::TooDeep(key) => (key, "is nested too deeply".into()),
            DefectKind::Null(key) => (key, "is null: remove the key".into()),
            DefectKind::NestedList(key) => {
                let example = key_docs::example(&key).map(|example| format!(", as in `{example}`")).unwrap_or_default();
                (key, format!("is a list with lists or tables in it: write each entry as one text{example}").into())
            }
        };
        match Key::find(&key).is_some() || Key::is_table(&key) {
            true => self.error(Code::InvalidValue, at, Some(&key), reason),
            false => self.unknown(at, &key),
        }
    }

    fn add_key(&mut self, at: Position, key: String, value: Value) {
        if Key::find(&key).is_none() {
            return self.unknown(at, &key);
        }
        if key == "config" && self.layer == Layer::Pointer {
            return self.error(
                Code::NestedPointer,
                at,
                Some(&key),
                "a config that `config=` points to cannot have `config=` itself",
            );
        }
        let location = Location { source: Arc::clone(&self.label), at };
        self.layers.count += 1;
        let written = Written { value, location, layer: self.layer, order: self.layers.count };
        match self.layers.keys.entry(key) {
            Entry::Vacant(vacant) => {
                vacant.insert(written);
            }
            Entry::Occupied(occupied) if occupied.get().location.source == self.label => {
                let key = occupied.key().clone();
                self.error(Code::GivenTwice, at, Some(&key), "is given twice");
            }
            Entry::Occupied(mut occupied) => {
                if occupied.get().layer <= written.layer {
                    occupied.insert(written);
                }
            }
        }
    }
}
