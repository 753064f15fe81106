//! Every form gives the same config: the one line, TOML and JSON, with flat keys or tables, compressed or in a
//! multi-part.

use std::collections::BTreeMap;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use proptest::sample::subsequence;
use serde_json::{Map, Value, json};

use crate::config::Config;
use crate::error::ConfigErrors;
use crate::parse::layers::Layers;

/// Keys that go together, each with a value.
const SAMPLES: [(&str, &str); 25] = [
    ("name", "web"),
    ("port", "127.0.0.1:80:8080"),
    ("health", "cmd:wget -q 'http://localhost/?a=b c'"),
    ("probe.interval", "500ms"),
    ("probe.unhealthy", "5"),
    ("secret.DB", "prod/db#pass word"),
    ("secret.KEY", "ssm:/prod/key"),
    ("secret.DATABASE_URL", r#"postgres://${a#u}:${ssm:/b}@db/x?y=$${z}&"q'=\$"#),
    ("secrets_as", "files"),
    ("secrets_refresh", "1h,signal:HUP"),
    ("registry_auth", "prod/registry"),
    ("command", "sh -c 'echo \"$HOME\" \\ # no comment'"),
    ("entrypoint", "/bin/app,a b"),
    ("user", "1000:1000"),
    ("volumes", "data:/var/lib/app,/etc/ssl:/etc/ssl:ro"),
    ("memory", "512m"),
    ("cpus", "0.5"),
    ("read_only", "true"),
    ("labels", "team=web,tier=a b"),
    ("log_opt.max-size", "10m"),
    ("drain.settle", "35s"),
    ("boot.timeout", "20m"),
    ("lifecycle.group", "web servers"),
    ("spot", "ignore"),
    ("listen", "[::]:9911"),
];

fn read(add: impl FnOnce(&mut Layers)) -> Result<Config, ConfigErrors> {
    let mut layers = Layers::new();
    add(&mut layers);
    layers.resolve()
}

fn line(keys: &BTreeMap<String, String>) -> String {
    let words = keys.iter().map(|(key, value)| format!(" {key}='{}'", value.replace('\'', r"'\''")));
    format!("berth{}\n", words.collect::<String>())
}

fn line_in_double_quotes(keys: &BTreeMap<String, String>) -> String {
    let words = keys.iter().map(|(key, value)| format!(" {key}={}", Value::from(value.replace('$', "\\$"))));
    // What a shell unquotes within "…" is `\"` and `\\`, as JSON writes them, and `\$`.
    format!("#!/bin/sh\n#berth{}\n", words.collect::<String>().replace(r"\\$", r"\$"))
}

/// In TOML a basic string escapes as one of JSON does.
fn toml(keys: &BTreeMap<String, String>) -> String {
    let dotted = |key: &str| key.split('.').map(|part| Value::from(part).to_string()).collect::<Vec<_>>().join(".");
    keys.iter().fold("#berth\n".to_owned(), |text, (key, value)| {
        text + &format!("{} = {}\n", dotted(key), Value::from(value.as_str()))
    })
}

fn json(keys: &BTreeMap<String, String>) -> String {
    json!(keys).to_string()
}

fn json_in_tables(keys: &BTreeMap<String, String>) -> String {
    let mut document = Map::new();
    for (key, value) in keys {
        match key.split_once('.') {
            Some((table, name)) => {
                let table = document.entry(table).or_insert_with(|| json!({}));
                table.as_object_mut().unwrap().insert(name.to_owned(), json!(value));
            }
            None => drop(document.insert(key.clone(), json!(value))),
        }
    }
    Value::Object(document).to_string()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn as_a_part(bytes: &[u8]) -> Vec<u8> {
    let head = "Content-Type: multipart/mixed; boundary=B\n\n--B\nContent-Type: text/x-berth\nContent-Transfer-Encoding: base64\n\n";
    format!("{head}{}\n--B--\n", STANDARD.encode(bytes)).into_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_config_is_the_same_in_every_form(
        samples in subsequence(SAMPLES.to_vec(), 0..SAMPLES.len()),
        env in prop::collection::btree_map("[L-Z]{1,3}", r#"[a-z0-9 ='"\\$`#{}\[\]é€,;|&!*~%-]{0,12}"#, 0..4),
    ) {
        let mut keys: BTreeMap<String, String> =
            samples.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        keys.insert("image".into(), "registry.example/app:v1".into());
        keys.extend(env.into_iter().map(|(name, value)| (format!("env.{name}"), value)));

        let words: Vec<_> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let expected = read(|layers| layers.add_words(&words)).unwrap();
        for (name, value) in keys.iter().filter_map(|(key, value)| Some((key.strip_prefix("env.")?, value))) {
            prop_assert_eq!(&expected.env[name], value);
        }
        for form in [line, line_in_double_quotes, toml, json, json_in_tables] {
            let text = form(&keys);
            for bytes in [text.clone().into_bytes(), packed(text.as_bytes()), as_a_part(text.as_bytes()), as_a_part(&packed(text.as_bytes()))] {
                let validated = read(|layers| layers.add_user_data(&bytes));
                prop_assert_eq!(validated.as_ref().map_err(ToString::to_string), Ok(&expected), "{}", text);
            }
        }
        for text in [toml(&keys), json(&keys)] {
            prop_assert_eq!(read(|layers| layers.add_file("berth.toml", text.as_bytes())).unwrap(), expected.clone());
        }
    }
}
