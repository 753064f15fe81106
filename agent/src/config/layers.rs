//! The layers of a config: what each wrote, and that the later wins, key by key.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use super::document::{self, Said};
use super::fault::{At, Faults, Place};
use super::find::{self, Form, Found, Unreadable};
use super::keys::{self, Key};
use super::line;
use super::secret_ref::{SecretRef, check_parameter, check_secret_name};
use super::value::{Reason, Value};

/// Who wrote something; the later of these wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// `/etc/berth/berth.toml`: the defaults of the image.
    Defaults,
    /// What `config=` points to.
    Pointer,
    /// The user-data.
    UserData,
    /// The words of the command line.
    CommandLine,
}

/// What `config=` points to: more keys, in any of the forms of user-data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pointer {
    /// `ssm:NAME`: a parameter, its name or ARN.
    Ssm(String),
    /// `secretsmanager:NAME`: a secret, its name or ARN.
    SecretsManager(String),
}

impl Pointer {
    /// Where the document is, as a secret is referred to.
    pub fn secret_ref(&self) -> SecretRef {
        match self {
            Self::Ssm(name) => SecretRef::Parameter { name: name.clone(), json_key: None },
            Self::SecretsManager(id) => {
                SecretRef::Managed { id: id.clone(), json_key: None, version_stage: None, version_id: None }
            }
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, Reason> {
        if let Some(name) = text.strip_prefix("ssm:") {
            check_parameter(name)?;
            return Ok(Self::Ssm(name.to_owned()));
        }
        if let Some(name) = text.strip_prefix("secretsmanager:") {
            check_secret_name(name)?;
            return Ok(Self::SecretsManager(name.to_owned()));
        }
        Err("is not `ssm:NAME` or `secretsmanager:NAME`".into())
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ssm(name) => write!(f, "ssm:{name}"),
            Self::SecretsManager(name) => write!(f, "secretsmanager:{name}"),
        }
    }
}

/// One key as written.
#[derive(Clone)]
pub(super) struct Written {
    pub(super) value: Value,
    pub(super) place: Place,
    pub(super) layer: Layer,
    /// The order of writing, over all layers.
    pub(super) order: usize,
}

/// Everything written, in every layer. Add what there is, in any order, then [`Layers::believe`].
#[derive(Clone, Default)]
pub struct Layers {
    pub(super) keys: BTreeMap<String, Written>,
    pub(super) faults: Faults,
    /// How many keys were written so far.
    count: usize,
    /// Sources whose syntax is broken: what they would have said is not known.
    pub(super) broken: bool,
    /// User-data in which no config was found.
    pub(super) in_vain: bool,
}

impl Layers {
    /// Nothing written yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file of defaults, TOML or a JSON object; `name` is what faults call it.
    pub fn add_file(&mut self, name: &str, bytes: &[u8]) {
        let found = find::in_file(bytes).map(|form| Some(Found { part: None, form }));
        self.add(Layer::Defaults, name, found);
    }

    /// Adds the user-data, as the bytes that the metadata service gave. To hold no config is no fault.
    pub fn add_user_data(&mut self, bytes: &[u8]) {
        self.add_user_data_from("user-data", bytes);
    }

    /// Adds user-data that faults call `name`.
    pub(crate) fn add_user_data_from(&mut self, name: &str, bytes: &[u8]) {
        if !self.add(Layer::UserData, name, find::in_user_data(bytes)) {
            self.in_vain = true;
        }
    }

    /// Adds what the pointer points to. It must hold a config and must not point on.
    pub fn add_pointed(&mut self, pointer: &Pointer, bytes: &[u8]) {
        let name = pointer.to_string();
        if !self.add(Layer::Pointer, &name, find::in_user_data(bytes)) {
            let place = Place { source: name.into(), at: At::Within };
            self.faults.add(Some(place), None, || find::NOTHING);
            self.broken = true;
        }
    }

    /// Adds `key=value` words of a command line, which the shell has unquoted already.
    pub fn add_words(&mut self, words: &[String]) {
        let mut source = Source::new(self, Layer::CommandLine, "command line".into());
        for (word, n) in words.iter().zip(1..) {
            source.add_word(At::Word(n), word);
        }
    }

