//! Every key with its value, for people who hold the config. A value that the app gets in plain text is not for a terminal,
//! so the values of `env`, log options and labels are not shown.

use crate::keys::{self, KeyDefault};
use crate::parse::layers::{Layers, Written};
use crate::value::Value;
use crate::value::pointer::Pointer;
use crate::value::printable::escaped;
use crate::value::proxy::ProxyUrl;
use crate::value::template::SecretValue;
use crate::value::text::shown;

/// One key, written or not.
pub struct Row {
    /// The key.
    pub key: String,
    /// Its value as written, or the default in words; none if it must not be shown.
    pub value: Option<String>,
    /// Where it was set; none for the default.
    pub from: Option<String>,
    /// What the key means, in Markdown.
    pub about: &'static str,
}

impl Layers {
    /// Every key in the order of the documentation, with its default if it is not set.
    pub fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for known in keys::all() {
            let written: Vec<_> = match known.name.strip_suffix("NAME") {
                Some(table) => self.keys.iter().filter(|(key, _)| key.starts_with(table)).collect(),
                None => self.keys.get_key_value(known.name).into_iter().collect(),
            };
            let default = match known.default {
                KeyDefault::Value(text) | KeyDefault::Words(text) => Some(text.to_owned()),
            };
            let about = known.about;
            if written.is_empty() {
                rows.push(Row { key: known.name.to_owned(), value: default, from: None, about });
            }
            rows.extend(written.into_iter().map(|(key, written)| row(key, written, about)));
        }
        rows
    }

    /// What `config=` points to, as errors and `berth check` name it.
    pub fn pointer_name(&self) -> Option<String> {
        self.pointer().as_ref().map(Pointer::to_string)
    }
}

fn row(key: &str, written: &Written, about: &'static str) -> Row {
    let is_hidden = ["env.", "log_opt."].iter().any(|table| key.starts_with(table));
    let list = || written.value.list();
    let value = match (&written.value, key) {
        _ if is_hidden => None,
        // A value that is not a reference may be the secret itself.
        (Value::Text(text), key) if key.starts_with("secret.") => {
            SecretValue::parse(text).ok().map(|value| value.to_string())
        }
        // Without user and password.
        (Value::Text(text), "https_proxy") => ProxyUrl::parse(text).ok().map(|proxy| proxy.to_string()),
        (_, "https_proxy") => None,
        (_, "labels") => Some(list().iter().filter_map(|label| label.split('=').next()).collect::<Vec<_>>().join(", ")),
        (Value::Text(text), _) => Some(text.clone()),
        (Value::List(_), _) => Some(list().join(", ")),
    };
    let value = value.map(|text| escaped(&text).collect());
    Row { key: shown(key), value, from: Some(written.location.to_string()), about }
}
