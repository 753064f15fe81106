//! A config as the instance gets it: user-data in any form, a file of defaults, what `config=` points to, a word of the command
//! line; and, of an input that is text, its first line as the value of a key, in three forms.

use std::io::Write;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use berth::commands::check::{self, Checked, Print};
use berth_config::{Config, ConfigErrors, Layers, Pointer, Position, key_tables};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Map, Value, json};

use crate::CANARY;

/// The names of all keys, `NAME` in them stands for any.
static KEYS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let tables = key_tables();
    let rows = tables.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(key, _)| key.to_owned()).collect()
});

/// A config is the same in whatever it is wrapped, and read again from what `berth check` shows of it; an error has its place in
/// the input and never shows a value.
pub fn config(bytes: &[u8]) {
    every_layer(bytes);
    not_passed_over(bytes);
    let validated = read(bytes);
    wrapped(bytes, &validated);
    match &validated {
        Ok(config) => shown(bytes, config),
        Err(errors) => placed(bytes, errors, "user-data"),
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        as_a_value(text);
    }
}

fn checked(bytes: &[u8], print: Print) -> Checked {
    let mut layers = Layers::new();
    check::add(&mut layers, "-", bytes);
    check::check(&layers, print)
}

fn read(bytes: &[u8]) -> Result<Config, ConfigErrors> {
    let mut layers = Layers::new();
    layers.add_user_data(bytes);
    layers.resolve()
}

/// That it returns, and that what it shows is bounded, is all that holds for these.
fn every_layer(bytes: &[u8]) {
    let mut layers = Layers::new();
    layers.add_file("berth.toml", bytes);
    layers.add_pointed(&Pointer::Ssm("/x".into()), bytes);
    layers.add_words(&[String::from_utf8_lossy(bytes).into_owned()]);
    let _ = (layers.pointer(), layers.listen());
    if let Err(errors) = layers.resolve() {
        let text = errors.to_string();
        assert!(text.lines().count() <= 101 && text.len() <= 101 * 1000, "{} bytes of errors", text.len());
    }
}

/// A line that begins as the config does is taken or refused: what an older layer says never runs instead.
fn not_passed_over(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let is_line = |line: &str| line.trim_start_matches(['#', ' ', '\t']).starts_with("berth image=");
    // In a JSON object and in a multi-part a line may be a part of something else.
    let is_other = text.trim_start().starts_with('{') || text.to_ascii_lowercase().contains("content-type");
    if is_other || text.contains('\0') || !text.split(['\n', '\r']).any(is_line) {
        return;
    }
    let mut layers = Layers::new();
    layers.add_file("berth.toml", b"image = 'older:1'");
    layers.add_user_data(bytes);
    if let Ok(config) = layers.resolve() {
        assert_ne!(config.image.to_string(), "docker.io/library/older:1", "{text:?} is passed over");
    }
}