    /// What the layers written so far point to. None also if the pointer is at fault: then [`Layers::believe`] tells.
    pub fn pointer(&self) -> Option<Pointer> {
        let written = self.keys.get("config").filter(|written| written.layer != Layer::Pointer)?;
        Pointer::parse(written.value.one().ok()?).ok()
    }

    /// `listen`, if it is written so far and can be believed.
    pub fn listen(&self) -> Option<SocketAddr> {
        keys::listen(&self.keys.get("listen")?.value).ok()
    }

    /// What is known to be wrong before anything is believed: syntax, unknown keys, keys given twice.
    pub fn faults_so_far(&self) -> &Faults {
        &self.faults
    }

    /// Whether there was anything to add.
    fn add(&mut self, layer: Layer, name: &str, found: Result<Option<Found>, Unreadable>) -> bool {
        let label = |part: Option<usize>| part.map_or(name.to_owned(), |part| format!("{name} part {part}")).into();
        match found {
            Ok(None) => return false,
            Ok(Some(Found { part, form })) => {
                let mut source = Source::new(self, layer, label(part));
                match form {
                    Form::Line { words, line, indent } => source.add_line(&words, line, indent),
                    Form::Toml(text) => source.add_document(document::toml(&text)),
                    Form::Json(text) => source.add_document(document::json(&text)),
                }
            }
            Err(Unreadable { part, at, reason }) => {
                self.faults.add(Some(Place { source: label(part), at }), None, || reason);
                self.broken = true;
            }
        }
        true
    }
}

/// One source being read into the layers.
struct Source<'a> {
    layers: &'a mut Layers,
    layer: Layer,
    label: Arc<str>,
}

impl<'a> Source<'a> {
    fn new(layers: &'a mut Layers, layer: Layer, label: Arc<str>) -> Self {
        Self { layers, layer, label }
    }

    fn fault(&mut self, at: At, key: Option<&str>, reason: impl Into<Cow<'static, str>>) {
        let place = Place { source: Arc::clone(&self.label), at };
        self.layers.faults.add(Some(place), key, || reason);
    }

    fn add_line(&mut self, words: &str, line: usize, indent: usize) {
        match line::words(words) {
            Ok(words) => {
                for word in words {
                    self.add_word(At::Line(line, indent + word.column), &word.text);
                }
            }
            Err(bad) => {
                self.fault(At::Line(line, indent + bad.column), None, bad.reason);
                self.layers.broken = true;
            }
        }
    }

    /// The word itself is never told when it has no `=`: it may be a secret that lost its key.
    fn add_word(&mut self, at: At, word: &str) {
        match word.split_once('=') {
            Some((key, value)) => self.add_key(at, key.to_owned(), Value::Text(value.to_owned())),
            None => {
                self.fault(at, None, "this word has no `=`: everything is `key=value`; quote a value that has blanks")
            }
        }
    }

    fn add_document(&mut self, said: Said) {
        for (at, key, value) in said.keys {
            self.add_key(at, key, value);
        }
        for (at, key, reason) in said.faults {
            self.layers.broken |= key.is_empty();
            self.fault(at, Some(key.as_str()).filter(|key| !key.is_empty()), reason);
        }
    }

    fn add_key(&mut self, at: At, key: String, value: Value) {
        let place = Place { source: Arc::clone(&self.label), at };
        if Key::find(&key).is_none() {
            self.layers.faults.add(Some(place), Some(&key), || Key::unknown(&key));
            return;
        }
        if key == "config" && self.layer == Layer::Pointer {
            return self.fault(at, Some(&key), "what is pointed to cannot point on");
        }
        self.layers.count += 1;
        let written = Written { value, place, layer: self.layer, order: self.layers.count };
        match self.layers.keys.entry(key) {
            Entry::Vacant(vacant) => {
                vacant.insert(written);
            }
            Entry::Occupied(occupied) if occupied.get().place.source == self.label => {
                let key = occupied.key().clone();
                self.fault(at, Some(&key), "is given twice");
            }
            Entry::Occupied(mut occupied) => {
                if occupied.get().layer <= written.layer {
                    occupied.insert(written);
                }
            }
        }
    }
}
