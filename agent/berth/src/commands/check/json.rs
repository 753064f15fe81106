//! What would run, or every error, as JSON for scripts. docs/configuration.md lists the codes.

use berth_config::{Code, Config, ConfigError, ConfigErrors, Layers, Position};
use serde_json::{Map, Value, json};

use super::{has_image, health, notes, release, secrets, targets};

/// A config that would run.
pub(super) fn of(layers: &Layers, config: &Config, warnings: &ConfigErrors) -> String {
    let keys = layers.rows().into_iter().map(|row| {
        let from = row.from.unwrap_or_else(|| "default".to_owned());
        (row.key, json!({ "value": row.value, "from": from, "about": row.about }))
    });
    let image = Some(config.image.to_string()).filter(|_| has_image(config));
    print(&json!({
        "ok": true,
        "layers": layers.sources(),
        "image": image,
        "pinned": config.image.digest.is_some(),
        "name": config.name,
        "version": config.version(),
        "container": config.container_name(),
        "ports": config.ports.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "targets": targets(config),
        "health": health(config),
        "secrets": secrets(config),
        "env": config.env.keys().collect::<Vec<_>>(),
        "listen": config.listen,
        "config": layers.pointer_name(),
        "release": release::json(config),
        "notes": notes(layers),
        "errors": [],
        "warnings": all(warnings),
        "keys": keys.collect::<Map<String, Value>>(),
    }))
}

/// A config with errors.
pub(super) fn of_errors(layers: &Layers, errors: &ConfigErrors, warnings: &ConfigErrors) -> String {
    print(&json!({
        "ok": false,
        "layers": layers.sources(),
        "errors": all(errors),
        "more_errors": errors.more(),
        "warnings": all(warnings),
    }))
}

/// No config at all.
pub(super) fn unreadable(reason: &str) -> String {
    let error = json!({ "code": Code::Unreadable, "message": reason, "help": Code::Unreadable.about() });
    print(&json!({ "ok": false, "layers": [], "errors": [error], "more_errors": 0, "warnings": [] }))
}

fn all(errors: &ConfigErrors) -> Vec<Value> {
    errors.iter().map(one).collect()
}

fn one(error: &ConfigError) -> Value {
    let (line, column) = match error.location.as_ref().map(|location| location.at) {
        Some(Position::Line(line, column)) => (Some(line), Some(column)),
        _ => (None, None),
    };
    json!({
        "code": error.code,
        "key": error.shown_key(),
        "place": error.location.as_ref().map(ToString::to_string),
        "source": error.location.as_ref().map(|location| &*location.source),
        "line": line,
        "column": column,
        "message": error.reason,
        "suggestion": error.suggestion,
        "help": error.help(),
    })
}

fn print(value: &Value) -> String {
    format!("{value:#}\n")
}