/// Packed, and as a part of a multi-part, the same is meant. What is packed or of several parts itself would lie deeper.
fn wrapped(bytes: &[u8], validated: &Result<Config, ConfigErrors>) {
    let is_wrapped = bytes.starts_with(b"\x1f\x8b") || bytes.to_ascii_lowercase().windows(9).any(|w| w == b"multipart");
    let Ok(config) = validated else { return };
    if is_wrapped {
        return;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    assert_eq!(read(&encoder.finish().unwrap()).as_ref(), Ok(config), "packed");
    let multi_part = format!(
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"B\"\n\n--B\nContent-Type: text/x-berth\n\
         Content-Transfer-Encoding: base64\n\n{}\n--B--\n",
        STANDARD.encode(bytes)
    );
    assert_eq!(read(multi_part.as_bytes()).as_ref(), Ok(config), "as a part");
}

/// What `berth check` shows is what is validated: the keys that it shows, as a document, make the same config. Without those
/// whose values it hides, and without lists and what it must escape.
fn shown(bytes: &[u8], config: &Config) {
    let Checked { text, warnings, verdict } = checked(bytes, Print::Json);
    let plain = checked(bytes, Print::Text).verdict;
    assert!(verdict.is_ok() && plain.is_ok(), "validated, and not by check");
    placed(bytes, &warnings, "stdin");
    let page: Value = serde_json::from_str(&text).unwrap();
    let mut keys = Map::new();
    for (key, row) in page["keys"].as_object().unwrap() {
        if row["from"] == "default" {
            continue;
        }
        match row["value"].as_str() {
            Some(value) if !key.contains('…') && !value.contains([',', '\\']) && key != "labels" => {
                keys.insert(key.clone(), json!(value));
            }
            _ => return,
        }
    }
    let again = Value::Object(keys).to_string();
    assert_eq!(read(again.as_bytes()).as_ref(), Ok(config), "{again}");
}

/// In plain text a line and a column can be looked up.
fn placed(bytes: &[u8], errors: &ConfigErrors, source: &str) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for error in errors.iter() {
        let Some(location) = &error.location else { continue };
        if &*location.source != source {
            continue;
        }
        if let Position::Line(line, column) = location.at {
            let end = if text.contains('\n') { '\n' } else { '\r' };
            let found = text.split(end).nth(line.wrapping_sub(1));
            let found = found.unwrap_or_else(|| panic!("{error} is in no line"));
            // One more is the end of the line, and one more again its line end.
            assert!((1..=found.chars().count() + 2).contains(&column), "{error} is in no column of {found:?}");
        }
    }
}

/// The first character selects the key, the rest of the line is its value, with what must never be shown in it.
fn as_a_value(text: &str) {
    let mut chars = text.lines().next().unwrap_or_default().chars();
    let key = &KEYS[chars.next().map_or(0, |char| char as usize) % KEYS.len()];
    let value: String = chars.take(500).filter(|char| !char.is_control()).collect();
    let middle = value.char_indices().nth(value.chars().count() / 2).map_or(0, |(at, _)| at);
    let marked = format!("{}{CANARY}{}", &value[..middle], &value[middle..]);
    for value in [value, marked] {
        let quoted = value.replace('\'', r"'\''");
        let string = Value::String(value.clone()).to_string();
        let beside = if key == "image" { "" } else { "image=x:1 " };
        let line = format!("berth {beside}{key}='{quoted}'");
        let json = match key.as_str() {
            "image" => format!("{{\"image\":{string}}}"),
            key => format!("{{\"image\":\"x:1\",\"{key}\":{string}}}"),
        };
        // TOML's basic strings have all the escapes of JSON's but `\/`, which nobody writes here.
        let toml = match key.as_str() {
            "image" => format!("#berth\nimage = {string}\n"),
            key => format!("#berth\nimage = 'x:1'\n{key} = {string}\n"),
        };
        let validated = read(line.as_bytes());
        for other in [json, toml] {
            match (&validated, &read(other.as_bytes())) {
                (Ok(one), Ok(other_one)) => assert_eq!(one, other_one, "{line}\n{other}"),
                (Err(errors), Err(others)) => {
                    let reasons =
                        |errors: &ConfigErrors| errors.iter().map(|error| error.reason.clone()).collect::<Vec<_>>();
                    assert_eq!(reasons(errors), reasons(others), "{line}\n{other}");
                    assert!(!others.to_string().contains(CANARY), "{others}");
                }
                (one, other_one) => panic!("{line}\n{one:?}\n{other}\n{other_one:?}"),
            }
        }
        match validated {
            Err(errors) => assert!(!errors.to_string().contains(CANARY), "{errors}"),
            Ok(_) if key.starts_with("env.") || key.starts_with("log_opt.") => {
                for print in [Print::Json, Print::All] {
                    let Checked { text, warnings, .. } = checked(line.as_bytes(), print);
                    assert!(!text.contains(CANARY) && !warnings.to_string().contains(CANARY), "{text}{warnings}");
                }
            }
            Ok(_) => {}
        }
    }
}
